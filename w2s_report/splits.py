"""Measured risks: repeated random splits, from sums of products by groups of rows.

The labelled rows fall into some forty groups. A split takes groups at random: some are the labels,
some (where nearly all rows are labelled) have their labels hidden, the rest are tested on. Pseudo-
labels are given to the hidden rows, or else to folds of the rows that have no label. Every sample
of a sweep contains the smaller ones, so a size costs one addition and one solve.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from w2s_utils import protocol
from w2s_utils.least_squares import Moments

GROUPS = 40
SIZES = 6  # points of a sweep


@dataclass(frozen=True)
class Design:
    """How rows are split.

    Attributes
    ----------
    size : int
        Labelled rows of one group.
    train, hidden, test : int
        Groups that are labels, that have their labels hidden, that are tested on.
    folds, fold_rows : int
        Folds of rows without label, used where none are hidden.
    """

    size: int
    train: int
    hidden: int
    test: int
    folds: int
    fold_rows: int

    @classmethod
    def of(cls, labelled: int, folds: int, fold_rows: int) -> Design:
        """Split a number of labelled rows and of folds.

        With at least half as many rows without label as with one, 60 % of the labels are given
        and the rest test; otherwise 25 % are given, 50 % hidden and 25 % test.
        """
        size = -(-labelled // GROUPS)
        groups = labelled // size
        if folds * fold_rows >= labelled / 2:
            train = round(0.6 * groups)
            return cls(size, train, 0, groups - train, folds, fold_rows)
        train, hidden = round(0.25 * groups), round(0.5 * groups)
        return cls(size, train, hidden, groups - train - hidden, 0, 0)

    @property
    def n(self) -> int:
        """Labels in the largest sample."""
        return self.train * self.size

    @property
    def N(self) -> int:
        """Pseudo-labels in the largest sample."""
        return self.hidden * self.size if self.hidden else self.folds * self.fold_rows

    @property
    def ceiling(self) -> bool:
        """Whether the rows with pseudo-labels have labels too, so that a ceiling can be fitted."""
        return self.hidden > 0

    @property
    def unit(self) -> int:
        """Rows of a group or fold with pseudo-labels."""
        return self.size if self.hidden else self.fold_rows

    def sizes(self, least_n: int, least_N: int) -> tuple[list[int], list[int]]:
        """Numbers of labels and of pseudo-labels to measure at, whole groups, the largest last."""
        labels = _spaced(-(-least_n // self.size), self.train)
        pseudo = _spaced(-(-least_N // self.unit), self.hidden or self.folds)
        return [g * self.size for g in labels], [g * self.unit for g in pseudo]


@dataclass(frozen=True, eq=False)
class Measured:
    """Repeated splits at several sizes.

    Attributes
    ----------
    results : dict of (int, int) to Result
        By ``(n, N)``; targets' columns summed.
    test_rows : int
        Rows tested on in a split.
    misfit_in_sample : Result
        At the largest sizes: misfit over the student's own rows, one entry a split.
    """

    results: Mapping[tuple[int, int], protocol.Result]
    test_rows: int
    misfit_in_sample: NDArray[np.float64]

    def inflation(self, n: int, trials: int) -> float:
        """Factor by which splits of the same rows understate an error (Nadeau and Bengio).

        The variance of a mean over splits is taken as ``1/trials + test rows / n`` times that
        between splits, not ``1/trials``.
        """
        return float(np.sqrt(1 + trials * self.test_rows / n))

    def mean(self, cell: tuple[int, int], name: str) -> tuple[float, float]:
        """Mean over splits of a field of `Result`, ``"gain"`` or ``"advantage"``, and its error.

        The advantage is the baseline's risk less the student's.
        """
        result = self.results[cell]
        if name == "advantage":
            values = result.baseline - result.student
        elif name == "misfit_in_sample":
            values = self.misfit_in_sample
        else:
            values = getattr(result, name)
        per_split = values.reshape(len(values), -1).mean(axis=1)
        error = per_split.std(ddof=1) / np.sqrt(len(per_split))
        return float(per_split.mean()), float(error * self.inflation(cell[0], len(per_split)))

    def ratio(self, cell: tuple[int, int], name: str) -> tuple[float, float]:
        """PGR or OPR (ratio of means) and its error."""
        result = self.results[cell]
        estimate = getattr(result, name)()
        error = estimate.standard_error * self.inflation(cell[0], estimate.trials)
        return estimate.value, error


def splits(
    groups: list[Moments],
    folds: tuple[Moments, ...],
    design: Design,
    cells: list[tuple[int, int]],
    *,
    trials: int,
    rng: np.random.Generator,
) -> Measured:
    """Measure teacher, student, baseline and ceiling at every cell.

    Parameters
    ----------
    groups : list of Moments
        Of the labelled rows, from `grouped`.
    folds : tuple of Moments
        Blocks ``weak`` and ``strong`` of rows without label.
    design : Design
    cells : list of (int, int)
        Multiples of the design's groups; the largest of both must be among them.
    trials : int
    rng : numpy.random.Generator
        The same generator gives every teacher the same splits.
    """
    largest = (design.n, design.N)
    rows, in_sample = [], []
    for generator in rng.spawn(trials):
        order = generator.permutation(len(groups))
        given = [groups[i] for i in order[: design.train]]
        hidden = order[design.train : design.train + design.hidden]
        parts = (
            [groups[i] for i in hidden]
            if design.hidden
            else [folds[i] for i in generator.permutation(len(folds))]
        )
        left = [groups[i] for i in order[design.train + design.hidden :]]
        tested = sum(left[1:], left[0])
        labelled = _sums(given, {n for n, _ in cells})
        unlabelled = _sums(parts, {N for _, N in cells})
        rows.append(protocol.nested_trial(cells, labelled, unlabelled, tested))
        in_sample.append(_misfit_in_sample(labelled[largest[0]], unlabelled[largest[1]]))
    results = {
        cell: protocol.Result(
            **{name: np.array([row[cell][name] for row in rows]) for name in rows[0][cell]}
        )
        for cell in cells
    }
    return Measured(results, design.test * design.size, np.array(in_sample))


def grouped(
    weak: NDArray, strong: NDArray, targets: NDArray, size: int, rng: np.random.Generator
) -> list[Moments]:
    """Moments of random groups of labelled rows; what is left over is not used."""
    order = rng.permutation(len(weak))
    chosen = [order[i : i + size] for i in range(0, len(order) - size + 1, size)]
    return [Moments.of(weak=weak[g], strong=strong[g], labels=targets[g]) for g in chosen]


def cross_validated(groups: list[Moments], parts: int = 10) -> dict[str, tuple[float, float]]:
    """Error of both models' heads on labelled rows left out, by blocks ``weak`` and ``strong``."""
    chunks = np.array_split(np.arange(len(groups)), parts)
    total = sum(groups[1:], groups[0])
    found: dict[str, list[float]] = {"weak": [], "strong": []}
    for chunk in chunks:
        out = sum((groups[i] for i in chunk[1:]), groups[chunk[0]])
        rest = total - out
        truth = -np.eye(out.products("labels", "labels").shape[0])
        for block, errors in found.items():
            head = rest.fit(block, "labels")
            errors.append(float(out.mean_square(**{block: head}, labels=truth).mean()))
    return {
        block: (float(np.mean(errors)), float(np.std(errors, ddof=1) / np.sqrt(parts)))
        for block, errors in found.items()
    }


def _misfit_in_sample(labelled: Moments, unlabelled: Moments) -> float:
    teacher = labelled.fit("weak", "labels")
    student = unlabelled.fit("strong", unlabelled.products("strong", "weak") @ teacher)
    return float(unlabelled.mean_square(strong=student, weak=-teacher).mean())


def _sums(parts: list[Moments], wanted: set[int]) -> dict[int, Moments]:
    """Running sums at the numbers of rows wanted."""
    found, total = {}, None
    for part in parts:
        total = part if total is None else total + part
        if total.count in wanted:
            found[total.count] = total
    return found


def _spaced(first: int, last: int) -> list[int]:
    first = min(max(first, 1), last)
    return np.unique(np.round(np.geomspace(first, last, SIZES)).astype(int)).tolist()
