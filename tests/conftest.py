"""Fixtures shared by all tests: a small book to break, and the real one in the smoke profile."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import hypothesis
import numpy as np
import pytest
import yaml

from w2s_book.build import Layout, html_changes
from w2s_book.closure import PACKAGES
from w2s_utils.problem import Cell, Problem, measure_pairs, oracle_settings

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)

# The same examples everywhere, and no limit on the time that one takes: a test that fails on one
# machine, or on one day, fails on all.
hypothesis.settings.register_profile(
    "everywhere",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=50,
    # Slow machines are no fault of a test, and a folder may serve all examples.
    suppress_health_check=[
        hypothesis.HealthCheck.too_slow,
        hypothesis.HealthCheck.function_scoped_fixture,
    ],
)
hypothesis.settings.load_profile("everywhere")

HEADER = """\
---
kernelspec: {display_name: Python 3, language: python, name: python3}
w2s: WITH
---

# A small notebook

```{code-cell} ipython3
:tags: [parameters]

seed = 1  # of everything
```
"""


@dataclass(frozen=True)
class Project:
    """A book of its own in a temporary folder; its library is that which is installed."""

    root: Path

    @property
    def layout(self) -> Layout:
        return Layout(self.root, "smoke")

    def notebook(self, name: str, *cells: str, seed: int = 1, header: str = "{}") -> Path:
        """Write a notebook of code cells, and give it to the profile and the table of contents."""
        source = self.root / "notebooks" / f"{name}.md"
        source.parent.mkdir(parents=True, exist_ok=True)
        code = [f"```{{code-cell}} ipython3\n{dedent(cell).strip()}\n```\n" for cell in cells]
        source.write_text("\n".join([HEADER.replace("WITH", header), *code]))
        self.set_seed(name, seed)
        return source

    def set_seed(self, name: str, seed: int) -> None:
        path = self.root / "profiles.yml"
        profiles = yaml.safe_load(path.read_text()) if path.exists() else {"smoke": {}}
        profiles["smoke"][name] = {"seed": seed}
        path.write_text(yaml.safe_dump(profiles))
        chapters = [{"file": f"notebooks/{name}"} for name in profiles["smoke"]]
        toc = {"format": "jb-book", "root": "index", "chapters": chapters}
        (self.root / "_toc.yml").write_text(yaml.safe_dump(toc))

    def doit(self, *arguments: str, check: bool = True) -> str:
        """Run the build; return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "doit", *arguments],
            cwd=self.root,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        assert (done.returncode == 0) == check, done.stdout
        return done.stdout

    def copied(self, root: Path) -> Project:
        """Return a copy of the book in another folder."""
        shutil.copytree(self.root, root, symlinks=True)
        return Project(root)

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "PROFILE": "smoke", "DATA": "none", "PYTHONPATH": str(self.root)}


def empty(folder: Path) -> Project:
    """Return an empty book that can be built."""
    shutil.copy(ROOT / "dodo.py", folder)
    (folder / "requirements.lock").write_text("")
    (folder / "book").mkdir()
    (folder / "book" / "index.md").write_text("# The book\n")
    config = {
        "title": "The book",
        "only_build_toc_files": True,
        "execute": {"execute_notebooks": "off"},
        "sphinx": {
            "extra_extensions": ["sphinx_proof"],
            "config": {"suppress_warnings": ["mystnb.unknown_mime_type"]},
        },
    }
    (folder / "_config.yml").write_text(yaml.safe_dump(config))
    return Project(folder)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return an empty book that can be built."""
    return empty(tmp_path)


@pytest.fixture(scope="session")
def empty_book(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Project]:
    """Return a function that makes an empty book that can be built, for many tests to look at."""
    return lambda: empty(tmp_path_factory.mktemp("book"))


@pytest.fixture(scope="session")
def first_build(empty_book: Callable[[], Project]) -> tuple[Project, str]:
    """Return a book of two notebooks and what its build printed; tests change copies of it."""
    project = empty_book()
    project.notebook("p/a", "print(seed)")
    project.notebook("p/b", "print(seed)")
    return project, project.doit("-n", "2", "book")


@pytest.fixture
def built(first_build: tuple[Project, str], tmp_path: Path) -> Project:
    """Return a copy of a book of two notebooks that has been built."""
    return first_build[0].copied(tmp_path / "book")


@pytest.fixture
def own_library(project: Project) -> Project:
    """Return an empty book with a copy of the library to change."""
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, project.root / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    return project


_unbuilt: list[str] = []


@pytest.fixture(scope="session")
def smoke() -> Layout:
    """Return where the book of the smoke profile is; it is built first if it is not current.

    A notebook that failed has a page that says so, and its tests fail or are skipped; the book is
    there all the same. Where it is not, the first test that needs it fails, and only that one.
    """
    layout = Layout(ROOT, "smoke")
    said = "see the stage before the tests"
    if "W2S_SMOKE" not in os.environ:
        done = subprocess.run(
            [sys.executable, "-m", "doit", "-n", "2", "html"],
            cwd=ROOT,
            env={**os.environ, "PROFILE": "smoke", "DATA": "none"},
            text=True,
            capture_output=True,
            check=False,
        )
        said = done.stdout + done.stderr
    if not (layout.html / "index.html").exists() or html_changes(layout):
        _unbuilt.append(f"the smoke book is not built: {said}")
        pytest.fail(_unbuilt[0])
    return layout


@pytest.fixture(scope="session")
def crossed() -> Problem:
    """Return two teachers and two students: what one teacher lacks the other student lacks too."""
    rng = np.random.default_rng(0)
    g = rng.standard_normal((1500, 14))
    target = np.sign(g[:, 0] + 0.5 * g[:, 1] + 0.5 * rng.standard_normal(1500))[:, None]
    teachers = {"near": g[:, [0, 1, 2, 3, 4, 5]], "far": g[:, [0, 1, 8, 9, 10, 11]]}
    students = {"first": g[:, [0, 1, 2, 3, 4, 5]][:, :5], "second": g[:, [0, 1, 8, 9, 10]]}
    return Problem("toy", target / target.std(), 0.0, teachers, students)


@pytest.fixture(scope="session")
def crossed_cells(crossed: Problem) -> dict[tuple[str, str, int, int], Cell]:
    """Return its four pairs, measured on common splits of 60 labels and 200 pseudo-labels."""
    arguments = {"cells": [(60, 200)], "trials": 80, "seed": [1], "noise": 1.0}
    return measure_pairs(crossed, oracle_settings(crossed), **arguments)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if _unbuilt and "smoke" in getattr(item, "fixturenames", ()):
        pytest.skip("the smoke book is not built: see the first error")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the built site, so that `make unit` can leave it out."""
    for item in items:
        if "smoke" in getattr(item, "fixturenames", ()):
            item.add_marker("site")


@pytest.hookimpl(tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if CHROMIUM is None:
        terminalreporter.section("browser tests NOT RUN", yellow=True)
        terminalreporter.write_line(
            "No Chromium was found, so nothing was tested in a browser. "
            "Install it (Debian, Ubuntu: apt-get install chromium) and run again."
        )
