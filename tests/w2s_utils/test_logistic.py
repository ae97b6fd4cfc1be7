"""Logistic heads: the equations they solve, soft labels, many at once, mistakes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression

from w2s_utils.logistic import binary_heads, cross_entropy_head


def slope(phi, ones, penalty=1.0, **options):
    """Coefficients of the logit of the second class, no intercept."""
    return binary_heads(phi, np.asarray(ones, float)[:, None], [penalty], **options)[:, 0, 0]


@given(
    seed=st.integers(0, 10**6),
    m=st.integers(5, 60),
    d=st.integers(1, 6),
    penalty=st.sampled_from([0.01, 1.0, 30.0]),
    scale=st.sampled_from([0.1, 1.0, 20.0]),
)
def test_the_gradient_vanishes(seed, m, d, penalty, scale):
    rng = np.random.default_rng(seed)
    phi, p = scale * rng.standard_normal((m, d)), rng.random(m)
    head = slope(phi, p, penalty=penalty)
    gradient = phi.T @ (p - expit(phi @ head)) - penalty * head
    assert np.abs(gradient).max() < 1e-3 * scale * m * max(1.0, scale)


def test_newton_steps_agree():
    rng = np.random.default_rng(0)
    phi, p = rng.standard_normal((300, 5)), rng.random(300)
    head = np.zeros(5)
    for _ in range(20):
        q = expit(phi @ head)
        hessian = (phi.T * (q * (1 - q))) @ phi + 2.0 * np.eye(5)
        head += np.linalg.solve(hessian, phi.T @ (p - q) - 2.0 * head)
    assert_allclose(slope(phi, p, penalty=2.0), head, atol=1e-5)


def test_many_heads_are_each_fitted_as_if_alone():
    rng = np.random.default_rng(1)
    phi, p = rng.standard_normal((90, 4)), rng.random((90, 3))
    penalties = [0.3, 2.0]
    found = binary_heads(phi, p, penalties, tolerance=1e-9)
    assert found.shape == (4, 3, 2)
    for k in range(3):
        for i, penalty in enumerate(penalties):
            alone = slope(phi, p[:, k], penalty, tolerance=1e-9)
            assert_allclose(found[:, k, i], alone, atol=1e-8)


def test_labels_and_soft_labels_are_those_of_scikit_learn():
    rng = np.random.default_rng(2)
    phi, y, p = rng.standard_normal((90, 4)), rng.integers(0, 2, 90), rng.random(90)
    theirs = LogisticRegression(C=0.5, tol=1e-10, fit_intercept=False)
    assert_allclose(slope(phi, y, 2.0), theirs.fit(phi, y).coef_[0], atol=1e-5)
    # A soft label is a row of each class, weighted by its probability.
    theirs.fit(np.vstack([phi, phi]), np.repeat([0, 1], 90), np.concatenate([1 - p, p]))
    assert_allclose(slope(phi, p, 2.0), theirs.coef_[0], atol=1e-5)


def test_separable_labels_stay_finite():
    assert 5 < slope([[-1.0], [1.0]], [0.0, 1.0], penalty=1e-6)[0] < 20


def test_certain_labels_of_one_kind_are_fitted():
    assert 0 < slope(np.ones((5, 1)), np.ones(5))[0] < 10


def test_cross_entropy_is_solved_to_the_end():
    rng = np.random.default_rng(5)
    phi, p = rng.standard_normal((80, 3)), softmax(rng.standard_normal((80, 4)), axis=1)
    model = cross_entropy_head(phi, p)
    assert_allclose(phi.T @ (model.probabilities(phi) - p) / 80, 0, atol=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: slope([[1.0]], [1.0], 0.0), "penalty: expected a positive"),
        (lambda: slope(np.ones((2, 1)), [-0.5, 1.5]), r"ones: expected .*in \[0, 1\], got"),
        (lambda: slope(np.ones((2, 1)), [0, 1, 1]), "ones: expected 2 rows"),
        (lambda: cross_entropy_head([[1.0]], [[1.0, 1.0]]), "probabilities: .*sum to 1"),
        (lambda: cross_entropy_head([[1.0]] * 2, [[0.5, 0.5]]), "features: expected 1 rows"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
