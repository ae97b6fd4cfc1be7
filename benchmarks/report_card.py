"""What the report card costs, and how often its intervals cover.

    python benchmarks/report_card.py pass --rows 1000000   memory and time of one pass over the rows
    python benchmarks/report_card.py report                20 000 rows, three teachers
    python benchmarks/report_card.py coverage --draws 200  intervals against a known geometry
    python benchmarks/report_card.py saving                sweeps: sums updated, heads refitted

Each part can be run alone. `pass` compares the whole report with the bare matrix products of the
same chunks in the same run, both on ``--jobs`` threads.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from numpy.lib.format import open_memmap
from threadpoolctl import threadpool_limits

import w2s_report
from w2s_report import splits
from w2s_utils import least_squares
from w2s_utils.geometry import expected_risks_and_ratios
from w2s_utils.least_squares import Moments
from w2s_utils.theory import risks

CHUNK = 20_000


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=["pass", "report", "coverage", "saving"])
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    if given.part == "pass":
        one_pass(given.rows, given.jobs)
    elif given.part == "report":
        whole_report(given.jobs)
    elif given.part == "coverage":
        coverage(given.draws)
    else:
        saving()


def write_features(folder, rows, widths, seed=0):
    """Write correlated Gaussian features chunk by chunk, decaying spectra, and labels of 2000."""
    rng = np.random.default_rng(seed)
    hidden = 256
    maps = {k: rng.standard_normal((hidden, w)).astype("f4") / 16 for k, w in widths.items()}
    decay = (1 / np.sqrt(1 + np.arange(hidden) / 8)).astype("f4")
    target = rng.standard_normal(hidden).astype("f4") / 16
    files = {
        k: open_memmap(folder / f"{k}.npy", "w+", np.float32, (rows, w)) for k, w in widths.items()
    }
    labels = np.full(rows, np.nan)
    for start in range(0, rows, CHUNK):
        count = min(CHUNK, rows - start)
        g = rng.standard_normal((count, hidden), np.float32)
        labels[start : start + count] = g @ target + 0.3 * rng.standard_normal(count)
        for k, file in files.items():
            noise = 0.1 * rng.standard_normal((count, widths[k]), np.float32)
            file[start : start + count] = (g * decay) @ maps[k] + noise
        for k in files:
            files[k].flush()
            files[k] = open_memmap(folder / f"{k}.npy", "r+")  # lets go of the pages
    labels[rng.permutation(rows)[2000:]] = np.nan
    np.save(folder / "labels.npy", labels)
    return {k: folder / f"{k}.npy" for k in [*widths, "labels"]}


def bare_products(paths, rows, jobs):
    """Sum Z^T Z over chunks of rows, nothing else: what any second moment costs."""

    def chunk(start):
        parts = [np.load(paths[k], mmap_mode="r")[start : start + CHUNK] for k in ("strong", "w")]
        z = np.hstack(parts)
        return (z.T @ z).astype(float)

    total = 0
    with threadpool_limits(1, "blas"):
        found = Parallel(n_jobs=jobs, backend="threading", return_as="generator")(
            delayed(chunk)(start) for start in range(0, rows, CHUNK)
        )
        for product in found:
            total = total + product
    return total


def one_pass(rows, jobs):
    with tempfile.TemporaryDirectory() as name:
        # In a process of its own, so that its memory is not counted.
        pid = os.fork()
        if not pid:
            write_features(Path(name), rows, {"strong": 512, "w": 1024})
            os._exit(0)
        os.waitpid(pid, 0)
        paths = {k: Path(name) / f"{k}.npy" for k in ("strong", "w", "labels")}
        started = time.perf_counter(), time.process_time()
        stages = []

        def note(share, what):
            stages.append((what, time.perf_counter() - started[0]))

        strong, labels = paths["strong"], paths["labels"]
        w2s_report.report({"w": paths["w"]}, strong, labels, jobs=jobs, trials=20, progress=note)
        wall, cpu = time.perf_counter() - started[0], time.process_time() - started[1]
        memory = peak_memory()
        reading = max(at for what, at in stages if what == "reading the rows")
        started = time.perf_counter(), time.process_time()
        bare_products(paths, rows, jobs)
        bare = time.perf_counter() - started[0], time.process_time() - started[1]
    print(f"{rows} rows x (512 + 1024) float32, {jobs} threads")
    print(
        f"report: {wall:.1f} s ({cpu:.1f} s CPU), of which the pass over the rows {reading:.1f} s"
    )
    print(f"products alone: {bare[0]:.1f} s ({bare[1]:.1f} s CPU)")
    print(f"ratio: {wall / bare[0]:.2f} (pass alone {reading / bare[0]:.2f}); in CPU time "
          f"{cpu / bare[1]:.2f}")  # fmt: skip
    print(f"peak memory of the report: {memory / 1e9:.2f} GB")


def peak_memory():
    """Largest resident memory so far, in bytes (Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def whole_report(jobs):
    with tempfile.TemporaryDirectory() as name:
        widths = {"strong": 512, "a": 768, "b": 768, "c": 768}
        paths = write_features(Path(name), 20_000, widths)
        for labelled in ("2000 labels", "all labels"):
            labels = np.load(paths["labels"])
            if labelled == "all labels":
                rng = np.random.default_rng(1)
                labels = np.load(paths["strong"])[:, :5].sum(axis=1) + rng.standard_normal(20_000)
            started = time.perf_counter(), time.process_time()
            found = w2s_report.report(
                {k: paths[k] for k in "abc"}, paths["strong"], labels, jobs=jobs
            )
            wall, cpu = time.perf_counter() - started[0], time.process_time() - started[1]
            kept = [r.dimension for r in found.data.representations]
            print(f"20 000 x (512 + 768), three teachers, {labelled}, dimensions {kept}: "
                  f"{wall:.1f} s, {cpu:.1f} s CPU here, {jobs} jobs")  # fmt: skip


def coverage(draws):
    inside, exact_pgr = {}, []
    for seed in range(draws):
        rng = np.random.default_rng([7, seed])
        g = rng.standard_normal((3000, 14))
        # Two canonical correlations lie strictly between 0 and 1.
        strong = g[:, 2:12].copy()
        strong[:, :2] = 0.6 * strong[:, :2] + 0.8 * rng.standard_normal((3000, 2))
        weak = g[:, :6]
        y = 0.5 * g[:, 0] + 0.8 * g[:, 5] + 0.6 * g[:, 7] + 0.3 * g[:, 13]
        y = y + 0.7 * rng.standard_normal(3000)
        y[300:] = np.nan
        truth = risks.Setting(
            d_w=7, d_s=11, d_sw=3 + 2 * 0.36, sigma2=0, rho_w=0.94, rho_s=0.83, b=0.36, kappa=0.25
        )
        found = w2s_report.report(
            {"w": weak}, strong, y, share=0.999999, trials=4, seed=seed
        ).teachers[0]
        exact = expected_risks_and_ratios(truth, found.all_rows.n, found.all_rows.N)
        values = {k: getattr(truth, k) for k in ("rho_w", "rho_s", "b", "kappa")}
        ranges = {k: found.estimates[k] for k in values}
        values["d_sw"], ranges["d_sw"] = truth.d_sw, found.overlap.d_sw
        values |= {k: float(v) for k, v in exact.items()}
        ranges |= {k: found.all_rows.predicted[k] for k in exact}
        for k, value in values.items():
            inside.setdefault(k, []).append(ranges[k].low <= value <= ranges[k].high)
        exact_pgr.append(found.all_rows.predicted["pgr"].value)
    print(f"coverage of 95 % intervals over {draws} draws (standard error "
          f"{np.sqrt(0.95 * 0.05 / draws):.3f}), 300 labels, 3000 inputs")  # fmt: skip
    for k, hits in inside.items():
        print(f"{k:10} {np.mean(hits):.3f}")


def saving():
    rng = np.random.default_rng(0)
    rows, d_w, d_s, trials = 20_000, 60, 120, 3
    g = rng.standard_normal((rows, 200))
    weak, strong, y = g[:, :d_w], g[:, 50 : 50 + d_s], g @ rng.standard_normal(200)
    design = splits.Design.of(rows, 0, 0)
    ns, Ns = design.sizes(3 * d_w, 3 * d_s)
    cells = list(dict.fromkeys([*((n, design.N) for n in ns), *((design.n, N) for N in Ns)]))
    targets = y[:, None]
    started = time.process_time()
    groups = splits.grouped(weak, strong, targets, design.size, rng)
    grouping = time.process_time() - started
    started = time.process_time()
    splits.splits(groups, (), design, cells, trials=trials, rng=rng)
    updated = time.process_time() - started
    started = time.process_time()
    head = least_squares.MinimumNorm()
    for _ in range(trials):
        order = rng.permutation(rows)
        test = order[design.n + design.N :]
        for n, N in cells:
            given, hidden = order[:n], order[design.n : design.n + N]
            teacher = head.fit(weak[given], y[given])
            student = head.fit(strong[hidden], teacher.predict(weak[hidden]))
            both = np.concatenate([given, hidden])
            models = [head.fit(strong[given], y[given]), head.fit(strong[both], y[both]), student]
            for model in models:
                np.mean((model.predict(strong[test]) - y[test]) ** 2)
            np.mean((teacher.predict(weak[test]) - y[test]) ** 2)
    refitted = time.process_time() - started
    assert isinstance(groups[0], Moments)
    per = updated / trials
    print(
        f"{rows} labelled rows, d_w = {d_w}, d_s = {d_s}, {len(cells)} sizes, CPU seconds a split"
    )
    print(f"heads refitted on rows: {refitted / trials:.2f}; sums updated: {per:.2f}, after "
          f"{grouping:.2f} once for groups; {refitted / trials / per:.0f} times less")  # fmt: skip


if __name__ == "__main__":
    main()
