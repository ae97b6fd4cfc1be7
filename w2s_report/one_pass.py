r"""One pass over the rows: sums of products by fold, and the few rows that are kept whole.

Every row without a label falls at random into one of some twenty folds of the same size. For each
fold the sums of products of ``[1 | strong]`` and ``[1 | weak]`` are formed, in the precision of the
file, and added up in double precision. Everything after that, however often the rows are split, is
independent of their number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from w2s_report.readers import InputError, Table

CHUNK_BYTES = 400_000_000
FOLD_BYTES = 500_000_000
KEPT_BYTES = 200_000_000
FEWEST_FOLDS = 8
PILOT = 2048  # rows whose mean is taken off before products are formed
_PIECE = 4096  # rows read at a time

Progress = Callable[[float, str], None]


@dataclass(frozen=True, eq=False)
class Features:
    """Features of all inputs under one model: one table, or several one below the other."""

    name: str
    tables: tuple[Table, ...]

    @property
    def rows(self) -> int:
        """Number of inputs."""
        return sum(table.shape[0] for table in self.tables)

    @property
    def columns(self) -> int:
        """Number of features."""
        return self.tables[0].shape[1]

    @property
    def precise(self) -> bool:
        """Whether single precision would lose something."""
        return any(np.result_type(t.dtype, np.float16).itemsize > 4 for t in self.tables)

    @property
    def files(self) -> str:
        """What an error calls them."""
        return ", ".join(table.name for table in self.tables)

    def read(self, start: int, stop: int) -> NDArray:
        """Return rows from ``start`` up to ``stop``."""
        parts, begin = [], 0
        for table in self.tables:
            end = begin + table.shape[0]
            low, high = max(start, begin), min(stop, end)
            if low < high:
                parts.append(table.rows(low - begin, high - begin))
            begin = end
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


@dataclass(frozen=True, eq=False)
class Sums:
    """What the pass leaves.

    Attributes
    ----------
    rows : int
        All rows.
    fold_rows : int
        Rows of each fold.
    rest_rows : int
        Rows that are in no fold, fewer than there are folds.
    own : dict of str to ndarray, shape (folds + 1, D + 1, D + 1)
        Sums of products of ``[1 | features]``, shifted and scaled, by fold; the last entry is of
        the rows in no fold.
    cross : dict of str to ndarray, shape (folds + 1, D_w + 1, D_s + 1)
        Of each teacher's with the student's.
    kept : dict of str to ndarray, shape (labelled + sampled, D + 1)
        Rows in memory, the labelled ones first.
    duplicates : ndarray of int, shape (rows,)
        For each row a number that equal rows of the strong features share.
    """

    rows: int
    fold_rows: int
    rest_rows: int
    own: Mapping[str, NDArray[np.float64]]
    cross: Mapping[str, NDArray[np.float64]]
    kept: Mapping[str, NDArray[np.float64]]
    duplicates: NDArray[np.uint64]

    @property
    def folds(self) -> int:
        """Number of folds."""
        return len(next(iter(self.own.values()))) - 1


def one_pass(
    strong: Features,
    weak: Sequence[Features],
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
    strong : Features
    weak : sequence of Features
        On the same rows.
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

    Returns
    -------
    Sums

    Raises
    ------
    InputError
        If a value is NaN or infinite: the file, the row and the column.
    """
    models = [strong, *weak]
    fold, kept, count = _assign(models, labelled, folds, sample, rng)
    slot = np.full(strong.rows, -1)
    slot[kept] = np.arange(len(kept))
    state = _State(models, count, len(kept))
    itemsize = 8 if any(m.precise for m in models) else 4
    width = sum(m.columns for m in models)
    step = int(np.clip(CHUNK_BYTES // (itemsize * width), 256, 1 << 18))
    duplicates = np.empty(strong.rows, np.uint64)
    multipliers = np.random.default_rng(0).integers(1, 2**63, strong.columns, np.uint64) * 2 + 1
    with Parallel(n_jobs=jobs, backend="threading") as pool, _one_blas_thread(jobs):
        for start in range(0, strong.rows, step):
            stop = min(start + step, strong.rows)
            blocks = {model.name: state.empty(model, stop - start) for model in models}
            for begin in range(start, stop, _PIECE):
                end = min(begin + _PIECE, stop)
                for model in models:
                    raw = model.read(begin, end)
                    if model is strong:
                        duplicates[begin:end] = _fingerprints(raw, multipliers)
                    state.fill(blocks[model.name][begin - start : end - start], model, raw)
            chosen = np.flatnonzero(slot[start:stop] >= 0)
            state.keep(blocks, chosen, slot[start:stop][chosen])
            state.add(blocks, fold[start:stop], pool)
            state.check(blocks, start)
            del blocks  # before the next ones are made
            if progress:
                progress(stop / strong.rows, "reading the rows")
    pooled = int(np.sum(fold >= 0))
    size = pooled // count if count else 0
    return Sums(
        strong.rows, size, pooled - size * count, state.own, state.cross, state.kept, duplicates
    )


def folds_that_fit(models: Sequence[Features], folds: int) -> int:
    """Return how many folds the memory allows, at least `FEWEST_FOLDS`."""
    strong, *weak = [model.columns + 1 for model in models]
    each = 8 * (strong**2 + sum(w**2 + w * strong for w in weak))
    return min(folds, max(FEWEST_FOLDS, int(FOLD_BYTES // each) - 1))


def rows_that_fit(models: Sequence[Features]) -> int:
    """Return how many rows may be kept whole."""
    return int(KEPT_BYTES // (8 * sum(model.columns + 1 for model in models)))


def _assign(
    models: Sequence[Features],
    labelled: NDArray,
    folds: int,
    sample: int,
    rng: np.random.Generator,
) -> tuple[NDArray, NDArray, int]:
    """Fold of each row (-1 for labelled ones), the rows kept, and the number of folds."""
    rows = models[0].rows
    fold = np.zeros(rows, np.int16)
    fold[labelled] = -1
    pool = rng.permutation(np.flatnonzero(fold == 0))
    count = min(folds_that_fit(models, folds), len(pool))
    if count:
        size = len(pool) // count
        fold[pool] = np.minimum(np.arange(len(pool)) // size, count)
    return fold, np.concatenate([labelled, np.sort(pool[:sample])]), count


class _State:
    """The sums while they grow, and the shift and scale of each model's features."""

    def __init__(self, models: Sequence[Features], folds: int, kept: int):
        self.models = {model.name: model for model in models}
        self.strong = models[0].name
        width = {model.name: model.columns + 1 for model in models}
        self.own = {name: np.zeros((folds + 1, w, w)) for name, w in width.items()}
        self.cross = {
            name: np.zeros((folds + 1, w, width[self.strong]))
            for name, w in width.items()
            if name != self.strong
        }
        self.kept = {name: np.empty((kept, w)) for name, w in width.items()}
        self.shift: dict[str, NDArray] = {}
        self.scale: dict[str, float] = {}
        for model in models:
            pilot = model.read(0, min(PILOT, model.rows)).astype(float)
            finite = np.where(np.isfinite(pilot), pilot, 0)
            self.shift[model.name] = finite.mean(axis=0)
            size = float(np.sqrt(np.mean((finite - finite.mean(axis=0)) ** 2)))
            self.scale[model.name] = size if np.isfinite(size) and size > 0 else 1.0

    def empty(self, model: Features, rows: int) -> NDArray:
        """Room for ``[1 | features]``, in the precision of the file."""
        return np.empty((rows, model.columns + 1), np.float64 if model.precise else np.float32)

    def fill(self, block: NDArray, model: Features, raw: NDArray) -> None:
        """Write ``[1 | features]``, shifted and scaled."""
        block[:, 0] = 1
        block[:, 1:] = raw
        block[:, 1:] -= self.shift[model.name].astype(block.dtype)
        block[:, 1:] *= block.dtype.type(1 / self.scale[model.name])

    def keep(self, blocks: Mapping[str, NDArray], rows: NDArray, slots: NDArray) -> None:
        """Copy the rows that stay in memory."""
        for name, block in blocks.items():
            self.kept[name][slots] = block[rows]

    def add(self, blocks: Mapping[str, NDArray], fold: NDArray, pool: Parallel) -> None:
        """Add the products of each fold's rows."""
        pool(
            delayed(self._add_fold)(blocks, np.flatnonzero(fold == number), number)
            for number in np.unique(fold[fold >= 0])
        )

    def _add_fold(self, blocks: Mapping[str, NDArray], rows: NDArray, fold: int) -> None:
        chosen = {name: block[rows] for name, block in blocks.items()}
        with np.errstate(over="ignore", invalid="ignore"):
            for name, block in chosen.items():
                self.own[name][fold] += block.T @ block
                if name in self.cross:
                    self.cross[name][fold] += block.T @ chosen[self.strong]

    def check(self, blocks: Mapping[str, NDArray], start: int) -> None:
        """Find what is not finite; the sums tell whether there is anything to find."""
        for name, block in blocks.items():
            diagonal = np.einsum("kii->ki", self.own[name])
            if np.isfinite(diagonal).all() and np.isfinite(block @ np.ones_like(block[0])).all():
                continue
            model = self.models[name]
            bad = np.argwhere(~np.isfinite(block))
            if not len(bad):
                raise InputError(
                    f"{model.files}: shape ({model.rows}, {model.columns}), values too large to be "
                    "squared; divide the features by their standard deviation"
                )
            row, column = int(start + bad[0][0]), int(bad[0][1]) - 1
            raise InputError(
                f"{model.files}: shape ({model.rows}, {model.columns}), {len(bad)} values near row "
                f"{row}, column {column} are NaN or infinite; remove these rows or impute them"
            )


def _fingerprints(raw: NDArray, multipliers: NDArray) -> NDArray[np.uint64]:
    """One number a row, the same for equal rows; two different rows share one by rare chance."""
    with np.errstate(over="ignore"):
        words = np.ascontiguousarray(raw, np.float32).view(np.uint32)
        return words.astype(np.uint64) @ multipliers


def _one_blas_thread(jobs: int) -> threadpool_limits:
    return threadpool_limits(1 if jobs > 1 else None, "blas")
