"""The book's account of itself: every statement with its proof, its claims and its verdict.

``book/evidence/*.yml`` holds an entry for every theorem, figure, table and sentence that the book
treats. Joined with the executed notebooks and the collected claims it must be without a gap: a
claim that no entry names, a theorem without an entry, a verdict that the claims contradict and a
formula whose rivals are not refuted are errors.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml
from chapters import Page

Record = Mapping[str, Any]

# The same loader in C, where yaml was built with it, is eight times as fast.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
VERDICTS = ("holds", "in part", "does not reproduce", "cannot be had")


class EvidenceError(ValueError):
    """What is wrong in ``book/evidence``, one fault a line."""


@dataclass(frozen=True)
class Entry:
    """One statement of a paper or of this book, with what the book says about it.

    Attributes
    ----------
    name : str
        The paper's number, or this book's name: ``"Theorem 1"``, ``"Figure 2(b)"``.
    source : str
        Key in the bibliography, or ``"ours"``.
    statement : str
        One sentence, in MyST.
    chapter : str
        Where it is treated, e.g. ``"misfit/projection"``.
    verdict : {"holds", "in part", "does not reproduce", "cannot be had"}
    label : str
        Of the theorem or of the figure in that chapter.
    claims, controls : sequence of str
        Ids of claims; ``*`` stands for any ending.
    why : str
        In what sense it holds, or why not; only ``"holds"`` goes without.
    unseen : str
        What of the paper was not seen.
    exact : sequence of mapping
        For a formula that the book calls exact: ``claim``, which carries it, and ``errors``, the
        wrong formulas among the claim's alternatives that it must refute.
    needs : str
        Optional packages or data that the claims need; where none is registered, the page went
        without.
    """

    name: str
    source: str
    statement: str
    chapter: str
    verdict: str
    label: str = ""
    claims: Sequence[str] = ()
    controls: Sequence[str] = ()
    why: str = ""
    unseen: str = ""
    exact: Sequence[Mapping[str, Any]] = ()
    needs: str = ""

    def owns(self, id: str) -> bool:
        """Tell whether a claim belongs to this entry."""
        return any(fnmatch.fnmatchcase(id, known) for known in (*self.claims, *self.controls))

    def records(self, records: Iterable[Record]) -> list[Record]:
        """Return the claims that belong to this entry."""
        return [record for record in records if self.owns(record["id"])]

    def went_without(self, records: Iterable[Record]) -> bool:
        """Tell whether this build did without what the entry needs."""
        return bool(self.needs) and not self.records(records)


def read_entries(folder: Path) -> list[Entry]:
    """Read every entry of a folder, file by file.

    Raises
    ------
    EvidenceError
        If an entry is malformed.
    """
    known = {field.name for field in fields(Entry)}
    needed = {"name", "source", "statement", "chapter", "verdict"}
    entries, faults = [], []
    for path in sorted(folder.glob("*.yml")):
        for number, raw in enumerate(yaml.load(path.read_text("utf-8"), LOADER) or [], 1):
            place = f"{path.name}, entry {number}"
            if not isinstance(raw, dict) or not needed <= set(raw) <= known:
                given = sorted(raw) if isinstance(raw, dict) else raw
                faults.append(f"{place}: expected {sorted(needed)} and of {sorted(known - needed)} "
                              f"what applies, got {given}")  # fmt: skip
                continue
            entry = Entry(**{key: value if value is not None else "" for key, value in raw.items()})
            if entry.verdict not in VERDICTS:
                faults.append(f"{place}: verdict: expected one of {VERDICTS}, got {entry.verdict}")
            if entry.verdict != "holds" and not entry.why:
                faults.append(f"{place}: why: a verdict other than 'holds' needs its reason")
            entries.append(entry)
    if faults:
        raise EvidenceError("\n".join(faults))
    return entries


def check(entries: Sequence[Entry], pages: Sequence[Page], records: Sequence[Record]) -> None:
    """Refuse an account with a gap or a contradiction.

    Chapters that did not run owe no claims, nor do entries whose optional packages or data are
    not here.

    Raises
    ------
    EvidenceError
        One line for each fault, with the entry and what to do.
    """
    if faults := list(_faults(entries, pages, records)):
        raise EvidenceError("\n".join(faults))


def _faults(
    entries: Sequence[Entry], pages: Sequence[Page], records: Sequence[Record]
) -> Iterator[str]:
    by_name = {page.name: page for page in pages}
    by_id = {record["id"]: record for record in records}
    for record in records:
        if not any(entry.owns(record["id"]) for entry in entries):
            yield f"{record['notebook']}: claim {record['id']} is in no entry of book/evidence"
    labels = {entry.label for entry in entries}
    for page in pages:
        for label in page.statements:
            if label not in labels:
                yield f"{page.name}: {label} has no entry in book/evidence"
    for entry in entries:
        place = f"{entry.chapter}, {entry.name}"
        page = by_name.get(entry.chapter)
        if page is None:
            yield f"{place}: no such chapter"
        elif page.executed and not entry.went_without(records):
            for known in (*entry.claims, *entry.controls):
                if not fnmatch.filter(by_id, known):
                    yield f"{place}: no claim {known} is registered"
            yield from (f"{place}: {fault}" for fault in _wrong_verdict(entry, records))
            for formula in entry.exact:
                found = by_id.get(formula["claim"])
                yield from (f"{place}: {fault}" for fault in _unrefuted(formula, found))


def _wrong_verdict(entry: Entry, records: Sequence[Record]) -> Iterator[str]:
    mine = entry.records(records)
    if entry.verdict == "holds" and any(r["outcome"] == "does not reproduce" for r in mine):
        yield "verdict: one of its claims does not reproduce, so it does not simply hold"
    if entry.verdict == "does not reproduce" and all(r["kind"] == "identity" for r in mine):
        yield "verdict: 'does not reproduce' rests on no measurement"


def _unrefuted(formula: Mapping[str, Any], record: Record | None) -> Iterator[str]:
    if record is None:
        yield f"exact: no claim {formula['claim']} is registered"
        return
    refuted = {rival["name"] for rival in record["alternatives"] if rival["refuted"]}
    for error in formula["errors"]:
        if error not in refuted:
            yield f"exact: {record['id']} does not refute {error!r}, only {sorted(refuted)}"


def mutations(
    entries: Sequence[Entry], records: Sequence[Record]
) -> list[tuple[Entry, Record, Mapping[str, Any]]]:
    """Return every wrong formula that a claim had to refute: entry, claim, alternative."""
    by_id = {record["id"]: record for record in records}
    return [
        (entry, by_id[formula["claim"]], rival)
        for entry in entries
        for formula in entry.exact
        if formula["claim"] in by_id
        for rival in by_id[formula["claim"]]["alternatives"]
        if rival["name"] in formula["errors"]
    ]
