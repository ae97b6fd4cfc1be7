"""Words from numbers: the templates of this package, and how they write a number."""

import functools
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from w2s_utils.geometry import Range


def number(value: float) -> str:
    """Three digits."""
    return f"{value:.3g}".replace("-", "−") if np.isfinite(value) else "∞"


def interval(value: Range, sign: int = 1) -> str:
    """A number, or its negative, with its interval."""
    low, high = sorted((sign * value.low, sign * value.high))
    return f"{number(sign * value.value)} ({number(low)} to {number(high)})"


def compared(value: Range) -> str:
    """Say "1 (0.5 to 1.5) above": a positive number, whose interval may cross zero."""
    sign = 1 if value.value >= 0 else -1
    return f"{interval(value, sign)} {'above' if sign > 0 else 'below'}"


def rounded(value: float) -> str:
    """A count that is known to a digit or two."""
    return f"{float(f'{value:.{2 if value >= 10 else 1}g}'):.10g}"


@functools.cache
def templates() -> Environment:
    """The templates; a page never follows what a name in it would make of it."""
    found = Environment(
        loader=PackageLoader("w2s_report"),
        autoescape=lambda name: name is not None and name.endswith((".html", ".svg")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.globals["infinity"] = np.inf
    found.filters |= {f.__name__: f for f in (number, interval, compared, rounded)}
    return found


def paragraphs(template: str, **context: Any) -> tuple[str, ...]:
    """The paragraphs of a template of plain text, each on one line."""
    text = templates().get_template(template).render(context)
    return tuple(" ".join(part.split()) for part in text.split("\n\n") if part.strip())
