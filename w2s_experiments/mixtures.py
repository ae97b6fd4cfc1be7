r"""Mixtures of k linear softmax heads, trained together on a teacher's soft labels.

The heads :math:`x \mapsto \mathrm{softmax}(C^T \varphi(x))` on one representation are a class that
is not convex; its mixtures :math:`\sum_{j \le k} a_j\, \mathrm{softmax}(C_j^T \varphi)` come nearer
to its convex hull as ``k`` grows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

from w2s_utils import validation


@dataclass(frozen=True)
class Mixture:
    """Mixture of softmax heads.

    Attributes
    ----------
    weights : ndarray, shape (k,)
    heads : ndarray, shape (k, p, c)
    values : ndarray, shape (m, c)
        Its class probabilities on the inputs it was trained on.
    loss : float
        Mean KL divergence from the teacher, the student first.
    """

    weights: NDArray[np.float64]
    heads: NDArray[np.float64]
    values: NDArray[np.float64]
    loss: float


def fit(
    teacher: ArrayLike,
    features: ArrayLike,
    k: int,
    rng: np.random.Generator,
    *,
    largest: float,
    starts: int = 3,
) -> Mixture:
    r"""Fit weights and heads together, minimising :math:`\mathbb E\,\mathrm{KL}(f \| f_w)`.

    Not a convex problem: L-BFGS from several random starts, of which the best is kept.

    Parameters
    ----------
    teacher : array_like, shape (m, c)
        Positive probabilities.
    features : array_like, shape (m, p)
    k : int
        Number of heads.
    rng : numpy.random.Generator
        Draws the starts.
    largest : float
        Bound on the coefficients of a head: it makes the class of heads bounded.
    starts : int

    Returns
    -------
    Mixture

    Raises
    ------
    ValueError
        If shapes do not match, probabilities are not positive, or ``k < 1``.
    """
    w, phi = _problem(teacher, features)
    validation.at_least(k, 1, "k", "number of heads")
    validation.positive(largest, "largest")
    shape = (k, phi.shape[1], w.shape[1])

    log_w = np.log(w)

    def parts(flat: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        """Logarithms of the weights, of each head's probabilities and of the mixture's."""
        weights = special.log_softmax(flat[:k])
        each = special.log_softmax(np.matmul(phi, flat[k:].reshape(shape)), axis=2)
        return weights, each, special.logsumexp(each + weights[:, None, None], axis=0)

    def loss(flat: NDArray) -> tuple[float, NDArray]:
        weights, each, log_f = parts(flat)
        weights, each = np.exp(weights), np.exp(each)
        pull = log_f - log_w
        along = each * pull
        scores = along.sum(axis=2)
        by_head = np.matmul(phi.T, weights[:, None, None] * (along - each * scores[..., None]))
        by_weight = scores.mean(axis=1)
        by_weight = weights * (by_weight - weights @ by_weight)
        slope = np.concatenate([by_weight, by_head.ravel() / len(w)])
        return float(np.sum(np.exp(log_f) * pull) / len(w)), slope

    fits = []
    for _ in range(starts):
        start = np.concatenate([np.zeros(k), rng.uniform(-largest, largest, int(np.prod(shape)))])
        found = optimize.minimize(
            loss,
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=[(None, None)] * k + [(-largest, largest)] * int(np.prod(shape)),
            options={"maxiter": 1000, "ftol": 1e-11, "gtol": 1e-7},
        )
        fits.append(found)
    best = min(fits, key=lambda fit: fit.fun)
    weights, _, log_f = parts(best.x)
    return Mixture(np.exp(weights), best.x[k:].reshape(shape), np.exp(log_f), float(best.fun))


def worst_truth(
    teacher: ArrayLike,
    student: ArrayLike,
    features: ArrayLike,
    rng: np.random.Generator,
    *,
    largest: float,
    starts: int = 5,
) -> NDArray[np.float64]:
    r"""Softmax head for which the gain falls furthest short of the misfit, as far as found.

    Maximises :math:`\mathbb E\langle\log f_w - \log f_{sw},\, g - f_{sw}\rangle` over softmax heads
    :math:`g` with coefficients of size at most ``largest``, by L-BFGS from random starts.

    Parameters
    ----------
    teacher, student : array_like, shape (m, c)
    features : array_like, shape (m, p)
    rng : numpy.random.Generator
    largest : float
        Bound on the coefficients.
    starts : int

    Returns
    -------
    ndarray, shape (m, c)
        Its class probabilities.
    """
    w, phi = _problem(teacher, features)
    s = validation.matrix(student, "student", rows=len(w))
    shape = (phi.shape[1], w.shape[1])
    pull = np.log(w) - np.log(s)

    def loss(flat: NDArray) -> tuple[float, NDArray]:
        g = special.softmax(phi @ flat.reshape(shape), axis=1)
        along = g * pull
        scores = along.sum(axis=1, keepdims=True)
        return -float(scores.mean()), -(phi.T @ (along - g * scores)).ravel() / len(w)

    found = [
        optimize.minimize(
            loss,
            rng.uniform(-largest, largest, shape[0] * shape[1]),
            jac=True,
            method="L-BFGS-B",
            bounds=[(-largest, largest)] * (shape[0] * shape[1]),
        )
        for _ in range(starts)
    ]
    head = min(found, key=lambda result: result.fun).x.reshape(shape)
    return special.softmax(phi @ head, axis=1)


def _problem(teacher: ArrayLike, features: ArrayLike) -> tuple[NDArray, NDArray]:
    w = validation.matrix(teacher, "teacher")
    if not (np.all(w > 0) and np.allclose(w.sum(axis=1), 1)):
        raise ValueError("teacher: expected rows of positive probabilities that sum to 1")
    return w, validation.matrix(features, "features", rows=len(w))
