r"""Ladders of weak teachers for one strong model: errors, misfits, and rules that choose.

For linear heads the student of every teacher of a ladder is fitted with one factorisation, and the
student of the average teacher is the average of the students.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from w2s_utils import validation
from w2s_utils.least_squares import Head, MinimumNorm
from w2s_utils.theory import bridge

# Labels for each of a teacher's features. Nearer to interpolation its error and its misfit are both
# huge, and rules that look at their difference see noise.
LEAST_LABELS = 1.5


@dataclass(frozen=True, eq=False)
class Part:
    """Inputs as the strong model, the teachers and (where there are any) the labels see them.

    Attributes
    ----------
    strong : ndarray, shape (m, d_s)
    teachers : ndarray, shape (m, t)
        Predictions of the teachers.
    labels : ndarray, shape (m,), optional
    """

    strong: NDArray[np.float64]
    teachers: NDArray[np.float64]
    labels: NDArray[np.float64] | None = None


@dataclass(frozen=True, eq=False)
class Ladder:
    """What is known, and what is true, of each teacher and its student; shape (t,) each.

    Attributes
    ----------
    misfit : ndarray
        Mean squared distance of student and teacher on the student's own training inputs.
    correction : float
        Expected gain over expected training misfit, `w2s_utils.theory.bridge.gain_per_misfit`.
    known_teacher, known_student : ndarray
        Errors on the validation labels.
    teacher, student : ndarray
        Errors on the test labels.
    ensemble : dict of str to float
        ``"misfit"``, ``"teacher"`` and ``"student"`` of the average of the teachers.
    """

    misfit: NDArray[np.float64]
    correction: float
    known_teacher: NDArray[np.float64]
    known_student: NDArray[np.float64]
    teacher: NDArray[np.float64]
    student: NDArray[np.float64]
    ensemble: Mapping[str, float]

    @property
    def gain(self) -> NDArray[np.float64]:
        """Error of each teacher less that of its student, on the test labels."""
        return self.teacher - self.student

    @property
    def predicted_gain(self) -> NDArray[np.float64]:
        """Misfit times its correction: needs no labels."""
        return self.correction * self.misfit

    def regrets(self) -> dict[str, float]:
        """Error of the chosen student less that of the best student, by rule of choice."""
        scores = {
            "teacher's error": self.known_teacher,
            "error − misfit": self.known_teacher - self.misfit,
            "error − corrected misfit": self.known_teacher - self.predicted_gain,
            "student's error": self.known_student,
        }
        least = self.student.min()
        chosen = {rule: float(self.student[np.argmin(s)] - least) for rule, s in scores.items()}
        return {**chosen, "at random": float(self.student.mean() - least)}


def climb(unlabelled: Part, validation_part: Part, test: Part, head: Head | None = None) -> Ladder:
    """Train the student of every teacher, and of the average teacher.

    Parameters
    ----------
    unlabelled : Part
        The students' training inputs.
    validation_part, test : Part
        With labels.
    head : Head, optional
        Of the students; default `MinimumNorm`.

    Returns
    -------
    Ladder
    """
    taught = _with_average(unlabelled.teachers, "unlabelled.teachers")
    model = (head or MinimumNorm()).fit(unlabelled.strong, taught)

    def errors(part: Part, name: str) -> tuple[NDArray, NDArray]:
        teachers = _with_average(part.teachers, f"{name}.teachers")
        labels = validation.vector(part.labels, f"{name}.labels", rows=len(teachers))[:, None]
        students = model.predict(part.strong)
        return _mean_square(teachers - labels), _mean_square(students - labels)

    misfit = _mean_square(model.predict(unlabelled.strong) - taught)
    known_teacher, known_student = errors(validation_part, "validation_part")
    teacher, student = errors(test, "test")
    return Ladder(
        misfit=misfit[:-1],
        correction=float(
            bridge.gain_per_misfit(unlabelled.strong.shape[1], len(taught), in_sample=True)
        ),
        known_teacher=known_teacher[:-1],
        known_student=known_student[:-1],
        teacher=teacher[:-1],
        student=student[:-1],
        ensemble={"misfit": misfit[-1], "teacher": teacher[-1], "student": student[-1]},
    )


def _with_average(teachers: ArrayLike, name: str) -> NDArray:
    predictions = validation.matrix(teachers, name)
    return np.column_stack([predictions, predictions.mean(axis=1)])


def _mean_square(difference: NDArray) -> NDArray:
    return np.mean(difference**2, axis=0)
