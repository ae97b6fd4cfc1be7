"""Three points, projections onto hulls with their certificate, softmax heads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import special

from w2s_utils.logistic import cross_entropy_head
from w2s_utils.theory import bregman, projection

seeds = st.integers(0, 2**32 - 1)
DRAWS = {
    "squared": (bregman.SQUARED, lambda z: z),
    "KL": (bregman.KL, lambda z: special.softmax(z, axis=-1)),
    "Itakura-Saito": (bregman.ITAKURA_SAITO, np.exp),
    "logistic": (bregman.LOGISTIC, special.expit),
}
every_divergence = pytest.mark.parametrize("name", DRAWS)


def instance(name, seed, k=5, m=12, c=3):
    """Divergence, teacher, models of a hull and a truth in it."""
    rng = np.random.default_rng(seed)
    divergence, shape = DRAWS[name]
    teacher, *models = shape(1.5 * rng.standard_normal((k + 1, m, c)))
    truth = np.tensordot(rng.dirichlet(np.full(k, 0.5)), models, axes=1)
    return divergence, teacher, np.array(models), truth


@every_divergence
@given(seed=seeds)
def test_potential_slope_and_curvature_belong_together(name, seed):
    divergence, shape = DRAWS[name]
    x = shape(np.random.default_rng(seed).standard_normal(5))
    step = 1e-5 * x.min() if name != "squared" else 1e-5
    for function, derivative in (
        (divergence.potential, divergence.slope),
        (divergence.slope, divergence.curvature),
    ):
        numeric = (function(x + step) - function(x - step)) / (2 * step)
        assert_allclose(numeric, derivative(x), rtol=1e-4, atol=1e-6)


MEANS = {  # dual means of many teachers
    "squared": lambda f: f.mean(0),
    "KL": lambda f: special.softmax(np.log(f).mean(0), axis=-1),
    "Itakura-Saito": lambda f: 1 / np.mean(1 / f, axis=0),
    "logistic": lambda f: special.expit(special.logit(f).mean(0)),
}


@every_divergence
@given(seed=seeds)
def test_at_a_posterior_mean_gain_is_misfit_in_both_orders(name, seed):
    divergence, teacher, models, truth = instance(name, seed)
    teachers = [teacher, *models]
    dual, primal = MEANS[name](np.array(teachers)), np.mean(teachers, axis=0)
    gains = [divergence(truth, f) - divergence(truth, dual) for f in teachers]
    misfits = [divergence(dual, f) for f in teachers]
    assert_allclose(np.mean(gains), np.mean(misfits), rtol=1e-9)
    gains = [divergence(f, truth) - divergence(primal, truth) for f in teachers]
    misfits = [divergence(f, primal) for f in teachers]
    assert_allclose(np.mean(gains), np.mean(misfits), rtol=1e-9)


def test_closed_forms():
    p, q = np.array([[0.2, 0.8], [0.5, 0.5]]), np.array([[0.6, 0.4], [0.5, 0.5]])
    assert_allclose(bregman.SQUARED(p, q), 0.16)
    assert_allclose(bregman.KL(p, q), special.kl_div(p, q).sum() / 2)
    one_hot = np.eye(2)
    assert_allclose(bregman.KL(one_hot, q), -np.log([0.6, 0.5]).mean())
    assert_allclose(bregman.LOGISTIC([1.0, 0.0], [0.6, 0.9]), -np.log([0.6, 0.1]).mean())
    assert_allclose(bregman.ITAKURA_SAITO([2.0], [4.0]), 0.5 - np.log(0.5) - 1)
    assert_allclose(bregman.ITAKURA_SAITO(3 * p, 3 * q), bregman.ITAKURA_SAITO(p, q), atol=1e-15)


@every_divergence
@given(seed=seeds)
def test_gain_is_at_least_the_misfit_up_to_the_certificate(name, seed):
    divergence, teacher, models, truth = instance(name, seed)
    student = bregman.onto_hull(divergence, teacher, models)
    assert student.gap <= 1e-9
    assert_allclose(student.weights.sum(), 1)
    assert student.weights.min() >= 0
    terms = bregman.three_points(divergence, truth, teacher, student.values)
    slack = 1e-12 * (1 + terms.teacher_error)
    assert_allclose(terms.gain, terms.misfit + terms.cross, atol=slack)
    assert terms.gain >= terms.misfit - student.gap - slack


@every_divergence
@given(seed=seeds)
def test_certificate_bounds_the_loss_of_every_mixture(name, seed):
    divergence, teacher, models, truth = instance(name, seed)
    rough = np.tensordot(np.full(5, 0.2), models, axes=1)
    gap = bregman.gap_over(divergence, teacher, rough, models)
    assert divergence(truth, teacher) >= divergence(rough, teacher) - gap - 1e-12
    best = bregman.onto_hull(divergence, teacher, models)
    assert_allclose(bregman.gap_over(divergence, teacher, best.values, models), best.gap, atol=1e-9)
    # The least cross term over the hull is minus the gap, at a corner.
    cross = [bregman.three_points(divergence, f, teacher, rough).cross for f in models]
    assert_allclose(min(cross), -gap, rtol=1e-9, atol=1e-12)


@given(seed=seeds)
def test_squared_loss_agrees_with_the_projection(seed):
    divergence, teacher, models, _ = instance("squared", seed, c=1)
    student = bregman.onto_hull(divergence, teacher[:, 0], models[..., 0])
    exact = projection.onto_hull(teacher[:, 0], models[..., 0].T)
    assert_allclose(student.values, exact.values, atol=1e-7)


@given(seed=seeds)
def test_cross_entropy_meets_its_own_conditions_but_not_the_theorem(seed):
    divergence, teacher, models, _ = instance("KL", seed)
    student = bregman.onto_hull(divergence, teacher, models, first="teacher")
    ratio = np.sum(models * teacher / student.values, axis=(1, 2)) / len(teacher)
    assert ratio.max() <= 1 + 1e-6
    assert student.loss <= min(divergence(teacher, f) for f in models) + 1e-9


def test_cross_entropy_violates_the_inequality_somewhere():
    short = []
    for seed in range(60):
        divergence, teacher, models, truth = instance("KL", seed, m=30)
        student = bregman.onto_hull(divergence, teacher, models, first="teacher")
        terms = bregman.three_points(divergence, truth, teacher, student.values)
        short.append(terms.misfit - terms.gain)
    assert np.sum(np.array(short) > 1e-3) >= 3


@given(seed=seeds)
def test_softmax_heads_satisfy_the_dual_identity(seed):
    rng = np.random.default_rng(seed)
    phi = rng.standard_normal((40, 3))
    teacher = special.softmax(rng.standard_normal((40, 4)), axis=1)
    student = cross_entropy_head(phi, teacher).probabilities(phi)
    assert_allclose(phi.T @ (student - teacher), 0, atol=1e-5)
    truth = special.softmax(phi @ rng.standard_normal((3, 4)), axis=1)
    gain = bregman.KL(teacher, truth) - bregman.KL(student, truth)
    assert_allclose(gain, bregman.KL(teacher, student), atol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p, m: bregman.KL(p, p[:2]), "second: expected shape"),
        (lambda p, m: bregman.KL(p, 0 * p), r"second: .*inside \(0, inf\), got 0; smooth"),
        (lambda p, m: bregman.KL(-p, p), "first: .* from 0 to inf"),
        (lambda p, m: bregman.ITAKURA_SAITO(0 * p, p), "first: .*Itakura-Saito"),
        (lambda p, m: bregman.LOGISTIC(p, p + 1), "second: the logistic divergence"),
        (lambda p, m: bregman.three_points(bregman.KL, p, p * np.nan, p), "teacher: .*NaN"),
        (lambda p, m: bregman.three_points(bregman.KL, p, p, p[:2]), "student: expected shape"),
        (lambda p, m: bregman.onto_hull(bregman.KL, p, m[:, :2]), "models: expected"),
        (lambda p, m: bregman.onto_hull(bregman.KL, p, m[0]), "models: expected"),
        (lambda p, m: bregman.onto_hull(bregman.KL, p, m, first="truth"), "first: expected"),
        (
            lambda p, m: bregman.onto_hull(bregman.ITAKURA_SAITO, p, m, first="teacher"),
            "not convex in its second place",
        ),
        (lambda p, m: bregman.gap_over(bregman.KL, p, p[:2], m), "student: expected shape"),
    ],
)
def test_bad_input(call, message):
    _, teacher, models, _ = instance("KL", 0)
    with pytest.raises(ValueError, match=message):
        call(teacher, models)


def test_missing_certificate_is_an_error():
    divergence, teacher, models, _ = instance("KL", 0)
    with pytest.raises(RuntimeError, match="Frank-Wolfe gap"):
        bregman.onto_hull(divergence, teacher, models, tolerance=-1.0)
