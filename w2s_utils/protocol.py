"""Teacher, pseudo-labels, student, baseline, ceiling: the one way every experiment runs.

A trial takes labelled, unlabelled and test inputs, each known by its weak features, its strong
features and its target. The teacher is fitted on the weak features of the labelled inputs; the
student on the strong features of the unlabelled inputs with the teacher's predictions as labels;
the baseline on the strong features of the labelled inputs; the ceiling on the strong features of
all inputs with their true labels.

There are two cores. `teach` takes rows and any head and returns predictions (`run_trial` their mean
squares, `repeat` those of many trials). `moment_trial` takes moments, for least squares over a pool
or a population.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from w2s_utils import validation
from w2s_utils.ladder import Predictions, train_students
from w2s_utils.least_squares import Head, MinimumNorm, Moments, fitted
from w2s_utils.resampling import Estimate, mean, ratio_of_means
from w2s_utils.validation import Array

ROLES = ("teacher", "student", "baseline", "ceiling")


@dataclass(frozen=True)
class Inputs:
    """Inputs as the models and the labels see them, finite and of as many rows.

    Attributes
    ----------
    weak : ndarray, shape (m, D_w), or tuple of them
        Weak features; a tuple has those of several teachers.
    strong : ndarray, shape (m, D_s)
    labels : ndarray, shape (m,) or (m, tasks)
        What is observed, noise included.
    target : ndarray, optional
        What errors are measured against, in the shape of ``labels``, which are the default.
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
        labels = validation.targets(self.labels, "labels", rows=m)
        given = labels if self.target is None else self.target
        target = validation.targets(given, "target", rows=m)
        if target.shape != labels.shape:
            # (m,) against (m, 1) would broadcast to (m, m) in the risks.
            raise ValueError(
                f"target: expected the shape of labels, {labels.shape}, got {target.shape}"
            )
        checked = {
            "weak": tuple(weak) if several else weak[0],
            "strong": validation.matrix(self.strong, "strong", rows=m),
            "labels": labels,
            "target": target,
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def rows(self, chosen: NDArray[np.intp], noise: Array | float = 0.0) -> Inputs:
        """Some of the inputs, with noise, finite, added to their labels."""
        weak, found = self.weak, copy(self)  # what has been checked needs no second check
        rows = {
            # `take` copies rows in half the time of an index.
            "weak": tuple(phi.take(chosen, 0) for phi in weak)
            if isinstance(weak, tuple)
            else weak.take(chosen, 0),
            "strong": self.strong.take(chosen, 0),
            "labels": self.labels.take(chosen, 0) + noise,
            "target": self.target.take(chosen, 0),
        }
        vars(found).update(rows)
        return found


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

    def part(self, index: int) -> Result:
        """Risks and misfit of one entry of the second axis: a task, a level of noise."""
        return Result(**{name: getattr(self, name)[:, index] for name in (*ROLES, "misfit")})

    @property
    def gain(self) -> Array:
        """Teacher's risk less the student's."""
        return self.teacher - self.student

    @property
    def trials(self) -> int:
        """Number of independent trials."""
        return len(self.teacher)

    def mean(self, name: str) -> Estimate:
        """Mean over trials (tasks averaged within a trial) of a risk, ``misfit`` or ``gain``."""
        return mean(self.by_trial(name))

    def pgr(self) -> Estimate:
        """Performance gap recovery, ratio of means, jackknife standard error over trials."""
        return ratio_of_means(*self.terms("pgr"))

    def opr(self) -> Estimate:
        """Outperforming ratio, ratio of means, jackknife standard error over trials."""
        return ratio_of_means(*self.terms("opr"))

    def terms(self, quantity: str) -> tuple[Array, Array]:
        """Numerator and denominator of ``"pgr"`` or ``"opr"``, each of shape (trials,)."""
        teacher, student, baseline, ceiling = map(self.by_trial, ROLES)
        ratios = {"pgr": (teacher - student, teacher - ceiling), "opr": (baseline, student)}
        if quantity not in ratios:
            raise ValueError(f"quantity: expected 'pgr' or 'opr', got {quantity!r}")
        return ratios[quantity]

    def by_trial(self, name: str) -> Array:
        """Values of a risk, ``misfit`` or ``gain``, tasks averaged, shape (trials,)."""
        known = [*ROLES, "misfit", "gain"]
        if name not in known:
            raise ValueError(f"name: expected one of {', '.join(known)}, got {name!r}")
        values: Array = getattr(self, name).reshape(self.trials, -1).mean(axis=1)
        return values


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
    references: bool = True,
) -> tuple[Predictions, ...]:
    """Fit every teacher, have it label the unlabelled inputs, train its student; predict.

    Parameters
    ----------
    labelled, unlabelled, *parts : Inputs
        The unlabelled inputs' labels are seen by the ceiling only, and their target only where
        ``own`` is asked for. With several teachers there is one task.
    teacher_head, student_head : Head, optional
        Default `w2s_utils.least_squares.MinimumNorm`. All students share one fit.
    own : bool
        Whether to fit the best head of the unlabelled inputs too.
    references : bool
        Whether to fit baseline and ceiling; they predict on the first of the parts.

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
    places, strong_head = (unlabelled, *parts), student_head or MinimumNorm()
    said = _teachers(teacher_head or MinimumNorm(), labelled, places)
    taught = [
        Predictions(part.strong, values, part.target)
        for part, values in zip(places, said, strict=True)
    ]
    if not own:
        taught[0] = replace(taught[0], labels=None)
    on_own, *told = train_students(*taught, head=strong_head)
    if references:
        test = told[0].strong
        both = [
            np.concatenate(pair)
            for pair in ((labelled.strong, unlabelled.strong), (labelled.labels, unlabelled.labels))
        ]
        baseline = fitted(strong_head, labelled.strong, labelled.labels)(test)
        told[0] = replace(told[0], baseline=baseline, ceiling=fitted(strong_head, *both)(test))
    return on_own, *told


def _teachers(head: Head, labelled: Inputs, parts: Sequence[Inputs]) -> list[Array]:

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


def run_trial(
    labelled: Inputs,
    unlabelled: Inputs,
    test: Inputs,
    *,
    teacher_head: Head | None = None,
    student_head: Head | None = None,
    own: bool = False,
) -> dict[str, Any]:
    """Run one trial: the fields of `Result`, each a number or shape ``(tasks,)``.

    Arguments are as for `teach`; the student's head serves baseline and ceiling. With ``own`` the
    terms of the gain are measured on the unlabelled inputs, too.
    """
    on_own, on_test = teach(
        labelled, unlabelled, test, teacher_head=teacher_head, student_head=student_head, own=own
    )
    return {**on_test.errors(), **({"own": on_own.own_terms()} if own else {})}


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
    """Run independent trials on the inputs that ``draw`` returns, see `map_trials`.

    Heads and ``own`` are as for `run_trial`.
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
    """Run independent trials, one or more, each with a generator spawned from ``rng``.

    Returns what ``one`` returned, in order: the same whatever the number of worker processes
    ``n_jobs`` (joblib; -1 for all cores).
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


def moment_trial(
    labelled: Moments, unlabelled: Moments, test: Moments, *, teachers: Sequence[str] | None = None
) -> dict[str, Array]:
    """Run one trial of least squares from moments alone, over a pool or a population.

    Moments, of the labelled, the unlabelled and the test inputs, have blocks ``weak``, ``strong``
    and ``labels``; without unlabelled ``labels`` the ceiling is not known, and is NaN. ``teachers``
    names blocks of several teachers' features in the place of ``weak``. Returns the fields of
    `Result`, of shape ``(tasks,)``; with ``teachers``, those of teacher, student and misfit of
    shape ``(teachers, tasks)``.
    """
    weak = {w: labelled.fit(w, "labels") for w in (("weak",) if teachers is None else teachers)}
    # One factorisation serves the students of all teachers.
    taught = np.hstack([unlabelled.products("strong", w) @ head for w, head in weak.items()])
    students = np.split(unlabelled.fit("strong", taught), len(weak), axis=1)
    truth = -np.eye(test.products("labels", "labels").shape[0])

    def risk(block: str, head: Array) -> Array:
        return test.mean_square(**{block: head}, labels=truth)

    apart = ({"strong": s, w: -t} for (w, t), s in zip(weak.items(), students, strict=True))
    found = {
        "teacher": np.array([risk(w, head) for w, head in weak.items()]),
        "student": np.array([risk("strong", student) for student in students]),
        "misfit": np.array([test.mean_square(**heads) for heads in apart]),
    }
    if teachers is None:
        found = {name: values[0] for name, values in found.items()}
    found["baseline"] = risk("strong", labelled.fit("strong", "labels"))
    found["ceiling"] = np.full(len(truth), np.nan)
    if "labels" in unlabelled.blocks:
        found["ceiling"] = risk("strong", (labelled + unlabelled).fit("strong", "labels"))
    return found
