"""Run one notebook: strict parameters, a time limit, and an output that is whole or absent.

The source is a MyST notebook, the output an executed ``.ipynb`` that appears under its name only
when every cell ran without error. A failed run leaves the notebook as far as it got beside its
log, never in the book.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from w2s_book.parameters import (
    ParameterError,
    defaults,
    front_matter,
    load_profile,
    recorded,
    substitute,
)
from w2s_utils import files

__all__ = [
    "NotebookFailed",
    "ParameterError",
    "Run",
    "check",
    "find",
    "load_profile",
    "missing_data",
    "parameters_of",
    "run",
]

_PACKAGES = ("w2s_utils", "numpy", "scipy", "matplotlib", "scikit-learn", "papermill")
_NOT_PUBLISHED = "\n  an error output is not published: catch the exception and print it"
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_LONG = 2000  # characters of an error that are shown; the log has all


class NotebookFailed(RuntimeError):
    """A notebook that raised, hung, or produced what the book does not accept.

    Attributes
    ----------
    notebook : str
        Its name.
    cell : int or None
        Index of the cell, from 0, where there is one to blame.
    """

    def __init__(self, message: str, notebook: str, cell: int | None = None):
        super().__init__(message)
        self.notebook, self.cell = notebook, cell


@dataclass(frozen=True)
class Run:
    """One finished run.

    Attributes
    ----------
    notebook : str
        Name, such as ``"misfit/projection"``.
    out : Path
        The notebook that was written.
    seconds : float
        Wall-clock time.
    peak_memory_mb : float
        Peak resident memory of the kernel and its children, in 10^6 bytes.
    executed : bool
        False when data were missing, so that the page only says how to get them.
    """

    notebook: str
    out: Path
    seconds: float
    peak_memory_mb: float
    executed: bool


def run(
    notebook: str | Path,
    out: Path,
    parameters: Mapping[str, Any],
    *,
    profile: str = "custom",
    timeout: float = 600,
    root: Path = Path("."),
    log: Path | None = None,
    inputs: Mapping[str, str] | None = None,
) -> Run:
    """Execute a notebook and write it to ``out``.

    Parameters
    ----------
    notebook : str or Path
        Name in the book, such as ``"misfit/projection"``, or path of a MyST ``.md`` notebook.
    out : Path
        The executed notebook; replaced only when the run succeeds.
    parameters : mapping
        A value for every parameter of the notebook, and for nothing else.
    profile : str
        Where the parameters come from; recorded in the metadata.
    timeout : float
        Wall-clock limit for the whole notebook, in seconds.
    root : Path
        The book's folder: holds ``notebooks/`` and is the kernel's working directory.
    log : Path, optional
        Gets what papermill and the cells print. On failure the notebook as far as it got is
        written beside it (beside ``out`` without a log) as ``.failed.ipynb``.
    inputs : mapping of str to str, optional
        Digests of what the run depends on; recorded in the metadata.

    Returns
    -------
    Run

    Raises
    ------
    ParameterError
        Before anything is started: if a parameter is unknown, missing, of another type than its
        default or not a literal, the kernel is not there, or ``out`` or ``log`` cannot be written.
    NotebookFailed
        If a cell raises, the limit is passed, the kernel dies, or an output is refused; and if
        ``out`` cannot be written in the end: then it says where the finished notebook is.
    """
    if not timeout > 0:
        raise ValueError(f"timeout: expected a positive number of seconds, got {timeout}")
    name, source, nb, used = _prepared(notebook, root, parameters)
    about: dict[str, Any] = {
        "notebook": name,
        "profile": profile,
        "parameters": recorded(used),
        "versions": _versions(),
    }
    if inputs is not None:
        about["inputs"] = dict(inputs)
    _check_writable(out)
    _settle_ids(nb)
    if missing := missing_data(source):
        return _write_not_executed(nb, name, out, about, missing)
    if log is not None:
        _check_writable(log)
        log.write_text("", "utf-8")
    with tempfile.TemporaryDirectory(prefix="w2s-", ignore_cleanup_errors=True) as folder:
        return _Attempt(name, nb, Path(folder), out, root, log, timeout).finish(about)


def find(notebook: str | Path, root: Path = Path(".")) -> tuple[str, Path]:
    """Return the name and the source of a notebook given by name or by path.

    Raises
    ------
    FileNotFoundError
        If there is no such notebook; lists those of the book.
    """
    folder = root / "notebooks"
    given = Path(notebook)
    source = given if given.suffix == ".md" else folder / f"{given}.md"
    if not source.is_file():
        known = sorted(str(p.relative_to(folder).with_suffix("")) for p in folder.glob("*/*.md"))
        raise FileNotFoundError(
            f"no notebook {str(notebook)!r} ({source} not found); "
            f"the book has: {', '.join(known) or 'none'}"
        )
    resolved = source.resolve()
    if resolved.is_relative_to(folder.resolve()):
        return str(resolved.relative_to(folder.resolve()).with_suffix("")), source
    return source.stem, source


def parameters_of(notebook: str | Path, root: Path = Path(".")) -> dict[str, Any]:
    """Return the names and default values of a notebook's parameters."""
    name, source = find(notebook, root)
    return defaults(_read(source), name)


def check(notebook: str | Path, parameters: Mapping[str, Any], root: Path = Path(".")) -> None:
    """Raise what `run` would raise for these parameters, without running."""
    _prepared(notebook, root, parameters)


def missing_data(source: Path) -> list[str]:
    """Return the data sets a notebook cannot run without and that are not here.

    They are listed in its front matter as ``w2s: {data: [...]}``.

    Raises
    ------
    ParameterError
        If the front matter names a data set that does not exist.
    """
    needed = (front_matter(source).get("w2s") or {}).get("data", [])
    if not needed:
        return []
    from w2s_experiments.data import datasets

    try:
        return [name for name in needed if not datasets.available(name)]
    except ValueError as error:
        raise ParameterError(f"{source}: front matter, w2s.data: {error}") from None


# Before the run


def _prepared(
    notebook: str | Path, root: Path, parameters: Mapping[str, Any]
) -> tuple[str, Path, Any, dict[str, Any]]:
    """Return name, source, notebook and parameters, checked as far as can be without a run."""
    from jupyter_client.kernelspec import KernelSpecManager

    name, source = find(notebook, root)
    nb = _read(source)
    used = substitute(nb, name, parameters)
    kernel = nb.metadata.get("kernelspec", {}).get("name")
    there = KernelSpecManager().find_kernel_specs()
    if kernel not in there:
        known = ", ".join(sorted(there)) or "none"
        raise ParameterError(f"{name}: no kernel {kernel!r} on this machine; there are: {known}")
    return name, source, nb, used


def _read(source: Path) -> Any:
    import jupytext

    front_matter(source)  # says what is wrong with it
    try:
        return jupytext.read(source)
    except Exception as error:  # of many kinds, by what is wrong
        raise ParameterError(f"{source} is not a MyST notebook: {error}") from None


def _check_writable(path: Path) -> None:
    """Refuse what cannot be written before an hour of work, not after it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise ParameterError(f"{path} cannot be written: {error.strerror}") from None


def _write_not_executed(
    nb: Any, name: str, out: Path, about: dict[str, Any], missing: list[str]
) -> Run:
    """Write the page of a notebook whose data are absent: the source, and how to get them."""
    command = f"w2s data fetch {' '.join(missing)}"
    notice = (
        ":::{warning}\n**This notebook was not executed**: it needs data that are not on this "
        f"machine ({', '.join(missing)}). To see its results, run\n\n"
        f"```bash\n{command}\nmake book\n```\n:::"
    )
    first = nb.cells[0]
    first.source, titles = re.subn(
        r"(?m)^# .*$", lambda title: f"{title[0]}\n\n{notice}\n", first.source, count=1
    )
    if not titles:
        first.source = f"{notice}\n\n{first.source}"
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            # The labels of figures exist only where figures were drawn.
            cell.source = re.sub(r"\{numref\}`[^`]*fig-[^`]*`", "*(figure not drawn)*", cell.source)
    about |= {"executed": False, "missing_data": missing, "command": command}
    nb.metadata["w2s"] = about | {"seconds": 0.0, "peak_memory_mb": 0.0}
    _write(nb, out)
    return Run(name, out, 0.0, 0.0, executed=False)


def _settle_ids(nb: Any) -> None:
    """Number the cells: jupytext draws their ids at random."""
    for index, cell in enumerate(nb.cells):
        cell["id"] = f"cell-{index}"


def _versions() -> dict[str, str]:
    import platform

    versions = {"python": platform.python_version()}
    return versions | {package: metadata.version(package) for package in _PACKAGES}


# The run


@dataclass
class _Attempt:
    """One execution in the folder ``job``: what it leaves there, and what a failure is called."""

    name: str
    nb: Any
    job: Path
    out: Path
    root: Path
    log: Path | None
    timeout: float

    def finish(self, about: dict[str, Any]) -> Run:
        import nbformat

        executed = self.job / "executed.ipynb"
        failed = (self.log or self.out).with_suffix(".failed.ipynb")
        started = time.perf_counter()
        try:
            peak = self._watched()
            seconds = round(time.perf_counter() - started, 2)
            nb = nbformat.read(executed, as_version=4)
            self._accept(nb)
        except NotebookFailed as error:
            with contextlib.suppress(OSError, ValueError):
                json.loads(executed.read_text("utf-8"))  # killed while writing, it is half a file
                error.add_note(f"as far as it got: {os.path.relpath(_keep(executed, failed))}")
            if self.log is not None:
                with contextlib.suppress(OSError), self.log.open("a", encoding="utf-8") as log:
                    log.write(f"{error}\n")
                error.add_note(f"log: {os.path.relpath(self.log)}")
            raise
        _scrub(nb, self.root)
        measured = {"seconds": seconds, "peak_memory_mb": peak, "executed": True}
        nb.metadata["w2s"] = about | measured
        try:
            _write(nb, self.out)
        except OSError as error:
            with contextlib.suppress(OSError):
                _write(nb, executed)
            kept = _keep(executed, self.out)
            message = f"{self.out}: {error.strerror}; the finished notebook is kept at {kept}"
            raise NotebookFailed(message, self.name) from None
        failed.unlink(missing_ok=True)
        return Run(self.name, self.out, seconds, peak, executed=True)

    def _watched(self) -> float:
        """Run it below a process that watches it; return the peak memory in 10^6 bytes."""
        log = None if self.log is None else str(self.log.resolve())
        settings = {"timeout": self.timeout, "folder": str(self.root.resolve()), "log": log}
        try:
            (self.job / "job.json").write_text(json.dumps(settings), "utf-8")
            _write(self.nb, self.job / "source.ipynb")
        except OSError as error:
            raise ParameterError(f"{self.job} cannot be written: {error.strerror}") from None
        kernel = Path(__file__).with_name("kernel.py")
        with (self.job / "stderr").open("w") as stderr:
            watch = subprocess.Popen(
                [sys.executable, "-P", str(kernel), "watch", str(self.job)],
                stdin=subprocess.PIPE,
                stdout=stderr,
                stderr=stderr,
                start_new_session=True,
            )
        try:
            watch.wait()
        finally:
            # Told so, or by the end of this process, it ends all that it started.
            watch.communicate()
        seen, outcome = self._told("watch.json"), self._told("outcome.json")
        if seen.get("timed_out") or not outcome.get("finished"):
            raise self._failure(seen, outcome)
        return seen["peak_memory_mb"]

    def _told(self, file: str) -> dict[str, Any]:
        with contextlib.suppress(OSError, ValueError):
            return json.loads((self.job / file).read_text("utf-8"))
        return {}

    def _failure(self, seen: dict[str, Any], outcome: dict[str, Any]) -> NotebookFailed:
        """Put into words how the execution ended."""
        cell = outcome.get("cell")
        if seen.get("timed_out"):
            what = (
                f"stopped after {self.timeout:g} s, the time limit of a notebook\n"
                "  raise it with `w2s run --timeout SECONDS` or `make book TIMEOUT=SECONDS`"
            )
            return self._blame(cell, what)
        if raised := outcome.get("raised"):
            what = f"{raised['ename']}: {raised['evalue']}"
            if "raises-exception" in self.nb.cells[raised["cell"]].metadata.get("tags", []):
                what += _NOT_PUBLISHED
            return self._blame(raised["cell"], what, _raising_line(raised["traceback"]))
        if "failed" in outcome and not outcome.get("ready"):
            message = f"{self.name}: the kernel did not start: {_cut(outcome['failed'])}"
            return NotebookFailed(message, self.name)
        if "failed" in outcome:
            return self._blame(cell, outcome["failed"])
        said = (
            (self.job / "stderr").read_text("utf-8", "replace").strip() if self.job.exists() else ""
        )
        how = outcome.get("died") or said.rpartition("\n")[2] or "its process was killed"
        used = f"{seen.get('peak_memory_mb', 0):.0f} MB"
        what = (
            f"the kernel died or stopped answering ({how}); "
            f"it had used {used}, perhaps memory ran out"
        )
        return self._blame(cell, what)

    def _blame(self, index: int | None, what: str, line: int | None = None) -> NotebookFailed:
        where = "" if index is None else f" in cell {index + 1} of {len(self.nb.cells)}"
        excerpt = "" if index is None else _excerpt(self.nb.cells[index].source, line)
        message = f"{self.name} failed{where}\n{excerpt}  {_cut(what)}"
        return NotebookFailed(message, self.name, index)

    def _accept(self, nb: Any) -> None:
        """Refuse error outputs (papermill lets a quiet SystemExit pass) and bare images."""
        from w2s_utils import figures

        for index, cell in enumerate(nb.cells):
            for output in cell.get("outputs", []):
                if output.output_type == "error":
                    raise self._blame(index, f"{output.ename}: {output.evalue}{_NOT_PUBLISHED}")
        try:
            figures.promote(nb)
        except ValueError as error:
            raise NotebookFailed(f"{self.name}: {error}", self.name) from None


def _write(nb: Any, out: Path) -> None:
    import nbformat

    with files.replacing(out) as temporary:
        temporary.write_text(nbformat.writes(nb) + "\n", "utf-8")


def _keep(file: Path, target: Path) -> Path:
    """Put a file of the job where it belongs, or else where it will not be lost."""
    try:
        with files.replacing(target) as temporary:
            shutil.copyfile(file, temporary)
    except OSError:
        target = Path(tempfile.mkdtemp(prefix="w2s-kept-")) / target.name
        os.replace(file, target)  # on the same disk, where it needs no room
    return target


def _scrub(nb: Any, root: Path) -> None:
    """Remove what differs between machines: absolute paths, embedded inputs, clock times."""
    nb.metadata.pop("papermill", None)
    nb.metadata.pop("jupytext", None)
    for cell in nb.cells:
        if not cell.metadata.get("tags"):
            cell.metadata.pop("tags", None)
        duration = cell.metadata.pop("papermill", {}).get("duration")
        if cell.cell_type == "code":
            cell.metadata["papermill"] = {"duration": round(duration or 0.0, 3)}
        for output in cell.get("outputs", []):
            if output.output_type == "stream":
                output.text = _without_paths(output.text, root)
            for mime, content in output.get("data", {}).items():
                if mime.startswith("text/"):
                    output.data[mime] = _without_paths(content, root)


def _without_paths(text: str, root: Path) -> str:
    # Tried at the start of a word only: figures hold words of a hundred thousand letters.
    text = re.sub(r"(?<!\S)\S*/ipykernel_\d+/\d+\.py", "<cell>", text)
    text = re.sub(r"(?<!\S)\S*/site-packages/", "", text)
    home = os.path.expanduser("~").rstrip("/")
    shorter = [(f"{root.resolve()}/", ""), (str(root.resolve()), ".")]
    for path, short in [*shorter, *([(f"{home}/", "~/")] if len(home) > 1 else [])]:
        text = text.replace(path, short)
    return text


def _raising_line(frames: list[str]) -> int | None:
    """Return the line of the cell that raised, from IPython's traceback."""
    found = re.findall(r"Cell In\[\d+\], line (\d+)", _ANSI.sub("", "\n".join(frames)))
    return int(found[-1]) if found else None


def _excerpt(source: str, line: int | None, context: int = 2) -> str:
    """Return the lines around the one that raised, marked; the head where it is not known."""
    lines = source.splitlines()
    around = (line or 1) - 1
    shown = range(max(0, around - context), min(len(lines), around + context + 1))
    marks = {around: ">"} if line else {}
    return "".join(f"  {marks.get(i, ' ')} {i + 1:3d} | {lines[i][:200]}\n" for i in shown)


def _cut(text: str) -> str:
    """Return what an error says without colours, and cut where it says too much."""
    text = _ANSI.sub("", text)
    return (
        text if len(text) <= _LONG else f"{text[:_LONG]} ... ({len(text)} characters; see the log)"
    )
