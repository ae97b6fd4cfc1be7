"""What an extension serves from a folder of its own.

Jupyter Book loads every style and script below ``_static`` of the sources on every page, so files
for some pages only are put into the built site past it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from sphinx.application import Sphinx

SUFFIXES = {".css", ".js"}


def serve(app: Sphinx, folder: Path) -> None:
    """Put the styles and scripts of a folder below ``_static``, under the folder's name."""
    if app.builder.format != "html":
        return
    target = Path(app.outdir) / "_static" / folder.name
    target.mkdir(parents=True, exist_ok=True)
    for source in folder.iterdir():
        if source.suffix in SUFFIXES:
            shutil.copyfile(source, target / source.name)
