"""Splits of a ladder: identities, common splits, the jackknife, the plug-in from labels."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from w2s_experiments import ladder_splits
from w2s_utils import oracle
from w2s_utils.problem import Problem
from w2s_utils.theory import risks

SIZES = {"n": 40, "N": 120, "known": 30}


def problem(m=400, noise=0.0, outside=0.5, seed=0):
    rng = np.random.default_rng(seed)
    g = rng.standard_normal((m, 16))
    target = g[:, :6] @ rng.standard_normal(6) + outside * g[:, 6:12] @ rng.standard_normal(6)
    weak = {"small": g[:, [0, 1, 6, 13]], "large": g[:, [0, 1, 2, 3, 6, 7, 12, 13, 14]]}
    weak["inside"] = g[:, :3]
    # Not centred: the strong features span no constant.
    target = (target / target.std())[:, None]
    return Problem("toy", target, noise, weak, {"strong": g[:, :6], "inside": g[:, :3]})


def run(data, student="strong", trials=30, **more):
    return ladder_splits.run(
        data, student, **SIZES, trials=trials, rng=np.random.default_rng(4), **more
    )


def test_identity_and_bound_on_the_students_own_inputs():
    found = run(problem())
    assert_allclose(found.own_gain, found.own_misfit + found.own_cross, atol=1e-12)
    least = found.own_misfit - 2 * np.sqrt(found.unreachable[:, None] * found.own_misfit)
    assert np.all(found.own_gain >= least - 1e-12)
    # Gain and misfit do not agree: the truth is not in the class.
    assert np.abs(found.own_cross[:, :2]).max() > 0.05


def test_a_truth_in_the_class_leaves_no_cross_term():
    found = run(problem(outside=0.0))
    assert_allclose(found.own_cross, 0, atol=1e-12)
    assert_allclose(found.unreachable, 0, atol=1e-20)


def test_a_student_that_contains_its_teacher_repeats_it():
    found = run(problem())
    assert_allclose(found.misfit[:, 2], 0, atol=1e-12)
    assert_allclose(found.gain[:, 2], 0, atol=1e-12)
    assert found.misfit[:, :2].min() > 1e-3


def test_errors_are_those_of_the_exact_formulas():
    data = problem(m=3000, noise=0.5)
    found = run(data, trials=300)
    for index, weak in enumerate(data.teachers.values()):
        setting = oracle.estimate_setting(weak, data.students["strong"], data.targets, noise=0.5)
        expected = risks.exact(setting, SIZES["n"], SIZES["N"])
        assert_allclose(found.teacher[:, index].mean(), float(expected.teacher), rtol=0.06)
        assert_allclose(found.student[:, index].mean(), float(expected.student), rtol=0.06)
    assert_allclose(found.baseline.mean(), float(expected.baseline), rtol=0.06)
    assert_allclose(found.ceiling.mean(), float(expected.ceiling), rtol=0.06)


def test_the_same_generator_gives_the_same_splits_for_every_student():
    data = problem()
    first, second = run(data), run(data, "inside")
    assert_allclose(first.teacher, second.teacher)
    assert first.student.shape == (30, 3)
    assert np.all(first.baseline != second.baseline)


def test_left_out_inputs_are_not_used():
    data = problem()
    bad = np.zeros(400, bool)
    bad[::10] = True
    spoilt = problem()
    spoilt.targets[bad] = 1e6
    assert_allclose(run(data, without=bad).student, run(spoilt, without=bad).student)
    assert run(spoilt).student.max() > 1e6


def test_jackknife_of_a_mean_is_its_standard_error():
    class Mean:
        def __init__(self, value):
            self.value = value

    values = np.random.default_rng(1).standard_normal(12)
    reduced = [Mean(np.delete(values, i).mean()) for i in range(12)]
    error = ladder_splits.jackknife(lambda splits: splits.value, reduced)
    assert_allclose(error, values.std(ddof=1) / np.sqrt(12))


def test_leave_out_takes_every_input_out_once():
    seen = ladder_splits.leave_out(lambda without: without, 11, 4)
    assert_allclose(np.sum(seen, axis=0), 1)
    assert len(seen) == 4


def test_jackknife_agrees_with_fresh_pools():
    def gain(splits):
        return splits.gain[:, 1].mean()

    pools = [problem(seed=0)]
    rng = np.random.default_rng(9)
    base = problem(m=8000)
    for _ in range(12):
        rows = rng.permutation(8000)[:400]
        pools.append(
            Problem(
                "toy",
                base.targets[rows],
                0.0,
                {k: v[rows] for k, v in base.teachers.items()},
                {k: v[rows] for k, v in base.students.items()},
            )
        )
    spread = np.std([gain(run(pool)) for pool in pools[1:]], ddof=1)
    errors = [
        ladder_splits.jackknife(
            gain, ladder_splits.leave_out(lambda w, p=pool: run(p, without=w), 400, 10)
        )
        for pool in pools[1:5]
    ]
    assert 0.5 < np.sqrt(np.mean(np.square(errors))) / spread < 2.2


def test_gains_from_labels_use_the_labels_of_the_splits():
    data = problem(m=2000, noise=0.3)
    sizes = {"n": 40, "N": 120, "trials": 60}
    found = ladder_splits.gains_from_labels(data, "strong", **sizes, rng=np.random.default_rng(4))
    expected = []
    for weak in data.teachers.values():
        setting = oracle.estimate_setting(weak, data.students["strong"], data.targets, noise=0.3)
        risk = risks.exact(setting, 40, 120)
        expected.append(float(risk.teacher - risk.student))
    error = found.std(axis=0, ddof=1) / np.sqrt(60)
    assert np.all(np.abs(found.mean(axis=0) - expected) < 4.5 * error)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": 13}, "n: expected at least 14"),
        ({"N": 7}, "N: expected at least 8"),
        ({"known": 0}, "known: expected at least 1"),
        ({"trials": 1}, "trials: expected at least 2"),
        ({"N": 340}, "inputs: expected at least 411"),
        ({"without": np.zeros(3, bool)}, "without: expected shape"),
    ],
)
def test_bad_sizes(change, message):
    arguments = {**SIZES, "trials": 3, "rng": np.random.default_rng(0), **change}
    with pytest.raises(ValueError, match=message):
        ladder_splits.run(problem(), "strong", **arguments)


def test_several_targets_are_refused():
    data = problem()
    two = Problem("toy", np.hstack([data.targets] * 2), 0.0, data.teachers, data.students)
    with pytest.raises(ValueError, match="expected one target"):
        run(two)
