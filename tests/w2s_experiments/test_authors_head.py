"""Heads trained by AdamW: the update written out, convergence, one task or many."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from w2s_experiments.authors_head import AdamWHead
from w2s_utils.least_squares import MinimumNorm


def data(m=64, tasks=3):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((m, 4))
    return x, x @ rng.standard_normal((4, tasks)) + 0.3


def test_first_step_moves_every_weight_by_the_rate():
    x, y = data()
    before = AdamWHead(epochs=1, batch=64, rate=1e-12, decay=0).fit(x, y)
    after = AdamWHead(epochs=1, batch=64, rate=1e-2, decay=0).fit(x, y)
    gradient = x.T @ (before.predict(x) - y)
    # Adam's first step is the sign of the gradient.
    assert_allclose(after.coefficients - before.coefficients, -1e-2 * np.sign(gradient), rtol=1e-5)


def test_decay_shrinks_before_the_step():
    x, y = data()
    plain = AdamWHead(epochs=1, batch=64, rate=1e-2, decay=0).fit(x, y)
    start = AdamWHead(epochs=1, batch=64, rate=1e-12, decay=0).fit(x, y)
    decayed = AdamWHead(epochs=1, batch=64, rate=1e-2, decay=0.5).fit(x, y)
    shrunk = decayed.coefficients - plain.coefficients
    assert_allclose(shrunk, -0.005 * start.coefficients, rtol=1e-6)


def test_converges_to_least_squares_with_many_steps():
    x, y = data()
    exact = MinimumNorm(intercept=True).fit(x, y)
    found = AdamWHead(epochs=3000, batch=16, decay=0).fit(x, y)
    assert_allclose(found.coefficients, exact.coefficients, atol=0.01)
    assert_allclose(found.intercept, exact.intercept, atol=0.01)
    few = AdamWHead(epochs=5, batch=16).fit(x, y)
    assert np.abs(few.coefficients - exact.coefficients).max() > 0.1


def test_a_task_does_not_see_the_others():
    x, y = data()
    together = AdamWHead(epochs=3).fit(x, y)
    changed = AdamWHead(epochs=3).fit(x, y * [1, -5, 0])
    assert_allclose(together.coefficients[:, 0], changed.coefficients[:, 0])
    alone = AdamWHead(epochs=3).fit(x, y[:, 0])
    assert alone.coefficients.shape == (4,)
    assert alone.predict(x).shape == (64,)


def test_bad_input():
    with pytest.raises(ValueError, match="epochs: expected at least 1"):
        AdamWHead(epochs=0)
    with pytest.raises(ValueError, match="rate: expected a positive"):
        AdamWHead(rate=0.0)
    with pytest.raises(ValueError, match="targets: expected 3 rows"):
        AdamWHead(epochs=1).fit(np.ones((3, 2)), np.ones(4))
