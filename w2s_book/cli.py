"""The command ``w2s``: run notebooks, look at the claims, handle data sets, report, embed."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import yaml

from w2s_experiments.encoders.command import embed
from w2s_report.command import report
from w2s_utils import __version__

MISTAKE = 2  # exit code for what the user can put right; a failing notebook is 1


class Refused(click.ClickException):
    """An expected error: one message, no traceback."""

    def __init__(self, message: object, exit_code: int = MISTAKE):
        super().__init__(str(message))
        self.exit_code = exit_code


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="w2s")
def main() -> None:
    """Work with the book The Virtue of Misfit, and with what its notebooks produce."""


main.add_command(report)
main.add_command(embed)


# Running a notebook


class Setting(click.ParamType):
    """``name=value``, the value written as in YAML."""

    name = "NAME=VALUE"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, Any]:
        """Split and read the value; what YAML 1.1 takes for a text but is a number is a number."""
        if isinstance(value, tuple):
            return value
        key, equals, text = value.partition("=")
        if not equals or not key.strip():
            self.fail(f"expected NAME=VALUE, such as trials=500, got {value!r}", param, ctx)
        try:
            read = yaml.safe_load(text)
        except yaml.YAMLError as error:
            self.fail(f"{key}: {text!r} is not valid YAML: {error}", param, ctx)
        return key.strip(), _number(read)


@main.command(short_help="Execute a notebook with parameters of your own.")
@click.argument("notebook")
@click.option(
    "-p", "--parameter", "settings", type=Setting(), multiple=True, help="Set a parameter."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="The executed notebook [default: ./NAME.ipynb].",
)
@click.option(
    "--profile",
    default="quick",
    show_default=True,
    help="Where parameters that are not set come from.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=3600.0,
    show_default=True,
    help="Time limit, in seconds.",
)
@click.option("--force", is_flag=True, help="Overwrite the output.")
@click.option("--log", type=click.Path(path_type=Path), help="Write what the cells print here too.")
def run(
    notebook: str,
    settings: Sequence[tuple[str, Any]],
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

    with _mistakes():
        root = _root()
        name, source = execute.find(notebook, root)
        parameters = _start(name, source, root, profile) | dict(settings)
        execute.check(source, parameters, root)
        target = _target(out, name, force)
    shown = ", ".join(f"{key}={value!r}" for key, value in parameters.items())
    click.echo(f"running {name} with {shown or 'no parameters'}", err=True)
    try:
        with _mistakes():
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
        raise Refused("\n".join([str(error), *getattr(error, "__notes__", [])]), 1) from None
    if not done.executed:
        missing = " ".join(execute.missing_data(source))
        message = f"{name} needs data that are not here; get them with: w2s data fetch {missing}"
        raise Refused(f"{message}\nThe unexecuted notebook is at {target}", 1)
    click.echo(
        f"{target}: {done.seconds:.1f} s, {_ledger_of(target)}, {done.peak_memory_mb:.0f} MB"
    )


@main.command(short_help="Execute a notebook over a grid of parameters.")
@click.argument("notebook")
@click.option(
    "-p",
    "--parameter",
    "settings",
    multiple=True,
    metavar="NAME=VALUES",
    help="Values of a parameter: 400,800 or [400, 800].",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="The record, JSON lines; what it has is not run again [default: ./NAME.sweep.jsonl].",
)
@click.option("--csv", "table", type=click.Path(path_type=Path), help="A table as well.")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="At a time.")
@click.option("--scheduler", metavar="ADDRESS", help="Run on this Dask cluster, not here.")
@click.option("--profile", default="quick", show_default=True, help="Where the rest comes from.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=3600.0,
    show_default=True,
    help="Time limit of a point, in seconds.",
)
def sweep(
    notebook: str,
    settings: Sequence[str],
    out: Path | None,
    table: Path | None,
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

    with _mistakes():
        root = _root()
        name, source = execute.find(notebook, root)
        points = [
            grids.Point(name, source.read_text("utf-8"), parameters, timeout, grids.library())
            for parameters in _grid(name, source, root, profile, settings)
        ]
    target = Path(f"{Path(name).name}.sweep.jsonl") if out is None else out

    def report(left: int, line: dict[str, Any]) -> None:
        changed = {key.partition("=")[0].strip() for key in settings}
        values = ", ".join(f"{k}={v}" for k, v in line["parameters"].items() if k in changed)
        result = line["error"].split("\n")[-1].strip() or _plural(len(line["claims"]), "claim")
        click.echo(f"{values}: {result}; {left} to go", err=True)

    try:
        had = sum(line["outcome"] == "executed" for line in grids.read(target))
        there = f", {target} has {_plural(had, 'point')} already" if had else ""
        click.echo(f"{_plural(len(points), 'point')} of {name}{there}", err=True)
        lines = grids.run(points, target, jobs=jobs, scheduler=scheduler, report=report)
    except grids.SweepError as error:
        raise Refused(error) from None
    if table is not None:
        grids.write_csv(lines, table)
    failed = sum(line["outcome"] == "failed" for line in lines)
    records = [claim for line in lines for claim in line["claims"]]
    click.echo(f"{target}: {_plural(len(lines), 'point')}, {failed} failed, "
               f"{_plural(len(records), 'claim')}{_counts(records, ' (', ')')}")  # fmt: skip
    if failed:
        raise Refused(f"{_plural(failed, 'point')} failed; see {target}", 1)


def _grid(
    name: str, source: Path, root: Path, profile: str, settings: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the parameters of every point, checked before the first is run."""
    from w2s_book import execute
    from w2s_book import sweep as grids

    start = _start(name, source, root, profile)
    axes = {}
    for setting in settings:
        key, equals, text = (part.strip() for part in setting.partition("="))
        if not equals or not key or not text:
            raise Refused(f"-p: expected NAME=VALUES, such as n=400,800, got {setting!r}")
        if key in axes:
            raise Refused(f"-p: {key} is given twice; give all its values in one")
        axes[key] = grids.values_of(key, text, start.get(key))
    points = [start | values for values in grids.grid(axes)]
    for parameters in points:
        execute.check(source, parameters, root)
    return points


def _start(name: str, source: Path, root: Path, profile: str) -> dict[str, Any]:
    """Return the profile's parameters, or those of the cell for a notebook not in the book."""
    from w2s_book import execute

    profiles = root / "profiles.yml"
    if profiles.exists():
        known = execute.load_profile(profiles, profile)
        if name in known:
            return known[name]
    return execute.parameters_of(source, root)


def _target(out: Path | None, name: str, force: bool) -> Path:
    file = f"{Path(name).name}.ipynb"
    target = Path(file) if out is None else out / file if out.is_dir() else out
    if target.suffix != ".ipynb":
        raise Refused(f"--out: expected a name that ends in .ipynb, got {target}")
    if target.exists() and not force:
        raise Refused(f"{target} exists: give another --out, or --force to overwrite it")
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

    records = claims.collect([executed])
    return f"{_plural(len(records), 'claim')}{_counts(records, ' (', ')')}"


# The claims


@main.command("claims")
@click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path),
    help="The collected claims [default: _build/claims.json].",
)
@click.option("--paper", help="Only of this paper: P1 to P5, or ours.")
@click.option("--outcome", help='Only of this outcome, such as "does not reproduce".')
@click.option("--json", "as_json", is_flag=True, help="Print the records as JSON.")
def show_claims(path: Path | None, paper: str | None, outcome: str | None, as_json: bool) -> None:
    """List the claims that the last build checked."""
    records = _read_claims(path or _root() / "_build" / "claims.json")
    wanted = {"paper": paper, "outcome": outcome}
    for field, value in wanted.items():
        if value is not None:
            records = _only(records, field, value)
    if as_json:
        click.echo(json.dumps(records, indent=1, ensure_ascii=False))
        return
    for line in _table(
        ("claim", "outcome", "observed", "expected", "notebook"),
        [
            (r["id"], r["outcome"], f"{r['observed']:.4g}", f"{r['expected']:.4g}", r["notebook"])
            for r in records
        ],
    ):
        click.echo(line)
    click.echo(f"{_plural(len(records), 'claim')}{_counts(records, ': ', '')}")


def _read_claims(path: Path) -> list[dict[str, Any]]:
    from w2s_utils import claims

    try:
        return claims.read(path)
    except FileNotFoundError:
        message = f"no claims at {path}: build the book first (make book), or give --file"
        raise Refused(message) from None
    except ValueError as error:
        raise Refused(f"{path} is not a file of claims: {error}") from None


def _only(records: list[dict[str, Any]], field: str, value: str) -> list[dict[str, Any]]:
    found = [record for record in records if record[field].lower() == value.lower()]
    if not found:
        known = ", ".join(sorted({record[field] for record in records})) or "none"
        raise Refused(f"no claim has {field} {value!r}; there are: {known}")
    return found


# The data sets


@main.group()
def data() -> None:
    """List, fetch and verify the data sets that notebooks use."""


@data.command("list")
def list_data() -> None:
    """List the data sets, and which of them are on this machine."""
    from w2s_experiments.data import datasets

    rows = datasets.describe()
    columns = ("name", "status", "size", "licence", "title")
    for line in _table(columns, [tuple(row[column] for column in columns) for row in rows]):
        click.echo(line)


@data.command()
@click.argument("names", nargs=-1, required=True)
def fetch(names: Sequence[str]) -> None:
    """Download the data sets NAMES, and check them."""
    from w2s_experiments.data import datasets

    for name in _known(names):
        with _data_errors():
            files = datasets.fetch(name)
        click.echo(f"{name}: {_files(files)}")


@data.command()
@click.argument("names", nargs=-1)
def verify(names: Sequence[str]) -> None:
    """Check the files of the data sets NAMES (default: all that are here) by checksum."""
    from w2s_experiments.data import datasets

    here = [name for name in datasets.REGISTRY if datasets.available(name)]
    failures = 0
    for name in _known(names) or here:
        try:
            files = datasets.verify(name)
        except datasets.DataError as error:
            failures += 1
            click.echo(f"{name}: {error}", err=True)
        else:
            click.echo(f"{name}: {_files(files)}, good")
    if failures:
        raise Refused(f"{_plural(failures, 'data set')} not good", 1)


def _known(names: Sequence[str]) -> Sequence[str]:
    from w2s_experiments.data import datasets

    for name in names:
        if name not in datasets.REGISTRY:
            raise Refused(f"no data set {name!r}; there are: {', '.join(datasets.REGISTRY)}")
    return names


def _files(files: Sequence[Path]) -> str:
    return f"{_plural(len(files), 'file')} in {files[0].parent}" if files else "bundled"


@contextmanager
def _data_errors() -> Iterator[None]:
    from w2s_experiments.data import datasets

    try:
        yield
    except datasets.DataError as error:
        raise Refused(error, 1) from None


# Shared


@contextmanager
def _mistakes() -> Iterator[None]:
    from w2s_book.parameters import ParameterError

    try:
        yield
    except (ParameterError, FileNotFoundError) as error:
        raise Refused(error) from None


def _number(value: Any) -> Any:
    """Read as numbers what YAML 1.1 leaves as texts, such as 1e-3."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [header, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]


def _counts(records: Sequence[dict[str, Any]], before: str, after: str) -> str:
    counts = Counter(record["outcome"] for record in records)
    parts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
    return f"{before}{parts}{after}" if parts else ""


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


if __name__ == "__main__":
    main()
