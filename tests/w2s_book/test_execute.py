import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_output

from w2s_book import execute, kernel
from w2s_book.execute import DataMissing, NotebookFailed, ParameterError
from w2s_experiments.data import datasets


def run(project, name="p/n", *, timeout=900.0, **parameters):
    layout = project.layout
    return execute.run(
        name,
        layout.executed(name),
        parameters or {"seed": 1},
        timeout=timeout,
        root=project.root,
        log=layout.log(name),
    )


def fails(project, *cells, **options):
    """Return the error of a notebook that must fail, and see that no page was made."""
    project.notebook("p/n", *cells)
    with pytest.raises(NotebookFailed) as caught:
        run(project, **options)
    assert str(caught.value).startswith("p/n")
    assert not project.layout.executed("p/n").exists()
    return "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])


def hangs(project, cell):
    """Return the error of a notebook that never ends; its limit is one at which it has started."""
    for limit in (5.0, 20.0, 80.0, 320.0):
        message = fails(project, cell, timeout=limit)
        assert f"stopped after {limit:g} s, the time limit" in message
        if (project.root / "started").exists():
            break
    assert "cell 3 of 3" in message
    return message


def test_unknown_parameter_names_the_known_ones(project):
    project.notebook("p/n")
    with pytest.raises(ParameterError, match=r"'sed' \(did you mean 'seed'\?\); it has: seed"):
        run(project, seed=1, sed=2)


def test_missing_parameter_names_the_known_ones(project):
    project.notebook("p/n")
    with pytest.raises(ParameterError, match=r"no value given for parameter 'seed'; it has: seed"):
        execute.run("p/n", project.root / "out.ipynb", {}, root=project.root)


def test_unknown_notebook_lists_the_book(project):
    project.notebook("p/n")
    with pytest.raises(FileNotFoundError, match="the book has: p/n"):
        run(project, "p/m")


def test_nonpositive_timeout_is_refused(project):
    project.notebook("p/n")
    with pytest.raises(ValueError, match="timeout: expected a positive number"):
        run(project, timeout=0)


@pytest.fixture(scope="module")
def first_run(empty_book):
    """Return a book after one good run, and what that returned; tests change copies of it."""
    project = empty_book()
    project.notebook(
        "p/n",
        """
        import os
        block = bytearray(300_000_000)
        print(seed, os.environ["OPENBLAS_NUM_THREADS"], os.getcwd())
        print(sorted({"b", "a"}), hash("a"))
        """,
        "import warnings; warnings.warn('a path of the kernel', stacklevel=1)",
    )
    return project, run(project, seed=7)


@pytest.fixture
def finished(first_run, tmp_path):
    """Return a copy of a book after one good run."""
    return first_run[0].copied(tmp_path / "book")


def test_successful_run(first_run):
    """One run, looked at from all sides: a kernel takes a second to start."""
    project, done = first_run
    out = project.layout.executed("p/n")
    text = out.read_text()
    nb = nbformat.reads(text, as_version=4)
    nbformat.validate(nb)
    about = nb.metadata.w2s

    assert done == about
    assert about.notebook == "p/n"
    assert about.profile == "custom"
    assert about.parameters == {"seed": 7}
    assert about.executed
    assert set(about.versions) >= {"python", "numpy", "w2s_utils"}
    assert 0 < about.seconds < 900
    assert 300 < about.peak_memory_mb < 3000

    # One parameters cell, with the value used and its comment.
    tagged = [cell for cell in nb.cells if "parameters" in cell.metadata.get("tags", [])]
    assert [cell.source for cell in tagged] == ["seed = 7  # of everything"]
    assert "injected-parameters" not in text
    assert nb.cells[2].outputs[0].text.startswith("7 1 ")

    # Nothing of this machine, and nothing drawn at random.
    assert "papermill" not in nb.metadata
    assert str(project.root) not in text
    assert "ipykernel_" not in text
    assert str(Path.home()) + "/" not in text
    assert [cell.id for cell in nb.cells] == ["cell-0", "cell-1", "cell-2", "cell-3"]
    assert set(nb.cells[2].metadata.papermill) == {"duration"}

    assert "7 1 " in project.layout.log("p/n").read_text()
    assert sorted(p.name for p in out.parent.iterdir()) == ["n.ipynb"]
    assert sorted(p.name for p in project.layout.logs.iterdir()) == ["p-n.log"]


def settled(project):
    """Return an executed notebook without its times."""
    nb = json.loads(project.layout.executed("p/n").read_text())
    for measured in ("seconds", "peak_memory_mb"):
        del nb["metadata"]["w2s"][measured]
    for cell in nb["cells"]:
        cell["metadata"].pop("papermill", None)
    return nb


def test_same_run_twice_differs_only_in_times(finished):
    before = settled(finished)
    finished.layout.executed("p/n").unlink()
    run(finished, seed=7)
    assert settled(finished) == before


def test_raising_notebook_says_where_and_keeps_the_old_page(finished):
    before = finished.layout.executed("p/n").read_text()
    finished.notebook("p/n", "x = 1", "y = 2\nraise KeyError('no such thing' + 'q' * 100_000)")
    with pytest.raises(NotebookFailed) as caught:
        run(finished)
    message = str(caught.value)
    assert "p/n failed in cell 4 of 4" in message
    assert "----> 2 raise KeyError('no such thing'" in message
    assert "KeyError: 'no such thing" in message
    # What is long is cut.
    assert re.search(r"qqq \.\.\. \(100\d\d\d characters", message)
    assert len(message) < 4000
    assert finished.layout.executed("p/n").read_text() == before
    assert (finished.layout.logs / "p-n.failed.ipynb").exists()
    assert "KeyError" in finished.layout.log("p/n").read_text()


def test_dead_kernel(project):
    message = fails(project, "import os; os._exit(3)")
    assert "the kernel died" in message
    assert "cell 3 of 3" in message


@pytest.mark.parametrize(
    ("cell", "error"),
    [
        (":tags: [raises-exception]\n\n1 / 0", "ZeroDivisionError"),
        ("raise SystemExit(0)", "SystemExit"),
    ],
)
def test_error_output_is_refused_even_where_it_is_allowed(project, cell, error):
    message = fails(project, cell)
    assert error in message
    assert "catch the exception and print it" in message


def test_figure_without_caption_fails(project):
    message = fails(project, "import matplotlib.pyplot as plt; plt.plot([1, 2]);")
    assert "without caption and alternative text" in message


@pytest.fixture
def kernels(project, monkeypatch):
    """Return a function that installs a kernel whose process runs a line of shell first."""
    folder = project.root / "jupyter" / "kernels"
    monkeypatch.setenv("JUPYTER_PATH", str(folder.parent))

    def install(name, before):
        command = f'{before}; exec {sys.executable} -m ipykernel_launcher -f "$0"'
        spec = {"display_name": name, "language": "python"}
        (folder / name).mkdir(parents=True)
        (folder / name / "kernel.json").write_text(
            json.dumps(spec | {"argv": ["sh", "-c", command, "{connection_file}"]})
        )
        source = project.notebook("p/n", "print(seed)")
        source.write_text(source.read_text().replace("name: python3}", f"name: {name}}}"))

    return install


def test_kernel_that_does_not_start_is_started_again(project, kernels):
    kernels("lazy", "mkdir started && exit 1")
    assert run(project)["executed"]
    assert "trying once more" in project.layout.log("p/n").read_text()


def test_kernel_that_never_starts(project, kernels):
    kernels("dead", "exit 1")
    with pytest.raises(NotebookFailed, match="p/n: the kernel did not start: "):
        run(project)
    assert not project.layout.executed("p/n").exists()


def test_kernel_that_is_not_there(project, kernels):
    source = project.notebook("p/n")
    source.write_text(source.read_text().replace("name: python3}", "name: julia-1.10}"))
    with pytest.raises(ParameterError, match=r"no kernel 'julia-1\.10' .* there are: .*python3"):
        run(project)


def test_missing_data_are_told_before_the_run(project, monkeypatch):
    monkeypatch.setattr(datasets, "available", lambda name: False)
    project.notebook("p/n", header="{data: [freesolv, esol]}")
    with pytest.raises(DataMissing, match="get them with: w2s data fetch freesolv esol") as caught:
        run(project)
    assert caught.value.names == ["freesolv", "esol"]
    assert not project.layout.executed("p/n").exists()


def test_unknown_data_set_in_the_front_matter(project):
    project.notebook("p/n", header="{data: [freesolve]}")
    with pytest.raises(ParameterError, match=r"front matter, w2s\.data: .*freesolve"):
        run(project)


DAEMON = """
import os, subprocess, sys, time
open("pids", "w").close()
program = "import os, time; os.fork() and os._exit(0); os.setsid(); os.fork() and os._exit(0)"
program += "; open('pids', 'a').write(f'{os.getpid()} '); time.sleep(600)"
subprocess.run([sys.executable, "-c", program])
detached = subprocess.Popen(["sleep", "600"], start_new_session=True, env={})
open("pids", "a").write(f"{detached.pid} {os.getpid()} ")
while len(open("pids").read().split()) < 3:
    time.sleep(0.05)
open("started", "w").close()
"""


def left_of(project):
    """Return the processes of a notebook that go on, after some time to end."""
    pids = [int(pid) for pid in (project.root / "pids").read_text().split()]
    assert len(pids) == 3
    deadline = time.monotonic() + 60  # a net
    while any(map(_alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return [pid for pid in pids if _alive(pid)]


@pytest.mark.parametrize("last", ["", "1 / 0", "time.sleep(600)"])
def test_no_process_of_a_notebook_survives_it(project, last):
    if "sleep" in last:
        hangs(project, DAEMON + last)
    elif last:
        fails(project, DAEMON + last)
    else:
        project.notebook("p/n", DAEMON)
        run(project)
    assert not left_of(project)


@pytest.mark.parametrize("killed", ["command", "watch"])
def test_no_process_survives_the_one_that_started_it(project, killed):
    project.notebook("p/n", DAEMON + "time.sleep(600)")
    command = [sys.executable, "-m", "w2s_book.cli", "run", "p/n", "--profile", "smoke"]
    with subprocess.Popen(command, cwd=project.root, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 600  # a net
        while not (project.root / "started").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        victim = psutil.Process(process.pid)
        (victim if killed == "command" else victim.children()[0]).kill()
    assert not left_of(project)


def test_limit_holds_where_the_kernel_never_returns_to_python(project):
    message = hangs(
        project, "import re\nopen('started', 'w').close()\nre.match('(a+)+$', 'a' * 60 + 'b')"
    )
    assert "--timeout" in message
    assert "TIMEOUT=" in message


def test_lines_of_any_length(project):
    """The square of a million is more than the limit allows."""
    project.notebook("p/n", "print('x' * 1_000_000)", r"print('\r'.join(['y' * 99] * 10_000))")
    run(project)
    nb = nbformat.read(project.layout.executed("p/n"), as_version=4)
    assert nb.cells[2].outputs[0].text == "x" * 1_000_000 + "\n"
    assert nb.cells[3].outputs[0].text == "y" * 99 + "\n"


@pytest.mark.parametrize(
    "text", ["a\rb\n", "a\r\nb\r", "a\r\r\nb", "\r\r", "1\r2\r3\r\n4\r5", "", "\n\r\n"]
)
def test_carriage_returns_take_back_what_nbclient_takes_back(text):
    cell = new_code_cell(outputs=[new_output("stream", name="stdout", text=text)])
    execute.join_streams(cell)
    assert cell.outputs[0].text == re.sub(r".*\r(?=[^\n])", "", text)


def test_streams_are_joined_and_standard_output_comes_first():
    parts = [("stderr", "a"), ("stdout", "b"), ("stderr", "c"), ("stdout", "d")]
    outputs = [new_output("stream", name=name, text=text) for name, text in parts]
    cell = new_code_cell(outputs=[*outputs, new_output("display_data")])
    execute.join_streams(cell)
    kinds = [output.get("name", output.output_type) for output in cell.outputs]
    assert kinds == ["stdout", "stderr", "display_data"]
    assert [output.text for output in cell.outputs[:2]] == ["bd", "ac"]


def test_members_of_a_group_of_errors_are_told(project):
    group = "ExceptionGroup('both', [ValueError('one'), ExceptionGroup('in', [KeyError(2)])])"
    message = fails(project, f"raise {group}")
    assert "ExceptionGroup: both (2 sub-exceptions)" in message
    assert "ValueError: one" in message
    assert "KeyError: 2" in message


def test_result_is_kept_where_its_place_cannot_be_written(project, monkeypatch, tmp_path):
    out = project.layout.executed("p/n")

    def write(nb, path):
        if path == out:
            raise OSError(28, "No space left on device", str(path))
        path.write_text(nbformat.writes(nb))

    project.notebook("p/n", "print('worth', 'keeping')")
    monkeypatch.setattr(execute, "write", write)
    with pytest.raises(NotebookFailed, match=r"No space left on device; .* kept at") as caught:
        run(project)
    kept = Path(str(caught.value).rpartition(" kept at ")[2].splitlines()[0])
    assert "worth keeping" in kept.read_text()
    kept.unlink()
    kept.parent.rmdir()


def test_place_that_cannot_be_written_is_refused_before_the_run(project):
    project.notebook("p/n", "open('ran', 'w')")
    (project.root / "file").write_text("")
    out = project.root / "file" / "n.ipynb"
    with pytest.raises(ParameterError, match=r"file/n.ipynb cannot be written: "):
        execute.run("p/n", out, {"seed": 1}, root=project.root)
    assert not (project.root / "ran").exists()


def test_kernel_without_a_home_gets_one(monkeypatch, tmp_path):
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert kernel.environment(tmp_path)["HOME"] == str(tmp_path)


def test_result_is_kept_in_an_ascii_locale(project):
    source = project.notebook("p/n", "print('é', seed, '\\udcff')")
    accents = source.rename(source.with_name("été.md"))
    ascii_only = {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "w2s_book.cli",
            "run",
            accents,
            "--profile",
            "smoke",
            "--out",
            "ö.ipynb",
        ],
        cwd=project.root,
        env=os.environ | ascii_only,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    nb = nbformat.read(project.root / "ö.ipynb", as_version=4)
    assert nb.metadata.w2s.notebook == "p/été"
    assert nb.cells[2].outputs[0].text.startswith("é 1 ")


def test_plain_jupytext_and_papermill_run_the_same_source(project):
    source = project.notebook("p/n", "print('seed', seed)")
    tools, ipynb, out = Path(sys.executable).parent, project.root / "n.ipynb", "out.ipynb"
    for command in (
        ["jupytext", "--to", "ipynb", source, "--output", ipynb],
        ["papermill", ipynb, out, "-p", "seed", "7"],
    ):
        command[0] = tools / command[0]
        subprocess.run(command, cwd=project.root, check=True, capture_output=True)
    assert "seed 7" in (project.root / out).read_text()


def _alive(pid):
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rsplit(")", 1)[1].split()[0] != "Z"
