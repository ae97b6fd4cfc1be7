"""Closed forms in n and N against a search over whole numbers, on problems with any angles."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from w2s_utils.gaussian import authors_model
from w2s_utils.theory import laws, risks, scaling, subspaces
from w2s_utils.theory.risks import Setting

LONG = 4000


@st.composite
def problems(draw, lengths=(0.0, 0.01, 0.1, 1.0)):
    """Settings of real problems: misspecified or not, bases at any angles."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    ambient = int(rng.integers(6, 40))
    d_w, d_s = (int(rng.integers(1, ambient // 2)) for _ in range(2))
    weak, strong = subspaces.pair_with_cosines(ambient, d_w, d_s, rng.random(min(d_w, d_s)), rng)
    theta = draw(st.sampled_from(lengths)) * rng.standard_normal(ambient)
    sigma2 = draw(st.sampled_from((0.01, 0.1, 1.0)))
    return laws.Canonical.from_bases(weak, strong, theta, sigma2).setting


def first(numbers, condition):
    return float(numbers[np.argmax(condition)]) if np.any(condition) else math.inf


@given(setting=problems(), n=st.integers(2, 300))
def test_least_pseudo_labels_to_help_is_the_first_that_helps(setting, n):
    n += setting.d_w
    N = np.arange(setting.d_s + 2, LONG)
    # Rounding decides where the expected gain is zero, at N = 2 d_s + 1.
    gain = risks.teacher(setting, n) - risks.student(setting, n, N)
    expected = first(N, gain > 1e-12 * risks.teacher(setting, n))
    least = scaling.pseudo_labels_to_help(setting, n)
    assert least == expected or (math.isinf(expected) and least >= LONG)


@given(setting=problems(), n=st.integers(2, 300), target=st.floats(0.05, 1.2))
def test_pseudo_labels_for_pgr_are_the_first_to_reach_it(setting, n, target):
    n += setting.d_w
    N = np.arange(setting.d_s + 2, LONG)
    teacher, ceiling = risks.teacher(setting, n), risks.ceiling(setting, n, N)
    assume(np.all(teacher > ceiling))
    pgr = (teacher - risks.student(setting, n, N)) / (teacher - ceiling)
    expected = first(N, pgr >= target)
    least = scaling.pseudo_labels_for_pgr(setting, n, target)
    assert least == expected or (math.isinf(expected) and least >= LONG)


@st.composite
def well_specified(draw):
    """A setting within reach of both models, with either of them the larger; n and N."""
    d_w, d_s = draw(st.integers(1, 60)), draw(st.integers(1, 60))
    setting = Setting(d_w, d_s, draw(st.integers(0, min(d_w, d_s))), 1.0)
    n = draw(st.integers(max(d_w, d_s) + 2, 400))
    return setting, n, draw(st.integers(d_s + 2, 600))


@given(case=well_specified())
def test_the_line_is_where_the_corollary_says(case):
    setting, n, N = case
    gain = float(risks.gain(setting, n, N)) / float(risks.teacher(setting, n))
    wanted = (setting.d_w - setting.d_sw) * (N - 2 * setting.d_s - 1)
    assert np.sign(round(gain, 12)) == np.sign(wanted)
    r = float(risks.student_factor(setting, N))
    assert gain == pytest.approx((1 - setting.d_sw / setting.d_w) * (1 - r), abs=1e-12)


@given(case=well_specified())
def test_opr_is_above_the_authors_bound_just_where_the_proposition_says(case):
    setting, n, N = case
    d_s, delta = setting.d_s, setting.d_w - setting.d_sw
    left, right = delta * d_s * (n - d_s - 1), (N - d_s - 1) * (N * setting.d_sw + delta * d_s)
    assume(left != right)
    holds = risks.exact(setting, n, N).opr >= risks.authors_opr_bound(setting, n, N)
    assert bool(holds) == (left < right)
    if n <= N:
        assert left <= right
    if setting.d_sw == 0 and n > N:
        assert left > right


@given(case=well_specified())
def test_bounds_of_pgr_hold_under_the_hypotheses_printed(case):
    setting, n, N = case
    d_w, d_s, delta = setting.d_w, setting.d_s, setting.d_w - setting.d_sw
    exact = risks.exact(setting, n, N)
    assume(exact.ceiling < exact.teacher and 2 * d_s + 1 <= N)
    r = float(risks.student_factor(setting, N))
    assert exact.pgr >= (1 - setting.d_sw / d_w) * (1 - r) - 1e-12
    left = delta * d_s * (d_s + 1) * (n - d_w - 1)
    if left <= (d_w + 1) * (N - d_s - 1) * (N * setting.d_sw + delta * d_s):
        assert exact.pgr >= risks.authors_pgr_bound(setting, n, N) - 1e-12


@given(case=well_specified())
def test_pgr_is_above_its_limit_and_above_one_just_where_the_proposition_says(case):
    setting, n, N = case
    d_w, d_s, exact = setting.d_w, setting.d_s, risks.exact(setting, n, N)
    assume(exact.ceiling < exact.teacher and setting.d_sw < d_w)
    excess = float(exact.pgr) - (1 - setting.d_sw / d_w)
    if abs(excess) > 1e-12:
        assert (excess > 0) == (n > 2 * d_w + 1 and (N - d_s - 1) * (n - 2 * d_w - 1) > n * d_w)
    r = float(risks.student_factor(setting, N))
    surplus = d_s / (n + N - d_s - 1) - float(setting.surviving(r)) / (n - d_w - 1)
    if abs(surplus) > 1e-12:
        assert (float(exact.pgr) > 1) == (surplus > 0)


def test_without_a_ceiling_better_than_the_teacher_pgr_is_not_above_one():
    exact = risks.exact(Setting(5, 50, 0, 1.0), 100, 200)
    assert exact.ceiling > exact.teacher > exact.student
    assert float(exact.pgr) == pytest.approx(-0.239, abs=5e-4)
    assert risks.exact(Setting(20, 10, 5, 1.0), 30, 10**9).pgr == pytest.approx(0.75, rel=1e-6)


@given(setting=problems(), extra=st.integers(1, 300), pseudo=st.integers(2, 2000))
def test_ratios_rise_just_where_the_proposition_on_peaks_says(setting, extra, pseudo):
    n, N = max(setting.d_w, setting.d_s) + 1 + extra, setting.d_s + pseudo
    r = float(risks.student_factor(setting, N))
    noise, z = setting.sigma2 + setting.rho_w, n - setting.d_w - 1
    h, g = N + setting.d_w - setting.d_s, setting.d_w - setting.d_s
    A, s = noise * setting.discrepancy * (1 - r), (setting.sigma2 + setting.rho_s) * setting.d_s
    T, B = noise * float(setting.surviving(r)), setting.rho_s + setting.b + r * setting.kappa
    e, change = B - setting.rho_w, setting.rho_w - setting.rho_s
    exact = risks.exact(setting, n, N)
    gain, gap = A / z - e, noise * setting.d_w / z + change - s / (z + h)
    assert_allclose(gain, exact.teacher - exact.student, rtol=1e-9, atol=1e-12)
    assert_allclose(gap, exact.teacher - exact.ceiling, rtol=1e-9, atol=1e-12)
    assert_allclose([B + T / z, setting.rho_s + s / (z + g)], [exact.student, exact.baseline])
    # The derivatives, by hand, against the conditions.
    gain_slope, gap_slope = -A / z**2, -noise * setting.d_w / z**2 + s / (z + h) ** 2
    rise = z**2 * (gain_slope * gap - gain * gap_slope)
    condition = s * (A * h + e * z * z) / (z + h) ** 2 - (e * noise * setting.d_w + A * change)
    assert_allclose(rise, condition, rtol=1e-6, atol=1e-9 * (1 + abs(condition)))
    student_slope = T / (z * (B * z + T))
    assert_allclose(student_slope, T / z**2 / exact.student, rtol=1e-9)
    baseline_slope = s / ((z + g) * (setting.rho_s * (z + g) + s))
    assert_allclose(baseline_slope, s / (z + g) ** 2 / exact.baseline, rtol=1e-9)


@pytest.mark.parametrize("d_sw", [10, 50, 90])
def test_the_authors_bounds_peak_at_their_formula(d_sw):
    setting = authors_model(d_sw, 1e-2).setting
    n = np.arange(202, 3000)
    surviving = d_sw + (200 - d_sw) * 100 / 4000
    peak = 201 + np.sqrt(surviving * 201 * 1e-2 / (setting.rho_s + setting.rho_w))
    for bound in (risks.authors_pgr_bound, risks.authors_opr_bound):
        assert abs(n[np.argmax(bound(setting, n, 4000))] - peak) <= 1


@pytest.mark.parametrize("d_s", [1, 7, 40])
def test_without_misspecification_the_line_is_at_twice_the_student(d_s):
    setting = Setting(50, d_s, d_s / 2, 1.0)
    assert scaling.pseudo_labels_to_help(setting, 60) == 2 * d_s + 2
    assert scaling.helps(setting, 60, 2 * d_s + 2)
    assert not scaling.helps(setting, 60, 2 * d_s + 1)


def test_no_number_of_pseudo_labels_helps_without_discrepancy():
    assert math.isinf(scaling.pseudo_labels_to_help(Setting(5, 8, 5, 1.0), 60))


PRICES = st.sampled_from([0.05, 0.1, 0.5, 1.0, 2.0])


@given(setting=problems(), price=PRICES, spare=st.floats(0, 300))
def test_no_whole_numbers_within_the_budget_are_better(setting, price, spare):
    budget = setting.d_w + 2 + price * (setting.d_s + 2) + spare
    found = scaling.best_purchase(setting, budget, 1, price)
    assert found.labels + price * found.pseudo_labels <= budget * (1 + 1e-9)
    n = np.arange(setting.d_w + 2, int(budget) + 1)
    N = np.floor((budget - n) / price * (1 + 1e-12))
    n, N = n[setting.d_s + 2 <= N], N[setting.d_s + 2 <= N]
    assert found.student <= risks.student(setting, n, N).min() * (1 + 1e-3)
    assert found.student == pytest.approx(
        float(risks.student(setting, found.labels, found.pseudo_labels))
    )


@given(setting=problems(), price=PRICES, spare=st.floats(0, 300), more=st.integers(0, 400))
def test_labels_that_are_there_are_not_sold(setting, price, spare, more):
    labels = setting.d_w + 2 + more
    budget = price * (setting.d_s + 2) + spare
    found = scaling.best_purchase(setting, budget, 1, price, paid=labels)
    assert found.labels >= labels
    assert found.labels - labels + price * found.pseudo_labels <= budget * (1 + 1e-9)
    n = labels + np.arange(int(spare) + 1)
    N = np.floor((budget - (n - labels)) / price * (1 + 1e-12))
    n, N = n[setting.d_s + 2 <= N], N[setting.d_s + 2 <= N]
    assert found.student <= risks.student(setting, n, N).min() * (1 + 1e-3)
    whole = labels + math.floor(budget * (1 + 1e-12))
    if whole >= setting.d_s + 2:
        assert found.labels_only == float(risks.baseline(setting, whole))


@given(case=well_specified(), price=PRICES, spare=st.floats(1, 1e4))
def test_the_closed_forms_of_the_budget(case, price, spare):
    setting = case[0]
    assume(setting.d_sw < setting.d_w)
    unseen = setting.discrepancy * setting.d_s
    beta = setting.d_sw * spare / (price * unseen)
    share = 1 / (1 + np.sqrt(1 + beta))
    assert share <= 0.5
    y = spare * np.linspace(1e-3, 1 - 1e-3, 2001) / price
    risk = (setting.d_sw + unseen / y) / (spare - price * y)
    at = (setting.d_sw + unseen * price / (share * spare)) / ((1 - share) * spare)
    assert at == pytest.approx(price * unseen / spare**2 * (1 + np.sqrt(1 + beta)) ** 2)
    assert at <= risk.min() * (1 + 1e-12)


def test_whether_to_buy_pseudo_labels_at_all():
    few, many = (
        scaling.best_purchase(Setting(200, 100, d_sw, 1.0), 2211, 1, 0.1) for d_sw in (10, 90)
    )
    assert (few.labels, few.pseudo_labels) == (1746, 4650)
    assert few.student == pytest.approx(0.0092, abs=5e-5)
    assert few.worthwhile
    assert many.student == pytest.approx(0.0526, abs=5e-5)
    assert not many.worthwhile
    assert few.labels_only == float(risks.baseline(Setting(200, 100, 10, 1.0), 2211))
    nothing = scaling.best_purchase(Setting(5, 8, 5.0, 1.0), 100, 1, 1)
    assert nothing.pseudo_labels == 10, "without discrepancy there is nothing to average"
    assert scaling.best_purchase(Setting(2, 50, 1.0, 1.0), 10, 1, 0.1).worthwhile


@pytest.mark.parametrize(
    ("budget", "label", "pseudo", "message"),
    [
        (30, 1, 1, "budget: expected at least 34, the price of d_w . 2 = 22 labels"),
        (100, 0, 1, "label_price: expected a positive"),
        (100, 1, -1, "pseudo_label_price: expected a positive"),
    ],
)
def test_a_budget_that_buys_nothing_is_refused(budget, label, pseudo, message):
    with pytest.raises(ValueError, match=message):
        scaling.best_purchase(Setting(20, 10, 5, 1.0), budget, label, pseudo)


def test_labels_for_a_risk_are_the_first_that_reach_it():
    setting = authors_model(50, 1e-2).setting
    n = np.arange(202, 20000)
    r, goal = float(risks.student_factor(setting, 1000)), 6e-4
    noise = (setting.sigma2 + setting.rho_w) * float(setting.surviving(r))
    needed = 201 + noise / (goal - setting.rho_s - setting.b - r * setting.kappa)
    assert math.ceil(needed) == first(n, risks.student(setting, n, 1000) <= goal)


def test_pgr_without_meaning_and_bad_targets_are_refused():
    # A strong model with so many dimensions that even the ceiling is worse than the teacher.
    with pytest.raises(ValueError, match=r"N = 5\d the teacher's .* PGR has no meaning there"):
        scaling.pseudo_labels_for_pgr(Setting(5, 40, 0.0, 1.0), 1000, 0.5)
    with pytest.raises(ValueError, match=r"target: expected a positive"):
        scaling.pseudo_labels_for_pgr(Setting(5, 4, 0.0, 1.0), 50, 0.0)
