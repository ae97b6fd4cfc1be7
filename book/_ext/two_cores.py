"""Sphinx extension: two processes read the pages, and two write what a third one resolves.

Jupyter Book's own ``-j`` asks Sphinx for the same and ends in a warning and a crash, for two
omissions. sphinx-multitoc-numbering, which Jupyter Book sets up by itself, does not say that it is
safe; it is, since it numbers sections when all has been read. The domain of sphinx-proof does not
say how its data of two processes are merged; it has none, since its theorems are in a list of
their own, for which it does say it.

A label that is in two pages is a warning, and so an error. Sphinx sees that only within one
process; between two it is looked for here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sphinx.application import Sphinx
from sphinx.domains import Domain
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx_proof.domain import ProofDomain

logger = logging.getLogger(__name__)
NUMBERING = "sphinx_multitoc_numbering"


def read_in_parallel(app: Sphinx, *_: Any) -> None:
    """Allow a second process for reading.

    The reference pages, half of the time, come first; in one process they load the library once.
    """
    if extension := app.extensions.get(NUMBERING):
        extension.parallel_read_safe = True
    app.parallel = 2


def write_in_parallel(app: Sphinx, *_: Any) -> None:
    """Allow two processes for writing, beside the one that resolves references for them."""
    app.parallel = 3


def labels(env: BuildEnvironment) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield each kind of labels, with the page that every label is in."""
    data = env.domaindata
    yield "label", {name: found[0] for name, found in data["std"]["labels"].items()}
    yield "label of equation", {name: found[0] for name, found in data["math"]["objects"].items()}
    yield "description of", {name: found.docname for name, found in data["py"]["objects"].items()}
    for kind, place in (("statement", "proof_list"), ("exercise", "sphinx_exercise_registry")):
        found = getattr(env, place, {})
        yield f"label of {kind}", {name: about["docname"] for name, about in found.items()}


class Twins:
    """The labels of all pages read so far, to warn of those that another process reads again."""

    def __init__(self) -> None:
        self.seen: dict[tuple[str, str], str] = {}

    def look(self, app: Sphinx, env: BuildEnvironment, pages: set[str], other: Any) -> None:
        """Compare with them the labels of the pages that a process has read."""
        for kind, found in labels(other):
            for label, page in found.items():
                if page not in pages:
                    continue
                first = self.seen.setdefault((kind, label), page)
                if first not in pages:
                    message = "duplicate %s %s, other instance in %s"
                    logger.warning(message, kind, label, env.doc2path(first), location=page)


def merge_nothing(domain: Domain, pages: set[str], other: Mapping[str, Any]) -> None:
    """Merge the data of a domain that has none."""


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    if ProofDomain.merge_domaindata is Domain.merge_domaindata:
        ProofDomain.merge_domaindata = merge_nothing
    app.connect("env-before-read-docs", read_in_parallel)
    app.connect("env-merge-info", Twins().look)
    app.connect("env-updated", write_in_parallel)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
