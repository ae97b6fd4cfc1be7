"""The ledger: every checkable sentence of the book, as a record inside the executed notebook.

A notebook registers a claim with an id, the sentence, and a `w2s_utils.checks.Check`. The claims
of a cell close it as one table of evidence: what was observed, what was expected, what that rules
out. The records travel in that output, under a MIME type of their own, and the build collects them
from the executed notebooks. Measurements are evidence; identities, which only say that the code
computes what the algebra says, are told apart and counted apart. Three ways to register:

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
import sys
from collections.abc import Iterable, Iterator, Sequence
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
COLUMNS = ("statement", "observed", "expected", "rules out", "verdict")
Record = dict[str, Any]
_ROWS: list[Record] = []
_SURVEY: ContextVar[list[Record] | None] = ContextVar("survey", default=None)


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
        If the check was refuted or inconclusive; its row is shown all the same.
    ValueError
        If the id is malformed or the statement empty.
    """
    _register(id, statement, check, supports, wanted="passed", outcome="holds")


def control(id: str, statement: str, check: Check, *, supports: str) -> None:
    """Register a negative control: the same check where an assumption is broken must be refuted."""
    _register(id, statement, check, supports, wanted="refuted", outcome="control holds")


def does_not_reproduce(
    id: str, statement: str, check: Check, *, supports: str, evidence: str
) -> None:
    """Register a sentence of a paper that is refuted here; ``evidence`` says how and why."""
    validation.text(evidence, "evidence", f"claim {id} does not reproduce")
    _register(id, statement, check, supports, "refuted", "does not reproduce", evidence)


@contextmanager
def surveyed() -> Iterator[list[Record]]:
    """Record what is registered inside, whatever its verdict: nothing is displayed or raised.

    For counting verdicts over many seeds. A build never runs inside it. The list yielded grows by
    one record for each registration, with ``wanted``, the verdict registered.
    """
    records: list[Record] = []
    token = _SURVEY.set(records)
    try:
        yield records
    finally:
        _SURVEY.reset(token)


def collect(executed: Iterable[Path]) -> list[Record]:
    """Read the claim records from notebooks that `w2s_book.execute` wrote.

    In the order of notebooks and cells, each with ``notebook``, ``profile``, ``cell`` (index) and
    ``seconds`` (duration of its cell) added. An id that is registered twice is refused, and more
    comparisons than the book's budget.
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


def write(records: list[Record], path: Path) -> None:
    """Write records as JSON, atomically."""
    with files.replacing(Path(path)) as temporary:
        temporary.write_text(json.dumps(records, indent=1, ensure_ascii=False) + "\n", "utf-8")


def read(path: Path) -> list[Record]:
    """Read the records written by `write`."""
    records: list[Record] = json.loads(Path(path).read_text("utf-8"))
    return records


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
    if (survey := _SURVEY.get()) is not None:
        survey.append(record | {"wanted": wanted})
        return
    _show(record)
    if record["outcome"] == "failed":
        raise ClaimFailed(
            f"{id}: expected the check to be {wanted}, it was {check.verdict} "
            f"(observed {check.observed:.6g}, expected {check.expected:.6g}; {check.detail})"
        )


def _record(id: str, statement: str, check: Check, supports: str, evidence: str) -> Record:
    prefix = id.split("-")[0].upper()
    paper = prefix if re.fullmatch(r"P\d", prefix) else "ours"
    return {
        "id": id,
        "paper": paper,
        "statement": statement,
        "supports": supports,
        "evidence": evidence,
        **asdict(check),
    }


# One table of evidence for each cell


def _show(record: Record) -> None:
    """Keep a row for the table that closes the cell; outside a kernel, print it."""
    shell = _shell()
    if shell is None:
        print(line(record))
        return
    if not _ROWS:
        shell.events.register("post_run_cell", _close_table)
    _ROWS.append(record)


def _shell() -> Any:
    # IPython takes half a second to import; where nobody has imported it there is no kernel.
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell if hasattr(shell, "events") else None


def _close_table(*_: object) -> None:
    from IPython.display import display

    records = list(_ROWS)
    _ROWS.clear()
    _shell().events.unregister("post_run_cell", _close_table)
    text = "\n".join(map(line, records))
    bundle = {MIME: records, "text/html": table(records), "text/plain": text}
    display(bundle, raw=True)


def line(record: Record) -> str:
    """Return a record as one line of text."""
    return f"[{record['outcome']}] {record['id']}: {record['statement']} ({_numbers(record)})"


def table(records: Sequence[Record], anchor: str = "claim", linked: bool = False) -> str:
    """Return the table of evidence of some records, as HTML.

    Measurements are rows (statement, observed with its error, expected, what a pass rules out,
    verdict), each of which unfolds to its test; identities are one line each below them. On a page
    at the top of the book ``linked`` leads from each to the cell that checks it, and ``anchor``
    starts the names of the places on that page.
    """
    rows = "".join(_row(r, anchor, linked) for r in records if r["kind"] == "measurement")
    lines = "".join(_identity(r, anchor, linked) for r in records if r["kind"] == "identity")
    # The page lays rows out as a grid; the roles keep them a table for those who hear it.
    head = "".join(f'<th role="columnheader" scope="col">{name}</th>' for name in COLUMNS)
    body = (
        '<table role="table" class="w2s-evidence"><caption>Evidence</caption>'
        f'<thead><tr role="row">{head}</tr></thead><tbody>{rows}</tbody></table>'
    )
    signed = re.compile(r"(?<=[>\s])-(?=\.?\d)")  # a number's sign is no hyphen
    body, lines = (signed.sub("\N{MINUS SIGN}", part) for part in (body, lines))
    return f'<div class="w2s-ledger">{body if rows else ""}{lines}</div>'


def _row(record: Record, anchor: str, linked: bool) -> str:
    text = {key: html.escape(str(value)) for key, value in record.items()}
    css = CSS[record["outcome"]]
    evidence = f"<p>{text['evidence']}</p>" if record["evidence"] else ""
    cells = (
        f"{text['statement']}<details><summary>{text['id']}</summary><p>{text['detail']}</p>"
        f"<p>Supports: {text['supports']}</p>{evidence}</details>{_link(record, linked)}",
        html.escape(_with_error(record)),
        html.escape(_expected(record)),
        "<br>".join(html.escape(item) for item in ruled_out(record)),
        f'<span class="w2s-verdict w2s-verdict--{css}">{MARKS[record["outcome"]]} '
        f"{text['outcome']}</span>",
    )
    named = zip(COLUMNS, cells, strict=True)
    inside = "".join(f'<td role="cell" data-column="{name}">{cell}</td>' for name, cell in named)
    return f'<tr role="row" id="{anchor}-{text["id"]}">{inside}</tr>'


def _identity(record: Record, anchor: str, linked: bool) -> str:
    text = {key: html.escape(str(value)) for key, value in record.items()}
    name = "tested identity" if record["test"] == "equality" else "tested in every instance"
    name = {"control holds": "control", "failed": "failed"}.get(record["outcome"], name)
    return (
        f'<p class="w2s-identity" id="{anchor}-{text["id"]}">'
        f'<span class="w2s-identity__kind">{name}</span> '
        f"{text['statement']} <span class='w2s-identity__numbers'>({text['detail']})</span>"
        f"{_link(record, linked)}</p>"
    )


def _link(record: Record, linked: bool) -> str:
    if not linked:
        return ""
    address = f"notebooks/{record['notebook']}.html#claim-{record['id']}"
    return f' <a class="w2s-ledger__link" href="{address}">where it is checked</a>'


def ruled_out(record: Record) -> list[str]:
    """Return what a verdict rules out: of a pass the rivals, one text each, or what was detectable.

    A refutation rules out the sentence itself.
    """
    error = record["standard_error"]
    if record["verdict"] == "refuted":
        score = abs(record["observed"] - record["expected"]) / error if error else None
        away = "" if score is None else f", {score:.1f} standard errors away"
        return [f"the sentence: {record['expected']:.3g}{away}"]
    unit = "critical distances" if record["test"] == "distribution" else "standard errors"
    found = [
        f"{rival['name']}: {rival['value']:.3g}, {rival['distance']:.1f} {unit} away"
        for rival in record["alternatives"]
    ]
    if not found and record["detectable"] is not None:
        found = [f"departures of {record['detectable']:.2g} or more"]
    return found


def _with_error(record: Record) -> str:
    error = record["standard_error"]
    shown = f"{record['observed']:.4g}" + ("" if error is None else f" ± {error:.2g}")
    return f"{shown} {record['unit']}".strip()


def _expected(record: Record) -> str:
    bound = {"inequality": "bound "}.get(record["test"], "")
    many = f", worst of {record['comparisons']}" if record["comparisons"] > 1 else ""
    return f"{bound}{record['expected']:.4g}{many}"


def _numbers(record: Record) -> str:
    trials = "" if record["trials"] is None else f"; {record['trials']} trials"
    return f"observed {_with_error(record)}; expected {_expected(record)}{trials}"


def _records_of(path: Path) -> list[Record]:
    notebook = json.loads(path.read_text("utf-8"))
    about = notebook["metadata"].get("w2s", {})
    return [
        {
            **record,
            "notebook": about.get("notebook", path.stem),
            "profile": about.get("profile", "custom"),
            "cell": index,
            "seconds": cell["metadata"].get("papermill", {}).get("duration"),
        }
        for index, cell in enumerate(notebook["cells"])
        for output in cell.get("outputs", [])
        for record in output.get("data", {}).get(MIME, [])
    ]
