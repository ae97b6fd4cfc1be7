"""How far a report is, told from the process that makes it to the one that shows it.

The command sets the environment variable ``W2S_PROGRESS`` to a file; the notebook's kernel writes
the share done and what is being done into it.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from w2s_report.one_pass import Progress

VARIABLE = "W2S_PROGRESS"
_EVERY = 0.2  # seconds


def reporter() -> Progress | None:
    """Return what writes to the file the variable names, or None without one."""
    path = os.environ.get(VARIABLE)
    if not path:
        return None

    def tell(share: float, what: str) -> None:
        temporary = Path(f"{path}.new")
        with contextlib.suppress(OSError):  # a report is worth more than its progress bar
            temporary.write_text(f"{share:.4f} {what}", "utf-8")
            os.replace(temporary, path)

    return tell


@contextlib.contextmanager
def bar(folder: Path, shown: bool) -> Iterator[None]:
    """Show on standard error how far the kernels started meanwhile have come."""
    path, done = folder / "progress", threading.Event()
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = str(path)
    thread = threading.Thread(target=_follow, args=(path, done), daemon=True)
    if shown:
        thread.start()
    try:
        yield
    finally:
        done.set()
        if shown:
            thread.join()
        os.environ.pop(VARIABLE)
        if before is not None:
            os.environ[VARIABLE] = before


def _follow(path: Path, done: threading.Event) -> None:
    from tqdm import tqdm

    with tqdm(
        total=100, leave=False, bar_format="{desc} |{bar}| {n:.0f} %", desc="starting"
    ) as bar:
        while not done.wait(_EVERY):
            try:
                share, _, what = path.read_text("utf-8").partition(" ")
            except OSError:
                continue
            bar.n = 100 * float(share)
            bar.set_description_str(what)
