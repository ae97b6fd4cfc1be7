"""What the chapters on real tasks ask of measured pairs, and what a user would have predicted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from w2s_utils import validation
from w2s_utils.geometry import Estimates, setting_from_labels
from w2s_utils.least_squares import Moments
from w2s_utils.problem import ROLES, Cell, Problem
from w2s_utils.theory.subspaces import adjusted_overlap, column_space

# Labelled inputs of one draw, and their labels.
Labelled = tuple[NDArray[np.intp], NDArray[np.float64]]


def median_deviations(cells: Sequence[Cell]) -> dict[str, float]:
    """Median over cells of the size of the logarithm of measured over predicted risk.

    Parameters
    ----------
    cells : sequence of Cell

    Returns
    -------
    dict of str to float
        By model.
    """
    return {
        role: float(np.median([abs(np.log(cell.ratios()[role].value)) for cell in cells]))
        for role in ROLES
    }


def rank_correlations(cells: Sequence[Cell]) -> tuple[float, float]:
    """Kendall's rank correlation of measured PGR with minus the overlap, and with the formula.

    Parameters
    ----------
    cells : sequence of Cell
        One for each teacher.

    Returns
    -------
    overlap, formula : float
    """
    measured = [cell.result.pgr().value for cell in cells]
    overlap = [-cell.setting.d_sw for cell in cells]
    formula = [float(cell.predicted.pgr) for cell in cells]
    found = [float(stats.kendalltau(measured, values).statistic) for values in (overlap, formula)]
    return found[0], found[1]


def overlap_estimates(
    weak: ArrayLike,
    strong: ArrayLike,
    sizes: Sequence[int],
    *,
    draws: int,
    rng: np.random.Generator,
) -> dict[str, NDArray[np.float64]]:
    """Estimates of the correlation dimension from random subsets of a pool.

    Parameters
    ----------
    weak : array_like, shape (m, d_w)
    strong : array_like, shape (m, d_s)
    sizes : sequence of int
        Inputs of a subset, more than ``d_w + d_s`` each.
    draws : int
        Subsets of each size.
    rng : numpy.random.Generator

    Returns
    -------
    dict of str to ndarray, shape (sizes, draws)
        ``"raw"``: sum of squared canonical correlations; ``"less null"``: that less its value
        ``d_w d_s / m`` for unrelated features; ``"adjusted"``:
        `w2s_utils.theory.subspaces.adjusted_overlap`.
    """
    w, s = validation.matrix(weak, "weak"), validation.matrix(strong, "strong")
    d_w, d_s = w.shape[1], s.shape[1]
    raw = np.empty((len(sizes), int(draws)))
    for j, generator in enumerate(rng.spawn(int(draws))):
        order = generator.permutation(len(w))
        for i, m in enumerate(sizes):
            rows = order[:m]
            raw[i, j] = np.sum((column_space(w[rows]).T @ column_space(s[rows])) ** 2)
    pairs = list(zip(raw, sizes, strict=True))
    return {
        "raw": raw,
        "less null": np.array([row - d_w * d_s / m for row, m in pairs]),
        "adjusted": np.array([adjusted_overlap(row, m, d_w, d_s) for row, m in pairs]),
    }


def estimates_by_draw(
    teachers: Mapping[str, NDArray[np.float64]],
    strong: NDArray[np.float64],
    draw: Callable[[np.random.Generator], Labelled],
    draws: int,
    rng: np.random.Generator,
) -> Iterator[tuple[np.random.Generator, dict[str, Estimates]]]:
    """Geometry as whoever has a few labels and all features can estimate it, several times.

    Parameters
    ----------
    teachers : mapping of str to ndarray, shape (m, d_w)
        Features of all inputs.
    strong : ndarray, shape (m, d_s)
    draw : callable
        From a generator to the rows that are labelled and their labels.
    draws : int
    rng : numpy.random.Generator

    Yields
    ------
    generator, estimates
        The draw's generator, for what follows, and the estimates by teacher.
    """
    moments = {name: Moments.of(weak=phi, strong=strong) for name, phi in teachers.items()}
    for generator in rng.spawn(draws):
        rows, labels = draw(generator)
        yield (
            generator,
            {
                name: setting_from_labels(phi[rows], strong[rows], labels, features=moments[name])
                for name, phi in teachers.items()
            },
        )


@dataclass(frozen=True, eq=False)
class FromLabels:
    """What a user would have predicted, one entry a draw of labelled inputs.

    Attributes
    ----------
    pgr : ndarray, shape (draws,)
    low, high : ndarray, shape (draws,)
        Ends of the 95 % interval.
    teacher, student : ndarray, shape (draws,)
        Errors on labels with their noise.
    """

    pgr: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    teacher: NDArray[np.float64]
    student: NDArray[np.float64]


def predict_from_labels(
    problem: Problem,
    teacher: str,
    student: str,
    *,
    n: int,
    N: int,
    noise: float,
    draws: int,
    rng: np.random.Generator,
) -> FromLabels:
    """Predict a cell from `n` noisy labels and all features, several times.

    Parameters
    ----------
    problem : Problem
        With one target.
    teacher, student : str
    n, N : int
        ``n`` at least two more than the weak and strong features together.
    noise : float
        Standard deviation of the label noise; the estimates are not told.
    draws : int
        Sets of labelled inputs.
    rng : numpy.random.Generator

    Returns
    -------
    FromLabels
    """
    target = np.ravel(problem.targets)

    def draw(generator: np.random.Generator) -> Labelled:
        rows = generator.permutation(len(target))[:n]
        return rows, target[rows] + noise * generator.standard_normal(n)

    table = []
    weak, strong = {teacher: problem.teachers[teacher]}, problem.students[student]
    for generator, estimates in estimates_by_draw(weak, strong, draw, draws, rng):
        expected = estimates[teacher].predict(n, N, generator)
        pgr = expected["pgr"]
        errors = (expected[name].value for name in ("teacher", "student"))
        table.append((pgr.value, pgr.low, pgr.high, *errors))
    return FromLabels(*np.array(table).T)
