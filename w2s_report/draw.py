"""The figure of a report, with caption, alternative text and the columns behind it."""

from typing import Any

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
