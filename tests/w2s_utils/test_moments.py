"""Moments against the rows they stand for: fits, mean squares, sums, and what they refuse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2s_utils.least_squares import MinimumNorm
from w2s_utils.moments import Moments, prefixes


def drawn(seed, m=40, d=5, tasks=2):
    rng = np.random.default_rng(seed)
    return {"weak": rng.standard_normal((m, d)), "labels": rng.standard_normal((m, tasks))}


@given(seed=st.integers(0, 10**6), m=st.integers(3, 30), d=st.integers(1, 8))
@settings(max_examples=60, deadline=None)
def test_fit_is_minimum_norm_least_squares(seed, m, d):
    data = drawn(seed, m, d)
    expected = MinimumNorm().fit(data["weak"], data["labels"]).coefficients
    found = Moments.of(**data).fit("weak", "labels")
    scale = np.abs(expected).max()
    # Squaring the condition number costs digits where m is close to d.
    condition = np.linalg.cond(data["weak"])
    np.testing.assert_allclose(found, expected, atol=1e-13 * scale * condition**2 + 1e-12)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_mean_square_is_that_of_the_rows(seed):
    data = drawn(seed)
    head = np.random.default_rng(seed + 1).standard_normal((5, 2))
    expected = np.mean((data["weak"] @ head - data["labels"]) ** 2, axis=0)
    found = Moments.of(**data).mean_square(weak=head, labels=-np.eye(2))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_columns_of_any_scale_are_solved():
    data = drawn(0)
    scale = 10.0 ** np.array([-9, -3, 0, 3, 9])
    head = Moments.of(weak=data["weak"] * scale, labels=data["labels"]).fit("weak", "labels")
    expected = MinimumNorm().fit(data["weak"], data["labels"]).coefficients
    np.testing.assert_allclose(head * scale[:, None], expected, rtol=1e-9)


def test_a_repeated_column_is_shared_and_a_zero_column_unused():
    data = drawn(1)
    weak = np.column_stack([data["weak"], data["weak"][:, 0], np.zeros(40)])
    head = Moments.of(weak=weak, labels=data["labels"]).fit("weak", "labels")
    np.testing.assert_allclose(head[0], head[5], rtol=1e-6)
    np.testing.assert_allclose(head[6], 0, atol=1e-12)
    expected = MinimumNorm().fit(data["weak"], data["labels"]).coefficients
    np.testing.assert_allclose(head[0] + head[5], expected[0], rtol=1e-6)


def test_targets_may_be_given_by_their_products():
    moments = Moments.of(**drawn(2))
    by_name = moments.fit("weak", "labels")
    np.testing.assert_array_equal(moments.fit("weak", moments.products("weak", "labels")), by_name)


def test_moments_add_and_take_away():
    data = drawn(3)
    first, second = ({k: v[rows] for k, v in data.items()} for rows in (slice(15), slice(15, 40)))
    whole = Moments.of(**first) + Moments.of(**second)
    assert whole.count == 40
    np.testing.assert_allclose(whole.matrix, Moments.of(**data).matrix, rtol=1e-12)
    rest = whole - Moments.of(**first)
    assert rest.count == 25
    np.testing.assert_allclose(rest.matrix, Moments.of(**second).matrix, atol=1e-12)


def test_prefixes_are_the_moments_of_the_first_rows():
    data = drawn(4)
    found = prefixes([30, 7, 30], **data)
    assert list(found) == [7, 30]
    for count, moments in found.items():
        expected = Moments.of(**{k: v[:count] for k, v in data.items()})
        assert moments.count == count
        np.testing.assert_allclose(moments.matrix, expected.matrix, atol=1e-12)


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
        (lambda: prefixes([0], **drawn(0)), "edges: expected numbers of rows from 1 to 40"),
        (lambda: prefixes([41], **drawn(0)), "edges: expected numbers of rows from 1 to 40"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
