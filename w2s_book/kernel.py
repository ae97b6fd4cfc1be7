"""A notebook's cells, executed by papermill in a kernel that is watched from outside.

The watch measures the peak memory of the kernel and of the processes it starts, and kills them
all at the deadline: a limit inside the kernel would not stop code that never returns to Python.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import papermill
import psutil
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from papermill.log import logger

ENGINE = "w2s"
START_LIMIT = 60  # seconds for a kernel to answer
_POLL = 0.05  # seconds between two looks at the kernel
_THREADS = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB_MAXIMUM", "BLIS")


class Watch:
    """Follow a kernel: what it has reached, how much memory it took, when its time is up.

    Attributes
    ----------
    ready : bool
        Whether the kernel answered.
    cell : int or None
        Index of the cell started last.
    timed_out : bool
        Whether the kernel was killed at the deadline.
    peak_memory_mb : float
        Peak resident memory of the kernel and its children, in 10^6 bytes.
    """

    def __init__(self, timeout: float):
        self.deadline = time.monotonic() + timeout
        self.ready = False
        self.cell: int | None = None
        self.timed_out = False
        self._peak = 0
        self._done = threading.Event()

    @property
    def peak_memory_mb(self) -> float:
        """Peak resident memory so far, in 10^6 bytes."""
        return round(self._peak / 1e6, 1)

    @contextlib.contextmanager
    def over(self, client: PapermillNotebookClient) -> Iterator[None]:
        """Watch the kernel of ``client``, once it answers, until the block is left."""
        thread = threading.Thread(target=self._follow, args=(client,), daemon=True)
        client.on_notebook_start = lambda notebook: self._start(thread)
        client.on_cell_start = lambda cell, cell_index: self._enter(cell_index)
        try:
            yield
        finally:
            self._done.set()
            if thread.is_alive():
                thread.join()

    def _start(self, thread: threading.Thread) -> None:
        self.ready = True
        thread.start()

    def _enter(self, index: int) -> None:
        self.cell = index

    def _follow(self, client: PapermillNotebookClient) -> None:
        kernel = psutil.Process(client.km.provisioner.pid)
        while not self._done.wait(_POLL):
            family = _family(kernel)
            self._peak = max(self._peak, _memory(family))
            if time.monotonic() > self.deadline:
                self.timed_out = True
                _kill(family)
                return


class _Engine(NBClientEngine):
    """Papermill's own engine, with a watch and an environment for the kernel."""

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: Any,
        kernel_name: str,
        *,
        watch: Watch,
        kernel_folder: Path,
        kernel_environment: Mapping[str, str],
        kernel_stderr: IO[bytes],
        **_: Any,
    ) -> None:
        client = PapermillNotebookClient(
            nb_man,
            kernel_name=kernel_name,
            startup_timeout=START_LIMIT,
            # The default of 4 seconds is short for a loaded machine, and late output is an error.
            iopub_timeout=60,
            record_timing=False,
            coalesce_streams=True,
            log=logger,
            log_output=True,
        )
        with watch.over(client):
            client.execute(
                env=dict(kernel_environment), cwd=str(kernel_folder), stderr=kernel_stderr
            )


papermill_engines.register(ENGINE, _Engine)


def execute(
    nb: Any, out: Path, *, watch: Watch, folder: Path, scratch: Path, log: Path | None
) -> Any:
    """Execute ``nb``, writing it to ``out`` after every cell; return the executed notebook.

    A kernel that does not start is started once more.

    Parameters
    ----------
    nb : nbformat.NotebookNode
        The notebook.
    out : Path
        Where the notebook is written, whatever happens.
    watch : Watch
        Sees the kernel.
    folder : Path
        Working directory of the kernel.
    scratch : Path
        Empty folder for IPython's own files, so that nobody's profile changes a result.
    log : Path, optional
        Gets what the kernel itself prints, such as the report of a crash.
    """

    def attempt() -> Any:
        with open(log or os.devnull, "ab") as stderr:
            return papermill.execute_notebook(
                nb,
                out,
                engine_name=ENGINE,
                progress_bar=False,
                watch=watch,
                kernel_folder=folder,
                kernel_environment=environment(scratch),
                kernel_stderr=stderr,
            )

    try:
        return attempt()
    except Exception as error:
        if watch.ready:
            raise
        logger.warning("the kernel did not start (%s), trying once more", error)
        return attempt()


def environment(scratch: Path) -> dict[str, str]:
    """Return the environment of a kernel: one BLAS thread, no user configuration."""
    return {
        **os.environ,
        **{f"{library}_NUM_THREADS": "1" for library in _THREADS},
        "IPYTHONDIR": str(scratch),
        "JUPYTER_PREFER_ENV_PATH": "1",
        "PYTHONHASHSEED": "0",
    }


def _family(kernel: psutil.Process) -> list[psutil.Process]:
    try:
        return [kernel, *kernel.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _memory(family: list[psutil.Process]) -> int:
    """Return the bytes resident now, or the highest mark of one process if that is more."""
    now, mark = 0, 0
    for process in family:
        with contextlib.suppress(psutil.Error):
            now += process.memory_info().rss
            mark = max(mark, _high_water(process.pid))
    return max(now, mark)


def _high_water(pid: int) -> int:
    """Return the peak resident bytes of a process where the system tells (Linux), else 0."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0


def _kill(family: list[psutil.Process]) -> None:
    for process in reversed(family):
        with contextlib.suppress(psutil.Error):
            process.kill()
