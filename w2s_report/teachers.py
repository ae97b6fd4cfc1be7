"""One teacher and the student: what is estimated, predicted and measured."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from w2s_report.comparison import LEVEL, Comparison, Z, around, nonnegative
from w2s_report.options import Options
from w2s_report.spectra import Pair
from w2s_utils.geometry import Estimates, Range, expected_risks_and_ratios, setting_from_labels
from w2s_utils.least_squares import Moments
from w2s_utils.theory import overlap, risks, scaling

DRAWS = 400
PERMUTATIONS = 49
NULL_ROWS = 2000
FEWEST, GROUPS = 4, 40  # parts that are left out, of all rows and of the labelled ones
FAINT = 1e-3  # of a direction's standard deviation
MOST_OF_THE_GAIN = 0.9


@dataclass(frozen=True)
class Overlap:
    """Correlation dimension of one teacher with the student."""

    d_sw: Range
    """Adjusted estimate and interval, both from leaving out folds."""
    raw: float
    """Sum of squared canonical correlations."""
    p_value: float
    """Of the test of independence that permutes one model's inputs, `PERMUTATIONS` times."""


@dataclass(frozen=True)
class Cell:
    """Predicted and measured at one number of labels and of pseudo-labels."""

    n: int
    N: int
    predicted: Mapping[str, Range]
    """From the exact formulas with the estimated geometry; no PGR where the gap may be none."""
    measured: Mapping[str, Range]
    """Over random splits; empty where nothing was measured, without the ceiling where the rows
    with pseudo-labels have no labels, without PGR where teacher and ceiling are not demonstrably
    apart."""


@dataclass(frozen=True)
class Purchase:
    """What to buy with a budget beside the labels that there are, by the formulas."""

    budget: float
    """The one given, or twice as much."""
    predicted: Mapping[str, Range]
    """"labels" and "pseudo_labels" of the best split, the expected error of the "student" there;
    that of the "strong" and of the "weak" model alone, with labels for the whole budget, less the
    student's; and what is "saved" by it over half the budget, where half buys a student."""

    @property
    def worthwhile(self) -> bool | None:
        """Whether both models alone are behind, or one is ahead; None where it cannot be told."""
        strong, weak = self.predicted["strong"], self.predicted["weak"]
        behind = min(strong.high, weak.high) < 0
        return True if min(strong.low, weak.low) > 0 else False if behind else None


@dataclass(frozen=True)
class Teacher:
    """Everything about one teacher and its student."""

    name: str
    """Of the two: the teacher's, where there is one student."""
    d_w: int
    d_s: int
    """Dimensions after the cut, of teacher and student."""
    overlap: Overlap
    estimates: Mapping[str, Range]
    """``rho_w``, ``rho_s``, ``b``, ``kappa``: with the label noise in the first two."""
    reference: Cell
    """What was measured."""
    all_rows: Cell
    """Prediction with every label, and pseudo-labels for all other rows."""
    doubled: tuple[Cell, Cell]
    """Prediction with twice the labels of ``all_rows``, and with twice its pseudo-labels."""
    gain_per_misfit: float
    """``(1 - r) / (1 - d_s / N)``, at the sizes measured: expected gain per misfit if the student
    can express the truth."""
    gain_by_misfit: Range
    """The gain predicted from the misfit measured, by this factor: no labels enter."""
    enough: Range | None
    """Pseudo-labels that bring nine tenths of the gain that any number brings, with every label;
    None where no number brings a gain."""
    break_even: Range | None
    """Labels up to which the student is predicted to beat the baseline, with the pseudo-labels of
    ``all_rows``; None if at no number. Ends may be zero (no number) and a million (the most that is
    looked at)."""
    purchases: tuple[Purchase, ...]
    """What the budget given buys, and twice as much; empty where none was given or none reaches."""


def analyse(pair: Pair, targets: NDArray, found: Comparison, settings: Options) -> Teacher:
    """Estimate, predict and measure for one teacher.

    Targets of shape (L, tasks) are scaled so that the mean over tasks is the sum over the original
    columns; ``found`` was measured by least squares in the directions of the pair. Random numbers
    come from one generator, seeded alike for every teacher, in this order: problems drawn from the
    estimates, permutations. BLAS has one thread, wherever this runs.
    """
    rng = np.random.default_rng(settings.seed)
    with threadpool_limits(1, "blas"):
        weak, strong = pair.weak[: pair.labelled], pair.strong[: pair.labelled]
        estimates = setting_from_labels(weak, strong, targets, features=pair.total)
        problems = [estimates.setting, *estimates.settings(DRAWS, rng)]
        every = risks.Setting.stack(problems)
        shared = _overlap(pair, rng)
        factor = float(risks.gain_per_misfit(strong.shape[1], found.N, in_sample=False))
        ends = factor * found.misfit.low, factor * found.misfit.high
        n, N = pair.labelled, max(pair.total.count - pair.labelled, found.N)
        sizes = [(found.n, found.N), (n, N), (2 * n, N), (n, 2 * N)]
        here, there, *doubled = _predictions(every, sizes)
        return Teacher(
            name=found.name,
            d_w=weak.shape[1],
            d_s=strong.shape[1],
            overlap=shared,
            estimates=_estimated(estimates),
            reference=replace(here, measured=_measured(found)),
            all_rows=there,
            doubled=(doubled[0], doubled[1]),
            gain_per_misfit=factor,
            gain_by_misfit=Range(factor * found.misfit.value, min(ends), max(ends)),
            enough=_pseudo_labels_for_most_gain(every, pair.labelled),
            break_even=_break_even(every, N),
            purchases=tuple(_purchases(problems, pair.labelled, settings)),
        )


def _estimated(estimates: Estimates) -> dict[str, Range]:
    values = zip(("rho_w", "rho_s", "b", "kappa"), estimates.values.tolist(), strict=False)
    found = {name: around(v, Z * estimates.standard_error(name)) for name, v in values}
    return found | {name: nonnegative(found[name]) for name in ("rho_w", "rho_s")}


def _predictions(every: risks.Setting, sizes: list[tuple[int, int]]) -> list[Cell]:
    """Predict at every size from one set of problems drawn, so that sizes can be compared."""
    table = expected_risks_and_ratios(every, *np.array(sizes).T)
    found = []
    for i, size in enumerate(sizes):
        told = {name: _spread(values[:, i]) for name, values in table.items()}
        if told["gap"].low <= 0:
            del told["pgr"]
        found.append(Cell(*size, told, {}))
    return found


def _measured(found: Comparison) -> dict[str, Range]:
    [(metric, errors)] = found.errors.items()
    over = found.better[metric]["student"]
    measured = {k: v for k, v in errors.items() if k not in ("constant", "shuffled")}
    measured |= {"misfit": found.misfit, "gain": over["teacher"], "advantage": over["baseline"]}
    for name, ratio in (("opr", found.opr), ("pgr", found.pgr)):
        measured |= {name: ratio[metric]} if metric in ratio else {}
    return measured


def _overlap(pair: Pair, rng: np.random.Generator) -> Overlap:
    raw = float(np.sum(pair.total.canonical("weak", "strong") ** 2))
    parts = pair.folds
    if len(parts) < FEWEST:
        parts = tuple(
            Moments.of(weak=pair.weak[part], strong=pair.strong[part])
            for part in np.array_split(rng.permutation(pair.labelled), GROUPS)
        )
    # A direction that hardly occurs in a part still contributes something.
    sums = [part.matrix + FAINT**2 * part.count * np.eye(len(part.matrix)) for part in parts]
    counts = [part.count for part in parts]
    found = overlap.interval_from_groups(counts, np.array(sums), pair.weak.shape[1])
    rows = min(len(pair.weak), NULL_ROWS)
    # The rows kept begin with the labelled ones; the others were drawn at random.
    chosen = rng.permutation(len(pair.weak))[:rows]
    # A direction that these rows lack has no part in the test, but must not stop it.
    w, s = (
        phi[chosen] + FAINT * rng.standard_normal((rows, phi.shape[1]))
        for phi in (pair.weak, pair.strong)
    )
    test = overlap.null_test(w, s, PERMUTATIONS, rng)
    clipped = np.clip([found.estimate, found.low, found.high], 0, min(w.shape[1], s.shape[1]))
    return Overlap(d_sw=Range(*clipped.tolist()), raw=raw, p_value=test.p_value)


def _pseudo_labels_for_most_gain(every: risks.Setting, n: int) -> Range | None:
    """Pseudo-labels for nine tenths of the gain in the limit; infinite where there is none."""
    misfit = risks.limiting_misfit(every, n)
    inherited, _ = risks.student_variance(every, n, every.d_s + 2)
    gain = risks.teacher(every, n) - (every.rho_s + every.b + inherited)
    with np.errstate(divide="ignore", invalid="ignore"):
        r = (1 - MOST_OF_THE_GAIN) * gain / misfit
        finite = (gain > 0) & (misfit > 0)
        values = np.where(finite, np.ceil(every.d_s / r + every.d_s + 1), np.inf).ravel()
    return _spread(values) if np.isfinite(values[0]) else None


def _break_even(every: risks.Setting, N: int) -> Range | None:
    least = max(every.d_w, every.d_s) + 2
    n = np.unique(np.geomspace(least, max(1e6, 2 * least), 400).astype(int))
    ahead = risks.baseline(every, n) > risks.student(every, n, N)
    values = np.where(ahead, n, 0).max(axis=1)
    return _spread(values) if values[0] else None


def _purchases(problems: list[risks.Setting], labels: int, asked: Options) -> list[Purchase]:
    """Spend the budget, if there is one, and twice as much.

    Left out where it does not pay for as many pseudo-labels as the formulas need.
    """
    price, pseudo_price, budget = asked.prices
    found, before = [], None
    for money in (budget, 2 * budget):
        if not budget or money < pseudo_price * (problems[0].d_s + 2):
            continue
        best = [scaling.best_purchase(p, money, price, pseudo_price, paid=labels) for p in problems]
        n, N = best[0].labels, best[0].pseudo_labels
        most = labels + int(money / price * (1 + 1e-12))  # whole but for rounding
        student, weak = np.array([
            (float(risks.student(p, n, N)), float(risks.teacher(p, most))) for p in problems
        ]).T  # fmt: skip
        told = {
            "labels": [one.labels - labels for one in best],
            "pseudo_labels": [one.pseudo_labels for one in best],
            "student": student,
            "strong": [one.labels_only for one in best] - student,
            "weak": weak - student,
        }
        told |= {} if before is None else {"saved": before - student}
        before = student
        found.append(Purchase(money, {name: _spread(values) for name, values in told.items()}))
    return found


def _spread(values: Iterable[float]) -> Range:
    """The first number, of the estimates, with the quantiles of the others, of problems drawn."""
    value, *drawn = values
    low, high = np.nanquantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="nearest")
    return Range(float(value), float(min(low, value)), float(max(high, value)))
