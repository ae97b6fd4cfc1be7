"""What a user may set of a report, checked once."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from w2s_report.readers import InputError, refusal

FEWEST_FOLDS = 8


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _whole(least: int, most: int) -> Any:
    return Annotated[int, BeforeValidator(_plain), Field(ge=least, le=most, strict=True)]


_Price = Annotated[float, BeforeValidator(_plain), Field(gt=0, allow_inf_nan=False, strict=True)]


@dataclass(frozen=True)
class Options:
    """Settings of a report.

    Raises
    ------
    InputError
        In one line that names the setting.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    task: Literal["auto", "regression", "classification"] = "auto"
    """"auto": texts, truth values and whole numbers with at most 20 different values are
    classes.
    """
    missing: str | None = None
    """The label that means "no label", such as "-1"; "none": what looks like a code is a label."""
    key: str | None = None
    """Column of every file with a name for each input, text or number, by which rows are put in the
    order of the student's features; labels and predictions may lack some."""
    share: Annotated[float, BeforeValidator(_plain), Field(gt=0, lt=1, strict=True)] = 0.99
    """Of the variance, in (0, 1): for the formulas, features are cut to the leading directions that
    hold it, but no more than half the labels of a split, and 300."""
    trials: _whole(4, 10_000) = 40  # type: ignore[valid-type]
    """Random splits, 4 to 10 000."""
    folds: _whole(FEWEST_FOLDS, 100) = 20  # type: ignore[valid-type]
    """Folds of the rows without label, 8 to 100."""
    seed: _whole(0, 2**63 - 1) = 0  # type: ignore[valid-type]
    """The same seed gives the same report, whatever the number of workers."""
    jobs: _whole(1, 1024) = 1  # type: ignore[valid-type]
    """Threads for reading, for teachers and for splits."""
    label_price: _Price | None = None
    pseudo_label_price: _Price | None = None
    budget: _Price | None = None
    """What is to be spent beside the labels that there are, in the currency of the prices, all
    positive: how much of it on further labels, and how much on pseudo-labels?"""
    scheduler: str | None = None
    """Address of a Dask scheduler whose workers take the teachers and the splits."""

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Check what was given."""
        try:
            found = TypeAdapter(cls).validate_python(dict(given))
        except ValidationError as error:
            first = error.errors()[0]
            where, why = ": ".join(map(str, first["loc"])), first["msg"]
            raise InputError(
                f"{where}: {why.replace('Input should be', 'expected')}, got {first['input']!r}"
            ) from None
        if 0 < found.prices.count(0) < 3:
            raise refusal("prices apart", prices=found.prices)
        return found

    @property
    def prices(self) -> tuple[float, float, float]:
        """Of a label and a pseudo-label, and the budget; zeros where none were given."""
        return self.label_price or 0, self.pseudo_label_price or 0, self.budget or 0

    def recorded(self) -> dict[str, Any]:
        """What a report's numbers depend on: all but who did the work."""
        return {k: v for k, v in asdict(self).items() if k not in ("jobs", "scheduler")}
