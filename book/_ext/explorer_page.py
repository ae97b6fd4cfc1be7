"""Sphinx extension: the scripts of the explorer page, on that page and no other.

The plotting library comes out of the installed Python package ``plotly``, which ships it; what is
ours lies in the folder ``explorer`` beside this file (Jupyter Book would load it on every page if
it lay in ``_static``).
"""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

PAGE = "explorer"
OWN = Path(__file__).parent / "explorer"
SCRIPTS = ("plotly.min.js", "formulas.js", "explorer.js")
STYLES = ("explorer.css",)


def plotly_source() -> Path:
    """Return the plotting library in the installed package."""
    spec = find_spec("plotly")
    if spec is None or spec.origin is None:
        raise ExtensionError("Plotly is not installed: pip install plotly (extra 'book')")
    return Path(spec.origin).parent / "package_data" / "plotly.min.js"


def copy_files(app: Sphinx) -> None:
    """Put scripts and style where the page finds them."""
    if app.builder.format != "html":
        return
    target = Path(app.outdir) / "_static" / PAGE
    target.mkdir(parents=True, exist_ok=True)
    for source in (plotly_source(), *(OWN / name for name in (*SCRIPTS[1:], *STYLES))):
        shutil.copyfile(source, target / source.name)


def add_files(app: Sphinx, pagename: str, *_: Any) -> None:
    """Load them on the explorer page only."""
    if pagename == PAGE:
        for name in SCRIPTS:
            app.add_js_file(f"{PAGE}/{name}", loading_method="defer")
        for name in STYLES:
            app.add_css_file(f"{PAGE}/{name}")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("builder-inited", copy_files)
    app.connect("html-page-context", add_files)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
