"""Statistical and numerical checks with three verdicts: passed, refuted, inconclusive.

A check compares what was observed with what was expected and never raises on a bad outcome: the
ledger (`w2s_utils.claims`) decides what a verdict means for a claim or for a control. "Refuted"
and "inconclusive" are kept apart so that a noisy experiment can neither support a claim nor make
a negative control look as if it had failed for the right reason.

The false-alarm rate is set for the whole book: with `COMPARISONS` Monte Carlo comparisons, the
probability that any true one is refuted is at most `FALSE_ALARM` (Bonferroni), which gives each
comparison the two-sided level `LEVEL`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from w2s_utils import validation
from w2s_utils.validation import Array

FALSE_ALARM = 0.01
COMPARISONS = 4000
LEVEL = FALSE_ALARM / COMPARISONS
POWER = 0.95

Kind = Literal["equality", "inequality", "trend", "distribution"]
Verdict = Literal["passed", "refuted", "inconclusive"]


@dataclass(frozen=True)
class Check:
    """Outcome of one check; for arrays, the numbers of the comparison nearest to failing.

    Attributes
    ----------
    kind : {"equality", "inequality", "trend", "distribution"}
    verdict : {"passed", "refuted", "inconclusive"}
    observed, expected : float
        Same unit as the quantity checked.
    standard_error, tolerance, z : float or None
        Standard error of ``observed``; absolute slack allowed; critical value in standard errors.
    trials : int or None
        Independent repetitions behind ``observed``.
    comparisons : int
        Number of comparisons made (elements of the arrays given).
    detail : str
        The test in words.
    """

    kind: Kind
    verdict: Verdict
    observed: float
    expected: float
    standard_error: float | None = None
    tolerance: float | None = None
    z: float | None = None
    trials: int | None = None
    comparisons: int = 1
    detail: str = ""


def critical_value(trials: int) -> float:
    """Two-sided critical value, in standard errors, of a mean of two or more repetitions.

    The Student quantile at level `LEVEL` with ``trials - 1`` degrees of freedom.
    """
    if trials < 2:
        raise ValueError(f"trials: a standard error needs at least 2 repetitions, got {trials}")
    return float(stats.t.isf(LEVEL / 2, trials - 1))


def identity(observed: ArrayLike, expected: ArrayLike, *, tolerance: float) -> Check:
    """Check ``|observed - expected| <= tolerance`` elementwise: an identity up to rounding."""
    validation.nonnegative(tolerance, "tolerance", "absolute slack")
    seen, wanted = _finite_pair(observed, expected)
    deviation = np.abs(seen - wanted)
    worst = int(np.argmax(deviation))
    return Check(
        kind="equality",
        verdict="passed" if deviation[worst] <= tolerance else "refuted",
        observed=float(seen[worst]),
        expected=float(wanted[worst]),
        tolerance=float(tolerance),
        comparisons=seen.size,
        detail=f"largest deviation {deviation[worst]:.2g}, tolerance {tolerance:.2g}",
    )


def at_most(observed: ArrayLike, bound: ArrayLike, *, tolerance: float = 0.0) -> Check:
    """Check ``observed <= bound + tolerance`` in every instance (no averaging)."""
    return _every_instance(observed, bound, sign=1.0, tolerance=tolerance)


def at_least(observed: ArrayLike, bound: ArrayLike, *, tolerance: float = 0.0) -> Check:
    """Check ``observed >= bound - tolerance`` in every instance (no averaging)."""
    return _every_instance(observed, bound, sign=-1.0, tolerance=tolerance)


def mean_equals(
    observed: ArrayLike,
    expected: ArrayLike,
    *,
    standard_error: ArrayLike,
    trials: int,
    resolution: ArrayLike,
) -> Check:
    r"""Check that a Monte Carlo mean has the expected value, with power.

    Refuted when :math:`|\hat m - m| > z\,\mathrm{SE}` for some element. Passed when no element is
    refuted **and** a departure of size ``resolution`` would have been found with probability
    `POWER`, that is :math:`(z + t_{0.95})\,\mathrm{SE} \le` ``resolution`` with the Student
    quantile :math:`t_{0.95}`. Inconclusive otherwise. For normal means this is exact: with a
    departure of ``resolution`` or more, at most ``1 - POWER`` of the checks pass.

    Parameters
    ----------
    observed, expected, standard_error, resolution : array_like
        In the unit of the quantity checked. The first two broadcast against each other, the
        others are one number or one for each comparison.
    trials : int
        Independent repetitions behind each mean.
    """
    seen, wanted = _finite_pair(observed, expected)
    error = _positive(standard_error, "standard_error", seen.size)
    detectable = _positive(resolution, "resolution", seen.size)
    z = critical_value(trials)
    score = np.abs(seen - wanted) / error
    needed = (z + stats.t.ppf(POWER, trials - 1)) * error / detectable
    refuted = bool(np.any(score > z))
    worst = int(np.argmax(score)) if refuted or np.all(needed <= 1) else int(np.argmax(needed))
    verdict: Verdict = "refuted" if refuted else "passed" if needed.max() <= 1 else "inconclusive"
    return Check(
        kind="equality",
        verdict=verdict,
        observed=float(seen[worst]),
        expected=float(wanted[worst]),
        standard_error=float(error[worst]),
        tolerance=float(detectable[worst]),
        z=z,
        trials=int(trials),
        comparisons=seen.size,
        detail=(
            f"largest deviation {score.max():.2f} standard errors, {z:.2f} allowed; a departure "
            f"of {detectable[worst]:.2g} would show with probability {POWER:.2f} or more: "
            f"{'yes' if needed.max() <= 1 else 'no'}"
        ),
    )


def mean_at_most(
    observed: ArrayLike, bound: ArrayLike, *, standard_error: ArrayLike, trials: int
) -> Check:
    """Check that a mean is demonstrably below a bound: ``observed + z SE <= bound``.

    Refuted when ``observed - z SE > bound`` for some element, inconclusive in between.
    """
    return _demonstrated(observed, bound, standard_error, trials, sign=1.0)


def mean_at_least(
    observed: ArrayLike, bound: ArrayLike, *, standard_error: ArrayLike, trials: int
) -> Check:
    """Check that a mean is demonstrably above a bound: ``observed - z SE >= bound``."""
    return _demonstrated(observed, bound, standard_error, trials, sign=-1.0)


def share_at_least(hits: ArrayLike, bound: float) -> Check:
    r"""Check that an event has a probability of at least ``bound``, by an exact binomial test.

    With :math:`k` hits in :math:`n` trials, passed when :math:`P(X \ge k) <` `LEVEL` / 2 for
    :math:`X \sim \mathrm{Bin}(n, p)` at :math:`p =` ``bound``, refuted when
    :math:`P(X \le k) <` `LEVEL` / 2, inconclusive in between. ``share_at_least(x > 0, 0.5)`` is
    the sign test: it asks for the median, so that no tail, however heavy, decides. At a bound of
    1/2 no verdict is possible with fewer than 20 trials.

    Parameters
    ----------
    hits : array_like of bool, shape (trials,)
        Whether the event happened, in each of the independent trials.
    bound : float
        Probability, between 0 and 1.
    """
    happened = np.ravel(np.asarray(hits))
    if happened.dtype != bool or not happened.size:
        raise ValueError(
            f"hits: expected one bool a trial, got {happened.size} values of {happened.dtype}"
        )
    if not 0 < bound < 1:
        raise ValueError(f"bound: expected a probability between 0 and 1, got {bound}")
    count, trials = int(happened.sum()), happened.size
    above = float(stats.binom.sf(count - 1, trials, bound))
    below = float(stats.binom.cdf(count, trials, bound))
    verdict: Verdict = (
        "passed" if above < LEVEL / 2 else "refuted" if below < LEVEL / 2 else "inconclusive"
    )
    return Check(
        kind="inequality",
        verdict=verdict,
        observed=count / trials,
        expected=float(bound),
        standard_error=float(np.sqrt(bound * (1 - bound) / trials)),
        trials=trials,
        detail=(
            f"{count} of {trials}; were the probability {bound:.3g}, as many or more would come "
            f"with p = {above:.1e}, as many or fewer with p = {below:.1e}, level {LEVEL / 2:.1e}"
        ),
    )


def same_distribution(first: ArrayLike, second: ArrayLike, *, resolution: float) -> Check:
    r"""Two-sample Kolmogorov-Smirnov check with a stated resolution.

    Refuted when the p-value is below `LEVEL`; passed when it is not and a distance of
    ``resolution`` between the laws would have been found with probability `POWER`: with
    :math:`k = mn/(m+n)`, when :math:`\sqrt{\ln(2/\mathrm{LEVEL})/(2k)} + \sqrt{\ln(40)/(2k)}
    \le` ``resolution``. Inconclusive otherwise.
    """
    a, b = _finite(first, "first"), _finite(second, "second")
    test = stats.ks_2samp(a, b, method="asymp")
    effective = a.size * b.size / (a.size + b.size)
    return _kolmogorov(test, effective, resolution, trials=min(a.size, b.size))


def follows(sample: ArrayLike, cdf: Callable[[Array], Array], *, resolution: float) -> Check:
    """One-sample Kolmogorov-Smirnov check of ``sample`` against a continuous ``cdf``."""
    values = _finite(sample, "sample")
    return _kolmogorov(stats.kstest(values, cdf), values.size, resolution, trials=values.size)


def monotone(x: ArrayLike, y: ArrayLike, *, increasing: bool = True) -> Check:
    """Check a monotone trend of ``y`` in ``x`` by Kendall's test, one-sided at level `LEVEL`.

    Passed when the trend in the stated direction is significant, refuted when the opposite one
    is, inconclusive otherwise (10 points are needed for any verdict).
    """
    xs = validation.vector(x, "x")
    ys = validation.vector(y, "y", rows=xs.size)
    for name, values in (("x", xs), ("y", ys)):
        if np.ptp(values) == 0:
            raise ValueError(f"{name}: a trend needs values that differ, all are {values[0]:g}")
    sign = 1 if increasing else -1
    along = stats.kendalltau(xs, sign * ys, alternative="greater")
    against = stats.kendalltau(xs, sign * ys, alternative="less")
    verdict: Verdict = (
        "passed"
        if along.pvalue < LEVEL
        else "refuted"
        if against.pvalue < LEVEL
        else "inconclusive"
    )
    return Check(
        kind="trend",
        verdict=verdict,
        observed=float(sign * along.statistic),
        expected=float(sign),
        trials=xs.size,
        detail=f"Kendall's tau, one-sided p = {along.pvalue:.1e}, level {LEVEL:.1e}",
    )


def _every_instance(observed: ArrayLike, bound: ArrayLike, sign: float, tolerance: float) -> Check:
    validation.nonnegative(tolerance, "tolerance", "absolute slack")
    seen, limit = _finite_pair(observed, bound, "bound")
    excess = sign * (seen - limit)
    worst = int(np.argmax(excess))
    relation = "above" if sign > 0 else "below"
    return Check(
        kind="inequality",
        verdict="passed" if excess[worst] <= tolerance else "refuted",
        observed=float(seen[worst]),
        expected=float(limit[worst]),
        tolerance=float(tolerance),
        comparisons=seen.size,
        detail=f"{int(np.sum(excess > tolerance))} of {seen.size} instances {relation} the bound",
    )


def _demonstrated(
    observed: ArrayLike, bound: ArrayLike, standard_error: ArrayLike, trials: int, sign: float
) -> Check:
    seen, limit = _finite_pair(observed, bound, "bound")
    error = _positive(standard_error, "standard_error", seen.size)
    z = critical_value(trials)
    room = sign * (limit - seen) / error
    worst = int(np.argmin(room))
    verdict: Verdict = (
        "passed" if room[worst] >= z else "refuted" if room[worst] < -z else "inconclusive"
    )
    return Check(
        kind="inequality",
        verdict=verdict,
        observed=float(seen[worst]),
        expected=float(limit[worst]),
        standard_error=float(error[worst]),
        z=z,
        trials=int(trials),
        comparisons=seen.size,
        detail=f"{room[worst]:.1f} standard errors inside the bound, {z:.2f} needed",
    )


def _kolmogorov(test: Any, effective_size: float, resolution: float, trials: int) -> Check:
    validation.positive(resolution, "resolution")
    distance, p_value = float(test.statistic), float(test.pvalue)
    if np.isnan(p_value):
        raise ValueError("cdf: expected values in [0, 1], got NaN; is the law degenerate?")
    critical = float(np.sqrt(np.log(2 / LEVEL) / (2 * effective_size)))
    # Dvoretzky, Kiefer and Wolfowitz: the empirical distance falls short by no more than this.
    needed = critical + float(np.sqrt(np.log(2 / (1 - POWER)) / (2 * effective_size)))
    verdict: Verdict = (
        "refuted" if p_value < LEVEL else "passed" if needed <= resolution else "inconclusive"
    )
    return Check(
        kind="distribution",
        verdict=verdict,
        observed=distance,
        expected=0.0,
        tolerance=critical,
        trials=trials,
        detail=(
            f"Kolmogorov-Smirnov distance {distance:.3g}, p = {p_value:.2g}, critical distance "
            f"{critical:.3g}; a distance of {needed:.3g} would show with probability {POWER:.2f}, "
            f"{resolution:.3g} asked"
        ),
    )


def _finite(values: ArrayLike, name: str) -> Array:
    array = validation.real(values, name).ravel()
    if array.size == 0 or not np.all(np.isfinite(array)):
        raise ValueError(f"{name}: expected finite numbers, got {array.size} values with "
                         f"{int(np.sum(~np.isfinite(array)))} not finite")  # fmt: skip
    return array


def _finite_pair(
    observed: ArrayLike, expected: ArrayLike, name: str = "expected"
) -> tuple[Array, Array]:
    first, second = validation.real(observed, "observed"), validation.real(expected, name)
    try:
        first, second = np.broadcast_arrays(first, second)
    except ValueError:
        raise ValueError(
            f"{name}: expected a number or the shape of observed, {first.shape}, got {second.shape}"
        ) from None
    return _finite(first, "observed"), _finite(second, name)


def _positive(values: ArrayLike, name: str, size: int) -> Array:
    array = _finite(values, name)
    array = np.broadcast_to(array, size) if array.size == 1 else array
    if array.size != size or np.any(array <= 0):
        raise ValueError(f"{name}: expected {size} positive numbers, got {array}")
    return array
