"""Figures that the chapters on real tasks share: sizes, noise, a ladder, an order of teachers.

Each returns the figure and the data behind it. Markers are measurements with bars of two standard
errors; lines and crosses are exact formulas with the oracle's geometry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from w2s_utils import figures
from w2s_utils.probes import MEASURES
from w2s_utils.problem import Cell, Key, Pair
from w2s_utils.protocol import Result
from w2s_utils.resampling import Estimate

Drawn = tuple[Figure, dict[str, list | NDArray]]
QUANTITIES = {"pgr": "PGR", "opr": "OPR"}
MARKERS = "sovx^D"


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
    """Draw PGR and OPR against the labels and against the pseudo-labels.

    Parameters
    ----------
    grid : mapping of (str, str, int, int) to Cell
        From `w2s_utils.problem.measure_pairs`.
    chosen : sequence of (str, str)
        Teacher and student.
    n, N : int
        What is held fixed on the right and on the left.
    sizes_n, sizes_N : sequence of int
    lowest : float
        PGR below is off the panel on the right.

    Returns
    -------
    figure : Figure
    data : dict
    """
    figure, axes = plt.subplots(2, 2, figsize=(7.2, 5.4), sharex="col")
    data: dict[str, list | NDArray] = {"n": list(sizes_n), "N": list(sizes_N)}
    looks = zip(chosen, figures.PALETTE, MARKERS, strict=False)
    for (teacher, student), colour, marker in looks:
        label = _label(chosen, teacher, student)
        for side, values in enumerate((sizes_n, sizes_N)):
            cells = [
                grid[teacher, student, size, N] if side == 0 else grid[teacher, student, n, size]
                for size in values
            ]
            for row, name in enumerate(QUANTITIES):
                points = [getattr(cell.result, name)() for cell in cells]
                line = [float(getattr(cell.predicted, name)) for cell in cells]
                axis = axes[row, side]
                data[f"{name}, {label}, {'nN'[side]}"] = _bars(
                    axis, values, points, fmt=marker, color=colour, label=label, mfc="none", lw=1
                )
                axis.plot(values, line, color=colour, lw=1.2)
                data[f"{name} formula, {label}, {'nN'[side]}"] = line
    low = min(axes[0, 1].get_ylim()[0], 0)
    axes[0, 1].set_ylim(max(low, lowest), None)
    for side, (values, label) in enumerate(
        ((sizes_n, "labels $n$"), (sizes_N, "pseudo-labels $N$"))
    ):
        for row, title in enumerate(QUANTITIES.values()):
            axes[row, side].set(xscale="log", ylabel=title if side == 0 else None)
            _ticks(axes[row, side], values)
        axes[1, side].set_xlabel(label)
    _legend(figure, axes[0, 0], len(chosen))
    return figure, data


def noise(
    loud: Mapping[float, Mapping[Key, Cell]],
    chosen: Sequence[Pair],
    flipped: Mapping[float, Mapping[Pair, Mapping[str, Result]]],
    logistic: Pair,
) -> Drawn:
    """Draw PGR and OPR against the label noise: least squares above, logistic heads below.

    Parameters
    ----------
    loud : mapping of float to mapping of (str, str, int, int) to Cell
        By standard deviation of the noise; one cell size.
    chosen : sequence of (str, str)
        Pairs of the upper row.
    flipped : mapping of float to mapping of (str, str) to mapping of str to Result
        By share of flipped labels, from `w2s_utils.probes.run_flipped`.
    logistic : (str, str)
        Pair of the lower row.

    Returns
    -------
    figure : Figure
    data : dict
    """
    figure, axes = plt.subplots(2, 2, figsize=(7.2, 6.0))
    levels, shares = list(loud), list(flipped)
    data: dict[str, list | NDArray] = {"noise": levels, "flips": shares}
    looks = zip(chosen, figures.PALETTE, MARKERS, strict=False)
    for (teacher, student), colour, marker in looks:
        label = _label(chosen, teacher, student)
        cells = [
            next(cell for key, cell in loud[level].items() if key[:2] == (teacher, student))
            for level in levels
        ]
        for axis, name in zip(axes[0], QUANTITIES, strict=True):
            points = [getattr(cell.result, name)() for cell in cells]
            line = [float(getattr(cell.predicted, name)) for cell in cells]
            data[f"{name}, {label}"] = _bars(
                axis, levels, points, fmt=marker, color=colour, label=label, mfc="none", lw=1
            )
            axis.plot(levels, line, color=colour, lw=1.2)
            data[f"{name} formula, {label}"] = line
    looks = zip(MEASURES, figures.PALETTE[3:], "s^o", strict=False)
    for measure, colour, marker in looks:
        for axis, name in zip(axes[1], QUANTITIES, strict=True):
            points = [getattr(flipped[share][logistic][measure], name)() for share in shares]
            data[f"{name}, flips, {measure}"] = _bars(
                axis, shares, points, fmt=marker + "-", color=colour, label=measure
            )
    for axis, title in zip(axes[0], QUANTITIES.values(), strict=True):
        axis.set(xlabel="label noise $\\sigma$", ylabel=title, xticks=levels)
    for axis, title in zip(axes[1], QUANTITIES.values(), strict=True):
        axis.set(xlabel="share of flipped labels", ylabel=title, xticks=shares)
    axes[0, 0].legend(fontsize=8)
    axes[1, 0].legend(title="measured against", fontsize=8)
    return figure, data


def logistic(results: Mapping[int, Mapping[str, Result]]) -> Drawn:
    """Draw PGR and OPR of logistic heads against the labels, by what errors are measured against.

    Parameters
    ----------
    results : mapping of int to mapping of str to Result
        By number of labels and measure, see `w2s_utils.probes`.

    Returns
    -------
    figure : Figure
    data : dict
    """
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.4))
    sizes_n = list(results)
    data: dict[str, list | NDArray] = {"n": sizes_n}
    for measure, colour, marker in zip(MEASURES, figures.PALETTE[3:], "s^o", strict=False):
        for axis, name in zip(axes, QUANTITIES, strict=True):
            points = [getattr(results[size][measure], name)() for size in sizes_n]
            data[f"{name}, {measure}"] = _bars(
                axis, sizes_n, points, fmt=marker + "-", color=colour, label=measure
            )
    for axis, title in zip(axes, QUANTITIES.values(), strict=True):
        axis.set(xscale="log", xlabel="labels $n$", ylabel=title)
        _ticks(axis, sizes_n)
    axes[0].legend(title="measured against", fontsize=8)
    return figure, data


def ladder(rungs: Mapping[str, Sequence[Cell]]) -> Drawn:
    """Draw PGR and OPR of a controlled ladder against the correlation dimension.

    Parameters
    ----------
    rungs : mapping of str to sequence of Cell
        Teachers of equal dimension and knowledge, by setting.

    Returns
    -------
    figure : Figure
    data : dict
    """
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.5))
    data: dict[str, list | NDArray] = {}
    looks = zip(rungs.items(), figures.PALETTE, MARKERS, strict=False)
    for (label, cells), colour, marker in looks:
        shared = [cell.setting.d_sw for cell in cells]
        data[f"correlation dimension, {label}"] = shared
        for axis, name in zip(axes, QUANTITIES, strict=True):
            points = [getattr(cell.result, name)() for cell in cells]
            line = [float(getattr(cell.predicted, name)) for cell in cells]
            data[f"{name}, {label}"] = _bars(
                axis, shared, points, fmt=marker, color=colour, label=label, mfc="none", lw=1
            )
            axis.plot(shared, line, color=colour, lw=1.2)
            data[f"{name} formula, {label}"] = line
    for axis, title in zip(axes, QUANTITIES.values(), strict=True):
        axis.set(xlabel="correlation dimension $d_{s\\wedge w}$", ylabel=title)
    _legend(figure, axes[0], min(len(rungs), 4))
    return figure, data


def order(regimes: Mapping[str, Mapping[str, Cell]]) -> Drawn:
    """Draw measured PGR of natural teachers against two predictors: overlap, and the formula.

    Parameters
    ----------
    regimes : mapping of str to mapping of str to Cell
        By regime (a row of panels each) and teacher.

    Returns
    -------
    figure : Figure
    data : dict
    """
    figure, axes = plt.subplots(
        len(regimes), 2, figsize=(7.2, 2.6 * len(regimes) + 0.5), squeeze=False
    )
    data: dict[str, list | NDArray] = {}
    for row, (regime, cells) in zip(axes, regimes.items(), strict=True):
        predictors = ([c.setting.d_sw for c in cells.values()],
                      [float(c.predicted.pgr) for c in cells.values()])  # fmt: skip
        data |= {f"teacher, {regime}": list(cells), f"overlap, {regime}": predictors[0],
                 f"formula, {regime}": predictors[1]}  # fmt: skip
        looks = zip(cells.items(), figures.PALETTE, MARKERS, strict=False)
        for index, ((name, cell), colour, marker) in enumerate(looks):
            for axis, values in zip(row, predictors, strict=True):
                _bars(axis, [values[index]], [cell.result.pgr()], fmt=marker, color=colour,
                      label=name)  # fmt: skip
        data[f"PGR, {regime}"] = [cell.result.pgr().value for cell in cells.values()]
        ends = np.array([min(predictors[1]), max(predictors[1])])
        row[1].plot(ends, ends, "--", color=figures.BOUND, lw=1, zorder=0)
        row[0].set(ylabel=f"{regime}\nPGR")
    for axis, label in zip(axes[-1], ("correlation dimension", "PGR, formula"), strict=True):
        axis.set_xlabel(label)
    _legend(figure, axes[0, 0], 6)
    return figure, data


def _label(chosen: Sequence[Pair], teacher: str, student: str) -> str:
    """Name of a pair; the student is left out where all pairs have the same."""
    return teacher if len({s for _, s in chosen}) == 1 else f"{teacher} → {student}"


def _bars(
    axis: Axes, x: Sequence[float], points: Sequence[Estimate], **look: object
) -> list[float]:
    values = [point.value for point in points]
    axis.errorbar(x, values, [2 * point.standard_error for point in points], **look)
    return values


def _ticks(axis: Axes, values: Sequence[int]) -> None:
    axis.set_xticks(values, [str(value) for value in values], fontsize=8)
    axis.minorticks_off()


def _legend(figure: Figure, axis: Axes, columns: int) -> None:
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=8)
