"""Logistic probes: the equations they solve, the three measures, nested samples, mistakes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from w2s_utils import probes


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
    head = probes.fit_logistic(phi, p, penalty=penalty)
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
    np.testing.assert_allclose(probes.fit_logistic(phi, p, penalty=2.0), head, atol=1e-5)


def test_separable_labels_stay_finite():
    phi = np.array([[-1.0], [1.0]])
    head = probes.fit_logistic(phi, [0.0, 1.0], penalty=1e-6)
    assert 5 < head[0] < 20


def test_certain_labels_of_one_kind_are_fitted():
    head = probes.fit_logistic(np.ones((5, 1)), np.ones(5))
    assert 0 < head[0] < 10


def problem(m=600, seed=1):
    rng = np.random.default_rng(seed)
    strong = rng.standard_normal((m, 3))
    weak = {"near": np.column_stack([strong[:, :2], rng.standard_normal((m, 4))])}
    weak["far"] = rng.standard_normal((m, 6))
    labels = (strong[:, 0] + 0.3 * strong[:, 2] > 0).astype(float)
    return weak, strong, labels


def test_measures_differ_by_what_they_should():
    weak, strong, labels = problem()
    found = probes.run(
        weak, strong, labels, cells=[(60, 200)], flips=0.2, trials=5, rng=np.random.default_rng(2)
    )
    results = found["near"][60, 200]
    assert list(results) == list(probes.MEASURES)
    for name in ("teacher", "student", "baseline", "ceiling"):
        law, noisy = (getattr(results[m], name) for m in ("law", "noisy"))
        np.testing.assert_allclose(noisy - law, 0.16)
    np.testing.assert_array_equal(results["law"].misfit, results["clean"].misfit)
    # Baseline and ceiling know nothing of the teacher.
    np.testing.assert_array_equal(results["law"].ceiling, found["far"][60, 200]["law"].ceiling)
    assert found["far"][60, 200]["law"].teacher.mean() > results["law"].teacher.mean()


def test_without_flips_all_measures_agree():
    weak, strong, labels = problem()
    found = probes.run(
        weak, strong, labels, cells=[(60, 200)], flips=0.0, trials=2, rng=np.random.default_rng(3)
    )
    results = found["near"][60, 200]
    np.testing.assert_allclose(results["law"].student, results["clean"].student)
    np.testing.assert_allclose(results["law"].student, results["noisy"].student)


def test_a_cell_does_not_depend_on_smaller_ones_nor_on_workers():
    weak, strong, labels = problem()
    arguments = {"flips": 0.1, "trials": 4}
    one = probes.run(weak, strong, labels, cells=[(80, 200)], rng=np.random.default_rng(4),
                     **arguments)  # fmt: skip
    two = probes.run(weak, strong, labels, cells=[(30, 50), (80, 200)], n_jobs=2,
                     rng=np.random.default_rng(4), **arguments)  # fmt: skip
    np.testing.assert_array_equal(
        one["near"][80, 200]["law"].student, two["near"][80, 200]["law"].student
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"flips": 0.5}, "flips: expected a probability"),
        ({"cells": []}, "at least one teacher and one pair"),
        ({"cells": [(400, 300)]}, "n \\+ N < 600"),
        ({"labels": np.full(600, 2.0)}, "labels: expected 0 and 1"),
        ({"weak": {"short": np.ones((5, 2))}}, r"weak\['short'\]: expected 600 rows"),
        ({"penalty": 0.0}, "penalty"),
        ({"trials": 0}, "trials"),
    ],
)
def test_mistakes_are_named(changes, message):
    weak, strong, labels = problem()
    arguments = {"weak": weak, "strong": strong, "labels": labels, "cells": [(20, 20)]}
    arguments |= {"flips": 0.1, "trials": 2, "rng": np.random.default_rng(0)} | changes
    with pytest.raises(ValueError, match=message):
        probes.run(**arguments)


def test_soft_labels_are_probabilities():
    with pytest.raises(ValueError, match=r"probabilities: expected numbers in \[0, 1\]"):
        probes.fit_logistic(np.ones((2, 1)), [0.0, 1.5])
