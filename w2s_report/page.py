"""A report in words, tables and figures, from the templates of this package.

`render` writes the one self-contained page of ``w2s report``: no script, no request, light and
dark. `show` displays a part of it in a notebook.
"""

import base64
import importlib
from typing import Any

import matplotlib as mpl

from w2s_report import draw
from w2s_report.card import ReportCard
from w2s_report.words import templates
from w2s_utils import figures


def render(card: ReportCard) -> str:
    """Write the whole page, as HTML."""
    with mpl.rc_context(fname=figures.STYLE):
        drawn = draw.ranking(card)
        image = figures.render(drawn["figure"], drawn["name"])["image/svg+xml"]
    svg, csv = (
        base64.b64encode(text.encode()).decode() for text in (image, figures.as_csv(drawn["data"]))
    )
    return templates().get_template("page.html").render(card=card, drawn=drawn, svg=svg, csv=csv)


def section(card: ReportCard, name: str) -> str:
    """Write one part, without its figures, as HTML.

    Parameters
    ----------
    card : ReportCard
    name : str
        "verdict", "comparison", "rankings", "provenance", and, for teachers with features, "data",
        "overlaps", "estimates", "reference" or "misfit".
    """
    return templates().get_template(f"{name}.html").render(card=card)


def show(card: ReportCard, name: str) -> None:
    """Display a `section` in a notebook."""
    ipython: Any = importlib.import_module("IPython.display")
    ipython.display(ipython.HTML(section(card, name)))
