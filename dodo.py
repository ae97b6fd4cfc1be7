"""The build graph: data, executed notebooks, the claims in them, the html, and its place.

`make book` runs it. `w2s_book/build.py` holds the steps and decides, by content, what is stale.
"""

import fcntl
import subprocess
import sys
from os import environ
from pathlib import Path

from doit.exceptions import TaskFailed

from w2s_book import build
from w2s_book.parameters import ParameterError
from w2s_book.reporter import Progress

try:
    LAYOUT = build.Layout(Path("."), build.check_settings(environ.get("PROFILE") or "quick"))
    NOTEBOOKS = list(LAYOUT.parameters)
except (build.BuildError, ParameterError) as error:
    sys.exit(f"error: {error}")

DOIT_CONFIG = {
    "default_tasks": ["html"],
    # Outputs carry the digests of their inputs, so doit has nothing to remember.
    "backend": "sqlite3",
    "dep_file": ":memory:",
    "continue": True,
    "par_type": "thread",
    "reporter": Progress(LAYOUT),
}


def task_data():
    """Fetch the data sets that notebooks need."""
    return task(["fetch"], [], lambda: not build.to_fetch(LAYOUT))


def task_execute():
    for name in NOTEBOOKS:
        current = lambda name=name: not build.notebook_changes(LAYOUT, name)  # noqa: E731
        yield {"name": name, **task(["execute", name], ["data"], current)}


def task_claims():
    return task(["claims"], ["execute"], lambda: not build.claims_changes(LAYOUT))


def task_site():
    return task(["html"], ["claims"], lambda: not build.html_changes(LAYOUT))


def task_publish():
    """Make this profile the one at _build/html."""
    return task(["publish"], ["site"], lambda: build.is_published(LAYOUT))


def task_html():
    """Build the html, and fail if a notebook did: its page says so, the others are whole."""
    return {"actions": [verdict], "task_dep": ["site"]}


def task_book():
    """The same, at _build/html."""
    return {"actions": [verdict], "task_dep": ["publish"]}


def task(arguments, needed, current):
    return {
        "actions": [(step, arguments)],
        "io": {"capture": False},
        "task_dep": needed,
        "uptodate": [lambda task, values: current()],
    }


def step(*arguments):
    command = [sys.executable, "-m", "w2s_book.build", LAYOUT.profile, *arguments]
    # The bars of a download are for the terminal.
    error = None if arguments == ("fetch",) else subprocess.PIPE
    done = subprocess.run(command, stderr=error, text=True, check=False)
    return TaskFailed(done.stderr or "") if done.returncode else None


def verdict():
    return TaskFailed("") if build.failed(LAYOUT) else None


def one_build_at_a_time():
    try:
        LAYOUT.base.mkdir(parents=True, exist_ok=True)
        lock = (LAYOUT.base / ".lock").open("w")
    except OSError as error:
        # Where nothing can be written, there may be nothing to write.
        if stale := build.stale(LAYOUT):
            sys.exit(f"error: {LAYOUT.base} cannot be written ({error.strerror}): {stale}")
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"another build of profile {LAYOUT.profile} is running: waiting for it", flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def on_interrupt(kind, value, trace):
    if kind is KeyboardInterrupt:
        print("interrupted; what has finished is kept, and the next build goes on from there")
        sys.exit(130)
    sys.__excepthook__(kind, value, trace)


LOCK = one_build_at_a_time()
sys.excepthook = on_interrupt
