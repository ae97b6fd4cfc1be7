"""Ladders of random teachers, in the Gaussian model with exact errors and on real inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from w2s_utils import ladder, validation
from w2s_utils.ladder import LEAST_LABELS, Predictions
from w2s_utils.least_squares import MinimumNorm
from w2s_utils.problem import Problem
from w2s_utils.protocol import Result
from w2s_utils.theory import risks


def gaussian_teachers(
    rng: np.random.Generator, theta: ArrayLike, d_s: int, count: int, *, sigma2: float = 0.5
) -> NDArray[np.float64]:
    """Coefficients of random teachers in the Gaussian model, of very different quality.

    Each sees a random subspace of 5 to 40 dimensions, tilted towards or away from the student's
    (the first ``d_s`` coordinates), and fits 1.5 to 4 times as many noisy labels as dimensions.

    Parameters
    ----------
    rng : numpy.random.Generator
    theta : array_like, shape (D,)
        Target; ``D`` at least 40.
    d_s : int
    count : int
    sigma2 : float
        Variance of the label noise.

    Returns
    -------
    ndarray, shape (D, count)
    """
    target = validation.vector(theta, "theta")
    if not 0 < d_s < len(target) or len(target) < 40:
        raise ValueError(
            f"theta, d_s: expected 40 coordinates or more, of which 1 to {len(target) - 1} are the "
            f"student's, got {len(target)} and {d_s}"
        )
    found = []
    for _ in range(count):
        d_w = int(rng.integers(5, 41))
        n = int(np.ceil(rng.uniform(LEAST_LABELS, 4) * d_w))
        directions = rng.standard_normal((len(target), d_w))
        directions[:d_s] *= 4.0 ** rng.uniform(-1, 1)
        g = rng.standard_normal((n, len(target)))
        labels = g @ target + np.sqrt(sigma2) * rng.standard_normal(n)
        head = MinimumNorm().fit(g @ directions, labels)
        found.append(directions @ head.coefficients)
    return np.column_stack(found)


def gaussian_ladder(
    rng: np.random.Generator,
    theta: ArrayLike,
    teachers: ArrayLike,
    d_s: int,
    N: int,
    *,
    labels: int = 0,
    sigma2: float = 0.5,
) -> dict[str, Any]:
    """Students of given teachers in the Gaussian model, on fresh inputs; errors are exact.

    Parameters
    ----------
    rng : numpy.random.Generator
    theta : array_like, shape (D,)
    teachers : array_like, shape (D, t)
        From `gaussian_teachers`.
    d_s : int
    N : int
        Pseudo-labels; 0 for the whole distribution.
    labels : int
        Noisy validation labels; 0 when the errors are known exactly.
    sigma2 : float
        Variance of the noise on validation labels.

    Returns
    -------
    dict
        Fields of `w2s_utils.protocol.Result`, one entry a teacher: errors, the students' ``own``
        ``misfit`` and ``corrected`` misfit (which predicts the gain), and the ``known`` errors.
    """
    target = validation.vector(theta, "theta")
    functions = validation.matrix(teachers, "teachers", rows=len(target))
    ambient = len(target)
    # A rule of equal weights that is exact for squares of linear functions.
    population = np.sqrt(ambient) * np.eye(ambient)

    def part(g: NDArray, noise: ArrayLike = 0.0) -> Predictions:
        return Predictions(g[:, :d_s], g @ functions, g @ target + noise)

    drawn = rng.standard_normal((N + labels, ambient))
    noise = np.sqrt(sigma2) * rng.standard_normal(labels)
    everyone = part(population)
    if N == 0:
        return _trained(everyone, everyone, everyone, 1.0)
    return _trained(part(drawn[:N]), part(drawn[N:], noise) if labels else everyone, everyone)


def real_ladder(
    rng: np.random.Generator, problem: Problem, student: str, *, pool: int, N: int, labels: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Teachers of a real problem, each on its own random number of labels, one random task.

    Parameters
    ----------
    rng : numpy.random.Generator
    problem : w2s_utils.problem.Problem
    student : str
        Key of ``problem.students``.
    pool : int
        Labelled inputs, of which each teacher draws a number between `LEAST_LABELS` times its
        features and all.
    N, labels : int
        Unlabelled inputs and validation labels; the rest are test inputs.

    Returns
    -------
    teachers : dict
        As from `gaussian_ladder`.
    average : dict
        The same of the average teacher, alone.

    Raises
    ------
    ValueError
        If no test inputs are left, or a teacher has too many features for the pool.
    """
    m = len(problem.targets)
    widest = max(problem.teachers)
    fewest = {size: int(np.ceil(LEAST_LABELS * size)) for size in problem.teachers}
    if pool + N + labels >= m or fewest[widest] > pool or labels < 1:
        raise ValueError(
            f"pool, N, labels: expected pool >= {fewest[widest]}, labels >= 1 and a sum below {m} "
            f"(the inputs), got {pool}, {N} and {labels}"
        )
    rows = rng.permutation(m)
    target = problem.targets[:, rng.integers(problem.targets.shape[1])]
    noisy = target + problem.noise * rng.standard_normal(m)
    predictions = []
    for size, features in problem.teachers.items():
        taught = rng.choice(rows[:pool], int(rng.integers(fewest[size], pool + 1)), replace=False)
        head = MinimumNorm().fit(features[taught], noisy[taught])
        predictions.append(head.predict(features))
    taught = np.column_stack(predictions)
    everything = np.column_stack([taught, taught.mean(axis=1)])
    strong = problem.students[student]

    def part(start: int, stop: int | None, values: NDArray) -> Predictions:
        chosen = rows[start:stop]
        return Predictions(strong[chosen], everything[chosen], values[chosen])

    everyone = _trained(
        part(pool, pool + N, noisy),
        part(pool + N, pool + N + labels, noisy),
        part(pool + N + labels, None, target),
    )
    return _columns(everyone, slice(None, -1)), _columns(everyone, slice(-1, None))


def regrets(ladders: Result) -> dict[str, NDArray[np.float64]]:
    """Regret of every rule in every ladder, `w2s_utils.ladder.regrets`."""
    return ladder.regrets(
        ladders.student,
        known_teacher=ladders.known["teacher"],
        known_student=ladders.known["student"],
        **ladders.own,
    )


def _trained(
    own: Predictions, known: Predictions, test: Predictions, correction: float | None = None
) -> dict[str, Any]:
    own, known, test = ladder.train_students(replace(own, labels=None), known, test)
    if correction is None:
        m, d_s = own.strong.shape
        correction = float(risks.gain_per_misfit(d_s, m, in_sample=True))
    misfit = own.own_terms()["misfit"]
    return {
        **test.errors(),
        "own": {"misfit": misfit, "corrected": correction * misfit},
        "known": known.errors(),
    }


def _columns(trial: Mapping[str, Any], chosen: slice) -> dict[str, Any]:
    return {
        name: _columns(values, chosen) if isinstance(values, Mapping) else values[chosen]
        for name, values in trial.items()
    }
