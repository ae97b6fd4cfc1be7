r"""Logistic heads on class labels or on probabilities, for two classes and for many.

A soft label is a row repeated once a class, with the class's probability as its weight: the loss is
linear in a label, so this is cross-entropy with the labels first,
:math:`-\sum_i\sum_k p_{ik}\log f_{ik}`. Predictions have all classes, also those that a sample
lacked: their probability is zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

from w2s_utils import validation
from w2s_utils.validation import Array

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression


@dataclass(frozen=True, eq=False)
class LogisticModel:
    r"""Fitted probabilities :math:`\mathrm{softmax}(\Phi C + c)`.

    Attributes
    ----------
    coefficients : ndarray, shape (d, classes)
        For two classes the first column is zero.
    intercept : ndarray, shape (classes,)
        Minus infinity for a class that was not seen.
    """

    coefficients: Array
    intercept: Array

    def probabilities(self, features: Array) -> Array:
        """Probabilities of all classes, shape ``(m, classes)``, of features of shape ``(m, d)``."""
        return cast(Array, special.softmax(features @ self.coefficients + self.intercept, axis=1))


@dataclass(frozen=True)
class Logistic:
    r"""Ridge-penalised logistic regression by L-BFGS (scikit-learn's).

    .. math::

        \min_C \; -\sum_i\sum_k p_{ik}\log f_{ik} + \tfrac{\lambda}{2}\|C\|^2

    where for two classes :math:`C` is one column, the logit of the second class.

    Parameters
    ----------
    penalty : float
        :math:`\lambda > 0`, in total, not per row. It treats all directions of white features
        alike.
    intercept : bool
        Whether to fit an unpenalised intercept.
    tolerance : float
        Largest entry of the gradient at which the solver stops, see scikit-learn.
    steps : int
        Most steps of the solver.
    least : float
        Probabilities below this are not learnt from.
    """

    penalty: float = 1.0
    intercept: bool = True
    tolerance: float = 1e-6
    steps: int = 2000
    least: float = 0.0

    def __post_init__(self) -> None:
        validation.positive(self.penalty, "penalty")

    def fit(
        self, features: ArrayLike, labels: ArrayLike, classes: int | None = None
    ) -> LogisticModel:
        """Fit class labels or probabilities.

        Parameters
        ----------
        features : array_like, shape (m, d)
        labels : array_like of int, shape (m,), or of float, shape (m, classes)
            Numbers of classes, from 0; or the probability of each class.
        classes : int, optional
            Of a model fitted on numbers; default the largest number and one.

        Returns
        -------
        LogisticModel
            Where the rows have one class only, a certainty.

        Raises
        ------
        ValueError
            If rows differ, a probability is not in [0, 1], or a number is not that of a class.
        """
        phi = validation.matrix(features, "features")
        given = validation.targets(labels, "labels", rows=len(phi))
        if given.ndim == 1:
            numbers, weights = _numbers(given, classes), None
            count = int(numbers.max()) + 1 if classes is None else classes
        else:
            rows, numbers = np.nonzero(_probabilities(given) >= self.least)
            phi, weights, count = phi[rows], given[rows, numbers], given.shape[1]
        seen = np.unique(numbers)
        coefficients, intercept = np.zeros((phi.shape[1], count)), np.full(count, -np.inf)
        intercept[seen] = 0.0
        if len(seen) > 1:
            model = self._solver().fit(phi, numbers, weights)
            # Of two classes the solver keeps the logit of the second.
            solved = seen[-len(model.coef_) :]
            coefficients[:, solved] = model.coef_.T
            intercept[solved] += model.intercept_
        return LogisticModel(coefficients, intercept)

    def _solver(self) -> LogisticRegression:
        # Loaded when it is needed: it takes as long as a small report.
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(
            C=1 / self.penalty,
            fit_intercept=self.intercept,
            tol=self.tolerance,
            max_iter=self.steps,
        )


def cross_entropy_head(features: ArrayLike, probabilities: ArrayLike) -> LogisticModel:
    r"""Logistic head without penalty and intercept, at the minimum to nine digits.

    Minimises :math:`\mathbb E\,\mathrm{KL}(p \| \mathrm{softmax}(\Phi C))` over all :math:`C`, by
    Newton's method in a trust region (SciPy). At the minimum
    :math:`\mathbb E\,\varphi\,(f - p)^T = 0`.

    Parameters
    ----------
    features : array_like, shape (m, d)
    probabilities : array_like, shape (m, classes)
        Positive; rows sum to 1.

    Returns
    -------
    LogisticModel

    Raises
    ------
    RuntimeError
        If the gradient does not vanish to 1e-7 of the features' size.
    """
    p = validation.matrix(probabilities, "probabilities")
    phi = validation.matrix(features, "features", rows=len(p))
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


def _probabilities(values: Array) -> Array:
    if values.min() < 0 or values.max() > 1:
        raise ValueError(
            f"labels: expected probabilities in [0, 1], got {values.min():g} to {values.max():g}"
        )
    return values


def _numbers(values: Array, classes: int | None) -> NDArray[np.int64]:
    most = np.inf if classes is None else classes
    if np.any((values != np.floor(values)) | (values < 0) | (values >= most)):
        raise ValueError(
            f"labels: expected whole numbers from 0 to the classes less one, got {values[:5]}"
        )
    return values.astype(np.int64)
