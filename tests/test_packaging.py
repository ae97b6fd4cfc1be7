"""One list of dependencies with three faces, and the promises made outside the code."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import w2s_utils

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
CONDA_NAMES = {"matplotlib-base": "matplotlib"}
NOT_OURS = {"python", "pip", "make"}


def requirements(texts):
    """Return name and constraint of each requirement."""
    split = [re.fullmatch(r"([A-Za-z0-9._-]+)(.*)", text).groups() for text in texts]
    return {CONDA_NAMES.get(name, name).lower(): constraint for name, constraint in split}


def declared():
    return requirements([*PROJECT["dependencies"], *extra("book"), *extra("test")])


def extra(name):
    """Requirements of an extra, those of the extras that it names among them."""
    own = [text for text in EXTRAS[name] if not text.startswith("w2s_utils[")]
    named = re.findall(r"w2s_utils\[([^]]*)\]", " ".join(EXTRAS[name]))
    return [*own, *(text for group in named for n in group.split(",") for text in extra(n))]


def locked():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    return [line for line in lines if line.strip() and not line.strip().startswith("#")]


def test_conda_environment_is_the_same_list():
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    by_pip = next(entry["pip"] for entry in listed if isinstance(entry, dict))
    texts = [*(entry for entry in listed if isinstance(entry, str)), *by_pip]
    conda = requirements(texts)
    assert conda["python"] == PROJECT["requires-python"]
    assert {name: c for name, c in conda.items() if name not in NOT_OURS} == declared()


def test_lock_pins_everything_and_names_no_index():
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text
    assert "--" not in text
    for line in locked():
        assert re.match(r"[a-z0-9._-]+==[^ ]+( ; .+)?$", line), line
    pinned = {line.split("==")[0] for line in locked()}
    assert set(declared()) <= pinned


BUDGETS = {"w2s_utils": 6500, "w2s_experiments": 6500, "w2s_report": 3500, "w2s_book": 1700}


@pytest.mark.parametrize("package", BUDGETS)
def test_packages_keep_to_their_lines(package):
    paths = sorted((ROOT / package).rglob("*.py"))
    lines = {path: path.read_text("utf-8").count("\n") for path in paths}
    total, most = sum(lines.values()), BUDGETS[package]
    longest = sorted(lines, key=lines.__getitem__, reverse=True)[:5]
    listed = ", ".join(f"{path.relative_to(ROOT)} {lines[path]}" for path in longest)
    assert total <= most, f"{package} has {total} lines, at most {most}; the longest: {listed}"


def test_packages_import_each_other_one_way():
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter import cli; cli.lint_imports_command()"],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_versions_agree():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert PROJECT["version"] == w2s_utils.__version__ == citation["version"]
    assert PROJECT["license"] == citation["license"] == "MIT"


def test_importing_the_package_needs_nothing_heavy():
    code = (
        "import sys, w2s_utils.theory, w2s_book.execute, w2s_book.cli, w2s_utils.claims;"
        "print([m for m in ('torch', 'rdkit', 'dask', 'sentence_transformers', 'sphinx', "
        "'papermill', 'IPython') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def workflows():
    return sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("path", workflows(), ids=lambda path: path.name)
def test_workflows_pin_actions_and_ask_for_little(path):
    text = path.read_text()
    workflow = yaml.safe_load(text)
    used = re.findall(r"uses: *(\S+)(.*)", text)
    assert used
    for action, comment in used:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action), f"{action} is not pinned by hash"
        assert re.fullmatch(r" +# v[\d.]+", comment), f"{action}: say which version it is"
    assert workflow["permissions"] == {"contents": "read"}
    assert all("timeout-minutes" in job for job in workflow["jobs"].values())


def test_there_is_a_workflow_for_each_purpose():
    purposes = {"notebook", "nightly", "publish", "report", "test"}
    assert {path.stem for path in workflows()} == purposes
    on_request = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())
    assert any("make test" in str(step) for step in on_request["jobs"]["test"]["steps"])


def test_profiles_give_every_parameter_of_every_notebook():
    from w2s_book.build import Layout
    from w2s_book.execute import check
    from w2s_book.parameters import PROFILES

    for profile in PROFILES:
        for name, parameters in Layout(ROOT, profile).parameters.items():
            check(name, parameters, ROOT)


def test_makefile_mends_an_environment_that_was_moved(tmp_path):
    venv = tmp_path / "here" / "venv"
    site = venv / "lib" / "python3" / "site-packages"
    (venv / "bin").mkdir(parents=True)
    site.mkdir(parents=True)
    files = {
        venv / "bin" / "w2s": "#!/old/place/venv/bin/python\nimport sys\n",
        venv / "bin" / "long": '#!/bin/sh\nexec "/old/place/venv/bin/python" "$0"\n',
        venv / "pyvenv.cfg": "command = /usr/bin/python3 -m venv /old/place/venv\n",
        site / "__editable__.w2s_utils.pth": "/old/place\n",
    }
    for path, text in files.items():
        path.write_text(text)
    mend = ["make", "moved", f"VENV={venv}"]
    done = subprocess.run(mend, cwd=ROOT, text=True, capture_output=True, check=True)
    assert "was made at /old/place/venv" in done.stdout
    for path, text in files.items():
        assert path.read_text() == text.replace("/old/place", str(tmp_path / "here"))
    again = subprocess.run(mend, cwd=ROOT, text=True, capture_output=True, check=True)
    assert "was made at" not in again.stdout


def test_makefile_refuses_an_old_python(tmp_path):
    old = tmp_path / "python3.8"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.8.18 && exit 0\nexit 1\n')
    old.chmod(0o755)
    done = subprocess.run(
        ["make", "install", f"PYTHON={old}", f"VENV={tmp_path}/venv"],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode
    assert "Python 3.8.18; Python >= 3.11 is needed" in done.stdout
