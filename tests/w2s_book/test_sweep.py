"""Grids of parameters: here, on a Dask cluster, and after something was killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from w2s_book import sweep
from w2s_book.cli import main
from w2s_book.parameters import ParameterError

NOTEBOOK = """\
---
kernelspec: {display_name: Python 3, language: python, name: python3}
---

# A small notebook

```{code-cell} ipython3
:tags: [parameters]

n = 1
scale = 1.0
sizes = [1, 2]
```

```{code-cell} ipython3
from w2s_utils import checks, claims

claims.claim("p1-a", f"n = {n}", checks.identity(scale * n, n, tolerance=1), supports="a theorem")
claims.claim("p1-b", "n is small", checks.at_most(n, 8), supports="a theorem")
```
"""
COMMAND = [sys.executable, "-m", "w2s_book.cli", "sweep", "p/n"]
GRID = ["-p", "n=1,2", "-p", "scale=1.0,1.25"]
POINTS = 4


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """Return a folder with one notebook and a profile for it."""
    root = tmp_path_factory.mktemp("book")
    (root / "notebooks" / "p").mkdir(parents=True)
    (root / "notebooks" / "p" / "n.md").write_text(NOTEBOOK)
    (root / "profiles.yml").write_text("quick:\n  p/n: {n: 5, scale: 1.5, sizes: [3]}\n")
    return root


@pytest.fixture(scope="module")
def finished(book):
    """Return the record of a sweep that ran here without incident, as bytes."""
    out = book / "finished.jsonl"
    done = run(book, *GRID, "--jobs", "2", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "finished.jsonl: 4 points, 0 failed, 8 claims (8 holds)" in done.stdout
    return out.read_bytes()


def run(book, *arguments):
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, cwd=book, capture_output=True, text=True, check=False)


def lines_in(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


def begin(out, finished, lines):
    """Let a record have the first lines of a finished one: points take seconds."""
    out.write_bytes(b"".join(finished.splitlines(keepends=True)[:lines]))


def wait_until(condition, seconds=600):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


@pytest.mark.slow
def test_record_has_parameters_and_claims_in_the_order_of_the_grid(finished):
    lines = [json.loads(line) for line in finished.splitlines()]
    points = [(n, scale) for n in (1, 2) for scale in (1.0, 1.25)]
    wanted = [{"n": n, "scale": scale, "sizes": [3]} for n, scale in points]
    assert [line["parameters"] for line in lines] == wanted
    for line in lines:
        assert (line["notebook"], line["outcome"], line["error"]) == ("p/n", "executed", "")
        assert [claim["id"] for claim in line["claims"]] == ["p1-a", "p1-b"]
        n, scale = line["parameters"]["n"], line["parameters"]["scale"]
        assert line["claims"][0]["observed"] == n * scale


@pytest.mark.slow
def test_what_is_finished_is_not_run_again_and_a_smaller_grid_loses_nothing(book, finished):
    out = book / "again.jsonl"
    out.write_bytes(finished)
    done = run(book, *GRID, "--out", out)
    assert "again.jsonl has 4 points already" in done.stderr
    assert "to go" not in done.stderr
    assert out.read_bytes() == finished
    done = run(book, "-p", "n=2", "-p", "scale=1.25", "--out", out)
    assert "1 point, 0 failed" in done.stdout
    assert sorted(out.read_bytes().splitlines()) == sorted(finished.splitlines())


@pytest.mark.slow
def test_a_point_that_fails_is_recorded_and_the_others_are_run(book):
    out = book / "failing.jsonl"
    one = ("-p", "scale=1.0", "--out", out)
    done = run(book, "-p", "n=9,4", *one)
    assert done.returncode == 1
    assert "1 point failed" in done.stderr
    assert "ClaimFailed: p1-b" in done.stderr
    assert "Traceback" not in done.stderr
    failed, good = sweep.read(out)
    assert (failed["outcome"], good["outcome"]) == ("failed", "executed")
    assert [claim["outcome"] for claim in failed["claims"]] == ["holds", "failed"]
    assert "p1-b: expected the check to be passed" in failed["error"]
    assert str(Path("/").joinpath("tmp")) not in failed["error"]
    done = run(book, "-p", "n=9", *one)
    assert "ClaimFailed: p1-b" in done.stderr, "a failure is tried again"


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(book, finished):
    out = book / "killed.jsonl"
    begin(out, finished, 2)
    command = [*COMMAND, *GRID, "--jobs", "2", "--out", str(out)]
    with subprocess.Popen(command, cwd=book, stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: lines_in(out) > 2)
        family = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    kept = out.read_bytes().splitlines()
    with out.open("ab") as file:
        file.write(b'{"notebook": "p/n", "para')  # killed while writing
    assert not psutil.wait_procs(family, timeout=30)[1], "nothing goes on by itself"
    done = run(book, *GRID, "--jobs", "2", "--out", out)
    assert f"has {len(kept)} point" in done.stderr
    assert done.stderr.count("to go") == POINTS - len(kept)
    assert out.read_bytes() == finished


@pytest.fixture
def cluster(tmp_path, request):
    """Start a Dask scheduler with two worker processes on the loopback; yield address, workers."""
    failures = str(getattr(request, "param", 3))  # of workers, before a point is given up
    environment = os.environ | {
        "DASK_LOGGING__DISTRIBUTED": "error",
        "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": failures,
    }
    started = []

    def start(*arguments):
        command = [sys.executable, "-m", *arguments]
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL
        )
        started.append(process)
        return process

    file = tmp_path / "scheduler.json"
    local = ("--host", "127.0.0.1", "--no-dashboard")
    dask = "distributed.cli.dask_"
    start(f"{dask}scheduler", *local, "--port", "0", "--scheduler-file", str(file))
    wait_until(lambda: file.exists() and file.read_text().endswith("}"))
    address = json.loads(file.read_text())["address"]
    worker = (f"{dask}worker", address, *local, "--no-nanny", "--nthreads", "1")
    yield address, [start(*worker, "--name", name) for name in ("one", "two")]
    for process in reversed(started):
        process.send_signal(signal.SIGTERM)
    for process in started:
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


@pytest.mark.slow
def test_a_cluster_gives_the_same_record_though_a_worker_is_killed(book, finished, cluster):
    address, (first, _) = cluster
    out = book / "cluster.jsonl"
    command = [*COMMAND, *GRID, "--scheduler", address, "--out", str(out)]
    with subprocess.Popen(command, cwd=book, stderr=subprocess.PIPE, text=True) as process:
        # In mid-run: one point is finished, and the first worker is at another.
        wait_until(lambda: lines_in(out) >= 1 or process.poll() is not None)
        wait_until(lambda: psutil.Process(first.pid).children() or process.poll() is not None)
        assert process.poll() is None, process.stderr.read()
        assert lines_in(out) < POINTS
        first.kill()
        _, told = process.communicate(timeout=180)
    assert process.returncode == 0, told
    assert out.read_bytes() == finished


@pytest.mark.slow
@pytest.mark.parametrize("cluster", [0], indirect=True)
def test_a_point_that_is_lost_with_its_worker_is_a_failed_point(book, cluster):
    """Dask gives up here at once what a worker had that died."""
    address, (first, _) = cluster
    out = book / "lost.jsonl"
    command = [*COMMAND, *GRID, "--scheduler", address, "--out", str(out)]
    with subprocess.Popen(command, cwd=book, stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: psutil.Process(first.pid).children() or process.poll() is not None)
        first.kill()
        _, told = process.communicate()
    assert process.returncode == 1
    assert "lost with its worker" in told
    outcomes = [line["outcome"] for line in sweep.read(out)]
    assert "failed" in outcomes
    assert len(outcomes) == POINTS


def test_a_scheduler_that_is_not_there_is_told(book, tmp_path):
    done = run(book, "--scheduler", "tcp://127.0.0.1:9", "--out", tmp_path / "none.jsonl")
    assert done.returncode == 2
    assert "no Dask scheduler at tcp://127.0.0.1:9" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["p/m"], "no notebook 'p/m'"),
        (["p/n", "-p", "m=1,2"], "unknown parameter 'm'"),
        (["p/n", "-p", "n=1,x"], "parameter 'n': expected int like 1, got 'x'"),
        (["p/n", "-p", "n"], "expected NAME=VALUES, such as n=400,800, got 'n'"),
        (["p/n", "-p", "n="], "expected NAME=VALUES"),
        (["p/n", "-p", "n=[]"], "n: expected at least one value, got none"),
        (["p/n", "-p", "n=1,1"], "n: expected distinct values, got [1, 1]"),
        (["p/n", "-p", "n=[1"], "is not valid YAML"),
        (["p/n", "-p", "n=1", "-p", "n=2"], "n is given twice"),
        (["p/n", "-p", "sizes=1,2"], "give a list of them, such as -p sizes=[[3]]"),
        (["p/n", "--profile", "slow"], "no profile 'slow'"),
        (["p/n", "--out", "notebooks/p/n.md"], "is not the record of a sweep"),
    ],
)
def test_mistakes_are_told_in_a_line(book, monkeypatch, arguments, message):
    monkeypatch.chdir(book)
    result = CliRunner().invoke(main, ["sweep", *arguments])
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert "Traceback" not in result.output
    assert (book / "notebooks/p/n.md").read_text() == NOTEBOOK


@pytest.mark.parametrize(
    ("text", "default", "values"),
    [
        ("400", 1, [400]),
        ("400,800", 1, [400, 800]),
        ("[400, 800]", 1, [400, 800]),
        ("1e-3, 0.5", 1.0, [0.001, 0.5]),
        ("[[1, 5], [1, 9]]", [1], [[1, 5], [1, 9]]),
        ("a,b", "a", ["a,b"]),
        ("[a, b]", "a", ["a", "b"]),
        ("true,false", True, [True, False]),
    ],
)
def test_values_are_read_as_yaml(text, default, values):
    assert sweep.values_of("x", text, default) == values


def test_grid_without_axes_is_one_point():
    assert sweep.grid({}) == [{}]
    assert sweep.grid({"a": [1, 2], "b": [3]}) == [{"a": 1, "b": 3}, {"a": 2, "b": 3}]
    with pytest.raises(ParameterError, match="distinct"):
        sweep.grid({"a": [1, 1]})


def test_a_result_depends_on_notebook_text_parameters_and_library():
    points = [
        ("p/n", "text", {"n": 1}, "digest"),
        ("p/m", "text", {"n": 1}, "digest"),
        ("p/n", "other", {"n": 1}, "digest"),
        ("p/n", "text", {"n": 2}, "digest"),
        ("p/n", "text", {"n": 1}, "newer"),
    ]
    assert len({sweep.key_of(*point) for point in points}) == 5
    assert sweep.key_of(*points[0]) == sweep.key_of(*points[0])
