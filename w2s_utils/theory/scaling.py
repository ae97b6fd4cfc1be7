r"""Where weak-to-strong helps, and how many labels and pseudo-labels to buy.

Everything here follows from the exact expected risks (`w2s_utils.theory.risks`), by solving
quadratic equations in ``n`` or ``N``; the derivations are in the chapter ``discrepancy/scaling``.
With :math:`r = d_s/(N-d_s-1)`; PGR is a ratio of means. An ``n`` or ``N`` that is too small raises
`ValueError`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from w2s_utils import validation
from w2s_utils.theory import risks
from w2s_utils.theory.risks import Setting


def helps(setting: Setting, n: ArrayLike, N: ArrayLike) -> NDArray[np.bool_]:
    r"""Whether the student's expected risk is below its teacher's.

    Well specified: exactly when :math:`d_{s\wedge w} < d_w` and :math:`N > 2d_s+1`. For
    ``n >= d_w + 2`` and ``N >= d_s + 2``, over which it broadcasts.
    """
    return risks.gain(setting, n, N) > 0


def pseudo_labels_to_help(setting: Setting, n: int) -> float:
    r"""Least ``N`` from which on the student is expected to beat its teacher.

    With the limiting misfit :math:`M` and the product :math:`\xi` of `w2s_utils.theory.risks`,
    the condition is :math:`(1-r)M > 2\xi`: ``N = 2 d_s + 2`` when the target is within the
    student's reach, more when :math:`\xi > 0`, infinity if no number of pseudo-labels is enough.
    Labels ``n >= d_w + 2``.
    """
    product = risks.out_of_reach(setting)
    unseen = float(risks.limiting_misfit(setting, n))
    # A gain that is the rounding of a risk is none.
    if unseen - 2 * max(product, 0.0) <= 1e-12 * float(risks.teacher(setting, n)):
        return math.inf
    return _first_true(
        lambda N: bool(helps(setting, n, N)),
        setting.d_s + 1 + setting.d_s / (1 - 2 * product / unseen),
        setting.d_s + 2,
    )


def pseudo_labels_for_pgr(setting: Setting, n: int, target: float) -> float:
    r"""Least ``N`` at which PGR, the ratio of expected risks, reaches a target.

    With ``y = N - d_s - 1`` the condition is a quadratic inequality,

    .. math::

        a y^2 + (a n + d_s M - p s)\,y + d_s M n \le 0, \qquad
        a = ER_\infty - (1-p)\,ER_w - p\rho_s,

    where ``p`` is the target, :math:`ER_\infty` the student's risk with unlimited pseudo-labels,
    :math:`M` the limiting misfit and :math:`s = (\sigma^2+\rho_s)d_s`.

    Parameters
    ----------
    setting : Setting
    n : int
        Labels, at least ``d_w + 2``.
    target : float
        Positive; above the limit in ``N`` it may be reached for some ``N``, or not at all.

    Returns
    -------
    float
        A whole number, or infinity if the target is out of reach.

    Raises
    ------
    ValueError
        If the target is not positive, or the teacher is no worse than the ceiling there.
    """
    p = validation.positive(target, "target")
    unseen = float(risks.limiting_misfit(setting, n)) * setting.d_s
    inherited = float(risks.teacher_variance(setting, n)) * setting.d_sw
    a = inherited + setting.b + (1 - p) * (setting.rho_s - float(risks.teacher(setting, n)))
    noise = p * (setting.sigma2 + setting.rho_s) * setting.d_s
    root = _first_crossing(a, a * n + unseen - noise, unseen * n)
    least = _first_true(
        lambda N: _reaches(setting, n, N, p), setting.d_s + 1 + root, setting.d_s + 2
    )
    if not math.isinf(least):
        _check_gap(setting, n, least)
    return least


@dataclass(frozen=True)
class Purchase:
    """What a budget buys for a teacher and its student: whole numbers, and an expected risk.

    Attributes
    ----------
    labels, pseudo_labels : int
        ``n`` and ``N``, within the budget.
    student : float
        The student's expected risk, in squared target units.
    labels_only : float
        Expected risk of the strong model if the whole budget is spent on labels for it; infinite
        if that is fewer than ``d_s + 2``.
    """

    labels: int
    pseudo_labels: int
    student: float
    labels_only: float

    @property
    def worthwhile(self) -> bool:
        """Whether teacher and pseudo-labels beat labels alone."""
        return self.student < self.labels_only


def best_purchase(
    setting: Setting, budget: float, label_price: float, pseudo_label_price: float, *, paid: int = 0
) -> Purchase:
    r"""Split of a budget between labels and pseudo-labels with the least expected student's risk.

    With prices :math:`c_n, c_N`, the budget :math:`B` beyond the thresholds
    :math:`c_n(d_w+1) + c_N(d_s+1)`, :math:`T = \sigma^2+\rho_w` and
    :math:`\Delta = d_w-d_{s\wedge w}`, the best real number of pseudo-labels is

    .. math::

        N - d_s - 1 = \frac{B/c_N}{1 + s}, \qquad
        s^2 = \frac{c_n T\,(c_N \Delta d_s + d_{s\wedge w} B)}
        {c_N d_s\,(c_n T \Delta + \kappa B)} .

    Well specified, pseudo-labels never take more than half of :math:`B`. This book's; the whole
    numbers are the best of those next to it, and the rest of the money goes to the other kind.

    Parameters
    ----------
    setting : Setting
    budget, label_price, pseudo_label_price : float
        Positive, in one currency; the budget pays for at least ``d_w + 2`` labels and ``d_s + 2``
        pseudo-labels.
    paid : int
        Labels that are there already, counted in what is returned; with too many of them, all
        goes to pseudo-labels (the risk is convex along a budget).

    Raises
    ------
    ValueError
        If a price is not positive or the budget does not reach.
    """
    c_n = validation.positive(label_price, "label_price")
    c_N = validation.positive(pseudo_label_price, "pseudo_label_price")
    fewest = max(setting.d_w + 2, paid)
    least = c_n * (fewest - paid) + c_N * (setting.d_s + 2)
    if validation.positive(budget, "budget") < least * (1 - 1e-12):
        raise ValueError(
            f"budget: expected at least {least:g}, the price of d_w + 2 = {setting.d_w + 2} labels "
            f"less {paid} and d_s + 2 = {setting.d_s + 2} pseudo-labels, got {budget:g}"
        )
    budget += c_n * paid
    beyond = budget - c_n * (setting.d_w + 1) - c_N * (setting.d_s + 1)
    unseen, noise = setting.discrepancy * setting.d_s, c_n * (setting.sigma2 + setting.rho_w)
    averaged = noise * unseen + setting.kappa * setting.d_s * beyond
    square = noise * (c_N * unseen + setting.d_sw * beyond)
    total = math.sqrt(averaged) + math.sqrt(square / c_N)
    spent = beyond * math.sqrt(averaged) / total if total > 0 else 0.0
    most = _affordable(budget - c_N * (setting.d_s + 2), c_n)
    N = math.floor(setting.d_s + 1 + spent / c_N)
    # Whole numbers next to the real ones, of either kind, and what is left for the other kind.
    near = [math.floor(setting.d_w + 1 + (beyond - spent) / c_n) + step for step in (-1, 0, 1, 2)]
    near += [_affordable(budget - c_N * (N + step), c_n) for step in (-1, 0, 1, 2)]
    options = []
    for n in {min(max(n, fewest), most) for n in near}:
        N = _affordable(budget - c_n * n, c_N)
        options.append((float(risks.student(setting, n, N)), n, N))
    risk, labels, pseudo = min(options)
    alone = _affordable(budget, c_n)
    enough = alone >= setting.d_s + 2
    only = float(risks.baseline(setting, alone)) if enough else math.inf
    return Purchase(labels, pseudo, risk, only)


def _affordable(money: float, price: float) -> int:
    # A sum that is whole but for rounding buys as many as it should.
    return math.floor(money / price * (1 + 1e-12))


def _reaches(setting: Setting, n: float, N: float, target: float) -> bool:
    # The condition on PGR, without dividing.
    teacher = risks.teacher(setting, n)
    gap = teacher - risks.ceiling(setting, n, N)
    return bool(teacher - risks.student(setting, n, N) >= target * gap)


def _check_gap(setting: Setting, n: float, N: float) -> None:
    teacher, ceiling = risks.teacher(setting, n), risks.ceiling(setting, n, N)
    if teacher <= ceiling:
        raise ValueError(
            f"setting: at n = {n:.0f}, N = {N:.0f} the teacher's risk {float(teacher):.3g} is not "
            f"above the ceiling's {float(ceiling):.3g}, so PGR has no meaning there"
        )


def _first_true(condition: Callable[[float], bool], guess: float, lowest: int) -> float:
    """Least whole number from ``lowest`` on that meets a condition, known up to rounding."""
    if math.isinf(guess):
        return math.inf
    start = max(math.ceil(guess) - 1, lowest)
    return next((float(k) for k in range(start, start + 3) if condition(k)), math.inf)


def _first_crossing(a: float, b: float, c: float) -> float:
    """Least ``y >= 0`` from which ``a y^2 + b y + c <= 0``, for ``c >= 0``; else infinity."""
    if c == 0 and b >= 0:
        return -b / a if a < 0 else math.inf
    discriminant = b * b - 4 * a * c
    if discriminant < 0 or math.sqrt(discriminant) <= b:
        return math.inf
    return 2 * c / (math.sqrt(discriminant) - b)
