"""Expected risks: closed forms, limits, the papers' bounds and the published values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2s_utils.gaussian import authors_model
from w2s_utils.theory import risks
from w2s_utils.theory.risks import Setting

PROPERTY = settings(derandomize=True, database=None, deadline=None, max_examples=60)
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


@PROPERTY
@given(setting=well_specified(), spare=st.integers(1, 200))
def test_recovery_tends_to_the_share_outside_the_overlap(setting, spare):
    n = max(setting.d_w, setting.d_s) + 1 + spare
    limit = 1 - setting.d_sw / setting.d_w
    assert risks.exact(setting, n, np.inf).pgr == pytest.approx(limit, abs=1e-9)
    assert risks.exact(setting, n, 1e9).pgr == pytest.approx(limit, abs=1e-3)


@PROPERTY
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


@PROPERTY
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
        (lambda s: risks.teacher(s, 7), r"n: expected at least 8 \(.*infinite\), got 7"),
        (lambda s: risks.teacher(s, np.nan), "n: expected at least 8 .*got nan"),
        (lambda s: risks.teacher(s, "20"), "n: expected real numbers"),
        (lambda s: risks.teacher(s, 20j), "n: expected real numbers"),
        (lambda s: risks.baseline(s, 5), "n: expected at least 6"),
        (lambda s: risks.student(s, 8, [10, 5]), "N: expected at least 6 .*got 5"),
        (lambda s: risks.ceiling(s, 2, 3), r"n \+ N: expected at least 6"),
        (lambda s: risks.exact(s, 7, 100), "n: expected at least 8"),
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
