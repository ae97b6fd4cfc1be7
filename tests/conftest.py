"""Fixtures shared by all tests: a small book to break, and the real one in the smoke profile."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest
import yaml

from w2s_book.build import PACKAGES, Layout

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)

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
    """A book of its own in a temporary folder, with a copy of the library."""

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
        pages = [*(f"notebooks/{n}" for n in profiles["smoke"]), "claims", "status", "theorems"]
        chapters = [{"file": page} for page in [*pages, "how-it-works"]]
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

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "PROFILE": "smoke", "PYTHONPATH": str(self.root), "TIMEOUT": "60"}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return an empty book that can be built."""
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / "dodo.py", tmp_path)
    (tmp_path / "requirements.lock").write_text("")
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "index.md").write_text("# The book\n")
    (tmp_path / "book" / "how-it-works.md").write_text("# How it works\n")
    config = {
        "title": "The book",
        "only_build_toc_files": True,
        "execute": {"execute_notebooks": "off"},
        "sphinx": {"extra_extensions": ["sphinx_proof"]},
    }
    (tmp_path / "_config.yml").write_text(yaml.safe_dump(config))
    return Project(tmp_path)


@pytest.fixture(scope="session")
def smoke() -> Layout:
    """Return where the book of the smoke profile is; it is built first if it is not current."""
    if os.environ.get("W2S_SMOKE") == "failed":
        pytest.fail("the smoke build failed: see the stage before the tests")
    done = subprocess.run(
        [sys.executable, "-m", "doit", "-n", "2", "html"],
        cwd=ROOT,
        env={**os.environ, "PROFILE": "smoke"},
        text=True,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.fail(f"the smoke build failed:\n{done.stdout}{done.stderr}")
    return Layout(ROOT, "smoke")


@pytest.hookimpl(tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if CHROMIUM is None:
        terminalreporter.section("browser tests NOT RUN", yellow=True)
        terminalreporter.write_line(
            "No Chromium was found, so nothing was tested in a browser. "
            "Install it (Debian, Ubuntu: apt-get install chromium) and run again."
        )
