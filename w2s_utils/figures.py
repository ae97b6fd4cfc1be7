"""One style for every figure, and figures that keep their data, caption and alternative text.

`show` displays a figure together with a record of what it is; after a run `promote` copies the
record into the cell's metadata, where MyST-NB finds the caption, the name and the alternative
text. A figure without them is refused, so none reaches a page.
"""

from __future__ import annotations

import base64
import copy
import csv
import html
import io
import re
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

import w2s_utils
from w2s_utils import validation

if TYPE_CHECKING:  # it takes a while to import, and colours are asked for without it
    from matplotlib.figure import Figure

RECORD = "w2s_figure"

# Okabe and Ito's colour-blind-safe palette, without its yellow, which vanishes on white; its sky
# blue and its orange are darker here, for a contrast of 3:1 with the page.
TEACHER = "#D55E00"
STUDENT = "#0072B2"
BASELINE = "#2B83BA"
CEILING = "#009E73"
THEORY = "#000000"
BOUND = "#777777"
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#2B83BA", "#B97F00", "#777777")

STYLE = Path(__file__).with_name("book.mplstyle")
# The font of the book's pages, narrower and smaller to the eye than matplotlib's own.
FONT = Path(__file__).with_name("font.mplstyle")


def use_style() -> None:
    """Set matplotlib's defaults to the book's style, for the running kernel.

    Where the package ``font-source-sans-pro`` is installed, text is in the font of the pages and
    stays text in an SVG, which the book's build gives the font to carry.
    """
    from matplotlib import font_manager, style

    style.use(STYLE)
    if find_spec("font_source_sans_pro"):
        font = import_module("font_source_sans_pro")
        for face in ("", "It", "Bold", "BoldIt"):
            font_manager.fontManager.addfont(font.font_files_ttf[f"SourceSansPro{face}"])
        style.use(FONT)


def show(
    figure: Figure | str,
    *,
    name: str,
    caption: str,
    alt: str,
    data: Mapping[str, ArrayLike],
    dense: bool = False,
    invertible: bool = True,
) -> None:
    """Display a figure with its caption, alternative text and the data behind it.

    Parameters
    ----------
    figure : matplotlib.figure.Figure or str
        Closed afterwards; or what is an SVG already.
    name : str
        Label for cross references, ``"fig-"`` and lower-case words joined by hyphens.
    caption : str
        MyST markdown; numbers in it should be computed.
    alt : str
        What a reader who cannot see the figure needs to know.
    data : mapping of str to array_like
        The columns behind the figure; shorter columns are padded with blanks in the CSV.
    dense : bool
        Draw as PNG: for thousands of points or pixels SVG is larger.
    invertible : bool
        Whether inverting the lightness gives a good dark-mode figure; false for heat maps.

    Raises
    ------
    ValueError
        If the name is malformed, or caption, alt or data are empty.
    """
    if not isinstance(name, str) or not re.fullmatch(r"fig-[a-z0-9]+(-[a-z0-9]+)*", name):
        raise ValueError(f"name: expected 'fig-' and lower-case words with hyphens, got {name!r}")
    validation.text(caption, "caption", f"figure {name}")
    validation.text(alt, "alt", f"figure {name}")
    if not data or not all(np.size(values) for values in data.values()):
        raise ValueError(f"data: figure {name} needs the columns behind it, got {dict(data)!r}")
    from matplotlib import __version__, pyplot

    record = {
        "name": name,
        "caption": " ".join(caption.split()),
        "alt": " ".join(alt.split()),
        "classes": "w2s-figure" if invertible else "w2s-figure-card",
        "provenance": {"w2s_utils": w2s_utils.__version__, "matplotlib": __version__},
    }
    _display(render(figure, name, dense, transparent=invertible), record, as_csv(data))
    # pyplot keeps every figure it makes; the inline backend would show an open one again.
    pyplot.close(figure)


def promote(notebook: Any) -> None:
    """Copy each figure's record into its cell's metadata, where MyST-NB reads it.

    MyST-NB makes a figure of every output of such a cell, so what the cell displayed besides the
    image (the link to the data, claims) moves to a cell of its own, without source, below it.

    Changes an executed ``nbformat.NotebookNode`` in place. An image that was displayed without
    `show`, and a second figure in one cell, are refused.
    """
    cells = []
    for index, cell in enumerate(notebook.cells):
        cells.append(cell)
        record = _record_of(cell, index)
        if record is None:
            continue
        cell.metadata["mystnb"] = {
            "figure": {"name": record["name"], "caption": record["caption"]},
            "image": {"alt": record["alt"], "classes": record["classes"]},
        }
        rest = [output for output in cell.outputs if not _is_image(output)]
        cell.outputs = [output for output in cell.outputs if _is_image(output)]
        if rest:
            cells.append(_below(cell, rest))
    notebook.cells = cells


def _record_of(cell: Any, index: int) -> dict[str, Any] | None:
    images = [output for output in cell.get("outputs", []) if _is_image(output)]
    records = [output.get("metadata", {}).get(RECORD) for output in images]
    if None in records:
        raise ValueError(
            f"cell {index} displays an image without caption and alternative text: "
            "use w2s_utils.figures.show"
        )
    if len(records) > 1:
        raise ValueError(f"cell {index} shows {len(records)} figures: use one cell for each")
    return records[0] if records else None


def _below(cell: Any, outputs: list[Any]) -> Any:
    """A copy of the cell with other outputs; MyST-NB drops cells without any source."""
    other = copy.deepcopy(cell)
    other.update(id=f"{cell.id}-more", source="# data", outputs=outputs)
    other.metadata.pop("mystnb")
    other.metadata["tags"] = ["remove-input"]
    return other


def _is_image(output: Mapping[str, Any]) -> bool:
    return any(mime.startswith("image/") for mime in output.get("data", {}))


def render(
    figure: Figure | str, name: str, dense: bool = False, transparent: bool = True
) -> dict[str, str]:
    """Draw a figure: its image by media type, SVG or (``dense``) PNG in base64.

    The same figure gives the same image in every run; what is an SVG stays as it is.
    """
    if isinstance(figure, str):
        return {"image/svg+xml": figure}
    from matplotlib import rc_context

    buffer = io.BytesIO()
    # The salt and the missing date make the file the same in every run.
    with rc_context({"svg.hashsalt": name}):
        if dense:
            figure.savefig(buffer, format="png", dpi=180, transparent=transparent)
            return {"image/png": base64.b64encode(buffer.getvalue()).decode()}
        figure.savefig(buffer, format="svg", transparent=transparent, metadata={"Date": None})
    return {"image/svg+xml": buffer.getvalue().decode()}


def as_csv(data: Mapping[str, ArrayLike]) -> str:
    """Write the columns behind a figure as CSV; shorter ones are padded with blanks."""
    columns = {key: np.ravel(np.asarray(values)).tolist() for key, values in data.items()}
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip_longest(*columns.values(), fillvalue=""))
    return buffer.getvalue()


def _display(image: dict[str, Any], record: dict[str, Any], table: str) -> None:
    from IPython.display import HTML, display

    shown = {**image, "text/plain": record["alt"]}
    display(shown, metadata={RECORD: record}, raw=True)
    encoded = base64.b64encode(table.encode()).decode()
    filename = html.escape(f"{record['name']}.csv")
    link = (
        f'<p class="w2s-figure-data"><a download="{filename}" '
        f'href="data:text/csv;base64,{encoded}">Data behind the figure (CSV)</a></p>'
    )
    display(HTML(link))
