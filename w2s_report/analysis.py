"""From arrays to the report: the one function behind ``w2s_report.report`` and ``w2s report``."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray
from scipy import special
from threadpoolctl import threadpool_limits

from w2s_report import card, one_pass, probabilities, spectra, teachers, verdict
from w2s_report.inputs import STRONG, Inputs, Source, open_inputs
from w2s_report.labels import Labels
from w2s_report.options import Options
from w2s_report.readers import InputError, Table
from w2s_report.spectra import Cut, Spectrum
from w2s_report.splits import Design
from w2s_utils.geometry import Range

LABELS_KEPT = 20_000
SAMPLE = 4000
SPECTRUM_SHOWN = 2048
MOST_DIRECTIONS = 300  # kept unless more are asked for; costs grow with the cube
REPEATS = 10  # degrees of freedom for an estimate of the noise
_PACKAGES = ("w2s_utils", "numpy", "scipy", "scikit-learn")


def report(
    weak: Mapping[str, Source],
    strong: Source,
    labels: Source,
    *,
    index: Source | None = None,
    unlabelled: Mapping[str, Source] | None = None,
    progress: one_pass.Progress | None = None,
    **options: Any,
) -> card.ReportCard:
    """Tell whether a strong model gains from weak models' labels, from feature arrays.

    Parameters
    ----------
    weak : mapping of str to path or array_like, shape (m, D_w)
        Features of the same inputs under each weak model (each teacher), by name.
    strong : path or array_like, shape (m, D_s)
        Features under the strong model.
    labels : path or array_like, shape (m,)
        Numbers or classes; NaN (or an empty text, or a mask) where an input has none.
    index : path or array_like, optional
        The labelled rows, counted from 0; then ``labels`` has one entry for each.
    unlabelled : mapping of str to path or array_like, optional
        Features of further inputs without labels, by model; the student's is ``"strong"``.
    progress : callable, optional
        Gets the share done, from 0 to 1, and what is being done.
    **options
        The fields of `w2s_report.options.Options`: ``task``, ``noise``, ``dimensions``,
        ``share``, ``trials``, ``folds``, ``seed``, ``jobs``, ``scheduler``.

    Returns
    -------
    ReportCard

    Raises
    ------
    InputError
        (a `ValueError`) in one line: what is wrong with which file, and what to do.

    Notes
    -----
    All errors are mean squares over inputs, against the labels as they are: what a label has of
    noise is in every one of them. Heads have an intercept; for several classes the squared errors
    of the class columns are added. The same seed gives the same bits for any number of workers and
    any kind of input, on one machine.
    """
    settings = Options(**options)
    tell = progress or (lambda share, what: None)
    inputs = open_inputs(
        weak, strong, labels, index=index, unlabelled=unlabelled, task=settings.task
    )
    # One thread, here as in every worker: sums are then formed in the same order everywhere.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(1) as hashing:
        digests = {name: hashing.submit(t.sha256) for name, t in inputs.tables.items()}
        study = _study(inputs, settings, tell)
        found = _spread(teachers.analyse, study.questions, settings, tell)
        logistic = _logistic(study, settings.seed, tell)
        tell(1.0, "done")
        return card.ReportCard(
            data=_data(inputs, study),
            noise=_noise(settings.noise, study, found),
            teachers=tuple(found),
            rankings=verdict.rank(found),
            verdict=verdict.decide(found, _unit(inputs.labels)),
            probabilities=logistic,
            design=_sizes(study, settings.trials),
            ceiling_measured=study.design.ceiling,
            provenance=_provenance(inputs.tables, digests, settings),
        )


@dataclass(frozen=True, eq=False)
class _Study:
    """What is left of the features: spectra, and each teacher's question in few directions."""

    used: Labels  # the labels whose rows are kept in memory
    rows: int
    folds: int
    duplicates: NDArray[np.uint64]
    features: Sequence[Spectrum]
    cuts: Mapping[str, Cut]
    design: Design
    questions: Sequence[teachers.Question]


def _study(inputs: Inputs, settings: Options, tell: one_pass.Progress) -> _Study:
    rng = np.random.default_rng(settings.seed)
    used = _labels_kept(inputs, rng)
    rows_left = one_pass.rows_that_fit(inputs.models) - len(used.rows)
    sums = one_pass.one_pass(
        inputs.strong,
        inputs.weak,
        used.rows,
        folds=settings.folds,
        sample=max(0, min(SAMPLE, rows_left)),
        rng=rng,
        jobs=settings.jobs,
        progress=lambda done, what: tell(0.6 * done, what),
    )
    tell(0.6, "comparing features")
    strong, *weak = [spectra.spectrum(model, sums) for model in inputs.models]
    design = Design.of(len(used.rows), sums.folds, sums.fold_rows)
    cuts = _cuts(inputs, [strong, *weak], design, settings)
    targets = _targets(used)
    questions = []
    for teacher in weak:
        dimensions = cuts[teacher.name].dimension, cuts[STRONG].dimension
        pair = spectra.cut_pair(sums, teacher, strong, *dimensions)
        questions.append(
            teachers.Question(pair, targets, design, settings.trials, settings.seed, settings.noise)
        )
    return _Study(
        used, sums.rows, sums.folds, sums.duplicates, [strong, *weak], cuts, design, questions
    )


def _labels_kept(inputs: Inputs, rng: np.random.Generator) -> Labels:
    most = min(LABELS_KEPT, one_pass.rows_that_fit(inputs.models))
    known = inputs.labels
    if len(known.rows) <= most:
        return known
    return known.only(np.sort(rng.permutation(len(known.rows))[:most]))


def _targets(used: Labels) -> NDArray[np.float64]:
    """Columns to be fitted, scaled so that their mean squared error is the sum over columns."""
    targets = used.targets
    if used.task == "regression":
        # Heads have an intercept: what all labels share only costs digits.
        targets = targets - targets.mean(axis=0)
    return np.ascontiguousarray(targets * np.sqrt(targets.shape[1]))


def _cuts(
    inputs: Inputs, found: Sequence[Spectrum], design: Design, settings: Options
) -> dict[str, Cut]:
    """Directions of each model and what set them; refuse what the labels cannot support."""
    labels, asked = inputs.tables["labels"].name, settings.dimensions
    unknown = [name for name in asked if name not in {s.name for s in found}]
    if unknown:
        known = ", ".join(s.name for s in found)
        raise InputError(f"dimensions: no model {unknown[0]!r}; there are: {known}")
    cuts = {}
    for spectrum, model in zip(found, inputs.models, strict=True):
        if spectrum.name in asked:
            d = int(asked[spectrum.name])
            _check_dimension(d, spectrum, design, model.files, labels)
            cuts[spectrum.name] = Cut(d, "given")
        else:
            student = spectrum.name == STRONG
            half = min(design.n // 2, (design.N - 1) // 2) if student else design.n // 2
            cuts[spectrum.name] = spectrum.default_cut(settings.share, half, MOST_DIRECTIONS)
    there = design.n + (design.hidden + design.test) * design.size
    for spectrum in found[1:]:
        d_w, d_s = cuts[spectrum.name].dimension, cuts[STRONG].dimension
        if there < d_w + d_s + 2:
            raise InputError(
                f"{labels}: {there} labels, fewer than the {d_w + d_s + 2} that dimensions {d_w} "
                f"({spectrum.name}) and {d_s} ({STRONG}) need; ask for fewer, or label more rows"
            )
    return cuts


def _check_dimension(d: int, spectrum: Spectrum, design: Design, files: str, labels: str) -> None:
    student = spectrum.name == STRONG
    if 2 <= d <= spectrum.rank + 1 and d + 3 <= design.n and not (student and d + 3 > design.N):
        return
    most = min(spectrum.rank + 1, design.n - 3, design.N - 3)
    raise InputError(
        f"{files}: dimension {d} asked for; with {design.n} labels in a split ({labels}), "
        f"{design.N} pseudo-labels and rank {spectrum.rank} it can be 2 to {most}: ask for fewer, "
        "or label more rows"
    )


def _spread(
    function: Callable[[Any], Any],
    items: Sequence[teachers.Question],
    settings: Options,
    tell: one_pass.Progress,
) -> list[Any]:
    """Apply a function to items here, in processes, or on a Dask cluster; results in order."""
    found: list[Any] = []
    with _workers(settings, len(items)):
        tell(0.6, f"teacher {items[0].pair.name}")
        parallel = joblib.Parallel(return_as="generator")
        for result in parallel(joblib.delayed(function)(item) for item in items):
            found.append(result)
            tell(0.6 + 0.3 * len(found) / len(items), f"{len(found)} of {len(items)} teachers")
    return found


@contextlib.contextmanager
def _workers(settings: Options, items: int) -> Iterator[None]:
    if settings.scheduler is None:
        with joblib.parallel_config(n_jobs=min(settings.jobs, items)):
            yield
        return
    try:
        from distributed import Client
    except ImportError:
        raise InputError("scheduler: needs Dask: pip install 'w2s_utils[dask]'") from None
    try:
        client = Client(settings.scheduler, timeout=10)
    except (OSError, ValueError) as error:
        raise InputError(f"scheduler: no Dask scheduler at {settings.scheduler}: {error}") from None
    with client, joblib.parallel_config("dask", client=client):
        yield


def _logistic(
    study: _Study, seed: int, tell: one_pass.Progress
) -> dict[str, probabilities.Probabilities]:
    if study.used.task == "regression":
        return {}
    found: dict[str, probabilities.Probabilities] = {}
    for question in study.questions:
        pair = question.pair
        tell(0.9 + 0.1 * len(found) / len(study.questions), f"logistic heads, {pair.name}")
        found[pair.name] = probabilities.logistic(
            pair.weak,
            pair.strong,
            study.used.values.astype(int),
            pair.labelled,
            study.design,
            seed=seed,
        )
    return found


def _unit(known: Labels) -> str:
    return "squared error" if known.task == "regression" else "squared error of the probabilities"


def _sizes(study: _Study, trials: int) -> dict[str, int]:
    design = study.design
    return {
        "n": design.n,
        "N": design.N,
        "test_rows": design.test * design.size,
        "trials": trials,
        "groups": len(study.used.rows) // design.size,
        "folds": study.folds,
    }


def _data(inputs: Inputs, study: _Study) -> card.Data:
    known = inputs.labels
    regression = known.task == "regression"
    counts = np.bincount(known.values.astype(int)).tolist() if not regression else []
    return card.Data(
        rows=study.rows,
        labelled=len(known.rows),
        unlabelled=study.rows - len(known.rows),
        labelled_used=len(study.used.rows),
        repeated=study.rows - len(np.unique(study.duplicates)),
        task=known.task,
        task_decided=known.decided,
        classes=dict(zip(known.classes, counts, strict=True)),
        label_mean=float(known.values.mean()) if regression else None,
        label_sd=float(known.values.std()) if regression else None,
        representations=tuple(
            _representation(spectrum, study.cuts[spectrum.name]) for spectrum in study.features
        ),
    )


def _representation(spectrum: Spectrum, cut: Cut) -> card.Representation:
    return card.Representation(
        name=spectrum.name,
        role="strong" if spectrum.name == STRONG else "weak",
        columns=spectrum.columns,
        constant=spectrum.constant,
        rank=spectrum.rank,
        held={f"{share:g}": spectrum.count(share) for share in spectra.SHARES},
        participation=spectrum.participation,
        dimension=cut.dimension,
        limited_by=cut.limited_by,
        spectrum=tuple(spectrum.eigenvalues[:SPECTRUM_SHOWN].tolist()),
        warnings=spectrum.warnings,
    )


def _noise(given: float | None, study: _Study, found: Sequence[teachers.Teacher]) -> card.Noise:
    """Known, from inputs that were labelled more than once, or not identified."""
    ranges = [t.estimates[name] for t in found for name in ("rho_w", "rho_s")]
    at_most = min(ranges, key=lambda r: r.value)
    if given is not None:
        return card.Noise("given", Range(given**2, given**2, given**2), at_most)
    variance = _from_repeats(study.used.targets, study.duplicates[study.used.rows])
    return card.Noise("repeated rows" if variance else "not identified", variance, at_most)


def _from_repeats(targets: NDArray, fingerprints: NDArray) -> Range | None:
    """Variance between the labels of one input, where enough inputs have several."""
    _, groups, counts = np.unique(fingerprints, return_inverse=True, return_counts=True)
    degrees = int(np.sum(counts - 1))
    if degrees < REPEATS:
        return None
    squares = 0.0
    for column in targets.T:
        means = np.bincount(groups, column) / counts
        squares += float(np.sum((column - means[groups]) ** 2))
    low, high = special.chdtri(degrees, [0.975, 0.025])
    return Range(squares / degrees, squares / high, squares / low)


def _provenance(
    tables: Mapping[str, Table], digests: Mapping[str, Future[str]], settings: Options
) -> card.Provenance:
    versions = {package: metadata.version(package) for package in _PACKAGES}
    return card.Provenance(
        parameters=settings.recorded(),
        files=tuple(
            card.File(
                name=name,
                file=os.path.basename(table.name) if os.sep in table.name else table.name,
                shape=table.shape,
                dtype=str(table.dtype),
                sha256=digests[name].result(),
            )
            for name, table in tables.items()
        ),
        versions={"python": platform.python_version()} | versions,
    )
