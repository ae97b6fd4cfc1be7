"""All inputs of a report, opened and checked as far as that goes without reading the features."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from numpy.typing import ArrayLike

from w2s_report.labels import Labels, read_labels
from w2s_report.one_pass import FEWEST_FOLDS, Features
from w2s_report.readers import InputError, Table, open_table

Source = str | Path | ArrayLike
STRONG = "strong"


def look(
    weak: Mapping[str, Source],
    strong: Source,
    labels: Source,
    *,
    index: Source | None,
    unlabelled: Mapping[str, Source] | None,
    task: str,
    share: float,
    trials: int,
    folds: int,
    jobs: int,
) -> tuple[list[Features], list[tuple[str, Table]], Labels]:
    """Open everything and check what can be checked without reading the features.

    Parameters
    ----------
    weak, strong, labels, index, unlabelled, task, share, trials, folds, jobs
        As for `report`.

    Returns
    -------
    models : list of Features
        The strong one first.
    tables : list of (str, Table)
        Every input by name.
    labels : Labels

    Raises
    ------
    InputError
        In one line.
    """
    if not 0 < share < 1:
        raise InputError(f"share: expected a number between 0 and 1, got {share!r}")
    for name, value, least, most in (
        ("trials", trials, 4, 10_000),
        ("folds", folds, FEWEST_FOLDS, 100),
        ("jobs", jobs, 1, 1024),
    ):
        if not least <= value <= most:
            raise InputError(f"{name}: expected a number from {least} to {most}, got {value!r}")
    models, tables = _open(weak, strong, unlabelled)
    tables.append(("labels", open_table(labels, "labels")))
    if index is not None:
        tables.append(("index", open_table(index, "index")))
    named = dict(tables)
    known = read_labels(named["labels"], named.get("index"), models[0].tables[0].shape[0], task)
    return models, tables, known


def _open(
    weak: Mapping[str, Source], strong: Source, unlabelled: Mapping[str, Source] | None
) -> tuple[list[Features], list[tuple[str, Table]]]:
    """Open all features, the strong ones first, and check that their shapes go together."""
    if not weak:
        raise InputError("weak: expected at least one teacher; give --weak name=file")
    if STRONG in weak or {"labels", "index"} & set(weak):
        raise InputError("weak: a teacher cannot be called strong, labels or index; rename it")
    extra = dict(unlabelled or {})
    names = [STRONG, *weak]
    if extra and sorted(extra) != sorted(names):
        raise InputError(
            f"unlabelled: expected features for {', '.join(names)}, got {', '.join(extra)}; give "
            "the further rows of every model"
        )
    models, tables = [], []
    for name, source in ((STRONG, strong), *weak.items()):
        given = [open_table(source, f"{name} features")]
        if name in extra:
            given.append(open_table(extra[name], f"further {name} features"))
        for table in given:
            _check_features(table)
        if len({table.shape[1] for table in given}) > 1:
            raise InputError(
                f"{given[1].name}: shape {given[1].shape}, but {given[0].name} has "
                f"{given[0].shape[1]} columns; both must come from the same model"
            )
        models.append(Features(name, tuple(given)))
        tables += [(name if i == 0 else f"{name}, unlabelled", t) for i, t in enumerate(given)]
    for part in range(len(models[0].tables)):
        first = models[0].tables[part]
        for model in models[1:]:
            other = model.tables[part]
            if other.shape[0] != first.shape[0]:
                raise InputError(
                    f"{other.name}: shape {other.shape}, but {first.name} has shape {first.shape}; "
                    "both must have one row for each input, in the same order"
                )
    return models, tables


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
