"""``w2s report`` as a user runs it: outputs whole or absent, exit codes, one line for mistakes."""

import json
import subprocess
import sys

import jsonschema
import numpy as np
import pytest
from click.testing import CliRunner

from w2s_book.cli import main
from w2s_experiments import report_example as example
from w2s_report import analysis, card


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    folder = tmp_path_factory.mktemp("arrays")
    example.write_digits(folder, labelled=120, seed=0, student=60)
    return folder


@pytest.fixture
def w2s(arrays, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*arguments, code=0, **changes):
        files = {"--strong": "strong.npy", "--weak": "small=blurred.npy", "--labels": "labels.npy"}
        files |= {f"--{key}": value for key, value in changes.items()}
        given = []
        for option, value in files.items():
            name, equals, path = value.rpartition("=")
            found = path if "/" in path else str(arrays / path)
            given += [option, f"{name}{equals}{found}"]
        done = CliRunner().invoke(main, ["report", *given, *map(str, arguments)])
        assert done.exit_code == code, done.output
        assert "Traceback" not in done.output
        return done.output

    return run


def test_a_report_is_written_and_replaced_only_if_asked(w2s, tmp_path):
    output = w2s("--trials", 4, "--seed", 3)
    assert output.startswith("report.html: ")
    names = {"report.html", "report.json"}
    assert {path.name for path in tmp_path.iterdir()} == names
    found = json.loads((tmp_path / "report.json").read_text())
    jsonschema.validate(found, card.schema())
    assert found["verdict"]["decision"] in output
    assert found["provenance"]["parameters"]["seed"] == 3
    assert {f["name"] for f in found["provenance"]["files"]} == {"strong", "small", "labels"}
    page = (tmp_path / "report.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "<script" not in page
    assert str(tmp_path) not in page

    before = {name: (tmp_path / name).read_bytes() for name in names}
    assert "report.html exists" in w2s(code=2)
    assert "row 0, column 0 are NaN" in w2s("--force", code=2, weak=f"a={damaged(tmp_path)}")
    assert {name: (tmp_path / name).read_bytes() for name in names} == before


def damaged(folder):
    path = folder / "nan.npy"
    np.save(path, np.full((1797, 3), np.nan))
    return path


@pytest.mark.parametrize(
    ("arguments", "changes", "message"),
    [
        ((), {"strong": "none.npy"}, "none.npy: cannot be read (No such file"),
        ((), {"weak": "a=labels.npy"}, "labels.npy: shape (1797,); expected a row for each"),
        ((), {"weak": "labels=blurred.npy"}, "a teacher cannot be called"),
        ((), {"weak": "blurred.npy"}, "expected NAME=VALUE, such as small=a.npy"),
        ((), {"labels": "blurred.npy"}, "expected one column"),
        (("--out", "report.txt"), {}, "expected a name that ends in .html"),
        (("--out", "no/report.html"), {}, "no is no folder that can be written to"),
        (("--share", 2), {}, "share: expected less than 1, got 2"),
        (("--seed", -1), {}, "seed: expected greater than or equal to 0, got -1"),
        (("--teacher-predictions", "a=x.npy"), {}, "x.npy: cannot be read"),
    ],
)
def test_mistakes_are_seen_before_the_features_are_read(
    w2s, tmp_path, monkeypatch, arguments, changes, message
):
    monkeypatch.setattr(analysis.one_pass, "one_pass", None)
    output = w2s(*arguments, code=2, **changes)
    assert message in output
    assert len(output.strip().splitlines()[-1:]) == 1
    assert not list(tmp_path.iterdir())


def test_the_exit_code_tells_a_pipeline(w2s, tmp_path):
    said = json.loads((tmp_path / "report.json").read_text()) if w2s("--trials", 4) else {}
    decision = said["verdict"]["decision"]
    other = "use" if decision != "use" else "do not use"
    w2s("--trials", 4, "--force", "--fail-unless", other, code=1)
    assert (tmp_path / "report.html").is_file()
    if decision != "not enough evidence":
        w2s("--trials", 4, "--force", "--fail-unless", decision)


def test_a_full_disk_is_told_by_the_file(w2s, tmp_path, monkeypatch):
    def full(self, *arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    output = w2s("--trials", 4, code=2)
    assert output.strip() == ("Error: report.html: No space left on device; give another --out")
    assert not list(tmp_path.iterdir())


def test_neither_a_notebook_nor_the_book_is_needed(arrays, tmp_path):
    """What the core dependencies bring, and nothing more, makes a report."""
    blocked = ["IPython", "nbformat", "jupytext", "papermill", "markdown_it", "w2s_book", "pooch"]
    blocked += ["jsonschema", "distributed", "matplotlib"]
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({blocked!r}))\n"
        "from w2s_report.command import report; report()"
    )
    files = {"--strong": "strong.npy", "--weak": "small=blurred.npy", "--labels": "labels.npy"}
    given = [word for pair in files.items() for word in pair]
    command = [sys.executable, "-c", code, *given, "--trials", "4", "--out", tmp_path / "r.html"]
    done = subprocess.run(command, cwd=arrays, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "r.json").is_file()


def test_the_command_imports_nothing_heavy_before_it_runs():
    code = "import sys; import w2s_report.command; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"numpy", "scipy", "sklearn", "matplotlib", "pydantic", "jinja2", "joblib"}
    assert not heavy & set(done.stdout.split())
