"""Estimated overlaps: exact means under the null, coverage of the intervals."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats

from w2s_utils.theory import overlap, subspaces


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def features(rng, m, d_w, d_s, cosines):
    weak, strong = subspaces.pair_with_cosines(d_w + d_s, d_w, d_s, cosines, rng)
    g = rng.standard_normal((m, d_w + d_s))
    return g @ weak, g @ strong


def raw(weak, strong):
    return subspaces.correlation_dimension_of_features(weak, strong, adjusted=False)


def test_null_mean_is_the_mean_over_all_permutations(rng):
    weak, strong = rng.standard_normal((6, 2)) + 1, rng.standard_normal((6, 3)) + 0.5
    overlaps = [raw(weak, strong[list(order)]) for order in permutations(range(6))]
    test = overlap.null_test(weak, strong, 20, rng)
    assert test.null_mean == pytest.approx(np.mean(overlaps))
    assert test.raw == pytest.approx(raw(weak, strong))


@given(seed=st.integers(0, 2**32 - 1))
def test_centred_and_uncentred_null_means(seed):
    rng = np.random.default_rng(seed)
    weak, strong = rng.standard_normal((30, 4)), rng.standard_normal((30, 3))
    centred = overlap.null_test(weak - weak.mean(0), strong - strong.mean(0), 1, rng)
    assert centred.null_mean == pytest.approx(4 * 3 / 29)
    ones = np.ones((30, 1))
    constant = overlap.null_test(np.hstack([weak, ones]), np.hstack([strong, ones]), 1, rng)
    assert constant.null_mean == pytest.approx(1 + 4 * 3 / 29)


def test_p_values_have_their_level_and_find_an_overlap(rng):
    p_values = []
    for _ in range(300):
        weak, strong = features(rng, 40, 4, 3, [0, 0, 0])
        p_values.append(overlap.null_test(weak, strong, 19, rng).p_value)
    assert stats.binomtest(int(np.sum(np.array(p_values) <= 0.05)), 300, 0.05).pvalue > 1e-4
    related = overlap.null_test(*features(rng, 100, 4, 3, [0.9, 0, 0]), 199, rng)
    assert related.p_value == 1 / 200
    assert 0 < related.null_sd < 1


@given(seed=st.integers(0, 2**32 - 1))
def test_nothing_changes_under_invertible_maps_within_each_feature_space(seed):
    rng = np.random.default_rng(seed)
    weak, strong = features(rng, 60, 5, 4, [1, 0.5, 0.2, 0])
    other = weak @ rng.standard_normal((5, 5)), strong @ rng.standard_normal((4, 4))
    first = overlap.interval_from_groups(*groups_of(weak, strong, 6), 5)
    second = overlap.interval_from_groups(*groups_of(*other, 6), 5)
    assert first.estimate == pytest.approx(second.estimate)
    assert first.standard_error == pytest.approx(second.standard_error, rel=1e-6)


def groups_of(weak, strong, count):
    rows = np.hstack([weak, strong]).reshape(count, -1, weak.shape[1] + strong.shape[1])
    return np.full(count, rows.shape[1]), np.swapaxes(rows, 1, 2) @ rows


def test_interval_covers(rng):
    cosines = np.linspace(1, 0.1, 5)
    found = [
        overlap.interval_from_groups(*groups_of(*features(rng, 120, 8, 5, cosines), 20), 8)
        for _ in range(300)
    ]
    truth = np.sum(cosines**2)
    assert np.mean([each.low <= truth <= each.high for each in found]) > 0.88
    # The errors are those of the estimates' spread.
    errors = np.mean([each.standard_error for each in found])
    assert errors == pytest.approx(np.std([each.estimate for each in found]), rel=0.25)


def test_rows_with_a_scale_of_their_own_leave_no_bias(rng):
    """Scales of Student's law of five degrees treble what chance adds to the overlap."""
    cosines, found, plain = [1, 0.5, 0, 0, 0], [], []
    for _ in range(200):
        scale = np.sqrt(5 / rng.chisquare(5, 400))[:, None]
        weak, strong = (scale * phi for phi in features(rng, 400, 8, 5, cosines))
        found.append(overlap.interval_from_groups(*groups_of(weak, strong, 20), 8).estimate)
        plain.append(subspaces.correlation_dimension_of_features(weak, strong))
    bias, before = np.mean(found) - 1.25, np.mean(plain) - 1.25
    error = np.std(found) / np.sqrt(200)
    assert before > 8 * error
    assert abs(bias) < before / 3 + 4 * error


def test_interval_of_another_level(rng):
    groups = groups_of(*features(rng, 120, 8, 5, np.linspace(1, 0.1, 5)), 20)
    wide = overlap.interval_from_groups(*groups, 8, level=0.99)
    reach = stats.t.ppf(0.995, 19) * wide.standard_error
    assert_allclose([wide.low, wide.high], [wide.estimate - reach, wide.estimate + reach])


# Corners: nothing shared, everything shared, one dimension, as few inputs as are admitted.
shapes = st.tuples(st.integers(1, 8), st.integers(1, 8), st.integers(0, 8), st.integers(1, 40))


@given(shape=shapes, seed=st.integers(0, 1000))
def test_every_admitted_pair_of_features_has_an_estimate(shape, seed):
    d_w, d_s, common, spare = shape
    common, rng = min(d_w, d_s, common), np.random.default_rng(seed)
    cosines = (np.arange(min(d_w, d_s)) < common).astype(float)
    weak, strong = features(rng, d_w + d_s + spare, d_w, d_s, cosines)
    found = subspaces.correlation_dimension_of_features(weak, strong)
    assert found <= min(d_w, d_s) + 1e-9
    if common == min(d_w, d_s):
        assert found == pytest.approx(common)
    test = overlap.null_test(weak, strong, 3, rng)
    assert 0.25 <= test.p_value <= 1
    assert common - 1e-9 <= test.raw <= min(d_w, d_s) + 1e-9


def test_bad_input_names_the_argument(rng):
    weak, strong = features(rng, 30, 5, 4, [1, 0.5, 0.2, 0])
    with pytest.raises(ValueError, match=r"strong_features: expected 30 rows"):
        overlap.null_test(weak, strong[:-1], 10, rng)
    with pytest.raises(ValueError, match=r"permutations: expected at least 1"):
        overlap.null_test(weak, strong, 0, rng)
    with pytest.raises(ValueError, match=r"inputs: expected at least 10 .*without a group"):
        overlap.interval_from_groups(*groups_of(weak[:8], strong[:8], 4), 5)
    with pytest.raises(ValueError, match=r"groups: expected at least 4"):
        overlap.interval_from_groups(*groups_of(weak, strong, 3), 5)
    with pytest.raises(ValueError, match=r"level: expected a number in \(0, 1\)"):
        overlap.interval_from_groups(*groups_of(weak, strong, 5), 5, level=95)
    with pytest.raises(ValueError, match=r"weak_features: expected full column rank 2"):
        overlap.null_test(weak[:, [0, 0]], strong, 10, rng)
