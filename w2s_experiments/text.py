r"""Phrases of film reviews and their sentiment, as teachers and students see them (SST-2).

Sentences are told apart first (`w2s_experiments.phrases`) and divided in two. *Every* phrase that
lies only in sentences of the first part is for the encoders: the vocabularies, their weights, the
leading directions and the networks come from these. Phrases of five words or more of the other
sentences are the pool of the experiments. So no phrase that an encoder has seen lies in a phrase on
which anything is measured, nor the other way round.

Teachers see the leading directions of TF-IDF counts of words, of words and pairs of words, or of
sequences of four characters. Students see the hidden units of a network that was taught sentiment
on the encoders' phrases, from words or from characters, and beside them the first directions of
what the network reads.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.decomposition import TruncatedSVD
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.neural_network import MLPClassifier

from w2s_experiments import phrases
from w2s_experiments.data import datasets
from w2s_utils import validation
from w2s_utils.problem import Problem, cut, standardise, with_constant

ENCODERS_SHARE = 0.45
LEAST_WORDS = {"encoder": 2, "pool": 5}
# Units of a student's network, and how many of their leading directions the student keeps.
HIDDEN, KEPT = 64, 30
EPOCHS = 3
# The leading directions are found on this many of the encoders' phrases.
DIRECTIONS_FROM = 10000
VIEWS: Mapping[str, Mapping[str, object]] = {
    "words": {"token_pattern": r"\S+"},
    "pairs": {"token_pattern": r"\S+", "ngram_range": (1, 2), "max_features": 15000},
    "characters": {"analyzer": "char_wb", "ngram_range": (4, 4), "max_features": 15000},
}
STUDENTS = ("words", "characters")


@dataclass(frozen=True, eq=False)
class Encoded:
    """Pool of phrases, encoded.

    Attributes
    ----------
    pool : Problem
        Target: sentiment, standardised. Teachers ``"words"``, ``"pairs"`` and ``"characters"``,
        students ``"words"`` and ``"characters"``.
    groups : ndarray of int, shape (m,)
        Sentence of each phrase of the pool.
    own : dict of str to ndarray, shape (m,)
        What each student's network answers by itself: the probability of a positive sentiment.
    """

    pool: Problem
    groups: NDArray[np.int_]
    own: Mapping[str, NDArray[np.float64]]

    def one_a_sentence(self, most: int | None = None) -> NDArray[np.intp]:
        """Rows of the pool: one phrase of each sentence, or of the first `most` sentences.

        The numbers of the groups are random, and so is the phrase of each.
        """
        return np.unique(self.groups, return_index=True)[1][:most]


def encode(
    rng: np.random.Generator,
    *,
    encoder_phrases: int,
    pool_phrases: int,
    d_w: int,
    d_s: int,
    noise: float,
    sentences: phrases.Sentences | None = None,
) -> Encoded:
    """Divide sentences, make encoders from one part and encode phrases of the other.

    Parameters
    ----------
    rng : numpy.random.Generator
        Divides the sentences, draws phrases and the networks' first weights.
    encoder_phrases, pool_phrases : int
        At most so many phrases for the encoders and for the pool.
    d_w, d_s : int
        Dimensions of every teacher and of every student, a constant included. Of a student's
        dimensions 30 are hidden units' and the rest leading directions, which the teacher of the
        same view sees too: ``32 <= d_s <= d_w``.
    noise : float
        Standard deviation of the label noise that the problem asks for.
    sentences : Sentences, optional
        Of the training phrases, where they have been found before: `training_sentences`.

    Returns
    -------
    Encoded

    Raises
    ------
    DataError
        If the data set is not at hand or damaged.
    ValueError
        If a dimension is out of range, or there are fewer phrases than dimensions.
    """
    validation.at_least(d_s, KEPT + 2, "d_s", "hidden units, a direction and a constant")
    validation.at_least(d_w, d_s, "d_w", "d_s: teachers are wider than students")
    why = "twice the weak and strong dimensions"
    for name, count in (("encoder_phrases", encoder_phrases), ("pool_phrases", pool_phrases)):
        validation.at_least(count, 2 * (d_w + d_s), name, why)
    data = datasets.load("sst2")
    train = data.splits["glue"]["train"]
    found = phrases.find_sentences(data.inputs[train]) if sentences is None else sentences
    apart, pool = _divide(found, encoder_phrases, pool_phrases, rng)
    texts = {"apart": train[apart], "pool": train[pool]}
    labels = {name: data.targets[rows] for name, rows in texts.items()}
    teachers: dict[int | str, NDArray] = {}
    students: dict[str, NDArray] = {}
    own = {}
    for view, options in VIEWS.items():
        counts = _counts({name: data.inputs[rows] for name, rows in texts.items()}, options)
        phi = _directions(counts, d_w - 1, rng)
        teachers[view] = with_constant(phi)
        if view in STUDENTS:
            hidden, own[view] = _network(counts, labels["apart"], rng)
            students[view] = with_constant(np.hstack([hidden, phi[:, : d_s - 1 - KEPT]]))
    target = standardise(labels["pool"].astype(float))
    groups = found.groups(pool)
    return Encoded(
        pool=Problem("SST-2", target, noise, teachers, students),
        groups=rng.permutation(groups.max() + 1)[groups],
        own=own,
    )


def training_sentences() -> phrases.Sentences:
    """Sentences of the training phrases, to be found once for several encodings."""
    data = datasets.load("sst2")
    return phrases.find_sentences(data.inputs[data.splits["glue"]["train"]])


def _divide(
    found: phrases.Sentences, most_apart: int, most_pool: int, rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    sentences = len(found.longest)
    chosen = rng.permutation(sentences) < ENCODERS_SHARE * sentences
    drawn = []
    for name, part, most in (("encoder", chosen, most_apart), ("pool", ~chosen, most_pool)):
        rows = np.flatnonzero(found.only_in(part) & (found.words >= LEAST_WORDS[name]))
        drawn.append(rng.permutation(rows)[:most])
    return drawn[0], drawn[1]


def _counts(
    texts: Mapping[str, NDArray], options: Mapping[str, object]
) -> dict[str, sparse.csr_matrix]:
    vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=2, **options)
    counts = {"apart": vectorizer.fit_transform(texts["apart"])}
    return counts | {"pool": vectorizer.transform(texts["pool"])}


def _directions(
    counts: Mapping[str, sparse.csr_matrix], count: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Coordinates of the pool along the leading directions."""
    some, seed = counts["apart"][:DIRECTIONS_FROM], int(rng.integers(2**31))
    if min(some.shape) <= count:
        raise ValueError(
            f"d_w: expected at most {min(some.shape)} for {some.shape[0]} phrases with "
            f"{some.shape[1]} different features, got {count + 1}"
        )
    found = TruncatedSVD(count, n_iter=2, random_state=seed).fit(some)
    coordinates: NDArray[np.float64] = counts["pool"] @ found.components_.T
    return coordinates


def _network(
    counts: Mapping[str, sparse.csr_matrix],
    labels: NDArray,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Hidden units of a network taught sentiment, cut to directions; its answers: on the pool."""
    network = MLPClassifier(
        HIDDEN, activation="tanh", alpha=1e-3, batch_size=256, learning_rate_init=2e-3,
        max_iter=EPOCHS, random_state=int(rng.integers(2**31)),
    )  # fmt: skip
    with warnings.catch_warnings():
        # Stopping after a few epochs is meant.
        warnings.simplefilter("ignore", ConvergenceWarning)
        network.fit(counts["apart"], labels)
    hidden = {
        part: np.tanh(counts[part] @ network.coefs_[0] + network.intercepts_[0]) for part in counts
    }
    kept = cut(hidden["pool"], KEPT, fitted_on=hidden["apart"])
    return kept, network.predict_proba(counts["pool"])[:, 1]
