"""The encoders that are shipped: features of SMILES without PyTorch, computed once.

Their weights lie in ``shipped/smiles``, each file with a card: data, sizes, seed, losses, time,
hash. ``w2s_experiments.training.pretrain`` made them. Features are kept in the user's cache under
the hash of what they were computed from, so a second call reads a file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from tqdm import tqdm

from w2s_experiments.encoders import descriptors as _descriptors
from w2s_experiments.encoders import smiles as _smiles
from w2s_experiments.encoders import weights as _weights
from w2s_experiments.encoders.smiles import MoleculeError

WEIGHTS = Path(__file__).parent / "shipped" / "smiles"
DESCRIPTORS = "descriptors"
PIECE = 100
BATCH = 32  # larger ones leave the processor's cache


def names(folder: Path | None = None) -> list[str]:
    """Names of the encoders that are there.

    Parameters
    ----------
    folder : Path, optional
        Of weights and cards; default the shipped ones.

    Returns
    -------
    list of str
        ``masked-W-S`` and ``untrained-W`` for width W and seed S, ``strong-S``.
    """
    return sorted(file.stem for file in (folder or WEIGHTS).glob("*.onnx"))


def card(name: str, folder: Path | None = None) -> dict[str, Any]:
    """What is known of an encoder: its sizes, data, seed, losses, training time and hash.

    Parameters
    ----------
    name : str
    folder : Path, optional

    Returns
    -------
    dict

    Raises
    ------
    MoleculeError
        If there is no such encoder.
    WeightsError
        If its card cannot be read.
    """
    folder = folder or WEIGHTS
    if name not in names(folder):
        raise MoleculeError(
            f"encoder: expected {DESCRIPTORS}, strong-SEED, masked-WIDTH-SEED or untrained-WIDTH "
            f"with the widths and seeds that w2s embed --list shows, got {name!r}"
        )
    return _weights.read_card(folder / f"{name}.json")


def embed(
    smiles: Iterable[str],
    encoder: str = "strong-0",
    *,
    folder: Path | None = None,
    progress: bool = False,
    threads: int = 0,
) -> NDArray[np.float32]:
    """Features of molecules.

    Parameters
    ----------
    smiles : iterable of str
        Brought to RDKit's canonical form first, the form of the pretraining.
    encoder : str
        One of `names`, or ``"descriptors"`` for RDKit's.
    folder : Path, optional
        Weights of your own; default the shipped ones.
    progress : bool
        Whether to show a bar.
    threads : int
        Of the runtime; 0 is one for each core.

    Returns
    -------
    ndarray of float32, shape (m, width)
        A row for each SMILES, in the order given; equal molecules have equal rows.

    Raises
    ------
    MoleculeError
        If a SMILES does not parse (with its row), the encoder is unknown, or RDKit is missing.
    WeightsError
        If the weights do not have the hash of their card, or ONNX Runtime is missing.
    """
    return _features(_smiles.canonical(smiles), encoder, folder, progress, threads)


def embed_all(
    smiles: Iterable[str], encoders: Sequence[str], *, folder: Path | None = None
) -> dict[str, NDArray[np.float32]]:
    """Features of molecules under several encoders, an encoder to each processor core at a time.

    Small networks do not fill two cores; two of them do.

    Parameters
    ----------
    smiles : iterable of str
    encoders : sequence of str
    folder : Path, optional

    Returns
    -------
    dict of str to ndarray of float32, shape (m, width)

    Raises
    ------
    MoleculeError, WeightsError
        As `embed`.
    """
    texts = _smiles.canonical(smiles)
    with ThreadPoolExecutor(os.cpu_count() or 1) as executor:
        tables = executor.map(lambda name: _features(texts, name, folder, False, 1), encoders)
        return dict(zip(encoders, tables, strict=True))


def _features(
    canonical: list[str], encoder: str, folder: Path | None, progress: bool, threads: int
) -> NDArray[np.float32]:
    """Features of molecules in canonical form, each computed once."""
    distinct = sorted(set(canonical))
    row_of = {text: row for row, text in enumerate(distinct)}
    if encoder == DESCRIPTORS:
        version = _smiles.require("rdkit").__version__
        features = _weights.cached_features(
            ["descriptors", version, *_descriptors.names(), *distinct],
            lambda: _described(distinct, progress),
        )
    else:
        about = card(encoder, folder)
        features = _weights.cached_features(
            [about["sha256"], *distinct],
            lambda: _run(encoder, about, distinct, folder, progress, threads),
        )
    return features[[row_of[text] for text in canonical]]


def _described(smiles: list[str], progress: bool) -> NDArray[np.float32]:
    """Compute descriptors, some milliseconds a molecule, on all cores."""
    pieces = [smiles[i : i + PIECE] for i in range(0, len(smiles), PIECE)]
    tables = Parallel(n_jobs=1 if len(pieces) < 4 else -1)(
        delayed(_descriptors.descriptors)(piece)
        for piece in tqdm(pieces, DESCRIPTORS, disable=not progress, leave=False)
    )
    return np.vstack(tables).astype(np.float32)


def _run(
    name: str,
    about: dict[str, Any],
    smiles: list[str],
    folder: Path | None,
    progress: bool,
    threads: int,
) -> NDArray[np.float32]:
    """Run the network over molecules of similar length at a time."""
    file = (folder or WEIGHTS) / f"{name}.onnx"
    session = _weights.session(file, about["sha256"], threads=threads, extra="encoders")
    rows = _smiles.encode(smiles, about["vocabulary"])
    order = np.argsort([len(row) for row in rows], kind="stable")
    features = np.empty((len(rows), about["width"]), dtype=np.float32)
    starts = range(0, len(rows), BATCH)
    for start in tqdm(starts, name, disable=not progress, leave=False):
        chosen = order[start : start + BATCH]
        tokens = _smiles.padded([rows[i] for i in chosen])
        features[chosen] = session.run(None, {"tokens": tokens})[0]
    return features
