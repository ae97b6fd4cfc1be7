"""Sphinx extension: a search that answers a reader's question before a programmer's.

Code and formulas are not indexed, the reference of the library comes last (``search/scorer.js``),
and a question in whole sentences is answered by the pages that have most of its words
(``search/find.js``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from served import serve
from sphinx.application import Sphinx
from sphinx.search import WordCollector

OWN = Path(__file__).parent / "search"
UNREAD = (nodes.literal_block, nodes.doctest_block, nodes.math, nodes.math_block)
_visit = WordCollector.dispatch_visit


def without_code(collector: WordCollector, node: nodes.Node) -> None:
    """Collect the words of a node, unless it is code or a formula."""
    if isinstance(node, UNREAD):
        raise nodes.SkipNode
    _visit(collector, node)


def add_script(app: Sphinx, page: str, *_: Any) -> None:
    """Load it on the search page only."""
    if page == "search":
        app.add_js_file("search/find.js", loading_method="defer", priority=900)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    WordCollector.dispatch_visit = without_code
    app.config.html_search_scorer = str(OWN / "scorer.js")
    app.connect("builder-inited", lambda app: serve(app, OWN))
    app.connect("html-page-context", add_script)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
