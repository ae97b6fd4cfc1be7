"""Sphinx extension: what the first page takes from the run, so that no number is typed by hand.

``{measured}`ID` `` is what a claim observed, with its standard error; ``{unreproduced}`` lists the
statements that do not reproduce; ``{report-verdict}`` quotes the report card of the example. Where
a notebook was not executed they say so.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, ClassVar

import evidence
from bs4 import BeautifulSoup
from docutils import nodes
from docutils.parsers.rst import directives
from served import serve
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective, SphinxRole

PAGE = "index"
REPORT = "notebooks/your_models/report.ipynb"
OWN = Path(__file__).parent / "front"
ABSENT = "not measured in this build"


def with_error(value: float, error: float | None) -> tuple[str, str]:
    """Format a number to the first digit of its error, or to three digits; and its error."""
    if not error:
        return f"{value:.3g}".replace("-", "−"), ""
    digits = max(0, -math.floor(math.log10(error)))
    return f"{value:.{digits}f}".replace("-", "−"), f" ± {error:.{digits}f}"


class Measured(SphinxRole):
    """The role ``{measured}``, a link to the chapter that measured it."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return the number, or that there is none."""
        path = Path(self.env.srcdir).parent / "claims.json"
        self.env.note_dependency(str(path))
        records = json.loads(path.read_text("utf-8")) if path.exists() else []
        found = next((record for record in records if record["id"] == self.text), None)
        if found is None:
            return [nodes.emphasis("", ABSENT)], []
        value, error = with_error(found["observed"], found["standard_error"])
        page = f"notebooks/{found['notebook']}"
        address = self.env.app.builder.get_relative_uri(self.env.docname, page)
        link = nodes.reference("", value, refuri=address, internal=True)
        link += nodes.inline("", error, classes=["w2s-error"])
        return [nodes.inline("", "", link, classes=["w2s-measured"])], []


class Unreproduced(SphinxDirective):
    """The directive ``{unreproduced}``: statements whose verdict is that they do not reproduce."""

    option_spec: ClassVar[dict[str, Any]] = {"most": directives.positive_int}

    def run(self) -> list[nodes.Node]:
        """Return a list of sentences, each with its chapter."""
        entries = evidence.read_entries(Path(self.env.srcdir) / "evidence")
        found = [entry for entry in entries if entry.verdict == "does not reproduce"]
        shown = found[: self.options.get("most", len(found))]
        rest = len(found) - len(shown)
        lines = [f"- {each.statement} [](/notebooks/{each.chapter}.ipynb)" for each in shown]
        lines += [f"- and {rest} more, [with their evidence](/evidence.md)"] if rest else []
        self.content.data = lines or ["Nothing."]
        self.content.items = [(self.state.document["source"], self.lineno)] * len(lines or [0])
        box = nodes.container(classes=["w2s-unreproduced"])
        self.state.nested_parse(self.content, self.content_offset, box)
        return [box]


class ReportVerdict(SphinxDirective):
    """The directive ``{report-verdict}``: what the report says of the arrays it shows itself on."""

    def run(self) -> list[nodes.Node]:
        """Return the verdict's first sentences."""
        path = Path(self.env.srcdir) / REPORT
        self.env.note_dependency(str(path))
        box = nodes.container(classes=["w2s-report-verdict"])
        found = verdict(path) if path.exists() else []
        for text in found or [ABSENT]:
            box += nodes.paragraph("", text)
        return [box]


def verdict(path: Path) -> list[str]:
    """Return the decision and its first reasons from an executed report."""
    outputs = [
        "".join(output["data"]["text/html"])
        for cell in json.loads(path.read_text("utf-8"))["cells"]
        for output in cell.get("outputs", [])
        if "text/html" in output.get("data", {})
    ]
    for text in outputs:
        if box := BeautifulSoup(text, "html.parser").select_one(".w2s-verdict"):
            shown = [box.strong, *box.ul.select("li")[:1]]
            return [" ".join(each.get_text().split()) for each in shown]
    return []


def add_style(app: Sphinx, pagename: str, *_: Any) -> None:
    """Style the first page, and no other."""
    if pagename == PAGE:
        app.add_css_file("front/front.css", priority=920)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.add_role("measured", Measured())
    app.add_directive("unreproduced", Unreproduced)
    app.add_directive("report-verdict", ReportVerdict)
    app.connect("builder-inited", lambda app: serve(app, OWN))
    app.connect("html-page-context", add_style)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
