"""What a user may set of a report, checked once."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from w2s_report.readers import InputError

TASKS = ("auto", "regression", "classification")
FEWEST_FOLDS = 8


@dataclass(frozen=True)
class Options:
    """Settings of a report.

    Attributes
    ----------
    task : {"auto", "regression", "classification"}
        "auto": texts, truth values and whole numbers with at most 20 different values are classes.
    noise : float or None
        Standard deviation of the label noise, if known; without it only what does not need it is
        reported.
    dimensions : mapping of str to int
        Directions kept, by model, the constant among them. By default those that hold ``share``
        of the variance, but no more than half the labels of a split, and 300.
    share : float
        In (0, 1).
    trials : int
        Random splits, 4 to 10 000.
    folds : int
        Folds of the rows without label, 8 to 100.
    seed : int
        The same seed gives the same report, whatever the number of workers.
    jobs : int
        Threads for reading, and processes for several teachers.
    scheduler : str or None
        Address of a Dask scheduler whose workers take the teachers.

    Raises
    ------
    InputError
        In one line that names the setting.
    """

    task: str = "auto"
    noise: float | None = None
    dimensions: Mapping[str, int] = field(default_factory=dict)
    share: float = 0.99
    trials: int = 40
    folds: int = 20
    seed: int = 0
    jobs: int = 1
    scheduler: str | None = None

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise InputError(f"task: expected {', '.join(TASKS)}, got {self.task!r}")
        if self.noise is not None and not (_real(self.noise) and 0 < self.noise < math.inf):
            raise InputError(
                f"noise: expected a positive standard deviation, or none, got {self.noise!r}"
            )
        if not _real(self.share) or not 0 < self.share < 1:
            raise InputError(f"share: expected a number between 0 and 1, got {self.share!r}")
        _whole("trials", self.trials, 4, 10_000)
        _whole("folds", self.folds, FEWEST_FOLDS, 100)
        _whole("seed", self.seed, 0, 2**63 - 1)
        _whole("jobs", self.jobs, 1, 1024)
        if not isinstance(self.dimensions, Mapping):
            raise InputError(
                "dimensions: expected a mapping of models to whole numbers, such as "
                f"{{'strong': 40}}, got {self.dimensions!r}"
            )
        for name, value in self.dimensions.items():
            _whole(f"dimensions: {name}", value, 2, 2**31)
        if not isinstance(self.scheduler, str | None):
            raise InputError(f"scheduler: expected an address, got {self.scheduler!r}")

    def recorded(self) -> dict[str, Any]:
        """What a report's numbers depend on: all but who did the work."""
        found = asdict(self)
        return {name: found[name] for name in found if name not in ("jobs", "scheduler")}


def _real(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _whole(name: str, value: Any, least: int, most: int) -> None:
    if not isinstance(value, numbers.Integral) or isinstance(value, bool):
        raise InputError(f"{name}: expected a whole number, got {value!r}")
    if not least <= value <= most:
        raise InputError(f"{name}: expected a number from {least} to {most}, got {value!r}")
