"""Reading a user's arrays: ``.npy`` by memory map, ``.npz``, ``.csv`` and ``.parquet``.

Nothing is ever unpickled. Whatever is wrong with a file is an `InputError` of one line that names
the file, what was found there and what to do.
"""

from __future__ import annotations

import ast
import csv
import hashlib
import io
import os
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from numpy.typing import ArrayLike, NDArray

SUFFIXES = (".npy", ".npz", ".csv", ".parquet")
_MAGIC = {b"\x93NUMPY": ".npy", b"PK\x03\x04": ".npz", b"PAR1": ".parquet"}
_EXPORT = "save it with numpy.save(path, array)"


class InputError(ValueError):
    """Something about the user's data that the user can put right; always one line."""

    def __init__(self, message: str):
        super().__init__(" ".join(str(message).split()))


@dataclass(frozen=True)
class Table:
    """Rows of numbers that are read piece by piece.

    Attributes
    ----------
    name : str
        What an error calls it: the file as the user gave it.
    shape : tuple of int
    dtype : numpy.dtype
    sha256 : callable
        Returns the checksum of the file's bytes (of the array's, for an array in memory).
    rows : callable
        Takes first and last row, returns a copy of what lies between.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    sha256: Callable[[], str] = field(repr=False)
    rows: Callable[[int, int], NDArray] = field(repr=False)

    def all(self) -> NDArray:
        """Return all rows."""
        return self.rows(0, self.shape[0])


def open_table(source: str | Path | ArrayLike, name: str) -> Table:
    """Open a file of numbers, or take an array.

    Parameters
    ----------
    source : path or array_like
        ``file.npz:key`` names one array of several.
    name : str
        What it is, for errors and for arrays in memory: "strong features".

    Returns
    -------
    Table

    Raises
    ------
    InputError
        In one line, if it cannot be read as an array of numbers (or, for labels, of texts).
    """
    if isinstance(source, str | os.PathLike):
        return _open_file(str(source), name)
    try:
        array = np.asarray(source)
    except ValueError as error:
        raise InputError(f"{name}: expected an array of numbers, got {error}") from None
    return _in_memory(array, name, lambda: _digest(np.ascontiguousarray(array)))


def _open_file(given: str, name: str) -> Table:
    path, key = _split_key(given)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(
            f"{given}: {name} must be a file that ends in {', '.join(SUFFIXES)}; {_EXPORT}"
        )
    _check_content(path, given, suffix)
    try:
        if suffix == ".npy":
            return _open_npy(path, given)
        reader = {".npz": _read_npz, ".csv": _read_csv, ".parquet": _read_parquet}[suffix]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            array = reader(path, given, key)
    except InputError:
        raise
    except MemoryError:
        raise InputError(f"{given}: does not fit into memory; {_EXPORT}") from None
    except Exception as error:  # a damaged file can make a parser raise nearly anything
        raise InputError(
            f"{given}: cannot be read as {suffix[1:]} ({_words(error)}); write the file again"
        ) from None
    return _in_memory(array, given, lambda: _digest_file(path))


def _split_key(given: str) -> tuple[Path, str]:
    head, colon, key = given.rpartition(":")
    if colon and head.lower().endswith(".npz"):
        return Path(head), key
    return Path(given), ""


def _check_content(path: Path, given: str, suffix: str) -> None:
    """Refuse what is no readable file, or is of another kind than its name says."""
    try:
        if path.is_dir():
            raise InputError(f"{given}: is a folder; give the file in it")
        with path.open("rb") as file:
            head = file.read(4096)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{given}: cannot be read ({reason}); check name and rights") from None
    if not head:
        raise InputError(f"{given}: the file is empty; write it again")
    found = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "")
    if not found:
        text = _is_text(head)
        found = ".csv" if text else "unknown"
    if found != suffix:
        what = f"those of a {found} file" if found in SUFFIXES else "of no kind known here"
        raise InputError(
            f"{given}: its name says {suffix}, but its contents are {what}; name it by what it is, "
            f"or {_EXPORT}"
        )


def _is_text(head: bytes) -> bool:
    if b"\0" in head:
        return False
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start >= len(head) - 3 and len(head) == 4096
    return True


# npy


def _open_npy(path: Path, given: str) -> Table:
    size = path.stat().st_size
    with path.open("rb") as file:
        version = npy.read_magic(file)
        shape, fortran, dtype = _header(file, version)
        offset = file.tell()
    _check_dtype(dtype, shape, given)
    wanted = offset + int(np.prod(shape, dtype=object)) * dtype.itemsize
    if size != wanted:
        what = "is cut off" if size < wanted else "has bytes that do not belong to it"
        raise InputError(
            f"{given}: {what}: its header says shape {shape}, {wanted} bytes, the file has {size}; "
            "write or copy it again"
        )
    order = "F" if fortran else "C"

    def rows(start: int, stop: int) -> NDArray:
        # A map of its own for each piece, so that pages read before do not stay in memory.
        if 0 in shape:
            return np.empty((0, *shape[1:]), dtype)
        mapped = np.memmap(path, dtype, "r", offset, shape, order)
        return np.array(mapped[start:stop])

    return Table(given, shape, dtype, lambda: _digest_file(path), rows)


def _header(file: io.BufferedReader, version: tuple[int, int]) -> tuple[tuple, bool, np.dtype]:
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise ValueError(f"version {version} of the format")
    # Version 3 differs from 2 in its encoding only, and numpy has no public reader for it.
    length = int.from_bytes(file.read(2 if version == (1, 0) else 4), "little")
    if length > 10_000:
        raise ValueError(f"a header of {length} bytes")
    text = file.read(length)
    if len(text) < length:
        raise ValueError("cut off in its header")
    encoding = "utf-8" if version == (3, 0) else "latin1"
    header = ast.literal_eval(text.decode(encoding).strip())
    shape, dtype = header["shape"], npy.descr_to_dtype(header["descr"])
    if not (isinstance(shape, tuple) and all(type(s) is int and s >= 0 for s in shape)):
        raise ValueError(f"a shape of {shape!r}")
    if type(header["fortran_order"]) is not bool:
        raise ValueError("a header that is no header")
    return shape, header["fortran_order"], dtype


# The rest is read whole


def _read_npz(path: Path, given: str, key: str) -> NDArray:
    with zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
        broken = archive.testzip()
        if broken is not None:
            raise InputError(f"{given}: the part {broken} is damaged; write the file again")
    listed = ", ".join(names) or "none"
    if key and key not in names:
        raise InputError(f"{given}: has no array {key!r}; it has: {listed}")
    if not key and len(names) != 1:
        example = f"{path}:{names[0] if names else 'features'}"
        raise InputError(f"{given}: has {len(names)} arrays ({listed}); name one, as in {example}")
    with zipfile.ZipFile(path) as archive, archive.open(f"{key or names[0]}.npy") as file:
        shape, _, dtype = _header(file, npy.read_magic(file))
        _check_dtype(dtype, shape, given)
    with np.load(path, allow_pickle=False) as arrays:
        return arrays[key or names[0]]


def _read_csv(path: Path, given: str, key: str) -> NDArray:
    text = path.read_text("utf-8-sig")
    lines = [row for row in csv.reader(io.StringIO(text), strict=True) if row]
    if not lines:
        raise InputError(f"{given}: has no rows; write the file again")
    has_header = not any(_is_number(cell) for cell in lines[0]) and (
        len(lines) == 1 or any(_is_number(cell) for cell in lines[1]) or _looks_like_name(lines)
    )
    body = lines[1:] if has_header else lines
    width = len(lines[0])
    for number, row in enumerate(body, start=1 + has_header):
        if len(row) != width:
            raise InputError(
                f"{given}: row {number} has {len(row)} columns, the first has {width}; write "
                "every row with the same columns"
            )
    if not body:
        raise InputError(f"{given}: has a header and no rows; write the file again")
    cells = [[cell.strip() for cell in row] for row in body]
    if width == 1 and not all(_is_number(row[0]) or not row[0] for row in cells):
        return np.array([row[0] for row in cells])
    for number, row in enumerate(cells, start=1 + has_header):
        for column, cell in enumerate(row):
            if cell and not _is_number(cell):
                raise InputError(
                    f"{given}: row {number}, column {column + 1} is {cell[:20]!r}, not a number; "
                    "give columns of numbers only"
                )
    array = np.array([[float(cell) if cell else np.nan for cell in row] for row in cells])
    return array[:, 0] if width == 1 else array


def _looks_like_name(lines: list[list[str]]) -> bool:
    """A column of texts has a header if its first line is the usual word for one."""
    return lines[0][0].strip().lower() in ("label", "labels", "y", "target", "class")


def _read_parquet(path: Path, given: str, key: str) -> NDArray:
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        raise InputError(f"{given}: needs pyarrow: pip install 'w2s_utils[parquet]'") from None
    table = parquet.read_table(path)
    columns = []
    for column in table.columns:
        values = column.to_numpy()
        if values.dtype == object and len(values) and isinstance(values[0], np.ndarray):
            values = np.stack(values)  # an embedding a row
        columns.append(values)
    if not columns:
        raise InputError(f"{given}: has no columns; write the file again")
    if len(columns) == 1:
        return _texts(columns[0])
    for label, values in zip(table.column_names, columns, strict=True):
        if values.dtype.kind not in "biuf":
            raise InputError(
                f"{given}: column {label!r} holds {values.dtype}, not numbers; give columns of "
                "numbers only"
            )
    return np.column_stack(columns)


def _texts(values: NDArray) -> NDArray:
    """Texts that a table library holds as objects, as an array of texts."""
    if values.dtype == object and all(isinstance(v, str) or v is None for v in values):
        return np.array(["" if v is None else v for v in values])
    return values


# Shared


def _in_memory(array: NDArray, name: str, sha256: Callable[[], str]) -> Table:
    _check_dtype(array.dtype, array.shape, name)
    return Table(
        name, array.shape, array.dtype, sha256, lambda start, stop: np.array(array[start:stop])
    )


def _check_dtype(dtype: np.dtype, shape: tuple[int, ...], name: str) -> None:
    if dtype.hasobject:
        raise InputError(
            f"{name}: holds Python objects (shape {shape}), which are never unpickled; {_EXPORT} "
            "after array.astype(float)"
        )
    if dtype.kind not in "biufUS" or dtype.fields:
        raise InputError(
            f"{name}: holds {dtype} (shape {shape}), not real numbers; {_EXPORT} after "
            "array.astype(float)"
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def _digest(array: NDArray) -> str:
    return hashlib.sha256(memoryview(array).cast("B") if array.size else b"").hexdigest()


def _digest_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _words(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return (text or type(error).__name__)[:160]
