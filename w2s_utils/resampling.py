"""Standard errors without a formula: what a statistic is without one unit, or on drawn units.

A unit is whatever was drawn independently: a trial, a group of inputs, an input.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import ArrayLike

from w2s_utils import validation
from w2s_utils.validation import Array


@dataclass(frozen=True)
class Estimate:
    """A Monte Carlo estimate: value, standard error, number of independent trials."""

    value: float
    standard_error: float
    trials: int


def jackknife_error(left_out: ArrayLike) -> Array:
    r"""Standard error of a statistic from its values without each unit in turn.

    .. math:: \mathrm{SE}^2 = \frac{K-1}{K} \sum_k (s_{(k)} - \bar s_{(\cdot)})^2

    (B. Efron and C. Stein, The jackknife estimate of variance, Annals of Statistics 9, 1981). The
    values may be exact or known to the first order in what leaving the unit out changes. Groups of
    inputs are units of about the same size.

    Parameters
    ----------
    left_out : array_like, shape (K, ...)
        The statistic without unit ``k``; at least two units.

    Returns
    -------
    ndarray
        In the shape of the statistic.

    Raises
    ------
    ValueError
        If there are fewer than two units.
    """
    values = validation.real(left_out, "left_out")
    count = len(values)
    validation.at_least(count, 2, "left_out", "units, for a standard error")
    spread = np.sum((values - values.mean(axis=0)) ** 2, axis=0)
    return cast(Array, np.sqrt((count - 1) / count * spread))


def jackknife_value(whole: ArrayLike, left_out: ArrayLike) -> Array:
    r"""Statistic without its bias of first order, :math:`K s - (K-1)\,\bar s_{(\cdot)}`.

    Parameters
    ----------
    whole : array_like
        The statistic on all units.
    left_out : array_like, shape (K, ...)
        The statistic without each unit.

    Returns
    -------
    ndarray
    """
    values = validation.real(left_out, "left_out")
    return cast(Array, len(values) * np.asarray(whole) - (len(values) - 1) * values.mean(axis=0))


def ratio_of_means(numerator: ArrayLike, denominator: ArrayLike) -> Estimate:
    """Ratio of two means over the same trials, with its jackknife standard error.

    Parameters
    ----------
    numerator, denominator : array_like, shape (trials,)

    Returns
    -------
    Estimate

    Raises
    ------
    ValueError
        If the shapes differ, a value is not finite, or there are fewer than two trials.
    """
    value, left_out = _ratio(numerator, denominator)
    return Estimate(value, float(jackknife_error(left_out)), len(left_out))


def difference_of_ratios(
    first: tuple[ArrayLike, ArrayLike], second: tuple[ArrayLike, ArrayLike]
) -> Estimate:
    """Difference of two ratios of means over the same trials, with its jackknife standard error.

    Parameters
    ----------
    first, second : (array_like, array_like), shape (trials,) each
        Numerators and denominators.

    Returns
    -------
    Estimate

    Raises
    ------
    ValueError
        As `ratio_of_means`, or if the numbers of trials differ.
    """
    (value, left_out), (other, others) = _ratio(*first), _ratio(*second)
    if len(others) != len(left_out):
        raise ValueError(
            f"second: expected the {len(left_out)} trials of the first, got {len(others)}"
        )
    return Estimate(value - other, float(jackknife_error(left_out - others)), len(left_out))


def bootstrap_counts(units: int, resamples: int, rng: np.random.Generator) -> Array:
    """How often each unit occurs in bootstrap samples of as many units.

    Parameters
    ----------
    units : int
    resamples : int
        At least 2; the error of a standard deviation over them is about ``1 / sqrt(2 resamples)``
        of it.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray, shape (resamples, units)
    """
    validation.at_least(resamples, 2, "resamples", "a standard deviation")
    counts = rng.multinomial(units, np.full(units, 1 / units), size=int(resamples))
    return counts.astype(float)


def _ratio(numerator: ArrayLike, denominator: ArrayLike) -> tuple[float, Array]:
    """Return a ratio of means over all trials, and without each of them."""
    top = validation.vector(numerator, "numerator")
    bottom = validation.vector(denominator, "denominator", rows=len(top))
    validation.at_least(len(top), 2, "trials", "for a standard error")
    left_out = (top.sum() - top) / (bottom.sum() - bottom)
    return float(top.mean() / bottom.mean()), left_out
