"""Real data sets: what there is, where it is found, how to get and read it.

A file is looked for in the folder named by the environment variable ``W2S_DATA_DIR``, which is
never written to, then in the user's cache; :func:`fetch` downloads what is in neither, with a
checksum, into the cache. Nothing is unpickled, and only :func:`fetch` uses the network.

>>> from w2s_experiments.data import datasets
>>> digits = datasets.load("digits")
>>> digits.inputs.shape, digits.targets.shape
((1797, 64), (1797,))
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tempfile
import zlib
from pathlib import Path

from w2s_experiments.data import download
from w2s_experiments.data.readers import READERS, Dataset, without_repeats
from w2s_experiments.data.registry import REGISTRY, DataError, DataFile, Entry, lookup
from w2s_utils.files import replacing

__all__ = [
    "REGISTRY",
    "DataError",
    "DataFile",
    "Dataset",
    "Entry",
    "available",
    "cache_folder",
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
    """Folder that :func:`fetch` fills, in the user's cache; a temporary one without a home."""
    try:
        from platformdirs import user_cache_path

        return user_cache_path("w2s_utils")
    except (ImportError, RuntimeError):  # without the extra "data", or without a home
        user = getattr(os, "getuid", int)()
        return Path(tempfile.gettempdir()) / f"w2s_utils-{user}"


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
    return not lookup(name).files or bool(files(name))


def describe() -> list[dict[str, str]]:
    """One row per data set, for a listing.

    Returns
    -------
    list of dict
        With the keys ``name``, ``title``, ``status`` (``"bundled"`` with scikit-learn, ``"here"``
        or ``"missing"``), ``size`` (of the stored files) and ``licence``, all strings.
    """
    rows = []
    for each in REGISTRY.values():
        status = "bundled" if not each.files else "here" if available(each.name) else "missing"
        size = f"{each.size / 1e6:.2f} MB" if each.files else "-"
        row = {"name": each.name, "title": each.title, "status": status, "size": size}
        rows.append(row | {"licence": each.licence})
    return rows


# Fetching and checking ---------------------------------------------------------------------------


def _remedy(name: str) -> str:
    return f"Run `w2s data fetch {name}`, or put the right file below the folder in {ENVIRONMENT}."


def _read(file: DataFile, path: Path, name: str) -> bytes:
    """Content of a stored file, decompressed, once its checksum is right."""
    try:
        return _content(file, path.read_bytes(), str(path))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except DataError as error:
        raise DataError(f"{error}. {_remedy(name)}") from error


def _content(file: DataFile, stored: bytes, where: str) -> bytes:
    content = stored
    if file.of == "bytes":  # before anything is decompressed
        _expect(file, stored, where)
    if file.path.endswith(".gz"):
        try:
            content = download.read_limited(gzip.GzipFile(fileobj=io.BytesIO(stored)))
        except (OSError, EOFError, zlib.error) as error:
            message = f"{where}: cannot be read, it is cut short or damaged ({error})"
            raise DataError(message) from error
    if file.of == "content":
        _expect(file, content, where)
    elif file.of == "splits":
        _expect(file, _sorted_splits(content, where), where)
    return content


def _expect(file: DataFile, covered: bytes, where: str) -> None:
    found = hashlib.sha256(covered).hexdigest()
    if found != file.sha256:
        of = "" if file.of == "bytes" else f" of its {file.of}"
        raise DataError(
            f"{where}: SHA-256{of} is {found}, expected {file.sha256}: the file is damaged or is "
            "another version"
        )


def _sorted_splits(content: bytes, where: str) -> bytes:
    """Row numbers of a JSON file of splits, in the one form that its checksum covers."""
    try:
        splits = json.loads(content)["splits"]
        ordered = {s: {p: sorted(i) for p, i in parts.items()} for s, parts in splits.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{where}: not a JSON file of splits ({error!r})") from error
    return json.dumps(ordered, sort_keys=True, separators=(",", ":")).encode()


def _read_all(name: str) -> dict[Path, tuple[DataFile, bytes]]:
    """Contents of all files of a data set that are here, or an error."""
    contents = {}
    for file in lookup(name).files:
        path = _find(file)
        if path is not None:
            contents[path] = file, _read(file, path, name)
        elif file.required:
            searched = " and ".join(str(folder) for folder in folders())
            raise DataError(f"{file.path}: not found in {searched}. {_remedy(name)}")
    return contents


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
    return list(_read_all(name))


def load(name: str) -> Dataset:
    """Read a data set that is on this machine; its checksums are checked on the way.

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
        If it is unknown, absent or damaged; the message names the file and the remedy.
    """
    contents = {file.path: content for file, content in _read_all(name).values()}
    return READERS[name](contents)


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
        if _is_good(file, name) or not (file.url or file.required):
            continue
        try:
            _fetch(file, progress)
        except (DataError, OSError) as error:
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
        _read(file, path, name)
    except DataError:
        if path.is_relative_to(cache_folder()) and file.url:
            return False
        raise
    return True


def _fetch(file: DataFile, progress: bool) -> None:
    public = download.download(file, cache_folder(), progress=progress)
    if file.member:
        stored = download.make(file, public)
        _content(file, stored, f"{file.url}, what was made of it, which was not kept")
        target = cache_folder() / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as temporary:
            temporary.write_bytes(stored)
