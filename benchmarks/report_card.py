"""What the report card costs, and how often its intervals cover.

    python benchmarks/report_card.py pass --rows 1000000   memory and time of one pass over the rows
    python benchmarks/report_card.py report                20 000 rows, three teachers
    python benchmarks/report_card.py coverage --draws 200  intervals against a known geometry
    python benchmarks/report_card.py verdicts --draws 200  labels of noise; what decides

Each part can be run alone. `pass` compares the whole report with the bare matrix products of the
same chunks in the same run, both on ``--jobs`` threads.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from numpy.lib.format import open_memmap
from threadpoolctl import threadpool_limits

import w2s_report
from w2s_utils.geometry import expected_risks_and_ratios
from w2s_utils.theory import risks

CHUNK = 20_000


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=["pass", "report", "coverage", "verdicts"])
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--widths", type=int, nargs=2, default=[512, 1024], metavar="D")
    given = parser.parse_args()
    if given.part == "pass":
        one_pass(given.rows, given.jobs, given.widths)
    elif given.part == "report":
        whole_report(given.jobs)
    elif given.part == "coverage":
        coverage(given.draws)
    else:
        verdicts(given.draws)


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


def one_pass(rows, jobs, widths):
    with tempfile.TemporaryDirectory() as name:
        # In a process of its own, so that its memory is not counted.
        pid = os.fork()
        if not pid:
            write_features(Path(name), rows, {"strong": widths[0], "w": widths[1]})
            os._exit(0)
        os.waitpid(pid, 0)
        paths = {k: Path(name) / f"{k}.npy" for k in ("strong", "w", "labels")}
        started, stages = clocks(), {}

        def note(share, what):
            stages[what] = clocks() - started

        strong, labels = paths["strong"], paths["labels"]
        w2s_report.report({"w": paths["w"]}, strong, labels, jobs=jobs, trials=20, progress=note)
        report, reading = clocks() - started, stages["reading the rows"]
        memory = peak_memory()
        started = clocks()
        bare_products(paths, rows, jobs)
        bare = clocks() - started
    print(f"{rows} rows x ({widths[0]} + {widths[1]}) float32, {jobs} threads; seconds, and of CPU")
    for what, spent in (("report", report), ("pass over the rows", reading), ("products", bare)):
        ratio = spent / bare
        print(f"{what:20} {spent[0]:7.1f} {spent[1]:7.1f}   ratio {ratio[0]:.2f}, of CPU "
              f"{ratio[1]:.2f}")  # fmt: skip
    print(f"peak memory of the report: {memory / 1e9:.2f} GB")


def clocks():
    """Wall time and CPU time of this process."""
    return np.array([time.perf_counter(), time.process_time()])


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
    inside = {}
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
        told = found.all_rows.predicted
        values |= {k: float(v) for k, v in exact.items() if k in told}
        ranges |= {k: told[k] for k in exact if k in told}
        for k, value in values.items():
            inside.setdefault(k, []).append(ranges[k].low <= value <= ranges[k].high)
    print(f"coverage of 95 % intervals over {draws} draws (standard error "
          f"{np.sqrt(0.95 * 0.05 / draws):.3f}), 300 labels, 3000 inputs")  # fmt: skip
    for k, hits in inside.items():
        print(f"{k:10} {np.mean(hits):.3f}")


def verdicts(draws):
    """Verdicts on labels of noise; coverage and width of every interval that is measured.

    The truth of an interval is the mean of its estimate over the draws.
    """
    for kind in ("gaussian", "relu", "sparse", "heavy tails", "classes"):
        for every in (False, True):
            decided, seen = Counter(), {}
            for noise in (True, False):
                for seed in range(draws):
                    arrays = problem(kind, noise, np.random.default_rng([8, seed]), every)
                    found = w2s_report.report({"w": arrays[0]}, *arrays[1:], seed=seed)
                    if noise:
                        decided[found.verdict.decision] += 1
                        continue
                    for name, value in intervals(found):
                        seen.setdefault(name, []).append((value.value, value.low, value.high))
            print(f"{kind}, {'all' if every else 'a third'} labelled, {draws} draws of noise: "
                  f"{dict(decided)}")  # fmt: skip
            for name, rows in seen.items():
                value, low, high = np.transpose(rows)
                hits, width = (low <= value.mean()) & (value.mean() <= high), high - low
                ratio = width.mean() / (2 * 1.96 * value.std(ddof=1) + 1e-12)
                print(f"  {name:36} coverage {hits.mean():.3f} of {len(hits)}, mean "
                      f"{value.mean():.3f}, width {width.mean():.3f}, {ratio:.2f} times what the "
                      "draws ask for", flush=True)  # fmt: skip


def intervals(card):
    """Every interval of a report that comes from splits, by name."""
    compared = card.comparisons[0]
    for metric, errors in compared.errors.items():
        yield from ((f"{metric}, {role}", value) for role, value in errors.items())
        over = compared.better[metric]["student"].items()
        yield from ((f"{metric}, {rival} less student", value) for rival, value in over)
        for name, values in (("OPR", compared.opr), ("PGR", compared.pgr)):
            if metric in values:
                yield f"{metric}, {name}", values[metric]
    yield "misfit", compared.misfit
    for name, value in card.teachers[0].reference.measured.items():
        yield f"least squares, {name}", value


def problem(kind, noise, rng, every=False):
    """Features of a kind, and labels of 200 of 600 inputs or of all, noise or not."""
    g = rng.standard_normal((600, 30))
    weak, strong = g[:, :10], g[:, 5:]
    if kind == "relu":
        maps = np.random.default_rng(0).standard_normal((10, 60))
        strong, weak = np.maximum(g[:, :10] @ maps, 0), np.maximum(g[:, :10] @ maps[:, :12], 0)
    elif kind == "sparse":
        strong = (rng.random((600, 40)) < 0.05).astype(float)
        weak = strong[:, :15]
    drawn = rng.standard_t(3, 600) if kind == "heavy tails" else rng.standard_normal(600)
    y = drawn + (0 if noise else strong[:, :6].sum(axis=1))
    if kind == "classes":
        y = (y > np.median(y)).astype(float)
    if not every:
        y[200:] = np.nan
    return weak, strong, y


if __name__ == "__main__":
    main()
