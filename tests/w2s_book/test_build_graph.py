"""What is stale, what a failure or an interruption leaves, and how little a no-op does."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from w2s_book import build
from w2s_book.build import Layout
from w2s_book.parameters import ParameterError

FALSE_CLAIM = """
from w2s_utils import checks, claims
check = checks.Check("measurement", "equality", "refuted", 1.0, 2.0, tolerance=0.1, detail="two")
claims.claim("p1-test", "one is two", check, supports="arithmetic")
"""

TRUE_CLAIM = FALSE_CLAIM.replace("refuted", "passed").replace("p1-test", "p1-true")


def executed(output):
    """Return the notebooks that a build says it started."""
    return {line.split()[0] for line in output.splitlines() if " started (" in line}


def state(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# The whole build, in a book of its own


@pytest.mark.slow
def test_build_then_nothing_then_one(first_build, built):
    _, first = first_build
    layout = built.layout
    assert executed(first) == {"p/a", "p/b"}
    assert "notebooks  2 run" in first
    assert "_build/html/index.html (built)" in first
    assert (layout.html / "notebooks/p/a.html").exists()
    assert os.readlink(built.root / "_build/html") == "smoke/html"
    assert json.loads((built.root / "_build/claims.json").read_text()) == []

    before = state(layout.base)
    nothing = built.doit("-n", "2", "book")
    assert executed(nothing) == set()
    assert "notebooks  2 up to date" in nothing
    assert "(up to date)" in nothing
    assert state(layout.base) == before

    built.set_seed("p/b", 2)
    one = built.doit("-n", "2", "execute")
    assert executed(one) == {"p/b"}
    assert "changed: parameters" in one
    assert "notebooks  1 run, 1 up to date" in one


@pytest.mark.slow
def test_failed_notebook_has_its_page_and_takes_no_other_with_it(built):
    """One that raises, and one that cannot be read."""
    drawn = "{numref}`fig-none`"
    source = built.notebook("p/a", FALSE_CLAIM)
    source.write_text(source.read_text() + f"\nSee {drawn}.\n")
    built.notebook("p/b", "from w2s_utils import checks, claims", TRUE_CLAIM)
    built.notebook("p/c").write_text("---\njupytext: [\n---\n")
    for _ in range(2):  # they are tried again
        output = built.doit("-n", "2", "book", check=False)
        assert "p/a                          FAILED" in output
        assert "ClaimFailed: p1-test: expected the check to be passed, it was refuted" in output
        assert "p/c                          FAILED" in output
        assert "2 failed" in output
        assert "html       _build/html/index.html" in output
        (failed,) = re.findall(r"FAILED: 2 of 3 chapters \((.*?)\)", output)
        assert sorted(failed.split(", ")) == ["p/a", "p/c"]
    assert "LOST" not in output
    assert "p/b" not in executed(output)
    page = (built.layout.html / "notebooks/p/a.html").read_text()
    assert "This notebook failed" in page
    assert "p1-test: expected the check to be passed" in page
    assert page.index("A small notebook") < page.index("This notebook failed")
    assert "figure not drawn" in page
    assert "This notebook failed" in (built.layout.html / "notebooks/p/c.html").read_text()
    assert [c["id"] for c in json.loads(built.layout.claims.read_text())] == ["p1-true"]

    built.notebook("p/a", "print(seed)")
    output = built.doit("book", check=False)
    assert "notebooks  1 run, 1 up to date, 1 failed" in output
    assert "This notebook failed" not in (built.layout.html / "notebooks/p/a.html").read_text()


def test_notebook_without_its_data_has_a_page_that_says_so(project):
    source = project.notebook("p/a", "1 / 0", header="{data: [freesolv]}")
    source.write_text(source.read_text() + "\nSee {numref}`fig-one`.\n")
    folder = {"W2S_DATA_DIR": str(project.root / "book"), "XDG_CACHE_HOME": str(project.root)}
    loaded(project, "dodo.execute('p/a')", **folder)
    nb = json.loads(project.layout.executed("p/a").read_text())
    about = nb["metadata"]["w2s"]
    assert about["executed"] is False
    assert about["missing_data"] == ["freesolv"]
    assert about["command"] == "w2s data fetch freesolv"
    first, *_, last = ("".join(cell["source"]) for cell in nb["cells"])
    assert first.startswith("# A small notebook\n\n:::{warning}")
    assert "w2s data fetch freesolv" in first
    assert "figure not drawn" in last
    assert not any(cell.get("outputs") for cell in nb["cells"])
    assert about["inputs"]["data freesolv"] == "absent"
    assert "copied" not in about
    assert "public address" not in first


def test_data_without_a_public_address_are_not_asked_for_and_the_page_says_so(project):
    project.notebook("p/a", "1 / 0", header="{data: [utkface_published]}")
    folder = {"W2S_DATA_DIR": str(project.root / "book"), "XDG_CACHE_HOME": str(project.root)}
    loaded(project, "dodo.execute('p/a'); assert dodo.to_fetch() == []", **folder)
    nb = json.loads(project.layout.executed("p/a").read_text())
    assert nb["metadata"]["w2s"]["copied"] == ["utkface_published"]
    first = "".join(nb["cells"][0]["source"])
    assert "Of utkface_published there is no public address" in first


@pytest.mark.slow
def test_warning_of_the_book_is_an_error_and_keeps_the_old_html(built):
    before = state(built.layout.html)
    (built.root / "book/index.md").write_text("# The book\n\n[](nowhere.md)\n")
    for _ in range(2):  # an incremental build would pass the second time
        output = built.doit("html", check=False)
        assert "index.md:3: WARNING" in output
        assert "not built; the previous one stays" in output
    assert state(built.layout.html) == before


@pytest.mark.slow
@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGINT])
def test_interrupted_build_leaves_no_half_page_and_resumes(project, signal_number):
    project.notebook("p/a", "print(seed)")
    wait = "import pathlib, time\nwhile pathlib.Path('hold').exists():\n    time.sleep(0.05)"
    project.notebook("p/b", "print('half')", "open('kernel', 'w').write('here')", wait)
    (project.root / "hold").touch()
    build_process = subprocess.Popen(
        [sys.executable, "-m", "doit", "-n", "2", "html"],
        cwd=project.root,
        env=project.environment,
        stdout=subprocess.PIPE,
        text=True,
        # Started in the background of a shell, the tests inherit an ignored SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    reached = (project.layout.executed("p/a"), project.root / "kernel")
    _until(lambda: all(path.exists() for path in reached))
    build_process.send_signal(signal_number)
    output, _ = build_process.communicate(timeout=600)
    assert build_process.returncode != 0
    if signal_number == signal.SIGINT:
        assert "interrupted; what has finished is kept" in output

    pages = project.layout.staged / "notebooks"
    assert [p.name for p in pages.rglob("*") if p.is_file()] == ["a.ipynb"]
    assert not project.layout.html.exists()
    # The process that ran the notebook must not outlive the build, or it would write later.
    _until(lambda: not _running_in(project.root))

    (project.root / "hold").unlink()
    output = project.doit("-n", "2", "execute")
    assert executed(output) == {"p/b"}
    assert "notebooks  1 run, 1 up to date" in output


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"PROFILE": "fast"}, "PROFILE: expected one of smoke, quick, full, got 'fast'"),
        ({"DATA": "some"}, "DATA: expected fetch or none, got 'some'"),
        ({"TIMEOUT": "long"}, "TIMEOUT: expected a number of seconds, got 'long'"),
        ({"W2S_DATA_DIR": "/nowhere"}, "W2S_DATA_DIR is '/nowhere', which is not a folder"),
    ],
)
def test_wrong_settings_are_refused_before_anything_is_built(project, setting, message):
    project.notebook("p/a")
    done = subprocess.run(
        [sys.executable, "-m", "doit"],
        cwd=project.root,
        env={**project.environment, **setting},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_where_nothing_can_be_written_only_what_is_stale_is_an_error(built):
    lock = built.layout.base / ".lock"
    lock.unlink()
    lock.mkdir()  # no file can be opened there, not even by root
    assert "notebooks  2 up to date" in built.doit("html")
    built.set_seed("p/a", 2)
    output = built.doit("html", check=False)
    assert len(output.splitlines()) == 1
    assert "cannot be written (Is a directory): p/a would have to" in output


# Staleness, without running anything


@pytest.fixture
def done(project):
    """Return a book of two notebooks that look as if they had been executed."""
    for name in ("p/a", "p/b"):
        project.notebook(name)
        record(project.layout, name)
    return project


def record(layout, name, executed=True):
    out = layout.executed(name)
    out.parent.mkdir(parents=True, exist_ok=True)
    about = {"inputs": build.notebook_inputs(layout, name), "executed": executed}
    out.write_text(json.dumps({"metadata": {"w2s": about}}))


def changes(project):
    """Return why each notebook is stale, as a new process would see it."""
    layout = Layout(project.root, "smoke")
    return {name: build.notebook_changes(layout, name) for name in layout.parameters}


def test_nothing_changed(done):
    for path in done.root.rglob("*.*"):
        os.utime(path)  # content decides, not the date
    assert changes(done) == {"p/a": "", "p/b": ""}


def test_edit_of_one_notebook(done):
    done.notebook("p/a", "print(1)")
    assert changes(done) == {"p/a": "changed: source", "p/b": ""}


def test_parameters_of_one_notebook(done):
    done.set_seed("p/b", 5)
    assert changes(done) == {"p/a": "", "p/b": "changed: parameters"}


def library_of(project):
    """Return the digests of what each notebook needs of the library of its book."""
    inputs = "build.notebook_inputs(dodo.LAYOUT, name)['library'] for name in dodo.NOTEBOOKS"
    code = f"import json; build = dodo.build; print(json.dumps({{name: {inputs}}}))"
    return json.loads(loaded(project, code))


def test_what_a_notebook_needs_of_the_library(own_library):
    package = own_library.root / "w2s_experiments"
    kept = package / "kept"
    (kept / "shipped").mkdir(parents=True)
    (package / "chapter.py").write_text(
        "def late():\n    from w2s_experiments.kept import reader\n"
    )
    for name in ("__init__.py", "reader.py", "other.py", "shipped/weights.bin"):
        (kept / name).write_text("")
    own_library.notebook("p/a", "from w2s_experiments import chapter")
    own_library.notebook("p/b", "import numpy")
    now = library_of(own_library)
    assert now["p/a"] != now["p/b"]

    needed = ("__init__.py", "chapter.py", "kept/reader.py", "kept/shipped/weights.bin")
    not_needed = ("kept/other.py", "../w2s_book/sweep.py")
    for file in (*needed, *not_needed):
        before = now
        with (package / file).open("a") as opened:
            opened.write("\n# changed\n")
        now = library_of(own_library)
        assert (now["p/a"] != before["p/a"]) == (file in needed), file
        assert now["p/b"] == before["p/b"], file

    # What cannot be read may be needed by all.
    (kept / "other.py").write_text("import (")
    assert library_of(own_library)["p/a"] != now["p/a"]


def test_dependencies(done):
    (done.root / "requirements.lock").write_text("numpy==2\n")
    assert set(changes(done).values()) == {"changed: dependencies"}


@pytest.mark.parametrize("key", ["data", "optional_data"])
def test_data_files(project, monkeypatch, key):
    from w2s_experiments.data import datasets

    file = project.root / "data.csv"
    file.write_text("1")
    monkeypatch.setattr(datasets, "files", lambda name: [file] if file.exists() else [])
    monkeypatch.setattr(datasets, "available", lambda name: file.exists())
    project.notebook("p/a", header=f"{{{key}: [freesolv]}}")
    project.notebook("p/b")
    for name in ("p/a", "p/b"):
        record(project.layout, name)
    assert changes(project) == {"p/a": "", "p/b": ""}
    file.write_text("2")
    assert changes(project) == {"p/a": "changed: data freesolv", "p/b": ""}


@pytest.mark.parametrize("key", ["data", "optional_data"])
def test_what_was_executed_with_data_that_are_gone_is_kept(project, monkeypatch, key):
    from w2s_experiments.data import datasets

    here = True
    file = project.root / "data.csv"
    file.write_text("1")
    monkeypatch.setattr(datasets, "files", lambda name: [file] if here else [])
    monkeypatch.setattr(datasets, "available", lambda name: here)
    project.notebook("p/a", header=f"{{{key}: [freesolv]}}")
    record(project.layout, "p/a")
    here = False
    assert changes(project) == {"p/a": ""}
    project.set_seed("p/a", 2)
    assert changes(project) == {"p/a": "changed: parameters"}
    record(project.layout, "p/a", executed=False)
    here = True
    assert changes(project) == {"p/a": "changed: data freesolv"}


def test_damaged_page_is_made_again(done):
    done.layout.executed("p/a").write_text('{"cells": [')
    assert changes(done) == {"p/a": "new", "p/b": ""}


def test_page_of_a_notebook_that_is_gone_is_removed(done):
    gone = done.layout.staged / "notebooks/p/old.ipynb"
    gone.write_text("{}")
    done.layout.claims.write_text("[]")
    for name in ("p/a", "p/b"):
        (done.layout.executed(name)).write_text('{"cells": [], "metadata": {}}')
    stale = done.layout.staged / "stale.md"
    stale.write_text("# Stale\n")
    loaded(done, "dodo.stage()")
    assert not gone.exists()
    assert not stale.exists()
    assert (done.layout.staged / "index.md").exists()
    assert done.layout.executed("p/a").exists()


def test_profile_and_notebooks_must_agree(done):
    (done.root / "notebooks/p/c.md").write_text("# No entry\n")
    with pytest.raises(ParameterError, match="smoke lacks p/c"):
        _ = Layout(done.root, "smoke").parameters
    (done.root / "notebooks/p/c.md").unlink()
    (done.root / "notebooks/p/a.md").unlink()
    with pytest.raises(ParameterError, match="smoke lists p/a, but notebooks/ has no such file"):
        _ = Layout(done.root, "smoke").parameters


def loaded(project, code, **environment):
    """Return what code prints that has loaded the graph."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, dodo; {code}"],
        cwd=project.root,
        env=project.environment | environment,
        text=True,
        capture_output=True,
        check=True,
    )
    return done.stdout.strip()


def test_time_limit(project):
    project.notebook("p/a")
    assert loaded(project, "print(dodo.LIMIT)", TIMEOUT="") == str(build.TIMEOUTS["smoke"])
    assert loaded(project, "print(dodo.LIMIT)", TIMEOUT="7.5") == "7.5"


def test_loading_the_graph_imports_nothing_slow(project):
    project.notebook("p/a")
    slow = "'papermill jupytext sphinx numpy matplotlib nbformat IPython grimp'.split()"
    assert loaded(project, f"print([m for m in {slow} if m in sys.modules])") == "[]"


def _until(condition, seconds=600):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def _running_in(folder):
    """Return the processes that work in a folder."""
    import psutil

    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.cmdline())
        except psutil.Error:
            continue
    return found
