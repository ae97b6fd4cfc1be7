"""From the contents of files to arrays: one reader per data set.

Checksums have been checked before and pin every byte, so readers check nothing again. Texts come
back as arrays of Python strings (dtype ``object``), so that rows can be taken by an index array.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sized
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from w2s_experiments.data.registry import REGISTRY

__all__ = ["READERS", "Dataset", "Splits", "without_repeats"]

Splits = dict[str, dict[str, np.ndarray]]
Contents = Mapping[str, bytes]  # of the files, by their path in the registry
_ROLES = ("teacher", "student", "baseline", "ceiling")


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
    splits : dict of str to dict of str to ndarray of int
        Row numbers by split and part; empty where the data set comes without splits.
    columns : mapping of str to str
        In words, with units: ``"inputs"``, ``"targets"`` and every key of `extras`.
    extras : mapping of str to ndarray, shape (rows,)
        Further columns.
    """

    name: str
    inputs: np.ndarray
    targets: np.ndarray
    splits: Splits
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
    splits = {
        name: {part: position[rows][position[rows] >= 0] for part, rows in parts.items()}
        for name, parts in data.splits.items()
    }
    extras = {name: column[keep] for name, column in data.extras.items()}
    return replace(
        data, inputs=data.inputs[keep], targets=data.targets[keep], splits=splits, extras=extras
    )


# What several readers need


def _dataset(
    name: str,
    inputs: np.ndarray,
    targets: np.ndarray,
    splits: Splits | None = None,
    **extras: np.ndarray,
) -> Dataset:
    return Dataset(name, inputs, targets, splits or {}, REGISTRY[name].columns, extras)


def _texts(values: Iterable[str]) -> np.ndarray:
    return np.array(list(values), dtype=object)


def _in_order(split: str, **parts: Sized) -> Splits:
    """One split whose parts follow one another in the rows."""
    ends = np.cumsum([len(rows) for rows in parts.values()])
    return {
        split: {
            part: np.arange(end - len(rows), end)
            for (part, rows), end in zip(parts.items(), ends, strict=True)
        }
    }


# The readers


def _molecules(
    name: str, table: str, target: str, extras: Mapping[str, str], contents: Contents
) -> Dataset:
    text = contents[f"moleculenet/{table}"].decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    splits = None
    stored = contents.get(f"moleculenet/chembench_splits_{name}.json")
    if stored:
        splits = {
            split: {part: np.asarray(parts[part]) for part in ("train", "valid", "test")}
            for split, parts in json.loads(stored)["splits"].items()
        }
    return _dataset(
        name,
        _texts(row["smiles"].strip() for row in rows),
        np.array([float(row[target]) for row in rows]),
        splits,
        **{
            extra: np.array([float(row[column]) for row in rows])
            for extra, column in extras.items()
        },
    )


def _mnist(contents: Contents) -> Dataset:
    # The idx format: a header of 16 bytes for images and of 8 for labels, then unsigned bytes.
    images = [
        np.frombuffer(contents[f"mnist/{part}-images-idx3-ubyte.gz"], np.uint8, offset=16)
        for part in ("train", "t10k")
    ]
    train, test = (
        np.frombuffer(contents[f"mnist/{part}-labels-idx1-ubyte.gz"], np.uint8, offset=8)
        for part in ("train", "t10k")
    )
    return _dataset(
        "mnist",
        np.concatenate(images).reshape(-1, 28, 28),
        np.concatenate([train, test]).astype(int),
        _in_order("standard", train=train, test=test),
    )


def _sst2(contents: Contents) -> Dataset:
    # Quotation marks are ordinary characters here.
    train, dev = (
        [line.rsplit("\t", 1) for line in contents[path].decode().rstrip("\n").split("\n")[1:]]
        for path in ("sst2/train.tsv.gz", "sst2/dev.tsv")
    )
    return _dataset(
        "sst2",
        _texts(sentence for sentence, _ in [*train, *dev]),
        np.array([int(label) for _, label in [*train, *dev]]),
        _in_order("glue", train=train, dev=dev),
    )


def _webis(contents: Contents) -> Dataset:
    # str.splitlines would also break at the line separators that occur inside reviews.
    train, test = (
        [json.loads(line) for line in contents[path].decode().rstrip("\n").split("\n")]
        for path in (
            "french_reviews/webis_cls10_fr_train.jsonl.gz",
            "french_reviews/webis_cls10_fr_test.jsonl.gz",
        )
    )
    reviews = [*train, *test]
    return _dataset(
        "webis_cls_fr",
        _texts(review["text"] for review in reviews),
        np.array([review["rating"] for review in reviews]),
        _in_order("webis", train=train, test=test),
        **{name: _texts(r[name] for r in reviews) for name in ("id", "domain", "summary")},
        label=np.array([review["label"] for review in reviews]),
    )


def _utkface_published(contents: Contents) -> Dataset:
    # One row for each point of a curve; what is fixed along a curve is stored as one number.
    rows: dict[str, list[object]] = {}
    curves = json.loads(contents["published/utkface_curves.json"])["curves"]
    for number, curve in enumerate(curves):
        count = len(curve["student_mean"])
        columns = {
            **{name: curve[name] * (count // len(curve[name])) for name in ("n", "N")},
            **{name: [curve[name]] * count for name in ("weak", "strong", "swept")},
            **{name: curve[f"{name}_mean"] for name in (*_ROLES, "pgr", "opr")},
            **{f"{name}_sd": curve[f"{name}_sd"] for name in (*_ROLES, "pgr", "opr")},
            "curve": [number] * count,
            "noise": [float(curve["label_noise_std"])] * count,
            "overlap": [curve.get("reported_correlation_dimension", np.nan)] * count,
        }
        for name, values in columns.items():
            rows.setdefault(name, []).extend(values)
    table = {name: np.array(values) for name, values in rows.items()}
    sizes = np.column_stack([table.pop("n"), table.pop("N")])
    return _dataset("utkface_published", sizes, table.pop("student"), None, **table)


def _sst2_published(contents: Contents) -> Dataset:
    text = contents["published/sst2_finetuned.csv"].decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    return _dataset(
        "sst2_published",
        np.array([[int(row[size] or 0) for size in ("n", "N")] for row in rows]),
        np.array([float(row["test_accuracy"]) for row in rows]),
        None,
        **{name: np.array([row[name] for row in rows]) for name in ("role", "teacher")},
        **{name: np.array([int(row[name]) for row in rows]) for name in ("seed", "epoch")},
        loss=np.array([float(row["test_loss"]) for row in rows]),
    )


def _digits(_: Contents) -> Dataset:
    from sklearn.datasets import load_digits

    return _dataset("digits", *load_digits(return_X_y=True))


def _diabetes(_: Contents) -> Dataset:
    from sklearn.datasets import load_diabetes

    return _dataset("diabetes", *load_diabetes(return_X_y=True))


READERS: dict[str, Callable[[Contents], Dataset]] = {
    "esol": partial(
        _molecules,
        "esol",
        "delaney-processed.csv",
        "measured log solubility in mols per litre",
        {"delaney": "ESOL predicted log solubility in mols per litre"},
    ),
    "freesolv": partial(_molecules, "freesolv", "SAMPL.csv", "expt", {"calculated": "calc"}),
    "lipophilicity": partial(_molecules, "lipophilicity", "Lipophilicity.csv", "exp", {}),
    "mnist": _mnist,
    "sst2": _sst2,
    "webis_cls_fr": _webis,
    "utkface_published": _utkface_published,
    "sst2_published": _sst2_published,
    "digits": _digits,
    "diabetes": _diabetes,
}
