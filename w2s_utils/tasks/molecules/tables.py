"""From the molecules' contributions to the numbers of the chapters, with bootstrap errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from w2s_utils import validation
from w2s_utils.tasks.molecules.runs import Scores, Split
from w2s_utils.theory.bridge import gain_per_misfit

QUANTITIES = ("teacher", "student", "misfit", "cross")
RULES = ("teacher's error", "error − misfit", "student's error")


@dataclass(frozen=True, eq=False)
class Means:
    """Means over the evaluation molecules, shape (splits, models) each.

    Attributes
    ----------
    teacher, student, misfit, cross : ndarray
        Mean contributions, `w2s_utils.tasks.molecules.runs.Scores`.
    """

    teacher: NDArray[np.float64]
    student: NDArray[np.float64]
    misfit: NDArray[np.float64]
    cross: NDArray[np.float64]

    @property
    def gain(self) -> NDArray[np.float64]:
        """Teacher's error less the student's."""
        return self.teacher - self.student

    @property
    def difference(self) -> NDArray[np.float64]:
        """Teacher's error less the misfit, what the paper's rule looks at."""
        return self.teacher - self.misfit


def means(scores: Sequence[Scores], weights: NDArray[np.float64] | None = None) -> Means:
    """Average the contributions in every split.

    Parameters
    ----------
    scores : sequence of Scores
        One a split.
    weights : ndarray, shape (m,), optional
        Of the molecules of the data set; default equal.

    Returns
    -------
    Means
    """
    table = {name: [] for name in QUANTITIES}
    for one in scores:
        share = np.ones(len(one.rows)) if weights is None else weights[one.rows]
        for name in QUANTITIES:
            table[name].append(share @ getattr(one, name) / share.sum())
    return Means(**{name: np.array(rows) for name, rows in table.items()})


def bootstrap(
    statistic: Callable[[NDArray[np.float64] | None], NDArray[np.float64] | float],
    molecules: int,
    resamples: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Standard error of a statistic over the molecules that it is evaluated on.

    The same resampled molecules count in every split, as splits share them. Training molecules
    are not resampled: the fitted heads stay, so this is the error of evaluation alone.

    Parameters
    ----------
    statistic : callable
        From weights of the molecules, shape (m,), to a number or an array.
    molecules : int
        Rows of the data set.
    resamples : int
        At least 2.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray
        In the shape of the statistic.
    """
    validation.at_least(resamples, 2, "resamples", "a standard deviation")
    drawn = rng.multinomial(molecules, np.full(molecules, 1 / molecules), size=int(resamples))
    return np.std([statistic(weights) for weights in drawn.astype(float)], axis=0, ddof=1)


def slope(found: Means) -> float:
    """Slope through the origin of gain on misfit, over splits and models."""
    return float(np.sum(found.gain * found.misfit) / np.sum(found.misfit**2))


def share(found: Means) -> float:
    """Sum of gains over sum of misfits."""
    return float(found.gain.sum() / found.misfit.sum())


def correlation(found: Means) -> float:
    """Correlation of gain and misfit over the models, after averaging over the splits."""
    return float(np.corrcoef(found.misfit.mean(axis=0), found.gain.mean(axis=0))[0, 1])


def regrets(known: Means, test: Means, models: int) -> dict[str, NDArray[np.float64]]:
    """Regret of each rule of choice: test error of the chosen student less that of the best.

    Parameters
    ----------
    known : Means
        On validation molecules: what the rules see.
    test : Means
        On test molecules.
    models : int
        Size of a ladder; the columns are ladder after ladder.

    Returns
    -------
    dict of str to ndarray, shape (splits, ladders)
        By rule; ``"at random"`` is the average over the ladder.
    """
    splits = len(test.student)

    def ladders(values: NDArray) -> NDArray:
        return values.reshape(splits, -1, models)

    student = ladders(test.student)
    best = student.min(axis=2)
    scores = dict(zip(RULES, (known.teacher, known.difference, known.student), strict=True))
    found = {}
    for rule, values in scores.items():
        chosen = np.argmin(ladders(values), axis=2)[..., None]
        found[rule] = np.take_along_axis(student, chosen, axis=2)[..., 0] - best
    return {**found, "at random": student.mean(axis=2) - best}


def expected_share(splits: Sequence[Split]) -> float:
    r"""Gain per misfit that an unbiased least-squares student of its size would have.

    :math:`(1-r)/(1+r)` with :math:`r = d_s/(N-d_s-1)`, averaged over splits: the factor of
    Gaussian features, for a truth within reach (`w2s_utils.theory.bridge.gain_per_misfit`).

    Parameters
    ----------
    splits : sequence of Split
        Of fresh molecules, more than ``d_s + 1`` each.

    Returns
    -------
    float
    """
    factors = [gain_per_misfit(split.degrees, split.inputs) for split in splits]
    return float(np.mean(factors))
