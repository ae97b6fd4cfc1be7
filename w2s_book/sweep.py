"""Run a notebook over a grid of parameters, here or on a Dask cluster.

Each point is one execution of the notebook in processes of its own; it gets everything it needs
(source text and parameters) over the wire and gives everything back (the claims): no disk is
shared. The record is a file of JSON lines that grows by one line for each finished point and
is flushed to disk, so that a run that is killed continues where it stopped; in the end the lines
are put in the order of the grid. They hold no timings, so the same sweep gives the same
file, wherever it ran.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed

from w2s_book import closure
from w2s_book.parameters import ParameterError, read_value, recorded
from w2s_utils import files

START_LIMIT = 60  # seconds for a cluster to have a worker
# What of a claim's record differs between two runs of the same cell.
_TIMING = ("seconds", "profile")


def library() -> str:
    """Return the digest of the library as it is installed here."""
    here = closure.Library()
    return here.digest(here.modules)


def key_of(notebook: str, source: str, parameters: Mapping[str, Any], library: str) -> str:
    """Return a digest of all that the result of a point depends on."""
    content = [notebook, source, parameters, library]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def grid(axes: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Return all combinations, the last parameter running fastest.

    Raises
    ------
    w2s_book.parameters.ParameterError
        If a parameter has no values or one of them twice.
    """
    for name, values in axes.items():
        if not values:
            raise ParameterError(f"{name}: expected at least one value, got none")
        if any(value in values[:i] for i, value in enumerate(values)):
            raise ParameterError(f"{name}: expected distinct values, got {list(values)}")
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def values_of(name: str, text: str, default: Any) -> list[Any]:
    """Read the values of a parameter from a command line.

    Parameters
    ----------
    name : str
    text : str
        One value, several separated by commas, or a YAML list of them: ``400``, ``400,800`` or
        ``[400, 800]``. The values of a parameter that is itself a list need the outer brackets:
        ``[[1, 5], [1, 9]]``.
    default : object
        The parameter's default, which tells whether it is a list.

    Returns
    -------
    list

    Raises
    ------
    w2s_book.parameters.ParameterError
        If the text is not valid YAML, or a list is given where lists were expected.
    """
    read = read_value(name, text, default)
    if isinstance(read, str) and "," in read and not isinstance(default, str):
        read = read_value(name, f"[{text}]", default)
    values = read if isinstance(read, list) else [read]
    if isinstance(default, list | tuple) and not all(isinstance(value, list) for value in values):
        raise ParameterError(
            f"{name}: its values are lists, like {list(default)}; give a list of them, such as "
            f"-p {name}=[{list(default)}]"
        )
    return values


def run(
    notebook: str,
    source: str,
    points: Sequence[Mapping[str, Any]],
    out: Path,
    *,
    timeout: float = 600,
    jobs: int = 1,
    scheduler: str | None = None,
    report: Callable[[int, dict[str, Any]], None],
) -> list[dict[str, Any]]:
    """Execute the points that ``out`` does not have yet, and return the lines of all.

    Parameters
    ----------
    notebook : str
        Name, such as ``"discrepancy/scaling"``.
    source : str
        Text of the notebook.
    points : sequence of mapping
        For each point a value for every parameter.
    out : Path
        JSON lines; a line that is there for a point, and is not a failure, is not computed again.
    timeout : float
        Limit of a point, in seconds.
    jobs : int
        Executions at a time on this machine.
    scheduler : str, optional
        Address of a Dask scheduler; then its workers execute, one point a thread.
    report : callable
        Called with the number of points still to come and the line of the one just finished.

    Returns
    -------
    list of dict
        In the order of ``points``: ``notebook``, ``parameters``, ``outcome`` ("executed" or
        "failed"), ``claims``, ``error`` and ``key``.

    Raises
    ------
    w2s_book.parameters.ParameterError
        If ``out`` is not the record of a sweep, or the scheduler cannot be reached.
    """
    lines, version = read(out), library()
    wanted = [
        {"notebook": notebook, "parameters": dict(values)}
        | {"key": key_of(notebook, source, values, version)}
        for values in points
    ]
    done = {line["key"]: line for line in lines if line["outcome"] == "executed"}
    todo = [point for point in wanted if point["key"] not in done]
    executed = partial(execute, source=source, timeout=timeout)
    _replace(out, _dump(lines))  # without the line that was being written when a run was killed
    with closing(_finished(executed, todo, jobs, scheduler, version)) as results:
        for left, line in zip(reversed(range(len(todo))), results, strict=True):
            with out.open("a", encoding="utf-8") as file:
                file.write(_dump([line]))
                file.flush()
                os.fsync(file.fileno())
            done[line["key"]] = line
            report(left, line)
    ordered = {point["key"]: done[point["key"]] for point in wanted}
    # What else was there is kept: a smaller grid must not lose the results of a larger one.
    _replace(out, _dump([*(ordered | done).values()]))
    return list(ordered.values())


def read(out: Path) -> list[dict[str, Any]]:
    """Read the lines of a record; one that was being written when a run was killed is ignored.

    Raises
    ------
    w2s_book.parameters.ParameterError
        If the file is something else.
    """
    try:
        *whole, _ = out.read_text("utf-8").split("\n")
    except FileNotFoundError:
        return []
    with suppress(ValueError, AttributeError):
        lines = [json.loads(text) for text in whole]
        if all({"key", "outcome", "claims"} <= line.keys() for line in lines):
            return lines
    raise ParameterError(f"{out} is not the record of a sweep: give another --out")


# Where the points are executed


def _finished(
    executed: Callable[[dict[str, Any]], dict[str, Any]],
    points: Sequence[dict[str, Any]],
    jobs: int,
    scheduler: str | None,
    version: str,
) -> Generator[dict[str, Any], None, None]:
    """Give the lines as they come; each is made by a process of its own, on whichever machine."""
    if not (scheduler and points):
        # Each thread only waits for its process.
        parallel = Parallel(jobs, backend="threading", return_as="generator_unordered")
        with closing(parallel(delayed(executed)(point) for point in points)) as lines:
            yield from lines
        return
    with _client(scheduler, version) as client:
        from distributed import as_completed

        tasks = dict(zip(client.map(executed, points, pure=False), points, strict=True))
        # Not joblib's backend: it waits for ever for a point that is lost with its workers.
        ended = as_completed(tasks, loop=client.loop, with_results=True, raise_errors=False)
        for task, line in ended:
            if task.status != "finished":
                why = line[1] if task.status == "error" else line
                line = _line(tasks[task], error=f"lost with its worker: {why}")
            yield line


def _client(scheduler: str, version: str) -> Any:
    """Return a client of a Dask cluster, once it has workers with a version of the library."""
    try:
        from distributed import Client
    except ImportError:
        raise ParameterError("--scheduler needs Dask: pip install 'w2s_utils[dask]'") from None
    try:
        client = Client(scheduler, timeout=10, set_as_default=False)
        client.wait_for_workers(1, timeout=START_LIMIT)
    except (OSError, ValueError) as error:
        message = f"no Dask scheduler at {scheduler}, or none with a worker: {error}"
        raise ParameterError(message) from None
    found = client.run(library)
    if other := sorted(each for each, digest in found.items() if digest != version):
        raise ParameterError(
            f"{len(other)} of {len(found)} workers have another version of w2s_utils "
            f"({', '.join(other)}): install the same on all"
        )
    return client


def execute(point: dict[str, Any], source: str, timeout: float) -> dict[str, Any]:
    """Execute one point and return its line, whatever happens."""
    from w2s_book import execute
    from w2s_utils import claims

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        file = root / "notebooks" / f"{point['notebook']}.md"
        file.parent.mkdir(parents=True)
        file.write_text(source, "utf-8")
        out = root / "executed.ipynb"
        try:
            execute.run(file, out, point["parameters"], timeout=timeout, root=root)
            return _line(point, claims.collect([out]))
        except (execute.NotebookFailed, ValueError, OSError) as error:
            failed = root / "executed.failed.ipynb"
            records = claims.collect([failed]) if failed.exists() else []
            # The folder has another name every time.
            return _line(point, records, str(error).replace(f"{folder}/", ""))


def _line(
    point: dict[str, Any], claims: Sequence[Mapping[str, Any]] = (), error: str = ""
) -> dict[str, Any]:
    return {
        "notebook": point["notebook"],
        "parameters": recorded(point["parameters"]),
        "outcome": "failed" if error else "executed",
        "claims": [{k: v for k, v in claim.items() if k not in _TIMING} for claim in claims],
        "error": error,
        "key": point["key"],
    }


def _replace(out: Path, text: str) -> None:
    with files.replacing(out) as temporary:
        temporary.write_text(text, "utf-8")


def _dump(lines: Sequence[Mapping[str, Any]]) -> str:
    return "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)
