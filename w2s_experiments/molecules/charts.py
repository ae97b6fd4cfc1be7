"""Figures of the molecule chapters, each with the data behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from w2s_experiments.molecules.study import Study
from w2s_utils import figures
from w2s_utils.ladder import Scores

Drawn = tuple[Figure, dict[str, NDArray | list]]
TITLES = {"esol": "ESOL", "freesolv": "FreeSolv", "lipophilicity": "Lipophilicity"}
SHADES = "viridis"
WIDTH = "width of the weak encoder"
BELOW = {"loc": "outside lower center"}


def encoder_errors(
    studies: Mapping[str, Study], widths: Sequence[int]
) -> tuple[Figure, dict[str, NDArray | list], dict[str, dict[str, float]]]:
    """Draw the error of a head on all training labels against the width of the encoder.

    Parameters
    ----------
    studies : mapping of str to Study
        By data set.
    widths : sequence of int

    Returns
    -------
    figure : Figure
    data : dict
    table : dict of str to dict of str to float
        Errors of some representations, by data set and name.
    """
    figure, axes = plt.subplots(1, len(studies), figsize=(2.5 * len(studies), 3.4), squeeze=False)
    data: dict[str, NDArray | list] = {"width": list(widths)}
    table = {}
    for axis, (name, one) in zip(axes[0], studies.items(), strict=True):
        errors = {
            ladder: np.array([one.head_errors(phi, ridge=0).mean() for phi in features])
            for ladder, features in one.ladders.items()
        }
        masked = errors["masked"].reshape(-1, len(widths))
        strong = {key: one.head_errors(phi).mean() for key, phi in one.strong.items()}
        table[name] = {
            "ready-made model": one.ready_made_error(),
            "untrained, widest": errors["untrained"][-1],
            "masked, widest": masked[:, -1].mean(),
            "strong": strong["transformer"],
            "descriptors": strong["descriptors"],
            "both": strong["both"],
        }
        for row in masked:
            axis.plot(widths, row, ".", color=figures.TEACHER, ms=4, alpha=0.6)
        lines = {
            "masked": (masked.mean(axis=0), figures.TEACHER, "-"),
            "untrained": (errors["untrained"], figures.BOUND, "--"),
            "folded fragments": (errors["fragments"], figures.CEILING, ":"),
        }
        for label, (values, colour, style) in lines.items():
            axis.plot(widths, values, style, color=colour, label=label)
            data[f"{label}, {name}"] = values
        axis.axhline(strong["transformer"], color=figures.STUDENT, lw=1, label="strong")
        axis.axhline(
            strong["descriptors"], color=figures.STUDENT, lw=1, ls=":", label="descriptors"
        )
        _by_data_set(axis, name)
        axis.set_ylim(0, 1.05)
    axes[0, 0].set_ylabel("test error / variance")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), ncols=5, fontsize=8, **BELOW)
    return figure, data, table


def gain_against_misfit(
    found: Mapping[tuple[str, str], Scores],
    widths: Sequence[int],
    lines: Mapping[tuple[str, str], float] | None = None,
) -> Drawn:
    """Draw gain against misfit: a row for each data set, a column for each protocol.

    Parameters
    ----------
    found : mapping of (str, str) to Scores
        By data set and protocol. Columns of the means are ladder after ladder of `widths`; a
        point is one run and width, averaged over the ladders.
    widths : sequence of int
        One colour each.
    lines : mapping of (str, str) to float, optional
        Slopes of predicted lines through the origin.

    Returns
    -------
    figure : Figure
    data : dict
    """
    sets, protocols = (list(dict.fromkeys(keys)) for keys in zip(*found, strict=True))
    figure, axes = plt.subplots(
        len(sets),
        len(protocols),
        figsize=(2.0 * len(protocols) + 0.4, 1.9 * len(sets) + 0.7),
        squeeze=False,
    )
    colours = plt.get_cmap(SHADES)(np.linspace(0, 0.92, len(widths)))
    data: dict[str, list] = {
        name: [] for name in ("data", "protocol", "width", "split", "misfit", "gain")
    }
    for (name, protocol), means in found.items():
        axis = axes[sets.index(name), protocols.index(protocol)]
        misfit, gain = (_by_width(values, len(widths)) for values in (means.misfit, means.gain))
        for index, width in enumerate(widths):
            x, y = misfit[:, index], gain[:, index]
            axis.plot(x, y, "o", ms=3, color=colours[index], alpha=0.8, mew=0)
            _add(data, data=name, protocol=protocol, width=width, misfit=x, gain=y)
        far = np.quantile(misfit, 0.98) * 1.1
        axis.plot([0, far], [0, far], "--", color=figures.BOUND, lw=1, zorder=0)
        axis.axhline(0, color=figures.BOUND, lw=0.6, zorder=0)
        if lines and (name, protocol) in lines:
            axis.plot([0, far], [0, lines[name, protocol] * far], color=figures.TEACHER, lw=1.2)
        low = min(np.quantile(gain, 0.02), -0.05 * far)
        axis.set(xlim=(-0.03 * far, far), ylim=(1.15 * low, far))
        axis.tick_params(labelsize=7)
        axis.locator_params(nbins=4)
    for axis, protocol in zip(axes[0], protocols, strict=True):
        axis.set_title(protocol, fontsize=10)
    for axis, name in zip(axes[:, 0], sets, strict=True):
        axis.set_ylabel(f"{TITLES[name]}\ngain")
    for axis in axes[-1]:
        axis.set_xlabel("misfit")
    handles = [
        Line2D([], [], marker="o", ls="", color=colour, label=str(width))
        for colour, width in zip(colours, widths, strict=True)
    ]
    figure.legend(
        handles=handles, ncols=len(widths), fontsize=8, title=WIDTH, title_fontsize=8,
        handletextpad=0.1, columnspacing=1.0, **BELOW,
    )  # fmt: skip
    return figure, data


def cross_terms(found: Mapping[str, Scores], widths: Sequence[int]) -> Drawn:
    """Draw misfit, gain and cross term against the width of the weak encoder.

    Parameters
    ----------
    found : mapping of str to Scores
        By data set.
    widths : sequence of int

    Returns
    -------
    figure : Figure
        Bars are the range over the splits.
    data : dict
    """
    figure, axes = plt.subplots(1, len(found), figsize=(2.9 * len(found) + 0.4, 3.3), squeeze=False)
    data: dict[str, list] = {name: [] for name in ("data", "width", "misfit", "gain", "cross term")}
    styles = {
        "misfit": (figures.TEACHER, "s"),
        "gain": (figures.STUDENT, "o"),
        "cross term": (figures.CEILING, "^"),
    }
    for axis, (name, means) in zip(axes[0], found.items(), strict=True):
        rows = {"misfit": means.misfit, "gain": means.gain, "cross term": means.cross}
        data["data"] += [name] * len(widths)
        data["width"] += list(widths)
        for label, values in rows.items():
            table = _by_width(values, len(widths))
            middle = table.mean(axis=0)
            reach = np.abs(np.quantile(table, [0.1, 0.9], axis=0) - middle)
            colour, marker = styles[label]
            axis.errorbar(widths, middle, reach, fmt=marker + "-", color=colour, lw=1, label=label)
            data[label] += middle.tolist()
        axis.axhline(0, color=figures.BOUND, lw=0.8)
        _by_data_set(axis, name)
    axes[0, 0].set_ylabel("share of the variance")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), ncols=3, **BELOW)
    return figure, data


def regrets(found: Mapping[tuple[str, str], Mapping[str, tuple[float, float]]]) -> Drawn:
    """Draw the mean regret of each rule, a panel for each data set.

    Parameters
    ----------
    found : mapping of (str, str) to mapping of str to (float, float)
        By data set and setting; mean and standard error by rule.

    Returns
    -------
    figure : Figure
    data : dict
    """
    sets, settings = (list(dict.fromkeys(keys)) for keys in zip(*found, strict=True))
    figure, axes = plt.subplots(
        1, len(sets), figsize=(2.7 * len(sets) + 1.4, 3.2), squeeze=False, sharey=True
    )
    data: dict[str, list] = {name: [] for name in ("data", "setting", "rule", "regret", "error")}
    for axis, name in zip(axes[0], sets, strict=True):
        for index, setting in enumerate(settings):
            rules = found[name, setting]
            places = np.arange(len(rules)) + 0.22 * (index - (len(settings) - 1) / 2)
            values, errors = np.array(list(rules.values())).T
            axis.errorbar(
                values, places, xerr=2 * errors, fmt="osD^"[index], label=setting,
                color=figures.PALETTE[index], capsize=2, lw=1,
            )  # fmt: skip
            data["data"] += [name] * len(rules)
            data["setting"] += [setting] * len(rules)
            data["rule"] += list(rules)
            data["regret"] += values.tolist()
            data["error"] += errors.tolist()
        axis.set(title=TITLES[name], xlabel="mean regret")
        axis.set_yticks(range(len(rules)), list(rules))
        axis.axvline(0, color=figures.BOUND, lw=0.8)
    axes[0, 0].invert_yaxis()
    figure.legend(*axes[0, 0].get_legend_handles_labels(), ncols=len(settings), **BELOW)
    return figure, data


def _by_data_set(axis: Axes, name: str) -> None:
    """Name the data set above and the width below, on a logarithmic scale."""
    axis.set(xscale="log", xlabel=WIDTH, title=TITLES[name])
    axis.set_xticks([8, 16, 32, 64], ["8", "16", "32", "64"])
    axis.minorticks_off()


def _by_width(values: NDArray, widths: int) -> NDArray:
    """Average over the ladders, shape (splits, widths)."""
    return values.reshape(len(values), -1, widths).mean(axis=1)


def _add(columns: dict[str, list], *, misfit: NDArray, gain: NDArray, **labels: object) -> None:
    for name, value in labels.items():
        columns[name] += [value] * len(misfit)
    columns["split"] += list(range(len(misfit)))
    columns["misfit"] += misfit.tolist()
    columns["gain"] += gain.tolist()
