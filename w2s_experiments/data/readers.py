"""From the files of a data set to arrays: one reader per data set, checksums aside."""

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from w2s_experiments.data.parsers import (
    Splits,
    read_idx,
    read_json_lines,
    read_splits,
    read_table,
    texts,
)
from w2s_experiments.data.registry import REGISTRY, DataError

__all__ = ["READERS", "Dataset", "without_repeats"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set in memory.

    Attributes
    ----------
    name : str
        Its name in the registry.
    inputs : ndarray, shape (rows, ...)
        Numbers, or Python strings with dtype ``object``.
    targets : ndarray, shape (rows,)
        What is predicted.
    splits : dict of str to dict of str to ndarray of int, or None
        Row numbers by split and part, where the data set comes with splits.
    columns : mapping of str to str
        In words, with units: ``"inputs"``, ``"targets"`` and every key of `extras`.
    extras : mapping of str to ndarray, shape (rows,)
        Further columns.
    """

    name: str
    inputs: np.ndarray
    targets: np.ndarray
    splits: Splits | None
    columns: Mapping[str, str]
    extras: Mapping[str, np.ndarray] = field(default_factory=dict)


def without_repeats(data: Dataset) -> Dataset:
    """Keep only the first of each group of equal inputs, and renumber the splits.

    Rows of a training part come first in every data set here, so that what also occurs in a test
    part is dropped from the test part.

    Parameters
    ----------
    data : Dataset
        For example ``load("webis_cls_fr")``, whose reviews repeat within and across its parts.

    Returns
    -------
    Dataset
        Rows in their order; where the targets of equal inputs differ, the first one's stays.
    """
    keys = data.inputs if data.inputs.ndim == 1 else [row.tobytes() for row in data.inputs]
    first: dict[str | bytes, int] = {}
    for row, key in enumerate(keys):
        first.setdefault(key, row)
    keep = np.fromiter(first.values(), dtype=int)
    position = np.full(len(keys), -1)
    position[keep] = np.arange(len(keep))
    splits = data.splits and {
        name: {part: position[rows][position[rows] >= 0] for part, rows in parts.items()}
        for name, parts in data.splits.items()
    }
    extras = {name: column[keep] for name, column in data.extras.items()}
    return replace(
        data, inputs=data.inputs[keep], targets=data.targets[keep], splits=splits, extras=extras
    )


MOLECULES = {
    "esol": (
        "delaney-processed.csv",
        (
            "Compound ID",
            "ESOL predicted log solubility in mols per litre",
            "Minimum Degree",
            "Molecular Weight",
            "Number of H-Bond Donors",
            "Number of Rings",
            "Number of Rotatable Bonds",
            "Polar Surface Area",
            "measured log solubility in mols per litre",
            "smiles",
        ),
        "measured log solubility in mols per litre",
        {
            "targets": "measured log10 solubility in water, mol/l",
            "delaney": "log10 solubility predicted by Delaney's own linear model, mol/l",
        },
        {"delaney": "ESOL predicted log solubility in mols per litre"},
    ),
    "freesolv": (
        "SAMPL.csv",
        ("iupac", "smiles", "expt", "calc"),
        "expt",
        {
            "targets": "measured hydration free energy, kcal/mol",
            "calculated": "hydration free energy by molecular dynamics, kcal/mol",
        },
        {"calculated": "calc"},
    ),
    "lipophilicity": (
        "Lipophilicity.csv",
        ("CMPD_CHEMBLID", "exp", "smiles"),
        "exp",
        {"targets": "measured octanol/water distribution coefficient logD at pH 7.4"},
        {},
    ),
}


def _molecules(name: str) -> Callable[[Mapping[str, Path]], Dataset]:
    file, header, target, columns, extras = MOLECULES[name]
    rows = REGISTRY[name].rows

    def reader(paths: Mapping[str, Path]) -> Dataset:
        numbers = (target, *extras.values())
        table = read_table(paths[f"moleculenet/{file}"], header, rows=rows, numbers=numbers)
        splits = paths.get(f"moleculenet/chembench_splits_{name}.json")
        return Dataset(
            name=name,
            inputs=texts([smiles.strip() for smiles in table["smiles"]]),
            targets=table[target],
            splits=None if splits is None else read_splits(splits, rows),
            columns={"inputs": "SMILES"} | columns,
            extras={extra: table[column] for extra, column in extras.items()},
        )

    return reader


def _mnist(paths: Mapping[str, Path]) -> Dataset:
    parts = {"train": 60000, "t10k": 10000}
    images = [
        read_idx(paths[f"mnist/{part}-images-idx3-ubyte.gz"], (rows, 28, 28))
        for part, rows in parts.items()
    ]
    labels = [
        read_idx(paths[f"mnist/{part}-labels-idx1-ubyte.gz"], (rows,))
        for part, rows in parts.items()
    ]
    targets = np.concatenate(labels)
    if targets.max() > 9:
        raise DataError(f"{paths['mnist/train-labels-idx1-ubyte.gz']}: a label above 9")
    return Dataset(
        name="mnist",
        inputs=np.concatenate(images),
        targets=targets.astype(int),
        splits=_in_order("standard", train=60000, test=10000),
        columns={"inputs": "grey values 0 to 255, 28 by 28", "targets": "digit 0 to 9"},
    )


def _in_order(split: str, **sizes: int) -> Splits:
    """One split whose parts follow one another in the rows."""
    ends = np.cumsum(list(sizes.values()))
    return {
        split: {
            part: np.arange(end - size, end)
            for (part, size), end in zip(sizes.items(), ends, strict=True)
        }
    }


def _sst2(paths: Mapping[str, Path]) -> Dataset:
    sizes = {"train": 67349, "dev": 872}
    tables = [
        read_table(
            paths["sst2/train.tsv.gz" if part == "train" else "sst2/dev.tsv"],
            ("sentence", "label"),
            rows=rows,
            numbers=("label",),
            delimiter="\t",
            quoting=csv.QUOTE_NONE,
        )
        for part, rows in sizes.items()
    ]
    return Dataset(
        name="sst2",
        inputs=np.concatenate([table["sentence"] for table in tables]),
        targets=np.concatenate([table["label"] for table in tables]).astype(int),
        splits=_in_order("glue", **sizes),
        columns={
            "inputs": "text, lower case, tokens separated by blanks; the training part holds "
            "phrases of parse trees, the dev part whole sentences",
            "targets": "1 positive, 0 negative",
        },
    )


def _webis(paths: Mapping[str, Path]) -> Dataset:
    fields = {"id": str, "domain": str, "rating": int, "label": int, "summary": str, "text": str}
    columns: dict[str, list] = {name: [] for name in fields}
    for part in ("train", "test"):
        path = paths[f"french_reviews/webis_cls10_fr_{part}.jsonl.gz"]
        for name, values in read_json_lines(path, fields, rows=6000).items():
            columns[name] += values
    extras = {name: texts(columns[name]) for name in ("id", "domain", "summary")}
    return Dataset(
        name="webis_cls_fr",
        inputs=texts(columns["text"]),
        targets=np.asarray(columns["rating"]),
        splits=_in_order("webis", train=6000, test=6000),
        columns={
            "inputs": "text of the review; some repeat, see without_repeats",
            "targets": "stars: 1, 2, 4 or 5",
            "id": "domain, part and position",
            "domain": "books, dvd or music",
            "summary": "headline of the review",
            "label": "1 when the review has more than 3 stars, else 0",
        },
        extras=extras | {"label": np.asarray(columns["label"])},
    )


def _digits(_: Mapping[str, Path]) -> Dataset:
    from sklearn.datasets import load_digits

    inputs, targets = load_digits(return_X_y=True)
    columns = {"inputs": "grey values 0 to 16, 8 by 8", "targets": "digit 0 to 9"}
    return Dataset("digits", inputs, targets, None, columns)


def _diabetes(_: Mapping[str, Path]) -> Dataset:
    from sklearn.datasets import load_diabetes

    inputs, targets = load_diabetes(return_X_y=True)
    columns = {
        "inputs": "age, sex, body mass index, blood pressure, six blood serum values; "
        "each column centred and scaled to length 1",
        "targets": "disease progression one year after, an integer score from 25 to 346",
    }
    return Dataset("diabetes", inputs, targets, None, columns)


READERS: dict[str, Callable[[Mapping[str, Path]], Dataset]] = {
    **{name: _molecules(name) for name in MOLECULES},
    "mnist": _mnist,
    "sst2": _sst2,
    "webis_cls_fr": _webis,
    "digits": _digits,
    "diabetes": _diabetes,
}
