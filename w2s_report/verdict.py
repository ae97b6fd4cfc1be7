"""Teachers ranked by four rules, and the verdict in plain words, each word from a number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

from w2s_report import words
from w2s_report.schema import Interval, Number
from w2s_report.teachers import LEVEL, Teacher
from w2s_utils.geometry import Range

Decision = Literal["use", "use the teacher itself", "do not use", "not enough evidence"]
HOPELESS = 100.0  # times as many labels: said to be out of reach


@dataclass(frozen=True)
class Ranking:
    """One rule of choosing a teacher."""

    rule: str
    """In words."""
    needs_labels: bool
    """Whether the rule needs labels on rows that the student did not learn from."""
    order: tuple[str, ...]
    """Teachers, best first."""
    scores: tuple[Number, ...]
    """In that order."""
    regret: float
    """Measured student's error with the teacher chosen, less the smallest of all teachers."""


@dataclass(frozen=True)
class Verdict:
    """What to do."""

    decision: Decision
    """"use", "use the teacher itself", "do not use" or "not enough evidence"."""
    teacher: str
    """With the smallest measured student's error."""
    as_good: tuple[str, ...]
    """Teachers that cannot be told from it."""
    pseudo_labels: Interval | None
    """How many bring nine tenths of the gain; None where no number brings a gain."""
    reasons: tuple[str, ...]
    would_change: tuple[str, ...]
    """Sentences."""


def rank(teachers: Sequence[Teacher]) -> tuple[Ranking, ...]:
    """Rank teachers by each rule, at the largest sizes that were measured."""
    best = min(_student(t) for t in teachers)

    def by(rule: str, labels: bool, score: Callable[[Teacher], float], sign: int = 1) -> Ranking:
        ordered = sorted(teachers, key=lambda t: sign * score(t))
        return Ranking(
            rule,
            labels,
            tuple(t.name for t in ordered),
            tuple(score(t) for t in ordered),
            _student(ordered[0]) - best,
        )

    def predicted(name: str) -> Callable[[Teacher], float]:
        return lambda teacher: teacher.reference.predicted[name].value

    return (
        by("smallest measured error of the student", True, _student),
        by("smallest predicted error of the student", False, predicted("student")),
        by("largest predicted PGR", False, predicted("pgr"), -1),
        by(
            "smallest teacher's error less misfit",
            False,
            lambda t: t.cross_validated["weak"].value - t.misfit_only.misfit.value,
        ),
    )


def decide(teachers: Sequence[Teacher], unit: str) -> Verdict:
    """Say what to do and why.

    Parameters
    ----------
    teachers : sequence of Teacher
    unit : str
        What errors are: "squared error" or "squared error of the probabilities".
    """
    chosen = min(teachers, key=_student)
    measured = _widened(chosen.reference.measured["advantage"], len(teachers))
    predicted = _widened(chosen.all_rows.predicted["advantage"], len(teachers))
    decision, notes = _decision(chosen, measured, predicted)
    as_good = [t.name for t in teachers if t is not chosen and not _distinguishable(t, chosen)]
    return Verdict(
        decision=decision,
        teacher=chosen.name,
        as_good=tuple(as_good),
        pseudo_labels=chosen.enough,
        reasons=words.paragraphs(
            "reasons.txt",
            chosen=chosen,
            measured=measured,
            predicted=predicted,
            decision=decision,
            notes=notes,
            unit=unit,
            count=len(teachers),
            as_good=as_good,
            unbounded=chosen.enough is not None and not np.isfinite(chosen.enough.high),
            unrelated=chosen.overlap.p_value > 1 - LEVEL,
        ),
        would_change=words.paragraphs(
            "would_change.txt",
            chosen=chosen,
            decision=decision,
            times=((measured.high - measured.low) / 2 / max(abs(measured.value), 1e-300)) ** 2,
            hopeless=HOPELESS,
        ),
    )


def _decision(chosen: Teacher, measured: Range, predicted: Range) -> tuple[Decision, list[str]]:
    """What to do with baseline less student, measured and predicted, and what to say of them."""
    seen, foreseen = _sign(measured), _sign(predicted)
    notes = []
    if seen * foreseen < 0:
        if _sign(chosen.reference.predicted["advantage"]) != seen:
            return "not enough evidence", ["contradiction"]
        outcome, notes = foreseen, ["both hold"]
    else:  # they agree, or the prediction does not contradict the measurement
        outcome = seen if seen == foreseen or predicted.value * seen > 0 else 0
    if outcome == 0:
        return "not enough evidence", ["open"]
    if outcome < 0:
        return "do not use", notes
    worse = _sign(chosen.reference.measured["gain"]) < 0
    return "use the teacher itself" if worse else "use", notes


def _distinguishable(other: Teacher, chosen: Teacher) -> bool:
    """Whether the other's students are worse by more than chance, over the same splits."""
    difference = np.subtract(other.student_by_split, chosen.student_by_split)
    error = difference.std(ddof=1) / np.sqrt(len(difference)) * chosen.inflation
    return bool(difference.mean() > special.ndtri((1 + LEVEL) / 2) * error)


def _widened(given: Range, teachers: int) -> Range:
    """The interval with the level that the choice among several teachers asks for."""
    factor = special.ndtri((1 - LEVEL) / (2 * teachers)) / special.ndtri((1 - LEVEL) / 2)
    return Range(
        given.value,
        given.value - factor * (given.value - given.low),
        given.value + factor * (given.high - given.value),
    )


def _sign(given: Range) -> int:
    return 1 if given.low > 0 else -1 if given.high < 0 else 0


def _student(teacher: Teacher) -> float:
    return teacher.reference.measured["student"].value
