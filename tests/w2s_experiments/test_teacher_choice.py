"""Ladders of random teachers: the correction of the misfit, gains, averages, mistakes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from w2s_experiments import teacher_choice
from w2s_utils.problem import Problem
from w2s_utils.protocol import Result
from w2s_utils.theory import risks

D, D_S = 45, 6


def target(rng, outside=0.0):
    theta = rng.standard_normal(D)
    theta[D_S:] *= outside
    return theta


def test_population_students_gain_their_misfit():
    rng = np.random.default_rng(0)
    theta = target(rng)
    teachers = teacher_choice.gaussian_teachers(rng, theta, D_S, 5)
    average = teachers.mean(axis=1)
    everyone = np.column_stack([teachers, average])
    found = Result.of([teacher_choice.gaussian_ladder(rng, theta, everyone, D_S, 0)])
    gain, misfit = found.gain[0], found.own["misfit"][0]
    assert_allclose(misfit, np.sum(everyone[D_S:] ** 2, axis=0))
    assert_allclose(found.teacher[0], np.sum((everyone - theta[:, None]) ** 2, axis=0))
    assert_allclose(found.student[0], np.sum((everyone[:D_S] - theta[:D_S, None]) ** 2, axis=0))
    assert_allclose(gain, misfit)
    assert_allclose(found.own["corrected"][0], gain)
    assert teacher_choice.regrets(found)["error − misfit"] == 0


def test_corrected_misfit_is_unbiased():
    rng = np.random.default_rng(1)
    theta = target(rng)
    teachers = teacher_choice.gaussian_teachers(rng, theta, D_S, 2)
    outside = np.sum(teachers[D_S:] ** 2, axis=0)
    N, trials = 18, 3000
    drawn = Result.of(
        [teacher_choice.gaussian_ladder(rng, theta, teachers, D_S, N) for _ in range(trials)]
    )
    gain, misfit = drawn.gain / outside, drawn.own["misfit"] / outside
    for values, expected in ((gain, 1 - D_S / (N - D_S - 1)), (misfit, 1 - D_S / N)):
        error = values.std(axis=0) / np.sqrt(trials)
        assert np.all(np.abs(values.mean(axis=0) - expected) < 5 * error)
        assert error.max() < 0.05
    correction = risks.gain_per_misfit(D_S, N, in_sample=True)
    assert_allclose(drawn.own["corrected"], correction * drawn.own["misfit"])


def problem(rng, m=300):
    strong = rng.standard_normal((m, 4))
    weak = {size: np.column_stack([strong, rng.standard_normal((m, size))]) for size in (3, 9)}
    weak = {features.shape[1]: features for features in weak.values()}
    return Problem("toy", strong @ rng.standard_normal((4, 2)), 0.5, weak, {"strong": strong})


def test_real_ladder_on_a_representable_target():
    rng = np.random.default_rng(2)
    data = problem(rng)
    sizes = {"pool": 40, "N": 100, "labels": 20}
    drawn = [teacher_choice.real_ladder(rng, data, "strong", **sizes) for _ in range(50)]
    found, average = map(Result.of, zip(*drawn, strict=True))
    assert found.gain.shape == (50, 2)
    assert np.corrcoef(found.gain.ravel(), found.own["corrected"].ravel())[0, 1] > 0.9
    assert np.all(average.student[:, 0] <= found.student.mean(axis=1) + 1e-12)


def ladder_of(rng, data, student, **sizes):
    return teacher_choice.real_ladder(rng, data, student, **sizes)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda rng: teacher_choice.gaussian_teachers(rng, np.ones(30), 5, 2), "40 coordinates"),
        (lambda rng: teacher_choice.gaussian_teachers(rng, np.ones(45), 45, 2), "1 to 44"),
        (
            lambda rng: teacher_choice.gaussian_ladder(rng, np.ones(45), np.ones((4, 2)), 5, 9),
            "teachers",
        ),
        (
            lambda rng: teacher_choice.real_ladder(
                rng, problem(rng), "strong", pool=9, N=9, labels=9
            ),
            "pool >= 20",
        ),
        (
            lambda rng: teacher_choice.real_ladder(
                rng, problem(rng), "strong", pool=40, N=250, labels=10
            ),
            "sum below 300",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.random.default_rng(0))
