"""Sphinx extension: the text fonts of the pages and of the figures, out of installed packages.

Source Serif for text and Source Sans for all else, from the packages ``font-source-serif-pro`` and
``font-source-sans-pro`` (SIL Open Font License), cut to the letters of this book. Without the
packages the style sheet falls back to fonts of the reader's system, and formulas keep their place:
only the measure of a line differs.

A figure is a file of its own, which sees no font of the page: it carries what its text needs.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fontTools import subset
from fontTools.ttLib.tables._n_a_m_e import NameRecordVisitor
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

# Half the time of cutting goes into looking for names of what kerning and ligatures do not have.
NameRecordVisitor.TABLES = ()

# Name of the family, weight, style; package and file.
FACES = (
    ("Source Serif Pro", 400, "normal", "font_source_serif_pro", "SourceSerifPro-Regular"),
    ("Source Serif Pro", 400, "italic", "font_source_serif_pro", "SourceSerifPro-It"),
    ("Source Serif Pro", 600, "normal", "font_source_serif_pro", "SourceSerifPro-Semibold"),
    ("Source Sans Pro", 400, "normal", "font_source_sans_pro", "SourceSansPro-Regular"),
    ("Source Sans Pro", 600, "normal", "font_source_sans_pro", "SourceSansPro-Semibold"),
)
# Latin, Greek, punctuation, arrows and the signs that prose and axes use.
LETTERS = (
    *range(0x20, 0x7F),
    *range(0xA0, 0x100),
    *range(0x391, 0x3CA),
    *range(0x2010, 0x2027),
    *(0x2032, 0x2033, 0x2070, 0x00B2, 0x20AC, 0x2126, 0x2190, 0x2191, 0x2192, 0x2193),
    *(0x2202, 0x2206, 0x2211, 0x2212, 0x221A, 0x221E, 0x2248, 0x2260, 0x2264, 0x2265, 0x25CA),
    *range(0xFB00, 0xFB03),
)
# The icons of the theme's buttons, by the theme's names, and those of its boxes.
ICONS = {
    **{"angle-left": 0xF104, "angle-right": 0xF105, "arrow-up": 0xF062, "bars": 0xF0C9},
    **{"chevron-down": 0xF078, "chevron-right": 0xF054, "circle-half-stroke": 0xF042},
    **{"download": 0xF019, "file": 0xF15B, "file-pdf": 0xF1C1, "list": 0xF03A},
    **{"magnifying-glass": 0xF002, "moon": 0xF186, "sun": 0xF185, "xmark": 0xF00D},
}
BOXES = (0xF0F3, 0xF058, 0xF06A, 0xF071, 0xF05A, 0xF0EB, 0xF303, 0xF064, 0xF057, 0xF107)
ICON_RULES = """
:root{--fa-style-family-classic:'Font Awesome 6 Free';
--fa-font-solid:normal 900 1em/1 'Font Awesome 6 Free'}
.fa-solid,.fas{display:inline-block;font:900 1em/1 'Font Awesome 6 Free';
-webkit-font-smoothing:antialiased;text-rendering:auto}
.fa-lg{font-size:1.25em;line-height:.05em;vertical-align:-.075em}
"""
FIGURES = "Source Sans Pro"
FACE = (
    "@font-face{{font-family:'{family}';font-weight:{weight};font-style:{style};"
    "font-display:{display};src:url({source}) format('woff')}}"
)


def installed(package: str) -> Path | None:
    """Return the folder of an installed package; None if it is not there."""
    spec = find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else None


def cut(path: Path, letters: Iterable[int]) -> bytes:
    """Return a font with these letters only, as WOFF."""
    options = subset.Options(flavor="woff", hinting=False, layout_features=["kern", "liga"])
    font = subset.load_font(str(path), options)
    cutter = subset.Subsetter(options)
    cutter.populate(unicodes=letters)
    cutter.subset(font)
    written = io.BytesIO()
    subset.save_font(font, written, options)
    return written.getvalue()


def write_fonts(app: Sphinx) -> None:
    """Write the fonts and their style sheet; keep what figures carry."""
    if app.builder.format != "html":
        return
    folder = Path(app.outdir) / "_static" / "fonts"
    folder.mkdir(parents=True, exist_ok=True)
    rules, carried = [], []
    for family, weight, style, package, name in FACES:
        source = installed(package)
        if source is None:
            continue
        content = cut(source / "files" / f"{name}.ttf", LETTERS)
        (folder / f"{name}.woff").write_bytes(content)
        face = {"family": family, "weight": weight, "style": style}
        rules.append(FACE.format(source=f"{name}.woff", display="optional", **face))
        if family == FIGURES:
            inline = f"data:font/woff;base64,{base64.b64encode(content).decode()}"
            carried.append((weight, FACE.format(source=inline, display="block", **face)))
    (folder / "icons.woff").write_bytes(cut(icon_font(), (*ICONS.values(), *BOXES)))
    (folder / "fonts.css").write_text("\n".join([*rules, icon_rules()]) + "\n", "utf-8")
    app.config.w2s_figure_fonts = carried


def icon_font() -> Path:
    """Return the file of the theme's icons."""
    theme = installed("pydata_sphinx_theme")
    if theme is None:
        raise ExtensionError("the theme is not installed: pip install pydata-sphinx-theme")
    vendor = theme / "theme/pydata_sphinx_theme/static/vendor/fontawesome"
    return next(vendor.glob("*/webfonts/fa-solid-900.ttf"))


def icon_rules() -> str:
    """Return the rules of the icons: a twentieth of the font and style sheet of them all."""
    face = {"family": "Font Awesome 6 Free", "weight": 900, "style": "normal"}
    names = (f".fa-{name}::before{{content:'\\{code:x}'}}" for name, code in ICONS.items())
    rule = FACE.format(source="icons.woff", display="block", **face)
    return "\n".join([rule, ICON_RULES.strip(), *names])


def ask_early(app: Sphinx, pagename: str, template: str, context: dict[str, Any], _: Any) -> None:
    """Let a page ask for its fonts at once: a text never changes its font, so no line moves."""
    folder = Path(app.outdir) / "_static" / "fonts"
    for path in sorted(folder.glob("*.woff")):
        address = context["pathto"](f"_static/fonts/{path.name}", 1)
        context["metatags"] = context.get("metatags", "") + (
            f'<link rel="preload" as="font" type="font/woff" crossorigin href="{address}">'
        )


def carry(app: Sphinx, exception: Exception | None) -> None:
    """Put the fonts that a figure's text asks for into its file."""
    if exception is not None or app.builder.format != "html":
        return
    for path in (Path(app.outdir) / "_images").glob("*.svg"):
        # What the italic lacks, Greek above all, is in a fallback that the reader need not have.
        drawing = path.read_text("utf-8").replace("'STIXGeneral'", f"'{FIGURES}'")
        if "<text" not in drawing or FIGURES not in drawing:
            continue
        # Bold is in every style attribute that wants it; the regular face is always there.
        faces = [
            rule
            for weight, rule in app.config.w2s_figure_fonts
            if weight == 400 or "bold" in drawing or " 600 " in drawing
        ]
        start = drawing.index(">", drawing.index("<svg")) + 1
        style = f"<style>{''.join(faces)}</style>"
        path.write_text(drawing[:start] + style + drawing[start:], "utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.add_config_value("w2s_figure_fonts", [], "")
    app.connect("builder-inited", write_fonts)
    app.connect("html-page-context", ask_early)
    app.connect("build-finished", carry)
    app.add_css_file("fonts/fonts.css", priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
