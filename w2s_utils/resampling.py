"""Standard errors without a formula: what a statistic is without one unit, or on drawn units.

A unit is whatever was drawn independently: a trial, a group of inputs, an input.
"""

from __future__ import annotations

from collections.abc import Sequence
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

    def is_positive(self, standard_errors: float = 3.0) -> bool:
        """Whether it is above zero by so many standard errors."""
        return self.value > standard_errors * self.standard_error


def mean(values: ArrayLike) -> Estimate:
    """Mean over two or more independent trials, shape (trials,), with its standard error."""
    array = validation.real(values, "values")
    validation.at_least(len(array), 2, "trials", "for a standard error")
    error = np.std(array, ddof=1) / np.sqrt(len(array))
    return Estimate(float(array.mean()), float(error), len(array))


def jackknife_error(left_out: ArrayLike) -> Array:
    r"""Standard error of a statistic from its values without each unit in turn.

    .. math:: \mathrm{SE}^2 = \frac{K-1}{K} \sum_k (s_{(k)} - \bar s_{(\cdot)})^2

    (B. Efron and C. Stein, The jackknife estimate of variance, Annals of Statistics 9, 1981).
    Values have shape (K, ...) with ``K >= 2`` units, exact or known to the first order in what
    leaving the unit out changes. Groups of inputs are units of about the same size.
    """
    values = validation.real(left_out, "left_out")
    count = len(values)
    validation.at_least(count, 2, "left_out", "units, for a standard error")
    spread = np.sum((values - values.mean(axis=0)) ** 2, axis=0)
    return cast(Array, np.sqrt((count - 1) / count * spread))


def jackknife_value(whole: ArrayLike, left_out: ArrayLike) -> Array:
    r"""Statistic without its bias of first order, :math:`K s - (K-1)\,\bar s_{(\cdot)}`.

    Takes the statistic on all units, and without each of them, shape (K, ...).
    """
    values = validation.real(left_out, "left_out")
    return cast(Array, len(values) * np.asarray(whole) - (len(values) - 1) * values.mean(axis=0))


def ratio_of_means(numerator: ArrayLike, denominator: ArrayLike) -> Estimate:
    """Ratio of two means over the same two or more trials, with its jackknife standard error."""
    value, left_out = _ratio(numerator, denominator)
    return Estimate(value, float(jackknife_error(left_out)), len(left_out))


def difference_of_ratios(
    first: Sequence[tuple[ArrayLike, ArrayLike]], second: Sequence[tuple[ArrayLike, ArrayLike]]
) -> Estimate:
    """Difference of ratios of means over the same trials, with its jackknife standard error.

    Each side is numerators and denominators, shape (trials,); of several ratios the mean is taken.
    """
    sides = [[_ratio(*pair) for pair in side] for side in (first, second)]
    trials = len(sides[0][0][1])
    for _, left_out in (*sides[0], *sides[1]):
        if len(left_out) != trials:
            raise ValueError(
                f"second: expected the {trials} trials of the first, got {len(left_out)}"
            )
    value, other = (float(np.mean([ratio for ratio, _ in side])) for side in sides)
    reduced, others = (np.mean([left_out for _, left_out in side], axis=0) for side in sides)
    return Estimate(value - other, float(jackknife_error(reduced - others)), trials)


def bootstrap_counts(units: int, resamples: int, rng: np.random.Generator) -> Array:
    """How often each unit occurs in bootstrap samples of as many units, shape (resamples, units).

    There are 2 resamples or more; the error of a standard deviation over them is about ``1 / sqrt(2
    resamples)`` of it.
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
