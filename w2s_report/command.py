"""The command ``w2s report``: files in, one page and its JSON out.

Only click is imported with it, so that ``w2s --help`` is quick.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from w2s_utils.files import replacing
from w2s_utils.refusal import NamedValue, Refusal, once

if TYPE_CHECKING:
    from w2s_report.one_pass import Progress


NAMED = NamedValue("small=a.npy")
ROLES = "teacher", "student", "baseline", "ceiling"
ADVICE = "call each model by a name of its own"
FILE = click.Path(path_type=Path)
TASKS = click.Choice(["auto", "regression", "classification"])
NAMES = "[NAME=]FILE"
DECISIONS = click.Choice(["use", "use the teacher itself", "do not use"])


@click.command(
    short_help="Will your strong model gain from a weak one's labels?",
    context_settings={"show_default": True},
)
@click.option("--strong", metavar=NAMES, multiple=True, help="Features of a strong model.")
@click.option("--weak", type=NAMED, multiple=True, help="Features under a weak model, named.")
@click.option("--teacher-predictions", type=NAMED, multiple=True, help="A weak model's answers.")
@click.option("--student-predictions", type=NAMED, multiple=True, help="Of what it has taught.")
@click.option(
    "--baseline-predictions", metavar=NAMES, multiple=True, help="Strong model, on labels."
)
@click.option(
    "--ceiling-predictions", metavar=NAMES, multiple=True, help="The same, on true labels."
)
@click.option("--labels", metavar="FILE", help="Labels; NaN where there is none.")
@click.option("--run", metavar="FOLDER", help="Runs of openai/weak-to-strong, EleutherAI/w2s.")
@click.option("--index", metavar="FILE", help="Labelled rows from 0; labels are of these only.")
@click.option(
    "--unlabelled", type=NAMED, multiple=True, help="Further rows of a model; strong=FILE too."
)
@click.option("--task", type=TASKS, default="auto", help="What the labels are.")
@click.option("--missing", metavar="LABEL", help="The label that means none, such as -1.")
@click.option("--key", metavar="COLUMN", help="Of each file, by which rows are aligned.")
@click.option("--share", type=float, default=0.99, help="Of variance kept.")
@click.option("--trials", type=int, default=40, help="Random splits.")
@click.option("--folds", type=int, default=20, help="Of unlabelled rows.")
@click.option("--seed", type=int, default=0, help="Of everything random.")
@click.option("--jobs", type=int, default=1, help="Processes at a time.")
@click.option("--label-price", type=float, help="Of one label; with the next two.")
@click.option("--pseudo-label-price", type=float, help="Of one answer of a weak model.")
@click.option("--budget", type=float, help="To spend on both: how many of each?")
@click.option("--scheduler", metavar="ADDRESS", help="Send the teachers to this Dask cluster.")
@click.option(
    "--out", type=FILE, default="report.html", help="The page; the JSON goes beside it, as .json."
)
@click.option("--fail-unless", type=DECISIONS, help="Exit with 1 unless this is the verdict.")
@click.option("--scores", type=FILE, help="Of each input: .csv or .npy.")
@click.option("--force", is_flag=True, help="Replace outputs that exist.")
def report(
    labels: str | None,
    run: str | None,
    out: Path,
    fail_unless: str | None,
    force: bool,
    **options: Any,
) -> None:
    """Write a report card from features or predictions (.npy, .npz, .csv or .parquet).

    Example: w2s report --strong strong.npy --weak small=a.npy --weak tiny=b.npy --labels y.npy

    Exit code 0: a report was written, whatever it says. 1: it does not say what --fail-unless asks
    for. 2: something about the input is to be put right, told in one line.
    """
    beside = out.with_suffix(".json")
    _check_outputs(out, beside, options["scores"], force)
    for name in ("strong", "weak", "unlabelled", *(f"{role}_predictions" for role in ROLES)):
        pairs = [_named(value) for value in options[name]]
        options[name] = once(pairs, f"--{name.replace('_', '-')}", ADVICE)
    from w2s_report import page
    from w2s_report.analysis import report as analyse
    from w2s_report.readers import InputError
    from w2s_report.runs import report_run

    given = [
        name
        for name in ("strong", "weak", "teacher_predictions", "scores", "budget")
        if options[name]
    ]
    if (labels is None) == (run is None) or (run and given):
        raise Refusal("expected either --labels with features or predictions, or --run FOLDER")
    with _bar() as tell:
        try:
            options["labels"] = labels
            card = report_run(run) if run else analyse(progress=tell, **options)
        except InputError as error:
            raise Refusal(error) from None
        tell(1.0, "drawing")
        numbers = json.dumps(card.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
        texts = {out: page.render(card), beside: numbers + "\n"}
    _write_all(texts)
    click.echo(f"{out}: {card.verdict.decision}; numbers in {beside}")
    if fail_unless not in (None, card.verdict.decision):
        raise SystemExit(1)


def _named(value: tuple[str, str] | str) -> tuple[str, str]:
    """Name and file; a file alone, where one model may be meant, has no name."""
    alone = isinstance(value, str) and ("=" not in value or Path(value).exists())
    return ("", str(value)) if alone else NAMED.convert(value, None, None)


def _check_outputs(out: Path, beside: Path, scores: Path | None, force: bool) -> None:
    if out.suffix != ".html":
        raise Refusal(f"--out: expected a name that ends in .html, got {out}")
    if scores and scores.suffix not in (".csv", ".npy"):
        raise Refusal(f"--scores: expected a name that ends in .csv or .npy, got {scores}")
    for path in (out, beside, *([scores] if scores else [])):
        if path.is_dir():
            raise Refusal(f"{path} is a folder: give another name")
        if path.exists() and not force:
            raise Refusal(f"{path} exists: give another --out, or --force to replace it")
        if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
            raise Refusal(f"{path.parent} is no folder that can be written to; give another --out")


@contextmanager
def _bar() -> Iterator[Progress]:
    """Show on a terminal's standard error how far the report is."""
    from tqdm import tqdm

    style = "{desc} |{bar}| {n:.0f} %"
    with tqdm(total=100, leave=False, bar_format=style, desc="starting", disable=None) as bar:

        def tell(share: float, what: str) -> None:
            bar.set_description_str(what, refresh=False)
            bar.update(100 * share - bar.n)

        yield tell


def _write_all(texts: Mapping[Path, str]) -> None:
    """Write all beside their names, then rename: nobody sees a part of a report."""
    with ExitStack() as stack:
        for path, text in texts.items():
            try:
                stack.enter_context(replacing(path)).write_text(text, "utf-8")
            except OSError as error:
                raise Refusal(f"{path}: {error.strerror}; give another --out") from None
