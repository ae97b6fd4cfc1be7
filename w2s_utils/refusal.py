"""What the commands share: one way to refuse, to take ``NAME=VALUE`` and to print a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

MISTAKE = 2  # exit code for what the user can put right


class Refusal(click.ClickException):
    """An error of one line, without a traceback."""

    def __init__(self, message: object, exit_code: int = MISTAKE):
        super().__init__(" ".join(str(message).split()))
        # click declares it of the class; each refusal has its own.
        self.exit_code = exit_code  # type: ignore[misc]


@contextmanager
def refusing(*expected: type[Exception], exit_code: int = MISTAKE) -> Iterator[None]:
    """Turn the expected errors of a block into refusals."""
    try:
        yield
    except expected as error:
        raise Refusal(error, exit_code) from None


class NamedValue(click.ParamType):
    """``NAME=VALUE`` on a command line, split at the first equals sign.

    Parameters
    ----------
    example : str
        Shown where something else is given.
    name : str
        What help calls it.
    """

    def __init__(self, example: str, name: str = "NAME=VALUE"):
        self.example, self.name = example, name

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Return the name and the text of the value; neither may be empty."""
        if isinstance(value, tuple):
            return value
        key, equals, text = (part.strip() for part in value.partition("="))
        if not (key and equals and text):
            option = f"{param.opts[0]}: " if param else ""
            raise Refusal(f"{option}expected {self.name}, such as {self.example}, got {value!r}")
        return key, text


def once(pairs: Iterable[tuple[str, str]], option: str, advice: str) -> dict[str, str]:
    """Return the pairs as a mapping; a name that is given twice is refused, with advice."""
    found: dict[str, str] = {}
    for key, text in pairs:
        if key in found:
            raise Refusal(f"{option}: {key} is given twice; {advice}")
        found[key] = text
    return found


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return rows of text under a header, in columns as wide as they need."""
    lines = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def plural(count: int, noun: str) -> str:
    """Return a count with its noun, ``1 claim`` or ``3 claims``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
