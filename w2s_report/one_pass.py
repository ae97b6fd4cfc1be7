r"""One pass over the rows: sums of products by fold, and the few rows that are kept whole.

Every row without a label falls at random into one of some twenty folds of the same size. For each
fold the sums of products of ``[1 | strong]`` and ``[1 | weak]`` are formed, in the precision of the
file, and added up in double precision, chunk after chunk. Everything after that, however often the
rows are split, is independent of their number. BLAS has one thread, and a fold's chunks are added
in their order, so the sums have the same bits for any number of workers and any kind of input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from w2s_report.options import FEWEST_FOLDS
from w2s_report.readers import Table, refusal

CHUNK_BYTES = 400_000_000
FOLD_BYTES = 500_000_000
KEPT_BYTES = 200_000_000
PILOT = 2048  # rows whose mean is taken off before products are formed
PIECE_BYTES = 1 << 20  # stays in a processor's cache

Progress = Callable[[float, str], None]


@dataclass(frozen=True, eq=False)
class Sums:
    """What the pass leaves."""

    rows: int
    """All rows,"""
    labelled: int
    """those with a label, which are in no fold,"""
    folds: int
    """and folds of the others."""
    fold_rows: int
    """Rows of each fold."""
    rest_rows: int
    """Rows without label that are in no fold, fewer than there are folds."""
    own: Mapping[str, NDArray[np.float64]]
    """Sums of products of ``[1 | features]``, shifted and scaled, by fold; the last entry is of
    the rows in no fold."""
    cross: Mapping[str, NDArray[np.float64]]
    """Of each teacher's with the student's."""
    kept: Mapping[str, NDArray[np.float64]]
    """Rows in memory, the labelled ones first,"""
    rows_kept: NDArray[np.int64]
    """and their numbers."""
    duplicates: NDArray[np.uint64]
    """Shape (rows,). For each row a number that equal rows of the strong features share."""
    placed: Mapping[str, tuple[NDArray, Any]] = field(default_factory=dict)
    """Shift and scale of each model's features."""


def one_pass(
    models: Mapping[str, Table],
    labelled: NDArray[np.int64],
    *,
    folds: int,
    sample: int,
    rng: np.random.Generator,
    jobs: int = 1,
    progress: Progress | None = None,
) -> Sums:
    """Read every row once.

    Parameters
    ----------
    models : mapping of str to Table
        Features by name, on the same rows: the student's first.
    labelled : ndarray of int
        Rows that are kept whole and are in no fold.
    folds : int
        At most; fewer where they would not fit into memory or there are fewer rows.
    sample : int
        Rows without label that are kept as well (and are in folds).
    rng : numpy.random.Generator
        Draws folds and sample.
    jobs : int
        Threads.
    progress : callable, optional
        Gets the share done and what is being done.

    Raises
    ------
    InputError
        If a value is NaN or infinite: the file, the row and the column.
    """
    fold, kept, count = _assign(models, labelled, folds, sample, rng)
    slot = np.full(len(fold), -1)
    slot[kept] = np.arange(len(kept))
    state = _State(models, count, kept)
    itemsize = 8 if any(table.precise for table in models.values()) else 4
    width = sum(table.shape[1] for table in models.values())
    step = int(np.clip(CHUNK_BYTES // (itemsize * width), 256, 1 << 16))
    with Parallel(n_jobs=jobs, backend="threading") as pool, threadpool_limits(1, "blas"):
        for start in range(0, len(fold), step):
            stop = min(start + step, len(fold))
            raw = {name: table.rows(start, stop) for name, table in models.items()}
            state.add(raw, start, fold[start:stop], slot[start:stop], pool)
            if progress:
                progress(stop / len(fold), "reading the rows")
    size, rest = divmod(int(np.sum(fold >= 0)), max(count, 1))
    whole = state.own, state.cross, state.kept, kept, state.duplicates, state.placed
    return Sums(len(fold), len(labelled), count, size, rest, *whole)


def rows_that_fit(models: Mapping[str, Table]) -> int:
    """Return how many rows may be kept whole."""
    return int(KEPT_BYTES // (8 * sum((table.shape[1] + 1 for table in models.values()), 1)))


def _assign(
    models: Mapping[str, Table],
    labelled: NDArray,
    folds: int,
    sample: int,
    rng: np.random.Generator,
) -> tuple[NDArray, NDArray, int]:
    """Fold of each row (-1 for labelled ones), the rows kept, and the number of folds."""
    fold = np.zeros(next(iter(models.values())).shape[0], np.int16)
    fold[labelled] = -1
    pool = rng.permutation(np.flatnonzero(fold == 0))
    strong, *weak = [table.shape[1] + 1 for table in models.values()]
    each = 8 * (strong**2 + sum(w**2 + w * strong for w in weak))
    count = min(folds, max(FEWEST_FOLDS, FOLD_BYTES // each - 1), len(pool))
    if count:
        size = len(pool) // count
        fold[pool] = np.minimum(np.arange(len(pool)) // size, count)
    return fold, np.concatenate([labelled, np.sort(pool[:sample])]), count


class _State:
    """The sums while they grow, and the shift and scale of each model's features."""

    def __init__(self, models: Mapping[str, Table], folds: int, kept: NDArray[np.int64]):
        self.models, self.strong = models, next(iter(models))
        rows, columns = models[self.strong].shape
        width = {name: table.shape[1] + 1 for name, table in models.items()}
        self.own = {name: np.zeros((folds + 1, w, w)) for name, w in width.items()}
        teachers, d = list(models)[1:], width[self.strong]
        self.cross = {name: np.zeros((folds + 1, width[name], d)) for name in teachers}
        self.kept = {name: np.zeros((len(kept), w)) for name, w in width.items()}
        self.duplicates = np.empty(rows, np.uint64)
        self.multipliers = 2 * np.random.default_rng(0).integers(1, 2**63, columns, np.uint64) + 1
        # Longer than wide, so that forming products takes longer than adding them up.
        self.piece = max(2 * max(width.values()), PIECE_BYTES // (4 * sum(width.values())))
        self.placed: dict[str, tuple[NDArray, Any]] = {}
        for name, model in models.items():
            pilot = model.rows(0, min(PILOT, rows)).astype(float)
            finite = np.where(np.isfinite(pilot), pilot, 0)
            mean = finite.mean(axis=0)
            with np.errstate(over="ignore"):
                size = float(np.sqrt(np.mean((finite - mean) ** 2)))
            precision = np.float64 if model.precise else np.float32
            scale = precision(1 / size if np.isfinite(size) and size > 0 else 1.0)
            self.placed[name] = mean.astype(precision), scale

    def add(
        self, raw: Mapping[str, NDArray], start: int, fold: NDArray, slot: NDArray, pool: Parallel
    ) -> None:
        """Add the products of each fold's rows, of a chunk, and keep the rows that are kept."""
        found = _fingerprints(raw[self.strong], self.multipliers)
        self.duplicates[start : start + len(found)] = found
        chosen = np.flatnonzero(slot >= 0)
        for name, block in self._blocks(raw, chosen).items():
            self.kept[name][slot[chosen]] = block
        pool(
            delayed(self._add_fold)(raw, np.flatnonzero(fold == number), number)
            for number in np.unique(fold[fold >= 0])
        )
        for name, values in raw.items():
            sums = np.einsum("kii->i", self.own[name]).sum() + self.kept[name].sum()
            if not np.isfinite(sums):  # tells that there is something to find
                bad, table = np.argwhere(~np.isfinite(values)), self.models[name]
                if not len(bad):
                    raise refusal("too large to square", table=table)
                row, column = int(start + bad[0][0]), int(bad[0][1])
                raise refusal("not finite", table=table, count=len(bad), row=row, column=column)

    def _blocks(self, raw: Mapping[str, NDArray], rows: NDArray) -> dict[str, NDArray]:
        """Rows of ``[1 | features]``, shifted and scaled, in the precision of the file."""
        blocks = {}
        with np.errstate(over="ignore", invalid="ignore"):
            for name, values in raw.items():
                shift, scale = self.placed[name]
                block = np.ones((len(rows), values.shape[1] + 1), scale.dtype)
                moved = values.take(rows, axis=0) - shift  # faster than rows of memory maps
                np.multiply(moved, scale, out=block[:, 1:])
                blocks[name] = block
        return blocks

    def _add_fold(self, raw: Mapping[str, NDArray], rows: NDArray, fold: int) -> None:
        for begin in range(0, len(rows), self.piece):
            blocks = self._blocks(raw, rows[begin : begin + self.piece])
            with np.errstate(over="ignore", invalid="ignore"):
                for name, block in blocks.items():
                    self.own[name][fold] += block.T @ block
                    if name in self.cross:
                        self.cross[name][fold] += block.T @ blocks[self.strong]


def _fingerprints(raw: NDArray, multipliers: NDArray) -> NDArray[np.uint64]:
    """One number a row, the same for equal rows; two different rows share one by rare chance."""
    with np.errstate(over="ignore"):
        words = np.ascontiguousarray(raw, np.float32)
        words = words.view(np.uint32 if words.shape[1] % 2 else np.uint64)
        return words.astype(np.uint64, copy=False) @ multipliers[: words.shape[1]]
