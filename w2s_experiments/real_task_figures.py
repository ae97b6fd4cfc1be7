"""Figures that ``tasks/digits`` and ``tasks/vision`` share: sizes, noise, a ladder, an order.

Each returns the figure and the data behind it. Markers are measurements with bars of two standard
errors; lines and crosses are exact formulas with the oracle's geometry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from w2s_utils import figures, plots
from w2s_utils.probes import MEASURES
from w2s_utils.problem import Cell, Key, Pair
from w2s_utils.protocol import Result

Columns = dict[str, list[Any]]
Drawn = tuple[Figure, Columns]
QUANTITIES = {"pgr": "PGR", "opr": "OPR"}


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
    """Draw PGR and OPR of chosen pairs against the labels and against the pseudo-labels.

    ``n`` and ``N`` are held fixed on the right and on the left; on the right PGR below ``lowest``
    is off the panel.
    """
    figure, axes = plt.subplots(2, 2, figsize=(7.2, 5.4), sharex="col")
    data: Columns = {"n": list(sizes_n), "N": list(sizes_N)}
    for (teacher, student), look in zip(chosen, looks(), strict=False):
        look["label"] = label = _name(chosen, teacher, student)
        by_n = [grid[teacher, student, size, N] for size in sizes_n]
        by_N = [grid[teacher, student, n, size] for size in sizes_N]
        ratios(axes[:, 0], sizes_n, by_n, data, f"{label}, n", **look)
        ratios(axes[:, 1], sizes_N, by_N, data, f"{label}, N", **look)
    axes[0, 1].set_ylim(max(min(axes[0, 1].get_ylim()[0], 0), lowest), None)
    for column, values, label in ((0, sizes_n, "labels $n$"), (1, sizes_N, "pseudo-labels $N$")):
        for axis in axes[:, column]:
            axis.set(xscale="log")
            plots.ticks(axis, "x", values, fontsize=8)
        axes[1, column].set_xlabel(label)
    name_axes(axes[:, 0])
    plots.legend_below(figure, len(chosen), fontsize=8)
    return figure, data


def noise(
    loud: Mapping[float, Mapping[Key, Cell]],
    chosen: Sequence[Pair],
    flipped: Mapping[float, Mapping[Pair, Mapping[str, Result]]],
    logistic: Pair,
) -> Drawn:
    """Draw PGR and OPR against the label noise: least squares above, logistic heads below.

    ``loud`` holds cells of one size by standard deviation of the noise, ``flipped`` results of
    logistic heads by share of flipped labels; the pair ``logistic`` is the one of the lower row.
    """
    figure, axes = plt.subplots(2, 2, figsize=(7.2, 6.0))
    levels, shares = list(loud), list(flipped)
    data: Columns = {"noise": levels, "flips": shares}
    for (teacher, student), look in zip(chosen, looks(), strict=False):
        look["label"] = label = _name(chosen, teacher, student)
        cells = [
            next(cell for key, cell in loud[level].items() if key[:2] == (teacher, student))
            for level in levels
        ]
        ratios(axes[0], levels, cells, data, label, **look)
    by_measure(axes[1], {share: flipped[share][logistic] for share in shares}, data, "flips, ")
    for axis in axes[0]:
        axis.set(xlabel="label noise $\\sigma$", xticks=levels)
    for axis in axes[1]:
        axis.set(xlabel="share of flipped labels", xticks=shares)
    name_axes(axes[0])
    name_axes(axes[1])
    axes[0, 0].legend(fontsize=8)
    axes[1, 0].legend(title="measured against", fontsize=8)
    return figure, data


def ladder(rungs: Mapping[str, Sequence[Cell]]) -> Drawn:
    """Draw PGR and OPR of teachers that differ in nothing but their correlation dimension."""
    figure, axes = plots.panels(2, 3.6, 3.5)
    data: Columns = {}
    for (label, cells), look in zip(rungs.items(), looks(), strict=False):
        shared = [cell.setting.d_sw for cell in cells]
        data[f"correlation dimension, {label}"] = shared
        ratios(axes, shared, cells, data, label, label=label, **look)
    for axis in axes:
        axis.set_xlabel("correlation dimension $d_{s\\wedge w}$")
    name_axes(axes)
    plots.legend_below(figure, min(len(rungs), 4), fontsize=8)
    return figure, data


def order(regimes: Mapping[str, Mapping[str, Cell]]) -> Drawn:
    """Draw measured PGR of natural teachers against two predictors: overlap, and the formula.

    A row of panels for each regime.
    """
    size = (7.2, 2.6 * len(regimes) + 0.5)
    figure, axes = plt.subplots(len(regimes), 2, figsize=size, squeeze=False)
    data: Columns = {}
    for row, (regime, cells) in zip(axes, regimes.items(), strict=True):
        overlap = [cell.setting.d_sw for cell in cells.values()]
        formula = [float(cell.predicted.pgr) for cell in cells.values()]
        measured = [cell.result.pgr() for cell in cells.values()]
        data[f"teacher, {regime}"] = list(cells)
        for i, (name, look) in enumerate(zip(cells, looks(), strict=False)):
            look = {**look, "label": name, "mfc": None}
            for axis, predictor in zip(row, (overlap, formula), strict=True):
                plots.estimates(axis, [predictor[i]], [measured[i]], **look)
        data[f"overlap, {regime}"], data[f"formula, {regime}"] = overlap, formula
        data[f"PGR, {regime}"] = [estimate.value for estimate in measured]
        ends = [min(formula), max(formula)]
        row[1].plot(ends, ends, "--", color=figures.BOUND, lw=1, zorder=0)
        row[0].set(ylabel=f"{regime}\nPGR")
    for axis, label in zip(axes[-1], ("correlation dimension", "PGR, formula"), strict=True):
        axis.set_xlabel(label)
    plots.legend_below(figure, 6, fontsize=8)
    return figure, data


def by_measure(
    axes: Sequence[Axes],
    results: Mapping[float, Mapping[str, Result]],
    data: Columns,
    key: str = "",
) -> None:
    """Draw PGR and OPR of logistic heads on two axes, by what errors are measured against."""
    shades = zip(MEASURES, figures.PALETTE[3:], "s^o", strict=False)
    for measure, colour, marker in shades:
        for axis, name in zip(axes, QUANTITIES, strict=True):
            measured = [getattr(each[measure], name)() for each in results.values()]
            look = {"fmt": marker + "-", "color": colour, "label": measure, "mfc": None}
            values = plots.estimates(axis, list(results), measured, **look)
            data[f"{name}, {key}{measure}"] = values


def ratios(
    axes: Sequence[Axes],
    x: Sequence[float],
    cells: Sequence[Cell],
    data: Columns,
    key: str,
    *,
    color: str,
    **look: Any,
) -> None:
    """Draw PGR and OPR on two axes: measured as markers, the formulas as lines."""
    for axis, name in zip(axes, QUANTITIES, strict=True):
        measured = [getattr(cell.result, name)() for cell in cells]
        data[f"{name}, {key}"] = plots.estimates(axis, x, measured, color=color, **look)
        line = [float(getattr(cell.predicted, name)) for cell in cells]
        axis.plot(x, line, color=color, lw=1.2)
        data[f"{name} formula, {key}"] = line


def name_axes(axes: Sequence[Axes]) -> None:
    """Write what two axes show: PGR and OPR."""
    for axis, title in zip(axes, QUANTITIES.values(), strict=True):
        axis.set_ylabel(title)


def looks() -> list[dict[str, Any]]:
    """Colour and marker of the first, second, ... of what is compared."""
    pairs = zip(figures.PALETTE, plots.SHAPES, strict=False)
    return [{"color": colour, "fmt": marker} for colour, marker in pairs]


def _name(chosen: Sequence[Pair], teacher: int | str, student: str) -> str:
    """Name of a pair; the student is left out where all pairs have the same."""
    return f"{teacher}" if len({s for _, s in chosen}) == 1 else f"{teacher} → {student}"
