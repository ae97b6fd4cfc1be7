"""Weak and strong classifiers of handwritten digits, for the chapters beyond the squared loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from w2s_experiments.data import datasets
from w2s_experiments.problems import ENCODER_IMAGES, GREY_LEVELS
from w2s_utils import validation
from w2s_utils.theory.subspaces import leading_directions

CLASSES = 10
# A probability of exactly zero has no logarithm; one in a thousand is spread over the classes.
SMOOTHING = 1e-3


@dataclass(frozen=True, eq=False)
class Classifiers:
    """Predictions of weak and strong classifiers for the same unlabelled images.

    Attributes
    ----------
    labels : ndarray, shape (m, 10)
        True labels, one-hot.
    weak : ndarray, shape (t, m, 10)
        Class probabilities of the teachers.
    strong : ndarray, shape (k, m, 10)
        Class probabilities of the strong models.
    """

    labels: NDArray[np.float64]
    weak: NDArray[np.float64]
    strong: NDArray[np.float64]


def smooth(probabilities: ArrayLike) -> NDArray[np.float64]:
    """Probabilities mixed with a thousandth of the uniform distribution, hence positive.

    Parameters
    ----------
    probabilities : array_like, shape (m, c)

    Returns
    -------
    ndarray, shape (m, c)
    """
    p = validation.matrix(probabilities, "probabilities")
    return (1 - SMOOTHING) * p + SMOOTHING / p.shape[1]


def digits(
    rng: np.random.Generator, *, directions: Sequence[int], labels: int, heads: int, shots: int
) -> Classifiers:
    """Draw images, teachers and strong models.

    Of the 1797 images, 600 drawn at random train the strong representation, the 24 hidden units
    of a network; `labels` others train the teachers; all are measured on the rest.

    Parameters
    ----------
    rng : numpy.random.Generator
    directions : sequence of int
        One teacher each: logistic regression on this many leading directions of the pixels.
    labels : int
        Labelled images of the teachers.
    heads : int
        Strong models: softmax heads on the strong representation.
    shots : int
        Labelled images of each head, drawn with replacement from the 600 of the representation.

    Returns
    -------
    Classifiers

    Raises
    ------
    ValueError
        If fewer than 200 images would be left.
    """
    data = datasets.load("digits")
    left = len(data.inputs) - ENCODER_IMAGES - labels
    if labels < 10 or left < 200:
        raise ValueError(
            f"labels: expected 10 to {len(data.inputs) - ENCODER_IMAGES - 200}, got {labels}"
        )
    order = rng.permutation(len(data.inputs))
    images, names = data.inputs[order] / GREY_LEVELS, data.targets[order].astype(int)
    cuts = [ENCODER_IMAGES, ENCODER_IMAGES + labels]
    apart, taught, pool = np.split(np.arange(len(images)), cuts)
    seed = int(rng.integers(2**31))
    network = MLPClassifier(
        24, solver="lbfgs", alpha=1.0, tol=1e-3, max_iter=2000, random_state=seed
    ).fit(images[apart], names[apart])
    hidden = np.maximum(images @ network.coefs_[0] + network.intercepts_[0], 0)

    def head(rows: NDArray) -> NDArray:
        return _logistic(hidden[rows], names[rows], hidden[pool])

    def teacher(size: int) -> NDArray:
        view = images @ leading_directions(images[apart], size)
        return _logistic(view[taught], names[taught], view[pool])

    return Classifiers(
        labels=np.eye(CLASSES)[names[pool]],
        weak=np.array([teacher(size) for size in directions]),
        strong=np.array([head(rng.choice(apart, shots)) for _ in range(heads)]),
    )


def _logistic(features: NDArray, names: NDArray, test: NDArray) -> NDArray:
    """Smoothed probabilities of all ten classes, also of those that were not seen."""
    scale = np.sqrt(np.mean(features**2)) or 1.0
    model = LogisticRegression(C=10.0, tol=1e-6, max_iter=5000).fit(features / scale, names)
    found = np.zeros((len(test), CLASSES))
    found[:, model.classes_] = model.predict_proba(test / scale)
    return smooth(found)
