"""Ladders of teachers on real problems: gains, averages, mistakes."""

from __future__ import annotations

import numpy as np
import pytest

from w2s_experiments.real_ladders import real_ladder
from w2s_utils.problem import Problem


def problem(rng, m=300):
    strong = rng.standard_normal((m, 4))
    weak = {size: np.column_stack([strong, rng.standard_normal((m, size))]) for size in (3, 9)}
    weak = {features.shape[1]: features for features in weak.values()}
    return Problem("toy", strong @ rng.standard_normal((4, 2)), 0.5, weak, {"strong": strong})


def test_real_ladder_on_a_representable_target():
    rng = np.random.default_rng(2)
    data = problem(rng)
    drawn = [real_ladder(rng, data, "strong", pool=40, N=100, labels=20) for _ in range(50)]
    gains = np.array([ladder.gain for ladder in drawn])
    predicted = np.array([ladder.predicted_gain for ladder in drawn])
    assert gains.shape == (50, 2)
    assert np.corrcoef(gains.ravel(), predicted.ravel())[0, 1] > 0.9
    assert all(ladder.ensemble["student"] <= ladder.student.mean() + 1e-12 for ladder in drawn)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda rng: real_ladder(rng, problem(rng), "strong", pool=9, N=9, labels=9),
            "pool >= 20",
        ),
        (
            lambda rng: real_ladder(rng, problem(rng), "strong", pool=40, N=250, labels=10),
            "sum below 300",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.random.default_rng(0))
