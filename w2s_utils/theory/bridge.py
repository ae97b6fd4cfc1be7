r"""Misfit and gain of Charikar et al. 2024 in the Gaussian model of Dong et al. 2025.

With the abbreviations of `w2s_utils.theory.risks`, the misfit of a student that has all the
pseudo-labels it could wish for, and the product of the parts of the target that lie outside the
student's reach,

.. math::

    M = \tau\,(d_w - d_{s\wedge w}) + \kappa, \qquad
    \xi = \langle (I-P_s)P_w\theta_*,\, (I-P_s)\theta_* \rangle
        = \tfrac12(\rho_s + \kappa - \rho_w + b),

the expectations on a fresh input are

.. math:: E\,\mathrm{misfit} = (1+r)\,M, \qquad E\,\mathrm{gain} = (1-r)\,M - 2\xi .

Proved in the chapter ``bridge/gain_and_misfit``. A student that can express the target has
:math:`\xi = 0`, and so :math:`E\,\mathrm{gain}/E\,\mathrm{misfit} = (N-2d_s-1)/(N-1)`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from w2s_utils import validation
from w2s_utils.theory import risks
from w2s_utils.theory.risks import Setting


def limiting_misfit(setting: Setting, n: ArrayLike) -> NDArray[np.float64]:
    r"""Expected misfit as ``N`` grows, :math:`M = \tau(d_w-d_{s\wedge w}) + \kappa`.

    Parameters
    ----------
    setting : Setting
    n : array_like of int
        Labels, at least ``d_w + 2``.

    Returns
    -------
    ndarray
    """
    discrepancy = setting.d_w - setting.d_sw
    return risks.teacher_variance(setting, n) * discrepancy + setting.kappa


def misfit(setting: Setting, n: ArrayLike, N: ArrayLike) -> NDArray[np.float64]:
    """Expected misfit on a fresh input, ``(1 + r) M``, for ``n >= d_w + 2``, ``N >= d_s + 2``."""
    return (1 + risks.student_factor(setting, N)) * limiting_misfit(setting, n)


def gain(setting: Setting, n: ArrayLike, N: ArrayLike) -> NDArray[np.float64]:
    r"""Expected gain on a fresh input, :math:`(1-r)\,M - 2\xi`: teacher's less student's risk."""
    unseen = (1 - risks.student_factor(setting, N)) * limiting_misfit(setting, n)
    return unseen - 2 * out_of_reach(setting)


def out_of_reach(setting: Setting) -> float:
    r"""Product :math:`\xi` of what the student cannot express of teacher's mean and of target.

    Zero if the student can express the target, or if the teacher's mean is within its reach; at
    most :math:`\sqrt{\kappa\rho_s}` in absolute value; :math:`\kappa` for coordinate subspaces.

    Parameters
    ----------
    setting : Setting

    Returns
    -------
    float

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
    if residual < -slack or abs(product) > limit + slack:
        raise ValueError(
            "setting: the square roots of rho_s, kappa and rho_w - b are the sides of a triangle, "
            f"got rho_s = {setting.rho_s:g}, kappa = {setting.kappa:g}, rho_w - b = {residual:g}; "
            "take them from w2s_utils.theory.laws.Canonical.setting"
        )
    return float(product)


def misfit_in_sample(setting: Setting, n: ArrayLike, N: ArrayLike) -> NDArray[np.float64]:
    """Expected misfit over the student's own inputs, ``(1 - d_s / N) M``, for ``N >= d_s``."""
    pseudo = validation.at_least(N, setting.d_s, "N", "least squares needs d_s pseudo-labels")
    return (1 - setting.d_s / pseudo) * limiting_misfit(setting, n)


def gain_per_misfit(d_s: int, N: ArrayLike, *, in_sample: bool = False) -> NDArray[np.float64]:
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
