"""Sphinx extension: a search that answers a reader's question before a programmer's.

Code and formulas are not indexed, and the reference of the library comes last
(``search/scorer.js``). Beside the words of a page the index has those of its *lead*: the question
that it asks, its answer in one minute, what it sets in bold, and the sentences by which other
pages point to it. A page is found by these before one that only has the same words somewhere, and
rare words count for more (``search/find.js``).
"""

from __future__ import annotations

import itertools
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sphinx.search
from docutils import nodes
from served import serve
from sphinx.application import Sphinx
from sphinx.search import IndexBuilder

OWN = Path(__file__).parent / "search"
UNREAD = (nodes.literal_block, nodes.doctest_block, nodes.math, nodes.math_block)
# Lists of what other pages say: they lead nowhere, and what they link to is not about the page.
LISTS = {"bibliography", "claims", "evidence", "status", "theorems"}
DEFINING = {"notation"}
SENTENCE = 4  # words; a shorter link is a title or a number


class Index(IndexBuilder):
    """The index of words, without code and formulas, and with the words of the leads."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._leads: dict[str, set[str]] = {}

    def feed(self, docname: str, filename: str, title: str, doctree: nodes.document) -> None:
        """Index a page: its text, which is read with code and formulas taken out, and its lead."""
        # With its number it would be another title than that among the headings, and found twice.
        title = re.sub(r'<span class="section-number">.*?</span>', "", title)
        unread = [(node, node.children) for node in doctree.findall() if isinstance(node, UNREAD)]
        for node, _ in unread:
            node.children = []
        try:
            super().feed(docname, filename, title, doctree)
            if docname not in LISTS:
                self._feed_leads(docname, doctree)
        finally:
            for node, children in unread:
                node.children = children

    def _feed_leads(self, docname: str, doctree: nodes.document) -> None:
        for text in lead(docname, doctree):
            self._lead_to(docname, text)
        for link in doctree.findall(nodes.reference):
            target = link.get("refuri", "").partition("#")[0]
            if link.get("internal") and len(link.astext().split()) >= SENTENCE:
                path = posixpath.normpath(posixpath.join(posixpath.dirname(docname), target))
                self._lead_to(path.removesuffix(".html"), link.astext())

    def _lead_to(self, docname: str, text: str) -> None:
        for word in self.lang.split(text):
            self._leads.setdefault(self.lang.stem(word.lower()), set()).add(docname)

    def freeze(self) -> dict[str, Any]:
        """Return what is written, the leads as a further part of it."""
        frozen = super().freeze()
        place = {name: index for index, name in enumerate(frozen["docnames"])}
        leads = {
            word: sorted(place[name] for name in names if name in place)
            for word, names in sorted(self._leads.items())
            if self.lang.word_filter(word)
        }
        return {**frozen, "leads": leads}


def lead(docname: str, doctree: nodes.document) -> Iterator[str]:
    """Yield the texts by which a page is best found."""
    top = next(iter(doctree.findall(nodes.section)), None)
    if top is None:
        return
    before = itertools.takewhile(lambda part: not isinstance(part, nodes.section), top[1:])
    for part in [doctree] if docname in DEFINING else before:
        if "cell" not in part.get("classes", []):
            yield from (paragraph.astext() for paragraph in part.findall(nodes.paragraph))
    yield from (bold.astext() for bold in doctree.findall(nodes.strong))


def add_script(app: Sphinx, page: str, *_: Any) -> None:
    """Load it on the search page only."""
    if page == "search":
        app.add_js_file("search/find.js", loading_method="defer", priority=900)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    sphinx.search.IndexBuilder = Index
    app.config.html_search_scorer = str(OWN / "scorer.js")
    app.connect("builder-inited", lambda app: serve(app, OWN))
    app.connect("html-page-context", add_script)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
