r"""How sure one can be of an overlap estimated from two feature matrices on the same inputs.

Features are known on ``m`` inputs, one input a row. Their column spaces in :math:`\mathbb{R}^m`
have projections :math:`H_w, H_s`, and the raw overlap
:math:`\mathrm{raw} = \operatorname{tr} H_w H_s` is the sum of the squared sample canonical
correlations, biased upwards. `w2s_utils.theory.subspaces.correlation_dimension_of_features`
removes the bias; this module has the raw overlap's mean, an exact permutation test against
independence, and intervals from resampled inputs or from groups of them. The chapter
``discrepancy/dimensions`` proves and tests them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from w2s_utils import validation
from w2s_utils.least_squares import Moments
from w2s_utils.resampling import bootstrap_counts
from w2s_utils.theory import subspaces
from w2s_utils.validation import Array


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
    permutations : int
    """

    raw: float
    null_mean: float
    null_sd: float
    p_value: float
    permutations: int


@dataclass(frozen=True)
class Interval:
    """Estimate of the correlation dimension with its bootstrap or jackknife error.

    Attributes
    ----------
    estimate : float
        Adjusted estimate.
    standard_error : float
        Standard deviation of the adjusted estimate over bootstrap samples, or from leaving out
        groups of inputs.
    low, high : float
        ``estimate`` less and plus the normal quantile (Student's, for groups) times the standard
        error.
    level : float
        Nominal coverage.
    percentiles : tuple of float, optional
        The bootstrap's percentile interval, for comparison only: repeated rows raise canonical
        correlations, so it lies too high.
    """

    estimate: float
    standard_error: float
    low: float
    high: float
    level: float
    percentiles: tuple[float, float] | None = None


def expected_raw(m: int, d_w: int, d_s: int, cosines: ArrayLike) -> float:
    r"""Mean of the raw overlap for Gaussian features, to first order in ``1/m``.

    .. math::

        d + \frac{(d_w-d)(d_s-d)}{m-d} - \frac1m\sum_j c_j^2(1-c_j^2), \qquad d = \sum_j c_j^2 ,

    exact when every cosine is 0 or 1.

    Parameters
    ----------
    m : int
        Inputs, more than ``d_w + d_s``.
    d_w, d_s : int
    cosines : array_like, shape (min(d_w, d_s),)
        Population canonical correlations.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If there are too few inputs, or a cosine is not in [0, 1].
    """
    validation.at_least(m, d_w + d_s + 1, "m", "inputs: more than d_w + d_s")
    c = validation.vector(cosines, "cosines", rows=min(d_w, d_s))
    if np.any((c < 0) | (c > 1)):
        raise ValueError(f"cosines: expected numbers in [0, 1], got {c}")
    d = np.sum(c**2)
    return float(d + (d_w - d) * (d_s - d) / (m - d) - np.sum(c**2 * (1 - c**2)) / m)


def multiple_correlation_mean(m: int, d_w: int, cosine: float) -> float:
    r"""Exact mean of the raw overlap of one student direction with ``d_w`` Gaussian features.

    .. math:: 1 - \frac{m-d_w}{m}(1-c^2)\,{}_2F_1\bigl(1, 1; \tfrac m2+1; c^2\bigr)

    Parameters
    ----------
    m : int
        Inputs, more than ``d_w``.
    d_w : int
    cosine : float
        Population multiple correlation, in [0, 1).

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If ``m <= d_w`` or the cosine is not in [0, 1).
    """
    validation.at_least(m, d_w + 1, "m", "inputs: more than d_w")
    if not 0 <= cosine < 1:
        raise ValueError(f"cosine: expected a number in [0, 1), got {cosine!r}")
    return float(1 - (m - d_w) / m * (1 - cosine**2) * special.hyp2f1(1, 1, m / 2 + 1, cosine**2))


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
    weak_features : array_like, shape (m, d_w)
    strong_features : array_like, shape (m, d_s)
        Full column rank.
    permutations : int
        At least 1; the smallest p-value is ``1 / (1 + permutations)``.
    rng : numpy.random.Generator

    Returns
    -------
    NullTest

    Raises
    ------
    ValueError
        As `w2s_utils.theory.subspaces.canonical_correlations`, or if ``permutations < 1``.
    """
    validation.at_least(permutations, 1, "permutations", "draws from the null distribution")
    weak, strong = subspaces.column_spaces(weak_features, strong_features)
    raw = _overlap(weak, strong)
    null = np.array([_overlap(weak, rng.permutation(strong)) for _ in range(int(permutations))])
    # The identity is one of the permutations: rounding must not lose the tie.
    as_large = np.sum(null >= raw * (1 - 1e-12))
    m, held = len(weak), [np.sum(q.sum(axis=0) ** 2) / len(q) for q in (weak, strong)]
    rest = (weak.shape[1] - held[0]) * (strong.shape[1] - held[1])
    return NullTest(
        raw=raw,
        null_mean=float(held[0] * held[1] + rest / (m - 1)),
        null_sd=float(null.std()),
        p_value=float((1 + as_large) / (1 + permutations)),
        permutations=int(permutations),
    )


def interval(
    weak_features: ArrayLike,
    strong_features: ArrayLike,
    resamples: int,
    rng: np.random.Generator,
    *,
    level: float = 0.95,
) -> Interval:
    """Bootstrap interval for the correlation dimension.

    Inputs are drawn with replacement and the adjusted estimate is computed on each sample. Only
    the spread of these values is used: their mean is too high, since a repeated row is fitted
    twice by both feature sets.

    Parameters
    ----------
    weak_features : array_like, shape (m, d_w)
    strong_features : array_like, shape (m, d_s)
        Full column rank, ``m >= 2 (d_w + d_s)``: a bootstrap sample has about ``0.63 m``
        different rows.
    resamples : int
        Bootstrap samples, at least 2; the error of the standard error is about
        ``1 / sqrt(2 resamples)`` of it.
    rng : numpy.random.Generator
    level : float
        Nominal coverage, in (0, 1).

    Returns
    -------
    Interval

    Raises
    ------
    ValueError
        If there are too few inputs or resamples, or the level is not in (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"level: expected a number in (0, 1), got {level!r}")
    weak, strong = subspaces.column_spaces(weak_features, strong_features)
    m, d_w, d_s = len(weak), weak.shape[1], strong.shape[1]
    validation.at_least(m, 2 * (d_w + d_s), "rows of weak_features", "2 (d_w + d_s) to resample")
    both = np.hstack([weak, strong])
    raws = np.array([
        _overlap_of((both.T * counts) @ both, d_w)
        for counts in bootstrap_counts(m, resamples, rng)
    ])  # fmt: skip
    estimates = subspaces.adjusted_overlap(raws, m, d_w, d_s)
    estimate = float(subspaces.adjusted_overlap(_overlap(weak, strong), m, d_w, d_s))
    error = float(estimates.std(ddof=1))
    reach = stats.norm.ppf((1 + level) / 2) * error
    low, high = np.quantile(estimates, [(1 - level) / 2, (1 + level) / 2])
    return Interval(
        estimate, error, estimate - reach, estimate + reach, level, (float(low), float(high))
    )


def interval_from_groups(
    counts: ArrayLike, moments: ArrayLike, d_w: int, *, level: float = 0.95
) -> Interval:
    r"""Interval for the correlation dimension from the moments of groups of inputs.

    Leaves out one group at a time (jackknife), so the cost does not depend on the inputs:

    .. math::

        \mathrm{SE}^2 = \frac{K-1}{K}\sum_{k=1}^K (\hat d_{(k)} - \bar d_{(\cdot)})^2 .

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

    Returns
    -------
    Interval

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

    def estimate(gram: Array, rows: float) -> float:
        return float(subspaces.adjusted_overlap(_overlap_of(gram, d_w), rows, d_w, width - d_w))

    value = estimate(total, m)
    left = np.array([estimate(total - g, m - k) for g, k in zip(grams, sizes, strict=True)])
    error = float(np.sqrt((groups - 1) / groups * np.sum((left - left.mean()) ** 2)))
    reach = stats.t.ppf((1 + level) / 2, groups - 1) * error
    return Interval(value, error, value - reach, value + reach, level)


def _overlap(weak: Array, strong: Array) -> float:
    return float(np.sum((strong.T @ weak) ** 2))


def _overlap_of(gram: Array, d_w: int) -> float:
    """Raw overlap from the products of ``[weak | strong]``."""
    blocks = {"weak": slice(d_w), "strong": slice(d_w, len(gram))}
    return float(np.sum(Moments(1, gram, blocks).canonical("weak", "strong") ** 2))
