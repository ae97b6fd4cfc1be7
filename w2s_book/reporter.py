"""What the build prints: a line per notebook as it ends, and a closing summary."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from pathlib import Path
from textwrap import indent
from typing import Any, TextIO

from doit.exceptions import UnmetDependency

from w2s_book import build

_OUTCOMES = ("holds", "control holds", "does not reproduce", "failed")


class Progress:
    """A doit reporter: silent about what is up to date, one line for what ran.

    Parameters
    ----------
    layout : build.Layout
        Of the profile that is built.
    stream : file, optional
        Where to write; standard output by default.
    """

    desc = "a line per notebook and a closing summary"

    def __init__(self, layout: build.Layout, stream: TextIO | None = None):
        self.layout = layout
        self.stream = stream or sys.stdout
        self.states: Counter[str] = Counter()
        self.errors: list[str] = []
        self.started: dict[str, float] = {}
        self.begun = time.perf_counter()
        self.html = ""
        self.claims_current = False

    # What doit calls

    def initialize(self, tasks: Any, selected: Any) -> None:
        """Say what is being built."""
        count = _plural(len(self.layout.parameters), "notebook")
        self._line(f"The Virtue of Misfit: {count}, profile {self.layout.profile}")

    def get_status(self, task: Any) -> None:
        """Nothing to say before it is known whether a task is up to date."""

    def execute_task(self, task: Any) -> None:
        """Say that a notebook or the html has begun, and why."""
        self.started[task.name] = time.perf_counter()
        kind, name = _kind(task)
        if kind == "execute":
            reason = build.notebook_changes(self.layout, name)
            self._line(f"          {name:<28} started ({reason})")
        elif kind == "html":
            self._line("          html                         started")

    def add_success(self, task: Any) -> None:
        """Say what a notebook took and gave."""
        kind, name = _kind(task)
        if kind == "execute":
            self._notebook_done(name)
        elif kind == "html":
            self.html = "built"
            self._line(f"          html                         {self._seconds(task)}")
        elif kind == "claims":
            self.claims_current = True

    def add_failure(self, task: Any, fail: Any) -> None:
        """Say what went wrong, and go on."""
        kind, name = _kind(task)
        if kind == "html":
            self.html = "not built"
        # A task whose inputs failed was not tried: the failure itself has been shown.
        if isinstance(fail, UnmetDependency):
            return
        if kind == "execute":
            self.states["failed"] += 1
        head = f"{self._count(kind)}{name or kind:<28}"
        self._line(f"{head} FAILED after {self._seconds(task).strip()}")
        self._line(indent(fail.get_msg().strip(), "    "))

    def skip_uptodate(self, task: Any) -> None:
        """Count what is up to date."""
        kind, name = _kind(task)
        if kind == "execute":
            about = build.read_about(self.layout.executed(name)) or {}
            self.states["up to date" if about.get("executed", True) else "not executed"] += 1
        elif kind == "html":
            self.html = "up to date"
        elif kind == "claims":
            self.claims_current = True

    def skip_ignore(self, task: Any) -> None:
        """No task of ours is ever ignored."""

    def cleanup_error(self, exception: Any) -> None:
        """Show an error of doit's own."""
        self.errors.append(exception.get_msg())

    def runtime_error(self, msg: str) -> None:
        """Show an error of doit's own."""
        self.errors.append(msg)

    def teardown_task(self, task: Any) -> None:
        """No task of ours has a teardown."""

    def complete_run(self) -> None:
        """Close with the summary."""
        for error in self.errors:
            self._line(error)
        seconds = time.perf_counter() - self.begun
        for label, text in (
            ("notebooks", self._notebooks()),
            ("claims", self._claims()),
            ("html", self._where()),
            ("time", f"{seconds:.1f} s"),
        ):
            self._line(f"  {label:<10} {text}")

    # The pieces

    def _notebook_done(self, name: str) -> None:
        notebook = json.loads(self.layout.executed(name).read_text("utf-8"))
        about = notebook["metadata"]["w2s"]
        self.states["run" if about["executed"] else "not executed"] += 1
        head = f"{self._count('execute')}{name:<28}"
        if not about["executed"]:
            missing = ", ".join(about["missing_data"])
            self._line(f"{head} not executed: needs {missing} (get it: {about['command']})")
            return
        claims = _plural(_count_claims(notebook), "claim")
        self._line(
            f"{head} {about['seconds']:6.1f} s {claims:>11} {about['peak_memory_mb']:6.0f} MB"
        )

    def _count(self, kind: str) -> str:
        if kind != "execute":
            return " " * 10
        total = len(self.layout.parameters)
        return f"  [{sum(self.states.values()):>2}/{total}]".ljust(10)

    def _notebooks(self) -> str:
        states = ("run", "up to date", "failed", "not executed")
        parts = [f"{self.states[s]} {s}" for s in states if self.states[s]]
        return ", ".join(parts) or "none"

    def _claims(self) -> str:
        try:
            records = json.loads(self.layout.claims.read_text("utf-8"))
        except (OSError, ValueError):
            return "none collected"
        counts = Counter(record["outcome"] for record in records)
        parts = [f"{counts[outcome]} {outcome}" for outcome in _OUTCOMES if counts[outcome]]
        stale = "" if self.claims_current else " (of the previous build)"
        return f"{len(records)}: {', '.join(parts)}{stale}" if records else "none"

    def _where(self) -> str:
        index = self.layout.html / "index.html"
        if not self.html:
            return "not asked for"
        if self.html == "not built":
            kept = f"; the previous one stays at {_relative(index)}" if index.exists() else ""
            return f"not built{kept}"
        if build.is_published(self.layout):
            index = self.layout.base.parent / "html" / "index.html"
        return f"{_relative(index)} ({self.html})"

    def _seconds(self, task: Any) -> str:
        seconds = time.perf_counter() - self.started.get(task.name, time.perf_counter())
        return f"{seconds:7.1f} s"

    def _line(self, text: str) -> None:
        # One write: tasks end in several threads.
        self.stream.write(f"{text}\n")
        self.stream.flush()


def _kind(task: Any) -> tuple[str, str]:
    """Return the step and the notebook of a task; doit's group tasks are neither."""
    kind, _, name = task.name.partition(":")
    return ("group", "") if task.has_subtask else (kind, name)


def _count_claims(notebook: dict[str, Any]) -> int:
    return sum(
        "application/vnd.w2s.claim+json" in output.get("data", {})
        for cell in notebook["cells"]
        for output in cell.get("outputs", [])
    )


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _relative(path: Path) -> str:
    return path.as_posix()
