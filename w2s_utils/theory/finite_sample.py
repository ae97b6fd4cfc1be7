"""How fast something falls with the sample: the exponent of a power law, with its error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg

from w2s_utils import validation


@dataclass(frozen=True)
class Rate:
    """Least-squares line through logarithms of means against logarithms of sizes.

    Attributes
    ----------
    exponent, standard_error : float
        Slope of the line, and its error from the spread over trials (delta method).
    trials : int
        Independent repetitions behind each mean.
    """

    exponent: float
    standard_error: float
    trials: int


def rate(sizes: ArrayLike, values: ArrayLike) -> Rate:
    r"""Exponent :math:`\alpha` of a power law, mean of ``values`` :math:`\propto` ``sizes`` ** α.

    Parameters
    ----------
    sizes : array_like, shape (s,)
        Positive, at least two different ones.
    values : array_like, shape (s, trials)
        Independent repetitions, each row with a positive mean.

    Raises
    ------
    ValueError
        If a size or a mean is not positive, sizes are equal, or there is one trial only.
    """
    table = validation.matrix(values, "values")
    n = validation.vector(sizes, "sizes", rows=len(table))
    means, trials = table.mean(axis=1), table.shape[1]
    if not (np.all(n > 0) and np.ptp(n) > 0 and np.all(means > 0) and trials > 1):
        raise ValueError(
            "sizes, values: expected two different positive sizes or more, and for each at least "
            f"two repetitions with a positive mean, got sizes {n}, means {means}, {trials} trials"
        )
    centred = np.log(n) - np.log(n).mean()
    weights = centred / (centred @ centred)
    relative = table.std(axis=1, ddof=1) / means / np.sqrt(trials)
    return Rate(float(weights @ np.log(means)), float(linalg.norm(weights * relative)), trials)
