"""From the molecules' contributions to the numbers of the chapters, and to their errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np

from w2s_experiments.molecules.runs import Split
from w2s_utils import ladder as rules
from w2s_utils.ladder import Scores
from w2s_utils.validation import Array


def means(splits: Sequence[Split], part: str = "test", weights: Array | None = None) -> Scores:
    """Average the contributions of the molecules in every split.

    Parameters
    ----------
    splits : sequence of Split
    part : {"test", "known"}
        Evaluation or validation molecules.
    weights : ndarray, shape (m,) or (resamples, m), optional
        Of the molecules of the data set (`w2s_utils.resampling.bootstrap_counts`); default equal.
        The same resampled molecules count in every split, as splits share them. Training molecules
        are not resampled: the fitted heads stay, so what varies is the evaluation alone.

    Returns
    -------
    Scores
        Shape (..., splits, models) each, with the resamples, if there are any, as leading axis.
    """
    table: dict[str, list[Array]] = {field.name: [] for field in fields(Scores)}
    for split in splits:
        rows = split.rows[part]
        each = np.ones(len(rows)) if weights is None else weights[..., rows]
        total = each.sum(axis=-1)[..., None]
        for name, averages in table.items():
            averages.append(each @ getattr(split.scores[part], name) / total)
    return Scores(**{name: np.stack(averages, axis=-2) for name, averages in table.items()})


def gain_per_misfit_observed(found: Scores) -> Array | float:
    """Sum of gains over sum of misfits."""
    return found.gain.sum(axis=(-2, -1)) / found.misfit.sum(axis=(-2, -1))


def ladder(found: Scores, index: int, models: int) -> Scores:
    """The columns of one ladder, `models` of them."""
    kept = slice(index * models, (index + 1) * models)
    return Scores(**{name: values[..., kept] for name, values in vars(found).items()})


def share_error(splits: Sequence[Split], models: int) -> tuple[float, float]:
    r"""Sum of gains over sum of misfits, and its standard error.

    A ratio of means over molecules, each of which counts in every split that evaluates it: to the
    first order it moves with the mean of
    :math:`\sum_{\text{splits}} \sum_{\text{models}} (g - \text{share} \cdot u)`, gain and misfit
    :math:`g, u` of a molecule taken from their mean in the split. The fitted heads stay.

    Parameters
    ----------
    splits : sequence of Split
        Columns of their scores are ladder after ladder, each from another pretraining seed.
    models : int
        Size of a ladder.

    Returns
    -------
    value, error : float
        The error adds the variance over evaluated molecules and, where there are several ladders,
        that of the mean over pretraining seeds.
    """
    found = means(splits)
    value = float(gain_per_misfit_observed(found))
    rows = [split.rows["test"] for split in splits]
    pull = np.zeros(1 + max(one.max() for one in rows))
    for split, one in zip(splits, rows, strict=True):
        scores = split.scores["test"]
        off = np.sum(scores.gain - value * scores.misfit, axis=1)
        np.add.at(pull, one, (off - off.mean()) / len(off))
    evaluated = np.unique(np.concatenate(rows)).size
    variance = evaluated / (evaluated - 1) * np.sum(pull**2) / found.misfit.sum() ** 2
    seeds = found.misfit.shape[-1] // models
    if seeds > 1:
        by_seed = [gain_per_misfit_observed(ladder(found, seed, models)) for seed in range(seeds)]
        variance += float(np.var(np.array(by_seed), ddof=1)) / seeds
    return value, float(np.sqrt(variance))


def regrets(known: Scores, test: Scores, models: int) -> dict[str, Array]:
    """Regret of each rule of choice, `w2s_utils.ladder.regrets`, by split and ladder.

    Parameters
    ----------
    known : Scores
        Means on validation molecules: what the rules see.
    test : Scores
        On test molecules.
    models : int
        Size of a ladder; the columns are ladder after ladder.

    Returns
    -------
    dict of str to ndarray, shape (..., splits, ladders)
    """
    student, *seen = (
        values.reshape(*values.shape[:-1], -1, models)
        for values in (test.student, known.teacher, known.student, known.misfit)
    )
    return rules.regrets(student, known_teacher=seen[0], known_student=seen[1], misfit=seen[2])
