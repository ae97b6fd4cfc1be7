"""One self-contained HTML page from an executed notebook: no script, no request, light and dark."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from html import escape
from typing import Any

from markdown_it import MarkdownIt

HIDDEN = {"remove-cell", "remove-output", "parameters"}
STYLE = """
:root { color-scheme: light dark; --ink: #1c1b1a; --quiet: #5d5a55; --page: #fdfcfa;
  --line: #dcd8d1; --mark: #f3f0ea; --accent: #0b5c8a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e5df; --quiet: #b0aba2; --page: #191817;
  --line: #3b3834; --mark: #262421; --accent: #7cc4ee; } img.invert { filter: invert(1)
  hue-rotate(180deg); } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 52rem; background: var(--page);
  color: var(--ink); font: 1rem/1.6 system-ui, sans-serif; overflow-wrap: anywhere; }
h1, h2, h3 { line-height: 1.25; margin: 2.5rem 0 0.75rem; } h1 { margin-top: 1rem; }
a { color: var(--accent); } :focus-visible { outline: 2px solid var(--accent); }
code { font-size: 0.9em; } pre { overflow-x: auto; background: var(--mark); padding: 0.75rem; }
table { border-collapse: collapse; font-size: 0.88rem; font-variant-numeric: tabular-nums;
  overflow-wrap: normal; margin: 0.75rem 0; }
th, td { padding: 0.3rem 0.7rem; text-align: left; border-bottom: 1px solid var(--line);
  vertical-align: top; } thead th { color: var(--quiet); font-weight: 600; }
figure { margin: 1.5rem 0; } figure img { max-width: 100%; height: auto; display: block; }
figcaption, .w2s-figure-data { color: var(--quiet); font-size: 0.88rem; }
.w2s-verdict, .w2s-claim { background: var(--mark); border-left: 4px solid var(--accent);
  padding: 0.75rem 1rem; margin: 1rem 0; } .w2s-claim { font-size: 0.88rem; }
.w2s-claim__mark { font-weight: 600; } .w2s-claim__id, .w2s-claim__numbers { color: var(--quiet); }
pre.stream { font-size: 0.85rem; }
"""


def render(notebook: Any, title: str) -> str:
    """Write the page: the notebook's text, outputs and figures, without its code.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        Executed by `w2s_book.execute`: its figures have caption and alternative text.
    title : str
        Of the page.

    Returns
    -------
    str
        HTML.
    """
    markdown = MarkdownIt("commonmark").enable("table")
    # A report never follows what a file name or a class name would make of the page.
    body = "\n".join(part for cell in notebook.cells for part in _cell(cell, markdown))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "img-src data:; style-src 'unsafe-inline'\">"
        f'<link rel="icon" href="data:,"><title>{escape(title)}</title><style>{STYLE}</style>'
        f"</head><body><main>\n{body}\n</main></body></html>\n"
    )


def _cell(cell: Any, markdown: MarkdownIt) -> list[str]:
    tags = set(cell.metadata.get("tags", []))
    if cell.cell_type == "markdown":
        return [] if "book-only" in tags else [markdown.render(_plain(cell.source))]
    if tags & HIDDEN:
        return []
    return [_output(output, cell.metadata.get("mystnb", {}), markdown) for output in cell.outputs]


def _plain(source: str) -> str:
    """Text without the roles that only the book resolves."""
    source = re.sub(r"\{(?:numref|prf:ref|eq|ref)\}`[^`]*`", "", source)
    return re.sub(r"^\([\w-]+\)=\s*$", "", source, flags=re.MULTILINE)


def _output(output: Mapping[str, Any], about: Mapping[str, Any], markdown: MarkdownIt) -> str:
    if output["output_type"] == "stream":
        return f'<pre class="stream">{escape(output["text"])}</pre>'
    data = output.get("data", {})
    for mime in ("image/svg+xml", "image/png"):
        if mime in data:
            return _figure(mime, data[mime], about, markdown)
    if "text/html" in data:
        return data["text/html"]
    return f"<pre>{escape(data['text/plain'])}</pre>" if "text/plain" in data else ""


def _figure(mime: str, image: str, about: Mapping[str, Any], markdown: MarkdownIt) -> str:
    encoded = image if mime == "image/png" else base64.b64encode(image.encode()).decode()
    shown = about.get("image", {})
    invert = ' class="invert"' if shown.get("classes") == "w2s-figure" else ""
    caption = markdown.renderInline(about.get("figure", {}).get("caption", ""))
    return (
        f'<figure><img{invert} src="data:{mime};base64,{encoded.strip()}" '
        f'alt="{escape(shown.get("alt", ""))}"><figcaption>{caption}</figcaption></figure>'
    )
