"""A report in words, tables and figures, from the templates of this package.

`render` writes the one self-contained page of ``w2s report``: no script, no request, light and
dark. `show` displays a part of it in a notebook.
"""

from __future__ import annotations

import base64
import importlib
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt

from w2s_report import draw
from w2s_report.card import ReportCard
from w2s_report.teachers import MODELS, Cell
from w2s_report.words import interval, templates
from w2s_utils import figures

_NAMES = {
    "constant": "best constant",
    "shuffled": "student of shuffled answers",
    "teacher": "teacher",
    "student": "student",
    "baseline": "strong model on the labels (baseline)",
    "ceiling": "strong model on all labels (ceiling)",
    "misfit": "misfit",
    "gain": "gain: teacher less student",
    "advantage": "advantage: baseline less student",
    "pgr": "PGR",
    "opr": "OPR",
}
# Heading and template of each part, in the order of the page, and what of the card it is about.
_PARTS = (
    ("Verdict", "verdict", "verdict"),
    ("What decides", "comparison", "comparisons"),
    ("What the files lack", "notes", "notes"),
    ("Teachers ranked", "rankings", "rankings"),
    ("The data", "data", "teachers"),
    ("What the models have in common", "overlaps", "teachers"),
    ("What the labels say", "estimates", "teachers"),
    ("Least squares, predicted and measured", "reference", "teachers"),
    ("Gain without labels", "misfit", "teachers"),
    ("Provenance", "provenance", "provenance"),
)


def render(card: ReportCard) -> str:
    """Write the whole page, as HTML."""
    with mpl.rc_context(fname=figures.STYLE):
        picture = _embedded(draw.ranking(card))
    parts = [
        (heading, f"{name}.html", [picture] if name == "verdict" else [])
        for heading, name, about in _PARTS
        if getattr(card, about)
    ]
    return templates().get_template("page.html").render(_context(card), parts=parts)


def section(card: ReportCard, name: str) -> str:
    """Write one part, without its figures, as HTML.

    Parameters
    ----------
    card : ReportCard
    name : str
        "verdict", "comparison", "rankings", "provenance", and, for teachers with features, "data",
        "overlaps", "estimates", "reference" or "misfit".
    """
    return templates().get_template(f"{name}.html").render(_context(card))


def show(card: ReportCard, name: str) -> None:
    """Display a `section` in a notebook."""
    ipython: Any = importlib.import_module("IPython.display")
    ipython.display(ipython.HTML(section(card, name)))


def _context(card: ReportCard) -> dict[str, Any]:
    over = [(_NAMES[rival], interval(value)) for rival, value in card.verdict.over.items()]
    return {
        "card": card,
        "names": _NAMES,
        "over": over,
        "compared": _compared,
    }


def _compared(cell: Cell) -> list[tuple[str, str, str, str]]:
    """Rows of predicted, measured and their ratio."""
    rows = []
    for name, label in _NAMES.items():
        if name not in cell.predicted:
            if name == "pgr":
                rows.append((label, "gap not resolved", "", ""))
            continue
        told, seen = cell.predicted[name], cell.measured.get(name)
        ratio = f"{seen.value / told.value:.2f}" if seen is not None and name in MODELS else ""
        rows.append(
            (label, interval(told), "not measurable" if seen is None else interval(seen), ratio)
        )
    return rows


def _embedded(drawn: draw.Drawn) -> dict[str, str]:
    image = figures.render(drawn.figure, drawn.name)["image/svg+xml"]
    plt.close(drawn.figure)
    return {
        "name": drawn.name,
        "caption": drawn.caption,
        "alt": drawn.alt,
        "svg": base64.b64encode(image.encode()).decode(),
        "csv": base64.b64encode(figures.as_csv(drawn.data).encode()).decode(),
    }
