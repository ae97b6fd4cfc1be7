"""Sphinx extension: the pages written from what ran.

Before Sphinx looks for its sources it writes ``evidence.md``, ``claims.md``, ``theorems.md`` and
``status.md`` from the templates in ``ledger/``, and ``mutations.txt``, which the page on the ledger
includes. They are made of the executed notebooks below ``notebooks/``, the claims collected from
them, and ``evidence/*.yml``; the same run gives the same text.
"""

from __future__ import annotations

import functools
import html
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import evidence
import jinja2
from chapters import Page, read_pages, reading_order
from downloads import authors
from evidence import Entry, Record
from pybtex.database import parse_file
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ExtensionError
from sphinx.util import logging

from w2s_utils import claims, files

logger = logging.getLogger(__name__)

TEMPLATES = {
    "evidence": "evidence.md",
    "claims": "claims.md",
    "theorems": "theorems.md",
    "status": "status.md",
    "mutations": "mutations.txt",
}
OUTCOMES = ("holds", "control holds", "does not reproduce", "failed")
# The papers that claims name by a code, by their keys in the bibliography, which has their titles.
PAPERS = {
    "P1": "charikar2024",
    "P2": "dong2025",
    "P3": "mulgund2025",
    "P4": "xu2025",
    "P5": "liu2025",
    "ours": "ours",
}
VERDICT_CSS = {
    "holds": "holds",
    "in part": "control",
    "does not reproduce": "not-reproduced",
    "cannot be had": "quiet",
}
VERDICT_MARKS = {"holds": "✓", "in part": "◐", "does not reproduce": "≠", "cannot be had": "–"}


def headings(bibliography: Path) -> dict[str, str]:
    """Return title, authors and year of each source by its key, as short as a heading needs."""
    found = {"ours": "This book"}
    for key, entry in parse_file(str(bibliography)).entries.items():
        title = re.sub(r"[{}]", "", entry.fields["title"]).partition(":")[0]
        found[key] = f"{title} ({authors(entry)} {entry.fields['year']})"
    return found


def render(
    name: str,
    pages: Sequence[Page],
    records: Sequence[Record],
    entries: Sequence[Entry] = (),
    names: Mapping[str, str] | None = None,
) -> str:
    """Return the text of one generated page.

    Parameters
    ----------
    name : str
        A key of `TEMPLATES`.
    pages : sequence of Page
        Every notebook of the book, in the order of the book.
    records : sequence of mapping
        The collected claims.
    entries : sequence of Entry
        The book's account of its statements.
    names : mapping, optional
        The heading of each source; without it, its key.
    """
    by_notebook, versions = defaultdict(list), defaultdict(set)
    for record in records:
        by_notebook[record["notebook"]].append(record)
    ran = [page for page in pages if page.executed]
    for page in ran:
        for package, version in page.about.get("versions", {}).items():
            versions[package].add(str(version))
    by_source = defaultdict(list)
    place = {page.name: index for index, page in enumerate(pages)}
    for entry in sorted(entries, key=lambda entry: place.get(entry.chapter, len(place))):
        by_source[entry.source].append(entry)
    measured = [record for record in records if record["kind"] == "measurement"]
    outcomes = {record["outcome"] for record in measured}
    text = (
        _templates()
        .get_template(f"{name}.j2")
        .render(
            pages=pages,
            ran=ran,
            page_of={page.name: page for page in pages},
            profile=" and ".join(
                sorted({f"`{page.about.get('profile', 'custom')}`" for page in ran})
            )
            or "empty",
            peak=max((page.about["peak_memory_mb"] for page in ran), default=0.0),
            versions=versions,
            records=records,
            measured=measured,
            by_notebook=by_notebook,
            counts=Counter((record["paper"], record["outcome"]) for record in measured),
            papers=[paper for paper in PAPERS if any(r["paper"] == paper for r in measured)],
            outcomes=[outcome for outcome in OUTCOMES if outcome in outcomes],
            keys=PAPERS,
            names=names or {},
            entries=[entry for key in _in_order(by_source) for entry in by_source[key]],
            by_source={key: by_source[key] for key in _in_order(by_source)},
            mutations=evidence.mutations(entries, records),
            table=claims.table,
            marks=VERDICT_MARKS,
            css=VERDICT_CSS,
        )
    )
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _in_order(sources: Iterable[str]) -> list[str]:
    """The two papers, those beside them, others, this book."""
    known = list(PAPERS.values())
    others = sorted(set(sources) - set(known))
    return [key for key in (*known[:-1], *others, known[-1]) if key in set(sources)]


@functools.cache
def _templates() -> jinja2.Environment:
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "ledger"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {
        "cell": cell,
        "html": html.escape,
        "plural": plural,
        "repr": repr,
    }
    return templates


def cell(text: str) -> str:
    """Escape what would end a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def plural(count: int, noun: str) -> str:
    """``1 claim``, ``2 claims``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def write(source: Path, claims_json: Path, toc: Path) -> None:
    """Write the generated pages into a staged book.

    Parameters
    ----------
    source : Path
        The staged Sphinx source, with ``notebooks/`` and ``evidence/``.
    claims_json : Path
        The collected claims, as written by `w2s_utils.claims.write`.
    toc : Path
        The table of contents, for the order of the notebooks.

    Raises
    ------
    EvidenceError
        If the book's account of itself has a gap or a contradiction.
    """
    pages, records = read_pages(source, reading_order(toc)), claims.read(claims_json)
    place = {page.name: index for index, page in enumerate(pages)}
    records = sorted(records, key=lambda record: place.get(record["notebook"], len(place)))
    entries = evidence.read_entries(source / "evidence")
    names = headings(source / "references.bib")
    for name, target in TEMPLATES.items():
        with files.replacing(source / target) as temporary:
            temporary.write_text(render(name, pages, records, entries, names), "utf-8")
    evidence.check(entries, pages, records)


def write_pages(app: Sphinx, config: Config) -> None:
    """Write the pages when the configuration is known and no source has been looked for."""
    source = Path(app.srcdir)
    toc = Path(os.path.join(app.confdir or ".", config.external_toc_path))
    try:
        write(source, source.parent / "claims.json", toc)
    except evidence.EvidenceError as error:
        # Warnings, which fail the build when it has told all of them.
        for fault in str(error).splitlines():
            logger.warning("book/evidence: %s", fault)
    except OSError as error:
        raise ExtensionError(str(error)) from None


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("config-inited", write_pages, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
