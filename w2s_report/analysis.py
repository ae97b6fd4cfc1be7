"""From arrays to the report: the one function behind ``w2s_utils.report`` and ``w2s report``."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from w2s_report import card, one_pass, probabilities, spectra, teachers, verdict
from w2s_report.inputs import STRONG, Source, look
from w2s_report.labels import Labels
from w2s_report.one_pass import Features
from w2s_report.readers import InputError, Table
from w2s_report.splits import Design
from w2s_utils.geometry import Range
from w2s_utils.validation import positive

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
    task: str = "auto",
    noise: float | None = None,
    dimensions: Mapping[str, int] | None = None,
    share: float = 0.99,
    trials: int = 40,
    folds: int = 20,
    seed: int = 0,
    jobs: int = 1,
    scheduler: str | None = None,
    progress: one_pass.Progress | None = None,
) -> card.ReportCard:
    """Tell whether a strong model gains from weak models' labels, from feature arrays.

    Parameters
    ----------
    weak : mapping of str to path or array_like, shape (m, D_w)
        Features of the same inputs under each weak model (each teacher), by name.
    strong : path or array_like, shape (m, D_s)
        Features under the strong model.
    labels : path or array_like, shape (m,)
        Numbers or classes; NaN (or an empty text) where an input has none.
    index : path or array_like, optional
        The labelled rows, counted from 0; then ``labels`` has one entry for each.
    unlabelled : mapping of str to path or array_like, optional
        Features of further inputs without labels, by model; the student's is ``"strong"``.
    task : {"auto", "regression", "classification"}
    noise : float, optional
        Standard deviation of the label noise, if known; without it only what does not need it is
        reported.
    dimensions : mapping of str to int, optional
        Directions kept, by model, the constant among them. By default those that hold ``share``
        of the variance, but no more than half the labels of a split, and 300.
    share : float
        In (0, 1).
    trials : int
        Random splits, at least 4.
    folds : int
        Folds of the rows without label, 8 to 100.
    seed : int
        The same seed gives the same report, whatever the number of workers.
    jobs : int
        Threads for reading, and processes for several teachers.
    scheduler : str, optional
        Address of a Dask scheduler whose workers take the teachers.
    progress : callable, optional
        Gets the share done, from 0 to 1, and what is being done.

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
    of the class columns are added.
    """
    tell = progress or (lambda share, what: None)
    if noise is not None:
        try:
            positive(noise, "noise")
        except ValueError as error:
            raise InputError(str(error)) from None
    models, tables, known = look(
        weak,
        strong,
        labels,
        index=index,
        unlabelled=unlabelled,
        task=task,
        share=share,
        trials=trials,
        folds=folds,
        jobs=jobs,
    )
    label_table = dict(tables)["labels"]
    rng = np.random.default_rng(seed)
    known, used = _kept(known, models, rng)
    with ThreadPoolExecutor(1) as hashing:
        digests = [hashing.submit(table.sha256) for _, table in tables]
        sample = max(0, min(SAMPLE, one_pass.rows_that_fit(models) - len(used.rows)))
        sums = one_pass.one_pass(
            models[0],
            models[1:],
            used.rows,
            folds=folds,
            sample=sample,
            rng=rng,
            jobs=jobs,
            progress=lambda done, what: tell(0.6 * done, what),
        )
        tell(0.6, "comparing features")
        spectra = [spectra.spectrum(model, sums) for model in models]
        design = Design.of(len(used.rows), sums.folds, sums.fold_rows)
        chosen, limits = _dimensions(spectra, models, dimensions or {}, share, design, label_table)
        targets = used.targets * np.sqrt(used.targets.shape[1])
        questions = [
            teachers.Question(
                spectra.pair(sums, spectrum, spectra[0], chosen),
                targets,
                design,
                trials,
                seed,
                noise,
            )
            for spectrum in spectra[1:]
        ]
        # The sums of uncut features are large, and no longer needed.
        sums = replace(sums, own={STRONG: np.empty((sums.folds + 1, 0, 0))}, cross={}, kept={})
        found = _spread(teachers.analyse, questions, jobs, scheduler, tell)
        logistic = _logistic(questions, used, design, seed, tell)
        files = [
            _file(name, table, digest.result())
            for (name, table), digest in zip(tables, digests, strict=True)
        ]
    parameters = {
        "task": task,
        "noise": noise,
        "dimensions": dict(dimensions or {}),
        "share": share,
        "trials": trials,
        "folds": folds,
        "seed": seed,
    }
    tell(1.0, "done")
    what = "squared error" if known.task == "regression" else "squared error of the probabilities"
    return card.ReportCard(
        data=_data(models, spectra, sums, known, used, chosen, limits),
        noise=_noise(noise, used, sums, found),
        teachers=tuple(found),
        rankings=verdict.rank(found),
        verdict=verdict.decide(found, what),
        probabilities=logistic,
        design={
            "n": design.n,
            "N": design.N,
            "test_rows": design.test * design.size,
            "trials": trials,
            "groups": len(used.rows) // design.size,
            "folds": sums.folds,
        },
        ceiling_measured=design.ceiling,
        provenance={
            "parameters": parameters,
            "files": files,
            "versions": {"python": platform.python_version()}
            | {package: metadata.version(package) for package in _PACKAGES},
        },
    )


def _kept(
    known: Labels, models: Sequence[Features], rng: np.random.Generator
) -> tuple[Labels, Labels]:
    """The labels, and those whose rows are kept in memory."""
    most = min(LABELS_KEPT, one_pass.rows_that_fit(models))
    if len(known.rows) <= most:
        return known, known
    chosen = np.sort(rng.permutation(len(known.rows))[:most])
    used = Labels(
        known.task, known.rows[chosen], known.values[chosen], known.classes, known.decided
    )
    return known, used


def _dimensions(
    spectra: Sequence[spectra.Spectrum],
    models: Sequence[Features],
    asked: Mapping[str, int],
    share: float,
    design: Design,
    label_table: Table,
) -> tuple[dict[str, int], dict[str, str]]:
    """Directions of each model and what set them; refuse what the labels cannot support."""
    unknown = [name for name in asked if name not in {s.name for s in spectra}]
    if unknown:
        known = ", ".join(s.name for s in spectra)
        raise InputError(f"dimensions: no model {unknown[0]!r}; there are: {known}")
    chosen, limits = {}, {}
    for spectrum, model in zip(spectra, models, strict=True):
        half = design.n // 2
        if spectrum.name == STRONG:
            half = min(half, (design.N - 1) // 2)
        held = 1 + spectrum.count(share)
        if spectrum.name in asked:
            d = int(asked[spectrum.name])
            pseudo = spectrum.name == STRONG and d + 3 > design.N
            if not 2 <= d <= spectrum.rank + 1 or design.n < d + 3 or pseudo:
                raise InputError(
                    f"{model.files}: dimension {d} asked for; with {design.n} labels in a split "
                    f"({label_table.name}), {design.N} pseudo-labels and rank {spectrum.rank} it "
                    f"can be 2 to {min(spectrum.rank + 1, design.n - 3, design.N - 3)}: ask for "
                    "fewer, or label more rows"
                )
            chosen[spectrum.name], limits[spectrum.name] = d, "given"
        elif held > MOST_DIRECTIONS < half:
            chosen[spectrum.name], limits[spectrum.name] = MOST_DIRECTIONS, "most by default"
        elif held <= half:
            chosen[spectrum.name], limits[spectrum.name] = held, f"{share:.4g} of the variance"
        else:
            chosen[spectrum.name], limits[spectrum.name] = half, "half the labels of a split"
    used = design.n + (design.hidden + design.test) * design.size
    for spectrum in spectra[1:]:
        needed = chosen[spectrum.name] + chosen[STRONG] + 2
        if used < needed:
            raise InputError(
                f"{label_table.name}: {used} labels, fewer than the {needed} that dimensions "
                f"{chosen[spectrum.name]} ({spectrum.name}) and {chosen[STRONG]} ({STRONG}) need; "
                "ask for fewer, or label more rows"
            )
    return chosen, limits


def _spread(
    function: Callable[[Any], Any],
    items: Sequence[Any],
    jobs: int,
    scheduler: str | None,
    tell: one_pass.Progress,
) -> list[Any]:
    """Apply a function to items here, in processes, or on a Dask cluster; results in order."""
    if scheduler:
        return _on_cluster(function, items, scheduler)
    if jobs > 1 and len(items) > 1:
        from joblib import Parallel, delayed

        return Parallel(n_jobs=min(jobs, len(items)))(delayed(function)(item) for item in items)
    found = []
    for item in items:
        tell(0.6 + 0.3 * len(found) / len(items), f"teacher {item.pair.name}")
        found.append(function(item))
    return found


def _on_cluster(function: Callable[[Any], Any], items: Sequence[Any], scheduler: str) -> list[Any]:
    try:
        from distributed import Client
    except ImportError:
        raise InputError("scheduler: needs Dask: pip install 'w2s_utils[dask]'") from None
    try:
        client = Client(scheduler, timeout=10)
    except (OSError, ValueError) as error:
        raise InputError(f"scheduler: no Dask scheduler at {scheduler}: {error}") from None
    with client:
        return client.gather(client.map(function, items, pure=False))


def _logistic(
    questions: Sequence[teachers.Question],
    used: Labels,
    design: Design,
    seed: int,
    tell: one_pass.Progress,
) -> dict[str, probabilities.Probabilities]:
    if used.task == "regression":
        return {}
    found = {}
    for question in questions:
        pair = question.pair
        tell(0.9 + 0.1 * len(found) / len(questions), f"logistic heads, {pair.name}")
        found[pair.name] = probabilities.logistic(
            pair.weak, pair.strong, used.values.astype(int), pair.labelled, design, seed=seed
        )
    return found


def _data(
    models: Sequence[Features],
    spectra: Sequence[spectra.Spectrum],
    sums: one_pass.Sums,
    known: Labels,
    used: Labels,
    chosen: Mapping[str, int],
    limits: Mapping[str, str],
) -> card.Data:
    regression = known.task == "regression"
    counts = np.bincount(known.values.astype(int)) if not regression else []
    return card.Data(
        rows=sums.rows,
        labelled=len(known.rows),
        unlabelled=sums.rows - len(known.rows),
        labelled_used=len(used.rows),
        repeated=sums.rows - len(np.unique(sums.duplicates)),
        task=known.task,
        task_decided=known.decided,
        classes={name: int(n) for name, n in zip(known.classes, counts, strict=True)},
        label_mean=float(known.values.mean()) if regression else None,
        label_sd=float(known.values.std()) if regression else None,
        representations=tuple(
            card.Representation(
                name=s.name,
                role="strong" if s.name == STRONG else "weak",
                columns=model.columns,
                constant=s.constant,
                rank=s.rank,
                held={f"{share:g}": s.count(share) for share in spectra.SHARES},
                participation=s.participation,
                dimension=chosen[s.name],
                limited_by=limits[s.name],
                spectrum=tuple(s.eigenvalues[:SPECTRUM_SHOWN].tolist()),
                warnings=s.warnings,
            )
            for s, model in zip(spectra, models, strict=True)
        ),
    )


def _noise(
    given: float | None, used: Labels, sums: one_pass.Sums, found: Sequence[teachers.Teacher]
) -> card.Noise:
    """Known, from inputs that were labelled more than once, or not identified."""
    ranges = [t.estimates[name] for t in found for name in ("rho_w", "rho_s")]
    at_most = min(ranges, key=lambda r: r.value)
    if given is not None:
        return card.Noise("given", Range(given**2, given**2, given**2), at_most)
    variance = _from_repeats(used.targets, sums.duplicates[used.rows])
    source = "repeated rows" if variance else "not identified"
    return card.Noise(source, variance, at_most)


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
    low, high = stats.chi2.ppf([0.025, 0.975], degrees)
    return Range(squares / degrees, squares / high, squares / low)


def _file(name: str, table: Table, sha256: str) -> dict[str, Any]:
    return {
        "name": name,
        "file": os.path.basename(table.name) if os.sep in table.name else table.name,
        "shape": list(table.shape),
        "dtype": str(table.dtype),
        "sha256": sha256,
    }
