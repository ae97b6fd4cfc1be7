r"""Logistic probes: a teacher's probabilities as soft labels for the student.

In the image and text experiments of Dong et al. 2025 heads are logistic and labels are flipped.
With flips of probability :math:`\eta` the label of an input with true label :math:`y` is 1 with
probability :math:`\eta + (1-2\eta)y`, its *law*. What a classifier's squared error is measured
against decides what one sees:

- ``"law"``: the law of the noisy label. This is the analogue of an excess risk.
- ``"noisy"``: a noisy label, in expectation: the above plus :math:`\eta(1-\eta)`, for any model.
- ``"clean"``: the true label.

Heads are `w2s_utils.logistic.Logistic` without intercept: features that want one have a constant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from w2s_utils import validation
from w2s_utils.logistic import Logistic, LogisticModel
from w2s_utils.problem import Problem
from w2s_utils.protocol import Result, over_trials, splitter
from w2s_utils.theory.subspaces import column_space
from w2s_utils.validation import Array

MEASURES = ("law", "noisy", "clean")


def run(
    weak: Mapping[str, ArrayLike],
    strong: ArrayLike,
    labels: ArrayLike,
    *,
    cells: Sequence[tuple[int, int]],
    flips: float,
    trials: int,
    rng: np.random.Generator,
    penalty: float = 1.0,
    groups: ArrayLike | None = None,
    n_jobs: int = 1,
) -> dict[str, dict[tuple[int, int], dict[str, Result]]]:
    """Run teachers, students, baseline and ceiling with logistic heads, on random splits.

    As in `w2s_utils.protocol.sweep` smaller samples are the first rows of larger ones; all teachers
    and cells of a trial share the split, the flips and the test inputs, and the baseline and
    ceiling are fitted once for all teachers.

    Parameters
    ----------
    weak : mapping of str to array_like, shape (m, d_w)
        Features by teacher, whitened.
    strong : array_like, shape (m, d_s)
        Features of the student, baseline and ceiling, whitened.
    labels : array_like, shape (m,)
        True labels, 0 or 1.
    cells : sequence of (int, int)
        Pairs ``(n, N)`` of labelled and unlabelled inputs.
    flips : float
        Probability that a training label is flipped, in [0, 0.5).
    trials : int
    rng : numpy.random.Generator
    penalty : float
        Of every head, see `w2s_utils.logistic.Logistic`.
    groups : array_like, shape (m,), optional
        As in `w2s_utils.protocol.random_splits`.
    n_jobs : int
        Worker processes.

    Returns
    -------
    dict
        `w2s_utils.protocol.Result` by teacher, cell and measure (see the module's description):
        mean squared errors of the probability of class 1.

    Raises
    ------
    ValueError
        If rows differ, a label is not 0 or 1, flips are out of range, or no test inputs are left.
    """
    phi = validation.matrix(strong, "strong")
    teachers = {
        name: validation.matrix(values, f"weak[{name!r}]", rows=len(phi))
        for name, values in weak.items()
    }
    truth = validation.vector(labels, "labels", rows=len(phi))
    if not np.all(np.isin(truth, [0, 1])):
        raise ValueError(f"labels: expected 0 and 1, got {np.unique(truth)[:5]}")
    if not 0 <= flips < 0.5:
        raise ValueError(f"flips: expected a probability in [0, 0.5), got {flips!r}")
    pairs = list(dict.fromkeys((int(n), int(N)) for n, N in cells))
    if not pairs or not teachers:
        raise ValueError("weak, cells: expected at least one teacher and one pair (n, N)")
    head = Logistic(penalty, intercept=False)
    draw = splitter(len(phi), max(n for n, _ in pairs), max(N for _, N in pairs), groups)

    def one(generator: np.random.Generator) -> list[dict[str, Array]]:
        labelled, unlabelled, test = draw(generator)
        noisy = np.where(generator.random(len(truth)) < flips, 1 - truth, truth)
        targets = _targets(truth[test], flips)

        def fitted(features: Array, ones: Array) -> LogisticModel:
            return head.fit(features, np.column_stack([1 - ones, ones]))

        def predicted(rows: Array) -> Array:
            return _of_ones(fitted(phi[rows], noisy[rows]), phi[test])

        baselines = {n: predicted(labelled[:n]) for n, _ in pairs}
        ceilings = {(n, N): predicted(np.r_[labelled[:n], unlabelled[:N]]) for n, N in pairs}
        found = []
        for features in teachers.values():
            heads = {
                n: fitted(features[labelled[:n]], noisy[labelled[:n]])
                for n in {n for n, _ in pairs}
            }
            for n, N in pairs:
                rows = unlabelled[:N]
                student = fitted(phi[rows], _of_ones(heads[n], features[rows]))
                predictions = {
                    "teacher": _of_ones(heads[n], features[test]),
                    "student": _of_ones(student, phi[test]),
                    "baseline": baselines[n],
                    "ceiling": ceilings[n, N],
                }
                found.append(_errors(predictions, targets))
        return found

    rows = over_trials(one, trials, rng, n_jobs)
    keys = [(name, pair) for name in teachers for pair in pairs]
    table = {
        key: {name: np.array([row[index][name] for row in rows]) for name in rows[0][index]}
        for index, key in enumerate(keys)
    }
    return {
        name: {pair: _measures(table[name, pair], flips) for pair in pairs} for name in teachers
    }


def run_flipped(
    problem: Problem,
    chosen: Sequence[tuple[str, str]],
    *,
    n: int,
    N: int,
    flips: float,
    trials: int,
    seed: Sequence[int],
) -> dict[tuple[str, str], dict[str, Result]]:
    """Measure pairs with logistic heads on flipped labels.

    Parameters
    ----------
    problem : Problem
        With one target of two values; the larger is class 1.
    chosen : sequence of (str, str)
        Teacher and student.
    n, N : int
    flips : float
        Probability that a training label is flipped.
    trials : int
    seed : sequence of int
        Of the splits, the same for every pair.

    Returns
    -------
    dict of (str, str) to dict of str to Result
        By pair, and by what errors are measured against, as `run` says.

    Raises
    ------
    ValueError
        If the target does not have two values.
    """
    values = np.unique(problem.targets)
    if len(values) != 2:
        raise ValueError(f"problem: expected a target of two values, got {len(values)}")
    labels = (np.ravel(problem.targets) == values[1]).astype(float)

    def white(features: Array) -> Array:
        scaled: Array = column_space(features) * np.sqrt(len(features))
        return scaled

    found: dict[tuple[str, str], dict[str, Result]] = {}
    for student in dict.fromkeys(student for _, student in chosen):
        teachers = [teacher for teacher, other in chosen if other == student]
        results = run(
            {teacher: white(problem.teachers[teacher]) for teacher in teachers},
            white(problem.students[student]),
            labels,
            cells=[(n, N)],
            flips=flips,
            trials=trials,
            rng=np.random.default_rng(seed),
        )
        found |= {(teacher, student): results[teacher][n, N] for teacher in teachers}
    return found


def _of_ones(model: LogisticModel, features: Array) -> Array:
    return model.probabilities(features)[:, 1]


def _targets(truth: Array, flips: float) -> Array:
    """Law of the noisy label and true label of the test inputs, shape (m, 2)."""
    return np.column_stack([flips + (1 - 2 * flips) * truth, truth])


def _errors(predictions: Mapping[str, Array], targets: Array) -> dict[str, Array]:
    errors = {name: np.mean((p[:, None] - targets) ** 2, axis=0) for name, p in predictions.items()}
    misfit = np.mean((predictions["student"] - predictions["teacher"]) ** 2)
    return {**errors, "misfit": np.repeat(misfit, 2)}


def _measures(errors: Mapping[str, Array], flips: float) -> dict[str, Result]:
    law, clean = (
        Result(**{name: values[:, i] for name, values in errors.items()}) for i in range(2)
    )
    constant = flips * (1 - flips)
    shifted = {name: values[:, 0] + constant for name, values in errors.items()}
    noisy = Result(**{**shifted, "misfit": errors["misfit"][:, 0]})
    return dict(zip(MEASURES, (law, noisy, clean), strict=True))
