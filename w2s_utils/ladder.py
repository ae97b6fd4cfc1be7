r"""Many teachers, one strong model: the students, what they score, and rules that choose.

Everything here starts from the teachers' predictions. For linear heads the students of all teachers
of a ladder, and the best head in hindsight, are fitted with one factorisation, and the student of
the average teacher is the average of the students.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from w2s_utils import validation
from w2s_utils.least_squares import Head, MinimumNorm, fitted
from w2s_utils.validation import Array

# Labels for each of a teacher's features. Nearer to interpolation its error and its misfit are both
# huge, and rules that look at their difference see noise.
LEAST_LABELS = 1.5
RULES = ("teacher's error", "error − misfit", "student's error")


@dataclass(frozen=True, eq=False)
class Scores:
    r"""Four squares of each input and teacher, or their means.

    With predictions :math:`f_w, f_{sw}` and target `y`,

    .. math:: (f_w - y)^2 - (f_{sw} - y)^2 = (f_w - f_{sw})^2 + 2 (f_w - f_{sw})(f_{sw} - y),

    so gain = misfit + cross for any student, fitted in any way.

    Squares have shape (m,), (m, tasks) or (m, teachers); of means, any shape. The misfit, the
    squared distance of student and teacher, needs no labels.
    """

    teacher: Array
    student: Array
    misfit: Array
    cross: Array

    @property
    def gain(self) -> Array:
        """Teacher's error less the student's."""
        return self.teacher - self.student

    @property
    def difference(self) -> Array:
        """Teacher's error less the misfit: what Charikar et al. choose a teacher by."""
        return self.teacher - self.misfit


@dataclass(frozen=True, eq=False)
class Predictions:
    """What is said of some inputs: by teachers, and once they are trained, by students.

    Attributes
    ----------
    strong : ndarray, shape (m, d_s)
        Strong features.
    teacher : ndarray, shape (m,), (m, tasks) or (m, teachers)
    labels : ndarray, shape (m,) or (m, tasks), optional
        What errors are measured against.
    student : ndarray, optional
        In the shape of ``teacher``; from `train_students`.
    best : ndarray, optional
        In the shape of ``labels``: the head fitted to the labels of the students' own inputs.
    baseline, ceiling : ndarray, optional
        In the shape of ``labels``: the strong heads that learnt from true labels.
    """

    strong: Array
    teacher: Array
    labels: Array | None = None
    student: Array | None = None
    best: Array | None = None
    baseline: Array | None = None
    ceiling: Array | None = None

    def scores(self) -> Scores:
        """Squared errors, distances and cross terms, input by input; needs labels and students."""
        labels, student = self._beside(self.labels, "labels"), self._beside(self.student, "student")
        apart, off = self.teacher - student, student - labels
        return Scores((self.teacher - labels) ** 2, off**2, apart**2, 2 * apart * off)

    def errors(self) -> dict[str, Array]:
        """Means over the inputs: errors of all models that there are, and ``misfit``."""
        scores, labels = self.scores(), self.labels
        errors = {name: np.mean(values, 0) for name, values in vars(scores).items()}
        del errors["cross"]
        for name, said in (("baseline", self.baseline), ("ceiling", self.ceiling)):
            if said is not None and labels is not None:
                errors[name] = np.mean((said - labels) ** 2, axis=0)
        return errors

    def own_terms(self) -> dict[str, Array]:
        r"""Terms of the gain over the students' own inputs.

        With `P` the projection on the strong features in their empirical inner product, the gain
        is the misfit plus the cross term :math:`-2\langle (I-P)f_w, (I-P)f^*\rangle`, identically.

        Returns ``gain``, ``misfit``, ``cross``, and ``unreachable``, :math:`\|(I-P)f^*\|^2`, the
        error of the best head; without labels only the misfit.
        """
        student = self._beside(self.student, "student")
        away = self.teacher - student
        if self.best is None:
            return {"misfit": np.mean(away**2, axis=0)}
        labels, best = self._beside(self.labels, "labels"), self._beside(self.best, "best")
        return {
            "gain": np.mean((self.teacher - labels) ** 2 - (student - labels) ** 2, axis=0),
            "misfit": np.mean(away**2, axis=0),
            "cross": -2 * np.mean(away * (labels - best), axis=0),
            # One number where all teachers answer to the same labels.
            "unreachable": np.mean((labels - best).reshape(self.best.shape) ** 2, axis=0),
        }

    def _beside(self, values: Array | None, name: str) -> Array:
        """Values as they broadcast against the teachers' predictions."""
        if values is None:
            raise ValueError(f"{name}: these predictions have none; see train_students")
        return values if values.ndim == self.teacher.ndim else values[:, None]


def train_students(
    own: Predictions, *parts: Predictions, head: Head | None = None
) -> tuple[Predictions, ...]:
    """Train the student of every teacher on the inputs ``own``, and predict there and on the parts.

    If these inputs have labels, the best head in hindsight is fitted with the students. The head of
    the students is by default `MinimumNorm`.
    """
    phi = validation.matrix(own.strong, "own.strong")
    taught = validation.targets(own.teacher, "own.teacher", rows=len(phi))
    student_head = head or MinimumNorm()
    if own.labels is None:
        predict = fitted(student_head, phi, taught)
        return tuple(replace(part, student=predict(part.strong)) for part in (own, *parts))
    truth = validation.targets(own.labels, "own.labels", rows=len(phi))
    predict = fitted(student_head, phi, np.column_stack([taught, truth]))
    count = taught[:1].size

    def trained(part: Predictions) -> Predictions:
        student, best = np.split(predict(part.strong), [count], axis=1)
        shapes = ((len(student), *values.shape[1:]) for values in (taught, truth))
        return replace(part, student=student.reshape(next(shapes)), best=best.reshape(next(shapes)))

    return tuple(map(trained, (own, *parts)))


def regrets(
    student: ArrayLike,
    *,
    known_teacher: ArrayLike,
    known_student: ArrayLike,
    misfit: ArrayLike,
) -> dict[str, Array]:
    """Regret of each rule of choice: error of the chosen student less that of the best.

    All arguments have shape (..., teachers): errors of the students on test labels; errors of
    teachers and students on validation labels, which the rules see; the misfit. Returns regrets,
    shape (...), by rule of `RULES`; ``"at random"`` is the average over the teachers.
    """
    errors, teacher = np.asarray(student, float), np.asarray(known_teacher, float)
    scores = (teacher, teacher - np.asarray(misfit, float), np.asarray(known_student, float))
    chosen = {
        rule: np.take_along_axis(errors, np.argmin(values, axis=-1)[..., None], axis=-1)[..., 0]
        for rule, values in zip(RULES, scores, strict=True)
    }
    chosen["at random"] = errors.mean(axis=-1)
    return {rule: values - errors.min(axis=-1) for rule, values in chosen.items()}
