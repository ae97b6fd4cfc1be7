"""A report in words, tables and a figure, from the templates of this package.

`render` writes the one self-contained page of ``w2s report``: no script, no request, light and
dark. `show` displays a part of it in a notebook, `ranking` draws its figure, with caption,
alternative text and the columns behind it.
"""

import base64
import importlib
import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2s_report import words
from w2s_report.card import ReportCard
from w2s_utils import figures

# Colour and marker of each model, the latter as a path about the origin.
MODELS = {
    "teacher": (figures.TEACHER, "M-3-3h6v6h-6z"),
    "student": (figures.STUDENT, "M-3.2 0a3.2 3.2 0 1 0 6.4 0a3.2 3.2 0 1 0-6.4 0z"),
    "baseline": (figures.BASELINE, "M0-3.6L3.6 3h-7.2z"),
    "ceiling": (figures.CEILING, "M0 3.6L3.6-3h-7.2z"),
    "constant": (figures.BOUND, "M-.8-4h1.6v8h-1.6z"),
}


def render(card: ReportCard) -> str:
    """Write the whole page, as HTML."""
    drawn = ranking(card)
    texts = drawn["figure"], figures.as_csv(drawn["data"])
    svg, csv = (base64.b64encode(text.encode()).decode() for text in texts)
    template = words.templates().get_template("page.html")
    return template.render(card=card, drawn=drawn, svg=svg, csv=csv)


def section(card: ReportCard, name: str) -> str:
    """Write one part, without its figures, as HTML.

    It is "verdict", "comparison", "rankings", "provenance", or, for teachers with features, "data",
    "overlaps", "estimates", "reference" or "misfit".
    """
    return words.templates().get_template(f"{name}.html").render(card=card)


def show(card: ReportCard, name: str) -> None:
    """Display a `section` in a notebook."""
    ipython: Any = importlib.import_module("IPython.display")
    ipython.display(ipython.HTML(section(card, name)))


def ranking(card: ReportCard, name: str = "fig-report-ranking") -> dict[str, Any]:
    """Draw what decides: the errors of teachers and students beside their rivals', as SVG.

    Returns the arguments of `w2s_utils.figures.show`; caption and alternative text have the numbers
    that the figure shows. To import matplotlib would take as long as half a small report.
    """
    found = {c.name: c.errors[c.decides] for c in card.comparisons}
    order = sorted(found, key=lambda pair: found[pair]["student"].value)
    shown = {k: v for k, v in MODELS.items() if all(k in errors for errors in found.values())}
    data: dict[str, list[Any]] = {"name": order}
    for model, end in itertools.product(shown, ("value", "low", "high")):
        title = model if end == "value" else f"{model} {end}"
        data[title] = [getattr(found[one][model], end) for one in order]
    ends = [v for title, values in data.items() if title != "name" for v in values]
    ticks = _ticks(np.array(ends)[np.isfinite(ends)])
    told = {"found": found, "order": order, "shown": shown, "ticks": ticks}
    svg = words.templates().get_template("ranking.svg").render(metric=card.verdict.metric, **told)
    caption, alt = words.paragraphs("captions.txt", card=card, order=order)
    return {"figure": svg, "name": name, "caption": caption, "alt": alt, "data": data}


def _ticks(values: NDArray[np.float64]) -> list[float]:
    """Three to seven round numbers, from the last below all values to the first above them."""
    low, high = values.min(), values.max()
    least = (high - low or abs(high) or 1) / 5
    power = 10.0 ** np.floor(np.log10(least))
    step = next(one * power for one in (1, 2, 5, 10) if one * power >= least)
    return (step * np.arange(np.floor(low / step), np.floor(high / step) + 2)).tolist()
