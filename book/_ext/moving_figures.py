"""Sphinx extension: figures that move, on the pages that have them.

``{moving} projection`` puts the figure ``moving/projection.html`` on a page, drawn in its first
state and so whole without script, and loads ``moving/projection.js``, which moves it. The text of
the directive is the caption; with one the figure is numbered, and ``:name:`` is what
``{numref}`` calls it. Scripts are plain modules: formulas in one file, what they share in another.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from served import serve
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

OWN = Path(__file__).parent / "moving"


class moving_picture(nodes.General, nodes.Element):
    """A figure's picture and controls, under its name."""


class Moving(SphinxDirective):
    """The directive ``{moving} NAME``, with a caption or without."""

    required_arguments = 1
    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {"name": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        """Return the picture, in a figure where there is a caption."""
        name = self.arguments[0]
        known = sorted(path.stem for path in OWN.glob("*.html"))
        if name not in known:
            raise self.error(f"moving: expected one of {', '.join(known)}, got {name!r}")
        self.env.note_dependency(str(OWN / f"{name}.html"))
        picture = moving_picture("", figure=name)
        if not self.content:
            return [picture]
        figure, text = nodes.figure("", picture), nodes.Element()
        self.state.nested_parse(self.content, self.content_offset, text)
        caption, *rest = text.children
        figure += nodes.caption("", "", *caption.children)
        if rest:
            figure += nodes.legend("", *rest)
        self.add_name(figure)
        return [figure]


def visit_html(translator: Any, node: moving_picture) -> None:
    """Write the file as it is."""
    name = node["figure"]
    still = (OWN / f"{name}.html").read_text("utf-8")
    translator.body.append(
        f'<div class="w2s-moving" data-moving="{name}"><div class="w2s-figure-body">\n'
        f"{still}</div></div>\n"
    )


def skip(translator: Any, node: moving_picture) -> None:
    """Outside of html there is the caption."""
    raise nodes.SkipNode


def leave(translator: Any, node: moving_picture) -> None:
    """Everything was written on entering."""


def add_files(app: Sphinx, pagename: str, template: str, context: Any, doctree: Any) -> None:
    """Load on a page what its figures need, and nothing on others."""
    names = {node["figure"] for node in doctree.findall(moving_picture)} if doctree else set()
    styles = ["moving", *sorted(name for name in names if (OWN / f"{name}.css").exists())]
    for name in styles if names else []:
        app.add_css_file(f"moving/{name}.css", priority=910)
    for name in sorted(names):
        app.add_js_file(f"moving/{name}.js", type="module")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.add_node(moving_picture, html=(visit_html, leave), latex=(skip, None), text=(skip, None))
    app.add_directive("moving", Moving)
    app.connect("builder-inited", lambda app: serve(app, OWN))
    app.connect("html-page-context", add_files)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
