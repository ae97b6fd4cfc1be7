"""How a command refuses what the user can put right."""

from __future__ import annotations

import click

MISTAKE = 2


class Refusal(click.ClickException):
    """An error of one line, without a traceback."""

    def __init__(self, message: object, exit_code: int = MISTAKE):
        super().__init__(" ".join(str(message).split()))
        # click declares it of the class; each refusal has its own.
        self.exit_code = exit_code  # type: ignore[misc]
