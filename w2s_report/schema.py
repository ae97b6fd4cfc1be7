"""The form of ``report.json``: a JSON schema that is shipped, and what is checked against it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

FORMAT = 1
MIME = "application/vnd.w2s.report+json"


def schema() -> dict[str, Any]:
    """Return the JSON schema of ``report.json``."""
    text = resources.files("w2s_report").joinpath("report.schema.json").read_text("utf-8")
    return json.loads(text)


def validate(report: Mapping[str, Any]) -> None:
    """Check a report against the schema.

    Raises
    ------
    ValueError
        In one line, naming the place.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    error = best_match(Draft202012Validator(schema()).iter_errors(report))
    if error is not None:
        where = "/".join(map(str, error.absolute_path)) or "top"
        raise ValueError(f"report: {where}: {error.message[:300]}")


def violations(report: Mapping[str, Any]) -> int:
    """Count what the schema objects to."""
    from jsonschema import Draft202012Validator

    return len(list(Draft202012Validator(schema()).iter_errors(report)))
