"""Weak-to-strong problems: targets of a pool of inputs, and how teachers and students see them.

Features are cut to their leading directions, so that their number of columns is their rank: the
exact risks depend on the rank, not on a cut-off (`w2s_utils.theory.risks`). Targets have mean 0 and
variance 1, so that every risk is a fraction of the variance of the target. A column of ones among
the features plays the part of the intercept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from w2s_utils import validation
from w2s_utils.theory.subspaces import leading_directions


@dataclass(frozen=True, eq=False)
class Problem:
    """Targets of a pool of inputs, and how teachers and students see these inputs.

    Attributes
    ----------
    name : str
        Name of the data set.
    targets : ndarray, shape (m, tasks)
        Each column with mean 0 and variance 1 over the pool.
    noise : float
        Standard deviation of the label noise to be added, in units of the target's.
    teachers : dict of int or str to ndarray, shape (m, d_w)
        Weak features by their number of columns ``d_w``, or by name.
    students : dict of str to ndarray, shape (m, d_s)
        Strong features by name.
    """

    name: str
    targets: NDArray[np.float64]
    noise: float
    teachers: Mapping[int | str, NDArray[np.float64]]
    students: Mapping[str, NDArray[np.float64]]


def with_constant(features: ArrayLike) -> NDArray[np.float64]:
    """Features with a column of ones appended.

    Parameters
    ----------
    features : array_like, shape (m, D)

    Returns
    -------
    ndarray, shape (m, D + 1)
    """
    phi = validation.matrix(features, "features")
    return np.column_stack([phi, np.ones(len(phi))])


def cut(features: ArrayLike, dimension: int, *, fitted_on: ArrayLike | None = None) -> NDArray:
    """Coordinates of features along their leading (uncentred) principal directions.

    Parameters
    ----------
    features : array_like, shape (m, D)
    dimension : int
        Number of directions kept, at most ``min(m, D)``.
    fitted_on : array_like, shape (m', D), optional
        Features of other inputs, on which the directions are found; default `features` itself.

    Returns
    -------
    ndarray, shape (m, dimension)
    """
    phi = validation.matrix(features, "features")
    return phi @ leading_directions(phi if fitted_on is None else fitted_on, dimension)


def standardise(values: ArrayLike) -> NDArray[np.float64]:
    """Columns of targets with mean 0 and variance 1.

    Parameters
    ----------
    values : array_like, shape (m,) or (m, tasks)

    Returns
    -------
    ndarray, shape (m, tasks)

    Raises
    ------
    ValueError
        If a column is constant.
    """
    columns = validation.targets(values, "values")
    columns = columns.reshape(len(columns), -1)
    spread = columns.std(axis=0)
    if np.any(spread == 0):
        raise ValueError(f"values: column {int(np.argmin(spread))} is constant, nothing to predict")
    return (columns - columns.mean(axis=0)) / spread
