"""The figures of a report, each with caption, alternative text and the columns behind it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from w2s_report.card import ReportCard
from w2s_report.teachers import Cell, Teacher
from w2s_utils import figures
from w2s_utils.geometry import Range

MOST_PANELS = 4
COLOURS = {
    "teacher": figures.TEACHER,
    "student": figures.STUDENT,
    "baseline": figures.BASELINE,
    "ceiling": figures.CEILING,
}
MARKERS = {"teacher": "s", "student": "o", "baseline": "^", "ceiling": "v"}
Columns = dict[str, list[Any]]


@dataclass(frozen=True, eq=False)
class Drawn:
    """A figure with what a reader needs who cannot see it.

    Attributes
    ----------
    figure : matplotlib.figure.Figure
    name : str
        Label for cross references.
    caption, alt : str
        With the numbers that the figure shows.
    data : dict of str to list
        The columns behind it.
    """

    figure: Figure
    name: str
    caption: str
    alt: str
    data: Columns

    def show(self) -> None:
        """Display it in a notebook, by `w2s_utils.figures.show`."""
        figures.show(
            self.figure, name=self.name, caption=self.caption, alt=self.alt, data=self.data
        )


def number(value: float) -> str:
    """Write a number with three digits."""
    return f"{value:.3g}".replace("-", "−") if np.isfinite(value) else "∞"


def interval(value: Range) -> str:
    """Write a number with its interval."""
    return f"{number(value.value)} ({number(value.low)} to {number(value.high)})"


def _drawn(figure: Figure, name: str, caption: str, alt: str, data: Columns) -> Drawn:
    return Drawn(
        figure, f"fig-report-{name}", " ".join(caption.split()), " ".join(alt.split()), data
    )


def _styled(draw: Callable[[ReportCard], Drawn]) -> Callable[[ReportCard], Drawn]:
    """In the book's style, whatever the defaults of the process."""

    @functools.wraps(draw)
    def styled(card: ReportCard) -> Drawn:
        with mpl.rc_context(figures.STYLE):
            return draw(card)

    return styled


def best_teachers(card: ReportCard) -> list[Teacher]:
    """Teachers that are drawn: the best few by the measured error of their students."""
    return [card.teacher(name) for name in card.rankings[0].order[:MOST_PANELS]]


@_styled
def spectra(card: ReportCard) -> Drawn:
    """Draw what the leading directions leave of the variance, and where features are cut."""
    figure, axis = plt.subplots(figsize=(6.4, 3.8))
    data: Columns = {}
    for model, colour in zip(card.data.representations, figures.PALETTE, strict=False):
        left = 1 - np.cumsum(model.spectrum)
        shown = left > 1e-7
        directions = np.arange(1, len(left) + 1)[shown]
        style = "-" if model.role == "strong" else "--"
        axis.plot(directions, left[shown], style, color=colour, label=model.name)
        cut = min(model.dimension - 1, len(directions)) - 1
        if cut >= 0 and len(directions):
            axis.plot(directions[cut], left[shown][cut], "o", color=colour, ms=7)
        data[f"{model.name}: variance left"] = left.tolist()
    axis.axhline(0.01, color=figures.BOUND, lw=1, ls=":")
    axis.set(xscale="log", yscale="log", xlabel="leading directions kept", ylim=(1e-4, 1.2))
    axis.set_ylabel("share of the variance left out")
    axis.legend()
    kept = ", ".join(f"{r.name} {r.dimension}" for r in card.data.representations)
    return _drawn(
        figure,
        "spectra",
        f"""Share of the variance that the leading directions leave out (teachers dashed), with the
        cut as a dot. Kept, with the constant: {kept}. Dotted line: one per cent.""",
        f"""Falling curves on logarithmic axes, one for each set of features; a dot marks where each
        is cut: {kept}.""",
        data,
    )


@_styled
def canonical(card: ReportCard) -> Drawn:
    """Draw the squared canonical correlations of each teacher with the student."""
    figure, axis = plt.subplots(figsize=(6.4, 3.6))
    data: Columns = {}
    for teacher, colour in zip(best_teachers(card), figures.PALETTE, strict=False):
        values = teacher.overlap.canonical
        place = np.arange(1, len(values) + 1)
        axis.plot(place, values, "-", color=colour, label=teacher.name)
        data[teacher.name] = list(values)
    axis.set(xlabel="direction", ylabel="squared canonical correlation", ylim=(0, 1.03))
    axis.legend()
    sums = ", ".join(f"{t.name} {t.overlap.d_sw.value:.1f}" for t in best_teachers(card))
    return _drawn(
        figure,
        "canonical",
        f"""Squared canonical correlations of teacher and student over all inputs, the first is that
        of the constant. Estimated correlation dimensions: {sums}.""",
        f"""Descending curves between 1 and 0, one for each teacher. The correlation dimensions are
        {sums}.""",
        data,
    )


@_styled
def errors_by_labels(card: ReportCard) -> Drawn:
    """Draw predicted and measured errors against the number of labels."""
    figure, data = _errors(card, "n")
    measured = "; ".join(
        f"{t.name} {interval(t.reference.measured['student'])}" for t in best_teachers(card)
    )
    return _drawn(
        figure,
        "labels",
        f"""Errors against the number of labels, with {card.design["N"]} pseudo-labels. Lines and
        bands: predicted, with 95 % intervals; markers: measured over {card.design["trials"]}
        splits. Students measured there: {measured}.""",
        """One panel for each teacher: errors of teacher, student, strong model on the labels, and
        on all labels, falling with the number of labels; the table above has the numbers.""",
        data,
    )


@_styled
def errors_by_pseudo_labels(card: ReportCard) -> Drawn:
    """Draw predicted and measured errors against the number of pseudo-labels."""
    figure, data = _errors(card, "N")
    return _drawn(
        figure,
        "pseudo-labels",
        f"""Errors against the number of pseudo-labels, with {card.design["n"]} labels; as above.
        Teacher and baseline do not depend on it.""",
        """One panel for each teacher: the student's error falls with the number of pseudo-labels
        and levels off; teacher and baseline are flat.""",
        data,
    )


def _errors(card: ReportCard, against: str) -> tuple[Figure, Columns]:
    chosen = best_teachers(card)
    figure, axes = _panels(len(chosen))
    data = _columns(COLOURS)
    for teacher, axis in zip(chosen, axes, strict=True):
        curve, measured = _along(teacher, against)
        _record(data, teacher, COLOURS, curve, measured)
        for model, colour in COLOURS.items():
            _curve(axis, curve, against, model, colour)
            seen = [c for c in measured if model in c.measured]
            _points(axis, seen, against, model, colour)
        axis.set(xscale="log", yscale="log", title=teacher.name, xlabel=_AXIS[against])
        _decades(axis)
        _limit(axis, teacher)
    axes[0].set_ylabel("error on labels")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure, data


@_styled
def ratios(card: ReportCard) -> Drawn:
    """Draw predicted PGR and OPR of each teacher against labels and pseudo-labels."""
    figure, axes = plt.subplots(2, 2, figsize=(7.2, 5.4), sharey="row")
    data = _columns(("pgr", "opr"))
    for teacher, colour in zip(best_teachers(card), figures.PALETTE, strict=False):
        for column, against in enumerate(("n", "N")):
            curve, seen = _along(teacher, against)
            _record(data, teacher, ("pgr", "opr"), curve, seen)
            for row, quantity in enumerate(("pgr", "opr")):
                axis = axes[row, column]
                _curve(axis, curve, against, quantity, colour, teacher.name)
                shown = [c for c in seen if quantity in c.measured]
                _points(axis, shown, against, quantity, colour, "o")
                axis.set(xscale="log")
                _decades(axis, "x")
    for row, (name, floor) in enumerate((("PGR", -0.5), ("OPR", 0.0))):
        axes[row, 0].set_ylabel(name)
        low, high = axes[row, 0].get_ylim()
        axes[row, 0].set_ylim(max(low, floor), min(high, 1.2 if row == 0 else 3.0))
        for axis in axes[row]:
            axis.axhline(row, color=figures.THEORY, lw=0.8)
    for column, against in enumerate(("n", "N")):
        axes[1, column].set_xlabel(_AXIS[against])
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    unmeasured = (
        ""
        if card.ceiling_measured
        else " (OPR only, for PGR needs labels on the inputs with pseudo-labels)"
    )
    return _drawn(
        figure,
        "ratios",
        f"""PGR (top) and OPR (bottom) against labels and pseudo-labels. Lines and bands: predicted;
        markers: measured{unmeasured}. Thin lines: no gap recovered, and a draw.""",
        """Four panels of curves, one curve for each teacher. The text of the verdict says on which
        side of one the OPR lies.""",
        data,
    )


@_styled
def gains(card: ReportCard) -> Drawn:
    """Draw the gain measured on labels against the gain predicted from the misfit alone."""
    figure, axis = plt.subplots(figsize=(5.2, 4.2))
    # In the order of the other figures, so that a teacher keeps its colour.
    order = [card.teacher(name) for name in card.rankings[0].order]
    found = [(t.name, t.misfit_only.predicted, t.misfit_only.measured) for t in order]
    for (name, x, y), colour in zip(found, _cycle(len(found)), strict=True):
        axis.errorbar(
            x.value, y.value, _reach(y), _reach(x), fmt="o", color=colour, capsize=2, label=name
        )
    ends = [min([0.0, *(x.low for _, x, _ in found)]), max(x.high for _, x, _ in found)]
    axis.plot(ends, ends, color=figures.THEORY, lw=1, ls="--")
    axis.axhline(0, color=figures.BOUND, lw=0.8)
    axis.set(xlabel="gain predicted from the misfit, without labels", ylabel="gain measured")
    axis.legend(loc="best")
    data: Columns = {"teacher": [name for name, _, _ in found]}
    for i, label in enumerate(("predicted", "measured"), start=1):
        for field in ("value", "low", "high"):
            data[f"{label} {field}"] = [getattr(row[i], field) for row in found]
    return _drawn(
        figure,
        "gain",
        """Gain measured on labels left out against the gain predicted from the misfit on inputs
        without labels. Dashed: equal.""",
        """A point with error bars for each teacher, and the diagonal; points below it gain less
        than their misfit promises. The table above has the numbers.""",
        data,
    )


@_styled
def ranking(card: ReportCard) -> Drawn:
    """Draw the students' errors, measured and predicted, beside the strong model on labels."""
    order = [card.teacher(name) for name in card.rankings[0].order]
    figure, axis = plt.subplots(figsize=(6.4, 1.6 + 0.5 * len(order)))
    data: Columns = {"teacher": [t.name for t in order]}
    for shift, (source, marker) in enumerate((("measured", "o"), ("predicted", "D"))):
        for model in ("student", "teacher"):
            values = [getattr(t.reference, source)[model] for t in order]
            place = np.arange(len(order)) + 0.16 * shift + 0.08 * (model == "teacher")
            axis.errorbar(
                [v.value for v in values],
                place,
                xerr=np.transpose([_reach(v)[:, 0] for v in values]),
                fmt=marker,
                color=COLOURS[model],
                mfc="none" if source == "predicted" else None,
                capsize=2,
                label=f"{model}, {source}",
            )
            data[f"{model} {source}"] = [v.value for v in values]
    baseline = order[0].reference.measured["baseline"]
    axis.axvline(baseline.value, color=COLOURS["baseline"], label="strong model on the labels")
    axis.axvspan(baseline.low, baseline.high, color=COLOURS["baseline"], alpha=0.15, lw=0)
    data["baseline measured"] = [baseline.value] * len(order)
    axis.set(yticks=np.arange(len(order)), yticklabels=data["teacher"], xlabel="error on labels")
    axis.invert_yaxis()
    figure.legend(loc="outside lower center", ncols=2)
    return _drawn(
        figure,
        "ranking",
        f"""Errors of each teacher and of its student, at {card.design["n"]} labels and
        {card.design["N"]} pseudo-labels, with the strong model on the labels (line and band):
        {interval(baseline)}.""",
        f"""Dots with error bars, one row for each teacher, in the order
        {", ".join(data["teacher"])}; the vertical line is the strong model on the labels.""",
        data,
    )


_AXIS = {"n": "labels $n$", "N": "pseudo-labels $N$"}


def _cycle(count: int) -> list[str]:
    return [figures.PALETTE[i % len(figures.PALETTE)] for i in range(count)]


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    columns = min(count, 2)
    rows = -(-count // columns)
    size = (3.6 * columns + 0.4, 3.1 * rows + 0.8)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, sharey=True)
    for axis in axes.flat[count:]:
        axis.set_visible(False)
    return figure, list(axes.flat[:count])


def _curve(
    axis: Axes, curve: Sequence[Cell], against: str, name: str, colour: str, label: str = ""
) -> None:
    x = [getattr(cell, against) for cell in curve]
    values = [cell.predicted[name] for cell in curve]
    axis.plot(x, [v.value for v in values], color=colour, label=label or name)
    low, high = [v.low for v in values], [v.high for v in values]
    axis.fill_between(x, low, high, color=colour, alpha=0.15, lw=0)


def _points(
    axis: Axes, cells: Sequence[Cell], against: str, name: str, colour: str, marker: str = ""
) -> None:
    if not cells:
        return
    values = [cell.measured[name] for cell in cells]
    axis.errorbar(
        [getattr(cell, against) for cell in cells],
        [v.value for v in values],
        np.hstack([_reach(v) for v in values]),
        fmt=marker or MARKERS[name],
        color=colour,
        mfc="none",
        capsize=2,
        lw=1,
    )


def _limit(axis: Axes, teacher: Teacher) -> None:
    """Show what matters: near the smallest samples errors have no bound."""
    seen = [v.value for c in teacher.cells for k, v in c.measured.items() if k in COLOURS]
    low = min([*seen, *(c.predicted["ceiling"].value for c in teacher.cells)])
    bottom, top = axis.get_ylim()
    axis.set_ylim(max(bottom, 0.6 * low), min(top, 1.6 * max(seen)))


def _reach(value: Range) -> np.ndarray:
    return np.array([[value.value - value.low], [value.high - value.value]])


def _decades(axis: Axes, which: str = "both") -> None:
    for name in ("x", "y") if which == "both" else (which,):
        side = getattr(axis, f"{name}axis")
        side.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        side.set_major_formatter(lambda value, position: f"{value:.6g}")
        side.set_minor_formatter(NullFormatter())
        if name == "x":
            axis.tick_params(axis="x", rotation=45)


def _along(teacher: Teacher, against: str) -> tuple[Sequence[Cell], Sequence[Cell]]:
    """Cells of a curve and those measured on it: one size varies, the other is the reference's."""
    fixed = "N" if against == "n" else "n"
    level = getattr(teacher.reference, fixed)
    seen = [cell for cell in teacher.cells if getattr(cell, fixed) == level]
    return (teacher.by_n if against == "n" else teacher.by_N), seen


def _columns(names: Iterable[str]) -> Columns:
    ends = [f"{name}{end}" for name in names for end in ("", " low", " high")]
    return {column: [] for column in ["teacher's name", "n", "N", "source", *ends]}


def _record(
    data: Columns,
    teacher: Teacher,
    names: Iterable[str],
    predicted: Sequence[Cell],
    measured: Sequence[Cell],
) -> None:
    """Add a row for each cell, with the values' ends; blanks where there are none."""
    told = [("predicted", cell, cell.predicted) for cell in predicted]
    for source, cell, found in [*told, *(("measured", c, c.measured) for c in measured)]:
        data["teacher's name"].append(teacher.name)
        data["n"].append(cell.n)
        data["N"].append(cell.N)
        data["source"].append(source)
        for name in names:
            value = found.get(name)
            for suffix, end in (("", "value"), (" low", "low"), (" high", "high")):
                data[f"{name}{suffix}"].append("" if value is None else getattr(value, end))
