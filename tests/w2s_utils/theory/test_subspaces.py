"""Canonical angles, correlation dimension and their estimates from features."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import special
from sklearn.cross_decomposition import CCA

from w2s_utils import checks
from w2s_utils.theory import subspaces


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def orthogonal(rng, size):
    return np.linalg.qr(rng.standard_normal((size, size)))[0]


@st.composite
def pairs(draw):
    d_w, d_s = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    few = min(d_w, d_s)
    cosines = draw(st.lists(st.sampled_from([0, 0.3, 0.8, 1]), min_size=few, max_size=few))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    extra = draw(st.integers(0, 3))
    ambient = d_w + d_s - cosines.count(1) + extra
    return (*subspaces.pair_with_cosines(ambient, d_w, d_s, cosines, rng), cosines, rng)


@given(pair=pairs())
def test_a_constructed_pair_has_its_angles(pair):
    weak, strong, cosines, _ = pair
    expected = np.sort(cosines)[::-1]
    assert_allclose(subspaces.canonical_cosines(weak, strong), expected, atol=1e-12)
    assert subspaces.correlation_dimension(weak, strong) == pytest.approx(np.sum(expected**2))


@given(pair=pairs())
def test_angles_do_not_depend_on_rotations_bases_or_order(pair):
    weak, strong, _, rng = pair
    turn = orthogonal(rng, len(weak))
    other_weak = turn @ weak @ orthogonal(rng, weak.shape[1])
    other_strong = turn @ strong @ orthogonal(rng, strong.shape[1])
    for function in (subspaces.canonical_cosines, subspaces.correlation_dimension):
        expected = function(weak, strong)
        assert_allclose(function(other_weak, other_strong), expected, atol=1e-12)
        assert_allclose(function(other_strong, other_weak), expected, atol=1e-12)


@given(seed=st.integers(0, 2**32 - 1), d_w=st.integers(1, 8), d_s=st.integers(1, 8))
def test_correlation_dimension_is_between_zero_and_the_smaller_dimension(seed, d_w, d_s):
    rng = np.random.default_rng(seed)
    weak, strong = orthogonal(rng, 8)[:, :d_w], orthogonal(rng, 8)[:, :d_s]
    overlap = subspaces.correlation_dimension(weak, strong)
    # Two subspaces of R^8 meet in at least d_w + d_s - 8 dimensions.
    assert max(0, d_w + d_s - 8) - 1e-9 <= overlap <= min(d_w, d_s) + 1e-9


def test_unrotated_pair_starts_on_the_first_axes():
    weak, strong = subspaces.pair_with_cosines(4, 2, 2, [0.6, 0])
    assert_allclose(weak, np.eye(4, 2))
    assert_allclose(strong, [[0.6, 0], [0, 0], [0.8, 0], [0, 1]])


@pytest.mark.parametrize(
    ("fraction", "dimension"), [(0.5, 1), (0.6, 1), (0.61, 2), (0.9, 2), (0.91, 3), (1, 3)]
)
def test_intrinsic_dimension_of_a_known_spectrum(fraction, dimension, rng):
    features = orthogonal(rng, 9)[:, :4] @ np.diag(np.sqrt([6, 3, 1, 0]))
    assert subspaces.intrinsic_dimension(features @ orthogonal(rng, 4), fraction) == dimension


def test_intrinsic_dimension_is_not_centred():
    # The mean holds all but a hundredth; centred, both directions are needed.
    features = np.array([[10.0, 0.0], [10.0, 0.0], [10.1, 1.0], [9.9, -1.0], [10.0, 0.0]])
    features[:2, 0] += [1, -1]
    assert subspaces.intrinsic_dimension(features, 0.98) == 1
    assert subspaces.intrinsic_dimension(features - features.mean(axis=0), 0.98) == 2


def test_leading_directions_span_the_largest_variance(rng):
    turn = orthogonal(rng, 4)
    features = orthogonal(rng, 9)[:, :4] @ np.diag([5, 3, 1, 0.1]) @ turn.T
    found = subspaces.leading_directions(features, 2)
    assert_allclose(found @ found.T, turn[:, :2] @ turn[:, :2].T, atol=1e-12)
    assert np.linalg.matrix_rank(features @ found) == 2


def correlated(rng, m, d_w, d_s, cosines):
    """Gaussian features with the canonical correlations given."""
    cosines = np.asarray(cosines, float)
    weak, strong = rng.standard_normal((m, d_w)), rng.standard_normal((m, d_s))
    few = min(d_w, d_s)
    strong[:, :few] = cosines * weak[:, :few] + np.sqrt(1 - cosines**2) * strong[:, :few]
    return weak, strong


def test_canonical_correlations_agree_with_whitening_and_with_scikit_learn(rng):
    weak, strong = correlated(rng, 60, 4, 3, [0.9, 0.5, 0.1])
    found = subspaces.canonical_correlations(weak, strong)
    whiten = [np.linalg.inv(np.linalg.cholesky(f.T @ f)) for f in (weak, strong)]
    direct = np.linalg.svd(whiten[1] @ strong.T @ weak @ whiten[0].T, compute_uv=False)
    assert_allclose(found, direct, atol=1e-12)

    weak, strong = weak - weak.mean(axis=0), strong - strong.mean(axis=0)
    found = subspaces.canonical_correlations(weak, strong)
    scores = CCA(n_components=3, tol=1e-12, max_iter=5000).fit_transform(weak, strong)
    theirs = [abs(np.corrcoef(scores[0][:, j], scores[1][:, j])[0, 1]) for j in range(3)]
    assert_allclose(found, theirs, atol=1e-6)


@given(seed=st.integers(0, 2**32 - 1))
def test_invertible_maps_within_a_feature_space_change_nothing(seed):
    rng = np.random.default_rng(seed)
    weak, strong = correlated(rng, 30, 3, 4, [0.9, 0.5, 0.1])
    maps = [np.eye(d) + 0.3 * rng.uniform(-1, 1, (d, d)) / d for d in (3, 4)]
    moved = subspaces.canonical_correlations(weak @ maps[0] * 1e3, strong @ maps[1] * 1e-3)
    assert_allclose(moved, subspaces.canonical_correlations(weak, strong), atol=1e-10)


def estimates(rng, m, d_w, d_s, cosines, trials, adjusted=True):
    return np.array(
        [
            subspaces.correlation_dimension_of_features(
                *correlated(rng, m, d_w, d_s, cosines), adjusted=adjusted
            )
            for _ in range(trials)
        ]
    )


def mean_is(sample, expected, rival):
    return checks.mean_equals(
        sample.mean(),
        expected,
        standard_error=sample.std(ddof=1) / np.sqrt(len(sample)),
        trials=len(sample),
        unit="dimensions",
        against={"rival": rival},
    ).verdict


@pytest.mark.parametrize(
    ("d_w", "d_s", "cosines"),
    [(6, 4, [0, 0, 0, 0]), (6, 4, [1, 1, 0, 0]), (4, 6, [1, 1, 1, 0])],
)
def test_raw_estimate_has_the_mean_derived_for_cosines_zero_and_one(d_w, d_s, cosines, rng):
    m, d = 30, sum(cosines)
    sample = estimates(rng, m, d_w, d_s, cosines, trials=1500, adjusted=False)
    excess = (d_w - d) * (d_s - d) / (m - d)
    assert mean_is(sample, d + excess, rival=d) == "passed"


@pytest.mark.parametrize(
    ("d_w", "d_s", "cosines"),
    [(6, 4, [0] * 4), (6, 4, [1, 1, 0, 0]), (4, 6, [1, 1, 0, 0]), (6, 4, [0.9, 0.8, 0.3, 0.1])],
)
def test_adjusted_estimate_is_unbiased_to_first_order(d_w, d_s, cosines, rng):
    m, truth = 60, np.sum(np.square(cosines))
    sample = estimates(rng, m, d_w, d_s, cosines, trials=1500)
    bias = np.sum(np.square(cosines) * (1 - np.square(cosines))) / m
    assert mean_is(sample, truth - bias, rival=truth - bias + 0.06) == "passed"


def test_one_student_direction_has_a_mean_in_closed_form(rng):
    """Multiple correlation of a Gaussian variable: E(1 - R^2) is a hypergeometric function."""
    m, cosine = 12, 0.8
    sample = estimates(rng, m, 3, 1, [cosine], trials=3000, adjusted=False)
    unexplained = (m - 3) / m * (1 - cosine**2) * special.hyp2f1(1, 1, m / 2 + 1, cosine**2)
    assert mean_is(sample, 1 - unexplained, rival=cosine**2) == "passed"


@given(
    seed=st.integers(0, 2**32 - 1),
    d_w=st.integers(1, 5),
    d_s=st.integers(1, 5),
    m=st.integers(12, 40),
)
def test_adjusted_estimate_is_symmetric_and_exact_for_nested_spaces(seed, d_w, d_s, m):
    rng = np.random.default_rng(seed)
    weak, strong = rng.standard_normal((m, d_w)), rng.standard_normal((m, d_s))
    estimate = subspaces.correlation_dimension_of_features
    assert estimate(weak, strong) == pytest.approx(estimate(strong, weak), abs=1e-10)
    assert estimate(weak, strong) <= min(d_w, d_s) + 1e-10
    both = np.hstack([weak, strong])
    if 2 * d_w + d_s < m:
        assert estimate(both, weak) == pytest.approx(d_w)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda e: subspaces.canonical_cosines(2 * e[:, :2], e), "weak_basis.*numpy.linalg.qr"),
        (
            lambda e: subspaces.canonical_cosines(e[:, :1], e[:3, :3]),
            "strong_basis: expected 5 row",
        ),
        (lambda e: subspaces.correlation_dimension(e, e * 1j), "strong_basis: expected real"),
        (lambda e: subspaces.intrinsic_dimension(0 * e), "features: all entries are zero"),
        (lambda e: subspaces.intrinsic_dimension(e, 0), r"fraction: expected a number in \(0, 1\]"),
        (lambda e: subspaces.intrinsic_dimension(e, np.nan), "fraction: .*got nan"),
        (lambda e: subspaces.intrinsic_dimension(e, "1"), "fraction: expected real numbers"),
        (lambda e: subspaces.intrinsic_dimension(e[0]), r"features: .*shape \(5,\)"),
        (lambda e: subspaces.leading_directions(e[:3], 4), "dimension: expected 1 to 3"),
        (lambda e: subspaces.leading_directions(e, 0), "dimension: expected 1 to 5"),
        (lambda e: subspaces.canonical_correlations(e, e), "rows of weak_features: .*least 6"),
        (
            lambda e: subspaces.canonical_correlations(e[:, [0, 0]], e[:, :1]),
            "weak_features: expected full column rank 2, got rank 1.*leading_directions",
        ),
        (lambda e: subspaces.canonical_correlations(e[:, :1], e[:4]), "strong_features: .*5 rows"),
        (
            lambda e: subspaces.correlation_dimension_of_features(e[:, :3], e[:, :2]),
            "rows of weak_features: .*least 6.*adjusted=False",
        ),
        (lambda e: subspaces.pair_with_cosines(5, 2, 2, [1.1, 0]), r"cosines: .*\[0, 1\]"),
        (lambda e: subspaces.pair_with_cosines(5, 2, 3, [1.0]), "cosines: expected 2 numbers"),
        (lambda e: subspaces.pair_with_cosines(4, 2, 3, [1, np.nan]), "cosines: 1 entries are NaN"),
        (lambda e: subspaces.pair_with_cosines(3, 2, 3, [1, 0.5]), "ambient: .*at least 4"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.eye(5))
