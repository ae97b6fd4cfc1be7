"""What a student has to be compared with: the same rows for every real task.

A gain over the teacher is worth something only beside what could be had without the teacher. So
each task measures, on the same splits and in units of the target's variance, the four models of the
protocol with two heads (least squares, and ridge with a cross-validated penalty, which is what one
would deploy); two controls that take the teacher's knowledge away and leave the training as it is;
and the answers that the student's own network gives before anybody teaches it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from w2s_utils import checks, protocol
from w2s_utils.ladder import Predictions, train_students
from w2s_utils.least_squares import MinimumNorm, RidgeGCV
from w2s_utils.problem import Cell, Problem
from w2s_utils.protocol import ROLES, Inputs, Result
from w2s_utils.resampling import Estimate, mean, ratio_of_means
from w2s_utils.splits import Rows, random_splits, row_splitter
from w2s_utils.validation import Array

UNIT = "share of the target's variance"
# With about as many directions as labels, scores near interpolation are noise: no penalty below a
# thousandth of the largest squared singular value.
PENALTIES = tuple(np.logspace(-3, 1, 17).tolist())
HEADS = {"": MinimumNorm(), ", ridge": RidgeGCV(PENALTIES, intercept=True)}
WORDS = {
    "constant": "constant: the mean of the $n$ labels",
    "teacher": "teacher",
    "student": "student",
    "baseline": "strong model on the $n$ labels",
    "ceiling": "strong model on all true labels",
    "shuffled": "student of shuffled answers",
    "constant teacher": "student of a constant teacher",
    "own head": "student's own head, no labels",
    "own head, rescaled": "own head, two coefficients fitted",
}


def compare(
    weak: ArrayLike,
    strong: ArrayLike,
    target: ArrayLike,
    *,
    n: int,
    N: int,
    trials: int,
    seed: Sequence[int],
    noise: float = 0.0,
    own: ArrayLike | None = None,
) -> dict[str, Array]:
    """Risks of teacher, student and all that they compete with, on common random splits.

    Parameters
    ----------
    weak, strong : array_like, shape (m, d_w) and (m, d_s)
        Features of the pool; a column of ones, or sums that are constant, play the intercept.
    target : array_like, shape (m,) or (m, tasks)
    n, N : int
        Labelled and unlabelled inputs; the others are the test inputs.
    trials : int
    seed : sequence of int
        Equal seeds give equal splits, labels and test inputs whatever the features.
    noise : float
        Standard deviation of Gaussian noise on the labels.
    own : array_like, shape of target, optional
        What the student's pretraining already answers, in the unit of the target.

    Returns
    -------
    dict of str to ndarray, shape (trials,)
        Mean squared errors on the test inputs, tasks averaged. ``"teacher"``, ``"student"``,
        ``"baseline"``, ``"ceiling"`` by least squares, and with ``", ridge"`` for all heads by
        `w2s_utils.least_squares.RidgeGCV`; ``"constant"``; ``"shuffled"``, the student of the
        teacher's answers in random order; ``"constant teacher"``, the student of a teacher that
        answers the mean of its labels; with ``own``, ``"own head"`` and ``"own head, rescaled"``,
        intercept and slope by least squares on the labels.
    """
    truth = np.asarray(target, float).reshape(len(np.asarray(target)), -1)
    truth = truth[:, 0] if truth.shape[1] == 1 else truth
    everything = Inputs(weak, np.asarray(strong), truth)
    says = None if own is None else np.asarray(own, float).reshape(truth.shape)
    split_rows = row_splitter(len(truth), n, N)

    def one(rng: np.random.Generator) -> dict[str, float]:
        rows = split_rows(rng)
        labelled, unlabelled = (
            everything.rows(part, noise * rng.standard_normal(truth[part].shape))
            for part in rows[:2]
        )
        test = everything.rows(rows[2])
        risks: dict[str, Array] = {}
        said = {}
        for name, head in HEADS.items():
            on_own, said[name] = protocol.teach(
                labelled, unlabelled, test, teacher_head=head, student_head=head
            )
            risks |= {role + name: said[name].errors()[role] for role in ROLES}
            if not name:
                pseudo = on_own.teacher
        middle = np.broadcast_to(labelled.labels.mean(axis=0), pseudo.shape)
        for name, taught in (("shuffled", rng.permutation(pseudo)), ("constant teacher", middle)):
            own_inputs = Predictions(unlabelled.strong, taught)
            risks[name] = train_students(own_inputs, said[""])[1].errors()["student"]
        risks["constant"] = np.mean((test.target - middle[0]) ** 2, axis=0)
        if says is not None:
            risks["own head"] = np.mean((says[rows[2]] - test.target) ** 2, axis=0)
            risks["own head, rescaled"] = _rescaled(says, labelled.labels, rows, test.target)
        return {name: float(np.mean(values)) for name, values in risks.items()}

    found = protocol.map_trials(one, trials, np.random.default_rng(seed))
    return {name: np.array([row[name] for row in found]) for name in found[0]}


def by_head(
    problem: Problem,
    student: str,
    *,
    n: int,
    N: int,
    trials: int,
    seed: Sequence[int],
    noise: float,
) -> dict[str, Result]:
    """Results of all teachers of a student (last axis) by head, on the splits of `compare`."""
    weak, strong = tuple(problem.teachers.values()), problem.students[student]
    draw = random_splits(weak, strong, problem.targets[:, 0], n=n, N=N, noise=noise)

    def one(rng: np.random.Generator) -> list[dict[str, Any]]:
        parts = draw(rng)
        return [protocol.run_trial(*parts, teacher_head=h, student_head=h) for h in HEADS.values()]

    found = protocol.map_trials(one, trials, np.random.default_rng(seed))
    return {name: Result.of(by) for name, by in zip(HEADS, zip(*found, strict=True), strict=True)}


def answers(probability: ArrayLike, target: ArrayLike) -> Array:
    """Probabilities of the larger of a target's two values, as answers in the target's unit."""
    low, high = np.unique(target)
    return low + (high - low) * np.asarray(probability, float)


def _rescaled(says: Array, labels: Array, rows: Rows, target: Array) -> Array:
    """Errors of the own answers, intercept and slope fitted on the labels, by task."""
    columns = (values.reshape(len(values), -1).T for values in (says, labels, target))
    return np.array([
        np.mean((np.polyval(np.polyfit(one[rows[0]], y, 1), one[rows[2]]) - t) ** 2)
        for one, y, t in zip(*columns, strict=True)
    ])  # fmt: skip


def pgr(found: Mapping[str, Array], head: str = "") -> Estimate:
    """PGR of a `compare`, as `recovered`; ``head`` is ``""`` or ``", ridge"``."""
    teacher, student, ceiling = (found[role + head] for role in ("teacher", "student", "ceiling"))
    return _share(teacher - student, teacher - ceiling)


def recovered(result: Result) -> list[Estimate]:
    """PGR of each teacher (last axis), ratio of means.

    NaN where a teacher is not worse than the ceiling by three standard errors: there is no share
    of a gap that is not there.
    """
    gaps = result.teacher - result.ceiling[:, None]
    return [_share(gain, gap) for gain, gap in zip(result.gain.T, gaps.T, strict=True)]


def _share(gain: Array, gap: Array) -> Estimate:
    return (
        ratio_of_means(gain, gap) if mean(gap).is_positive() else Estimate(np.nan, np.nan, len(gap))
    )


def opr(found: Mapping[str, Array], head: str = "") -> Estimate:
    """OPR of a `compare`, ratio of means; ``head`` is ``""`` or ``", ridge"``."""
    return ratio_of_means(found["baseline" + head], found["student" + head])


def rank_correlations(cells: Iterable[Cell]) -> tuple[float, float]:
    """Kendall's, of PGR over teachers, with minus the overlap and with the exact formula."""
    rows = [(c.result.pgr().value, -c.setting.d_sw, float(c.predicted.pgr)) for c in cells]
    measured, overlap, formula = zip(*rows, strict=True)
    by = [stats.kendalltau(measured, values).statistic for values in (overlap, formula)]
    return float(by[0]), float(by[1])


def above(first: Array, second: Array) -> checks.Check:
    """Check that one risk is larger than another, on common splits."""
    gap = mean(first - second)
    return checks.mean_at_least(
        gap.value, 0.0, standard_error=gap.standard_error, trials=gap.trials, unit=UNIT
    )


def shuffling_control(found: Mapping[str, Array]) -> checks.Check:
    """Check that with shuffled answers a tenth of what the student knows is left: to be refuted."""
    left = found["constant"] - 0.1 * (found["constant"] - found["student"])
    return above(left, found["shuffled"])


def table(found: Mapping[str, Array]) -> str:
    """Absolute risks of a `compare`, and its PGR and OPR, as a Markdown table with errors."""
    lines = ["| risk in units of the target's variance | least squares | cross-validated ridge |"]
    lines.append("|:---|---:|---:|")
    for name, words in WORDS.items():
        if name in found:
            cells = [text(mean(found[key])) if key in found else "" for key in _heads(name)]
            lines.append(f"| {words} | {cells[0]} | {cells[1]} |")
    for name, ratio in (("PGR", pgr), ("OPR", opr)):
        lines.append(f"| {name} | {text(ratio(found))} | {text(ratio(found, ', ridge'))} |")
    return "\n".join(lines)


def verdict(found: Mapping[str, Array]) -> str:
    """Say whether the better student beats the best that can be had without its teacher."""
    rivals = ("baseline", "baseline, ridge", "own head", "own head, rescaled")
    student, rival = (
        min((name for name in names if name in found), key=lambda name: found[name].mean())
        for names in (_heads("student"), rivals)
    )
    gap = mean(found[student] - found[rival])
    says = "pays" if gap.value < 0 else "does not pay"
    role, *ridge = rival.split(", ridge")
    return (
        f"Weak supervision **{says}** here: the better student has a risk of "
        f"{found[student].mean():.3f}, the best of what needs no teacher ({WORDS[role]}"
        f"{', ridge' if ridge else ''}) {found[rival].mean():.3f}, a difference of "
        f"{text(gap)} of the target's variance."
    )


def _heads(name: str) -> tuple[str, str]:
    return name, f"{name}, ridge"


def text(estimate: Estimate, digits: int = 3) -> str:
    """Value and standard error, or a dash where there is none."""
    if np.isnan(estimate.value):
        return "–"
    return f"{estimate.value:.{digits}f} ± {estimate.standard_error:.{digits}f}"
