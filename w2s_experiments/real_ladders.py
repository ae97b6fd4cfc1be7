"""Ladders of teachers on real data."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from w2s_utils.ladder import LEAST_LABELS, Ladder, Part, climb
from w2s_utils.least_squares import MinimumNorm
from w2s_utils.problem import Problem


def real_ladder(
    rng: np.random.Generator, problem: Problem, student: str, *, pool: int, N: int, labels: int
) -> Ladder:
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
    Ladder

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
    everything = np.column_stack(predictions)
    strong = problem.students[student]

    def part(start: int, stop: int | None, values: NDArray) -> Part:
        chosen = rows[start:stop]
        return Part(strong[chosen], everything[chosen], values[chosen])

    return climb(
        part(pool, pool + N, noisy),
        part(pool + N, pool + N + labels, noisy),
        part(pool + N + labels, None, target),
    )
