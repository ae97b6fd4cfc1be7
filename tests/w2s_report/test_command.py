"""``w2s report`` as a user runs it: outputs whole or absent, exit codes, one line for mistakes."""

import json

import nbformat
import numpy as np
import pytest
from click.testing import CliRunner

from w2s_book import execute
from w2s_book.cli import main
from w2s_report import command, example, schema


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
    options = ("--trials", 4, "--seed", 3, "--notebook", "kept.ipynb")
    output = w2s(*options)
    assert output.startswith("report.html: ")
    names = {"report.html", "report.json", "kept.ipynb"}
    assert {path.name for path in tmp_path.iterdir()} == names
    found = json.loads((tmp_path / "report.json").read_text())
    schema.validate(found)
    assert found["verdict"]["decision"] in output
    assert found["provenance"]["parameters"]["seed"] == 3
    assert {f["name"] for f in found["provenance"]["files"]} == {"strong", "small", "labels"}
    page = (tmp_path / "report.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "<script" not in page
    assert str(tmp_path) not in page
    nb = nbformat.read(tmp_path / "kept.ipynb", as_version=4)
    assert not [c for c in nb.cells for o in c.get("outputs", []) if o.output_type == "error"]

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
        (("--dimension", "small=x"), {}, "expected whole numbers"),
        (("--share", 2), {}, "share: expected a number between 0 and 1"),
        (("--noise", -1), {}, "--noise: expected a positive"),
    ],
)
def test_mistakes_cost_no_kernel_and_leave_nothing(
    w2s, tmp_path, monkeypatch, arguments, changes, message
):
    monkeypatch.setattr(execute, "run", None)
    output = w2s(*arguments, code=2, **changes)
    assert message in output
    assert len(output.strip().splitlines()[-1:]) == 1
    assert not list(tmp_path.iterdir())


def test_what_only_the_notebook_finds_is_one_line_too(w2s, tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise execute.NotebookFailed("report failed\n  InputError: a.npy: bad; mend it", "report")

    monkeypatch.setattr(execute, "run", fail)
    assert w2s(code=2).strip() == "Error: a.npy: bad; mend it"

    def crash(*arguments, **options):
        raise execute.NotebookFailed("report failed\n  the kernel died", "report")

    monkeypatch.setattr(execute, "run", crash)
    assert w2s(code=1).strip() == "Error: the report could not be finished: the kernel died"
    assert not list(tmp_path.iterdir())


def test_the_notebook_is_found_in_a_clone_and_in_an_installation(tmp_path, monkeypatch):
    assert command.find_notebook().name == "report.md"
    package = tmp_path / "site" / "w2s_utils" / "reportcard"
    package.mkdir(parents=True)
    (package / "report.md").write_text(command.find_notebook().read_text())
    monkeypatch.setattr(command, "__file__", str(package / "command.py"))
    assert command.find_notebook() == package / "report.md"
    (package / "report.md").unlink()
    with pytest.raises(FileNotFoundError, match="install w2s_utils again"):
        command.find_notebook()
