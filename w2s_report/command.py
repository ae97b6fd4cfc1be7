"""The command ``w2s report``: files in, one page and its JSON out.

Only click is imported with it, so that ``w2s --help`` is quick.
"""

import json
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import click

from w2s_utils.files import replacing
from w2s_utils.refusal import NamedValue, Refusal, once

NAMED = NamedValue("small=a.npy")
KINDS = {"named": NAMED, "path": click.Path(path_type=Path), "number": click.FLOAT}
ROLES = "teacher", "student", "baseline", "ceiling"
ADVICE = "call each model by a name of its own"


def _options(command: Any) -> Any:
    """Give a command the options that ``templates/options.toml`` describes."""
    texts = resources.files("w2s_report").joinpath("templates/options.toml").read_text("utf-8")
    for name, told in reversed(tomllib.loads(texts).items()):
        kind = told.pop("kind", "")
        found = click.Choice(kind) if isinstance(kind, list) else KINDS.get(kind)
        command = click.option(f"--{name}", type=found, **told)(command)
    return command


@click.command(
    short_help="Will your strong model gain from a weak one's labels?",
    context_settings={"show_default": True},
)
@_options
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

    needing = "strong", "weak", "teacher_predictions", "scores", "budget"
    given = [name for name in needing if options[name]]
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
def _bar() -> Iterator[Callable[[float, str], None]]:
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
