"""Mixtures of softmax heads: gradients through the result, monotone in k, the worst truth."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import special

from w2s_experiments import mixtures
from w2s_utils.theory import bregman


def problem(seed=0, m=60):
    rng = np.random.default_rng(seed)
    phi = np.column_stack([rng.standard_normal((m, 2)), np.ones(m)])
    return special.softmax(2 * rng.standard_normal((m, 3)), axis=1), phi, rng


def test_mixture_is_what_it_says_and_improves_with_k():
    teacher, phi, rng = problem()
    losses = []
    for k in (1, 4):
        found = mixtures.fit(teacher, phi, k, rng, largest=2.0)
        each = special.softmax(phi @ found.heads, axis=2)
        assert_allclose(np.tensordot(found.weights, each, axes=1), found.values, atol=1e-12)
        assert_allclose(found.weights.sum(), 1)
        assert np.abs(found.heads).max() <= 2.0
        assert_allclose(found.loss, bregman.KL(found.values, teacher))
        losses.append(found.loss)
    assert losses[1] < losses[0] - 1e-3


def test_fit_is_a_minimum():
    teacher, phi, rng = problem(1)
    found = mixtures.fit(teacher, phi, 2, rng, largest=5.0)
    for _ in range(50):
        heads = np.clip(found.heads + 0.02 * rng.standard_normal(found.heads.shape), -5, 5)
        values = np.tensordot(found.weights, special.softmax(phi @ heads, axis=2), axes=1)
        assert bregman.KL(values, teacher) >= found.loss - 1e-7


def test_single_head_recovers_a_teacher_in_the_class():
    _, phi, rng = problem(2)
    teacher = special.softmax(phi @ rng.uniform(-1, 1, (3, 3)), axis=1)
    found = mixtures.fit(teacher, phi, 1, rng, largest=3.0)
    assert_allclose(found.values, teacher, atol=1e-4)


def test_worst_truth_beats_random_heads():
    teacher, phi, rng = problem(3)
    student = mixtures.fit(teacher, phi, 1, rng, largest=2.0).values
    truth = mixtures.worst_truth(teacher, student, phi, rng, largest=2.0)

    def shortfall(g):
        return -bregman.three_points(bregman.KL, g, teacher, student).cross

    others = [special.softmax(phi @ rng.uniform(-2, 2, (3, 3)), axis=1) for _ in range(100)]
    assert shortfall(truth) >= max(map(shortfall, others)) - 1e-9


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda w, p, r: mixtures.fit(2 * w, p, 1, r, largest=1), "teacher: .*sum to 1"),
        (lambda w, p, r: mixtures.fit(w, p[:3], 1, r, largest=1), "features: expected 60 rows"),
        (lambda w, p, r: mixtures.fit(w, p, 0, r, largest=1), "k: expected at least 1"),
        (lambda w, p, r: mixtures.fit(w, p, 1, r, largest=0), "largest: expected a positive"),
        (lambda w, p, r: mixtures.worst_truth(w, w[:3], p, r, largest=1), "student: expected 60"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call(*problem())
