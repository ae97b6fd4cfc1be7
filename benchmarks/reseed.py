"""The book at other seeds: which claims do not get the verdict they are registered with.

    make reseed SEEDS=5 PROFILE=smoke            every notebook at five seeds, then the table
    python benchmarks/reseed.py --only 'tasks/*' --seeds 3 --first 2001

Each notebook runs at each seed in a process of its own, with one BLAS thread. A claim with another
verdict is counted and the notebook goes on. Results are kept in _build/reseed/PROFILE and used
again as long as notebook, parameters, library and data are the same. The rate is compared with the
one that `w2s_utils.checks` states for the whole book; the exit status is 1 when it is higher
(one-sided binomial test at `SIGNIFICANCE`), or when a notebook raises or finishes nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import io
import json
import linecache
import os
import subprocess
import sys
import time
import traceback
import types
import warnings
from collections import defaultdict
from pathlib import Path

from joblib import Parallel, delayed
from scipy import stats

from w2s_book import build, execute, parameters
from w2s_utils import checks, claims, files

ROOT = Path(__file__).resolve().parents[1]
SIGNIFICANCE = 0.01
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", choices=parameters.PROFILES, default="smoke")
    parser.add_argument("--seeds", type=int, default=5, help="how many")
    parser.add_argument("--first", type=int, default=1001, help="the first one")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only", default="*", metavar="PATTERN", help="notebooks, as 'tasks/*'")
    parser.add_argument("--one", nargs=2, metavar=("NOTEBOOK", "SEED"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    layout = build.Layout(ROOT, given.profile)
    if given.one:
        name, seed = given.one
        return survey(layout, name, int(seed))
    names = [name for name in layout.parameters if fnmatch.fnmatch(name, given.only)]
    names = [name for name in names if not execute.missing_data(layout.source(name))]
    seeds = range(given.first, given.first + given.seeds)
    todo = [(name, seed) for seed in seeds for name in names]
    run = delayed(result)
    runs = Parallel(n_jobs=given.jobs, backend="threading")(run(layout, *one) for one in todo)
    return report(runs, given.seeds)


def kept(layout: build.Layout, name: str, seed: int) -> Path:
    return ROOT / "_build" / "reseed" / layout.profile / f"{name.replace('/', '-')}-{seed}.json"


def result(layout: build.Layout, name: str, seed: int) -> dict:
    """Return what one notebook gave at one seed, from an earlier run if nothing has changed."""
    path, inputs = kept(layout, name, seed), build.notebook_inputs(layout, name)
    if path.exists() and (run := json.loads(path.read_text("utf-8")))["inputs"] == inputs:
        return run
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    started = time.perf_counter()
    command = [sys.executable, __file__, "--profile", layout.profile, "--one", name, str(seed)]
    limit = 4 * build.TIMEOUTS[layout.profile]
    ended, run = f"stopped after {limit:g} s", {}
    with contextlib.suppress(subprocess.TimeoutExpired):
        done = subprocess.run(command, cwd=ROOT, env=os.environ | ONE_THREAD, timeout=limit,
                              capture_output=True, text=True, check=False)  # fmt: skip
        ended = f"ended with status {done.returncode}: {done.stderr[-500:]}"
    if path.exists():
        run = json.loads(path.read_text("utf-8"))
    else:
        run = {"notebook": name, "seed": seed, "inputs": inputs, "records": [], "error": ended}
    failed = [r["id"] for r in run["records"] if r["outcome"] == "failed"]
    seconds = time.perf_counter() - started
    told = "; ".join(filter(None, [", ".join(failed), run["error"]])) or "as registered"
    print(f"{name:32} seed {seed}  {seconds:5.0f} s  {told}", flush=True)
    return run


def survey(layout: build.Layout, name: str, seed: int) -> None:
    """Run the cells of a notebook in this process and keep the records, whatever happens."""
    import jupytext

    warnings.filterwarnings("ignore", message=".*non-interactive.*")
    nb = jupytext.read(layout.source(name))
    values = layout.parameters[name]
    # A notebook without a seed draws nothing: its splits are fixed by its design.
    parameters.substitute(nb, name, values | ({"seed": seed} if "seed" in values else {}))
    inputs = build.notebook_inputs(layout, name)
    error, module = "", types.ModuleType("__main__")
    sys.modules["__main__"] = module
    with claims.surveyed() as records:
        for index, cell in enumerate(cell for cell in nb.cells if cell.cell_type == "code"):
            title = f"<{name}, code cell {index + 1}>"
            linecache.cache[title] = (len(cell.source), None, cell.source.splitlines(True), title)
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    exec(compile(cell.source, title, "exec"), module.__dict__)
            except Exception:
                error = "".join(traceback.format_exc(limit=-8))
                break
    run = {"notebook": name, "seed": seed, "inputs": inputs, "records": records, "error": error}
    with files.replacing(kept(layout, name, seed)) as temporary:
        temporary.write_text(json.dumps(run, indent=1), "utf-8")


def report(runs: list[dict], seeds: int) -> int:
    """Print the claims with other verdicts, and the rate beside the stated one."""
    made: dict[str, int] = defaultdict(int)
    off: dict[str, list[dict]] = defaultdict(list)
    for run in runs:
        for record in run["records"]:
            made[record["id"]] += 1
            if record["outcome"] == "failed":
                off[record["id"]].append(record | {"seed": run["seed"]})
    broken = [run for run in runs if run["error"]]
    print(f"\nclaims with another verdict than the registered one, of {seeds} seeds\n")
    for id, records in sorted(off.items(), key=lambda pair: -len(pair[1])):
        print(f"{id}: {len(records)} of {made[id]}")
        for r in records:
            print(f"    seed {r['seed']}: {r['verdict']} for {r['wanted']}, observed "
                  f"{r['observed']:.4g}, expected {r['expected']:.4g}; {r['detail']}")  # fmt: skip
    for run in broken:
        print(f"{run['notebook']}, seed {run['seed']}: did not finish\n{run['error']}")
    total, wrong = sum(made.values()), sum(map(len, off.values()))
    # Only comparisons with an error can fail by chance.
    chances = sum(r["comparisons"] for run in runs for r in run["records"] if r["trials"])
    p = stats.binom.sf(wrong - 1, max(chances, wrong), checks.LEVEL)
    print(
        f"\n{wrong} of {total} verdicts are not the registered one ({wrong / max(total, 1):.2%}); "
        f"stated: {chances * checks.LEVEL:.3g} expected among the {chances} comparisons "
        f"(p = {p:.2g}); {len(broken)} of {len(runs)} runs did not finish"
    )
    return int(p < SIGNIFICANCE or bool(broken) or not total)


if __name__ == "__main__":
    os.environ.setdefault("MPLBACKEND", "agg")
    sys.exit(main())
