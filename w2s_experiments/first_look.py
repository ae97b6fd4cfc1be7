"""Tables and figures of the chapter ``tasks/first_look``: each figure with the data behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator
from numpy.typing import ArrayLike, NDArray

from w2s_utils import figures, protocol, validation
from w2s_utils.geometry import oracle_setting
from w2s_utils.least_squares import MinimumNorm
from w2s_utils.problem import ROLES, Cell, Problem
from w2s_utils.resampling import Estimate
from w2s_utils.theory.subspaces import canonical_correlations, intrinsic_dimension

# Cells of the grid, by data set, student and teacher's dimension.
Grid = Mapping[tuple[str, str, int], Cell]
Drawn = tuple[Figure, dict[str, NDArray | list]]

COLOURS = {
    "teacher": figures.TEACHER,
    "student": figures.STUDENT,
    "baseline": figures.BASELINE,
    "ceiling": figures.CEILING,
}
# The bigger student, then the better one.
STUDENTS = (
    {"color": figures.TEACHER, "marker": "s"},
    {"color": figures.STUDENT, "marker": "o"},
)
MARKERS = {"teacher": "s", "student": "o", "baseline": "^", "ceiling": "v"}
SPLITS_SHOWN = 25
TITLES = {"freesolv": "FreeSolv"}
RISK_TICKS = (0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
CLOSE_RISK_TICKS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5, 2.0)


def largest_leverage(features: ArrayLike) -> float:
    """Largest share that one input has in the fit of its own label, between d/m and 1.

    Near 1, a direction of the features is carried by a single input: a sample without that input
    does not see the direction, and one with it cannot average its noise.

    Parameters
    ----------
    features : array_like, shape (m, d)
        Full column rank.

    Returns
    -------
    float
    """
    return float(np.max(np.sum(np.linalg.qr(validation.matrix(features, "features"))[0] ** 2, 1)))


def dimensions_table(problems: Mapping[str, Problem]) -> str:
    """Dimensions, approximation errors and leverage of every representation, as plain text.

    Parameters
    ----------
    problems : mapping of str to Problem

    Returns
    -------
    str
    """
    lines = ["data      features        d  99 % of trace  error of best head  largest leverage"]
    for name, problem in problems.items():
        named = {f"teacher {d}": phi for d, phi in problem.teachers.items()} | dict(
            problem.students
        )
        for label, phi in named.items():
            # A representation against itself: only its own error is read off.
            error = oracle_setting(phi, phi, problem.targets).rho_w
            lines.append(
                f"{name:9s} {label:12s} {phi.shape[1]:4d} {intrinsic_dimension(phi):10d} "
                f"{error:17.3f} {largest_leverage(phi):17.3f}"
            )
    return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class InSample:
    r"""Gain and misfit over a student's own training inputs, one entry a split (and a task).

    Attributes
    ----------
    gain, misfit : ndarray, shape (trials, tasks)
    cross : ndarray, same shape
        :math:`-2\langle (I-P)f_w, (I-P)f^* \rangle`, with `P` the student's projection; the gain
        is the misfit plus this term, identically.
    unreachable : ndarray, same shape
        :math:`\|(I-P)f^*\|^2`, the error of the best head.
    """

    gain: NDArray[np.float64]
    misfit: NDArray[np.float64]
    cross: NDArray[np.float64]
    unreachable: NDArray[np.float64]


def in_sample(
    problem: Problem,
    teacher: int,
    student: str,
    *,
    n: int,
    N: int,
    trials: int,
    rng: np.random.Generator,
) -> InSample:
    """Project teachers' predictions on a student's features, over the unlabelled inputs.

    Parameters
    ----------
    problem, teacher, student, n, N, trials, rng
        As in `w2s_utils.problem.measure_pairs`, for one pair and size.

    Returns
    -------
    InSample
    """
    weak, strong = problem.teachers[teacher], problem.students[student]
    split = protocol.random_splits(weak, strong, problem.targets, n=n, N=N)
    rows = []
    for generator in rng.spawn(trials):
        labelled, unlabelled, _ = split(generator)
        labelled = _noisy(labelled, problem.noise, generator)
        taught = MinimumNorm().fit(labelled.weak, labelled.labels).predict(unlabelled.weak)
        truth = unlabelled.labels
        # Least squares on the unlabelled inputs is the projection in their empirical inner product.
        rest = truth - MinimumNorm().fit(unlabelled.strong, truth).predict(unlabelled.strong)
        learnt = MinimumNorm().fit(unlabelled.strong, taught).predict(unlabelled.strong)
        rows.append(
            (
                np.mean((taught - truth) ** 2 - (learnt - truth) ** 2, axis=0),
                np.mean((learnt - taught) ** 2, axis=0),
                -2 * np.mean((taught - learnt) * rest, axis=0),
                np.mean(rest**2, axis=0),
            )
        )
    return InSample(*np.array(rows).transpose(1, 0, 2))


def _noisy(part: protocol.Inputs, noise: float, rng: np.random.Generator) -> protocol.Inputs:
    labels = part.labels + noise * rng.standard_normal(part.labels.shape)
    return protocol.Inputs(part.weak, part.strong, labels)


def results_table(grid: Grid) -> str:
    """Measured and predicted PGR and OPR of every cell, as plain text.

    Parameters
    ----------
    grid : Grid

    Returns
    -------
    str
        PGR is left out where the gap between teacher and ceiling is below three standard errors.
    """
    lines = ["data      student   d_w d_s  d_sw      PGR           formula   OPR          formula"]
    for (name, student, d_w), cell in grid.items():
        opr = cell.result.opr()
        lines.append(
            f"{name:9s} {student:8s} {d_w:4d} {cell.setting.d_s:3d} {cell.setting.d_sw:5.1f}  "
            f"{_pgr(cell):14s} {float(cell.predicted.pgr):7.2f}   "
            f"{opr.value:5.2f} ± {opr.standard_error:.2f} {float(cell.predicted.opr):7.2f}"
        )
    return "\n".join(lines)


def _pgr(cell: Cell) -> str:
    if not cell.gap_is_resolved():
        return "not resolved"
    pgr = cell.result.pgr()
    return f"{pgr.value:6.2f} ± {pgr.standard_error:.2f}"


def spectra(problems: Mapping[str, Problem], teachers: Mapping[str, int]) -> Drawn:
    """Draw squared canonical correlations of one teacher with every student.

    Parameters
    ----------
    problems : mapping of str to Problem
    teachers : mapping of str to int
        The teacher's dimension, by problem.

    Returns
    -------
    figure : Figure
    data : dict
        Columns of the figure.
    """
    figure, axes = _row(len(problems))
    data = {}
    for axis, (name, problem) in zip(axes, problems.items(), strict=True):
        weak = problem.teachers[teachers[name]]
        for (student, strong), style in zip(problem.students.items(), STUDENTS, strict=True):
            squares = canonical_correlations(weak, strong) ** 2
            axis.plot(np.arange(1, len(squares) + 1), squares, ls="-", label=student, **style)
            data[f"{name} {student}"] = squares
        axis.axhline(strong.shape[1] / len(weak), color=figures.BOUND, ls=":", lw=1)
        axis.set(title=f"{_title(name)}, $d_w$ = {weak.shape[1]}", xlabel="direction")
        axis.set_ylim(0, 1.05)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.legend(title="student", loc="lower left")
    axes[0].set_ylabel("squared canonical correlation")
    return figure, data


def gain_against_misfit(grid: Grid) -> Drawn:
    """Draw the gain against the misfit, by data set: splits, means and predictions.

    Parameters
    ----------
    grid : Grid

    Returns
    -------
    figure : Figure
    data : dict
        Columns of the figure: means and predictions.
    """
    names = list(dict.fromkeys(name for name, _, _ in grid))
    figure, axes = _row(len(names))
    for axis, name in zip(axes, names, strict=True):
        students = list(dict.fromkeys(s for n, s, _ in grid if n == name))
        for student, style in zip(students, STUDENTS, strict=True):
            cells = [cell for (n, s, _), cell in grid.items() if (n, s) == (name, student)]
            for cell in cells:
                shown = [
                    values.reshape(len(values), -1).mean(axis=1)[:SPLITS_SHOWN]
                    for values in (cell.result.misfit, cell.result.gain)
                ]
                axis.plot(*shown, ".", ms=4, alpha=0.5, color=style["color"], mew=0)
            axis.plot(*_means(cells), ls="", label=student, mec="k", mew=0.6, zorder=3, **style)
            axis.plot(*_predictions(cells), "x", color=figures.THEORY, ms=7, mew=1.1, zorder=4)
        far = max(cell.result.mean("misfit").value for (n, _, _), cell in grid.items() if n == name)
        axis.plot([0, 1.15 * far], [0, 1.15 * far], "--", color=figures.BOUND, lw=1, zorder=0)
        axis.axhline(0, color=figures.BOUND, lw=0.8, zorder=0)
        low = min(cell.result.mean("gain").value for (n, _, _), cell in grid.items() if n == name)
        axis.set(title=_title(name), xlabel="misfit", xlim=(-0.04 * far, 1.25 * far))
        axis.set_ylim(min(2 * low, -0.08 * far), 1.25 * far)
        axis.legend(title="student", loc="upper left")
    axes[0].set_ylabel("gain")
    means, predicted = _means(grid.values()), _predictions(grid.values())
    return figure, _keys(grid) | {
        "misfit": means[0],
        "gain": means[1],
        "predicted misfit": predicted[0],
        "predicted gain": predicted[1],
    }


def risks_against_size(grid: Grid) -> Drawn:
    """Draw the four risks against the teacher's dimension, measured and predicted.

    Parameters
    ----------
    grid : Grid

    Returns
    -------
    figure : Figure
        A column of panels for each data set, a row for each student.
    data : dict
        Columns of the figure.
    """
    pairs = list(dict.fromkeys((name, student) for name, student, _ in grid))
    columns = len(pairs) // 2
    figure, axes = plt.subplots(2, columns, figsize=(3.1 * columns, 5.6), squeeze=False)
    for axis, (name, student) in zip(axes.T.ravel(), pairs, strict=True):
        sizes = [size for n, s, size in grid if (n, s) == (name, student)]
        cells = [grid[name, student, size] for size in sizes]
        for model in ROLES:
            _with_errors(axis, sizes, [cell.result.mean(model) for cell in cells], model)
            expected = [float(getattr(cell.predicted, model)) for cell in cells]
            axis.plot(sizes, expected, color=COLOURS[model], lw=1.2)
        axis.set(yscale="log", xticks=sizes)
        axis.set_title(f"{_title(name)}, student: {student}", fontsize=10)
        low, high = axis.get_ylim()
        _ticks(axis, "y", CLOSE_RISK_TICKS if high < 2.5 * low else RISK_TICKS)
        axis.tick_params(labelsize=9)
    for axis in axes[1]:
        axis.set_xlabel("teacher's dimension $d_w$")
    for axis in axes[:, 0]:
        axis.set_ylabel("risk")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    data = _keys(grid)
    for model in ROLES:
        estimates = [cell.result.mean(model) for cell in grid.values()]
        data[model] = [estimate.value for estimate in estimates]
        data[f"{model} standard error"] = [estimate.standard_error for estimate in estimates]
        data[f"{model} formula"] = [float(getattr(c.predicted, model)) for c in grid.values()]
    return figure, data


def sweeps(by_n: Sequence[Cell], by_N: Sequence[Cell]) -> Drawn:
    """Draw PGR and OPR against the labels, and the student's risk against the pseudo-labels.

    Parameters
    ----------
    by_n : sequence of Cell
        Cells with ``n`` growing.
    by_N : sequence of Cell
        Cells with ``N`` growing.

    Returns
    -------
    figure : Figure
    data : dict
        Columns of the figure.
    """
    figure, axes = _row(2)
    data: dict[str, list] = {"n": [cell.n for cell in by_n], "N": [cell.N for cell in by_N]}
    for name, model in (("pgr", "student"), ("opr", "baseline")):
        estimates = [getattr(cell.result, name)() for cell in by_n]
        data[name] = [estimate.value for estimate in estimates]
        data[f"{name} standard error"] = [estimate.standard_error for estimate in estimates]
        data[f"{name} formula"] = [float(getattr(cell.predicted, name)) for cell in by_n]
        inside = [estimate.value < 1 for estimate in estimates]
        _with_errors(
            axes[0],
            np.compress(inside, data["n"]),
            [estimate for estimate, shown in zip(estimates, inside, strict=True) if shown],
            model,
            label=name.upper(),
        )
        for n, estimate, shown in zip(data["n"], estimates, inside, strict=True):
            if not shown:
                text = f" ↑ {name.upper()} {estimate.value:.2g} ± {estimate.standard_error:.2g}"
                axes[0].text(n, 0.97, text, color=COLOURS[model], fontsize=9, va="top")
        axes[0].plot(data["n"], data[f"{name} formula"], color=COLOURS[model], lw=1.2)
    axes[0].set(xscale="log", xlabel="labels $n$", ylabel="ratio of means", ylim=(0, 1))
    _ticks(axes[0], "x", data["n"])
    axes[0].legend(loc="lower left", ncols=2)
    risk = np.array([cell.result.student.reshape(cell.result.trials, -1).mean(1) for cell in by_N])
    data["student formula"] = [float(cell.predicted.student) for cell in by_N]
    for label, values, marker in (("mean", risk.mean(1), "o"), ("median", np.median(risk, 1), "D")):
        axes[1].plot(data["N"], values, marker, label=f"{label} over splits", mfc="none")
        data[f"student {label}"] = values
    axes[1].plot(data["N"], data["student formula"], color=figures.THEORY, lw=1.2, label="formula")
    axes[1].set(xscale="log", yscale="log", xlabel="pseudo-labels $N$", ylabel="student's risk")
    _ticks(axes[1], "x", data["N"])
    axes[1].legend()
    return figure, data


def agreement(cells: Mapping[str, Sequence[Cell]]) -> Drawn:
    """Draw measured over predicted risk against samples per dimension.

    Parameters
    ----------
    cells : mapping of str to sequence of Cell
        By data set.

    Returns
    -------
    figure : Figure
    data : dict
        Columns of the figure.
    """
    figure, axis = plt.subplots(figsize=(6.4, 3.8))
    data: dict[str, list] = {"data": [], "model": [], "samples per dimension": [], "ratio": []}
    for (name, group), colour in zip(cells.items(), figures.PALETTE, strict=False):
        for model, marker in (("teacher", "s"), ("baseline", "^")):
            d = [c.setting.d_w if model == "teacher" else c.setting.d_s for c in group]
            x = [cell.n / dimension for cell, dimension in zip(group, d, strict=True)]
            ratios = [cell.ratios()[model] for cell in group]
            y = [ratio.value for ratio in ratios]
            errors = [2 * ratio.standard_error for ratio in ratios]
            label = f"{_title(name)}, {model}"
            axis.errorbar(x, y, errors, fmt=marker, color=colour, mfc="none", lw=1, label=label)
            data["data"] += [name] * len(x)
            data["model"] += [model] * len(x)
            data["samples per dimension"] += x
            data["ratio"] += y
    axis.axhline(1, color=figures.THEORY, lw=1)
    axis.set(xscale="log", yscale="log", xlabel="labels per dimension of the features, $n/d$")
    axis.set_ylabel("measured risk / formula")
    axis.set_ylim(0.9, 6)
    _ticks(axis, "x", (2, 3, 5, 10, 20, 50))
    _ticks(axis, "y", (1, 1.2, 1.5, 2, 3, 5))
    figure.legend(loc="outside lower center", ncols=len(cells), fontsize=9)
    return figure, data


def _row(panels: int) -> tuple[Figure, NDArray]:
    figure, axes = plt.subplots(1, panels, figsize=(3.3 * panels, 3.4), squeeze=False)
    return figure, axes[0]


def _title(name: str) -> str:
    return TITLES.get(name, name)


def _ticks(axis: plt.Axes, which: str, values: Sequence[float]) -> None:
    """Label a logarithmic axis at given values, those inside its limits."""
    low, high = axis.get_ylim() if which == "y" else axis.get_xlim()
    inside = [value for value in values if low <= value <= high]
    getattr(axis, f"set_{which}ticks")(inside, [f"{value:g}" for value in inside])
    getattr(axis, f"{which}axis").set_minor_locator(NullLocator())


def _with_errors(
    axis: plt.Axes,
    x: Sequence[float],
    estimates: Sequence[Estimate],
    model: str,
    label: str | None = None,
) -> None:
    axis.errorbar(
        x,
        [estimate.value for estimate in estimates],
        [2 * estimate.standard_error for estimate in estimates],
        fmt=MARKERS[model],
        color=COLOURS[model],
        label=label or model,
        mfc="none",
        capsize=2,
        lw=1,
    )


def _means(cells: Sequence[Cell]) -> tuple[list[float], list[float]]:
    return (
        [cell.result.mean("misfit").value for cell in cells],
        [cell.result.mean("gain").value for cell in cells],
    )


def _predictions(cells: Sequence[Cell]) -> tuple[list[float], list[float]]:
    return [c.predicted_misfit for c in cells], [c.predicted_gain for c in cells]


def _keys(grid: Grid) -> dict[str, list]:
    columns = zip(*grid, strict=True)
    return dict(zip(("data", "student", "d_w"), map(list, columns), strict=True))
