"""Real data sets: what there is, where it is found, how to get and read it.

A file is looked for in the folder named by the environment variable ``W2S_DATA_DIR``, then in the
user's cache; :func:`fetch` downloads what is in neither, with a checksum, into the cache. Nothing
is unpickled, and only :func:`fetch` uses the network.

>>> from w2s_experiments.data import datasets
>>> digits = datasets.load("digits")
>>> digits.inputs.shape, digits.targets.shape
((1797, 64), (1797,))
"""

import os
from collections.abc import Mapping
from pathlib import Path

from w2s_experiments.data import download as _download
from w2s_experiments.data.readers import READERS, Dataset, without_repeats
from w2s_experiments.data.registry import REGISTRY, DataError, DataFile, Entry, Remote, lookup

__all__ = [
    "REGISTRY",
    "DataError",
    "DataFile",
    "Dataset",
    "Entry",
    "Remote",
    "available",
    "describe",
    "fetch",
    "files",
    "folders",
    "load",
    "verify",
    "without_repeats",
]

ENVIRONMENT = "W2S_DATA_DIR"


# Where files are ---------------------------------------------------------------------------------


def cache_folder() -> Path:
    """Folder that :func:`fetch` fills, in the user's cache."""
    return _download.user_cache()


def folders() -> list[Path]:
    """Folders searched for data files, in order.

    Raises
    ------
    DataError
        If ``W2S_DATA_DIR`` is set and is not a folder.
    """
    named = os.environ.get(ENVIRONMENT)
    if not named:
        return [cache_folder()]
    folder = Path(named).expanduser()
    if not folder.is_dir():
        raise DataError(f"{ENVIRONMENT} is {named!r}, which is not a folder: correct or unset it")
    return [folder, cache_folder()]


def _find(file: DataFile) -> Path | None:
    places = (folder / file.path for folder in folders())
    return next((place for place in places if place.is_file()), None)


def files(name: str) -> list[Path]:
    """Files of a data set that are on this machine.

    Parameters
    ----------
    name : str
        A key of ``REGISTRY``.

    Returns
    -------
    list of Path
        Required and optional files found; empty when a required one is missing, and for what
        scikit-learn ships.
    """
    found = [(file, _find(file)) for file in lookup(name).files]
    if any(file.required and path is None for file, path in found):
        return []
    return [path for _, path in found if path is not None]


def available(name: str) -> bool:
    """Whether a data set can be loaded without the network.

    The presence of the files is checked, not their content: :func:`load` and :func:`verify` do
    that, so that a damaged file is an error and not a silently missing data set.

    Parameters
    ----------
    name : str
        A key of ``REGISTRY``.
    """
    return bool(files(name)) or not lookup(name).files


def describe() -> list[dict[str, str]]:
    """One row per data set, for a listing.

    Returns
    -------
    list of dict
        With the keys ``name``, ``title``, ``status`` (``"bundled"`` with scikit-learn, ``"here"``
        or ``"missing"``), ``size`` and ``licence``, all strings.
    """
    rows = []
    for each in REGISTRY.values():
        status = "bundled" if not each.files else "here" if available(each.name) else "missing"
        size = sum(file.size for file in each.files)
        rows.append(
            {
                "name": each.name,
                "title": each.title,
                "status": status,
                "size": f"{size / 1e6:.2f} MB" if size else "-",
                "licence": each.licence,
            }
        )
    return rows


# Fetching and checking ---------------------------------------------------------------------------


def _remedy(name: str) -> str:
    return (
        f"Run `w2s data fetch {name}`, or put the right file below the folder named by "
        f"{ENVIRONMENT}."
    )


def _check(path: Path, file: DataFile, name: str) -> None:
    """Raise unless a file has the checksum of its description."""
    try:
        found = _download.checksum(path, file.of)
    except DataError as error:
        raise DataError(f"{error}. {_remedy(name)}") from error
    if found != file.sha256:
        of = "" if file.of == "bytes" else f" of its {file.of}"
        raise DataError(
            f"{path}: SHA-256{of} is {found}, expected {file.sha256}: the file is damaged or is "
            f"another version. {_remedy(name)}"
        )


def verify(name: str) -> list[Path]:
    """Check the files of a data set against their checksums.

    Parameters
    ----------
    name : str
        A key of ``REGISTRY``.

    Returns
    -------
    list of Path
        The files checked; empty for what scikit-learn ships.

    Raises
    ------
    DataError
        If a required file is missing or any file has another checksum.
    """
    checked = []
    for file in lookup(name).files:
        path = _find(file)
        if path is not None:
            _check(path, file, name)
            checked.append(path)
        elif file.required:
            searched = " and ".join(str(folder) for folder in folders())
            raise DataError(f"{file.path}: not found in {searched}. {_remedy(name)}")
    return checked


def fetch(name: str, *, progress: bool = True) -> list[Path]:
    """Download what is missing of a data set into the cache.

    A good file is left alone. A damaged file in the cache is replaced once a good one has arrived;
    a damaged file in ``W2S_DATA_DIR`` is the user's own and is an error. Optional files without a
    public address are passed over, see :class:`DataFile`.

    Parameters
    ----------
    name : str
        A key of ``REGISTRY``.
    progress : bool
        Show a progress bar.

    Returns
    -------
    list of Path
        All files of the data set that are now on this machine; empty for what scikit-learn ships.

    Raises
    ------
    DataError
        If a file cannot be had, with the reason and what to do.
    """
    for file in lookup(name).files:
        if _is_good(file, name) or (file.remote is None and not file.required):
            continue
        try:
            _download.download(file, cache_folder(), progress=progress)
        except DataError as error:
            note = f" {file.note}" if file.note else ""
            raise DataError(
                f"{error}. Try again, or put {file.path} below the folder named by "
                f"{ENVIRONMENT}.{note}"
            ) from error
    return files(name)


def _is_good(file: DataFile, name: str) -> bool:
    path = _find(file)
    if path is None:
        return False
    try:
        _check(path, file, name)
    except DataError:
        if path.is_relative_to(cache_folder()) and file.remote is not None:
            return False
        raise
    return True


# Loading -----------------------------------------------------------------------------------------


def load(name: str) -> Dataset:
    """Read a data set that is on this machine.

    Parameters
    ----------
    name : str
        A key of ``REGISTRY``.

    Returns
    -------
    Dataset

    Raises
    ------
    DataError
        If it is unknown, absent, damaged or malformed; the message names the file and the remedy.
    """
    verify(name)
    return read(name, {file.path: path for file in lookup(name).files if (path := _find(file))})


def read(name: str, paths: Mapping[str, Path]) -> Dataset:
    """Parse the files of a data set, checksums aside.

    Parameters
    ----------
    name : str
        A key of ``REGISTRY``.
    paths : mapping of str to Path
        Files by their path in the registry; optional ones may be left out.

    Returns
    -------
    Dataset

    Raises
    ------
    DataError
        If a file is not what its format says.
    """
    lookup(name)
    try:
        return READERS[name](paths)
    except DataError as error:
        raise DataError(f"{error}. {_remedy(name)}") from error
