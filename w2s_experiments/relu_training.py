r"""Training a narrow, deep ReLU network on one core: a preconditioned optimiser, two homotopies.

A network of depth :math:`L` and width :math:`k` is an array of shape ``(L, k, k + 1)``: layer
:math:`l` maps :math:`(a, 1)` to :math:`\max(W_l (a, 1), 0)`, its last column is the bias, and
inputs are padded with zeros to the width. Networks (restarts, or problems of one
size) are trained side by side: their layers are one stack for every matrix product.

Written in numpy because these matrices are tiny: a gradient of a network of depth 8 on 256 examples
takes 0.13 ms, with `autograd` 1.3 ms, a step of AdamW in PyTorch 0.87 ms (one core).

Narrow ReLU networks have bad local minima, where full-batch quasi-Newton and Gauss-Newton methods
stop. What helps, measured on the book's own problem (a target network of the same width):

- the gradient is rescaled in the eigenbasis of its two Kronecker-factored second moments (SOAP,
  Vyas et al. 2025), which for matrices this small costs little more than Adam;
- the problem starts out wider and smoother than it ends. ``extra`` units a layer fade out,
  :math:`\gamma = (1 - t/t_0)^3`, while the slope of the activation for negative arguments goes to
  zero, :math:`\alpha = \alpha_0 (1 - t/t_0)`; from :math:`t_0` on the network is the one asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F = np.float32
SIDES = (0, 1)


@dataclass(frozen=True)
class Schedule:
    """How to train; the defaults are those used throughout the book.

    Attributes
    ----------
    steps : int
        Minibatch steps.
    batch : int
        Examples a step.
    rate : float
        Largest step size, warmed up linearly and decayed by a cosine.
    extra : int
        Units a layer that fade out.
    slope : float
        Initial slope of the activation for negative arguments.
    until : float
        Share of the steps after which the extra units and the slope are gone.
    """

    steps: int
    batch: int = 256
    rate: float = 1e-2
    extra: int = 16
    slope: float = 0.15
    until: float = 0.4

    def at(self, step: int) -> tuple[np.float32, np.float32, np.float32]:
        """Step size, gate of the extra units, and slope, at a step counted from 0."""
        done = (step + 1) / self.steps
        warm = min(1.0, (step + 1) / min(500, self.steps / 5))
        left = max(0.0, 1 - done / self.until) if self.until else 0.0
        rate = self.rate * warm * (1 + np.cos(np.pi * done)) / 2
        return F(rate), F(left**3), F(self.slope * left)


class Soap:
    """Adam in the eigenbasis of the gradient's row and column second moments.

    Parameters
    ----------
    parameters : ndarray, shape (..., k, m)
        A stack of matrices, changed in place by `step`.
    every : int
        Steps between two updates of the eigenbases (one orthogonal iteration each).
    """

    momentum, forget, moment_forget = F(0.9), F(0.99), 0.98

    def __init__(self, parameters: NDArray, every: int = 10) -> None:
        self.parameters = parameters
        self.every = every
        self.count = 0
        self.mean = np.zeros_like(parameters)
        self.square = np.zeros_like(parameters)
        shape = parameters.shape
        self.moments = [np.zeros((*shape[:-2], n, n), F) for n in shape[-2:]]
        self.bases = [np.broadcast_to(np.eye(n, dtype=F), m.shape) for n, m in
                      zip(shape[-2:], self.moments, strict=True)]  # fmt: skip

    def step(self, gradient: NDArray, rate: np.float32) -> None:
        """Move the parameters against the gradient."""
        self.count += 1
        transposed = gradient.swapaxes(-1, -2)
        weight = F(max(1 - self.moment_forget, 1 / self.count))
        for moment, product in zip(
            self.moments, (gradient @ transposed, transposed @ gradient), strict=True
        ):
            moment += weight * (product - moment)
        if self.count % self.every == 1:
            self._turn()
        left, right = self.bases
        rotated = left.swapaxes(-1, -2) @ gradient @ right
        self.mean += (1 - self.momentum) * (gradient - self.mean)
        self.square += (1 - self.forget) * (rotated**2 - self.square)
        # Adam's correction for the moments' start at zero.
        scale = F(np.sqrt(1 - float(self.forget) ** self.count))
        scale /= F(1 - float(self.momentum) ** self.count)
        update = left.swapaxes(-1, -2) @ self.mean @ right
        update *= scale / (np.sqrt(self.square) + F(1e-8))
        self.parameters -= rate * (left @ update @ right.swapaxes(-1, -2))

    def restricted(self, parameters: NDArray, rows: int, columns: list[int]) -> Soap:
        """The optimiser's state for a block of the parameters."""
        block = Soap(parameters, self.every)
        keep = (np.arange(rows), np.asarray(columns))
        block.count = self.count - self.count % self.every
        block.mean = np.ascontiguousarray(self.mean[..., :rows, :][..., keep[1]])
        block.moments = [
            np.ascontiguousarray(m[..., k, :][..., k])
            for m, k in zip(self.moments, keep, strict=True)
        ]
        # Variances belong to the old basis; one number for each matrix is a safe start.
        level = self.square.mean(axis=(-2, -1), keepdims=True)
        block.square = np.broadcast_to(level, parameters.shape).astype(F)
        block.bases = [np.linalg.eigh(moment)[1] for moment in block.moments]
        return block

    def _turn(self) -> None:
        for side in SIDES:
            moment, basis = self.moments[side], self.bases[side]
            self.bases[side] = (
                np.linalg.eigh(moment)[1] if self.count == 1 else np.linalg.qr(moment @ basis)[0]
            )


def initial(
    restarts: int, depth: int, width: int, inputs: int, rng: np.random.Generator
) -> NDArray:
    """Random orthogonal first layers (three at most), identities after: shape (L, R, k, k + 1).

    An identity passes what a ReLU has made non-negative, so a deep network starts as a shallow
    one.
    """
    layers = np.zeros((depth, restarts, width, width + 1), F)
    layers[:] = np.eye(width, width + 1)
    for level in range(min(3, depth)):
        fan_in = inputs if level == 0 else width
        square = rng.standard_normal((restarts, max(width, fan_in), min(width, fan_in)))
        basis = np.sqrt(2) * np.linalg.qr(square)[0]
        layers[level] = 0
        layers[level, ..., :fan_in] = basis if width >= fan_in else basis.swapaxes(-1, -2)
    return layers


def train(
    layers: NDArray,
    inputs: NDArray,
    heads: NDArray,
    targets: NDArray,
    schedule: Schedule,
    rng: np.random.Generator,
) -> NDArray:
    r"""Minimise :math:`\sum_i (w_i^T h(x_i) - y_i)^2` for every network of a stack.

    Parameters
    ----------
    layers : ndarray, shape (L, R, k + extra, k + extra + 1)
        Where to start, with the extra units last.
    inputs : ndarray, shape (R or 1, d, m)
        Examples, each network's own or the same for all; ``d`` at most the width.
    heads : ndarray, shape (R or 1, k, m)
        Head of the task to which an example belongs; not trained.
    targets : ndarray, shape (R or 1, m)
    schedule : Schedule
    rng : numpy.random.Generator
        Draws the minibatches.

    Returns
    -------
    ndarray, shape (L, R, k, k + 1)
    """
    width, wide = heads.shape[1], layers.shape[2]
    layers = layers.astype(F)
    optimiser = Soap(layers)
    batches = _Batches(
        [_padded(inputs, wide), _padded(heads, wide)[:, :-1], targets.astype(F)],
        schedule.batch,
        rng,
    )
    for step in range(schedule.steps):
        rate, gate, slope = schedule.at(step)
        if gate == 0 and layers.shape[2] > width:
            columns = [*range(width), wide]
            layers = np.ascontiguousarray(layers[:, :, :width, columns])
            optimiser = optimiser.restricted(layers, width, columns)
            x, w, y = batches.examples
            batches.examples = [x[:, columns], w[:, :width], y]
            batches.position = batches.size
        x, w, y = batches.next()
        optimiser.step(_gradient(layers, x, w, y, width, gate, slope), rate)
    return layers


class _Batches:
    """Minibatches along the last axis, in a new random order every epoch."""

    def __init__(self, examples: list[NDArray], batch: int, rng: np.random.Generator) -> None:
        self.examples, self.rng = examples, rng
        self.size = self.position = examples[-1].shape[-1]
        self.batch = min(batch, self.size)

    def next(self) -> list[NDArray]:
        if self.position + self.batch > self.size:
            order = self.rng.permutation(self.size)
            self.shuffled = [np.ascontiguousarray(values[..., order]) for values in self.examples]
            self.position = 0
        begin = self.position
        self.position += self.batch
        return [values[..., begin : self.position] for values in self.shuffled]


def _gradient(
    layers: NDArray,
    inputs: NDArray,
    heads: NDArray,
    targets: NDArray,
    width: int,
    gate: np.float32,
    slope: np.float32,
) -> NDArray:
    """Back-propagate the mean squared error of a minibatch."""
    restarts, batch = layers.shape[1], targets.shape[-1]
    trace = [np.broadcast_to(inputs, (restarts, *inputs.shape[1:]))]
    for layer in layers:
        active = layer @ trace[-1]
        np.maximum(active, slope * active if slope else F(0), out=active)
        active[:, width:] *= gate
        trace.append(_with_ones(active))
    residual = np.sum(heads * trace[-1][:, :-1], axis=1) - targets
    back = heads * (F(2 / batch) * residual[:, None])
    gradient = np.empty_like(layers)
    for level in range(len(layers) - 1, -1, -1):
        positive = trace[level + 1][:, :-1] > 0
        back = np.where(positive, back, slope * back) if slope else back * positive
        back[:, width:] *= gate
        np.matmul(back, trace[level].swapaxes(-1, -2), out=gradient[level])
        if level:
            back = layers[level][..., :-1].swapaxes(-1, -2) @ back
    return gradient


def _with_ones(active: NDArray) -> NDArray:
    rows = np.empty((active.shape[0], active.shape[1] + 1, active.shape[2]), F)
    rows[:, :-1] = active
    rows[:, -1] = 1
    return rows


def _padded(columns: NDArray, width: int) -> NDArray:
    """Zeros up to the width, and a row of ones below."""
    rows = np.zeros((columns.shape[0], width + 1, columns.shape[2]), F)
    rows[:, : columns.shape[1]] = columns
    rows[:, -1] = 1
    return rows
