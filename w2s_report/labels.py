"""A user's labels: which rows have one, and whether they are numbers or classes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from w2s_report.readers import MISSING, InputError, Table

Task = Literal["regression", "binary", "multiclass"]
LEAST = 20  # labels
MOST_CLASSES = 20  # whole numbers with more values than this are measurements, unless told
PER_CLASS = 2


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels of some of the rows.

    Attributes
    ----------
    task : {"regression", "binary", "multiclass"}
    rows : ndarray of int, shape (L,)
        Labelled rows, growing.
    values : ndarray, shape (L,)
        Numbers, or the positions of the classes in ``classes``.
    classes : tuple of str
        Empty for regression.
    decided : {"given", "auto"}
        Who said what kind they are.
    """

    task: Task
    rows: NDArray[np.int64]
    values: NDArray[np.float64]
    classes: tuple[str, ...]
    decided: Literal["given", "auto"]

    @property
    def targets(self) -> NDArray[np.float64]:
        """Columns that heads are fitted to: numbers, the second class, or one class a column."""
        if self.task != "multiclass":
            return self.values[:, None].astype(float)
        return np.eye(len(self.classes))[self.values.astype(int)]

    def only(self, chosen: NDArray[np.int64]) -> Labels:
        """Some of the labels, by position."""
        return replace(self, rows=self.rows[chosen], values=self.values[chosen])


def read_labels(table: Table, index: Table | None, rows: int, task: str) -> Labels:
    """Check labels and say what kind they are.

    Parameters
    ----------
    table : Table
        One column; NaN, or a word such as "", "NA" or "None", where a row has no label.
    index : Table, optional
        The labelled rows, counted from 0; then ``table`` has one label for each of these, or one
        for every row.
    rows : int
        Rows of the features.
    task : {"auto", "regression", "classification"}
        "auto": texts, truth values and whole numbers with at most 20 different values are classes.

    Returns
    -------
    Labels

    Raises
    ------
    InputError
        In one line.
    """
    values = _column(table)
    if index is None:
        if len(values) != rows:
            raise InputError(
                f"{table.name}: shape {table.shape}, but the features have {rows} rows; give one "
                "label a row (below a header that is a word), NaN where there is none, or the "
                "labelled rows with --index"
            )
        where = np.arange(rows)
    else:
        where = _positions(index, rows)
        values = _matched(values, where, table, index, rows)
    missing = _missing(values)
    where, values = where[~missing], _as_numbers(values[~missing])
    order = np.argsort(where)
    return _interpret(table, where[order], values[order], task)


def _missing(values: NDArray) -> NDArray[np.bool_]:
    if values.dtype.kind == "U":
        return np.isin(np.char.lower(np.char.strip(values)), MISSING)
    return np.isnan(values.astype(float))


def _as_numbers(values: NDArray) -> NDArray:
    """Numbers that were written as texts; of the two zeros the positive one."""
    if values.dtype.kind == "U":
        try:
            numbers = values.astype(float)
        except ValueError:
            return values
        values = numbers if np.isfinite(numbers).all() else values
    return values + 0.0 if values.dtype.kind == "f" else values


def _column(table: Table) -> NDArray:
    if len(table.shape) == 2 and table.shape[1] == 1:
        values = table.all()[:, 0]
    elif len(table.shape) == 1:
        values = table.all()
    else:
        raise InputError(
            f"{table.name}: labels of shape {table.shape}; expected one column, with the class or "
            "the number of each row"
        )
    if values.dtype.kind == "S":
        try:
            values = np.char.decode(values, "utf-8")
        except UnicodeDecodeError:
            raise InputError(f"{table.name}: labels are bytes that are no UTF-8 text") from None
    if values.dtype.kind == "f" and np.isinf(values).any():
        first = int(np.flatnonzero(np.isinf(values))[0])
        raise InputError(
            f"{table.name}: shape {table.shape}, the label of row {first} is infinite; write NaN "
            "for a row without label"
        )
    return values


def _positions(index: Table, rows: int) -> NDArray[np.int64]:
    where = index.all()
    if where.ndim == 2 and 1 in where.shape:
        where = where.ravel()
    if where.ndim != 1 or where.dtype.kind not in "iuf":
        raise InputError(
            f"{index.name}: shape {index.shape} of {index.dtype}; expected one column with the "
            "labelled rows, counted from 0"
        )
    whole = where.dtype.kind in "iu" or bool(np.all(np.isfinite(where) & (where == where // 1)))
    if not whole or (len(where) and not (where.min() >= 0 and where.max() < rows)):
        raise InputError(
            f"{index.name}: expected whole numbers from 0 to {rows - 1} (the rows of the features)"
        )
    where = where.astype(np.int64)
    if len(np.unique(where)) < len(where):
        raise InputError(f"{index.name}: lists a row twice; list every labelled row once")
    return where


def _matched(values: NDArray, where: NDArray, table: Table, index: Table, rows: int) -> NDArray:
    if len(values) == len(where):
        return values
    if len(values) == rows:
        return values[where]
    raise InputError(
        f"{table.name}: shape {table.shape}, but {index.name} lists {len(where)} rows of {rows}; "
        "give one label for each listed row"
    )


def _interpret(table: Table, where: NDArray, values: NDArray, task: str) -> Labels:
    count = len(values)
    if count < LEAST:
        raise InputError(
            f"{table.name}: shape {table.shape}, with {count} labels; at least {LEAST} are needed "
            "to say anything: label more rows"
        )
    distinct = np.unique(values)
    if len(distinct) < 2:
        raise InputError(
            f"{table.name}: shape {table.shape}, all {count} labels are {distinct[0]}; nothing "
            "can be learnt from them"
        )
    text = values.dtype.kind in "Ub"
    whole = not text and bool(np.all(values.astype(float) % 1 == 0))
    classes = task == "classification" or (
        task == "auto" and (text or (whole and len(distinct) <= MOST_CLASSES))
    )
    decided = "auto" if task == "auto" else "given"
    if not classes:
        if values.dtype.kind == "U":
            raise InputError(
                f"{table.name}: shape {table.shape}, labels are texts such as {distinct[0]!r}, "
                "which are no numbers; use --task classification"
            )
        return Labels("regression", where, values.astype(float), (), decided)
    codes = np.searchsorted(distinct, values)
    rarest = int(np.bincount(codes).min())
    if count < 5 * len(distinct) or rarest < PER_CLASS:
        raise InputError(
            f"{table.name}: shape {table.shape}, {count} labels of {len(distinct)} classes, the "
            f"rarest with {rarest}; fewer labels than these classes need (5 a class on average, "
            f"{PER_CLASS} of each): label more rows, join classes, or use --task regression"
        )
    names = tuple(_name(value) for value in distinct)
    return Labels(
        "binary" if len(distinct) == 2 else "multiclass", where, codes.astype(float), names, decided
    )


def _name(value: object) -> str:
    return f"{value:g}" if isinstance(value, np.floating) else str(value)
