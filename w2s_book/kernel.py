"""A notebook executed by papermill, in a process that another one watches from outside.

Run as a script, in two roles, on a folder. ``watch FOLDER LIMIT OUTPUT COMMAND...`` starts a
command, whose prints it appends to a file, measures the memory of what that starts, and ends all of
it at the time limit in seconds, when it is finished, and when the process that asked for it is gone
(that one holds the other end of standard input). The watch handles no output, so nothing that is
printed can keep it from looking at the clock. It leaves ``watch.json`` in the folder.
``execute FOLDER PLACE`` is such a command: it executes ``source.ipynb`` in a working directory and
leaves ``executed.ipynb``.

Nothing of ours is imported here: modules of the folder a command is given in cannot get in between.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import logging
import os
import resource
import select
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Collection
from pathlib import Path

import psutil

START_LIMIT = 60  # seconds for a kernel to answer
GRACE = 5  # seconds to write down how far a notebook came, once its kernel is killed
_POLL = 0.1  # seconds between two looks
_THREADS = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB_MAXIMUM", "BLIS")
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of Linux


def watch(folder: Path, limit: str, output: str, *command: str) -> None:
    """Run a command in a process of its own, and outlive whatever that starts."""
    deadline = time.monotonic() + float(limit)
    with open(output, "ab") as printed:
        worker = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=printed, stderr=printed, env=environment(folder)
        )
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
    seen = {"timed_out": timed_out, "code": worker.returncode, "memory": round(peak / 1e6, 1)}
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
    with contextlib.suppress(psutil.Error):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def _resident(process: psutil.Process) -> int:
    with contextlib.suppress(psutil.Error):
        return int(process.memory_info().rss)
    return 0


def execute(folder: Path, place: str) -> None:
    """Execute ``source.ipynb`` into ``executed.ipynb``, in a working directory."""
    import papermill

    threading.Thread(target=_leave_with_watch, daemon=True).start()
    logging.basicConfig(format="%(asctime)s %(message)s")
    papermill.log.logger.setLevel(logging.INFO)
    papermill.execute_notebook(
        folder / "source.ipynb",
        folder / "executed.ipynb",
        cwd=place,
        progress_bar=False,
        log_output=True,
        start_timeout=START_LIMIT,
        # The default of 4 seconds is short for a loaded machine; late output is an error.
        iopub_timeout=60,
        record_timing=False,
    )


def _leave_with_watch() -> None:
    os.read(sys.stdin.fileno(), 1)
    end()
    os._exit(1)


if __name__ == "__main__":
    with contextlib.suppress(AttributeError, OSError):
        # What loses its parent below becomes a child of this process, wherever it hides.
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    role, folder, *rest = sys.argv[1:]
    (watch if role == "watch" else execute)(Path(folder), *rest)
