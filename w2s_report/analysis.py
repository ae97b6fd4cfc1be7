"""From arrays to the report: the one function behind ``w2s_report.report`` and ``w2s report``."""

import contextlib
import importlib
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from w2s_report import card, comparison, heads, one_pass, spectra, teachers, verdict
from w2s_report import scores as scoring
from w2s_report.comparison import Comparison, Contest, Design
from w2s_report.inputs import Inputs, Source, open_inputs
from w2s_report.labels import LEAST, Labels
from w2s_report.options import Options
from w2s_report.readers import InputError, Table, refusal
from w2s_report.spectra import Spectrum
from w2s_utils.least_squares import MinimumNorm

LABELS_KEPT = 20_000
SAMPLE = 4000
MOST_DIRECTIONS = 300  # kept unless more are asked for; costs grow with the cube
SAME = 1e-7  # 1 less a correlation that is 1 up to the rounding of single precision
EXACT = 1e-10  # of the labels' variance: residuals that are rounding
_PACKAGES = ("w2s_utils", "numpy", "scipy", "scikit-learn")


def report(
    weak: Mapping[str, Source] | None = None,
    strong: Source | Mapping[str, Source] | None = None,
    labels: Source = (),
    *,
    index: Source | None = None,
    unlabelled: Mapping[str, Source] | None = None,
    teacher_predictions: Mapping[str, Source] | None = None,
    student_predictions: Mapping[str, Source] | None = None,
    baseline_predictions: Source | Mapping[str, Source] | None = None,
    ceiling_predictions: Source | Mapping[str, Source] | None = None,
    scores: str | Path | None = None,
    progress: one_pass.Progress | None = None,
    **options: Any,
) -> card.ReportCard:
    """Tell whether a strong model gains from weak models' labels, from features or predictions.

    Parameters
    ----------
    weak : mapping of str to path or array_like, shape (m, D_w), optional
        Features of the same inputs under each weak model (each teacher), by name.
    strong : path or array_like, shape (m, D_s), or mapping of str to such, optional
        Features under the strong model (the student), or under several, by name.
    labels : path or array_like, shape (m,)
        Numbers or classes; NaN (or an empty text, or a mask) where an input has none.
    index : path or array_like, optional
        The labelled rows, counted from 0; then ``labels`` has one entry for each.
    unlabelled : mapping of str to path or array_like, optional
        Features of further inputs without labels, by model; a single student's is ``"strong"``.
    teacher_predictions, student_predictions : mapping of str to path or array_like, optional
        Answers of teachers, and of the students that they taught, by the teacher's name (with
        several students ``"teacher:student"``): a row for each input, used as they are. Numbers,
        classes, probabilities or logits
        (`w2s_report.labels.read_predictions`). NaN where a model has no answer, or was trained:
        labelled inputs without an answer are learnt from and never tested on.
    baseline_predictions, ceiling_predictions : path or array_like, or mapping, optional
        Answers of the strong model trained on the labels, and on true labels of the inputs with
        pseudo-labels; of several students by name.
    scores : path, optional
        Where to write scores of every input, ``.csv`` or ``.npy`` (the guide defines them).
    progress : callable, optional
        Gets the share done, from 0 to 1, and what is being done.
    **options
        The fields of `w2s_report.options.Options`: ``task``, ``missing``, ``share``,
        ``trials``, ``folds``, ``seed``, ``jobs``, ``scheduler``, and ``label_price``,
        ``pseudo_label_price``, ``budget``.

    Raises
    ------
    InputError
        (a `ValueError`) in one line: what is wrong with which file, and what to do.

    Notes
    -----
    All errors are means over inputs, against the labels as they are: what a label has of noise is
    in every one of them. The verdict is from `w2s_report.comparison`, with penalised heads; the
    formulas are for least squares, beside which they stand; there the squared errors of several
    class columns are added. The same seed gives the same bits for any number of workers and any
    kind of input, on one machine.
    """
    settings = Options.of(options)
    tell = progress or (lambda share, what: None)
    answers = teacher_predictions, student_predictions, baseline_predictions, ceiling_predictions
    said = dict(zip(("teacher", "student", "baseline", "ceiling"), answers, strict=True))
    inputs = open_inputs(weak, strong, labels, index, unlabelled, said, settings)
    # One thread, here as in every worker: sums are then formed in the same order everywhere.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(1) as hashing, _workers(settings):
        digests = {name: hashing.submit(t.sha256) for name, t in inputs.tables.items()}
        study = _study(inputs, settings, tell)
        tell(0.6, "comparing models on labels left out")
        contest = _contest(inputs, study)
        compared, by_least_squares = _compare(inputs, study, contest, settings)
        if scores is not None:
            _score(Path(scores), inputs, study, contest)
        found = _answers(study, by_least_squares, settings, tell)
        tell(1.0, "done")
        return card.ReportCard(
            data=_data(inputs, study),
            teachers=tuple(found),
            comparisons=compared,
            rankings=verdict.rank(found, compared),
            verdict=verdict.decide(found, compared),
            design=asdict(study.design) | {"trials": settings.trials, "folds": study.sums.folds},
            provenance=_provenance(inputs.tables, digests, settings),
        )


@dataclass(frozen=True, eq=False)
class _Study:
    """What is left of the features: spectra, and sums and rows kept in few directions.

    Without features there are no spectra, and nothing is kept but the numbers of rows.
    """

    used: Labels  # the labels whose rows are kept in memory
    sums: one_pass.Sums
    """In white directions."""
    spectra: Sequence[Spectrum]
    design: Design

    def contest(self, head: heads.Kind, **rest: Any) -> Contest:
        """What is compared in splits of the rows kept: teachers, targets, predictions given."""
        features, variances = {}, {}
        for one in self.spectra:
            most = one.dimension if head == "least squares" else None
            features[one.name] = self.sums.kept[one.name][:, 1:most]
            held = one.eigenvalues[: features[one.name].shape[1]]
            variances[one.name] = np.maximum(held / held[0], 1e-12)
        return Contest(head=head, features=features, variances=variances, **rest)


def _study(inputs: Inputs, settings: Options, tell: one_pass.Progress) -> _Study:
    rng = np.random.default_rng(settings.seed)
    used, most = inputs.labels, min(LABELS_KEPT, one_pass.rows_that_fit(inputs.models))
    if len(used.rows) > most:
        chosen = np.sort(rng.permutation(len(used.rows))[:most])
        used = replace(used, rows=used.rows[chosen], values=used.values[chosen])
    if not inputs.models:
        free = np.setdiff1d(np.arange(inputs.rows), used.rows)
        kept = np.concatenate([used.rows, np.sort(rng.permutation(free)[:SAMPLE])])
        every = np.arange(inputs.rows, dtype=np.uint64)
        sums = one_pass.Sums(inputs.rows, len(used.rows), 0, 0, 0, {}, {}, kept, every)
        return _Study(used, sums, (), Design.of(len(used.rows), len(free)))
    rows_left = one_pass.rows_that_fit(inputs.models) - len(used.rows)
    sums = one_pass.one_pass(
        inputs.models,
        used.rows,
        folds=settings.folds,
        sample=max(0, min(SAMPLE, rows_left)),
        rng=rng,
        pairs=inputs.fitted,
        jobs=settings.jobs,
        progress=lambda done, what: tell(0.6 * done, what),
    )
    pool = joblib.Parallel(n_jobs=settings.jobs, backend="threading")
    found = pool(joblib.delayed(spectra.spectrum)(k, t, sums) for k, t in inputs.models.items())
    design = Design.of(len(used.rows), len(sums.rows_kept) - len(used.rows))
    students = {match.student for match in inputs.matches}
    for i, one in enumerate(found):
        labels = min(design.n, design.N - 1) if one.name in students else design.n
        found[i] = one.limited(settings.share, labels // 2, MOST_DIRECTIONS)
    white = spectra.white(sums, found, MOST_DIRECTIONS, settings.jobs)
    _refuse_what_gives_the_label_away(inputs, sums, white, used.targets)
    return _Study(used, white, found, design)


def _refuse_what_gives_the_label_away(
    inputs: Inputs, sums: one_pass.Sums, white: one_pass.Sums, targets: NDArray
) -> None:
    """One line where a column of features is the label, or all of them together, up to rounding."""
    y = targets - targets.mean(axis=0)
    for name, table in inputs.models.items():
        x = sums.kept[name][: len(y), 1:]
        x = x - x.mean(axis=0)
        size = np.outer(np.sqrt(np.sum(x**2, axis=0)), np.sqrt(np.sum(y**2, axis=0)))
        alike = np.abs(x.T @ y) / np.maximum(size, np.finfo(float).tiny)
        if alike.max() > 1 - SAME:
            column = int(alike.max(axis=1).argmax())
            raise refusal("column is the label", table=table, column=column)
        phi = white.kept[name][: len(y), 1 : 1 + len(y) // 2]
        left = y - MinimumNorm(intercept=True).solve(phi, y)(phi)
        if np.sum(left**2) <= EXACT * np.sum(y**2):
            raise refusal("labels are linear in features", table=table)


def _answers(
    study: _Study, compared: Sequence[Comparison], settings: Options, tell: one_pass.Progress
) -> list[teachers.Teacher]:
    """Every teacher and student with features, analysed here or on a Dask cluster."""
    # The mean over columns of their squared errors is then the sum.
    targets = study.used.targets * np.sqrt(study.used.targets.shape[1])
    tasks, by_name = [], {one.name: one for one in study.spectra}
    for one in compared:
        pair = spectra.pair(study.sums, by_name[one.teacher], by_name[one.student])
        tasks.append((teachers.analyse, pair, targets, one, settings))
    found: list[teachers.Teacher] = []
    for teacher in comparison.run(tasks):
        found.append(teacher)
        tell(0.8 + 0.2 * len(found) / len(tasks), f"{len(found)} teachers")
    return found


@contextlib.contextmanager
def _workers(settings: Options) -> Iterator[None]:
    if settings.scheduler is None:
        with joblib.parallel_config("threading", n_jobs=settings.jobs):
            yield
        return
    try:
        distributed: Any = importlib.import_module("distributed")
        client = distributed.Client(settings.scheduler, timeout=10)
    except ImportError:
        raise InputError("scheduler: needs Dask: pip install 'w2s_utils[dask]'") from None
    except (OSError, ValueError) as error:
        raise InputError(f"scheduler: no Dask scheduler at {settings.scheduler}: {error}") from None
    with client, joblib.parallel_config("dask", client=client):
        yield


def _contest(inputs: Inputs, study: _Study) -> Contest:
    used, kept = study.used, study.sums.rows_kept
    return study.contest(
        "logistic" if used.classes else "ridge",
        matches=inputs.matches,
        targets=used.one_hot if used.classes else used.targets,
        given={k: p.values[kept] - used.middle for k, p in inputs.predictions.items()},
        hard=any(p.hard for p in inputs.predictions.values()),
    )


def _score(path: Path, inputs: Inputs, study: _Study, contest: Contest) -> None:
    """Score every input by heads of the rows kept, and write the scores."""

    def white(rows: slice) -> dict[str, NDArray]:
        found = {}
        for one in study.spectra:
            raw = inputs.models[one.name].rows(rows.start, rows.stop)
            cut = one.cut(1 + contest.features[one.name].shape[1])[:, 1:]
            found[one.name] = one_pass.block(raw, *study.sums.placed[one.name]) @ cut
        return found

    given = {key: p.values - study.used.middle for key, p in inputs.predictions.items()}
    table = scoring.per_input(contest, study.sums.rows_kept, white, given, study.sums.rows)
    scoring.write(path, table, [match.name for match in contest.matches])


def _compare(
    inputs: Inputs, study: _Study, contest: Contest, settings: Options
) -> tuple[tuple[Comparison, ...], tuple[Comparison, ...]]:
    """All teachers under penalised heads, which decide; those with features by least squares."""
    tested = int(np.sum(~contest.apart))
    if tested < LEAST:
        named = ", ".join(inputs.tables[k].name for k in inputs.tables if "predictions" in k)
        raise refusal("few tested", named=named, tested=tested, least=LEAST)

    def compared(one: Contest) -> tuple[Comparison, ...]:
        return comparison.compare(one, study.design, settings.trials, settings.seed)

    if not inputs.fitted:
        return compared(contest), ()
    targets = study.used.targets
    plain = study.contest("least squares", matches=inputs.fitted, targets=targets)
    return compared(contest), compared(plain)


def _data(inputs: Inputs, study: _Study) -> card.Data:
    known = inputs.labels
    regression = known.task == "regression"
    counts = np.bincount(known.values.astype(int)).tolist() if not regression else []
    return card.Data(
        rows=study.sums.rows,
        labelled=len(known.rows),
        unlabelled=study.sums.rows - len(known.rows),
        labelled_used=len(study.used.rows),
        repeated=int(np.sum(np.diff(np.sort(study.sums.duplicates)) == 0)),  # no slow np.unique
        task=known.task,
        classes=dict(zip(known.classes, counts, strict=True)),
        label_mean=float(known.values.mean()) if regression else None,
        label_sd=float(known.values.std()) if regression else None,
        representations=tuple(
            card.Representation(
                role="strong" if one.name in {m.student for m in inputs.matches} else "weak",
                held={f"{share:g}": one.count(share) for share in spectra.SHARES},
                **{field.name: getattr(one, field.name) for field in fields(spectra.Described)},
            )
            for one in study.spectra
        ),
    )


def _provenance(
    tables: Mapping[str, Table], digests: Mapping[str, Future[str]], settings: Options
) -> card.Provenance:
    versions = {package: metadata.version(package) for package in _PACKAGES}
    return card.Provenance(
        parameters=settings.recorded(),
        files=tuple(
            card.File(
                name=name,
                file=os.path.basename(table.name),
                shape=table.shape,
                dtype=str(table.dtype),
                sha256=digests[name].result(),
                reordered=table.reordered,
            )
            for name, table in tables.items()
        ),
        versions={"python": platform.python_version()} | versions,
    )
