"""From the molecules' contributions to the numbers of the chapters, and to their errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from w2s_experiments.molecules.runs import Scores, Split
from w2s_utils import validation
from w2s_utils.theory.risks import gain_per_misfit

QUANTITIES = ("teacher", "student", "misfit", "cross")
RULES = ("teacher's error", "error − misfit", "student's error")


@dataclass(frozen=True, eq=False)
class Means:
    """Means over the evaluation molecules, shape (..., splits, models) each.

    Attributes
    ----------
    teacher, student, misfit, cross : ndarray
        Mean contributions, `w2s_experiments.molecules.runs.Scores`.
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
    weights : ndarray, shape (m,) or (resamples, m), optional
        Of the molecules of the data set; default equal.

    Returns
    -------
    Means
        With the resamples, if there are any, as leading axis.
    """
    table: dict[str, list[NDArray]] = {name: [] for name in QUANTITIES}
    for one in scores:
        share = np.ones(len(one.rows)) if weights is None else weights[..., one.rows]
        total = share.sum(axis=-1)[..., None]
        for name in QUANTITIES:
            table[name].append(share @ getattr(one, name) / total)
    return Means(**{name: np.stack(rows, axis=-2) for name, rows in table.items()})


def resampled(molecules: int, resamples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Bootstrap weights of the molecules that are evaluated.

    The same resampled molecules count in every split, as splits share them. Training molecules
    are not resampled: the fitted heads stay, so what varies is the evaluation alone.

    Parameters
    ----------
    molecules : int
        Rows of the data set.
    resamples : int
        At least 2.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray, shape (resamples, molecules)
    """
    validation.at_least(resamples, 2, "resamples", "a standard deviation")
    return rng.multinomial(
        molecules, np.full(molecules, 1 / molecules), size=int(resamples)
    ).astype(float)


def slope(found: Means) -> NDArray[np.float64] | float:
    """Slope through the origin of gain on misfit, over splits and models."""
    return np.sum(found.gain * found.misfit, axis=(-2, -1)) / np.sum(found.misfit**2, axis=(-2, -1))


def share(found: Means) -> NDArray[np.float64] | float:
    """Sum of gains over sum of misfits."""
    return found.gain.sum(axis=(-2, -1)) / found.misfit.sum(axis=(-2, -1))


def correlation(found: Means) -> float:
    """Correlation of gain and misfit over the models, after averaging over the splits."""
    return float(np.corrcoef(found.misfit.mean(axis=0), found.gain.mean(axis=0))[0, 1])


def ladder(found: Means, index: int, models: int) -> Means:
    """The columns of one ladder, `models` of them."""
    kept = slice(index * models, (index + 1) * models)
    return Means(**{name: getattr(found, name)[..., kept] for name in QUANTITIES})


def share_error(scores: Sequence[Scores], models: int) -> tuple[float, float]:
    r"""Sum of gains over sum of misfits, and its standard error.

    A ratio of means over molecules, each of which counts in every split that evaluates it: to the
    first order it moves with the mean of
    :math:`\sum_{\text{splits}} \sum_{\text{models}} (g - \text{share} \cdot u)`, gain and misfit
    :math:`g, u` of a molecule taken from their mean in the split. The fitted heads stay.

    Parameters
    ----------
    scores : sequence of Scores
        One a split; columns are ladder after ladder, each from another pretraining seed.
    models : int
        Size of a ladder.

    Returns
    -------
    value, error : float
        The error adds the variance over evaluated molecules and, where there are several ladders,
        that of the mean over pretraining seeds.
    """
    found = means(scores)
    value = float(share(found))
    pull = np.zeros(1 + max(one.rows.max() for one in scores))
    for one in scores:
        off = np.sum(one.teacher - one.student - value * one.misfit, axis=1)
        np.add.at(pull, one.rows, (off - off.mean()) / len(off))
    evaluated = np.unique(np.concatenate([one.rows for one in scores])).size
    variance = evaluated / (evaluated - 1) * np.sum(pull**2) / found.misfit.sum() ** 2
    seeds = found.misfit.shape[-1] // models
    if seeds > 1:
        by_seed = [share(ladder(found, seed, models)) for seed in range(seeds)]
        variance += float(np.var(by_seed, ddof=1)) / seeds
    return value, float(np.sqrt(variance))


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
    dict of str to ndarray, shape (..., splits, ladders)
        By rule; ``"at random"`` is the average over the ladder.
    """

    def ladders(values: NDArray) -> NDArray:
        return values.reshape(*values.shape[:-1], -1, models)

    student = ladders(test.student)
    best = student.min(axis=-1)
    scores = dict(zip(RULES, (known.teacher, known.difference, known.student), strict=True))
    found = {}
    for rule, values in scores.items():
        chosen = np.argmin(ladders(values), axis=-1)[..., None]
        chosen = np.broadcast_to(chosen, (*student.shape[:-1], 1))
        found[rule] = np.take_along_axis(student, chosen, axis=-1)[..., 0] - best
    return {**found, "at random": student.mean(axis=-1) - best}


def mean_regrets(
    splits: Sequence[Split], models: int, weights: NDArray[np.float64] | None = None
) -> dict[str, NDArray[np.float64] | float]:
    """Regret of each rule, averaged over splits and ladders, see `regrets`.

    Parameters
    ----------
    splits : sequence of Split
    models : int
        Size of a ladder.
    weights : ndarray, optional
        See `means`.

    Returns
    -------
    dict of str to float or ndarray, shape (resamples,)
    """
    known, test = (
        means([getattr(split, part) for split in splits], weights) for part in ("known", "test")
    )
    return {
        rule: values.mean(axis=(-2, -1)) for rule, values in regrets(known, test, models).items()
    }


def expected_share(splits: Sequence[Split]) -> float:
    r"""Gain per misfit that an unbiased least-squares student of its size would have.

    :math:`(1-r)/(1+r)` with :math:`r = d_s/(N-d_s-1)`, averaged over splits: the factor of
    Gaussian features, for a truth within reach (`w2s_utils.theory.risks.gain_per_misfit`).

    Parameters
    ----------
    splits : sequence of Split

    Returns
    -------
    float
        Not a number where a student had fewer than ``d_s + 2`` molecules.
    """
    if any(split.inputs < split.degrees + 2 for split in splits):
        return float("nan")
    return float(np.mean([gain_per_misfit(split.degrees, split.inputs) for split in splits]))
