r"""Ladders of weak teachers for one strong model: errors, misfits, and rules that choose.

For linear heads the student of every teacher of a ladder is fitted with one factorisation, and the
student of the average teacher is the average of the students.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from w2s_utils import validation
from w2s_utils.heads import Head, MinimumNorm
from w2s_utils.tasks.representations import Problem

# Labels for each of a teacher's features. Nearer to interpolation its error and its misfit are both
# huge, and rules that look at their difference see noise.
LEAST_LABELS = 1.5


@dataclass(frozen=True, eq=False)
class Part:
    """Inputs as the strong model, the teachers and (where there are any) the labels see them.

    Attributes
    ----------
    strong : ndarray, shape (m, d_s)
    teachers : ndarray, shape (m, t)
        Predictions of the teachers.
    labels : ndarray, shape (m,), optional
    """

    strong: NDArray[np.float64]
    teachers: NDArray[np.float64]
    labels: NDArray[np.float64] | None = None


@dataclass(frozen=True, eq=False)
class Ladder:
    """What is known, and what is true, of each teacher and its student; shape (t,) each.

    Attributes
    ----------
    misfit : ndarray
        Mean squared distance of student and teacher on the student's own training inputs.
    correction : float
        Expected gain over expected training misfit, `gain_per_misfit`.
    known_teacher, known_student : ndarray
        Errors on the validation labels.
    teacher, student : ndarray
        Errors on the test labels.
    ensemble : dict of str to float
        ``"misfit"``, ``"teacher"`` and ``"student"`` of the average of the teachers.
    """

    misfit: NDArray[np.float64]
    correction: float
    known_teacher: NDArray[np.float64]
    known_student: NDArray[np.float64]
    teacher: NDArray[np.float64]
    student: NDArray[np.float64]
    ensemble: Mapping[str, float]

    @property
    def gain(self) -> NDArray[np.float64]:
        """Error of each teacher less that of its student, on the test labels."""
        return self.teacher - self.student

    @property
    def predicted_gain(self) -> NDArray[np.float64]:
        """Misfit times its correction: needs no labels."""
        return self.correction * self.misfit

    def regrets(self) -> dict[str, float]:
        """Error of the chosen student less that of the best student, by rule of choice."""
        scores = {
            "teacher's error": self.known_teacher,
            "error − misfit": self.known_teacher - self.misfit,
            "error − corrected misfit": self.known_teacher - self.predicted_gain,
            "student's error": self.known_student,
        }
        least = self.student.min()
        chosen = {rule: float(self.student[np.argmin(s)] - least) for rule, s in scores.items()}
        return {**chosen, "at random": float(self.student.mean() - least)}


def gain_per_misfit(d_s: int, N: int) -> float:
    r"""Expected gain over expected misfit on the student's own training inputs.

    .. math:: \frac{1 - r}{1 - d_s/N}, \qquad r = \frac{d_s}{N - d_s - 1}

    for least squares on ``d_s`` Gaussian features, any linear teacher and a truth the student can
    express. It is negative, and a gain not to be expected, for ``N < 2 d_s + 1``.

    Raises
    ------
    ValueError
        If ``N < d_s + 2``.
    """
    if d_s + 2 > N:
        raise ValueError(f"N: expected at least d_s + 2 = {d_s + 2} pseudo-labels, got {N}")
    return (1 - d_s / (N - d_s - 1)) / (1 - d_s / N)


def climb(unlabelled: Part, validation_part: Part, test: Part, head: Head | None = None) -> Ladder:
    """Train the student of every teacher, and of the average teacher.

    Parameters
    ----------
    unlabelled : Part
        The students' training inputs.
    validation_part, test : Part
        With labels.
    head : Head, optional
        Of the students; default `MinimumNorm`.

    Returns
    -------
    Ladder
    """
    taught = _with_average(unlabelled.teachers, "unlabelled.teachers")
    model = (head or MinimumNorm()).fit(unlabelled.strong, taught)

    def errors(part: Part, name: str) -> tuple[NDArray, NDArray]:
        teachers = _with_average(part.teachers, f"{name}.teachers")
        labels = validation.vector(part.labels, f"{name}.labels", rows=len(teachers))[:, None]
        students = model.predict(part.strong)
        return _mean_square(teachers - labels), _mean_square(students - labels)

    misfit = _mean_square(model.predict(unlabelled.strong) - taught)
    known_teacher, known_student = errors(validation_part, "validation_part")
    teacher, student = errors(test, "test")
    return Ladder(
        misfit=misfit[:-1],
        correction=gain_per_misfit(unlabelled.strong.shape[1], len(taught)),
        known_teacher=known_teacher[:-1],
        known_student=known_student[:-1],
        teacher=teacher[:-1],
        student=student[:-1],
        ensemble={"misfit": misfit[-1], "teacher": teacher[-1], "student": student[-1]},
    )


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
) -> Ladder:
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
    Ladder
    """
    target = validation.vector(theta, "theta")
    functions = validation.matrix(teachers, "teachers", rows=len(target))
    ambient = len(target)
    # A rule of equal weights that is exact for squares of linear functions.
    population = np.sqrt(ambient) * np.eye(ambient)

    def part(g: NDArray, noise: ArrayLike = 0.0) -> Part:
        return Part(g[:, :d_s], g @ functions, g @ target + noise)

    drawn = rng.standard_normal((N + labels, ambient))
    noise = np.sqrt(sigma2) * rng.standard_normal(labels)
    everyone = part(population)
    if N == 0:
        ladder = climb(everyone, everyone, everyone)
        return Ladder(**{**vars(ladder), "correction": 1.0})
    return climb(part(drawn[:N]), part(drawn[N:], noise) if labels else everyone, everyone)


def real_ladder(
    rng: np.random.Generator, problem: Problem, student: str, *, pool: int, N: int, labels: int
) -> Ladder:
    """Teachers of a real problem, each on its own random number of labels, one random task.

    Parameters
    ----------
    rng : numpy.random.Generator
    problem : w2s_utils.tasks.representations.Problem
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


def _with_average(teachers: ArrayLike, name: str) -> NDArray:
    predictions = validation.matrix(teachers, name)
    return np.column_stack([predictions, predictions.mean(axis=1)])


def _mean_square(difference: NDArray) -> NDArray:
    return np.mean(difference**2, axis=0)
