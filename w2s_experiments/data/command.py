"""The command ``w2s data``: what is on this machine, and how to get the rest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from w2s_utils.refusal import Refusal, plural, refusing, table

FAILED = 1


class _Data(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        from w2s_experiments.data.registry import DataError

        with refusing(DataError, exit_code=FAILED):
            return super().invoke(ctx)


@click.group(cls=_Data)
def data() -> None:
    """List, fetch and verify the data sets that notebooks use."""


@data.command("list")
def list_data() -> None:
    """List the data sets, and which of them are on this machine."""
    from w2s_experiments.data import datasets

    columns = ("name", "status", "size", "licence", "title")
    rows = [tuple(row[column] for column in columns) for row in datasets.describe()]
    click.echo(table(columns, rows))


@data.command()
@click.argument("names", nargs=-1, required=True)
def fetch(names: Sequence[str]) -> None:
    """Download the data sets NAMES, and check them."""
    from w2s_experiments.data import datasets

    for name in _known(names):
        click.echo(f"{name}: {_files(datasets.fetch(name))}")


@data.command()
@click.argument("names", nargs=-1)
def verify(names: Sequence[str]) -> None:
    """Check the files of the data sets NAMES (default: all that are here) by checksum."""
    from w2s_experiments.data import datasets

    here = [name for name in datasets.REGISTRY if datasets.available(name)]
    failures = 0
    for name in _known(names) or here:
        try:
            click.echo(f"{name}: {_files(datasets.verify(name))}, good")
        except datasets.DataError as error:
            failures += 1
            click.echo(f"{name}: {error}", err=True)
    if failures:
        raise Refusal(f"{plural(failures, 'data set')} not good", FAILED)


def _known(names: Sequence[str]) -> Sequence[str]:
    from w2s_experiments.data import datasets

    for name in names:
        if name not in datasets.REGISTRY:
            raise Refusal(f"no data set {name!r}; there are: {', '.join(datasets.REGISTRY)}")
    return names


def _files(files: Sequence[Path]) -> str:
    return f"{plural(len(files), 'file')} in {files[0].parent}" if files else "bundled"
