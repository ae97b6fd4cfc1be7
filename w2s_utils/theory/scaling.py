r"""Dong et al. 2025's corollaries: where weak-to-strong helps, limits, peaks, sample complexity.

Everything here follows from the exact expected risks (`w2s_utils.theory.risks`), by solving
quadratic equations in ``n`` or ``N``; the derivations are in the chapter ``discrepancy/scaling``.
Abbreviations: :math:`r = d_s/(N-d_s-1)`, :math:`D'_N = d_{s\wedge w} + (d_w-d_{s\wedge w})r`,
:math:`q = d_{s\wedge w}/d_w`. PGR and OPR are ratios of means.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from w2s_utils import validation
from w2s_utils.theory import risks
from w2s_utils.theory.risks import Setting
from w2s_utils.validation import Array


def helps(setting: Setting, n: ArrayLike, N: ArrayLike) -> NDArray[np.bool_]:
    r"""Whether the student's expected risk is below its teacher's.

    Well specified: exactly when :math:`d_{s\wedge w} < d_w` and :math:`N > 2d_s+1`.

    Parameters
    ----------
    setting : Setting
    n, N : array_like of int
        ``n >= d_w + 2``, ``N >= d_s + 2``.

    Returns
    -------
    ndarray of bool
    """
    return risks.gain(setting, n, N) > 0


def pseudo_labels_to_help(setting: Setting, n: int) -> float:
    r"""Least ``N`` from which on the student is expected to beat its teacher.

    With the limiting misfit :math:`M` and the product :math:`\xi` of `w2s_utils.theory.risks`,
    the condition is :math:`(1-r)M > 2\xi`: ``N = 2 d_s + 2`` when the target is within the
    student's reach, more when :math:`\xi > 0`.

    Parameters
    ----------
    setting : Setting
    n : int
        Labels, at least ``d_w + 2``.

    Returns
    -------
    float
        A whole number, or infinity if no number of pseudo-labels is enough.
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


def pgr_limit(setting: Setting, n: ArrayLike) -> Array:
    r"""Limit of PGR as ``N`` grows; :math:`1 - d_{s\wedge w}/d_w` if well specified.

    .. math:: \frac{M - 2\xi}{\tau d_w + \rho_w - \rho_s}

    Parameters
    ----------
    setting : Setting
    n : array_like of int
        Labels, at least ``d_w + 2``.

    Returns
    -------
    ndarray
        Meaningful where the teacher is worse than the ceiling.
    """
    gain = risks.limiting_misfit(setting, n) - 2 * risks.out_of_reach(setting)
    return gain / (risks.teacher(setting, n) - setting.rho_s)


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


def labels_for_risk(setting: Setting, N: int, risk: float) -> float:
    r"""Least ``n`` at which the student's expected risk is at most ``risk``.

    .. math:: n \ge d_w + 1 + \frac{(\sigma^2+\rho_w)\,D'_N}{\mathrm{risk} - \rho_s - b - r\kappa}

    Parameters
    ----------
    setting : Setting
    N : int
        Pseudo-labels, at least ``d_s + 2``.
    risk : float
        Positive, in squared target units.

    Returns
    -------
    float
        A whole number, at least ``d_w + 2``, or infinity if the student's bias is above ``risk``.
    """
    goal = validation.positive(risk, "risk")
    r = float(risks.student_factor(setting, N))
    room = goal - setting.rho_s - setting.b - r * setting.kappa
    if room <= 0:
        return math.inf
    needed = (setting.sigma2 + setting.rho_w) * float(setting.surviving(r)) / room
    lowest = setting.d_w + 2
    return _first_true(
        lambda n: bool(risks.student(setting, n, N) <= goal), lowest - 1 + needed, lowest
    )


def authors_peak(setting: Setting, N: ArrayLike) -> Array:
    r"""Where the authors' PGR and OPR bounds peak in ``n``.

    .. math::

        n^* = d_w + 1 + \sqrt{D_N\,(d_w+1)\,\frac{\sigma^2}{\rho_s+\rho_w}}, \qquad
        D_N = d_{s\wedge w} + (d_w-d_{s\wedge w})\frac{d_s}{N}

    Parameters
    ----------
    setting : Setting
    N : array_like of int
        At least 1.

    Returns
    -------
    ndarray
        Infinite without misspecification: the bounds then rise for ever.
    """
    pseudo = validation.at_least(N, 1, "N", "pseudo-labels")
    bias = setting.rho_s + setting.rho_w
    dimension = setting.surviving(setting.d_s / pseudo)
    if bias == 0:
        return np.full_like(dimension, np.inf)
    return setting.d_w + 1 + np.sqrt(dimension * (setting.d_w + 1) * setting.sigma2 / bias)


def pgr_peak(setting: Setting, N: int) -> float:
    r"""Where the exact PGR has an interior maximum in ``n``, as a real number.

    With ``z = n - d_w - 1``, ``h = N + d_w - d_s``, :math:`T = \sigma^2+\rho_w`,
    :math:`s = (\sigma^2+\rho_s)d_s`, :math:`A = T(d_w-d_{s\wedge w})(1-r)`,
    :math:`e = \rho_s+b+r\kappa-\rho_w` and :math:`c = e\,T d_w + A(\rho_w-\rho_s)`, PGR rises
    exactly where

    .. math:: s\,(A h + e z^2) > c\,(z+h)^2 .

    Parameters
    ----------
    setting : Setting
    N : int
        At least ``d_s + 2``.

    Returns
    -------
    float
        NaN if there is no such maximum: PGR is then monotone, or has only a minimum.
    """
    r = float(risks.student_factor(setting, N))
    h = N + setting.d_w - setting.d_s
    noise = setting.sigma2 + setting.rho_w
    ceiling = (setting.sigma2 + setting.rho_s) * setting.d_s
    A = noise * (setting.d_w - setting.d_sw) * (1 - r)
    e = setting.rho_s + setting.b + r * setting.kappa - setting.rho_w
    c = e * noise * setting.d_w + A * (setting.rho_w - setting.rho_s)
    z = _upward_root(c - ceiling * e, 2 * c * h, c * h * h - ceiling * A * h)
    return setting.d_w + 1 + z if z > 0 else math.nan


def opr_peak(setting: Setting, N: int) -> float:
    r"""Where the exact OPR has an interior maximum in ``n``, as a real number.

    With ``x = n - d_s - 1``, ``g = d_w - d_s``, :math:`B = \rho_s+b+r\kappa`,
    :math:`T = (\sigma^2+\rho_w)D'_N` and :math:`s = (\sigma^2+\rho_s)d_s`, OPR rises exactly where

    .. math:: (T\rho_s - sB)\,x^2 + 2sBg\,x + sg\,(T - Bg) > 0 .

    Parameters
    ----------
    setting : Setting
    N : int
        At least ``d_s + 2``.

    Returns
    -------
    float
        NaN if there is no such maximum with ``n > max(d_w, d_s) + 1``.
    """
    r = float(risks.student_factor(setting, N))
    g = setting.d_w - setting.d_s
    B = setting.rho_s + setting.b + r * setting.kappa
    T = (setting.sigma2 + setting.rho_w) * float(setting.surviving(r))
    s = (setting.sigma2 + setting.rho_s) * setting.d_s
    x = _upward_root(s * B - T * setting.rho_s, -2 * s * B * g, -s * g * (T - B * g))
    return setting.d_s + 1 + x if x > max(g, 0) else math.nan


def _reaches(setting: Setting, n: float, N: float, target: float) -> bool:
    """Whether PGR is at least ``target``, without dividing."""
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


def _upward_root(a: float, b: float, c: float) -> float:
    """Root at which ``a x^2 + b x + c`` goes from negative to positive; NaN if none."""
    discriminant = b * b - 4 * a * c
    if discriminant <= 0:
        return math.nan
    root = math.sqrt(discriminant)
    if b > 0:
        return -2 * c / (b + root)
    return (root - b) / (2 * a) if a != 0 else math.nan
