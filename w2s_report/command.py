"""The command ``w2s report``: checks, the notebook executed by papermill, one page and its JSON."""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from w2s_utils.refusal import Refusal

NOTEBOOK = Path("your_models") / "report.md"
FAILED = 1


class Named(click.ParamType):
    """``name=value``."""

    name = "NAME=VALUE"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, str]:
        """Split at the first equals sign."""
        if isinstance(value, tuple):
            return value
        key, equals, text = value.partition("=")
        if not (key.strip() and equals and text.strip()):
            self.fail(f"expected {self.name}, such as small=a.npy, got {value!r}", param, ctx)
        return key.strip(), text.strip()


@click.command(short_help="Will your strong model gain from a weak one's labels?")
@click.option("--strong", required=True, metavar="FILE", help="Features under the strong model.")
@click.option(
    "--weak", type=Named(), multiple=True, required=True, help="Features under a weak model, named."
)
@click.option("--labels", required=True, metavar="FILE", help="Labels; NaN where there is none.")
@click.option("--index", metavar="FILE", help="Labelled rows from 0; labels are of these only.")
@click.option(
    "--unlabelled", type=Named(), multiple=True, help="Further rows of a model; strong=FILE too."
)
@click.option(
    "--task",
    type=click.Choice(["auto", "regression", "classification"]),
    default="auto",
    show_default=True,
    help="What the labels are.",
)
@click.option("--noise", type=float, help="Standard deviation of the label noise, if known.")
@click.option("--dimension", type=Named(), multiple=True, help="Directions kept of a model.")
@click.option("--share", type=float, default=0.99, show_default=True, help="Of variance kept.")
@click.option("--trials", type=int, default=40, show_default=True, help="Random splits.")
@click.option("--folds", type=int, default=20, show_default=True, help="Of unlabelled rows.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of everything random.")
@click.option("--jobs", type=int, default=1, show_default=True, help="Processes at a time.")
@click.option("--scheduler", metavar="ADDRESS", help="Send the teachers to this Dask cluster.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("report.html"),
    show_default=True,
    help="The page; the JSON goes beside it, as .json.",
)
@click.option("--notebook", type=click.Path(path_type=Path), help="Keep the executed notebook too.")
@click.option("--force", is_flag=True, help="Replace outputs that exist.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=7200.0,
    show_default=True,
    help="Time limit, in seconds.",
)
def report(
    strong: str,
    weak: Sequence[tuple[str, str]],
    labels: str,
    index: str | None,
    unlabelled: Sequence[tuple[str, str]],
    noise: float | None,
    dimension: Sequence[tuple[str, str]],
    scheduler: str | None,
    out: Path,
    notebook: Path | None,
    force: bool,
    timeout: float,
    **numbers: Any,
) -> None:
    """Write a report card from feature arrays (.npy, .npz, .csv or .parquet).

    Example: w2s report --strong strong.npy --weak small=a.npy --weak tiny=b.npy --labels y.npy

    Exit code 0: a report was written, whatever it says. 2: something about the input is to be put
    right, told in one line. 1: the report could not be finished.
    """
    outputs = _outputs(out, notebook, force)
    parameters = {
        "weak": _once(weak, "--weak"),
        "strong": strong,
        "labels": labels,
        "index": index or "",
        "unlabelled": _once(unlabelled, "--unlabelled"),
        "noise": noise or 0.0,
        "dimensions": _whole_numbers(_once(dimension, "--dimension")),
        "scheduler": scheduler or "",
        "example_labels": 400,
        **numbers,
    }
    if noise is not None and not noise > 0:
        raise Refusal(f"--noise: expected a positive standard deviation, got {noise:g}")
    _look(parameters)
    decision = make(parameters, outputs, timeout=timeout, shown=sys.stderr.isatty())
    click.echo(f"{out}: {decision}; numbers in {outputs['json']}")


def make(
    parameters: Mapping[str, Any],
    outputs: Mapping[str, Path],
    *,
    timeout: float,
    shown: bool = False,
) -> str:
    """Execute the notebook and write its page, its JSON and, if asked for, itself.

    Parameters
    ----------
    parameters : mapping
        Of the notebook.
    outputs : mapping of str to Path
        ``html``, ``json`` and perhaps ``notebook``; appear together and only when all is done.
    timeout : float
        In seconds.
    shown : bool
        Whether to show a progress bar.

    Returns
    -------
    str
        The decision.
    """
    import nbformat

    from w2s_book import execute
    from w2s_report import page, progress, schema

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        executed = folder / "report.ipynb"
        try:
            with progress.bar(folder, shown):
                execute.run(find_notebook(), executed, parameters, timeout=timeout, root=Path("."))
        except execute.NotebookFailed as error:
            raise _refusal(error) from None
        nb = nbformat.read(executed, as_version=4)
        found = _attached(nb, schema.MIME)
        schema.validate(found)
        texts = {
            "html": page.render(nb, "Report card"),
            "json": json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n",
            "notebook": executed.read_text("utf-8"),
        }
    _write_all({outputs[kind]: texts[kind] for kind in outputs})
    return found["verdict"]["decision"]


def find_notebook() -> Path:
    """Return the source of the notebook: of the clone this package is in, or installed with it.

    Raises
    ------
    FileNotFoundError
        If the installation lacks it.
    """
    package = Path(__file__).resolve().parent
    candidates = (package.parent / "notebooks" / NOTEBOOK, package / NOTEBOOK.name)
    for candidate in candidates:
        if candidate.is_file() and candidate.read_text("utf-8").startswith("---\n"):
            return candidate
    raise FileNotFoundError(f"{NOTEBOOK.name} is not installed; install w2s_utils again")


def _outputs(out: Path, notebook: Path | None, force: bool) -> dict[str, Path]:
    if out.suffix != ".html":
        raise Refusal(f"--out: expected a name that ends in .html, got {out}")
    found = {"html": out, "json": out.with_suffix(".json")}
    if notebook is not None:
        if notebook.suffix != ".ipynb":
            raise Refusal(f"--notebook: expected a name that ends in .ipynb, got {notebook}")
        found["notebook"] = notebook
    for path in found.values():
        if path.is_dir():
            raise Refusal(f"{path} is a folder: give another name")
        if path.exists() and not force:
            raise Refusal(f"{path} exists: give another --out, or --force to replace it")
        if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
            raise Refusal(f"{path.parent} is no folder that can be written to; give another --out")
    return found


def _once(pairs: Sequence[tuple[str, str]], option: str) -> dict[str, str]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Refusal(f"{option}: {twice!r} is given twice; call each model by a name of its own")
    return found


def _whole_numbers(given: Mapping[str, str]) -> dict[str, int]:
    try:
        return {name: int(text) for name, text in given.items()}
    except ValueError:
        raise Refusal(f"--dimension: expected whole numbers, got {dict(given)}") from None


def _look(parameters: Mapping[str, Any]) -> None:
    """Refuse what can be seen without reading the features, before a kernel is started."""
    from w2s_report import inputs
    from w2s_report.readers import InputError

    try:
        inputs.look(
            parameters["weak"],
            parameters["strong"],
            parameters["labels"],
            index=parameters["index"] or None,
            unlabelled=parameters["unlabelled"],
            task=parameters["task"],
            share=parameters["share"],
            trials=parameters["trials"],
            folds=parameters["folds"],
            jobs=parameters["jobs"],
        )
    except InputError as error:
        raise Refusal(error) from None


def _refusal(error: Exception) -> Refusal:
    """What the user can put right in one line; anything else with what the notebook said."""
    mistake = re.search(r"^\s*InputError: (.*)$", str(error), re.MULTILINE)
    if mistake:
        return Refusal(mistake[1])
    last = str(error).strip().splitlines()[-1].strip()
    return Refusal(f"the report could not be finished: {last}", FAILED)


def _attached(nb: Any, mime: str) -> dict[str, Any]:
    for cell in nb.cells:
        for output in cell.get("outputs", []):
            if mime in output.get("data", {}):
                return output["data"][mime]
    raise ValueError("the executed notebook holds no report")


def _write_all(texts: Mapping[Path, str]) -> None:
    """Write all beside their names, then rename: nobody sees a part of a report."""
    new = {path: path.with_name(f".{path.name}.{os.getpid()}.tmp") for path in texts}
    try:
        for path, text in texts.items():
            new[path].write_text(text, "utf-8")
        for path, temporary in new.items():
            os.replace(temporary, path)
    except OSError as error:
        raise Refusal(f"{error.filename}: {error.strerror}; give another --out") from None
    finally:
        for temporary in new.values():
            temporary.unlink(missing_ok=True)
