"""All inputs of a report, opened and checked as far as that goes without reading the features.

A model comes as features, from which heads are fitted, or as its predictions, which are used as
they are: of a teacher, of its student, of the strong model on the labels (baseline) or on all true
labels (ceiling).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from w2s_report.labels import Labels, Predictions, read_labels, read_predictions
from w2s_report.options import Options
from w2s_report.readers import InputError, Table, aligned, open_table, refusal

Source = str | Path | ArrayLike
STRONG = "strong"
_RESERVED = (STRONG, "labels", "index", "baseline", "ceiling")
_LOOKED_AT = 256  # first rows, for a column that counts or names them
_TOLD_APART = 20  # rows whose whole numbers are never twice the same, or never fall


@dataclass(frozen=True, eq=False)
class Inputs:
    """What a report is made of."""

    models: Mapping[str, Table]
    """All features, on the same rows: the student's first, then each teacher's; or none."""
    labels: Labels
    tables: Mapping[str, Table]
    """Every table opened, by what it is."""
    rows: int
    """Inputs."""
    teachers: tuple[str, ...]
    """Those with features first."""
    predictions: Mapping[tuple[str, str], Predictions]
    """By role and teacher, "" for baseline and ceiling."""


def open_inputs(
    weak: Mapping[str, Source] | None,
    strong: Source | None,
    labels: Source,
    index: Source | None,
    unlabelled: Mapping[str, Source] | None,
    predictions: Mapping[str, Any],
    settings: Options,
) -> Inputs:
    """Open everything and check what can be checked without reading the features.

    Arguments are those of `w2s_report.analysis.report`, predictions by role and teacher ("" for
    baseline and ceiling).

    Raises
    ------
    InputError
        In one line: what is wrong with which file, and what to do.
    """
    weak, further = ({} if given is None else given for given in (weak, unlabelled))
    _check_named(weak, further)
    given = _by_role(predictions)
    teachers = _check_roles(weak, strong, given)
    if settings.budget is not None and not weak:
        raise refusal("budget without features")
    key = settings.key
    if key is not None and index is not None:
        raise refusal("index and key")

    def opened(source: Source, told: str, first: Table | None, whole: bool = False) -> Table:
        table = open_table(source, told, key)
        return table if key is None or first is None else aligned(table, first, whole=whole)

    tables: dict[str, Table] = {}
    models: dict[str, Table] = {}
    for name, source in {} if strong is None else {STRONG: strong, **weak}.items():
        table = opened(source, f"{name} features", tables.get(STRONG), whole=True)
        tables[name] = models[name] = table
        _check_features(table)
        if further:
            first = tables.get(f"{STRONG}, unlabelled")
            below = opened(further[name], f"further {name} features", first, whole=True)
            _check_features(below)
            if below.shape[1] != table.shape[1]:
                raise refusal("further columns", below=below, table=table)
            tables[f"{name}, unlabelled"], models[name] = below, table.followed_by(below)
    _check_rows([tables[name] for name in models])
    _check_rows([tables[f"{name}, unlabelled"] for name in models if further])
    answers: dict[tuple[str, str], Table] = {}
    for (role, name), source in given.items():
        told = f"{role} predictions{f' of {name}' if name else ''}"
        first = models.get(STRONG, next(iter(answers.values()), None))
        answers[role, name] = tables[told] = opened(source, told, first)
    first = tables[STRONG] if models else next(iter(answers.values()))
    rows = models[STRONG].shape[0] if models else first.shape[0]
    tables["labels"] = opened(labels, "labels", first)
    if index is not None:
        tables["index"] = open_table(index, "index")
    known = read_labels(
        tables["labels"], tables.get("index"), first.shape[0], settings.task, settings.missing
    )
    found = {role: read_predictions(table, known, rows) for role, table in answers.items()}
    return Inputs(models, known, tables, rows, teachers, found)


def _check_roles(
    weak: Mapping[str, Source], strong: Source | None, predictions: Mapping[tuple[str, str], Source]
) -> tuple[str, ...]:
    """Return the teachers: each has answers and a student, and every student a teacher."""
    said = [name for role, name in predictions if role == "teacher"]
    teachers = (*weak, *said)
    if weak and strong is None:
        raise InputError("strong: expected the strong model's features beside the weak ones'")
    if not teachers:
        raise refusal("no teacher")
    if len(set(teachers)) < len(teachers) or set(_RESERVED) & set(teachers):
        reserved, names = ", ".join(_RESERVED), ", ".join(teachers)
        raise refusal("teacher's name", reserved=reserved, names=names)
    students = {name for role, name in predictions if role == "student"}
    if not students <= set(teachers):
        raise refusal("student without teacher", names=", ".join(sorted(students - set(teachers))))
    if strong is None and not set(said) <= students:
        raise refusal("no student", names=", ".join(sorted(set(said) - students)))
    return teachers


def _check_named(weak: Mapping[str, Source], further: Mapping[str, Source]) -> None:
    for name, given in (("weak", weak), ("unlabelled", further)):
        if not isinstance(given, Mapping):
            raise refusal("features without names", name=name, got=type(given).__name__)
    if further and set(further) != {STRONG, *weak}:
        models, got = ", ".join([STRONG, *weak]), ", ".join(map(str, further))
        raise refusal("further rows of some models", models=models, got=got)


def _by_role(predictions: Mapping[str, Any]) -> dict[tuple[str, str], Source]:
    """Predictions by role and teacher, "" for baseline and ceiling."""
    found: dict[tuple[str, str], Source] = {}
    for role, sources in predictions.items():
        if not isinstance(sources, Mapping | None):
            raise refusal("answers without names", role=role, got=type(sources).__name__)
        for name, source in (sources or {}).items():
            if name or source is not None:
                found[role, name] = source
    return found


def _check_rows(tables: Sequence[Table]) -> None:
    for other in tables:
        if other.shape[0] != tables[0].shape[0]:
            raise refusal("other rows", other=other, tables=tables)


def _check_features(table: Table) -> None:
    if table.dtype.kind not in "biuf":
        raise refusal("features are texts", table=table)
    if len(table.shape) != 2 or 0 in table.shape:
        raise refusal("no matrix of features", table=table)
    if table.shape[1] == 1:
        raise refusal("single column", table=table)
    first = table.rows(0, min(table.shape[0], _LOOKED_AT)).astype(float)
    if len(first) < _TOLD_APART or not np.isfinite(first).all():
        return  # the pass over the rows says where
    whole = (first % 1 == 0).all(axis=0)
    steps = np.diff(first, axis=0)
    varies = (steps != 0).any(axis=0)
    spread = np.sort(first, axis=0)
    values = 1 + (np.diff(spread, axis=0) > 0).sum(axis=0)
    counts = varies & (np.abs(steps - steps[0]) <= 1e-9 * np.abs(steps[0])).all(axis=0)
    ordered = whole & (values > 2) & ((steps >= 0).all(axis=0) | (steps <= 0).all(axis=0))
    names = whole & (values == len(first))
    if names.mean() > 0.5:  # features that are counts
        names[:] = False
    for found, what in ((counts, "counts the rows"), (ordered, "is sorted, as a group's number"),
                        (names, "is different in every row, as a name is")):  # fmt: skip
        for column in np.flatnonzero(found):
            start = f"{first[0, column]:g}, {first[1, column]:g}, ..."
            raise refusal("column of names", table=table, column=column, what=what, start=start)
