"""The ledger: every checkable sentence of the book, as a record inside the executed notebook.

A notebook registers a claim with an id, the sentence, and a `w2s_utils.checks.Check`. The record
is displayed as a badge and travels as an output of its own MIME type; the build collects the
records from the executed notebooks. Three ways to register:

- `claim`: the check must pass;
- `control`: the check must be *refuted*, since an assumption of the theorem is broken on purpose;
- `does_not_reproduce`: a sentence of a paper that is refuted here, with the evidence.

Anything else raises `ClaimFailed`, so that the notebook, and with it the build, fails. Inside
`surveyed` the records are handed over instead, whatever their verdicts.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict
from pathlib import Path
from typing import Any

from w2s_utils import files, validation
from w2s_utils.checks import COMPARISONS, Check, Verdict

MIME = "application/vnd.w2s.claim+json"
MARKS = {"holds": "✓", "control holds": "✓", "does not reproduce": "≠", "failed": "✗"}
CSS = {
    "holds": "holds",
    "control holds": "control",
    "does not reproduce": "not-reproduced",
    "failed": "failed",
}
_SURVEY: ContextVar[list[dict[str, Any]] | None] = ContextVar("survey", default=None)


class ClaimFailed(AssertionError):
    """A claim whose check did not give the verdict that was registered."""


def claim(id: str, statement: str, check: Check, *, supports: str) -> None:
    """Register a claim that must hold.

    Parameters
    ----------
    id : str
        Lower-case words joined by hyphens, unique in the book, e.g. ``"p1-thm1-equality"``.
    statement : str
        The sentence that is checked, in plain words.
    check : Check
        From `w2s_utils.checks`.
    supports : str
        The statement of the paper, or of this book, that it supports.

    Raises
    ------
    ClaimFailed
        If the check was refuted or inconclusive (after the record has been displayed).
    ValueError
        If the id is malformed or the statement empty.
    """
    _register(id, statement, check, supports, wanted="passed", outcome="holds")


def control(id: str, statement: str, check: Check, *, supports: str) -> None:
    """Register a negative control: the same check where an assumption is broken must be refuted.

    Raises
    ------
    ClaimFailed
        If the check passed or was inconclusive.
    """
    _register(id, statement, check, supports, wanted="refuted", outcome="control holds")


def does_not_reproduce(
    id: str, statement: str, check: Check, *, supports: str, evidence: str
) -> None:
    """Register a sentence of a paper that is refuted here; ``evidence`` says how and why.

    Raises
    ------
    ClaimFailed
        If the check passed or was inconclusive: then the sentence is not refuted.
    """
    validation.text(evidence, "evidence", f"claim {id} does not reproduce")
    _register(id, statement, check, supports, "refuted", "does not reproduce", evidence)


@contextmanager
def surveyed() -> Iterator[list[dict[str, Any]]]:
    """Record what is registered inside, whatever its verdict: nothing is displayed or raised.

    For counting verdicts over many seeds. A build never runs inside it.

    Yields
    ------
    list of dict
        Grows by one record for each registration, with ``wanted``, the verdict registered.
    """
    records: list[dict[str, Any]] = []
    token = _SURVEY.set(records)
    try:
        yield records
    finally:
        _SURVEY.reset(token)


def collect(executed: Iterable[Path]) -> list[dict[str, Any]]:
    """Read the claim records from executed notebooks.

    Parameters
    ----------
    executed : iterable of Path
        ``.ipynb`` files written by `w2s_book.execute`.

    Returns
    -------
    list of dict
        The records in the order of notebooks and cells, each with ``notebook``, ``profile``,
        ``cell`` (index) and ``seconds`` (duration of its cell) added.

    Raises
    ------
    ValueError
        If an id is registered twice, or the book's budget of comparisons is exceeded.
    """
    records = [record for path in executed for record in _records_of(Path(path))]
    seen: dict[str, str] = {}
    for record in records:
        if record["id"] in seen:
            raise ValueError(
                f"claim {record['id']!r} is registered in {seen[record['id']]} and again in "
                f"{record['notebook']}: give one of them a suffix"
            )
        seen[record["id"]] = record["notebook"]
    spent = sum(record["comparisons"] for record in records if record["trials"] is not None)
    if spent > COMPARISONS:
        raise ValueError(
            f"the book makes {spent} Monte Carlo comparisons, its false-alarm rate allows for "
            f"{COMPARISONS}: raise w2s_utils.checks.COMPARISONS"
        )
    return records


def write(records: list[dict[str, Any]], path: Path) -> None:
    """Write records as JSON, atomically."""
    with files.replacing(Path(path)) as temporary:
        temporary.write_text(json.dumps(records, indent=1, ensure_ascii=False) + "\n", "utf-8")


def read(path: Path) -> list[dict[str, Any]]:
    """Read the records written by `write`."""
    return json.loads(Path(path).read_text("utf-8"))


def _register(
    id: str,
    statement: str,
    check: Check,
    supports: str,
    wanted: Verdict,
    outcome: str,
    evidence: str = "",
) -> None:
    if not isinstance(id, str) or not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", id):
        raise ValueError(f"id: expected lower-case words joined by hyphens, got {id!r}")
    validation.text(statement, "statement", f"claim {id}")
    validation.text(supports, "supports", f"claim {id}")
    if not isinstance(check, Check):
        raise ValueError(f"check: claim {id} expected a w2s_utils.checks.Check, got {check!r}")
    record = _record(id, statement, check, supports, evidence)
    record["outcome"] = outcome if check.verdict == wanted else "failed"
    record["passed"] = record["outcome"] in ("holds", "control holds")
    if outcome == "control holds":
        record["kind"] = "control"
    if (survey := _SURVEY.get()) is not None:
        survey.append(record | {"wanted": wanted})
        return
    _display(record)
    if record["outcome"] == "failed":
        raise ClaimFailed(
            f"{id}: expected the check to be {wanted}, it was {check.verdict} "
            f"(observed {check.observed:.6g}, expected {check.expected:.6g}; {check.detail})"
        )


def _record(id: str, statement: str, check: Check, supports: str, evidence: str) -> dict[str, Any]:
    prefix = id.split("-")[0].upper()
    paper = prefix if re.fullmatch(r"P\d", prefix) else "ours"
    fields = asdict(check)
    return {
        "id": id,
        "paper": paper,
        "statement": statement,
        "supports": supports,
        "evidence": evidence,
        **fields,
    }


def _display(record: dict[str, Any]) -> None:
    # Imported here: IPython takes half a second, and reading claims does not need it.
    from IPython.display import display

    bundle = {MIME: record, "text/html": _badge(record), "text/plain": _line(record)}
    display(bundle, raw=True)


def _line(record: dict[str, Any]) -> str:
    return f"[{record['outcome']}] {record['id']}: {record['statement']} ({_numbers(record)})"


def _numbers(record: dict[str, Any]) -> str:
    parts = [f"observed {record['observed']:.4g}", f"expected {record['expected']:.4g}"]
    if record["kind"] == "inequality":
        parts[1] = f"bound {record['expected']:.4g}"
    if record["standard_error"] is not None:
        parts.append(f"standard error {record['standard_error']:.2g}")
    if record["trials"] is not None:
        parts.append(f"{record['trials']} trials")
    if record["comparisons"] > 1:
        parts.append(f"worst of {record['comparisons']}")
    return ", ".join(parts)


def _badge(record: dict[str, Any]) -> str:
    text = {key: html.escape(str(value)) for key, value in record.items()}
    evidence = f"<p>{text['evidence']}</p>" if record["evidence"] else ""
    return (
        f'<div class="w2s-claim w2s-claim--{CSS[record["outcome"]]}" id="claim-{text["id"]}">'
        f'<span class="w2s-claim__mark">{MARKS[record["outcome"]]} {text["outcome"]}</span> '
        f'<span class="w2s-claim__id">{text["id"]}</span> '
        f'<span class="w2s-claim__statement">{text["statement"]}</span> '
        f'<span class="w2s-claim__numbers">{html.escape(_numbers(record))}</span>'
        f"<details><summary>The test</summary><p>{text['detail']}</p>"
        f"<p>Supports: {text['supports']}</p>{evidence}</details></div>"
    )


def _records_of(path: Path) -> list[dict[str, Any]]:
    notebook = json.loads(path.read_text("utf-8"))
    about = notebook["metadata"].get("w2s", {})
    return [
        {
            **output["data"][MIME],
            "notebook": about.get("notebook", path.stem),
            "profile": about.get("profile", "custom"),
            "cell": index,
            "seconds": cell["metadata"].get("papermill", {}).get("duration"),
        }
        for index, cell in enumerate(notebook["cells"])
        for output in cell.get("outputs", [])
        if MIME in output.get("data", {})
    ]
