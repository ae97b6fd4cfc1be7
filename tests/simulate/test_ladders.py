"""Ladders of teachers: the correction of the misfit, rules of choice, averages."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from w2s_utils.simulate import ladders
from w2s_utils.tasks.representations import Problem

D, D_S = 45, 6


def target(rng, outside=0.0):
    theta = rng.standard_normal(D)
    theta[D_S:] *= outside
    return theta


def test_population_students_gain_their_misfit():
    rng = np.random.default_rng(0)
    theta = target(rng)
    teachers = ladders.gaussian_teachers(rng, theta, D_S, 5)
    found = ladders.gaussian_ladder(rng, theta, teachers, D_S, 0)
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
    teachers = ladders.gaussian_teachers(rng, theta, D_S, 2)
    outside = np.sum(teachers[D_S:] ** 2, axis=0)
    N, trials = 18, 3000
    drawn = [ladders.gaussian_ladder(rng, theta, teachers, D_S, N) for _ in range(trials)]
    gain = np.array([ladder.gain for ladder in drawn]) / outside
    misfit = np.array([ladder.misfit for ladder in drawn]) / outside
    for values, expected in ((gain, 1 - D_S / (N - D_S - 1)), (misfit, 1 - D_S / N)):
        error = values.std(axis=0) / np.sqrt(trials)
        assert np.all(np.abs(values.mean(axis=0) - expected) < 5 * error)
        assert error.max() < 0.05
    assert drawn[0].correction == ladders.gain_per_misfit(D_S, N)


def test_gain_per_misfit_closed_form():
    assert ladders.gain_per_misfit(10, 21) == 0
    assert_allclose(ladders.gain_per_misfit(1, 4), (1 - 1 / 2) / (3 / 4))
    assert ladders.gain_per_misfit(10, 15) < 0
    assert_allclose(ladders.gain_per_misfit(10, 10**9), 1)


def test_rules_choose_what_they_say():
    numbers = {"misfit": [0.0, 2.0, 0.5], "known_teacher": [3.0, 4.0, 2.8]}
    numbers |= {"known_student": [5.0, 6.0, 4.0], "teacher": [3, 4, 3], "student": [1, 2, 4]}
    found = ladders.Ladder(
        **{name: np.array(values, dtype=float) for name, values in numbers.items()},
        correction=-1.0,
        ensemble={},
    )
    assert found.regrets() == {
        "teacher's error": 3.0,
        "error − misfit": 1.0,
        "error − corrected misfit": 0.0,
        "student's error": 3.0,
        "at random": pytest.approx(4 / 3),
    }


def problem(rng, m=300):
    strong = rng.standard_normal((m, 4))
    weak = {size: np.column_stack([strong, rng.standard_normal((m, size))]) for size in (3, 9)}
    weak = {features.shape[1]: features for features in weak.values()}
    return Problem("toy", strong @ rng.standard_normal((4, 2)), 0.5, weak, {"strong": strong})


def test_real_ladder_on_a_representable_target():
    rng = np.random.default_rng(2)
    data = problem(rng)
    drawn = [ladders.real_ladder(rng, data, "strong", pool=40, N=100, labels=20) for _ in range(50)]
    gains = np.array([ladder.gain for ladder in drawn])
    predicted = np.array([ladder.predicted_gain for ladder in drawn])
    assert gains.shape == (50, 2)
    assert np.corrcoef(gains.ravel(), predicted.ravel())[0, 1] > 0.9
    assert all(ladder.ensemble["student"] <= ladder.student.mean() + 1e-12 for ladder in drawn)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda rng: ladders.gain_per_misfit(10, 11), "N: expected at least d_s \\+ 2 = 12"),
        (lambda rng: ladders.gaussian_teachers(rng, np.ones(30), 5, 2), "40 coordinates"),
        (lambda rng: ladders.gaussian_teachers(rng, np.ones(45), 45, 2), "1 to 44"),
        (lambda rng: ladders.gaussian_ladder(rng, np.ones(45), np.ones((4, 2)), 5, 9), "teachers"),
        (
            lambda rng: ladders.real_ladder(rng, problem(rng), "strong", pool=9, N=9, labels=9),
            "pool >= 20",
        ),
        (
            lambda rng: ladders.real_ladder(rng, problem(rng), "strong", pool=40, N=250, labels=10),
            "sum below 300",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.random.default_rng(0))
