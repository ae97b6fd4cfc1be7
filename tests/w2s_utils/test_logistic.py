"""Logistic heads: the equations they solve, soft labels, classes not seen, mistakes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression

from w2s_utils.logistic import Logistic, cross_entropy_head


def two(ones):
    ones = np.asarray(ones, float)
    return np.column_stack([1 - ones, ones])


def slope(phi, ones, **options):
    """Coefficients of the logit of the second class, no intercept."""
    return Logistic(intercept=False, **options).fit(phi, two(ones)).coefficients[:, 1]


@given(
    seed=st.integers(0, 10**6),
    m=st.integers(5, 60),
    d=st.integers(1, 6),
    penalty=st.sampled_from([0.01, 1.0, 30.0]),
    scale=st.sampled_from([0.1, 1.0, 20.0]),
)
@settings(max_examples=60, deadline=None)
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


def test_the_gradient_vanishes_for_many_classes():
    rng = np.random.default_rng(1)
    phi, p = rng.standard_normal((200, 4)), softmax(rng.standard_normal((200, 3)), axis=1)
    model = Logistic(2.0, tolerance=1e-8).fit(phi, p)
    residual = model.probabilities(phi) - p
    assert_allclose(phi.T @ residual + 2.0 * model.coefficients, 0, atol=1e-4)
    assert_allclose(residual.sum(axis=0), 0, atol=1e-4)


@pytest.mark.parametrize("classes", [2, 3])
def test_hard_labels_are_those_of_scikit_learn_whatever_their_form(classes):
    rng = np.random.default_rng(2)
    phi, y = rng.standard_normal((90, 4)), rng.integers(0, classes, 90)
    theirs = LogisticRegression(C=0.5, tol=1e-8).fit(phi, y).predict_proba(phi)
    head = Logistic(2.0, tolerance=1e-8)
    assert_allclose(head.fit(phi, y).probabilities(phi), theirs, rtol=1e-9)
    assert_allclose(head.fit(phi, np.eye(classes)[y]).probabilities(phi), theirs, atol=1e-6)


def test_separable_labels_stay_finite():
    assert 5 < slope([[-1.0], [1.0]], [0.0, 1.0], penalty=1e-6)[0] < 20


def test_certain_labels_of_one_kind_are_fitted():
    assert 0 < slope(np.ones((5, 1)), np.ones(5))[0] < 10


def test_a_class_that_was_not_seen_has_no_probability():
    rng = np.random.default_rng(3)
    phi = rng.standard_normal((40, 2))
    for seen in ([0, 2, 3], [1, 3], [2]):
        y = rng.choice(seen, 40)
        found = Logistic().fit(phi, y, classes=4).probabilities(phi)
        assert found.shape == (40, 4)
        assert_allclose(found.sum(axis=1), 1)
        assert np.array_equal(np.flatnonzero(found.sum(axis=0)), seen)


def test_small_probabilities_are_not_learnt_from():
    rng = np.random.default_rng(4)
    phi, y = rng.standard_normal((60, 2)), rng.integers(0, 2, 60)
    soft = np.where(np.eye(2)[y] == 1, 0.995, 0.005)
    found = Logistic(least=0.01, tolerance=1e-8).fit(phi, soft).probabilities(phi)
    expected = Logistic(1 / 0.995, tolerance=1e-8).fit(phi, y).probabilities(phi)
    assert_allclose(found, expected, atol=1e-6)


def test_cross_entropy_is_solved_to_the_end():
    rng = np.random.default_rng(5)
    phi, p = rng.standard_normal((80, 3)), softmax(rng.standard_normal((80, 4)), axis=1)
    model = cross_entropy_head(phi, p)
    assert_allclose(phi.T @ (model.probabilities(phi) - p) / 80, 0, atol=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Logistic(0.0), "penalty: expected a positive"),
        (lambda: Logistic().fit(np.ones((2, 1)), [[0.0, 1.0], [-0.5, 1.5]]), r"in \[0, 1\], got"),
        (lambda: Logistic().fit(np.ones((2, 1)), [0.0, 0.5]), "labels: expected whole numbers"),
        (lambda: Logistic().fit(np.ones((2, 1)), [0, 2], classes=2), "labels: expected whole"),
        (lambda: Logistic().fit(np.ones((2, 1)), [0, 1, 1]), "labels: expected 2 rows"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
