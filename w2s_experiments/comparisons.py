"""What the chapters on real tasks ask of measured pairs."""

from __future__ import annotations

from collections.abc import Sequence

from scipy import stats

from w2s_utils.problem import Cell


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
