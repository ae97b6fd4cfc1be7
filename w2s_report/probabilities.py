r"""Logistic heads: log-loss, accuracy and the Kullback-Leibler misfit of a classification.

Heads are `w2s_utils.logistic.Logistic` on the cut, white features. The student minimises the cross-
entropy with the teacher's probabilities first. The misfit is the reverse,
:math:`\mathrm{KL}(f_{sw} \| f_w)`, the order in which Mulgund and Pabbaraju's inequality has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr

from w2s_report.schema import Interval
from w2s_report.splits import Design
from w2s_report.teachers import MODELS
from w2s_utils.geometry import Range
from w2s_utils.logistic import Logistic

SPLITS = 4
MOST_PSEUDO = 1000  # rows that a logistic student learns from
MOST_LABELS = 4000
LEAST = 1e-6  # probabilities are kept this far from 0, so that divergences are finite
HEAD = Logistic(tolerance=1e-3, steps=500, least=0.01)


@dataclass(frozen=True)
class Probabilities:
    """Logistic heads of one teacher and the student.

    Intervals are for the mean over test rows, given the heads.

    Attributes
    ----------
    n, N : int
        Labels and pseudo-labels.
    squared, log_loss, accuracy : dict of str to Range
        Of teacher, student, baseline and, where it can be fitted, ceiling. The squared error is
        summed over classes (over one column for two classes); log-loss in nats.
    kl_misfit : Range
        Mean of KL(student || teacher) on the test rows, in nats.
    log_loss_gain : Range
        Teacher's log-loss less the student's.
    """

    n: int
    N: int
    squared: Mapping[str, Interval]
    log_loss: Mapping[str, Interval]
    accuracy: Mapping[str, Interval]
    kl_misfit: Interval
    log_loss_gain: Interval


def logistic(
    weak: NDArray,
    strong: NDArray,
    classes: NDArray[np.int64],
    labelled: int,
    design: Design,
    *,
    seed: int,
) -> Probabilities:
    """Measure logistic heads over a few splits, every labelled row weighing the same.

    Parameters
    ----------
    weak, strong : ndarray, shape (labelled + sampled, d)
        Cut features, the constant in the first column; labelled rows first.
    classes : ndarray of int, shape (labelled,)
    labelled : int
    design : Design
        Shares of the labelled rows.
    seed : int
    """
    count = int(classes.max()) + 1
    rows = [
        _split(weak[:, 1:], strong[:, 1:], classes, count, labelled, design, generator)
        for generator in np.random.default_rng(seed).spawn(SPLITS)
    ]
    n, N = rows[0]["sizes"]

    def spread(name: str) -> Range:
        # Rows are tested in several splits: each counts once, with its mean.
        total, times = np.zeros(labelled), np.zeros(labelled)
        for row in rows:
            total[row["tested"]] += row[name]
            times[row["tested"]] += 1
        values = total[times > 0] / times[times > 0]
        reach = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
        mean = float(values.mean())
        return Range(mean, float(mean - reach), float(mean + reach))

    def all_models(kind: str) -> dict[str, Range]:
        return {m: spread(f"{kind} {m}") for m in MODELS if f"{kind} {m}" in rows[0]}

    return Probabilities(
        n=n,
        N=N,
        squared=all_models("squared"),
        log_loss=all_models("log_loss"),
        accuracy=all_models("accuracy"),
        kl_misfit=spread("kl_misfit"),
        log_loss_gain=spread("log_loss_gain"),
    )


def _split(
    weak: NDArray,
    strong: NDArray,
    classes: NDArray,
    count: int,
    labelled: int,
    design: Design,
    rng: np.random.Generator,
) -> dict:
    order = rng.permutation(labelled)
    n = min(design.n, MOST_LABELS)
    given, left = order[:n], order[design.n :]
    if design.hidden:
        hidden = left[: min(design.N, MOST_PSEUDO)]
        tested = left[design.N :]
    else:
        hidden = labelled + rng.permutation(len(weak) - labelled)[:MOST_PSEUDO]
        tested = left
    truth = classes[given]
    teacher = HEAD.fit(weak[given], truth, count)
    pseudo = _inside(teacher.probabilities(weak[hidden]))
    heads = {
        "teacher": (teacher, weak),
        "student": (HEAD.fit(strong[hidden], pseudo), strong),
        "baseline": (HEAD.fit(strong[given], truth, count), strong),
    }
    if design.hidden:
        both = np.concatenate([given, hidden])
        heads["ceiling"] = (HEAD.fit(strong[both], classes[both], count), strong)
    found: dict = {"sizes": (n, len(hidden)), "tested": tested}
    predicted = {}
    for name, (head, features) in heads.items():
        predicted[name] = _inside(head.probabilities(features[tested]))
        found |= {f"{k} {name}": v for k, v in _errors(predicted[name], classes[tested]).items()}
    student, teaching = predicted["student"], predicted["teacher"]
    found["kl_misfit"] = np.sum(rel_entr(student, teaching), axis=1)
    found["log_loss_gain"] = found["log_loss teacher"] - found["log_loss student"]
    return found


def _inside(probabilities: NDArray) -> NDArray:
    kept = np.maximum(probabilities, LEAST)
    return kept / kept.sum(axis=1, keepdims=True)


def _errors(probabilities: NDArray, classes: NDArray) -> dict[str, NDArray]:
    count = probabilities.shape[1]
    residual = probabilities - np.eye(count)[classes]
    squared = np.sum(residual**2, axis=1) if count > 2 else residual[:, 1] ** 2
    return {
        "squared": squared,
        "log_loss": -np.log(probabilities[np.arange(len(classes)), classes]),
        "accuracy": (probabilities.argmax(axis=1) == classes).astype(float),
    }
