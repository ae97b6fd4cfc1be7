"""The command ``w2s``: run notebooks, look at the claims, handle data sets, report, embed.

Modules are imported where they are used: ``w2s --help`` should answer at once.
"""

from __future__ import annotations

import locale
import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any, TypeVar

import click

from w2s_experiments.data.command import data
from w2s_experiments.encoders.command import embed
from w2s_report.command import report
from w2s_utils import __version__
from w2s_utils.refusal import NamedValue, Refusal, once, plural, refusing, table

FAILED = 1  # exit code of a notebook that fails; a mistake of the user is 2
_Command = TypeVar("_Command", bound=Callable[..., Any])


class Commands(click.Group):
    """The commands, whose files and names are in UTF-8, and whose errors of files are told."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **options: Any) -> Any:
        """Run the command line; with names and files in UTF-8, whatever the locale says."""
        utf8 = locale.getpreferredencoding(False).lower().replace("-", "") == "utf8"
        if args is None and not utf8:
            os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])
        return super().main(args, *rest, **options)

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


for command in (data, embed, report):
    main.add_command(command)


def _file(option: str, help: str) -> Callable[[_Command], _Command]:
    return click.option(option, type=click.Path(path_type=Path), help=help)


def _running(value: NamedValue, setting: str, out: str) -> Callable[[_Command], _Command]:
    """Give a command the argument and the options that all who run notebooks have."""
    above_zero = click.FloatRange(min=0, min_open=True)
    profile = "Where parameters that are not set come from."
    limit = "Time limit of a notebook, in seconds."
    options = (
        click.argument("notebook"),
        click.option("-p", "--parameter", "settings", type=value, multiple=True, help=setting),
        _file("--out", out),
        click.option("--profile", default="quick", show_default=True, help=profile),
        click.option("--timeout", type=above_zero, default=3600.0, show_default=True, help=limit),
    )
    return lambda command: reduce(lambda made, option: option(made), reversed(options), command)


@main.command(short_help="Execute a notebook with parameters of your own.")
@_running(
    NamedValue("trials=500"), "Set a parameter.", "The executed notebook [default: ./NAME.ipynb]."
)
@click.option("--force", is_flag=True, help="Overwrite the output.")
def run(
    notebook: str,
    settings: Sequence[tuple[str, str]],
    out: Path | None,
    profile: str,
    timeout: float,
    force: bool,
) -> None:
    """Execute NOTEBOOK, such as misfit/projection, with parameters of your own.

    Example: w2s run misfit/projection -p trials=500 -p seed=7 --out mine.ipynb
    """
    from w2s_book import execute
    from w2s_book.parameters import ParameterError, read_value
    from w2s_utils import claims

    texts = once(settings, "-p", "a parameter has one value")
    with refusing(ParameterError, FileNotFoundError):
        root, name, source, start = _opened(notebook, profile)
        parameters = start | {key: read_value(key, texts[key], start.get(key)) for key in texts}
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
            )
        except execute.DataMissing as error:
            raise Refusal(error, FAILED) from None
        except execute.NotebookFailed as error:
            notes = getattr(error, "__notes__", [])
            raise click.ClickException("\n".join([str(error), *notes])) from None
    with refusing(ValueError, exit_code=FAILED):
        counted = _counted(claims.collect([target]))
    click.echo(f"{target}: {done['seconds']:.1f} s, {counted}, {done['peak_memory_mb']:.0f} MB")


@main.command(short_help="Execute a notebook over a grid of parameters.")
@_running(
    NamedValue("n=400,800", "NAME=VALUES"),
    "Values of a parameter: 400,800 or [400, 800].",
    "The record, JSON lines; what it has is not run again [default: ./NAME.sweep.jsonl].",
)
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="At a time.")
@click.option("--scheduler", metavar="ADDRESS", help="Run on this Dask cluster, not here.")
def sweep(
    notebook: str,
    settings: Sequence[tuple[str, str]],
    out: Path | None,
    profile: str,
    **how: Any,
) -> None:
    """Execute NOTEBOOK once for every combination of values, and collect the claims.

    Example: w2s sweep discrepancy/scaling -p N=200,400,800 -p seed=1,2 --jobs 2

    A run that was stopped goes on where it was: give the same command again. With --scheduler the
    points are run by the workers of a Dask cluster; they need this package, and no common disk.
    """
    from w2s_book import execute
    from w2s_book import sweep as grids
    from w2s_book.parameters import ParameterError

    texts = once(settings, "-p", "give all its values in one")
    with refusing(ParameterError, FileNotFoundError):
        root, name, source, start = _opened(notebook, profile)
        axes = {key: grids.values_of(key, text, start.get(key)) for key, text in texts.items()}
        points = [start | values for values in grids.grid(axes)]
        for point in points:
            execute.check(source, point, root)
    target = Path(f"{Path(name).name}.sweep.jsonl") if out is None else out

    def report(left: int, line: dict[str, Any]) -> None:
        values = ", ".join(f"{k}={v}" for k, v in line["parameters"].items() if k in axes)
        result = line["error"].split("\n")[-1].strip() or plural(len(line["claims"]), "claim")
        click.echo(f"{values}: {result}; {left} to go", err=True)

    with refusing(ParameterError):
        had = sum(line["outcome"] == "executed" for line in grids.read(target))
        there = f", {target} has {plural(had, 'point')} already" if had else ""
        click.echo(f"{plural(len(points), 'point')} of {name}{there}", err=True)
        text = source.read_text("utf-8")
        lines = grids.run(name, text, points, target, report=report, **how)
    failed = sum(line["outcome"] == "failed" for line in lines)
    records = [claim for line in lines for claim in line["claims"]]
    click.echo(f"{target}: {plural(len(lines), 'point')}, {failed} failed, {_counted(records)}")
    if failed:
        raise Refusal(f"{plural(failed, 'point')} failed; see {target}", FAILED)


def _opened(notebook: str, profile: str) -> tuple[Path, str, Path, dict[str, Any]]:
    """Return the book's folder; of a notebook name, source and what its parameters start from.

    These are the values of the profile, or its own where it is not in the book.
    """
    from w2s_book import execute
    from w2s_book.parameters import defaults, load_profile

    root = _root()
    name, source = execute.find(notebook, root)
    profiles = root / "profiles.yml"
    known = load_profile(profiles, profile) if profiles.exists() else {}
    start = known[name] if name in known else defaults(execute.read(source), name)
    return root, name, source, start


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
    books = (folder for folder in (here, *here.parents) if (folder / "profiles.yml").exists())
    return Path(os.path.relpath(next(books, here)))


def _counted(records: Sequence[Mapping[str, Any]]) -> str:
    counts = Counter(record["outcome"] for record in records)
    parts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
    return plural(len(records), "claim") + (f" ({parts})" if parts else "")


@main.command("claims")
@_file("--file", "The collected claims [default: _build/claims.json].")
def show_claims(file: Path | None) -> None:
    """List the claims that the last build checked."""
    from w2s_utils import claims

    path = file or _root() / "_build" / "claims.json"
    if not path.exists():
        raise Refusal(f"no claims at {path}: build the book first (make book), or give --file")
    try:
        records = claims.read(path)
    except ValueError as error:
        raise Refusal(f"{path} is not a file of claims: {error}") from None
    columns = ("claim", "outcome", "observed", "expected", "notebook")
    rows = [
        (r["id"], r["outcome"], f"{r['observed']:.4g}", f"{r['expected']:.4g}", r["notebook"])
        for r in records
    ]
    click.echo(table(columns, rows))
    click.echo(_counted(records))


if __name__ == "__main__":
    main()
