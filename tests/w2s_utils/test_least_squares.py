"""Linear heads and moments against scikit-learn, the pseudo-inverse, brute force and the rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn import linear_model

from w2s_utils import least_squares
from w2s_utils.least_squares import (
    LinearModel,
    MinimumNorm,
    Moments,
    Ridge,
    RidgeGCV,
    cumulative_moments,
    fitted,
)
from w2s_utils.theory import subspaces

PROPERTY = settings(derandomize=True, database=None, deadline=None, max_examples=40)
SHAPES = [(20, 4), (4, 20), (6, 6)]
EVERY = [MinimumNorm(), Ridge(0.7), RidgeGCV()]


@pytest.fixture
def rng():
    return np.random.default_rng(13)


def data(rng, m, k, tasks=None):
    phi = rng.standard_normal((m, k)) * np.linspace(0.5, 2, k) + 0.3
    shape = (m,) if tasks is None else (m, tasks)
    return phi, rng.standard_normal(shape) + 1


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("tasks", [None, 3])
def test_minimum_norm_is_the_pseudo_inverse(shape, tasks, rng):
    phi, y = data(rng, *shape, tasks)
    assert_allclose(MinimumNorm().fit(phi, y).coefficients, np.linalg.pinv(phi) @ y, atol=1e-9)


@PROPERTY
@given(
    seed=st.integers(0, 2**32 - 1),
    m=st.integers(1, 12),
    k=st.integers(1, 12),
    rank=st.integers(1, 4),
)
def test_minimum_norm_of_rank_deficient_features(seed, m, k, rank):
    rng = np.random.default_rng(seed)
    phi = rng.standard_normal((m, rank)) @ rng.standard_normal((rank, k))
    y = rng.standard_normal(m)
    expected = np.linalg.pinv(phi, rcond=1e-12) @ y
    assert_allclose(
        MinimumNorm().fit(phi, y).coefficients, expected, atol=1e-7 * (1 + np.abs(expected).max())
    )


def test_cutoff_drops_small_directions_relative_to_the_largest(rng):
    basis = np.linalg.qr(rng.standard_normal((10, 3)))[0]
    phi = 7 * basis * [1, 1e-3, 1e-7]
    y = basis @ np.ones(3)
    full, cut = (MinimumNorm(cutoff=cutoff).fit(phi, y) for cutoff in (None, 1e-6))
    assert_allclose(full.coefficients, [1 / 7, 1e3 / 7, 1e7 / 7], rtol=1e-6)
    assert_allclose(cut.coefficients, [1 / 7, 1e3 / 7, 0], rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("largest", [1e2, 1e4, 1e7])
def test_minimum_norm_keeps_its_digits_as_the_condition_grows(largest, rng):
    """Normal equations serve well-conditioned features only: the switch must not cost digits."""
    left, right = (np.linalg.qr(rng.standard_normal((size, 8)))[0] for size in (40, 8))
    phi = left * np.logspace(0, -np.log10(largest), 8) @ right.T
    truth = rng.standard_normal(8)
    found = MinimumNorm().fit(phi, phi @ truth).coefficients
    assert_allclose(found, truth, atol=1e-14 * largest + 1e-9)


def test_normal_equations_refuse_what_they_cannot_solve(rng):
    phi = rng.standard_normal((30, 4))

    def solved(phi, y):
        return least_squares._by_cholesky(phi.T @ phi, phi.T @ y, 1e-6)

    assert solved(phi, phi @ np.ones(4)) == pytest.approx(np.ones(4))
    assert solved(phi[:, [0, 1, 1]], np.ones(30)) is None
    assert solved(phi * [1, 1, 1, 1e-5], np.ones(30)) is None
    assert solved(phi * 0, np.ones(30)) is None


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("tasks", [None, 3])
def test_ridge_is_that_of_scikit_learn(shape, intercept, tasks, rng):
    phi, y = data(rng, *shape, tasks)
    found = Ridge(0.7, intercept=intercept).fit(phi, y)
    theirs = linear_model.Ridge(alpha=0.7, fit_intercept=intercept).fit(phi, y)
    assert_allclose(found.coefficients, theirs.coef_.T, atol=1e-9)
    assert_allclose(found.intercept, theirs.intercept_, atol=1e-9)
    assert_allclose(found.predict(phi[:2]), theirs.predict(phi[:2]), atol=1e-9)


@pytest.mark.parametrize("tasks", [None, 3])
def test_minimum_norm_with_intercept_is_that_of_scikit_learn(tasks, rng):
    phi, y = data(rng, 20, 4, tasks)
    found = MinimumNorm(intercept=True).fit(phi, y)
    theirs = linear_model.LinearRegression().fit(phi, y)
    assert_allclose(found.coefficients, theirs.coef_.T, atol=1e-9)
    assert_allclose(found.intercept, theirs.intercept_, atol=1e-9)


def test_small_ridge_tends_to_minimum_norm(rng):
    for shape in SHAPES:
        phi, y = data(rng, *shape)
        assert_allclose(
            Ridge(1e-9).fit(phi, y).coefficients, MinimumNorm().fit(phi, y).coefficients, atol=1e-5
        )


@pytest.mark.parametrize("head", EVERY)
@pytest.mark.parametrize("intercept", [False, True])
def test_tasks_are_solved_separately(head, intercept, rng):
    head = type(head)(**{**vars(head), "intercept": intercept})
    phi, y = data(rng, 15, 5, 3)
    # Tasks of different smoothness, so that their penalties differ.
    y[:, 0] = phi @ np.ones(5)
    together = head.fit(phi, y)
    for task in range(3):
        alone = head.fit(phi, y[:, task])
        assert_allclose(together.coefficients[:, task], alone.coefficients, atol=1e-9)
        assert_allclose(together.predict(phi)[:, task], alone.predict(phi), atol=1e-9)
    assert together.predict(phi).shape == (15, 3)


@pytest.mark.parametrize("head", EVERY)
def test_an_intercept_makes_the_fit_follow_shifts(head, rng):
    head = type(head)(**{**vars(head), "intercept": True})
    phi, y = data(rng, 15, 5)
    first, second = head.fit(phi, y), head.fit(phi + 4, y - 100)
    assert_allclose(second.coefficients, first.coefficients, atol=1e-8)
    assert_allclose(second.predict(phi + 4) + 100, first.predict(phi), atol=1e-8)


@pytest.mark.parametrize("shape", [(20, 4), (8, 12)])
@pytest.mark.parametrize("intercept", [False, True])
def test_gcv_chooses_the_penalty_that_brute_force_finds(shape, intercept, rng):
    candidates = tuple(np.logspace(-4, 1, 12))
    phi, _ = data(rng, *shape)
    chosen = []
    for noise in (0.05, 1.0, 5.0):
        y = phi @ np.ones(shape[1]) + noise * rng.standard_normal(shape[0])
        m = len(y)
        centring = np.eye(m) - intercept / m
        centred = centring @ phi
        largest = np.linalg.norm(centred, 2) ** 2
        scores, fits = [], []
        for candidate in candidates:
            smoother = (
                centred
                @ np.linalg.inv(centred.T @ centred + candidate * largest * np.eye(shape[1]))
                @ centred.T
            )
            hat = smoother + (np.eye(m) - centring)
            residual = y - hat @ y
            scores.append(np.mean(residual**2) / (1 - np.trace(hat) / m) ** 2)
            fits.append(hat @ y)
        best = int(np.argmin(scores))
        chosen.append(best)
        found = RidgeGCV(candidates, intercept=intercept).fit(phi, y)
        assert_allclose(found.predict(phi), fits[best], atol=1e-9)
    # The choice depends on the noise, so that agreeing is no accident.
    assert len(set(chosen)) > 1


def test_gcv_does_not_take_interpolation_for_a_good_fit(rng):
    """With more features than inputs the smallest penalty leaves no degrees of freedom."""
    phi, y = rng.standard_normal((10, 30)), rng.standard_normal(10)
    found = RidgeGCV((1e-14, 1.0)).fit(phi, y)
    expected = Ridge(np.linalg.norm(phi, 2) ** 2).fit(phi, y)
    assert_allclose(found.coefficients, expected.coefficients)


@pytest.mark.parametrize("head", EVERY)
def test_features_without_variance_give_a_head_of_zeros(head):
    y = np.arange(4.0)
    assert_allclose(head.fit(np.zeros((4, 2)), y).coefficients, 0)
    found = type(head)(**{**vars(head), "intercept": True}).fit(np.ones((4, 2)), y)
    assert_allclose(found.coefficients, 0)
    assert found.intercept == pytest.approx(1.5)


@pytest.mark.parametrize("head", EVERY)
@pytest.mark.parametrize(
    ("features", "targets", "message"),
    [
        (np.ones(3), np.ones(3), "features: expected a non-empty matrix"),
        (np.ones((3, 0)), np.ones(3), "features: expected a non-empty matrix"),
        ([[1.0], [np.nan]], [1, 2], "features: 1 entries are NaN or infinite.*remove or impute"),
        ([[1.0], [2.0]], [1, np.inf], "targets: 1 entries are NaN or infinite"),
        ([[1.0], [2.0]], [1, 2, 3], "targets: expected 2 rows, one for each input, got 3"),
        ([[1.0], [2.0]], np.ones((2, 1, 1)), r"targets: expected shape \(m,\) or \(m, tasks\)"),
        ([["1"], ["2"]], [1, 2], "features: expected real numbers"),
        ([[1j], [2]], [1, 2], "features: expected real numbers"),
        ([[1.0], [2.0]], [None, 2], "targets: expected real numbers"),
    ],
)
def test_bad_data_is_named(head, features, targets, message):
    with pytest.raises(ValueError, match=message):
        head.fit(features, targets)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Ridge(0), "penalty: expected a positive finite number.*use MinimumNorm"),
        (lambda: Ridge(np.nan), "penalty: .*got nan"),
        (lambda: Ridge(np.inf), "penalty: .*got inf"),
        (lambda: Ridge("1"), "penalty: expected real numbers"),
        (lambda: MinimumNorm(cutoff=-1e-6), "cutoff: expected a finite number, at least 0"),
        (lambda: MinimumNorm(cutoff=1.0), "cutoff: expected less than 1"),
        (lambda: RidgeGCV(()), "relative_penalties: "),
        (lambda: RidgeGCV((1.0, 0.0)), "relative_penalties: expected positive numbers"),
        (lambda: RidgeGCV((1.0, np.nan)), "relative_penalties: 1 entries are NaN"),
        (lambda: LinearModel(np.ones(2)).predict(np.ones((3, 4))), "features: expected 2 columns"),
        (lambda: LinearModel(np.ones(2)).predict([[1, np.nan]]), "features: 1 entries are NaN"),
    ],
)
def test_bad_options_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def drawn(seed, m=40, d=5, tasks=2):
    rng = np.random.default_rng(seed)
    return {"weak": rng.standard_normal((m, d)), "labels": rng.standard_normal((m, tasks))}


@PROPERTY
@given(seed=st.integers(0, 10**6), m=st.integers(3, 30), d=st.integers(1, 8))
def test_moments_fit_minimum_norm_least_squares(seed, m, d):
    data = drawn(seed, m, d)
    expected = MinimumNorm().fit(data["weak"], data["labels"]).coefficients
    found = Moments.of(**data).fit("weak", "labels")
    scale = np.abs(expected).max()
    # Squaring the condition number costs digits where m is close to d.
    condition = np.linalg.cond(data["weak"])
    assert_allclose(found, expected, atol=1e-13 * scale * condition**2 + 1e-12)


@PROPERTY
@given(seed=st.integers(0, 10**6))
def test_mean_square_is_that_of_the_rows(seed):
    data = drawn(seed)
    head = np.random.default_rng(seed + 1).standard_normal((5, 2))
    expected = np.mean((data["weak"] @ head - data["labels"]) ** 2, axis=0)
    found = Moments.of(**data).mean_square(weak=head, labels=-np.eye(2))
    assert_allclose(found, expected, rtol=1e-12)


def test_columns_of_very_different_scales_are_solved():
    data = drawn(0)
    scale = 10.0 ** np.array([-6, -3, 0, 3, 6])
    head = Moments.of(weak=data["weak"] * scale, labels=data["labels"]).fit("weak", "labels")
    expected = MinimumNorm().fit(data["weak"], data["labels"]).coefficients
    assert_allclose(head * scale[:, None], expected, rtol=1e-9)


def test_a_repeated_column_is_shared_and_a_zero_column_unused():
    data = drawn(1)
    weak = np.column_stack([data["weak"], data["weak"][:, 0], np.zeros(40)])
    head = Moments.of(weak=weak, labels=data["labels"]).fit("weak", "labels")
    assert_allclose(head[0], head[5], rtol=1e-6)
    assert_allclose(head[6], 0, atol=1e-12)
    expected = MinimumNorm().fit(data["weak"], data["labels"]).coefficients
    assert_allclose(head[0] + head[5], expected[0], rtol=1e-6)


def test_targets_may_be_given_by_their_products():
    moments = Moments.of(**drawn(2))
    by_name = moments.fit("weak", "labels")
    np.testing.assert_array_equal(moments.fit("weak", moments.products("weak", "labels")), by_name)


def test_moments_add_and_take_away():
    data = drawn(3)
    first, second = ({k: v[rows] for k, v in data.items()} for rows in (slice(15), slice(15, 40)))
    whole = Moments.of(**first) + Moments.of(**second)
    assert whole.count == 40
    assert_allclose(whole.matrix, Moments.of(**data).matrix, rtol=1e-12)
    rest = whole - Moments.of(**first)
    assert rest.count == 25
    assert_allclose(rest.matrix, Moments.of(**second).matrix, atol=1e-12)


def test_cumulative_moments_are_the_moments_of_the_first_rows():
    data = drawn(4)
    found = cumulative_moments([30, 7, 30], **data)
    assert list(found) == [7, 30]
    for count, moments in found.items():
        expected = Moments.of(**{k: v[:count] for k, v in data.items()})
        assert moments.count == count
        assert_allclose(moments.matrix, expected.matrix, atol=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Moments.of(), "at least one named block"),
        (lambda: Moments.of(a=np.ones((3, 2)), b=np.ones((4, 1))), "b: expected 3 rows"),
        (lambda: Moments.of(a=[[1.0], [np.nan]]), "a: 1 entries are NaN"),
        (lambda: Moments.of(**drawn(0)).fit("strong", "labels"), "expected one of weak, labels"),
        (lambda: Moments.of(**drawn(0)).fit("weak", np.ones((4, 1))), "targets: expected 5 rows"),
        (lambda: Moments.of(**drawn(0)).mean_square(weak=np.ones((4, 1))), "weak: expected 5 rows"),
        (lambda: Moments.of(**drawn(0)) + Moments.of(a=[1.0]), "other: expected the blocks"),
        (lambda: Moments.of(a=[1.0]) - Moments.of(a=[1.0, 2.0]), "expected at most 1 rows"),
        (
            lambda: cumulative_moments([0], **drawn(0)),
            "edges: expected numbers of rows from 1 to 40",
        ),
        (
            lambda: cumulative_moments([41], **drawn(0)),
            "edges: expected numbers of rows from 1 to 40",
        ),
    ],
)
def test_mistakes_with_moments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("head", EVERY)
@pytest.mark.parametrize("far", [1e3, 1e7, 1e11])
def test_labels_far_from_zero_change_nothing_but_the_intercept(head, far, rng):
    """An exact shift: labels and offset are whole numbers, which the sums keep."""
    head = type(head)(**{**vars(head), "intercept": True})
    phi, _ = data(rng, 40, 5)
    y = rng.integers(-9, 9, (40, 2)).astype(float)
    near, there = head.fit(phi, y), head.fit(phi, y + far)
    assert_allclose(there.coefficients, near.coefficients, atol=1e-12)
    assert_allclose(there.predict(phi) - far, near.predict(phi), atol=1e-15 * far + 1e-12)


def test_a_column_that_rounding_leaves_of_zeros_is_not_used(rng):
    """A feature that the sample lacks: scaled to unit length, its noise would rule the head."""
    data = drawn(5)
    weak = np.column_stack([data["weak"], 1e-17 * rng.standard_normal(40)])
    head = Moments.of(weak=weak, labels=data["labels"]).fit("weak", "labels")
    expected = MinimumNorm().fit(data["weak"], data["labels"]).coefficients
    assert_allclose(head, np.vstack([expected, [0, 0]]), atol=1e-12)


@pytest.mark.parametrize("head", [*EVERY, linear_model.Ridge(0.7, fit_intercept=False)])
def test_checked_arrays_are_fitted_as_others_are(head, rng):
    phi, y = data(rng, 20, 4)
    expected = head.fit(phi, y).predict(phi[:3])
    np.testing.assert_array_equal(fitted(head, phi, y)(phi[:3]), expected)


def test_canonical_cross_moment_has_the_canonical_correlations(rng):
    weak = rng.standard_normal((50, 6))
    strong = weak[:, :3] @ rng.standard_normal((3, 4)) + rng.standard_normal((50, 4))
    moments = Moments.of(weak=weak, strong=strong)
    cross = moments.canonical("weak", "strong")
    assert cross.shape == (4, 6)
    expected = subspaces.canonical_correlations(weak, strong)
    assert_allclose(np.linalg.svd(cross, compute_uv=False), expected, atol=1e-12)
    white = moments.whiten("weak", weak.T)
    assert_allclose(white @ white.T / 50, np.eye(6), atol=1e-12)
    with pytest.raises(ValueError, match="weak: expected full column rank 2"):
        Moments.of(weak=np.ones((5, 2))).whiten("weak", np.eye(2))
