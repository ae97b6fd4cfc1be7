r"""Linear heads on frozen features, fitted on rows or on sums of products.

A head is an object with ``fit(features, targets) -> LinearModel``. Targets may have several
columns (tasks): all are solved with one factorisation.

`Moments` keep what least squares and mean squares need of the data. Columns come in named blocks,
:math:`Z = [Z_1 | Z_2 | \dots]`, and what is kept is :math:`Z^T Z` and the number of rows. Moments
of disjoint sets of rows add up, so a larger sample costs only its new rows, and every fit and every
risk afterwards is independent of the number of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, cast

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg

from w2s_utils import validation
from w2s_utils.validation import Array

_SHARE = "a share of the largest singular value"

# Normal equations lose the square of the condition number: up to 1e3 they keep ten digits.
WELL_CONDITIONED = 1e-3
# Of moments, on eigenvalues: directions below 1e-6 of the largest singular value are dropped.
CUTOFF = 1e-12
# A column shorter than this share of the longest is what rounding leaves of a column of zeros.
ROUNDING = 1e-13


@dataclass(frozen=True)
class LinearModel:
    """A fitted head, ``features @ coefficients + intercept``.

    Coefficients have shape (k,) or (k, tasks), the intercept is a number or has shape (tasks,).
    """

    coefficients: Array
    intercept: Array | float = 0.0

    def __call__(self, features: Array) -> Array:
        """As `predict`, for features that have been checked."""
        return features @ self.coefficients + self.intercept

    def predict(self, features: ArrayLike) -> Array:
        """Predictions, (m,) or (m, tasks), of finite features of the dimension fitted."""
        phi = validation.matrix(features, "features")
        if phi.shape[1] != len(self.coefficients):
            raise ValueError(
                f"features: expected {len(self.coefficients)} columns, as in the fit, "
                f"got {phi.shape[1]}"
            )
        return self(phi)


class Model(Protocol):
    """What the protocol needs of a fitted head."""

    def predict(self, features: ArrayLike) -> Array:
        """Predictions, shape ``(m,)`` or ``(m, tasks)``."""
        ...


class Head(Protocol):
    """What the protocol needs of a head."""

    def fit(self, features: ArrayLike, targets: ArrayLike) -> Model:
        """Fit targets (or pseudo-labels) on features."""
        ...


def fitted(head: Head, features: Array, targets: Array) -> Callable[[Array], Array]:
    """Fit a head on arrays that have been checked, and return what predicts from such arrays.

    The heads of this module skip their own checks; any other (a user's, scikit-learn's) is fitted
    and predicts as usual.
    """
    if isinstance(head, _LinearHead):
        return head.solve(features, targets)
    return head.fit(features, targets).predict


class _LinearHead:
    intercept: bool = False

    def fit(self, features: ArrayLike, targets: ArrayLike) -> LinearModel:
        """Fit ``targets`` of shape (m,) or (m, tasks) on ``features`` of shape (m, k)."""
        phi = validation.matrix(features, "features")
        return self.solve(phi, validation.targets(targets, "targets", rows=len(phi)))

    def solve(self, features: Array, targets: Array) -> LinearModel:
        """As `fit`, for arrays that have been checked."""
        if not self.intercept:
            return LinearModel(self._coefficients(features, targets))
        phi, mean_phi = _centred(features)
        y, mean_y = _centred(targets)
        coefficients = self._coefficients(phi, y)
        return LinearModel(coefficients, mean_y - mean_phi @ coefficients)

    def _coefficients(self, phi: Array, y: Array) -> Array:
        raise NotImplementedError


@dataclass(frozen=True)
class MinimumNorm(_LinearHead):
    r"""Least squares; among all minimisers of :math:`\|\Phi c - y\|^2` the one of least norm.

    Directions whose singular value is below ``cutoff`` times the largest are dropped; the default
    is machine precision times the larger dimension (Dong et al. 2025 use 1e-6). An ``intercept`` is
    unpenalised (by centring).
    """

    cutoff: float | None = None
    intercept: bool = False

    def __post_init__(self) -> None:
        cutoff = 0 if self.cutoff is None else validation.nonnegative(self.cutoff, "cutoff", _SHARE)
        if cutoff >= 1:
            raise ValueError(f"cutoff: expected less than 1 ({_SHARE}), got {self.cutoff!r}")

    def _coefficients(self, phi: Array, y: Array) -> Array:
        cutoff = max(phi.shape) * np.finfo(float).eps if self.cutoff is None else self.cutoff
        if cutoff <= WELL_CONDITIONED and phi.shape[0] >= phi.shape[1]:
            # Normal equations are six times faster.
            solution = _by_cholesky(phi.T @ phi, phi.T @ y, WELL_CONDITIONED**2)
            if solution is not None:
                return solution
        # Complete orthogonal factorisation: rank-revealing, faster than singular values.
        return cast(
            Array,
            linalg.lstsq(phi, y, cond=cutoff, lapack_driver="gelsy", check_finite=False)[0],
        )


@dataclass(frozen=True)
class Ridge(_LinearHead):
    r"""Ridge regression, :math:`\min_c \|\Phi c - y\|^2 + \lambda \|c\|^2`.

    The ``penalty`` :math:`\lambda > 0` is in squared feature units times the number of rows
    (scikit-learn's ``alpha``); for zero use `MinimumNorm`. An ``intercept`` is unpenalised (by
    centring).
    """

    penalty: float
    intercept: bool = False

    def __post_init__(self) -> None:
        validation.positive(self.penalty, "penalty", "; use MinimumNorm for ridgeless regression")

    def _coefficients(self, phi: Array, y: Array) -> Array:
        wide = phi.shape[0] < phi.shape[1]
        gram = phi @ phi.T if wide else phi.T @ phi
        gram.flat[:: len(gram) + 1] += self.penalty
        if wide:
            return cast(Array, phi.T @ linalg.solve(gram, y, assume_a="pos"))
        return cast(Array, linalg.solve(gram, phi.T @ y, assume_a="pos"))


@dataclass(frozen=True)
class RidgeGCV(_LinearHead):
    r"""Ridge regression whose penalty minimises the generalized cross-validation score.

    .. math::

        \mathrm{GCV}(\lambda) = \frac{\frac1m \|y - H_\lambda y\|^2}
        {\bigl(1 - \operatorname{tr} H_\lambda / m\bigr)^2}

    One decomposition serves all penalties and tasks; every task chooses its own. Candidates are
    positive, in units of the largest squared singular value. An ``intercept`` is unpenalised and
    counts as one degree of freedom.
    """

    relative_penalties: tuple[float, ...] = tuple(np.logspace(-10, 2, 49).tolist())
    intercept: bool = False

    def __post_init__(self) -> None:
        candidates = validation.targets(self.relative_penalties, "relative_penalties")
        if candidates.ndim != 1 or not np.all(candidates > 0):
            raise ValueError(
                f"relative_penalties: expected positive numbers, got {self.relative_penalties!r}"
            )

    def _coefficients(self, phi: Array, y: Array) -> Array:
        columns, wide = y.reshape(len(y), -1), phi.shape[0] < phi.shape[1]
        # NumPy's, which lets other threads go on.
        squares, right = np.linalg.eigh(phi @ phi.T if wide else phi.T @ phi)
        kept = squares > CUTOFF * squares[-1]
        squares, singular = squares[kept], np.sqrt(squares[kept])
        right = phi.T @ right[:, kept] / singular if wide else right[:, kept]
        moments = right.T @ (phi.T @ columns) / singular[:, None]
        # Features that are all zero (or constant, and centred) get a head of zeros.
        penalties = np.asarray(self.relative_penalties) * squares.max(initial=0.0)
        shrinkage = squares / (squares + penalties[:, None])
        best = np.argmin(self._scores(columns, moments, shrinkage), axis=0)
        coefficients = right @ (shrinkage[best].T * moments / singular[:, None])
        return cast(Array, coefficients.reshape((phi.shape[1], *y.shape[1:])))

    def _scores(self, columns: Array, moments: Array, shrinkage: Array) -> Array:
        m = len(columns)
        outside = np.sum(columns**2, axis=0) - np.sum(moments**2, axis=0)
        inside = (1 - shrinkage) ** 2 @ moments**2
        degrees = shrinkage.sum(axis=1) + self.intercept
        # A fit that interpolates has no residual degrees of freedom, so no score.
        left_over = np.where(degrees < m * (1 - 1e-9), 1 - degrees / m, np.nan)
        scores = (np.maximum(outside, 0) + inside) / m / left_over[:, None] ** 2
        return np.where(np.isnan(scores), np.inf, scores)


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums of products :math:`Z^T Z`, shape (D, D), of named blocks of columns.

    Sums are over ``count`` rows, in products of the columns' units; ``blocks`` has the columns of
    each block.
    """

    count: int
    matrix: Array
    blocks: Mapping[str, slice]

    @classmethod
    def of(cls, **blocks: ArrayLike) -> Moments:
        """Moments of the rows given, finite and as many in each block.

        Blocks have shape (m,), which is one column, or (m, D_block).
        """
        stacked, slices = _stacked(blocks)
        return cls(len(stacked), stacked.T @ stacked, slices)

    def __add__(self, other: Moments) -> Moments:
        """Moments of both sets of rows."""
        self._match(other)
        return Moments(self.count + other.count, self.matrix + other.matrix, self.blocks)

    def __sub__(self, other: Moments) -> Moments:
        """Moments of the rows without those of `other`, which must be among them."""
        self._match(other)
        if other.count > self.count:
            raise ValueError(f"other: expected at most {self.count} rows, got {other.count}")
        return Moments(self.count - other.count, self.matrix - other.matrix, self.blocks)

    def only(self, *names: str) -> Moments:
        """Moments of some of the blocks."""
        kept = np.concatenate([np.arange(len(self.matrix))[self._slice(name)] for name in names])
        slices = _slices({name: self._width(name) for name in names})
        return Moments(self.count, self.matrix[np.ix_(kept, kept)], slices)

    def products(self, first: str, second: str) -> Array:
        """Sums of products of two blocks, shape ``(D_first, D_second)``."""
        return self.matrix[self._slice(first), self._slice(second)]

    def fit(self, features: str, targets: str | ArrayLike) -> Array:
        r"""Least squares on a block: coefficients that minimise :math:`\|Z_f c - t\|^2`.

        Targets are the name of a block, or the sums of products of the features with the targets,
        shape (D_features, k), which is the shape of the result. Where several minimise it is the
        one of least norm; directions whose singular value is below 1e-6 of the largest are then
        dropped.
        """
        gram = self.products(features, features)
        right = (
            self.products(features, targets)
            if isinstance(targets, str)
            else validation.matrix(targets, "targets", rows=len(gram))
        )
        lengths = np.sqrt(np.diag(gram))
        solution = None
        if np.all(lengths > ROUNDING * lengths.max()):
            # In columns of unit length.
            scale = lengths[:, None]
            solution = _by_cholesky(gram / np.outer(lengths, lengths), right / scale, CUTOFF)
        return _pseudo_inverse(gram, right) if solution is None else solution / scale

    def mean_square(self, **coefficients: ArrayLike) -> Array:
        r"""Mean over the rows of :math:`(\sum_b Z_b c_b)^2`, one for each column of coefficients.

        Coefficients have shape (D_block, k); blocks left out do not enter. ``weak=c,
        labels=-np.eye(k)`` gives the mean squared error of a head ``c``, never below zero.
        """
        heads = {
            name: validation.matrix(given, name, rows=self._width(name))
            for name, given in coefficients.items()
        }
        total = sum(
            np.sum(head * (self.products(name, other) @ second), axis=0)
            for name, head in heads.items()
            for other, second in heads.items()
        )
        return cast(Array, np.maximum(total, 0) / self.count)

    def whiten(self, block: str, columns: ArrayLike) -> Array:
        """Coordinates in which a block is white over the rows, :math:`L^{-1}X`, shape (D_block, k).

        The block's second moment, of full rank, is :math:`Z_b^T Z_b/m = L L^T`. The columns, shape
        (D_block, k), are features of other inputs (one input a column), or products with them.
        """
        gram = self.products(block, block)
        try:
            root = linalg.cholesky(gram / self.count, lower=True)
        except linalg.LinAlgError:
            raise ValueError(
                f"{block}: expected full column rank {len(gram)}; cut it to its leading directions "
                "first (w2s_utils.problem.cut)"
            ) from None
        return cast(Array, linalg.solve_triangular(root, columns, lower=True))

    def canonical(self, first: str, second: str) -> Array:
        """Cross moment, shape (D_second, D_first), of two blocks in the coordinates of `whiten`.

        Its singular values are the sample canonical correlations (uncentred), the sum of its
        squared entries is the raw overlap. Products square the condition of the features: where
        that matters, `w2s_utils.theory.subspaces.canonical_correlations` works on the rows.
        """
        half = self.whiten(first, self.products(first, second))
        return self.whiten(second, half.T) / self.count

    def _slice(self, name: str) -> slice:
        if name not in self.blocks:
            raise ValueError(f"block: expected one of {', '.join(self.blocks)}, got {name!r}")
        return self.blocks[name]

    def _width(self, name: str) -> int:
        columns = self._slice(name)
        return int(columns.stop - columns.start)

    def _match(self, other: Moments) -> None:
        if self.blocks != other.blocks:
            raise ValueError(
                f"other: expected the blocks {dict(self.blocks)}, got {dict(other.blocks)}"
            )


def cumulative_moments(edges: Sequence[int], **blocks: Array) -> dict[int, Moments]:
    """Moments of the first rows, for several numbers of rows, each row used once.

    Edges are numbers of rows, from 1 to the rows given, in any order; blocks are of shape (m, D),
    and have been checked. The result is by number of rows, growing.
    """
    stacked = np.hstack(list(blocks.values()))
    slices = _slices({name: array.shape[1] for name, array in blocks.items()})
    ends = sorted(set(edges))
    if not ends or ends[0] < 1 or ends[-1] > len(stacked):
        raise ValueError(f"edges: expected numbers of rows from 1 to {len(stacked)}, got {ends}")
    total, found = np.zeros((stacked.shape[1],) * 2), {}
    for start, end in pairwise([0, *ends]):
        total = total + stacked[start:end].T @ stacked[start:end]
        found[end] = Moments(end, total, slices)
    return found


def _stacked(blocks: Mapping[str, ArrayLike]) -> tuple[Array, dict[str, slice]]:
    if not blocks:
        raise ValueError("blocks: expected at least one named block of columns, got none")
    columns: dict[str, Array] = {}
    rows = None
    for name, values in blocks.items():
        array = validation.targets(values, name, rows=rows)
        rows = len(array)
        columns[name] = array.reshape(rows, -1)
    slices = _slices({name: array.shape[1] for name, array in columns.items()})
    return np.hstack(list(columns.values())) if len(columns) > 1 else columns[name], slices


def _slices(widths: Mapping[str, int]) -> dict[str, slice]:
    ends = np.cumsum([0, *widths.values()]).tolist()
    return {name: slice(*pair) for name, pair in zip(widths, pairwise(ends), strict=True)}


def _centred(values: Array) -> tuple[Array, Array]:
    mean = values.mean(axis=0)
    centred = values - mean
    # Far from zero the mean is rounded by more than the values vary.
    rest = centred.mean(axis=0)
    return np.subtract(centred, rest, out=centred), mean + rest


def _by_cholesky(gram: Array, right: Array, least: float) -> Array | None:
    """Solve a symmetric system; None unless its reciprocal condition is at least ``least``."""
    # LAPACK itself: many of these systems are so small that SciPy's checks take as long.
    factor, failed = linalg.lapack.dpotrf(gram, clean=False)
    if failed or linalg.lapack.dpocon(factor, np.abs(gram).sum(axis=0).max())[0] < least:
        return None
    return cast(Array, linalg.lapack.dpotrs(factor, right)[0])


def _pseudo_inverse(gram: Array, right: Array) -> Array:
    values, vectors = linalg.eigh(gram, check_finite=False)
    kept = values > CUTOFF * max(values[-1], 0)
    directions = vectors[:, kept]
    return cast(Array, directions @ ((directions.T @ right) / values[kept, None]))
