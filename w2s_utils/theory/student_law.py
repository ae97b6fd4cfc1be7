r"""Law of the student's risk as a computable mixture, and how often it beats its teacher.

Given the teacher's coefficients ``w`` (canonical coordinates) and the chi-square variable
:math:`Y \sim \chi^2_{N-d_s+1}` of the student's design, the student's risk is a scaled noncentral
chi-square variable,

.. math::

    ER_{w2s} - \rho_s \mid w, Y \;\sim\; \frac{v}{Y}\;\chi'^2_{d_s}\!\Bigl(\frac{m\,Y}{v}\Bigr),
    \qquad v = w^T(I-C^TC)w, \quad m = \|Cw-\beta\|^2 ,

so its distribution function is an average of noncentral chi-square ones over ``(w, Y)``. Without
misspecification, and when every cosine is 0 or 1, the average is over three independent scalars,

.. math::

    t \sim \mathrm{Beta}\Bigl(\frac{d_{s\wedge w}}2, \frac{d_w-d_{s\wedge w}}2\Bigr), \quad
    ER_w \sim \sigma^2 \frac{d_w}{n-d_w+1} F(d_w, n-d_w+1), \quad Y,
    \qquad m = t\,ER_w, \; v = (1-t)\,ER_w,

and Gaussian quadrature gives it to many digits (`coordinate_law`). In general it is averaged over
draws of ``(w, Y)`` (`sampled_law`), with a standard error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg, optimize, stats

from w2s_utils import validation
from w2s_utils.theory.laws import Canonical


@dataclass(frozen=True)
class StudentLaw:
    """Mixture of scaled noncentral chi-square laws; arrays over its components, shape (k,).

    Attributes
    ----------
    weights : ndarray
        Sum to one.
    teacher : ndarray
        Teacher's risk in each component.
    seen : ndarray
        Squared distance ``m`` of the teacher from the target within the student's subspace.
    spread : ndarray
        Variance ``v / Y`` of the student's coefficients.
    floor : float
        The student's approximation error.
    d_s : int
    drawn : bool
        Whether the components are independent draws (then there are standard errors).
    """

    weights: NDArray[np.float64]
    teacher: NDArray[np.float64]
    seen: NDArray[np.float64]
    spread: NDArray[np.float64]
    floor: float
    d_s: int
    drawn: bool

    def cdf(self, risk: ArrayLike) -> NDArray[np.float64]:
        """Probability that the student's risk is at most ``risk``."""
        values = np.asarray(risk, dtype=float)
        each = [self.weights @ self._conditional(x) for x in values.ravel()]
        return np.reshape(each, values.shape)

    def ppf(self, probability: ArrayLike) -> NDArray[np.float64]:
        """Quantiles of the student's risk, to a relative error of 1e-9.

        Raises
        ------
        ValueError
            If a probability is not strictly between 0 and 1.
        """
        values = np.asarray(probability, dtype=float)
        if not np.all((values > 0) & (values < 1)):
            raise ValueError(f"probability: expected numbers in (0, 1), got {probability!r}")
        return np.reshape([self._quantile(p) for p in values.ravel()], values.shape)

    def mean(self) -> float:
        """Expected risk of the student (of the draws, if drawn)."""
        return self.floor + float(self.weights @ (self.seen + self.d_s * self.spread))

    def beats_teacher(self) -> float:
        """Probability that the student's risk is strictly below its teacher's in one run."""
        return float(self.weights @ self._conditional(self.teacher))

    def standard_error(self, risk: ArrayLike | None = None) -> NDArray[np.float64]:
        """Monte Carlo error of ``cdf(risk)``, or of ``beats_teacher()`` without an argument.

        Zero for a law computed by quadrature.
        """
        points = np.atleast_1d(np.nan if risk is None else np.asarray(risk, dtype=float))
        if not self.drawn:
            errors = np.zeros(points.size)
        else:
            limits = [self.teacher] if risk is None else points.ravel()
            errors = np.array([self._conditional(limit).std(ddof=1) for limit in limits])
            errors = errors / np.sqrt(self.weights.size)
        return errors.reshape(() if risk is None else np.shape(risk))

    def _conditional(self, limit: ArrayLike) -> NDArray:
        """Probability in each component that the risk is at most ``limit``."""
        room = np.broadcast_to(np.asarray(limit, dtype=float) - self.floor, self.spread.shape)
        # Without spread the student copies the teacher's part in its subspace: no strict gain.
        probability = (room > self.seen).astype(float)
        use = (self.spread > 0) & (room > 0)
        spread = self.spread[use]
        probability[use] = stats.ncx2.cdf(room[use] / spread, self.d_s, self.seen[use] / spread)
        return probability

    def _quantile(self, probability: float) -> float:
        centre = self.mean() - self.floor
        low, high = centre / 2, 2 * centre
        while self.cdf(self.floor + low) > probability:
            low /= 2
        while self.cdf(self.floor + high) < probability:
            high *= 2
        root = optimize.brentq(
            lambda log_room: float(self.cdf(self.floor + np.exp(log_room))) - probability,
            np.log(low),
            np.log(high),
            xtol=1e-9,
        )
        return self.floor + float(np.exp(root))


def coordinate_law(
    d_w: int, d_s: int, d_sw: int, sigma2: float, n: int, N: int, *, nodes: int = 24
) -> StudentLaw:
    """Law of the student's risk, well specified, ``d_sw`` directions shared and the rest not.

    Parameters
    ----------
    d_w, d_s, d_sw : int
        ``0 <= d_sw <= min(d_w, d_s)``.
    sigma2 : float
        Label-noise variance, positive.
    n, N : int
        Labels and pseudo-labels, ``n >= d_w`` and ``N >= d_s``.
    nodes : int
        Quadrature nodes for each of the three scalars; double them to see the error.

    Returns
    -------
    StudentLaw

    Raises
    ------
    ValueError
        If a dimension or size is out of range.
    """
    _check_sizes(d_w, d_s, d_sw, N, nodes)
    validation.at_least(n, d_w, "n", "least squares needs d_w labels")
    validation.positive(sigma2, "sigma2")
    share, share_weight = _beta_rule(d_sw, d_w - d_sw, nodes)
    odds, odds_weight = _beta_rule(d_w, n - d_w + 1, nodes)
    scale, scale_weight = _chi2_rule(N - d_s + 1, nodes)
    t, part, y = (grid.ravel() for grid in np.meshgrid(share, odds, scale, indexing="ij"))
    weights = np.einsum("i,j,k->ijk", share_weight, odds_weight, scale_weight).ravel()
    teacher = sigma2 * part / (1 - part)
    return StudentLaw(weights, teacher, t * teacher, (1 - t) * teacher / y, 0.0, d_s, drawn=False)


def sampled_law(
    problem: Canonical, n: int, N: int, draws: int, rng: np.random.Generator
) -> StudentLaw:
    """Law of the student's risk in any Gaussian problem, averaged over drawn teachers.

    Parameters
    ----------
    problem : Canonical
    n, N : int
        ``n >= d_w`` and ``N >= d_s``.
    draws : int
        Teachers (and scales ``Y``) drawn, at least 2: the error of a probability is at most
        ``0.5 / sqrt(draws)``, usually far less.
    rng : numpy.random.Generator

    Returns
    -------
    StudentLaw

    Raises
    ------
    ValueError
        If ``n``, ``N`` or ``draws`` is too small.
    """
    d_w, d_s, few = problem.alpha.size, problem.beta.size, problem.cosines.size
    validation.at_least(n, d_w, "n", "least squares needs d_w labels")
    validation.at_least(N, d_s, "N", "least squares needs d_s pseudo-labels")
    validation.at_least(draws, 2, "draws", "a standard error")
    setting = problem.setting
    noise = np.sqrt((setting.sigma2 + setting.rho_w) / rng.chisquare(n - d_w + 1, draws))
    error = noise[:, None] * rng.standard_normal((draws, d_w))
    teacher = setting.rho_w + np.sum(error**2, axis=1)
    coefficients = problem.alpha + error
    unseen = coefficients**2 @ (1 - problem.weak_cosines**2)
    within = np.zeros((draws, d_s))
    within[:, :few] = coefficients[:, :few] * problem.cosines
    return StudentLaw(
        weights=np.full(draws, 1 / draws),
        teacher=teacher,
        seen=np.sum((within - problem.beta) ** 2, axis=1),
        spread=unseen / rng.chisquare(N - d_s + 1, draws),
        floor=setting.rho_s,
        d_s=d_s,
        drawn=True,
    )


def probability_of_gain(d_w: int, d_s: int, d_sw: int, N: int, *, nodes: int = 48) -> float:
    r"""Probability that one student beats its own teacher, well specified, shared directions.

    .. math::

        E_{t, Y}\; F_{\chi'^2_{d_s}(tY/(1-t))}\!\Bigl(\frac{Y}{1-t}\Bigr)

    Neither the number of labels nor the noise enters: the size of the teacher's error cancels.

    Parameters
    ----------
    d_w, d_s, d_sw : int
        ``0 <= d_sw <= min(d_w, d_s)``; with ``d_sw = d_w`` the student is its teacher and the
        probability of beating it 0.
    N : int
        Pseudo-labels, at least ``d_s``.
    nodes : int
        Quadrature nodes for each of the two scalars. The default is exact to 1e-8 for
        ``d_s >= 10``, and to 1e-3 down to ``d_s = 2``; double it to see the error.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If a dimension or size is out of range.
    """
    _check_sizes(d_w, d_s, d_sw, N, nodes)
    if d_sw == d_w:
        return 0.0
    share, share_weight = _beta_rule(d_sw, d_w - d_sw, nodes)
    scale, scale_weight = _chi2_rule(N - d_s + 1, nodes)
    t, y = np.meshgrid(share, scale, indexing="ij")
    conditional = stats.ncx2.cdf(y / (1 - t), d_s, y * t / (1 - t))
    return float(share_weight @ conditional @ scale_weight)


def _check_sizes(d_w: int, d_s: int, d_sw: int, N: int, nodes: int) -> None:
    for name, value in (("d_w", d_w), ("d_s", d_s)):
        validation.at_least(value, 1, name, "a dimension")
    if d_sw != int(d_sw) or not 0 <= d_sw <= min(d_w, d_s):
        raise ValueError(
            f"d_sw: expected an integer, 0 to min(d_w, d_s) = {min(d_w, d_s)}, got {d_sw!r}; for "
            "other angles use sampled_law"
        )
    validation.at_least(N, d_s, "N", "least squares needs d_s pseudo-labels")
    validation.at_least(nodes, 1, "nodes", "quadrature nodes")


def _chi2_rule(degrees: int, nodes: int) -> tuple[NDArray, NDArray]:
    """Gauss rule for the chi-square law: nodes and weights that sum to one."""
    a, k = degrees / 2 - 1, np.arange(nodes)
    points, weights = _gauss(2 * k + a + 1, np.sqrt(k[1:] * (k[1:] + a)))
    return 2 * points, weights


def _beta_rule(first: int, second: int, nodes: int) -> tuple[NDArray, NDArray]:
    """Gauss rule for the share of ``first`` among ``first + second`` squared normals."""
    if first == 0 or second == 0:
        return np.array([float(second == 0)]), np.ones(1)
    # Jacobi polynomials on [-1, 1], weight (1-x)^a (1+x)^b; scipy's rule overflows at such a, b.
    a, b, k = second / 2 - 1, first / 2 - 1, np.arange(1, nodes)
    total = 2 * k + a + b
    diagonal = np.concatenate([[(b - a) / (a + b + 2)], (b**2 - a**2) / (total * (total + 2))])
    # The first term is written without the factor (1 + a + b), which may vanish above and below.
    squared = 4 * k * (k + a) * (k + b) / (total**2 * (total + 1))
    squared[1:] *= (k[1:] + a + b) / (total[1:] - 1)
    points, weights = _gauss(diagonal, np.sqrt(squared))
    return (1 + points) / 2, weights


def _gauss(diagonal: NDArray, off_diagonal: NDArray) -> tuple[NDArray, NDArray]:
    """Golub and Welsch: nodes and weights from the recurrence of the orthonormal polynomials."""
    points, vectors = linalg.eigh_tridiagonal(diagonal, off_diagonal)
    return points, vectors[0] ** 2
