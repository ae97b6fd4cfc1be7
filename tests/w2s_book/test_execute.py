import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from w2s_book import execute
from w2s_book.execute import NotebookFailed, ParameterError
from w2s_experiments.data import datasets


def run(project, name="p/n", *, timeout=60.0, **parameters):
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
    assert caught.value.notebook == "p/n"
    assert not project.layout.executed("p/n").exists()
    return "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])


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


def test_parameters_of(project):
    source = project.notebook("p/n")
    assert execute.parameters_of("p/n", project.root) == {"seed": 1}
    assert execute.parameters_of(source) == {"seed": 1}


def test_nonpositive_timeout_is_refused(project):
    project.notebook("p/n")
    with pytest.raises(ValueError, match="timeout: expected a positive number"):
        run(project, timeout=0)


def test_successful_run(project):
    """One run, looked at from all sides: a kernel takes a second to start."""
    project.notebook(
        "p/n",
        """
        import os
        block = bytearray(300_000_000)
        print(seed, os.environ["OPENBLAS_NUM_THREADS"], os.getcwd())
        """,
        "import warnings; warnings.warn('a path of the kernel', stacklevel=1)",
    )
    done = run(project, seed=7)
    text = done.out.read_text()
    nb = nbformat.reads(text, as_version=4)
    nbformat.validate(nb)
    about = nb.metadata.w2s

    assert done.executed
    assert about.notebook == "p/n"
    assert about.profile == "custom"
    assert about.parameters == {"seed": 7}
    assert about.executed
    assert set(about.versions) >= {"python", "numpy", "w2s_utils"}
    assert 0 < about.seconds < 60
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
    assert sorted(p.name for p in done.out.parent.iterdir()) == ["n.ipynb"]
    assert sorted(p.name for p in project.layout.logs.iterdir()) == ["p-n.log"]


def test_same_run_twice_differs_only_in_times(project):
    project.notebook("p/n", "import random; print(sorted({'b', 'a'}), hash('a'))")

    def settled():
        nb = json.loads(run(project).out.read_text())
        for measured in ("seconds", "peak_memory_mb"):
            del nb["metadata"]["w2s"][measured]
        for cell in nb["cells"]:
            cell["metadata"].pop("papermill", None)
        return nb

    assert settled() == settled()


def test_raising_notebook_says_where_and_keeps_the_old_page(project):
    project.notebook("p/n", "print('fine')")
    before = run(project).out.read_text()
    project.notebook("p/n", "x = 1", "y = 2\nraise KeyError('no such thing')")
    with pytest.raises(NotebookFailed) as caught:
        run(project)
    message = str(caught.value)
    assert caught.value.cell == 3
    assert "p/n failed in cell 4 of 4" in message
    assert ">   2 | raise KeyError('no such thing')" in message
    assert "KeyError: 'no such thing'" in message
    assert project.layout.executed("p/n").read_text() == before
    assert (project.layout.logs / "p-n.failed.ipynb").exists()
    assert "KeyError" in project.layout.log("p/n").read_text()


def test_hanging_notebook_is_killed_with_its_children(project):
    message = fails(
        project,
        """
        import subprocess, sys
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        open("child", "w").write(str(child.pid))
        while True:
            pass
        """,
        timeout=2.0,
    )
    assert "stopped after 2 s, the time limit" in message
    assert "--timeout" in message
    assert "TIMEOUT=" in message
    child = int((project.root / "child").read_text())
    assert not _alive(child)


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


CLAIM = """
from w2s_utils import checks, claims
check = checks.Check("equality", "{verdict}", 1.0, 2.0, tolerance=0.1, detail="a comparison")
claims.{register}("p1-test", "one is two", check, supports="arithmetic")
"""


def test_false_claim_fails(project):
    message = fails(project, CLAIM.format(register="claim", verdict="refuted"))
    assert "ClaimFailed: p1-test" in message


def test_control_that_passes_its_check_fails(project):
    message = fails(project, CLAIM.format(register="control", verdict="passed"))
    assert "ClaimFailed: p1-test" in message


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
    assert run(project).executed
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


def test_missing_data_give_a_page_that_says_so(project, monkeypatch):
    monkeypatch.setattr(datasets, "available", lambda name: False)
    source = project.notebook("p/n", "1 / 0", header="{data: [freesolv]}")
    source.write_text(source.read_text() + "\nSee {numref}`fig-one`.\n")
    done = run(project)
    nb = nbformat.read(done.out, as_version=4)
    assert not done.executed
    assert nb.metadata.w2s.executed is False
    assert nb.metadata.w2s.missing_data == ["freesolv"]
    assert nb.metadata.w2s.command == "w2s data fetch freesolv"
    assert nb.cells[0].source.startswith("# A small notebook\n\n:::{warning}")
    assert "w2s data fetch freesolv" in nb.cells[0].source
    assert "figure not drawn" in nb.cells[-1].source
    assert not any(cell.get("outputs") for cell in nb.cells)


def test_unknown_data_set_in_the_front_matter(project):
    project.notebook("p/n", header="{data: [freesolve]}")
    with pytest.raises(ParameterError, match=r"front matter, w2s\.data: .*freesolve"):
        run(project)


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
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"
