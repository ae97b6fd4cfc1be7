"""Random splits of one data set into labelled, unlabelled and test inputs, for the protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from w2s_utils import validation
from w2s_utils.least_squares import Moments, cumulative_moments
from w2s_utils.protocol import Inputs, Result, Trial, map_trials, nested_trial
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

    Returns
    -------
    callable
        For `w2s_utils.protocol.repeat`.

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
    """Return what draws the rows of labelled, unlabelled and test inputs.

    Parameters
    ----------
    m : int
        Rows.
    n, N, groups
        As in `random_splits`.

    Returns
    -------
    callable
        Takes a generator, returns three arrays of row numbers.

    Raises
    ------
    ValueError
        If too few rows are left for testing (with groups: when the callable is called).
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
    noise: float = 0.0,
    target: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    n_jobs: int = 1,
) -> dict[tuple[int, int], Result]:
    r"""Run random splits for many numbers of labels and pseudo-labels at once.

    In each trial the rows are split once, for the largest ``n`` and ``N`` of the cells; smaller
    samples are the first rows of the larger ones, and all cells are tested on the same rows. All
    heads are minimum-norm least squares, computed from moment matrices which grow from sample to
    sample: a point of a sweep costs its new rows and one small solve.

    Parameters
    ----------
    weak, strong, labels, noise, target, groups
        As in `random_splits`, with one teacher.
    cells : sequence of (int, int)
        Pairs ``(n, N)`` of labelled and unlabelled inputs; the rows that the largest leave over
        are the test inputs.
    trials : int
        At least 1.
    rng : numpy.random.Generator
        The same generator gives the same splits for every pair of models on ``m`` rows, and the
        same numbers whatever the number of workers.
    n_jobs : int
        Worker processes (joblib); -1 for all cores.

    Returns
    -------
    dict of (int, int) to Result
        By cell, in the order given.

    Raises
    ------
    ValueError
        If rows or shapes differ, there are no cells, or too few rows are left for testing.
    """
    pairs = list(dict.fromkeys((int(n), int(N)) for n, N in cells))
    if not pairs or min(map(min, pairs)) < 1:
        raise ValueError(f"cells: expected pairs (n, N) of positive numbers, got {list(cells)}")
    most = {"n": max(n for n, _ in pairs), "N": max(N for _, N in pairs)}
    draw = random_splits(weak, strong, labels, **most, noise=noise, target=target, groups=groups)

    def blocks(part: Inputs, values: Array) -> dict[str, Any]:
        return {"weak": part.weak, "strong": part.strong, "labels": values}

    def one(generator: np.random.Generator) -> list[dict[str, Array]]:
        labelled, unlabelled, test = draw(generator)
        risks = nested_trial(
            pairs,
            cumulative_moments([n for n, _ in pairs], **blocks(labelled, labelled.labels)),
            cumulative_moments([N for _, N in pairs], **blocks(unlabelled, unlabelled.labels)),
            Moments.of(**blocks(test, test.target)),
        )
        tasks = test.target.shape[1:]
        return [
            {name: values.reshape(tasks) for name, values in risks[pair].items()} for pair in pairs
        ]

    rows = map_trials(one, trials, rng, n_jobs)
    return {pair: Result.of([row[i] for row in rows]) for i, pair in enumerate(pairs)}
