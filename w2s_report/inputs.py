"""All inputs of a report, opened and checked as far as that goes without reading the features.

A model comes as features, from which heads are fitted, or as its predictions, which are used as
they are: of a teacher, of its student, of the strong model on the labels (baseline) or on all true
labels (ceiling).
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from w2s_report.comparison import STRONG, Match
from w2s_report.labels import Labels, Predictions, read_labels, read_predictions
from w2s_report.options import Options
from w2s_report.readers import InputError, Table, aligned, open_table, refusal

Source = str | Path | ArrayLike
_RESERVED = ("labels", "index", "baseline", "ceiling")
_LOOKED_AT = 256  # first rows, for a column that counts or names them
_TOLD_APART = 20  # rows whose whole numbers are never twice the same, or never fall


@dataclass(frozen=True, eq=False)
class Inputs:
    """What a report is made of."""

    models: Mapping[str, Table]
    """All features, on the same rows: the students' first, then each teacher's; or none."""
    labels: Labels
    tables: Mapping[str, Table]
    """Every table opened, by what it is."""
    rows: int
    """Inputs."""
    matches: tuple[Match, ...]
    """Every teacher and student that can be compared."""
    predictions: Mapping[tuple[str, str], Predictions]
    """By `w2s_report.comparison.Match.key`."""

    @property
    def fitted(self) -> tuple[Match, ...]:
        """Those of which there are features."""
        return tuple(match for match in self.matches if {*match} <= {*self.models})


def open_inputs(
    weak: Mapping[str, Source] | None,
    strong: Source | Mapping[str, Source] | None,
    labels: Source,
    index: Source | None,
    unlabelled: Mapping[str, Source] | None,
    predictions: Mapping[str, Any],
    settings: Options,
) -> Inputs:
    """Open everything and check what can be checked without reading the features.

    Arguments are those of `w2s_report.analysis.report`, predictions by role.

    Raises
    ------
    InputError
        In one line: what is wrong with which file, and what to do.
    """
    weak, further = ({} if given is None else given for given in (weak, unlabelled))
    if not isinstance(strong, Mapping):
        strong = {} if strong is None else {"": strong}
    strong = {name or STRONG: source for name, source in strong.items()}
    _check_named(weak, further, [*strong, *weak])
    matches, given = _by_key(predictions, weak, strong)
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
    for name, source in {**strong, **weak}.items():
        table = opened(source, f"{name} features", next(iter(tables.values()), None), whole=True)
        tables[name] = models[name] = table
        _check_features(table)
        if further:
            first = tables.get(f"{next(iter(models))}, unlabelled")
            below = opened(further[name], f"further {name} features", first, whole=True)
            _check_features(below)
            if below.shape[1] != table.shape[1]:
                raise refusal("further columns", below=below, table=table)
            tables[f"{name}, unlabelled"], models[name] = below, table.followed_by(below)
    _check_rows([tables[name] for name in models])
    _check_rows([tables[f"{name}, unlabelled"] for name in models if further])
    answers: dict[tuple[str, str], Table] = {}
    for (role, name), source in given.items():
        told = f"{role} predictions of {name}"
        first = next(iter([*models.values(), *answers.values()]), None)
        answers[role, name] = tables[told] = opened(source, told, first)
    whole = next(iter([*models.values(), *answers.values()]))
    first = tables[next(iter(models))] if models else whole
    tables["labels"] = opened(labels, "labels", first)
    if index is not None:
        tables["index"] = open_table(index, "index")
    known = read_labels(
        tables["labels"], tables.get("index"), first.shape[0], settings.task, settings.missing
    )
    found = {who: read_predictions(table, known, whole.shape[0]) for who, table in answers.items()}
    return Inputs(models, known, tables, whole.shape[0], matches, found)


def _by_key(
    predictions: Mapping[str, Any], weak: Mapping[str, Source], strong: Mapping[str, Source]
) -> tuple[tuple[Match, ...], dict[tuple[str, str], Source]]:
    """Every teacher and student that can be compared, and predictions by `Match.key`."""
    sources: dict[str, Mapping[str, Source]] = {}
    for role, given in predictions.items():
        if role in ("baseline", "ceiling") and not isinstance(given, Mapping):
            given = None if given is None else {"": given}
        if not isinstance(given, Mapping | None):
            raise refusal("answers without names", role=role, got=type(given).__name__)
        sources[role] = given or {}
    teachers = [*weak, *sources["teacher"]]
    taught = {_match(name, teachers, [*strong]): s for name, s in sources["student"].items()}
    students = list(dict.fromkeys([*strong, *(match.student for match in taught)]))
    known = {match.key("student") for match in taught}
    pairs = [Match(*names) for names in itertools.product(teachers, students)]
    matches = tuple(m for m in pairs if m.student in strong or m.key("student") in known)
    if weak and not strong:
        raise InputError("strong: expected the strong model's features beside the weak ones'")
    if not teachers:
        raise refusal("no teacher")
    names = [*teachers, *students]
    if len(set(names)) < len(names) or set(_RESERVED) & set(names):
        raise refusal("name", reserved=", ".join(_RESERVED), names=", ".join(names))
    alone = [name for name in teachers if all(match.teacher != name for match in matches)]
    if alone:
        raise refusal("no student", names=", ".join(alone))
    found = {("teacher", name): source for name, source in sources["teacher"].items()}
    found |= {match.key("student"): source for match, source in taught.items()}
    for role in ("baseline", "ceiling"):
        for name, source in sources[role].items():
            whose = students[0] if not name and len(students) == 1 else name
            if whose not in students:
                raise refusal("whose", role=role, name=name, students=students)
            found[role, whose] = source
    return matches, found


def _match(name: str, teachers: Sequence[str], strong: Sequence[str]) -> Match:
    """The teacher and the student of ``teacher``, the only student's, or ``teacher:student``."""
    for teacher in sorted(teachers, key=len, reverse=True):
        if name == teacher and len(strong) < 2:
            return Match(teacher, strong[0] if strong else STRONG)
        if name.startswith(f"{teacher}:"):
            return Match(teacher, name.removeprefix(f"{teacher}:"))
    raise refusal("student without teacher", name=name)


def _check_named(weak: Any, further: Any, models: Sequence[str]) -> None:
    for name, given in (("weak", weak), ("unlabelled", further)):
        if not isinstance(given, Mapping):
            raise refusal("features without names", name=name, got=type(given).__name__)
    if further and set(further) != set(models):
        raise refusal("further rows of some models", models=models, got=[*further])


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
