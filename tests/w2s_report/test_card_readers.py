"""Files as users have them, and as they should not be: never a traceback, never a pickle."""

import ast
import contextlib
import io
import os
import re
import tomllib
import zipfile
from pathlib import Path
from string import Formatter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2s_report import readers
from w2s_report.labels import read_labels
from w2s_report.readers import InputError, open_table

ARRAY = np.arange(24, dtype=np.float32).reshape(8, 3)


def npy(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def refused(path, name="features"):
    with pytest.raises(InputError) as caught:
        open_table(path, name).all()
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", "i2", "u1", "?"])
def test_npy_is_read_in_pieces(tmp_path, order, dtype):
    array = np.asarray(ARRAY.astype(dtype), order=order)
    np.save(tmp_path / "a.npy", array)
    table = open_table(tmp_path / "a.npy", "features")
    assert table.shape == (8, 3)
    np.testing.assert_array_equal(table.rows(2, 5), array[2:5])
    np.testing.assert_array_equal(table.all(), array)


def test_the_other_formats_hold_the_same(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    np.savez(tmp_path / "a.npz", ARRAY)
    np.savez_compressed(tmp_path / "two.npz", x=ARRAY, y=ARRAY[:1])
    np.savetxt(tmp_path / "a.csv", ARRAY, delimiter=",")
    np.savetxt(tmp_path / "h.csv", ARRAY, delimiter=",", header="u,v,w", comments="")
    columns = {f"c{i}": ARRAY[:, i] for i in range(3)}
    parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    parquet.write_table(pyarrow.table({"e": list(ARRAY)}), tmp_path / "e.parquet")
    for name in ("a.npz", "two.npz:x", "a.csv", "h.csv", "a.parquet", "e.parquet"):
        np.testing.assert_array_equal(open_table(f"{tmp_path}/{name}", "x").all(), ARRAY)
    assert "has 2 arrays (x, y)" in refused(f"{tmp_path}/two.npz")
    assert "no array 'z'" in refused(f"{tmp_path}/two.npz:z")


def test_labels_may_be_texts_with_gaps(tmp_path):
    (tmp_path / "y.csv").write_text("label\n" + 'cat\n""\ndog\n' * 10)
    table = open_table(tmp_path / "y.csv", "labels")
    labels = read_labels(table, None, 30, "auto")
    assert (labels.task, labels.classes, len(labels.rows)) == ("binary", ("cat", "dog"), 20)


def test_a_dictionary_of_texts_keeps_its_nulls(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    texts = pyarrow.array(["cat", None, "dog"] * 20).dictionary_encode()
    truths = pyarrow.array([True, None, False] * 20)
    for name, column in (("texts", texts), ("truths", truths)):
        parquet.write_table(pyarrow.table({"label": column}), tmp_path / f"{name}.parquet")
        table = open_table(tmp_path / f"{name}.parquet", "labels")
        assert len(read_labels(table, None, 60, "auto").rows) == 40


def test_a_column_beside_an_embedding_is_refused(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    both = pyarrow.table({"id": np.arange(8)[::-1], "e": list(ARRAY)})
    parquet.write_table(both, tmp_path / "a.parquet")
    assert "an embedding (e) and other columns (id)" in refused(tmp_path / "a.parquet")
    gaps = pyarrow.table({"e": [[1.0], None, [2.0]]})
    parquet.write_table(gaps, tmp_path / "b.parquet")
    assert "1 of 3 embeddings are null" in refused(tmp_path / "b.parquet")


def test_words_for_missing_are_no_class_and_no_number(tmp_path):
    for cells in (["cat", "NA", "dog"], ["0.5", "None", "1.5"], ["1", "nan", "0"]):
        (tmp_path / "y.csv").write_text("\n".join(["label", *cells * 10]))
        found = read_labels(open_table(tmp_path / "y.csv", "labels"), None, 30, "auto")
        assert len(found.rows) == 20
        assert len(np.unique(found.values)) == 2
        assert found.task == ("regression" if cells[0] == "0.5" else "binary")


def test_headers_that_pandas_writes(tmp_path):
    (tmp_path / "a.csv").write_text("0,1,2\n" + "5,6,8\n" * 3)
    assert open_table(tmp_path / "a.csv", "x").shape == (3, 3)
    for header in (",0,1", ",a,b"):
        (tmp_path / "b.csv").write_text(header + "\n0,5.5,6\n1,5.5,7\n")
        assert "column 1 has no name" in refused(tmp_path / "b.csv")


def test_masked_entries_are_missing():
    values = np.ma.masked_values([0.5, -999.0, 2.5] * 20, -999.0)
    assert len(read_labels(open_table(values, "labels"), None, 60, "auto").rows) == 40
    assert np.isnan(open_table(np.ma.masked_equal(ARRAY, 3), "x").all()[1, 0])


class Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('unpickled')",))


CORPUS = {
    "object.npy": (npy(np.array([Bomb()]), allow_pickle=True), "never unpickled"),
    "struct.npy": (npy(np.zeros(3, [("a", "f8")])), "not real numbers"),
    "complex.npy": (npy(ARRAY.astype(complex)), "not real numbers"),
    "short.npy": (npy(ARRAY)[:-5], "is cut off: its header promises more than the"),
    "long.npy": (npy(ARRAY) + b"x", "has bytes that do not belong"),
    "header.npy": (npy(ARRAY)[:40], "cannot be read as npy"),
    "huge.npy": (npy(ARRAY).replace(b"(8, 3)", b"(8, 9" + b"9" * 0 + b")"), "is cut off"),
    "empty.npy": (b"", "the file is empty"),
    "text.npy": (b"1,2\n3,4\n", "its contents are those of a .csv file"),
    "zip.npy": (b"PK\x03\x04" + b"0" * 30, "its contents are those of a .npz file"),
    "noise.npz": (b"PK\x03\x04" + bytes(range(256)), "cannot be read as npz"),
    "noise.parquet": (b"PAR1" + bytes(range(256)), "cannot be read as parquet"),
    "noise.csv": (bytes(range(256)), "of no kind known here"),
    "ragged.csv": (b"1,2\n3\n", "row 2 has 1 columns"),
    "words.csv": (b"1,2\n3,x\n", "row 2, column 2 is 'x', not a number"),
    "header.csv": (b"a,b\n", "has a header and no rows"),
    "features.pkl": (b"\x80\x04.", "must be a file that ends in .npy"),
}


@pytest.mark.parametrize("name", CORPUS)
def test_damaged_files_are_told_in_a_line(tmp_path, name):
    content, message = CORPUS[name]
    (tmp_path / name).write_bytes(content)
    assert message in refused(tmp_path / name)


def test_an_object_array_in_an_archive_is_not_unpickled(tmp_path):
    with zipfile.ZipFile(tmp_path / "o.npz", "w") as archive:
        archive.writestr("a.npy", CORPUS["object.npy"][0])
    assert "never unpickled" in refused(tmp_path / "o.npz")


def test_what_is_not_a_file(tmp_path):
    (tmp_path / "d.npy").mkdir()
    assert "is a folder" in refused(tmp_path / "d.npy")
    assert "cannot be read (No such file" in refused(tmp_path / "none.npy")
    assert "cannot be read" in refused(f"{tmp_path}/a\0b.npy")
    os.mkfifo(tmp_path / "pipe.npy")
    assert "is no ordinary file" in refused(tmp_path / "pipe.npy")
    np.save(tmp_path / "one.npy", np.float64(3))
    assert "holds a single value" in refused(tmp_path / "one.npy")


@given(st.data())
def test_any_damage_gives_an_array_or_one_line(tmp_path, data):
    """Cut, changed and exchanged bytes of every format, and bytes of no format."""
    seeds = {".npy": npy(ARRAY), ".csv": b"a,b\n1,2\n3,4\n"}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, ARRAY)
    seeds[".npz"] = buffer.getvalue()
    pyarrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    buffer = io.BytesIO()
    parquet.write_table(pyarrow.table({"c": ARRAY[:, 0]}), buffer)
    seeds[".parquet"] = buffer.getvalue()
    suffix = data.draw(st.sampled_from(sorted(seeds)))
    content = bytearray(seeds[data.draw(st.sampled_from(sorted(seeds)))])
    for _ in range(data.draw(st.integers(0, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    content = bytes(content[: data.draw(st.integers(0, len(content)))])
    if data.draw(st.booleans()):
        content = data.draw(st.binary(max_size=200))
    path = tmp_path / f"x{suffix}"
    path.write_bytes(content)
    with contextlib.suppress(InputError):
        table = open_table(path, "features")
        table.all()
        table.sha256()


def labels(values, rows=None, task="auto", index=None):
    table = open_table(np.asarray(values), "labels")
    where = None if index is None else open_table(np.asarray(index), "index")
    return read_labels(table, where, len(values) if rows is None else rows, task)


@pytest.mark.parametrize(
    ("values", "task", "kind"),
    [
        ([0, 1] * 20, "auto", "binary"),
        ([True, False] * 20, "auto", "binary"),
        ([0.0, 1.0, 2.0] * 20, "auto", "multiclass"),
        (np.arange(60), "auto", "regression"),
        ([0.5, 1.0, 2.0] * 20, "auto", "regression"),
        ([0, 1, 2] * 20, "regression", "regression"),
        (["a", "b", ""] * 20, "auto", "binary"),
    ],
)
def test_kinds_of_labels(values, task, kind):
    assert labels(values, task=task).task == kind


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0] * 30,), "all 30 labels are 1.0"),
        (([0.0, 1.0] * 5,), "with 10 labels; at least 20"),
        (([0.5, np.inf] * 20,), "label of row 1 is infinite"),
        (([0, 1] * 20, 50), "the features have 50 rows"),
        (([[1, 2]] * 30,), "expected one column"),
        ((["a", "b"] * 20, None, "regression"), "use --task classification"),
        ((np.arange(40), None, "classification"), "40 labels of 40 classes"),
        (([0, 1] * 20, 100, "auto", np.arange(39)), "lists 39 rows of 100"),
        (([0, 1] * 20, 100, "auto", [5] * 40), "lists a row twice"),
        (([0, 1] * 20, 100, "auto", np.arange(40) + 61), "whole numbers from 0 to 99"),
    ],
)
def test_labels_that_cannot_be_used(arguments, message):
    with pytest.raises(InputError, match=r"^[^\n]*$") as caught:
        labels(*arguments)
    assert message in str(caught.value)


def test_the_two_zeros_are_one_class():
    assert labels([0.0, -0.0, 1.0] * 20).classes == ("0", "1")


def test_labels_of_listed_rows():
    found = labels([0, 1] * 20, 100, "auto", np.arange(60, 100)[::-1])
    assert found.rows.tolist() == list(range(60, 100))
    assert found.values[:2].tolist() == [1, 0]


def test_every_refusal_is_worded_and_every_wording_used():
    """Its names in braces are those that the code gives."""
    package = Path(readers.__file__).parent
    texts = tomllib.loads((package / "templates" / "refusals.toml").read_text("utf-8"))
    raised = {}
    for path in package.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "refusal":
                [what] = node.args
                raised.setdefault(what.value, []).append({word.arg for word in node.keywords})
    assert raised.keys() == texts.keys()
    for what, text in texts.items():
        fields = {field for _, field, _, _ in Formatter().parse(text) if field}
        wanted = {re.split(r"[.\[]", field)[0] for field in fields}
        # A mapping that is spread has no names to look at.
        assert all(words == wanted or None in words for words in raised[what]), what
