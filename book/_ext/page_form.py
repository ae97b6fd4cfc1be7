"""Sphinx extension: what a chapter's page does beyond text, in one style sheet and one script.

The switch that shows or hides all code, parameters as a line of chips, previews of what a link
points to. Without script a page is whole: code folds by itself, parameters are a code cell.
"""

from __future__ import annotations

from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.add_css_file("page.css", priority=900)
    app.add_js_file("page.js", type="module")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
