"""Random splits of one data set into labelled, unlabelled and test inputs, for the protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from w2s_utils import validation
from w2s_utils.least_squares import cumulative_moments
from w2s_utils.protocol import Inputs, Result, Trial, map_trials
from w2s_utils.validation import Array

Rows = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]


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


def sweep(
    weak: ArrayLike,
    strong: ArrayLike,
    labels: ArrayLike,
    *,
    cells: Sequence[tuple[int, int]],
    trials: int,
    rng: np.random.Generator,
    noise: float | Sequence[float] = 0.0,
    target: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    n_jobs: int = 1,
) -> dict[tuple[int, int], Result]:
    r"""Run random splits for many numbers of labels and pseudo-labels at once.

    In each trial the rows are split once, for the largest ``n`` and ``N`` of the cells; smaller
    samples are the first rows of the larger ones, and all cells are tested on the same rows. All
    heads are minimum-norm least squares, computed from moment matrices which grow from sample to
    sample: a point of a sweep costs its new rows and one small solve.

    Arguments are as in `random_splits`, with one teacher, and as in
    `w2s_utils.protocol.map_trials`; the rows that the largest of the cells ``(n, N)`` leave over
    are the test inputs. The same generator gives the same splits for every pair of models on ``m``
    rows. Returns results by cell, in the order given. Of several levels of noise each scales the
    same draws, and results have shape (trials, levels) or (trials, levels, tasks).
    """
    pairs = list(dict.fromkeys((int(n), int(N)) for n, N in cells))
    if not pairs or min(map(min, pairs)) < 1:
        raise ValueError(f"cells: expected pairs (n, N) of positive numbers, got {list(cells)}")
    everything = Inputs(weak, np.asarray(strong), np.asarray(labels), target)
    levels = [
        validation.nonnegative(level, "noise", "a standard deviation") for level in np.ravel(noise)
    ]
    m, *tasks = everything.labels.shape
    shape = (*np.shape(noise), *tasks)
    sizes, pseudo = (sorted(set(each)) for each in zip(*pairs, strict=True))
    split_rows = row_splitter(m, sizes[-1], pseudo[-1], groups)
    w, s = everything.weak, everything.strong
    observed = everything.labels.reshape(m, -1)
    truth = np.tile(everything.target.reshape(m, -1), len(levels))
    columns = {n: slice(i * len(truth.T), (i + 1) * len(truth.T)) for i, n in enumerate(sizes)}

    def noisy(part: NDArray[np.intp], rng: np.random.Generator) -> Array:
        drawn = rng.standard_normal((len(part), observed.shape[1]))
        return np.hstack([observed[part] + level * drawn for level in levels])

    def one(generator: np.random.Generator) -> list[dict[str, Array]]:
        few, many, test = split_rows(generator)
        y, y_many = noisy(few, generator), noisy(many, generator)
        teachers = cumulative_moments(sizes, weak=w[few], labels=y)
        # Of the many inputs the students need what the teachers say, not what they see.
        said = w @ np.hstack([teachers[n].fit("weak", "labels") for n in sizes])
        labelled = cumulative_moments(sizes, strong=s[few], labels=y)
        unlabelled = cumulative_moments(pseudo, strong=s[many], labels=y_many, taught=said[many])
        students = {N: moments.fit("strong", "taught") for N, moments in unlabelled.items()}
        baselines = {n: moments.fit("strong", "labels") for n, moments in labelled.items()}
        phi, f, f_w = s[test], truth[test], said[test]

        def risks(n: int, N: int) -> dict[str, Array]:
            both = labelled[n] + unlabelled[N].only("strong", "labels")
            teacher, student = f_w[:, columns[n]], phi @ students[N][:, columns[n]]
            distances = {
                "teacher": teacher - f,
                "student": student - f,
                "baseline": phi @ baselines[n] - f,
                "ceiling": phi @ both.fit("strong", "labels") - f,
                "misfit": student - teacher,
            }
            return {
                name: np.mean(away**2, axis=0).reshape(shape) for name, away in distances.items()
            }

        return [risks(n, N) for n, N in pairs]

    rows = map_trials(one, trials, rng, n_jobs)
    return {pair: Result.of([row[i] for row in rows]) for i, pair in enumerate(pairs)}
