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

Teacher, baseline and ceiling have F laws. The student's is a mixture: given the teacher's
coefficients ``w`` and the chi-square variable :math:`Y \sim \chi^2_{N-d_s+1}` of its design,

.. math::

    ER_{w2s} - \rho_s \mid w, Y \;\sim\; \frac{v}{Y}\;\chi'^2_{d_s}\!\Bigl(\frac{m\,Y}{v}\Bigr),
    \qquad v = w^T(I-C^TC)w, \quad m = \|Cw-\beta\|^2 ,

so its distribution function is an average of noncentral chi-square ones over ``(w, Y)``. Without
misspecification, and when every cosine is 0 or 1, the average is over three independent scalars,

.. math::

    t \sim \mathrm{Beta}\Bigl(\frac{d_{s\wedge w}}2, \frac{d_w-d_{s\wedge w}}2\Bigr), \quad
    ER_w \sim \sigma^2 \frac{d_w}{n-d_w+1} F(d_w, n-d_w+1), \quad Y,
    \qquad m = t\,ER_w, \; v = (1-t)\,ER_w,

and quadrature gives it (`coordinate_law`). In general the risks are drawn (`sample`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg, optimize, special, stats

from w2s_utils import validation
from w2s_utils.theory import risks
from w2s_utils.theory.risks import Setting
from w2s_utils.validation import Array

# Trials drawn at a time: a block of normals then fits in a core's cache.
BLOCK = 512
# Noncentrality from which the normal law of the root is as exact as SciPy's noncentral chi-square,
# which at 1e12 returns NaN.
LARGE = 1e9


@dataclass(frozen=True)
class Canonical:
    """A weak-to-strong problem in canonical coordinates.

    Attributes
    ----------
    cosines : ndarray, shape (min(d_w, d_s),)
        Cosines of the canonical angles; exactly 1 where rounding alone keeps them from it.
    alpha, beta : ndarray, shape (d_w,) and (d_s,)
        Coordinates of the target in the weak and in the strong subspace.
    norm2 : float
        Squared norm of the whole target, in squared target units.
    sigma2 : float
        Label-noise variance.
    """

    cosines: Array
    alpha: Array
    beta: Array
    norm2: float
    sigma2: float

    @classmethod
    def from_bases(
        cls, weak_basis: ArrayLike, strong_basis: ArrayLike, theta: ArrayLike, sigma2: float
    ) -> Canonical:
        """Canonical coordinates of a target, shape ``(D,)``, with respect to two subspaces.

        The bases have shapes ``(D, d_w)`` and ``(D, d_s)`` and orthonormal columns.

        Raises
        ------
        ValueError
            If a basis is not orthonormal, shapes do not match, or the variance is negative.
        """
        weak = validation.orthonormal(weak_basis, "weak_basis")
        strong = validation.orthonormal(strong_basis, "strong_basis", rows=len(weak))
        target = validation.vector(theta, "theta", rows=len(weak))
        left, cosines, right = linalg.svd(strong.T @ weak)
        rounding = 4 * len(weak) * np.finfo(float).eps
        return cls(
            cosines=np.where(cosines > 1 - rounding, 1.0, cosines),
            alpha=right @ (weak.T @ target),
            beta=left.T @ (strong.T @ target),
            norm2=float(target @ target),
            sigma2=validation.nonnegative(sigma2, "sigma2", "a variance"),
        )

    @property
    def weak_cosines(self) -> Array:
        """Cosine of every weak direction, zero where it has no partner, shape (d_w,)."""
        return np.pad(self.cosines, (0, self.alpha.size - self.cosines.size))

    @property
    def setting(self) -> Setting:
        """The quantities on which the expected risks depend."""
        c, few = self.cosines, self.cosines.size
        in_weak, in_strong = float(self.alpha @ self.alpha), float(self.beta @ self.beta)
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
            rho_w=rho_w,
            rho_s=rho_s,
            b=float(np.sum((self.beta - beta_from_weak) ** 2)),
            kappa=kappa,
            residual=max(rho_s - 2 * (in_weak - shared) + kappa, 0.0),
            norm2=self.norm2,
        )


@dataclass(frozen=True)
class Draws:
    """Joint draws of the teacher's and student's risks; arrays of shape ``(trials,)``."""

    teacher: Array
    student: Array
    misfit: Array

    @property
    def gain(self) -> Array:
        """Teacher's risk less the student's."""
        return self.teacher - self.student


def sample(problem: Canonical, n: int, N: int, trials: int, rng: np.random.Generator) -> Draws:
    """Draw teacher, student and misfit jointly from their exact law, ``trials`` times.

    For ``n >= d_w`` and ``N >= d_s`` (means need two more), else it raises `ValueError`.
    """
    _check_sizes(problem.alpha.size, problem.beta.size, n, N)
    validation.at_least(trials, 1, "trials", "draws")
    blocks = [
        _block(problem, n, N, min(BLOCK, trials - start), rng) for start in range(0, trials, BLOCK)
    ]
    teacher, student, misfit = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    return Draws(teacher, student, misfit)


def _block(
    problem: Canonical, n: int, N: int, trials: int, rng: np.random.Generator
) -> tuple[Array, Array, Array]:
    """Teacher's risk, student's risk and misfit; m, v and Y as in the module's text."""
    setting, c, few = problem.setting, problem.cosines, problem.cosines.size
    noise = np.sqrt((setting.sigma2 + setting.rho_w) / rng.chisquare(n - setting.d_w + 1, trials))
    u = rng.standard_normal((trials, setting.d_w))
    u *= noise[:, None]
    teacher = setting.rho_w + np.einsum("ij,ij->i", u, u)
    u += problem.alpha
    v = (u * u) @ (1 - problem.weak_cosines**2)
    u = u[:, :few] * c - problem.beta[:few]
    m = np.einsum("ij,ij->i", u, u) + np.sum(problem.beta[few:] ** 2)
    spread = v / rng.chisquare(N - setting.d_s + 1, trials)
    # Only the component of the student's error along its bias, and the norm of the rest, matter.
    along = rng.standard_normal(trials)
    rest = rng.chisquare(setting.d_s - 1, trials) if setting.d_s > 1 else 0.0
    error = spread * (along**2 + rest)
    student = setting.rho_s + m + 2 * np.sqrt(m * spread) * along + error
    return teacher, student, v + error


def teacher_law(setting: Setting, n: int) -> stats.rv_continuous:
    r"""Law of the teacher's risk, a shifted and scaled F variable.

    .. math:: ER_w \sim \rho_w + (\sigma^2+\rho_w)\,\frac{d_w}{n-d_w+1}\,F(d_w, n-d_w+1)

    A frozen distribution of SciPy, with ``ppf``, ``cdf``, ``mean``, ``rvs``; `ValueError` for
    ``n < d_w``, and so for baseline and ceiling.
    """
    return _least_squares_law(setting.d_w, n, setting.sigma2 + setting.rho_w, setting.rho_w, "n")


def baseline_law(setting: Setting, n: int) -> stats.rv_continuous:
    """Law of the baseline's risk: strong features on ``n >= d_s`` labels."""
    return _least_squares_law(setting.d_s, n, setting.sigma2 + setting.rho_s, setting.rho_s, "n")


def ceiling_law(setting: Setting, n: int, N: int) -> stats.rv_continuous:
    """Law of the ceiling's risk: strong features on ``n + N`` labels."""
    noise = setting.sigma2 + setting.rho_s
    return _least_squares_law(setting.d_s, n + N, noise, setting.rho_s, "n + N")


def _least_squares_law(
    dimension: int, count: int, noise: float, shift: float, name: str
) -> stats.rv_continuous:
    validation.at_least(count, dimension, name, "least squares needs as many rows as dimensions")
    degrees = count - dimension + 1
    return stats.f(dimension, degrees, loc=shift, scale=noise * dimension / degrees)


@dataclass(frozen=True)
class StudentLaw:
    """Mixture of scaled noncentral chi-square laws; arrays over its components, shape (k,).

    Attributes
    ----------
    weights : ndarray
        Sum to one.
    seen : ndarray
        Squared distance ``m`` of the teacher from the target within the student's subspace.
    spread : ndarray
        Variance ``v / Y`` of the student's coefficients, positive.
    d_s : int
    expected : float
        Expected risk; may be infinite.
    """

    weights: Array
    seen: Array
    spread: Array
    d_s: int
    expected: float

    def cdf(self, risk: ArrayLike) -> Array:
        """Probability that the student's risk is at most ``risk``."""
        values = np.asarray(risk, dtype=float)
        each = [self._below(x) if x > 0 else 0.0 for x in values.ravel()]
        return np.reshape(each, values.shape)

    def ppf(self, probability: ArrayLike) -> Array:
        """Quantiles of the student's risk, to a relative 1e-9; `ValueError` outside (0, 1)."""
        values = np.asarray(probability, dtype=float)
        if not np.all((values > 0) & (values < 1)):
            raise ValueError(f"probability: expected numbers in (0, 1), got {probability!r}")
        return np.reshape([self._quantile(p) for p in values.ravel()], values.shape)

    def mean(self) -> float:
        """Expected risk of the student."""
        return self.expected

    def _below(self, risk: float) -> float:
        conditional = _noncentral(risk / self.spread, self.d_s, self.seen / self.spread)
        return float(self.weights @ conditional)

    def _quantile(self, probability: float) -> float:
        centre = float(self.weights @ (self.seen + self.d_s * self.spread))
        low, high = centre / 2, 2 * centre
        while self._below(low) > probability:
            low /= 2
        while self._below(high) < probability:
            high *= 2
        root = optimize.brentq(
            lambda log_risk: self._below(np.exp(log_risk)) - probability,
            np.log(low),
            np.log(high),
            xtol=1e-9,
        )
        return float(np.exp(root))


def coordinate_law(
    d_w: int, d_s: int, d_sw: int, sigma2: float, n: int, N: int, *, nodes: int = 24
) -> Any:
    """Law of the student's risk, well specified, ``d_sw`` directions shared and the rest not.

    Parameters
    ----------
    d_w, d_s, d_sw, sigma2, n, N
        ``0 <= d_sw <= min(d_w, d_s)``, ``sigma2 > 0``, ``n >= d_w`` and ``N >= d_s``, else
        `ValueError`.
    nodes : int
        Quadrature nodes for each of the three scalars; probabilities are exact to about 1e-4 with
        the default. Double it to see the error.

    Returns
    -------
    StudentLaw
        With ``cdf``, ``ppf`` and ``mean``. With ``d_sw = d_w`` the student is its teacher, and
        this is `teacher_law`.
    """
    _check_sizes(d_w, d_s, n, N)
    _check_rule(d_w, d_s, d_sw, nodes)
    validation.positive(sigma2, "sigma2")
    setting = Setting(d_w, d_s, d_sw, sigma2)
    if d_sw == d_w:
        return teacher_law(setting, n)
    size, scale = _rule(teacher_law(setting, n), nodes), _rule(stats.chi2(N - d_s + 1), nodes)
    points, weights = zip(_share(d_w, d_sw, nodes), size, scale, strict=True)
    t, teacher, y = (grid.ravel() for grid in np.meshgrid(*points, indexing="ij"))
    return StudentLaw(
        weights=np.prod(np.meshgrid(*weights, indexing="ij"), axis=0).ravel(),
        seen=t * teacher,
        spread=(1 - t) * teacher / y,
        d_s=d_s,
        expected=float(risks.student(setting, n, N)),
    )


def probability_of_gain(d_w: int, d_s: int, d_sw: int, N: int, *, nodes: int = 48) -> float:
    r"""Probability that one student beats its own teacher, well specified, shared directions.

    .. math::

        E_{t, Y}\; F_{\chi'^2_{d_s}(tY/(1-t))}\!\Bigl(\frac{Y}{1-t}\Bigr)

    Neither the number of labels nor the noise enters: the size of the teacher's error cancels.

    Parameters
    ----------
    d_w, d_s, d_sw, N : int
        ``0 <= d_sw <= min(d_w, d_s)`` and ``N >= d_s``, else `ValueError`; with ``d_sw = d_w`` the
        student is its teacher and the probability of beating it 0.
    nodes : int
        Quadrature nodes for each of the two scalars. The default is exact to about 3e-5; double it
        to see the error.
    """
    _check_sizes(d_w, d_s, d_w, N)
    _check_rule(d_w, d_s, d_sw, nodes)
    if d_sw == d_w:
        return 0.0
    share, share_weight = _share(d_w, d_sw, nodes)
    scale, scale_weight = _rule(stats.chi2(N - d_s + 1), nodes)
    t, y = np.meshgrid(share, scale, indexing="ij")
    conditional = _noncentral(y / (1 - t), d_s, y * t / (1 - t))
    return float(share_weight @ conditional @ scale_weight)


def _check_sizes(d_w: int, d_s: int, n: int, N: int) -> None:
    for name, value in (("d_w", d_w), ("d_s", d_s)):
        validation.at_least(value, 1, name, "a dimension")
    validation.at_least(n, d_w, "n", "least squares needs d_w labels")
    validation.at_least(N, d_s, "N", "least squares needs d_s pseudo-labels")


def _check_rule(d_w: int, d_s: int, d_sw: int, nodes: int) -> None:
    if d_sw != int(d_sw) or not 0 <= d_sw <= min(d_w, d_s):
        raise ValueError(
            f"d_sw: expected an integer, 0 to min(d_w, d_s) = {min(d_w, d_s)}, got {d_sw!r}; for "
            "other angles use sample"
        )
    validation.at_least(nodes, 1, "nodes", "quadrature nodes")


def _noncentral(value: Array, degrees: int, noncentrality: Array) -> Array:
    """Distribution function of the noncentral chi-square law, also far from the centre."""
    far = noncentrality > LARGE
    near = stats.ncx2.cdf(value, degrees, np.where(far, 0.0, noncentrality))
    root = np.sqrt(value) - np.sqrt(noncentrality + degrees - 1)
    return np.asarray(np.where(far, special.ndtr(root), near))


def _share(d_w: int, d_sw: int, nodes: int) -> tuple[Array, Array]:
    """Quadrature rule for the share of the teacher's error that falls on shared directions."""
    if d_sw == 0:
        return np.zeros(1), np.ones(1)
    points, weights = _rule(stats.beta(d_sw / 2, (d_w - d_sw) / 2), nodes)
    # At a share of one within rounding the student has no noise of its own, and no law of it.
    return np.minimum(points, 1 - np.finfo(float).eps), weights


def _rule(law: Any, nodes: int) -> tuple[Array, Array]:
    """Quantiles of a law at Gauss and Legendre's nodes, and their weights, which sum to one."""
    points, weights = np.polynomial.legendre.leggauss(nodes)
    return np.asarray(law.ppf((1 + points) / 2)), weights / 2
