"""Expected risks, misfit and gain: closed forms, limits, the papers' bounds, published values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from w2s_utils import checks, gaussian
from w2s_utils.gaussian import authors_model
from w2s_utils.theory import laws, risks, subspaces
from w2s_utils.theory.risks import Setting

WELL_SPECIFIED = Setting(d_w=6, d_s=4, d_sw=2.5, sigma2=0.3)
MISSPECIFIED = Setting(
    d_w=6, d_s=4, d_sw=2.5, sigma2=0.3, rho_w=0.5, rho_s=0.7, b=0.2, kappa=0.4, residual=0.3
)


@st.composite
def well_specified(draw):
    d_w, d_s = draw(st.integers(1, 50)), draw(st.integers(1, 50))
    overlap = draw(st.floats(0, 1)) * min(d_w, d_s)
    return Setting(d_w=d_w, d_s=d_s, d_sw=overlap, sigma2=draw(st.floats(0.01, 10)))


@pytest.mark.parametrize(
    ("d_sw", "sigma2", "n", "N", "pgr", "opr"),
    [
        (10, 1e-2, 2000, 4000, 0.855, 1.48),
        (50, 1e-2, 2000, 4000, 0.684, 0.995),
        (90, 1e-2, 2000, 4000, 0.531, 0.804),
        (10, 1e-2, 400, 4000, 0.923, 3.17),
        (10, 1e-2, 2000, 400, 0.719, 0.783),
        (90, 4e-4, 2000, 4000, -0.026, 0.340),
    ],
)
def test_values_for_the_authors_model(d_sw, sigma2, n, N, pgr, opr):
    found = risks.exact(authors_model(d_sw, sigma2).setting, n, N)
    assert found.pgr == pytest.approx(pgr, abs=6e-4)
    assert found.opr == pytest.approx(opr, rel=4e-3)


@pytest.mark.parametrize(("d_sw", "rho_w"), [(10, 2.56e-4), (50, 2.34e-4), (90, 1.64e-4)])
def test_approximation_errors_of_the_authors_model(d_sw, rho_w):
    setting = authors_model(d_sw, 1e-2).setting
    assert setting.d_sw == pytest.approx(d_sw)
    assert setting.rho_w == pytest.approx(rho_w, rel=3e-3)
    assert setting.rho_s == pytest.approx(5.48e-5, rel=2e-3)


def test_risks_by_hand():
    found = risks.exact(MISSPECIFIED, n=15, N=13)
    tau, r = 0.8 / 8, 4 / 8
    assert found.teacher == pytest.approx(0.5 + tau * 6)
    assert found.student == pytest.approx(0.7 + 0.2 + tau * (2.5 + 3.5 * r) + r * 0.4)
    assert found.baseline == pytest.approx(0.7 + 4 * 1.0 / 10)
    assert found.ceiling == pytest.approx(0.7 + 4 * 1.0 / 23)
    assert found.pgr == pytest.approx(
        (found.teacher - found.student) / (found.teacher - found.ceiling)
    )
    assert found.opr == pytest.approx(found.baseline / found.student)


def test_student_variance_splits_into_inherited_and_reduced():
    inherited, reduced = risks.student_variance(WELL_SPECIFIED, 15, 13)
    assert inherited == pytest.approx(0.3 / 8 * 2.5)
    assert reduced == pytest.approx(0.3 / 8 * 3.5 * 0.5)
    assert risks.student(WELL_SPECIFIED, 15, 13) == pytest.approx(inherited + reduced)


def test_all_risks_broadcast_over_n_and_N():
    n, N = np.array([[20], [40]]), np.array([10, 100, 1000])
    grid = risks.exact(MISSPECIFIED, n, N)
    assert grid.student.shape == grid.ceiling.shape == (2, 3)
    assert grid.student[1, 2] == pytest.approx(risks.exact(MISSPECIFIED, 40, 1000).student)
    bounds = risks.authors_bounds(MISSPECIFIED, n, N)
    assert bounds.student.shape == risks.student_in_sample(MISSPECIFIED, n, N).shape == (2, 3)
    assert risks.authors_pgr_bound(MISSPECIFIED, n, N).shape == (2, 3)


def test_many_problems_at_once_are_each_of_them():
    other = Setting(6, 4, d_sw=4.0, sigma2=0.0, rho_w=0.1, rho_s=0.2, b=0.05)
    settings, n, N = [WELL_SPECIFIED, MISSPECIFIED, other], [12, 20], np.array([9, 1000])
    every = Setting.stack(settings)

    def answers(s):
        found = risks.exact(s, n, N)
        told = [found.teacher, found.student, found.baseline, found.ceiling, found.pgr]
        told += [
            risks.misfit(s, n, N),
            risks.student_in_sample(s, n, N),
            *risks.student_variance(s, n, N),
        ]
        return told

    for row, one in enumerate(settings):
        for column, single in zip(answers(every), answers(one), strict=True):
            assert_allclose(column[row], single, rtol=1e-14)
    assert_allclose(
        risks.out_of_reach(Setting.stack([WELL_SPECIFIED, WELL_SPECIFIED])), np.zeros((2, 1))
    )
    for wrong in ([], [WELL_SPECIFIED, Setting(6, 5, 1, 0.3)]):
        with pytest.raises(ValueError, match="settings: expected some, with one d_w"):
            Setting.stack(wrong)


@given(setting=well_specified(), spare=st.integers(1, 200))
def test_recovery_tends_to_the_share_outside_the_overlap(setting, spare):
    n = max(setting.d_w, setting.d_s) + 1 + spare
    limit = 1 - setting.d_sw / setting.d_w
    assert risks.exact(setting, n, np.inf).pgr == pytest.approx(limit, abs=1e-9)
    assert risks.exact(setting, n, 1e9).pgr == pytest.approx(limit, abs=1e-3)


@given(setting=well_specified(), spare=st.integers(1, 50), excess=st.integers(1, 50))
def test_the_student_wins_just_above_twice_its_dimension(setting, spare, excess):
    n, even = setting.d_w + 1 + spare, 2 * setting.d_s + 1
    gain = risks.teacher(setting, n) - risks.student(setting, n, even + np.array([0, excess]))
    scale = risks.teacher(setting, n)
    assert gain[0] == pytest.approx(0, abs=1e-12 * scale)
    if setting.d_w - setting.d_sw > 1e-6:
        assert gain[1] > 0
        if setting.d_s > 1:
            assert risks.student(setting, n, even - 1) > scale


@given(setting=well_specified(), spare=st.integers(1, 50), pseudo=st.integers(0, 50))
def test_in_sample_variance_is_below_the_fresh_one(setting, spare, pseudo):
    n, N = setting.d_w + 1 + spare, setting.d_s + 2 + pseudo
    fresh, sample = risks.student(setting, n, N), risks.student_in_sample(setting, n, N)
    assert sample <= fresh * (1 + 1e-12)
    # In sample the authors' bound is attained.
    assert sample == pytest.approx(risks.authors_bounds(setting, n, N).student)


def test_in_sample_by_hand_and_with_no_spare_pseudo_label():
    found = risks.student_in_sample(MISSPECIFIED, 15, 10)
    assert found == pytest.approx(0.7 * 0.6 + 0.2 + 0.4 * 0.3 + 0.1 * (2.5 + 3.5 * 0.4))
    # With N = d_s the student interpolates the teacher; b + residual is rho_w here.
    assert risks.student_in_sample(MISSPECIFIED, 15, 4) == pytest.approx(
        risks.teacher(MISSPECIFIED, 15)
    )


def test_authors_bounds_by_hand():
    found = risks.authors_bounds(MISSPECIFIED, 15, 10)
    dimension = 2.5 + 3.5 * 0.4
    assert found.student == pytest.approx(0.3 / 8 * dimension + 1.2)
    assert found.teacher == pytest.approx(0.3 * 6 / 15 + 0.5)
    assert found.baseline == pytest.approx(0.3 * 4 / 15 + 0.7)
    assert found.ceiling == pytest.approx(0.3 * 4 / 25 + 0.7)
    pgr = 1 - 15 / 8 * dimension / 6 - 15 / 6 * 1.2 / 0.3
    opr = 1 / (15 / 8 * dimension / 4 + 15 / 4 * 1.2 / 0.3)
    assert risks.authors_pgr_bound(MISSPECIFIED, 15, 10) == pytest.approx(pgr)
    assert risks.authors_opr_bound(MISSPECIFIED, 15, 10) == pytest.approx(opr)


def test_authors_bounds_peak_where_derived():
    setting = Setting(d_w=20, d_s=10, d_sw=3, sigma2=1.0, rho_w=1e-4, rho_s=2e-4)
    N, n = 500, np.arange(22, 2000)
    dimension = 3 + 17 * 10 / N
    peak = 21 + np.sqrt(dimension * 21 / 3e-4)
    for bound in (risks.authors_pgr_bound, risks.authors_opr_bound):
        assert abs(n[np.argmax(bound(setting, n, N))] - peak) <= 1


def test_bias_can_exceed_the_sum_of_the_approximation_errors():
    """V_w inside V_s: the student is the teacher in law, and its variance includes rho_w."""
    setting = Setting(d_w=2, d_s=4, d_sw=2, sigma2=0.0, rho_w=1.0, rho_s=0.0, b=1.0)
    assert risks.student(setting, 10, 50) == pytest.approx(risks.teacher(setting, 10))
    assert risks.student(setting, 10, 50) > risks.authors_bounds(setting, 10, 50).student


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: risks.teacher(s, 4), "norm2: with fewer rows than dimensions.*give it in"),
        (lambda s: risks.student(s, 8, 3), "norm2: with fewer rows than dimensions"),
        (lambda s: risks.teacher(s, np.nan), r"n: expected at least 1 \(rows\), got nan"),
        (lambda s: risks.teacher(s, "20"), "n: expected real numbers"),
        (lambda s: risks.teacher(s, 20j), "n: expected real numbers"),
        (lambda s: risks.baseline(s, 0), "n: expected at least 1"),
        (lambda s: risks.student(s, 8, [10, 0]), "N: expected at least 1 .*got 0"),
        (lambda s: risks.student_factor(s, 5), r"N: expected at least 6 \(.*infinite\), got 5"),
        (lambda s: risks.gain(s, 7, 100), "n: expected at least 8"),
        (lambda s: Setting(6, 4, 1, 1.0, rho_w=0.5, norm2=0.4), "norm2: expected at least rho_w"),
        (lambda s: risks.student_in_sample(s, 8, 3), "N: expected at least 4"),
        (lambda s: risks.authors_bounds(s, 8, 0), "N: expected at least 1"),
        (lambda s: risks.authors_pgr_bound(s, 7, 9), "n: expected at least 8"),
        (lambda s: risks.authors_opr_bound(s, 9, object()), "N: expected real numbers"),
        (lambda s: risks.authors_pgr_bound(Setting(6, 4, 1, 0.0), 9, 9), "sigma2: .*got 0"),
        (lambda s: Setting(0, 4, 0, 1.0), "d_w: expected at least 1"),
        (lambda s: Setting(6, np.nan, 0, 1.0), "d_s: expected at least 1"),
        (lambda s: Setting(6, 4, 4.1, 1.0), r"d_sw: expected 0 to min\(d_w, d_s\) = 4"),
        (lambda s: Setting(6, 4, np.nan, 1.0), "d_sw: .*got nan"),
        (lambda s: Setting(6, 4, "1", 1.0), "d_sw: expected real numbers"),
        (lambda s: Setting(6, 4, 1, -1.0), "sigma2: expected a finite number, at least 0"),
        (lambda s: Setting(6, 4, 1, 1.0, rho_w=np.inf), "rho_w: expected a finite number"),
        (lambda s: Setting(6, 4, 1, 1.0, kappa="0"), "kappa: expected real numbers"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(WELL_SPECIFIED)


def minimum_norm_risks(weak, strong, theta, sigma2, n, N, trials, rng):
    """Risks of the four models by pseudo-inverses, shape (4, trials); no code of the library."""
    labelled = rng.standard_normal((trials, n, len(theta)))
    unlabelled = rng.standard_normal((trials, N, len(theta)))
    noise = np.sqrt(sigma2) * rng.standard_normal((trials, n + N))
    every = np.concatenate([labelled, unlabelled], axis=1)

    def fit(basis, inputs, labels):
        return np.einsum("ij,tjk,tk->ti", basis, np.linalg.pinv(inputs @ basis), labels)

    teacher = fit(weak, labelled, labelled @ theta + noise[:, :n])
    pseudo = np.einsum("tij,tj->ti", unlabelled, teacher)
    found = (
        teacher,
        fit(strong, unlabelled, pseudo),
        fit(strong, labelled, labelled @ theta + noise[:, :n]),
        fit(strong, every, every @ theta + noise),
    )
    return np.array([np.sum((each - theta) ** 2, axis=1) for each in found])


@pytest.mark.parametrize(("d_w", "d_s"), [(9, 6), (6, 9)])
@pytest.mark.parametrize(("n", "N"), [(2, 3), (3, 20), (20, 2), (20, 18)])
def test_exact_risks_on_both_sides_of_both_peaks(d_w, d_s, n, N):
    rng = np.random.default_rng([d_w, d_s, n, N])
    weak, strong = subspaces.pair_with_cosines(20, d_w, d_s, np.linspace(1, 0, 6), rng)
    theta = rng.standard_normal(20) / 3
    found = minimum_norm_risks(weak, strong, theta, 0.4, n, N, 6000, rng)
    setting = gaussian.GaussianModel(weak, strong, theta, 0.4).setting
    exact = risks.exact(setting, n, N)
    error = found.std(axis=1, ddof=1) / np.sqrt(found.shape[1])
    for role, name in enumerate(("teacher", "student", "baseline", "ceiling")):
        if np.isfinite(wanted := float(getattr(exact, name))):
            assert abs(found[role].mean() - wanted) < 5 * error[role], name
            # A quarter more or less would have been seen.
            assert error[role] < 0.05 * wanted, name
        else:
            assert abs(n + (N if name == "ceiling" else 0) - d_s) < 2


def minimum_norm_moments(target_second, d, m, noise):
    """Mean's factor, and second moment, of a minimum-norm fit of a random target: by hand."""
    length = np.trace(target_second)
    if m > d:
        return 1.0, target_second + noise / (m - d - 1) * np.eye(d)
    B = m * (d - m) / (d * (d - 1) * (d + 2))
    ball = (B * length + noise * m / (d * (d - m - 1))) * np.eye(d)
    return m / d, (m / d - B * d) * target_second + ball


@given(seed=st.integers(0, 1000), n=st.integers(1, 30), N=st.integers(1, 30))
def test_exact_risks_are_those_of_the_moments_of_minimum_norm_fits(seed, n, N):
    rng = np.random.default_rng(seed)
    weak, strong = subspaces.pair_with_cosines(18, 8, 6, rng.uniform(size=6), rng)
    theta = rng.standard_normal(18)
    exact = risks.exact(gaussian.GaussianModel(weak, strong, theta, 0.3).setting, n, N)
    if abs(n - 8) < 2:
        assert exact.teacher == exact.student == np.inf
        return
    alpha, beta, cross = weak.T @ theta, strong.T @ theta, strong.T @ weak
    rho_w, rho_s = theta @ theta - alpha @ alpha, theta @ theta - beta @ beta
    kept, second = minimum_norm_moments(np.outer(alpha, alpha), 8, n, 0.3 + rho_w)
    teacher = rho_w + np.trace(second) + (1 - 2 * kept) * alpha @ alpha
    assert_allclose(exact.teacher, teacher, rtol=1e-9)
    if abs(N - 6) < 2:
        assert exact.student == np.inf
        return
    taught = cross @ second @ cross.T
    learnt, second = minimum_norm_moments(taught, 6, N, np.trace(second) - np.trace(taught))
    product = learnt * kept * (cross @ alpha) @ beta
    assert_allclose(exact.student, rho_s + np.trace(second) - 2 * product + beta @ beta, rtol=1e-9)


def test_the_risk_is_infinite_at_three_sizes_only_and_broadcasts():
    setting = Setting(6, 4, 2.5, 0.3, rho_w=0.5, rho_s=0.7, b=0.2, kappa=0.4, norm2=2.0)
    n, N = np.arange(1, 15), np.arange(1, 12)[:, None]
    exact = risks.exact(setting, n, N)
    assert_allclose(np.isinf(exact.teacher), np.abs(n - 6) < 2)
    assert_allclose(np.isinf(exact.baseline), np.abs(n - 4) < 2)
    assert_allclose(np.isinf(exact.ceiling), np.abs(n + N - 4) < 2)
    assert_allclose(np.isinf(exact.student), (np.abs(n - 6) < 2) | (np.abs(N - 4) < 2))
    assert not np.any(np.isnan(exact.student))


@pytest.mark.parametrize("N", [3, 4, 5, 6])
def test_without_noise_no_fit_is_infinitely_bad(N):
    """V_w inside V_s: the student copies its teacher from d_s pseudo-labels on."""
    setting = Setting(3, 4, 3, 0.5, rho_w=0.2, b=0.2, norm2=1.0)
    student, teacher = risks.student(setting, 9, N), risks.teacher(setting, 9)
    assert np.isfinite(student)
    assert (student == pytest.approx(teacher)) == (N >= 4)
    silent = Setting(3, 4, 1, 0.0, norm2=1.0)
    assert_allclose(risks.teacher(silent, [1, 2, 3, 4, 5]), [2 / 3, 1 / 3, 0, 0, 0])


def test_unequal_variances_have_no_exact_risk_below_the_peak():
    with pytest.raises(ValueError, match=r"norm2.*equal variance.*ridge"):
        risks.exact(authors_model(10, 1e-2).setting, 100, 4000)


def problem(rng, length=0.3):
    d_w, d_s = (int(rng.integers(2, 9)) for _ in range(2))
    weak, strong = subspaces.pair_with_cosines(20, d_w, d_s, rng.random(min(d_w, d_s)), rng)
    return weak, strong, length * rng.standard_normal(20)


@given(seed=st.integers(0, 2**32 - 1))
def test_gain_is_the_difference_of_the_risks_and_xi_the_inner_product(seed):
    weak, strong, theta = problem(np.random.default_rng(seed))
    setting = laws.Canonical.from_bases(weak, strong, theta, 0.5).setting
    n, N = np.array([[12], [40]]), np.array([11, 30, 400])
    gain = risks.teacher(setting, n) - risks.student(setting, n, N)
    assert_allclose(risks.gain(setting, n, N), gain, atol=1e-12)

    def outside(vector):
        return vector - strong @ (strong.T @ vector)

    xi = outside(weak @ (weak.T @ theta)) @ outside(theta)
    assert risks.out_of_reach(setting) == pytest.approx(xi, abs=1e-12)


def test_misfit_and_gain_are_the_means_of_the_exact_law():
    rng = np.random.default_rng(3)
    weak, strong, theta = problem(rng)
    canonical = laws.Canonical.from_bases(weak, strong, theta, 0.5)
    draws = laws.sample(canonical, 40, 30, 20000, rng)
    for values, function in ((draws.misfit, risks.misfit), (draws.gain, risks.gain)):
        expected = float(function(canonical.setting, 40, 30))
        check = checks.mean_equals(
            values.mean(),
            expected,
            standard_error=values.std(ddof=1) / np.sqrt(values.size),
            trials=values.size,
            unit="squared units of the target",
            against={"a tenth more": 1.1 * expected + 0.02},
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
    expected = float((1 - model.setting.d_s / N) * risks.limiting_misfit(model.setting, n))
    assert abs(estimate.value - expected) < 5 * estimate.standard_error


@pytest.mark.parametrize(("d_s", "N"), [(1, 3), (4, 9), (10, 400)])
def test_factors_turn_expected_misfit_into_expected_gain(d_s, N):
    setting = Setting(12, d_s, 0.5, 1.0)
    gain = risks.gain(setting, 20, N)
    assert_allclose(risks.gain_per_misfit(d_s, N) * risks.misfit(setting, 20, N), gain)
    inside = risks.gain_per_misfit(d_s, N, in_sample=True)
    misfit = (1 - d_s / N) * risks.limiting_misfit(setting, 20)
    assert_allclose(inside * misfit, gain, atol=1e-12)


def test_the_factor_changes_sign_at_twice_the_dimension_and_tends_to_one():
    assert risks.gain_per_misfit(7, 15) == 0
    assert risks.gain_per_misfit(7, 14) < 0 < risks.gain_per_misfit(7, 16)
    assert risks.gain_per_misfit(7, 10**9) == pytest.approx(1)


def test_impossible_settings_and_small_sizes_are_refused():
    with pytest.raises(ValueError, match=r"sides of a triangle.*Canonical\.setting"):
        risks.gain(Setting(5, 4, 1.0, 1.0, rho_s=1.0), 20, 20)
    with pytest.raises(ValueError, match=r"N: expected at least 6 .*finite"):
        risks.gain_per_misfit(4, 5)
    with pytest.raises(ValueError, match=r"N: expected at least 4"):
        risks.student_in_sample(Setting(5, 4, 1.0, 1.0), 20, 3)
    with pytest.raises(ValueError, match=r"n: expected at least 7"):
        risks.misfit(Setting(5, 4, 1.0, 1.0), 6, 20)
