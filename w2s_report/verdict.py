"""Teachers ranked by four rules, and the verdict in plain words, each word from a number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

from w2s_report.schema import Interval, Number
from w2s_report.teachers import LEVEL, Teacher
from w2s_utils.geometry import Range

Decision = Literal["use", "use the teacher itself", "do not use", "not enough evidence"]
HOPELESS = 100.0  # times as many labels: said to be out of reach


@dataclass(frozen=True)
class Ranking:
    """One rule of choosing a teacher.

    Attributes
    ----------
    rule : str
        In words.
    needs_labels : bool
        Whether the rule needs labels on rows that the student did not learn from.
    order : tuple of str
        Teachers, best first.
    scores : tuple of float
        In that order.
    regret : float
        Measured student's error with the teacher chosen, less the smallest of all teachers.
    """

    rule: str
    needs_labels: bool
    order: tuple[str, ...]
    scores: tuple[Number, ...]
    regret: float


@dataclass(frozen=True)
class Verdict:
    """What to do.

    Attributes
    ----------
    decision : str
        "use", "use the teacher itself", "do not use" or "not enough evidence".
    teacher : str
        With the smallest measured student's error.
    as_good : tuple of str
        Teachers that cannot be told from it.
    pseudo_labels : Range or None
        How many bring nine tenths of the gain; None where no number brings a gain.
    reasons, would_change : tuple of str
        Sentences.
    """

    decision: Decision
    teacher: str
    as_good: tuple[str, ...]
    pseudo_labels: Interval | None
    reasons: tuple[str, ...]
    would_change: tuple[str, ...]


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

    return (
        by("smallest measured error of the student", True, _student),
        by("smallest predicted error of the student", False, lambda t: _predicted(t, "student")),
        by("largest predicted PGR", False, lambda t: _predicted(t, "pgr"), -1),
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
    at_reference = chosen.reference.predicted["advantage"]
    decision, why = _decision(chosen, measured, predicted, at_reference)
    as_good = tuple(t.name for t in teachers if t is not chosen and not _distinguishable(t, chosen))
    reasons = [why, *_reasons(chosen, as_good, len(teachers), unit)]
    return Verdict(
        decision=decision,
        teacher=chosen.name,
        as_good=as_good,
        pseudo_labels=chosen.enough,
        reasons=tuple(reasons),
        would_change=tuple(_would_change(chosen, decision, measured)),
    )


def _decision(
    chosen: Teacher, measured: Range, predicted: Range, at_reference: Range
) -> tuple[Decision, str]:
    n, N = chosen.reference.n, chosen.reference.N
    labels, rest = chosen.all_rows.n, chosen.all_rows.N
    seen, foreseen = _sign(measured), _sign(predicted)
    facts = (
        f"Measured with {n} labels and {N} pseudo-labels, the error of the strong model fitted on "
        f"the labels alone is {_compared(measured)} that of the student of {chosen.name}. "
        f"Predicted with all {labels} labels and {rest} pseudo-labels, it is "
        f"{_compared(predicted)} it."
    )
    if seen * foreseen < 0:
        if _sign(at_reference) == seen:
            outcome = foreseen
            facts += " Both hold: the formulas say the same as the measurement at its sizes."
        else:
            return "not enough evidence", facts + " The two contradict each other."
    elif seen == foreseen:
        outcome = seen
    elif seen:
        # A measurement that the prediction does not contradict.
        outcome = seen if predicted.value * seen > 0 else 0
    else:
        outcome = 0
    if outcome == 0:
        return "not enough evidence", facts + " That does not settle it."
    if outcome < 0:
        return "do not use", facts
    gain = chosen.reference.measured["gain"]
    if _sign(gain) < 0:
        return (
            "use the teacher itself",
            facts + f" But the teacher is better than its student, by {_range(gain, -1)}.",
        )
    return "use", facts


def _reasons(chosen: Teacher, as_good: Sequence[str], count: int, unit: str) -> list[str]:
    found = []
    gain = chosen.reference.measured["gain"]
    words = {1: "improves on", -1: "is worse than", 0: "cannot be told from"}[_sign(gain)]
    found.append(
        f"The student {words} its teacher {chosen.name}: measured gain {_range(gain)} ({unit}), "
        f"of a teacher's error of {_number(chosen.reference.measured['teacher'].value)}."
    )
    if count > 1:
        found.append(
            f"Of {count} teachers {chosen.name} gives the student with the smallest measured error"
            + (
                f"; {_listed(as_good)} cannot be told from it."
                if as_good
                else ", and the others are demonstrably worse."
            )
        )
    found.append(_pseudo_labels(chosen))
    if chosen.overlap.p_value > 1 - LEVEL:
        found.append(
            "Teacher's and student's features cannot be told from unrelated ones (permutation "
            f"test, p = {chosen.overlap.p_value:.2f})."
        )
    return found


def _pseudo_labels(chosen: Teacher) -> str:
    have, enough = chosen.all_rows.N, chosen.enough
    if enough is None:
        return (
            f"Pseudo-labels: with all {chosen.all_rows.n} labels no number of them is predicted to "
            "bring a gain over the teacher."
        )
    told = (
        f"about {_round(enough.value)} pseudo-labels (you have {have}) are predicted to bring nine "
        "tenths of the gain that any number would"
    )
    if not np.isfinite(enough.high):
        return f"Pseudo-labels: {told}, but it cannot be told from no gain at all."
    return f"Pseudo-labels: {told}; interval {_round(enough.low)} to {_round(enough.high)}."


def _would_change(chosen: Teacher, decision: Decision, measured: Range) -> list[str]:
    found = []
    labels, rest = chosen.all_rows.n, chosen.all_rows.N
    if chosen.break_even is None:
        found.append(
            f"Labels: with {rest} pseudo-labels the student is predicted to be behind the strong "
            "model on the labels alone at every number of labels for which the formulas hold "
            f"(from {max(chosen.d_w, chosen.d_s) + 2})."
        )
    else:
        found.append(
            f"Labels: with {rest} pseudo-labels the student is predicted to be ahead of the strong "
            f"model on the labels alone up to about {_round(chosen.break_even)} labels; you have "
            f"{labels}."
        )
    if decision == "not enough evidence":
        half = (measured.high - measured.low) / 2
        times = (half / max(abs(measured.value), 1e-300)) ** 2
        if times <= 1:
            found.append("Evidence: a measurement and a prediction that agree.")
        elif times <= HOPELESS:
            found.append(
                f"Evidence: if the measured difference is the true one, about {_round(times)} "
                f"times as many labels would show it (some {_round(times * labels)})."
            )
        else:
            found.append(
                "Evidence: the difference measured is so small that more labels would hardly show "
                "it; it does not matter much which you do."
            )
    missing = chosen.estimates["b"].value
    predicted = chosen.all_rows.predicted
    if missing > 0 and predicted["advantage"].value < 0 < predicted["advantage"].value + missing:
        found.append(
            "A better teacher: of the student's predicted error of "
            f"{_number(predicted['student'].value)}, {_number(missing)} is what the student could "
            "express and this teacher does not know; without it the student would be ahead."
        )
    return found


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


def _predicted(teacher: Teacher, name: str) -> float:
    return teacher.reference.predicted[name].value


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")


def _range(given: Range, sign: int = 1) -> str:
    low, high = sorted((sign * given.low, sign * given.high))
    return f"{_number(sign * given.value)} ({_number(low)} to {_number(high)})"


def _compared(given: Range) -> str:
    """Say "1 (0.5 to 1.5) above": a positive number, whose interval may cross zero."""
    sign = 1 if given.value >= 0 else -1
    return f"{_range(given, sign)} {'above' if sign > 0 else 'below'}"


def _round(value: float) -> str:
    digits = 2 if value >= 10 else 1
    return f"{float(f'{value:.{digits}g}'):.10g}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
