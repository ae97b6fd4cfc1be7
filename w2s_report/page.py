"""A report in words, tables and a figure, from the templates of this package.

`render` writes the one self-contained page of ``w2s report``: no script, no request, light and
dark. `show` displays a part of it in a notebook, `ranking` draws its figure, with caption,
alternative text and the columns behind it.
"""

import base64
import importlib
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from w2s_report import words
from w2s_report.card import ReportCard
from w2s_utils import figures

# Colour and marker of each model.
MODELS = {
    "teacher": (figures.TEACHER, "s"),
    "student": (figures.STUDENT, "o"),
    "baseline": (figures.BASELINE, "^"),
    "ceiling": (figures.CEILING, "v"),
    "constant": (figures.BOUND, "|"),
}


def render(card: ReportCard) -> str:
    """Write the whole page, as HTML."""
    with mpl.rc_context(fname=figures.STYLE):
        drawn = ranking(card)
        image = figures.render(drawn["figure"], drawn["name"])["image/svg+xml"]
    svg, csv = (
        base64.b64encode(text.encode()).decode() for text in (image, figures.as_csv(drawn["data"]))
    )
    template = words.templates().get_template("page.html")
    return template.render(card=card, drawn=drawn, svg=svg, csv=csv)


def section(card: ReportCard, name: str) -> str:
    """Write one part, without its figures, as HTML.

    Parameters
    ----------
    card : ReportCard
    name : str
        "verdict", "comparison", "rankings", "provenance", and, for teachers with features, "data",
        "overlaps", "estimates", "reference" or "misfit".
    """
    return words.templates().get_template(f"{name}.html").render(card=card)


def show(card: ReportCard, name: str) -> None:
    """Display a `section` in a notebook."""
    ipython: Any = importlib.import_module("IPython.display")
    ipython.display(ipython.HTML(section(card, name)))


def ranking(card: ReportCard, name: str = "fig-report-ranking") -> dict[str, Any]:
    """Draw what decides: the errors of teachers and students beside their rivals'.

    Returns the arguments of `w2s_utils.figures.show`; caption and alternative text have the numbers
    that the figure shows.
    """
    found = {c.name: c.errors[c.decides] for c in card.comparisons}
    order = sorted(found, key=lambda pair: found[pair]["student"].value)
    figure = Figure(figsize=(6.4, 1.6 + 0.7 * len(order)))
    axis = figure.subplots()
    data: dict[str, list[Any]] = {"teacher": list(order)}
    for shift, (model, (colour, marker)) in enumerate(MODELS.items()):
        if any(model not in errors for errors in found.values()):
            continue
        values = [found[one][model] for one in order]
        reach = [[v.value - v.low for v in values], [v.high - v.value for v in values]]
        place = np.arange(len(order)) + 0.14 * (shift - 2)
        data[model] = [v.value for v in values]
        style: Any = {"fmt": marker, "color": colour, "capsize": 2, "label": model}
        axis.errorbar(data[model], place, xerr=reach, **style)
        data |= {f"{model} {end}": [getattr(v, end) for v in values] for end in ("low", "high")}
    axis.set(
        yticks=np.arange(len(order)),
        yticklabels=[one.replace(" → ", "\n→ ") for one in order],
        xlabel=card.verdict.metric,
    )
    axis.invert_yaxis()
    figure.legend(loc="outside lower center", ncols=5)
    caption, alt = words.paragraphs("captions.txt", card=card, order=order)
    return {"figure": figure, "name": name, "caption": caption, "alt": alt, "data": data}
