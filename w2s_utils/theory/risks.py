r"""Dong et al. 2025: exact finite-sample risks, and the misfit and gain of Charikar et al. 2024.

Model: :math:`g \sim N(0, I_D)`, weak features spanning :math:`V_w` and strong features spanning
:math:`V_s` (both linear in :math:`g`), target :math:`f^* = \theta_*^T g`, labels with independent
noise of variance :math:`\sigma^2`. The teacher is fitted by least squares on ``n`` labels, the
student on ``N`` fresh inputs labelled by the teacher, the baseline on the ``n`` labels with strong
features, the ceiling on all ``n + N`` labels. With :math:`P_w, P_s` the projections,

.. math::

    \rho_w = \|(I-P_w)\theta_*\|^2, \quad \rho_s = \|(I-P_s)\theta_*\|^2, \quad
    b = \|P_s(I-P_w)\theta_*\|^2, \quad \kappa = \|(I-P_s)P_w\theta_*\|^2,

    r = \frac{d_s}{N-d_s-1}, \qquad \tau = \frac{\sigma^2+\rho_w}{n-d_w-1},

the expected excess risks are

.. math::

    E\,ER_w &= \rho_w + \tau d_w, &
    E\,ER_{w2s} &= \rho_s + b + \tau\,(d_{s\wedge w} + (d_w-d_{s\wedge w})\,r) + r\kappa, \\
    E\,ER_s &= \rho_s + \frac{(\sigma^2+\rho_s)\,d_s}{n-d_s-1}, &
    E\,ER_c &= \rho_s + \frac{(\sigma^2+\rho_s)\,d_s}{n+N-d_s-1}.

With the misfit :math:`M` of a student of unlimited pseudo-labels, and the product :math:`\xi` of
the parts of the teacher's mean and of the target that lie outside the student's reach,

.. math::

    M = \tau\,(d_w - d_{s\wedge w}) + \kappa, \qquad
    \xi = \langle (I-P_s)P_w\theta_*,\, (I-P_s)\theta_* \rangle
        = \tfrac12(\rho_s + \kappa - \rho_w + b),

    E\,ER_{w2s} = \rho_s + b + \tau\, d_{s\wedge w} + rM, \qquad
    E\,\mathrm{misfit} = (1+r)\,M, \qquad E\,\mathrm{gain} = (1-r)\,M - 2\xi .

With fewer rows than dimensions, least squares has many solutions and the one of minimum norm is
taken. Its expected risk is finite again from ``d - 2`` rows down, and infinite at ``d - 1``, ``d``
and ``d + 1`` only: `exact` gives the risks of all four models for every ``n`` and ``N``.

These are this book's (proved in the chapters ``discrepancy/variance``, ``discrepancy/ridge`` and
``bridge/gain_and_misfit``); the functions named after the authors implement the bounds of their
code. All risks are in squared units of the target. All functions broadcast over the labels ``n``
and pseudo-labels ``N``, and raise `ValueError` where these are below the size stated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from w2s_utils import validation
from w2s_utils.validation import Array


@dataclass(frozen=True)
class Setting:
    r"""Geometry and noise of a weak-to-strong problem: all that the expected risks depend on.

    Or of many problems of the same dimensions (see `stack`): risks then have a row for each.

    Attributes
    ----------
    d_w, d_s : int
        Intrinsic dimensions of the weak and strong features.
    d_sw : float
        Correlation dimension, in ``[0, min(d_w, d_s)]``.
    sigma2 : float
        Label-noise variance, in squared target units.
    rho_w, rho_s : float
        Approximation errors of the weak and strong features.
    b : float
        :math:`\|P_s(I-P_w)\theta_*\|^2`, what the student could express and the teacher could
        not; at most ``rho_w``.
    kappa : float
        :math:`\|(I-P_s)P_w\theta_*\|^2`, what the teacher can express and the student cannot.
    residual : float
        :math:`\|(I-P_s)(I-P_w)\theta_*\|^2`, used by the in-sample risk only.
    norm2 : float, optional
        Squared norm :math:`\|\theta_*\|^2` of the target. Only the risks of fits on fewer rows
        than dimensions depend on it; give it for features of equal variance only, for which the
        formulas there hold.

    Raises
    ------
    ValueError
        If a dimension is below 1, a variance is negative, ``d_sw`` is out of range, or ``norm2``
        is below an approximation error.
    """

    d_w: int
    d_s: int
    d_sw: float
    sigma2: float
    rho_w: float = 0.0
    rho_s: float = 0.0
    b: float = 0.0
    kappa: float = 0.0
    residual: float = 0.0
    norm2: float | None = None

    def __post_init__(self) -> None:
        for name in ("d_w", "d_s"):
            validation.at_least(getattr(self, name), 1, name, "a dimension")
        for name in ("sigma2", "rho_w", "rho_s", "b", "kappa", "residual"):
            variance = validation.real(getattr(self, name), name)
            if not np.all((variance >= 0) & (variance < np.inf)):
                what = "a finite number, at least 0 (a variance or squared error)"
                raise ValueError(f"{name}: expected {what}, got {getattr(self, name)!r}")
        most, shared = min(self.d_w, self.d_s), validation.real(self.d_sw, "d_sw")
        # Rounding of an estimated overlap may pass the end points by a hair.
        if not np.all((shared >= -1e-9) & (shared <= most + 1e-9)):
            raise ValueError(f"d_sw: expected 0 to min(d_w, d_s) = {most}, got {self.d_sw!r}")
        least = np.max(np.maximum(self.rho_w, self.rho_s))
        if self.norm2 is not None and not least * (1 - 1e-9) <= self.norm2 < np.inf:
            raise ValueError(f"norm2: expected at least rho_w and rho_s, {least}, got {self.norm2}")

    @classmethod
    def stack(cls, settings: Sequence[Setting]) -> Setting:
        """Many problems as one, whose numbers are columns that broadcast with ``n`` and ``N``.

        Raises `ValueError` unless all have the same ``d_w``, ``d_s`` and ``norm2``.
        """
        if len({(one.d_w, one.d_s, one.norm2) for one in settings}) != 1:
            raise ValueError("settings: expected some, with one d_w, one d_s and one norm2")
        names = ("d_sw", "sigma2", "rho_w", "rho_s", "b", "kappa", "residual")
        columns: Any = {name: np.array([[getattr(s, name)] for s in settings]) for name in names}
        return replace(settings[0], **columns)

    @property
    def discrepancy(self) -> float:
        r"""Directions :math:`d_w-d_{s\wedge w}` that the student averages out; no rounding's."""
        gap = self.d_w - self.d_sw
        return gap * (gap > 1e-9)  # of a column too

    def surviving(self, factor: ArrayLike) -> Array:
        r"""Directions left, :math:`d_{s\wedge w} + (d_w-d_{s\wedge w})\,r`, for a factor ``r``."""
        return self.d_sw + self.discrepancy * np.asarray(factor, dtype=float)


@dataclass(frozen=True)
class Risks:
    """Expected excess risks of the four models, arrays broadcast over ``n`` and ``N``."""

    teacher: Array
    student: Array
    baseline: Array
    ceiling: Array

    @property
    def pgr(self) -> Array:
        """Performance gap recovery, (teacher - student) / (teacher - ceiling): ratio of means."""
        return (self.teacher - self.student) / (self.teacher - self.ceiling)

    @property
    def opr(self) -> Array:
        """Outperforming ratio, baseline / student: ratio of means."""
        return self.baseline / self.student


def exact(setting: Setting, n: ArrayLike, N: ArrayLike) -> Risks:
    r"""Expected excess risks of all four models on a fresh input, for every ``n`` and ``N``.

    With enough rows (``n >= max(d_w, d_s) + 2`` and ``N >= d_s + 2``) the formulas of this module.
    In general, for minimum-norm least squares on ``m`` rows in ``d`` dimensions, let

    .. math::

        k = \min\Bigl(\frac md, 1\Bigr), \qquad
        B = \frac{m(d-m)_+}{d(d-1)(d+2)}, \qquad
        S = \frac1{m-d-1} \;(m \ge d+2), \quad
        S = \frac{m}{d(d-m-1)} \;(m \le d-2),

    and :math:`S = \infty` in between. With indices for the teacher (``n``, ``d_w``) and the student
    (``N``, ``d_s``), :math:`A = \|P_w\theta_*\|^2`, :math:`A_s = \|P_s\theta_*\|^2` and
    :math:`\tau = (\sigma^2+\rho_w) S_w`,

    .. math::

        E\,ER_w &= \rho_w + (1-k_w)A + \tau d_w, \\
        E\,ER_{w2s} &= \rho_s + k_s\,\mathrm{seen} + (1-k_s) A_s
            + d_s S_s\, \mathrm{unseen}, \\
        \mathrm{seen} &= k_w b + (1-k_w)A_s + B_w(A\,d_{s\wedge w} - d_w(A-\kappa))
            + \tau d_{s\wedge w}, \\
        \mathrm{unseen} &= k_w\kappa + B_w(A\,(d_w-d_{s\wedge w}) - d_w\kappa)
            + \tau(d_w-d_{s\wedge w}),

    baseline and ceiling as the teacher, with :math:`\rho_s, A_s, d_s` and ``n`` or ``n + N`` rows.
    Where ``m < d`` they hold for features of equal variance.

    Parameters
    ----------
    setting : Setting
        With ``norm2`` if any fit has fewer rows than dimensions.
    n, N : array_like
        Labels and pseudo-labels, at least 1; ``N`` may be infinite.

    Returns
    -------
    Risks
        Infinite at ``d - 1``, ``d`` and ``d + 1`` rows, unless the fit has no noise.

    Raises
    ------
    ValueError
        If ``n`` or ``N`` is below 1, or ``norm2`` is needed and missing.
    """
    return Risks(
        teacher=teacher(setting, n),
        student=student(setting, n, N),
        baseline=baseline(setting, n),
        ceiling=ceiling(setting, n, N),
    )


def teacher(setting: Setting, n: ArrayLike) -> Array:
    r"""Teacher's risk, :math:`\rho_w + (\sigma^2+\rho_w) d_w/(n-d_w-1)` for ``n >= d_w + 2``.

    For fewer labels as `exact` has it.
    """
    return _on_labels(setting, n, setting.d_w, setting.rho_w)


def baseline(setting: Setting, n: ArrayLike) -> Array:
    r"""Baseline's risk, :math:`\rho_s + (\sigma^2+\rho_s) d_s/(n-d_s-1)` for ``n >= d_s + 2``.

    For fewer labels as `exact` has it.
    """
    return _on_labels(setting, n, setting.d_s, setting.rho_s)


def ceiling(setting: Setting, n: ArrayLike, N: ArrayLike) -> Array:
    """Ceiling's risk: the baseline's with ``n + N`` labels."""
    count = validation.real(n, "n") + validation.real(N, "N")
    return _on_labels(setting, count, setting.d_s, setting.rho_s)


def student(setting: Setting, n: ArrayLike, N: ArrayLike) -> Array:
    r"""Student's risk on a fresh input.

    .. math:: \rho_s + b + \tau\,(d_{s\wedge w} + (d_w-d_{s\wedge w})\,r) + r\kappa

    for ``n >= d_w + 2`` and ``N >= d_s + 2``; elsewhere as `exact` has it.
    """
    few, many = _least_squares(n, setting.d_w, "n"), _least_squares(N, setting.d_s, "N")
    A = _reached(setting, setting.rho_w, few)
    A_s = np.maximum(_reached(setting, setting.rho_s, few), _reached(setting, setting.rho_s, many))
    tau = _times(setting.sigma2 + setting.rho_w, few.spread)
    kappa, overlap, rest = setting.kappa, setting.d_sw, setting.discrepancy
    wander = few.wander * (A * overlap - setting.d_w * (A - kappa))
    seen = few.kept * setting.b + (1 - few.kept) * A_s + wander + _times(overlap, tau)
    wander = few.wander * (A * rest - setting.d_w * kappa)
    unseen = few.kept * kappa + wander + _times(rest, tau)
    # Rounding may leave nothing unseen a hair below zero, and infinity times that is no risk.
    noise = setting.d_s * _times(np.maximum(unseen, 0), many.spread)
    return np.asarray(setting.rho_s + many.kept * seen + (1 - many.kept) * A_s + noise)


def teacher_variance(setting: Setting, n: ArrayLike) -> Array:
    r"""Teacher's variance per direction, :math:`\tau = (\sigma^2+\rho_w)/(n-d_w-1)`.

    For ``n >= d_w + 2``, else it raises `ValueError`.
    """
    return (setting.sigma2 + setting.rho_w) / _degrees(n, setting.d_w, "n")


def student_factor(setting: Setting, N: ArrayLike) -> Array:
    r"""What averaging leaves of an unseen error, :math:`r = d_s/(N-d_s-1)`, ``N >= d_s + 2``."""
    return setting.d_s / _degrees(N, setting.d_s, "N")


def student_variance(setting: Setting, n: ArrayLike, N: ArrayLike) -> tuple[Array, Array]:
    r"""Teacher's variance in the student: inherited in the overlap, reduced in the discrepancy.

    Returns :math:`\tau\, d_{s\wedge w}` and :math:`\tau\,(d_w - d_{s\wedge w})\, d_s/(N-d_s-1)`.
    """
    tau = teacher_variance(setting, n)
    return tau * setting.d_sw, tau * setting.discrepancy * student_factor(setting, N)


def student_in_sample(setting: Setting, n: ArrayLike, N: ArrayLike) -> Array:
    r"""Student's risk averaged over its own ``N`` training inputs (noise-free target).

    .. math::

        \rho_s\Bigl(1-\frac{d_s}{N}\Bigr) + b + \frac{d_s}{N}\|(I-P_s)(I-P_w)\theta_*\|^2
        + \tau\Bigl(d_{s\wedge w} + (d_w-d_{s\wedge w})\frac{d_s}{N}\Bigr)

    For ``n >= d_w + 2`` and ``N >= d_s``, else it raises `ValueError`.
    """
    why = "least squares needs d_s pseudo-labels"
    shrink = setting.d_s / validation.at_least(N, setting.d_s, "N", why)
    tau = teacher_variance(setting, n)
    bias = setting.rho_s * (1 - shrink) + setting.b + shrink * setting.residual
    return bias + tau * setting.surviving(shrink)


def limiting_misfit(setting: Setting, n: ArrayLike) -> Array:
    r"""Expected misfit as ``N`` grows, :math:`M = \tau(d_w-d_{s\wedge w}) + \kappa`.

    For ``n >= d_w + 2``, else it raises `ValueError`.
    """
    return teacher_variance(setting, n) * setting.discrepancy + setting.kappa


def misfit(setting: Setting, n: ArrayLike, N: ArrayLike) -> Array:
    """Expected misfit on a fresh input, ``(1 + r) M``, for ``n >= d_w + 2``, ``N >= d_s + 2``."""
    return (1 + student_factor(setting, N)) * limiting_misfit(setting, n)


def gain(setting: Setting, n: ArrayLike, N: ArrayLike) -> Array:
    r"""Expected gain on a fresh input, :math:`(1-r)\,M - 2\xi`: teacher's less student's risk."""
    unseen = (1 - student_factor(setting, N)) * limiting_misfit(setting, n)
    return unseen - 2 * out_of_reach(setting)


def out_of_reach(setting: Setting) -> float:
    r"""Product :math:`\xi` of what the student cannot express of teacher's mean and of target.

    Zero if the student can express the target, or if the teacher's mean is within its reach; at
    most :math:`\sqrt{\kappa\rho_s}` in absolute value; :math:`\kappa` for coordinate subspaces.

    Raises
    ------
    ValueError
        If no target has these approximation errors: ``rho_s, kappa, rho_w - b`` must be the
        squared sides of a triangle.
    """
    residual = setting.rho_w - setting.b
    product = (setting.rho_s + setting.kappa - residual) / 2
    limit = np.sqrt(setting.rho_s * setting.kappa)
    slack = 1e-9 * (setting.rho_s + setting.rho_w + setting.kappa)
    if np.any((residual < -slack) | (np.abs(product) > limit + slack)):
        raise ValueError(
            "setting: the square roots of rho_s, kappa and rho_w - b are the sides of a triangle, "
            f"got rho_s = {setting.rho_s}, kappa = {setting.kappa}, rho_w - b = {residual}; "
            "take them from w2s_utils.theory.laws.Canonical.setting"
        )
    return product


def gain_per_misfit(d_s: int, N: ArrayLike, *, in_sample: bool = False) -> Array:
    r"""Factor that turns an observed misfit into an expected gain, for a target within reach.

    .. math::

        \frac{N-2d_s-1}{N-1} \text{ on fresh inputs}, \qquad
        \frac{N\,(N-2d_s-1)}{(N-d_s)(N-d_s-1)} \text{ from the student's own inputs}.

    Parameters
    ----------
    d_s : int
        Dimension (rank) of the strong features.
    N : array_like of int
        Pseudo-labels, at least ``d_s + 2``.
    in_sample : bool
        Whether the misfit was measured on the inputs the student was fitted on. The gain is on
        fresh inputs in either case.

    Returns
    -------
    ndarray
        Negative where the student is expected to be worse than its teacher, ``N < 2 d_s + 1``.

    Raises
    ------
    ValueError
        If ``N < d_s + 2`` or ``d_s < 1``.
    """
    validation.at_least(d_s, 1, "d_s", "a dimension")
    pseudo = validation.at_least(N, d_s + 2, "N", "d_s + 2, for the expected gain to be finite")
    kept = pseudo - 2 * d_s - 1
    if in_sample:
        return pseudo * kept / ((pseudo - d_s) * (pseudo - d_s - 1))
    return kept / (pseudo - 1)


def authors_bounds(setting: Setting, n: ArrayLike, N: ArrayLike) -> Risks:
    r"""Risks as coded by the authors: an upper bound for the student, ``d/n`` for the others.

    .. math::

        ER_{w2s} \le \frac{\sigma^2}{n-d_w-1}\Bigl(d_{s\wedge w} + (d_w-d_{s\wedge w})
        \frac{d_s}{N}\Bigr) + \rho_w + \rho_s, \quad
        ER_w = \frac{\sigma^2 d_w}{n} + \rho_w, \quad ER_s = \frac{\sigma^2 d_s}{n} + \rho_s,
        \quad ER_c = \frac{\sigma^2 d_s}{n+N} + \rho_s .

    For ``n >= d_w + 2`` and ``N >= 1``, else it raises `ValueError`.
    """
    labels, pseudo = np.asarray(n, float), validation.at_least(N, 1, "N", "pseudo-labels")
    directions = setting.surviving(setting.d_s / pseudo)
    variance = setting.sigma2 * directions / _degrees(n, setting.d_w, "n")
    return Risks(
        teacher=setting.sigma2 * setting.d_w / labels + setting.rho_w,
        student=variance + setting.rho_w + setting.rho_s,
        baseline=setting.sigma2 * setting.d_s / labels + setting.rho_s,
        ceiling=setting.sigma2 * setting.d_s / (labels + pseudo) + setting.rho_s,
    )


def authors_pgr_bound(setting: Setting, n: ArrayLike, N: ArrayLike) -> Array:
    r"""Authors' lower bound for PGR.

    .. math::

        1 - \frac{n}{n-d_w-1}\frac{D_N}{d_w} - \frac{n}{d_w}\frac{\rho_s+\rho_w}{\sigma^2},
        \qquad D_N = d_{s\wedge w} + (d_w-d_{s\wedge w})\frac{d_s}{N}
    """
    return 1 - _authors_cost(setting, n, N) / setting.d_w


def authors_opr_bound(setting: Setting, n: ArrayLike, N: ArrayLike) -> Array:
    r"""Authors' lower bound for OPR.

    .. math::

        \Bigl\{\frac{n}{n-d_w-1}\frac{D_N}{d_s}
        + \frac{n}{d_s}\frac{\rho_s+\rho_w}{\sigma^2}\Bigr\}^{-1}
    """
    return setting.d_s / _authors_cost(setting, n, N)


@dataclass(frozen=True)
class _LeastSquares:
    """Moments of a minimum-norm fit on whitened Gaussian rows: see `exact` for k, S and B."""

    kept: Array
    spread: Array
    wander: Array


def _least_squares(count: ArrayLike, dimension: int, name: str) -> _LeastSquares:
    m, d = validation.at_least(count, 1, name, "rows"), float(dimension)
    above = m >= d + 2
    spread = np.full(m.shape, np.inf)
    np.divide(1, m - d - 1, out=spread, where=above)
    np.divide(m, d * (d - m - 1), out=spread, where=m <= d - 2)
    missing = np.maximum(d - m, 0)
    wander = np.where(missing > 0, m, 0) * missing / (d * max(d - 1, 1) * (d + 2))
    return _LeastSquares(np.minimum(m / d, 1), spread, wander)


def _on_labels(setting: Setting, count: ArrayLike, dimension: int, rho: float) -> Array:
    fit = _least_squares(count, dimension, "n")
    lost = (1 - fit.kept) * _reached(setting, rho, fit)
    return np.asarray(rho + lost + dimension * _times(setting.sigma2 + rho, fit.spread))


def _reached(setting: Setting, rho: float, fit: _LeastSquares) -> float:
    """Squared norm of the target within the features' reach; zero where no risk depends on it."""
    if np.all(fit.kept == 1):
        return 0.0
    if setting.norm2 is None:
        raise ValueError(
            "norm2: with fewer rows than dimensions the risk depends on the target's squared norm; "
            "give it in Setting for features of equal variance, else use w2s_utils.theory.ridge"
        )
    return np.maximum(setting.norm2 - rho, 0.0)  # type: ignore[no-any-return]


def _times(one: ArrayLike, other: ArrayLike) -> Array:
    """Product in which zero wins over infinity: without noise no fit is infinitely bad."""
    first, second = np.asarray(one, float), np.asarray(other, float)
    with np.errstate(invalid="ignore"):
        return np.where((first != 0) & (second != 0), first * second, 0.0)


def _authors_cost(setting: Setting, n: ArrayLike, N: ArrayLike) -> Array:
    labels, pseudo = np.asarray(n, float), validation.at_least(N, 1, "N", "pseudo-labels")
    if np.any(setting.sigma2 == 0):
        raise ValueError("sigma2: the authors' PGR and OPR bounds divide by it, got 0")
    bias = labels * ((setting.rho_s + setting.rho_w) / setting.sigma2)
    shrink = labels / _degrees(n, setting.d_w, "n")
    return np.asarray(shrink * setting.surviving(setting.d_s / pseudo) + bias)


def _degrees(count: ArrayLike, dimension: int, name: str) -> Array:
    why = f"d + 2 for d = {dimension}: below it the expected risk is infinite"
    return validation.at_least(count, dimension + 2, name, why) - dimension - 1
