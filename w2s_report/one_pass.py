r"""One pass over the rows: sums of products by fold, and the few rows that are kept whole.

Every row without a label falls at random into one of some twenty folds of the same size. For each
fold the sums of products of ``[1 | strong]`` and ``[1 | weak]`` are formed, in the precision of the
file, and added up in double precision, chunk after chunk. Everything after that, however often the
rows are split, is independent of their number. BLAS has one thread, and a fold's chunks are added
in their order, so the sums have the same bits for any number of workers and any kind of input.
"""

import math
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from w2s_report.options import FEWEST_FOLDS
from w2s_report.readers import Table, refusal

CHUNK_BYTES = 300_000_000  # two at a time
FOLD_BYTES = 500_000_000
KEPT_BYTES = 200_000_000
PILOT = 2048  # rows whose mean is taken off before products are formed
PIECE_BYTES = 1 << 21  # stays in the caches of a processor

Raw = Mapping[str, NDArray]
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
    products: Mapping[tuple[str, str], NDArray[np.float64]]
    """Sums of products of ``[1 | features]``, shifted and scaled, by fold; the last entry is of
    the rows in no fold. Of each model's with its own, and of each teacher's with each student's."""
    kept: Mapping[str, NDArray[np.float64]]
    """Rows in memory, the labelled ones first,"""
    rows_kept: NDArray[np.int64]
    """and their numbers."""
    duplicates: NDArray[np.uint64]
    """Shape (rows,). For each row a number that equal rows of the first features share."""
    placed: Mapping[str, tuple[NDArray, Any]] = field(default_factory=dict)
    """Shift and scale of each model's features."""


def one_pass(
    models: Mapping[str, Table],
    labelled: NDArray[np.int64],
    *,
    folds: int,
    sample: int,
    rng: np.random.Generator,
    pairs: Sequence[tuple[str, str]],
    jobs: int = 1,
    progress: Progress | None = None,
) -> Sums:
    """Read every row once, with so many threads.

    Labelled rows are kept whole and are in no fold; a ``sample`` of the others, drawn with ``rng``,
    is kept as well. There are so many ``folds``, or fewer where they would not fit into memory or
    where rows are few. Pairs are a teacher's and a student's name.

    Raises
    ------
    InputError
        If a value is NaN or infinite: the file, the row and the column.
    """
    width = {name: table.shape[1] + 1 for name, table in models.items()}
    shapes = {(a, b): (width[a], width[b]) for a, b in [*zip(models, models, strict=True), *pairs]}
    each = 8 * sum(map(math.prod, shapes.values()))
    most = min(folds, max(FEWEST_FOLDS, FOLD_BYTES // each - 1))
    fold, kept, count = _assign(next(iter(models.values())).shape[0], labelled, most, sample, rng)
    slot = np.full(len(fold), -1)
    slot[kept] = np.arange(len(kept))
    size, rest = divmod(int(np.sum(fold >= 0)), max(count, 1))
    sums = Sums(
        rows=len(fold),
        labelled=len(labelled),
        folds=count,
        fold_rows=size,
        rest_rows=rest,
        products={names: np.zeros((count + 1, *shape)) for names, shape in shapes.items()},
        kept={name: np.zeros((len(kept), w)) for name, w in width.items()},
        rows_kept=kept,
        duplicates=np.empty(len(fold), np.uint64),
        placed={name: _place(table) for name, table in models.items()},
    )
    itemsize = 8 if any(table.precise for table in models.values()) else 4
    step = int(np.clip(CHUNK_BYTES // (itemsize * sum(width.values())), 256, 1 << 17))
    reading: deque[tuple[int, Raw, Sequence[Future[None]]]] = deque()
    with ThreadPoolExecutor(jobs) as pool, threadpool_limits(1, "blas"):
        adding = _Adding(sums, pool)
        for start in range(0, len(fold), step):
            stop = min(start + step, len(fold))
            raw = {name: table.rows(start, stop) for name, table in models.items()}
            reading.append((start, raw, adding.submit(raw, fold[start:stop])))
            chosen = np.flatnonzero(slot[start:stop] >= 0)
            for name, values in raw.items():
                rows = block(values.take(chosen, axis=0), *sums.placed[name])
                sums.kept[name][slot[start:stop][chosen]] = rows
            sums.duplicates[start:stop] = _fingerprints(next(iter(raw.values())))
            # One chunk is added up while the next is read, so that no thread waits.
            ahead = 0 if stop == len(fold) else 1
            while len(reading) > ahead:
                [future.result() for future in reading[0][2]]
                _check(sums, models, [(first, values) for first, values, _ in reading])
                reading.popleft()
            if progress:
                progress(stop / len(fold), "reading the rows")
    return sums


def rows_that_fit(models: Mapping[str, Table]) -> int:
    """Return how many rows may be kept whole."""
    return int(KEPT_BYTES // (8 * sum((table.shape[1] + 1 for table in models.values()), 1)))


def _assign(
    rows: int, labelled: NDArray, folds: int, sample: int, rng: np.random.Generator
) -> tuple[NDArray, NDArray, int]:
    """Fold of each row (-1 for labelled ones), the rows kept, and the number of folds."""
    fold = np.zeros(rows, np.int16)
    fold[labelled] = -1
    pool = rng.permutation(np.flatnonzero(fold == 0))
    count = min(folds, len(pool))
    if count:
        size = len(pool) // count
        fold[pool] = np.minimum(np.arange(len(pool)) // size, count)
    return fold, np.concatenate([labelled, np.sort(pool[:sample])]), count


def _place(model: Table) -> tuple[NDArray, Any]:
    """Shift and scale of the features, from the first rows."""
    pilot = model.rows(0, min(PILOT, model.shape[0])).astype(float)
    finite = np.where(np.isfinite(pilot), pilot, 0)
    mean = finite.mean(axis=0)
    with np.errstate(over="ignore"):
        size = float(np.sqrt(np.mean((finite - mean) ** 2)))
    precision = np.float64 if model.precise else np.float32
    scale = precision(1 / size if np.isfinite(size) and size > 0 else 1.0)
    return mean.astype(precision), scale


class _Adding:
    """Adds the products of each fold's rows, in the order in which chunks are submitted."""

    def __init__(self, sums: Sums, pool: ThreadPoolExecutor):
        self.sums, self.pool = sums, pool
        self.last: dict[int, Future[None]] = {}
        self.buffers = threading.local()  # a thread asks for memory once
        # Longer than wide, so that forming products takes longer than adding them up.
        widths = [kept.shape[1] for kept in sums.kept.values()]
        self.piece = max(4 * max(widths), PIECE_BYTES // (4 * sum(widths)))

    def submit(self, raw: Raw, fold: NDArray) -> Sequence[Future[None]]:
        for number in np.unique(fold[fold >= 0]).tolist():
            rows, before = np.flatnonzero(fold == number), self.last.get(number)
            self.last[number] = self.pool.submit(self._add, raw, rows, number, before)
        return tuple(self.last.values())

    def _add(self, raw: Raw, rows: NDArray, fold: int, before: Future[None] | None) -> None:
        if before is not None:
            before.result()
        for these in np.split(rows, range(self.piece, len(rows), self.piece)):
            blocks = {name: self._block(name, values, these) for name, values in raw.items()}
            with np.errstate(over="ignore", invalid="ignore"):
                columns = {name: np.ones(len(x), x.dtype) @ x for name, x in blocks.items()}
                for (one, other), folds in self.sums.products.items():
                    total = folds[fold]  # of [1 | x]; the ones apart, so that widths stay even
                    total[0, 0] += len(these)
                    total[0, 1:] += columns[other]
                    total[1:, 0] += columns[one]
                    total[1:, 1:] += blocks[one].T @ blocks[other]

    def _block(self, name: str, values: NDArray, rows: NDArray) -> NDArray:
        held = self.buffers.__dict__
        if len(held.get(name, ())) < len(rows):
            held[name] = np.empty((len(rows), values.shape[1]), values.dtype)
        # Without "clip" what is taken would be copied once more.
        taken = np.take(values, rows, axis=0, out=held[name][: len(rows)], mode="clip")
        return _placed(taken, *self.sums.placed[name])


def _check(sums: Sums, models: Mapping[str, Table], reading: Sequence[tuple[int, Raw]]) -> None:
    for name, table in models.items():
        total = np.einsum("kii->i", sums.products[name, name]).sum() + sums.kept[name].sum()
        if np.isfinite(total):
            continue
        for start, raw in reading:  # one of them has what is not finite
            bad = np.argwhere(~np.isfinite(raw[name]))
            if len(bad):
                row, column = int(start + bad[0][0]), int(bad[0][1])
                raise refusal("not finite", table=table, count=len(bad), row=row, column=column)
        raise refusal("too large to square", table=table)


def block(features: NDArray, shift: NDArray, scale: Any) -> NDArray:
    """Rows of ``[1 | features]``, shifted and scaled, in the precision of the file."""
    return np.insert(_placed(np.array(features, scale.dtype), shift, scale), 0, 1, axis=1)


def _placed(features: NDArray, shift: NDArray, scale: Any) -> NDArray:
    """Features shifted and scaled, where they are: memory is not asked for twice."""
    found = features.astype(scale.dtype, copy=False)
    with np.errstate(over="ignore", invalid="ignore"):
        found -= shift
        found *= scale
    return found


def _fingerprints(raw: NDArray) -> NDArray[np.uint64]:
    """One number a row, the same for equal rows; two different rows share one by rare chance."""
    drawn = np.random.default_rng(0).integers(1, 2**63, raw.shape[1], np.uint64)
    with np.errstate(over="ignore"):
        words = np.ascontiguousarray(raw, np.float32)
        words = words.view(np.uint32 if words.shape[1] % 2 else np.uint64)
        return words.astype(np.uint64, copy=False) @ (drawn * 2 + 1)[: words.shape[1]]
