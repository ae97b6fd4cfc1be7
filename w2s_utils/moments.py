r"""Second moments of columns over rows: all that least squares and mean squares need of the data.

Columns come in named blocks, :math:`Z = [Z_1 | Z_2 | \dots]`, and what is kept is :math:`Z^T Z` and
the number of rows. Moments of disjoint sets of rows add up, so a larger sample costs only its new
rows, and every fit and every risk afterwards is independent of the number of rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg

from w2s_utils import validation

# On eigenvalues: directions below 1e-6 of the largest singular value are dropped.
CUTOFF = 1e-12


@dataclass(frozen=True, eq=False)
class Moments:
    r"""Sums of products :math:`Z^T Z` of named blocks of columns.

    Attributes
    ----------
    count : int
        Rows summed over.
    matrix : ndarray, shape (D, D)
        :math:`Z^T Z`, in the products of the columns' units.
    blocks : dict of str to slice
        Columns of each block.
    """

    count: int
    matrix: NDArray[np.float64]
    blocks: Mapping[str, slice]

    @classmethod
    def of(cls, **blocks: ArrayLike) -> Moments:
        """Moments of the rows given.

        Parameters
        ----------
        **blocks : array_like, shape (m,) or (m, D_block)
            Columns of each block, the same rows in each. One-dimensional blocks are one column.

        Raises
        ------
        ValueError
            If no block is given, the numbers of rows differ, or a value is not finite.
        """
        columns = _columns(blocks)
        stacked = np.hstack(list(columns.values()))
        return cls(len(stacked), stacked.T @ stacked, _slices(columns))

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
        rows = np.concatenate([np.r_[self._slice(name)] for name in names])
        ends = np.cumsum([0, *(self._width(name) for name in names)]).tolist()
        blocks = {name: slice(*pair) for name, pair in zip(names, pairwise(ends), strict=True)}
        return Moments(self.count, self.matrix[np.ix_(rows, rows)], blocks)

    def products(self, first: str, second: str) -> NDArray[np.float64]:
        """Sums of products of two blocks, shape ``(D_first, D_second)``."""
        return self.matrix[self._slice(first), self._slice(second)]

    def fit(self, features: str, targets: str | ArrayLike) -> NDArray[np.float64]:
        r"""Least squares on a block: coefficients that minimise :math:`\|Z_f c - t\|^2`.

        Parameters
        ----------
        features : str
            Name of a block.
        targets : str or array_like, shape (D_features, k)
            Name of a block, or the sums of products of the features with the targets.

        Returns
        -------
        ndarray, shape (D_features, k)
            Of least norm where several minimise; directions whose singular value is below 1e-6
            of the largest are then dropped.
        """
        gram = self.products(features, features)
        moments = self.products(features, targets) if isinstance(targets, str) else targets
        right = validation.matrix(moments, "targets", rows=len(gram))
        solution = _positive_definite(gram, right)
        return _pseudo_inverse(gram, right) if solution is None else solution

    def mean_square(self, **coefficients: ArrayLike) -> NDArray[np.float64]:
        r"""Mean over the rows of :math:`(\sum_b Z_b c_b)^2`, for each column of coefficients.

        Parameters
        ----------
        **coefficients : array_like, shape (D_block, k)
            By block; blocks left out do not enter. ``weak=c, labels=-np.eye(k)`` gives the mean
            squared error of a head ``c``.

        Returns
        -------
        ndarray, shape (k,)
            Not below zero.
        """
        names = list(coefficients)
        stacked = np.vstack([
            validation.matrix(coefficients[name], name, rows=self._width(name)) for name in names
        ])  # fmt: skip
        rows = np.concatenate([np.r_[self._slice(name)] for name in names])
        product = self.matrix[np.ix_(rows, rows)] @ stacked
        return np.maximum(np.sum(stacked * product, axis=0), 0) / self.count

    def _slice(self, name: str) -> slice:
        if name not in self.blocks:
            raise ValueError(f"block: expected one of {', '.join(self.blocks)}, got {name!r}")
        return self.blocks[name]

    def _width(self, name: str) -> int:
        columns = self._slice(name)
        return columns.stop - columns.start

    def _match(self, other: Moments) -> None:
        if self.blocks != other.blocks:
            raise ValueError(
                f"other: expected the blocks {dict(self.blocks)}, got {dict(other.blocks)}"
            )


def prefixes(edges: Sequence[int], **blocks: ArrayLike) -> dict[int, Moments]:
    """Moments of the first rows, for several numbers of rows, each row used once.

    Parameters
    ----------
    edges : sequence of int
        Numbers of rows, from 1 to the rows given; in any order, repeats allowed.
    **blocks : array_like, shape (m,) or (m, D_block)

    Returns
    -------
    dict of int to Moments
        By number of rows, growing.

    Raises
    ------
    ValueError
        If a number of rows is out of range, or as for `Moments.of`.
    """
    columns = _columns(blocks)
    stacked, slices = np.hstack(list(columns.values())), _slices(columns)
    ends = sorted(set(edges))
    if not ends or ends[0] < 1 or ends[-1] > len(stacked):
        raise ValueError(f"edges: expected numbers of rows from 1 to {len(stacked)}, got {ends}")
    total, found = np.zeros((stacked.shape[1],) * 2), {}
    for start, end in pairwise([0, *ends]):
        total = total + stacked[start:end].T @ stacked[start:end]
        found[end] = Moments(end, total, slices)
    return found


def _columns(blocks: Mapping[str, ArrayLike]) -> dict[str, NDArray]:
    if not blocks:
        raise ValueError("blocks: expected at least one named block of columns, got none")
    columns: dict[str, NDArray] = {}
    rows = None
    for name, values in blocks.items():
        array = validation.targets(values, name, rows=rows)
        rows = len(array)
        columns[name] = array.reshape(rows, -1)
    return columns


def _slices(columns: Mapping[str, NDArray]) -> dict[str, slice]:
    ends = np.cumsum([0, *(values.shape[1] for values in columns.values())]).tolist()
    return {name: slice(*pair) for name, pair in zip(columns, pairwise(ends), strict=True)}


def _positive_definite(gram: NDArray, right: NDArray) -> NDArray | None:
    """Solve by Cholesky in columns of unit length; None where these are nearly dependent."""
    lengths = np.sqrt(np.diag(gram))
    if not np.all(lengths > 0):
        return None
    scaled = gram / np.outer(lengths, lengths)
    try:
        factor = linalg.cho_factor(scaled, check_finite=False)
    except linalg.LinAlgError:
        return None
    norm = np.abs(scaled).sum(axis=0).max()
    if linalg.lapack.dpocon(factor[0], norm)[0] < CUTOFF:
        return None
    scale = lengths[:, None]
    return linalg.cho_solve(factor, right / scale, check_finite=False) / scale


def _pseudo_inverse(gram: NDArray, right: NDArray) -> NDArray:
    values, vectors = linalg.eigh(gram, check_finite=False)
    kept = values > CUTOFF * max(values[-1], 0)
    directions = vectors[:, kept]
    return directions @ ((directions.T @ right) / values[kept, None])
