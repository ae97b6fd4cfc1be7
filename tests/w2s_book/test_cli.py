import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from w2s_book.cli import main
from w2s_experiments.data import datasets
from w2s_utils import claims

RECORD = {
    "paper": "P1",
    "kind": "equality",
    "statement": "a sentence",
    "supports": "Theorem 1",
    "outcome": "holds",
    "passed": True,
    "observed": 1.0,
    "expected": 1.0,
    "notebook": "p/n",
}


@pytest.fixture
def w2s(project, monkeypatch):
    """Return a function that runs the command in a small book and checks its exit code."""
    monkeypatch.chdir(project.root)

    def call(*arguments, code=0):
        result = CliRunner().invoke(main, list(map(str, arguments)))
        assert result.exit_code == code, result.output
        # Expected errors are told, not thrown.
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result.output

    return call


def quick(project, **seeds):
    """Give the book a quick profile."""
    lines = [f"  p/{name}: {{seed: {seed}}}" for name, seed in seeds.items()]
    (project.root / "profiles.yml").write_text("\n".join(["quick:", *lines, ""]))


def test_run_starts_from_the_profile_and_sets_parameters(project, w2s, monkeypatch):
    project.notebook("p/n", "print('seed', seed)")
    quick(project, n=5)
    (project.root / "notebooks" / "mine").mkdir()
    monkeypatch.chdir(project.root / "notebooks" / "mine")
    output = w2s("run", "p/n")
    assert "seed=5" in output
    assert "n.ipynb: " in output
    executed = project.root / "notebooks/mine/n.ipynb"
    about = json.loads(executed.read_text())["metadata"]["w2s"]
    assert (about["profile"], about["parameters"]) == ("quick", {"seed": 5})

    assert "n.ipynb exists" in w2s("run", "p/n", code=2)
    output = w2s("run", "p/n", "-p", "seed=7", "--force")
    about = json.loads(executed.read_text())["metadata"]["w2s"]
    assert (about["profile"], about["parameters"]) == ("custom", {"seed": 7})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["p/n", "-p", "sed=1"], "unknown parameter 'sed' (did you mean 'seed'?); it has: seed"),
        (["p/n", "-p", "seed=1e-3"], "parameter 'seed': expected int like 1, got 0.001"),
        (["p/n", "-p", "seed"], "expected NAME=VALUE, such as trials=500, got 'seed'"),
        (["p/n", "-p", "seed=["], "is not valid YAML"),
        (["p/n", "-p", "seed="], "expected NAME=VALUE, such as trials=500, got 'seed='"),
        (["p/n", "-p", "seed=1", "-p", "seed=2"], "-p: seed is given twice"),
        (["p/n", "-p", "seed=12:30"], "expected int like 1, got '12:30' (str)"),
        (["p/n", "-p", "seed=&x [*x]"], "is not valid YAML: found unconstructable recursive node"),
        (
            ["p/n", "--out", "notebooks/p/n.md/x.ipynb"],
            "x.ipynb cannot be written: ",
        ),
        (["p/n", "--profile", "slow"], "no profile 'slow'; it has: quick"),
        (["p/n", "--out", "n.html"], "expected a name that ends in .ipynb, got n.html"),
        (["p/n", "--timeout", "0"], "0.0 is not in the range"),
        (["p/m"], "no notebook 'p/m'"),
    ],
)
def test_mistakes_are_told_in_a_line(project, w2s, arguments, message):
    project.notebook("p/n")
    quick(project, n=5)
    output = w2s("run", *arguments, code=2)
    assert message in output
    assert "Traceback" not in output
    assert not list(project.root.glob("*.ipynb"))


def test_help_imports_nothing_heavy():
    code = (
        "import sys; sys.argv[1:] = ['--help']; from w2s_book.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'numpy', 'yaml', 'matplotlib', 'pydantic', 'jinja2', 'nbformat', 'psutil'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(name in done.stdout for name in ("claims", "embed", "report", "sweep"))
    assert done.stdout.splitlines()[-1] == "[]"


def test_failing_notebook(project, w2s):
    project.notebook("p/n", "1 / 0")
    quick(project, n=5)
    output = w2s("run", "p/n", "--out", "kept.ipynb", code=1)
    assert "ZeroDivisionError: division by zero" in output
    assert "as far as it got: kept.failed.ipynb" in output
    assert "Traceback" not in output
    assert [p.name for p in project.root.glob("*.ipynb")] == ["kept.failed.ipynb"]


def test_notebook_that_is_not_in_the_book_starts_from_its_own_values(project, w2s, tmp_path):
    source = project.notebook("p/n").rename(project.root / "own.md")
    quick(project)
    assert "running own with seed=1" in w2s("run", source)


def test_missing_data(project, w2s, monkeypatch):
    monkeypatch.setattr(datasets, "available", lambda name: False)
    project.notebook("p/n", header="{data: [freesolv]}")
    quick(project, n=5)
    assert "w2s data fetch freesolv" in w2s("run", "p/n", code=1)


@pytest.fixture
def ledger(project):
    outcomes = {"p1-a": "holds", "p1-b": "control holds", "p2-c": "does not reproduce"}
    records = [
        {**RECORD, "id": id, "paper": id[:2].upper(), "outcome": outcome}
        for id, outcome in outcomes.items()
    ]
    path = project.root / "claims.json"
    claims.write(records, path)
    return path


def test_claims(w2s, ledger):
    lines = w2s("claims", "--file", ledger).splitlines()
    assert lines[0].split() == ["claim", "outcome", "observed", "expected", "notebook"]
    assert [line.split()[0] for line in lines[1:4]] == ["p1-a", "p1-b", "p2-c"]
    assert lines[-1] == "3 claims (1 control holds, 1 does not reproduce, 1 holds)"


def test_claims_that_are_not_there(w2s, ledger):
    assert "build the book first (make book)" in w2s("claims", code=2)
    ledger.write_text("{")
    assert "is not a file of claims" in w2s("claims", "--file", ledger, code=2)


def test_data_list(w2s):
    lines = w2s("data", "list").splitlines()
    assert len(lines) == 1 + len(datasets.REGISTRY)
    assert any(line.startswith("digits ") and " bundled " in line for line in lines)


@pytest.mark.parametrize(
    "arguments", [["list"], ["verify"], ["verify", "esol"], ["fetch", "esol"], ["fetch", "digits"]]
)
def test_folder_of_data_that_is_none_is_told_in_a_line(w2s, monkeypatch, arguments):
    monkeypatch.setenv("W2S_DATA_DIR", "/nowhere")
    code = 0 if "digits" in arguments else 1  # what scikit-learn ships is looked for nowhere
    output = w2s("data", *arguments, code=code)
    if code:
        assert "W2S_DATA_DIR is '/nowhere', which is not a folder" in output
    assert len(output.splitlines()) == 1


def test_unknown_data_set(w2s):
    for command in ("fetch", "verify"):
        output = w2s("data", command, "mnits", code=2)
        assert "no data set 'mnits'; there are: " in output
        assert "mnist" in output


def test_data_fetch_and_verify(w2s, monkeypatch, tmp_path):
    assert "digits: bundled" in w2s("data", "verify", "digits")
    monkeypatch.setattr(datasets, "fetch", lambda name: [tmp_path / "a", tmp_path / "b"])
    assert f"esol: 2 files in {tmp_path}" in w2s("data", "fetch", "esol")

    def broken(name):
        raise datasets.DataError("the file is damaged")

    monkeypatch.setattr(datasets, "fetch", broken)
    monkeypatch.setattr(datasets, "verify", broken)
    assert "Error: the file is damaged" in w2s("data", "fetch", "esol", code=1)
    output = w2s("data", "verify", "esol", "digits", code=1)
    assert "esol: the file is damaged" in output
    assert "2 data sets not good" in output
