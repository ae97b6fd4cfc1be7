"""SMILES: checked, brought to one form, and cut into tokens."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

EXTRA = 'pip install "w2s_utils[encoders]"'

# A bracket atom, a two-letter element, a ring closure of two digits, or one character.
_TOKEN = re.compile(r"\[[^\]]+\]|Br|Cl|%\d\d|.")
PAD, MASK, UNKNOWN = "<pad>", "<mask>", "<unknown>"


class MoleculeError(ValueError):
    """A SMILES that is not one, an encoder that is not there, or weights that are damaged."""


def require(module: str) -> ModuleType:
    """Import a package of the extra ``encoders``.

    Raises
    ------
    MoleculeError
        If it is not installed; the message says how to install it.
    """
    try:
        return import_module(module)
    except ImportError:
        package = module.split(".")[0]
        raise MoleculeError(f"{package} is not installed: {EXTRA}") from None


def canonical(smiles: Iterable[str]) -> list[str]:
    """RDKit's canonical form of every molecule.

    Parameters
    ----------
    smiles : iterable of str
        At least one; blanks around a SMILES do not matter.

    Returns
    -------
    list of str

    Raises
    ------
    MoleculeError
        If there are none, or one does not parse; the message has its row.
    """
    return _each(smiles, _canonical)


def parse(smiles: Iterable[str]) -> list[Any]:
    """RDKit molecules, under the conditions of `canonical`."""
    return _each(smiles, require("rdkit.Chem").MolFromSmiles)


def _each(smiles: Iterable[str], read: Callable[[str], Any]) -> list[Any]:
    """Apply what returns None where a SMILES is none."""
    results = []
    with require("rdkit.rdBase").BlockLogs():
        for row, text in enumerate(_listed(smiles)):
            # RDKit would read up to a null character and leave out the rest.
            result = None if "\0" in text else read(text.strip())
            if result is None:
                raise MoleculeError(
                    f"smiles: row {row} (from 0): {text!r} is no molecule that RDKit can read; "
                    "correct or remove it"
                )
            results.append(result)
    return results


# The same molecules are asked for once for every encoder.
@functools.lru_cache(maxsize=1 << 17)
def _canonical(text: str) -> str | None:
    chem = require("rdkit.Chem")
    molecule = chem.MolFromSmiles(text)
    return None if molecule is None else chem.MolToSmiles(molecule)


def _listed(smiles: Iterable[str]) -> Iterator[str]:
    texts = [smiles] if isinstance(smiles, str) else list(smiles)
    if not texts:
        raise MoleculeError("smiles: expected at least one molecule, got none")
    for row, text in enumerate(texts):
        if not isinstance(text, str) or not text.strip():
            raise MoleculeError(f"smiles: row {row} (from 0): expected a SMILES, got {text!r}")
        yield text


def tokens(smiles: str) -> list[str]:
    """Atom-level tokens of a SMILES."""
    return _TOKEN.findall(smiles)


def encode(smiles: Sequence[str], vocabulary: Sequence[str]) -> list[NDArray[np.int64]]:
    """Token numbers of every SMILES; tokens outside the vocabulary get that of ``<unknown>``."""
    number = {token: index for index, token in enumerate(vocabulary)}
    unknown = number[UNKNOWN]
    return [np.array([number.get(token, unknown) for token in tokens(text)]) for text in smiles]


def padded(rows: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Rows of token numbers in one matrix, zero (``<pad>``) behind the end of each."""
    table = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
    for index, row in enumerate(rows):
        table[index, : len(row)] = row
    return table
