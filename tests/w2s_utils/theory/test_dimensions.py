"""Estimating dimensions: exact means under the null, coverage, and what coordinates cannot say."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats

from w2s_utils.theory import dimensions, subspaces

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
    test = dimensions.null_test(weak, strong, 20, rng)
    assert test.null_mean == pytest.approx(np.mean(overlaps))
    assert test.raw == pytest.approx(raw(weak, strong))


@PROPERTY
@given(seed=st.integers(0, 2**32 - 1))
def test_centred_and_uncentred_null_means(seed):
    rng = np.random.default_rng(seed)
    weak, strong = rng.standard_normal((30, 4)), rng.standard_normal((30, 3))
    centred = dimensions.null_test(weak - weak.mean(0), strong - strong.mean(0), 1, rng)
    assert centred.null_mean == pytest.approx(4 * 3 / 29)
    ones = np.ones((30, 1))
    constant = dimensions.null_test(np.hstack([weak, ones]), np.hstack([strong, ones]), 1, rng)
    assert constant.null_mean == pytest.approx(1 + 4 * 3 / 29)


def test_p_values_have_their_level_and_find_an_overlap(rng):
    p_values = []
    for _ in range(300):
        weak, strong = features(rng, 40, 4, 3, [0, 0, 0])
        p_values.append(dimensions.null_test(weak, strong, 19, rng).p_value)
    assert stats.binomtest(int(np.sum(np.array(p_values) <= 0.05)), 300, 0.05).pvalue > 1e-4
    related = dimensions.null_test(*features(rng, 100, 4, 3, [0.9, 0, 0]), 199, rng)
    assert related.p_value == 1 / 200
    assert 0 < related.null_sd < 1


@PROPERTY
@given(seed=st.integers(0, 2**32 - 1))
def test_nothing_changes_under_invertible_maps_within_each_feature_space(seed):
    rng = np.random.default_rng(seed)
    weak, strong = features(rng, 60, 5, 4, [1, 0.5, 0.2, 0])
    other = weak @ rng.standard_normal((5, 5)), strong @ rng.standard_normal((4, 4))
    first = dimensions.interval(weak, strong, 5, np.random.default_rng(1))
    second = dimensions.interval(*other, 5, np.random.default_rng(1))
    assert first.estimate == pytest.approx(second.estimate)
    assert first.standard_error == pytest.approx(second.standard_error, rel=1e-6)


def test_expected_raw_and_the_exact_mean_of_one_direction_agree_to_first_order():
    for cosine in (0.0, 0.3, 0.8):
        exact = dimensions.multiple_correlation_mean(4000, 6, cosine)
        assert dimensions.expected_raw(4000, 6, 1, [cosine]) == pytest.approx(exact, abs=2e-6)
    assert dimensions.multiple_correlation_mean(50, 6, 0.0) == pytest.approx(6 / 50)


def test_exact_mean_of_one_direction_against_simulation(rng):
    values = [raw(*features(rng, 12, 3, 1, [0.8])) for _ in range(3000)]
    expected = dimensions.multiple_correlation_mean(12, 3, 0.8)
    assert abs(np.mean(values) - expected) < 4.5 * np.std(values) / np.sqrt(3000)


def test_interval_covers_and_the_percentile_interval_does_not(rng):
    cosines = np.linspace(1, 0.1, 5)
    found = [dimensions.interval(*features(rng, 120, 8, 5, cosines), 40, rng) for _ in range(150)]
    truth = np.sum(cosines**2)
    covered = np.mean([each.low <= truth <= each.high for each in found])
    beside = np.mean([each.percentiles[0] <= truth <= each.percentiles[1] for each in found])
    assert covered > 0.88
    assert beside < covered - 0.05
    wide = dimensions.interval(*features(rng, 120, 8, 5, cosines), 40, rng, level=0.99)
    reach = stats.norm.ppf(0.995) * wide.standard_error
    assert_allclose([wide.low, wide.high], [wide.estimate - reach, wide.estimate + reach])


def test_regularised_overlap_without_regularisation_is_the_adjusted_estimate(rng):
    weak, strong = features(rng, 200, 6, 5, [1, 0.9, 0.5, 0.1, 0])
    result = dimensions.regularised(weak, strong, 1e-12)
    assert result.weak == pytest.approx(6)
    assert result.strong == pytest.approx(5)
    assert result.null == pytest.approx(6 * 5 / 200)
    adjusted = subspaces.correlation_dimension_of_features(weak, strong)
    assert result.estimate == pytest.approx(adjusted)


def test_regularisation_forgets_directions_that_hold_little(rng):
    weak, strong = features(rng, 400, 6, 5, [1, 1, 1, 0, 0])
    noisy_weak = np.hstack([weak, 1e-4 * rng.standard_normal((400, 30))])
    noisy_strong = np.hstack([strong, 1e-4 * rng.standard_normal((400, 30))])
    result = dimensions.regularised(noisy_weak, noisy_strong, 1e-5)
    assert result.weak == pytest.approx(6, abs=0.1)
    assert result.estimate == pytest.approx(3, abs=0.1)


def test_dimensions_of_known_spectra():
    phi = np.diag(np.sqrt([4.0, 4.0, 0.0, 0.0]))
    assert dimensions.participation_ratio(phi) == pytest.approx(2)
    assert dimensions.effective_dimension(phi, 0.5) == pytest.approx(1)
    assert dimensions.effective_dimension(phi, 1e-9) == pytest.approx(2)


@pytest.mark.parametrize(("d_w", "d_s"), [(3, 2), (10, 4)])
def test_overlap_of_random_subspaces(rng, d_w, d_s):
    mean, deviation = dimensions.random_subspace_overlap(10, d_w, d_s)
    bases = [
        [np.linalg.qr(rng.standard_normal((10, d)))[0] for d in (d_w, d_s)] for _ in range(4000)
    ]
    values = [subspaces.correlation_dimension(*pair) for pair in bases]
    assert abs(np.mean(values) - mean) < 4.5 * max(deviation, 1e-9) / np.sqrt(4000)
    assert np.std(values) == pytest.approx(deviation, rel=0.05, abs=1e-9)


@pytest.mark.parametrize("overlap", [0, 6])
def test_coordinates_of_two_networks_say_nothing(rng, overlap):
    basis = np.eye(20)
    hidden = rng.standard_normal((500, 20))
    weak = hidden @ basis[:, :8] @ rng.standard_normal((8, 40))
    strong = hidden @ basis[:, 8 - overlap : 14 - overlap] @ rng.standard_normal((6, 30))
    mean, deviation = dimensions.random_subspace_overlap(30, 8, 6)
    value = dimensions.coordinate_correlation_dimension(weak, strong, 8, 6, rng)
    assert abs(value - mean) < 4.5 * deviation
    cut = [phi @ subspaces.leading_directions(phi, d) for phi, d in ((weak, 8), (strong, 6))]
    assert subspaces.correlation_dimension_of_features(*cut) == pytest.approx(overlap, abs=0.3)


def test_bad_input_names_the_argument(rng):
    weak, strong = features(rng, 30, 5, 4, [1, 0.5, 0.2, 0])
    with pytest.raises(ValueError, match=r"strong_features: expected 30 rows"):
        dimensions.null_test(weak, strong[:-1], 10, rng)
    with pytest.raises(ValueError, match=r"permutations: expected at least 1"):
        dimensions.null_test(weak, strong, 0, rng)
    with pytest.raises(ValueError, match=r"rows of weak_features: expected at least 18"):
        dimensions.interval(weak[:17], strong[:17], 10, rng)
    with pytest.raises(ValueError, match=r"level: expected a number in \(0, 1\)"):
        dimensions.interval(weak, strong, 10, rng, level=95)
    with pytest.raises(ValueError, match=r"weak_features: expected full column rank 2"):
        dimensions.null_test(weak[:, [0, 0]], strong, 10, rng)
    with pytest.raises(ValueError, match=r"share: expected a positive"):
        dimensions.regularised(weak, strong, 0.0)
    with pytest.raises(ValueError, match=r"features: all entries are zero"):
        dimensions.participation_ratio(np.zeros((3, 2)))
    with pytest.raises(ValueError, match=r"m: expected at least 10"):
        dimensions.expected_raw(9, 5, 4, [1, 1, 0, 0])
    with pytest.raises(ValueError, match=r"cosine: expected a number in \[0, 1\)"):
        dimensions.multiple_correlation_mean(9, 5, 1.0)
    with pytest.raises(ValueError, match=r"d_w: expected 1 to D = 3"):
        dimensions.random_subspace_overlap(3, 4, 1)
