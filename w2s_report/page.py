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
import numpy as np

from w2s_report import draw
from w2s_report.card import ReportCard
from w2s_report.teachers import MODELS, Cell
from w2s_report.words import interval, templates
from w2s_utils import figures

_NAMES = {
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
# Heading, template and figures of each part, in the order of the page.
_PARTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("Verdict", "verdict", ()),
    ("The data", "data", ("spectra",)),
    ("What the models have in common", "overlaps", ("canonical",)),
    ("What the labels say", "estimates", ()),
    (
        "Errors, predicted and measured",
        "reference",
        ("errors_by_labels", "errors_by_pseudo_labels", "ratios"),
    ),
    ("Gain without labels", "misfit", ("gains",)),
    ("Teachers ranked", "rankings", ("ranking",)),
    ("Classification", "logistic", ()),
    ("Provenance", "provenance", ()),
)


def render(card: ReportCard) -> str:
    """Write the whole page, as HTML."""
    with mpl.rc_context(fname=figures.STYLE):
        parts = [
            (heading, f"{name}.html", [_embedded(getattr(draw, f)(card)) for f in drawn])
            for heading, name, drawn in _PARTS
        ]
    return templates().get_template("page.html").render(_context(card), parts=parts)


def section(card: ReportCard, name: str) -> str:
    """Write one part, without its figures, as HTML.

    Parameters
    ----------
    card : ReportCard
    name : str
        "verdict", "data", "overlaps", "estimates", "reference", "misfit", "rankings", "logistic"
        or "provenance".
    """
    return templates().get_template(f"{name}.html").render(_context(card))


def show(card: ReportCard, name: str) -> None:
    """Display a `section` in a notebook."""
    ipython: Any = importlib.import_module("IPython.display")
    ipython.display(ipython.HTML(section(card, name)))


def _context(card: ReportCard) -> dict[str, Any]:
    audits = np.array([pair for t in card.teachers for pair in t.audit.values()])
    return {
        "card": card,
        "names": _NAMES,
        "compared": _compared,
        "agreement": _agreement(card),
        "audit": float(np.max(np.abs(audits[:, 0] / audits[:, 1] - 1))),
    }


def _compared(cell: Cell) -> list[tuple[str, str, str, str]]:
    """Rows of predicted, measured and their ratio."""
    rows = []
    for name, label in _NAMES.items():
        told, seen = cell.predicted[name], cell.measured.get(name)
        if name == "pgr" and cell.predicted["gap"].low <= 0:
            rows.append((label, "gap not resolved", "", ""))
            continue
        ratio = f"{seen.value / told.value:.2f}" if seen is not None and name in MODELS else ""
        rows.append(
            (label, interval(told), "not measurable" if seen is None else interval(seen), ratio)
        )
    return rows


def _agreement(card: ReportCard) -> dict[str, Any]:
    """How far prediction and measurement agree, over all errors measured."""
    ratios, apart = [], []
    for teacher in card.teachers:
        for cell in teacher.cells:
            for name in MODELS:
                if name not in cell.measured:
                    continue
                seen, told = cell.measured[name], cell.predicted[name]
                ratios.append(seen.value / told.value)
                reach = np.hypot(seen.high - seen.low, told.high - told.low) / 2
                if abs(seen.value - told.value) > reach:
                    apart.append(f"{name} of {teacher.name} at n = {cell.n}, N = {cell.N}")
    low, median, high = np.quantile(ratios, [0.05, 0.5, 0.95])
    return {"count": len(ratios), "low": low, "median": median, "high": high, "apart": apart}


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
