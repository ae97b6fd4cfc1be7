"""The registry: real files where they are at hand, small and damaged ones always."""

import gzip
import hashlib
import os
import pickle
import re
import tempfile
from pathlib import Path

import numpy as np
import platformdirs
import pytest

from w2s_experiments.data import datasets, download, readers, registry
from w2s_experiments.data.datasets import DataError

REAL = [name for name, entry in datasets.REGISTRY.items() if entry.files]

REAL_FOLDER = os.environ.get("W2S_DATA_DIR")

needs_real_files = pytest.mark.skipif(
    not REAL_FOLDER,
    reason="W2S_DATA_DIR is not set: the real data files are not at hand",
)


@pytest.fixture
def places(tmp_path, monkeypatch):
    """An empty data folder and an empty cache."""
    data, cache = tmp_path / "data", tmp_path / "cache"
    data.mkdir()
    cache.mkdir()
    monkeypatch.setenv("W2S_DATA_DIR", str(data))
    monkeypatch.setattr(datasets, "cache_folder", lambda: cache)
    return data, cache


@pytest.fixture
def toy(monkeypatch):
    """A data set of one required file and one optional, without a public address."""
    content, extra = b"x,y\n1,2\n", b'{"splits": {"a": {"train": [0]}}}'
    canonical = b'{"a":{"train":[0]}}'
    files = (
        registry.DataFile("toy/t.csv", hashlib.sha256(content).hexdigest(), 8),
        registry.DataFile(
            "toy/s.json", hashlib.sha256(canonical).hexdigest(), 9, "splits", required=False
        ),
    )
    entry = registry.Entry("toy", "Toy", "none", "nobody", {}, files)
    monkeypatch.setitem(datasets.REGISTRY, "toy", entry)
    monkeypatch.setitem(readers.READERS, "toy", lambda contents: contents)
    return {"toy/t.csv": content, "toy/s.json": extra}


def gzipped(monkeypatch, content, of="content"):
    """Registered as the content of the only file of a data set, which is gzipped."""
    file = registry.DataFile("toy/t.gz", hashlib.sha256(content).hexdigest(), 1, of)
    entry = registry.Entry("toy", "Toy", "none", "nobody", {}, (file,))
    monkeypatch.setitem(datasets.REGISTRY, "toy", entry)
    monkeypatch.setitem(readers.READERS, "toy", lambda contents: contents["toy/t.gz"])


def put(folder, name, content):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


# Real files --------------------------------------------------------------------------------------


@needs_real_files
@pytest.mark.parametrize("name", REAL)
def test_real_files_have_the_registered_sizes_and_checksums(name):
    sizes = {file.size for file in datasets.REGISTRY[name].files}
    assert {path.stat().st_size for path in datasets.verify(name)} == sizes


@needs_real_files
@pytest.mark.parametrize(
    ("name", "rows", "mean", "deviation", "parts"),
    [
        ("esol", 1128, -3.050, 2.096, [902, 113, 113]),
        ("freesolv", 642, -3.803, 3.848, [513, 64, 65]),
        ("lipophilicity", 4200, 2.186, 1.203, [3360, 420, 420]),
    ],
)
def test_molecules(name, rows, mean, deviation, parts):
    data = datasets.load(name)
    assert data.inputs.shape == data.targets.shape == (rows,)
    assert data.targets.mean() == pytest.approx(mean, abs=5e-4)
    assert data.targets.std(ddof=1) == pytest.approx(deviation, abs=5e-4)
    assert all(smiles and smiles == smiles.strip() for smiles in data.inputs)
    assert list(data.splits) == ["random122", "random123", "random124"]
    for split in data.splits.values():
        assert [len(split[part]) for part in ("train", "valid", "test")] == parts


@needs_real_files
def test_ready_made_predictors_are_near_the_targets():
    for name, extra in (("esol", "delaney"), ("freesolv", "calculated")):
        data = datasets.load(name)
        assert np.corrcoef(data.extras[extra], data.targets)[0, 1] > 0.9


@needs_real_files
def test_mnist():
    data = datasets.load("mnist")
    assert data.inputs.shape == (70000, 28, 28)
    assert data.inputs.dtype == np.uint8
    train, test = data.splits["standard"]["train"], data.splits["standard"]["test"]
    # The well-known mean grey value of the training part, and its first labels.
    assert data.inputs[train].mean() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert data.targets[train][:5].tolist() == [5, 0, 4, 1, 9]
    assert data.targets[test][:5].tolist() == [7, 2, 1, 0, 4]


@needs_real_files
def test_sst2():
    data = datasets.load("sst2")
    train, dev = data.splits["glue"]["train"], data.splits["glue"]["dev"]
    assert np.bincount(data.targets[train]).tolist() == [29780, 37569]
    assert np.bincount(data.targets[dev]).tolist() == [428, 444]
    assert len(set(data.inputs[train])) == 67349 - 371
    assert not set(data.inputs[train]) & set(data.inputs[dev])


@needs_real_files
def test_webis_repeats_are_kept_and_can_be_dropped():
    data = datasets.load("webis_cls_fr")
    train, test = data.splits["webis"]["train"], data.splits["webis"]["test"]
    assert dict(zip(*np.unique(data.targets[train], return_counts=True), strict=True)) == {
        1: 1629, 2: 1371, 4: 816, 5: 2184,
    }  # fmt: skip
    for domain in ("books", "dvd", "music"):
        for part in (train, test):
            chosen = data.extras["domain"][part] == domain
            assert chosen.sum() == 2000
            assert data.extras["label"][part][chosen].sum() == 1000
    assert len(set(data.inputs[train])) == 6000 - 168
    distinct = datasets.without_repeats(data)
    assert len(distinct.targets) == 11381
    train, test = distinct.splits["webis"]["train"], distinct.splits["webis"]["test"]
    assert not set(distinct.inputs[train]) & set(distinct.inputs[test])


@needs_real_files
def test_published_results_are_tables():
    curves = datasets.load("utkface_published")
    assert curves.inputs.shape == (66 * 20, 2)
    # n = 1600, N = 18000, ResNet18: as reported in the paper's figure of test errors.
    row = (curves.inputs == (1600, 18000)).all(axis=1) & (curves.extras["weak"] == "resnet18")
    assert curves.extras["teacher"][row] == pytest.approx([234.3], abs=0.05)
    assert curves.targets[row] == pytest.approx([122.0], abs=0.05)
    assert np.isfinite(curves.extras["overlap"]).sum() == 26 * 20
    runs = datasets.load("sst2_published")
    roles, counts = np.unique(runs.extras["role"], return_counts=True)
    assert dict(zip(roles, counts, strict=True)) == {
        "ceiling": 270,
        "student": 1914,
        "teacher": 216,
    }
    assert set(runs.inputs[runs.extras["role"] == "teacher", 1]) == {0}
    assert runs.targets.min() > 0.5
    for data in (curves, runs):
        assert set(data.columns) == {"inputs", "targets", *data.extras}
        assert all(column.shape == data.targets.shape for column in data.extras.values())


@needs_real_files
@pytest.mark.parametrize("name", ["freesolv", "mnist", "sst2"])
def test_one_flipped_bit_in_a_real_file_is_refused(name, places):
    for file in datasets.REGISTRY[name].files:
        put(places[0], file.path, (Path(REAL_FOLDER) / file.path).read_bytes())
    assert datasets.load(name).inputs.size
    damaged = places[0] / datasets.REGISTRY[name].files[0].path
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    with pytest.raises(DataError, match=f"w2s data fetch {name}") as caught:
        datasets.load(name)
    assert str(damaged) in str(caught.value)


# Bundled sets, always ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shape", "mean"), [("digits", (1797, 64), 4.4908), ("diabetes", (442, 10), 152.1335)]
)
def test_bundled_sets_need_no_file(places, name, shape, mean):
    assert datasets.available(name)
    assert datasets.files(name) == datasets.verify(name) == datasets.fetch(name) == []
    data = datasets.load(name)
    assert data.inputs.shape == shape
    assert data.targets.mean() == pytest.approx(mean, abs=1e-4)


# Where files are looked for ----------------------------------------------------------------------


def test_every_entry_is_complete():
    assert set(datasets.REGISTRY) == set(readers.READERS)
    for name, entry in datasets.REGISTRY.items():
        assert entry.name == name
        assert all((entry.title, entry.licence, entry.citation))
        assert {"inputs", "targets"} <= set(entry.columns)
        for file in entry.files:
            assert re.fullmatch("[0-9a-f]{64}", file.sha256)
            assert file.of in ("bytes", "content", "splits")
            assert file.size > 0
            assert file.url or file.note, f"{file.path} must say how to get it"
        assert entry.size == sum(file.size for file in entry.files)


def test_unknown_name_lists_the_known_ones(places):
    for act in (datasets.load, datasets.available, datasets.fetch, datasets.verify, datasets.files):
        with pytest.raises(DataError, match=r"'mnits'.*esol.*mnist.*digits"):
            act("mnits")


def test_missing_data_set(places):
    assert not datasets.available("freesolv")
    assert datasets.files("freesolv") == []
    with pytest.raises(DataError, match=r"SAMPL\.csv.*w2s data fetch freesolv.*W2S_DATA_DIR"):
        datasets.load("freesolv")


def test_describe_has_a_row_per_set(places, toy):
    rows = {row["name"]: row for row in datasets.describe()}
    assert rows["digits"]["status"] == "bundled"
    assert rows["mnist"]["status"] == rows["toy"]["status"] == "missing"
    put(places[1], "toy/t.csv", toy["toy/t.csv"])
    rows = {row["name"]: row for row in datasets.describe()}
    assert rows["toy"]["status"] == "here"
    assert set(rows["toy"]) == {"name", "title", "status", "size", "licence"}


def test_the_named_folder_goes_before_the_cache(places, toy):
    data, cache = places
    cached = put(cache, "toy/t.csv", toy["toy/t.csv"])
    assert datasets.files("toy") == [cached]
    named = put(data, "toy/t.csv", toy["toy/t.csv"])
    assert datasets.files("toy") == [named]


def test_an_optional_file_may_be_absent(places, toy):
    put(places[0], "toy/t.csv", toy["toy/t.csv"])
    assert list(datasets.load("toy")) == ["toy/t.csv"]
    assert len(datasets.fetch("toy")) == 1
    put(places[0], "toy/s.json", toy["toy/s.json"])
    assert datasets.load("toy") == toy


def test_splits_written_by_hand_count_by_their_numbers(places, toy):
    put(places[0], "toy/t.csv", toy["toy/t.csv"])
    path = put(places[0], "toy/s.json", b'{"by": "me",\n "splits": {"a": {"train": [0]}}}')
    assert path in datasets.verify("toy")
    path.write_bytes(b'{"splits": {"a": {"train": [1]}}}')
    with pytest.raises(DataError, match="of its splits"):
        datasets.verify("toy")


@pytest.mark.parametrize("name", ["toy/t.csv", "toy/s.json"])
def test_a_damaged_file_is_refused_with_the_remedy(places, toy, name):
    for path, content in toy.items():
        put(places[0], path, content)
    damaged = put(places[0], name, toy[name].replace(b"1", b"7").replace(b"0", b"7"))
    assert datasets.available("toy")
    for act in (datasets.load, datasets.verify):
        with pytest.raises(DataError, match=r"SHA-256.*expected.*w2s data fetch toy") as caught:
            act("toy")
        assert str(damaged) in str(caught.value)


def test_a_data_folder_that_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("W2S_DATA_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"W2S_DATA_DIR.*nowhere.*not a folder"):
        datasets.available("esol")


def test_a_user_without_a_home_has_a_cache(monkeypatch):
    def homeless(name):
        raise RuntimeError("could not determine the home directory")

    monkeypatch.setattr(platformdirs, "user_cache_path", homeless)
    monkeypatch.delenv("W2S_DATA_DIR", raising=False)
    assert datasets.cache_folder().is_relative_to(tempfile.gettempdir())
    assert datasets.available("digits")
    assert len(datasets.describe()) == len(datasets.REGISTRY)


# Hostile and damaged files -----------------------------------------------------------------------


def test_checksum_of_a_gzip_file_is_that_of_its_content(places, monkeypatch):
    gzipped(monkeypatch, b"content")
    for level in (1, 9):
        put(places[0], "toy/t.gz", gzip.compress(b"content", level))
        assert datasets.load("toy") == b"content"
    put(places[0], "toy/t.gz", gzip.compress(b"contents"))
    with pytest.raises(DataError, match="SHA-256 of its content is"):
        datasets.load("toy")


@pytest.mark.parametrize("position", [0, 2, 15, -6, -1])
def test_a_flipped_byte_in_a_gzip_file_is_noticed(places, monkeypatch, position):
    content = bytes(range(256)) * 4
    gzipped(monkeypatch, content)
    stored = bytearray(gzip.compress(content))
    stored[position] ^= 0xFF
    put(places[0], "toy/t.gz", bytes(stored))
    with pytest.raises(DataError, match=r"t\.gz.*cut short or damaged"):
        datasets.load("toy")


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.9])
def test_a_truncated_gzip_file_is_noticed(places, monkeypatch, keep):
    content = np.random.default_rng(0).bytes(4000)
    gzipped(monkeypatch, content)
    stored = gzip.compress(content)
    put(places[0], "toy/t.gz", stored[: int(keep * len(stored))])
    with pytest.raises(DataError, match=r"t\.gz.*(cut short or damaged|SHA-256)"):
        datasets.load("toy")


def test_a_file_that_expands_without_end_is_refused(places, monkeypatch):
    monkeypatch.setattr(download, "LARGEST", 1 << 20)
    gzipped(monkeypatch, b"small")
    put(places[0], "toy/t.gz", gzip.compress(bytes(1 << 24)))
    with pytest.raises(DataError, match="expands to more than 1 MiB"):
        datasets.load("toy")


def test_nothing_is_decompressed_before_its_checksum_is_right(places, monkeypatch):
    gzipped(monkeypatch, b"other", of="bytes")
    put(places[0], "toy/t.gz", b"no gzip file")
    with pytest.raises(DataError, match="SHA-256 is"):
        datasets.load("toy")


class Bomb:
    """Unpickling it would make a file."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


@pytest.mark.parametrize("name", ["toy/t.csv", "toy/s.json"])
def test_a_pickle_is_a_damaged_file_and_is_not_opened(places, toy, name, tmp_path):
    for path, content in toy.items():
        put(places[0], path, content)
    put(places[0], name, pickle.dumps(Bomb(tmp_path / "exploded")))
    with pytest.raises(DataError, match=r"SHA-256|not a JSON file"):
        datasets.load("toy")
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("content", [b"[1]", b"{", b"\xff", b"[" * 100_000, b'{"splits": 1}'])
def test_something_that_is_no_split_file(places, toy, content):
    put(places[0], "toy/t.csv", toy["toy/t.csv"])
    put(places[0], "toy/s.json", content)
    with pytest.raises(DataError, match="not a JSON file of splits"):
        datasets.load("toy")


def test_a_file_that_may_not_be_read(places, toy, monkeypatch):
    put(places[0], "toy/t.csv", toy["toy/t.csv"])

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(DataError, match=r"t\.csv: cannot be read \(Permission denied\)"):
        datasets.load("toy")


# What is done with a data set --------------------------------------------------------------------


def test_without_repeats_renumbers_splits():
    data = datasets.Dataset(
        name="toy",
        inputs=np.array(["a", "b", "a", "c", "b"], dtype=object),
        targets=np.array([1, 2, 3, 4, 5]),
        splits={"s": {"train": np.array([0, 1, 2]), "test": np.array([3, 4])}},
        columns={},
        extras={"row": np.arange(5)},
    )
    kept = datasets.without_repeats(data)
    assert kept.inputs.tolist() == ["a", "b", "c"]
    assert kept.targets.tolist() == [1, 2, 4]
    assert kept.extras["row"].tolist() == [0, 1, 3]
    assert {part: rows.tolist() for part, rows in kept.splits["s"].items()} == {
        "train": [0, 1],
        "test": [2],
    }
