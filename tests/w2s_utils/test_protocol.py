"""One trial, its repetition, splits of a data set and ratios of means."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.linear_model import LinearRegression

from w2s_utils import protocol, splits
from w2s_utils.least_squares import MinimumNorm, Ridge
from w2s_utils.protocol import Inputs, Result

NAMES = ("teacher", "student", "baseline", "ceiling", "misfit")


def rng():
    return np.random.default_rng(17)


def inputs(generator, m, tasks=None):
    shape = (m,) if tasks is None else (m, tasks)
    return Inputs(
        generator.standard_normal((m, 3)),
        generator.standard_normal((m, 2)),
        generator.standard_normal(shape),
    )


def trial(generator, tasks=None):
    return tuple(inputs(generator, m, tasks) for m in (12, 15, 9))


def test_a_trial_by_hand():
    labelled, unlabelled, test = trial(rng())

    def fit(features, labels):
        return np.linalg.pinv(features) @ labels

    teacher = fit(labelled.weak, labelled.labels)
    student = fit(unlabelled.strong, unlabelled.weak @ teacher)
    baseline = fit(labelled.strong, labelled.labels)
    ceiling = fit(
        np.vstack([labelled.strong, unlabelled.strong]),
        np.concatenate([labelled.labels, unlabelled.labels]),
    )
    expected = {
        "teacher": test.weak @ teacher - test.labels,
        "student": test.strong @ student - test.labels,
        "baseline": test.strong @ baseline - test.labels,
        "ceiling": test.strong @ ceiling - test.labels,
        "misfit": test.strong @ student - test.weak @ teacher,
    }
    found = protocol.run_trial(labelled, unlabelled, test)
    assert set(found) == set(expected)
    for name, difference in expected.items():
        assert found[name] == pytest.approx(np.mean(difference**2)), name


def test_pseudo_labels_do_not_see_the_unlabelled_labels():
    labelled, unlabelled, test = trial(rng())
    other = Inputs(unlabelled.weak, unlabelled.strong, 100 + unlabelled.labels)
    first, second = (protocol.run_trial(labelled, part, test) for part in (unlabelled, other))
    for name in ("teacher", "student", "baseline", "misfit"):
        assert first[name] == second[name]
    assert first["ceiling"] != second["ceiling"]


def test_each_head_serves_its_models():
    parts = trial(rng())
    plain = protocol.run_trial(*parts)
    teacher = protocol.run_trial(*parts, teacher_head=Ridge(5.0))
    student = protocol.run_trial(*parts, student_head=Ridge(5.0))
    assert teacher["teacher"] != plain["teacher"]
    assert [teacher[k] for k in ("baseline", "ceiling")] == [plain["baseline"], plain["ceiling"]]
    assert student["teacher"] == plain["teacher"]
    for name in ("student", "baseline", "ceiling", "misfit"):
        assert student[name] != plain[name]


def test_an_estimator_that_fits_itself_in_place_does():
    """scikit-learn's fit returns the estimator: the student must not become the baseline."""
    parts, estimator = trial(rng()), LinearRegression(fit_intercept=False)
    ours = protocol.run_trial(*parts)
    theirs = protocol.run_trial(*parts, teacher_head=estimator, student_head=estimator)
    for name in NAMES:
        assert theirs[name] == pytest.approx(ours[name]), name


def test_tasks_are_trials_of_their_own():
    parts = trial(rng(), tasks=4)
    together = protocol.run_trial(*parts)
    for task in range(4):
        alone = protocol.run_trial(
            *(Inputs(part.weak, part.strong, part.labels[:, task]) for part in parts)
        )
        for name in NAMES:
            assert together[name][task] == pytest.approx(alone[name])


@pytest.mark.parametrize("tasks", [None, 3])
def test_numbers_do_not_depend_on_the_number_of_workers(tasks):
    def draw(generator):
        return trial(generator, tasks)

    one = protocol.repeat(draw, 35, rng(), n_jobs=1)
    two = protocol.repeat(draw, 35, rng(), n_jobs=2)
    for name in NAMES:
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert one.trials == 35
    assert one.student.shape == ((35,) if tasks is None else (35, 3))


def test_trials_are_independent_of_each_other_and_follow_the_generator():
    found = protocol.repeat(trial, 10, rng())
    assert len(np.unique(found.student)) == 10
    # More trials of the same generator begin with the same ones.
    longer = protocol.repeat(trial, 12, rng())
    np.testing.assert_array_equal(longer.student[:10], found.student)
    other = protocol.repeat(trial, 10, np.random.default_rng(18))
    assert not np.any(other.student == found.student)


def test_means_over_trials_and_tasks():
    teacher = np.array([[1.0, 3.0], [4.0, 6.0], [7.0, 9.0]])
    result = Result(teacher, teacher / 2, 3 * teacher, teacher / 4, teacher)
    estimate = result.mean("teacher")
    # Tasks share a trial's inputs: the standard error is over trials only.
    assert (estimate.value, estimate.trials) == (5, 3)
    assert estimate.standard_error == pytest.approx(3 / np.sqrt(3))
    assert_allclose(result.gain, teacher / 2)
    assert result.mean("gain").value == 2.5
    assert result.pgr().value == pytest.approx(0.5 / 0.75)
    assert result.opr().value == pytest.approx(6)
    assert result.pgr().standard_error == pytest.approx(0, abs=1e-12)


def rows_of(parts):
    """Row numbers, which the first weak feature holds."""
    return [part.weak[:, 0].astype(int).tolist() for part in parts]


def data(m=20, tasks=None):
    index = np.arange(m, dtype=float)
    labels = index if tasks is None else np.outer(index, np.arange(1, tasks + 1))
    return np.column_stack([index, index**0]), index[:, None] + 100, labels


@pytest.mark.parametrize("tasks", [None, 2])
def test_random_splits_are_disjoint_complete_and_aligned(tasks):
    weak, strong, labels = data(tasks=tasks)
    draw = splits.random_splits(weak, strong, labels, n=6, N=9)
    parts = draw(rng())
    rows = rows_of(parts)
    assert [len(part) for part in rows] == [6, 9, 5]
    assert sorted(np.concatenate(rows)) == list(range(20))
    for part, index in zip(parts, rows, strict=True):
        assert_allclose(part.strong[:, 0], np.array(index) + 100)
        assert_allclose(part.labels, labels[index])
    assert rows_of(draw(rng())) == rows
    assert rows_of(draw(np.random.default_rng(1))) != rows


def test_splits_are_uniform():
    draw = splits.random_splits(*data(10), n=3, N=4)
    generator, counts = rng(), np.zeros((3, 10))
    for _ in range(2000):
        for part, rows in enumerate(rows_of(draw(generator))):
            counts[part, rows] += 1
    assert_allclose(counts / 2000, np.repeat([[0.3], [0.4], [0.3]], 10, axis=1), atol=0.05)


def test_test_risks_are_measured_against_the_target():
    weak, strong, labels = data()
    draw = splits.random_splits(weak, strong, labels + 0.5, n=6, N=9, target=labels)
    labelled, unlabelled, test = draw(rng())
    rows = rows_of((labelled, unlabelled, test))
    assert_allclose(labelled.labels, labels[rows[0]] + 0.5)
    assert_allclose(unlabelled.labels, labels[rows[1]] + 0.5)
    assert_allclose(test.target, labels[rows[2]])


def test_splits_run_in_the_protocol():
    found = protocol.repeat(
        splits.random_splits(*data(), n=6, N=9), 3, rng(), student_head=MinimumNorm(1e-6)
    )
    # Weak features express the label exactly; the one strong feature does not.
    assert_allclose(found.teacher, 0, atol=1e-12)
    assert np.all(found.student > 1e-3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda w, s, y: Inputs(w, s[:-1], y), "strong: expected 20 rows.*got 19"),
        (lambda w, s, y: Inputs(w, s, y[:-1]), "labels: expected 20 rows"),
        (lambda w, s, y: Inputs(w * np.nan, s, y), "weak: 40 entries are NaN"),
        (lambda w, s, y: Inputs(w, s.astype(str), y), "strong: expected real numbers"),
        (lambda w, s, y: Inputs(w, s, y + 0j), "labels: expected real numbers"),
        (lambda w, s, y: Inputs(w, s, y.astype(object)), "labels: expected real numbers"),
        (
            lambda w, s, y: splits.random_splits(w, s, y, n=10, N=10),
            r"n, N: .*n \+ N < 20 .*got n = 10, N = 10; no test inputs",
        ),
        (lambda w, s, y: splits.random_splits(w, s, y, n=0, N=10), "n, N: expected positive"),
        (lambda w, s, y: splits.random_splits(w, s, y[1:], n=1, N=1), "labels: expected 20 rows"),
        (
            lambda w, s, y: splits.random_splits(w, s, y, n=1, N=1, target=y[:, None]),
            r"target: expected the shape of labels, \(20,\), got \(20, 1\)",
        ),
        (
            lambda w, s, y: protocol.run_trial(
                Inputs(w, s, y), Inputs(w, s, y), Inputs(w, s, y[:, None])
            ),
            r"labels: expected \(m,\) or \(m, tasks\) alike",
        ),
        (lambda w, s, y: protocol.repeat(trial, 0, rng()), "trials: expected at least 1"),
        (
            lambda w, s, y: Result(y, y, y, y, y).mean("risk"),
            "name: expected one of teacher, .*gain",
        ),
        (lambda w, s, y: Result(*[y[:1]] * 5).mean("gain"), "trials: .*at least 2, got 1"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(*data())


def generator(seed):
    return np.random.default_rng(seed)


def features(m=90, d_w=4, d_s=3, tasks=2, seed=5):
    rng = np.random.default_rng(seed)
    weak, strong = rng.standard_normal((m, d_w)), rng.standard_normal((m, d_s))
    labels = weak[:, :1] + strong[:, :tasks] + 0.1 * rng.standard_normal((m, tasks))
    return weak, strong, labels


def test_sweep_runs_the_protocol_on_the_first_rows_of_every_split():
    weak, strong, labels = features()
    cells = [(10, 12), (20, 12), (20, 30), (3, 30)]
    found = splits.sweep(weak, strong, labels, cells=cells, trials=6, rng=generator(3))
    assert list(found) == cells
    split = splits.random_splits(weak, strong, labels, n=20, N=30)

    def first(part, count):
        return protocol.Inputs(part.weak[:count], part.strong[:count], part.labels[:count])

    for (n, N), result in found.items():

        def draw(rng, n=n, N=N):
            labelled, unlabelled, test = split(rng)
            return first(labelled, n), first(unlabelled, N), test

        expected = protocol.repeat(draw, 6, generator(3))
        for name in ("teacher", "student", "baseline", "ceiling", "misfit"):
            np.testing.assert_allclose(
                getattr(result, name), getattr(expected, name), rtol=1e-8, err_msg=name
            )


def test_sweep_keeps_the_shape_of_one_task_and_any_number_of_workers():
    weak, strong, labels = features()
    arguments = {"cells": [(10, 12)], "trials": 4, "noise": 0.5}
    one = splits.sweep(weak, strong, labels[:, 0], rng=generator(1), **arguments)
    two = splits.sweep(weak, strong, labels[:, 0], rng=generator(1), n_jobs=2, **arguments)
    assert one[10, 12].teacher.shape == (4,)
    np.testing.assert_array_equal(one[10, 12].student, two[10, 12].student)


def test_sweep_adds_noise_to_what_is_learnt_and_not_to_the_test():
    rng = generator(0)
    weak = rng.standard_normal((4000, 2))
    labels = weak @ [1.0, -1.0]
    clean = splits.sweep(weak, weak, labels, cells=[(50, 50)], trials=3, rng=generator(1))
    noisy = splits.sweep(
        weak, weak, labels, cells=[(50, 50)], trials=400, rng=generator(1), noise=1.0
    )
    assert clean[50, 50].teacher.max() < 1e-10
    # Two directions, noise of variance 1: d / (n - d - 1), four standard errors either side.
    assert noisy[50, 50].mean("teacher").value == pytest.approx(2 / 47, rel=0.2)


def test_groups_stay_on_one_side_of_every_split():
    weak, strong, labels = features(m=120)
    groups = np.repeat(np.arange(40), 3)
    marked = np.column_stack([weak, groups])
    draw = splits.random_splits(marked, strong, labels, n=20, N=40, groups=groups)
    for rng in generator(2).spawn(20):
        sides = [set(part.weak[:, -1]) for part in draw(rng)]
        assert not sides[0] & sides[1]
        assert not sides[0] & sides[2]
        assert not sides[1] & sides[2]
        assert len(draw(rng)[0].weak) == 20


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cells": []}, "cells: expected pairs"),
        ({"cells": [(0, 5)]}, "cells: expected pairs"),
        ({"cells": [(50, 40)]}, r"n \+ N < 90"),
        ({"trials": 0}, "trials"),
        ({"noise": -1.0}, "noise"),
        ({"groups": np.arange(5)}, "groups: expected shape"),
        ({"groups": np.zeros(90)}, "groups: no test inputs are left"),
        ({"target": np.zeros(90)}, "target: expected the shape of labels"),
    ],
)
def test_sweep_names_mistakes(changes, message):
    weak, strong, labels = features()
    arguments = {"cells": [(10, 10)], "trials": 2, "rng": generator(0)} | changes
    with pytest.raises(ValueError, match=message):
        splits.sweep(weak, strong, labels, **arguments)
