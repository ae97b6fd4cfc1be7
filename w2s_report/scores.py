r"""Scores of every input, for each teacher: which pseudo-labels to train on.

contribution
    :math:`\|\hat g(x)\|^2`, with :math:`\hat g` the ridge head on strong features for what the
    teacher misses of the labels, :math:`y - \hat y_w(x)`, answered by a teacher that did not learn
    that label. It estimates :math:`P_s(I-P_w)y` at the input: the part of the teacher's error that
    a student inherits, of mean square ``b`` (`w2s_utils.theory.risks`). Small is good; it needs
    strong features.
disagreement
    The misfit at the input: squared difference of student and teacher, or KL(student || teacher),
    of a student that did not learn from that pseudo-label. Large where the student corrects most.
confidence
    Of classes: the teacher's largest probability.
"""

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from w2s_report import heads
from w2s_report.comparison import MOST_ROWS, Contest, Match, misfit
from w2s_utils.files import replacing

NAMES = ("contribution", "disagreement", "confidence")
STEP = 1 << 15  # rows at a time
FEWEST = 40  # pseudo-labels for two students
White = Callable[[slice], Mapping[str, NDArray[np.float64]]]
Given = Mapping[tuple[str, str], NDArray[np.float64]]


def per_input(
    contest: Contest, kept: NDArray[np.int64], white: White, given: Given, rows: int
) -> NDArray[np.float64]:
    """Return the scores `NAMES`, shape (rows, matches, 3), NaN where there is none.

    Heads are fitted on the rows kept, with these numbers, the labelled ones first; ``white`` takes
    some of all rows and returns features by model, and predictions given are of all rows.
    """
    found = np.full((rows, len(contest.matches), len(NAMES)), np.nan)
    fitted = [_heads(contest, match, kept, given) for match in contest.matches]
    learnt = [np.isin(np.arange(rows), kept[part])[:, None] for _, _, part in fitted]
    for start in range(0, rows, STEP):
        these = slice(start, min(start + STEP, rows))
        phi = white(these)
        for number, match in enumerate(contest.matches):
            own, of_strong, _ = fitted[number]
            block = found[these, number]
            said = own(phi[match.teacher])[0] if own else given[match.key("teacher")][these]
            answers = [head(phi[match.student])[0] for head in of_strong]
            if answers:
                block[:, 0] = np.sum(answers[0] ** 2, axis=1)
            if match.key("student") in given:
                student = given[match.key("student")][these]
            else:  # of two, the one that did not learn from the row
                student = np.where(learnt[number][these], answers[2], answers[1])
            block[:, 1] = misfit(contest, student, said)
            if contest.classes:
                block[:, 2] = said.max(axis=1)
    return found


def _heads(
    contest: Contest, match: Match, kept: NDArray, given: Given
) -> tuple[heads.Predict | None, list[heads.Predict], NDArray]:
    """The teacher's head, the strong model's for what it misses and for each half of its answers.

    With them the rows of the first half.
    """

    def fit(model: str, rows: NDArray, goal: NDArray, kind: heads.Kind) -> heads.Predict:
        return heads.fit(kind, contest.features[model][rows], contest.variances[model], [goal])

    truth, own, of_strong = contest.targets, None, []
    if match.key("teacher") in given:
        said = given[match.key("teacher")][kept]
        missed = truth - said[: len(truth)]
    else:
        phi, missed, order = contest.features[match.teacher], truth.copy(), np.arange(len(truth))
        for half, other in ((order[::2], order[1::2]), (order[1::2], order[::2])):
            missed[half] -= fit(match.teacher, other, truth[other], contest.head)(phi[half])[0]
        own = fit(match.teacher, order, truth, contest.head)
        [said] = own(phi)
    answered = np.flatnonzero(np.isfinite(said).all(axis=1))
    free = answered[answered >= len(truth)]
    halves = [(free if len(free) >= FEWEST else answered)[i::2][:MOST_ROWS] for i in (0, 1)]
    if match.student in contest.features:
        known = answered[answered < len(truth)]
        of_strong = [fit(match.student, known, missed[known], "ridge")]
        of_strong += [fit(match.student, half, said[half], contest.head) for half in halves]
    return own, of_strong, halves[0]


def write(path: Path, table: NDArray, matches: Sequence[str]) -> None:
    """Write scores as ``.npy``, the array itself, or else as ``.csv``, a row for each input."""
    with replacing(path) as temporary:
        if path.suffix == ".npy":
            with temporary.open("wb") as binary:
                np.save(binary, table)
            return
        with temporary.open("w", encoding="utf-8", newline="") as text:
            writer = csv.writer(text)
            writer.writerow(["input", *(f"{m} {name}" for m in matches for name in NAMES)])
            flat = table.reshape(len(table), -1).tolist()
            writer.writerows([i, *(f"{v:.9g}" for v in row)] for i, row in enumerate(flat))
