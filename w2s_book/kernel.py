"""A notebook executed by papermill, in a process that another one watches from outside.

Run as a script, in two roles, on a folder that holds ``job.json`` and ``source.ipynb``:
``kernel.py watch FOLDER`` starts ``kernel.py execute FOLDER``, measures the memory of what that
starts, and ends all of it at the time limit, when it is finished, and when the process that asked
for it is gone (that one holds the other end of standard input). The watch handles no output of the
notebook, so nothing that a notebook prints can keep it from looking at the clock. It leaves
``watch.json`` beside ``executed.ipynb`` and ``outcome.json`` of the other.

Nothing of ours is imported here: modules of the folder a command is given in cannot get in between.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import logging
import os
import re
import resource
import select
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import psutil

START_LIMIT = 60  # seconds for a kernel to answer
GRACE = 5  # seconds to write down how far a notebook came, once its kernel is killed
ANSI = re.compile(r"\x1b\[[0-9;]*m")
_POLL = 0.1  # seconds between two looks
_THREADS = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB_MAXIMUM", "BLIS")
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of Linux


# The watch


def watch(folder: Path) -> None:
    """Execute the notebook in a process of its own, and outlive whatever that starts."""
    limit = json.loads((folder / "job.json").read_text())["timeout"]
    deadline = time.monotonic() + limit
    with contextlib.suppress(AttributeError, OSError):
        # What loses its parent below becomes a child of this process, wherever it hides.
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    command = [sys.executable, "-P", __file__, "execute", str(folder)]
    worker = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment(folder))
    family: set[psutil.Process] = set()
    peak, abandoned, timed_out = 0, False, False
    while worker.poll() is None and not (abandoned or timed_out):
        abandoned = bool(select.select([sys.stdin], [], [], _POLL)[0])
        family = {p for p in family | _descendants() if p.is_running()}
        peak = max(peak, sum(_resident(process) for process in family if process.pid != worker.pid))
        timed_out = time.monotonic() > deadline
    if timed_out:
        end(family, spare=[worker.pid])
        with contextlib.suppress(subprocess.TimeoutExpired):
            worker.wait(GRACE)
    worker.kill()
    worker.wait()
    end(family)
    if abandoned:
        shutil.rmtree(folder, ignore_errors=True)
        return
    highest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    peak = max(peak, highest * (1 if sys.platform == "darwin" else 1024))
    seen = {"timed_out": timed_out, "peak_memory_mb": round(peak / 1e6, 1)}
    (folder / "watch.json").write_text(json.dumps(seen))


def end(family: Collection[psutil.Process] = (), spare: Collection[int] = ()) -> None:
    """Kill the processes below this one and those known to have been, until none is left."""
    for _ in range(100):
        left = [p for p in {*family, *_descendants()} if p.pid not in spare and _alive(p)]
        if not left:
            return
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left, timeout=0.1)


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of a kernel: one BLAS thread, no user configuration, UTF-8."""
    # Without a home there are nevertheless programs that ask for one.
    homeless = {"HOME": str(folder)} if os.path.expanduser("~") == "~" else {}
    return {
        **os.environ,
        **homeless,
        **{f"{library}_NUM_THREADS": "1" for library in _THREADS},
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_PREFER_ENV_PATH": "1",
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "PYTHONHASHSEED": "0",
        "PYTHONUTF8": "1",
    }


def _descendants() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _resident(process: psutil.Process) -> int:
    with contextlib.suppress(psutil.Error):
        return process.memory_info().rss
    return 0


# The execution


def execute(folder: Path) -> None:
    """Execute ``source.ipynb`` into ``executed.ipynb``; say in ``outcome.json`` how it ended."""
    import nbformat
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    threading.Thread(target=_leave_with_watch, daemon=True).start()
    log = json.loads((folder / "job.json").read_text())["log"]
    logger = _logger(log)
    outcome: dict[str, Any] = {}
    try:
        nb = nbformat.read(folder / "source.ipynb", as_version=4)
        try:
            _attempt(nb, folder, log, outcome)
        except Exception as error:
            if outcome.get("ready"):
                raise
            logger.warning("the kernel did not start (%s), trying once more", error)
            _attempt(nb, folder, log, outcome)
        outcome["finished"] = True
    except PapermillExecutionError as error:
        told = {key: getattr(error, key) for key in ("ename", "evalue", "traceback")}
        # Where IPython printed the error itself (groups), only the kernel's reply has its name.
        outcome["raised"] = {"cell": error.cell_index, **told, **outcome.pop("reply", {})}
        logger.error("%s", ANSI.sub("", "\n".join(outcome["raised"]["traceback"])))
    except (DeadKernelError, CellTimeoutError) as error:
        outcome["died"] = type(error).__name__
    except Exception as error:
        logger.exception("the execution failed")
        outcome["failed"] = f"{type(error).__name__}: {error}"
    _note(folder, outcome)


def _attempt(nb: Any, folder: Path, log: str | None, outcome: dict[str, Any]) -> None:
    import papermill
    from papermill.clientwrap import PapermillNotebookClient
    from papermill.engines import NBClientEngine, papermill_engines
    from papermill.log import logger

    def entered(cell: Any, cell_index: int) -> None:
        outcome["cell"] = cell_index
        _note(folder, outcome)

    def failed(cell: Any, cell_index: int, execute_reply: Any) -> None:
        content = execute_reply["content"]
        keys = ("ename", "evalue", "traceback")
        outcome["reply"] = {key: content[key] for key in keys if content.get(key)}

    class Engine(NBClientEngine):
        @classmethod
        def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **_: Any) -> None:
            client = PapermillNotebookClient(
                nb_man,
                kernel_name=kernel_name,
                startup_timeout=START_LIMIT,
                # The default of 4 seconds is short for a loaded machine; late output is an error.
                iopub_timeout=60,
                record_timing=False,
                log=logger,
                log_output=True,
                on_notebook_start=lambda notebook: outcome.update(ready=True),
                on_cell_start=entered,
                on_cell_error=failed,
                # Its own way of joining streams takes the square of the length of a line.
                on_cell_executed=lambda cell, **_: join_streams(cell),
            )
            with open(log or os.devnull, "ab") as stream:
                where = json.loads((folder / "job.json").read_text())["folder"]
                client.execute(cwd=where, stdout=stream, stderr=stream)

    papermill_engines.register("w2s", Engine)
    out = str(folder / "executed.ipynb")
    papermill.execute_notebook(nb, out, engine_name="w2s", progress_bar=False)


def join_streams(cell: Any) -> None:
    """Make one output of all that a cell printed to a stream; standard output comes first.

    A carriage return takes back the line before it, unless the line ends there.
    """
    texts: dict[str, list[str]] = {}
    outputs: list[Any] = []
    for output in cell.outputs:
        if output.output_type != "stream" or output.name not in texts:
            outputs.append(output)
        if output.output_type == "stream":
            texts.setdefault(output.name, []).append(output.text)
    for index, output in enumerate(outputs):
        if output.output_type == "stream":
            output.text = "\n".join(map(_overwritten, "".join(texts[output.name]).split("\n")))
            before = outputs[index - 1] if index else output
            if output.name == "stdout" and before.get("name") == "stderr":
                outputs[index - 1 : index + 1] = [output, before]
    cell.outputs = outputs


def _overwritten(line: str) -> str:
    body, end = (line[:-1], "\r") if line.endswith("\r") else (line, "")
    return body[body.rfind("\r") + 1 :] + end


def _logger(log: str | None) -> logging.Logger:
    handler = logging.FileHandler(log, encoding="utf-8") if log else logging.NullHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger = logging.getLogger("papermill")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    return logger


def _note(folder: Path, outcome: dict[str, Any]) -> None:
    temporary = folder / "outcome.json.new"
    temporary.write_text(json.dumps(outcome))
    os.replace(temporary, folder / "outcome.json")


def _leave_with_watch() -> None:
    sys.stdin.buffer.read()
    end()
    os._exit(1)


if __name__ == "__main__":
    {"watch": watch, "execute": execute}[sys.argv[1]](Path(sys.argv[2]))
