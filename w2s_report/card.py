"""The report as a value: one frozen dataclass, from which the JSON and its schema are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from w2s_report.labels import Task
from w2s_report.probabilities import Probabilities
from w2s_report.schema import FORMAT, Interval, to_dict
from w2s_report.teachers import Teacher
from w2s_report.verdict import Ranking, Verdict


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
    role: Literal["strong", "weak"]
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
    task: Task
    task_decided: Literal["auto", "given"]
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

    source: Literal["given", "repeated rows", "not identified"]
    variance: Interval | None
    at_most: Interval


@dataclass(frozen=True)
class File:
    """One input: what it is, the file's name without its folder, and the SHA-256 of its bytes."""

    name: str
    file: str
    shape: tuple[int, ...]
    dtype: str
    sha256: str


@dataclass(frozen=True)
class Provenance:
    """Where the numbers come from.

    Attributes
    ----------
    parameters : dict
        Settings, as in `w2s_report.options.Options`, that the numbers depend on.
    files : tuple of File
    versions : dict of str to str
        Of Python and the packages.
    """

    parameters: Mapping[str, Any]
    files: tuple[File, ...]
    versions: Mapping[str, str]


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
    provenance : Provenance
    format : int
        Of the JSON.
    """

    data: Data
    noise: Noise
    teachers: tuple[Teacher, ...]
    rankings: tuple[Ranking, ...]
    verdict: Verdict
    probabilities: Mapping[str, Probabilities]
    design: Mapping[str, int]
    ceiling_measured: bool
    provenance: Provenance
    format: Literal[1] = FORMAT

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
        return to_dict(self)
