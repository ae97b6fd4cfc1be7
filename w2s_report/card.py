"""The report as a value: one frozen dataclass, and the JSON that a program can read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from w2s_report.probabilities import Probabilities
from w2s_report.schema import FORMAT
from w2s_report.teachers import Teacher
from w2s_report.verdict import Ranking, Verdict
from w2s_utils.geometry import Range


@dataclass(frozen=True)
class Representation:
    """One model's features.

    Attributes
    ----------
    name, role : str
        Role is "strong" or "weak".
    columns : int
    constant : int
        Columns that do not vary.
    rank : int
    held : dict of str to int
        Directions that hold a share of the variance, by share.
    participation : float
        Participation ratio of the spectrum.
    dimension : int
        Directions kept, the constant among them.
    limited_by : str
        What set the dimension.
    spectrum : tuple of float
        Eigenvalues as shares of their sum, descending.
    warnings : tuple of str
    """

    name: str
    role: str
    columns: int
    constant: int
    rank: int
    held: Mapping[str, int]
    participation: float
    dimension: int
    limited_by: str
    spectrum: tuple[float, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Data:
    """What was given.

    Attributes
    ----------
    rows, labelled, unlabelled : int
    labelled_used : int
        Labelled rows that were kept in memory; others count as unlabelled.
    repeated : int
        Rows whose strong features an earlier row has as well.
    task : str
        "regression", "binary" or "multiclass".
    task_decided : str
        "given" or "auto".
    classes : dict of str to int
        Labels of each class.
    label_mean, label_sd : float or None
        Regression only.
    representations : tuple of Representation
    """

    rows: int
    labelled: int
    unlabelled: int
    labelled_used: int
    repeated: int
    task: str
    task_decided: str
    classes: Mapping[str, int]
    label_mean: float | None
    label_sd: float | None
    representations: tuple[Representation, ...]


@dataclass(frozen=True)
class Noise:
    """What is known of the label noise.

    Attributes
    ----------
    source : str
        "given", "repeated rows" or "not identified".
    variance : Range or None
        None if it is not identified.
    at_most : Range
        What the better of all models leaves of the labels: noise and approximation error.
    """

    source: str
    variance: Range | None
    at_most: Range


@dataclass(frozen=True)
class ReportCard:
    """The report.

    Attributes
    ----------
    data : Data
    noise : Noise
    teachers : tuple of Teacher
        In the order given.
    rankings : tuple of Ranking
    verdict : Verdict
    probabilities : dict of str to Probabilities
        Logistic heads by teacher; empty for regression.
    design : dict of str to int
        ``n``, ``N``, ``test_rows``, ``trials``, ``groups``, ``folds``.
    ceiling_measured : bool
    provenance : dict
        ``parameters``, ``files`` (name, file, shape, dtype, SHA-256) and ``versions``.
    """

    data: Data
    noise: Noise
    teachers: tuple[Teacher, ...]
    rankings: tuple[Ranking, ...]
    verdict: Verdict
    probabilities: Mapping[str, Probabilities]
    design: Mapping[str, int]
    ceiling_measured: bool
    provenance: Mapping[str, Any]

    def teacher(self, name: str) -> Teacher:
        """Return one teacher.

        Raises
        ------
        KeyError
            If there is none of that name.
        """
        found = {teacher.name: teacher for teacher in self.teachers}
        if name not in found:
            raise KeyError(f"name: expected one of {', '.join(found)}, got {name!r}")
        return found[name]

    def to_dict(self) -> dict[str, Any]:
        """Return what ``report.json`` holds; numbers that are not finite become null."""
        return {"format": FORMAT, **_plain(asdict(self))}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    if isinstance(value, np.integer):
        return int(value)
    return value
