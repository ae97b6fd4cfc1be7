r"""Heads that one would deploy: ridge and logistic regression with a penalty chosen by the labels.

Features come in white coordinates with the variance of each, :math:`\mu_j` as a share of the
largest; both heads penalise :math:`\sum_j c_j^2/\mu_j`, the squared norm in the units of the
features. The penalty is chosen on the training rows alone: leave-one-out for squared error, three
folds for cross-entropy. An infinite penalty, the best constant, is among the choices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize, special

Predict = Callable[[NDArray], NDArray]

PENALTIES = np.append(np.logspace(-6, 2, 17), np.inf)  # of the largest variance, ridge
SOFTER = (1e6, 1.0, 0.1, 0.01, 1e-3)  # of the same, logistic; a path from stiff to soft
FOLDS = 3
MOST_SEARCHED = 600  # rows on which a logistic penalty is chosen
LEAST = 1e-6  # probabilities are kept this far from 0, so that divergences are finite


class Ridge:
    """Ridge regression of any number of columns by one factorisation.

    Each column has the penalty of the least mean squared leave-one-out error, which is known
    without refitting. Features have shape (m, d), white, and their variances shape (d,).
    """

    def __init__(self, features: NDArray, variances: NDArray):
        self.scale = np.sqrt(variances)
        scaled = features * self.scale
        self.mean = scaled.mean(axis=0)
        centred = scaled - self.mean
        values, self.vectors = linalg.eigh(centred.T @ centred)
        values = np.maximum(values, 0)
        self.rotated = centred @ self.vectors
        penalties = PENALTIES * max(values[-1], np.finfo(float).tiny)
        self.inverse = 1 / (values[:, None] + penalties)  # (d, penalties)
        self.left = np.maximum(1 - 1 / len(features) - self.rotated**2 @ self.inverse, 1e-6)

    def fit(self, targets: NDArray) -> Predict:
        """Return what predicts targets of shape (m, k)."""
        mean = targets.mean(axis=0)
        heads = np.empty((len(self.inverse), targets.shape[1]))
        for k, column in enumerate((targets - mean).T):
            moments = self.inverse * (self.rotated.T @ column)[:, None]
            left_out = (column[:, None] - self.rotated @ moments) / self.left
            heads[:, k] = moments[:, np.argmin(np.mean(left_out**2, axis=0))]
        head = self.scale[:, None] * (self.vectors @ heads)
        offset = mean - self.mean @ (self.vectors @ heads)
        return lambda features: features @ head + offset


class Logistic:
    """Logistic regression on probabilities of the classes, by L-BFGS.

    Features and variances are as for `Ridge`.
    """

    def __init__(self, features: NDArray, variances: NDArray):
        self.features, self.variances = features, variances

    def fit(self, targets: NDArray) -> Predict:
        """Return what predicts probabilities, from probabilities of shape (m, classes)."""
        # Penalties of a mean over rows: the best one falls as rows grow.
        step = -(-len(targets) // MOST_SEARCHED)
        phi, goals = self.features[::step], targets[::step]
        fold, losses = np.arange(len(goals)) % FOLDS, np.zeros(len(SOFTER))
        for number in range(FOLDS):
            out = fold == number
            for i, head in enumerate(self._path(phi[~out], goals[~out], SOFTER)):
                losses[i] -= np.vdot(goals[out], np.log(self._predict(head, phi[out])))
        best = SOFTER[int(np.argmin(losses))] * len(goals) / len(targets)
        [head] = self._path(self.features, targets, [best])
        return lambda features: self._predict(head, features)

    def _path(self, phi: NDArray, targets: NDArray, penalties: Sequence[float]) -> list[NDArray]:
        """Heads (intercepts first) for several penalties, each started at the last."""
        frequencies = (targets.sum(axis=0) + 1 / targets.shape[1]) / (len(targets) + 1)
        head = np.vstack([np.log(frequencies), np.zeros((phi.shape[1], len(frequencies)))])
        phi, path = np.hstack([np.ones((len(phi), 1)), phi]), []
        for penalty in penalties:
            head = self._minimum(phi, targets, np.append(1e-6, penalty / self.variances), head)
            path.append(head)
        return path

    def _minimum(
        self, phi: NDArray, targets: NDArray, penalties: NDArray, start: NDArray
    ) -> NDArray:
        # In units in which the curvature is about the same in every direction.
        units = 1 / np.sqrt(0.2 + penalties)[:, None]

        def loss(flat: NDArray) -> tuple[float, NDArray]:
            head = units * flat.reshape(start.shape)
            logits = phi @ head
            logits -= logits.max(axis=1, keepdims=True)
            likely = np.exp(logits)
            total = likely.sum(axis=1, keepdims=True)
            value = (np.log(total).sum() - np.vdot(targets, logits)) / len(phi)
            weighted = penalties[:, None] * head
            slope = phi.T @ (likely / total - targets) / len(phi) + weighted
            return value + 0.5 * np.sum(head * weighted), (units * slope).ravel()

        options = {"maxiter": 60, "gtol": 1e-3}
        found = optimize.minimize(
            loss, (start / units).ravel(), jac=True, method="L-BFGS-B", options=options
        )
        return units * found.x.reshape(start.shape)

    def _predict(self, head: NDArray, features: NDArray) -> NDArray:
        return inside(special.softmax(features @ head[1:] + head[0], axis=1))


def inside(probabilities: NDArray) -> NDArray:
    """Probabilities that are nowhere zero, rows that sum to 1."""
    kept = np.maximum(probabilities, LEAST)
    return kept / kept.sum(axis=1, keepdims=True)
