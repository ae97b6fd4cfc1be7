"""Reading a user's arrays: ``.npy`` by memory map, ``.npz``, ``.csv`` and ``.parquet``.

Nothing is ever unpickled. Whatever is wrong with a file is an `InputError` of one line that names
the file, what was found there and what to do.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import os
import tomllib
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Words for a value that is not there, in whatever case.
_NOTHING = "nan -nan nat none null na n/a #na #n/a <na>"
MISSING = ("", "?", "-", ".", *_NOTHING.split())
_SUFFIXES = (".npy", ".npz", ".csv", ".parquet")
_MAGIC = {b"\x93NUMPY": ".npy", b"PK\x03\x04": ".npz", b"PAR1": ".parquet"}
_LABEL_NAMES = ("label", "labels", "y", "target", "class")


class InputError(ValueError):
    """Something about the user's data that the user can put right; always one line."""

    def __init__(self, message: str):
        super().__init__(" ".join(str(message).split()))


def refusal(what: str, /, **found: Any) -> InputError:
    """The error of that name in ``templates/refusals.toml``, with what was found filled in."""
    texts = resources.files("w2s_report").joinpath("templates/refusals.toml").read_text("utf-8")
    return InputError(tomllib.loads(texts)[what].format(**found))


@dataclass(frozen=True)
class Table:
    """Rows of numbers that are read piece by piece."""

    name: str
    """What an error calls it: the file as the user gave it."""
    shape: tuple[int, ...]
    """At least one entry."""
    dtype: np.dtype
    sha256: Callable[[], str] = field(repr=False)
    """Returns the checksum of the file's bytes (of the array's, for an array in memory)."""
    rows: Callable[[int, int], NDArray] = field(repr=False)
    """Takes first and last row, returns what lies between, row after row, not to be written to."""

    def all(self) -> NDArray:
        """Return all rows."""
        return self.rows(0, self.shape[0])

    @property
    def precise(self) -> bool:
        """Whether single precision would lose something."""
        return np.result_type(self.dtype, np.float16).itemsize > 4

    def followed_by(self, other: Table) -> Table:
        """Rows of this one and of another with as many columns."""
        here = self.shape[0]

        def rows(start: int, stop: int) -> NDArray:
            if stop <= here or start >= here:
                table, begin = (self, 0) if stop <= here else (other, here)
                return table.rows(start - begin, stop - begin)
            return np.concatenate([self.rows(start, here), other.rows(0, stop - here)])

        return replace(
            self,
            name=f"{self.name}, {other.name}",
            shape=(here + other.shape[0], *self.shape[1:]),
            dtype=np.result_type(self.dtype, other.dtype),
            rows=rows,
        )


def open_table(source: str | Path | ArrayLike, name: str) -> Table:
    """Open a file of numbers, or take an array.

    Parameters
    ----------
    source : path or array_like
        ``file.npz:key`` names one array of several. Masked entries of an array are missing: NaN,
        or an empty text.
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
        array = np.asarray(_unmasked(source))
    except ValueError as error:
        raise InputError(f"{name}: expected an array of numbers, got {error}") from None
    return _table(name, array, lambda: _digest(array), lambda: array)


def _unmasked(source: Any) -> Any:
    if not isinstance(source, np.ma.MaskedArray) or not np.ma.is_masked(source):
        return source
    if source.dtype.kind in "biuf":
        numbers: Any = source.astype(np.result_type(source.dtype, np.float16))
        return numbers.filled(np.nan)
    return source.filled("") if source.dtype.kind == "U" else source


def _open_file(given: str, name: str) -> Table:
    path, key = _split_key(given)
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise refusal("unknown suffix", given=given, name=name, suffixes=", ".join(_SUFFIXES))
    _check_content(path, given, suffix)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            array = _READERS[suffix](path, given, key)
    except InputError:
        raise
    except MemoryError:
        raise refusal("no memory", given=given) from None
    except Exception as error:  # a damaged file can make a parser raise nearly anything
        why = str(error)[:160] or type(error).__name__
        raise refusal("unreadable", given=given, kind=suffix[1:], why=why) from None
    if suffix == ".npy":
        # A map of its own for each piece, so that pages read before do not stay in memory.
        return _table(given, array, lambda: _digest_file(path), lambda: _map(path))
    return _table(given, array, lambda: _digest_file(path), lambda: array)


def _table(
    name: str, array: NDArray, sha256: Callable[[], str], again: Callable[[], NDArray]
) -> Table:
    shape, dtype = array.shape, array.dtype
    if dtype.hasobject:
        raise _objects(name, f" (shape {shape})")
    if dtype.kind not in "biufUS" or dtype.fields:
        raise refusal("no real numbers", name=name, dtype=dtype, shape=shape)
    if not shape:
        raise InputError(f"{name}: holds a single value; expected an array with a row an input")
    return Table(
        name, shape, dtype, sha256, lambda start, stop: np.ascontiguousarray(again()[start:stop])
    )


def _objects(name: str, shape: str = "") -> InputError:
    return refusal("objects", name=name, shape=shape)


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
        if path.exists() and not path.is_file():
            raise InputError(f"{given}: is no ordinary file (a pipe or a device); give a file")
        with path.open("rb") as file:
            head = file.read(4096)
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{given}: cannot be read ({reason}); check name and rights") from None
    if not head:
        raise InputError(f"{given}: the file is empty; write it again")
    other = ".csv" if _is_text(head) else "unknown"
    found = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), other)
    if found != suffix:
        what = f"those of a {found} file" if found in _SUFFIXES else "of no kind known here"
        raise refusal("other contents", given=given, suffix=suffix, what=what)


def _is_text(head: bytes) -> bool:
    try:  # a character may be cut at the end
        return "\0" not in codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False


def _map(path: Path) -> NDArray:
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _read_npy(path: Path, given: str, key: str) -> NDArray:
    try:
        mapped = _map(path)
    except ValueError as error:
        if "Python objects" in str(error):
            raise _objects(given) from None
        if "mmap length" not in str(error):
            raise
        raise refusal("cut off", given=given, size=path.stat().st_size) from None
    wanted = getattr(mapped, "offset", 0) + mapped.nbytes
    if path.stat().st_size != wanted:
        raise refusal(
            "too many bytes", given=given, mapped=mapped, wanted=wanted, size=path.stat().st_size
        )
    return mapped


def _read_npz(path: Path, given: str, key: str) -> NDArray:
    with zipfile.ZipFile(path) as archive:
        broken = archive.testzip()
    if broken is not None:
        raise InputError(f"{given}: the part {broken} is damaged; write the file again")
    with np.load(path, allow_pickle=False) as arrays:
        listed = ", ".join(arrays.files) or "none"
        if key and key not in arrays.files:
            raise InputError(f"{given}: has no array {key!r}; it has: {listed}")
        if not key and len(arrays.files) != 1:
            example = f"{path}:{arrays.files[0] if arrays.files else 'features'}"
            raise refusal(
                "several arrays",
                given=given,
                count=len(arrays.files),
                listed=listed,
                example=example,
            )
        try:
            return np.asarray(arrays[key or arrays.files[0]])
        except ValueError as error:
            if "Object arrays" in str(error):
                raise _objects(given) from None
            raise


def _read_csv(path: Path, given: str, key: str) -> NDArray:
    """Rows of cells; one way with and without pyarrow, so that both mean the same."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = [row for row in csv.reader(file, strict=True) if row]
    if not lines:
        raise InputError(f"{given}: has no rows; write the file again")
    header = int(_has_header(lines))
    if header:
        _check_names(lines[0], given)
    if len(lines) == header:
        raise InputError(f"{given}: has a header and no rows; write the file again")
    width = len(lines[0])
    found = np.empty((len(lines) - header, width))
    for number, row in enumerate(lines[header:], start=1 + header):
        if len(row) != width:
            raise refusal("ragged row", given=given, number=number, columns=len(row), width=width)
        try:
            found[number - 1 - header] = _numbers(row)
        except ValueError:
            if width == 1:  # labels that are texts
                return np.array([row[0].strip() for row in lines[header:]])
            bad = next(i for i, cell in enumerate(row) if not (_is_number(cell) or _missing(cell)))
            raise refusal(
                "cell is no number",
                given=given,
                number=number,
                column=bad + 1,
                cell=row[bad].strip()[:20],
            ) from None
    return found[:, 0] if width == 1 else found


def _has_header(lines: list[list[str]]) -> bool:
    first = [cell.strip() for cell in lines[0]]
    # What pandas writes by default: 0, 1, 2, perhaps after an empty name for the row's number; R
    # counts from 1.
    counted = first[1:] if first[0] == "" else first
    for start, kind in ((0, int), (0, float), (1, int)):
        names = [str(kind(start + i)) for i in range(len(counted))]
        if len(first) > 1 + start and counted == names:
            return True
    if any(map(_is_number, first)) or all(map(_missing, first)):
        return False
    if len(lines) == 1 or len(first) > 1:
        return len(lines) == 1 or any(_is_number(cell) for cell in lines[1])
    # A column of texts has a header if its first line is the usual word for one.
    return _is_number(lines[1][0]) or first[0].lower() in _LABEL_NAMES


def _check_names(names: list[str], given: str) -> None:
    unnamed = [i + 1 for i, name in enumerate(names) if not name.strip()]
    if unnamed:
        raise refusal("column without a name", given=given, unnamed=unnamed)


def _numbers(row: list[str]) -> NDArray[np.float64]:
    if any("_" in cell for cell in row):  # Python's numbers may have it, a file's may not
        raise ValueError
    try:
        return np.array(row, float)
    except ValueError:
        return np.array([np.nan if _missing(cell) else float(cell) for cell in row])


def _missing(cell: str) -> bool:
    return cell.strip().lower() in MISSING


def _is_number(cell: str) -> bool:
    if _missing(cell) or "_" in cell:
        return False
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _read_parquet(path: Path, given: str, key: str) -> NDArray:
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        raise InputError(f"{given}: needs pyarrow: pip install 'w2s_utils[parquet]'") from None
    table = parquet.read_table(path)
    if not table.num_columns:
        raise InputError(f"{given}: has no columns; write the file again")
    named = dict(zip(table.column_names, map(_from_arrow, table.columns), strict=True))
    if len(named) == 1:
        return next(iter(named.values()))
    wide = [name for name, values in named.items() if values.ndim > 1]
    if wide:
        raise refusal(
            "embedding among columns",
            given=given,
            wide=wide,
            others=", ".join(name for name in named if name != wide[0]),
        )
    for name, values in named.items():
        if name.startswith("__index_level_"):
            raise refusal("index column of pandas", given=given, name=name)
        if values.dtype.kind not in "biuf":
            raise refusal("column is no number", given=given, name=name, values=values)
    return np.column_stack(list(named.values()))


def _from_arrow(column: Any) -> NDArray:
    """A column of numbers (null is NaN), of texts (null is empty), or of lists (a row each)."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        return _from_arrow(column.cast(kind.value_type))
    if pa.types.is_boolean(kind) and column.null_count:
        return _from_arrow(column.cast(pa.int8()))
    if pa.types.is_decimal(kind):
        return _from_arrow(column.cast(pa.float64()))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return np.array(column.fill_null("").to_pylist(), dtype=str)
    values = column.to_numpy()
    if pa.types.is_nested(kind):
        if column.null_count:
            raise ValueError(f"{column.null_count} of {len(column)} embeddings are null")
        if len({len(row) for row in values}) > 1:
            raise ValueError("its embeddings have different lengths")
        return np.stack(values)
    return values


_READERS = {".npy": _read_npy, ".npz": _read_npz, ".csv": _read_csv, ".parquet": _read_parquet}


def _digest(array: NDArray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()


def _digest_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
