r"""Every teacher with every student of a problem, on the same splits.

Differences between pairs are then differences of the models: labels, their noise and the test
inputs are shared, and the standard error of a difference is smaller than those of its terms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from w2s_utils import geometry as estimates
from w2s_utils import probes, protocol, validation
from w2s_utils.least_squares import Moments
from w2s_utils.oracle import MODELS, Cell, estimate_setting
from w2s_utils.problem import Problem
from w2s_utils.theory import risks
from w2s_utils.theory.subspaces import column_space

# Teacher and student; teacher, student, labels and pseudo-labels.
Pair = tuple[str, str]
Key = tuple[str, str, int, int]


def geometry(problem: Problem) -> dict[Pair, risks.Setting]:
    """Oracle geometry of every pair, without label noise.

    Parameters
    ----------
    problem : Problem

    Returns
    -------
    dict of (str, str) to Setting
        By teacher and student.
    """
    return {
        (teacher, student): estimate_setting(weak, strong, problem.targets)
        for teacher, weak in problem.teachers.items()
        for student, strong in problem.students.items()
    }


def run(
    problem: Problem,
    settings: Mapping[Pair, risks.Setting],
    *,
    cells: Sequence[tuple[int, int]],
    trials: int,
    seed: Sequence[int],
    noise: float,
    groups: ArrayLike | None = None,
) -> dict[Key, Cell]:
    """Measure pairs at several sizes.

    Parameters
    ----------
    problem : Problem
    settings : mapping of (str, str) to Setting
        The pairs to measure, with their `geometry`.
    cells : sequence of (int, int)
        Labels ``n`` and pseudo-labels ``N``; see `w2s_utils.protocol.sweep`.
    trials : int
    seed : sequence of int
        Of the splits, the same for every pair.
    noise : float
        Standard deviation of the label noise.
    groups : array_like, optional
        Inputs of one group never fall in different parts of a split.

    Returns
    -------
    dict of (str, str, int, int) to Cell
        By teacher, student, ``n`` and ``N``.
    """
    found = {}
    for (teacher, student), setting in settings.items():
        results = protocol.sweep(
            problem.teachers[teacher],
            problem.students[student],
            problem.targets,
            cells=cells,
            trials=trials,
            rng=np.random.default_rng(seed),
            noise=noise,
            groups=groups,
        )
        noisy = replace(setting, sigma2=noise**2)
        for (n, N), result in results.items():
            found[teacher, student, n, N] = Cell(noisy, n, N, result, risks.exact(noisy, n, N))
    return found


def run_flipped(
    problem: Problem,
    chosen: Sequence[Pair],
    *,
    n: int,
    N: int,
    flips: float,
    trials: int,
    seed: Sequence[int],
) -> dict[Pair, dict[str, protocol.Result]]:
    """Measure pairs with logistic heads on flipped labels.

    Parameters
    ----------
    problem : Problem
        With one target of two values; the larger is class 1.
    chosen : sequence of (str, str)
        Teacher and student.
    n, N : int
    flips : float
        Probability that a training label is flipped.
    trials : int
    seed : sequence of int
        Of the splits, the same for every pair.

    Returns
    -------
    dict of (str, str) to dict of str to Result
        By pair, and by what errors are measured against, see `w2s_utils.probes`.

    Raises
    ------
    ValueError
        If the target does not have two values.
    """
    values = np.unique(problem.targets)
    if len(values) != 2:
        raise ValueError(f"problem: expected a target of two values, got {len(values)}")
    labels = (np.ravel(problem.targets) == values[1]).astype(float)

    def white(features: NDArray) -> NDArray:
        return column_space(features) * np.sqrt(len(features))

    found = {}
    for student in dict.fromkeys(student for _, student in chosen):
        teachers = [teacher for teacher, other in chosen if other == student]
        results = probes.run_logistic(
            {teacher: white(problem.teachers[teacher]) for teacher in teachers},
            white(problem.students[student]),
            labels,
            cells=[(n, N)],
            flips=flips,
            trials=trials,
            rng=np.random.default_rng(seed),
        )
        found |= {(teacher, student): results[teacher][n, N] for teacher in teachers}
    return found


def difference(
    first: protocol.Result, second: protocol.Result, quantity: str = "pgr"
) -> protocol.Estimate:
    """PGR (or OPR) of the first less that of the second, on common splits.

    Parameters
    ----------
    first, second : Result
        From the same splits, so of as many trials.
    quantity : {"pgr", "opr"}

    Returns
    -------
    Estimate
        Difference of ratios of means, with its jackknife standard error over the splits.

    Raises
    ------
    ValueError
        If the numbers of trials differ or are below 2, or the quantity is unknown.
    """
    count = first.trials
    validation.at_least(count, 2, "trials", "for a standard error")
    if second.trials != count:
        raise ValueError(f"second: expected the {count} trials of the first, got {second.trials}")
    (whole, left_out), (other, others) = (_ratio(result, quantity) for result in (first, second))
    values = left_out - others
    error = np.sqrt((count - 1) * np.mean((values - values.mean()) ** 2))
    return protocol.Estimate(float(whole - other), float(error), count)


def _ratio(result: protocol.Result, quantity: str) -> tuple[float, NDArray[np.float64]]:
    """A ratio of means over all trials, and without each of them."""
    teacher, student, baseline, ceiling = (
        getattr(result, name).reshape(result.trials, -1).mean(axis=1) for name in MODELS
    )
    ratios = {"pgr": (teacher - student, teacher - ceiling), "opr": (baseline, student)}
    if quantity not in ratios:
        raise ValueError(f"quantity: expected 'pgr' or 'opr', got {quantity!r}")
    top, bottom = ratios[quantity]
    return top.sum() / bottom.sum(), (top.sum() - top) / (bottom.sum() - bottom)


@dataclass(frozen=True, eq=False)
class FromLabels:
    """What a user would have predicted, one entry a draw of labelled inputs.

    Attributes
    ----------
    pgr : ndarray, shape (draws,)
    low, high : ndarray, shape (draws,)
        Ends of the 95 % interval.
    teacher, student : ndarray, shape (draws,)
        Errors on labels with their noise.
    """

    pgr: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    teacher: NDArray[np.float64]
    student: NDArray[np.float64]


def predict_from_labels(
    problem: Problem,
    teacher: str,
    student: str,
    *,
    n: int,
    N: int,
    noise: float,
    draws: int,
    rng: np.random.Generator,
) -> FromLabels:
    """Predict a cell from `n` noisy labels and all features, several times.

    Parameters
    ----------
    problem : Problem
        With one target.
    teacher, student : str
    n, N : int
        ``n`` at least two more than the weak and strong features together.
    noise : float
        Standard deviation of the label noise; the estimates are not told.
    draws : int
        Sets of labelled inputs.
    rng : numpy.random.Generator

    Returns
    -------
    FromLabels
    """
    weak, strong = problem.teachers[teacher], problem.students[student]
    target, features = np.ravel(problem.targets), Moments.of(weak=weak, strong=strong)
    rows = []
    for generator in rng.spawn(draws):
        chosen = generator.permutation(len(target))[:n]
        labels = target[chosen] + noise * generator.standard_normal(n)
        found = estimates.from_labels(weak[chosen], strong[chosen], labels, features=features)
        expected = found.predict(n, N, generator)
        pgr = expected["pgr"]
        errors = (expected[name].value for name in ("teacher", "student"))
        rows.append((pgr.value, pgr.low, pgr.high, *errors))
    return FromLabels(*np.array(rows).T)
