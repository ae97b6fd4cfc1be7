r"""Weak-to-strong risks of ridge regression, for any spectrum and any penalties.

Teacher and student are fitted in coordinates in which their features have independent components
of variance :math:`\mu_i`. A fit of a target with coefficients :math:`t` (of unit-variance
coordinates) and label noise :math:`s^2` on ``m`` Gaussian rows is described by its first two
moments (`Fit`),

.. math::

    E\,\hat t = \ell \circ t, \qquad
    \mathrm{Cov}\,\hat t = \mathrm{diag}(\delta)\, \Bigl(s^2 + \sum_i h_i t_i^2\Bigr).

`ridge` gives them by a **deterministic equivalent**: the error vanishes like one over the
dimension, and no random matrix is drawn. Without a penalty and with two rows more than dimensions
they are exact; minimum-norm least squares on fewer rows is exact in `w2s_utils.theory.risks`.

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
        """Principal coordinates of two subspaces and a target.

        Parameters
        ----------
        weak_basis, strong_basis : array_like, shape (D, d_w) and (D, d_s)
            Orthonormal columns: the principal axes of the features.
        theta : array_like, shape (D,)
        sigma2 : float
        weak_spectrum, strong_spectrum : array_like, optional
            Positive variances along the axes; default ones.

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
            weak_spectrum=validation.spectrum(weak_spectrum, "weak_spectrum", len(alpha)),
            strong_spectrum=validation.spectrum(strong_spectrum, "strong_spectrum", len(beta)),
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
    shrinkage, spread, energy : ndarray, shape (d,)
        :math:`\ell`, :math:`\delta` and :math:`h`, the share of the target that acts on the fit
        as noise does.
    """

    shrinkage: Array
    spread: Array
    energy: Array


def ridge(spectrum: ArrayLike, count: int, penalty: float) -> Fit:
    r"""Deterministic equivalent of ridge regression, :math:`\min_c \|\Phi c-y\|^2+\lambda\|c\|^2`.

    With the effective penalty :math:`\kappa` of `effective_penalty`,

    .. math::

        \ell_i = \frac{\mu_i}{\mu_i+\kappa}, \qquad h_i = (1-\ell_i)^2, \qquad
        \delta_i = \frac{\ell_i^2}{m - \sum_j \ell_j^2} .

    Without a penalty and with :math:`m \ge d + 2` rows, the exact :math:`\delta_i = 1/(m-d-1)`.

    Parameters
    ----------
    spectrum : array_like, shape (d,)
        Variances of the features.
    count : int
        Rows, ``m``.
    penalty : float
        :math:`\lambda \ge 0`, as in `w2s_utils.least_squares.Ridge`; zero is minimum-norm
        least squares.

    Raises
    ------
    ValueError
        If the penalty is zero and ``count`` equals the dimension, or an argument is out of range.
    """
    variances = validation.spectrum(spectrum, "spectrum", np.size(spectrum))
    kappa = effective_penalty(variances, count, penalty)
    shrinkage = variances / (variances + kappa)
    degrees = count - np.sum(shrinkage**2)
    if kappa == 0 and degrees >= 2:
        degrees -= 1
    return Fit(shrinkage, spread=shrinkage**2 / degrees, energy=(1 - shrinkage) ** 2)


def effective_penalty(spectrum: ArrayLike, count: int, penalty: float) -> float:
    r"""Solution :math:`\kappa` of :math:`m = \sum_i \mu_i/(\mu_i+\kappa) + \lambda/\kappa`.

    Ridge regression on ``m`` random rows shrinks like ridge regression on the population with
    this penalty. Zero for :math:`\lambda = 0` and :math:`m > d`.
    """
    variances = validation.spectrum(spectrum, "spectrum", np.size(spectrum))
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
    """Teacher's expected risk on a fresh input, from the fit of weak features on the labels."""
    _same_size(fit, problem.alpha, "fit", "weak")
    return _on_labels(problem.alpha, problem.rho_w, problem.sigma2, fit)


def baseline(problem: Principal, fit: Fit) -> float:
    """Expected risk of strong features fitted on true labels: ``n`` of them, or all ``n + N``."""
    _same_size(fit, problem.beta, "fit", "strong")
    return _on_labels(problem.beta, problem.rho_s, problem.sigma2, fit)


def student(problem: Principal, teacher_fit: Fit, student_fit: Fit) -> float:
    r"""Student's expected risk on a fresh input.

    Given the teacher's coefficients :math:`w` the student fits the target :math:`Cw` with label
    noise :math:`v(w) = w^T(I - C^TC)w`, so its risk is quadratic in :math:`w`, and the teacher's
    mean and covariance determine the expectation. ``teacher_fit`` is of the weak features on the
    labels, ``student_fit`` of the strong features on the pseudo-labels.
    """
    _same_size(student_fit, problem.beta, "student_fit", "strong")
    mean, square, noise = _taught(problem, teacher_fit)
    bias = np.sum((student_fit.shrinkage * mean - problem.beta) ** 2)
    moved = student_fit.shrinkage**2 @ (square - mean**2)
    spread = student_fit.spread.sum() * (noise + student_fit.energy @ square)
    return float(problem.rho_s + bias + moved + spread)


def _on_labels(target: Array, rho: float, sigma2: float, fit: Fit) -> float:
    square = target**2
    variance = fit.spread.sum() * (sigma2 + rho + fit.energy @ square)
    return float(rho + (1 - fit.shrinkage) ** 2 @ square + variance)


def _taught(problem: Principal, fit: Fit) -> tuple[Array, Array, float]:
    """Mean and second moment of the student's target C w, and the mean of its noise v(w)."""
    _same_size(fit, problem.alpha, "teacher_fit", "weak")
    cross, alpha, square = problem.cross, problem.alpha, problem.alpha**2
    diagonal = fit.spread * (problem.sigma2 + problem.rho_w + fit.energy @ square)
    mean = cross @ (fit.shrinkage * alpha)
    second = mean**2 + cross**2 @ diagonal
    total = fit.shrinkage**2 @ square + diagonal.sum()
    return mean, second, max(total - second.sum(), 0.0)


def _same_size(fit: Fit, target: Array, name: str, which: str) -> None:
    if len(fit.shrinkage) != len(target):
        raise ValueError(
            f"{name}: expected a fit in the {len(target)} dimensions of the {which} features, "
            f"got one in {len(fit.shrinkage)}"
        )
