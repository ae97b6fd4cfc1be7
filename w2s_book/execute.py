"""Run one notebook: strict parameters, a time limit, and an output that is whole or absent.

The source is a MyST notebook, the output an executed ``.ipynb`` that appears under its name only
when every cell ran without error. A failed run leaves the notebook as far as it got beside its
log, never in the book.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from w2s_book.parameters import ParameterError, front_matter, recorded, substitute
from w2s_utils import files

_PACKAGES = ("w2s_utils", "numpy", "scipy", "matplotlib", "scikit-learn", "papermill")
ANSI = re.compile(r"\x1b\[[0-9;]*m")  # colours
_MARK = "papermill-error-cell-tag"
_LONG = 2000  # characters of an error that are shown; the log has all
_LINES = 6  # lines of its cell
# A carriage return takes back the line before it, unless the line ends there.
_TAKEN_BACK = re.compile(r"^.*\r(?=[^\n])", re.MULTILINE)
# What IPython shows of a cell that raised: the lines around that one.
_FRAME = re.compile(r"^ *Cell In\[\d+\], line .*?(?=\n\n|\Z)", re.MULTILINE | re.DOTALL)
# What Python prints of a group of errors: itself, and its members further to the right.
_MEMBER = re.compile(r"^ +\| (\w[\w.]*: .*)$", re.MULTILINE)
_KERNEL = [sys.executable, "-P", str(Path(__file__).with_name("kernel.py"))]


class NotebookFailed(RuntimeError):
    """A notebook that raised, hung, or produced what the book does not accept."""


class DataMissing(ParameterError):
    """A notebook whose data are not here, and how to get them.

    Attributes
    ----------
    names : list of str
        The data sets.
    command : str
        What fetches them.
    """

    def __init__(self, notebook: str, names: list[str]):
        self.names, self.command = names, f"w2s data fetch {' '.join(names)}"
        super().__init__(f"{notebook} needs data that are not here; get them with: {self.command}")


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
) -> dict[str, Any]:
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
    dict
        The record in the metadata of what was written: ``notebook``, its name; ``profile``,
        ``parameters``, ``inputs`` and ``versions``; ``seconds`` of wall-clock time;
        ``peak_memory_mb``, of the kernel and its children in 10^6 bytes; and ``executed``.

    Raises
    ------
    ParameterError
        Before anything is started: if a parameter is unknown, missing, of another type than its
        default or not a literal, the kernel is not there, or ``out`` or ``log`` cannot be written;
        as `DataMissing` if data sets are not here.
    NotebookFailed
        If a cell raises, the limit is passed, the kernel dies, or an output is refused; and if
        ``out`` cannot be written in the end: then it says where the finished notebook is.
    """
    if not timeout > 0:
        raise ValueError(f"timeout: expected a positive number of seconds, got {timeout}")
    name, source, nb, used = check(notebook, parameters, root)
    versions = {package: metadata.version(package) for package in _PACKAGES}
    about = {
        "notebook": name,
        "profile": profile,
        "parameters": recorded(used),
        "inputs": dict(inputs or {}),
        "versions": {"python": platform.python_version()} | versions,
    }
    _check_writable(out)
    if missing := missing_data(source):
        raise DataMissing(name, missing)
    if log is not None:
        _check_writable(log)
        log.write_text("", "utf-8")
    failed = (log or out).with_suffix(".failed.ipynb")
    with tempfile.TemporaryDirectory(prefix="w2s-", ignore_cleanup_errors=True) as folder:
        executed = Path(folder) / "executed.ipynb"
        try:
            started = time.perf_counter()
            nb, memory = _execute(name, nb, Path(folder), root, log, timeout)
            seconds = round(time.perf_counter() - started, 2)
        except NotebookFailed as error:
            with contextlib.suppress(OSError, ValueError):
                json.loads(executed.read_text("utf-8"))  # killed while writing, it is half a file
                error.add_note(f"as far as it got: {os.path.relpath(_keep(executed, failed))}")
            if log is not None:
                with contextlib.suppress(OSError), log.open("a", encoding="utf-8") as opened:
                    opened.write(f"{error}\n")
                error.add_note(f"log: {os.path.relpath(log)}")
            raise
        _scrub(nb, root)
        measured = {"seconds": seconds, "peak_memory_mb": memory, "executed": True}
        nb.metadata["w2s"] = about = about | measured
        try:
            write(nb, out)
        except OSError as error:
            with contextlib.suppress(OSError):
                write(nb, executed)
            kept = _keep(executed, out)
            message = f"{out}: {error.strerror}; the finished notebook is kept at {kept}"
            raise NotebookFailed(message) from None
    failed.unlink(missing_ok=True)
    return about


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


def read(source: Path) -> Any:
    """Return a MyST notebook; its cells are numbered, where jupytext draws their ids at random.

    Raises
    ------
    ParameterError
        If it is none.
    """
    import jupytext

    front_matter(source)  # says what is wrong with it
    try:
        nb = jupytext.read(source)
    except Exception as error:  # of many kinds, by what is wrong
        raise ParameterError(f"{source} is not a MyST notebook: {error}") from None
    for index, cell in enumerate(nb.cells):
        cell["id"] = f"cell-{index}"
    return nb


def check(
    notebook: str | Path, parameters: Mapping[str, Any], root: Path = Path(".")
) -> tuple[str, Path, Any, dict[str, Any]]:
    """Raise what `run` would raise for these parameters, without running.

    Returns
    -------
    name, source, notebook, parameters
        As they would be run.
    """
    from jupyter_client.kernelspec import KernelSpecManager

    name, source = find(notebook, root)
    nb = read(source)
    used = substitute(nb, name, parameters)
    kernel = nb.metadata.get("kernelspec", {}).get("name")
    there = KernelSpecManager().find_kernel_specs()
    if kernel not in there:
        known = ", ".join(sorted(there)) or "none"
        raise ParameterError(f"{name}: no kernel {kernel!r} on this machine; there are: {known}")
    return name, source, nb, used


def data_sets(source: Path, key: str = "data") -> list[str]:
    """Return the data sets that the front matter of a notebook names, as ``w2s: {data: [...]}``."""
    return (front_matter(source).get("w2s") or {}).get(key, [])


def missing_data(source: Path) -> list[str]:
    """Return the data sets a notebook cannot run without and that are not here.

    Raises
    ------
    ParameterError
        If the front matter names a data set that does not exist.
    """
    from w2s_experiments.data import datasets

    try:
        return [name for name in data_sets(source) if not datasets.available(name)]
    except ValueError as error:
        raise ParameterError(f"{source}: front matter, w2s.data: {error}") from None


def _check_writable(path: Path) -> None:
    """Refuse what cannot be written before an hour of work, not after it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise ParameterError(f"{path} cannot be written: {error.strerror}") from None


def watched(
    command: Sequence[str], folder: Path, timeout: float, output: Path
) -> tuple[int | None, float]:
    """Run a command below a process that watches it: nothing of it outlives this one.

    Parameters
    ----------
    command : sequence of str
        The command.
    folder : Path
        An empty folder of its own.
    timeout : float
        Wall-clock limit, in seconds.
    output : Path
        What it prints is added to this file.

    Returns
    -------
    code : int or None
        How it ended: its exit status, or less a signal; None at the limit.
    memory : float
        Peak resident memory of what it started, in 10^6 bytes.
    """
    watch = subprocess.Popen(
        [*_KERNEL, "watch", str(folder), str(timeout), str(output.resolve()), *command],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        watch.wait()
    finally:
        # Told so, or by the end of this process, it ends all that it started.
        watch.communicate()
    try:
        seen = json.loads((folder / "watch.json").read_text("utf-8"))
    except (OSError, ValueError):  # the watch was killed
        return -9, 0.0
    return None if seen["timed_out"] else seen["code"], seen["memory"]


def _execute(
    name: str, nb: Any, job: Path, root: Path, log: Path | None, timeout: float
) -> tuple[Any, float]:
    """Execute a notebook in a folder; return it, and the peak memory in 10^6 bytes."""
    import nbformat

    from w2s_utils import figures

    write(nb, job / "source.ipynb")
    output = log or job / "output"
    command = [*_KERNEL, "execute", str(job), str(root.resolve())]
    for again in (True, False):
        code, memory = watched(command, job, timeout, output)
        with contextlib.suppress(OSError, ValueError):  # killed while writing, it is half a file
            nb = nbformat.read(job / "executed.ipynb", as_version=4)
        # Papermill puts a cell before the one that failed, and one at the top.
        nb.cells = [c for c in nb.cells if _MARK not in c.metadata.get("tags", [])]
        times = [cell.metadata.get("papermill", {}).get("start_time") for cell in nb.cells]
        last = max((index for index, time in enumerate(times) if time), default=None)
        if last is not None or code is None or code < 0 or not again:
            break
        with output.open("a", encoding="utf-8") as opened:
            opened.write("the kernel did not start, trying once more\n")
    for cell in nb.cells:
        if cell.get("outputs"):
            join_streams(cell)
    if code is None:
        what = (
            f"stopped after {timeout:g} s, the time limit of a notebook\n"
            "  raise it with `w2s run --timeout SECONDS` or `make book TIMEOUT=SECONDS`"
        )
        raise _failure(name, nb, last, what)
    for index, cell in enumerate(nb.cells):
        if (raised := _raised(cell, published=not code)) is not None:
            raise _failure(name, nb, index, *raised)
    if code:
        said = output.read_text("utf-8", "replace").strip() if output.exists() else ""
        how = said.rpartition("\n")[2] if code > 0 else "its process was killed"
        if last is None and code > 0:
            raise NotebookFailed(f"{name}: the kernel did not start: {_cut(how)}")
        used = f"it had used {memory:.0f} MB, perhaps memory ran out"
        what = f"the kernel died or stopped answering ({how}); {used}"
        raise _failure(name, nb, last, what)
    try:
        figures.promote(nb)
    except ValueError as error:
        raise NotebookFailed(f"{name}: {error}") from None
    return nb, memory


def _raised(cell: Any, published: bool) -> tuple[str, str] | None:
    """Return the error of a cell, if it had one, and its traceback."""
    tolerated = published or "raises-exception" in cell.metadata.get("tags", [])
    note = "\n  an error output is not published: catch the exception and print it" * tolerated
    for output in cell.get("outputs", []):
        if output.output_type == "error":
            return f"{output.ename}: {output.evalue}{note}", "\n".join(output.traceback)
    if cell.metadata.get("papermill", {}).get("exception"):
        # IPython prints a group of errors with its members, and sends them nowhere.
        printed = "".join(o.text for o in cell.outputs if o.get("name") == "stderr")
        return "\n    ".join(_MEMBER.findall(ANSI.sub("", printed))) or "it raised", ""
    return None


def _failure(name: str, nb: Any, index: int | None, what: str, trace: str = "") -> NotebookFailed:
    """Put into words what went wrong, and where: with the lines around the one that raised."""
    if index is None:
        return NotebookFailed(f"{name} failed\n  {_cut(what)}")
    frames = _FRAME.findall(ANSI.sub("", trace)) or [nb.cells[index].source]
    excerpt = "".join(f"    {line[:200]}\n" for line in frames[-1].splitlines()[:_LINES])
    where = f"{name} failed in cell {index + 1} of {len(nb.cells)}"
    return NotebookFailed(f"{where}\n{excerpt}  {_cut(what)}")


def _cut(text: str) -> str:
    """Return what an error says without colours, and cut where it says too much."""
    text = ANSI.sub("", text)
    more = f" ... ({len(text)} characters; see the log)" if len(text) > _LONG else ""
    return text[:_LONG] + more


def join_streams(cell: Any) -> None:
    """Make one output of all that a cell printed to a stream; standard output comes first."""
    from nbformat.v4 import new_output

    streams = [output for output in cell.outputs if output.output_type == "stream"]
    outputs = [output for output in cell.outputs if output.output_type != "stream"]
    place = cell.outputs.index(streams[0]) if streams else 0
    for name in sorted({output.name for output in streams}):
        text = "".join(output.text for output in streams if output.name == name)
        outputs.insert(place, new_output("stream", name=name, text=_TAKEN_BACK.sub("", text)))
    cell.outputs = outputs


def write(nb: Any, out: Path) -> None:
    """Write a notebook whole, or not at all."""
    import nbformat

    with files.replacing(out) as temporary:
        # Half a character that a cell printed is written as JSON writes it.
        temporary.write_text(nbformat.writes(nb) + "\n", "utf-8", "backslashreplace")


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
