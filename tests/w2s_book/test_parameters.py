import datetime
import json
import math

import pytest
from nbformat.v4 import new_code_cell, new_notebook

from w2s_book.parameters import (
    ParameterError,
    defaults,
    load_profile,
    read_value,
    recorded,
    substitute,
)


def notebook(*sources):
    cells = [new_code_cell(source, metadata={"tags": ["parameters"]}) for source in sources]
    return new_notebook(cells=cells)


def written(source, **values):
    nb = notebook(source)
    substitute(nb, "n", values)
    return nb.cells[0].source


def test_substitution_keeps_comments_and_equal_literals():
    source = (
        "# sizes: d² and n\nn = 1_000  # rows\ngrid = (\n    1,\n    2,\n)  # é\nrate: float = 1e-3"
    )
    assert written(source, n=1000, grid=[1, 2], rate=0.001) == source
    assert written(source, n=5, grid=[3], rate=2) == (
        "# sizes: d² and n\nn = 5  # rows\ngrid = (3,)  # é\nrate: float = 2.0"
    )


def test_defaults():
    source = "a = -1\nb = [1, 'x', None]\nc: float = 2.5"
    assert defaults(notebook(source), "n") == {"a": -1, "b": [1, "x", None], "c": 2.5}


@pytest.mark.parametrize(
    ("default", "value"),
    [("1", 1.5), ("1", True), ("1", "2"), ("1.0", "1e-3"), ("'a'", 1), ("[1]", 1), ("True", 1)],
)
def test_value_of_another_type_is_refused(default, value):
    with pytest.raises(ParameterError, match="parameter 'x': expected"):
        written(f"x = {default}", x=value)


@pytest.mark.parametrize(
    "line", ["x = 2 * 3", "import os", "x = y = 1", "x += 1", "print(1)", "x: int", "x = f(1)"]
)
def test_only_literals(line):
    with pytest.raises(ParameterError, match=r"line 2: .*only `name = literal` is allowed"):
        defaults(notebook(f"a = 1\n{line}"), "n")


@pytest.mark.parametrize("cells", [[], ["a = 1", "b = 2"]])
def test_exactly_one_parameters_cell(cells):
    with pytest.raises(ParameterError, match=f"found {len(cells)}"):
        defaults(notebook(*cells), "n")


def test_load_profile(tmp_path):
    path = tmp_path / "profiles.yml"
    with pytest.raises(ParameterError, match="not found"):
        load_profile(path, "quick")
    path.write_text("quick:\n  p/n: {seed: 1}\n  p/m:\nsmoke:\n  p/n: 3\n")
    assert load_profile(path, "quick") == {"p/n": {"seed": 1}, "p/m": {}}
    with pytest.raises(ParameterError, match="no profile 'full'; it has: quick, smoke"):
        load_profile(path, "full")
    with pytest.raises(ParameterError, match="p/n: expected a mapping"):
        load_profile(path, "smoke")
    path.write_text("a: [")
    with pytest.raises(ParameterError, match="not valid YAML"):
        load_profile(path, "a")


@pytest.mark.parametrize(
    ("text", "default", "value"),
    [
        ("010", 1, 10),
        ("-007", 1, -7),
        ("0x1F", 1, 31),
        ("1_000", 1, 1000),
        ("1e-3", 1.0, 0.001),
        ("-.inf", 1.0, -math.inf),
        ("inf", 1.0, math.inf),
        ("[1e3, .5]", [1.0], [1000.0, 0.5]),
        ("true", True, True),
        ("12:30", None, "12:30"),
        ("2024-01-01", None, "2024-01-01"),
        ("yes", None, "yes"),
        ("no", "a", "no"),
        ("010", "a", "010"),
        ("true", "a", "true"),
        ("null", "a", "null"),
        ("[1, 0.5, .inf]", [0.5, 1], [1, 0.5, math.inf]),
        ("[~, 'null', \"1\", a.b, i.nf]", [], [None, "null", "1", "a.b", "i.nf"]),
        ("'1'", "a", "1"),
    ],
)
def test_values_mean_what_they_say(text, default, value):
    found = read_value("x", text, default)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "default"),
    [
        ("12:30", "1"),
        ("yes", "True"),
        ("on", "False"),
        ("2024-01-01", "1"),
        ("null", "1"),
        ("1e400", "1.0"),
        ("[1, 1e999]", "[1.0]"),
        ("[1, 2024-01-01]", "[1]"),
        ("[1, yes]", "[1]"),
        ("[1, true]", "[1]"),
        ("[1, a]", "[0.5, 1]"),
        ("{1: 2}", "{}"),
        ("{true: 2}", "{}"),
        ("{a: {null: 2}}", "{}"),
        ("{a: 1, a: 2}", "{}"),
        ("&x [1, *x]", "[1]"),
        ("&x {a: *x}", "{}"),
        ("!!binary aGk=", "None"),
        ("!!set {a, b}", "None"),
        ("!!timestamp 2024-01-01", "None"),
        ("!!python/object:os.system x", "None"),
        ("[" * 3000, "[1]"),
        ("9" * 5000, "1"),
    ],
)
def test_what_is_no_literal_of_its_kind_is_refused(text, default):
    nb = notebook(f"x = {default}")
    with pytest.raises(ParameterError, match="x"):
        substitute(nb, "n", {"x": read_value("x", text, defaults(nb, "n")["x"])})


def test_numbers_that_are_not_finite_are_written_as_python_and_recorded_as_text():
    values = {"x": math.inf, "y": [1.0, -math.inf], "z": {"a": math.nan}}
    source = written("x = 1.0\ny = [0.5]\nz = {}", **values)
    namespace = {}
    exec(source, namespace)
    assert namespace["x"] == math.inf
    assert namespace["y"] == [1.0, -math.inf]
    assert math.isnan(namespace["z"]["a"])
    kept = json.loads(json.dumps(recorded(values), allow_nan=False))
    assert kept == {"x": "inf", "y": [1.0, "-inf"], "z": {"a": "nan"}}


@pytest.mark.parametrize("value", [datetime.date(2024, 1, 1), b"a", {1}, 1j, [object()]])
def test_value_that_is_no_literal_is_refused(value):
    with pytest.raises(ParameterError, match="'x': expected a literal"):
        written("x = None", x=value)
