"""One data set of molecules: features under all models, splits, and runs over all of them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

from w2s_experiments.data import datasets
from w2s_experiments.encoders import descriptors, smiles, smiles_encoders
from w2s_experiments.molecules import design, runs
from w2s_experiments.molecules.runs import Rows, Split
from w2s_utils import validation
from w2s_utils.least_squares import Ridge


@dataclass(frozen=True, eq=False)
class Study:
    """A data set under the models.

    Attributes
    ----------
    name : str
        Of the data set.
    keys : list of str
        Canonical SMILES; equal molecules have equal keys.
    targets : ndarray, shape (m,)
        In the unit of the data set.
    splits : list of dict
        ChemBench's three, then new ones.
    ladders : dict of str to list of ndarray
        Features of the weak models by ladder: pretraining seed after seed, width after width.
    strong : dict of str to ndarray
        Features of the strong models by name.
    ready_made : ndarray, shape (m,), or None
        Predictions that the data set comes with.
    """

    name: str
    keys: list[str]
    targets: NDArray[np.float64]
    splits: list[Rows]
    ladders: dict[str, list[NDArray]] = field(repr=False)
    strong: dict[str, NDArray] = field(repr=False)
    ready_made: NDArray[np.float64] | None = field(default=None, repr=False)

    def run(
        self,
        protocol: str = design.HEADLINE["protocol"],
        *,
        labels: int | None = None,
        ladder: str = design.HEADLINE["ladder"],
        strong: str = design.HEADLINE["strong"],
        draws: int = design.DRAWS,
        ridge: float = design.STUDENT_RIDGE,
        inputs: tuple[Sequence[NDArray], NDArray] | None = None,
    ) -> list[Split]:
        """Run every split, `w2s_experiments.molecules.runs.teach_molecules`.

        Parameters
        ----------
        protocol, labels, ridge, inputs
            As there.
        ladder, strong : str
            Names of models.
        draws : int
            Of the labelled molecules in every split, where ``labels`` is given.

        Returns
        -------
        list of Split
            Split after split, draw after draw. Equal arguments give equal draws, whatever the
            models.
        """
        weak, phi = self.ladders[ladder], self.strong[strong]
        repeats = draws if labels is not None else 1
        seeds = np.random.default_rng([design.SPLIT_SEED, labels or 0]).spawn(len(self.splits))

        def one(rows: Rows, rng: np.random.Generator) -> list[Split]:
            seen = (runs.standardise(weak, phi, rows, inputs), self.targets, rows)
            options = dict[str, Any](protocol=protocol, labels=labels, rng=rng, ridge=ridge)
            return [runs.teach_molecules(*seen, **options) for _ in range(repeats)]

        # The matrices are small: one thread of the linear algebra for each split is faster.
        with threadpool_limits(1, "blas"), ThreadPoolExecutor(os.cpu_count() or 1) as executor:
            found = list(executor.map(one, self.splits, seeds))
        return [split for draws_of in found for split in draws_of]

    def head_errors(
        self, features: ArrayLike, *, ridge: float = design.STUDENT_RIDGE
    ) -> NDArray[np.float64]:
        """Test error of a head on all training labels, by split, in units of their variance.

        Parameters
        ----------
        features : array_like, shape (m, d)
        ridge : float
            Penalty per row on standardised features; 0 is least squares.

        Returns
        -------
        ndarray, shape (splits,)
        """
        with threadpool_limits(1, "blas"):
            return np.array([self._head_error(features, rows, ridge) for rows in self.splits])

    def _head_error(self, features: ArrayLike, rows: Rows, ridge: float) -> float:
        phi, _ = runs.standardised(features, np.concatenate([rows["train"], rows["valid"]]))
        y = self.scaled(self.targets, rows)
        train, test = rows["train"], rows["test"]
        head = Ridge(ridge * len(train), intercept=True) if ridge else runs.TEACHER
        return float(np.mean((head.fit(phi[train], y[train]).predict(phi[test]) - y[test]) ** 2))

    def scaled(self, values: NDArray, rows: Rows) -> NDArray[np.float64]:
        """Values in the units of a split: training targets have mean 0 and variance 1."""
        known = self.targets[rows["train"]]
        return (values - known.mean()) / known.std()


def load(
    name: str,
    *,
    seeds: int = design.SEEDS,
    strong_seeds: int = 1,
    new_splits: int = design.NEW_SPLITS,
    most: int | None = None,
) -> Study:
    """Read a data set, embed it, split it.

    Parameters
    ----------
    name : {"esol", "freesolv", "lipophilicity"}
    seeds : int
        Pretraining seeds of the masked ladder.
    strong_seeds : int
        Strong encoders beyond the first are ``"transformer 1"`` and so on.
    new_splits : int
        Splits beside ChemBench's.
    most : int, optional
        Use a random subset of so many molecules.

    Returns
    -------
    Study
        Ladders ``"masked"``, ``"untrained"``, ``"fragments"`` (folded Morgan counts); strong models
        ``"transformer"``, ``"descriptors"``, ``"both"``.

    Raises
    ------
    DataError, MoleculeError
        If the data or a package is missing.
    """
    data = datasets.load(name)
    rows = np.arange(len(data.targets))
    if not data.splits:
        raise datasets.DataError(f"{name}: ChemBench's splits are not there: w2s data list")
    if most is not None and most < len(rows):
        validation.at_least(most, 40, "most", "molecules")
        rows = np.sort(np.random.default_rng(0).permutation(rows)[:most])
    keys = smiles.canonical(data.inputs[rows])
    masked = [f"masked-{width}-{seed}" for seed in range(seeds) for width in design.WIDTHS]
    untrained = [f"untrained-{width}" for width in design.WIDTHS]
    heavy = [f"strong-{seed}" for seed in range(strong_seeds)]
    found = smiles_encoders.embed_all(keys, [*heavy, *masked[::-1], *untrained[::-1]])
    described = smiles_encoders.embed(keys, smiles_encoders.DESCRIPTORS)
    strong = {"transformer": found["strong-0"], "descriptors": described}
    strong["both"] = np.hstack(list(strong.values()))
    strong |= {f"transformer {seed}": found[f"strong-{seed}"] for seed in range(1, strong_seeds)}
    return Study(
        name=name,
        keys=keys,
        targets=np.asarray(data.targets[rows], dtype=float),
        splits=[*_chembench(data.splits, rows), *_new(keys, new_splits)],
        ladders={
            "masked": [found[encoder] for encoder in masked],
            "untrained": [found[encoder] for encoder in untrained],
            "fragments": descriptors.morgan_counts(keys, design.WIDTHS),
        },
        strong=strong,
        ready_made=_ready_made(data, rows),
    )


def _ready_made(data: datasets.Dataset, rows: NDArray[np.int_]) -> NDArray[np.float64] | None:
    columns = list(data.extras.values())
    return np.asarray(columns[0][rows], dtype=float) if columns else None


def _chembench(splits: Mapping[str, Rows], rows: NDArray[np.int_]) -> list[Rows]:
    """Restrict the splits to some rows, renumbered."""
    return [
        {part: np.flatnonzero(np.isin(rows, chosen)) for part, chosen in split.items()}
        for split in splits.values()
    ]


def _new(keys: Sequence[str], count: int) -> list[Rows]:
    rng = np.random.default_rng(design.SPLIT_SEED)
    return runs.new_splits(keys, count, rng)
