"""Teacher, student and their errors, molecule by molecule, over the splits of a data set.

The contributions of single molecules are kept (`w2s_utils.ladder.Scores`), because resampling the
molecules is the honest error of a small test set, and splits share molecules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from w2s_experiments.molecules import design
from w2s_utils import validation
from w2s_utils.ladder import Predictions, Scores, train_students
from w2s_utils.least_squares import MinimumNorm, Ridge
from w2s_utils.protocol import Inputs, teach
from w2s_utils.validation import Array

PROTOCOLS = ("paper", "fresh", "projection")
TEACHER = MinimumNorm(cutoff=design.CUTOFF, intercept=True)
Rows = Mapping[str, NDArray[np.int_]]


@dataclass(frozen=True, eq=False)
class Split:
    """What one split gave.

    Attributes
    ----------
    scores : dict of str to Scores
        On the ``"test"`` molecules, and on the ``"known"`` ones of validation; shape (k, weak
        models), in units of the variance of the training targets.
    rows : dict of str to ndarray of int, shape (k,)
        These molecules.
    inputs : int
        Molecules the student was fitted on.
    degrees : int
        Rank of the student's features; zero, not counted, in the paper's protocol.
    unreachable : float
        Error on the student's own molecules of the best strong head for the truth; NaN in the
        paper's protocol, which has no use for it.
    """

    scores: Mapping[str, Scores]
    rows: Rows
    inputs: int
    degrees: int = 0
    unreachable: float = np.nan


def new_splits(keys: Sequence[str], count: int, rng: np.random.Generator) -> list[Rows]:
    """Random splits that keep equal molecules on one side.

    Parameters
    ----------
    keys : sequence of str
        Canonical form of each molecule.
    count : int
        Splits.
    rng : numpy.random.Generator

    Returns
    -------
    list of dict
        Row numbers of ``"train"``, ``"valid"`` and ``"test"``, about 80, 10 and 10 % of the rows.
    """
    codes = np.unique(np.asarray(keys), return_inverse=True)[1]
    size = int(codes.max()) + 1
    ends = np.round(np.cumsum(design.PARTS[:2]) * size).astype(int)
    found: list[Rows] = []
    for generator in rng.spawn(count):
        parts = np.split(generator.permutation(size), ends)
        found.append(
            {
                name: np.flatnonzero(np.isin(codes, part))
                for name, part in zip(("train", "valid", "test"), parts, strict=True)
            }
        )
    return found  # fmt: skip


@dataclass(frozen=True, eq=False)
class StandardisedFeatures:
    """Features of one split on one scale.

    Attributes
    ----------
    weak : tuple of ndarray, shape (m, d_w)
    strong : ndarray, shape (m, d_s)
    weak_inputs, strong_inputs : tuple of ndarray and ndarray, optional
        Of other molecules for the student to learn on.
    """

    weak: tuple[Array, ...]
    strong: Array
    weak_inputs: tuple[Array, ...] = ()
    strong_inputs: Array | None = None


def standardise(
    weak: Sequence[ArrayLike],
    strong: ArrayLike,
    rows: Rows,
    inputs: tuple[Sequence[ArrayLike], ArrayLike] | None = None,
) -> StandardisedFeatures:
    """Standardise the features of all models over the training and validation molecules.

    Parameters
    ----------
    weak : sequence of array_like, shape (m, d_w)
        Features by weak model.
    strong : array_like, shape (m, d_s)
    rows : mapping of str to ndarray
        Row numbers of ``"train"``, ``"valid"`` and ``"test"``.
    inputs : tuple, optional
        Weak and strong features of other molecules for the student to learn on.

    Returns
    -------
    StandardisedFeatures
    """
    seen = np.concatenate([rows["train"], rows["valid"]])
    if inputs is None:
        scaled = tuple(standardised(features, seen)[0] for features in weak)
        return StandardisedFeatures(scaled, standardised(strong, seen)[0])
    pairs = [standardised(one, seen, other) for one, other in zip(weak, inputs[0], strict=True)]
    phi, elsewhere = standardised(strong, seen, inputs[1])
    here, there = zip(*pairs, strict=True)
    return StandardisedFeatures(here, phi, there, elsewhere)


def teach_molecules(
    seen: StandardisedFeatures,
    targets: ArrayLike,
    rows: Rows,
    *,
    protocol: str,
    labels: int | None = None,
    rng: np.random.Generator | None = None,
    ridge: float = design.STUDENT_RIDGE,
) -> Split:
    """Teach every weak model of a ladder, train every student, score all molecules.

    Parameters
    ----------
    seen : StandardisedFeatures
        The molecules under the models.
    targets : array_like, shape (m,)
    rows : mapping of str to ndarray
        Row numbers of ``"train"``, ``"valid"`` and ``"test"``.
    protocol : {"paper", "fresh", "projection"}
        The paper's: the student learns on the training molecules, where its teacher learnt. Fresh:
        on those training molecules that the teacher has not seen. Projection: by least squares on
        all molecules that the teacher has not seen, and it is evaluated on the same, so that it is
        the theorem's projection for the empirical measure.
    labels : int, optional
        Training molecules whose labels the teacher gets, drawn with ``rng``; default all.
    rng : numpy.random.Generator, optional
        Needed where ``labels`` is given.
    ridge : float
        Student's penalty per row on standardised features; the projection has none.

    Returns
    -------
    Split

    Raises
    ------
    ValueError
        If the protocol is unknown, shapes differ, or no molecules are left for the student.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol: expected one of {', '.join(PROTOCOLS)}, got {protocol!r}")
    y = validation.vector(targets, "targets")
    y = (y - y[rows["train"]].mean()) / y[rows["train"]].std()
    taught_on = _labelled(rows["train"], labels, rng)
    student_on = {
        "paper": taught_on,
        "fresh": np.setdiff1d(rows["train"], taught_on),
        "projection": np.setdiff1d(np.arange(len(y)), taught_on),
    }[protocol]
    if not len(student_on):
        raise ValueError("labels: all training molecules are labelled, none is left to the student")
    projected = protocol == "projection"
    parts = {"test": student_on if projected else rows["test"], "known": rows["valid"]}
    everything = Inputs(seen.weak, seen.strong, y)
    labelled = everything.rows(taught_on)
    fresh = own = labelled if protocol == "paper" else everything.rows(student_on)
    if seen.strong_inputs is not None:
        # Nobody knows the labels of other molecules, and nobody asks for them.
        own = Inputs(seen.weak_inputs, seen.strong_inputs, np.zeros(len(seen.strong_inputs)))
    _, *said = teach(
        labelled,
        own,
        fresh if projected else everything.rows(rows["test"]),
        everything.rows(rows["valid"]),
        references=False,
        teacher_head=TEACHER,
        student_head=TEACHER if projected else Ridge(ridge * len(own.strong), intercept=True),
    )
    scores = {name: one.scores() for name, one in zip(parts, said, strict=True)}
    if protocol == "paper":
        return Split(scores, rows=parts, inputs=len(own.strong))
    # What the truth itself loses as a teacher of the best strong head.
    (truth,) = train_students(Predictions(fresh.strong, fresh.labels), head=TEACHER)
    unreachable = float(truth.own_terms()["misfit"])
    return Split(scores, parts, len(own.strong), _rank(own.strong) + 1, unreachable)


def standardised(
    features: ArrayLike, seen: NDArray[np.int_], other: ArrayLike | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Columns with mean 0 and variance 1 over the molecules seen, clipped; constant ones dropped.

    Parameters
    ----------
    features : array_like, shape (m, d)
    seen : ndarray of int
        Rows whose mean and spread are used.
    other : array_like, shape (m', d), optional
        Further rows to bring to the same scale.

    Returns
    -------
    ndarray, shape (m, d')
    ndarray, shape (m', d'), or None
    """
    phi = validation.matrix(features, "features")
    known = phi[seen]
    mean, spread = known.mean(axis=0), known.std(axis=0)
    kept = spread > 1e-9 * max(1.0, float(np.abs(mean).max()))
    columns = slice(None) if kept.all() else kept  # a copy of columns takes as long as all the rest

    def scaled(values: NDArray) -> NDArray:
        found = values[:, columns] - mean[columns]
        found /= spread[columns]
        return np.clip(found, -design.CLIP, design.CLIP, out=found)

    return scaled(phi), None if other is None else scaled(validation.matrix(other, "other"))


def _rank(features: NDArray) -> int:
    """Directions of centred features above the cut-off, from the squares: they keep 1e-4."""
    centred = features - features.mean(axis=0)
    squares = np.linalg.eigvalsh(centred.T @ centred)
    return int(np.sum(squares > design.CUTOFF**2 * squares[-1]))


def _labelled(train: NDArray, labels: int | None, rng: np.random.Generator | None) -> NDArray:
    if labels is None:
        return train
    if rng is None:
        raise ValueError("rng: needed to draw the labelled molecules")
    if not 1 <= labels <= len(train):
        raise ValueError(f"labels: expected 1 to {len(train)} (the training part), got {labels}")
    return rng.permutation(train)[:labels]
