r"""How sure one can be of an overlap estimated from two feature matrices on the same inputs.

Features are known on ``m`` inputs, one input a row. Their column spaces in :math:`\mathbb{R}^m`
have projections :math:`H_w, H_s`, and the raw overlap
:math:`\mathrm{raw} = \operatorname{tr} H_w H_s` is the sum of the squared sample canonical
correlations, biased upwards. `w2s_utils.theory.subspaces.correlation_dimension_of_features`
removes the bias; this module has an exact permutation test against independence, and intervals
from groups of inputs. The chapter ``discrepancy/dimensions`` proves and tests them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from w2s_utils import validation
from w2s_utils.least_squares import Moments
from w2s_utils.theory import subspaces
from w2s_utils.validation import Array

TIE = 1e-5  # of an overlap: single precision tells no smaller difference


@dataclass(frozen=True)
class NullTest:
    """Permutation test of "the two feature vectors are independent".

    Attributes
    ----------
    raw : float
        Sum of squared canonical correlations.
    null_mean : float
        Its exact mean over all permutations of the inputs.
    null_sd : float
        Its standard deviation over the permutations drawn.
    p_value : float
        One-sided, valid at every level: ``(1 + #{as large}) / (1 + permutations)``.
    """

    raw: float
    null_mean: float
    null_sd: float
    p_value: float


@dataclass(frozen=True)
class Interval:
    """Estimate of the correlation dimension with its jackknife error.

    Attributes
    ----------
    estimate : float
        Adjusted, less the bias that leaving out groups shows.
    standard_error : float
        From leaving out groups of inputs.
    low, high : float
        Estimate less and plus Student's quantile times the standard error.
    level : float
        Nominal coverage.
    """

    estimate: float
    standard_error: float
    low: float
    high: float
    level: float


def null_test(
    weak_features: ArrayLike,
    strong_features: ArrayLike,
    permutations: int,
    rng: np.random.Generator,
) -> NullTest:
    r"""Test whether two feature vectors are independent, by permuting the inputs of one.

    With :math:`\alpha = \mathbf 1^T H \mathbf 1/m` the part of the constant that a column space
    holds, the mean over all permutations is exactly

    .. math:: \alpha_w\alpha_s + \frac{(d_w-\alpha_w)(d_s-\alpha_s)}{m-1},

    that is ``d_w d_s / (m - 1)`` for centred features, and about one more than that when both
    contain the constant (uncentred features of a network nearly do).

    Parameters
    ----------
    weak_features, strong_features : array_like, shape (m, d_w) and (m, d_s)
        Full column rank.
    permutations : int
        At least 1; the smallest p-value is ``1 / (1 + permutations)``.
    rng : numpy.random.Generator

    Raises
    ------
    ValueError
        As `w2s_utils.theory.subspaces.canonical_correlations`, or if ``permutations < 1``.
    """
    validation.at_least(permutations, 1, "permutations", "draws from the null distribution")
    weak, strong = subspaces.column_spaces(weak_features, strong_features)
    raw = _overlap(weak, strong)
    # In single precision, which orders overlaps as well and is twice as fast.
    first, second = weak.astype(np.float32), strong.astype(np.float32)
    null = np.array([_overlap(first, rng.permutation(second)) for _ in range(int(permutations))])
    # The identity is one of the permutations: rounding must not lose the tie.
    as_large = np.sum(null >= raw * (1 - TIE))
    m, held = len(weak), [np.sum(q.sum(axis=0) ** 2) / len(q) for q in (weak, strong)]
    rest = (weak.shape[1] - held[0]) * (strong.shape[1] - held[1])
    return NullTest(
        raw=raw,
        null_mean=float(held[0] * held[1] + rest / (m - 1)),
        null_sd=float(null.std()),
        p_value=float((1 + as_large) / (1 + permutations)),
    )


def interval_from_groups(
    counts: ArrayLike, moments: ArrayLike, d_w: int, *, level: float = 0.95
) -> Interval:
    r"""Interval for the correlation dimension from the moments of groups of inputs.

    Leaves out one group at a time (jackknife), so the cost does not depend on the inputs:

    .. math::

        \hat d_J = K \hat d - (K-1)\bar d_{(\cdot)}, \qquad
        \mathrm{SE}^2 = \frac{K-1}{K}\sum_{k=1}^K (\hat d_{(k)} - \bar d_{(\cdot)})^2 .

    :math:`\hat d` is free of bias for Gaussian features; where rows differ in scale
    :math:`\hat d_J` is, to the order :math:`1/m`.

    Parameters
    ----------
    counts : array_like of int, shape (K,)
        Inputs of each group; groups are random, of about the same size, and at least 4.
    moments : array_like, shape (K, d_w + d_s, d_w + d_s)
        Sums of products of ``[weak | strong]`` over each group.
    d_w : int
        Weak columns.
    level : float
        Nominal coverage, in (0, 1).

    Raises
    ------
    ValueError
        If there are too few groups or inputs, or the level is not in (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"level: expected a number in (0, 1), got {level!r}")
    sizes = validation.vector(counts, "counts")
    grams = validation.real(moments, "moments")
    groups = int(validation.at_least(len(sizes), 4, "groups", "an error from leaving one out"))
    width = grams.shape[-1]
    if grams.shape != (groups, width, width) or not 1 <= d_w < width:
        raise ValueError(
            f"moments: expected shape ({groups}, d, d) with d > d_w = {d_w}, got {grams.shape}"
        )
    total, m = grams.sum(axis=0), sizes.sum()
    validation.at_least(m - sizes.max(), width + 1, "inputs", "d_w + d_s + 1 without a group")
    blocks = {"weak": slice(d_w), "strong": slice(d_w, width)}

    def estimate(gram: Array, rows: float) -> float:
        raw = float(np.sum(Moments(1, gram, blocks).canonical("weak", "strong") ** 2))
        return float(subspaces.adjusted_overlap(raw, rows, d_w, width - d_w))

    left = np.array([estimate(total - g, m - k) for g, k in zip(grams, sizes, strict=True)])
    value = groups * estimate(total, m) - (groups - 1) * float(left.mean())
    error = float(np.sqrt((groups - 1) / groups * np.sum((left - left.mean()) ** 2)))
    reach = stats.t.ppf((1 + level) / 2, groups - 1) * error
    return Interval(value, error, value - reach, value + reach, level)


def _overlap(weak: NDArray[Any], strong: NDArray[Any]) -> float:
    return float(np.sum((strong.T @ weak) ** 2))
