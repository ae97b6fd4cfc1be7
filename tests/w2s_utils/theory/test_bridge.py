"""Expected misfit and gain against the exact law, and their consistency with the four risks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from w2s_utils import checks, gaussian
from w2s_utils.theory import bridge, laws, risks, subspaces
from w2s_utils.theory.risks import Setting

PROPERTY = settings(derandomize=True, database=None, deadline=None, max_examples=40)


def problem(rng, length=0.3):
    d_w, d_s = (int(rng.integers(2, 9)) for _ in range(2))
    weak, strong = subspaces.pair_with_cosines(20, d_w, d_s, rng.random(min(d_w, d_s)), rng)
    return weak, strong, length * rng.standard_normal(20)


@PROPERTY
@given(seed=st.integers(0, 2**32 - 1))
def test_gain_is_the_difference_of_the_risks_and_xi_the_inner_product(seed):
    weak, strong, theta = problem(np.random.default_rng(seed))
    setting = laws.Canonical.from_bases(weak, strong, theta, 0.5).setting
    n, N = np.array([[12], [40]]), np.array([11, 30, 400])
    gain = risks.teacher(setting, n) - risks.student(setting, n, N)
    assert_allclose(bridge.gain(setting, n, N), gain, atol=1e-12)

    def outside(vector):
        return vector - strong @ (strong.T @ vector)

    xi = outside(weak @ (weak.T @ theta)) @ outside(theta)
    assert bridge.out_of_reach(setting) == pytest.approx(xi, abs=1e-12)


def test_misfit_and_gain_are_the_means_of_the_exact_law():
    rng = np.random.default_rng(3)
    weak, strong, theta = problem(rng)
    canonical = laws.Canonical.from_bases(weak, strong, theta, 0.5)
    draws = laws.sample(canonical, 40, 30, 20000, rng)
    for values, function in ((draws.misfit, bridge.misfit), (draws.gain, bridge.gain)):
        expected = float(function(canonical.setting, 40, 30))
        check = checks.mean_equals(
            values.mean(),
            expected,
            standard_error=values.std(ddof=1) / np.sqrt(values.size),
            trials=values.size,
            resolution=0.1 * abs(expected) + 0.02,
        )
        assert check.verdict == "passed", check.detail


def test_in_sample_the_gain_is_the_misfit_in_every_run_and_its_mean_is_known():
    rng = np.random.default_rng(4)
    weak, strong, _ = problem(rng)
    model = gaussian.GaussianModel(weak, strong, strong @ rng.standard_normal(strong.shape[1]), 0.5)
    n, N = weak.shape[1] + 12, strong.shape[1] + 6
    result = gaussian.simulate(model, n, N, 3000, rng, evaluate="unlabelled")
    assert_allclose(result.gain, result.misfit, atol=1e-10)
    estimate = result.mean("misfit")
    expected = float(bridge.misfit_in_sample(model.setting, n, N))
    assert abs(estimate.value - expected) < 5 * estimate.standard_error


@pytest.mark.parametrize(("d_s", "N"), [(1, 3), (4, 9), (10, 400)])
def test_factors_turn_expected_misfit_into_expected_gain(d_s, N):
    setting = Setting(12, d_s, 0.5, 1.0)
    gain = bridge.gain(setting, 20, N)
    assert_allclose(bridge.gain_per_misfit(d_s, N) * bridge.misfit(setting, 20, N), gain)
    inside = bridge.gain_per_misfit(d_s, N, in_sample=True)
    assert_allclose(inside * bridge.misfit_in_sample(setting, 20, N), gain, atol=1e-12)


def test_the_factor_changes_sign_at_twice_the_dimension_and_tends_to_one():
    assert bridge.gain_per_misfit(7, 15) == 0
    assert bridge.gain_per_misfit(7, 14) < 0 < bridge.gain_per_misfit(7, 16)
    assert bridge.gain_per_misfit(7, 10**9) == pytest.approx(1)


def test_impossible_settings_and_small_sizes_are_refused():
    with pytest.raises(ValueError, match=r"sides of a triangle.*Canonical\.setting"):
        bridge.gain(Setting(5, 4, 1.0, 1.0, rho_s=1.0), 20, 20)
    with pytest.raises(ValueError, match=r"N: expected at least 6 .*finite"):
        bridge.gain_per_misfit(4, 5)
    with pytest.raises(ValueError, match=r"N: expected at least 4"):
        bridge.misfit_in_sample(Setting(5, 4, 1.0, 1.0), 20, 3)
    with pytest.raises(ValueError, match=r"n: expected at least 7"):
        bridge.misfit(Setting(5, 4, 1.0, 1.0), 6, 20)
