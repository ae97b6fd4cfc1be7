r"""Logistic heads on probabilities of classes.

A soft label is a probability. The loss is linear in a label, so cross-entropy with the labels
first, :math:`-\sum_i\sum_k p_{ik}\log f_{ik}`, is the expected loss of labels drawn from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special

from w2s_utils import validation
from w2s_utils.validation import Array

STEPS = 100_000


@dataclass(frozen=True, eq=False)
class LogisticModel:
    r"""Fitted probabilities :math:`\mathrm{softmax}(\Phi C + c)`.

    Coefficients have shape (d, classes), the intercept (classes,).
    """

    coefficients: Array
    intercept: Array

    def probabilities(self, features: Array) -> Array:
        """Probabilities of all classes, shape ``(m, classes)``, of features of shape ``(m, d)``."""
        return cast(Array, special.softmax(features @ self.coefficients + self.intercept, axis=1))


def binary_heads(
    features: ArrayLike, ones: ArrayLike, penalties: Sequence[float], *, tolerance: float = 1e-6
) -> Array:
    r"""Ridge-penalised logistic heads of two classes, without intercept, many at once.

    .. math::

        \min_c \; -\sum_i \bigl(p_i\log f_i + (1-p_i)\log(1-f_i)\bigr) + \tfrac{\lambda}{2}\|c\|^2,
        \qquad f = \frac{1}{1 + e^{-\Phi c}},

    for each column `p` of probabilities ``ones`` of class 1, shape (m, k), and each penalty
    :math:`\lambda > 0`, in total, not per row. Returns coefficients, shape (d, k, penalties).

    A quarter of :math:`\Phi^T\Phi` bounds every Hessian (Böhning and Lindsay 1988), so one
    decomposition scales the steps of all heads; they are accelerated and start again when they go
    uphill (O'Donoghue and Candès 2015), until no entry of a gradient is above the tolerance.
    """
    phi = validation.matrix(features, "features")
    p = validation.matrix(ones, "ones", rows=len(phi))
    if p.min() < 0 or p.max() > 1:
        raise ValueError(f"ones: expected probabilities in [0, 1], got {p.min():g} to {p.max():g}")
    for penalty in penalties:
        validation.positive(penalty, "penalty")
    squares, axes = np.linalg.eigh(phi.T @ phi)
    phi, p = phi @ axes, np.repeat(p, len(penalties), axis=1)
    weight = np.tile(np.asarray(penalties, float), p.shape[1] // len(penalties))
    bound = squares[:, None] / 4 + weight
    found = ahead = np.zeros((len(squares), p.shape[1]))
    speed = 1.0
    for _ in range(STEPS):
        gradient = phi.T @ (special.expit(phi @ ahead) - p) + weight * ahead
        if np.abs(gradient).max() <= tolerance:
            break
        step = ahead - gradient / bound - found
        if np.sum(gradient * step) > 0:
            speed = 1.0
        faster = (1 + np.sqrt(1 + 4 * speed**2)) / 2
        found = found + step
        ahead, speed = found + (speed - 1) / faster * step, faster
    else:
        raise RuntimeError(f"logistic heads did not converge in {STEPS} steps; scale the features")
    return cast(Array, (axes @ ahead).reshape(len(axes), -1, len(penalties)))


def cross_entropy_head(features: ArrayLike, probabilities: ArrayLike) -> LogisticModel:
    r"""Logistic head without penalty and intercept, at the minimum to nine digits.

    Minimises :math:`\mathbb E\,\mathrm{KL}(p \| \mathrm{softmax}(\Phi C))` over all :math:`C`, by
    Newton's method in a trust region (SciPy). At the minimum
    :math:`\mathbb E\,\varphi\,(f - p)^T = 0`.

    Features have shape (m, d), probabilities, positive with rows that sum to 1, (m, classes).
    Raises ``RuntimeError`` if the gradient does not vanish to 1e-7 of the features' size.
    """
    p = validation.matrix(probabilities, "probabilities")
    phi = validation.matrix(features, "features", rows=len(p))
    if not (np.all(p > 0) and np.allclose(p.sum(axis=1), 1)):
        raise ValueError("probabilities: expected rows of positive numbers that sum to 1")
    m, shape = len(p), (phi.shape[1], p.shape[1])

    def loss(flat: Array) -> tuple[float, Array]:
        logits = phi @ flat.reshape(shape)
        value = np.mean(special.logsumexp(logits, axis=1) - np.sum(p * logits, axis=1))
        return value, (phi.T @ (special.softmax(logits, axis=1) - p) / m).ravel()

    def curvature(flat: Array, direction: Array) -> Array:
        f = special.softmax(phi @ flat.reshape(shape), axis=1)
        step = phi @ direction.reshape(shape)
        product: Array = phi.T @ (f * (step - np.sum(f * step, axis=1, keepdims=True))) / m
        return product.ravel()

    size = np.sqrt(np.mean(phi**2))
    found = optimize.minimize(
        loss,
        np.zeros(shape[0] * shape[1]),
        jac=True,
        hessp=curvature,
        method="trust-ncg",
        options={"gtol": 1e-10 * size, "maxiter": 2000},
    )
    left = np.abs(loss(found.x)[1]).max()
    if left > 1e-7 * size:
        raise RuntimeError(
            f"cross-entropy did not converge: a gradient of {left:.2g} is left; the features may "
            "separate the labels"
        )
    return LogisticModel(found.x.reshape(shape), np.zeros(shape[1]))
