"""Splits of a ladder: identities, common splits, the jackknife, the plug-in from labels."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from w2s_experiments import french_reviews
from w2s_utils import protocol
from w2s_utils.geometry import oracle_setting
from w2s_utils.problem import Problem
from w2s_utils.resampling import jackknife_error
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


def split(data, student="strong", trials=30):
    rng = np.random.default_rng(4)
    return french_reviews.split_ladder(data, student, **SIZES, trials=trials, rng=rng)


def run(data, student="strong", trials=30):
    return split(data, student, trials)[0]


def test_identity_and_bound_on_the_students_own_inputs():
    found = run(problem())
    assert_allclose(found.own["gain"], found.own["misfit"] + found.own["cross"], atol=1e-12)
    misfit, unreachable = found.own["misfit"], found.own["unreachable"][:, None]
    least = misfit - 2 * np.sqrt(unreachable * misfit)
    assert np.all(found.own["gain"] >= least - 1e-12)
    # Gain and misfit do not agree: the truth is not in the class.
    assert np.abs(found.own["cross"][:, :2]).max() > 0.05


def test_a_truth_in_the_class_leaves_no_cross_term():
    found = run(problem(outside=0.0))
    assert_allclose(found.own["cross"], 0, atol=1e-12)
    assert_allclose(found.own["unreachable"], 0, atol=1e-20)


def test_a_student_that_contains_its_teacher_repeats_it():
    found = run(problem())
    assert_allclose(found.misfit[:, 2], 0, atol=1e-12)
    assert_allclose(found.gain[:, 2], 0, atol=1e-12)
    assert found.misfit[:, :2].min() > 1e-3


def test_errors_are_those_of_the_exact_formulas():
    data = problem(m=3000, noise=0.5)
    found = run(data, trials=300)
    for index, weak in enumerate(data.teachers.values()):
        setting = oracle_setting(weak, data.students["strong"], data.targets, noise=0.5)
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


def test_leaving_one_out_is_what_refitting_gives():
    """Inputs of each part in turn, taken out of the parts and everything fitted again."""
    data, sizes = problem(m=1400, noise=0.3), [400, 600, 50]
    weak, strong = list(data.teachers.values()), data.students["strong"]
    rng = np.random.default_rng(4)
    order, y = rng.permutation(1400), data.targets[:, 0]
    noisy = y + 0.3 * rng.standard_normal(1400)
    parts = np.split(order, np.cumsum(sizes))

    def gain_and_misfit(labelled, own, known, test):
        found = []
        for phi in weak:
            teacher = phi @ np.linalg.lstsq(phi[labelled], noisy[labelled])[0]
            student = strong @ np.linalg.lstsq(strong[own], teacher[own])[0]
            gain = np.mean((teacher - y)[test] ** 2 - (student - y)[test] ** 2)
            found.append([np.mean((teacher - student)[test] ** 2), gain])
        return np.transpose(found)

    whole = gain_and_misfit(*parts)
    everything = protocol.Inputs(tuple(weak), strong, noisy, y)
    labelled, own, _, test = (everything.rows(rows) for rows in parts)
    on_own, *said = protocol.teach(labelled, own, labelled, test)
    changes = french_reviews._leaving_one_out((labelled, own, test), (said[0], on_own, said[1]))
    # Exact where no head changes, to the first order elsewhere.
    for part, changed, tolerance in zip((0, 1, 3), changes, (0.1, 0.1, 1e-9), strict=True):
        assert len(changed) == len(parts[part])
        left = [
            gain_and_misfit(*parts[:part], np.delete(parts[part], i), *parts[part + 1 :]) - whole
            for i in range(0, len(changed), 8)
        ]
        assert np.linalg.norm(changed[::8] - left) < tolerance * np.linalg.norm(left)


def test_jackknife_agrees_with_fresh_pools():
    base, rng = problem(m=40_000), np.random.default_rng(9)

    def pool():
        rows = rng.permutation(40_000)[:400]
        parts = ({k: v[rows] for k, v in x.items()} for x in (base.teachers, base.students))
        return Problem("toy", base.targets[rows], 0.0, *parts)

    def statistic(misfit, gain):
        return np.array([gain[1], gain[0] / misfit[0]])

    def jackknife(found, left_out):
        means = np.array([found.misfit.mean(axis=0), found.gain.mean(axis=0)])
        again = np.array([statistic(*(means + change)) for change in left_out])
        return statistic(*means), jackknife_error(again)

    pairs = [jackknife(*split(pool())) for _ in range(60)]
    values, errors = np.swapaxes(pairs, 0, 1)
    ratio = np.sqrt(np.mean(errors**2, axis=0)) / values.std(axis=0, ddof=1)
    assert np.all((ratio > 0.75) & (ratio < 1.35))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": 13}, "n: expected at least 14"),
        ({"N": 7}, "N: expected at least 8"),
        ({"known": 0}, "known: expected at least 1"),
        ({"trials": 1}, "trials: expected at least 2"),
        ({"N": 340}, "inputs: expected at least 412"),
    ],
)
def test_bad_sizes(change, message):
    arguments = {**SIZES, "trials": 3, "rng": np.random.default_rng(0), **change}
    with pytest.raises(ValueError, match=message):
        french_reviews.split_ladder(problem(), "strong", **arguments)


def test_several_targets_are_refused():
    data = problem()
    two = Problem("toy", np.hstack([data.targets] * 2), 0.0, data.teachers, data.students)
    with pytest.raises(ValueError, match="expected one target"):
        run(two)
