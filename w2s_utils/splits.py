"""Random splits of one data set into labelled, unlabelled and test inputs, for the protocol."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from w2s_utils import validation
from w2s_utils.least_squares import cumulative_moments
from w2s_utils.protocol import Inputs, Result, Trial, map_trials
from w2s_utils.validation import Array

Rows = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]
Pair = tuple[int | str, str]  # names of a teacher and a student
Cells = dict[tuple[int, int], Result]


def random_splits(
    weak: ArrayLike | tuple[ArrayLike, ...],
    strong: ArrayLike,
    labels: ArrayLike,
    *,
    n: int,
    N: int,
    noise: float = 0.0,
    target: ArrayLike | None = None,
    groups: ArrayLike | None = None,
) -> Callable[[np.random.Generator], Trial]:
    """Random splits of one data set into labelled, unlabelled and test inputs.

    Parameters
    ----------
    weak : array_like, shape (m, D_w), or tuple of them for several teachers
    strong : array_like, shape (m, D_s)
    labels : array_like, shape (m,) or (m, tasks)
    n, N : int
        Labelled and unlabelled inputs; the remaining ``m - n - N >= 1`` are the test inputs.
    noise : float
        Standard deviation of Gaussian noise added to the labels that are learnt from, anew in every
        split.
    target : array_like, optional
        What risks are measured against; default ``labels``.
    groups : array_like, shape (m,), optional
        Group of each row. Rows of one group never fall in different parts: the parts take whole
        groups in random order, and what is left of a group that a part does not need is not used.

    Raises
    ------
    ValueError
        If rows or shapes differ, or too few are left for testing.
    """
    everything = Inputs(weak, np.asarray(strong), np.asarray(labels), target)
    deviation = validation.nonnegative(noise, "noise", "a standard deviation")
    split_rows = row_splitter(len(everything.strong), n, N, groups)

    def draw(rng: np.random.Generator) -> Trial:
        *training, test = split_rows(rng)
        shapes = [everything.labels[part].shape for part in training]
        labelled, unlabelled = (
            everything.rows(part, deviation * rng.standard_normal(shape))
            for part, shape in zip(training, shapes, strict=True)
        )
        return labelled, unlabelled, everything.rows(test)

    return draw


def row_splitter(
    m: int, n: int, N: int, groups: ArrayLike | None = None
) -> Callable[[np.random.Generator], Rows]:
    """Return what draws the rows of labelled, unlabelled and test inputs, of ``m`` in all.

    Arguments are as in `random_splits`. Too few rows for testing are refused here, with groups when
    the rows are drawn.
    """
    if n < 1 or N < 1 or n + N >= m:
        raise ValueError(
            f"n, N: expected positive numbers with n + N < {m} (the rows given), "
            f"got n = {n}, N = {N}; no test inputs would be left"
        )
    if groups is None:

        def single_rows(rng: np.random.Generator) -> Rows:
            labelled, unlabelled, test = np.split(rng.permutation(m), [n, n + N])
            return labelled, unlabelled, test

        return single_rows
    named = np.asarray(groups)
    if named.shape != (m,):
        raise ValueError(f"groups: expected shape ({m},), one for each input, got {named.shape}")
    codes = np.unique(named, return_inverse=True)[1]

    def whole_groups(rng: np.random.Generator) -> Rows:
        rank = rng.permutation(codes.max() + 1)[codes]
        order = np.argsort(rank, kind="stable")
        labelled = order[:n]
        rest = order[rank[order] > rank[labelled[-1]]]
        unlabelled = rest[:N]
        test = rest[rank[rest] > rank[unlabelled[-1]]] if len(unlabelled) == N else rest[:0]
        if not len(test):
            raise ValueError(
                f"groups: no test inputs are left with n = {n} and N = {N} of {m} rows in "
                f"{codes.max() + 1} whole groups; ask for fewer"
            )
        # Shuffled, so that the first rows of a part are no fewer groups than chance gives.
        return rng.permutation(labelled), rng.permutation(unlabelled), test

    return whole_groups


def sweep(weak: ArrayLike, strong: ArrayLike, labels: ArrayLike, **options: Any) -> Cells:
    """As `sweep_pairs`, of one teacher and one student, shapes (m, D_w) and (m, D_s)."""
    return sweep_pairs({0: weak}, {"": strong}, labels, pairs=[(0, "")], **options)[0, ""]


def sweep_pairs(
    weak: Mapping[int | str, ArrayLike],
    strong: Mapping[str, ArrayLike],
    labels: ArrayLike,
    *,
    pairs: Collection[Pair],
    cells: Sequence[tuple[int, int]],
    trials: int,
    rng: np.random.Generator,
    noise: float | Sequence[float] = 0.0,
    target: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    n_jobs: int = 1,
) -> dict[Pair, Cells]:
    r"""Run random splits for pairs of models and numbers of labels and pseudo-labels at once.

    In each trial the rows are split once, for the largest ``n`` and ``N`` of the cells; smaller
    samples are the first rows of the larger ones, and all cells are tested on the same rows. All
    heads are minimum-norm least squares, computed from moment matrices which grow from sample to
    sample: a point of a sweep costs its new rows and one small solve. Pairs, each the names of a
    teacher and a student, share splits and labels, and what they have in common is computed once.

    Other arguments are as in `random_splits`, with features by name, and as in
    `w2s_utils.protocol.map_trials`; the rows that the largest of the cells ``(n, N)`` leave over
    are the test inputs. The same generator gives the same splits for all models on ``m`` rows.
    Returns results by pair and cell. Of several levels of noise each scales the same draws, and
    results have shape (trials, levels) or (trials, levels, tasks).
    """
    sampled = list(dict.fromkeys((int(n), int(N)) for n, N in cells))
    if not sampled or min(map(min, sampled)) < 1:
        raise ValueError(f"cells: expected pairs (n, N) of positive numbers, got {list(cells)}")
    levels = [
        validation.nonnegative(level, "noise", "a standard deviation") for level in np.ravel(noise)
    ]
    ladders = {s: [t for t, student in pairs if student == s] for _, s in pairs}
    seen = {
        s: Inputs(tuple(weak[t] for t in ladder), np.asarray(strong[s]), np.asarray(labels), target)
        for s, ladder in ladders.items()
    }
    teachers = {t: w for s, one in seen.items() for t, w in zip(ladders[s], one.weak, strict=True)}
    everything = next(iter(seen.values()))
    m, *tasks = everything.labels.shape
    shape = (*np.shape(noise), *tasks)
    sizes, pseudo = (sorted(set(each)) for each in zip(*sampled, strict=True))
    split_rows = row_splitter(m, sizes[-1], pseudo[-1], groups)
    observed = everything.labels.reshape(m, -1)
    truth = np.tile(everything.target.reshape(m, -1), len(levels))

    def noisy(part: NDArray[np.intp], rng: np.random.Generator) -> Array:
        drawn = rng.standard_normal((len(part), observed.shape[1]))
        return np.hstack([observed[part] + level * drawn for level in levels])

    def risk(away: Array) -> Array:
        return np.reshape(np.einsum("ij,ij->j", away, away) / len(away), shape)

    def one(generator: np.random.Generator) -> dict[tuple[Pair, int, int], dict[str, Array]]:
        few, many, test = split_rows(generator)
        y, y_many, f = noisy(few, generator), noisy(many, generator), truth[test]
        said, found = {}, {}
        for t, w in teachers.items():
            moments = cumulative_moments(sizes, weak=w.take(few, axis=0), labels=y)
            # Of the many inputs the students need what the teachers say, not what they see.
            said[t] = w @ np.hstack([moments[n].fit("weak", "labels") for n in sizes])
        for s, ladder in ladders.items():
            phi, told = seen[s].strong, np.hstack([said[t] for t in ladder])
            labelled = cumulative_moments(sizes, strong=phi.take(few, axis=0), labels=y)
            unlabelled = cumulative_moments(
                pseudo, strong=phi.take(many, axis=0), labels=y_many, taught=told.take(many, axis=0)
            )
            phi, f_w = phi.take(test, axis=0), told.take(test, axis=0)
            f_s = {N: phi @ moments.fit("strong", "taught") for N, moments in unlabelled.items()}
            own = {n: phi @ moments.fit("strong", "labels") for n, moments in labelled.items()}
            for n, N in sampled:
                both = labelled[n] + unlabelled[N].only("strong", "labels")
                known = {
                    "baseline": risk(own[n] - f),
                    "ceiling": risk(phi @ both.fit("strong", "labels") - f),
                }
                for i, t in enumerate(ladder):
                    start = (i * len(sizes) + sizes.index(n)) * f.shape[1]
                    column = slice(start, start + f.shape[1])
                    teacher, student = f_w[:, column], f_s[N][:, column]
                    found[(t, s), n, N] = known | {
                        "teacher": risk(teacher - f),
                        "student": risk(student - f),
                        "misfit": risk(student - teacher),
                    }
        return found

    rows = map_trials(one, trials, rng, n_jobs)
    return {
        pair: {(n, N): Result.of([row[pair, n, N] for row in rows]) for n, N in sampled}
        for pair in pairs
    }
