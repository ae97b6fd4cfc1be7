"""What data sets there are: ``registry.yml``, the one list of them.

Nothing here opens a data file or the network; :mod:`w2s_experiments.data.datasets` is the way in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Literal

import yaml

__all__ = ["REGISTRY", "DataError", "DataFile", "Entry", "lookup"]


class DataError(ValueError):
    """A data set that is unknown, absent, damaged or not what its description says."""


@dataclass(frozen=True)
class DataFile:
    """One file of a data set.

    Attributes
    ----------
    path : str
        Path relative to the data folder, with forward slashes.
    sha256 : str
        Checksum of what `of` names.
    size : int
        Bytes of the file as first stored.
    of : {"bytes", "content", "splits"}
        What the checksum covers: the file's bytes; the content of a gzip file, whose own bytes
        depend on the compressor; or the row numbers in a JSON file of splits, whatever its layout.
    url : str
        Address of the public file; empty when there is none, see `note`.
    public_hash : str or None
        Checksum of the public file where the stored one is made from it, ``"md5:..."`` or
        ``"sha256:..."``; ``None`` where none is published: the stored file's checksum decides.
    member : str
        What the stored file is made from, if not from the whole public file: a member of a zip
        archive, or, of a tar archive, the ending of the members to convert.
    required : bool
        Whether the data set can be loaded without it.
    note : str
        What a user should know about getting it.
    """

    path: str
    sha256: str
    size: int
    of: Literal["bytes", "content", "splits"] = "bytes"
    url: str = ""
    public_hash: str | None = None
    member: str = ""
    required: bool = True
    note: str = ""


@dataclass(frozen=True)
class Entry:
    """Description of a data set.

    Attributes
    ----------
    name, title, licence, citation : str
    columns : mapping of str to str
        What ``inputs``, ``targets`` and every further column hold, in words, with units.
    files : tuple of DataFile
        Empty for what scikit-learn ships.
    """

    name: str
    title: str
    licence: str
    citation: str
    columns: Mapping[str, str]
    files: tuple[DataFile, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all files, as they are stored."""
        return sum(file.size for file in self.files)


def _read() -> dict[str, Entry]:
    text = resources.files(__package__).joinpath("registry.yml").read_text(encoding="utf-8")
    return {
        name: Entry(
            name=name,
            **fields | {"files": tuple(DataFile(**file) for file in fields.get("files", ()))},
        )
        for name, fields in yaml.safe_load(text).items()
    }


REGISTRY: dict[str, Entry] = _read()


def lookup(name: str) -> Entry:
    """Look up the description of a data set.

    Parameters
    ----------
    name : str
        A key of ``REGISTRY``.

    Returns
    -------
    Entry

    Raises
    ------
    DataError
        If there is no such data set; the message lists the known names.
    """
    try:
        return REGISTRY[name]
    except KeyError:
        known = ", ".join(REGISTRY)
        raise DataError(f"unknown data set {name!r}; known data sets: {known}") from None
