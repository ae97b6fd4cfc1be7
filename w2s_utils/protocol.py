"""Teacher, pseudo-labels, student, baseline, ceiling: the one way every experiment runs.

A trial takes labelled, unlabelled and test inputs, each known by its weak features, its strong
features and its target. The teacher is fitted on the weak features of the labelled inputs; the
student on the strong features of the unlabelled inputs with the teacher's predictions as labels;
the baseline on the strong features of the labelled inputs; the ceiling on the strong features of
all inputs with their true labels.

There are two cores. `run_trial` takes rows and any head, and is made of `teach` and `references`,
for whoever wants more of the predictions than their mean squares. `nested_trial` takes moments, for
least squares at many sizes or from a population.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

from w2s_utils import validation
from w2s_utils.ladder import Predictions, train_students
from w2s_utils.least_squares import Head, MinimumNorm, Moments, cumulative_moments, fitted
from w2s_utils.resampling import Estimate, ratio_of_means
from w2s_utils.validation import Array

ROLES = ("teacher", "student", "baseline", "ceiling")


@dataclass(frozen=True)
class Inputs:
    """Inputs as the models and the labels see them.

    Attributes
    ----------
    weak : ndarray, shape (m, D_w), or tuple of them
        Weak features; a tuple has those of several teachers.
    strong : ndarray, shape (m, D_s)
        Strong features.
    labels : ndarray, shape (m,) or (m, tasks)
        What is observed, noise included.
    target : ndarray, optional
        What errors are measured against, in the shape of ``labels``, which are the default.

    Raises
    ------
    ValueError
        If the numbers of rows differ or a value is not finite.
    """

    weak: Any
    strong: Array
    labels: Array
    target: Any = None

    def __post_init__(self) -> None:
        several = isinstance(self.weak, tuple)
        first, *others = self.weak if several else (self.weak,)
        weak = [validation.matrix(first, "weak")]
        m = len(weak[0])
        weak += [validation.matrix(phi, "weak", rows=m) for phi in others]
        checked = {
            "weak": tuple(weak) if several else weak[0],
            "strong": validation.matrix(self.strong, "strong", rows=m),
            "labels": validation.targets(self.labels, "labels", rows=m),
        }
        target = checked["labels"] if self.target is None else self.target
        checked["target"] = validation.targets(target, "target", rows=m)
        if checked["target"].shape != checked["labels"].shape:
            # (m,) against (m, 1) would broadcast to (m, m) in the risks.
            raise ValueError(
                f"target: expected the shape of labels, {checked['labels'].shape}, "
                f"got {checked['target'].shape}"
            )
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def rows(self, chosen: NDArray[np.intp], noise: ArrayLike = 0.0) -> Inputs:
        """Some of the inputs, with noise added to their labels."""
        weak = self.weak
        return Inputs(
            tuple(phi[chosen] for phi in weak) if isinstance(weak, tuple) else weak[chosen],
            self.strong[chosen],
            self.labels[chosen] + noise,
            self.target[chosen],
        )


# Labelled, unlabelled and test inputs of one trial.
Trial = tuple[Inputs, Inputs, Inputs]


@dataclass(frozen=True)
class Result:
    """Mean squares over the test inputs, one entry a trial (and a task, or a teacher).

    Attributes
    ----------
    teacher, student, baseline, ceiling : ndarray, shape (trials,) or (trials, tasks)
        Mean squared distance to the test labels: an excess risk when these are noise-free. What
        was not measured is NaN. With several teachers, teacher, student and misfit have shape
        (trials, teachers).
    misfit : ndarray, shape of teacher
        Mean squared distance between student and teacher; needs no labels.
    own : dict of str to ndarray
        Where asked for, ``gain``, ``misfit``, ``cross`` and ``unreachable`` over the students' own
        inputs, `w2s_utils.ladder.Predictions.own_terms`.
    known : dict of str to ndarray
        Where asked for, errors of ``teacher`` and ``student``, and ``misfit``, on validation
        inputs.
    """

    teacher: Array
    student: Array
    baseline: Array
    ceiling: Array
    misfit: Array
    own: Mapping[str, Array] = field(default_factory=dict)
    known: Mapping[str, Array] = field(default_factory=dict)

    @classmethod
    def of(cls, trials: Sequence[Mapping[str, Any]]) -> Result:
        """Stack trials, each a dict of fields as `run_trial` returns it."""
        blank = np.full(len(trials), np.nan)
        return cls(**{"baseline": blank, "ceiling": blank, **_stacked(trials)})

    @property
    def gain(self) -> Array:
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
        known = [*ROLES, "misfit", "gain"]
        if name not in known:
            raise ValueError(f"name: expected one of {', '.join(known)}, got {name!r}")
        if self.trials < 2:
            raise ValueError(f"trials: a standard error needs at least 2, got {self.trials}")
        return getattr(self, name).reshape(self.trials, -1).mean(axis=1)


def _stacked(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return {
        name: _stacked(values) if isinstance(values[0], Mapping) else np.array(values)
        for name, values in columns.items()
    }


def teach(
    labelled: Inputs,
    unlabelled: Inputs,
    *parts: Inputs,
    teacher_head: Head | None = None,
    student_head: Head | None = None,
    own: bool = False,
) -> tuple[Predictions, ...]:
    """Fit every teacher, have it label the unlabelled inputs, train its student on them.

    Parameters
    ----------
    labelled, unlabelled, *parts : Inputs
        The unlabelled inputs' labels are not used, and their target only where ``own`` is asked
        for. Teachers' predictions have a column a task, or with several teachers one a teacher.
    teacher_head, student_head : Head, optional
        Default `w2s_utils.least_squares.MinimumNorm`. All students share one fit.
    own : bool
        Whether to fit the best head of the unlabelled inputs too.

    Returns
    -------
    tuple of Predictions
        On the unlabelled inputs and on each of the parts.

    Raises
    ------
    ValueError
        If the parts' labels have different numbers of tasks.
    """
    tasks = {part.labels.shape[1:] for part in (labelled, unlabelled, *parts)}
    if len(tasks) > 1:
        raise ValueError(
            "labels: expected (m,) or (m, tasks) alike for labelled, unlabelled and test inputs, "
            f"got trailing shapes {sorted(tasks)}"
        )
    places = (unlabelled, *parts)
    said = _teachers(teacher_head or MinimumNorm(), labelled, places)
    taught = [
        Predictions(part.strong, values, part.target)
        for part, values in zip(places, said, strict=True)
    ]
    return train_students(
        taught[0] if own else replace(taught[0], labels=None), *taught[1:], head=student_head
    )


def _teachers(head: Head, labelled: Inputs, parts: Sequence[Inputs]) -> list[Array]:
    """Predictions of all teachers on each of the parts."""

    # Each head predicts before the next is fitted: an estimator that fits itself in place, as
    # scikit-learn's do, would otherwise forget the first teacher when it learns the second.
    def one(phi: Array, places: Sequence[Array]) -> list[Array]:
        predict = fitted(head, phi, labelled.labels)
        return [predict(place) for place in places]

    if not isinstance(labelled.weak, tuple):
        return one(labelled.weak, [part.weak for part in parts])
    columns = [
        one(phi, [part.weak[index] for part in parts]) for index, phi in enumerate(labelled.weak)
    ]
    return [np.column_stack(predictions) for predictions in zip(*columns, strict=True)]


def references(
    labelled: Inputs, unlabelled: Inputs, test: Inputs, head: Head | None = None
) -> dict[str, Array]:
    """Predictions of ``baseline`` and ``ceiling`` on the test inputs.

    Parameters
    ----------
    labelled, unlabelled, test : Inputs
        The ceiling learns from the labels of both.
    head : Head, optional
        Default `w2s_utils.least_squares.MinimumNorm`.

    Returns
    -------
    dict of str to ndarray, shape (m,) or (m, tasks)
    """
    strong_head = head or MinimumNorm()
    baseline = fitted(strong_head, labelled.strong, labelled.labels)(test.strong)
    ceiling = fitted(
        strong_head,
        np.concatenate([labelled.strong, unlabelled.strong]),
        np.concatenate([labelled.labels, unlabelled.labels]),
    )(test.strong)
    return {"baseline": baseline, "ceiling": ceiling}


def mean_squares(predictions: Mapping[str, Array], target: Array) -> dict[str, Array]:
    """Mean squared distance of named predictions to a target, a number or shape ``(tasks,)``."""
    return {name: np.mean((said - target) ** 2, axis=0) for name, said in predictions.items()}


def run_trial(
    labelled: Inputs,
    unlabelled: Inputs,
    test: Inputs,
    *,
    teacher_head: Head | None = None,
    student_head: Head | None = None,
    own: bool = False,
) -> dict[str, Any]:
    """Run one trial.

    Parameters
    ----------
    labelled, unlabelled, test : Inputs
        The unlabelled inputs' labels are seen by the ceiling only.
    teacher_head, student_head : Head, optional
        Default `w2s_utils.least_squares.MinimumNorm`. The student's head serves baseline and
        ceiling.
    own : bool
        Whether to measure the terms of the gain on the unlabelled inputs, too.

    Returns
    -------
    dict of str to ndarray
        The fields of `Result` for this trial, each a number or shape ``(tasks,)``.

    Raises
    ------
    ValueError
        If the three parts' labels have different numbers of tasks.
    """
    on_own, on_test = teach(
        labelled, unlabelled, test, teacher_head=teacher_head, student_head=student_head, own=own
    )
    others = references(labelled, unlabelled, test, student_head)
    trial = {**on_test.errors(), **mean_squares(others, test.target)}
    return {**trial, "own": on_own.own_terms()} if own else trial


def repeat(
    draw: Callable[[np.random.Generator], Trial],
    trials: int,
    rng: np.random.Generator,
    *,
    teacher_head: Head | None = None,
    student_head: Head | None = None,
    own: bool = False,
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
    teacher_head, student_head, own
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

    def one(generator: np.random.Generator) -> dict[str, Any]:
        return run_trial(
            *draw(generator), teacher_head=teacher_head, student_head=student_head, own=own
        )

    return Result.of(map_trials(one, trials, rng, n_jobs))


def map_trials(
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


def random_splits(
    weak: ArrayLike | tuple[ArrayLike, ...],
    strong: ArrayLike,
    labels: ArrayLike,
    *,
    n: int,
    N: int,
    noise: float = 0.0,
    target: ArrayLike | None = None,
    groups: ArrayLike | None = None,
) -> Callable[[np.random.Generator], Trial]:
    """Random splits of one data set into labelled, unlabelled and test inputs.

    Parameters
    ----------
    weak : array_like, shape (m, D_w), or tuple of them for several teachers
    strong : array_like, shape (m, D_s)
    labels : array_like, shape (m,) or (m, tasks)
    n, N : int
        Labelled and unlabelled inputs; the remaining ``m - n - N >= 1`` are the test inputs.
    noise : float
        Standard deviation of Gaussian noise added to the labels that are learnt from, anew in every
        split.
    target : array_like, optional
        What risks are measured against; default ``labels``.
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
    everything = Inputs(weak, strong, labels, target)
    deviation = validation.nonnegative(noise, "noise", "a standard deviation")
    split_rows = row_splitter(len(everything.strong), n, N, groups)

    def draw(rng: np.random.Generator) -> Trial:
        *training, test = split_rows(rng)
        shapes = [everything.labels[part].shape for part in training]
        labelled, unlabelled = (
            everything.rows(part, deviation * rng.standard_normal(shape))
            for part, shape in zip(training, shapes, strict=True)
        )
        return labelled, unlabelled, everything.rows(test)

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
    pairs = list(dict.fromkeys((int(n), int(N)) for n, N in cells))
    if not pairs or min(map(min, pairs)) < 1:
        raise ValueError(f"cells: expected pairs (n, N) of positive numbers, got {list(cells)}")
    most = {"n": max(n for n, _ in pairs), "N": max(N for _, N in pairs)}
    draw = random_splits(weak, strong, labels, **most, noise=noise, target=target, groups=groups)

    def blocks(part: Inputs, values: Array) -> dict[str, Any]:
        return {"weak": part.weak, "strong": part.strong, "labels": values}

    def one(generator: np.random.Generator) -> list[dict[str, Array]]:
        labelled, unlabelled, test = draw(generator)
        risks = nested_trial(
            pairs,
            cumulative_moments([n for n, _ in pairs], **blocks(labelled, labelled.labels)),
            cumulative_moments([N for _, N in pairs], **blocks(unlabelled, unlabelled.labels)),
            Moments.of(**blocks(test, test.target)),
        )
        tasks = test.target.shape[1:]
        return [
            {name: values.reshape(tasks) for name, values in risks[pair].items()} for pair in pairs
        ]

    rows = map_trials(one, trials, rng, n_jobs)
    return {pair: Result.of([row[i] for row in rows]) for i, pair in enumerate(pairs)}


def nested_trial(
    cells: Sequence[tuple[int, int]],
    labelled: Mapping[int, Moments],
    unlabelled: Mapping[int, Moments],
    test: Moments,
    *,
    teachers: Sequence[str] | None = None,
) -> dict[tuple[int, int], dict[str, Array]]:
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
    teachers : sequence of str, optional
        Blocks of several teachers' features in the place of ``weak``.

    Returns
    -------
    dict of (int, int) to dict
        By cell the fields of `Result`, each of shape ``(tasks,)``; with ``teachers``, those of
        teacher, student and misfit of shape ``(teachers, tasks)``.
    """
    blocks = ("weak",) if teachers is None else tuple(teachers)
    weak = {(w, n): m.fit(w, "labels") for w in blocks for n, m in labelled.items()}
    students: dict[tuple[str, int, int], Array] = {}
    for N, moments in unlabelled.items():
        keys = [(w, n) for w in blocks for n, pseudo in cells if pseudo == N]
        # One factorisation serves the students of all teachers with this many pseudo-labels.
        taught = np.hstack([moments.products("strong", w) @ weak[w, n] for w, n in keys])
        learnt = np.split(moments.fit("strong", taught), len(keys), axis=1)
        students |= {(w, n, N): head for (w, n), head in zip(keys, learnt, strict=True)}
    truth = -np.eye(test.products("labels", "labels").shape[0])

    def risk(block: str, head: Array) -> Array:
        return test.mean_square(**{block: head}, labels=truth)

    teacher = {n: np.array([risk(w, weak[w, n]) for w in blocks]) for n in labelled}
    baseline = {n: risk("strong", m.fit("strong", "labels")) for n, m in labelled.items()}

    def ceiling(n: int, N: int) -> Array:
        if "labels" not in unlabelled[N].blocks:
            return np.full(len(truth), np.nan)
        return risk("strong", (labelled[n] + unlabelled[N]).fit("strong", "labels"))

    def one(n: int, N: int) -> dict[str, Array]:
        heads = [(w, weak[w, n], students[w, n, N]) for w in blocks]
        by_teacher = {
            "teacher": teacher[n],
            "student": np.array([risk("strong", student) for _, _, student in heads]),
            "misfit": np.array([test.mean_square(**{"strong": s, w: -t}) for w, t, s in heads]),
        }
        if teachers is None:
            by_teacher = {name: values[0] for name, values in by_teacher.items()}
        return {**by_teacher, "baseline": baseline[n], "ceiling": ceiling(n, N)}

    return {(n, N): one(n, N) for n, N in cells}


def row_splitter(
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
