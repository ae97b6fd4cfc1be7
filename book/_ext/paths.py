"""Sphinx extension: reading paths, of which ``paths.yml`` beside the pages is the one list.

A page on a path says at its foot what comes next there; ``{reading-paths}`` lists them all.
"""

from __future__ import annotations

import functools
import html
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective


@functools.cache  # asked for by every page
def read(source: Path) -> list[dict[str, Any]]:
    """Return the paths: ``reader``, ``about`` and ``pages`` of each."""
    return yaml.safe_load((source / "paths.yml").read_text("utf-8"))


def check(app: Sphinx, env: Any) -> None:
    """Refuse a path over a page that there is not."""
    for path in read(Path(app.srcdir)):
        if lacking := [page for page in path["pages"] if page not in env.found_docs]:
            raise ExtensionError(
                f"paths.yml: {path['reader']!r} names {', '.join(lacking)}; expected pages of "
                "_toc.yml: correct the name or take it out"
            )


def foot(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Put a line for each path that goes on from here below the page's text."""
    lines = []
    for path in read(Path(app.srcdir)):
        pages = path["pages"]
        if page in pages[:-1]:
            following = pages[pages.index(page) + 1]
            title = html.escape(app.env.titles[following].astext())
            address = app.builder.get_relative_uri(page, following)
            reader = html.escape(path["reader"])
            lines.append(f'<li><b>{reader}?</b> Next: <a href="{address}">{title}</a></li>')
    if lines and context.get("body"):
        context["body"] += (
            f'<nav class="w2s-paths" aria-label="Next by path"><ul>{"".join(lines)}</ul></nav>'
        )


class ReadingPaths(SphinxDirective):
    """The directive ``{reading-paths}``: every path with its pages, in a list of definitions."""

    def run(self) -> list[nodes.Node]:
        """Return the list."""
        self.env.note_dependency(str(Path(self.env.srcdir) / "paths.yml"))
        lines: list[str] = []
        for path in read(Path(self.env.srcdir)):
            links = ", ".join(f"{{doc}}`/{page}`" for page in path["pages"])
            lines += [f"{path['reader']}? ({path['about']})", f": {links}.", ""]
        box = nodes.container()
        self.content.data = lines
        self.content.items = [(self.state.document["source"], self.lineno)] * len(lines)
        self.state.nested_parse(self.content, self.content_offset, box)
        return box.children


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.add_directive("reading-paths", ReadingPaths)
    app.connect("env-updated", check)
    app.connect("html-page-context", foot, priority=400)  # before the block that cites the page
    return {"parallel_read_safe": True, "parallel_write_safe": True}
