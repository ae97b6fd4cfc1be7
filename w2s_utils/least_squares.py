r"""Linear heads on frozen features: minimum-norm least squares and ridge regression.

A head is an object with ``fit(features, targets) -> LinearModel``. Targets may have several
columns (tasks): all are solved with one factorisation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg

from w2s_utils import validation

_SHARE = "a share of the largest singular value"


# Normal equations lose the square of the condition number: up to 1e3 they keep ten digits.
WELL_CONDITIONED = 1e-3


@dataclass(frozen=True)
class LinearModel:
    """A fitted head, ``features @ coefficients + intercept``.

    Attributes
    ----------
    coefficients : ndarray, shape (k,) or (k, tasks)
    intercept : float or ndarray, shape (tasks,)
    """

    coefficients: NDArray[np.float64]
    intercept: NDArray[np.float64] | float = 0.0

    def predict(self, features: ArrayLike) -> NDArray[np.float64]:
        """Predictions, shape ``(m,)`` or ``(m, tasks)``.

        Raises
        ------
        ValueError
            If the features are not finite or not of the dimension that was fitted.
        """
        phi = validation.matrix(features, "features")
        if phi.shape[1] != len(self.coefficients):
            raise ValueError(
                f"features: expected {len(self.coefficients)} columns, as in the fit, "
                f"got {phi.shape[1]}"
            )
        return phi @ self.coefficients + self.intercept


class Head(Protocol):
    """What the protocol needs of a head."""

    def fit(self, features: ArrayLike, targets: ArrayLike) -> LinearModel:
        """Fit targets (or pseudo-labels) on features."""
        ...


@dataclass(frozen=True)
class MinimumNorm:
    r"""Least squares; among all minimisers of :math:`\|\Phi c - y\|^2` the one of least norm.

    Parameters
    ----------
    cutoff : float, optional
        Directions whose singular value is below ``cutoff`` times the largest are dropped.
        Default: machine precision times the larger dimension. (Dong et al. 2025 use 1e-6.)
    intercept : bool
        Whether to fit an unpenalised intercept (by centring).
    """

    cutoff: float | None = None
    intercept: bool = False

    def __post_init__(self) -> None:
        if (
            self.cutoff is not None
            and not validation.nonnegative(self.cutoff, "cutoff", _SHARE) < 1
        ):
            raise ValueError(f"cutoff: expected less than 1 ({_SHARE}), got {self.cutoff!r}")

    def fit(self, features: ArrayLike, targets: ArrayLike) -> LinearModel:
        """Fit ``targets`` of shape (m,) or (m, tasks) on ``features`` of shape (m, k)."""
        phi, y, centre = _prepared(features, targets, self.intercept)
        cutoff = max(phi.shape) * np.finfo(float).eps if self.cutoff is None else self.cutoff
        coefficients = _normal_equations(phi, y) if cutoff < WELL_CONDITIONED else None
        if coefficients is None:
            # Complete orthogonal factorisation: rank-revealing, faster than singular values.
            coefficients = linalg.lstsq(
                phi, y, cond=cutoff, lapack_driver="gelsy", check_finite=False
            )[0]
        return centre(coefficients)


@dataclass(frozen=True)
class Ridge:
    r"""Ridge regression, :math:`\min_c \|\Phi c - y\|^2 + \lambda \|c\|^2`.

    Parameters
    ----------
    penalty : float
        :math:`\lambda > 0`, in squared feature units times the number of rows (scikit-learn's
        ``alpha``).
    intercept : bool
        Whether to fit an unpenalised intercept (by centring).

    Raises
    ------
    ValueError
        If the penalty is not positive; for zero use `MinimumNorm`.
    """

    penalty: float
    intercept: bool = False

    def __post_init__(self) -> None:
        validation.positive(self.penalty, "penalty", "; use MinimumNorm for ridgeless regression")

    def fit(self, features: ArrayLike, targets: ArrayLike) -> LinearModel:
        """Fit ``targets`` of shape (m,) or (m, tasks) on ``features`` of shape (m, k)."""
        phi, y, centre = _prepared(features, targets, self.intercept)
        m, k = phi.shape
        if k <= m:
            gram = phi.T @ phi
            gram.flat[:: k + 1] += self.penalty
            return centre(linalg.solve(gram, phi.T @ y, assume_a="pos"))
        gram = phi @ phi.T
        gram.flat[:: m + 1] += self.penalty
        return centre(phi.T @ linalg.solve(gram, y, assume_a="pos"))


@dataclass(frozen=True)
class RidgeGCV:
    r"""Ridge regression whose penalty minimises the generalized cross-validation score.

    .. math::

        \mathrm{GCV}(\lambda) = \frac{\frac1m \|y - H_\lambda y\|^2}
        {\bigl(1 - \operatorname{tr} H_\lambda / m\bigr)^2}

    One singular value decomposition serves all penalties and tasks; every task chooses its own.

    Parameters
    ----------
    relative_penalties : tuple of float, optional
        Candidates in units of the largest squared singular value, positive; default 49 values
        from 1e-10 to 1e2.
    intercept : bool
        Whether to fit an unpenalised intercept; it counts as one degree of freedom.
    """

    relative_penalties: tuple[float, ...] = tuple(np.logspace(-10, 2, 49).tolist())
    intercept: bool = False

    def __post_init__(self) -> None:
        candidates = validation.targets(self.relative_penalties, "relative_penalties")
        if candidates.ndim != 1 or not np.all(candidates > 0):
            raise ValueError(
                f"relative_penalties: expected positive numbers, got {self.relative_penalties!r}"
            )

    def fit(self, features: ArrayLike, targets: ArrayLike) -> LinearModel:
        """Fit ``targets`` of shape (m,) or (m, tasks) on ``features`` of shape (m, k)."""
        phi, y, centre = _prepared(features, targets, self.intercept)
        left, singular, right = linalg.svd(phi, full_matrices=False)
        columns = y.reshape(len(y), -1)
        moments = left.T @ columns
        # Features that are all zero (or constant, and centred) get a head of zeros.
        penalties = np.asarray(self.relative_penalties) * (singular[0] ** 2 or 1.0)
        shrinkage = singular**2 / (singular**2 + penalties[:, None])
        best = np.argmin(self._scores(columns, moments, shrinkage), axis=0)
        inverse = singular / (singular**2 + penalties[best, None])
        coefficients = right.T @ (inverse.T * moments)
        return centre(coefficients.reshape((phi.shape[1], *y.shape[1:])))

    def _scores(self, columns: NDArray, moments: NDArray, shrinkage: NDArray) -> NDArray:
        m = len(columns)
        outside = np.sum(columns**2, axis=0) - np.sum(moments**2, axis=0)
        inside = (1 - shrinkage) ** 2 @ moments**2
        degrees = shrinkage.sum(axis=1) + self.intercept
        # A fit that interpolates has no residual degrees of freedom, so no score.
        left_over = np.where(degrees < m * (1 - 1e-9), 1 - degrees / m, np.nan)
        scores = (np.maximum(outside, 0) + inside) / m / left_over[:, None] ** 2
        return np.where(np.isnan(scores), np.inf, scores)


def _normal_equations(phi: NDArray, y: NDArray) -> NDArray | None:
    """Least squares by Cholesky, six times faster; None unless well conditioned."""
    if phi.shape[0] < phi.shape[1]:
        return None
    gram = phi.T @ phi
    try:
        factor = linalg.cho_factor(gram, check_finite=False)
    except linalg.LinAlgError:
        return None
    norm = np.abs(gram).sum(axis=0).max()
    reciprocal_condition = linalg.lapack.dpocon(factor[0], norm)[0]
    if reciprocal_condition < WELL_CONDITIONED**2:
        return None
    return linalg.cho_solve(factor, phi.T @ y, check_finite=False)


def _prepared(features: ArrayLike, targets: ArrayLike, intercept: bool):
    """Validated (and centred) arrays, and the function that turns coefficients into a model."""
    phi = validation.matrix(features, "features")
    y = validation.targets(targets, "targets", rows=len(phi))
    if not intercept:
        return phi, y, LinearModel
    mean_phi, mean_y = phi.mean(axis=0), y.mean(axis=0)

    def model(coefficients: NDArray) -> LinearModel:
        return LinearModel(coefficients, mean_y - mean_phi @ coefficients)

    return phi - mean_phi, y - mean_y, model
