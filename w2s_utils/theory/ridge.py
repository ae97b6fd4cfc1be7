r"""Weak-to-strong risks beyond ordinary least squares: minimum norm below :math:`d`, and ridge.

Teacher and student are fitted in coordinates in which their features have independent components
of variance :math:`\mu_i`. A fit of a target with coefficients :math:`t` (of unit-variance
coordinates) and label noise :math:`s^2` on ``m`` Gaussian rows is described by its first two
moments, and in all cases here these have the form

.. math::

    E\,\hat t = \ell \circ t, \qquad
    \mathrm{Cov}\,\hat t = \eta\, t t^T + \mathrm{diag}(\delta)\,
    \Bigl(s^2 + \sum_i h_i t_i^2\Bigr),

with a shrinkage :math:`\ell`, a spread :math:`\delta` and weights :math:`\eta, h` that depend on
the features, ``m`` and the penalty only (`Fit`). Two sources:

- `minimum_norm` is **exact**, for features of equal variance, on both sides of ``m = d``;
- `ridge` is a **deterministic equivalent**, for any variances and penalties: the error vanishes
  like one over the dimension, and no random matrix is drawn.

Since the student sees the teacher only through pseudo-labels, its expected risk needs no more
than these moments (`student`); with a least-squares student that is exact for *every* teacher
that is linear in the weak features. Proofs are in the chapter ``discrepancy/ridge``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize

from w2s_utils import validation
from w2s_utils.validation import Array


@dataclass(frozen=True)
class Principal:
    r"""Geometry, spectra and noise of a weak-to-strong problem in principal coordinates.

    Attributes
    ----------
    cross : ndarray, shape (d_s, d_w)
        :math:`C = U_s^T U_w`.
    alpha, beta : ndarray, shape (d_w,) and (d_s,)
        Coordinates of the target in the weak and in the strong subspace.
    weak_spectrum, strong_spectrum : ndarray, shape (d_w,) and (d_s,)
        Variances of the features along the columns of :math:`U_w` and :math:`U_s`.
    rho_w, rho_s : float
        Approximation errors.
    sigma2 : float
        Label-noise variance.
    """

    cross: Array
    alpha: Array
    beta: Array
    weak_spectrum: Array
    strong_spectrum: Array
    rho_w: float
    rho_s: float
    sigma2: float

    @classmethod
    def from_bases(
        cls,
        weak_basis: ArrayLike,
        strong_basis: ArrayLike,
        theta: ArrayLike,
        sigma2: float,
        weak_spectrum: ArrayLike | None = None,
        strong_spectrum: ArrayLike | None = None,
    ) -> Principal:
        """Principal of two subspaces and a target.

        Parameters
        ----------
        weak_basis : array_like, shape (D, d_w)
        strong_basis : array_like, shape (D, d_s)
            Orthonormal columns: the principal axes of the features.
        theta : array_like, shape (D,)
        sigma2 : float
        weak_spectrum, strong_spectrum : array_like, optional
            Positive variances along the axes; default ones.

        Returns
        -------
        Principal

        Raises
        ------
        ValueError
            If a basis is not orthonormal, shapes do not match, or a variance is negative.
        """
        weak = validation.orthonormal(weak_basis, "weak_basis")
        strong = validation.orthonormal(strong_basis, "strong_basis", rows=len(weak))
        target = validation.vector(theta, "theta", rows=len(weak))
        alpha, beta = weak.T @ target, strong.T @ target
        norm2 = float(target @ target)
        return cls(
            cross=strong.T @ weak,
            alpha=alpha,
            beta=beta,
            weak_spectrum=_spectrum(weak_spectrum, "weak_spectrum", len(alpha)),
            strong_spectrum=_spectrum(strong_spectrum, "strong_spectrum", len(beta)),
            # Differences of squared norms: rounding may leave them a hair below zero.
            rho_w=max(norm2 - float(alpha @ alpha), 0.0),
            rho_s=max(norm2 - float(beta @ beta), 0.0),
            sigma2=validation.nonnegative(sigma2, "sigma2", "a variance"),
        )


@dataclass(frozen=True)
class Fit:
    r"""First two moments of a linear fit; see the module for their form.

    Attributes
    ----------
    shrinkage : ndarray, shape (d,)
        :math:`\ell`.
    spread : ndarray, shape (d,)
        :math:`\delta`.
    energy : ndarray, shape (d,)
        :math:`h`, the share of the target that acts on the fit as noise does.
    rank_one : float
        :math:`\eta`.
    """

    shrinkage: Array
    spread: Array
    energy: Array
    rank_one: float = 0.0


def minimum_norm(dimension: int, count: int) -> Fit:
    r"""Exact moments of minimum-norm least squares on isotropic Gaussian rows.

    With ``m = count`` rows in ``d = dimension`` dimensions: for :math:`m \ge d + 2` the fit is
    unbiased with covariance :math:`s^2 I/(m-d-1)`; for :math:`m \le d - 2`,

    .. math::

        \ell = \frac md, \quad \delta\,s^2 = \frac{m}{d(d-m-1)}\,s^2, \quad
        \delta\,h = B, \quad \eta = \frac md - B d - \frac{m^2}{d^2}, \quad
        B = \frac{m(d-m)}{d(d-1)(d+2)} .

    Parameters
    ----------
    dimension, count : int

    Returns
    -------
    Fit

    Raises
    ------
    ValueError
        If ``count`` is ``d - 1``, ``d`` or ``d + 1``, where the covariance is infinite.
    """
    d, m = dimension, count
    validation.at_least(d, 1, "dimension", "a dimension")
    validation.at_least(m, 1, "count", "rows")
    if abs(m - d) < 2:
        raise ValueError(
            f"count: expected at most d - 2 = {d - 2} or at least d + 2 = {d + 2} rows, got {m}: "
            "in between the expected risk of least squares is infinite"
        )
    if m > d:
        return Fit(np.ones(d), np.full(d, 1 / (m - d - 1)), np.zeros(d))
    spread = m / (d * (d - m - 1))
    projected = m * (d - m) / (d * (d - 1) * (d + 2))
    return Fit(
        shrinkage=np.full(d, m / d),
        spread=np.full(d, spread),
        energy=np.full(d, projected / spread),
        rank_one=m / d - projected * d - (m / d) ** 2,
    )


def ridge(spectrum: ArrayLike, count: int, penalty: float) -> Fit:
    r"""Deterministic equivalent of ridge regression, :math:`\min_c \|\Phi c-y\|^2+\lambda\|c\|^2`.

    With the effective penalty :math:`\kappa` of `effective_penalty`,

    .. math::

        \ell_i = \frac{\mu_i}{\mu_i+\kappa}, \qquad h_i = (1-\ell_i)^2, \qquad
        \delta_i = \frac{\ell_i^2}{m - \sum_j \ell_j^2} .

    Parameters
    ----------
    spectrum : array_like, shape (d,)
        Variances of the features.
    count : int
        Rows, ``m``.
    penalty : float
        :math:`\lambda \ge 0`, as in `w2s_utils.least_squares.Ridge`; zero is minimum-norm
        least squares.

    Returns
    -------
    Fit

    Raises
    ------
    ValueError
        If the penalty is zero and ``count`` equals the dimension, or an argument is out of range.
    """
    variances = _spectrum(spectrum, "spectrum", np.size(spectrum))
    kappa = effective_penalty(variances, count, penalty)
    shrinkage = variances / (variances + kappa)
    return Fit(
        shrinkage=shrinkage,
        spread=shrinkage**2 / (count - np.sum(shrinkage**2)),
        energy=(1 - shrinkage) ** 2,
    )


def effective_penalty(spectrum: ArrayLike, count: int, penalty: float) -> float:
    r"""Solution :math:`\kappa` of :math:`m = \sum_i \mu_i/(\mu_i+\kappa) + \lambda/\kappa`.

    Ridge regression on ``m`` random rows shrinks like ridge regression on the population with
    this penalty. Zero for :math:`\lambda = 0` and :math:`m > d`.
    """
    variances = _spectrum(spectrum, "spectrum", np.size(spectrum))
    validation.at_least(count, 1, "count", "rows")
    penalty = validation.nonnegative(penalty, "penalty", "in squared feature units times rows")
    if penalty == 0:
        if count == len(variances):
            raise ValueError(
                f"count: with penalty 0 expected another number of rows than the dimension {count}"
                ", where the risk is infinite; give a positive penalty"
            )
        if count > len(variances):
            return 0.0

    def surplus(log_kappa: float) -> float:
        kappa = np.exp(log_kappa)
        return float(np.sum(variances / (variances + kappa)) + penalty / kappa - count)

    # The sum lies below (trace + penalty) / kappa, so the root below this; it decreases.
    upper = np.log((variances.sum() + penalty) / count)
    lower = upper - 1
    while surplus(lower) < 0:
        lower -= 2 * (upper - lower)
    return float(np.exp(optimize.brentq(surplus, lower, upper + 1e-9, xtol=1e-13)))


def teacher(problem: Principal, fit: Fit) -> float:
    """Teacher's expected risk on a fresh input.

    Parameters
    ----------
    problem : Principal
    fit : Fit
        Of the weak features on the labels.

    Returns
    -------
    float
    """
    _same_size(fit, problem.alpha, "fit", "weak")
    square = problem.alpha**2
    noise = problem.sigma2 + problem.rho_w
    variance = fit.rank_one * square.sum() + fit.spread.sum() * (noise + fit.energy @ square)
    return float(problem.rho_w + (1 - fit.shrinkage) ** 2 @ square + variance)


def student(problem: Principal, teacher_fit: Fit, student_fit: Fit) -> float:
    r"""Student's expected risk on a fresh input.

    Given the teacher's coefficients :math:`w` the student fits the target :math:`Cw` with label
    noise :math:`v(w) = w^T(I - C^TC)w`, so its risk is quadratic in :math:`w`, and the teacher's
    mean and covariance determine the expectation.

    Parameters
    ----------
    problem : Principal
    teacher_fit : Fit
        Of the weak features on the labels.
    student_fit : Fit
        Of the strong features on the pseudo-labels.

    Returns
    -------
    float
    """
    _same_size(student_fit, problem.beta, "student_fit", "strong")
    mean, square, noise = _taught(problem, teacher_fit)
    bias = np.sum((student_fit.shrinkage * mean - problem.beta) ** 2)
    moved = student_fit.shrinkage**2 @ (square - mean**2)
    spread = student_fit.spread.sum() * (noise + student_fit.energy @ square)
    return float(problem.rho_s + bias + moved + student_fit.rank_one * square.sum() + spread)


def _taught(problem: Principal, fit: Fit) -> tuple[Array, Array, float]:
    """Mean and second moment of the student's target C w, and the mean of its noise v(w)."""
    _same_size(fit, problem.alpha, "teacher_fit", "weak")
    cross, alpha, square = problem.cross, problem.alpha, problem.alpha**2
    diagonal = fit.spread * (problem.sigma2 + problem.rho_w + fit.energy @ square)
    mean = cross @ (fit.shrinkage * alpha)
    second = mean**2 + fit.rank_one * (cross @ alpha) ** 2 + cross**2 @ diagonal
    total = fit.shrinkage**2 @ square + fit.rank_one * square.sum() + diagonal.sum()
    return mean, second, max(total - second.sum(), 0.0)


def _spectrum(values: ArrayLike | None, name: str, size: int) -> Array:
    if values is None:
        return np.ones(size)
    variances = validation.vector(values, name, rows=size)
    if not np.all(variances > 0):
        raise ValueError(f"{name}: expected positive variances, got {variances.min():g}")
    return variances


def _same_size(fit: Fit, target: Array, name: str, which: str) -> None:
    if len(fit.shrinkage) != len(target):
        raise ValueError(
            f"{name}: expected a fit in the {len(target)} dimensions of the {which} features, "
            f"got one in {len(fit.shrinkage)}"
        )
