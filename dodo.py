"""The build graph: executed notebooks, then the claims in them, then the html.

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
    LAYOUT = build.Layout(Path("."), build.check_profile(environ.get("PROFILE") or "quick"))
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


def task_execute():
    for name in NOTEBOOKS:
        yield {
            "name": name,
            "actions": [(step, ["execute", name])],
            "io": {"capture": False},
            "uptodate": [lambda task, values, name=name: not build.notebook_changes(LAYOUT, name)],
        }


def task_claims():
    def current(task, values):
        inputs = build.claims_inputs(LAYOUT)
        return not build.step_changes(LAYOUT, "claims", inputs, LAYOUT.claims)

    return {
        "actions": [(step, ["claims"])],
        "io": {"capture": False},
        "task_dep": ["execute"],
        "uptodate": [current],
    }


def task_html():
    def current(task, values):
        inputs = build.html_inputs(LAYOUT)
        return not build.step_changes(LAYOUT, "html", inputs, LAYOUT.html / "index.html")

    return {
        "actions": [(step, ["html"])],
        "io": {"capture": False},
        "task_dep": ["claims"],
        "uptodate": [current],
    }


def task_book():
    """Make this profile the one at _build/html."""
    return {
        "actions": [(step, ["publish"])],
        "io": {"capture": False},
        "task_dep": ["html"],
        "uptodate": [lambda task, values: build.is_published(LAYOUT)],
    }


def step(*arguments):
    command = [sys.executable, "-m", "w2s_book.build", LAYOUT.profile, *arguments]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    return TaskFailed(done.stderr) if done.returncode else None


def one_build_at_a_time():
    LAYOUT.base.mkdir(parents=True, exist_ok=True)
    lock = (LAYOUT.base / ".lock").open("w")
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
