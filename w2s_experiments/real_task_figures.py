"""Figures that the chapters on real tasks share: sizes, a ladder, an order, absolute risks.

Each returns the figure and the data behind it. Markers are measurements with bars of two standard
errors; lines and crosses are exact formulas with the oracle's geometry; the dotted line is the
constant predictor, whose risk is 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from w2s_experiments import references
from w2s_utils import figures, plots
from w2s_utils.problem import Cell, Key
from w2s_utils.protocol import Result
from w2s_utils.resampling import mean
from w2s_utils.splits import Pair

Columns = dict[str, list[Any]]
Drawn = tuple[Figure, Columns]
QUANTITIES = {"student": "student's risk", "pgr": "PGR", "opr": "OPR"}


def sizes(
    grid: Mapping[Key, Cell],
    chosen: Sequence[Pair],
    *,
    n: int,
    N: int,
    sizes_n: Sequence[int],
    sizes_N: Sequence[int],
    lowest: float = -0.3,
) -> Drawn:
    """Draw student's risk, PGR and OPR of chosen pairs against labels and pseudo-labels.

    ``n`` and ``N`` are held fixed on the right and on the left; on the right PGR below ``lowest``
    is off the panel.
    """
    figure, axes = plt.subplots(3, 2, figsize=(6.6, 7.2), sharex="col")
    data: Columns = {"n": list(sizes_n), "N": list(sizes_N)}
    for (teacher, student), look in zip(chosen, looks(), strict=False):
        look["label"] = label = _name(chosen, teacher, student)
        by_n = [grid[teacher, student, size, N] for size in sizes_n]
        by_N = [grid[teacher, student, n, size] for size in sizes_N]
        ratios(axes[:, 0], sizes_n, by_n, data, f"{label}, n", **look)
        ratios(axes[:, 1], sizes_N, by_N, data, f"{label}, N", **look)
    axes[1, 1].set_ylim(max(min(axes[1, 1].get_ylim()[0], 0), lowest), None)
    for column, values, label in ((0, sizes_n, "labels $n$"), (1, sizes_N, "pseudo-labels $N$")):
        axes[0, column].set(yscale="log")
        plots.ticks(axes[0, column], "y", (0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10))
        for axis in axes[:, column]:
            axis.set(xscale="log")
            plots.ticks(axis, "x", values, fontsize=9)
        axes[2, column].set_xlabel(label)
    name_axes(axes[:, 0])
    wide = any(len(_name(chosen, *pair)) > 12 for pair in chosen)
    plots.legend_below(figure, 2 if wide else 4, fontsize=9)
    return figure, data


def ladder(rungs: Mapping[str, Sequence[Cell]]) -> Drawn:
    """Draw risk, PGR and OPR of teachers that differ in their correlation dimension only."""
    figure, axes = plots.panels(3, 2.25, 3.1)
    data: Columns = {}
    for (label, cells), look in zip(rungs.items(), looks()[::2], strict=False):
        shared = [cell.setting.d_sw for cell in cells]
        data[f"correlation dimension, {label}"] = shared
        ratios(axes, shared, cells, data, label, label=label, **look)
    for axis, title in zip(axes, QUANTITIES.values(), strict=True):
        axis.set_title(title)
    axes[1].set_xlabel("correlation dimension $d_{s\\wedge w}$")
    plots.legend_below(figure, min(len(rungs), 3), fontsize=9)
    return figure, data


def order(regimes: Mapping[str, Mapping[str, Cell]]) -> Drawn:
    """Draw natural teachers, a row of panels a regime: risk and PGR by overlap, PGR by formula."""
    size = (6.8, 2.4 * len(regimes) + 0.6)
    figure, axes = plt.subplots(len(regimes), 3, figsize=size, squeeze=False)
    data: Columns = {}
    for row, (regime, cells) in zip(axes, regimes.items(), strict=True):
        overlap = [cell.setting.d_sw for cell in cells.values()]
        formula = [float(cell.predicted.pgr) for cell in cells.values()]
        pgr = [cell.result.pgr() for cell in cells.values()]
        risk = [cell.result.mean("student") for cell in cells.values()]
        panels = ((overlap, risk), (overlap, pgr), (formula, pgr))
        for i, (name, look) in enumerate(zip(cells, looks(), strict=False)):
            look = {**look, "label": name, "mfc": None}
            for axis, (predictor, measured) in zip(row, panels, strict=True):
                plots.estimates(axis, [predictor[i]], [measured[i]], **look)
        data[f"teacher, {regime}"] = list(cells)
        data[f"overlap, {regime}"], data[f"formula, {regime}"] = overlap, formula
        data[f"PGR, {regime}"] = [estimate.value for estimate in pgr]
        data[f"student's risk, {regime}"] = [estimate.value for estimate in risk]
        constant(row[0])
        ends = [min(formula), max(formula)]
        row[2].plot(ends, ends, "--", color=figures.BOUND, lw=1, zorder=0)
        row[0].set(ylabel=f"{regime}\nstudent's risk")
        row[1].set(ylabel="PGR")
    for axis, label in zip(axes[-1], (*["correlation dim."] * 2, "PGR, formula"), strict=True):
        axis.set_xlabel(label)
    plots.legend_below(figure, 6, fontsize=9)
    return figure, data


def risks(by_teacher: Mapping[str, Mapping[str, Any]]) -> Drawn:
    """Draw all rows of `references.compare`, a marker a teacher; filled: ridge heads."""
    rows = [name for name in references.WORDS if name in next(iter(by_teacher.values()))]
    figure, axis = plt.subplots(figsize=(6.6, 0.42 * len(rows) + 1.2))
    data: Columns = {"row": rows}
    for (teacher, found), shape in zip(by_teacher.items(), "sov^D", strict=False):
        for head, face in (("", "none"), (", ridge", None)):
            known = [i for i, name in enumerate(rows) if name + head in found]
            values = [mean(found[rows[i] + head]).value for i in known]
            for i, value in zip(known, values, strict=True):
                colour = plots.COLOURS.get(rows[i], figures.BOUND)
                axis.plot(value, i, shape, color=colour, mfc=face or colour, ms=6)
            data[f"{teacher}{head}"] = [dict(zip(known, values, strict=True)).get(i, np.nan)
                                        for i in range(len(rows))]  # fmt: skip
        axis.plot([], [], shape, color=figures.BOUND, mfc="none", ls="", label=teacher)
    axis.axvline(1, color=figures.BOUND, ls=":", lw=1.2)
    axis.set(xscale="log", xlabel="risk / variance of the target")
    axis.set_yticks(range(len(rows)), [references.WORDS[name] for name in rows], fontsize=9)
    axis.invert_yaxis()
    plots.ticks(axis, "x", (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1, 1.5, 2, 4, 8))
    plots.legend_below(figure, 6, fontsize=9)
    return figure, data


def several(results: Mapping[str, Result], teachers: Sequence[str]) -> Drawn:
    """Draw results of several teachers and their students, beside what needs none, a panel each."""
    figure, axes = plots.panels(2, 3.35, 3.9, sharey=True)
    places, data = np.arange(len(teachers)), Columns(teacher=list(teachers))
    for axis, (head, result) in zip(axes, results.items(), strict=True):
        for role, shift in (("teacher", -0.1), ("student", 0.1)):
            measured = [mean(column) for column in getattr(result, role).T]
            data[role + head] = plots.estimates(axis, places + shift, measured, role)
        for role, line in (("baseline", "-."), ("ceiling", "--")):
            value, label = result.mean(role).value, references.WORDS[role]
            axis.axhline(value, color=plots.COLOURS[role], ls=line, lw=1.4, label=label, zorder=0)
            data[role + head] = [value] * len(teachers)
        constant(axis)
        axis.set_title(head.removeprefix(", ") or "least squares", fontsize=10)
        axis.set_xticks(places, teachers, rotation=45, ha="right", fontsize=9)
    axes[0].set_ylabel("risk / variance of the target")
    plots.legend_below(figure, 2, fontsize=9)
    return figure, data


def ratios(
    axes: Sequence[Axes],
    x: Sequence[float],
    cells: Sequence[Cell],
    data: Columns,
    key: str,
    *,
    color: Any,
    **look: Any,
) -> None:
    """Draw student's risk, PGR and OPR on three axes: measured as markers, formulas as lines."""
    for axis, name in zip(axes, QUANTITIES, strict=True):
        results = [cell.result for cell in cells]
        measured = [r.mean(name) if name == "student" else getattr(r, name)() for r in results]
        data[f"{name}, {key}"] = plots.estimates(axis, x, measured, color=color, **look)
        line = [float(getattr(cell.predicted, name)) for cell in cells]
        axis.plot(x, line, color=color, lw=1.2)
        data[f"{name} formula, {key}"] = line
    constant(axes[0])


def constant(axis: Axes) -> None:
    """Draw the risk of the constant predictor."""
    axis.axhline(1, color=figures.BOUND, ls=":", lw=1.2)


def name_axes(axes: Sequence[Axes]) -> None:
    """Write what three axes show: student's risk, PGR and OPR."""
    for axis, title in zip(axes, QUANTITIES.values(), strict=True):
        axis.set_ylabel(title)


def looks() -> list[dict[str, Any]]:
    """Colour and marker of the first, second, ... of what is compared: no role's colour."""
    shades = plt.get_cmap("viridis")(np.linspace(0, 0.88, len(plots.SHAPES)))
    return [{"color": c, "fmt": marker} for c, marker in zip(shades, plots.SHAPES, strict=True)]


def _name(chosen: Sequence[Pair], teacher: int | str, student: str) -> str:
    """Name of a pair; the student is left out where all pairs have the same."""
    return f"{teacher}" if len({s for _, s in chosen}) == 1 else f"{teacher} → {student}"
