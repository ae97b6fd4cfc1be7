r"""Dong et al. 2025's synthetic experiment, all its settings from the same draws.

In the authors' model the features are coordinates of one Gaussian vector :math:`g`, so every least
squares problem of the experiment, whatever the overlap and the noise, is made of blocks of

.. math:: G^T G, \qquad G^T \epsilon

over the labelled and over the unlabelled inputs. They are formed once a trial; each setting then
costs a few small Cholesky factorisations. The designs are drawn and the least squares problems
solved as by `w2s_utils.gaussian.simulate` with ``method="direct"``, and give the same
numbers for the same draws; settings of one trial share them, as common random numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from w2s_utils import protocol, validation
from w2s_utils.gaussian import GaussianModel, authors_model
from w2s_utils.least_squares import Moments
from w2s_utils.protocol import ROLES, Result
from w2s_utils.theory import risks

Key = tuple[int, float]


@dataclass(frozen=True)
class Experiment:
    """The authors' model at several overlaps and noise levels.

    Attributes
    ----------
    overlaps : sequence of int
        Correlation dimensions; 10, 50, 90 and 0, 40, 80 in the paper.
    variances : sequence of float
        Label-noise variances; 1e-2, 4e-4 and 0.1 in the paper.
    d_w, d_s : int
        Intrinsic dimensions; ``d_w + d_s`` coordinates carry the target.
    D : int
        Ambient dimension: scales the target only.

    Raises
    ------
    ValueError
        If an overlap does not fit the dimensions, or a variance is negative.
    """

    overlaps: Sequence[int] = (10, 50, 90, 0, 40, 80)
    variances: Sequence[float] = (1e-2, 4e-4, 0.1)
    d_w: int = 200
    d_s: int = 100
    D: int = 20000

    def __post_init__(self) -> None:
        for d_sw in self.overlaps:
            for sigma2 in self.variances:
                self.model(d_sw, sigma2)

    def model(self, d_sw: int, sigma2: float) -> GaussianModel:
        """One setting, as `w2s_utils.gaussian.authors_model` gives it."""
        active = self.d_w + self.d_s
        return authors_model(d_sw, sigma2, d_w=self.d_w, d_s=self.d_s, active=active, D=self.D)

    def simulate(
        self, n: int, N: int, trials: int, rng: np.random.Generator, *, n_jobs: int = 1
    ) -> dict[Key, Result]:
        """Simulate all settings directly.

        Parameters
        ----------
        n, N : int
            Labels and pseudo-labels; ``n >= max(d_w, d_s)`` and ``N >= d_s``.
        trials : int
        rng : numpy.random.Generator
            Spawns one generator a trial: the numbers do not depend on ``n_jobs``.
        n_jobs : int
            Worker processes.

        Returns
        -------
        dict of (d_sw, sigma2) to Result
            Excess risks over the population, one entry a trial.

        Raises
        ------
        ValueError
            If ``n`` or ``N`` is too small for a unique least-squares solution.
        """
        validation.at_least(n, max(self.d_w, self.d_s), "n", "unique least squares")
        validation.at_least(N, self.d_s, "N", "unique least squares")
        model = self.model(self.overlaps[0], self.variances[0])
        size, levels = len(model.theta), np.sqrt(self.variances)
        blocks = {"strong": slice(0, self.d_s), "labels": slice(size, size + len(levels))}
        teachers = {str(d_sw): self.d_s - d_sw for d_sw in self.overlaps}
        blocks |= {name: slice(start, start + self.d_w) for name, start in teachers.items()}
        # The population's second moments: one row for each axis, and the target in every column.
        axes = np.column_stack([np.eye(size), np.tile(model.theta[:, None], len(levels))])
        population = Moments(1, axes.T @ axes, blocks)

        def one(generator: np.random.Generator) -> dict[str, NDArray]:
            noise = generator.standard_normal(n + N)[:, None] * levels

            def drawn(count: int, noise: NDArray) -> Moments:
                g = generator.standard_normal((count, size))
                columns = np.column_stack([g, (g @ model.theta)[:, None] + noise])
                return Moments(count, columns.T @ columns, blocks)

            parts = drawn(n, noise[:n]), drawn(N, noise[n:])
            return protocol.moment_trial(*parts, population, teachers=list(teachers))

        results = Result.of(protocol.map_trials(one, trials, rng, n_jobs))
        return {
            (d_sw, sigma2): Result(
                teacher=results.teacher[:, i, j],
                student=results.student[:, i, j],
                baseline=results.baseline[:, j],
                ceiling=results.ceiling[:, j],
                misfit=results.misfit[:, i, j],
            )
            for i, d_sw in enumerate(self.overlaps)
            for j, sigma2 in enumerate(self.variances)
        }

    def sweep(
        self,
        points: Sequence[tuple[int, int]],
        trials: int,
        rng: np.random.Generator,
        *,
        n_jobs: int = 1,
    ) -> Runs:
        """Simulate all settings at several ``(n, N)``, each with draws of its own."""
        results = [self.simulate(n, N, trials, rng, n_jobs=n_jobs) for n, N in points]
        return Runs(self, np.array(points), results)


@dataclass(frozen=True)
class Runs:
    """Simulations of an experiment at several sizes.

    Attributes
    ----------
    experiment : Experiment
    points : ndarray of int, shape (points, 2)
        ``n`` and ``N``.
    results : list of dict
        One result of `Experiment.simulate` a point.
    """

    experiment: Experiment
    points: NDArray[np.int_]
    results: list[dict[Key, Result]]

    def trials(self, d_sw: int, sigma2: float, role: str) -> NDArray:
        """Risks of one model in one setting, shape (points, trials)."""
        return np.array([getattr(result[d_sw, sigma2], role) for result in self.results])

    def table(self, d_sw: int, sigma2: float) -> dict[str, NDArray]:
        """Columns of one setting: sizes, and for each risk simulation, exact and authors' value.

        Returns
        -------
        dict of str to ndarray
            ``n``, ``N`` and ``<role>_simulated``, ``<role>_standard_error``, ``<role>_exact``,
            ``<role>_authors`` for teacher, student, baseline and ceiling.
        """
        setting = self.experiment.model(d_sw, sigma2).setting
        n, N = self.points.T
        exact, authors = risks.exact(setting, n, N), risks.authors_bounds(setting, n, N)
        columns = {"n": n, "N": N}
        for role in ROLES:
            means = [result[d_sw, sigma2].mean(role) for result in self.results]
            columns[f"{role}_simulated"] = np.array([mean.value for mean in means])
            columns[f"{role}_standard_error"] = np.array([mean.standard_error for mean in means])
            columns[f"{role}_exact"] = getattr(exact, role) + 0.0 * n
            columns[f"{role}_authors"] = getattr(authors, role) + 0.0 * n
        return columns
