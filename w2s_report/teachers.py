"""One teacher and the student: what is estimated, predicted and measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, special
from threadpoolctl import threadpool_limits

from w2s_report import splits
from w2s_report.readers import InputError
from w2s_report.schema import Interval
from w2s_report.spectra import Pair
from w2s_utils.geometry import Estimates, Range, expected_risks_and_ratios, setting_from_labels
from w2s_utils.least_squares import Moments
from w2s_utils.theory import overlap, risks

LEVEL = 0.95
DRAWS = 400
PERMUTATIONS = 49
NULL_ROWS = 2000
MODELS = ("teacher", "student", "baseline", "ceiling")
MEASURED = (*MODELS, "misfit", "gain", "advantage")
MOST_OF_THE_GAIN = 0.9
_Z = float(special.ndtri((1 + LEVEL) / 2))


@dataclass(frozen=True)
class Overlap:
    """Correlation dimension of one teacher with the student.

    Attributes
    ----------
    d_sw : Range
        Adjusted estimate, interval from leaving out folds.
    raw : float
        Sum of squared canonical correlations.
    canonical : tuple of float
        Squared canonical correlations, descending; the first is that of the constant.
    null_mean, null_sd, p_value : float
        Permutation test of independence on ``null_rows`` rows.
    null_raw : float
        Sum of squared canonical correlations over those rows.
    null_rows, permutations : int
    cka : float
        Linear centred kernel alignment of the uncut features.
    """

    d_sw: Interval
    raw: float
    canonical: tuple[float, ...]
    null_raw: float
    null_mean: float
    null_sd: float
    p_value: float
    null_rows: int
    permutations: int
    cka: float


@dataclass(frozen=True)
class Cell:
    """Predicted and measured at one number of labels and of pseudo-labels.

    Attributes
    ----------
    n, N : int
    predicted : dict of str to Range
        From the exact formulas with the estimated geometry.
    measured : dict of str to Range
        Over random splits; empty where nothing was measured, without the ceiling where the rows
        with pseudo-labels have no labels.
    """

    n: int
    N: int
    predicted: Mapping[str, Interval]
    measured: Mapping[str, Interval]


@dataclass(frozen=True)
class MisfitOnly:
    """Gain predicted from the misfit over rows without label, and the gain measured.

    Attributes
    ----------
    misfit : Range
        Over the student's own rows.
    factor : float
        ``(1 - r) / (1 - d_s / N)``: expected gain per misfit if the student can express the truth.
    predicted, measured : Range
        Gain.
    """

    misfit: Interval
    factor: float
    predicted: Interval
    measured: Interval


@dataclass(frozen=True)
class Teacher:
    """Everything about one teacher.

    Attributes
    ----------
    name : str
    d_w, d_s : int
        Dimensions after the cut.
    overlap : Overlap
    estimates : dict of str to Range
        ``rho_w``, ``rho_s``, ``b``, ``kappa``: with the label noise in the first two.
    cross_validated : dict of str to Range
        Error on labelled rows left out, of the heads ``weak`` and ``strong``.
    cells : tuple of Cell
        By labels, then by pseudo-labels.
    reference : Cell
        The largest sizes that were measured.
    all_rows : Cell
        Prediction with every label, and pseudo-labels for all other rows.
    by_n, by_N : tuple of Cell
        Predictions for the curves, at the reference's ``N`` and ``n``.
    misfit_only : MisfitOnly
    enough : Range or None
        Pseudo-labels that bring nine tenths of the gain that any number brings, with every label;
        None where no number brings a gain.
    break_even : int or None
        Labels up to which the student is predicted to beat the baseline, with the pseudo-labels
        of ``all_rows``; None if at no number.
    excess : Cell or None
        As ``all_rows``, in excess of the label noise, where that is known.
    student_by_split : tuple of float
        Student's error at the reference in each split; all teachers have the same splits.
    inflation : float
        Factor on the standard error of a mean over these, since splits share rows.
    audit : dict of str to (float, float)
        Errors of a teacher and a baseline on the last labelled rows, computed from sums of
        products and by a least squares solver on the rows: they must agree.
    """

    name: str
    d_w: int
    d_s: int
    overlap: Overlap
    estimates: Mapping[str, Interval]
    cross_validated: Mapping[str, Interval]
    cells: tuple[Cell, ...]
    reference: Cell
    all_rows: Cell
    by_n: tuple[Cell, ...]
    by_N: tuple[Cell, ...]
    misfit_only: MisfitOnly
    enough: Interval | None
    break_even: int | None
    excess: Cell | None
    student_by_split: tuple[float, ...]
    inflation: float
    audit: Mapping[str, tuple[float, float]]


@dataclass(frozen=True, eq=False)
class Question:
    """What `analyse` is asked: self-contained, so that it can be sent to another process.

    Attributes
    ----------
    pair : Pair
    targets : ndarray, shape (L, tasks)
        Scaled so that the mean over tasks is the sum over the original columns.
    design : Design
    trials : int
    seed : int
    noise : float or None
        Standard deviation of the label noise, where known.
    """

    pair: Pair
    targets: NDArray[np.float64]
    design: splits.Design
    trials: int
    seed: int
    noise: float | None


def analyse(question: Question) -> Teacher:
    """Estimate, predict and measure for one teacher.

    Random numbers come from one generator, seeded alike for every teacher, in this order: groups
    and splits (so all teachers get the same), problems drawn from the estimates, permutations,
    problems drawn for the excess. BLAS has one thread, wherever this runs.

    Parameters
    ----------
    question : Question

    Returns
    -------
    Teacher

    Raises
    ------
    InputError
        If the noise given is more than is left of the labels.
    """
    with threadpool_limits(1, "blas"):
        return _analyse(question)


def _analyse(question: Question) -> Teacher:
    pair, design, targets = question.pair, question.design, question.targets
    rng = np.random.default_rng(question.seed)
    weak, strong = pair.weak[: pair.labelled], pair.strong[: pair.labelled]
    groups = splits.grouped(weak, strong, targets, design.size, rng)
    cells = _cells(pair, design)
    measured = splits.splits(groups, pair.folds, design, cells, trials=question.trials, rng=rng)
    estimates = setting_from_labels(weak, strong, targets, features=pair.total)
    drawn = estimates.settings(DRAWS, rng)
    shared = _overlap(pair, groups, rng)
    everything = pair.labelled, max(pair.total.count - pair.labelled, design.N)
    by_n, by_N = _curves(pair, design, *everything)
    sizes = [*cells, everything, *by_n, *by_N]
    predicted = _predictions(estimates.setting, drawn, sizes)

    def cell(size: tuple[int, int]) -> Cell:
        seen = _measured(measured, size) if size in measured.results else {}
        return Cell(*size, predicted[size], seen)

    largest = design.n, design.N
    return Teacher(
        name=pair.name,
        d_w=pair.d_w,
        d_s=pair.d_s,
        overlap=shared,
        estimates=_estimated(estimates),
        cross_validated={k: _around(*v) for k, v in splits.cross_validated(groups).items()},
        cells=tuple(map(cell, cells)),
        reference=cell(largest),
        all_rows=cell(everything),
        by_n=tuple(map(cell, by_n)),
        by_N=tuple(map(cell, by_N)),
        misfit_only=_misfit_only(measured, design, pair.d_s),
        enough=_pseudo_labels_for_most_gain(estimates.setting, drawn, pair.labelled),
        break_even=_break_even(estimates.setting, everything[1]),
        excess=_excess(estimates, question.noise, *everything, rng),
        student_by_split=tuple(measured.results[largest].student.mean(axis=1).tolist()),
        inflation=measured.inflation(design.n, question.trials),
        audit={
            "teacher": _audit(weak, targets, design.n),
            "baseline": _audit(strong, targets, design.n),
        },
    )


def _cells(pair: Pair, design: splits.Design) -> list[tuple[int, int]]:
    """Sizes to measure at: numbers of labels, then numbers of pseudo-labels."""
    ns, Ns = design.sizes(max(pair.d_w, pair.d_s) + 3, pair.d_s + 3)
    return list(dict.fromkeys([*((n, design.N) for n in ns), *((design.n, N) for N in Ns)]))


def _curves(
    pair: Pair, design: splits.Design, labels: int, rest: int
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Sizes to predict at, up to four times what there is."""
    least_n, least_N = max(pair.d_w, pair.d_s) + 4, pair.d_s + 4
    by_n = [(n, design.N) for n in _spaced(least_n, max(4 * labels, 4 * least_n))]
    by_N = [(design.n, N) for N in _spaced(least_N, max(4 * rest, 4 * least_N))]
    return by_n, by_N


def _estimated(estimates: Estimates) -> dict[str, Range]:
    return {
        name: _around(
            float(estimates.values[i]), estimates.standard_error(name), floor=name[:3] == "rho"
        )
        for i, name in enumerate(("rho_w", "rho_s", "b", "kappa"))
    }


def _predictions(
    setting: risks.Setting, drawn: list[risks.Setting], sizes: list[tuple[int, int]]
) -> dict[tuple[int, int], dict[str, Range]]:
    """Predict at every size from one set of problems drawn, so that curves are smooth."""
    n, N = np.array(sizes).T
    table = [expected_risks_and_ratios(problem, n, N) for problem in [setting, *drawn]]
    at = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    found: dict[tuple[int, int], dict[str, Range]] = {size: {} for size in sizes}
    for name in table[0]:
        values = np.array([row[name] for row in table])
        low, high = np.nanquantile(values[1:], at, axis=0)
        for i, size in enumerate(sizes):
            best = float(values[0, i])
            found[size][name] = Range(best, float(min(low[i], best)), float(max(high[i], best)))
    return found


def _measured(measured: splits.Measured, cell: tuple[int, int]) -> dict[str, Range]:
    found = {
        name: _around(*measured.mean(cell, name))
        for name in MEASURED
        if np.isfinite(getattr(measured.results[cell], name, np.zeros(1))).all()
    }
    found["opr"] = _around(*measured.ratio(cell, "opr"))
    if "ceiling" in found:
        found["pgr"] = _around(*measured.ratio(cell, "pgr"))
    return found


def _overlap(pair: Pair, groups: list[Moments], rng: np.random.Generator) -> Overlap:
    cross = pair.total.canonical("weak", "strong")
    canonical = np.clip(linalg.svdvals(cross), 0, 1) ** 2
    parts = list(pair.folds) if len(pair.folds) >= 4 else [g.only("weak", "strong") for g in groups]
    found = overlap.interval_from_groups(
        [part.count for part in parts], np.array([part.matrix for part in parts]), pair.d_w
    )
    rows = min(len(pair.weak), NULL_ROWS)
    # The rows kept begin with the labelled ones; the others were drawn at random.
    chosen = rng.permutation(len(pair.weak))[:rows]
    test = overlap.null_test(pair.weak[chosen], pair.strong[chosen], PERMUTATIONS, rng)
    limit = min(pair.d_w, pair.d_s)
    clipped = np.clip([found.estimate, found.low, found.high], 0, limit).tolist()
    return Overlap(
        d_sw=Range(*clipped),
        raw=float(canonical.sum()),
        canonical=tuple(canonical.tolist()),
        null_raw=test.raw,
        null_mean=test.null_mean,
        null_sd=test.null_sd,
        p_value=test.p_value,
        null_rows=rows,
        permutations=PERMUTATIONS,
        cka=pair.cka,
    )


def _misfit_only(measured: splits.Measured, design: splits.Design, d_s: int) -> MisfitOnly:
    cell = (design.n, design.N)
    factor = float(risks.gain_per_misfit(d_s, design.N, in_sample=True))
    misfit, error = measured.mean(cell, "misfit_in_sample")
    return MisfitOnly(
        misfit=_around(misfit, error),
        factor=factor,
        predicted=_around(factor * misfit, abs(factor) * error),
        measured=_around(*measured.mean(cell, "gain")),
    )


def _audit(features: NDArray, targets: NDArray, n: int) -> tuple[float, float]:
    """Error on the rows after the first ``n``, by sums of products and by rows."""
    given, tested = (
        Moments.of(features=features[part], labels=targets[part])
        for part in (slice(n), slice(n, None))
    )
    head = given.fit("features", "labels")
    by_sums = tested.mean_square(features=head, labels=-np.eye(targets.shape[1])).mean()
    solved = linalg.lstsq(features[:n], targets[:n], lapack_driver="gelsy")[0]
    by_rows = np.mean((features[n:] @ solved - targets[n:]) ** 2)
    return float(by_sums), float(by_rows)


def _pseudo_labels_for_most_gain(
    setting: risks.Setting, drawn: list[risks.Setting], n: int
) -> Range | None:
    """Pseudo-labels for nine tenths of the gain in the limit; infinite where there is none."""

    def needed(problem: risks.Setting) -> float:
        misfit = float(risks.limiting_misfit(problem, n))
        inherited, _ = risks.student_variance(problem, n, problem.d_s + 2)
        best = problem.rho_s + problem.b + float(inherited)
        gain = float(risks.teacher(problem, n)) - best
        if gain <= 0 or misfit <= 0:
            return np.inf
        r = (1 - MOST_OF_THE_GAIN) * gain / misfit
        return float(np.ceil(problem.d_s / r + problem.d_s + 1))

    value = needed(setting)
    if not np.isfinite(value):
        return None
    found = [needed(problem) for problem in drawn]
    low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="nearest")
    return Range(value, float(min(low, value)), float(max(high, value)))


def _break_even(setting: risks.Setting, N: int, most: float = 1e6) -> int | None:
    least = max(setting.d_w, setting.d_s) + 2
    n = np.unique(np.geomspace(least, max(most, 2 * least), 400).astype(int))
    ahead = risks.baseline(setting, n) > risks.student(setting, n, N)
    return int(n[ahead].max()) if ahead.any() else None


def _excess(
    estimates: Estimates, noise: float | None, n: int, N: int, rng: np.random.Generator
) -> Cell | None:
    if noise is None:
        return None
    try:
        known = estimates.excess(noise)
        predicted = _predictions(known.setting, known.settings(DRAWS, rng), [(n, N)])
        return Cell(n, N, predicted[n, N], {})
    except ValueError as error:
        raise InputError(f"noise: {error}") from None


def _around(value: float, error: float, floor: bool = False) -> Range:
    low = value - _Z * error
    return Range(value, max(low, 0.0) if floor else low, value + _Z * error)


def _spaced(low: int, high: int) -> list[int]:
    return np.unique(np.geomspace(low, high, 14).astype(int)).tolist()
