"""What the chapters on real tasks ask of measured pairs, and what a user would have predicted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from w2s_utils.geometry import setting_from_labels
from w2s_utils.least_squares import Moments
from w2s_utils.problem import Cell, Problem


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
    weak, strong = problem.teachers[teacher], problem.students[student]
    moments = Moments.of(weak=weak, strong=strong)
    table = []
    for generator in rng.spawn(draws):
        rows = generator.permutation(len(target))[:n]
        labels = target[rows] + noise * generator.standard_normal(n)
        estimates = setting_from_labels(weak[rows], strong[rows], labels, features=moments)
        expected = estimates.predict(n, N, generator)
        pgr = expected["pgr"]
        errors = (expected[name].value for name in ("teacher", "student"))
        table.append((pgr.value, pgr.low, pgr.high, *errors))
    return FromLabels(*np.array(table).T)
