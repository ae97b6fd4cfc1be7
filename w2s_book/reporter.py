"""What the build prints: a line per notebook as it ends, and a closing summary."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from textwrap import indent
from typing import Any, TextIO

from doit.exceptions import BaseFail, UnmetDependency
from doit.reporter import ConsoleReporter
from doit.task import Task

from w2s_book import build

_OUTCOMES = ("holds", "control holds", "does not reproduce", "failed")


class Progress(ConsoleReporter):
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
        super().__init__(stream or sys.stdout, {})
        self.layout = layout
        self.states: dict[str, str] = {}
        self.steps: dict[str, str] = {}
        self.lost: list[str] = []
        self.started: dict[str, float] = {}
        self.begun = time.perf_counter()

    def initialize(self, tasks: Any, selected: Any) -> None:
        """Say what is being built."""
        count = _plural(len(self.layout.parameters), "notebook")
        self._line(f"The Virtue of Misfit: {count}, profile {self.layout.profile}")

    def execute_task(self, task: Task) -> None:
        """Say that a notebook or the html has begun, and why."""
        self.started[task.name] = time.perf_counter()
        kind, name = _kind(task)
        if kind == "execute":
            reason = build.notebook_changes(self.layout, name)
            self._line(f"          {name:<28} started ({reason})")
            about = build.read_about(self.layout.executed(name)) or {}
            self.lost += [name] * bool(about.get("executed"))
        elif kind == "site":
            self._line(f"          {'html':<28} started")

    def add_success(self, task: Task) -> None:
        """Say what a notebook took and gave."""
        kind, name = _kind(task)
        self.steps[kind] = "built"
        if kind == "execute":
            self._notebook_done(name, self._seconds(task))
        elif kind == "site":
            self._line(f"          {'html':<28} {self._seconds(task)}")

    def add_failure(self, task: Task, fail: BaseFail) -> None:
        """Say what went wrong with the build itself; a failed notebook has its page and line."""
        kind, name = _kind(task)
        self.steps[kind] = "not built"
        # A task whose inputs failed was not tried: the failure itself has been shown.
        if isinstance(fail, UnmetDependency) or not fail.get_msg().strip():
            return
        self._failed(name or kind.replace("site", "html"), self._seconds(task), fail.get_msg())

    def skip_uptodate(self, task: Task) -> None:
        """Count what is up to date."""
        kind, name = _kind(task)
        self.steps[kind] = "up to date"
        if kind == "execute":
            about = build.read_about(self.layout.executed(name)) or {}
            self.states[name] = "up to date" if about.get("executed", True) else "not executed"

    def complete_run(self) -> None:
        """Close with the summary, and with what nobody should overlook."""
        for error in self.runtime_errors:
            self._line(error)
        seconds = time.perf_counter() - self.begun
        self._line(f"  notebooks  {_counts(self.states.values(), _STATES) or 'none'}")
        self._line(f"  claims     {self._claims()}")
        self._line(f"  html       {self._where()}")
        self._line(f"  time       {seconds:.1f} s")
        for warning in self._warnings():
            self._line(warning)

    # The pieces

    def _notebook_done(self, name: str, seconds: str) -> None:
        notebook = json.loads(self.layout.executed(name).read_text("utf-8"))
        about = notebook["metadata"]["w2s"]
        if about.get("failed"):
            self.states[name] = "failed"
            self._failed(name, seconds, about["failed"])
            return
        self.states[name] = "run" if about["executed"] else "not executed"
        head = f"{self._count()}{name:<28}"
        if not about["executed"]:
            missing = ", ".join(about["missing_data"])
            self._line(f"{head} not executed: needs {missing} (get it: {about['command']})")
            return
        from w2s_utils.claims import MIME

        outputs = (output for cell in notebook["cells"] for output in cell.get("outputs", []))
        claims = _plural(sum(MIME in output.get("data", {}) for output in outputs), "claim")
        peak = about["peak_memory_mb"]
        self._line(f"{head} {about['seconds']:6.1f} s {claims:>11} {peak:6.0f} MB")

    def _failed(self, name: str, seconds: str, reason: str) -> None:
        head = self._count() if name in self.states else " " * 10
        self._line(f"{head}{name:<28} FAILED after {seconds.strip()}")
        self._line(indent(reason.strip(), "    "))

    def _warnings(self) -> list[str]:
        """Return what the summary ends with: chapters that failed, are kept, lost or not run."""
        lacking = build.lacking(self.layout)
        absent = [name for name, state in self.states.items() if state == "not executed"]
        kept = [name for name in lacking if self.states.get(name) == "up to date"]
        lost = [name for name in self.lost if name in absent]
        failed = [name for name, state in self.states.items() if state == "failed"]
        total = _plural(len(self.layout.parameters), "chapter")
        found = []
        if failed:
            found.append(
                f"FAILED: {len(failed)} of {total} ({', '.join(failed)}); so do their pages"
            )
        if lost:
            found.append(
                f"LOST: results of {_plural(len(lost), 'chapter')} that an earlier build had "
                f"({', '.join(lost)})"
            )
        if kept:
            found.append(
                f"KEPT: {len(kept)} of {total} from an earlier build with the same inputs, since "
                f"their data are not here ({', '.join(kept)})"
            )
        if absent:
            names = sorted({each for name in absent for each in lacking.get(name, [])})
            found.append(
                f"NOT EXECUTED: {len(absent)} of {total}, for want of data; with a network, "
                f"`w2s data fetch {' '.join(names)}` and `make book` complete the book"
            )
        return found

    def _claims(self) -> str:
        try:
            records = json.loads(self.layout.claims.read_text("utf-8"))
        except (OSError, ValueError):
            return "none collected"
        stale = (
            ""
            if self.steps.get("claims") in ("built", "up to date")
            else " (of the previous build)"
        )
        outcomes = _counts((record["outcome"] for record in records), _OUTCOMES)
        return f"{len(records)}: {outcomes}{stale}" if records else "none"

    def _where(self) -> str:
        index = self.layout.html / "index.html"
        state = self.steps.get("site", "not asked for")
        if state == "not built":
            kept = f"; the previous one stays at {index.as_posix()}" if index.exists() else ""
            return f"not built{kept}"
        if build.is_published(self.layout):
            index = self.layout.base.parent / "html" / "index.html"
        return state if state == "not asked for" else f"{index.as_posix()} ({state})"

    def _count(self) -> str:
        return f"  [{len(self.states):>2}/{len(self.layout.parameters)}]".ljust(10)

    def _seconds(self, task: Task) -> str:
        return f"{time.perf_counter() - self.started.get(task.name, time.perf_counter()):7.1f} s"

    def _line(self, text: str) -> None:
        # One write: tasks end in several threads.
        self.write(f"{text}\n")
        self.outstream.flush()


_STATES = ("run", "up to date", "failed", "not executed")


def _kind(task: Task) -> tuple[str, str]:
    """Return the step and the notebook of a task; doit's group tasks are neither."""
    kind, _, name = task.name.partition(":")
    return ("group", "") if task.has_subtask else (kind, name)


def _counts(values: Any, order: tuple[str, ...]) -> str:
    counts = Counter(values)
    return ", ".join(f"{counts[value]} {value}" for value in order if counts[value])


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
