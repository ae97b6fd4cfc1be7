"""Estimated overlaps: exact means under the null, coverage of the intervals."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats

from w2s_utils.theory import overlap, subspaces

PROPERTY = settings(derandomize=True, database=None, deadline=None, max_examples=30)


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


@PROPERTY
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


@PROPERTY
@given(seed=st.integers(0, 2**32 - 1))
def test_nothing_changes_under_invertible_maps_within_each_feature_space(seed):
    rng = np.random.default_rng(seed)
    weak, strong = features(rng, 60, 5, 4, [1, 0.5, 0.2, 0])
    other = weak @ rng.standard_normal((5, 5)), strong @ rng.standard_normal((4, 4))
    first = overlap.interval(weak, strong, 5, np.random.default_rng(1))
    second = overlap.interval(*other, 5, np.random.default_rng(1))
    assert first.estimate == pytest.approx(second.estimate)
    assert first.standard_error == pytest.approx(second.standard_error, rel=1e-6)


def test_expected_raw_and_the_exact_mean_of_one_direction_agree_to_first_order():
    for cosine in (0.0, 0.3, 0.8):
        exact = overlap.multiple_correlation_mean(4000, 6, cosine)
        assert overlap.expected_raw(4000, 6, 1, [cosine]) == pytest.approx(exact, abs=2e-6)
    assert overlap.multiple_correlation_mean(50, 6, 0.0) == pytest.approx(6 / 50)


def test_exact_mean_of_one_direction_against_simulation(rng):
    values = [raw(*features(rng, 12, 3, 1, [0.8])) for _ in range(3000)]
    expected = overlap.multiple_correlation_mean(12, 3, 0.8)
    assert abs(np.mean(values) - expected) < 4.5 * np.std(values) / np.sqrt(3000)


def test_interval_covers_and_the_percentile_interval_does_not(rng):
    cosines = np.linspace(1, 0.1, 5)
    found = [overlap.interval(*features(rng, 120, 8, 5, cosines), 40, rng) for _ in range(150)]
    truth = np.sum(cosines**2)
    covered = np.mean([each.low <= truth <= each.high for each in found])
    beside = np.mean([each.percentiles[0] <= truth <= each.percentiles[1] for each in found])
    assert covered > 0.88
    assert beside < covered - 0.05
    wide = overlap.interval(*features(rng, 120, 8, 5, cosines), 40, rng, level=0.99)
    reach = stats.norm.ppf(0.995) * wide.standard_error
    assert_allclose([wide.low, wide.high], [wide.estimate - reach, wide.estimate + reach])


def test_bad_input_names_the_argument(rng):
    weak, strong = features(rng, 30, 5, 4, [1, 0.5, 0.2, 0])
    with pytest.raises(ValueError, match=r"strong_features: expected 30 rows"):
        overlap.null_test(weak, strong[:-1], 10, rng)
    with pytest.raises(ValueError, match=r"permutations: expected at least 1"):
        overlap.null_test(weak, strong, 0, rng)
    with pytest.raises(ValueError, match=r"rows of weak_features: expected at least 18"):
        overlap.interval(weak[:17], strong[:17], 10, rng)
    with pytest.raises(ValueError, match=r"level: expected a number in \(0, 1\)"):
        overlap.interval(weak, strong, 10, rng, level=95)
    with pytest.raises(ValueError, match=r"weak_features: expected full column rank 2"):
        overlap.null_test(weak[:, [0, 0]], strong, 10, rng)
    with pytest.raises(ValueError, match=r"m: expected at least 10"):
        overlap.expected_raw(9, 5, 4, [1, 1, 0, 0])
    with pytest.raises(ValueError, match=r"cosine: expected a number in \[0, 1\)"):
        overlap.multiple_correlation_mean(9, 5, 1.0)
