"""What the SMILES encoders are trained on: their recipes, and the pool of molecules.

The pool has no labels, and the molecules of the evaluation sets are taken out of it first.
"""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy import special, stats

from w2s_experiments.data import datasets
from w2s_experiments.encoders import smiles
from w2s_experiments.encoders.descriptors import descriptors
from w2s_experiments.molecules import design

T = TypeVar("T")

EVALUATION = ("esol", "freesolv", "lipophilicity")
LONGEST = 100  # tokens; longer molecules of the pool are left out
RAREST = 10  # a token seen less often is unknown
SMALL = 36000  # molecules that the weak encoders see
VALIDATION = 1000  # molecules of the pool that are only measured on


@dataclass(frozen=True)
class Recipe:
    """How one encoder is made.

    Attributes
    ----------
    name : str
    width, layers, heads : int
        Of the transformer.
    seed : int
        Of weights, order and masks.
    molecules : int
        Of the pool.
    epochs, batch : int
    rate : float
        Largest learning rate of the one-cycle schedule.
    describe : bool
        Whether descriptors are predicted beside the masked tokens.
    """

    name: str
    width: int
    layers: int
    heads: int
    seed: int
    molecules: int
    epochs: int
    batch: int
    rate: float
    describe: bool


def encoder_recipes(size: str) -> list[Recipe]:
    """All encoders of a size, ``"default"`` or ``"large"``: untrained, weak, strong."""
    weak = [
        Recipe(f"masked-{width}-{seed}", width, 2, _heads(width), seed, SMALL, 1, 64, 3e-3, False)
        for seed in range(design.SEEDS)
        for width in design.WIDTHS
    ]
    untrained = [
        Recipe(f"untrained-{width}", width, 2, _heads(width), 0, SMALL, 0, 64, 3e-3, False)
        for width in design.WIDTHS
    ]
    if size == "large":
        strong = [
            Recipe(f"strong-{s}", 192, 3, 6, s, 250000, 20, 256, 1e-3, True) for s in range(2)
        ]
    else:
        strong = [Recipe("strong-0", 192, 2, 6, 0, SMALL, 3, 64, 1e-3, True)]
    return [*untrained, *weak, *strong]


def _heads(width: int) -> int:
    return max(1, width // 16)


@dataclass(frozen=True, eq=False)
class Pool:
    """Molecules to pretrain on: token numbers, lengths, and descriptors as normal scores."""

    vocabulary: list[str]
    rows: list[NDArray[np.int64]]
    described: NDArray[np.float32] | None


def read_pool(folder: Path, count: int) -> list[str]:
    """Draw molecules from the SMILES files of a folder, without those of the evaluation sets.

    Parameters
    ----------
    folder : Path
        Has files ``*.smi.gz``, one SMILES a line.
    count : int
        Molecules wanted; fewer if there are no more.

    Returns
    -------
    list of str
        Canonical, distinct, in an order that depends on nothing but the files.
    """
    files = sorted(folder.glob("*.smi.gz"))
    if not files:
        raise smiles.MoleculeError(f"{folder}: expected files *.smi.gz with one SMILES a line")
    lines = sorted({line for file in files for line in gzip.decompress(file.read_bytes()).split()})
    order = np.random.default_rng(0).permutation(len(lines))
    held_out = {
        text for name in EVALUATION for text in _canonical(list(datasets.load(name).inputs))
    }
    drawn: dict[str, None] = {}
    for start in range(0, len(lines), 20000):
        chunk = [lines[i].decode("ascii") for i in order[start : start + 20000]]
        drawn |= dict.fromkeys(
            text
            for text in _canonical(chunk)
            if text not in held_out and len(smiles.tokens(text)) <= LONGEST
        )
        if len(drawn) >= count + VALIDATION:
            break
    return list(drawn)[: count + VALIDATION]


def prepare(folder: Path, count: int, describe: bool) -> Pool:
    """Read the pool, cut it into tokens, compute descriptors where they are wanted."""
    texts = read_pool(folder, count)
    # Encoders of all sizes share one vocabulary: that of the molecules all of them see.
    seen = texts[: VALIDATION + min(count, SMALL)]
    counts = Counter(token for text in seen for token in smiles.tokens(text))
    words = sorted(token for token, times in counts.items() if times >= RAREST)
    words = [smiles.PAD, smiles.MASK, smiles.UNKNOWN, *words]
    described = None
    if describe:
        table = np.vstack(_in_parallel(descriptors, texts))
        described = _normal_scores(table).astype(np.float32)
    return Pool(words, smiles.encode(texts, words), described)


def _canonical(texts: list[str]) -> list[str]:
    return [text for piece in _in_parallel(smiles.canonical, texts) for text in piece]


def _in_parallel(function: Callable[[list[str]], T], texts: list[str]) -> list[T]:
    """Apply a function of a list in pieces, one process a core."""
    pieces = [texts[i : i + 1000] for i in range(0, len(texts), 1000)]
    results: list[T] = Parallel(n_jobs=-1)(delayed(function)(piece) for piece in pieces)
    return results


def _normal_scores(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks of every column on the normal scale, ties averaged; constant columns are zero."""
    ranks = stats.rankdata(table, axis=0) / (len(table) + 1)
    scores = special.ndtri(ranks)
    spread = scores.std(axis=0)
    scaled: NDArray[np.float64] = (scores - scores.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    return scaled


def batches(
    rows: Sequence[NDArray[np.int64]], size: int, rng: np.random.Generator
) -> Iterator[NDArray[np.int_]]:
    """Batches of molecules of similar length, in random order."""
    order = rng.permutation(len(rows))
    lengths = np.array([len(row) for row in rows])
    grouped = []
    for start in range(0, len(order), 100 * size):
        chunk = order[start : start + 100 * size]
        chunk = chunk[np.argsort(lengths[chunk], kind="stable")]
        grouped += [chunk[i : i + size] for i in range(0, len(chunk), size)]
    for index in rng.permutation(len(grouped)):
        yield grouped[index]
