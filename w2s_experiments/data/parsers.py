"""Readers for the file formats of the data sets: text, numbers and bytes, never a pickle.

Every reader checks what it reads and raises :class:`~w2s_experiments.data.registry.DataError`
naming the file, what was found and what was expected. Texts come back as arrays of Python strings
(dtype ``object``), so that rows can be taken by an index array.
"""

import csv
import gzip
import io
import json
import math
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from w2s_experiments.data.registry import DataError

__all__ = ["Splits", "read_bytes", "read_idx", "read_json_lines", "read_splits", "read_table"]

Splits = dict[str, dict[str, np.ndarray]]


def read_bytes(path: Path) -> bytes:
    """Content of a file, decompressed when its name ends in ``.gz``.

    Raises
    ------
    DataError
        If the file cannot be read, or is cut short or damaged inside.
    """
    try:
        if path.suffix == ".gz":
            with gzip.open(path) as stream:
                return stream.read()
        return path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read, it is cut short or damaged ({error})") from error


def read_text(path: Path) -> str:
    """Content of a file as UTF-8 text; see :func:`read_bytes`."""
    try:
        return read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected UTF-8 text ({error})") from error


def texts(values: Sequence[str]) -> np.ndarray:
    """Array of Python strings, dtype ``object``."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def read_table(
    path: Path,
    header: Sequence[str],
    *,
    rows: int,
    numbers: Sequence[str],
    delimiter: str = ",",
    quoting: int = csv.QUOTE_MINIMAL,
) -> dict[str, np.ndarray]:
    """Columns of a table with a header line.

    Parameters
    ----------
    path : Path
        The file, possibly gzipped.
    header : sequence of str
        The exact header expected.
    rows : int
        Number of rows expected, the header not counted.
    numbers : sequence of str
        Columns to read as finite floats; the others stay text.
    delimiter, quoting
        As in :mod:`csv`; ``csv.QUOTE_NONE`` is what pandas calls ``quoting=3``.

    Returns
    -------
    dict of str to ndarray, shape (rows,)

    Raises
    ------
    DataError
        For another header, a row of another length, a missing or non-finite number, or another
        number of rows.
    """
    stream = io.StringIO(read_text(path), newline="")
    table = list(csv.reader(stream, delimiter=delimiter, quoting=quoting))
    if not table or table[0] != list(header):
        found = table[0] if table else "an empty file"
        raise DataError(f"{path}: header is {found}, expected {list(header)}")
    body = table[1:]
    for number, row in enumerate(body, start=2):
        if len(row) != len(header):
            raise DataError(f"{path}: row {number} has {len(row)} cells, expected {len(header)}")
    _expect_rows(path, len(body), rows)
    columns = {}
    for position, name in enumerate(header):
        column = [row[position] for row in body]
        columns[name] = _floats(path, name, column) if name in numbers else texts(column)
    return columns


def _expect_rows(path: Path, found: int, expected: int) -> None:
    if found != expected:
        raise DataError(f"{path}: {found} rows, expected {expected}")


def _floats(path: Path, name: str, column: Sequence[str]) -> np.ndarray:
    values = np.empty(len(column))
    for i, cell in enumerate(column):
        try:
            values[i] = float(cell)
        except ValueError:
            values[i] = math.nan
        if not math.isfinite(values[i]):
            raise DataError(
                f"{path}: row {i + 2} of column {name!r} is {cell!r}, expected a number"
            )
    return values


def read_idx(path: Path, shape: Sequence[int]) -> np.ndarray:
    """Array of unsigned bytes in the idx format of MNIST.

    The file starts with two zero bytes, the type code (8: unsigned byte), the number of axes and
    one big-endian 32-bit length per axis; the values follow, last axis fastest.

    Parameters
    ----------
    path : Path
        The file, possibly gzipped.
    shape : sequence of int
        The shape expected.

    Returns
    -------
    ndarray of uint8, shape `shape`

    Raises
    ------
    DataError
        If the header or the number of bytes differs from what `shape` implies.
    """
    data = read_bytes(path)
    expected = struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape)
    header, body = data[: len(expected)], data[len(expected) :]
    if header != expected:
        raise DataError(
            f"{path}: idx header {header.hex()}, expected {expected.hex()} "
            f"(unsigned bytes of shape {tuple(shape)})"
        )
    if len(body) != math.prod(shape):
        raise DataError(f"{path}: {len(body)} values, expected {math.prod(shape)}")
    return np.frombuffer(body, dtype=np.uint8).reshape(shape)


def read_json_lines(
    path: Path, fields: Mapping[str, type], *, rows: int
) -> dict[str, list[str | int]]:
    """Columns of a file with one JSON object per line.

    Parameters
    ----------
    path : Path
        The file, possibly gzipped.
    fields : mapping of str to type
        The fields of every object, and their types.
    rows : int
        Number of lines expected.

    Returns
    -------
    dict of str to list

    Raises
    ------
    DataError
        For a line that is no such object, or another number of lines.
    """
    # str.splitlines would also break at the line separators that occur inside reviews.
    lines = read_text(path).removesuffix("\n").split("\n")
    columns: dict[str, list[str | int]] = {name: [] for name in fields}
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{path}: line {number} is not JSON ({error})") from error
        if not isinstance(record, dict) or set(record) != set(fields):
            raise DataError(f"{path}: line {number} has not exactly the fields {list(fields)}")
        for name, kind in fields.items():
            if type(record[name]) is not kind:
                raise DataError(
                    f"{path}: line {number}, field {name!r} is {record[name]!r}, "
                    f"expected {kind.__name__}"
                )
            columns[name].append(record[name])
    _expect_rows(path, len(lines), rows)
    return columns


def read_splits(path: Path, rows: int) -> Splits:
    """Train, validation and test row numbers from a JSON file of splits.

    Parameters
    ----------
    path : Path
        A file ``{"splits": {name: {"train": [...], "valid": [...], "test": [...]}}}`` of zero-based
        row numbers; other keys beside ``"splits"`` are ignored.
    rows : int
        Number of rows of the table the numbers point into.

    Returns
    -------
    dict of str to dict of str to ndarray of int

    Raises
    ------
    DataError
        If the layout differs, or the parts of a split do not cover every row exactly once.
    """
    text = read_text(path)
    try:
        document = json.loads(text)
        splits = {
            name: {part: np.asarray(parts[part]) for part in ("train", "valid", "test")}
            for name, parts in document["splits"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f'{path}: expected {{"splits": {{name: {{"train", "valid", "test"}}}}}} ({error!r})'
        ) from error
    for name, parts in splits.items():
        together = np.concatenate(list(parts.values()))
        if together.dtype.kind != "i" or not np.array_equal(np.sort(together), np.arange(rows)):
            raise DataError(
                f"{path}: the parts of split {name!r} do not cover the rows 0 to {rows - 1} "
                "exactly once"
            )
    return splits
