r"""Logistic probes: a teacher's probabilities as soft labels for the student.

In the image and text experiments of Dong et al. 2025 heads are logistic and labels are flipped.
With flips of probability :math:`\eta` the label of an input with true label :math:`y` is 1 with
probability :math:`\eta + (1-2\eta)y`, its *law*. What a classifier's squared error is measured
against decides what one sees:

- ``"law"``: the law of the noisy label. This is the analogue of an excess risk.
- ``"noisy"``: a noisy label, in expectation: the above plus :math:`\eta(1-\eta)`, for any model.
- ``"clean"``: the true label.

Heads are `w2s_utils.logistic.binary_heads`, without intercept: features that want one have a
constant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from w2s_utils import protocol, validation
from w2s_utils.logistic import binary_heads
from w2s_utils.protocol import Inputs, Result
from w2s_utils.splits import row_splitter
from w2s_utils.validation import Array

MEASURES = ("law", "noisy", "clean")


@dataclass(frozen=True, eq=False)
class _Probe:
    """A head that gives the probability of class 1, every column of targets for itself."""

    penalty: float
    coefficients: Array = field(default_factory=lambda: np.empty(0))

    def fit(self, features: ArrayLike, targets: ArrayLike) -> _Probe:
        labels = np.asarray(targets, float)
        heads = binary_heads(features, labels.reshape(len(labels), -1), [self.penalty])
        return _Probe(self.penalty, heads.reshape(-1, *labels.shape[1:]))

    def predict(self, features: ArrayLike) -> Array:
        return cast(Array, special.expit(np.asarray(features) @ self.coefficients))


def run_logistic(
    weak: Mapping[str, ArrayLike],
    strong: ArrayLike,
    labels: ArrayLike,
    *,
    cells: Sequence[tuple[int, int]],
    flips: float,
    trials: int,
    rng: np.random.Generator,
    penalty: float = 1.0,
    n_jobs: int = 1,
) -> dict[str, dict[tuple[int, int], dict[str, Result]]]:
    """Run teachers, students, baseline and ceiling with logistic heads, on random splits.

    As in `w2s_utils.splits.sweep` smaller samples are the first rows of larger ones; all teachers
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
        Of every head, see `w2s_utils.logistic.binary_heads`.
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
    split_rows = row_splitter(len(phi), max(n for n, _ in pairs), max(N for _, N in pairs))
    head = _Probe(penalty)

    def one(generator: np.random.Generator) -> list[dict[str, dict[str, Array]]]:
        labelled, unlabelled, test = split_rows(generator)
        noisy = np.where(generator.random(len(truth)) < flips, 1 - truth, truth)
        everything = Inputs(tuple(teachers.values()), phi, noisy, flips + (1 - 2 * flips) * truth)
        tested = everything.rows(test)
        found = []
        for n, N in pairs:
            parts = everything.rows(labelled[:n]), everything.rows(unlabelled[:N]), tested
            _, told = protocol.teach(*parts, teacher_head=head, student_head=head)
            clean = replace(told, labels=truth[test])
            found.append({"law": told.errors(), "clean": clean.errors()})
        return found

    rows = protocol.map_trials(one, trials, rng, n_jobs)
    by_cell = {
        pair: {name: Result.of([row[index][name] for row in rows]) for name in ("law", "clean")}
        for index, pair in enumerate(pairs)
    }
    return {
        name: {pair: _measures(results, index, flips) for pair, results in by_cell.items()}
        for index, name in enumerate(teachers)
    }


def _measures(results: Mapping[str, Result], teacher: int, flips: float) -> dict[str, Result]:
    """One teacher's results, and beside the law and the truth the noisy labels."""
    law, clean = (
        replace(
            result,
            **{
                name: getattr(result, name)[:, teacher] for name in ("teacher", "student", "misfit")
            },
        )
        for result in (results["law"], results["clean"])
    )
    constant = flips * (1 - flips)
    shifted = {name: getattr(law, name) + constant for name in protocol.ROLES}
    return dict(zip(MEASURES, (law, replace(law, **shifted), clean), strict=True))
