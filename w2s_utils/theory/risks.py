r"""Dong et al. 2025: exact finite-sample risks of teacher, student, baseline and ceiling.

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

These are this book's (proved in the chapter ``discrepancy/variance``); the functions named after
the authors implement the bounds of their code. All risks are in squared units of the target, and
all functions broadcast over ``n`` and ``N``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from w2s_utils import validation


@dataclass(frozen=True)
class Setting:
    r"""Geometry and noise of a weak-to-strong problem: all that the expected risks depend on.

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

    Raises
    ------
    ValueError
        If a dimension is below 1, a variance is negative, or ``d_sw`` is out of range.
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

    def __post_init__(self) -> None:
        for name in ("d_w", "d_s"):
            validation.at_least(getattr(self, name), 1, name, "a dimension")
        for name in ("sigma2", "rho_w", "rho_s", "b", "kappa", "residual"):
            validation.nonnegative(getattr(self, name), name, "a variance or squared error")
        most = min(self.d_w, self.d_s)
        # Rounding of an estimated overlap may pass the end points by a hair.
        if not -1e-9 <= validation.real(self.d_sw, "d_sw") <= most + 1e-9:
            raise ValueError(f"d_sw: expected 0 to min(d_w, d_s) = {most}, got {self.d_sw!r}")


@dataclass(frozen=True)
class Risks:
    """Expected excess risks of the four models, arrays broadcast over ``n`` and ``N``."""

    teacher: NDArray[np.float64]
    student: NDArray[np.float64]
    baseline: NDArray[np.float64]
    ceiling: NDArray[np.float64]

    @property
    def pgr(self) -> NDArray[np.float64]:
        """Performance gap recovery, (teacher - student) / (teacher - ceiling): ratio of means."""
        return (self.teacher - self.student) / (self.teacher - self.ceiling)

    @property
    def opr(self) -> NDArray[np.float64]:
        """Outperforming ratio, baseline / student: ratio of means."""
        return self.baseline / self.student


def exact(setting: Setting, n: ArrayLike, N: ArrayLike) -> Risks:
    """Expected excess risks of all four models on a fresh input.

    Parameters
    ----------
    setting : Setting
    n, N : array_like of int
        Labels and pseudo-labels; ``n >= max(d_w, d_s) + 2`` and ``N >= d_s + 2``.

    Returns
    -------
    Risks

    Raises
    ------
    ValueError
        If ``n`` or ``N`` is too small for the expectation to exist.
    """
    return Risks(
        teacher=teacher(setting, n),
        student=student(setting, n, N),
        baseline=baseline(setting, n),
        ceiling=ceiling(setting, n, N),
    )


def teacher_variance(setting: Setting, n: ArrayLike) -> NDArray[np.float64]:
    r"""Teacher's variance per direction, :math:`\tau = (\sigma^2+\rho_w)/(n-d_w-1)`."""
    return (setting.sigma2 + setting.rho_w) / _degrees(n, setting.d_w, "n")


def student_factor(setting: Setting, N: ArrayLike) -> NDArray[np.float64]:
    r"""What averaging leaves of an unseen error, :math:`r = d_s/(N-d_s-1)`, ``N >= d_s + 2``."""
    return setting.d_s / _degrees(N, setting.d_s, "N")


def teacher(setting: Setting, n: ArrayLike) -> NDArray[np.float64]:
    r"""Teacher's risk, :math:`\rho_w + (\sigma^2+\rho_w) d_w/(n-d_w-1)`, for ``n >= d_w + 2``."""
    return setting.rho_w + setting.d_w * teacher_variance(setting, n)


def baseline(setting: Setting, n: ArrayLike) -> NDArray[np.float64]:
    r"""Baseline's risk, :math:`\rho_s + (\sigma^2+\rho_s) d_s/(n-d_s-1)`, ``n >= d_s + 2``."""
    return _strong_on_labels(setting, n, "n")


def ceiling(setting: Setting, n: ArrayLike, N: ArrayLike) -> NDArray[np.float64]:
    """Ceiling's risk: the baseline's with ``n + N`` labels."""
    return _strong_on_labels(setting, np.asarray(n) + np.asarray(N), "n + N")


def student(setting: Setting, n: ArrayLike, N: ArrayLike) -> NDArray[np.float64]:
    r"""Student's risk on a fresh input.

    .. math:: \rho_s + b + \tau\,(d_{s\wedge w} + (d_w-d_{s\wedge w})\,r) + r\kappa

    Parameters
    ----------
    setting : Setting
    n, N : array_like of int
        ``n >= d_w + 2`` and ``N >= d_s + 2``.

    Returns
    -------
    ndarray

    Raises
    ------
    ValueError
        If ``n`` or ``N`` is too small.
    """
    inherited, reduced = student_variance(setting, n, N)
    bias = setting.rho_s + setting.b + student_factor(setting, N) * setting.kappa
    return bias + inherited + reduced


def student_variance(
    setting: Setting, n: ArrayLike, N: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Teacher's variance in the student: inherited in the overlap, reduced in the discrepancy.

    Returns
    -------
    inherited : ndarray
        :math:`\tau\, d_{s\wedge w}`.
    reduced : ndarray
        :math:`\tau\,(d_w - d_{s\wedge w})\, d_s/(N-d_s-1)`.
    """
    tau = teacher_variance(setting, n)
    discrepancy = setting.d_w - setting.d_sw
    return tau * setting.d_sw, tau * discrepancy * student_factor(setting, N)


def student_in_sample(setting: Setting, n: ArrayLike, N: ArrayLike) -> NDArray[np.float64]:
    r"""Student's risk averaged over its own ``N`` training inputs (noise-free target).

    .. math::

        \rho_s\Bigl(1-\frac{d_s}{N}\Bigr) + b + \frac{d_s}{N}\|(I-P_s)(I-P_w)\theta_*\|^2
        + \tau\Bigl(d_{s\wedge w} + (d_w-d_{s\wedge w})\frac{d_s}{N}\Bigr)

    Parameters
    ----------
    setting : Setting
    n, N : array_like of int
        ``n >= d_w + 2`` and ``N >= d_s``.

    Returns
    -------
    ndarray

    Raises
    ------
    ValueError
        If ``n`` or ``N`` is too small.
    """
    pseudo = validation.at_least(N, setting.d_s, "N", "least squares in sample needs d_s rows")
    shrink = setting.d_s / pseudo
    tau = teacher_variance(setting, n)
    bias = setting.rho_s * (1 - shrink) + setting.b + shrink * setting.residual
    return bias + tau * (setting.d_sw + (setting.d_w - setting.d_sw) * shrink)


def authors_bounds(setting: Setting, n: ArrayLike, N: ArrayLike) -> Risks:
    r"""Risks as coded by the authors: an upper bound for the student, ``d/n`` for the others.

    .. math::

        ER_{w2s} \le \frac{\sigma^2}{n-d_w-1}\Bigl(d_{s\wedge w} + (d_w-d_{s\wedge w})
        \frac{d_s}{N}\Bigr) + \rho_w + \rho_s, \quad
        ER_w = \frac{\sigma^2 d_w}{n} + \rho_w, \quad ER_s = \frac{\sigma^2 d_s}{n} + \rho_s,
        \quad ER_c = \frac{\sigma^2 d_s}{n+N} + \rho_s .

    Parameters
    ----------
    setting : Setting
    n, N : array_like of int
        ``n >= d_w + 2`` and ``N >= 1``.

    Returns
    -------
    Risks
    """
    labels, pseudo = np.asarray(n, float), validation.at_least(N, 1, "N", "pseudo-labels")
    gap = _degrees(n, setting.d_w, "n")
    variance = setting.sigma2 * _dimension_at(setting, pseudo) / gap
    return Risks(
        teacher=setting.sigma2 * setting.d_w / labels + setting.rho_w,
        student=variance + setting.rho_w + setting.rho_s,
        baseline=setting.sigma2 * setting.d_s / labels + setting.rho_s,
        ceiling=setting.sigma2 * setting.d_s / (labels + pseudo) + setting.rho_s,
    )


def authors_pgr_bound(setting: Setting, n: ArrayLike, N: ArrayLike) -> NDArray[np.float64]:
    r"""Authors' lower bound for PGR.

    .. math::

        1 - \frac{n}{n-d_w-1}\frac{D_N}{d_w} - \frac{n}{d_w}\frac{\rho_s+\rho_w}{\sigma^2},
        \qquad D_N = d_{s\wedge w} + (d_w-d_{s\wedge w})\frac{d_s}{N}
    """
    labels, pseudo = np.asarray(n, float), validation.at_least(N, 1, "N", "pseudo-labels")
    variance = labels / _degrees(n, setting.d_w, "n") * _dimension_at(setting, pseudo)
    return 1 - (variance + labels * _bias_to_noise(setting)) / setting.d_w


def authors_opr_bound(setting: Setting, n: ArrayLike, N: ArrayLike) -> NDArray[np.float64]:
    r"""Authors' lower bound for OPR.

    .. math::

        \Bigl\{\frac{n}{n-d_w-1}\frac{D_N}{d_s}
        + \frac{n}{d_s}\frac{\rho_s+\rho_w}{\sigma^2}\Bigr\}^{-1}
    """
    labels, pseudo = np.asarray(n, float), validation.at_least(N, 1, "N", "pseudo-labels")
    variance = labels / _degrees(n, setting.d_w, "n") * _dimension_at(setting, pseudo)
    return setting.d_s / (variance + labels * _bias_to_noise(setting))


def _strong_on_labels(setting: Setting, count: ArrayLike, name: str) -> NDArray:
    noise = setting.sigma2 + setting.rho_s
    return setting.rho_s + noise * setting.d_s / _degrees(count, setting.d_s, name)


def _dimension_at(setting: Setting, N: NDArray) -> NDArray:
    return setting.d_sw + (setting.d_w - setting.d_sw) * setting.d_s / N


def _bias_to_noise(setting: Setting) -> float:
    if setting.sigma2 == 0:
        raise ValueError("sigma2: the authors' PGR and OPR bounds divide by it, got 0")
    return (setting.rho_s + setting.rho_w) / setting.sigma2


def _degrees(count: ArrayLike, dimension: int, name: str) -> NDArray:
    why = f"d + 2 for d = {dimension}: below it the expected risk is infinite"
    return validation.at_least(count, dimension + 2, name, why) - dimension - 1
