"""The command ``w2s``: run notebooks, look at the claims, handle data sets, report, embed.

Modules are imported where they are used: ``w2s --help`` should answer at once.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import click

from w2s_utils import __version__
from w2s_utils.refusal import NamedValue, Refusal, once, plural, refusing, table

FAILED = 1  # exit code of a notebook that fails; a mistake of the user is 2
_Command = TypeVar("_Command", bound=Callable[..., Any])
ELSEWHERE = {"embed": "w2s_experiments.encoders.command", "report": "w2s_report.command"}


class Commands(click.Group):
    """The commands here and those of other packages, which are imported when asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all."""
        return sorted([*super().list_commands(ctx), *ELSEWHERE])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by its name."""
        if cmd_name in ELSEWHERE:
            command: click.Command = getattr(import_module(ELSEWHERE[cmd_name]), cmd_name)
            return command
        return super().get_command(ctx, cmd_name)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; a file that cannot be read or written is told in a line."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise
        except OSError as error:
            told = f"{error.filename}: {error.strerror}" if error.filename else error
            raise Refusal(told, FAILED) from None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="w2s")
def main() -> None:
    """Work with the book The Virtue of Misfit, and with what its notebooks produce."""
    for stream in (sys.stdout, sys.stderr):
        # No result is lost to a terminal that cannot write its name.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


_profile = click.option(
    "--profile",
    default="quick",
    show_default=True,
    help="Where parameters that are not set come from.",
)
_timeout = click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=3600.0,
    show_default=True,
    help="Time limit of a notebook, in seconds.",
)


def _file(option: str, help: str) -> Callable[[_Command], _Command]:
    return click.option(option, type=click.Path(path_type=Path), help=help)


# Running a notebook


@main.command(short_help="Execute a notebook with parameters of your own.")
@click.argument("notebook")
@click.option(
    "-p",
    "--parameter",
    "settings",
    type=NamedValue("trials=500"),
    multiple=True,
    help="Set a parameter.",
)
@_file("--out", "The executed notebook [default: ./NAME.ipynb].")
@_profile
@_timeout
@click.option("--force", is_flag=True, help="Overwrite the output.")
@_file("--log", "Write what the cells print here too.")
def run(
    notebook: str,
    settings: Sequence[tuple[str, str]],
    out: Path | None,
    profile: str,
    timeout: float,
    force: bool,
    log: Path | None,
) -> None:
    """Execute NOTEBOOK, such as misfit/projection, with parameters of your own.

    Example: w2s run misfit/projection -p trials=500 -p seed=7 --out mine.ipynb
    """
    from w2s_book import execute
    from w2s_book.parameters import read_value

    with refusing(execute.ParameterError, FileNotFoundError):
        root = _root()
        name, source = execute.find(notebook, root)
        own = execute.parameters_of(source, root)
        given = {
            key: read_value(key, text, own.get(key))
            for key, text in once(settings, "-p", "a parameter has one value").items()
        }
        parameters = _start(name, own, root, profile) | given
        execute.check(source, parameters, root)
        target = _target(out, name, force)
        shown = ", ".join(f"{key}={value!r}" for key, value in parameters.items())
        click.echo(f"running {name} with {shown or 'no parameters'}", err=True)
        try:
            done = execute.run(
                source,
                target,
                parameters,
                profile="custom" if settings else profile,
                timeout=timeout,
                root=root,
                log=log,
            )
        except execute.NotebookFailed as error:
            notes = getattr(error, "__notes__", [])
            raise click.ClickException("\n".join([str(error), *notes])) from None
    if not done.executed:
        missing = " ".join(execute.missing_data(source))
        message = f"{name} needs data that are not here; get them with: w2s data fetch {missing}"
        raise Refusal(f"{message}. The unexecuted notebook is at {target}", FAILED)
    click.echo(
        f"{target}: {done.seconds:.1f} s, {_ledger_of(target)}, {done.peak_memory_mb:.0f} MB"
    )


@main.command(short_help="Execute a notebook over a grid of parameters.")
@click.argument("notebook")
@click.option(
    "-p",
    "--parameter",
    "settings",
    type=NamedValue("n=400,800", "NAME=VALUES"),
    multiple=True,
    help="Values of a parameter: 400,800 or [400, 800].",
)
@_file(
    "--out",
    "The record, JSON lines; what it has is not run again [default: ./NAME.sweep.jsonl].",
)
@_file("--csv", "A table as well.")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="At a time.")
@click.option("--scheduler", metavar="ADDRESS", help="Run on this Dask cluster, not here.")
@_profile
@_timeout
def sweep(
    notebook: str,
    settings: Sequence[tuple[str, str]],
    out: Path | None,
    csv: Path | None,
    jobs: int,
    scheduler: str | None,
    profile: str,
    timeout: float,
) -> None:
    """Execute NOTEBOOK once for every combination of values, and collect the claims.

    Example: w2s sweep discrepancy/scaling -p N=200,400,800 -p seed=1,2 --jobs 2

    A run that was stopped goes on where it was: give the same command again. With --scheduler the
    points are run by the workers of a Dask cluster; they need this package, and no common disk.
    """
    from w2s_book import execute
    from w2s_book import sweep as grids

    texts = once(settings, "-p", "give all its values in one")
    with refusing(execute.ParameterError, FileNotFoundError):
        root = _root()
        name, source = execute.find(notebook, root)
        own = execute.parameters_of(source, root)
        start = _start(name, own, root, profile)
        axes = {
            key: grids.values_of(key, text, start.get(key, own.get(key)))
            for key, text in texts.items()
        }
        text, library = source.read_text("utf-8"), grids.library()
        points = [
            grids.Point(name, text, start | values, timeout, library) for values in grids.grid(axes)
        ]
        for point in points:
            execute.check(source, point.parameters, root)
    target = Path(f"{Path(name).name}.sweep.jsonl") if out is None else out

    def report(left: int, line: dict[str, Any]) -> None:
        values = ", ".join(f"{k}={v}" for k, v in line["parameters"].items() if k in axes)
        result = line["error"].split("\n")[-1].strip() or plural(len(line["claims"]), "claim")
        click.echo(f"{values}: {result}; {left} to go", err=True)

    with refusing(grids.SweepError):
        had = sum(line["outcome"] == "executed" for line in grids.read(target))
        there = f", {target} has {plural(had, 'point')} already" if had else ""
        click.echo(f"{plural(len(points), 'point')} of {name}{there}", err=True)
        lines = grids.run(points, target, jobs=jobs, scheduler=scheduler, report=report)
    if csv is not None:
        grids.write_csv(lines, csv)
    failed = sum(line["outcome"] == "failed" for line in lines)
    records = [claim for line in lines for claim in line["claims"]]
    done = f"{plural(len(lines), 'point')}, {failed} failed"
    click.echo(f"{target}: {done}, {_counted(records)}")
    if failed:
        raise Refusal(f"{plural(failed, 'point')} failed; see {target}", FAILED)


def _start(name: str, own: dict[str, Any], root: Path, profile: str) -> dict[str, Any]:
    """Return the profile's parameters, or those of the cell for a notebook not in the book."""
    from w2s_book import execute

    profiles = root / "profiles.yml"
    known = execute.load_profile(profiles, profile) if profiles.exists() else {}
    return known.get(name, own)


def _target(out: Path | None, name: str, force: bool) -> Path:
    file = f"{Path(name).name}.ipynb"
    target = Path(file) if out is None else out / file if out.is_dir() else out
    if target.suffix != ".ipynb":
        raise Refusal(f"--out: expected a name that ends in .ipynb, got {target}")
    if target.exists() and not force:
        raise Refusal(f"{target} exists: give another --out, or --force to overwrite it")
    return target


def _root() -> Path:
    """Return the book's folder: the nearest one upwards with a profiles.yml, else this one."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "profiles.yml").exists() and (folder / "notebooks").is_dir():
            return Path(os.path.relpath(folder))
    return Path(".")


def _ledger_of(executed: Path) -> str:
    from w2s_utils import claims

    try:
        return _counted(claims.collect([executed]))
    except ValueError as error:
        return f"claims that cannot be read ({error})"


def _counted(records: Sequence[Mapping[str, Any]], form: str = "{} ({})") -> str:
    counts = Counter(record["outcome"] for record in records)
    parts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
    claims = plural(len(records), "claim")
    return form.format(claims, parts) if parts else claims


# The claims


@main.command("claims")
@_file("--file", "The collected claims [default: _build/claims.json].")
@click.option("--paper", help="Only of this paper: P1 to P5, or ours.")
@click.option("--outcome", help='Only of this outcome, such as "does not reproduce".')
@click.option("--json", "as_json", is_flag=True, help="Print the records as JSON.")
def show_claims(file: Path | None, paper: str | None, outcome: str | None, as_json: bool) -> None:
    """List the claims that the last build checked."""
    records = _read_claims(file or _root() / "_build" / "claims.json")
    for field, value in {"paper": paper, "outcome": outcome}.items():
        if value is not None:
            records = _only(records, field, value)
    if as_json:
        click.echo(json.dumps(records, indent=1, ensure_ascii=False))
        return
    columns = ("claim", "outcome", "observed", "expected", "notebook")
    rows = [
        (r["id"], r["outcome"], f"{r['observed']:.4g}", f"{r['expected']:.4g}", r["notebook"])
        for r in records
    ]
    click.echo(table(columns, rows))
    click.echo(_counted(records, "{}: {}"))


def _read_claims(path: Path) -> list[dict[str, Any]]:
    from w2s_utils import claims

    try:
        return claims.read(path)
    except FileNotFoundError:
        message = f"no claims at {path}: build the book first (make book), or give --file"
        raise Refusal(message) from None
    except ValueError as error:
        raise Refusal(f"{path} is not a file of claims: {error}") from None


def _only(records: list[dict[str, Any]], field: str, value: str) -> list[dict[str, Any]]:
    found = [record for record in records if record[field].lower() == value.lower()]
    if not found:
        known = ", ".join(sorted({record[field] for record in records})) or "none"
        raise Refusal(f"no claim has {field} {value!r}; there are: {known}")
    return found


# The data sets


@main.group()
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
        with refusing(datasets.DataError, exit_code=FAILED):
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


if __name__ == "__main__":
    main()
