"""Validation: what is accepted, and messages that name the argument and the remedy."""

from __future__ import annotations

import numpy as np
import pytest

from w2s_utils import validation

BAD_TYPES = [
    np.array([[1j]]),
    np.array([["1"]]),
    np.array([[None]]),
    np.array([[object()]]),
    np.array([["2020-01-01"]], dtype="datetime64[D]"),
    [[1.0], [1.0, 2.0]],
]


@pytest.mark.parametrize("values", [[[1, 2]], np.ones((3, 2), np.float32), [[True]]])
def test_matrices_become_finite_floats(values):
    found = validation.matrix(values, "x")
    assert found.dtype == float
    np.testing.assert_array_equal(found, np.asarray(values))


def test_no_copy_is_made_of_a_float_matrix():
    values = np.ones((2, 2))
    assert validation.matrix(values, "x") is values


@pytest.mark.parametrize(
    "check", [validation.matrix, validation.targets, validation.vector, validation.orthonormal]
)
@pytest.mark.parametrize("values", BAD_TYPES)
def test_what_is_not_real_numbers_is_refused(check, values):
    with pytest.raises(ValueError, match=r"^some name: expected (real|an array of) numbers"):
        check(values, "some name")


@pytest.mark.parametrize("values", [1.0, [1.0], np.ones((1, 1, 1)), np.ones((0, 2)), []])
def test_matrix_needs_two_dimensions(values):
    with pytest.raises(ValueError, match=r"^x: expected a non-empty matrix .*shape \("):
        validation.matrix(values, "x")


@pytest.mark.parametrize("values", [1.0, [], np.ones((1, 1, 1))])
def test_targets_need_one_or_two_dimensions(values):
    with pytest.raises(ValueError, match=r"^y: expected shape \(m,\) or \(m, tasks\), got"):
        validation.targets(values, "y")


def test_vector_refuses_columns():
    with pytest.raises(ValueError, match=r"^y: expected shape \(m,\), got \(2, 1\)"):
        validation.vector([[1.0], [2.0]], "y")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_first_value_that_is_not_finite_is_located(value):
    values = np.zeros((4, 3))
    values[[2, 3], [1, 0]] = value
    with pytest.raises(ValueError, match=r"2 entries .* first at \(2, 1\); remove or impute"):
        validation.matrix(values, "x")


@pytest.mark.parametrize("check", [validation.matrix, validation.targets, validation.orthonormal])
def test_rows_must_match(check):
    assert check(np.eye(2), "x", rows=2).shape == (2, 2)
    with pytest.raises(ValueError, match="x: expected 3 rows, one for each input, got 2"):
        check(np.eye(2), "x", rows=3)


def test_orthonormal_to_eight_digits():
    assert validation.orthonormal(np.eye(3, 2) * (1 + 1e-9), "u").shape == (3, 2)
    with pytest.raises(ValueError, match=r"u: .*identity by 2e-06; .*numpy.linalg.qr"):
        validation.orthonormal(np.eye(3, 2) * (1 + 1e-6), "u")
    with pytest.raises(ValueError, match="orthonormal columns"):
        validation.orthonormal(np.eye(2, 3), "u")


@pytest.mark.parametrize("value", [2.9, [3, 2], np.nan, [5, np.nan], -np.inf])
def test_at_least_names_the_bound_and_the_reason(value):
    with pytest.raises(ValueError, match=r"^n: expected at least 3 \(why\), got"):
        validation.at_least(value, 3, "n", "why")


def test_at_least_returns_floats_and_allows_the_limit():
    found = validation.at_least([3, np.inf], 3, "n", "why")
    assert found.tolist() == [3.0, np.inf]


@pytest.mark.parametrize("value", [0, -1, np.nan, np.inf, [1, 2], "a", None, 1j])
def test_positive_refuses_all_but_positive_finite_numbers(value):
    with pytest.raises(ValueError, match=r"^r: expected (a positive finite|real) number"):
        validation.positive(value, "r")
    assert validation.positive(np.float32(2), "r") == 2


def test_positive_gives_the_remedy():
    with pytest.raises(ValueError, match="got 0; use another"):
        validation.positive(0, "r", "; use another")


@pytest.mark.parametrize("value", [-1e-300, np.nan, np.inf, [1, 2], "a"])
def test_nonnegative_refuses_all_but_finite_numbers_from_zero(value):
    with pytest.raises(ValueError, match=r"^v: expected (a finite number, at least 0 \(w|real)"):
        validation.nonnegative(value, "v", "what")
    assert validation.nonnegative(0, "v", "what") == 0
