"""What a budget buys, by the exact formulas of least squares with the geometry estimated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from w2s_report.comparison import LEVEL
from w2s_report.options import Options
from w2s_utils.geometry import Range
from w2s_utils.theory import risks, scaling


@dataclass(frozen=True)
class Purchase:
    """What to buy beside the labels that there are; intervals are over problems drawn."""

    budget: float
    """The one given, or twice as much."""
    labels: Range
    """Further labels of the split with the least expected error of the student,"""
    pseudo_labels: Range
    """and pseudo-labels; the rest is predicted at the first number of either."""
    student: Range
    """Expected error."""
    alone: Mapping[str, Range]
    """Expected error less the student's of the "strong" and of the "weak" model alone, with labels
    for the whole budget."""
    worthwhile: bool | None
    """Whether both are above zero, or one of them is below; None where that cannot be told."""
    saved: Range | None
    """Student's error at half this budget less this one; None where half does not reach."""


def purchases(
    problems: Sequence[risks.Setting], labels: int, settings: Options
) -> tuple[Purchase, ...]:
    """Spend the budget, if there is one, and twice as much.

    The first problem has the estimates, the others are drawn about it. Nothing is told of a budget
    that does not pay for ``d_s + 2`` pseudo-labels, below which the formulas say nothing.
    """
    price, pseudo_price = settings.label_price, settings.pseudo_label_price
    if settings.budget is None or price is None or pseudo_price is None:
        return ()
    found: list[Purchase] = []
    errors: list[float] = []
    for money in (settings.budget, 2 * settings.budget):
        # Whole numbers but for rounding.
        more, most = (int(money / each * (1 + 1e-12)) for each in (price, pseudo_price))
        if most < problems[0].d_s + 2:
            continue
        sizes = []
        for problem in problems:
            best = scaling.best_purchase(problem, money + price * labels, price, pseudo_price)
            # The risk is convex along a budget: where there are labels enough, none is bought.
            enough = best.labels < labels
            sizes.append((labels, most) if enough else (best.labels, best.pseudo_labels))
        before, errors = errors, [float(risks.student(p, *sizes[0])) for p in problems]
        alone = {}
        for name, risk in (("strong", risks.baseline), ("weak", risks.teacher)):
            rival = [float(risk(problem, labels + more)) for problem in problems]
            alone[name] = spread(np.subtract(rival, errors).tolist())
        ahead = all(value.low > 0 for value in alone.values())
        behind = any(value.high < 0 for value in alone.values())
        found.append(
            Purchase(
                budget=money,
                labels=spread([float(n - labels) for n, _ in sizes]),
                pseudo_labels=spread([float(N) for _, N in sizes]),
                student=spread(errors),
                alone=alone,
                worthwhile=ahead if ahead or behind else None,
                saved=spread(np.subtract(before, errors).tolist()) if before else None,
            )
        )
    return tuple(found)


def spread(values: Sequence[float]) -> Range:
    """The first number, of the estimates, with the quantiles of the others, of problems drawn."""
    value, *drawn = values
    at = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    low, high = np.nanquantile(drawn, at, method="nearest")
    return Range(float(value), float(min(low, value)), float(max(high, value)))
