"""A notebook executed by papermill, in a process that another one watches from outside.

Run as a script it serves: over standard input, a socket, come sockets, one a job. Half of what a
short notebook takes is the import of libraries that all of them use; so these are imported once,
and the processes of a job are forked from the one that has them.

The first of a job, the watch, reads from its socket a folder, a limit, an output and a command. It
starts the command, whose prints it appends to the output, measures the memory of what that starts,
and ends all of it at the limit in seconds, when it is finished, and when the process that asked for
it is gone (that one holds the other end of the socket). The watch handles no output, so nothing
that is printed can keep it from looking at the clock. It leaves ``watch.json`` in the folder.
A job without a command is a notebook: ``source.ipynb`` in the folder is executed, by a process
with a kernel that is forked from it, and becomes ``executed.ipynb``.

Nothing of ours is imported here: modules of the folder a job works in cannot get in between.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import logging
import os
import resource
import select
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection
from functools import cache, partial
from pathlib import Path
from typing import Any

import psutil

START_LIMIT = 60  # seconds for a kernel to answer
GRACE = 5  # seconds to write down how far a notebook came, once its kernel is killed
_POLL = 0.05  # seconds between two looks at the clock
_LOOK = 0.5  # and at the processes
NOTEBOOK, COMMAND = b"n", b"c"  # what comes with the socket of a job
_KERNEL = [sys.executable, "-m", "ipykernel_launcher"]
# Of what notebooks and papermill import, what takes long; none of it starts a thread.
_LIBRARIES = (
    *("papermill", "nbclient", "jupyter_client.asynchronous", "ipykernel.kernelapp"),
    *("ipykernel.debugger", "IPython.core.pylabtools", "IPython.extensions.storemagic", "sqlite3"),
    *("matplotlib.figure", "matplotlib.style", "matplotlib.projections"),
    *("matplotlib.backends.backend_svg", "matplotlib.backends.backend_agg"),
    *("scipy.stats", "scipy.optimize", "sklearn.linear_model", "joblib"),
)
_THREADS = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB_MAXIMUM", "BLIS")
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of Linux


class Forked(psutil.Process):
    """A child of this process, with what else `subprocess.Popen` has."""

    stdin: Any = None
    stdout = stderr = None

    def poll(self) -> int | None:
        """Return how it ended, or None while it runs."""
        with contextlib.suppress(psutil.TimeoutExpired):
            return self.wait(0)
        return None


def fork(work: Callable[[], None], output: int | None = None) -> Forked:
    """Do some work in a process of its own; its standard input is a pipe from here."""
    end, ours = os.pipe()
    pid = os.fork()
    with contextlib.suppress(PermissionError):  # it is another program by now
        os.setpgid(pid, pid)  # done by both: neither waits for the other
    if pid:
        os.close(end)
        child = Forked(pid)
        child.stdin = open(ours, "w")  # noqa: SIM115
        return child
    os.close(ours)
    for number, opened in enumerate([end] if output is None else [end, output, output]):
        os.dup2(opened, number)
    os.close(end)
    work()
    sys.exit()


def serve() -> None:
    """Fork a watch for each job, until the process that gives the jobs is gone."""
    jobs = socket.socket(fileno=os.dup(0))
    while (received := socket.recv_fds(jobs, 1, 1))[0]:
        kind, (job,), *_ = received
        if kind == NOTEBOOK:
            preload()
        if not os.fork():
            os.dup2(job, 0)
            os.close(job)
            jobs.close()
            if told := sys.stdin.readline():
                watch(**json.loads(told))
            return
        os.close(job)
        _reap(os.WNOHANG)
    _reap(0)


def _reap(how: int) -> None:
    """Take leave of the watches that have ended; with 0, wait for all."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, how)[0]:
            pass


@cache
def preload() -> None:
    """Import what is used by all; where a process with libraries can be forked."""
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    for name in _LIBRARIES if sys.platform == "linux" else ():
        with contextlib.suppress(ImportError):  # said by what needs it
            importlib.import_module(name)
    gc.freeze()


def watch(
    folder: str, limit: float, output: str, command: list[str], place: str, environ: dict[str, str]
) -> None:
    """Run a command or a notebook in a process of its own, and outlive whatever that starts."""
    deadline, server = time.monotonic() + limit, os.getppid()
    with contextlib.suppress(AttributeError, OSError):
        # What loses its parent below becomes a child of this process, wherever it hides.
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    os.chdir(place)
    _take(environ)
    _take(environment(Path(folder)))
    with open(output, "ab") as printed:
        work = partial(os.execv, command[0], command) if command else partial(execute, Path(folder))
        worker = fork(work, printed.fileno())
    family: set[psutil.Process] = set()
    peak, looked, abandoned, timed_out = 0, 0.0, False, False
    while worker.poll() is None and not (abandoned or timed_out):
        abandoned = bool(select.select([0], [], [], _POLL)[0]) or os.getppid() != server
        timed_out = time.monotonic() > deadline
        if time.monotonic() > looked + _LOOK:
            looked = time.monotonic()
            family = {p for p in family | _descendants() if p.is_running()}
            peak = max(peak, sum(_resident(each) for each in family if each.pid != worker.pid))
    if timed_out:
        end(family, spare=[worker.pid])
        with contextlib.suppress(psutil.TimeoutExpired):
            worker.wait(GRACE)
    with contextlib.suppress(psutil.NoSuchProcess):
        worker.kill()
    code = worker.wait()
    end(family)
    if abandoned:
        shutil.rmtree(folder, ignore_errors=True)
        return
    highest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    peak = max(peak, highest * (1 if sys.platform == "darwin" else 1024))
    seen = {"timed_out": timed_out, "code": code, "memory": round(peak / 1e6, 1)}
    Path(folder, "watch.json").write_text(json.dumps(seen))


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
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # a warning to those who debug
        "PYTHONHASHSEED": "0",
        "PYTHONUTF8": "1",
    }


def _descendants() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _resident(process: psutil.Process) -> int:
    with contextlib.suppress(psutil.Error):
        return int(process.memory_info().rss)
    return 0


def _take(environ: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environ)


def execute(folder: Path) -> None:
    """Execute ``source.ipynb`` into ``executed.ipynb``, in the working directory."""
    spare = fork(kernel)
    import papermill
    from jupyter_client import launcher

    def started(command: list[str], *, env: dict[str, str], **how: Any) -> Any:
        if command[: len(_KERNEL)] != _KERNEL:
            return subprocess.Popen(command, env=env, **how)
        spare.stdin.write(json.dumps([command, env]) + "\n")
        spare.stdin.flush()
        return spare

    launcher.Popen = started  # type: ignore[assignment,misc]
    threading.Thread(target=_leave_with_watch, daemon=True).start()
    logging.basicConfig(format="%(asctime)s %(message)s")
    papermill.log.logger.setLevel(logging.INFO)
    papermill.execute_notebook(
        folder / "source.ipynb",
        folder / "executed.ipynb",
        progress_bar=False,
        log_output=True,
        start_timeout=START_LIMIT,
        # The default of 4 seconds is short for a loaded machine; late output is an error.
        iopub_timeout=60,
        record_timing=False,
    )


def kernel() -> None:
    """Wait for the command of a kernel, and be what that would start."""
    if told := sys.stdin.readline():
        command, environ = json.loads(told)
        _take(environ)
        from ipykernel import kernelapp

        sys.argv = command[2:]
        kernelapp.launch_new_instance(parent_handle=int(environ["JPY_PARENT_PID"]))


def _leave_with_watch() -> None:
    os.read(0, 1)
    end()
    os._exit(1)


if __name__ == "__main__":
    serve()
