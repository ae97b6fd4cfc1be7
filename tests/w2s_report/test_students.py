"""Several students, by features or by predictions: one pass, the same splits, one verdict."""

from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner

import w2s_report
from w2s_book.cli import main
from w2s_report import card, page
from w2s_report.readers import InputError


def features(seed=0, rows=600, labelled=240):
    rng = np.random.default_rng(seed)
    g = rng.standard_normal((rows, 24))
    labels = g[:, 0] + g[:, 4] + g[:, 9] + rng.standard_normal(rows)
    labels[labelled:] = np.nan
    weak = {"a": g[:, :5] + 0.3 * rng.standard_normal((rows, 5)), "b": g[:, 3:12]}
    return weak, {"large": g[:, :18], "small": g[:, 2:22]}, labels


def test_each_student_is_reported_as_if_it_were_alone(tmp_path):
    weak, strong, labels = features()
    both = w2s_report.report(weak, strong, labels, trials=4, scores=tmp_path / "s.npy")
    assert [c.name for c in both.comparisons] == [
        "a → large",
        "a → small",
        "b → large",
        "b → small",
    ]
    assert [r.role for r in both.data.representations] == ["strong"] * 2 + ["weak"] * 2
    scores = np.load(tmp_path / "s.npy")
    for place, name in enumerate(strong):
        path = tmp_path / f"{name}.npy"
        alone = w2s_report.report(weak, strong[name], labels, trials=4, scores=path)
        # The same splits: to the bit, but for the order in which answers are shuffled.
        for one, other in zip(alone.comparisons, both.comparisons[place::2], strict=True):
            ours, theirs = one.errors["squared error"], other.errors["squared error"]
            for role in ("constant", "teacher", "student", "baseline"):
                assert ours[role] == theirs[role], (name, role)
            assert (one.opr, one.misfit, one.better) == (other.opr, other.misfit, other.better)
        for one, other in zip(alone.teachers, both.teachers[place::2], strict=True):
            assert (one.overlap, one.estimates) == (other.overlap, other.estimates)
            assert other.name == f"{one.name} → {name}"
        np.testing.assert_array_equal(np.load(path), scores[:, place::2])
    assert "Recommended" in page.render(both)


def test_differences_of_students_are_of_the_same_inputs():
    weak, strong, labels = features(1)
    found = w2s_report.report(weak, strong, labels, trials=4)
    errors = {c.name: c.errors["squared error"]["student"].value for c in found.comparisons}
    for one in found.comparisons:
        others = {name: value for name, value in one.others.items() if name in errors}
        assert others.keys() == errors.keys() - {one.name}
        assert one.others.keys() - others.keys() == {
            f"{'b' if one.teacher == 'a' else 'a'} itself",
            f"{'small' if one.student == 'large' else 'large'} on the labels",
        }
        for name, value in others.items():
            assert value.value == pytest.approx(errors[name] - errors[one.name])
            back = next(c for c in found.comparisons if c.name == name).others[one.name]
            assert (back.low, back.high) == pytest.approx((-value.high, -value.low))
    # A teacher under two names has one student, from which it cannot be told.
    twice = w2s_report.report({"x": weak["a"], "y": weak["a"]}, strong["large"], labels, trials=4)
    same = twice.comparisons[0].others["y"]
    assert same.value == 0
    assert -1e-6 < same.low <= 0  # what rounding leaves
    assert len(twice.verdict.as_good) == 1


def test_the_picture_is_drawn_to_scale_whatever_the_names_are():
    weak, strong, labels = features(2)
    renamed = {"a <b> & 'c'": weak["a"], "b" * 80: weak["b"]}
    found = w2s_report.report(renamed, strong, labels, trials=4)
    drawn = page.ranking(found)
    svg = "{http://www.w3.org/2000/svg}"
    picture = ElementTree.fromstring(drawn["figure"])
    texts = {text.text: text for text in picture.iter(f"{svg}text")}
    assert {"a <b> & 'c'", "b" * 80, "→ large", "→ small"} <= {*texts}
    assert "textLength" in texts["b" * 80].attrib
    data = drawn["data"]
    assert data["student"] == sorted(data["student"])
    for pair in found.comparisons:
        at = data["name"].index(pair.name)
        assert data["student low"][at] == pair.errors["squared error"]["student"].low
    ticks = [
        (float(label), float(text.get("x")))
        for label, text in texts.items()
        if label[0] in "0123456789"
    ]
    slope, start = np.polyfit(*zip(*ticks, strict=True), 1)
    marks = [mark for mark in picture.iter(f"{svg}path") if "transform" in mark.attrib]
    for model, (colour, _) in page.MODELS.items():
        if model in data:
            moved = [m.get("transform")[10:].split()[0] for m in marks if m.get("fill") == colour]
            *at, _ = map(float, moved)  # the last is in the legend
            np.testing.assert_allclose(at, start + slope * np.array(data[model]), atol=0.1)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.31, 2.2], [0, 0.5, 1, 1.5, 2, 2.5]),
        ([0.0, 0.0], [0, 0.2]),
        ([3.0, 3.0], [3, 4]),
        ([1e-9, 9e-9], [0, 2e-9, 4e-9, 6e-9, 8e-9, 1e-8]),
        ([-1.0, 4e6], [-1e6, 0, 1e6, 2e6, 3e6, 4e6, 5e6]),
    ],
)
def test_the_picture_has_round_numbers_below_and_above_all_values(values, expected):
    assert page._ticks(np.array(values)) == pytest.approx(expected)


def answers(seed=0, rows=900, labelled=300):
    """Labels, and a function that makes answers with errors of a given size."""
    rng = np.random.default_rng(seed)
    truth = 2 * rng.standard_normal(rows)
    labels = truth + 0.3 * rng.standard_normal(rows)
    labels[labelled:] = np.nan
    return labels, lambda size: truth + size * rng.standard_normal(rows)


def test_given_students_of_several_models():
    jsonschema = pytest.importorskip("jsonschema")
    labels, off_by = answers()
    given = {
        "llm:large": off_by(0.5), "llm:small": off_by(1.4), "vlm:large": off_by(0.8),
    }  # fmt: skip
    found = w2s_report.report(
        labels=labels,
        teacher_predictions={"llm": off_by(1.0), "vlm": off_by(1.6)},
        student_predictions=given,
        baseline_predictions={"large": off_by(1.2), "small": off_by(1.5)},
    )
    # Every pair that there is something of, each beside its own student's baseline.
    assert [c.name for c in found.comparisons] == ["llm → large", "llm → small", "vlm → large"]
    large, small, other = (c.errors["squared error"] for c in found.comparisons)
    assert large["baseline"] == other["baseline"] != small["baseline"]
    assert large["teacher"] == small["teacher"] != other["teacher"]
    known = np.isfinite(labels)
    expected = np.mean((given["llm:small"] - labels)[known] ** 2)
    assert small["student"].value == pytest.approx(expected)
    assert found.verdict.decisions == {
        "llm → large": "use", "llm → small": "use the teacher itself", "vlm → large": "use",
    }  # fmt: skip
    assert (found.verdict.teacher, found.verdict.student) == ("llm", "large")
    assert "Recommended: llm → large." in page.render(found)
    jsonschema.validate(found.to_dict(), card.schema())


def test_a_student_behind_another_strong_model_on_the_labels_is_not_used():
    labels, off_by = answers(1)
    small = {"teacher_predictions": {"llm": off_by(1.0)}, "labels": labels}
    taught, alone = off_by(0.8), off_by(1.2)
    found = w2s_report.report(
        **small, student_predictions={"llm": taught}, baseline_predictions=alone
    )
    assert found.verdict.decision == "use"
    found = w2s_report.report(
        **small,
        student_predictions={"llm:small": taught, "llm:large": off_by(0.9)},
        baseline_predictions={"small": alone, "large": off_by(0.2)},
    )
    assert found.verdict.decisions == dict.fromkeys(("llm → small", "llm → large"), "do not use")
    assert "large on the labels is demonstrably better still" in " ".join(found.verdict.reasons)


def test_a_student_behind_another_teacher_itself_is_not_used():
    labels, off_by = answers(2)
    said = {"bad": off_by(1.0), "good": off_by(0.2)}
    students, alone = {"bad": off_by(0.8), "good": off_by(0.5)}, off_by(1.2)
    found = w2s_report.report(
        labels=labels, teacher_predictions=said, student_predictions=students,
        baseline_predictions=alone,
    )  # fmt: skip
    assert (found.verdict.decision, found.verdict.teacher) == ("use the teacher itself", "good")
    assert found.verdict.decisions["bad"] == "do not use"
    assert found.comparisons[0].others["good itself"].high < 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"student_predictions": {"gpt:large": 0}}, "no teacher gpt:large; .* TEACHER:STUDENT"),
        (
            {"baseline_predictions": 0},
            r"there are students \['large', 'small'\], not ''; say whose",
        ),
        ({"ceiling_predictions": {"huge": 0}}, r"not 'huge'; say whose they are, as in large=file"),
        ({"student_predictions": {"llm:llm": 0}}, "a teacher cannot be called as a student is"),
        ({"student_predictions": {"llm:labels": 0}}, "cannot be called .* labels"),
    ],
)
def test_students_that_cannot_be(changes, message):
    labels, off_by = answers()
    given = {
        "teacher_predictions": {"llm": 0},
        "student_predictions": {"llm:large": 0, "llm:small": 0},
        "baseline_predictions": {"large": 0},
    } | changes
    filled = {
        role: dict.fromkeys(names, off_by(1.0)) if isinstance(names, dict) else off_by(1.0)
        for role, names in given.items()
    }
    with pytest.raises(InputError, match=message) as caught:
        w2s_report.report(labels=labels, **filled)
    assert "\n" not in str(caught.value)


def test_one_student_s_predictions_among_features_of_two_need_a_name():
    weak, strong, labels = features()
    with pytest.raises(InputError, match=r"no teacher a; .* of several students each is"):
        w2s_report.report(weak, strong, labels, student_predictions={"a": labels})


def test_the_command_takes_several(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    weak, strong, labels = features(rows=300, labelled=150)
    arrays = {"a": weak["a"], "large": strong["large"], "small": strong["small"], "y": labels}
    for name, values in arrays.items():
        np.save(f"{name}.npy", values)
    line = ["report", "--strong", "large=large.npy", "--strong", "small=small.npy", "--weak",
            "a=a.npy", "--labels", "y.npy", "--trials", "4", "--label-price", "1",
            "--pseudo-label-price", "0.1", "--budget", "50"]  # fmt: skip
    done = CliRunner().invoke(main, line)
    assert done.exit_code == 0, done.output
    text = (tmp_path / "report.html").read_text()
    assert "a → small" in text
    assert "What a budget buys" in text
    np.save("b=c.npy", strong["large"])
    single = ["report", "--strong", "b=c.npy", *line[5:11], "--force"]
    assert CliRunner().invoke(main, single).exit_code == 0, "a file that is there is no name"
    twice = CliRunner().invoke(
        main, ["report", "--strong", "x.npy", "--strong", "y.npy", "--force"]
    )
    assert twice.exit_code == 2
    assert "call each model by a name of its own" in twice.output
