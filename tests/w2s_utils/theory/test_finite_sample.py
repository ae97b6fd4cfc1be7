"""Power laws: their exponent and its error."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from w2s_utils.theory import finite_sample


def test_rate_recovers_a_power_law_and_its_error_is_calibrated():
    rng = np.random.default_rng(3)
    sizes = np.array([100, 200, 400, 800])
    exact = finite_sample.rate(sizes, 7.0 * sizes[:, None] ** -0.5 * np.ones(3))
    assert_allclose([exact.exponent, exact.standard_error], [-0.5, 0], atol=1e-12)
    fits = [
        finite_sample.rate(sizes, sizes[:, None] ** -1.0 * rng.exponential(size=(4, 200)))
        for _ in range(300)
    ]
    scores = [(fit.exponent + 1) / fit.standard_error for fit in fits]
    assert 0.85 < np.std(scores) < 1.15
    assert abs(np.mean(scores)) < 0.25


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: finite_sample.rate([1, 1], np.ones((2, 3))), "sizes"),
        (lambda: finite_sample.rate([1, 2], np.zeros((2, 3))), "positive mean"),
        (lambda: finite_sample.rate([1, 2], np.ones((2, 1))), "repetitions"),
        (lambda: finite_sample.rate([1, 2, 3], np.ones((2, 3))), "sizes: expected 2 rows"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
