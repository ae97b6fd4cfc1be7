"""All inputs of a report, opened and checked as far as that goes without reading the features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from w2s_report.labels import Labels, read_labels
from w2s_report.readers import InputError, Table, open_table

Source = str | Path | ArrayLike
STRONG = "strong"
_RESERVED = (STRONG, "labels", "index")
_LOOKED_AT = 256  # first rows, for a column that counts them


@dataclass(frozen=True, eq=False)
class Features:
    """Features of all inputs under one model: one table, or several one below the other."""

    name: str
    tables: tuple[Table, ...]

    @property
    def rows(self) -> int:
        """Number of inputs."""
        return sum(table.shape[0] for table in self.tables)

    @property
    def columns(self) -> int:
        """Number of features."""
        return self.tables[0].shape[1]

    @property
    def precise(self) -> bool:
        """Whether single precision would lose something."""
        return any(np.result_type(t.dtype, np.float16).itemsize > 4 for t in self.tables)

    @property
    def files(self) -> str:
        """What an error calls them."""
        return ", ".join(table.name for table in self.tables)

    def read(self, start: int, stop: int) -> NDArray:
        """Return rows from ``start`` up to ``stop``."""
        parts, begin = [], 0
        for table in self.tables:
            end = begin + table.shape[0]
            low, high = max(start, begin), min(stop, end)
            if low < high:
                parts.append(table.rows(low - begin, high - begin))
            begin = end
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


@dataclass(frozen=True, eq=False)
class Inputs:
    """What a report is made of.

    Attributes
    ----------
    strong : Features
        Of the student.
    weak : tuple of Features
        Of each teacher, on the same rows.
    labels : Labels
    tables : dict of str to Table
        Every table opened, by what it is.
    """

    strong: Features
    weak: tuple[Features, ...]
    labels: Labels
    tables: Mapping[str, Table]

    @property
    def models(self) -> tuple[Features, ...]:
        """All features, the student's first."""
        return (self.strong, *self.weak)


def open_inputs(
    weak: Mapping[str, Source],
    strong: Source,
    labels: Source,
    *,
    index: Source | None = None,
    unlabelled: Mapping[str, Source] | None = None,
    task: str = "auto",
) -> Inputs:
    """Open everything and check what can be checked without reading the features.

    Parameters
    ----------
    weak, strong, labels, index, unlabelled
        As for `w2s_report.report`.
    task : {"auto", "regression", "classification"}

    Returns
    -------
    Inputs

    Raises
    ------
    InputError
        In one line: what is wrong with which file, and what to do.
    """
    further = _check_named(weak, unlabelled)
    models = tuple(
        _open_model(name, source, further.get(name))
        for name, source in ((STRONG, strong), *weak.items())
    )
    for model in models[1:]:
        _check_rows(model, models[0])
    tables = {}
    for model in models:
        named = (model.name, f"{model.name}, unlabelled")
        tables |= dict(zip(named, model.tables, strict=False))
    tables["labels"] = open_table(labels, "labels")
    if index is not None:
        tables["index"] = open_table(index, "index")
    rows = models[0].tables[0].shape[0]
    known = read_labels(tables["labels"], tables.get("index"), rows, task)
    return Inputs(models[0], models[1:], known, tables)


def _check_named(
    weak: Mapping[str, Source], unlabelled: Mapping[str, Source] | None
) -> Mapping[str, Source]:
    further = {} if unlabelled is None else unlabelled
    for name, given in (("weak", weak), ("unlabelled", further)):
        if not isinstance(given, Mapping):
            raise InputError(
                f"{name}: expected features by the model's name, such as {{'small': array}}, got "
                f"{type(given).__name__}"
            )
    if not weak:
        raise InputError("weak: expected at least one teacher; give --weak name=file")
    if set(_RESERVED) & set(weak):
        raise InputError(f"weak: a teacher cannot be called {', '.join(_RESERVED)}; rename it")
    names = [STRONG, *weak]
    if further and set(further) != set(names):
        raise InputError(
            f"unlabelled: expected features for {', '.join(names)}, got "
            f"{', '.join(map(str, further))}; give the further rows of every model"
        )
    return further


def _open_model(name: str, source: Source, further: Source | None) -> Features:
    tables = [open_table(source, f"{name} features")]
    if further is not None:
        tables.append(open_table(further, f"further {name} features"))
    for table in tables:
        _check_features(table)
    if tables[-1].shape[1] != tables[0].shape[1]:
        raise InputError(
            f"{tables[1].name}: shape {tables[1].shape}, but {tables[0].name} has "
            f"{tables[0].shape[1]} columns; both must come from the same model"
        )
    return Features(name, tuple(tables))


def _check_rows(model: Features, strong: Features) -> None:
    for other, first in zip(model.tables, strong.tables, strict=True):
        if other.shape[0] != first.shape[0]:
            raise InputError(
                f"{other.name}: shape {other.shape}, but {first.name} has shape {first.shape}; "
                "both must have one row for each input, in the same order"
            )


def _check_features(table: Table) -> None:
    if table.dtype.kind not in "biuf":
        raise InputError(
            f"{table.name}: features are texts (shape {table.shape}); give columns of numbers"
        )
    if len(table.shape) != 2 or 0 in table.shape:
        raise InputError(
            f"{table.name}: shape {table.shape}; expected a row for each input and a column for "
            "each feature"
        )
    first = table.rows(0, min(table.shape[0], _LOOKED_AT)).astype(float)
    counting = np.flatnonzero((np.diff(first, axis=0) == 1).all(axis=0))
    if len(first) > 2 and len(counting):
        raise InputError(
            f"{table.name}: column {counting[0]} counts the rows ({first[0, counting[0]]:g}, "
            f"{first[1, counting[0]]:g}, ...); remove it, for it is no feature of the inputs"
        )
