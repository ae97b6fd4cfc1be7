r"""Charikar et al. 2024's synthetic experiment: ReLU representations, pretrained for real.

A target network :math:`h^*` is drawn at random; a representation :math:`h` is pretrained on
tasks :math:`y = w_t^T h^*(x) + c_t` whose true heads are given and frozen. New tasks have new
heads over :math:`h^*`; a teacher fits its head on the weak representation, a student on the strong
one. Sizes are the authors': inputs :math:`x \sim N(0, 500^2 I_8)`, width 16, depth 5 (target),
8 (strong), 2 (weak).

ReLU networks are positively homogeneous, and that makes the training problem well scaled at no
cost: :math:`s\,h(x/r;\,W_1, b_1, \dots) = h(x;\,\tfrac sr W_1, s b_1, W_2, s b_2, \dots)`
exactly, so training sees inputs and targets of order one (see `Representation.rescaled`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from w2s_experiments import relu_training
from w2s_utils import protocol, validation
from w2s_utils.least_squares import Head, LinearModel, MinimumNorm
from w2s_utils.protocol import Inputs, Result, Trial
from w2s_utils.theory.projection import NonRealizable, decompose

INPUTS, WIDTH, SPREAD = 8, 16, 500.0
TARGET_DEPTH, STRONG_DEPTH, WEAK_DEPTH = 5, 8, 2
HEAD = MinimumNorm(intercept=True)


@dataclass(frozen=True)
class Representation:
    """Blocks of a linear map with bias and a ReLU.

    Attributes
    ----------
    weights : tuple of ndarray, shapes (k, d), (k, k), ...
    biases : tuple of ndarray, shape (k,)

    Raises
    ------
    ValueError
        If there is no layer, or shapes do not follow each other.
    """

    weights: tuple[NDArray[np.float64], ...]
    biases: tuple[NDArray[np.float64], ...]

    def __post_init__(self) -> None:
        if not self.weights or len(self.weights) != len(self.biases):
            raise ValueError(
                "weights, biases: expected one of each for every layer, got "
                f"{len(self.weights)} and {len(self.biases)}"
            )
        size = np.shape(self.weights[0])[-1]
        for level, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            if np.shape(weight) != (len(bias), size):
                raise ValueError(
                    f"weights: layer {level} expected shape ({len(bias)}, {size}) to go with its "
                    f"bias and the layer before, got {np.shape(weight)}"
                )
            size = len(bias)

    @classmethod
    def random(
        cls, depth: int, rng: np.random.Generator, *, inputs: int = INPUTS, width: int = WIDTH
    ) -> Representation:
        r"""PyTorch's default initialisation: all entries uniform on :math:`\pm 1/\sqrt{d}`.

        Here ``d`` is the number of inputs of the layer.
        """
        validation.at_least(depth, 1, "depth", "layers")
        sizes = [inputs] + [width] * (depth - 1)
        layers = [(_uniform((width, size), size, rng), _uniform(width, size, rng))
                  for size in sizes]  # fmt: skip
        return cls(*map(tuple, zip(*layers, strict=True)))

    @property
    def depth(self) -> int:
        """Number of layers."""
        return len(self.weights)

    @property
    def width(self) -> int:
        """Number of features."""
        return len(self.biases[-1])

    def __call__(self, x: ArrayLike) -> NDArray[np.float64]:
        """Features, shape (m, k), of inputs of shape (m, d).

        Raises
        ------
        ValueError
            If the inputs are not finite or have another dimension.
        """
        columns = validation.matrix(x, "x").T
        if len(columns) != self.weights[0].shape[1]:
            raise ValueError(f"x: expected {self.weights[0].shape[1]} columns, got {len(columns)}")
        for weight, bias in zip(self.weights, self.biases, strict=True):
            columns = np.maximum(weight @ columns + bias[:, None], 0)
        return columns.T

    def perturbed(self, scale: float, rng: np.random.Generator) -> Representation:
        """Independent Gaussian noise of standard deviation ``scale`` on every weight and bias."""
        validation.nonnegative(scale, "scale", "a standard deviation")

        def noisy(arrays: tuple[NDArray, ...]) -> tuple[NDArray, ...]:
            return tuple(a + scale * rng.standard_normal(a.shape) for a in arrays)

        return Representation(noisy(self.weights), noisy(self.biases))

    def rescaled(self, inputs: float, outputs: float) -> Representation:
        r"""Representation :math:`x \mapsto s\,h(x/r)`, by homogeneity a network of the same size.

        Parameters
        ----------
        inputs, outputs : float
            ``r`` and ``s``, positive.
        """
        r, s = validation.positive(inputs, "inputs"), validation.positive(outputs, "outputs")
        first, *rest = self.weights
        return Representation((first * (s / r), *rest), tuple(s * bias for bias in self.biases))


def random_heads(tasks: int, rng: np.random.Generator, *, width: int = WIDTH) -> LinearModel:
    """Heads with bias in PyTorch's default initialisation, one column a task."""
    validation.at_least(tasks, 1, "tasks", "heads")
    return LinearModel(_uniform((width, tasks), width, rng), _uniform(tasks, width, rng))


def draw_inputs(m: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """The authors' inputs, shape (m, 8): independent normal with standard deviation 500."""
    return SPREAD * rng.standard_normal((m, INPUTS))


@dataclass(frozen=True)
class Pretraining:
    """Tasks whose heads are known, each with inputs of its own.

    Attributes
    ----------
    inputs : ndarray, shape (tasks, m, d)
    heads : LinearModel
        True heads over the target's features, one column a task.
    targets : ndarray, shape (tasks, m)
    """

    inputs: NDArray[np.float64]
    heads: LinearModel
    targets: NDArray[np.float64]

    @classmethod
    def draw(
        cls, target: Representation, tasks: int, m: int, rng: np.random.Generator
    ) -> Pretraining:
        """Draw heads, and ``m`` inputs a task (the authors: 10 tasks, 2000 inputs)."""
        validation.at_least(m, 2, "m", "inputs a task, for a variance of the targets")
        heads = random_heads(tasks, rng, width=target.width)
        x = draw_inputs(tasks * m, rng).reshape(tasks, m, INPUTS)
        return cls(x, heads, _by_task(target, x, heads))

    def loss(self, representation: Representation) -> float:
        """Mean squared error over the variance of the targets within their task."""
        error = _by_task(representation, self.inputs, self.heads) - self.targets
        return float(np.mean(error**2) / np.mean(self.targets.var(axis=1)))


@dataclass(frozen=True)
class Effort:
    """How long to pretrain.

    Attributes
    ----------
    restarts : int
        Networks trained from random starts; the one of least pretraining loss is kept.
    steps : int
        Minibatch steps of each.
    refine : int
        Further steps of the one that is kept, from a large step size again.
    extra : int
        Units a layer that training starts with in addition, and fades out.
    """

    restarts: int
    steps: int
    refine: int = 0
    extra: int = 16

    def __post_init__(self) -> None:
        for name, least in (("restarts", 1), ("steps", 1), ("refine", 0), ("extra", 0)):
            validation.at_least(getattr(self, name), least, name, "see Effort")


@dataclass(frozen=True)
class Pretrained:
    """A representation, its relative pretraining loss, and those of all restarts."""

    representation: Representation
    loss: float
    restarts: NDArray[np.float64]


def pretrain(
    problems: Sequence[Pretraining], depth: int, effort: Effort, rng: np.random.Generator
) -> list[Pretrained]:
    """Pretrain a representation of the given depth on each problem.

    Only the representation is trained, against the frozen true heads, by
    `w2s_experiments.relu_training`; nothing but the pretraining loss chooses among restarts.

    Parameters
    ----------
    problems : sequence of Pretraining
        Of one shape; they are trained side by side.
    depth : int
    effort : Effort
    rng : numpy.random.Generator

    Returns
    -------
    list of Pretrained
        One a problem.

    Raises
    ------
    ValueError
        If the problems differ in shape or ``depth < 1``.
    """
    shapes = {problem.inputs.shape + problem.heads.coefficients.shape for problem in problems}
    if len(shapes) != 1:
        raise ValueError(f"problems: expected one or more of the same shape, got {sorted(shapes)}")
    validation.at_least(depth, 1, "depth", "layers")
    width = problems[0].heads.coefficients.shape[0]
    inputs, heads, targets, scales = _training_data(problems)
    count = len(problems)

    def found(layers: NDArray) -> list[Representation]:
        owners = [i % count for i in range(layers.shape[1])]
        return [
            _representation(layers[:, i], problems[owner].inputs.shape[-1], scales[owner])
            for i, owner in enumerate(owners)
        ]

    first = relu_training.Schedule(effort.steps, extra=effort.extra)
    start = relu_training.initial(
        effort.restarts * count, depth, width + first.extra, problems[0].inputs.shape[-1], rng
    )
    # One problem's data are shared by its restarts; several problems' are repeated.
    copies = effort.restarts if count > 1 else 1
    x, w, y = (np.tile(d, (copies, *[1] * (d.ndim - 1))) for d in (inputs, heads, targets))
    layers = relu_training.train(start, x, w, y, first, rng)
    candidates = found(layers)
    losses = np.array([problems[i % count].loss(h) for i, h in enumerate(candidates)])
    # A run that diverged must not be the minimum.
    losses = np.where(np.isfinite(losses), losses, np.inf).reshape(effort.restarts, count)
    best = losses.argmin(axis=0) * count + np.arange(count)
    chosen = [candidates[i] for i in best]
    if effort.refine:
        again = relu_training.Schedule(effort.refine, extra=0, slope=0.0, until=0.0)
        refined = found(relu_training.train(layers[:, best], inputs, heads, targets, again, rng))
        chosen = [
            min(pair, key=problem.loss)
            for problem, *pair in zip(problems, chosen, refined, strict=True)
        ]
    return [
        Pretrained(h, problem.loss(h), losses[:, i])
        for i, (problem, h) in enumerate(zip(problems, chosen, strict=True))
    ]


@dataclass(frozen=True)
class Experiment:
    """New tasks for a weak and a strong representation.

    Attributes
    ----------
    target, weak, strong : Representation
    heads : LinearModel
        True heads of the new tasks (the authors: 100).
    """

    target: Representation
    weak: Representation
    strong: Representation
    heads: LinearModel

    def inputs(self, x: ArrayLike) -> Inputs:
        """Weak and strong features and the true values of all tasks, without noise."""
        return Inputs(self.weak(x), self.strong(x), self.heads.predict(self.target(x)))

    def draw(self, n: int, N: int, m: int, *, fresh: bool = True) -> Callable[..., Trial]:
        """Trials for `protocol.repeat`.

        Parameters
        ----------
        n, N, m : int
            Labelled, pseudo-labelled and test inputs.
        fresh : bool
            Whether pseudo-labels are given on inputs of their own, as the theorem asks, or on the
            teacher's training inputs, as in the authors' notebook (then ``N`` must equal ``n``).

        Raises
        ------
        ValueError
            If ``fresh`` is false and ``N`` is not ``n``.
        """
        if not fresh and n != N:
            raise ValueError(f"N: expected n = {n} when the inputs are the teacher's own, got {N}")

        def draw(rng: np.random.Generator) -> Trial:
            # In this order the same generator gives both kinds of trial the same other inputs.
            labelled, test = (self.inputs(draw_inputs(size, rng)) for size in (n, m))
            unlabelled = self.inputs(draw_inputs(N, rng)) if fresh else labelled
            return labelled, unlabelled, test

        return draw

    def run(
        self,
        n: int,
        N: int,
        m: int,
        trials: int,
        rng: np.random.Generator,
        *,
        fresh: bool = True,
        teacher_head: Head = HEAD,
        student_head: Head = HEAD,
    ) -> Result:
        """Repeat the experiment; every field of the result has shape (trials, tasks)."""
        return protocol.repeat(
            self.draw(n, N, m, fresh=fresh),
            trials,
            rng,
            teacher_head=teacher_head,
            student_head=student_head,
        )

    def population(self, n: int, m: int, rng: np.random.Generator) -> Population:
        """Misfit, gain and their difference over ``m`` inputs that stand for the distribution.

        The teacher is fitted on ``n`` labels of its own; the student and the best strong head are
        projections over the ``m`` fresh inputs, so the theorem's identities hold to rounding.
        """
        labelled = self.inputs(draw_inputs(n, rng))
        points = self.inputs(draw_inputs(m, rng))
        teacher = HEAD.fit(labelled.weak, labelled.labels).predict(points.weak)
        both = HEAD.fit(points.strong, np.hstack([teacher, points.labels])).predict(points.strong)
        student, best = np.hsplit(both, 2)
        unexpressed, leverage = teacher - student, _leverage(points.strong)
        drift = -2 * np.mean(
            leverage[:, None] * unexpressed * (unexpressed - student + best), axis=0
        )
        columns = zip(points.labels.T, teacher.T, student.T, best.T, strict=True)
        terms = tuple(decompose(*values) for values in columns)
        return Population(terms, drift, round(leverage.mean()))


@dataclass(frozen=True)
class Population:
    r"""The misfit theorem's terms for each task, and what finitely many pseudo-labels change.

    Attributes
    ----------
    terms : tuple of NonRealizable
        One a task; the student is the projection.
    drift : ndarray, shape (tasks,)
        With ``N`` pseudo-labels the mean of gain - misfit on fresh inputs changes by ``drift / N``
        to first order,

        .. math:: \mathrm{drift} = -2\,\mathbb E\, h\, r\,(r - (f_{sw} - f_s))

        with :math:`r = f_w - f_{sw}` and the leverage
        :math:`h = \phi^T (\mathbb E \phi\phi^T)^{-1} \phi`, intercept included.
    rank : int
        Of the strong features, intercept included.
    """

    terms: tuple[NonRealizable, ...]
    drift: NDArray[np.float64]
    rank: int

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        """One attribute of the terms for all tasks: ``misfit``, ``gain``, ``approximation``."""
        return np.array([getattr(term, name) for term in self.terms])

    def distance(self, N: float = np.inf) -> NDArray[np.float64]:
        """Predicted mean of gain - misfit, shape (tasks,), with ``N`` pseudo-labels.

        The drift is divided by ``N - rank - 1``: the same to first order, and nearer to the truth,
        since that is the factor of Gaussian features.

        Raises
        ------
        ValueError
            If ``N`` is not above ``rank + 1``.
        """
        validation.at_least(N, self.rank + 2, "N", "two more than the rank of the features")
        return 2 * self["cross"] + self.drift / (N - self.rank - 1)


def approximation_errors(
    representation: Representation,
    target: Representation,
    heads: LinearModel,
    m: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Share of each task's variance that the best head leaves, over ``m`` fresh inputs.

    Returns
    -------
    ndarray, shape (tasks,)
    """
    x = draw_inputs(m, rng)
    phi, truth = representation(x), heads.predict(target(x))
    residual = truth - HEAD.fit(phi, truth).predict(phi)
    return np.mean(residual**2, axis=0) / truth.var(axis=0)


def _leverage(features: NDArray) -> NDArray:
    """Leverage of every row with an intercept, in units in which its mean is the rank."""
    design = np.column_stack([np.ones(len(features)), features])
    left, singular, _ = np.linalg.svd(design, full_matrices=False)
    kept = singular > singular[0] * max(design.shape) * np.finfo(float).eps
    return len(design) * np.sum(left[:, kept] ** 2, axis=1)


def _uniform(shape: int | tuple[int, ...], fan_in: int, rng: np.random.Generator) -> NDArray:
    return rng.uniform(-1, 1, shape) / np.sqrt(fan_in)


def _by_task(representation: Representation, x: NDArray, heads: LinearModel) -> NDArray:
    """Every task's head on its own inputs, shape (tasks, m)."""
    tasks, m, size = x.shape
    phi = representation(x.reshape(-1, size)).reshape(tasks, m, -1)
    return np.einsum("tmk,kt->tm", phi, heads.coefficients) + np.reshape(heads.intercept, (-1, 1))


def _training_data(problems: Sequence[Pretraining]) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Inputs, heads and centred targets of order one, with examples last; and the scales."""
    inputs, heads, targets, scales = [], [], [], []
    for problem in problems:
        _, m, size = problem.inputs.shape
        scale = float(np.sqrt(np.mean(problem.targets.var(axis=1)))) or 1.0
        scales.append(scale)
        inputs.append(problem.inputs.reshape(-1, size).T / SPREAD)
        heads.append(np.repeat(problem.heads.coefficients, m, axis=1))
        intercept = np.reshape(problem.heads.intercept, (-1, 1))
        targets.append(((problem.targets - intercept) / scale).ravel())
    return np.array(inputs), np.array(heads), np.array(targets), np.array(scales)


def _representation(layers: NDArray, inputs: int, scale: float) -> Representation:
    """The trained network in the units of the problem."""
    values = layers.astype(float)
    weights = (values[0, :, :inputs], *values[1:, :, :-1])
    return Representation(weights, tuple(values[..., -1])).rescaled(SPREAD, scale)
