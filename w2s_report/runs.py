r"""A finished run's folder of openai/weak-to-strong or of EleutherAI/w2s, as a report.

Read as their public code writes it (the guide lists the files); a ``results.pkl``, which holds the
answers by input, is never unpickled. In both codes the teacher learns from one half of the training
data and the student from the other, of the same size: so the strong model on true labels, whichever
half it had, stands for the baseline (as many labels as the teacher had) and for the ceiling (as
many as there are pseudo-labels).
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from w2s_report import card, comparison, verdict, words
from w2s_report.comparison import Comparison, Contest, Match, Z, against, around, nonnegative
from w2s_report.readers import refusal
from w2s_utils.geometry import Range

METRIC = "error rate"


@dataclass(frozen=True, eq=False)
class Pair:
    """A teacher and its student as a folder tells of them, in one run or in several seeds."""

    code: str
    data: str
    teacher: str
    student: str
    settings: str
    accuracies: Mapping[str, Sequence[float]]
    """On the test inputs, by role ("teacher", "student", "strong"), one for each seed."""
    labels: int
    """Of the teacher, and pseudo-labels."""
    rows: int
    """Test inputs at most."""
    truth: NDArray[np.int64] | None = None
    """Classes of other inputs, and by role the probabilities of the second class there."""
    answers: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)


def report_run(folder: str | Path) -> card.ReportCard:
    """Report on finished runs: error rates, PGR and OPR of every teacher and student in a folder.

    The folder is as openai/weak-to-strong or EleutherAI/w2s leaves it; ``FOLDER:NAME`` takes the
    runs on one data set of several. ``notes`` of the report say what such a folder lacks. Errors of
    two models are taken as independent, for the inputs they err on are not known.

    Raises
    ------
    InputError
        In one line: which file has no known form, and what was expected.
    """
    head, colon, wanted = str(folder).rpartition(":")
    root, wanted = (Path(head), wanted) if colon and Path(head).is_dir() else (Path(folder), "")
    if not root.is_dir():
        raise refusal("no folder of runs", folder=folder)
    root = root.resolve()
    files: list[Path] = []
    pairs = [*_simple(root, files), *_eleuther(root, files)]
    for path in [] if pairs else sorted(root.rglob("*.results_summary.json")):
        told = ", ".join(f"{k} {str(v)[:9]}" for k, v in _json(path, files, "weak_acc").items())
        raise refusal("accuracies alone", path=path, told=told)
    if not pairs:
        pickled = ", ".join(sorted({path.name for path in root.rglob("*.pkl")})) or "none"
        raise refusal("no run of a student", root=root, pickled=pickled)
    sets = sorted({pair.data for pair in pairs})
    if (wanted or sets[0]) not in sets or (not wanted and len(sets) > 1):
        raise refusal("several data sets", root=root, sets=", ".join(sets), first=sets[0])
    pairs = _merged([pair for pair in pairs if pair.data == (wanted or sets[0])])
    compared = tuple(map(_compared, pairs))
    rows, labels = pairs[0].rows, pairs[0].labels
    settings = {"run": root.name, "data set": pairs[0].data}
    read = tuple(
        card.File("run", f"{path.parent.name}/{path.name}", (path.stat().st_size,), path.suffix[1:],
                  hashlib.sha256(path.read_bytes()).hexdigest(), False)
        for path in dict.fromkeys(files)
    )  # fmt: skip
    return card.ReportCard(
        data=card.Data(rows, rows, labels, rows, 0, "binary", {}, None, None, ()),
        teachers=(),
        comparisons=compared,
        rankings=(),
        verdict=verdict.decide((), compared),
        design={},
        provenance=card.Provenance(settings, read, {"w2s_utils": metadata.version("w2s_utils")}),
        notes=words.paragraphs("lacks.txt", pairs=pairs, codes={pair.code for pair in pairs}),
    )


def _merged(pairs: Sequence[Pair]) -> list[Pair]:
    """Seeds of the same models and settings as one pair."""
    groups: dict[tuple[str, ...], list[Pair]] = {}
    for pair in pairs:
        groups.setdefault((pair.teacher, pair.student, pair.settings), []).append(pair)
    names = [key[:2] for key in groups]
    return [
        replace(
            group[0],
            accuracies={role: [value for pair in group for value in pair.accuracies[role]]
                        for role in group[0].accuracies},
            student=key[1] if names.count(key[:2]) == 1 else f"{key[1]} ({key[2]})",
        )
        for key, group in groups.items()
    ]  # fmt: skip


def _simple(root: Path, files: list[Path]) -> Iterator[Pair]:
    """Pairs of ``train_simple.py``, which keeps with a student the settings of its teacher."""
    runs = []
    for path in sorted(root.rglob("results_summary.json")):
        expected = ("ds_name", "model_size", "loss", "n_docs", "n_test_docs")
        config = _json(path.with_name("config.json"), files, *expected)
        runs.append((config, _json(path, files, "accuracy")["accuracy"], path.parent))

    def settings(config: Mapping[str, Any], *but: str) -> dict[str, Any]:
        return {k: v for k, v in config.items() if k not in ("weak_model", "weak_model_size", *but)}

    for config, accuracy, folder in runs:
        if "weak_model" not in config:
            continue
        teacher = next((run for run in runs if run[0] == config["weak_model"]), None)
        if teacher is None:
            raise refusal("no run of the teacher", folder=folder, root=root)
        strong = [run[1] for run in runs if "weak_model" not in run[0]
                  and settings(run[0], "loss") == settings(config, "loss")]  # fmt: skip
        truth = None
        if (teacher[2] / "weak_labels").is_dir():
            truth, _ = _arrow(teacher[2] / "weak_labels", files, "gt_label", "soft_label")
        told = {"teacher": [teacher[1]], "student": [accuracy], "strong": strong[:1]}
        alike = ", ".join(f"{k}={v}" for k, v in settings(config, "seed").items())
        labels = config["n_docs"] // 2 if truth is None else len(truth)
        yield Pair("simple", config["ds_name"], teacher[0]["model_size"],
                   f"{config['model_size']}, {config['loss']}", alike, told, labels,
                   config["n_test_docs"], truth)  # fmt: skip


def _eleuther(root: Path, files: list[Path]) -> Iterator[Pair]:
    """Pairs of EleutherAI/w2s, further rounds (``s2s-0``, ...) among them."""
    expected = ("weak_model_name", "strong_model_name", "dataset", "loss_name", "n_train", "n_test",
                "shared_folder")  # fmt: skip
    for path in sorted([*root.rglob("w2s/results.json"), *root.rglob("s2s-*/results.json")]):
        config = _json(path.with_name("config.json"), files, *expected)
        run = path.parents[min(1 + len(Path(config["dataset"]).parts), len(path.parents) - 1)]
        shared = run.parent / config["shared_folder"] / config["dataset"]
        where = {"teacher": shared / "weak", "student": path.parent, "strong": shared / "strong"}
        for role, key in (("teacher", "weak_model_name"), ("strong", "strong_model_name")):
            other = _json(where[role] / "config.json", files, *expected)
            if any(other[k] != config[k] for k in (key, "n_train", "n_test")):
                raise refusal("another experiment", folder=where[role], student=path.parent)
        key = "eval_accuracy"
        told = {role: [_json(folder / "results.json", files, key)[key]]
                for role, folder in where.items()}  # fmt: skip
        truth, answers, texts = None, {}, []
        saved = {role: where[role] / "predictions/val" for role in ("teacher", "student")}
        if all(folder.is_dir() for folder in saved.values()):
            for role, folder in saved.items():
                truth, answers[role], text = _arrow(folder, files, "gt_labels", "soft_pred", "txt")
                texts.append(text)
            if not np.array_equal(texts[0], texts[1]):
                raise refusal("other texts", **saved)
        weak, strong = (config[f"{m}_model_name"].split("/")[-1] for m in ("weak", "strong"))
        student = f"{strong}, {config['loss_name']}, {run.name}/{path.parent.name}"
        yield Pair("eleuther", config["dataset"], weak, student, "", told, config["n_train"] // 2,
                   config["n_test"], truth, answers)  # fmt: skip


def _json(path: Path, files: list[Path], *expected: str) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise refusal("unknown form", path=path, why=str(error)[:120]) from None
    for key in expected:
        value: Any = found.get(key) if isinstance(found, dict) else None
        if "acc" in key or key.startswith("n_"):
            low, high = (0, 1) if "acc" in key else (2, 10**12)
            fits = type(value) in (int, float) and low <= value <= high
        else:
            fits = isinstance(value, list if key.startswith("_") else str)
        if not fits:
            raise refusal("unknown form", path=path, why=f"{key} is {str(value)[:40]}")
    files.append(path)
    return dict(found)


def _arrow(folder: Path, files: list[Path], *columns: str) -> list[NDArray]:
    """Columns of a data set as ``save_to_disk`` of the package ``datasets`` writes it."""
    try:
        import pyarrow as pa
    except ImportError:
        raise refusal("no pyarrow", given=folder) from None
    parts = _json(folder / "state.json", files, "_data_files")["_data_files"]
    try:
        paths = [folder / Path(part["filename"]).name for part in parts]
        table = pa.concat_tables(pa.ipc.open_stream(path.read_bytes()).read_all() for path in paths)
        found = [np.array(table.column(name).to_pylist()) for name in columns]
        if not len(found[0]) or not np.isin(found[0], (0, 1)).all():
            raise ValueError(f"{columns[0]} is not 0 or 1 everywhere")
        if found[1].dtype != float or not np.all((found[1] >= 0) & (found[1] <= 1)):
            raise ValueError(f"{columns[1]} is no probability")
    except (OSError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
        why, named = str(error)[:120], ", ".join(columns)
        raise refusal("no saved data set", folder=folder, why=why, columns=named) from None
    files.extend(paths)
    return [found[0].astype(int), *found[1:]]


def _compared(pair: Pair) -> Comparison:
    """One pair beside its rivals, by the error rate; by log-loss too where there are answers."""
    rates = {role: _rate(values, pair.rows) for role, values in pair.accuracies.items() if values}
    if pair.truth is not None:
        rare = float(min(np.mean(pair.truth), 1 - np.mean(pair.truth)))
        seen = 1 / len(pair.truth) + 1 / pair.rows
        rates = {"constant": (rare, rare * (1 - rare) * seen)} | rates
    if "strong" in rates:
        rates["baseline"] = rates["ceiling"] = rates.pop("strong")

    def ranged(value: float, variance: float) -> Range:
        return around(value, Z * math.sqrt(variance))

    def less(rival: tuple[float, float], model: tuple[float, float]) -> Range:
        return ranged(rival[0] - model[0], rival[1] + model[1])

    pgr, opr = {}, {}
    (student, of_student), (teacher, of_teacher) = rates["student"], rates["teacher"]
    if "ceiling" in rates and student > 0:
        best, of_best = rates["ceiling"]
        noise = of_best + best**2 * of_student / student**2
        opr[METRIC] = ranged(best / student, noise / student**2)
        if comparison.resolved(less(rates["teacher"], rates["ceiling"])):
            share = (teacher - student) / (teacher - best)
            noise = (1 - share) ** 2 * of_teacher + of_student + share**2 * of_best
            pgr[METRIC] = ranged(share, noise / (teacher - best) ** 2)
    errors = {role: nonnegative(ranged(*rate)) for role, rate in rates.items()}
    found = Comparison(
        teacher=pair.teacher,
        given=("teacher", "student", "baseline", "ceiling"),
        n=pair.labels,
        N=pair.labels,
        test_rows=pair.rows,
        splits=len(pair.accuracies["student"]),
        decides=METRIC,
        errors={METRIC: errors},
        better={METRIC: against(rates, less)},
        pgr=pgr,
        opr=opr,
        misfit=around(math.nan, math.nan),
        student=pair.student,
    )
    if pair.truth is None or not pair.answers:
        return found
    match = Match("", "")
    said = {match.key(role): np.column_stack([1 - p, p]) for role, p in pair.answers.items()}
    contest = Contest((match,), "logistic", np.eye(2)[pair.truth], {}, {}, said)
    every = comparison.Design(0, 0, len(pair.truth), False)
    [own] = comparison.compare(contest, every, trials=1, seed=0)
    return replace(found, errors={**own.errors, **found.errors}, misfit=own.misfit,
                   better={**own.better, **found.better}, similarity=own.similarity)  # fmt: skip


def _rate(accuracies: Sequence[float], rows: int) -> tuple[float, float]:
    """Mean error rate and its variance, from the test inputs, which seeds share, and from seeds.

    That over ``k`` seeds counts more by the squared ratio of the quantiles of Student's t and the
    normal law, so that one quantile serves both.
    """
    error, k = 1 - float(np.mean(accuracies)), len(accuracies)
    likely = (error * rows + 1) / (rows + 2)
    variance = likely * (1 - likely) / rows
    if k > 1:
        wider = float(stats.t.ppf((1 + comparison.LEVEL) / 2, k - 1)) / Z
        variance += wider**2 * float(np.var(accuracies, ddof=1)) / k
    return error, variance
