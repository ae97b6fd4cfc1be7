"""Statistical and numerical checks with three verdicts: passed, refuted, inconclusive.

A check compares what was observed with what was expected and never raises on a bad outcome: the
ledger (`w2s_utils.claims`) decides what a verdict means for a claim or for a control. "Refuted"
and "inconclusive" are kept apart so that a noisy experiment can neither support a claim nor make
a negative control look as if it had failed for the right reason.

Two kinds are never confused. A **measurement** could have come out otherwise, and says what it
rules out: the values that a wrong formula would give (``against``), or, where nobody has named a
rival, the smallest departure that it would have found (``resolution``, at most twice what the data
could detect). It passes only if it agrees with the expected value *and* refutes every rival. An
**identity** is algebra that the code must satisfy up to rounding; it is no evidence for a theory.

The false-alarm rate is set for the whole book: with `COMPARISONS` Monte Carlo comparisons, the
probability that any true one is refuted is at most `FALSE_ALARM` (Bonferroni), which gives each
comparison the two-sided level `LEVEL`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import scipy  # its statistics take half a second to load, so they are when first used
from numpy.typing import ArrayLike

from w2s_utils import validation
from w2s_utils.validation import Array

FALSE_ALARM = 0.01
COMPARISONS = 4000
LEVEL = FALSE_ALARM / COMPARISONS
POWER = 0.95
LOOSEST = 2.0  # resolution over what the data could detect

Kind = Literal["measurement", "identity"]
Test = Literal["equality", "inequality", "trend", "distribution"]
Verdict = Literal["passed", "refuted", "inconclusive"]


@dataclass(frozen=True)
class Alternative:
    """What a rival predicts, and how far the observation is from it.

    Attributes
    ----------
    name : str
        The rival in words, such as ``"without the finite-sample -1"``.
    value : float
        What it predicts, at the comparison that is farthest from the observation.
    distance : float
        From the observation to the rival: in standard errors of the observation, for
        distributions in critical distances.
    refuted : bool
        Whether the observation excludes the rival at level `LEVEL`.
    """

    name: str
    value: float
    distance: float
    refuted: bool


@dataclass(frozen=True)
class Check:
    """Outcome of one check; for arrays, the numbers of the comparison nearest to failing.

    Attributes
    ----------
    kind : {"measurement", "identity"}
    test : {"equality", "inequality", "trend", "distribution"}
    verdict : {"passed", "refuted", "inconclusive"}
    observed, expected : float
        In `unit`.
    unit : str
        Unit of the quantity checked, such as ``"share of the target's variance"``.
    standard_error, tolerance, z : float or None
        Standard error of ``observed``; absolute slack allowed; critical value in standard errors.
    detectable : float or None
        Departure from ``expected`` that would have been found with probability `POWER`.
    alternatives : tuple of Alternative
        What a pass rules out.
    trials : int or None
        Independent repetitions behind ``observed``.
    comparisons : int
        Number of comparisons made (elements of the arrays given).
    detail : str
        The test in words.
    """

    kind: Kind
    test: Test
    verdict: Verdict
    observed: float
    expected: float
    unit: str = ""
    standard_error: float | None = None
    tolerance: float | None = None
    z: float | None = None
    detectable: float | None = None
    alternatives: tuple[Alternative, ...] = ()
    trials: int | None = None
    comparisons: int = 1
    detail: str = ""


def critical_value(trials: int) -> float:
    """Two-sided critical value, in standard errors, of a mean of two or more repetitions.

    The Student quantile at level `LEVEL` with ``trials - 1`` degrees of freedom.
    """
    if trials < 2:
        raise ValueError(f"trials: a standard error needs at least 2 repetitions, got {trials}")
    return float(scipy.stats.t.isf(LEVEL / 2, trials - 1))


def identity(observed: ArrayLike, expected: ArrayLike, *, tolerance: float) -> Check:
    """Check ``|observed - expected| <= tolerance`` elementwise: an identity up to rounding."""
    validation.nonnegative(tolerance, "tolerance", "absolute slack")
    seen, wanted = _finite_pair(observed, expected)
    deviation = np.abs(seen - wanted)
    worst = int(np.argmax(deviation))
    return Check(
        kind="identity",
        test="equality",
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
    unit: str,
    against: Mapping[str, ArrayLike] | None = None,
    resolution: ArrayLike | None = None,
) -> Check:
    r"""Check that a Monte Carlo mean has the expected value, and not what its rivals predict.

    Refuted when :math:`|\hat m - m| > z\,\mathrm{SE}` for some element. Passed when no element is
    refuted, every rival of ``against`` is (some element lies more than :math:`z\,\mathrm{SE}` from
    it), **and**, where a ``resolution`` is stated, a departure of that size would have been found
    with probability `POWER`, that is :math:`(z + t_{0.95})\,\mathrm{SE} \le` ``resolution`` with
    the Student quantile :math:`t_{0.95}`. Inconclusive otherwise. For normal means the latter is
    exact: with a departure of ``resolution`` or more, at most ``1 - POWER`` of the checks pass.

    Parameters
    ----------
    observed, expected, standard_error : array_like
        In ``unit``. The first two broadcast against each other, the third is one number or one for
        each comparison.
    trials : int
        Independent repetitions behind each mean.
    unit : str
        Unit of the quantity checked.
    against : mapping of str to array_like, optional
        What rival formulas predict, by name, in the shape of ``expected``.
    resolution : array_like, optional
        Smallest departure of interest; at most `LOOSEST` times what the data can detect.

    Returns
    -------
    Check

    Raises
    ------
    ValueError
        If neither ``against`` nor ``resolution`` is given, a rival predicts what is expected, or
        the resolution is looser than the data.
    """
    _states_what_it_rules_out(against, resolution)
    seen, wanted = _finite_pair(observed, expected)
    error = _positive(standard_error, "standard_error", seen.size)
    z = critical_value(trials)
    found = (z + float(scipy.stats.t.ppf(POWER, trials - 1))) * error
    score = np.abs(seen - wanted) / error
    alternatives = tuple(
        _rival(name, value, seen, wanted, error, z) for name, value in (against or {}).items()
    )
    # Where a resolution is stated, the comparison that falls shortest of it; else any passes.
    needed = np.zeros(seen.size)
    if resolution is not None:
        asked = _positive(resolution, "resolution", seen.size)
        needed = found / asked
        if needed.max() < (1 - 1e-9) / LOOSEST:
            raise ValueError(
                f"resolution: the data can detect {found[np.argmax(needed)]:.3g}, so state at most "
                f"{LOOSEST:g} times that, got {asked[np.argmax(needed)]:.3g}"
            )
    refuted = bool(np.any(score > z))
    resolved = bool(needed.max() <= 1) and all(rival.refuted for rival in alternatives)
    worst = int(np.argmax(score)) if refuted or needed.max() <= 1 else int(np.argmax(needed))
    return Check(
        kind="measurement",
        test="equality",
        verdict="refuted" if refuted else "passed" if resolved else "inconclusive",
        observed=float(seen[worst]),
        expected=float(wanted[worst]),
        unit=validation.text(unit, "unit", "a measurement"),
        standard_error=float(error[worst]),
        tolerance=None if resolution is None else float(found[worst] / needed[worst]),
        z=z,
        detectable=float(found[worst]),
        alternatives=alternatives,
        trials=int(trials),
        comparisons=seen.size,
        detail=(
            f"largest deviation {score.max():.2f} standard errors, {z:.2f} allowed; a departure "
            f"of {found[worst]:.2g} would show with probability {POWER:.2f} or more"
            + ("" if resolution is None else f": {'yes' if needed.max() <= 1 else 'no'}")
        ),
    )


def mean_at_most(
    observed: ArrayLike,
    bound: ArrayLike,
    *,
    standard_error: ArrayLike,
    trials: int,
    unit: str,
    against: Mapping[str, ArrayLike] | None = None,
) -> Check:
    """Check that a mean is demonstrably below a bound: ``observed + z SE <= bound``.

    Refuted when ``observed - z SE > bound`` for some element, inconclusive in between. A pass rules
    out the bound itself and all beyond; rivals in ``against`` must be refuted too.

    Parameters
    ----------
    observed, bound, standard_error : array_like
        In ``unit``.
    trials : int
        Independent repetitions behind each mean.
    unit : str
        Unit of the quantity checked.
    against : mapping of str to array_like, optional
        What rivals predict, by name.
    """
    return _demonstrated(observed, bound, standard_error, trials, unit, against, sign=1.0)


def mean_at_least(
    observed: ArrayLike,
    bound: ArrayLike,
    *,
    standard_error: ArrayLike,
    trials: int,
    unit: str,
    against: Mapping[str, ArrayLike] | None = None,
) -> Check:
    """Check that a mean is demonstrably above a bound: ``observed - z SE >= bound``.

    As `mean_at_most`, the other way round.
    """
    return _demonstrated(observed, bound, standard_error, trials, unit, against, sign=-1.0)


def share_at_least(hits: ArrayLike, bound: float, *, unit: str = "share of trials") -> Check:
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
    unit : str
        Of what the share is.
    """
    happened = np.ravel(np.asarray(hits))
    if happened.dtype != bool or not happened.size:
        raise ValueError(
            f"hits: expected one bool a trial, got {happened.size} values of {happened.dtype}"
        )
    if not 0 < bound < 1:
        raise ValueError(f"bound: expected a probability between 0 and 1, got {bound}")
    count, trials = int(happened.sum()), happened.size
    above = float(scipy.stats.binom.sf(count - 1, trials, bound))
    below = float(scipy.stats.binom.cdf(count, trials, bound))
    verdict: Verdict = (
        "passed" if above < LEVEL / 2 else "refuted" if below < LEVEL / 2 else "inconclusive"
    )
    return Check(
        kind="measurement",
        test="inequality",
        verdict=verdict,
        observed=count / trials,
        expected=float(bound),
        unit=validation.text(unit, "unit", "a measurement"),
        alternatives=(
            Alternative(
                f"a share of {bound:g} or less",
                float(bound),
                float(scipy.stats.norm.isf(np.clip(above, 1e-300, 1 - 1e-16))),  # finite, for JSON
                verdict == "passed",
            ),
        ),
        standard_error=float(np.sqrt(bound * (1 - bound) / trials)),
        trials=trials,
        detail=(
            f"{count} of {trials}; were the probability {bound:.3g}, as many or more would come "
            f"with p = {above:.1e}, as many or fewer with p = {below:.1e}, level {LEVEL / 2:.1e}"
        ),
    )


def follows(
    sample: ArrayLike,
    cdf: Callable[[Array], Array],
    *,
    against: Mapping[str, Callable[[Array], Array]] | None = None,
    resolution: float | None = None,
) -> Check:
    r"""One-sample Kolmogorov-Smirnov check of ``sample`` against a continuous ``cdf``.

    Refuted when the p-value is below `LEVEL`; passed when it is not, every rival is refuted, and a
    distance of ``resolution``, if given, would have been found in `m` draws with probability
    `POWER`: :math:`\sqrt{\ln(2/\mathrm{LEVEL})/(2m)} + \sqrt{\ln(40)/(2m)} \le` ``resolution``.
    Inconclusive otherwise.

    Parameters
    ----------
    sample : array_like
        Independent draws.
    cdf : callable
        Distribution function that the sample should have.
    against : mapping of str to callable, optional
        Distribution functions of rivals, by name; each must be refuted for a pass.
    resolution : float, optional
        The distance that matters.

    Raises
    ------
    ValueError
        If neither ``against`` nor ``resolution`` is given, or the resolution is more than `LOOSEST`
        times what the sample can detect.
    """
    _states_what_it_rules_out(against, resolution)
    values = _finite(sample, "sample")
    critical = _critical_distance(values.size)
    rivals = []
    for name, other in (against or {}).items():
        test = scipy.stats.kstest(values, other)
        distance = float(test.statistic)
        beyond = bool(test.pvalue < LEVEL)
        rivals.append(Alternative(name, distance, distance / critical, beyond))
    test = scipy.stats.kstest(values, cdf)
    if np.isnan(test.pvalue):
        raise ValueError("cdf: expected values in [0, 1], got NaN; is the law degenerate?")
    # Dvoretzky, Kiefer and Wolfowitz: the empirical distance falls short by no more than this.
    detectable = critical + float(np.sqrt(np.log(2 / (1 - POWER)) / (2 * values.size)))
    resolved = all(rival.refuted for rival in rivals)
    if resolution is not None:
        validation.positive(resolution, "resolution")
        if resolution > LOOSEST * detectable * (1 + 1e-9):
            raise ValueError(
                f"resolution: the data can detect a distance of {detectable:.3g}, so state at most "
                f"{LOOSEST:g} times that, got {resolution:.3g}"
            )
        resolved &= detectable <= resolution
    return Check(
        kind="measurement",
        test="distribution",
        verdict="refuted" if test.pvalue < LEVEL else "passed" if resolved else "inconclusive",
        observed=float(test.statistic),
        expected=0.0,
        unit="Kolmogorov-Smirnov distance",
        tolerance=critical,
        detectable=detectable,
        alternatives=tuple(rivals),
        trials=values.size,
        detail=(
            f"Kolmogorov-Smirnov distance {test.statistic:.3g}, p = {test.pvalue:.2g}, critical "
            f"distance {critical:.3g}; a distance of {detectable:.3g} would "
            f"show with probability {POWER:.2f}"
            + ("" if resolution is None else f", {resolution:.3g} asked")
        ),
    )


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
    along = scipy.stats.kendalltau(xs, sign * ys, alternative="greater")
    against = scipy.stats.kendalltau(xs, sign * ys, alternative="less")
    verdict: Verdict = (
        "passed"
        if along.pvalue < LEVEL
        else "refuted"
        if against.pvalue < LEVEL
        else "inconclusive"
    )
    distance = float(scipy.stats.norm.isf(max(along.pvalue, 1e-300)))
    return Check(
        kind="measurement",
        test="trend",
        verdict=verdict,
        observed=float(sign * along.statistic),
        expected=float(sign),
        unit="Kendall's tau",
        alternatives=(Alternative("no trend", 0.0, distance, verdict == "passed"),),
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
        kind="identity",
        test="inequality",
        verdict="passed" if excess[worst] <= tolerance else "refuted",
        observed=float(seen[worst]),
        expected=float(limit[worst]),
        tolerance=float(tolerance),
        comparisons=seen.size,
        detail=f"{int(np.sum(excess > tolerance))} of {seen.size} instances {relation} the bound",
    )


def _demonstrated(
    observed: ArrayLike,
    bound: ArrayLike,
    standard_error: ArrayLike,
    trials: int,
    unit: str,
    against: Mapping[str, ArrayLike] | None,
    sign: float,
) -> Check:
    seen, limit = _finite_pair(observed, bound, "bound")
    error = _positive(standard_error, "standard_error", seen.size)
    z = critical_value(trials)
    room = sign * (limit - seen) / error
    worst = int(np.argmin(room))
    inside, outside = bool(room[worst] >= z), bool(room[worst] < -z)
    beyond = "the bound and all above it" if sign > 0 else "the bound and all below it"
    alternatives = (
        Alternative(beyond, float(limit[worst]), float(room[worst]), inside),
        *(_rival(name, value, seen, limit, error, z) for name, value in (against or {}).items()),
    )
    passed = inside and all(rival.refuted for rival in alternatives)
    return Check(
        kind="measurement",
        test="inequality",
        verdict="passed" if passed else "refuted" if outside else "inconclusive",
        observed=float(seen[worst]),
        expected=float(limit[worst]),
        unit=validation.text(unit, "unit", "a measurement"),
        standard_error=float(error[worst]),
        z=z,
        detectable=float((z + scipy.stats.t.ppf(POWER, trials - 1)) * error[worst]),
        alternatives=alternatives,
        trials=int(trials),
        comparisons=seen.size,
        detail=f"{room[worst]:.1f} standard errors inside the bound, {z:.2f} needed",
    )


def _states_what_it_rules_out(against: Mapping[str, Any] | None, resolution: object) -> None:
    if not against and resolution is None:
        raise ValueError(
            "against, resolution: a measurement says what it rules out; name what rivals predict, "
            "against={'name': value}, or state the smallest departure of interest, resolution=..."
        )


def _rival(
    name: str, value: ArrayLike, seen: Array, wanted: Array, error: Array, z: float
) -> Alternative:
    """Distance to a rival's prediction, at the comparison that tells most."""
    validation.text(name, "against", "a rival")
    predicted = _finite(value, f"against[{name!r}]")
    if predicted.size not in (1, seen.size):
        raise ValueError(
            f"against[{name!r}]: expected a number or the shape of observed, {seen.size} values, "
            f"got {predicted.size}"
        )
    predicted = np.broadcast_to(predicted, seen.size)
    if np.array_equal(predicted, wanted):
        raise ValueError(f"against[{name!r}]: predicts just what is expected, so it is no rival")
    distance = np.abs(seen - predicted) / error
    at = int(np.argmax(distance))
    return Alternative(name, float(predicted[at]), float(distance[at]), bool(distance[at] > z))


def _critical_distance(effective_size: float) -> float:
    return float(np.sqrt(np.log(2 / LEVEL) / (2 * effective_size)))


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
