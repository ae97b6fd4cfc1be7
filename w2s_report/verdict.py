"""Teachers ranked by several rules, and the verdict in plain words, each word from a number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from scipy import special

from w2s_report import words
from w2s_report.comparison import LEVEL, SUSPECT, Comparison, Z
from w2s_report.teachers import Teacher
from w2s_utils.geometry import Range

Decision = Literal["use", "use the teacher itself", "do not use", "not enough evidence"]


@dataclass(frozen=True)
class Ranking:
    """One rule of choosing a teacher."""

    rule: str
    """In words."""
    order: tuple[str, ...]
    """Teachers, best first."""
    scores: tuple[float, ...]
    """In that order."""
    regret: float
    """Student's error with the teacher chosen, less the smallest of all teachers, on labels that
    did not rank: measured errors rank on one half of the test rows and are judged on the other."""


@dataclass(frozen=True)
class Verdict:
    """What to do."""

    decision: Decision
    """"use", "use the teacher itself", "do not use" or "not enough evidence"."""
    teacher: str
    """With the smallest measured student's error, of those to use if there are any."""
    metric: str
    """What decides: "squared error", "log-loss" or "error rate"."""
    over: Mapping[str, Range]
    """By rival ("constant", "baseline", "teacher"): its error less the student's, intervals
    widened for the choice among several teachers. "use" needs all three above zero."""
    as_good: tuple[str, ...]
    """Teachers that cannot be told from it."""
    reasons: tuple[str, ...]
    would_change: tuple[str, ...]
    """Sentences."""
    student: str = "strong"
    decisions: Mapping[str, Decision] = field(default_factory=dict)
    """Of every pair by its name; the verdict is on the best of those to use, if there is one."""


def rank(teachers: Sequence[Teacher], comparisons: Sequence[Comparison]) -> tuple[Ranking, ...]:
    """Rank teachers by each rule that their numbers allow, at the largest sizes measured."""
    halves = [{c.name: c.halves[half] for c in comparisons} for half in (0, 1)]

    def by(rule: str, labels: bool, scores: Mapping[str, float], sign: int = 1) -> Ranking:
        signed = {name: sign * score for name, score in scores.items()}
        order = tuple(sorted(scores, key=signed.__getitem__))
        # Measured errors of one half are judged on the other.
        first, second = halves if labels else (signed, signed)
        lost = [
            judged[min(ranks, key=ranks.__getitem__)] - min(judged.values())
            for ranks, judged in ((first, halves[1]), (second, halves[0]))
        ]
        return Ranking(rule, order, tuple(scores[n] for n in order), float(np.mean(lost)))

    measured = {c.name: _student(c) for c in comparisons}
    found = [by("smallest measured error of the student", True, measured)]
    if not teachers or len(teachers) < len(comparisons):
        return tuple(found)
    told = {t.name: t.reference.predicted for t in teachers}
    foreseen = {name: p["student"].value for name, p in told.items()}
    found.append(by("smallest predicted error of the student", False, foreseen))
    if all("pgr" in p for p in told.values()):
        found.append(by("largest predicted PGR", False, {n: p["pgr"].value for n, p in
                                                         told.items()}, -1))  # fmt: skip
    # Both terms of the same teachers, in the same splits.
    left = {t.name: t.reference.measured["teacher"].value - t.reference.measured["misfit"].value
            for t in teachers}  # fmt: skip
    found.append(by("smallest teacher's error less misfit", False, left))
    return tuple(found)


def decide(teachers: Sequence[Teacher], comparisons: Sequence[Comparison]) -> Verdict:
    """Say what to do and why.

    "use" needs a student that is demonstrably better than the best constant, than the strong model
    fitted on the labels, and than its own teacher, all with penalties where they were fitted, and
    formulas that do not foresee the opposite with all the labels; of several such students the one
    with the smallest error is taken. "use the teacher itself" needs a teacher demonstrably better
    than the constant and than the strong model on the labels. No student is used that is
    demonstrably behind another teacher itself, or another strong model on the labels. Teachers are
    those with features, perhaps none; there is a comparison of each teacher and student.
    """
    count, theories = len(comparisons), {t.name: t for t in teachers}
    judged = {c.name: _decision(c, _better(c, count), theories.get(c.name)) for c in comparisons}
    for c in comparisons:
        ahead = [n for n, v in c.others.items() if n not in judged and _widened(v, count).high < 0]
        if judged[c.name][0] == "use" and ahead:
            judged[c.name] = "do not use", ahead
    best = {name: (d != "use", d != "use the teacher itself") for name, (d, _) in judged.items()}
    chosen = min(comparisons, key=lambda c: (*best[c.name], _student(c)))
    better, theory = _better(chosen, count), theories.get(chosen.name)
    decision, notes = judged[chosen.name]
    as_good = [c.name for c in comparisons if c is not chosen and not _distinguishable(c, chosen)]
    student = better["student"]
    closest = min(student, key=lambda rival: student[rival].low)
    reach = (student[closest].high - student[closest].low) / 2
    found = {
        "chosen": chosen,
        "better": better,
        "theory": theory,
        "decision": decision,
        "notes": notes,
        "count": count,
        "as_good": as_good,
        "closest": closest,
        "times": (reach / max(abs(student[closest].value), 1e-6 * reach)) ** 2,
    }
    return Verdict(
        decision=decision,
        teacher=chosen.teacher,
        student=chosen.student,
        decisions={name: told[0] for name, told in judged.items()},
        metric=chosen.decides,
        over=student,
        as_good=tuple(as_good),
        reasons=words.paragraphs("reasons.txt", **found),
        would_change=words.paragraphs("would_change.txt", **found),
    )


def _better(found: Comparison, count: int) -> dict[str, dict[str, Range]]:
    return {
        model: {rival: _widened(value, count) for rival, value in over.items()}
        for model, over in found.better[found.decides].items()
    }


def _decision(
    chosen: Comparison, better: Mapping[str, Mapping[str, Range]], theory: Teacher | None
) -> tuple[Decision, list[str]]:
    """What to do, and what to say of it."""
    if chosen.in_sample is not None and chosen.in_sample < SUSPECT:
        return "not enough evidence", ["in sample"]
    student = {rival: _sign(value) for rival, value in better["student"].items()}
    teacher = {rival: _sign(value) for rival, value in better["teacher"].items()}
    shuffled = chosen.errors[chosen.decides].get("shuffled")
    if shuffled and shuffled.high < chosen.errors[chosen.decides]["constant"].low:
        return "not enough evidence", ["leak"]
    if "baseline" not in student:
        return "not enough evidence", ["no baseline"]
    if -1 in (student["baseline"], student.get("constant")) and teacher["baseline"] < 1:
        return "do not use", []
    if "constant" not in student:
        return "not enough evidence", ["no constant"]
    if all(sign > 0 for sign in student.values()):
        rate = chosen.better.get("error rate", {}).get("student", {})
        if any(_sign(value) < 0 for value in rate.values()):
            return "not enough evidence", ["metrics"]
        if theory and _sign(theory.all_rows.predicted["advantage"]) < 0:
            return "not enough evidence", ["contradiction"]
        return "use", []
    if teacher["constant"] > 0 and teacher["baseline"] > 0:
        return "use the teacher itself", []
    return "not enough evidence", ["open"]


def _distinguishable(other: Comparison, chosen: Comparison) -> bool:
    """Whether the other's student is worse by more than chance, on the same inputs if known."""
    if other.name in chosen.others:
        return chosen.others[other.name].low > 0
    found = [c.errors[c.decides]["student"] for c in (other, chosen)]
    reach = np.linalg.norm([value.high - value.value for value in found])
    return bool(found[0].value - found[1].value > reach)


def _widened(given: Range, teachers: int) -> Range:
    """The interval with the level that the choice among several teachers asks for."""
    factor = special.ndtri((1 - LEVEL) / (2 * teachers)) / -Z
    low = given.value - factor * (given.value - given.low)
    return Range(given.value, float(low), float(given.value + factor * (given.high - given.value)))


def _sign(given: Range) -> int:
    return 1 if given.low > 0 else -1 if given.high < 0 else 0


def _student(found: Comparison) -> float:
    return found.errors[found.decides]["student"].value
