"""The chain of bounds for finite samples, the maximum on a ball, and power laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from w2s_utils.theory import finite_sample, projection

PROPERTY = settings(derandomize=True, database=None, deadline=None, max_examples=60)
seeds = st.integers(0, 2**32 - 1)


@PROPERTY
@given(seeds, st.integers(1, 5), st.floats(0.1, 3))
def test_maximum_on_ball_is_attained_and_not_exceeded(seed, k, radius):
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((k, k))
    matrix = matrix + matrix.T - rng.uniform(-2, 4) * np.eye(k)
    vector = rng.standard_normal(k) * rng.integers(0, 2, k)
    maximum = finite_sample.maximum_on_ball(matrix, vector, radius)

    def values(c):
        return np.einsum("ij,jk,ik->i", c, matrix, c) + 2 * c @ vector

    points = rng.standard_normal((4000, k))
    points *= (
        radius * rng.uniform(size=(4000, 1)) ** (1 / k) / np.linalg.norm(points, axis=1)[:, None]
    )
    best = points[np.argmax(values(points))]
    for _ in range(4000):  # projected gradient ascent
        best = best + 0.05 * (matrix @ best + vector) / (np.abs(matrix).sum() + 1)
        best *= min(1.0, radius / max(np.linalg.norm(best), 1e-300))
    assert values(points).max() <= maximum + 1e-9
    assert values(best[None]).item() <= maximum + 1e-9
    assert values(best[None]).item() >= maximum - 1e-2 * (1 + abs(maximum))


def test_maximum_on_ball_closed_forms():
    assert_allclose(finite_sample.maximum_on_ball(np.diag([2.0, -1.0]), [0, 0], 3.0), 18)
    assert finite_sample.maximum_on_ball(-np.eye(2), [0, 0], 3.0) == 0
    # Inside the ball: -|c|^2 + 2 b c is largest at c = b.
    assert_allclose(finite_sample.maximum_on_ball(-np.eye(2), [0.6, 0.8], 3.0), 1)
    # In small units too.
    small = finite_sample.maximum_on_ball(np.diag([1e-14, 0]), [1e-14, 1e-14], 1.0)
    assert_allclose(small, 1e-14 * finite_sample.maximum_on_ball(np.diag([1, 0]), [1, 1], 1.0))
    # Hard case: nothing pulls along the leading axis.
    assert_allclose(finite_sample.maximum_on_ball(np.diag([1.0, 0.0]), [0, 0.5], 2.0), 4.25)


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


@PROPERTY
@given(seeds)
def test_chain_of_bounds_on_any_sample(seed):
    rng = np.random.default_rng(seed)
    # Orthonormal features over 40 equally likely inputs, of which 12 are drawn.
    everything = np.sqrt(40) * np.linalg.qr(rng.standard_normal((40, 8)))[0]
    teacher, truth = rng.standard_normal((2, 8))
    drawn = everything[rng.integers(0, 40, 12)]
    labels = drawn @ teacher
    fitted = projection.onto_ball(labels, drawn[:, :3], 1.2)
    limit = projection.onto_ball(teacher[:3], np.eye(3), 1.2)
    chain = finite_sample.deviation_on_ball(
        drawn, labels, fitted, limit, teacher=teacher, truth=truth, radius=1.2
    )
    everywhere = projection.onto_ball(everything @ teacher, everything[:, :3], 1.2)
    assert_allclose(everywhere.coefficients, limit.coefficients, atol=1e-9)
    steps = [abs(chain.error), chain.by_distance, chain.by_excess, chain.by_uniform]
    assert np.all(np.diff(steps) >= -1e-9)
    heads = rng.standard_normal((500, 3))
    heads *= 1.2 / np.maximum(np.linalg.norm(heads, axis=1), 1.2)[:, None]
    seen = np.mean((drawn[:, :3] @ heads.T - labels[:, None]) ** 2, axis=0)
    wanted = np.mean((everything[:, :3] @ heads.T - (everything @ teacher)[:, None]) ** 2, axis=0)
    assert np.max(np.abs(seen - wanted)) <= chain.uniform + 1e-9


def test_linear_excess_closed_form():
    assert finite_sample.linear_excess(3.0, 5, 16) == 1.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: finite_sample.linear_excess(1.0, 5, 6), "n: expected at least k \\+ 2"),
        (lambda: finite_sample.linear_excess(-1.0, 5, 16), "misfit"),
        (lambda: finite_sample.rate([1, 1], np.ones((2, 3))), "sizes"),
        (lambda: finite_sample.rate([1, 2], np.zeros((2, 3))), "positive mean"),
        (lambda: finite_sample.rate([1, 2], np.ones((2, 1))), "repetitions"),
        (lambda: finite_sample.rate([1, 2, 3], np.ones((2, 3))), "sizes: expected 2 rows"),
        (lambda: finite_sample.maximum_on_ball([[1, 2], [0, 1]], [1, 1], 1), "symmetric"),
        (lambda: finite_sample.maximum_on_ball([[1e-9, 2e-9], [0, 0]], [1, 1], 1), "symmetric"),
        (lambda: finite_sample.maximum_on_ball(np.eye(2), [1, 1], 0), "radius"),
        (lambda: finite_sample.maximum_on_ball(np.eye(2), [1, np.nan], 1), "vector"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
