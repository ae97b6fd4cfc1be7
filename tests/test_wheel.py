"""The wheel in an environment with the core dependencies and nothing else, outside the tree."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from w2s_book.closure import PACKAGES

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Build the wheel from a copy of the sources, without the network."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name)
    for name in PACKAGES:
        compiled = source / name / "__pycache__" / "gone.pyc"
        compiled.parent.mkdir(exist_ok=True)
        compiled.write_bytes(b"of a module that is gone")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-index"]
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "-w", out, source], check=True)
    (built,) = out.iterdir()
    return built


def closure(requirements: list[str]) -> Iterator[metadata.Distribution]:
    """Installed distributions that requirements need, and those that these need."""
    seen: dict[str, set[str]] = {}
    pending = [Requirement(text) for text in requirements]
    while pending:
        requirement = pending.pop()
        name = re.sub("[-_.]+", "-", requirement.name).lower()
        for extra in {"", *requirement.extras} - seen.get(name, set()):
            found = metadata.distribution(requirement.name)
            if name not in seen:
                yield found
            seen.setdefault(name, set()).add(extra)
            needed = [Requirement(text) for text in found.requires or ()]
            pending += [n for n in needed if not n.marker or n.marker.evaluate({"extra": extra})]


@dataclass(frozen=True)
class Environment:
    """A virtual environment, and an empty folder to work in."""

    bin: Path
    folder: Path

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        kept = {key: os.environ[key] for key in ("PATH", "LANG", "SYSTEMROOT") if key in os.environ}
        return subprocess.run(
            [self.bin / program, *arguments],
            cwd=self.folder,
            env={**kept, "HOME": str(self.folder), "OMP_NUM_THREADS": "1"},
            text=True,
            capture_output=True,
            check=False,
        )

    def python(self, code: str) -> str:
        done = self.run("python", "-I", "-c", code)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture(scope="module")
def core(wheel, tmp_path_factory) -> Environment:
    """Install the wheel beside links to its core dependencies, as they are installed here."""
    place = tmp_path_factory.mktemp("core")
    venv.create(place / "venv", symlinks=os.name != "nt")
    binaries = place / "venv" / ("Scripts" if os.name == "nt" else "bin")
    pip = [sys.executable, "-m", "pip", "--python", binaries / "python", "install", "--quiet"]
    subprocess.run([*pip, "--no-index", "--no-deps", wheel], check=True)
    asked = [binaries / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    library = Path(subprocess.run(asked, text=True, capture_output=True, check=True).stdout.strip())
    (own,) = metadata.distributions(name="w2s_utils", path=[str(library)])
    for distribution in closure([text for text in own.requires or () if "extra ==" not in text]):
        for name in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
            link = library / name
            if not link.exists():
                link.symlink_to(Path(str(distribution.locate_file(name))).resolve())
    folder = place / "elsewhere"
    folder.mkdir()
    return Environment(binaries, folder)


def test_the_wheel_has_the_four_packages_with_their_data_and_nothing_else(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    wanted = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names == wanted
    assert {name.split("/")[0] for name in names} == set(PACKAGES)


def test_the_environment_is_as_bare_as_it_should_be(core):
    code = (
        "import importlib.util as u;"
        "print([n for n in ('pooch', 'papermill', 'nbformat', 'jupytext', 'IPython', 'sphinx', "
        "'pandas', 'rdkit', 'onnxruntime', 'pyarrow', 'distributed') if u.find_spec(n)])"
    )
    assert core.python(code) == "[]"


def test_the_library_starts_without_what_it_may_not_need(core):
    code = (
        "import sys, w2s_utils; print(w2s_utils.__file__);"
        "print([n for n in ('numpy', 'scipy', 'sklearn', 'matplotlib') if n in sys.modules])"
    )
    file, loaded = core.python(code).splitlines()
    assert Path(file).is_relative_to(core.bin.parent)
    assert loaded == "[]"


def test_every_module_is_imported_with_the_core_dependencies(core):
    code = (
        "import importlib, pkgutil, w2s_utils, w2s_report\n"
        "for package in (w2s_utils, w2s_report):\n"
        "    for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "        importlib.import_module(module.name)\n"
    )
    core.python(code)


def test_the_command_shows_its_help_and_needs_little_for_it(core):
    done = core.run("w2s", "--help")
    assert done.returncode == 0, done.stderr
    assert "report" in done.stdout
    code = (
        "import sys, w2s_book.cli;"
        "print([n for n in ('numpy', 'scipy', 'sklearn', 'matplotlib') if n in sys.modules])"
    )
    assert core.python(code) == "[]"


def test_the_data_sets_are_listed(core):
    listed = core.run("w2s", "data", "list")
    assert listed.returncode == 0, listed.stderr
    assert re.search("^mnist +missing", listed.stdout, re.MULTILINE)


def test_bundled_data_are_read_without_an_extra(core):
    code = "from w2s_experiments.data import datasets; print(datasets.load('digits').inputs.shape)"
    assert core.python(code) == "(1797, 64)"


@pytest.mark.parametrize(
    "command",
    [
        ["data", "fetch", "freesolv"],
        ["embed", "mine.smi"],
        ["run", "misfit/projection"],
    ],
    ids=" ".join,
)
def test_what_needs_an_extra_is_refused_in_words(core, command):
    (core.folder / "mine.smi").write_text("CCO\n")
    done = core.run("w2s", *command)
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_report_is_written(core):
    core.python("""
from pathlib import Path
from w2s_experiments import report_example as example
example.write_digits(Path("."), labelled=120, seed=1, student=100)
""")
    arrays = ["--strong", "strong.npy", "--weak", "blurred=blurred.npy", "--labels", "labels.npy"]
    done = core.run("w2s", "report", *arrays, "--trials", "4", "--out", "card.html")
    assert done.returncode == 0, done.stderr
    assert "<html" in (core.folder / "card.html").read_text("utf-8")
    assert json.loads((core.folder / "card.json").read_text("utf-8"))["verdict"]["decision"]
