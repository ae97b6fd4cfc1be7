"""Representations of the bundled data sets (and FreeSolv), as weak-to-strong problems."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.kernel_approximation import Nystroem
from sklearn.neural_network import MLPClassifier

from w2s_experiments.data import datasets
from w2s_utils.problem import Problem, cut, standardise, with_constant

# Properties of a digit, told by its name alone: eight questions about one picture.
PROPERTIES: dict[str, frozenset[int]] = {
    "even": frozenset({0, 2, 4, 6, 8}),
    "below five": frozenset({0, 1, 2, 3, 4}),
    "prime": frozenset({2, 3, 5, 7}),
    "has a loop": frozenset({0, 6, 8, 9}),
    "square": frozenset({0, 1, 4, 9}),
    "multiple of three": frozenset({0, 3, 6, 9}),
    "triangular": frozenset({0, 1, 3, 6}),
    "Fibonacci": frozenset({0, 1, 2, 3, 5, 8}),
}
ENCODER_IMAGES = 600
GREY_LEVELS = 16.0


def digits(sizes: Sequence[int], rng: np.random.Generator, *, noise: float = 1.0) -> Problem:
    """Eight properties of a handwritten digit, from pixels and from two richer representations.

    Of the 1797 images, 600 drawn at random are set aside: principal directions, landmarks and the
    network are fitted on them, and the other 1197 are the pool.

    Parameters
    ----------
    sizes : sequence of int
        Dimensions of the teachers: leading directions of the pixels (and a constant).
    rng : numpy.random.Generator
        Chooses the images set aside, the landmarks and the network's first weights.
    noise : float
        Standard deviation of the label noise; a digit's properties have none of their own.

    Returns
    -------
    Problem
        Students: ``"kernel"``, the 60 leading directions of a Gaussian kernel's features
        (Nystroem, 300 landmarks); ``"network"``, the 10 class probabilities of a network with 24
        hidden units taught to tell the ten digits apart.
    """
    data = datasets.load("digits")
    order = rng.permutation(len(data.inputs))
    images = data.inputs[order] / GREY_LEVELS
    apart, pool = images[:ENCODER_IMAGES], images[ENCODER_IMAGES:]
    seed = int(rng.integers(2**31))
    kernel = Nystroem(gamma=0.08, n_components=300, random_state=seed).fit(apart)
    network = MLPClassifier(
        24, solver="lbfgs", alpha=1.0, tol=1e-3, max_iter=2000, random_state=seed
    )
    network.fit(apart, data.targets[order[:ENCODER_IMAGES]])
    labels = data.targets[order[ENCODER_IMAGES:]]
    properties = [np.isin(labels, list(members)) for members in PROPERTIES.values()]
    weak, fitted_on = with_constant(pool), with_constant(apart)
    return Problem(
        name="digits",
        targets=standardise(np.column_stack(properties).astype(float)),
        noise=noise,
        teachers={size: cut(weak, size, fitted_on=fitted_on) for size in sizes},
        students={
            "kernel": cut(kernel.transform(pool), 60, fitted_on=kernel.transform(apart)),
            "network": network.predict_proba(pool),
        },
    )


def diabetes(sizes: Sequence[int], rng: np.random.Generator) -> Problem:
    """Progression of diabetes: teachers on random features, students on polynomials or columns.

    Parameters
    ----------
    sizes : sequence of int
        Dimensions of the teachers: leading directions of 300 random ReLU features.
    rng : numpy.random.Generator
        Draws the random features.

    Returns
    -------
    Problem
        Without added noise: the labels have their own. Students: ``"kernel"``, the 40 leading
        directions of a Gaussian kernel's features (Nystroem, 200 landmarks); ``"columns"``, the
        ten columns as shipped and a constant.
    """
    data = datasets.load("diabetes")
    columns = data.inputs * np.sqrt(len(data.inputs))  # variance 1
    weights = rng.standard_normal((columns.shape[1], 300)) / np.sqrt(columns.shape[1])
    relu = np.maximum(columns @ weights + rng.normal(0, 0.5, 300), 0)
    seed = int(rng.integers(2**31))
    kernel = Nystroem(gamma=0.05, n_components=200, random_state=seed).fit_transform(columns)
    return Problem(
        name="diabetes",
        targets=standardise(data.targets),
        noise=0.0,
        teachers={size: cut(relu, size) for size in sizes},
        students={"kernel": cut(kernel, 40), "columns": with_constant(columns)},
    )


def freesolv(sizes: Sequence[int]) -> Problem:
    """Hydration free energy of molecules: teachers count characters, students count more or less.

    Parameters
    ----------
    sizes : sequence of int
        Dimensions of the teachers: leading directions of the logarithmic counts of the characters
        of a molecule's SMILES (and a constant).

    Returns
    -------
    Problem
        Without added noise. Students: ``"n-grams"``, the 40 leading directions of the logarithmic
        counts of all sequences of one to three characters that occur in three molecules or more;
        ``"physics"``, a constant and the energy that a molecular-dynamics simulation gives.

    Raises
    ------
    DataError
        If the data set is not at hand.
    """
    data = datasets.load("freesolv")
    characters = with_constant(_counts(data.inputs, 1))
    return Problem(
        name="freesolv",
        targets=standardise(data.targets),
        noise=0.0,
        teachers={size: cut(characters, size) for size in sizes},
        students={
            "n-grams": cut(with_constant(_counts(data.inputs, 3, min_df=3)), 40),
            "physics": with_constant(data.extras["calculated"][:, None]),
        },
    )


def _counts(texts: NDArray, longest: int, min_df: int = 1) -> NDArray[np.float64]:
    """Logarithmic counts ``log(1 + count)`` of sequences of 1 to `longest` characters."""
    vectorizer = CountVectorizer(
        analyzer="char", lowercase=False, ngram_range=(1, longest), min_df=min_df
    )
    return np.log1p(vectorizer.fit_transform(texts).toarray())
