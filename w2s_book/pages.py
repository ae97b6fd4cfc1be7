"""The pages written from what ran: claims, status and the list of theorems.

``python -m w2s_book.pages STAGED CLAIMS_JSON`` reads the executed notebooks below
``STAGED/notebooks`` and the collected claims, and writes ``claims.md``, ``status.md`` and
``theorems.md`` into ``STAGED``, from the templates beside this module. Each page is a pure
function of what was read, so the same run gives the same text.
"""

from __future__ import annotations

import functools
import html
import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from w2s_utils import claims, files

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
STATEMENTS = {
    *("assumption", "axiom", "conjecture", "corollary"),
    *("definition", "lemma", "proposition", "theorem"),
}
REASON_LINES = 25
_STATEMENT = re.compile(
    r"^[ ]{0,3}(?:`{3,}|:{3,}|~{3,})\{prf:(?P<kind>\w+)\}[ \t]*(?P<title>[^\n]*)\n"
    r"(?P<options>(?:[ ]*:[\w-]+:[^\n]*\n)*)",
    flags=re.MULTILINE,
)


@dataclass(frozen=True)
class Page:
    """What the generated pages need to know of one notebook.

    Attributes
    ----------
    name : str
        Part and name, e.g. ``"misfit/projection"``.
    title : str
        First heading.
    about : mapping
        The record that the build left in the notebook's metadata.
    markdown : str
        The markdown cells, joined.
    """

    name: str
    title: str
    about: Mapping[str, Any]
    markdown: str

    @property
    def executed(self) -> bool:
        """Whether the notebook ran to its end; otherwise it is `missing` data, or `failed`."""
        return bool(self.about.get("executed"))

    @property
    def failed(self) -> str:
        """How it failed, if it did."""
        return str(self.about.get("failed", ""))

    @property
    def missing(self) -> list[str]:
        """Data sets without which it did not run."""
        return list(self.about.get("missing_data", []))

    @property
    def statements(self) -> list[tuple[str, str]]:
        """Title and label of the labelled ``{prf:...}`` blocks, in order.

        Blocks without a label have no anchor to link to and are left out.
        """
        found = []
        for match in _STATEMENT.finditer(self.markdown):
            label = re.search(r":label:[ \t]*(\S+)", match["options"])
            if label and match["kind"] in STATEMENTS:
                found.append((match["title"].strip(), label.group(1)))
        return found


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


def render(name: str, pages: Sequence[Page], records: Sequence[Record]) -> str:
    """Return the text of one generated page.

    Parameters
    ----------
    name : {"claims", "status", "theorems"}
    pages : sequence of Page
        Every notebook of the book, in the order of the book.
    records : sequence of mapping
        The collected claims.
    """
    by_paper, by_outcome, versions = defaultdict(list), defaultdict(list), defaultdict(set)
    for record in records:
        by_paper[record["paper"]].append(record)
        by_outcome[record["outcome"]].append(record)
    ran = [page for page in pages if page.executed]
    for page in ran:
        for package, version in page.about.get("versions", {}).items():
            versions[package].add(str(version))
    profiles = sorted({f"`{page.about.get('profile', 'custom')}`" for page in ran})
    text = (
        _templates()
        .get_template(f"{name}.md.j2")
        .render(
            pages=pages,
            ran=ran,
            profile=" and ".join(profiles) or "empty",
            peak=max((page.about["peak_memory_mb"] for page in ran), default=0.0),
            versions=versions,
            records=records,
            claims=Counter(record["notebook"] for record in records),
            counts=Counter((record["paper"], record["outcome"]) for record in records),
            by_paper=by_paper,
            by_outcome=by_outcome,
            papers=[paper for paper in PAPERS if paper in by_paper],
            outcomes=[outcome for outcome in OUTCOMES if outcome in by_outcome],
            titles=PAPERS,
            marks=claims.MARKS,
            css=claims.CSS,
            facts=facts,
        )
    )
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


@functools.cache
def _templates() -> jinja2.Environment:
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {
        "cell": cell,
        "html": html.escape,
        "plain": plain,
        "plural": plural,
        "repr": repr,
    }
    return templates


def facts(record: Record) -> Iterator[tuple[str, str]]:
    """Yield the numbers of a claim, each with its label; what does not apply is left out."""
    yield "observed", number(record["observed"])
    yield "bound" if record["kind"] == "inequality" else "expected", number(record["expected"])
    for key in ("standard_error", "tolerance"):
        if record[key] is not None:
            yield key.replace("_", " "), number(record[key], 2)
    if record["z"] is not None:
        yield "allowed", f"{record['z']:.2f} SE"
    if record["trials"] is not None:
        yield "trials", str(record["trials"])
    if record["comparisons"] > 1:
        yield "worst of", str(record["comparisons"])
    if record["seconds"] is not None:
        yield "cell took", f"{record['seconds']:.2f} s"


def plain(text: str) -> str:
    """Escape plain text so that MyST shows it as it is."""
    return re.sub(r"([\\`*_{}\[\]<>()#+\-.!|$~:^'\"@&])", r"\\\1", " ".join(text.split()))


def cell(text: str) -> str:
    """Escape what would end a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def number(value: float, digits: int = 4) -> str:
    """Format with significant digits, with a true minus sign."""
    return f"{value:.{digits}g}".replace("-", "−")


def plural(count: int, noun: str) -> str:
    """``1 claim``, ``2 claims``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def write_failed(source: Path, out: Path, about: Mapping[str, Any]) -> None:
    """Write the page of a notebook that failed: its text and code below a box that says how.

    Parameters
    ----------
    source : Path
        The MyST notebook.
    out : Path
        The page.
    about : mapping
        Its record; ``failed`` says how it failed.
    """
    import jupytext
    import nbformat

    lines = about["failed"].splitlines()
    lines[REASON_LINES:] = ["..."] * (len(lines) > REASON_LINES)
    notice = _templates().get_template("failed.md.j2").render(reason="\n".join(lines))
    try:
        nb = jupytext.read(source)
    except Exception:  # it may have failed for this
        title = f"# {about['notebook']}"
        nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(title)])
    for index, each in enumerate(nb.cells):
        each["id"] = f"cell-{index}"
        if each.cell_type == "markdown":
            # The labels of figures exist only where figures were drawn.
            each.source = re.sub(r"\{numref\}`[^`]*fig-[^`]*`", "*(figure not drawn)*", each.source)
    before, title, after = re.split(r"(?m)(^# .*$|\Z)", nb.cells[0].source, maxsplit=1)
    nb.cells[0].source = f"{before}{title}\n\n{notice}\n{after}"
    nb.metadata["w2s"] = {**about, "executed": False, "seconds": 0.0, "peak_memory_mb": 0.0}
    out.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(out) as temporary:
        temporary.write_text(nbformat.writes(nb) + "\n", "utf-8")


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
    for name in ("claims", "status", "theorems"):
        with files.replacing(staged / f"{name}.md") as temporary:
            temporary.write_text(render(name, pages, records), "utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m w2s_book.pages STAGED_DIR CLAIMS_JSON")
    main(*sys.argv[1:])
