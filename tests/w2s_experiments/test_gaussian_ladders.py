"""Ladders in the Gaussian model: the correction of the misfit, averages, mistakes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from w2s_experiments import gaussian_ladders
from w2s_utils.theory import bridge

D, D_S = 45, 6


def target(rng, outside=0.0):
    theta = rng.standard_normal(D)
    theta[D_S:] *= outside
    return theta


def test_population_students_gain_their_misfit():
    rng = np.random.default_rng(0)
    theta = target(rng)
    teachers = gaussian_ladders.gaussian_teachers(rng, theta, D_S, 5)
    found = gaussian_ladders.gaussian_ladder(rng, theta, teachers, D_S, 0)
    assert_allclose(found.misfit, np.sum(teachers[D_S:] ** 2, axis=0))
    assert_allclose(found.teacher, np.sum((teachers - theta[:, None]) ** 2, axis=0))
    assert_allclose(found.student, np.sum((teachers[:D_S] - theta[:D_S, None]) ** 2, axis=0))
    assert_allclose(found.gain, found.misfit)
    assert_allclose(found.predicted_gain, found.gain)
    assert found.regrets()["error − misfit"] == 0
    average = teachers.mean(axis=1)
    assert_allclose(found.ensemble["teacher"], np.sum((average - theta) ** 2))
    assert_allclose(found.ensemble["misfit"], np.sum(average[D_S:] ** 2))


def test_corrected_misfit_is_unbiased():
    rng = np.random.default_rng(1)
    theta = target(rng)
    teachers = gaussian_ladders.gaussian_teachers(rng, theta, D_S, 2)
    outside = np.sum(teachers[D_S:] ** 2, axis=0)
    N, trials = 18, 3000
    drawn = [gaussian_ladders.gaussian_ladder(rng, theta, teachers, D_S, N) for _ in range(trials)]
    gain = np.array([ladder.gain for ladder in drawn]) / outside
    misfit = np.array([ladder.misfit for ladder in drawn]) / outside
    for values, expected in ((gain, 1 - D_S / (N - D_S - 1)), (misfit, 1 - D_S / N)):
        error = values.std(axis=0) / np.sqrt(trials)
        assert np.all(np.abs(values.mean(axis=0) - expected) < 5 * error)
        assert error.max() < 0.05
    assert drawn[0].correction == bridge.gain_per_misfit(D_S, N, in_sample=True)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda rng: gaussian_ladders.gaussian_teachers(rng, np.ones(30), 5, 2), "40 coordinates"),
        (lambda rng: gaussian_ladders.gaussian_teachers(rng, np.ones(45), 45, 2), "1 to 44"),
        (
            lambda rng: gaussian_ladders.gaussian_ladder(rng, np.ones(45), np.ones((4, 2)), 5, 9),
            "teachers",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.random.default_rng(0))
