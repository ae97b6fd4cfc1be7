"""What the generated pages need to know of the executed notebooks."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Statements a reader looks up; remarks, examples and proofs stay in their pages.
STATEMENTS = {
    *("assumption", "axiom", "conjecture", "corollary"),
    *("definition", "lemma", "proposition", "theorem"),
}
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
    def statements(self) -> dict[str, str]:
        """Title of each labelled ``{prf:...}`` block by its label, in order.

        Blocks without a label have no anchor to link to and are left out.
        """
        found = {}
        for match in _STATEMENT.finditer(self.markdown):
            label = re.search(r":label:[ \t]*(\S+)", match["options"])
            if label and match["kind"] in STATEMENTS:
                found[label.group(1)] = match["title"].strip()
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
