"""The form of ``report.json``: written from the dataclasses by pydantic, and read back by them.

A number that is not finite is null, since JSON has no other word for it.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, TypeAdapter, ValidationError
from pydantic.json_schema import GenerateJsonSchema

from w2s_utils.geometry import Range

if TYPE_CHECKING:
    from w2s_report.card import ReportCard

FORMAT: Literal[1] = 1


def _not_finite(value: Any) -> Any:
    return math.nan if value is None else value


def _ends_not_finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _not_finite(end) for name, end in value.items()}
    return value


Number = Annotated[float, BeforeValidator(_not_finite)]
Interval = Annotated[Range, BeforeValidator(_ends_not_finite)]


class _NullIsNotFinite(GenerateJsonSchema):
    def float_schema(self, schema: Any) -> dict[str, Any]:
        return {"type": ["number", "null"]}


@functools.cache
def _adapter() -> TypeAdapter[ReportCard]:
    from w2s_report.card import ReportCard

    return TypeAdapter(ReportCard)


def schema() -> dict[str, Any]:
    """Return the JSON schema of ``report.json`` (draft 2020-12)."""
    written = _adapter().json_schema(schema_generator=_NullIsNotFinite, mode="serialization")
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        **written,
        "title": f"report.json of w2s report, format {FORMAT}",
    }


def to_dict(card: ReportCard) -> dict[str, Any]:
    """Return what ``report.json`` holds of a report."""
    return json.loads(_adapter().dump_json(card))


def validate(report: Mapping[str, Any]) -> ReportCard:
    """Read ``report.json`` back.

    Parameters
    ----------
    report : mapping
        As `json.load` gives it.

    Returns
    -------
    ReportCard

    Raises
    ------
    ValueError
        In one line, naming the first place that is wrong.
    """
    try:
        return _adapter().validate_python(report)
    except ValidationError as error:
        first = error.errors()[0]
        where = "/".join(map(str, first["loc"])) or "top"
        raise ValueError(f"report: {where}: {first['msg'].lower()}") from None
