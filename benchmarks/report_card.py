"""What the report card costs, and how often its intervals cover.

    python benchmarks/report_card.py pass --rows 1000000   memory and time of one pass over the rows
    python benchmarks/report_card.py report                20 000 rows, three teachers
    python benchmarks/report_card.py command               200 rows: the command beside the call
    python benchmarks/report_card.py coverage --draws 200  intervals against known truths
    python benchmarks/report_card.py verdicts --draws 200  labels of noise

Each part can be run alone. `pass` compares the whole report with the bare matrix products of the
same chunks before and after it, all on ``--jobs`` threads.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
from joblib import Parallel, delayed
from numpy.lib.format import open_memmap
from threadpoolctl import threadpool_limits

import w2s_report
from w2s_report import analysis, comparison, teachers
from w2s_report.inputs import open_inputs
from w2s_report.one_pass import block
from w2s_report.options import Options
from w2s_utils.geometry import expected_risks_and_ratios, oracle_setting
from w2s_utils.theory.risks import Setting

CHUNK = 20_000
KINDS = ("gaussian", "relu", "sparse", "heavy features", "heavy labels", "wild labels")
TASKS = ("numbers", "classes")
PARTS = ("measured", "predicted")
MEDIAN = {"gaussian": 0, "relu": 7.5, "sparse": 0.3, "heavy features": 0, "heavy labels": 0,
          "wild labels": 0}  # fmt: skip
ROWS, FRESH = 600, 2000
LABELS, MANY, POOL = 300, 3000, 500_000
MONEY = {"budget": 600.0, "label_price": 1.0, "pseudo_label_price": 0.01}
TRUTHS = 5  # data sets from which a truth is, for each on which an interval is


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=["pass", "report", "command", "coverage", "verdicts"])
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="seed of the first draw")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    parser.add_argument("--of", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--out", help="file for the numbers")
    parser.add_argument("--widths", type=int, nargs=2, default=[512, 1024], metavar="D")
    given = parser.parse_args()
    seeds = range(given.first, given.first + given.draws)
    if given.part == "pass":
        one_pass(given.rows, given.jobs, given.widths)
    elif given.part == "report":
        whole_report(given.jobs)
    elif given.part == "command":
        small_report()
    elif given.part == "coverage":
        coverage(seeds, given.jobs, given.kinds, given.tasks, given.of, given.out)
    else:
        verdicts(seeds, given.kinds, given.tasks)


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
        before = timed_products(paths, rows, jobs)  # what comes first reads files just written
        started, stages = clocks(), {}

        def note(share, what):
            stages[what] = clocks() - started

        strong, labels = paths["strong"], paths["labels"]
        w2s_report.report({"w": paths["w"]}, strong, labels, jobs=jobs, trials=20, progress=note)
        report, reading = clocks() - started, stages["reading the rows"]
        memory = peak_memory()
        bare = (before + timed_products(paths, rows, jobs)) / 2
    print(f"{rows} rows x ({widths[0]} + {widths[1]}) float32, {jobs} threads; seconds, and of CPU")
    for what, spent in (("report", report), ("pass over the rows", reading), ("products", bare)):
        ratio = spent / bare
        print(f"{what:20} {spent[0]:7.1f} {spent[1]:7.1f}   ratio {ratio[0]:.2f}, of CPU "
              f"{ratio[1]:.2f}")  # fmt: skip
    print(f"peak memory of the report: {memory / 1e9:.2f} GB")


def timed_products(paths, rows, jobs):
    started = clocks()
    bare_products(paths, rows, jobs)
    return clocks() - started


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


def small_report(repeats=7):
    """CPU time of the command and of the same call of `w2s_report.report`, each its own process."""
    call = "import w2s_report; w2s_report.report({'w': 'w.npy'}, 's.npy', 'y.npy')"
    given = {"--weak": "w=w.npy", "--strong": "s.npy", "--labels": "y.npy"}
    command = ["-m", "w2s_book.cli", "report", *itertools.chain(*given.items()), "--force"]
    seconds = {"call": [], "command": []}
    with tempfile.TemporaryDirectory() as name:
        for key, values in zip(
            "wsy", draw("gaussian", "numbers", 200, np.random.default_rng(0)), strict=True
        ):
            np.save(Path(name) / f"{key}.npy", values)
        for _ in range(repeats + 1):
            for what, arguments in (("call", ["-c", call]), ("command", command)):
                before = os.times()
                subprocess.run(
                    [sys.executable, *arguments], cwd=name, check=True, stdout=subprocess.DEVNULL
                )
                after = os.times()
                spent = np.subtract(after[2:4], before[2:4]).sum()  # of children
                seconds[what].append(float(spent))
    call, command = (np.array(values[1:]) for values in seconds.values())  # the first compiles
    print(f"200 rows, {repeats} pairs, medians of CPU: call {np.median(call):.2f} s, command "
          f"{np.median(command):.2f} s, ratio {np.median(command / call):.2f}")  # fmt: skip


def coverage(seeds, jobs, kinds, tasks, parts, out):
    """Print how often each 95 % interval holds its truth, and how wide it is.

    The truth of what was *measured* is what models taught as in a split, on other inputs, err by on
    `FRESH` inputs more, averaged over `TRUTHS` times as many draws; of what was *predicted* the
    formula at the geometry of `POOL` inputs, and beside it what least squares errs by at those
    sizes ("met").
    """
    table = {}
    for kind, task in itertools.product(kinds, tasks):
        for every in (False, True) if "measured" in parts else ():
            cell = f"{kind}, {task}, {'all' if every else 'a third'} labelled"
            made = partial(measured, kind, task, every), partial(expected, kind, task, every)
            table[cell] = held(cell, *made, seeds, jobs)
        if "predicted" in parts:
            made = partial(predicted, kind, task), partial(met, kind, task)
            cell = f"{kind}, {task}, predicted"
            table[cell] = held(cell, *made, seeds, jobs, formulas(kind, task))
        if out:
            Path(out).write_text(json.dumps(table))


def held(cell, report, simulate, seeds, jobs, known=None):
    """Coverage and widths of one kind: by name, what is known of them over the draws."""
    with Parallel(n_jobs=jobs) as pool, threadpool_limits(1, "blas"):
        found = pool(delayed(report)(seed) for seed in seeds)
        means = pool(delayed(simulate)(TRUTHS * seed + i) for seed in seeds for i in range(TRUTHS))
    mean = {k: np.mean([one[k] for one in means]) for k in means[0]}
    error = {k: np.std([one[k] for one in means]) / len(means) ** 0.5 for k in mean}
    truth, rows = with_ratios(mean) | (known or {}), {}
    print(f"{cell}, {len(seeds)} draws")
    for name in dict.fromkeys(name for one in found for name in one):
        given = np.array([one[name] for one in found if name in one])
        value, low, high = given.T
        goal = truth[name]
        rows[name] = {
            "given": len(given),
            "truth": goal,
            "error": error.get(name),
            "mean": value.mean(),
            "coverage": np.mean((low <= goal) & (goal <= high)),
            "below": np.mean(high < goal),
            "width": np.median(high - low),
            "asked": np.median(high - low) / (2 * 1.96 * value.std(ddof=1) + 1e-12),
            "ranges": given.tolist(),
        }
        one = rows[name]
        print(f"  {name:40} {one['coverage']:.3f} of {len(given):3}, truth {goal:9.4g}, mean "
              f"{value.mean():9.4g}, width {one['width']:9.4g}, {one['asked']:.2f} times what the "
              "draws ask for", flush=True)  # fmt: skip
    return rows


def with_ratios(mean):
    """Means of errors, and what they imply: differences and ratios."""
    found = dict(mean)
    for metric in {name.split(", ")[0] for name in mean if name.endswith("student")}:
        at = {k.split(", ")[1]: v for k, v in mean.items() if k.startswith(metric + ", ")}
        for model, rival in itertools.product(("student", "teacher"), at):
            found[f"{metric}, {rival} less {model}"] = at[rival] - at[model]
        found[f"{metric}, OPR"] = found[f"{metric}, opr"] = at["baseline"] / at["student"]
        found[f"{metric}, gain"] = at["teacher"] - at["student"]
        found[f"{metric}, advantage"] = at["baseline"] - at["student"]
        if "ceiling" in at:
            gap = found[f"{metric}, gap"] = at["teacher"] - at["ceiling"]
            found[f"{metric}, PGR"] = found[f"{metric}, pgr"] = found[f"{metric}, gain"] / gap
    return found


def draw(kind, task, rows, rng, noise=False):
    """Features of a kind and labels, those of noise apart from any feature."""
    g = rng.standard_normal((rows, 30))
    if kind == "heavy features":  # Student's t with 5 degrees of freedom: rows have a scale
        g *= np.sqrt(5 / rng.chisquare(5, rows))[:, None]
    weak, strong = g[:, :10], g[:, 5:]
    if kind == "relu":
        maps = np.random.default_rng(0).standard_normal((10, 40))
        strong, weak = np.maximum(g[:, :10] @ maps, 0), np.maximum(g[:, :8] @ maps[:8, ::-4], 0)
    elif kind == "sparse":
        bits = (rng.random((rows, 45)) < 0.05).astype(float)
        weak, strong = bits[:, :15], bits[:, 5:]
    # Squares of errors with Student's law of 3 degrees of freedom have no variance.
    tails = {"heavy labels": 5, "wild labels": 3}.get(kind)
    y = rng.standard_t(tails, rows) if tails else rng.standard_normal(rows)
    y += 0 if noise else strong[:, :6].sum(axis=1) + weak[:, 0]
    return weak, strong, (y > MEDIAN[kind]).astype(float) if task == "classes" else y


def problem(kind, task, noise, rng, every=False):
    """What a report is given: labels of 200 of 600 inputs or of all, of noise or not."""
    weak, strong, y = draw(kind, task, ROWS, rng, noise)
    if not every:
        y[ROWS // 3 :] = np.nan
    return weak, strong, y


def studied(weak, strong, y, seed):
    """What a report compares: labels, features in white directions, and two contests."""
    settings = Options(seed=seed)
    nothing = dict.fromkeys(("teacher", "student", "baseline", "ceiling"))
    inputs = open_inputs({"w": weak}, strong, y, None, None, nothing, settings)
    study = analysis._study(inputs, settings, lambda share, what: None)
    plain = study.contest("least squares", matches=inputs.fitted, targets=study.used.targets)
    return study, {"": analysis._contest(inputs, study), "least squares": plain}


def measured(kind, task, every, seed):
    """Every interval of a report that comes from splits, by name."""
    arrays = problem(kind, task, False, np.random.default_rng([18, seed]), every)
    study, contests = studied(*arrays, seed)
    found, trials = {}, Options().trials

    for head, contest in contests.items():
        [compared] = comparison.compare(contest, study.design, trials, seed)
        for metric, errors in compared.errors.items():
            told = {f"{metric}, {role}": value for role, value in errors.items()}
            for model, over in compared.better[metric].items():
                told |= {f"{metric}, {rival} less {model}": value for rival, value in over.items()}
            for name, values in (("OPR", compared.opr), ("PGR", compared.pgr)):
                told |= {f"{metric}, {name}": values[metric]} if metric in values else {}
            found |= {name.replace("squared error", head or "ridge"): v for name, v in told.items()}
        found |= {f"{head or 'heads'}, misfit": compared.misfit} | compared.similarity
    return {name: (v.value, v.low, v.high) for name, v in found.items()}


def expected(kind, task, every, seed):
    """What models taught as in a split of a report err by on fresh inputs, from one split."""
    rng = np.random.default_rng([19, seed])
    *features, y = draw(kind, task, ROWS + FRESH, rng)
    weak, strong, labels = (values[:ROWS].copy() for values in (*features, y))
    if not every:
        labels[ROWS // 3 :] = np.nan
    study, contests = studied(weak, strong, labels, seed)
    told = replace(study.used, rows=np.arange(FRESH), values=y[ROWS:])
    found = {}
    for head, contest in contests.items():
        labelled = len(contest.targets)
        own = told.one_hot if contest.classes else told.values[:, None] - study.used.middle
        wide = {}
        for spectrum, raw in zip(study.spectra, features[::-1], strict=True):
            held = contest.features[spectrum.name]
            cut = spectrum.cut(1 + held.shape[1])[:, 1:]
            fresh = block(raw[ROWS:], *study.sums.placed[spectrum.name]) @ cut
            wide[spectrum.name] = np.vstack([held[:labelled], fresh, held[labelled:]])
        given, pseudo, _ = comparison._parts(contest, study.design, rng)
        rows = given, pseudo + FRESH * (pseudo >= labelled), labelled + np.arange(FRESH)
        both = replace(contest, features=wide, targets=np.vstack([contest.targets, own]))
        with mock.patch.object(comparison, "_parts", lambda *_, rows=rows: rows):
            seen = comparison.one_split(both, study.design, rng, True)
        for (role, _), losses in seen["losses"].items():
            for metric, values in losses.items():
                metric = metric.replace("squared error", head or "ridge")
                found[f"{metric}, {role}"] = values.mean()
        for name, values in seen["measures"][contest.matches[0]].items():
            found[f"{head or 'heads'}, misfit" if name == "misfit" else name] = values.mean()
    return found


def predicted(kind, task, seed):
    """Every interval of a report that comes from formulas, by name; no feature is cut."""
    weak, strong, y = draw(kind, task, MANY, np.random.default_rng([18, seed]))
    y[LABELS:] = np.nan
    found = w2s_report.report(
        {"w": weak}, strong, y, share=0.9999999, trials=4, seed=seed, **MONEY
    ).teachers[0]
    told = {"d_sw": found.overlap.d_sw} | dict(found.estimates)
    for name, value in found.all_rows.predicted.items():
        told |= {f"formula, {name}": value, f"met, {name}": value}
    more = {"nine tenths": found.enough, "break-even": found.break_even}
    told |= {name: value for name, value in more.items() if value}
    for bought in found.purchases:
        told |= purchased(bought)
    return {name: (v.value, v.low, v.high) for name, v in told.items()}


def formulas(kind, task):
    """What the formulas say of the geometry of very many inputs."""
    weak, strong, y = draw(kind, task, POOL, np.random.default_rng([20, 0]))
    weak, strong = (np.hstack([np.ones((POOL, 1)), one]) for one in (weak, strong))
    truth = oracle_setting(weak, strong, y)
    told = {name: getattr(truth, name) for name in ("d_sw", "rho_w", "rho_s", "b", "kappa")}
    exact = expected_risks_and_ratios(truth, LABELS, MANY - LABELS)
    told |= {f"formula, {name}": float(value) for name, value in exact.items()}
    every = Setting.stack([truth] * 3)
    for name, solve, size in (
        ("nine tenths", teachers._pseudo_labels_for_most_gain, LABELS),
        ("break-even", teachers._break_even, MANY - LABELS),
    ):
        found = solve(every, size)
        told[name] = found.value if found else np.inf
    return told | {
        name: value.value
        for bought in teachers._purchases([truth] * 3, LABELS, Options.of(MONEY))
        for name, value in purchased(bought).items()
    }


def purchased(bought):
    """What a purchase is predicted to bring, by name."""
    return {f"budget {bought.budget:g}, {name}": v for name, v in bought.predicted.items()}


def met(kind, task, seed):
    """What least squares errs by at the sizes that were predicted for, on fresh inputs."""
    weak, strong, y = draw(kind, task, MANY + FRESH, np.random.default_rng([19, seed]))
    weak, strong = (np.hstack([np.ones((len(y), 1)), one]) for one in (weak, strong))

    def fit(phi, rows, targets):
        return phi @ np.linalg.lstsq(phi[rows], targets, rcond=None)[0]

    labelled, pseudo, fresh = slice(LABELS), slice(LABELS, MANY), slice(MANY, None)
    teacher = fit(weak, labelled, y[labelled])
    said = {
        "teacher": teacher,
        "student": fit(strong, pseudo, teacher[pseudo]),
        "baseline": fit(strong, labelled, y[labelled]),
        "ceiling": fit(strong, slice(MANY), y[:MANY]),
    }
    found = {f"met, {role}": np.mean((v - y)[fresh] ** 2) for role, v in said.items()}
    return found | {"met, misfit": np.mean((said["student"] - teacher)[fresh] ** 2)}


def verdicts(seeds, kinds, tasks):
    """Verdicts on labels of noise."""
    for kind, task, every in itertools.product(kinds, tasks, (False, True)):
        decided = Counter()
        for seed in seeds:
            weak, strong, y = problem(kind, task, True, np.random.default_rng([18, seed]), every)
            found = w2s_report.report({"w": weak}, strong, y, seed=seed)
            decided[found.verdict.decision] += 1
        cell = f"{kind}, {task}, {'all' if every else 'a third'} labelled"
        print(f"{cell}, {len(seeds)} draws of noise: {dict(decided)}", flush=True)


if __name__ == "__main__":
    main()
