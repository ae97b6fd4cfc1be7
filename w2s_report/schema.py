"""The form of ``report.json``: written from the dataclasses by pydantic.

A number that is not finite is null, since JSON has no other word for it.
"""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any, Literal

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

if TYPE_CHECKING:
    from w2s_report.card import ReportCard

FORMAT: Literal[2] = 2


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
