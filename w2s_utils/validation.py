"""Validation at the public edge: errors that name the argument, what was given and what to do."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
"""Double-precision array, as every function of the library returns."""


def matrix(values: ArrayLike, name: str, *, rows: int | None = None) -> Array:
    """Return ``values`` as a finite, non-empty float matrix, of ``rows`` rows if they are given."""
    array = real(values, name)
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(
            f"{name}: expected a non-empty matrix (rows are inputs, columns are features), "
            f"got an array of shape {array.shape}"
        )
    return _checked(array, name, rows)


def targets(values: ArrayLike, name: str, *, rows: int | None = None) -> Array:
    """Return ``values`` as finite floats of shape ``(m,)`` or ``(m, tasks)``."""
    array = real(values, name)
    if array.ndim not in (1, 2) or array.size == 0:
        raise ValueError(
            f"{name}: expected shape (m,) or (m, tasks), got an array of shape {array.shape}"
        )
    return _checked(array, name, rows)


def vector(values: ArrayLike, name: str, *, rows: int | None = None) -> Array:
    """Return ``values`` as finite floats of shape ``(m,)``."""
    array = targets(values, name, rows=rows)
    if array.ndim != 1:
        raise ValueError(f"{name}: expected shape (m,), got {array.shape}")
    return array


def orthonormal(values: ArrayLike, name: str, *, rows: int | None = None) -> Array:
    """Return ``values`` as a matrix with columns that are orthonormal to 1e-8."""
    array = matrix(values, name, rows=rows)
    deviation = np.abs(array.T @ array - np.eye(array.shape[1])).max()
    if deviation > 1e-8:
        raise ValueError(
            f"{name}: expected orthonormal columns, but {name}^T {name} differs from the identity "
            f"by {deviation:.2g}; orthonormalise with numpy.linalg.qr"
        )
    return array


def spectrum(values: ArrayLike | None, name: str, size: int) -> Array:
    """Return ``values`` as ``size`` positive eigenvalues, of a second moment; None is all ones."""
    array = np.ones(size) if values is None else vector(values, name)
    if len(array) != size or not np.all(array > 0):
        raise ValueError(
            f"{name}: expected {size} positive eigenvalues, one for each feature, got {array}"
        )
    return array


def at_least(value: ArrayLike, least: ArrayLike, name: str, why: str) -> Array:
    """Return ``value`` as floats, all of them at least ``least``; ``why`` is given in the error."""
    array = real(value, name)
    # Written so that NaN is refused as well.
    if not np.greater_equal(array, least).all():
        raise ValueError(
            f"{name}: expected at least {np.max(least):g} ({why}), got {np.min(array):g}"
        )
    return array


def text(value: str, name: str, owner: str) -> str:
    """Return ``value`` if it is a text that says something; ``owner`` is what needs it."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name}: {owner} needs it in words, got {value!r}")
    return value


def positive(value: float, name: str, remedy: str = "") -> float:
    """Return ``value`` as a positive finite float; ``remedy`` is added to the error."""
    number = real(value, name)
    if number.ndim or not 0 < number < np.inf:
        raise ValueError(f"{name}: expected a positive finite number, got {value!r}{remedy}")
    return float(number)


def nonnegative(value: float, name: str, what: str) -> float:
    """Return ``value`` as a finite float that is at least zero; ``what`` says what it is."""
    number = real(value, name)
    if number.ndim or not 0 <= number < np.inf:
        raise ValueError(f"{name}: expected a finite number, at least 0 ({what}), got {value!r}")
    return float(number)


def real(values: ArrayLike, name: str) -> Array:
    """Return ``values`` as floats of any shape, NaN and infinity allowed."""
    try:
        array = np.asarray(values)
    except ValueError as error:  # ragged lists
        raise ValueError(f"{name}: expected an array of numbers, {error}") from error
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name}: expected real numbers, got dtype {array.dtype}")
    return array.astype(float, copy=False)


def _checked(array: Array, name: str, rows: int | None) -> Array:
    if not np.all(np.isfinite(array)):
        bad = np.argwhere(~np.isfinite(array))
        raise ValueError(
            f"{name}: {len(bad)} entries are NaN or infinite, the first at {tuple(bad[0].tolist())}"
            "; remove or impute these rows"
        )
    if rows is not None and len(array) != rows:
        raise ValueError(f"{name}: expected {rows} rows, one for each input, got {len(array)}")
    return array
