"""Reading a user's arrays: ``.npy`` by memory map, ``.npz``, ``.csv`` and ``.parquet``.

Nothing is ever unpickled. Whatever is wrong with a file is an `InputError` of one line that names
the file, what was found there and what to do.
"""

import codecs
import csv
import os
import re
import tomllib
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import file_digest, sha256
from importlib import resources
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Words for a value that is not there, in whatever case.
_NOTHING = "nan -nan nat none null na n/a #na #n/a <na>"
MISSING = ("", "?", "-", ".", *_NOTHING.split())
_MAGIC = {b"\x93NUMPY": ".npy", b"PK\x03\x04": ".npz", b"PAR1": ".parquet"}
_Read = tuple[NDArray, NDArray | None]  # an array, and names of its rows
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
    keys: NDArray[np.str_] | None = field(default=None, repr=False)
    """Name of each row, by which files of other orders are aligned; None where none was asked."""
    reordered: bool = False
    """Whether its rows were put into the order of another."""

    def all(self) -> NDArray:
        """Return all rows."""
        return self.rows(0, self.shape[0])

    @property
    def precise(self) -> bool:
        """Whether single precision would lose something."""
        return np.result_type(self.dtype, np.float16).itemsize > 4

    def followed_by(self, other: Self) -> Self:
        """Rows of this one and of another with as many columns."""
        here = self.shape[0]

        def rows(start: int, stop: int) -> NDArray:
            if stop <= here or start >= here:
                table, begin = (self, 0) if stop <= here else (other, here)
                return table.rows(start - begin, stop - begin)
            return np.concatenate([self.rows(start, here), other.rows(0, stop - here)])

        keys = [table.keys for table in (self, other) if table.keys is not None]
        return replace(
            self,
            name=f"{self.name}, {other.name}",
            shape=(here + other.shape[0], *self.shape[1:]),
            dtype=np.result_type(self.dtype, other.dtype),
            rows=rows,
            keys=np.concatenate(keys) if keys else None,
        )


def open_table(source: str | Path | ArrayLike, name: str, key: str | None = None) -> Table:
    """Open a file of numbers, or take an array; ``name`` says what it is, for errors.

    ``file.npz:key`` names one array of several. Masked entries of an array are missing: NaN, or an
    empty text. A ``key`` is the column (of a ``.npz`` the array) with a name for each row, a text
    or a number.

    Raises
    ------
    InputError
        In one line, if it cannot be read as an array of numbers (or, for labels, of texts).
    """
    if isinstance(source, str | os.PathLike):
        return _open_file(str(source), name, key)
    if key is not None:
        raise InputError(f"key: {name} are an array; align arrays before, or give files")
    try:
        array = np.asarray(_unmasked(source))
    except ValueError as error:
        raise InputError(f"{name}: expected an array of numbers, got {error}") from None
    return _table(
        name, array, lambda: sha256(np.ascontiguousarray(array).data).hexdigest(), lambda: array
    )


def _unmasked(source: Any) -> Any:
    if not isinstance(source, np.ma.MaskedArray) or not np.ma.is_masked(source):
        return source
    if source.dtype.kind in "biuf":
        numbers: Any = source.astype(np.result_type(source.dtype, np.float16))
        return numbers.filled(np.nan)
    return source.filled("") if source.dtype.kind == "U" else source


def _open_file(given: str, name: str, key: str | None) -> Table:
    named = re.fullmatch(r"(.*\.npz):(.*)", given, re.IGNORECASE | re.DOTALL)
    path, part = (Path(named[1]), named[2]) if named else (Path(given), "")
    suffix = path.suffix.lower()
    if suffix not in _READERS:
        raise refusal("unknown suffix", given=given, name=name, suffixes=", ".join(_READERS))
    _check_content(path, given, suffix)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            array, names = _READERS[suffix](path, given, part, key)
    except InputError:
        raise
    except MemoryError:
        raise refusal("no memory", given=given) from None
    except Exception as error:  # a damaged file can make a parser raise nearly anything
        why = str(error)[:160] or type(error).__name__
        if suffix in (".npy", ".npz") and re.search("Python objects|Object arrays", why):
            raise refusal("objects", name=given, shape="") from None
        raise refusal("unreadable", given=given, kind=suffix[1:], why=why) from None
    # A map of its own for each piece, so that pages read before do not stay in memory.
    again = (lambda: _map(path)) if suffix == ".npy" else (lambda: array)
    table = _table(given, array, lambda: _digest_file(path), again)
    return table if names is None else replace(table, keys=_checked_keys(given, table, names))


def _checked_keys(given: str, table: Table, names: NDArray) -> NDArray[np.str_]:
    """Names of rows as texts, 1 and 1.0 the same; every row has one of its own."""
    if names.dtype.kind == "f" and np.all(names % 1 == 0):
        names = names.astype(np.int64)
    keys = np.char.strip(names.astype(str))
    if keys.shape != table.shape[:1]:
        raise refusal("keys of other rows", table=table, keys=keys)
    nameless = np.flatnonzero(np.isin(np.char.lower(keys), MISSING))
    if len(nameless):
        raise InputError(f"{given}: row {nameless[0]} has no key; give every row one of its own")
    _, first, counts = np.unique(keys, return_index=True, return_counts=True)
    if counts.max(initial=0) > 1:
        rows = np.flatnonzero(keys == keys[first[counts.argmax()]])
        raise refusal("key twice", given=given, key=keys[rows[0]], rows=rows)
    return keys


def aligned(table: Table, first: Table, *, whole: bool) -> Table:
    """Rows of a table in the order of another's keys.

    Where it has no such row it has none (NaN, or an empty text), unless it must be ``whole``.

    Raises
    ------
    InputError
        If it has a key that the other has not, or lacks one and must be whole.
    """
    own, wanted = np.asarray(table.keys), np.asarray(first.keys)
    order = np.argsort(own)
    place = order[np.minimum(np.searchsorted(own, wanted, sorter=order), len(own) - 1)]
    there = own[place] == wanted
    beyond = np.setdiff1d(own, wanted)
    if len(beyond):
        raise refusal("key beyond", table=table, first=first, beyond=beyond, count=len(beyond))
    if whole and not there.all():
        lacking = wanted[~there]
        raise refusal("key absent", table=table, first=first, lacking=lacking, count=len(lacking))
    if there.all() and np.array_equal(place, np.arange(len(place))):
        return table
    values = table.all()[place]
    if not there.all():
        text = values.dtype.kind in "US" or values.dtype == bool
        values = values.astype(str) if text else values.astype(float)
        values[~there] = "" if text else np.nan
    found = _table(table.name, values, table.sha256, lambda: values)
    return replace(found, keys=wanted, reordered=True)


def _table(
    name: str, array: NDArray, sha256: Callable[[], str], again: Callable[[], NDArray]
) -> Table:
    shape, dtype = array.shape, array.dtype
    if dtype.hasobject:
        raise refusal("objects", name=name, shape=f" (shape {shape})")
    if dtype.kind not in "biufUS" or dtype.fields:
        raise refusal("no real numbers", name=name, dtype=dtype, shape=shape)
    if not shape:
        raise InputError(f"{name}: holds a single value; expected an array with a row an input")
    return Table(
        name, shape, dtype, sha256, lambda start, stop: np.ascontiguousarray(again()[start:stop])
    )


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
        what = f"those of a {found} file" if found in _READERS else "of no kind known here"
        raise refusal("other contents", given=given, suffix=suffix, what=what)


def _is_text(head: bytes) -> bool:
    try:  # a character may be cut at the end
        return "\0" not in codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False


def _map(path: Path) -> NDArray:
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _read_npy(path: Path, given: str, part: str, key: str | None) -> _Read:
    try:
        mapped = _map(path)
    except ValueError as error:
        if "mmap length" not in str(error):
            raise
        raise refusal("cut off", given=given, size=path.stat().st_size) from None
    wanted, size = getattr(mapped, "offset", 0) + mapped.nbytes, path.stat().st_size
    if size != wanted:
        raise refusal("too many bytes", given=given, mapped=mapped, wanted=wanted, size=size)
    if key is not None:
        raise refusal("no names", given=given)
    return mapped, None


def _read_npz(path: Path, given: str, part: str, key: str | None) -> _Read:
    with zipfile.ZipFile(path) as archive:
        broken = archive.testzip()
    if broken is not None:
        raise InputError(f"{given}: the part {broken} is damaged; write the file again")
    with np.load(path, allow_pickle=False) as arrays:
        files = [file for file in arrays.files if file != key]
        listed = ", ".join(arrays.files) or "none"
        for wanted in (part, key):
            if wanted and wanted not in arrays.files:
                raise InputError(f"{given}: has no array {wanted!r}; it has: {listed}")
        if not part and len(files) != 1:
            told = {"count": len(files), "listed": listed, "example": [*files, "features"][0]}
            raise refusal("several arrays", given=given, path=path, **told)
        return np.asarray(arrays[part or files[0]]), None if key is None else arrays[key]


def _read_csv(path: Path, given: str, part: str, key: str | None) -> _Read:
    """Rows of cells; one way with and without pyarrow, so that both mean the same."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = [row for row in csv.reader(file, strict=True) if row]
    if not lines:
        raise InputError(f"{given}: has no rows; write the file again")
    names = None
    if key is not None:
        columns = [cell.strip() for cell in lines[0]]
        if key not in columns:
            raise refusal("no key column", given=given, key=key, columns=columns[:20])
        at = columns.index(key)
        names = np.array([row.pop(at) if at < len(row) else "" for row in lines][1:])
    header = int(key is not None or _has_header(lines))
    unnamed = [i + 1 for i, name in enumerate(lines[0]) if header and not name.strip()]
    if unnamed:
        raise refusal("column without a name", given=given, unnamed=unnamed)
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
                return np.array([row[0].strip() for row in lines[header:]]), names
            bad = next(i for i, cell in enumerate(row) if not (_is_number(cell) or _missing(cell)))
            told: Any = {"number": number, "column": bad + 1, "cell": row[bad].strip()[:20]}
            raise refusal("cell is no number", given=given, **told) from None
    return (found[:, 0] if width == 1 else found), names


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


def _numbers(row: list[str]) -> list[float]:
    """NaN where a word means that there is none; raises ValueError at what is no number."""
    if any("_" in cell for cell in row):  # Python's numbers may have it, a file's may not
        raise ValueError
    try:
        return list(map(float, row))
    except ValueError:
        return [np.nan if _missing(cell) else float(cell) for cell in row]


def _missing(cell: str) -> bool:
    return cell.strip().lower() in MISSING


def _is_number(cell: str) -> bool:
    try:
        return not np.isnan(_numbers([cell])[0])
    except ValueError:
        return False


def _read_parquet(path: Path, given: str, part: str, key: str | None) -> _Read:
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        raise InputError(f"{given}: needs pyarrow: pip install 'w2s_utils[parquet]'") from None
    table = parquet.read_table(path)
    if not table.num_columns:
        raise InputError(f"{given}: has no columns; write the file again")
    named = dict(zip(table.column_names, map(_from_arrow, table.columns), strict=True))
    if key is not None and key not in named:
        raise refusal("no key column", given=given, key=key, columns=list(named)[:20])
    names = None if key is None else named.pop(key)
    if len(named) == 1:
        return next(iter(named.values())), names
    wide = [name for name, values in named.items() if values.ndim > 1]
    if wide:
        others = ", ".join(name for name in named if name != wide[0])
        raise refusal("embedding among columns", given=given, wide=wide, others=others)
    for name, values in named.items():
        if name.startswith("__index_level_"):
            raise refusal("index column of pandas", given=given, name=name)
        if values.dtype.kind not in "biuf":
            raise refusal("column is no number", given=given, name=name, values=values)
    return np.column_stack(list(named.values())), names


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


def _digest_file(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
