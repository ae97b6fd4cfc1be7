"""What RDKit computes of a molecule: physical descriptors, and counts of its fragments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from w2s_experiments.encoders.smiles import parse, require
from w2s_utils import validation

# Slow, or of no finite scale.
LEFT_OUT = ("qed", "SPS", "Ipc", "AvgIpc", "BCUT")
LARGEST = 1e6


def names() -> list[str]:
    """Names of the descriptors, in the order of the columns of `descriptors`."""
    listed = require("rdkit.Chem.Descriptors").descList
    return [name for name, _ in listed if not name.startswith(LEFT_OUT)]


def descriptors(smiles: Iterable[str]) -> NDArray[np.float64]:
    """RDKit's descriptors of every molecule.

    Parameters
    ----------
    smiles : iterable of str

    Returns
    -------
    ndarray, shape (m, 200 or so)
        Each in its own unit; where one is not finite, zero; clipped to plus or minus a million.

    Raises
    ------
    MoleculeError
        As `w2s_experiments.encoders.smiles.canonical`.
    """
    functions = dict(require("rdkit.Chem.Descriptors").descList)
    chosen = [functions[name] for name in names()]
    with require("rdkit.rdBase").BlockLogs():
        rows = [[function(molecule) for function in chosen] for molecule in parse(smiles)]
    table = np.nan_to_num(np.array(rows, dtype=float), posinf=LARGEST, neginf=-LARGEST)
    clipped: NDArray[np.float64] = np.clip(table, -LARGEST, LARGEST)
    return clipped


def morgan_counts(
    smiles: Iterable[str], bins: Sequence[int], *, radius: int = 2
) -> list[NDArray[np.float64]]:
    """Logarithmic counts of circular fragments, folded to few bins: weak models without training.

    Parameters
    ----------
    smiles : iterable of str
    bins : sequence of int
        Columns of each model; fragments that fall into one bin are added up.
    radius : int
        Bonds from the central atom.

    Returns
    -------
    list of ndarray, shape (m, bins)
        ``log(1 + count)``.

    Raises
    ------
    MoleculeError
        As `w2s_experiments.encoders.smiles.canonical`.
    """
    make = require("rdkit.Chem.rdFingerprintGenerator").GetMorganGenerator
    molecules = parse(smiles)
    counts = []
    for size in bins:
        validation.at_least(size, 1, "bins", "columns")
        generator = make(radius=int(radius), fpSize=int(size))
        rows = [generator.GetCountFingerprintAsNumPy(molecule) for molecule in molecules]
        counts.append(np.log1p(np.array(rows, dtype=float)))
    return counts
