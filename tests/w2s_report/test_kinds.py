"""Kinds of input that change numbers without a word, or crash: each gives a report or one line."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import w2s_report
from w2s_report import comparison, heads, page
from w2s_report.labels import read_labels, read_predictions
from w2s_report.readers import InputError, aligned, open_table

DECISIONS = {"use", "use the teacher itself", "do not use", "not enough evidence"}
few = settings(max_examples=8, suppress_health_check=list(HealthCheck), deadline=None)
seeds = st.integers(0, 10_000)


def report(weak, strong, labels, **options):
    return w2s_report.report({"small": weak}, strong, labels, **{"trials": 4} | options)


def problem(seed, rows=240, labelled=120):
    rng = np.random.default_rng(seed)
    strong = rng.standard_normal((rows, 9))
    labels = strong[:, 0] + strong[:, 1] + rng.standard_normal(rows)
    labels[labelled:] = np.nan
    return strong[:, :4] + 0.3 * rng.standard_normal((rows, 4)), strong, labels


def sizes(found):
    """Every error measured, in the labels' units."""
    yield from (v.value for c in found.comparisons for v in c.errors[c.decides].values())
    yield from (t.reference.measured[m].value for t in found.teachers
                for m in ("teacher", "student", "baseline"))  # fmt: skip


@few
@given(seeds, st.floats(0.01, 0.1), st.integers(12, 70), st.booleans(), st.booleans())
def test_sparse_features_give_errors_of_the_size_of_the_labels(seed, share, width, every, single):
    rng = np.random.default_rng(seed)
    strong = (rng.random((300, width)) < share).astype(np.float32 if single else float)
    labels = rng.standard_normal(300)
    if not every:
        labels[200:] = np.nan
    # Ones that no row has would be a column that does not vary: every column has some.
    strong[np.arange(width) % 300, np.arange(width)] = 1
    found = report(strong[:, : width // 2], strong, labels)
    # The best constant has an error of 1; least squares on a direction seen once has some tens.
    assert max(sizes(found)) < 1000
    penalised = found.comparisons[0].errors["squared error"]
    assert max(v.value for v in penalised.values()) < 5


@few
@given(seeds, st.integers(2, 12))
def test_rare_classes_may_be_missing_in_a_part(seed, positives):
    weak, strong, _ = problem(seed, 200, 200)
    labels = np.zeros(200)
    labels[np.random.default_rng(seed).permutation(200)[:positives]] = 1
    found = report(weak, strong, labels)
    assert found.verdict.decision in DECISIONS
    assert np.isfinite(list(sizes(found))).all()


@settings(few, max_examples=2)
@given(seeds)
def test_scale_and_place_of_labels_change_nothing(seed):
    weak, strong, labels = problem(seed)
    near = report(weak, strong, labels)
    for scale, place in [(1e-30, 1e5), (1e-7, -1e8), (1e7, 0.0), (1e30, -1e8)]:
        far = report(weak, strong, scale * (labels + place))
        assert far.verdict.decision == near.verdict.decision, (scale, place)
        for one, other in zip(sizes(near), sizes(far), strict=True):
            assert other / scale**2 == pytest.approx(one, rel=1e-4), (scale, place)


@settings(few, max_examples=2)
@given(seeds)
def test_scale_of_features_changes_nothing(seed):
    weak, strong, labels = problem(seed)
    near = report(weak, strong, labels)
    for scale in (1e-30, 1e-9, 1e9, 1e30):
        far = report(weak, strong * scale, labels)
        for one, other in zip(sizes(near), sizes(far), strict=True):
            assert other == pytest.approx(one, rel=1e-5), scale


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w, s, y: (w, s * 1e155, y), "too large to be squared"),
        (lambda w, s, y: (w, s, y * 1e300), "lose their differences to rounding"),
        (lambda w, s, y: (w, s, y * 1e-300), "lose their differences to rounding"),
        (lambda w, s, y: (w, s, y + 1e16), "lose their differences to rounding"),
        (lambda w, s, y: (w, np.full_like(s, 0.1), y), "no column varies"),
    ],
)
def test_numbers_that_are_too_large_or_too_small_are_told_in_a_line(change, message):
    with pytest.raises(InputError, match=message):
        report(*change(*problem(0)))


IDENTIFIERS = {
    "counting": np.arange,
    "from 1": lambda m: np.arange(m) + 1,
    "backwards": lambda m: np.arange(m)[::-1],
    "in steps": lambda m: 0.25 * np.arange(m) - 3,
    "shuffled": lambda m: np.random.default_rng(0).permutation(m),
    "hashes": lambda m: np.random.default_rng(0).integers(10**6, 10**9, m),
    "groups": lambda m: np.arange(m) // 7,
}


@pytest.mark.parametrize("kind", IDENTIFIERS)
@pytest.mark.parametrize("place", [0, 4])
def test_a_name_or_number_of_the_row_is_no_feature(kind, place):
    weak, strong, labels = problem(1)
    column = IDENTIFIERS[kind](len(weak))
    with pytest.raises(InputError, match=f"column {place} (counts|is sorted|is different)"):
        report(weak, np.insert(strong, place, column, axis=1), labels)


def test_counts_and_truth_values_are_features():
    rng = np.random.default_rng(2)
    counts = rng.poisson(3.0, (240, 9)).astype(np.int32)
    _, _, labels = problem(2)
    assert report(counts[:, :4] > 2, counts, labels).verdict.decision in DECISIONS


@pytest.mark.parametrize("what", ["column", "scaled", "all together", "nearly"])
def test_features_that_contain_the_label_are_named(what):
    weak, strong, labels = problem(3, 240, 240)
    if what == "column":
        strong = np.insert(strong, 3, labels, axis=1)
    elif what == "scaled":
        strong = np.insert(strong, 3, 5 - 0.1 * labels, axis=1)
    elif what == "all together":
        labels = strong @ np.arange(1.0, 10)
    else:
        labels = strong @ np.arange(1.0, 10) + 1e-6 * labels
    with pytest.raises(
        InputError, match=r"strong features: (column 3 is the label|the labels are)"
    ):
        report(weak, strong, labels)


@pytest.mark.parametrize("code", [-1, -100, -999, 999])
def test_a_code_for_missing_is_asked_about(code):
    weak, strong, _ = problem(4)
    labels = (strong[:, 0] > 0).astype(int)
    coded = np.where(np.arange(240) < 120, labels, code)
    with pytest.raises(InputError, match=f"--missing {code}"):
        report(weak, strong, coded)
    assert report(weak, strong, coded, missing=str(code)).data.labelled == 120
    table = open_table(coded, "labels")
    assert len(read_labels(table, None, 240, "auto", "none").classes) == 3


def test_minus_one_is_a_class_beside_one():
    values = np.array([-1.0, 1.0] * 20)
    found = read_labels(open_table(values, "labels"), None, 40, "auto")
    assert found.classes == ("-1", "1")


def arrow_columns():
    pyarrow = pytest.importorskip("pyarrow")
    here = {
        "int64": (pyarrow.int64(), [0, 1]),
        "uint8": (pyarrow.uint8(), [0, 1]),
        "float": (pyarrow.float32(), [0.0, 1.0]),
        "bool": (pyarrow.bool_(), [False, True]),
        "text": (pyarrow.string(), ["no", "yes"]),
        "large text": (pyarrow.large_string(), ["no", "yes"]),
        "decimal": (pyarrow.decimal128(4, 1), [0, 1]),
        "dictionary": (pyarrow.dictionary(pyarrow.int8(), pyarrow.string()), ["no", "yes"]),
        "numbered": (pyarrow.dictionary(pyarrow.int8(), pyarrow.int32()), [0, 1]),
    }
    return pyarrow, here


@few
@given(st.data())
def test_nulls_of_every_column_type_are_missing(tmp_path, data):
    pyarrow, kinds = arrow_columns()
    import pyarrow.parquet as parquet

    name = data.draw(st.sampled_from(sorted(kinds)))
    kind, classes = kinds[name]
    chosen = data.draw(st.lists(st.sampled_from([*classes, None]), min_size=30, max_size=60))
    values = [*chosen, *classes * 10]
    if pyarrow.types.is_dictionary(kind):
        column = pyarrow.array(values, kind.value_type).dictionary_encode()
    else:
        column = pyarrow.array(values, kind)
    parquet.write_table(pyarrow.table({"y": column}), tmp_path / "y.parquet")
    found = read_labels(open_table(tmp_path / "y.parquet", "labels"), None, len(values), "auto")
    assert len(found.rows) == sum(value is not None for value in values)
    assert len(found.classes) == 2


@few
@given(st.sampled_from(["NA", "nan", "None", "null", "n/a", "#N/A", "<NA>", "?", "", " NaN "]))
def test_words_for_missing_of_every_kind(word):
    for cells in (["cat", "dog"], ["1", "0"], ["0.5", "1.5"]):
        values = np.array([*cells, word] * 20)
        assert len(read_labels(open_table(values, "labels"), None, 60, "auto").rows) == 40


def test_masks_are_missing_labels_and_no_features():
    weak, strong, labels = problem(5)
    masked = np.ma.array(np.nan_to_num(labels, nan=-999.0), mask=np.isnan(labels))
    assert report(weak, strong, masked).teachers == report(weak, strong, labels).teachers
    with pytest.raises(InputError, match="are NaN or infinite"):
        report(weak, np.ma.masked_greater(strong, 2.0), labels)


@pytest.mark.parametrize("header", ["0,1,2", "1,2,3", "a,b,c", "0.0,1.0,2.0"])
def test_headers_that_are_numbers(tmp_path, header):
    (tmp_path / "a.csv").write_text(header + "\n" + "5.5,6,8\n" * 3)
    assert open_table(tmp_path / "a.csv", "x").shape == (3, 3)


def test_no_teacher_has_a_gap_that_is_not_there():
    """Where the ceiling is no better than the teacher there is no PGR, and no ranking by it."""
    rng = np.random.default_rng(6)
    g = rng.standard_normal((400, 12))
    labels = g[:, 0] + 0.3 * rng.standard_normal(400)
    two = {"one": g[:, :3], "two": g[:, :2]}
    found = w2s_report.report(two, g[:, 1:], labels, trials=8)
    assert all(not c.pgr for c in found.comparisons)
    assert all("pgr" not in t.reference.measured for t in found.teachers)
    assert not any("PGR" in ranking.rule for ranking in found.rankings)


def test_a_rule_takes_both_its_terms_from_one_teacher():
    """A wide teacher's error falls with its labels: at 90 % of them it is another than here."""
    weak, strong, labels = problem(7, 3000, 400)
    wide = np.hstack([weak, np.random.default_rng(8).standard_normal((3000, 60))])
    found = w2s_report.report({"wide": wide, "small": weak}, strong, labels, trials=8)
    rule = next(r for r in found.rankings if "less misfit" in r.rule)
    for name, score in zip(rule.order, rule.scores, strict=True):
        teacher = next(t for t in found.teachers if t.name == name)
        measured = teacher.reference.measured
        assert score == measured["teacher"].value - measured["misfit"].value
        assert score == pytest.approx(measured["student"].value, rel=0.15)


def test_a_misfit_of_rounding_has_zero_in_its_interval():
    _, strong, labels = problem(9)
    found = report(strong[:, :4], strong, labels)
    assert found.teachers[0].reference.measured["misfit"].low == 0


@pytest.mark.parametrize("degrees", [3, np.inf])
def test_errors_without_a_variance_are_named(degrees):
    """Squares of Student's law of three degrees have index 2/3, those of a normal law 0."""
    rng = np.random.default_rng(4)
    weak, strong, labels = problem(4, 2000, 2000)
    noise = rng.standard_t(degrees, 2000) if degrees < np.inf else rng.standard_normal(2000)
    found = report(weak, strong, strong[:, 0] + strong[:, 1] + noise)
    told = found.comparisons[0].tails
    expected = 2 / 3 if degrees == 3 else 0
    # The 111 largest: a standard deviation of ((1 + index^2) / 111)^(1/2), and some bias.
    assert abs(told["baseline"] - expected) < 0.35
    assert ("Heavy tails" in page.render(found)) == (degrees == 3)
    assert report(weak, strong, np.sign(labels)).comparisons[0].tails == {}
    assert set(report(*problem(4, 100, 60)).comparisons[0].tails.values()) == {-np.inf}


def test_parts_of_a_split_are_like_two_samples():
    """A constant errs on half of two equally frequent classes, on fewer where parts are alike."""
    rng, wrong = np.random.default_rng(6), []
    design = comparison.Design.of(40, 40)
    for _ in range(400):
        classes = rng.integers(0, 2, 40)
        match = comparison.Match("w", "strong")
        features = dict.fromkeys(match, np.zeros((80, 1)))
        contest = comparison.Contest((match,), "logistic", np.eye(2)[classes], features, {})
        given, _, tested = comparison._parts(contest, design, rng)
        wrong.append(np.mean(classes[tested] != (classes[given].mean() > 0.5)))
    # 400 parts of 16: a standard error of .006; where shares are kept the mean is .44.
    assert abs(np.mean(wrong) - 0.5) < 0.03


def test_intervals_reach_further_where_rows_are_skew():
    """Of squares of Student's law of five degrees; the usual interval ends below too often."""
    rng, ends = np.random.default_rng(7), []
    for _ in range(600):
        rows = rng.standard_t(5, (1, 200)) ** 2
        both = (comparison._interval(rows, shared=0, skew=skew) for skew in (True, False))
        ends.append([(found.low, found.high) for found in both])
    (low, high), (usual_low, usual_high) = np.array(ends).transpose(1, 2, 0)
    assert np.all((low <= usual_low) & (high >= usual_high))
    covered = np.mean((low < 5 / 3) & (high > 5 / 3))
    usual = np.mean((usual_low < 5 / 3) & (usual_high > 5 / 3))
    # Expected .94 and .90, with standard errors of .01.
    assert covered > 0.91
    assert covered - usual > 0.015


@pytest.mark.parametrize("teaches", ["well", "badly", "nothing"])
def test_what_a_row_does_as_test_and_as_lesson_is_added(teaches):
    """Of rows that teach as well as they are hard all cancels; that badly, effects are doubled."""
    rng = np.random.default_rng(5)
    rows = rng.standard_normal(400)
    values = np.full((40, 400), np.nan)
    for split in values:
        tested, rest = np.split(rng.permutation(400), 2)
        lesson = {"well": -1, "badly": 1, "nothing": 0}[teaches] * rows[rest].mean()
        split[tested] = rows[tested] + lesson + 0.01 * rng.standard_normal(200)
    found = comparison._interval(values, shared=0)
    half = (found.high - found.low) / 2 / (1.96 * rows.std() / 20)
    low, high = {"well": (0, 0.6), "badly": (1.5, 2.5), "nothing": (0.85, 1.15)}[teaches]
    assert low < half < high


# Predictions


def answers(seed=0, rows=1000, labelled=200):
    rng = np.random.default_rng(seed)
    truth = rng.standard_normal(rows)
    labels = truth + rng.standard_normal(rows)
    labels[labelled:] = np.nan
    teacher, student, baseline = (truth + s * rng.standard_normal(rows) for s in (1, 0.3, 1.5))
    return labels, teacher, student, baseline, truth


def test_predictions_are_used_as_given():
    labels, teacher, student, baseline, truth = answers()
    found = w2s_report.report(
        labels=labels,
        teacher_predictions={"llm": teacher},
        student_predictions={"llm": student},
        baseline_predictions=baseline,
        ceiling_predictions=truth,
    )
    compared = found.comparisons[0]
    assert compared.splits == 1
    assert set(compared.given) == {"teacher", "student", "baseline", "ceiling"}
    errors = compared.errors["squared error"]
    for role, values in (("teacher", teacher), ("student", student), ("baseline", baseline)):
        assert errors[role].value == pytest.approx(np.nanmean((values - labels) ** 2))
    gain = [np.nanmean((v - labels) ** 2) for v in (teacher, student, truth)]
    assert compared.pgr["squared error"].value == pytest.approx(
        (gain[0] - gain[1]) / (gain[0] - gain[2])
    )
    assert compared.misfit.value == pytest.approx(np.mean((student - teacher)[:200] ** 2))
    assert found.verdict.decision == "use"
    assert found.teachers == ()
    assert found.to_dict()["verdict"]["teacher"] == "llm"


def test_intervals_of_given_predictions_cover():
    """The true difference of two risks: 1^2 - 0.3^2. At 95 %, 60 draws give 51 with p = 0.999."""
    inside = 0
    for seed in range(60):
        labels, teacher, student, baseline, _ = answers(seed)
        found = w2s_report.report(
            labels=labels,
            teacher_predictions={"llm": teacher},
            student_predictions={"llm": student},
            baseline_predictions=baseline,
        )
        over = found.verdict.over["teacher"]
        inside += over.low <= 1 - 0.09 <= over.high
    assert inside >= 51


def test_given_answers_teach_a_student_on_features():
    labels, teacher, _, _, truth = answers(1)
    rng = np.random.default_rng(2)
    strong = np.column_stack([truth, rng.standard_normal((1000, 30))])
    found = w2s_report.report(strong=strong, labels=labels, teacher_predictions={"llm": teacher})
    assert found.verdict.over["teacher"].low > 0
    assert found.comparisons[0].given == ("teacher",)
    # Labelled inputs without an answer are learnt from and never tested on.
    teacher[:60] = np.nan
    apart = w2s_report.report(strong=strong, labels=labels, teacher_predictions={"llm": teacher})
    compared = apart.comparisons[0]
    assert (compared.n, compared.test_rows, compared.splits) == (60, 140, 1)


def test_a_teacher_of_its_own_training_rows_is_found_out():
    """Answers that have learnt the labels' noise are no evidence; honest ones are not suspected."""
    suspected = {True: 0, False: 0}
    for seed in range(10):
        labels, _, teacher, _, truth = answers(seed)
        strong = np.column_stack([truth, np.random.default_rng(seed).standard_normal((1000, 9))])
        for cheats in suspected:
            learnt = 0.8 * np.nan_to_num(labels) + 0.2 * teacher
            says = np.where(cheats & np.isfinite(labels), learnt, teacher)
            found = w2s_report.report(
                strong=strong, labels=labels, teacher_predictions={"llm": says}, trials=4
            )
            low = found.comparisons[0].in_sample < comparison.SUSPECT
            suspected[cheats] += low
            if low:
                assert found.verdict.decision == "not enough evidence"
    assert suspected[True] >= 9
    assert suspected[False] <= 1


FORMS = {
    "classes": lambda p: np.array(["a", "b"])[(p > 0.5).astype(int)],
    "probability": lambda p: p,
    "logit": lambda p: np.log(p / (1 - p)),
    "probabilities": lambda p: np.column_stack([1 - p, p]),
    "logits": lambda p: np.log(np.column_stack([1 - p, p])) + 3,
}


@pytest.mark.parametrize("form", FORMS)
def test_answers_about_classes_come_in_many_forms(form):
    rng = np.random.default_rng(3)
    p = np.clip(rng.random(100), 0.01, 0.99)
    labels = np.array(["a", "b"])[(rng.random(100) < p).astype(int)]
    known = read_labels(open_table(labels, "labels"), None, 100, "auto")
    found = read_predictions(open_table(FORMS[form](p), "answers"), known, 100)
    expected = (p > 0.5).astype(float) if form == "classes" else p
    np.testing.assert_allclose(found.values[:, 1], expected, atol=1e-12)
    assert found.hard == (form == "classes")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array(["a", "c"] * 50), "holds 'c'; expected, for 100 inputs, one of the classes a, b"),
        (np.zeros((100, 3)), r"shape \(100, 3\); expected"),
        (np.zeros(90), r"shape \(90,\); expected"),
        (np.full(100, np.nan), "holds no finite answer"),
    ],
)
def test_answers_that_cannot_be_read(values, message):
    labels = open_table(np.array(["a", "b"] * 50), "labels")
    known = read_labels(labels, None, 100, "auto")
    with pytest.raises(InputError, match=message):
        read_predictions(open_table(values, "answers"), known, 100)


def test_given_classes_are_judged_by_accuracy():
    rng = np.random.default_rng(4)
    truth = rng.integers(0, 3, 600)
    said = {
        e: np.where(rng.random(600) < e, rng.integers(0, 3, 600), truth) for e in (0.1, 0.5, 0.7)
    }
    found = w2s_report.report(
        labels=truth,
        teacher_predictions={"llm": said[0.5]},
        student_predictions={"llm": said[0.1]},
        baseline_predictions=said[0.7],
    )
    compared = found.comparisons[0]
    assert compared.decides == "error rate"
    assert compared.errors["error rate"]["teacher"].value == np.mean(said[0.5] != truth)
    assert found.verdict.decision == "use"


# Heads


def test_ridge_penalises_in_the_units_of_the_features():
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(5)
    x, targets = rng.standard_normal((60, 8)), rng.standard_normal((60, 3))
    variances = 1 / np.arange(1, 9)
    targets[:, 0] += 3 * x[:, 0]
    scaled = x * np.sqrt(variances)
    centred = scaled - scaled.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    left = centred @ vectors / np.sqrt(values)
    found = heads.fit("ridge", x, variances, [targets[:, :1], targets[:, 1:2], targets[:, 2:]])(x)
    chosen = set()
    for ours, y in zip(found, targets.T, strict=True):
        scores = []
        for penalty in values[-1] * np.array(heads.RIDGE.relative_penalties):
            shrink = values / (values + penalty)
            residual = y - y.mean() - left @ (shrink * (left.T @ y))
            scores.append(np.mean(residual**2) / (1 - (1 + shrink.sum()) / 60) ** 2)
        best = values[-1] * heads.RIDGE.relative_penalties[int(np.argmin(scores))]
        chosen.add(best)
        theirs = Ridge(best).fit(scaled, y).predict(scaled)
        np.testing.assert_allclose(ours.ravel(), theirs, rtol=1e-8)
    # Each target has a penalty of its own.
    assert len(chosen) > 1


def test_logistic_is_that_of_scikit_learn():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(6)
    x = rng.standard_normal((300, 4))
    y = (x[:, 0] + rng.logistic(size=300) > 0).astype(int)
    path = heads._path(x, np.ones(4), np.eye(2)[y], heads.SOFTER)
    for penalty, found in list(zip(heads.SOFTER, path, strict=True))[1:]:
        # Two columns whose difference is the logit: half the penalty, for a mean over rows.
        theirs = LogisticRegression(C=1 / (300 * penalty / 2), tol=1e-8).fit(x, y)
        said = heads._predict(found, x)[:, 1]
        np.testing.assert_allclose(said, theirs.predict_proba(x)[:, 1], atol=5e-3)


# Keys


def keyed(folder, kind, numbers):
    """Files of a strong and a weak model, labels of a part and a teacher's answers, by a key."""
    weak, strong, labels = problem(11)
    names = (
        np.arange(240) * 7 + 3 if numbers else np.array([f"molecule {i:04}" for i in range(240)])
    )
    arrays = {"strong": strong, "weak": weak, "labels": labels, "says": weak[:, :1].copy()}
    rows = {name: np.random.default_rng(i).permutation(240) for i, name in enumerate(arrays)}
    rows["strong"] = np.arange(240)
    rows["labels"] = rows["labels"][np.isfinite(labels[rows["labels"]])]
    rows["says"] = rows["says"][:200]
    paths = {}
    for name, array in arrays.items():
        paths[name] = folder / f"{name}.{kind}"
        write_keyed(paths[name], names[rows[name]], array.reshape(240, -1)[rows[name]])
    arrays["says"][np.setdiff1d(np.arange(240), rows["says"])] = np.nan
    return paths, arrays


def write_keyed(path, names, values):
    columns = {"id": names} | {f"x{i}": values[:, i] for i in range(values.shape[1])}
    if path.suffix == ".npz":
        np.savez(path, id=names, values=values[:, 0] if values.shape[1] == 1 else values)
    elif path.suffix == ".csv":
        lines = [",".join(columns)]
        lines += [
            ",".join([str(n), *map(repr, row)])
            for n, row in zip(names, values.tolist(), strict=True)
        ]
        path.write_text("\n".join(lines))
    else:
        pyarrow = pytest.importorskip("pyarrow")
        import pyarrow.parquet as parquet

        parquet.write_table(pyarrow.table(columns), path)


@pytest.mark.parametrize("kind", ["csv", "npz", "parquet"])
@pytest.mark.parametrize("numbers", [True, False])
def test_a_key_aligns_rows_of_files_in_other_orders(tmp_path, kind, numbers):
    paths, arrays = keyed(tmp_path, kind, numbers)
    options = {"trials": 4, "share": 0.999999}
    found, expected = (
        w2s_report.report(
            {"small": given["weak"]},
            given["strong"],
            given["labels"],
            teacher_predictions={"llm": given["says"]},
            **options,
            **more,
        )
        for given, more in ((paths, {"key": "id"}), (arrays, {}))
    )
    assert found.teachers == expected.teachers
    assert found.comparisons == expected.comparisons
    reordered = {file.name: file.reordered for file in found.provenance.files}
    assert not reordered["strong"]
    assert reordered["small"]


def test_a_key_reads_files_of_several_kinds(tmp_path):
    """A number is the same key in a table of texts, of whole numbers and of fractions."""
    for name, values in (("a.csv", np.array([3, 1, 2])), ("b.npz", np.array([1.0, 2.0, 3.0]))):
        write_keyed(tmp_path / name, values, np.column_stack([values, values + 0.5]))
    first, other = (open_table(tmp_path / name, name, "id") for name in ("a.csv", "b.npz"))
    np.testing.assert_array_equal(aligned(other, first, whole=True).all(), first.all())


KEYS = {
    "twice": (lambda n: np.where(n == "k5", "k4", n), r"small.*'k4' is in rows 4 and 5"),
    "absent": (lambda n: n[:-2], "lacks key 'k38', which is in .*strong.*2 are lacking"),
    "beyond": (lambda n: np.char.replace(n, "k39", "z"), "key 'z' is not in .*strong"),
    "nameless": (lambda n: np.where(n == "k7", " ", n), "row 7 has no key"),
}


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("suffix", ["csv", "npz"])
def test_keys_that_do_not_match_are_told_in_a_line(tmp_path, kind, suffix):
    change, message = KEYS[kind]
    names = np.array([f"k{i}" for i in range(40)])
    x = np.random.default_rng(0).standard_normal((40, 5))
    labels = x[:, 0] + np.arange(40) % 3
    for name, keys, values in (
        ("strong", names, x),
        ("small", change(names), x[:, :3]),
        ("labels", names, labels[:, None]),
    ):
        write_keyed(tmp_path / f"{name}.{suffix}", keys, values[: len(keys)])
    with pytest.raises(InputError, match=message) as caught:
        w2s_report.report(
            {"small": tmp_path / f"small.{suffix}"},
            tmp_path / f"strong.{suffix}",
            tmp_path / f"labels.{suffix}",
            key="id",
        )
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key": "name"}, "no column is called 'name'; its header has"),
        ({"weak": {"small": "weak.npy"}}, "has no columns with names"),
        ({"weak": {"small": np.ones((240, 4))}}, "small features are an array"),
        ({"index": np.arange(120)}, "index: not together with a key"),
    ],
)
def test_a_key_that_is_not_there(tmp_path, change, message, monkeypatch):
    paths, arrays = keyed(tmp_path, "csv", False)
    monkeypatch.chdir(tmp_path)
    np.save("weak.npy", arrays["weak"])
    given = {"weak": {"small": paths["weak"]}, "strong": paths["strong"], "labels": paths["labels"]}
    with pytest.raises(InputError, match=message):
        w2s_report.report(**(given | {"key": "id"} | change))
