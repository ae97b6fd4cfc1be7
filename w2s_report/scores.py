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

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from w2s_report import heads
from w2s_report.comparison import MOST_ROWS, Contest, misfit
from w2s_utils.files import replacing

NAMES = ("contribution", "disagreement", "confidence")
STEP = 1 << 15  # rows at a time
FEWEST = 40  # pseudo-labels for two students
White = Callable[[str, slice], NDArray[np.float64]]


def per_input(
    contest: Contest,
    kept: NDArray[np.int64],
    white: White,
    given: Mapping[tuple[str, str], NDArray[np.float64]],
    rows: int,
) -> NDArray[np.float64]:
    """Return the scores `NAMES`, shape (rows, teachers, 3), NaN where there is none.

    Parameters
    ----------
    contest : Contest
        Of the rows kept, on which heads are fitted.
    kept : ndarray of int
        Their numbers, the labelled ones first.
    white : callable
        Takes a model and some rows of all; returns their features in white directions.
    given : mapping
        Predictions for all rows, by role and teacher.
    rows : int
    """
    truth, strong, kind = contest.targets, contest.strong, contest.head
    labelled, found = np.arange(len(truth)), np.full((rows, len(contest.teachers), 3), np.nan)

    def head(model: str, where: NDArray, goal: NDArray, of: heads.Kind = kind) -> heads.Predict:
        return heads.fit(of, contest.features[model][where], contest.variances[model], [goal])

    for number, name in enumerate(contest.teachers):
        says, learnt = given.get(("teacher", name)), given.get(("student", name))
        if says is None:
            answer = head(name, labelled, truth)
            [answered] = answer(contest.features[name])
            missed = np.empty_like(truth)
            for half, other in ((labelled[::2], labelled[1::2]), (labelled[1::2], labelled[::2])):
                [told] = head(name, other, truth[other])(contest.features[name][half])
                missed[half] = truth[half] - told
        else:
            answered, missed = says[kept], truth - says[kept][: len(truth)]
        known = np.flatnonzero(np.isfinite(missed).all(axis=1))
        inherit = strong in contest.features and head(strong, known, missed[known], "ridge")
        if learnt is None:
            pool = np.flatnonzero(np.isfinite(answered).all(axis=1))
            free = pool[pool >= len(truth)]
            parts = [(free if len(free) >= FEWEST else pool)[i::2][:MOST_ROWS] for i in (0, 1)]
            students = [head(strong, part, answered[part]) for part in parts]
            first = np.isin(np.arange(rows), kept[parts[0]])
        for start in range(0, rows, STEP):
            these = slice(start, min(start + STEP, rows))
            block, phi = found[these, number], white(strong, these) if inherit else None
            said = says[these] if says is not None else answer(white(name, these))[0]
            if inherit:
                block[:, 0] = np.sum(inherit(phi)[0] ** 2, axis=1)
            if learnt is None:
                one, two = (student(phi)[0] for student in students)
                own = np.where(first[these, None], two, one)
            else:
                own = learnt[these]
            block[:, 1] = misfit(contest, own, said)
            if contest.classes:
                block[:, 2] = said.max(axis=1)
    return found


def write(path: Path, table: NDArray, teachers: tuple[str, ...]) -> None:
    """Write scores as ``.npy``, the array itself, or else as ``.csv``, a row for each input."""
    with replacing(path) as temporary:
        if path.suffix == ".npy":
            with temporary.open("wb") as binary:
                np.save(binary, table)
            return
        with temporary.open("w", encoding="utf-8", newline="") as text:
            writer = csv.writer(text)
            writer.writerow(["input", *(f"{t} {name}" for t in teachers for name in NAMES)])
            flat = table.reshape(len(table), -1).tolist()
            writer.writerows([i, *(f"{v:.9g}" for v in row)] for i, row in enumerate(flat))
