r"""Exact laws of the risks in the Gaussian model, not only their means.

The error of least squares with noise variance :math:`s^2` on ``m`` whitened Gaussian rows in
``d`` dimensions is multivariate Student: :math:`\delta = s\,z/\sqrt{\chi^2_{m-d+1}}`,
:math:`z \sim N(0, I_d)`. In canonical coordinates (where :math:`U_s^T U_w` is the diagonal
:math:`C` of cosines) this gives, with :math:`\alpha, \beta` the target's coordinates in
:math:`V_w` and :math:`V_s`,

.. math::

    w &= \alpha + u, & u &= \sqrt{\sigma^2+\rho_w}\; z_w / \sqrt{\chi^2_{n-d_w+1}}, \\
    \hat c &= C w + \delta, & \delta &= \sqrt{w^T(I-C^TC)w}\; z_s / \sqrt{\chi^2_{N-d_s+1}},

    ER_w = \rho_w + \|u\|^2, \quad ER_{w2s} = \rho_s + \|\hat c - \beta\|^2, \quad
    \mathrm{misfit} = w^T(I-C^TC)w + \|\delta\|^2 .

One trial costs :math:`O(d_w)`, whatever ``n``, ``N`` and the ambient dimension.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg, stats

from w2s_utils import validation
from w2s_utils.theory.risks import Setting

# Trials drawn at a time: a block of normals then fits in a core's cache.
BLOCK = 512


@dataclass(frozen=True)
class Canonical:
    """A weak-to-strong problem in canonical coordinates.

    Attributes
    ----------
    cosines : ndarray, shape (min(d_w, d_s),)
        Cosines of the canonical angles.
    alpha : ndarray, shape (d_w,)
        Coordinates of the target in the weak subspace.
    beta : ndarray, shape (d_s,)
        Coordinates of the target in the strong subspace.
    norm2 : float
        Squared norm of the whole target, in squared target units.
    sigma2 : float
        Label-noise variance.
    """

    cosines: NDArray[np.float64]
    alpha: NDArray[np.float64]
    beta: NDArray[np.float64]
    norm2: float
    sigma2: float

    @classmethod
    def from_bases(
        cls, weak_basis: ArrayLike, strong_basis: ArrayLike, theta: ArrayLike, sigma2: float
    ) -> Canonical:
        """Canonical coordinates of a target with respect to two subspaces.

        Parameters
        ----------
        weak_basis : array_like, shape (D, d_w)
        strong_basis : array_like, shape (D, d_s)
            Orthonormal columns.
        theta : array_like, shape (D,)
            Target.
        sigma2 : float
            Label-noise variance.

        Returns
        -------
        Canonical

        Raises
        ------
        ValueError
            If a basis is not orthonormal, shapes do not match, or the variance is negative.
        """
        weak = validation.orthonormal(weak_basis, "weak_basis")
        strong = validation.orthonormal(strong_basis, "strong_basis", rows=len(weak))
        target = validation.vector(theta, "theta", rows=len(weak))
        left, cosines, right = linalg.svd(strong.T @ weak)
        return cls(
            cosines=np.minimum(cosines, 1.0),
            alpha=right @ (weak.T @ target),
            beta=left.T @ (strong.T @ target),
            norm2=float(target @ target),
            sigma2=validation.nonnegative(sigma2, "sigma2", "a variance"),
        )

    @property
    def weak_cosines(self) -> NDArray[np.float64]:
        """Cosine of every weak direction, zero where it has no partner, shape (d_w,)."""
        return np.pad(self.cosines, (0, self.alpha.size - self.cosines.size))

    @property
    def setting(self) -> Setting:
        """The quantities on which the expected risks depend."""
        c, few = self.cosines, self.cosines.size
        in_weak, in_strong = self.alpha @ self.alpha, self.beta @ self.beta
        shared = float(np.sum(c * self.alpha[:few] * self.beta[:few]))
        beta_from_weak = np.zeros_like(self.beta)
        beta_from_weak[:few] = c * self.alpha[:few]
        kappa = float(np.sum((1 - self.weak_cosines**2) * self.alpha**2))
        # Differences of squared norms: rounding may leave them a hair below zero.
        rho_w, rho_s = max(self.norm2 - in_weak, 0.0), max(self.norm2 - in_strong, 0.0)
        return Setting(
            d_w=self.alpha.size,
            d_s=self.beta.size,
            d_sw=float(c @ c),
            sigma2=self.sigma2,
            rho_w=float(rho_w),
            rho_s=float(rho_s),
            b=float(np.sum((self.beta - beta_from_weak) ** 2)),
            kappa=kappa,
            residual=float(max(rho_s - 2 * (in_weak - shared) + kappa, 0.0)),
        )


@dataclass(frozen=True)
class Draws:
    """Joint draws of the teacher's and student's risks; arrays of shape ``(trials,)``."""

    teacher: NDArray[np.float64]
    student: NDArray[np.float64]
    misfit: NDArray[np.float64]

    @property
    def gain(self) -> NDArray[np.float64]:
        """Teacher's risk less the student's."""
        return self.teacher - self.student


def sample(problem: Canonical, n: int, N: int, trials: int, rng: np.random.Generator) -> Draws:
    """Draw teacher, student and misfit jointly from their exact law.

    Parameters
    ----------
    problem : Canonical
    n, N : int
        Labels and pseudo-labels; ``n >= d_w`` and ``N >= d_s`` (means need two more).
    trials : int
        Independent draws.
    rng : numpy.random.Generator

    Returns
    -------
    Draws

    Raises
    ------
    ValueError
        If ``n``, ``N`` or ``trials`` is too small.
    """
    d_w, d_s = problem.alpha.size, problem.beta.size
    validation.at_least(n, d_w, "n", "least squares needs d_w labels")
    validation.at_least(N, d_s, "N", "least squares needs d_s pseudo-labels")
    validation.at_least(trials, 1, "trials", "draws")
    blocks = [
        _block(problem, n, N, min(BLOCK, trials - start), rng) for start in range(0, trials, BLOCK)
    ]
    teacher, student, misfit = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    return Draws(teacher, student, misfit)


def _block(
    problem: Canonical, n: int, N: int, trials: int, rng: np.random.Generator
) -> tuple[NDArray, NDArray, NDArray]:
    setting = problem.setting
    c, few = problem.cosines, problem.cosines.size
    scale = np.sqrt((setting.sigma2 + setting.rho_w) / rng.chisquare(n - setting.d_w + 1, trials))
    u = rng.standard_normal((trials, setting.d_w))
    u *= scale[:, None]
    teacher = setting.rho_w + np.einsum("ij,ij->i", u, u)
    u += problem.alpha
    unseen = (u * u) @ (1 - problem.weak_cosines**2)
    u = u[:, :few] * c - problem.beta[:few]
    distance = np.einsum("ij,ij->i", u, u) + np.sum(problem.beta[few:] ** 2)
    # Only the component of the student's error along its bias, and the norm of the rest, matter.
    spread = unseen / rng.chisquare(N - setting.d_s + 1, trials)
    along = rng.standard_normal(trials)
    rest = rng.chisquare(setting.d_s - 1, trials) if setting.d_s > 1 else 0.0
    error = spread * (along**2 + rest)
    student = setting.rho_s + distance + 2 * np.sqrt(distance * spread) * along + error
    return teacher, student, unseen + error


def teacher_law(setting: Setting, n: int) -> stats.rv_continuous:
    r"""Law of the teacher's risk, a shifted and scaled F variable.

    .. math:: ER_w \sim \rho_w + (\sigma^2+\rho_w)\,\frac{d_w}{n-d_w+1}\,F(d_w, n-d_w+1)

    Parameters
    ----------
    setting : Setting
    n : int
        Labels, at least ``d_w``.

    Returns
    -------
    scipy.stats frozen distribution
        With ``ppf``, ``cdf``, ``mean``, ``rvs``.

    Raises
    ------
    ValueError
        If ``n < d_w``.
    """
    return _least_squares_law(setting.d_w, n, setting.sigma2 + setting.rho_w, setting.rho_w, "n")


def baseline_law(setting: Setting, n: int) -> stats.rv_continuous:
    """Law of the baseline's risk: strong features on ``n >= d_s`` labels."""
    return _least_squares_law(setting.d_s, n, setting.sigma2 + setting.rho_s, setting.rho_s, "n")


def ceiling_law(setting: Setting, n: int, N: int) -> stats.rv_continuous:
    """Law of the ceiling's risk: strong features on ``n + N`` labels."""
    return _least_squares_law(
        setting.d_s, n + N, setting.sigma2 + setting.rho_s, setting.rho_s, "n + N"
    )


def _least_squares_law(
    dimension: int, count: int, noise: float, shift: float, name: str
) -> stats.rv_continuous:
    validation.at_least(count, dimension, name, "least squares needs as many rows as dimensions")
    degrees = count - dimension + 1
    return stats.f(dimension, degrees, loc=shift, scale=noise * dimension / degrees)
