"""Pieces that figures share: points with bars, labelled logarithmic axes, a legend below.

Everything here draws on the axes it is given; `w2s_utils.figures` has the colours and the style,
and shows the figure with its caption and data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from numpy.typing import ArrayLike

from w2s_utils import figures
from w2s_utils.resampling import Estimate

COLOURS = {
    "teacher": figures.TEACHER,
    "student": figures.STUDENT,
    "baseline": figures.BASELINE,
    "ceiling": figures.CEILING,
}
MARKERS = {"teacher": "s", "student": "o", "baseline": "^", "ceiling": "v"}
# For anything else than the four models, in this order, beside `figures.PALETTE`.
SHAPES = "sovx^D"


def panels(
    count: int, width: float = 3.3, height: float = 3.4, **shared: Any
) -> tuple[Figure, list[Axes]]:
    """Figure with a row of ``count`` panels, each of ``width`` by ``height`` inches."""
    figure, axes = plt.subplots(1, count, figsize=(width * count, height), squeeze=False, **shared)
    return figure, list(axes[0])


def points(axis: Axes, x: ArrayLike, y: ArrayLike, errors: ArrayLike, **look: Any) -> None:
    """Open markers with capped bars of length ``errors`` (one number a point, or below and above).

    Look is over the defaults: a colour, ``fmt`` for marker and line, a label.
    """
    axis.errorbar(x, y, errors, **{"mfc": "none", "capsize": 2, "lw": 1, "fmt": "o", **look})


def estimates(
    axis: Axes, x: ArrayLike, measured: Sequence[Estimate], role: str | None = None, **look: Any
) -> list[float]:
    """Draw estimates with bars of two standard errors, and return their values.

    The role, one of the four models, sets colour, marker and name; look is as for `points`.
    """
    if role is not None:
        look = {"color": COLOURS[role], "fmt": MARKERS[role], "label": role, **look}
    values = [estimate.value for estimate in measured]
    points(axis, x, values, [2 * estimate.standard_error for estimate in measured], **look)
    return values


def ticks(axis: Axes, which: str, values: Sequence[float], **text: Any) -> None:
    """Label the ``"x"`` or ``"y"`` axis at those of ``values`` inside its limits, nowhere else."""
    low, high = np.sort(getattr(axis, f"get_{which}lim")())
    inside = [value for value in values if low <= value <= high]
    getattr(axis, f"set_{which}ticks")(inside, [f"{value:g}" for value in inside], **text)
    getattr(axis, f"{which}axis").set_minor_locator(NullLocator())


def legend_below(figure: Figure, columns: int, **look: Any) -> None:
    """One legend for all panels, below them: whatever the first panel names."""
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, **look)
