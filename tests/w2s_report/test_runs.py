"""Finished runs of the two public code bases: numbers that follow from the files, or one line."""

import json
import shutil
import sys
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import w2s_report
from w2s_book.cli import main
from w2s_report import card as cards
from w2s_report import page, runs
from w2s_report.readers import InputError

sys.path.insert(0, str(Path(__file__).parent))
import runs_made_here as made

MODELS = {"gpt2": 0.7, "Qwen/Qwen-1_8B": 0.75, "gpt2-xl": 0.9}


def found_of(card, student):
    return next(c for c in card.comparisons if c.student == student)


def test_accuracies_of_one_seed(tmp_path):
    students = {("gpt2", "xent"): 0.8, ("gpt2", "logconf"): 0.95, ("Qwen/Qwen-1_8B", "xent"): 0.7}
    made.simple(tmp_path, MODELS, strong="gpt2-xl", students=students)
    card = w2s_report.report_run(tmp_path)
    assert {(c.teacher, c.student) for c in card.comparisons} == {
        (teacher, f"gpt2-xl, {loss}") for teacher, loss in students
    }
    found = found_of(card, "gpt2-xl, logconf")
    errors = {role: value.value for role, value in found.errors["error rate"].items()}
    assert errors == pytest.approx(
        {"constant": 0.5, "teacher": 0.3, "student": 0.05, "baseline": 0.1, "ceiling": 0.1}
    )
    assert found.pgr["error rate"].value == pytest.approx(1.25)
    assert found.opr["error rate"].value == pytest.approx(2)
    assert (found.n, found.N, found.test_rows, found.splits) == (4000, 4000, 5000, 1)
    # Binomial, of 5000 test inputs, and of a difference of two that are independent.
    student, over = found.errors["error rate"]["student"], found.better["error rate"]["student"]
    assert student.high - student.low == pytest.approx(3.92 * np.sqrt(0.05 * 0.95 / 5000), rel=0.01)
    wide = 3.92 * np.sqrt((0.05 * 0.95 + 0.3 * 0.7) / 5000)
    assert over["teacher"].high - over["teacher"].low == pytest.approx(wide, rel=0.01)
    assert card.verdict.decision == "use"
    assert card.chosen is found
    assert "results.pkl" in card.notes[0]
    jsonschema.validate(card.to_dict(), cards.schema())
    shown = page.render(card)
    assert "gpt2-xl, logconf" in shown
    assert "never\nopened" in shown or "never opened" in shown


def test_a_pgr_below_one_says_that_the_labels_do_better_by_themselves(tmp_path):
    made.simple(tmp_path, MODELS, strong="gpt2-xl", students={("gpt2", "xent"): 0.85})
    card = w2s_report.report_run(tmp_path)
    assert card.comparisons[0].pgr["error rate"].value == pytest.approx(0.75)
    assert card.verdict.decision == "do not use"


def test_seeds_are_in_the_intervals(tmp_path):
    one = {"accuracies": MODELS, "strong": "gpt2-xl", "students": {("gpt2", "xent"): 0.8}}
    found = []
    for seeds in ((0,), (0, 1, 2)):
        made.simple(tmp_path / str(len(seeds)), seeds=seeds, **one)
        found += w2s_report.report_run(tmp_path / str(len(seeds))).comparisons
    assert [c.splits for c in found] == [1, 3]
    once, thrice = (w2s_report.report_run(tmp_path / n).verdict.would_change for n in "13")
    assert any("trained once" in text for text in once)
    assert not any("trained once" in text for text in thrice)
    errors = [c.errors["error rate"]["student"] for c in found]
    assert errors[1].value == pytest.approx(errors[0].value)
    # Three seeds a point apart: 0.01 / sqrt(3) of error, with two degrees of freedom.
    reach = np.hypot(1.96 * np.sqrt(0.16 / 5000), 4.303 * 0.01 / np.sqrt(3))
    relative = np.log(errors[1].high / errors[1].value)
    assert relative * errors[1].value == pytest.approx(reach, rel=0.01)


def test_settings_that_differ_are_not_pooled(tmp_path):
    folder = made.simple(tmp_path, MODELS, strong="gpt2-xl", students={("gpt2", "xent"): 0.8})
    own = next(p for p in folder.iterdir() if "wms=" in p.name)
    other = shutil.copytree(own, folder / "copy")
    config = json.loads((own / "config.json").read_text())
    made.written(other / "config.json", config | {"epochs": 5})
    card = w2s_report.report_run(tmp_path)
    assert len(card.comparisons) == 2
    assert {"epochs=2" in c.student for c in card.comparisons} == {True, False}
    # No strong model was trained for five epochs on true labels: no baseline for that student.
    assert [("baseline" in c.errors["error rate"]) for c in card.comparisons].count(False) == 1


def test_intervals_cover_what_other_test_inputs_would_say(tmp_path):
    """95 % of 60 draws, which give 51 with p = 0.999; independent errors."""
    rng, inside = np.random.default_rng(0), 0
    for _ in range(60):
        drawn = {role: rng.binomial(1000, p) / 1000
                 for role, p in (("teacher", 0.7), ("student", 0.8), ("strong", 0.9))}  # fmt: skip
        pair = runs.Pair("simple", "", "t", "s", "", {k: [v] for k, v in drawn.items()}, 9, 1000)
        found = runs._compared(pair)
        pgr = found.pgr["error rate"]
        inside += pgr.low <= 0.5 <= pgr.high
    assert inside >= 51


def test_accuracies_of_unknown_size_decide_nothing(tmp_path):
    with pytest.raises(InputError) as caught:
        w2s_report.report_run(made.two_models(tmp_path))
    assert "weak_acc 0.7, strong_acc 0.9, transfer_acc_xent 0.8" in str(caught.value)
    assert "not of how many inputs" in str(caught.value)


def test_answers_by_input_give_misfit_and_log_loss(tmp_path):
    card = w2s_report.report_run(made.eleuther(tmp_path, rounds=1))
    assert [c.student.split("/")[-1] for c in card.comparisons] == ["s2s-0", "w2s"]
    found = card.comparisons[1]
    assert found.teacher == "Qwen1.5-0.5B"
    assert set(found.errors["log-loss"]) == {"constant", "teacher", "student"}
    assert found.errors["error rate"]["student"].value == pytest.approx(0.2)
    says = [runs._arrow(tmp_path / where / "predictions/val", [], "gt_labels", "soft_pred")[1]
            for where in ("my_run/boolq/w2s", "shared/boolq/weak")]  # fmt: skip
    p, q = says
    kl = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
    assert found.misfit.value == pytest.approx(kl.mean())
    assert card.verdict.metric == "error rate"
    jsonschema.validate(card.to_dict(), cards.schema())
    # The folder of one run finds what it shares with others.
    again = w2s_report.report_run(tmp_path / "my_run")
    assert again.comparisons == card.comparisons


def test_the_command(tmp_path, monkeypatch):
    made.simple(tmp_path, MODELS, strong="gpt2-xl", students={("gpt2", "xent"): 0.8})
    made.simple(tmp_path, MODELS, strong="gpt2-xl", students={("gpt2", "xent"): 0.8}, data="boolq")
    monkeypatch.chdir(tmp_path)

    def w2s(*arguments, code=0):
        done = CliRunner().invoke(main, ["report", *map(str, arguments)])
        assert done.exit_code == code, done.output
        return done.output

    assert "has runs on boolq, sciq; name one" in w2s("--run", "default", code=2)
    assert "do not use" in w2s("--run", "default:sciq")
    assert json.loads(Path("report.json").read_text())["provenance"]["parameters"] == {
        "run": "default", "data set": "sciq"}  # fmt: skip
    assert "either --labels" in w2s("--run", "default", "--labels", "y.npy", "--force", code=2)
    assert "either --labels" in w2s("--force", code=2)
    assert "is no folder" in w2s("--run", "none", "--force", code=2)


def damage(root, what):
    """Break a made folder in one way; return what the line has to say."""
    config = next(root.rglob("*wms=*/config.json"))
    summary = config.with_name("results_summary.json")
    labels = next(root.rglob("*ms=gpt2-s=*/weak_labels"))
    ways = {
        "cut": (lambda: summary.write_text('{"accuracy": 0.'), "a form that is not known"),
        "other": (lambda: summary.write_text('{"acc": 0.5}'), "accuracy is None"),
        "nan": (lambda: summary.write_text('{"accuracy": NaN}'), "accuracy is nan"),
        "percent": (lambda: summary.write_text('{"accuracy": 81.2}'), "accuracy is 81.2"),
        "list": (lambda: config.write_text("[]"), "ds_name is None"),
        "type": (lambda: config.write_text(config.read_text().replace('"sciq"', "[1]")), "ds_name"),
        "none": (lambda: config.write_text(config.read_text().replace("5000", "0")), "docs is 0"),
        "no config": (config.unlink, "a form that is not known"),
        "no teacher": (lambda: shutil.rmtree(labels.parent), "run of its teacher is not in"),
        "no state": (lambda: (labels / "state.json").unlink(), "a form that is not known"),
        "arrow": (lambda: next(labels.glob("*.arrow")).write_bytes(b"no"), "cannot be read"),
        "no column": (lambda: (shutil.rmtree(labels), made.saved(labels, gt=np.arange(2))),
                      "expected a saved data set"),
        "classes": (lambda: (shutil.rmtree(labels), made.saved(
            labels, gt_label=np.arange(3), soft_label=np.ones((3, 2)))), "not 0 or 1"),
        "no runs": (lambda: [p.unlink() for p in root.rglob("*.json")], "opened: results.pkl"),
    }  # fmt: skip
    change, told = ways[what]
    change()
    return told


@pytest.mark.parametrize(
    "what", ["cut", "other", "nan", "percent", "list", "type", "none", "no config", "no teacher",
             "no state", "arrow", "no column", "classes", "no runs"])  # fmt: skip
def test_what_is_not_of_a_known_form_is_told_in_a_line(tmp_path, what):
    made.simple(tmp_path, MODELS, strong="gpt2-xl", students={("gpt2", "xent"): 0.8}, labels=60)
    told = damage(tmp_path, what)
    with pytest.raises(InputError) as caught:
        w2s_report.report_run(tmp_path)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_models_of_another_experiment_are_refused(tmp_path):
    made.eleuther(tmp_path)
    path = tmp_path / "shared/boolq/weak/config.json"
    config = json.loads(path.read_text())
    made.written(path, config | {"weak_model_name": "other"})
    with pytest.raises(InputError, match="expected models of one experiment"):
        w2s_report.report_run(tmp_path)
    made.written(path, config)
    shutil.rmtree(tmp_path / "shared/boolq/weak/predictions")
    made.saved(tmp_path / "shared/boolq/weak/predictions/val", txt=np.array(["other", "a"]),
               gt_labels=np.array([0, 1]), soft_pred=np.array([0.5, 0.5]))  # fmt: skip
    with pytest.raises(InputError, match="the same ones in the same order"):
        w2s_report.report_run(tmp_path)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    made.simple(root / "a", MODELS, strong="gpt2-xl", students={("gpt2", "xent"): 0.8}, labels=40)
    made.eleuther(root / "b", n_val=40)
    made.two_models(root / "c")
    return root


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_damage_gives_a_report_or_one_line(folders, tmp_path_factory, data):
    root = shutil.copytree(folders / data.draw(st.sampled_from("abc")),
                           tmp_path_factory.mktemp("x") / "y")  # fmt: skip
    read = [p for p in sorted(root.rglob("*")) if p.suffix in (".json", ".arrow")]
    path = data.draw(st.sampled_from(read))
    old = path.read_bytes()
    at = data.draw(st.integers(0, len(old)))
    new = data.draw(
        st.one_of(st.binary(max_size=8), st.sampled_from([b"null", b"1e400", b"[", b""]))
    )
    path.write_bytes(old[:at] + new + old[at + data.draw(st.integers(0, 40)) :])
    try:
        page.render(w2s_report.report_run(root))
    except InputError as error:
        assert "\n" not in str(error)  # noqa: PT017


def test_every_pair_has_a_verdict_and_at_most_one_is_recommended(tmp_path):
    students = {("gpt2", "xent"): 0.8, ("gpt2", "logconf"): 0.95, ("Qwen/Qwen-1_8B", "xent"): 0.94}
    made.simple(tmp_path / "a", MODELS, strong="gpt2-xl", students=students)
    card = w2s_report.report_run(tmp_path / "a")
    assert card.verdict.decisions == {
        "gpt2 → gpt2-xl, xent": "do not use",
        "gpt2 → gpt2-xl, logconf": "use",
        "Qwen/Qwen-1_8B → gpt2-xl, xent": "use",
    }
    assert (card.verdict.teacher, card.verdict.student) == ("gpt2", "gpt2-xl, logconf")
    assert "Recommended: gpt2 → gpt2-xl, logconf." in page.render(card)
    made.simple(tmp_path / "b", MODELS, strong="gpt2-xl", students=dict.fromkeys(students, 0.8))
    none = w2s_report.report_run(tmp_path / "b")
    assert "use" not in none.verdict.decisions.values()
    assert "Recommended: none." in page.render(none)
