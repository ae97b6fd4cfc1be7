"""Sphinx extension: a site that asks nothing of the network.

MathJax is the one library that Sphinx loads from an outside host. The package
``sphinx-mathjax-offline`` carries a copy; as an extension it would put all 24 MB of it on
the site, so only what a page loads is copied here. One script is put together from the parts that
the book needs: half the size of the smallest that comes ready made, which brings a menu and a
speech engine. Screen readers get the MathML that the last part writes beside each formula.

Until MathJax has set a formula, and without script, it is MathML as the browser sets it.
"""

from __future__ import annotations

import functools
import re
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import latex2mathml.converter
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

SCRIPT = "mathjax/book.js"
PARTS = (
    "startup.js",
    "core.js",
    "input/tex.js",
    "output/chtml.js",
    "output/chtml/fonts/tex.js",
    "a11y/assistive-mml.js",
)
# What the converter to MathML does not know, and what it does.
UNKNOWN = {
    r"{aligned}": "{align*}",
    r"\arg\min": r"\argmin",
    r"\sim": "∼",
    r"\bigl": "",
    r"\bigr": "",
}
# Loaded when they are asked for: fonts, and extensions for commands that a formula names.
FOLDERS = ("output/chtml/fonts/woff-v2", "input/tex/extensions")


def mathjax_source() -> Path:
    """Folder of the installed MathJax distribution."""
    spec = find_spec("sphinx-mathjax-offline")
    if spec is None or spec.origin is None:
        raise ExtensionError(
            "MathJax is not installed: pip install sphinx-mathjax-offline (extra 'book')"
        )
    return Path(spec.origin).parent / "static" / "mathjax"


def copy_mathjax(app: Sphinx) -> None:
    """Put the used part of MathJax where the pages find it."""
    if app.builder.format != "html":
        return
    source, target = mathjax_source(), Path(app.outdir) / "_static" / "mathjax"
    for name in FOLDERS:
        shutil.copytree(source / name, target / name, dirs_exist_ok=True)
    texts = [(source / part).read_text("utf-8") for part in PARTS]
    (Path(app.outdir) / "_static" / SCRIPT).write_text(";\n".join(texts), "utf-8")


@functools.cache
def mathml(tex: str, display: str = "inline") -> str:
    """Return a formula as MathML, which browsers set by themselves."""
    if r"\\" in tex and r"\begin" not in tex:
        tex = rf"\begin{{aligned}}{tex}\end{{aligned}}"
    for known, instead in UNKNOWN.items():
        tex = tex.replace(known, instead)
    written = latex2mathml.converter.convert(tex, display=display)
    # In html it needs no namespace, and signs may be written as they are.
    formula = ElementTree.fromstring(re.sub(r' xmlns="[^"]*"', "", written))
    for name in formula.iter("mi"):
        # One Latin or Greek letter is italic; the style sheet knows the others by this.
        if not re.fullmatch("[A-Za-z\u0370-\u03ff]", name.text or ""):
            name.set("mathvariant", "normal")
    for sign in unspaced(formula):
        sign.attrib |= {"lspace": "0em", "rspace": "0em"}
    return ElementTree.tostring(formula, encoding="unicode", short_empty_elements=False)


def unspaced(formula: ElementTree.Element) -> Iterator[ElementTree.Element]:
    """Yield the signs around which TeX leaves no space and MathML would: in scripts, and a few."""
    for script in ("msub", "msup", "msubsup"):
        for around in formula.iter(script):
            for part in list(around)[1:]:
                yield from part.iter("mo")
    for row in formula.iter():
        before = "("
        for part in row:
            text = part.text if part.tag == "mo" else ""
            if text in ("/", "|", "‖") or (text in ("−", "+") and before in (*"(,=≥≤<>", "⟨")):
                yield part
            before = text or "x"


def static(visit: Any, display: str) -> Any:
    """Let a visitor of formulas write the MathML beside what MathJax reads.

    It shows at once, and until the formula is set, or for good where no script runs.
    """

    def visit_both(translator: Any, node: Any) -> None:
        begun = len(translator.body)
        try:
            visit(translator, node)
        except nodes.SkipNode:
            opening, *number, tex, closing = re.fullmatch(
                r"(?s)(\s*<(?:span|div)[^>]*>)(<span class=\"eqno\">.*?</a></span>)?(.*)(</\w+>\s*)",  # noqa: E501
                "".join(translator.body[begun:]),
            ).groups(default="")
            both = f'<span class="w2s-tex">{tex}</span>{mathml(node.astext().strip(), display)}'
            translator.body[begun:] = [opening, *number, both, closing]
            raise

    return visit_both


def write_both(app: Sphinx) -> None:
    """Wrap the visitors of formulas."""
    inline, block = app.registry.html_inline_math_renderers, app.registry.html_block_math_renderers
    for renderers, display in ((inline, "inline"), (block, "block")):
        renderers["mathjax"] = (static(renderers["mathjax"][0], display), None)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.setup_extension("sphinx.ext.mathjax")
    app.config.mathjax_path = SCRIPT
    # The letters' height in Source Serif; measured from the page, it would be that of whichever
    # font happens to be there when MathJax starts.
    app.config.mathjax3_config = {"chtml": {"matchFontHeight": False, "scale": 1.06}}
    app.connect("builder-inited", copy_mathjax)
    app.connect("builder-inited", write_both, priority=900)  # after MyST has put its own there
    return {"parallel_read_safe": True, "parallel_write_safe": True}
