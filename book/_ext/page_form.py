"""Sphinx extension: what a chapter's page does beyond text, and what the theme's pages lack.

One style sheet and one script (the switch that shows or hides all code, previews of what a link
points to, formulas that fit), from the folder ``page`` beside this file: Jupyter Book would load
them once more if they lay in ``_static``. Without script a page is whole.

A chapter's parameters become a line of chips, and a statement takes the line that says whose it is
into its box. Numbers in prose get a minus sign, which a chapter's results print as a hyphen.
Finished pages are mended: names for what has none, sizes for images, no script for icons that the
style sheet draws.
"""

from __future__ import annotations

import base64
import functools
import html
import re
import struct
from pathlib import Path
from typing import Any

from docutils import nodes
from served import serve
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

OWN = Path(__file__).parent / "page"

# What to find in a finished page and what to write instead. The theme and MyST-NB give no option
# for any of these.
MENDED: tuple[tuple[str, str], ...] = (
    # The extension fonts brings the icons that the pages use. The theme brings them all, twice:
    # as a font and as a script that holds up the page.
    (r'<script src="[^"]*vendor/fontawesome/[^"]*"></script>', ""),
    (r"<link[^>]*vendor/fontawesome/[^>]*>", ""),
    # One viewport: Sphinx and the theme write three.
    (r'<meta name="viewport"[^>]*initial-scale=1(?:\.0)?" ?/>', ""),
    (
        r'<meta charset="utf-8" />',
        r'\g<0><meta name="viewport" content="width=device-width, initial-scale=1" />',
    ),
    (r'<meta name="docsearch:language"[^>]*>', ""),
    # Before the theme's script has run, and without any, the page is light.
    (r'(<html[^>]*) data-theme="auto"', r'\1 data-theme="light"'),
    (
        r"document\.documentElement\.dataset\.theme = localStorage[^;]*;",
        'const mode = localStorage.getItem("mode") || "auto";\n'
        '    document.documentElement.dataset.theme = mode !== "auto" ? mode\n'
        '      : matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";',
    ),
    # Names and landmarks.
    (
        r'(<a class="[^"]*" href="[^"]*">([^<]*)</a><details[^>]*>)<summary>',
        r'\1<summary aria-label="Pages of \2">',
    ),
    (r' aria-label="Toggle hidden content"', ""),
    (r'( search-button__button" title="Search") aria-label="Search"', r"\1"),
    (
        r'<div class="(bd-sidebar-primary bd-sidebar[^"]*)">',
        r'<div class="\1" role="navigation" aria-label="Book">',
    ),
    (r"(sidebar-toggle primary-toggle [^>]*)>", r'\1 aria-label="Contents of the book">'),
    (r"(sidebar-toggle secondary-toggle [^>]*)>", r'\1 aria-label="Contents of this page">'),
    # Code: names, punctuation and spaces have the colour of all text, and were half of its weight.
    (r'<span class="(?:n|nn|p|w)">([^<]*)</span>', r"\1"),
    # An id of every proof, a list that holds links, an empty heading of a column.
    (r' id="proof-content"', ""),
    (r' role="(?:list|doc-biblioentry|doc-backlink)"', ""),
    (r'<th class="[^"]*head[^"]*">\s*(?:<p></p>)?\s*</th>', "<td></td>"),
)


LETTERS = [
    f"mathjax/output/chtml/fonts/woff-v2/MathJax_{name}.woff"
    for name in ("Math-Italic", "Main-Regular")
]
PRELOAD = '<link rel="preload" as="font" type="font/woff" crossorigin href="{source}">'
IMAGE = r'<img(?P<rest>[^>]*? src="[^"]*_images/(?P<name>[^"]+)"[^>]*>)'
CSV = r'download="(?P<name>[\w-]+\.csv)" href="data:text/csv;base64,(?P<content>[^"]*)"'


def finish(page: str, images: dict[str, Path], data: Path) -> str:
    """Return a finished page: mended, its images with their sizes and lazy below the first.

    The data behind the figures, which a notebook carries in itself, become files in ``data``.
    """
    for wrong, instead in MENDED:
        page = re.sub(wrong, instead, page)
    order = iter(range(10_000))

    def sized(match: re.Match[str]) -> str:
        source = images.get(match["name"])
        size = picture_size(source) if source else None
        added = f' width="{size[0]}" height="{size[1]}"' if size else ""
        if next(order):
            added += ' loading="lazy"'
        image = f"<img{added}{match['rest']}"
        # On a phone a figure scrolls in a box of its own, so that its letters stay readable.
        return f'<span class="w2s-figure-box">{image}</span>' if "w2s-figure" in image else image

    def linked(match: re.Match[str]) -> str:
        data.mkdir(parents=True, exist_ok=True)
        (data / match["name"]).write_bytes(base64.b64decode(match["content"]))
        return f'download="{match["name"]}" href="{top}{data.name}/{match["name"]}"'

    found = re.search(r'data-content_root="([^"]*)"', page)
    top = found[1] if found else "./"
    if 'class="math ' in page:
        # Asked for now, the letters of formulas are there before the first of them is drawn.
        ahead = "".join(PRELOAD.format(source=f"{top}_static/{name}") for name in LETTERS)
        page = page.replace("</title>", f"</title>{ahead}", 1)
    page = re.sub(CSV, linked, page)
    return re.sub(IMAGE, sized, page)


class Minus(SphinxPostTransform):
    """Write a minus sign before a number in prose and tables, where a hyphen stood."""

    default_priority = 900
    formats = ("html",)

    def run(self, **_: Any) -> None:
        """Change the texts of a page; code, formulas and addresses stay."""
        kept = nodes.literal, nodes.FixedTextElement, nodes.math, nodes.raw
        for text in list(self.document.findall(nodes.Text)):
            changed = re.sub(r"(?<![^\s(\[,|~])-(?=\.?\d)", "\N{MINUS SIGN}", text)
            if changed != text and not isinstance(text.parent, kept):
                text.parent.replace(text, nodes.Text(changed))


class Chips(SphinxPostTransform):
    """Write the cell of parameters as a line of chips, ``name = value`` each.

    It is done here and not by a script, so that nothing below moves.
    """

    default_priority = 800
    formats = ("html",)

    def run(self, **_: Any) -> None:
        """Put the chips before the cell, which a style then hides."""
        for cell in list(self.document.findall(nodes.container)):
            if "tag_parameters" not in cell["classes"]:
                continue
            found = chips("\n".join(code.astext() for code in cell.findall(nodes.literal_block)))
            if found:
                cell["classes"].append("w2s-as-chips")
                cell.parent.insert(cell.parent.index(cell), nodes.raw("", found, format="html"))


def chips(source: str) -> str:
    """Return the assignments of a cell as chips, their comments as titles; empty without any."""
    lines: list[str] = []
    for line in source.splitlines():
        if re.match(r"\w+ *=", line):
            lines.append(line)
        elif line.strip() and lines:
            lines[-1] += f" {line.strip()}"
    written = []
    for line in lines:
        value, _, comment = line.partition("  # ")
        title = f' title="{html.escape(comment.strip())}"' if comment else ""
        shown = html.escape(re.sub(r" *= *", " = ", value.strip(), count=1))
        written.append(f"<span{title}>{shown}</span>")
    return f'<div class="w2s-parameters">{" ".join(written)}</div>' if written else ""


class Whose(SphinxPostTransform):
    """Move the line that says whose a statement is from below its box to below its title.

    It goes with the statement into a preview, and into the margin where there is room for one.
    """

    default_priority = 800
    formats = ("html",)

    def run(self, **_: Any) -> None:
        """Move each line of the class ``whose`` that follows a statement."""
        for line in list(self.document.findall(nodes.paragraph)):
            if "whose" not in line["classes"]:
                continue
            place = line.parent.index(line)
            statement = line.parent[place - 1] if place else None
            if isinstance(statement, nodes.Admonition) and "proof" in statement["classes"]:
                line.parent.remove(line)
                line["classes"].append("margin")  # the contents beside it make room for such
                statement.insert(1, line)


@functools.cache
def picture_size(path: Path) -> tuple[int, int] | None:
    """Return width and height in CSS pixels of an SVG or PNG; None for another kind of file."""
    with path.open("rb") as file:
        head = file.read(2000)
    if head.startswith(b"\x89PNG"):
        width, height = struct.unpack(">II", head[16:24])
        # Figures are drawn at 180 dots an inch; a pixel of CSS is a 96th of one.
        return round(width * 96 / 180), round(height * 96 / 180)
    found = re.search(rb'<svg[^>]* width="([\d.]+)pt" height="([\d.]+)pt"', head)
    return tuple(round(float(side) * 96 / 72) for side in found.groups()) if found else None


def finish_pages(app: Sphinx) -> None:
    """Let every page pass through `finish` on its way to the file; put style and script there."""
    if app.builder.format != "html":
        return
    serve(app, OWN)
    templates = app.builder.templates
    render = templates.render

    def finished(template: str, context: dict[str, Any]) -> str:
        page = render(template, context)
        if not template.endswith(".html"):
            return page
        pictures = {name: Path(app.srcdir, path) for path, name in app.builder.images.items()}
        return finish(page, pictures, Path(app.outdir) / "_data")

    templates.render = finished


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("builder-inited", finish_pages)
    for transform in (Minus, Chips, Whose):
        app.add_post_transform(transform)
    app.add_css_file("page/page.css", priority=900)
    app.add_js_file("page/page.js", type="module")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
