"""Teacher, pseudo-labels, student, baseline, ceiling: the one way every experiment runs.

A trial takes labelled, unlabelled and test inputs, each known by its weak features, its strong
features and its target. The teacher is fitted on the weak features of the labelled inputs; the
student on the strong features of the unlabelled inputs with the teacher's predictions as labels;
the baseline on the strong features of the labelled inputs; the ceiling on the strong features of
all inputs with their true labels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

from w2s_utils import validation
from w2s_utils.least_squares import Head, MinimumNorm
from w2s_utils.moments import Moments, prefixes


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
        Default `w2s_utils.least_squares.MinimumNorm`. The student's head serves baseline and
        ceiling.

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

    def one(generator: np.random.Generator) -> dict[str, NDArray]:
        return run_trial(*draw(generator), teacher_head=teacher_head, student_head=student_head)

    return _result(over_trials(one, trials, rng, n_jobs))


def over_trials(
    one: Callable[[np.random.Generator], Any],
    trials: int,
    rng: np.random.Generator,
    n_jobs: int = 1,
) -> list[Any]:
    """Run independent trials, each with a generator spawned from ``rng``.

    Parameters
    ----------
    one : callable
        Takes a generator.
    trials : int
        At least 1.
    rng : numpy.random.Generator
    n_jobs : int
        Worker processes (joblib); -1 for all cores.

    Returns
    -------
    list
        What ``one`` returned, in order: the same whatever the number of workers.

    Raises
    ------
    ValueError
        If ``trials < 1``.
    """
    validation.at_least(trials, 1, "trials", "repetitions")

    def run(generators: list[np.random.Generator]) -> list[Any]:
        # One BLAS thread in every worker: sums are then formed in the same order everywhere.
        with threadpool_limits(1, "blas"):
            return [one(generator) for generator in generators]

    generators = rng.spawn(trials)
    if n_jobs == 1:
        return run(generators)
    chunks = np.array_split(np.arange(trials), min(trials, 32))
    batches = Parallel(n_jobs=n_jobs)(
        delayed(run)([generators[i] for i in chunk]) for chunk in chunks
    )
    return [row for batch in batches for row in batch]


def _result(rows: list[dict[str, NDArray]]) -> Result:
    return Result(**{name: np.array([row[name] for row in rows]) for name in rows[0]})


def random_splits(
    weak: ArrayLike,
    strong: ArrayLike,
    labels: ArrayLike,
    *,
    n: int,
    N: int,
    target: ArrayLike | None = None,
    groups: ArrayLike | None = None,
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
    groups : array_like, shape (m,), optional
        Group of each row. Rows of one group never fall in different parts: the parts take whole
        groups in random order, and what is left of a group that a part does not need is not used.

    Returns
    -------
    callable
        For `repeat`.

    Raises
    ------
    ValueError
        If rows or shapes differ, or too few are left for testing.
    """
    everything, truth = _with_target(weak, strong, labels, target)
    cut = splitter(len(truth), n, N, groups)

    def draw(rng: np.random.Generator) -> Trial:
        seen = [everything.labels, everything.labels, truth]
        labelled, unlabelled, test = (
            Inputs(everything.weak[rows], everything.strong[rows], values[rows])
            for rows, values in zip(cut(rng), seen, strict=True)
        )
        return labelled, unlabelled, test

    return draw


def sweep(
    weak: ArrayLike,
    strong: ArrayLike,
    labels: ArrayLike,
    *,
    cells: Sequence[tuple[int, int]],
    trials: int,
    rng: np.random.Generator,
    noise: float = 0.0,
    target: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    n_jobs: int = 1,
) -> dict[tuple[int, int], Result]:
    r"""Run random splits for many numbers of labels and pseudo-labels at once.

    In each trial the rows are split once, for the largest ``n`` and ``N`` of the cells; smaller
    samples are the first rows of the larger ones, and all cells are tested on the same rows. All
    heads are minimum-norm least squares, computed from moment matrices which grow from sample to
    sample (`w2s_utils.moments`): a point of a sweep costs its new rows and one small solve.

    Parameters
    ----------
    weak : array_like, shape (m, d_w)
    strong : array_like, shape (m, d_s)
    labels : array_like, shape (m,) or (m, tasks)
    cells : sequence of (int, int)
        Pairs ``(n, N)`` of labelled and unlabelled inputs; the rows that the largest leave over
        are the test inputs.
    trials : int
        At least 1.
    rng : numpy.random.Generator
        The same generator gives the same splits for every pair of models on ``m`` rows, and the
        same numbers whatever the number of workers.
    noise : float
        Standard deviation of Gaussian noise added to ``labels``, anew in every trial.
    target : array_like, optional
        What test risks are measured against; default ``labels``, without the noise.
    groups : array_like, shape (m,), optional
        As in `random_splits`.
    n_jobs : int
        Worker processes (joblib); -1 for all cores.

    Returns
    -------
    dict of (int, int) to Result
        By cell, in the order given.

    Raises
    ------
    ValueError
        If rows or shapes differ, there are no cells, or too few rows are left for testing.
    """
    everything, truth = _with_target(weak, strong, labels, target)
    deviation = validation.nonnegative(noise, "noise", "a standard deviation")
    pairs = list(dict.fromkeys((int(n), int(N)) for n, N in cells))
    if not pairs or min(map(min, pairs)) < 1:
        raise ValueError(f"cells: expected pairs (n, N) of positive numbers, got {list(cells)}")
    cut = splitter(len(truth), max(n for n, _ in pairs), max(N for _, N in pairs), groups)
    tasks = truth.shape[1:]
    columns = [array.reshape(len(truth), -1) for array in (everything.labels, truth)]

    def one(generator: np.random.Generator) -> dict[tuple[int, int], dict[str, NDArray]]:
        rows = cut(generator)
        observed = [
            columns[0][part] + deviation * generator.standard_normal(columns[0][part].shape)
            for part in rows[:2]
        ]
        sides = [
            {"weak": everything.weak[part], "strong": everything.strong[part], "labels": values}
            for part, values in zip(rows, [*observed, columns[1][rows[2]]], strict=True)
        ]
        labelled = prefixes([n for n, _ in pairs], **sides[0])
        unlabelled = prefixes([N for _, N in pairs], **sides[1])
        found = nested_trial(pairs, labelled, unlabelled, Moments.of(**sides[2]))
        return {
            pair: {name: values.reshape(tasks) for name, values in risks.items()}
            for pair, risks in found.items()
        }

    rows = over_trials(one, trials, rng, n_jobs)
    return {pair: _result([row[pair] for row in rows]) for pair in pairs}


def nested_trial(
    cells: Sequence[tuple[int, int]],
    labelled: Mapping[int, Moments],
    unlabelled: Mapping[int, Moments],
    test: Moments,
) -> dict[tuple[int, int], dict[str, NDArray]]:
    """Run one trial for several numbers of labels and pseudo-labels, from moments alone.

    Parameters
    ----------
    cells : sequence of (int, int)
        Pairs ``(n, N)``.
    labelled : mapping of int to Moments
        By ``n``: blocks ``weak``, ``strong`` and ``labels``.
    unlabelled : mapping of int to Moments
        By ``N``: the same blocks. Without ``labels`` the ceiling is not known, and is NaN.
    test : Moments
        The same three blocks.

    Returns
    -------
    dict of (int, int) to dict
        By cell the fields of `Result`, each of shape ``(tasks,)``.
    """
    teachers = {n: moments.fit("weak", "labels") for n, moments in labelled.items()}
    baselines = {n: moments.fit("strong", "labels") for n, moments in labelled.items()}
    students: dict[tuple[int, int], NDArray] = {}
    for N, moments in unlabelled.items():
        sizes = [n for n, pseudo in cells if pseudo == N]
        # One factorisation serves the students of all teachers with this many pseudo-labels.
        taught = moments.products("strong", "weak") @ np.hstack([teachers[n] for n in sizes])
        learnt = np.split(moments.fit("strong", taught), len(sizes), axis=1)
        students |= {(n, N): head for n, head in zip(sizes, learnt, strict=True)}
    truth = -np.eye(test.products("labels", "labels").shape[0])

    def risk(**head: NDArray) -> NDArray:
        return test.mean_square(**head, labels=truth)

    teacher_risk = {n: risk(weak=head) for n, head in teachers.items()}
    baseline_risk = {n: risk(strong=head) for n, head in baselines.items()}

    def ceiling(n: int, N: int) -> NDArray:
        if "labels" not in unlabelled[N].blocks:
            return np.full(len(truth), np.nan)
        return risk(strong=(labelled[n] + unlabelled[N]).fit("strong", "labels"))

    return {
        (n, N): {
            "teacher": teacher_risk[n],
            "student": risk(strong=students[n, N]),
            "baseline": baseline_risk[n],
            "ceiling": ceiling(n, N),
            "misfit": test.mean_square(strong=students[n, N], weak=-teachers[n]),
        }
        for n, N in cells
    }


def _with_target(
    weak: ArrayLike, strong: ArrayLike, labels: ArrayLike, target: ArrayLike | None
) -> tuple[Inputs, NDArray]:
    everything = Inputs(weak, strong, labels)
    m = len(everything.weak)
    truth = everything.labels if target is None else validation.targets(target, "target", rows=m)
    if truth.shape != everything.labels.shape:
        # (m,) against (m, 1) would broadcast to (m, m) in the risks.
        raise ValueError(
            f"target: expected the shape of labels, {everything.labels.shape}, got {truth.shape}"
        )
    return everything, truth


def splitter(
    m: int, n: int, N: int, groups: ArrayLike | None = None
) -> Callable[[np.random.Generator], tuple[NDArray, NDArray, NDArray]]:
    """Return what draws the rows of labelled, unlabelled and test inputs.

    Parameters
    ----------
    m : int
        Rows.
    n, N : int
        Labelled and unlabelled inputs; the rest are the test inputs.
    groups : array_like, shape (m,), optional
        As in `random_splits`.

    Returns
    -------
    callable
        Takes a generator, returns three arrays of row numbers.

    Raises
    ------
    ValueError
        If too few rows are left for testing (with groups: when the callable is called).
    """
    if n < 1 or N < 1 or n + N >= m:
        raise ValueError(
            f"n, N: expected positive numbers with n + N < {m} (the rows given), "
            f"got n = {n}, N = {N}; no test inputs would be left"
        )
    if groups is None:
        return lambda rng: tuple(np.split(rng.permutation(m), [n, n + N]))
    named = np.asarray(groups)
    if named.shape != (m,):
        raise ValueError(f"groups: expected shape ({m},), one for each input, got {named.shape}")
    codes = np.unique(named, return_inverse=True)[1]

    def whole_groups(rng: np.random.Generator) -> tuple[NDArray, NDArray, NDArray]:
        rank = rng.permutation(codes.max() + 1)[codes]
        order = np.argsort(rank, kind="stable")
        labelled = order[:n]
        rest = order[rank[order] > rank[labelled[-1]]]
        unlabelled = rest[:N]
        test = rest[rank[rest] > rank[unlabelled[-1]]] if len(unlabelled) == N else rest[:0]
        if not len(test):
            raise ValueError(
                f"groups: no test inputs are left with n = {n} and N = {N} of {m} rows in "
                f"{codes.max() + 1} whole groups; ask for fewer"
            )
        # Shuffled, so that the first rows of a part are no fewer groups than chance gives.
        return rng.permutation(labelled), rng.permutation(unlabelled), test

    return whole_groups


def _mean_square(difference: NDArray) -> NDArray:
    return np.mean(difference**2, axis=0)
