"""Estimates from labels: bias and coverage in the Gaussian model, invariance, mistakes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2s_utils import geometry
from w2s_utils.gaussian import GaussianModel
from w2s_utils.least_squares import Moments
from w2s_utils.theory import risks, subspaces

D_W, D_S, N_LABELS, INPUTS, SIGMA2 = 12, 8, 80, 1500, 0.3


def model(sigma2=SIGMA2, seed=0):
    weak, strong = subspaces.pair_with_cosines(24, D_W, D_S, np.linspace(0.95, 0.1, D_S))
    theta = np.random.default_rng(seed).standard_normal(24)
    return GaussianModel(weak, strong, theta / np.linalg.norm(theta), sigma2)


def drawn(problem, rng, n=N_LABELS, m=INPUTS):
    inputs = problem.inputs(rng.standard_normal((m, 24)))
    noise = np.sqrt(problem.sigma2) * rng.standard_normal(n)
    features = Moments.of(weak=inputs.weak, strong=inputs.strong)
    return inputs.weak[:n], inputs.strong[:n], inputs.labels[:n] + noise, features


def of_labels(setting):
    """The truth as the estimates describe it: the noise is part of both approximation errors."""
    values = [
        setting.rho_w + setting.sigma2,
        setting.rho_s + setting.sigma2,
        setting.b,
        setting.kappa,
        setting.d_sw,
    ]
    return np.array(values)


@pytest.fixture(scope="module")
def repeated():
    problem, rng = model(), np.random.default_rng(1)
    found = []
    for generator in rng.spawn(300):
        weak, strong, labels, features = drawn(problem, generator)
        found.append(geometry.setting_from_labels(weak, strong, labels, features=features))
    return problem, found


def test_estimates_are_unbiased_to_a_fifth_of_their_spread(repeated):
    problem, found = repeated
    values = np.array([estimate.values for estimate in found])
    bias = (values.mean(axis=0) - of_labels(problem.setting)) / values.std(axis=0)
    # 300 draws: the standard error of each entry is 0.06.
    assert np.all(np.abs(bias) < 0.2 + 4 * 0.06), bias


def test_standard_errors_are_the_spread(repeated):
    _, found = repeated
    spread = np.std([estimate.values for estimate in found], axis=0)
    claimed = np.mean([np.sqrt(np.diag(estimate.covariance)) for estimate in found], axis=0)
    np.testing.assert_allclose(claimed, spread, rtol=0.3)


def test_predicted_intervals_cover(repeated):
    problem, found = repeated
    setting = problem.setting
    n, N = 100, 80
    noisy = risks.Setting(D_W, D_S, setting.d_sw, 0.0, *of_labels(setting)[:4])
    exact = risks.exact(noisy, n, N)
    truth = {
        "teacher": exact.teacher,
        "student": exact.student,
        "baseline": exact.baseline,
        "ceiling": exact.ceiling,
        "pgr": exact.pgr,
        "gain": exact.teacher - exact.student,
        "misfit": risks.misfit(noisy, n, N),
    }
    rng = np.random.default_rng(2)
    covered = dict.fromkeys(truth, 0)
    for estimate in found[:120]:
        problems = risks.Setting.stack(estimate.settings(100, rng))
        predicted = geometry.expected_risks_and_ratios(problems, n, N)
        for name, value in truth.items():
            low, high = np.nanquantile(predicted[name], [0.025, 0.975])
            covered[name] += low <= value <= high
    # Nominal 114 of 120; five binomial standard deviations, and two for the approximation.
    assert min(covered.values()) >= 97, covered


def test_control_intervals_miss_another_problem(repeated):
    _, found = repeated
    other = of_labels(model(sigma2=2.0).setting)[0]
    inside = [abs(e.values[0] - other) < 2 * e.standard_error("rho_w") for e in found]
    assert np.mean(inside) < 0.05


def test_exact_for_a_target_within_both_spans():
    problem = model(sigma2=0.0)
    inside = problem.strong_basis[:, :1] + 0.0
    weak = np.hstack([problem.weak_basis[:, 1:], inside])
    weak = np.linalg.qr(weak)[0]
    shared = GaussianModel(weak, problem.strong_basis, inside[:, 0], 0.0)
    rng = np.random.default_rng(3)
    w, s, y, features = drawn(shared, rng)
    found = geometry.setting_from_labels(w, s, y, features=features)
    np.testing.assert_allclose(found.values[:4], 0, atol=1e-12)


@given(seed=st.integers(0, 10**6))
def test_coordinates_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    w, s, y, features = drawn(model(), rng, m=300)
    left, right = rng.standard_normal((D_W, D_W)), rng.standard_normal((D_S, D_S))
    change = np.zeros((D_W + D_S,) * 2)
    change[:D_W, :D_W], change[D_W:, D_W:] = left, right
    turned = Moments(features.count, change.T @ features.matrix @ change, features.blocks)
    one = geometry.setting_from_labels(w, s, y, features=features)
    two = geometry.setting_from_labels(w @ left, s @ right, y, features=turned)
    worst = max(np.linalg.cond(left), np.linalg.cond(right))
    np.testing.assert_allclose(one.values, two.values, rtol=1e-12 * worst**2, atol=1e-12)
    np.testing.assert_allclose(one.covariance, two.covariance, rtol=1e-11 * worst**2, atol=1e-12)


def test_several_tasks_are_averaged():
    w, s, y, features = drawn(model(), np.random.default_rng(4))
    both = geometry.setting_from_labels(w, s, np.column_stack([y, 2 * y]), features=features)
    one = geometry.setting_from_labels(w, s, y, features=features)
    np.testing.assert_allclose(both.values[:4], 2.5 * one.values[:4])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n": D_W + D_S + 1}, "labels: expected at least 22"),
        ({"columns": 3}, "features: expected 3 columns in block weak"),
        ({"m": D_W + D_S + 1, "few": True}, "features: expected at least 22"),
        ({"flat": True}, "weak: expected full column rank"),
    ],
)
def test_mistakes_are_named(changes, message):
    w, s, y, features = drawn(model(), np.random.default_rng(7))
    n = changes.get("n", N_LABELS)
    if "few" in changes:
        m = changes["m"]
        features = Moments(m, features.matrix, features.blocks)
    if "flat" in changes:
        w = np.zeros_like(w)
        features = Moments.of(weak=np.zeros((INPUTS, D_W)), strong=np.ones((INPUTS, D_S)))
    with pytest.raises(ValueError, match=message):
        geometry.setting_from_labels(
            w[:n, : changes.get("columns")], s[:n], y[:n], features=features
        )


def test_unknown_quantities_are_named():
    w, s, y, features = drawn(model(), np.random.default_rng(8))
    found = geometry.setting_from_labels(w, s, y, features=features)
    with pytest.raises(ValueError, match="quantity: expected one of rho_w"):
        found.standard_error("sigma2")
