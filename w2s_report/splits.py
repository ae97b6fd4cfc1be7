"""Measured risks of least squares: repeated random splits of the rows kept in memory."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from w2s_utils import protocol
from w2s_utils.least_squares import MinimumNorm

MOST_PSEUDO = 1000
# Directions that a training sample lacks (sparse features) get no head from rounding: white over
# all inputs, those with less than a thousandth of their deviation are dropped.
HEAD = MinimumNorm(cutoff=1e-3)


@dataclass(frozen=True)
class Design:
    """How rows are split."""

    n: int
    """Labels of a split,"""
    N: int
    """pseudo-labels,"""
    test: int
    """and labels tested on."""
    ceiling: bool
    """Whether the rows with pseudo-labels have labels too, so that a ceiling can be fitted."""

    @classmethod
    def of(cls, labelled: int, free: int) -> Design:
        """Split a number of labelled rows, beside which so many have none.

        With at least half as many rows without label as with one, 60 % of the labels are given
        and the rest test; otherwise 25 % are given, 50 % hidden and 25 % test.
        """
        if free >= labelled / 2:
            n = round(0.6 * labelled)
            return cls(n, min(free, MOST_PSEUDO), labelled - n, False)
        n, N = round(0.25 * labelled), round(0.5 * labelled)
        return cls(n, N, labelled - n - N, True)


@dataclass(frozen=True, eq=False)
class Measured:
    """Repeated splits."""

    result: protocol.Result
    """Targets' columns summed."""
    inflation: float
    """Factor by which splits of the same rows understate an error (Nadeau and Bengio): the variance
    of a mean over splits is taken as ``1/trials + test rows / n`` times that between splits."""

    def mean(self, name: str) -> tuple[float, float]:
        """Mean over splits of a field of `Result`, a ``"gain"``, ... and its error.

        The gap is the teacher's risk less the ceiling's, the advantage is the baseline's less the
        student's.
        """
        of = self.result
        values = {
            "advantage": lambda: of.baseline - of.student,
            "gap": lambda: of.teacher - of.ceiling,
        }.get(name, lambda: getattr(of, name))()
        per_split = values.reshape(len(values), -1).mean(axis=1)
        error = per_split.std(ddof=1) / np.sqrt(len(per_split))
        return float(per_split.mean()), float(error * self.inflation)

    def ratio(self, name: str) -> tuple[float, float]:
        """PGR or OPR (ratio of means) and its error."""
        estimate = getattr(self.result, name)()
        return estimate.value, estimate.standard_error * self.inflation


def measure(
    weak: NDArray,
    strong: NDArray,
    targets: NDArray,
    design: Design,
    *,
    trials: int,
    rng: np.random.Generator,
) -> Measured:
    """Measure teacher, student, baseline and ceiling.

    Parameters
    ----------
    weak, strong : ndarray, shape (rows, d)
        Features in white directions, labelled rows first.
    targets : ndarray, shape (labelled, tasks)
    design : Design
    trials : int
    rng : numpy.random.Generator
        The same generator gives every teacher the same splits.
    """
    labels = np.vstack([targets, np.zeros((len(weak) - len(targets), targets.shape[1]))])

    def draw(generator: np.random.Generator) -> protocol.Trial:
        order = generator.permutation(len(targets))
        free = np.arange(len(targets), len(targets) + design.N)
        if design.ceiling:
            free, order = order[: design.N], order[design.N :]
        given, unlabelled, tested = (
            protocol.Inputs(weak[rows], strong[rows], labels[rows])
            for rows in (order[: design.n], free, order[design.n :])
        )
        return given, unlabelled, tested

    result = protocol.repeat(draw, trials, rng, teacher_head=HEAD, student_head=HEAD)
    if not design.ceiling:
        result = replace(result, ceiling=np.full_like(result.ceiling, np.nan))
    return Measured(result, float(np.sqrt(1 + trials * design.test / design.n)))
