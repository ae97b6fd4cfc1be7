r"""What the sums of products say without labels: spectra, cuts, moments in few directions.

Least squares pays for every direction of the features, however small its eigenvalue. So features
are cut to their leading directions before a formula is used; then the dimension is a fact. The
constant is one of the directions kept, for every model: heads have an intercept.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy import linalg

from w2s_report import words
from w2s_report.one_pass import Sums
from w2s_report.readers import Table, refusal
from w2s_utils.least_squares import Moments

# Eigenvalues below this share of the largest are rounding: single and double precision.
ROUNDING = {False: 1e-5, True: 1e-11}
MOST_CHECKED = 512  # directions
ENOUGH = 2000  # labelled rows
SUPPORT = 0.03  # of a direction's deviation: less on the labelled rows is none
SHARES = (0.9, 0.95, 0.99, 0.999)


@dataclass(frozen=True, kw_only=True)
class Described:
    """What a report says of one model's features."""

    name: str
    columns: int
    constant: int
    """Columns that do not vary."""
    rank: int
    """Directions whose eigenvalue is more than rounding."""
    participation: float
    """Participation ratio of the spectrum."""
    dimension: int
    """Directions kept where least squares is fitted, the constant among them,"""
    limited_by: str
    """and what limits them."""
    warnings: tuple[str, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Spectrum(Described):
    """Second moment of one model's features about their mean."""

    eigenvalues: NDArray[np.float64]
    """Shape (columns,). Descending, as shares of their sum."""
    mean: NDArray[np.float64]
    directions: NDArray[np.float64]
    scales: NDArray[np.float64]

    def count(self, share: float) -> int:
        """Directions that hold a share of the variance."""
        held = np.cumsum(self.eigenvalues)
        return min(int(np.searchsorted(held, share * held[-1]) + 1), self.rank)

    def limited(self, share: float, half: int, most: int) -> Self:
        """Cut to the smallest of: a share of the variance, half the labels, and the most."""
        limits = (
            (1 + self.count(share), f"{share:.4g} of the variance"),
            (half, "half the labels of a split"),
            (most, "most by default"),
        )
        dimension, limited_by = min(limits, key=lambda limit: limit[0])
        return replace(self, dimension=dimension, limited_by=limited_by)

    def cut(self, dimension: int) -> NDArray[np.float64]:
        """Map from ``[1 | features]`` to the constant and ``dimension - 1`` white directions."""
        kept = self.directions[:, : dimension - 1] / self.scales[: dimension - 1]
        cut = np.zeros((self.columns + 1, dimension))
        cut[0, 0] = 1
        cut[0, 1:] = -self.mean @ kept
        cut[1:, 1:] = kept
        return cut


def spectrum(name: str, features: Table, sums: Sums) -> Spectrum:
    """Eigenvalues, rank and what is odd about the columns.

    The rank is at most the number of leading directions that the labelled rows have too.

    Raises
    ------
    InputError
        If no column varies.
    """
    labelled = sums.kept[name][: sums.labelled]
    total = sums.products[name, name].sum(axis=0) + labelled.T @ labelled  # of all rows
    mean = total[0, 1:] / sums.rows
    covariance = total[1:, 1:] / sums.rows - np.outer(mean, mean)
    variance = np.diag(covariance)
    tolerance = ROUNDING[features.precise] ** 2 * (mean**2 + 1)
    constant = int(np.sum(variance <= tolerance))
    if constant == features.shape[1]:
        raise refusal("no column varies", features=features)
    varying = np.sqrt(variance[variance > 0])
    told = {"spread": varying.max() / varying.min(), "columns": len(variance)}
    told["share"] = float(variance.max() / variance.sum())
    values, directions = np.linalg.eigh(covariance)  # lets other threads go on, unlike SciPy's
    values, directions = np.maximum(values[::-1], 0), directions[:, ::-1]
    # As many directions as rows allow can be told apart.
    rank = min(int(np.sum(values > ROUNDING[features.precise] * values[0])), sums.rows - 1)
    found = Spectrum(
        name=name,
        columns=features.shape[1],
        eigenvalues=values / values.sum(),
        rank=rank,
        participation=float(values.sum() ** 2 / np.sum(values**2)),
        constant=constant,
        dimension=0,
        limited_by="",
        warnings=words.paragraphs("warnings.txt", **told),
        mean=mean,
        directions=directions,
        scales=np.sqrt(np.maximum(values, np.finfo(float).tiny)),
    )
    rows = labelled[:: max(1, sums.labelled // ENOUGH)]
    white = rows @ found.cut(1 + min(sums.labelled - 1, MOST_CHECKED, rank))
    # A diagonal entry is what a direction has beyond those before it, over the labelled rows.
    beyond = np.abs(np.diag(linalg.qr(white, mode="r")[0]))[1:] / np.sqrt(len(white))
    lacking = np.flatnonzero(beyond < SUPPORT)
    return replace(found, rank=max(int(lacking[0]), 1)) if len(lacking) else found


@dataclass(frozen=True, eq=False)
class Pair:
    """One teacher and the student in few directions: all that the rest of the report needs."""

    folds: tuple[Moments, ...]
    """Blocks ``weak`` and ``strong`` of the unlabelled rows, by fold."""
    total: Moments
    """Of all rows."""
    weak: NDArray[np.float64]
    strong: NDArray[np.float64]
    """Shape (labelled + sampled, d). Rows kept, the labelled ones first."""
    labelled: int


def white(sums: Sums, spectra: Sequence[Spectrum], most: int, jobs: int = 1) -> Sums:
    """The rows kept in the constant and at most so many white directions, and the sums in them.

    There is a spectrum of every model; sums are in the directions that it is cut to.
    """
    maps = {one.name: one.cut(1 + min(one.rank, most)) for one in spectra}
    less = {one.name: maps[one.name][:, : one.dimension] for one in spectra}

    def cut(fold: int) -> list[NDArray[np.float64]]:
        return [less[a].T @ both[fold] @ less[b] for (a, b), both in sums.products.items()]

    cuts = Parallel(n_jobs=jobs, backend="threading")(map(delayed(cut), range(sums.folds + 1)))
    products = dict(zip(sums.products, map(np.array, zip(*cuts, strict=True)), strict=True))
    kept = {name: sums.kept[name] @ whole for name, whole in maps.items()}
    return replace(sums, products=products, kept=kept)


def pair(sums: Sums, weak: Spectrum, strong: Spectrum) -> Pair:
    """Take what concerns a teacher and a student from `white` sums, cut to their dimensions."""
    d_w, d_s = weak.dimension, strong.dimension
    blocks = {"weak": slice(0, d_w), "strong": slice(d_w, d_w + d_s)}
    w, s = sums.kept[weak.name][:, :d_w], sums.kept[strong.name][:, :d_s]
    names = (weak.name, weak.name), (weak.name, strong.name), (strong.name, strong.name)
    ww, ws, ss = map(sums.products.__getitem__, names)
    upper, lower = np.dstack([ww, ws]), np.dstack([ws.transpose(0, 2, 1), ss])
    counts = [sums.fold_rows] * sums.folds + [sums.rest_rows]
    joint = zip(counts, np.concatenate([upper, lower], axis=1), strict=True)
    *folds, rest = (Moments(rows, matrix, blocks) for rows, matrix in joint)
    count = sums.labelled
    total = sum(folds, Moments.of(weak=w[:count], strong=s[:count]) + rest)
    return Pair(tuple(folds), total, w, s, count)
