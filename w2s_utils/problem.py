"""Weak-to-strong problems, and the measurement of their teachers and students.

A problem is the targets of a pool of inputs, and how teachers and students see these inputs.

Features are cut to their leading directions, so that their number of columns is their rank: the
exact risks depend on the rank, not on a cut-off (`w2s_utils.theory.risks`). Targets have mean 0 and
variance 1, so that every risk is a fraction of the variance of the target. A column of ones among
the features plays the part of the intercept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from w2s_utils import protocol, validation
from w2s_utils.geometry import oracle_setting
from w2s_utils.resampling import Estimate, difference_of_ratios
from w2s_utils.theory import risks
from w2s_utils.theory.subspaces import leading_directions
from w2s_utils.validation import Array

ROLES = ("teacher", "student", "baseline", "ceiling")

# Teacher and student; teacher, student, labels and pseudo-labels.
Pair = tuple[int | str, str]
Key = tuple[int | str, str, int, int]


@dataclass(frozen=True, eq=False)
class Problem:
    """Targets of a pool of inputs, and how teachers and students see these inputs.

    Attributes
    ----------
    name : str
        Name of the data set.
    targets : ndarray, shape (m, tasks)
        Each column with mean 0 and variance 1 over the pool.
    noise : float
        Standard deviation of the label noise to be added, in units of the target's.
    teachers : dict of int or str to ndarray, shape (m, d_w)
        Weak features by their number of columns ``d_w``, or by name.
    students : dict of str to ndarray, shape (m, d_s)
        Strong features by name.
    """

    name: str
    targets: Array
    noise: float
    teachers: Mapping[int | str, Array]
    students: Mapping[str, Array]


def with_constant(features: ArrayLike) -> Array:
    """Features with a column of ones appended.

    Parameters
    ----------
    features : array_like, shape (m, D)

    Returns
    -------
    ndarray, shape (m, D + 1)
    """
    phi = validation.matrix(features, "features")
    return np.column_stack([phi, np.ones(len(phi))])


def cut(features: ArrayLike, dimension: int, *, fitted_on: ArrayLike | None = None) -> Array:
    """Coordinates of features along their leading (uncentred) principal directions.

    Parameters
    ----------
    features : array_like, shape (m, D)
    dimension : int
        Number of directions kept, at most ``min(m, D)``.
    fitted_on : array_like, shape (m', D), optional
        Features of other inputs, on which the directions are found; default `features` itself.

    Returns
    -------
    ndarray, shape (m, dimension)
    """
    phi = validation.matrix(features, "features")
    return phi @ leading_directions(phi if fitted_on is None else fitted_on, dimension)


def standardise(values: ArrayLike) -> Array:
    """Columns of targets with mean 0 and variance 1.

    Parameters
    ----------
    values : array_like, shape (m,) or (m, tasks)

    Returns
    -------
    ndarray, shape (m, tasks)

    Raises
    ------
    ValueError
        If a column is constant.
    """
    columns = validation.targets(values, "values")
    columns = columns.reshape(len(columns), -1)
    spread = columns.std(axis=0)
    if np.any(spread == 0):
        raise ValueError(f"values: column {int(np.argmin(spread))} is constant, nothing to predict")
    scaled: Array = (columns - columns.mean(axis=0)) / spread
    return scaled


@dataclass(frozen=True, eq=False)
class Cell:
    """One teacher and one student at one size: what was measured, and what the formulas predict.

    Attributes
    ----------
    setting : Setting
        Plug-in geometry.
    n, N : int
        Labelled and unlabelled inputs.
    result : Result
        Measured risks, misfit and gain, by split and task.
    predicted : Risks
        Expected risks.
    """

    setting: risks.Setting
    n: int
    N: int
    result: protocol.Result
    predicted: risks.Risks

    @property
    def predicted_misfit(self) -> float:
        """Expected misfit on a fresh input."""
        return float(risks.misfit(self.setting, self.n, self.N))

    @property
    def predicted_gain(self) -> float:
        """Expected teacher's risk less the expected student's."""
        return float(self.predicted.teacher - self.predicted.student)

    def ratios(self) -> dict[str, Estimate]:
        """Measured over predicted risk of each model, with the standard error over splits."""
        found = {}
        for name in ROLES:
            mean, expected = self.result.mean(name), float(getattr(self.predicted, name))
            error = mean.standard_error / expected
            found[name] = Estimate(mean.value / expected, error, mean.trials)
        return found

    def log_ratio(self, model: str) -> Estimate:
        """Mean over splits of the logarithm of measured over predicted risk.

        Where single splits dominate the arithmetic mean this one still exists.

        Parameters
        ----------
        model : {"teacher", "student", "baseline", "ceiling"}
        """
        values = np.log(_by_split(self.result, model) / float(getattr(self.predicted, model)))
        error = values.std(ddof=1) / np.sqrt(len(values))
        return Estimate(float(values.mean()), float(error), len(values))

    def gap_is_resolved(self, standard_errors: float = 3.0) -> bool:
        """Whether teacher and ceiling differ by enough standard errors for PGR to mean something.

        Parameters
        ----------
        standard_errors : float
            How many.
        """
        gap = _by_split(self.result, "teacher") - _by_split(self.result, "ceiling")
        return bool(gap.mean() > standard_errors * gap.std(ddof=1) / np.sqrt(len(gap)))


def oracle_settings(problem: Problem) -> dict[Pair, risks.Setting]:
    """Oracle geometry of every pair, without label noise.

    Parameters
    ----------
    problem : Problem

    Returns
    -------
    dict of (teacher, student) to Setting
    """
    return {
        (teacher, student): oracle_setting(weak, strong, problem.targets)
        for teacher, weak in problem.teachers.items()
        for student, strong in problem.students.items()
    }


def measure_pairs(
    problem: Problem,
    settings: Mapping[Pair, risks.Setting],
    *,
    cells: Sequence[tuple[int, int]],
    trials: int,
    seed: Sequence[int] | np.random.Generator,
    noise: float | None = None,
    groups: ArrayLike | None = None,
) -> dict[Key, Cell]:
    """Measure pairs at several sizes, each pair on the same splits.

    Differences between pairs are then differences of the models: labels, their noise and the test
    inputs are shared, and the standard error of a `difference` is smaller than those of its terms.

    Parameters
    ----------
    problem : Problem
    settings : mapping of (teacher, student) to Setting
        The pairs to measure, with their geometry from `oracle_settings`.
    cells : sequence of (int, int)
        Labels ``n`` and pseudo-labels ``N``; see `w2s_utils.protocol.sweep`.
    trials : int
    seed : sequence of int, or Generator
        Of the splits, the same for every pair. From a generator each pair draws splits of its own.
    noise : float, optional
        Standard deviation of the label noise; default the problem's.
    groups : array_like, optional
        Inputs of one group never fall in different parts of a split.

    Returns
    -------
    dict of (teacher, student, int, int) to Cell
        By teacher, student, ``n`` and ``N``.
    """
    deviation = problem.noise if noise is None else noise
    found: dict[Key, Cell] = {}
    for (teacher, student), setting in settings.items():
        results = protocol.sweep(
            problem.teachers[teacher],
            problem.students[student],
            problem.targets,
            cells=cells,
            trials=trials,
            rng=np.random.default_rng(seed),
            noise=deviation,
            groups=groups,
        )
        noisy = replace(setting, sigma2=deviation**2)
        for (n, N), result in results.items():
            found[teacher, student, n, N] = Cell(noisy, n, N, result, risks.exact(noisy, n, N))
    return found


def difference(first: protocol.Result, second: protocol.Result, quantity: str = "pgr") -> Estimate:
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
    return difference_of_ratios(_ratio(first, quantity), _ratio(second, quantity))


def _ratio(result: protocol.Result, quantity: str) -> tuple[Array, Array]:
    teacher, student, baseline, ceiling = (_by_split(result, name) for name in ROLES)
    ratios = {"pgr": (teacher - student, teacher - ceiling), "opr": (baseline, student)}
    if quantity not in ratios:
        raise ValueError(f"quantity: expected 'pgr' or 'opr', got {quantity!r}")
    return ratios[quantity]


def _by_split(result: protocol.Result, role: str) -> Array:
    values: Array = getattr(result, role).reshape(result.trials, -1).mean(axis=1)
    return values
