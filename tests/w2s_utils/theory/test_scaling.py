"""Closed forms in n and N against a search over whole numbers, on problems with any angles."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from w2s_utils.gaussian import authors_model
from w2s_utils.theory import laws, risks, scaling, subspaces
from w2s_utils.theory.risks import Setting

PROPERTY = settings(derandomize=True, database=None, deadline=None, max_examples=60)
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


@PROPERTY
@given(setting=problems(), n=st.integers(2, 300))
def test_least_pseudo_labels_to_help_is_the_first_that_helps(setting, n):
    n += setting.d_w
    N = np.arange(setting.d_s + 2, LONG)
    # Rounding decides where the expected gain is zero, at N = 2 d_s + 1.
    gain = risks.teacher(setting, n) - risks.student(setting, n, N)
    expected = first(N, gain > 1e-12 * risks.teacher(setting, n))
    least = scaling.pseudo_labels_to_help(setting, n)
    assert least == expected or (math.isinf(expected) and least >= LONG)


@PROPERTY
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


@PROPERTY
@given(setting=problems(lengths=(0.01, 0.1, 1.0)), pseudo=st.integers(1, 2000))
def test_peaks_in_n_are_where_the_exact_ratios_are_largest(setting, pseudo):
    N = 2 * setting.d_s + 1 + pseudo
    n = np.arange(max(setting.d_w, setting.d_s) + 2, LONG)
    exact = risks.exact(setting, n, N)
    top = int(np.argmax(exact.opr))
    if 0 < top < n.size - 1:
        assert abs(n[top] - scaling.opr_peak(setting, N)) <= 1
    assume(np.all(exact.teacher > exact.ceiling))
    top = int(np.argmax(exact.pgr))
    if 0 < top < n.size - 1:
        assert abs(n[top] - scaling.pgr_peak(setting, N)) <= 1


def test_well_specified_pgr_rises_without_a_peak_and_opr_too():
    setting = Setting(20, 10, 5, 1.0)
    assert math.isnan(scaling.pgr_peak(setting, 100))
    assert math.isnan(scaling.opr_peak(setting, 100))
    assert np.isinf(scaling.authors_peak(setting, 100))
    exact = risks.exact(setting, np.arange(22, 500), 100)
    assert np.all(np.diff(exact.pgr) > 0)
    assert np.all(np.diff(exact.opr) > 0)


@pytest.mark.parametrize("d_sw", [10, 50, 90])
def test_the_authors_bounds_peak_at_their_formula(d_sw):
    setting = authors_model(d_sw, 1e-2).setting
    n = np.arange(202, 3000)
    peak = float(scaling.authors_peak(setting, 4000))
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


def test_pgr_is_above_its_limit_where_the_proposition_says():
    setting = Setting(20, 10, 5, 1.0)
    n, N = np.meshgrid(np.arange(22, 300, 3), np.arange(12, 900, 5))
    exact = risks.exact(setting, n, N)
    limit = scaling.pgr_limit(setting, n)
    assert_allclose(limit, 1 - 5 / 20)
    assert risks.exact(setting, 30, 10**9).pgr == pytest.approx(0.75, rel=1e-6)
    above = (n > 41) & ((N - 11) * (n - 41) > 20 * n)
    clear = (exact.teacher > exact.ceiling) & (np.abs(exact.pgr - limit) > 1e-12)
    assert np.array_equal((exact.pgr > limit)[clear], above[clear])


@PROPERTY
@given(setting=problems(), n=st.integers(2, 300))
def test_the_limit_of_pgr_is_that_of_the_exact_risks(setting, n):
    n += max(setting.d_w, setting.d_s)
    far = risks.exact(setting, n, 10**9)
    assume(far.teacher > 1.01 * far.ceiling)
    assert_allclose(far.pgr, scaling.pgr_limit(setting, n), atol=1e-5)


@PROPERTY
@given(d_w=st.integers(1, 40), d_s=st.integers(1, 40), q=st.floats(0, 1), extra=st.integers(0, 500))
def test_the_bound_of_pgr_that_holds_for_all_n(d_w, d_s, q, extra):
    setting = Setting(d_w, d_s, q * min(d_w, d_s), 1.0)
    n, N = np.arange(max(d_w, d_s) + 2, 400), 2 * d_s + 1 + extra
    exact = risks.exact(setting, n, N)
    bound = setting.discrepancy / d_w * (1 - float(risks.student_factor(setting, N)))
    assert np.all(exact.pgr[exact.ceiling < exact.teacher] >= bound - 1e-12)


def test_labels_for_a_risk_are_the_first_that_reach_it():
    setting = authors_model(50, 1e-2).setting
    n = np.arange(202, 20000)
    student = risks.student(setting, n, 1000)
    assert scaling.labels_for_risk(setting, 1000, 6e-4) == first(n, student <= 6e-4)
    assert math.isinf(scaling.labels_for_risk(setting, 1000, 1e-4))


def test_pgr_without_meaning_and_bad_targets_are_refused():
    # A strong model with so many dimensions that even the ceiling is worse than the teacher.
    with pytest.raises(ValueError, match=r"N = 5\d the teacher's .* PGR has no meaning there"):
        scaling.pseudo_labels_for_pgr(Setting(5, 40, 0.0, 1.0), 1000, 0.5)
    with pytest.raises(ValueError, match=r"target: expected a positive"):
        scaling.pseudo_labels_for_pgr(Setting(5, 4, 0.0, 1.0), 50, 0.0)
    with pytest.raises(ValueError, match=r"N: expected at least 6"):
        scaling.labels_for_risk(Setting(5, 4, 0.0, 1.0), 5, 0.5)
