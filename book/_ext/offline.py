"""Sphinx extension: a site that asks nothing of the network.

MathJax is the one library that Sphinx loads from an outside host. The package
``sphinx-mathjax-offline`` carries a copy; as an extension it would put all 24 MB of it on
the site, so only what a page loads is copied here (about 2 MB).
"""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

SCRIPT = "tex-chtml-full.js"
FONTS = "output/chtml/fonts/woff-v2"
# What the MathJax menu loads on demand for readers who use a screen reader.
SPEECH = ("a11y", "sre/mathmaps/base.json", "sre/mathmaps/en.json")


def mathjax_source() -> Path:
    """Folder of the installed MathJax distribution."""
    spec = find_spec("sphinx-mathjax-offline")
    if spec is None or spec.origin is None:
        raise ExtensionError(
            "MathJax is not installed: pip install sphinx-mathjax-offline (extra 'book')"
        )
    return Path(spec.origin).parent / "static" / "mathjax"


def copy_mathjax(app: Sphinx, exception: Exception | None) -> None:
    """Copy the used part of MathJax into the built site."""
    if exception is not None or app.builder.format != "html":
        return
    source, target = mathjax_source(), Path(app.outdir) / "_static" / "mathjax"
    for name in (SCRIPT, FONTS, *SPEECH):
        destination = target / name
        if destination.exists():
            continue
        destination.parent.mkdir(parents=True, exist_ok=True)
        if (source / name).is_dir():
            shutil.copytree(source / name, destination)
        else:
            shutil.copyfile(source / name, destination)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.config.mathjax_path = f"mathjax/{SCRIPT}"
    app.connect("build-finished", copy_mathjax)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
