"""Sphinx extension: pages are written by two processes.

They are read by one: sphinx-multitoc-numbering does not say that it can be read in parallel, and
a build with ``-j 2`` warns of it, which is an error here.
"""

from __future__ import annotations

from sphinx.application import Sphinx


def write_in_parallel(app: Sphinx, *_: object) -> None:
    """Allow a second process from here on: every page has been read."""
    app.parallel = 2


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("env-updated", write_in_parallel)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
