"""The build of the book: its tasks, their steps, and what is printed meanwhile.

`make book` runs it: data, executed notebooks, the html with the claims, and its place. What is
stale is decided by content, in `w2s_book/build.py`. Whatever a step starts runs below a process
that ends it with this one.
"""

import fcntl
import json
import os
import re
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from functools import partial
from pathlib import Path
from textwrap import indent
from urllib.parse import urlsplit

from doit.exceptions import TaskFailed, UnmetDependency
from doit.reporter import ZeroReporter

from w2s_book import build
from w2s_book.execute import (
    ANSI,
    DataMissing,
    NotebookFailed,
    data_sets,
    read,
    run,
    watched,
    write,
)
from w2s_book.parameters import PROFILES, ParameterError
from w2s_utils import files
from w2s_utils.refusal import plural

LINES_SHOWN = 20  # of an error
SPHINX_LIMIT = 3600.0  # seconds; a net


class BuildError(RuntimeError):
    """What could not be done, told in words."""


# The settings: all are looked at before anything is built, since the old book is worth more than a
# new one made with a typing error.


def profile():
    given = os.environ.get("PROFILE") or "quick"
    if given not in PROFILES:
        raise BuildError(f"PROFILE: expected one of {', '.join(PROFILES)}, got {given!r}")
    return given


def limit():
    """Return the time limit of one notebook: ``TIMEOUT`` from the environment, or the default."""
    given = os.environ.get("TIMEOUT") or build.TIMEOUTS[profile()]
    try:
        return float(given)
    except ValueError:
        raise BuildError(f"TIMEOUT: expected a number of seconds, got {given!r}") from None


def fetching():
    if (given := os.environ.get("DATA", "")) not in ("", "fetch", "none"):
        raise BuildError(f"DATA: expected fetch or none, got {given!r}")
    folder = os.environ.get("W2S_DATA_DIR")
    if folder and not Path(folder).expanduser().is_dir():
        raise BuildError(f"W2S_DATA_DIR is {folder!r}, which is not a folder: correct or unset it")
    return given != "none"


try:
    LAYOUT, LIMIT, FETCHING = build.Layout(Path("."), profile()), limit(), fetching()
    NOTEBOOKS = list(LAYOUT.parameters)
except (BuildError, ParameterError) as error:
    sys.exit(f"error: {error}")

# What shows the book of the profile that was built last: each link with its target.
LINKS = {
    LAYOUT.base.parent / path.name: f"{LAYOUT.profile}/{path.name}"
    for path in (LAYOUT.html, LAYOUT.claims)
}


# The graph


def task_data():
    """Fetch the data sets that notebooks need."""
    return task(fetch, [], lambda: not to_fetch())


def task_execute():
    """Execute the notebooks: first those that read data sets, which take longest."""
    # Tasks that wait for another one are begun in any order; these mostly have nothing to wait for.
    needed = ["data"] if to_fetch() else []
    for name in sorted(NOTEBOOKS, key=reads_no_data):
        current = lambda name=name: not build.notebook_changes(LAYOUT, name)  # noqa: E731
        yield {"name": name, **task(partial(execute, name), needed, current)}


def reads_no_data(name):
    try:
        return not data_sets(LAYOUT.source(name))
    except ValueError:  # said when it is executed
        return True


def task_site():
    return task(render, ["execute"], lambda: not build.html_changes(LAYOUT))


def task_publish():
    """Make this profile the one at _build/html."""
    return task(publish, ["site"], lambda: is_published())


def task_html():
    """Build the html, and fail if a notebook did: its page says so, the others are whole."""
    return {"actions": [verdict], "task_dep": ["site"]}


def task_book():
    """The same, at _build/html."""
    return {"actions": [verdict], "task_dep": ["publish"]}


def task(step, needed, current):
    return {
        "actions": [partial(told, step)],
        "io": {"capture": False},
        "task_dep": needed,
        "uptodate": [lambda task, values: current()],
    }


def told(step):
    """Do a step; what kept it from being done is said in words."""
    try:
        step()
    except (BuildError, ParameterError, OSError) as error:
        return TaskFailed(str(error))
    return None


def verdict():
    return TaskFailed("") if failed() else None


def failed():
    """Return the notebooks whose page says that they failed."""
    abouts = {name: build.read_about(LAYOUT.executed(name)) or {} for name in NOTEBOOKS}
    return [name for name, about in abouts.items() if about.get("failed")]


# The steps


def fetch():
    """Download the data sets that notebooks need and that are not here, as far as can be."""
    from w2s_experiments.data import datasets

    names = to_fetch()
    sizes = (file.size for name in names for file in datasets.REGISTRY[name].files)
    print(f"fetching data: {', '.join(names)} ({sum(sizes) / 1e6:.1f} MB in all)", flush=True)
    left, silent = [], set()
    for name in names:
        hosts = {urlsplit(file.url).hostname for file in datasets.REGISTRY[name].files if file.url}
        try:
            if not hosts & silent:
                datasets.fetch(name)
                continue
            left.append(name)
        except datasets.DataError as error:
            if unreachable(error):
                silent |= hosts
                left.append(name)
            else:
                print(f"  {name} could not be fetched: {error}", flush=True)
    if left:
        hosts = ", ".join(sorted(silent))
        print(
            f"  not fetched: {', '.join(left)}; no network, or no answer from {hosts}", flush=True
        )


def to_fetch():
    """Return the data sets that are needed and not here; none where they are not to be fetched."""
    missing = build.lacking(LAYOUT).values() if FETCHING else []
    names = {name for names in missing for name in names}
    return sorted(names - set(without_address(names)))


def without_address(names):
    """Return the data sets among these that can only be copied."""
    if not names:
        return []
    from w2s_experiments.data import datasets

    files = {name: datasets.REGISTRY[name].files for name in sorted(names)}
    return [name for name in files if any(f.required and not f.url for f in files[name])]


def unreachable(error):
    import requests

    reasons = (requests.ConnectionError, requests.Timeout)
    return isinstance(error, reasons) or bool(error.__cause__ and unreachable(error.__cause__))


def execute(name):
    """Execute one notebook with the profile's parameters.

    One that fails, or whose data are not here, gets a page that says so, without results: the book
    goes on without it.
    """
    inputs = {}
    try:
        inputs = build.notebook_inputs(LAYOUT, name)
        run(
            LAYOUT.source(name),
            LAYOUT.executed(name),
            LAYOUT.parameters[name],
            profile=LAYOUT.profile,
            timeout=LIMIT,
            root=LAYOUT.root,
            log=LAYOUT.log(name),
            inputs=inputs,
        )
    except DataMissing as error:
        copied = without_address(error.names)
        how = f"Of {', '.join(copied)} there is no public address: the first line here says what "
        notice = (
            ":::{warning}\n**This notebook was not executed**: it needs data that are not on this "
            f"machine ({', '.join(error.names)}). {(how + 'to copy. ') * bool(copied)}"
            f"To see its results, run\n\n```bash\n{error.command}\nmake book\n```\n:::"
        )
        about = {"inputs": inputs, "missing_data": error.names, "command": error.command}
        about |= {"copied": copied} if copied else {}
        write_without_results(name, notice, about)
    except (NotebookFailed, ValueError) as error:
        write_failed(name, "\n".join([str(error), *getattr(error, "__notes__", [])]))
    except Exception:
        write_failed(name, traceback.format_exc())


def write_failed(name, reason):
    lines = reason.splitlines()
    lines[LINES_SHOWN:] = ["..."] * (len(lines) > LINES_SHOWN)
    notice = (
        ":::::{error}\n**This notebook failed**, so this page has its text and its code, and no "
        "results:\n\n~~~~~~~~text\n" + "\n".join(lines) + "\n~~~~~~~~\n:::::"
    )
    write_without_results(name, notice, {"failed": reason})


def write_without_results(name, notice, about):
    """Write the page of a notebook that did not run, or not to its end: its text and its code.

    The notice why stands below the title; ``about`` is added to what the metadata say.
    """
    from nbformat.v4 import new_markdown_cell, new_notebook

    try:
        nb = read(LAYOUT.source(name))
    except ParameterError:  # that may be why it did not run
        nb = new_notebook(cells=[new_markdown_cell(f"# {name}", id="cell-0")])
    first = nb.cells[0]
    first.source, titles = re.subn(
        r"(?m)^# .*$", lambda title: f"{title[0]}\n\n{notice}\n", first.source, count=1
    )
    if not titles:
        first.source = f"{notice}\n\n{first.source}"
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            # The labels of figures exist only where figures were drawn.
            cell.source = re.sub(r"\{numref\}`[^`]*fig-[^`]*`", "*(figure not drawn)*", cell.source)
    nb.metadata["w2s"] = {
        "notebook": name,
        "profile": LAYOUT.profile,
        "parameters": LAYOUT.parameters[name],
        "executed": False,
        "seconds": 0.0,
        "peak_memory_mb": 0.0,
    } | about
    LAYOUT.executed(name).parent.mkdir(parents=True, exist_ok=True)
    write(nb, LAYOUT.executed(name))


def render():
    """Build the html from clean, and put it in the place of the old one only if it is good."""
    collect()
    inputs = build.html_inputs(LAYOUT)
    stage()
    workshop, log = LAYOUT.base / "sphinx", LAYOUT.logs / "html.log"
    # An incremental build passes pages that a clean one refuses.
    shutil.rmtree(workshop, ignore_errors=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("", "utf-8")
    command = [
        *(sys.executable, "-c", "from jupyter_book.cli.main import main; main()"),
        *("build", str(LAYOUT.staged)),
        *("--config", str(LAYOUT.root / "_config.yml")),
        *("--toc", str((LAYOUT.root / "_toc.yml").resolve())),
        *("--path-output", str(workshop), "-W", "-n", "--keep-going"),
    ]
    with tempfile.TemporaryDirectory(prefix="w2s-", ignore_cleanup_errors=True) as folder:
        code, _ = watched(command, Path(folder), SPHINX_LIMIT, log)
    log.write_text(ANSI.sub("", log.read_text("utf-8", "replace")), "utf-8")
    if code != 0:
        raise BuildError(sphinx_message(log))
    made = workshop / "_build" / "html"
    build.inputs_file(made).write_text(json.dumps(inputs, indent=1) + "\n", "utf-8")
    swap(made, LAYOUT.html)
    shutil.rmtree(workshop, ignore_errors=True)


def collect():
    """Collect the claims of all executed notebooks."""
    from w2s_utils import claims

    try:
        records = claims.collect(LAYOUT.executed(name) for name in NOTEBOOKS)
    except ValueError as error:
        raise BuildError(f"claims: {error}") from None
    claims.write(records, LAYOUT.claims)


def stage():
    """Lay out the book's source: the prose and the executed notebooks."""
    LAYOUT.staged.mkdir(parents=True, exist_ok=True)
    for old in LAYOUT.staged.iterdir():
        if old.name != "notebooks":
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    wanted = {LAYOUT.executed(name) for name in NOTEBOOKS}
    for old in build.files_below(LAYOUT.staged / "notebooks"):
        if old not in wanted:
            old.unlink()
    shutil.copytree(
        LAYOUT.root / "book",
        LAYOUT.staged,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("__pycache__", "notebooks"),
    )


def sphinx_message(log):
    text = log.read_text("utf-8").replace(f"{LAYOUT.staged.resolve()}{os.sep}", "")
    lines = [line for line in text.splitlines() if "WARNING" in line or "ERROR" in line]
    found = list(dict.fromkeys(lines))
    shown = found[:LINES_SHOWN] or text.splitlines()[-LINES_SHOWN:]
    rest = [f"and {len(found) - len(shown)} more"] * (len(found) > len(shown))
    kept = "; the previous html is untouched" if LAYOUT.html.exists() else ""
    return "\n".join(
        ["the book has warnings, which are errors here:", *shown, *rest, f"log: {log}{kept}"]
    )


def swap(new, old):
    aside = old.with_name(f"{old.name}.old")
    shutil.rmtree(aside, ignore_errors=True)
    if old.exists():
        os.rename(old, aside)
    os.rename(new, old)
    shutil.rmtree(aside, ignore_errors=True)


def publish():
    """Point ``_build/html`` and ``_build/claims.json`` at this profile."""
    for link, target in LINKS.items():
        if link.is_dir() and not link.is_symlink():
            shutil.rmtree(link)
        with files.replacing(link) as temporary:
            temporary.symlink_to(target)


def is_published():
    return all(link.is_symlink() and os.readlink(link) == LINKS[link] for link in LINKS)


# What is printed

STATES = ("run", "up to date", "failed", "not executed")
OUTCOMES = ("holds", "control holds", "does not reproduce", "failed")


class Progress(ZeroReporter):
    """A doit reporter: silent about what is up to date, one line for what ran."""

    desc = "a line per notebook and a closing summary"

    def __init__(self):
        super().__init__(sys.stdout, {})
        self.states = {}  # of the notebooks
        self.steps = {}  # how each kind of step ended
        self.lost = []
        self.started = {}
        self.begun = time.perf_counter()

    def initialize(self, tasks, selected):
        """Say what is being built."""
        count = plural(len(NOTEBOOKS), "notebook")
        self._line(f"The Virtue of Misfit: {count}, profile {LAYOUT.profile}")

    def execute_task(self, task):
        """Say that a notebook or the html has begun, and why."""
        self.started[task.name] = time.perf_counter()
        kind, name = kind_of(task)
        if kind == "execute":
            reason = build.notebook_changes(LAYOUT, name)
            self._line(f"{'':10}{name:<28} started ({reason})")
            self.lost += [name] * bool(self._about(name).get("executed"))
        elif kind == "site":
            self._line(f"{'':10}{'html':<28} started")

    def add_success(self, task):
        """Say what a notebook or the html took and gave."""
        kind, name = kind_of(task)
        self.steps[kind] = "built"
        seconds = time.perf_counter() - self.started.get(task.name, self.begun)
        if kind == "site":
            self._line(f"{'':10}{'html':<28} {seconds:7.1f} s")
        if kind != "execute":
            return
        about = self._ended(name, "run")
        head = f"  [{len(self.states):>2}/{len(NOTEBOOKS)}]".ljust(10)
        if reason := about.get("failed"):
            self._failed(f"{head}{name:<28}", reason, seconds)
        elif about["executed"]:
            claims, peak = plural(self._claims_in(name), "claim"), about["peak_memory_mb"]
            self._line(f"{head}{name:<28} {about['seconds']:6.1f} s {claims:>11} {peak:6.0f} MB")
        else:
            missing, command = ", ".join(about["missing_data"]), about["command"]
            self._line(f"{head}{name:<28} not executed: needs {missing} (get it: {command})")

    def add_failure(self, task, fail):
        """Say what went wrong with the build itself; a failed notebook has its page and line."""
        kind, name = kind_of(task)
        self.steps[kind] = "not built"
        # A task whose inputs failed was not tried: the failure itself has been shown.
        if not isinstance(fail, UnmetDependency) and (reason := fail.get_msg().strip()):
            seconds = time.perf_counter() - self.started.get(task.name, self.begun)
            self._failed(f"{'':10}{name or kind.replace('site', 'html'):<28}", reason, seconds)

    def skip_uptodate(self, task):
        """Count what is up to date."""
        kind, name = kind_of(task)
        self.steps[kind] = "up to date"
        if kind == "execute":
            self._ended(name, "up to date")

    def complete_run(self):
        """Close with the summary, and with what nobody should overlook."""
        counts = counted(self.states.values(), STATES) or "none"
        seconds = time.perf_counter() - self.begun
        self._line(f"  notebooks  {counts}\n  claims     {self._claims()}")
        self._line(f"  html       {self._where()}\n  time       {seconds:.1f} s")
        for warning in self._warnings():
            self._line(warning)

    # The pieces

    def _warnings(self):
        lacking, total = build.lacking(LAYOUT), plural(len(NOTEBOOKS), "chapter")
        of = {wanted: [n for n, s in self.states.items() if s == wanted] for wanted in STATES}
        if failed := of["failed"]:
            yield (
                f"FAILED: {len(failed)} of {total} ({', '.join(failed)}); their pages say how, "
                "the rest of the book is whole"
            )
        if lost := [name for name in of["not executed"] if name in self.lost]:
            chapters = plural(len(lost), "chapter")
            yield f"LOST: results of {chapters} that an earlier build had ({', '.join(lost)})"
        if kept := [name for name in of["up to date"] if name in lacking]:
            yield (
                f"KEPT: {len(kept)} of {total} from an earlier build with the same inputs, since "
                f"their data are not here ({', '.join(kept)})"
            )
        if absent := of["not executed"]:
            names = sorted({each for name in absent for each in lacking.get(name, [])})
            copied = ", ".join(without_address(names))
            yield (
                f"NOT EXECUTED: {len(absent)} of {total}, for want of data; with a network, "
                f"`w2s data fetch {' '.join(names)}` and `make book` complete the book"
                + f" (it says what to copy for {copied}, of which there is no public address)"
                * bool(copied)
            )

    def _about(self, name):
        return build.read_about(LAYOUT.executed(name)) or {}

    def _ended(self, name, state):
        about = self._about(name)
        executed = about.get("executed", True)
        state = "failed" if about.get("failed") else state if executed else "not executed"
        self.states[name] = state
        return about

    def _failed(self, head, reason, seconds):
        self._line(f"{head} FAILED after {seconds:.1f} s\n{indent(reason.strip(), '    ')}")

    def _claims_in(self, name):
        from w2s_utils.claims import MIME

        cells = json.loads(LAYOUT.executed(name).read_text("utf-8"))["cells"]
        outputs = (output for cell in cells for output in cell.get("outputs", []))
        return sum(len(output.get("data", {}).get(MIME, [])) for output in outputs)

    def _claims(self):
        try:
            records = json.loads(LAYOUT.claims.read_text("utf-8"))
        except (OSError, ValueError):
            return "none collected"
        counts = counted((record["outcome"] for record in records), OUTCOMES)
        return f"{len(records)}: {counts}" if records else "none"

    def _where(self):
        index, state = LAYOUT.html / "index.html", self.steps.get("site", "not asked for")
        if state == "not built" and index.exists():
            return f"{state}; the previous one stays at {index.as_posix()}"
        if state.startswith("not"):
            return state
        if is_published():
            index = LAYOUT.base.parent / "html" / "index.html"
        return f"{index.as_posix()} ({state})"

    def _line(self, text):
        # One write: tasks end in several threads.
        self.write(f"{text}\n")
        self.outstream.flush()


def kind_of(task):
    """Return the step and the notebook of a task; doit's group tasks are neither."""
    kind, _, name = task.name.partition(":")
    return ("group", "") if task.has_subtask else (kind, name)


def counted(values, order):
    counts = Counter(values)
    return ", ".join(f"{counts[value]} {value}" for value in order if counts[value])


# One build at a time


def one_build_at_a_time():
    try:
        LAYOUT.base.mkdir(parents=True, exist_ok=True)
        lock = (LAYOUT.base / ".lock").open("w")
    except OSError as error:
        # Where nothing can be written, there may be nothing to write.
        if reason := stale():
            sys.exit(f"error: {LAYOUT.base} cannot be written ({error.strerror}): {reason}")
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"another build of profile {LAYOUT.profile} is running: waiting for it", flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def stale():
    """Say what must be made anew; empty if nothing."""
    names = [name for name in NOTEBOOKS if build.notebook_changes(LAYOUT, name)]
    names += ["the html"] * bool(build.html_changes(LAYOUT))
    more = f" and {len(names) - 3} more" * (len(names) > 3)
    return f"{', '.join(names[:3])}{more} would have to be made" if names else ""


def on_interrupt(kind, value, trace):
    if kind is KeyboardInterrupt:
        print("interrupted; what has finished is kept, and the next build goes on from there")
        sys.exit(130)
    sys.__excepthook__(kind, value, trace)


LOCK = one_build_at_a_time()
sys.excepthook = on_interrupt
DOIT_CONFIG = {
    "default_tasks": ["html"],
    # Outputs carry the digests of their inputs, so doit has nothing to remember.
    "backend": "sqlite3",
    "dep_file": ":memory:",
    "continue": True,
    "par_type": "thread",
    "reporter": Progress(),
}
