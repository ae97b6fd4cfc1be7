"""Readers of file formats, on small files that are right and on damaged ones."""

import csv
import gzip
import json
import struct

import numpy as np
import pytest

from w2s_experiments.data.parsers import (
    read_bytes,
    read_idx,
    read_json_lines,
    read_splits,
    read_table,
)
from w2s_experiments.data.registry import DataError

TABLE = 'smiles,y\nCCO,-1.5\n"C,C",2\n'
IMAGES = struct.pack(">HBBIII", 0, 8, 3, 2, 2, 3) + bytes(range(12))


def table(path, **kwargs):
    return read_table(path, ("smiles", "y"), **({"rows": 2, "numbers": ("y",)} | kwargs))


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_table_reads_text_and_numbers(tmp_path):
    columns = table(write(tmp_path / "t.csv", TABLE))
    assert columns["smiles"].tolist() == ["CCO", "C,C"]
    np.testing.assert_array_equal(columns["y"], [-1.5, 2.0])


def test_table_with_quotes_as_ordinary_characters(tmp_path):
    path = write(tmp_path / "t.tsv", 'smiles\ty\n"a \x85 quote\t1\nb"\t0\n')
    columns = table(path, delimiter="\t", quoting=csv.QUOTE_NONE)
    assert columns["smiles"].tolist() == ['"a \x85 quote', 'b"']


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "header is an empty file"),
        ("SMILES,y\nCCO,1\nC,2\n", r"header is \['SMILES', 'y'\], expected \['smiles', 'y'\]"),
        ("smiles,y\nCCO,1\n", "1 rows, expected 2"),
        ("smiles,y\nCCO,1\nC\n", "row 3 has 1 cells, expected 2"),
        ("smiles,y\nCCO,1\nC,\n", "row 3 of column 'y' is ''"),
        ("smiles,y\nCCO,nan\nC,1\n", "row 2 of column 'y' is 'nan'"),
        (b"smiles,y\nCCO,1\n\xff\xfe,2\n", "UTF-8"),
    ],
)
def test_table_refuses_what_it_should_not_hold(tmp_path, content, complaint):
    path = write(tmp_path / "t.csv", content)
    with pytest.raises(DataError, match=complaint) as caught:
        table(path)
    assert str(path) in str(caught.value)


def test_idx_reads_shape_and_order(tmp_path):
    path = write(tmp_path / "i.gz", gzip.compress(IMAGES))
    np.testing.assert_array_equal(read_idx(path, (2, 2, 3)), np.arange(12).reshape(2, 2, 3))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "idx header"),
        (b"\0\0\x0d" + IMAGES[3:], "idx header"),  # floats, not bytes
        (IMAGES[:-1], "11 values, expected 12"),
        (IMAGES + b"\0", "13 values, expected 12"),
    ],
)
def test_idx_refuses_another_header_or_length(tmp_path, content, complaint):
    path = write(tmp_path / "i.idx", content)
    with pytest.raises(DataError, match=complaint):
        read_idx(path, (2, 2, 3))


def test_idx_of_another_shape(tmp_path):
    with pytest.raises(DataError, match=r"\(2, 3, 2\)"):
        read_idx(write(tmp_path / "i.idx", IMAGES), (2, 3, 2))


@pytest.mark.parametrize("position", [0, 2, 15, -6, -1])
def test_a_flipped_byte_in_a_gzip_file_is_noticed(tmp_path, position):
    content = bytearray(gzip.compress(bytes(range(256)) * 4))
    content[position] ^= 0xFF
    with pytest.raises(DataError, match=r"f\.gz.*cut short or damaged"):
        read_bytes(write(tmp_path / "f.gz", bytes(content)))


@pytest.mark.parametrize("keep", [0.1, 0.9])
def test_a_truncated_gzip_file_is_noticed(tmp_path, keep):
    content = gzip.compress(np.random.default_rng(0).bytes(4000))
    path = write(tmp_path / "f.gz", content[: int(keep * len(content))])
    with pytest.raises(DataError, match=r"f\.gz.*cut short or damaged"):
        read_bytes(path)


FIELDS = {"id": str, "stars": int}


def test_json_lines_keep_line_separators_inside_a_text(tmp_path):
    line = json.dumps({"id": "a\u2028b", "stars": 4}, ensure_ascii=False)
    columns = read_json_lines(write(tmp_path / "r.jsonl", f"{line}\n"), FIELDS, rows=1)
    assert columns == {"id": ["a\u2028b"], "stars": [4]}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ('{"id": "a", "stars": 4', "line 1 is not JSON"),
        ('{"id": "a"}', "line 1 has not exactly the fields"),
        ('{"id": "a", "stars": 4, "name": "b"}', "line 1 has not exactly the fields"),
        ('{"id": "a", "stars": "4"}', "field 'stars' is '4', expected int"),
        ('{"id": "a", "stars": true}', "field 'stars' is True, expected int"),
        ("[1]", "line 1 has not exactly the fields"),
        ('{"id": "a", "stars": 4}\n{"id": "b", "stars": 5}', "2 rows, expected 1"),
    ],
)
def test_json_lines_refuse_other_records(tmp_path, content, complaint):
    with pytest.raises(DataError, match=complaint):
        read_json_lines(write(tmp_path / "r.jsonl", content), FIELDS, rows=1)


def splits(train=(0, 2), valid=(1,), test=(3,)):
    parts = {"train": list(train), "valid": list(valid), "test": list(test)}
    return json.dumps({"dataset": "toy", "splits": {"random1": parts}})


def test_splits_are_index_arrays(tmp_path):
    parts = read_splits(write(tmp_path / "s.json", splits()), 4)["random1"]
    assert {part: rows.tolist() for part, rows in parts.items()} == {
        "train": [0, 2],
        "valid": [1],
        "test": [3],
    }


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (splits(valid=(2,)), "exactly once"),  # a row twice, another never
        (splits(test=(4,)), "exactly once"),  # past the end
        (splits(test=(-1,)), "exactly once"),  # numpy would take the last row
        (splits(test=()), "exactly once"),
        (splits(test=(3.0,)), "exactly once"),
        ('{"splits": {"random1": {"train": [0, 1, 2, 3]}}}', "expected"),
        ('{"random1": {}}', "expected"),
        ("[]", "expected"),
        ("{", "expected"),
    ],
)
def test_splits_must_cover_every_row_once(tmp_path, content, complaint):
    path = write(tmp_path / "s.json", content)
    with pytest.raises(DataError, match=complaint) as caught:
        read_splits(path, 4)
    assert "s.json" in str(caught.value)
