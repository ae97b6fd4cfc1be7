r"""Heads that one would deploy, with a penalty chosen by the labels, and least squares beside them.

Features come in white coordinates with the variance of each, :math:`\mu_j` as a share of the
largest; ridge and logistic regression penalise :math:`\sum_j c_j^2/\mu_j`, the squared norm in the
units of the features. The penalty is chosen on the training rows alone: by generalized
cross-validation for squared error (`w2s_utils.least_squares.RidgeGCV`: it needs the sums of
products and nothing of the rows, so one decomposition serves all penalties, teachers and controls),
three folds for cross-entropy. The best constant is among the choices, up to a millionth.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from w2s_utils.least_squares import MinimumNorm, RidgeGCV

Kind = Literal["least squares", "ridge", "logistic"]
Predict = Callable[[NDArray], list[NDArray]]

RIDGE = RidgeGCV(tuple(np.logspace(-6, 6, 25).tolist()), intercept=True)
# Directions that a training sample lacks (sparse features) get no head from rounding: white over
# all inputs, those with less than a thousandth of their deviation are dropped.
LEAST_SQUARES = MinimumNorm(cutoff=1e-3, intercept=True)
SOFTER = (1e6, 1.0, 0.1, 0.01, 1e-3)  # of the largest variance, logistic; from stiff to soft
FOLDS = 3
MOST_SEARCHED = 600  # rows on which a logistic penalty is chosen
LEAST = 1e-6  # probabilities are kept this far from 0, so that divergences are finite


def fit(kind: Kind, features: NDArray, variances: NDArray, targets: Sequence[NDArray]) -> Predict:
    """Fit heads of one kind to several targets, and return what predicts them.

    Features have shape (m, d), white, their variances (d,); each of the targets (m, k): numbers,
    or probabilities of classes for "logistic". Predictions are a list in the order of the targets.
    """
    if kind == "logistic":
        found = [logistic(features, variances, one) for one in targets]
        return lambda phi: [head(phi) for head in found]
    if kind == "least squares":
        plain = LEAST_SQUARES.solve(features, np.hstack(targets))
        return lambda phi: np.split(plain(phi), len(targets), axis=1)
    scale = np.sqrt(variances)
    ridge = RIDGE.solve(features * scale, np.hstack(targets))
    return lambda phi: np.split(ridge(phi * scale), len(targets), axis=1)


def logistic(
    features: NDArray, variances: NDArray, targets: NDArray
) -> Callable[[NDArray], NDArray]:
    """Logistic regression on probabilities of the classes, by L-BFGS; arguments as for `fit`.

    Returns what predicts probabilities, from one target (m, classes); a row counts by its sum.
    """
    # Penalties of a mean over rows: the best one falls as rows grow.
    step = -(-len(targets) // MOST_SEARCHED)
    phi, goals = features[::step], targets[::step]
    fold, losses = np.arange(len(goals)) % FOLDS, np.zeros(len(SOFTER))
    for number in range(FOLDS):
        out = fold == number
        for i, head in enumerate(_path(phi[~out], variances, goals[~out], SOFTER)):
            losses[i] -= np.vdot(goals[out], np.log(_predict(head, phi[out])))
    best = SOFTER[int(np.argmin(losses))] * len(goals) / len(targets)
    [head] = _path(features, variances, targets, [best])
    return lambda others: _predict(head, others)


def _path(
    phi: NDArray, variances: NDArray, targets: NDArray, penalties: Sequence[float]
) -> list[NDArray]:
    """Heads (intercepts first) for several penalties, each started at the last."""
    frequencies = (targets.sum(axis=0) + 1 / targets.shape[1]) / (len(targets) + 1)
    head = np.vstack([np.log(frequencies), np.zeros((phi.shape[1], len(frequencies)))])
    phi, path = np.hstack([np.ones((len(phi), 1)), phi]), []
    for penalty in penalties:
        head = _minimum(phi, targets, np.append(1e-6, penalty / variances), head)
        path.append(head)
    return path


def _minimum(phi: NDArray, targets: NDArray, penalties: NDArray, start: NDArray) -> NDArray:
    # In units in which the curvature is about the same in every direction.
    units = 1 / np.sqrt(0.2 + penalties)[:, None]
    weights = targets.sum(axis=1, keepdims=True)

    def loss(flat: NDArray) -> tuple[float, NDArray]:
        head = units * flat.reshape(start.shape)
        logits = phi @ head
        logits -= logits.max(axis=1, keepdims=True)
        likely = np.exp(logits)
        total = likely.sum(axis=1, keepdims=True)
        value = (np.vdot(weights, np.log(total)) - np.vdot(targets, logits)) / len(phi)
        weighted = penalties[:, None] * head
        slope = phi.T @ (weights * likely / total - targets) / len(phi) + weighted
        return value + 0.5 * np.sum(head * weighted), (units * slope).ravel()

    options = {"maxiter": 60, "gtol": 1e-3}
    flat = (start / units).ravel()
    found = optimize.minimize(loss, flat, jac=True, method="L-BFGS-B", options=options)
    return units * found.x.reshape(start.shape)


def _predict(head: NDArray, features: NDArray) -> NDArray:
    return inside(special.softmax(features @ head[1:] + head[0], axis=1))


def inside(probabilities: NDArray) -> NDArray:
    """Probabilities that are nowhere zero, rows that sum to 1."""
    kept = np.maximum(probabilities, LEAST)
    return kept / kept.sum(axis=1, keepdims=True)
