"""Sphinx extension: symbols lead to the notation.

The first time a chapter writes a symbol that the notation page explains, alone in its formula, it
is a link to the symbol's row there, which shows on hover and on focus (``page/page.js``). The two
papers use some letters for different things, so a part of the book sees its own tables only.
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms.post_transforms import SphinxPostTransform

NOTATION = "notation"
# Where a page's name begins so, these sections of the notation hold.
SECTIONS = {
    "notebooks/misfit/": ("Common to both", "Misfit"),
    "notebooks/discrepancy/": ("Common to both", "Discrepancy"),
    "notebooks/bridge/": ("Common to both", "Discrepancy"),
    "explorer": ("Common to both", "Discrepancy"),
}
KEPT = (nodes.reference, nodes.title, nodes.caption, nodes.table)


def normal(tex: str) -> str:
    """Return a formula without the spaces that mean nothing."""
    return re.sub(r"\s+|(?<=[_^])\{(\w)\}", r"\1", tex)


def symbols_of(tex: str) -> list[str]:
    """Return the symbols that a first cell names: ``d_w, d_s`` are two, ``d(f, g)`` is one."""
    return [normal(each) for each in re.split(r",\s*(?![^(]*\))", tex)]


def rows(document: nodes.document) -> list[tuple[str, nodes.row]]:
    """Return each row of the notation that begins with a formula, with its section's title."""
    found = []
    for row in document.findall(nodes.row):
        section = row.parent
        while not isinstance(section, nodes.section):
            section = section.parent
        if next(iter(row[0].findall(nodes.math)), None) is not None:
            found.append((section[0].astext(), row))
    return found


def name_rows(app: Sphinx, document: nodes.document) -> None:
    """Give every symbol's row an id."""
    if app.env.docname == NOTATION:
        for number, (_, row) in enumerate(rows(document), 1):
            row["ids"].append(f"symbol-{number}")


def table(env: BuildEnvironment, page: str) -> dict[str, tuple[str, str]]:
    """Return id and meaning of each symbol that holds on a page."""
    wanted = next((titles for start, titles in SECTIONS.items() if page.startswith(start)), ())
    found: dict[str, tuple[str, str]] = {}
    for title, row in rows(env.get_doctree(NOTATION)) if wanted else []:
        if title in wanted:
            for formula in row[0].findall(nodes.math):
                told = row["ids"][0], row[1].astext()
                found |= dict.fromkeys(symbols_of(formula.astext()), told)
    return found


class Symbols(SphinxPostTransform):
    """Make a link of each symbol's first occurrence on a page."""

    default_priority = 700
    formats = ("html",)

    def run(self, **_: Any) -> None:
        """Wrap the formulas."""
        page = self.env.docname
        if NOTATION not in self.env.found_docs:
            return
        left = table(self.env, page)
        address = self.app.builder.get_relative_uri(page, NOTATION)
        for formula in list(self.document.findall(nodes.math)) if left else []:
            around = formula.parent
            while around is not None and not isinstance(around, KEPT):
                around = around.parent
            found = left.pop(normal(formula.astext()), None) if around is None else None
            if found:
                # Its title is its name too, which a formula alone does not give it.
                link = nodes.reference(refuri=f"{address}#{found[0]}", internal=True)
                link["reftitle"] = found[1]
                link["classes"].append("w2s-symbol")
                formula.parent.replace(formula, link)
                link += formula


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("doctree-read", name_rows)
    app.add_post_transform(Symbols)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
