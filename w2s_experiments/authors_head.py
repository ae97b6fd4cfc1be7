"""Heads trained by steps, as in the notebook of Charikar et al. 2024."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from w2s_utils import validation
from w2s_utils.least_squares import LinearModel

MOMENTUM, FORGET, EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class AdamWHead:
    """A head with bias trained by minibatch AdamW, with PyTorch's defaults otherwise.

    Several tasks are trained at once on the same minibatches, each as if it were alone.

    Parameters
    ----------
    epochs : int
        Passes through the data; the authors make 1000.
    batch : int
        Rows a step; theirs is 32. The last batch of an epoch has what is left.
    rate : float
        Step size, constant.
    decay : float
        Decoupled weight decay.
    seed : int
        Of the start (PyTorch's default initialisation) and of the order of the rows.
    """

    epochs: int = 1000
    batch: int = 32
    rate: float = 1e-3
    decay: float = 1e-2
    seed: int = 0

    def __post_init__(self) -> None:
        validation.at_least(self.epochs, 1, "epochs", "passes through the data")
        validation.at_least(self.batch, 1, "batch", "rows a step")
        validation.positive(self.rate, "rate")
        validation.nonnegative(self.decay, "decay", "a weight decay")

    def fit(self, features: ArrayLike, targets: ArrayLike) -> LinearModel:
        """Train on ``targets`` of shape (m,) or (m, tasks) and ``features`` of shape (m, k)."""
        phi = validation.matrix(features, "features")
        y = validation.targets(targets, "targets", rows=len(phi))
        rng = np.random.default_rng(self.seed)
        design = np.column_stack([phi, np.ones(len(phi))])
        values = y.reshape(len(y), -1)
        bound = 1 / np.sqrt(phi.shape[1])
        head = rng.uniform(-bound, bound, (design.shape[1], values.shape[1]))
        head = self._trained(head, design, values, rng)
        coefficients, intercept = head[:-1], head[-1]
        if y.ndim == 1:
            return LinearModel(coefficients[:, 0], float(intercept[0]))
        return LinearModel(coefficients, intercept)

    def _trained(
        self, head: NDArray, design: NDArray, values: NDArray, rng: np.random.Generator
    ) -> NDArray:
        mean, square = np.zeros_like(head), np.zeros_like(head)
        step = 0
        for _ in range(self.epochs):
            order = rng.permutation(len(design))
            rows, labels = design[order], values[order]
            for begin in range(0, len(rows), self.batch):
                step += 1
                x, y = rows[begin : begin + self.batch], labels[begin : begin + self.batch]
                gradient = x.T @ (x @ head - y)
                gradient *= 2 / len(x)
                mean += (1 - MOMENTUM) * (gradient - mean)
                gradient *= gradient
                square += (1 - FORGET) * (gradient - square)
                spread = np.sqrt(square)
                spread *= 1 / np.sqrt(1 - FORGET**step)
                spread += EPSILON
                head *= 1 - self.rate * self.decay
                head -= self.rate / (1 - MOMENTUM**step) * (mean / spread)
        return head
