"""Teacher, pseudo-labels, student, baseline, ceiling: the one way every experiment runs.

A trial takes labelled, unlabelled and test inputs, each known by its weak features, its strong
features and its target. The teacher is fitted on the weak features of the labelled inputs; the
student on the strong features of the unlabelled inputs with the teacher's predictions as labels;
the baseline on the strong features of the labelled inputs; the ceiling on the strong features of
all inputs with their true labels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

from w2s_utils import validation
from w2s_utils.heads import Head, MinimumNorm


@dataclass(frozen=True)
class Inputs:
    """Inputs as both models and the labels see them.

    Attributes
    ----------
    weak : ndarray, shape (m, D_w)
        Weak features.
    strong : ndarray, shape (m, D_s)
        Strong features.
    labels : ndarray, shape (m,) or (m, tasks)
        What is observed, noise included. For test inputs: what the risk is measured against.

    Raises
    ------
    ValueError
        If the numbers of rows differ or a value is not finite.
    """

    weak: NDArray[np.float64]
    strong: NDArray[np.float64]
    labels: NDArray[np.float64]

    def __post_init__(self) -> None:
        weak = validation.matrix(self.weak, "weak")
        object.__setattr__(self, "weak", weak)
        object.__setattr__(self, "strong", validation.matrix(self.strong, "strong", rows=len(weak)))
        object.__setattr__(
            self, "labels", validation.targets(self.labels, "labels", rows=len(weak))
        )


# Labelled, unlabelled and test inputs of one trial.
Trial = tuple[Inputs, Inputs, Inputs]


@dataclass(frozen=True)
class Estimate:
    """A Monte Carlo estimate: value, standard error, number of independent trials."""

    value: float
    standard_error: float
    trials: int


@dataclass(frozen=True)
class Result:
    """Mean squares over the test inputs, one entry a trial (and a task).

    Attributes
    ----------
    teacher, student, baseline, ceiling : ndarray, shape (trials,) or (trials, tasks)
        Mean squared distance to the test labels: an excess risk when these are noise-free.
    misfit : ndarray, same shape
        Mean squared distance between student and teacher; needs no labels.
    """

    teacher: NDArray[np.float64]
    student: NDArray[np.float64]
    baseline: NDArray[np.float64]
    ceiling: NDArray[np.float64]
    misfit: NDArray[np.float64]

    @property
    def gain(self) -> NDArray[np.float64]:
        """Teacher's risk less the student's."""
        return self.teacher - self.student

    @property
    def trials(self) -> int:
        """Number of independent trials."""
        return len(self.teacher)

    def mean(self, name: str) -> Estimate:
        """Mean over trials (tasks averaged within a trial) of a risk, ``misfit`` or ``gain``.

        Raises
        ------
        ValueError
            If ``name`` is unknown or there are fewer than two trials.
        """
        values = self._per_trial(name)
        error = np.std(values, ddof=1) / np.sqrt(self.trials)
        return Estimate(float(values.mean()), float(error), self.trials)

    def pgr(self) -> Estimate:
        """Performance gap recovery, ratio of means, jackknife standard error over trials."""
        teacher, student = self._per_trial("teacher"), self._per_trial("student")
        return ratio_of_means(teacher - student, teacher - self._per_trial("ceiling"))

    def opr(self) -> Estimate:
        """Outperforming ratio, ratio of means, jackknife standard error over trials."""
        return ratio_of_means(self._per_trial("baseline"), self._per_trial("student"))

    def _per_trial(self, name: str) -> NDArray:
        known = [*(field.name for field in fields(self)), "gain"]
        if name not in known:
            raise ValueError(f"name: expected one of {', '.join(known)}, got {name!r}")
        if self.trials < 2:
            raise ValueError(f"trials: a standard error needs at least 2, got {self.trials}")
        return getattr(self, name).reshape(self.trials, -1).mean(axis=1)


def ratio_of_means(numerator: ArrayLike, denominator: ArrayLike) -> Estimate:
    """Ratio of two means over the same trials, with its jackknife standard error.

    Parameters
    ----------
    numerator, denominator : array_like, shape (trials,)

    Returns
    -------
    Estimate

    Raises
    ------
    ValueError
        If the shapes differ, a value is not finite, or there are fewer than two trials.
    """
    top = validation.vector(numerator, "numerator")
    count = len(top)
    bottom = validation.vector(denominator, "denominator", rows=count)
    validation.at_least(count, 2, "trials", "for a standard error")
    left_out = (top.sum() - top) / (bottom.sum() - bottom)
    spread = np.sum((left_out - left_out.mean()) ** 2)
    error = np.sqrt((count - 1) / count * spread)
    return Estimate(float(top.mean() / bottom.mean()), float(error), count)


def run_trial(
    labelled: Inputs,
    unlabelled: Inputs,
    test: Inputs,
    *,
    teacher_head: Head | None = None,
    student_head: Head | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Run one trial.

    Parameters
    ----------
    labelled, unlabelled, test : Inputs
        The unlabelled inputs' labels are seen by the ceiling only.
    teacher_head, student_head : Head, optional
        Default `w2s_utils.heads.MinimumNorm`. The student's head serves baseline and ceiling.

    Returns
    -------
    dict of str to ndarray
        The fields of `Result` for this trial, each a number or shape ``(tasks,)``.

    Raises
    ------
    ValueError
        If the three parts' labels have different numbers of tasks.
    """
    weak_head = MinimumNorm() if teacher_head is None else teacher_head
    strong_head = MinimumNorm() if student_head is None else student_head
    tasks = {part.labels.shape[1:] for part in (labelled, unlabelled, test)}
    if len(tasks) > 1:
        raise ValueError(
            "labels: expected (m,) or (m, tasks) alike for labelled, unlabelled and test inputs, "
            f"got trailing shapes {sorted(tasks)}"
        )

    # Each head predicts before the next is fitted: an estimator that fits itself in place, as
    # scikit-learn's do, would otherwise forget the student when it learns the baseline.
    teacher = weak_head.fit(labelled.weak, labelled.labels)
    pseudo_labels, taught = teacher.predict(unlabelled.weak), teacher.predict(test.weak)

    def on_test(features: NDArray, labels: NDArray) -> NDArray:
        return strong_head.fit(features, labels).predict(test.strong)

    learnt = on_test(unlabelled.strong, pseudo_labels)
    baseline = on_test(labelled.strong, labelled.labels)
    ceiling = on_test(
        np.concatenate([labelled.strong, unlabelled.strong]),
        np.concatenate([labelled.labels, unlabelled.labels]),
    )
    return {
        "teacher": _mean_square(taught - test.labels),
        "student": _mean_square(learnt - test.labels),
        "baseline": _mean_square(baseline - test.labels),
        "ceiling": _mean_square(ceiling - test.labels),
        "misfit": _mean_square(learnt - taught),
    }


def repeat(
    draw: Callable[[np.random.Generator], Trial],
    trials: int,
    rng: np.random.Generator,
    *,
    teacher_head: Head | None = None,
    student_head: Head | None = None,
    n_jobs: int = 1,
) -> Result:
    """Run independent trials, each with a generator spawned from ``rng``.

    Parameters
    ----------
    draw : callable
        Takes a generator, returns labelled, unlabelled and test `Inputs`.
    trials : int
        At least 1.
    rng : numpy.random.Generator
        The same generator gives the same numbers, whatever the number of workers.
    teacher_head, student_head : Head, optional
        See `run_trial`.
    n_jobs : int
        Worker processes (joblib); -1 for all cores.

    Returns
    -------
    Result

    Raises
    ------
    ValueError
        If ``trials < 1``.
    """
    validation.at_least(trials, 1, "trials", "repetitions")

    def run(generators: list[np.random.Generator]) -> list[dict[str, NDArray]]:
        # One BLAS thread in every worker: sums are then formed in the same order everywhere.
        with threadpool_limits(1, "blas"):
            return [
                run_trial(*draw(generator), teacher_head=teacher_head, student_head=student_head)
                for generator in generators
            ]

    generators = rng.spawn(trials)
    if n_jobs == 1:
        rows = run(generators)
    else:
        chunks = np.array_split(np.arange(trials), min(trials, 32))
        batches = Parallel(n_jobs=n_jobs)(
            delayed(run)([generators[i] for i in chunk]) for chunk in chunks
        )
        rows = [row for batch in batches for row in batch]
    return Result(**{name: np.array([row[name] for row in rows]) for name in rows[0]})


def random_splits(
    weak: ArrayLike,
    strong: ArrayLike,
    labels: ArrayLike,
    *,
    n: int,
    N: int,
    target: ArrayLike | None = None,
) -> Callable[[np.random.Generator], Trial]:
    """Random splits of one data set into labelled, unlabelled and test inputs.

    Parameters
    ----------
    weak : array_like, shape (m, D_w)
    strong : array_like, shape (m, D_s)
    labels : array_like, shape (m,) or (m, tasks)
    n, N : int
        Labelled and unlabelled inputs; the remaining ``m - n - N >= 1`` are the test inputs.
    target : array_like, optional
        What test risks are measured against; default ``labels``.

    Returns
    -------
    callable
        For `repeat`.

    Raises
    ------
    ValueError
        If rows or shapes differ, or too few are left for testing.
    """
    everything = Inputs(weak, strong, labels)
    m = len(everything.weak)
    if n < 1 or N < 1 or n + N >= m:
        raise ValueError(
            f"n, N: expected positive numbers with n + N < {m} (the rows given), "
            f"got n = {n}, N = {N}; no test inputs would be left"
        )
    truth = everything.labels if target is None else validation.targets(target, "target", rows=m)
    if truth.shape != everything.labels.shape:
        # (m,) against (m, 1) would broadcast to (m, m) in the risks.
        raise ValueError(
            f"target: expected the shape of labels, {everything.labels.shape}, got {truth.shape}"
        )

    def draw(rng: np.random.Generator) -> Trial:
        order = rng.permutation(m)
        parts = order[:n], order[n : n + N], order[n + N :]
        seen = [everything.labels, everything.labels, truth]
        labelled, unlabelled, test = (
            Inputs(everything.weak[rows], everything.strong[rows], values[rows])
            for rows, values in zip(parts, seen, strict=True)
        )
        return labelled, unlabelled, test

    return draw


def _mean_square(difference: NDArray) -> NDArray:
    return np.mean(difference**2, axis=0)
