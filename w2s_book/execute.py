"""Run one notebook: strict parameters, a time limit, and an output that is whole or absent.

The source is a MyST notebook, the output an executed ``.ipynb`` that appears under its name only
when every cell ran without error. A failed run leaves the notebook as far as it got beside its
log, never in the book.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from w2s_book.parameters import ParameterError, defaults, front_matter, load_profile, substitute
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
_HOME = f"{Path.home()}/"
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


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
        If a parameter is unknown, missing, of another type than its default, or not a literal.
    NotebookFailed
        If a cell raises, the limit is passed, the kernel dies, or an output is refused.
    """
    if timeout <= 0:
        raise ValueError(f"timeout: expected a positive number of seconds, got {timeout}")
    name, source = find(notebook, root)
    nb = _read(source)
    about: dict[str, Any] = {
        "notebook": name,
        "profile": profile,
        "parameters": substitute(nb, name, parameters),
        "versions": _versions(),
    }
    if inputs is not None:
        about["inputs"] = dict(inputs)
    out.parent.mkdir(parents=True, exist_ok=True)
    missing = missing_data(source)
    if missing:
        return _write_not_executed(nb, name, out, about, missing)
    return _Attempt(name, out, root, log, timeout).finish(nb, about)


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
    name, source = find(notebook, root)
    substitute(_read(source), name, parameters)


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


class _Attempt:
    """One execution: where its files go, and what each way of failing is called."""

    def __init__(self, name: str, out: Path, root: Path, log: Path | None, timeout: float):
        self.name, self.out, self.root, self.log, self.timeout = name, out, root, log, timeout
        self.failed = (log or out).with_suffix(".failed.ipynb")
        self.running = (log or out).with_suffix(".running.ipynb")

    def finish(self, nb: Any, about: dict[str, Any]) -> Run:
        from w2s_book.kernel import Watch

        self.failed.parent.mkdir(parents=True, exist_ok=True)
        _settle_ids(nb)
        watch = Watch(self.timeout)
        started = time.perf_counter()
        with _logging_to(self.log), self._keep_on_failure():
            executed = self._execute(nb, watch)
            self._accept(executed)
            seconds = round(time.perf_counter() - started, 2)
            about |= {
                "seconds": seconds,
                "peak_memory_mb": watch.peak_memory_mb,
                "executed": True,
            }
            _scrub(executed, self.root)
            executed.metadata["w2s"] = about
            _write(executed, self.out)
        return Run(self.name, self.out, seconds, watch.peak_memory_mb, executed=True)

    def _execute(self, nb: Any, watch: Any) -> Any:
        from nbclient.exceptions import CellTimeoutError, DeadKernelError
        from papermill.exceptions import PapermillExecutionError

        from w2s_book import kernel

        try:
            with tempfile.TemporaryDirectory() as scratch:
                return kernel.execute(
                    nb,
                    self.running,
                    watch=watch,
                    folder=self.root,
                    scratch=Path(scratch),
                    log=self.log,
                )
        except PapermillExecutionError as error:
            kernel.logger.error("%s", error)
            what = f"{error.ename}: {error.evalue}"
            if "raises-exception" in nb.cells[error.cell_index].metadata.get("tags", []):
                what += _NOT_PUBLISHED
            where = _raising_line(error.traceback)
            raise self._failure(nb, error.cell_index, what, where) from None
        except (DeadKernelError, CellTimeoutError) as error:
            raise self._failure(nb, watch.cell, self._death(watch, error)) from None
        except RuntimeError as error:
            if watch.ready:
                raise
            message = f"{self.name}: the kernel did not start: {error}"
            raise NotebookFailed(message, self.name) from error

    def _death(self, watch: Any, error: Exception) -> str:
        if watch.timed_out:
            return (
                f"stopped after {self.timeout:g} s, the time limit of a notebook\n"
                "  raise it with `w2s run --timeout SECONDS` or `make book TIMEOUT=SECONDS`"
            )
        return (
            f"the kernel died or stopped answering ({type(error).__name__}); "
            f"it had used {watch.peak_memory_mb:.0f} MB, perhaps memory ran out"
        )

    def _failure(
        self, nb: Any, index: int | None, what: str, line: int | None = None
    ) -> NotebookFailed:
        where = "" if index is None else f" in cell {index + 1} of {len(nb.cells)}"
        excerpt = "" if index is None else _excerpt(nb.cells[index].source, line)
        message = f"{self.name} failed{where}\n{excerpt}  {_ANSI.sub('', what)}"
        return NotebookFailed(message, self.name, index)

    def _accept(self, nb: Any) -> None:
        """Refuse error outputs (papermill lets a quiet SystemExit pass) and bare images."""
        from w2s_utils import figures

        for index, cell in enumerate(nb.cells):
            for output in cell.get("outputs", []):
                if output.output_type == "error":
                    what = f"{output.ename}: {output.evalue}{_NOT_PUBLISHED}"
                    raise self._failure(nb, index, what)
        try:
            figures.promote(nb)
        except ValueError as error:
            raise NotebookFailed(f"{self.name}: {error}", self.name) from None

    @contextlib.contextmanager
    def _keep_on_failure(self) -> Iterator[None]:
        """Leave what ran under the name of a failure, or nothing after a success."""
        try:
            yield
        except NotebookFailed as error:
            if self.running.exists():
                os.replace(self.running, self.failed)
                error.add_note(f"as far as it got: {_short(self.failed)}")
            if self.log is not None:
                error.add_note(f"log: {_short(self.log)}")
            raise
        else:
            self.failed.unlink(missing_ok=True)
        finally:
            self.running.unlink(missing_ok=True)


def _read(source: Path) -> Any:
    import jupytext

    return jupytext.read(source)


def _write(nb: Any, out: Path) -> None:
    import nbformat

    with files.replacing(out) as temporary:
        temporary.write_text(nbformat.writes(nb) + "\n", "utf-8")


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
    _insert_below_title(nb, notice)
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            # The labels of figures exist only where figures were drawn.
            cell.source = re.sub(r"\{numref\}`[^`]*fig-[^`]*`", "*(figure not drawn)*", cell.source)
    _settle_ids(nb)
    about |= {"executed": False, "missing_data": missing, "command": command}
    about |= {"seconds": 0.0, "peak_memory_mb": 0.0}
    nb.metadata["w2s"] = about
    _write(nb, out)
    return Run(name, out, 0.0, 0.0, executed=False)


def _insert_below_title(nb: Any, text: str) -> None:
    from nbformat.v4 import new_markdown_cell

    if nb.cells and nb.cells[0].cell_type == "markdown" and "# " in nb.cells[0].source:
        before, title, after = re.split(r"(?m)(^# .*$)", nb.cells[0].source, maxsplit=1)
        nb.cells[0].source = f"{before}{title}\n\n{text}\n{after}"
    else:
        nb.cells.insert(0, new_markdown_cell(text))


def _settle_ids(nb: Any) -> None:
    """Number the cells: jupytext draws their ids at random."""
    for index, cell in enumerate(nb.cells):
        cell["id"] = f"cell-{index}"


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
    for path, short in ((f"{root.resolve()}/", ""), (str(root.resolve()), "."), (_HOME, "~/")):
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
    return "".join(f"  {marks.get(i, ' ')} {i + 1:3d} | {lines[i]}\n" for i in shown)


def _short(path: Path) -> str:
    return os.path.relpath(path)


def _versions() -> dict[str, str]:
    import platform

    versions = {"python": platform.python_version()}
    return versions | {package: metadata.version(package) for package in _PACKAGES}


@contextlib.contextmanager
def _logging_to(log: Path | None) -> Iterator[None]:
    """Send papermill's messages and the cells' outputs to ``log``, and nowhere else."""
    logger = logging.getLogger("papermill")
    before = logger.level, logger.propagate
    handler: logging.Handler = logging.NullHandler()
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("", "utf-8")
        # Appending, as the kernel does with what it prints itself.
        handler = logging.FileHandler(log, mode="a", encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    except Exception as error:
        logger.error("%s", error)
        raise
    finally:
        logger.removeHandler(handler)
        handler.close()
        logger.level, logger.propagate = before
