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
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from w2s_utils import protocol, splits, validation
from w2s_utils.geometry import oracle_setting
from w2s_utils.protocol import ROLES
from w2s_utils.resampling import Estimate, difference_of_ratios, mean
from w2s_utils.splits import Pair
from w2s_utils.theory import risks
from w2s_utils.theory.subspaces import leading_directions
from w2s_utils.validation import Array

# Teacher, student, labels and pseudo-labels.
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
    """Features, shape (m, D), with a column of ones appended."""
    phi = validation.matrix(features, "features")
    return np.column_stack([phi, np.ones(len(phi))])


def cut(features: ArrayLike, dimension: int, *, fitted_on: ArrayLike | None = None) -> Array:
    """Coordinates of features along their leading (uncentred) principal directions.

    From shape (m, D) to (m, dimension), at most ``min(m, D)``. The directions are found on
    ``fitted_on``, features of other inputs, or by default on the features themselves.
    """
    phi = validation.matrix(features, "features")
    return phi @ leading_directions(phi if fitted_on is None else fitted_on, dimension)


def standardise(values: ArrayLike) -> Array:
    """Targets, shape (m,) or (m, tasks), as (m, tasks) with columns of mean 0 and variance 1.

    A constant column is refused.
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

    The setting is the plug-in geometry, the result has risks, misfit and gain by split and task,
    and the predicted risks are expected ones.
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
            seen, expected = self.result.mean(name), float(getattr(self.predicted, name))
            error = seen.standard_error / expected
            found[name] = Estimate(seen.value / expected, error, seen.trials)
        return found

    def log_ratio(self, model: str) -> Estimate:
        """Mean over splits of the logarithm of measured over predicted risk of a model.

        Where single splits dominate the arithmetic mean this one still exists.
        """
        return mean(np.log(self.result.by_trial(model) / float(getattr(self.predicted, model))))

    def gap_is_resolved(self) -> bool:
        """Whether teacher and ceiling differ by enough standard errors for a PGR to mean much."""
        return mean(self.result.by_trial("teacher") - self.result.by_trial("ceiling")).is_positive()


def oracle_settings(problem: Problem) -> dict[Pair, risks.Setting]:
    """Oracle geometry of every pair of teacher and student, without label noise."""
    return {
        (teacher, student): oracle_setting(weak, strong, problem.targets)
        for teacher, weak in problem.teachers.items()
        for student, strong in problem.students.items()
    }


def measure_pairs(
    problem: Problem,
    settings: Mapping[Pair, risks.Setting],
    *,
    noise: float | None = None,
    **options: Any,
) -> dict[Key, Cell]:
    """As `measure_noises` at one level of noise, by default the problem's: the cells of that."""
    level = problem.noise if noise is None else noise
    return measure_noises(problem, settings, [level], **options)[level]


def measure_noises(
    problem: Problem,
    settings: Mapping[Pair, risks.Setting],
    noises: Sequence[float],
    *,
    cells: Sequence[tuple[int, int]],
    trials: int,
    seed: Sequence[int] | np.random.Generator,
    groups: ArrayLike | None = None,
) -> dict[float, dict[Key, Cell]]:
    """Measure pairs at several sizes and levels of label noise, on the same splits.

    Differences between pairs are then differences of the models: labels, their noise and the test
    inputs are shared, and the standard error of a `difference` is smaller than those of its terms.

    Settings have the geometry of the pairs to measure, from `oracle_settings`; cells, trials and
    groups are as in `w2s_utils.splits.sweep_pairs`. ``noises`` are standard deviations of the label
    noise, which scale the same draws. Returns cells by level, then by teacher, student, ``n`` and
    ``N``.
    """
    swept = splits.sweep_pairs(
        problem.teachers,
        problem.students,
        problem.targets,
        pairs=settings,
        cells=cells,
        trials=trials,
        rng=np.random.default_rng(seed),
        noise=noises,
        groups=groups,
    )
    found: dict[float, dict[Key, Cell]] = {level: {} for level in noises}
    for pair, results in swept.items():
        for (n, N), result in results.items():
            for index, level in enumerate(noises):
                noisy = replace(settings[pair], sigma2=level**2)
                found[level][*pair, n, N] = Cell(
                    noisy, n, N, result.part(index), risks.exact(noisy, n, N)
                )
    return found


def difference(
    first: protocol.Result | Sequence[protocol.Result],
    second: protocol.Result | Sequence[protocol.Result],
    quantity: str = "pgr",
) -> Estimate:
    """PGR (or OPR) of the first less that of the second, on common splits.

    Of several results the mean of their ratios is taken; all have as many trials, two or more. A
    difference of ratios of means, with its jackknife standard error over the splits.
    """
    sides = ([side] if isinstance(side, protocol.Result) else side for side in (first, second))
    return difference_of_ratios(*([result.terms(quantity) for result in side] for side in sides))
