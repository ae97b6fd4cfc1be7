r"""What a finite number of pseudo-labels does to the student of the misfit theorem.

The student is fitted on ``n`` inputs,
:math:`\hat f_{sw} = \arg\min_{v \in V_s} L_n(v)`, :math:`L_n(v) = \frac1n \sum_i (v - f_w)^2(x_i)`,
instead of :math:`f_{sw} = \arg\min_{v \in V_s} L(v)`, :math:`L(v) = d(v, f_w)`. For a convex class
its error moves by no more than a chain of four bounds,

.. math::

    |d(\hat f_{sw}, f^*) - \mathrm{err}_{sw}| \le 2 \sqrt{\mathrm{err}_{sw}\, D} + D, \quad
    D = d(\hat f_{sw}, f_{sw}) \le L(\hat f_{sw}) - L(f_{sw}) \le 2 \sup_{v \in V_s} |L_n - L|(v).

The first is Cauchy and Schwarz, the second convexity, the third the usual argument of uniform
convergence, whose right-hand side falls as :math:`n^{-1/2}`: hence :math:`n^{-1/4}`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg, optimize

from w2s_utils import validation
from w2s_utils.theory.projection import Projection
from w2s_utils.validation import Array


@dataclass(frozen=True)
class Deviation:
    r"""The chain of bounds for one sample, from left to right.

    Attributes
    ----------
    error : float
        :math:`d(\hat f_{sw}, f^*) - d(f_{sw}, f^*)`, with its sign.
    distance : float
        :math:`D = d(\hat f_{sw}, f_{sw})`.
    excess : float
        :math:`L(\hat f_{sw}) - L(f_{sw})`.
    uniform : float
        :math:`\sup_{v} |L_n(v) - L(v)|` over the class.
    student_error : float
        :math:`\mathrm{err}_{sw} = d(f_{sw}, f^*)`.
    """

    error: float
    distance: float
    excess: float
    uniform: float
    student_error: float

    @property
    def by_distance(self) -> float:
        """Bound on the absolute error through the distance (Cauchy and Schwarz)."""
        return self._bound(self.distance)

    @property
    def by_excess(self) -> float:
        """Bound through the excess loss (convexity)."""
        return self._bound(self.excess)

    @property
    def by_uniform(self) -> float:
        """Bound through uniform convergence: the rate of the theorem."""
        return self._bound(2 * self.uniform)

    def _bound(self, distance: float) -> float:
        return 2 * float(np.sqrt(self.student_error * distance)) + distance


@dataclass(frozen=True)
class Rate:
    """Least-squares line through logarithms of means against logarithms of sizes.

    Attributes
    ----------
    exponent : float
        Slope of the line.
    standard_error : float
        Of the slope, from the spread over trials (delta method).
    trials : int
        Independent repetitions behind each mean.
    """

    exponent: float
    standard_error: float
    trials: int


def rate(sizes: ArrayLike, values: ArrayLike) -> Rate:
    r"""Exponent :math:`\alpha` of a power law, mean of ``values`` :math:`\propto` ``sizes`` ** α.

    Parameters
    ----------
    sizes : array_like, shape (s,)
        Positive, at least two different ones.
    values : array_like, shape (s, trials)
        Independent repetitions, each row with a positive mean.

    Returns
    -------
    Rate

    Raises
    ------
    ValueError
        If a size or a mean is not positive, sizes are equal, or there is one trial only.
    """
    table = validation.matrix(values, "values")
    n = validation.vector(sizes, "sizes", rows=len(table))
    means, trials = table.mean(axis=1), table.shape[1]
    if not (np.all(n > 0) and np.ptp(n) > 0 and np.all(means > 0) and trials > 1):
        raise ValueError(
            "sizes, values: expected two different positive sizes or more, and for each at least "
            f"two repetitions with a positive mean, got sizes {n}, means {means}, {trials} trials"
        )
    centred = np.log(n) - np.log(n).mean()
    weights = centred / (centred @ centred)
    relative = table.std(axis=1, ddof=1) / means / np.sqrt(trials)
    return Rate(float(weights @ np.log(means)), float(linalg.norm(weights * relative)), trials)


def linear_excess(misfit: float, k: int, n: int) -> float:
    r"""Expected error added by ``n`` pseudo-labels, linear heads on Gaussian features.

    .. math:: \mathbb E\,[d(\hat f_{sw}, f^*) - d(f_{sw}, f^*)]
              = \mathrm{misfit}\,\frac{k}{n - k - 1}

    for least squares on ``k`` jointly Gaussian features, teacher and truth linear in Gaussian
    variables. (What the student cannot express of the teacher acts as label noise of variance
    ``misfit``.)

    Raises
    ------
    ValueError
        If ``n < k + 2``, where the expectation is infinite.
    """
    if n < k + 2:
        raise ValueError(f"n: expected at least k + 2 = {k + 2} pseudo-labels, got {n}")
    return validation.nonnegative(misfit, "misfit", "a mean square") * k / (n - k - 1)


def maximum_on_ball(matrix: ArrayLike, vector: ArrayLike, radius: float) -> float:
    r"""Maximum of :math:`c^T M c + 2 b^T c` over :math:`\|c\|_2 \le R`, whatever the sign of M.

    The dual of this problem has no gap: the maximum is the least value of the convex function
    :math:`\sum_j \beta_j^2 / (\mu - \lambda_j) + \mu R^2` over
    :math:`\mu \ge \max(\lambda_{\max}, 0)`, with the eigenvalues of M and :math:`\beta = Q^T b`.

    Parameters
    ----------
    matrix : array_like, shape (k, k)
        Symmetric.
    vector : array_like, shape (k,)
    radius : float
        Positive.

    Returns
    -------
    float
    """
    quadratic = validation.matrix(matrix, "matrix")
    linear = validation.vector(vector, "vector", rows=len(quadratic))
    bound = validation.positive(radius, "radius")
    slack = 1e-8 * np.abs(quadratic).max()
    square = quadratic.shape[0] == quadratic.shape[1]
    if not (square and np.allclose(quadratic, quadratic.T, atol=slack)):
        raise ValueError(f"matrix: expected a symmetric one, got shape {quadratic.shape}")
    eigenvalues, axes = linalg.eigh(quadratic)
    beta = axes.T @ linear
    # Components that rounding alone made non-zero would put the pole in the way of the minimum.
    keep = np.abs(beta) > np.finfo(float).eps * (linalg.norm(beta) or 1.0)
    squares, poles = beta[keep] ** 2, eigenvalues[keep]
    least = max(float(eigenvalues[-1]), 0.0)

    def slope(multiplier: float) -> float:
        return bound**2 - float(np.sum(squares / (multiplier - poles) ** 2))

    def dual(multiplier: float) -> float:
        return float(np.sum(squares / (multiplier - poles)) + multiplier * bound**2)

    if not keep.any():
        return least * bound**2
    greatest = least + 2 * linalg.norm(beta) / bound  # there the slope is at least 3/4 R^2
    # A pole at the lower end is left by a step in which its own term alone reaches R^2.
    start = max(least, float(np.max(poles + np.sqrt(squares) / bound)))
    if slope(start) >= 0:
        return dual(start)
    return dual(float(optimize.brentq(slope, start, greatest, xtol=1e-15 * greatest, rtol=1e-14)))


def deviation_on_ball(
    features: ArrayLike,
    labels: ArrayLike,
    fitted: Projection,
    projected: Projection,
    *,
    teacher: ArrayLike,
    truth: ArrayLike,
    radius: float,
) -> Deviation:
    r"""Chain of bounds for heads of norm at most R on orthonormal features.

    Functions are linear combinations of features that are orthonormal over the distribution of
    the inputs; the student's class uses the first ``k`` of them.

    Parameters
    ----------
    features : array_like, shape (n, K)
        Features of the sample.
    labels : array_like, shape (n,)
        The teacher's values on the sample.
    fitted, projected : Projection
        Student on the sample and over the distribution, ``k`` coefficients each.
    teacher, truth : array_like, shape (K,)
        Coefficients of :math:`f_w` and :math:`f^*`.
    radius : float

    Returns
    -------
    Deviation
    """
    everything = validation.matrix(features, "features")
    u = validation.vector(labels, "labels", rows=len(everything))
    w = validation.vector(teacher, "teacher", rows=everything.shape[1])
    f = validation.vector(truth, "truth", rows=everything.shape[1])
    found, limit = (np.zeros(len(w)) for _ in range(2))
    k = len(projected.coefficients)
    found[:k], limit[:k] = fitted.coefficients, projected.coefficients
    phi = everything[:, :k]
    quadratic = phi.T @ phi / len(u) - np.eye(k)
    linear = w[:k] - phi.T @ u / len(u)
    constant = u @ u / len(u) - w @ w
    uniform = max(
        maximum_on_ball(quadratic, linear, radius) + constant,
        maximum_on_ball(-quadratic, -linear, radius) - constant,
    )

    def squared(first: Array, second: Array) -> float:
        return float(np.sum((first - second) ** 2))

    student_error = squared(limit, f)
    return Deviation(
        error=squared(found, f) - student_error,
        distance=squared(found, limit),
        excess=squared(found, w) - squared(limit, w),
        uniform=float(uniform),
        student_error=student_error,
    )
