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

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from w2s_experiments import relu_training
from w2s_utils import protocol, validation
from w2s_utils.least_squares import LinearModel, MinimumNorm, Moments
from w2s_utils.protocol import Inputs

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

    def without_rare_units(self, x: ArrayLike, share: float = 0.01) -> Representation:
        """Silence the units of the last layer that are active on less than a share of the inputs.

        A head learns the weight of such a unit from a handful of inputs; its errors have no
        variance to speak of, and no mean over repetitions is then worth its standard error.
        """
        kept = np.mean(self(x) > 0, axis=0) >= share
        (*weights, last), (*biases, bias) = self.weights, self.biases
        return Representation((*weights, last * kept[:, None]), (*biases, bias * kept))

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
    steps : int
        Minibatch steps.
    refine : int
        Further steps, from a large step size again; kept where they lower the loss.
    extra : int
        Units a layer that training starts with in addition, and fades out.
    batch : int
        Examples a step, over all tasks.
    """

    steps: int
    refine: int = 0
    extra: int = 16
    batch: int = 256

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("refine", 0), ("extra", 0), ("batch", 1)):
            validation.at_least(getattr(self, name), least, name, "see Effort")


def pretrain(
    problems: Sequence[Pretraining], depth: int, effort: Effort, rng: np.random.Generator
) -> list[Representation]:
    """Pretrain a representation of the given depth on each problem.

    Only the representation is trained, against the frozen true heads, by
    `w2s_experiments.relu_training`.

    Parameters
    ----------
    problems : sequence of Pretraining
        Of one shape; they are trained side by side.
    depth : int
    effort : Effort
    rng : numpy.random.Generator

    Returns
    -------
    list of Representation
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
    (*_, size), (width, _) = problems[0].inputs.shape, problems[0].heads.coefficients.shape
    inputs, heads, targets, scales = _training_data(problems)

    def found(layers: NDArray) -> list[Representation]:
        return [_representation(layers[:, i], size, scale) for i, scale in enumerate(scales)]

    first = relu_training.Schedule(effort.steps, effort.batch, extra=effort.extra)
    start = relu_training.initial(len(problems), depth, width + first.extra, size, rng)
    layers = relu_training.train(start, inputs, heads, targets, first, rng)
    chosen = found(layers)
    if effort.refine:
        again = relu_training.Schedule(effort.refine, effort.batch, extra=0, slope=0.0, until=0.0)
        refined = found(relu_training.train(layers, inputs, heads, targets, again, rng))
        chosen = [
            min(pair, key=problem.loss)
            for problem, *pair in zip(problems, chosen, refined, strict=True)
        ]
    return chosen


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

    def population(self, m: int, rng: np.random.Generator) -> Population:
        """Let ``m`` inputs, each equally likely, be the distribution: all errors are then exact."""
        points = self.inputs(draw_inputs(m, rng))
        return Population(_basis(points.weak), _basis(points.strong), points.labels)


@dataclass(frozen=True, eq=False)
class Population:
    r"""Inputs that are the whole distribution, each equally likely.

    Attributes
    ----------
    weak, strong : ndarray, shapes (m, k_w), (m, k_s)
        Functions that span the heads, constant included, orthonormal over the population.
    labels : ndarray, shape (m, tasks)
        True values.
    """

    weak: NDArray[np.float64]
    strong: NDArray[np.float64]
    labels: NDArray[np.float64]

    def best(self, block: str, values: NDArray) -> NDArray[np.float64]:
        """Project functions, shape (m, k), on the span of ``"weak"`` or ``"strong"``."""
        basis = getattr(self, block)
        projected: NDArray[np.float64] = basis @ (basis.T @ values / len(basis))
        return projected

    def exact(self) -> dict[str, NDArray[np.float64]]:
        r"""Terms of the misfit theorem for best teachers and exact students, one entry a task.

        ``teacher``, ``student``, ``misfit``, ``gain``; ``approximation``, :math:`\varepsilon =
        \mathbb E(f^* - f_s)^2`; ``outside``, the teacher's error outside the student's class;
        ``cross``, :math:`\langle f_w - f_{sw}, f^* - f_s\rangle`. The gain is ``outside -
        approximation``, and ``misfit - 2 cross``.
        """
        teacher = self.best("weak", self.labels)
        student = self.best("strong", teacher)
        lacking = self.labels - self.best("strong", self.labels)
        terms = {
            "teacher": teacher - self.labels,
            "student": student - self.labels,
            "misfit": teacher - student,
            "approximation": lacking,
            "outside": teacher - student - lacking,
        }
        squares = {name: np.mean(values**2, axis=0) for name, values in terms.items()}
        squares["gain"] = squares["teacher"] - squares["student"]
        squares["cross"] = np.mean((teacher - student) * lacking, axis=0)
        return squares

    def sample(
        self,
        n: int,
        N: int | None,
        rng: np.random.Generator,
        *,
        fresh: bool = True,
        noise: float = 0.0,
    ) -> dict[str, NDArray[np.float64]]:
        """One repetition: a teacher with ``n`` labels, its student with ``N`` pseudo-labels.

        Parameters
        ----------
        n : int
        N : int or None
            None for the exact student.
        rng : numpy.random.Generator
        fresh : bool
            Whether pseudo-labels are given on inputs of their own, as the theorem asks, or on the
            teacher's, as in the authors' notebook (then ``N`` must equal ``n``).
        noise : float
            Standard deviation of the noise of the labels.

        Returns
        -------
        dict
            Fields of `w2s_utils.protocol.Result` over the population, shape (tasks,).

        Raises
        ------
        ValueError
            If ``fresh`` is false and ``N`` is not ``n``.
        """
        if not fresh and n != N:
            raise ValueError(f"N: expected n = {n} when the inputs are the teacher's own, got {N}")
        rows = rng.integers(len(self.labels), size=n)
        # Drawn first, so that the same generator gives both protocols the same labelled inputs.
        added = noise * rng.standard_normal((n, self.labels.shape[1])) if noise else 0.0
        whole, labelled = self._whole, self._moments(rows, added)
        if N is None:
            unlabelled = whole
        elif fresh:
            unlabelled = self._moments(rng.integers(len(self.labels), size=N))
        else:
            unlabelled = labelled
        return protocol.moment_trial(labelled, unlabelled.only("weak", "strong"), whole)

    def distance(self, n: float, N: float, *, fresh: bool = True) -> NDArray[np.float64]:
        r"""Mean of gain - misfit to first order in 1/n and 1/N, one entry a task.

        With :math:`m = f_w - f_{sw}`, :math:`q = f_{sw} - f_s` and :math:`e = f^* - f_s` of the
        best teacher, :math:`z` what it leaves of the truth, :math:`P_w` the projection on weak
        heads, and leverages :math:`\ell` of the strong and :math:`\ell_w = \ell_\parallel +
        \ell_\perp` of the weak features, of which strong heads can express the first part,

        .. math::

            -2\langle m, e\rangle + \tfrac2n\,\mathbb E\,\ell_w z\,P_w e
            - \tfrac2N\,\mathbb E\,\ell\,m\,(m - q)
            \;\bigl[ - \tfrac2N\,\mathbb E\,z\,(\ell_\perp q + \ell_\parallel m) \bigr],

        the last term on the teacher's own inputs only. No noise enters.
        """
        teacher, best = self.best("weak", self.labels), self.best("strong", self.labels)
        student = self.best("strong", teacher)
        m, q, e, z = teacher - student, student - best, self.labels - best, self.labels - teacher
        h, h_w = (np.sum(basis**2, axis=1)[:, None] for basis in (self.strong, self.weak))
        inside = np.sum(self.best("strong", self.weak) * self.weak, axis=1)[:, None]
        found = -2 * m * e + 2 / n * h_w * z * self.best("weak", e) - 2 / N * h * m * (m - q)
        if not fresh:
            found -= 2 / N * z * ((h_w - inside) * q + inside * m)
        return np.asarray(found.mean(axis=0))

    @cached_property
    def _whole(self) -> Moments:
        return Moments.of(weak=self.weak, strong=self.strong, labels=self.labels)

    @cached_property
    def _functions(self) -> NDArray[np.float64]:
        return np.hstack([self.weak, self.strong, self.labels])

    def _moments(self, rows: NDArray, added: NDArray | float = 0.0) -> Moments:
        values = self._functions[rows]
        values[:, self._whole.blocks["labels"]] += added
        return Moments(len(rows), values.T @ values, self._whole.blocks)


def _basis(features: NDArray) -> NDArray:
    """Functions orthonormal over the rows that span the features and a constant."""
    design = np.column_stack([np.ones(len(features)), features])
    left, singular, _ = np.linalg.svd(design, full_matrices=False)
    kept = singular > singular[0] * max(design.shape) * np.finfo(float).eps
    return np.sqrt(len(design)) * left[:, kept]


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
