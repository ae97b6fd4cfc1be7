"""A user's labels: which rows have one, and whether they are numbers or classes."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from w2s_report.readers import MISSING, InputError, Table, refusal

Task = Literal["regression", "binary", "multiclass"]
LEAST = 20  # labels
MOST_CLASSES = 20  # whole numbers with more values than this are measurements, unless told
PER_CLASS = 2
CODES = (-1.0, -9.0, -99.0, -100.0, -999.0, -9999.0, -99999.0, 99.0, 999.0, 9999.0, 99999.0)


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels of some of the rows."""

    task: Task
    rows: NDArray[np.int64]
    """Shape (L,). Labelled rows, growing."""
    values: NDArray[np.float64]
    """Shape (L,). Numbers, or the positions of the classes in ``classes``."""
    classes: tuple[str, ...]
    """Empty for regression."""

    @property
    def middle(self) -> float:
        """Taken off numbers: heads have an intercept, and what all labels share costs digits."""
        return 0.0 if self.classes else float(self.values.mean())

    @property
    def one_hot(self) -> NDArray[np.float64]:
        """One class a column."""
        return np.eye(len(self.classes))[self.values.astype(int)]

    @property
    def targets(self) -> NDArray[np.float64]:
        """Columns for least squares: numbers less `middle`, the second class, or `one_hot`."""
        return self.one_hot if len(self.classes) > 2 else self.values[:, None] - self.middle


@dataclass(frozen=True, eq=False)
class Predictions:
    """A model's answers for all inputs."""

    values: NDArray[np.float64]
    """Shape (rows, 1) of numbers, or (rows, classes) of probabilities; NaN where there are none."""
    hard: bool
    """Whether they were classes, without probabilities."""


def read_predictions(table: Table, labels: Labels, rows: int) -> Predictions:
    """Read a model's answers: numbers, classes, probabilities or logits.

    The table has a row for each input. For numbers it has one column. For classes it has one column
    of classes as in the labels, or for two classes the probability or the logit of the second; or
    one column for each class, in the order of their names: probabilities where they are in [0, 1]
    and sum to 1, else logits.

    Raises
    ------
    InputError
        In one line.
    """
    wide = len(table.shape) == 2 and table.shape[1] > 1
    classes = labels.classes
    expected = f"expected numbers for {rows} inputs"
    if classes:
        expected = f"expected, for {rows} inputs, one of the classes {', '.join(classes[:20])}, "
        expected += "or a probability or a logit of each in a column of its own"
    if table.shape[0] != rows or (wide and table.shape[1:] != (len(classes),)):
        raise InputError(f"{table.name}: shape {table.shape}; {expected}")
    values = table.all() if wide else _column(table)
    found = np.full((rows, max(len(classes), 1)), np.nan)
    if wide:
        there = np.isfinite(values.astype(float)).all(axis=1)
        known = values[there].astype(float)
    else:
        there = ~_missing(values)
        known = _as_numbers(values[there])
    if not len(known):
        raise InputError(f"{table.name}: holds no finite answer; {expected}")
    if not wide:
        named = np.array([_name(v) for v in known])
        if classes and np.isin(named, classes).all():
            found[there] = named[:, None] == np.array(classes)
            return Predictions(found, True)
        if known.dtype.kind == "U" or len(classes) > 2:
            odd = next(name for name in named if name not in classes)
            raise InputError(f"{table.name}: holds '{odd}'; {expected}")
    if not classes:
        found[there, 0] = known
        return Predictions(found, False)
    inside = known.min() >= 0 and known.max() <= 1
    if not wide:
        second = known.astype(float) if inside else special.expit(known)
        found[there] = np.column_stack([1 - second, second])
        return Predictions(found, False)
    sums = known.sum(axis=1, keepdims=True)
    inside = inside and np.abs(sums - 1).max() < 1e-3
    found[there] = known / sums if inside else special.softmax(known, axis=1)
    return Predictions(found, bool(inside and np.isin(known, (0, 1)).all()))


def read_labels(
    table: Table, index: Table | None, rows: int, task: str, missing: str | None = None
) -> Labels:
    """Check labels and say what kind they are; ``rows`` of features, options as in `Options`.

    The table has one column; NaN, or a word such as "", "NA" or "None", where a row has no label.
    With an index (labelled rows, counted from 0) it has a label for each of these, or for all rows.

    Raises
    ------
    InputError
        In one line.
    """
    values = _column(table)
    if index is None:
        if len(values) != rows:
            raise refusal("labels for other rows", table=table, rows=rows)
        where = np.arange(rows)
    else:
        where = _positions(index, rows)
        if len(values) == rows != len(where):
            values = values[where]
        elif len(values) != len(where):
            raise refusal("labels by index", table=table, index=index, where=where, rows=rows)
    gone = _missing(values)
    where, values = where[~gone], _as_numbers(values[~gone])
    coded = _coded(table, values, missing)
    where, values = where[~coded], values[~coded]
    order = np.argsort(where)
    return _interpret(table, where[order], values[order], task)


def _coded(table: Table, values: NDArray, missing: str | None) -> NDArray[np.bool_]:
    """Labels that are a code for none; refuse what looks like one unless it is named."""
    if missing is not None:
        return np.array([_name(v) == missing for v in values], bool)
    numbers = values if values.dtype.kind in "iuf" else values[:0]
    for code in {float(end(numbers)) for end in (np.min, np.max) if len(numbers)} & set(CODES):
        others = values[values != code]
        count = len(values) - len(others)
        beyond = len(others) and ((others >= 0).all() if code < 0 else (others < code / 2).all())
        if count > 1 and beyond and set(np.unique(others)) != {-code}:
            raise refusal("code for missing", table=table, count=count, code=code)
    return np.zeros(len(values), bool)


def _name(value: Any) -> str:
    return f"{value:g}" if isinstance(value, np.floating) else str(value)


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
    if len(table.shape) > 2 or table.shape[1:] not in ((), (1,)):
        raise refusal("labels of many columns", table=table)
    values = table.all().reshape(-1)
    if values.dtype.kind == "S":
        try:
            values = np.char.decode(values, "utf-8")
        except UnicodeDecodeError:
            raise InputError(f"{table.name}: labels are bytes that are no UTF-8 text") from None
    if values.dtype.kind == "f" and np.isinf(values).any():
        first = int(np.flatnonzero(np.isinf(values))[0])
        raise refusal("infinite label", table=table, first=first)
    return values


def _positions(index: Table, rows: int) -> NDArray[np.int64]:
    where = index.all()
    if where.ndim == 2 and 1 in where.shape:
        where = where.ravel()
    if where.ndim != 1 or where.dtype.kind not in "iuf":
        raise refusal("index of no rows", index=index)
    whole = where.dtype.kind in "iu" or bool(np.all(np.isfinite(where) & (where == where // 1)))
    if not whole or (len(where) and not (where.min() >= 0 and where.max() < rows)):
        raise refusal("index beyond rows", index=index, last=rows - 1)
    where = where.astype(np.int64)
    if len(np.unique(where)) < len(where):
        raise InputError(f"{index.name}: lists a row twice; list every labelled row once")
    return where


def _interpret(table: Table, where: NDArray, values: NDArray, task: str) -> Labels:
    count = len(values)
    if count < LEAST:
        raise refusal("few labels", table=table, count=count, least=LEAST)
    distinct = np.unique(values)
    if len(distinct) < 2:
        raise refusal("labels all alike", table=table, count=count, distinct=distinct)
    text = values.dtype.kind in "Ub"
    if not text:
        low, high = float(distinct[0]), float(distinct[-1])
        if not max(1e-100, 1e4 * np.spacing(max(-low, high))) < high - low < 1e100:
            raise refusal("labels lost to rounding", table=table, low=low, high=high)
    whole = not text and bool(np.all(values.astype(float) % 1 == 0))
    classes = task == "classification" or (
        task == "auto" and (text or (whole and len(distinct) <= MOST_CLASSES))
    )
    if not classes:
        if values.dtype.kind == "U":
            raise refusal("labels are texts", table=table, distinct=distinct)
        return Labels("regression", where, values.astype(float), ())
    codes = np.searchsorted(distinct, values)
    rarest = int(np.bincount(codes).min())
    if count < 5 * len(distinct) or rarest < PER_CLASS:
        found = {"count": count, "classes": len(distinct), "rarest": rarest, "each": PER_CLASS}
        raise refusal("few labels of a class", table=table, **found)
    names = tuple(map(_name, distinct))
    kind: Task = "binary" if len(distinct) == 2 else "multiclass"
    return Labels(kind, where, codes.astype(float), names)
