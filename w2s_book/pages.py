"""The pages written from what ran: claims, status and the list of theorems.

``python -m w2s_book.pages STAGED CLAIMS_JSON`` reads the executed notebooks below
``STAGED/notebooks`` and the collected claims, and writes ``claims.md``, ``status.md`` and
``theorems.md`` into ``STAGED``. Each page is a pure function of what was read, so the same run
gives the same text.
"""

from __future__ import annotations

import html
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from w2s_utils import claims

Record = Mapping[str, Any]

OUTCOMES = ("holds", "control holds", "does not reproduce", "failed")
PAPERS = {
    "P1": "Quantifying the gain (Charikar, Pabbaraju and Shiragur)",
    "P2": "Discrepancies are virtue (Dong, Li, Li, Lee and Lei)",
    "P3": "Misfit beyond the squared loss (Mulgund and Pabbaraju)",
    "P4": "A bias-variance perspective (Xu, Yao, Wang and Liu)",
    "P5": "Spurious correlations (Liu, Dong and Lei)",
    "ours": "This book's own results",
}
# Statements a reader looks up; remarks, examples and proofs stay in their pages.
STATEMENTS = (
    "assumption",
    "axiom",
    "conjecture",
    "corollary",
    "definition",
    "lemma",
    "proposition",
    "theorem",
)


@dataclass(frozen=True)
class Page:
    """What the generated pages need to know of one executed notebook.

    Attributes
    ----------
    name : str
        Part and name, e.g. ``"misfit/projection"``.
    title : str
        First heading.
    about : mapping
        The record that `w2s_book.execute` left in the notebook's metadata.
    markdown : str
        The markdown cells, joined.
    """

    name: str
    title: str
    about: Mapping[str, Any]
    markdown: str

    @property
    def executed(self) -> bool:
        """Whether the notebook ran; false when its data set was absent."""
        return bool(self.about.get("executed", False))


def read_page(path: Path, root: Path) -> Page:
    """Read one notebook; its name is its path below ``root`` without the suffix."""
    notebook = json.loads(path.read_text("utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "markdown"]
    markdown = "\n\n".join("".join(cell["source"]) for cell in cells)
    name = path.relative_to(root).with_suffix("").as_posix()
    heading = re.search(r"^# +(.+?)\s*$", markdown, flags=re.MULTILINE)
    title = heading.group(1) if heading else name
    return Page(name, title, notebook["metadata"].get("w2s", {}), markdown)


def read_pages(staged: Path, order: Sequence[str] = ()) -> list[Page]:
    """Read every executed notebook below ``staged/notebooks``, in the order given, then by name.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    """
    root = staged / "notebooks"
    if not root.is_dir():
        raise FileNotFoundError(
            f"staged: {root} does not exist; expected the executed notebooks of a profile there "
            "(run `make book`)"
        )
    found = sorted(p for p in root.glob("**/*.ipynb") if ".ipynb_checkpoints" not in p.parts)
    place = {name: index for index, name in enumerate(order)}
    pages = [read_page(path, root) for path in found]
    return sorted(pages, key=lambda page: (place.get(page.name, len(place)), page.name))


def reading_order(toc: Path) -> list[str]:
    """Names of the notebooks in the order of a table of contents; empty if there is none."""
    if not toc.exists():
        return []
    entries = re.findall(r"file:\s*notebooks/(\S+)", toc.read_text("utf-8"))
    return [entry.removesuffix(".ipynb") for entry in entries]


def claims_page(records: Sequence[Record], pages: Sequence[Page]) -> str:
    """Write the ledger: counts, an index by outcome, then every claim by paper."""
    papers = [paper for paper in PAPERS if any(r["paper"] == paper for r in records)]
    blocks = [
        "# Claims\n",
        f"The {profile_of(pages)} run of this book checked **{plural(len(records), 'claim')}** in "
        f"{plural(sum(page.executed for page in pages), 'notebook')}. "
        "Each links to the cell that checks it; [](how-it-works.md) says how a verdict is reached.",
        absent_note(pages),
        counts_table(records, papers),
        "## By outcome\n",
        *(outcome_index(records, outcome) for outcome in OUTCOMES),
    ]
    for paper in papers:
        heading = PAPERS[paper] if paper == "ours" else f"{paper}. {PAPERS[paper]}"
        blocks.append(f"({slug(paper)}-claims)=\n## {heading}\n")
        blocks += [claim_entry(record) for record in records if record["paper"] == paper]
    return join(blocks)


def status_page(pages: Sequence[Page], records: Sequence[Record]) -> str:
    """Write what ran: versions, and for each notebook its time, memory and parameters."""
    ran = [page for page in pages if page.executed]
    seconds = sum(page.about["seconds"] for page in ran)
    peak = max((page.about["peak_memory_mb"] for page in ran), default=0.0)
    counts = Counter(record["notebook"] for record in records)
    blocks = [
        "# Status\n",
        f"{len(ran)} of {plural(len(pages), 'notebook')} executed in the "
        f"{profile_of(pages)} profile: {seconds:.1f} s in all, "
        f"at most {peak:.0f} MB of memory for one notebook.",
        absent_note(pages),
        "## Notebooks\n",
        summary_table(pages, counts),
        *(notebook_entry(page, counts[page.name]) for page in pages),
        "## Versions\n",
        versions_table(ran),
    ]
    return join(blocks)


def theorems_page(pages: Sequence[Page]) -> str:
    """Write the list of labelled definitions, lemmas and theorems, in the order of the pages."""
    blocks = [
        "# Theorems\n",
        "Every numbered statement of the book, by page. Whose statement it is, and whether its "
        "wording is a paper's or ours, is said where it stands.",
    ]
    for page in pages:
        found = statements(page.markdown)
        if found:
            lines = [
                f"- {{prf:ref}}`{label}`{': ' if title else ''}{title}" for _, title, label in found
            ]
            blocks.append(f"## [{page.title}](notebooks/{page.name}.ipynb)\n")
            blocks.append("\n".join(lines))
    return join(blocks)


def statements(markdown: str) -> list[tuple[str, str, str]]:
    """Find the labelled ``{prf:...}`` blocks: kind, title and label of each, in order.

    Blocks without a label have no anchor to link to and are left out.
    """
    opening = re.compile(
        r"^[ ]{0,3}(?:`{3,}|:{3,}|~{3,})\{prf:(?P<kind>\w+)\}[ \t]*(?P<title>[^\n]*)\n"
        r"(?P<options>(?:[ ]*:[\w-]+:[^\n]*\n)*)",
        flags=re.MULTILINE,
    )
    found = []
    for match in opening.finditer(markdown):
        label = re.search(r":label:[ \t]*(\S+)", match["options"])
        if label and match["kind"] in STATEMENTS:
            found.append((match["kind"], match["title"].strip(), label.group(1)))
    return found


def counts_table(records: Sequence[Record], papers: Sequence[str]) -> str:
    """Count claims by paper and outcome, with totals."""
    outcomes = [o for o in OUTCOMES if any(r["outcome"] == o for r in records)]
    counts = Counter((record["paper"], record["outcome"]) for record in records)
    rows = [
        [f"[{'this book' if p == 'ours' else p}](#{slug(p)}-claims)"]
        + [str(counts[p, o]) for o in outcomes]
        + [str(sum(counts[p, o] for o in outcomes))]
        for p in papers
    ]
    totals = [str(sum(counts[p, o] for p in papers)) for o in outcomes]
    rows.append(["all", *totals, str(len(records))])
    return table(["paper", *outcomes, "all"], rows, numeric_from=1)


def outcome_index(records: Sequence[Record], outcome: str) -> str:
    """List the ids of one outcome, each linking to its entry; what holds is folded."""
    ids = [record["id"] for record in records if record["outcome"] == outcome]
    if not ids:
        return ""
    links = " ".join(f'<a href="#ledger-{id}">{id}</a>' for id in ids)
    fold = "" if outcome == "holds" else " open"
    head = f"<summary>{html.escape(outcome)} <span>{len(ids)}</span></summary>"
    return f'<details class="w2s-index"{fold}>{head}<p>{links}</p></details>\n'


def claim_entry(record: Record) -> str:
    """Write one claim: outcome, id, statement, numbers, and the test folded below."""
    outcome, id = record["outcome"], record["id"]
    mark = f"{claims.MARKS[outcome]} {outcome}"
    href = f"notebooks/{record['notebook']}.html#claim-{id}"
    where = f"{record['notebook']}, cell {record['cell'] + 1}"
    head = (
        f'<p class="w2s-entry__head"><span class="w2s-claim__mark">{mark}</span> '
        f'<a class="w2s-entry__id" href="{href}">{id}</a> '
        f'<span class="w2s-entry__where">{record["kind"]}, {where}</span></p>'
    )
    evidence = f"\n\n{escape(record['evidence'])}" if record["evidence"] else ""
    fold = (
        f"<details><summary>The test</summary><p>{html.escape(record['detail'])}</p>"
        f"<p>Supports: {html.escape(record['supports'])}</p></details>"
    )
    return (
        f'<div id="ledger-{id}" class="w2s-anchor"></div>\n\n'
        f"::::{{div}} w2s-entry w2s-claim--{claims.CSS[outcome]}\n{head}\n\n"
        f"{escape(record['statement'])}{evidence}\n\n{facts(record)}\n\n{fold}\n::::\n"
    )


def facts(record: Record) -> str:
    """Write the numbers of a claim as a definition list."""
    expected = "bound" if record["kind"] == "inequality" else "expected"
    pairs = [("observed", number(record["observed"])), (expected, number(record["expected"]))]
    optional = (("standard_error", "standard error", 2), ("tolerance", "tolerance", 2))
    for key, label, digits in optional:
        if record[key] is not None:
            pairs.append((label, number(record[key], digits)))
    if record["z"] is not None:
        pairs.append(("allowed", f"{record['z']:.2f} SE"))
    if record["trials"] is not None:
        pairs.append(("trials", str(record["trials"])))
    if record["comparisons"] > 1:
        pairs.append(("worst of", str(record["comparisons"])))
    if record["seconds"] is not None:
        pairs.append(("cell took", f"{record['seconds']:.2f} s"))
    items = "".join(f"<div><dt>{label}</dt><dd>{value}</dd></div>" for label, value in pairs)
    return f'<dl class="w2s-facts">{items}</dl>'


def summary_table(pages: Sequence[Page], counts: Mapping[str, int]) -> str:
    """One row for each notebook: did it run, how long, how much memory, how many claims."""
    rows = []
    for page in pages:
        row = [f"[{page.title}](notebooks/{page.name}.ipynb)"]
        if page.executed:
            row += [f"{page.about['seconds']:.1f}", f"{page.about['peak_memory_mb']:.0f}"]
            row.append(str(counts.get(page.name, 0)))
        else:
            row += ["not executed", "–", "–"]
        rows.append(row)
    return table(["notebook", "seconds", "peak MB", "claims"], rows, numeric_from=1)


def notebook_entry(page: Page, claims_made: int) -> str:
    """Write the section of one notebook: what ran, or the command that would let it run."""
    blocks = [f"### {page.title}\n"]
    if page.executed:
        blocks.append(
            f"`{page.name}`, profile `{page.about['profile']}`: {page.about['seconds']:.1f} s, "
            f"{page.about['peak_memory_mb']:.0f} MB, {plural(claims_made, 'claim')}."
        )
    else:
        missing = ", ".join(page.about.get("missing_data", [])) or "its data"
        blocks.append(
            f"`{page.name}` was **not executed**: {missing} is not on this machine. "
            f"To fetch it: `{page.about.get('command', 'w2s data list')}`."
        )
    parameters = page.about.get("parameters", {})
    if parameters:
        rows = [[f"`{name}`", f"`{value!r}`"] for name, value in parameters.items()]
        blocks.append(table(["parameter", "value"], rows))
    return "\n\n".join(block.strip() for block in blocks) + "\n"


def versions_table(pages: Sequence[Page]) -> str:
    """List the versions the notebooks ran with; more than one where runs differ."""
    seen: dict[str, set[str]] = {}
    for page in pages:
        for name, version in page.about.get("versions", {}).items():
            seen.setdefault(name, set()).add(str(version))
    if not seen:
        return "No notebook was executed."
    rows = [[name, ", ".join(sorted(seen[name]))] for name in sorted(seen)]
    return table(["package", "version"], rows)


def absent_note(pages: Sequence[Page]) -> str:
    """Name the notebooks that did not run, with the commands that fetch their data."""
    absent = [page for page in pages if not page.executed]
    if not absent:
        return ""
    lines = [
        f"- [{page.title}](notebooks/{page.name}.ipynb): `{page.about.get('command', '')}`\n"
        for page in absent
    ]
    head = f"{plural(len(absent), 'notebook')} not executed, for want of data. To fetch it:"
    return f":::{{admonition}} Not executed\n:class: warning\n{head}\n\n{''.join(lines)}:::"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], numeric_from: int = 99) -> str:
    """Write a MyST table; columns from ``numeric_from`` on are aligned to the right."""
    rule = ["--:" if column >= numeric_from else ":--" for column in range(len(header))]
    lines = [
        "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
        for cells in (header, rule, *rows)
    ]
    return "\n".join(lines) + "\n"


def profile_of(pages: Sequence[Page]) -> str:
    """Name the profile of the executed notebooks, or all of them where they differ."""
    names = sorted({str(page.about.get("profile", "custom")) for page in pages if page.executed})
    return " and ".join(f"`{name}`" for name in names) or "empty"


def escape(text: str) -> str:
    """Escape plain text so that MyST shows it as it is."""
    return re.sub(r"([\\`*_{}\[\]<>()#+\-.!|$~:^'\"@&])", r"\\\1", " ".join(text.split()))


def number(value: float, digits: int = 4) -> str:
    """Format with significant digits, with a true minus sign."""
    return f"{value:.{digits}g}".replace("-", "−")


def plural(count: int, noun: str) -> str:
    """``1 claim``, ``2 claims``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def slug(paper: str) -> str:
    """Name of a paper in anchors."""
    return paper.lower()


def join(blocks: Iterable[str], separator: str = "\n\n") -> str:
    """Join the non-empty blocks, with one newline at the end."""
    return separator.join(block.strip("\n") for block in blocks if block.strip()) + "\n"


def write(path: Path, text: str) -> None:
    """Write a file atomically, and not at all if it already holds this text."""
    if path.exists() and path.read_text("utf-8") == text:
        return
    temporary = path.with_suffix(path.suffix + ".tmp")
    temporary.write_text(text, "utf-8")
    os.replace(temporary, path)


def main(staged_dir: str | Path, claims_json: str | Path, toc: str | Path = "_toc.yml") -> None:
    """Write the three pages into a staged book.

    Parameters
    ----------
    staged_dir : path
        The staged Sphinx source, with the executed notebooks below ``notebooks/``.
    claims_json : path
        The collected claims, as written by `w2s_utils.claims.write`.
    toc : path
        The table of contents, for the order of the notebooks; without it they go by name.
    """
    staged = Path(staged_dir)
    pages, records = read_pages(staged, reading_order(Path(toc))), claims.read(Path(claims_json))
    place = {page.name: index for index, page in enumerate(pages)}
    records = sorted(records, key=lambda record: place.get(record["notebook"], len(place)))
    write(staged / "claims.md", claims_page(records, pages))
    write(staged / "status.md", status_page(pages, records))
    write(staged / "theorems.md", theorems_page(pages))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m w2s_book.pages STAGED_DIR CLAIMS_JSON")
    main(*sys.argv[1:])
