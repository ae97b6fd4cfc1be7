"""The report as a value: one frozen dataclass, from which the JSON and its schema are written.

A number that is not finite is null there, since JSON has no other word for it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from w2s_report.comparison import Comparison
from w2s_report.labels import Task
from w2s_report.spectra import Described
from w2s_report.teachers import Teacher
from w2s_report.verdict import Ranking, Verdict


@dataclass(frozen=True, kw_only=True)
class Representation(Described):
    """One model's features."""

    role: Literal["strong", "weak"]
    held: Mapping[str, int]
    """Directions that hold a share of the variance, by share."""


@dataclass(frozen=True)
class Data:
    """What was given."""

    rows: int
    labelled: int
    unlabelled: int
    labelled_used: int
    """Labelled rows that were kept in memory; others count as unlabelled."""
    repeated: int
    """Rows whose strong features an earlier row has as well."""
    task: Task
    classes: Mapping[str, int]
    """Labels of each class."""
    label_mean: float | None
    label_sd: float | None
    """Regression only."""
    representations: tuple[Representation, ...]


@dataclass(frozen=True)
class File:
    """One input: what it is, the file's name without its folder, and the SHA-256 of its bytes."""

    name: str
    file: str
    shape: tuple[int, ...]
    dtype: str
    sha256: str
    reordered: bool
    """Whether its rows were put in the order of the first file, by the key."""


@dataclass(frozen=True)
class Provenance:
    """Where the numbers come from."""

    parameters: Mapping[str, Any]
    """Settings, as in `w2s_report.options.Options`, that the numbers depend on."""
    files: tuple[File, ...]
    versions: Mapping[str, str]
    """Of Python and the packages."""


@dataclass(frozen=True)
class ReportCard:
    """The report."""

    data: Data
    teachers: tuple[Teacher, ...]
    """Those with features, in the order given: least squares, and what formulas say of it."""
    comparisons: tuple[Comparison, ...]
    """What the verdict rests on: every teacher and student beside their rivals."""
    rankings: tuple[Ranking, ...]
    verdict: Verdict
    design: Mapping[str, int]
    """Of least squares: `w2s_report.comparison.Design`, with ``trials`` and ``folds``."""
    provenance: Provenance
    notes: tuple[str, ...] = ()
    """What a folder of finished runs lacks."""
    format: Literal[2] = 2
    """Of the JSON."""

    @property
    def chosen(self) -> Comparison:
        """That of the verdict."""
        told = self.verdict.teacher, self.verdict.student
        return next(c for c in self.comparisons if (c.teacher, c.student) == told)

    def to_dict(self) -> dict[str, Any]:
        """Return what ``report.json`` holds; numbers that are not finite become null."""
        return json.loads(TypeAdapter(ReportCard).dump_json(self))


class _NullIsNotFinite(GenerateJsonSchema):
    def float_schema(self, schema: Any) -> dict[str, Any]:
        return {"type": ["number", "null"]}


def schema() -> dict[str, Any]:
    """Return the JSON schema of ``report.json`` (draft 2020-12)."""
    adapter = TypeAdapter(ReportCard)
    written = adapter.json_schema(schema_generator=_NullIsNotFinite, mode="serialization")
    title = f"report.json of w2s report, format {ReportCard.format}"
    return {"$schema": GenerateJsonSchema.schema_dialect, **written, "title": title}
