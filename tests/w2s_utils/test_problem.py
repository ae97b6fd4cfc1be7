"""Pairs measured on common splits: risks, differences, what is resolved; targets and features."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from w2s_utils import protocol
from w2s_utils.geometry import oracle_setting
from w2s_utils.problem import Problem, difference, measure_noises, measure_pairs, oracle_settings
from w2s_utils.resampling import Estimate
from w2s_utils.theory import subspaces

D_W, D_S, AMBIENT = 12, 6, 30


def measured(problem, teacher, student, *, n, N, trials, seed):
    setting = oracle_setting(problem.teachers[teacher], problem.students[student], problem.targets)
    cells = measure_pairs(
        problem, {(teacher, student): setting}, cells=[(n, N)], trials=trials, seed=seed
    )
    return cells[teacher, student, n, N]


@pytest.fixture(scope="module")
def gaussian():
    """A student with general angles to the teachers, and a target mostly within its reach."""
    rng = np.random.default_rng(11)
    weak, strong = subspaces.pair_with_cosines(AMBIENT, D_W, D_S, np.linspace(1, 0.2, D_S), rng)
    theta = strong @ rng.standard_normal(D_S) / 2 + rng.standard_normal(AMBIENT) / 12
    g = np.random.default_rng(6).standard_normal((4000, AMBIENT))
    w, s, f = g @ weak, g @ strong, g @ theta
    target = (f - f.mean()) / f.std()
    teachers = {4: w[:, :4], D_W: w}
    return Problem("toy", target[:, None], 0.5, teachers, {"wide": s, "narrow": s[:, :2]})


@pytest.fixture(scope="module")
def cell(gaussian):
    rng = np.random.default_rng(7)
    return measured(gaussian, D_W, "wide", n=40, N=60, trials=400, seed=rng)


def test_measured_risks_misfit_and_gain_have_the_predicted_means(cell):
    for model, ratio in cell.ratios().items():
        assert abs(ratio.value - 1) < 5 * ratio.standard_error, model
        assert ratio.standard_error < 0.05, model
    for name in ("misfit", "gain"):
        mean = cell.result.mean(name)
        predicted = getattr(cell, f"predicted_{name}")
        assert abs(mean.value - predicted) < 5 * mean.standard_error
        assert mean.standard_error < 0.1 * predicted


def test_labels_are_noisy_and_test_targets_are_not(gaussian):
    kwargs = {"n": 1000, "N": 1000, "trials": 4, "seed": np.random.default_rng(8)}
    clean = measured(replace(gaussian, noise=0.0), D_W, "wide", **kwargs)
    kwargs["seed"] = np.random.default_rng(8)
    loud = measured(replace(gaussian, noise=3.0), D_W, "wide", **kwargs)
    added = loud.result.mean("teacher").value - clean.result.mean("teacher").value
    # Variance 9 d/n, not the noise of 9 itself.
    assert 0 < added < 1


def test_a_gap_within_its_error_is_not_resolved(cell):
    assert cell.gap_is_resolved()
    level = replace(cell.result, ceiling=cell.result.teacher[::-1].copy())
    assert not replace(cell, result=level).gap_is_resolved()


def test_a_student_that_contains_the_teacher_repeats_it(gaussian):
    inside = replace(gaussian, students={"inside": gaussian.teachers[D_W]})
    kwargs = {"n": 40, "N": 60, "trials": 3, "seed": np.random.default_rng(10)}
    assert measured(inside, 4, "inside", **kwargs).result.misfit.max() < 1e-12


N_LABELS, N_PSEUDO = 60, 200  # of crossed_cells


def test_geometry_has_every_pair(crossed):
    found = oracle_settings(crossed)
    assert set(found) == {(t, s) for t in ("near", "far") for s in ("first", "second")}
    assert found["near", "first"].d_sw > 4.5
    assert found["far", "first"].d_sw < 2.5
    assert {s.sigma2 for s in found.values()} == {0.0}


def test_levels_of_noise_are_what_each_gives_alone(crossed):
    settings = {("far", "first"): oracle_settings(crossed)["far", "first"]}
    arguments = {"cells": [(40, 90), (60, 200)], "trials": 5, "seed": [2]}
    found = measure_noises(crossed, settings, [0.0, 2.0], **arguments)
    for level, run in found.items():
        alone = measure_pairs(crossed, settings, noise=level, **arguments)
        assert run.keys() == alone.keys()
        for key, cell in run.items():
            assert cell.setting == alone[key].setting
            for role in (*protocol.ROLES, "misfit"):
                assert_allclose(getattr(cell.result, role), getattr(alone[key].result, role))


def test_pairs_share_splits_and_noise(crossed_cells):
    by_student = [
        crossed_cells["near", s, N_LABELS, N_PSEUDO].result.teacher for s in ("first", "second")
    ]
    assert_allclose(*by_student)
    by_teacher = [
        crossed_cells[t, "first", N_LABELS, N_PSEUDO].result.baseline for t in ("near", "far")
    ]
    assert_allclose(*by_teacher)


def test_risks_are_those_of_the_formulas(crossed_cells):
    for cell in crossed_cells.values():
        assert cell.setting.sigma2 == 1.0
        for ratio in cell.ratios().values():
            assert abs(ratio.value - 1) < 0.05 + 4.5 * ratio.standard_error


def test_exchanging_the_student_flips_the_order(crossed_cells):
    for student, own, foreign in (("first", "near", "far"), ("second", "far", "near")):
        two = [crossed_cells[t, student, N_LABELS, N_PSEUDO].result for t in (foreign, own)]
        gap = difference(*two)
        assert gap.value > 5 * gap.standard_error
        assert_allclose(gap.value, two[0].pgr().value - two[1].pgr().value)
        assert_allclose(difference(two[1], two[0]).value, -gap.value)


def test_difference_of_several_is_the_mean_of_their_differences(crossed_cells):
    results = [cell.result for cell in crossed_cells.values()]
    both = difference(results[:2], results[2:4])
    single = [difference(*two) for two in zip(results[:2], results[2:4], strict=True)]
    assert_allclose(both.value, np.mean([gap.value for gap in single]))
    # On common splits the error of the mean is at most the mean of the errors.
    assert both.standard_error <= np.mean([gap.standard_error for gap in single])


def test_difference_of_a_result_with_itself_is_zero(crossed_cells):
    result = next(iter(crossed_cells.values())).result
    for quantity in ("pgr", "opr"):
        assert difference(result, result, quantity) == Estimate(0.0, 0.0, 80)


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

    many = [difference(*drawn(40)) for _ in range(400)]
    spread = np.std([gap.value for gap in many])
    assert np.mean([gap.standard_error for gap in many]) == pytest.approx(spread, rel=0.15)


def test_bad_input(crossed_cells):
    result = next(iter(crossed_cells.values())).result
    names = (*protocol.ROLES, "misfit")
    short = protocol.Result(**{name: getattr(result, name)[:7] for name in names})
    with pytest.raises(ValueError, match="second: expected the 80 trials of the first, got 7"):
        difference(result, short)
    with pytest.raises(ValueError, match="quantity: expected 'pgr' or 'opr', got 'gain'"):
        difference(result, result, "gain")
