"""The figure of a report, with caption, alternative text and the columns behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
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


@dataclass(frozen=True, eq=False)
class Drawn:
    """A figure with what a reader needs who cannot see it."""

    figure: Figure
    name: str
    """Label for cross references."""
    caption: str
    """With the numbers that the figure shows, as the alternative text."""
    alt: str
    data: dict[str, list[Any]]
    """The columns behind it."""

    def show(self) -> None:
        """Display it in a notebook, by `w2s_utils.figures.show`."""
        told: Any = {"name": self.name, "caption": self.caption, "alt": self.alt}
        figures.show(self.figure, data=self.data, **told)


def ranking(card: ReportCard) -> Drawn:
    """Draw what decides: the errors of teachers and students beside their rivals'."""
    found = {c.name: c.errors[c.decides] for c in card.comparisons}
    order = sorted(found, key=lambda name: found[name]["student"].value)
    figure, axis = plt.subplots(figsize=(6.4, 1.6 + 0.7 * len(order)))
    data: dict[str, list[Any]] = {"teacher": list(order)}
    for shift, (model, (colour, marker)) in enumerate(MODELS.items()):
        if any(model not in errors for errors in found.values()):
            continue
        values = [found[name][model] for name in order]
        reach = [[v.value - v.low for v in values], [v.high - v.value for v in values]]
        place = np.arange(len(order)) + 0.14 * (shift - 2)
        data[model] = [v.value for v in values]
        style: Any = {"fmt": marker, "color": colour, "capsize": 2, "label": model}
        axis.errorbar(data[model], place, xerr=reach, **style)
        data |= {f"{model} {end}": [getattr(v, end) for v in values] for end in ("low", "high")}
    axis.set(yticks=np.arange(len(order)), yticklabels=order, xlabel=card.verdict.metric)
    axis.invert_yaxis()
    figure.legend(loc="outside lower center", ncols=5)
    said: Any = (
        words.templates().get_template("captions.txt").make_module({"card": card, "order": order})
    )
    caption, alt = (" ".join(str(text).split()) for text in (said.ranking, said.ranking_alt))
    return Drawn(figure, "fig-report-ranking", caption, alt, data)
