"""Pairs on common splits: differences, predictions from labels, flipped labels."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from w2s_utils import pairs, protocol
from w2s_utils.problem import Problem

N_LABELS, N_PSEUDO = 60, 200


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    g = rng.standard_normal((1500, 14))
    target = np.sign(g[:, 0] + 0.5 * g[:, 1] + 0.5 * rng.standard_normal(1500))[:, None]
    teachers = {"near": g[:, [0, 1, 2, 3, 4, 5]], "far": g[:, [0, 1, 8, 9, 10, 11]]}
    students = {"first": g[:, [0, 1, 2, 3, 4, 5]][:, :5], "second": g[:, [0, 1, 8, 9, 10]]}
    return Problem("toy", target / target.std(), 0.0, teachers, students)


@pytest.fixture(scope="module")
def cells(problem):
    settings = pairs.geometry(problem)
    arguments = {"cells": [(N_LABELS, N_PSEUDO)], "trials": 80, "seed": [1], "noise": 1.0}
    return pairs.run(problem, settings, **arguments)


def test_geometry_has_every_pair(problem):
    found = pairs.geometry(problem)
    assert set(found) == {(t, s) for t in ("near", "far") for s in ("first", "second")}
    assert found["near", "first"].d_sw > 4.5
    assert found["far", "first"].d_sw < 2.5
    assert {s.sigma2 for s in found.values()} == {0.0}


def test_pairs_share_splits_and_noise(cells):
    by_student = [cells["near", s, N_LABELS, N_PSEUDO].result.teacher for s in ("first", "second")]
    assert_allclose(*by_student)
    by_teacher = [cells[t, "first", N_LABELS, N_PSEUDO].result.baseline for t in ("near", "far")]
    assert_allclose(*by_teacher)


def test_risks_are_those_of_the_formulas(cells):
    for cell in cells.values():
        assert cell.setting.sigma2 == 1.0
        for ratio in cell.ratios().values():
            assert abs(ratio.value - 1) < 0.05 + 4.5 * ratio.standard_error


def test_exchanging_the_student_flips_the_order(cells):
    for student, own, foreign in (("first", "near", "far"), ("second", "far", "near")):
        two = [cells[t, student, N_LABELS, N_PSEUDO].result for t in (foreign, own)]
        gap = pairs.difference(*two)
        assert gap.value > 5 * gap.standard_error
        assert_allclose(gap.value, two[0].pgr().value - two[1].pgr().value)
        assert_allclose(pairs.difference(two[1], two[0]).value, -gap.value)


def test_difference_of_a_result_with_itself_is_zero(cells):
    result = next(iter(cells.values())).result
    for quantity in ("pgr", "opr"):
        assert pairs.difference(result, result, quantity) == protocol.Estimate(0.0, 0.0, 80)


def test_error_of_a_difference_is_that_of_repetitions():
    rng = np.random.default_rng(3)

    def drawn(trials):
        common = rng.normal(0, 1, trials)
        noise = rng.normal(0, 0.1, (2, 4, trials))
        means = np.array([[4.0, 2.0, 3.0, 1.0], [4.0, 2.5, 3.0, 1.0]])[:, :, None]
        values = means + 0.3 * common + noise
        return [
            protocol.Result(teacher=v[0], student=v[1], baseline=v[2], ceiling=v[3], misfit=v[0])
            for v in values
        ]

    many = [pairs.difference(*drawn(40)) for _ in range(400)]
    spread = np.std([gap.value for gap in many])
    assert np.mean([gap.standard_error for gap in many]) == pytest.approx(spread, rel=0.15)


def test_from_labels_centres_on_the_formula(problem, cells):
    cell = cells["far", "first", N_LABELS, N_PSEUDO]
    found = pairs.predict_from_labels(
        problem, "far", "first", n=N_LABELS, N=N_PSEUDO, noise=1.0, draws=40,
        rng=np.random.default_rng(2),
    )  # fmt: skip
    assert found.pgr.shape == (40,)
    assert np.all(found.low < found.high)
    inside = (found.low < cell.predicted.pgr) & (cell.predicted.pgr < found.high)
    assert inside.mean() > 0.8
    # Errors on labels with their noise of variance 1.
    error = found.teacher.std(ddof=1) / np.sqrt(40)
    assert abs(found.teacher.mean() - float(cell.predicted.teacher) - 1) < 4.5 * error


def test_flipped_labels(problem):
    found = pairs.run_flipped(
        problem, [("near", "first"), ("far", "first")], n=60, N=200, flips=0.2, trials=5, seed=[4]
    )
    assert set(found) == {("near", "first"), ("far", "first")}
    law, noisy, clean = (found["far", "first"][name] for name in ("law", "noisy", "clean"))
    assert_allclose(noisy.teacher - law.teacher, 0.2 * 0.8)
    assert np.all(clean.teacher != law.teacher)
    assert_allclose(law.baseline, found["near", "first"]["law"].baseline)


def test_bad_input(problem, cells):
    result = next(iter(cells.values())).result
    names = (*protocol.ROLES, "misfit")
    short = protocol.Result(**{name: getattr(result, name)[:7] for name in names})
    with pytest.raises(ValueError, match="second: expected the 80 trials of the first, got 7"):
        pairs.difference(result, short)
    with pytest.raises(ValueError, match="quantity: expected 'pgr' or 'opr', got 'gain'"):
        pairs.difference(result, result, "gain")
    three = Problem("toy", np.arange(1500.0)[:, None], 0.0, problem.teachers, problem.students)
    with pytest.raises(ValueError, match="target of two values, got 1500"):
        pairs.run_flipped(three, [("near", "first")], n=9, N=9, flips=0.1, trials=2, seed=[0])
