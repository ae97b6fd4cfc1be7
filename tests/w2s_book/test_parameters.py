import pytest
from nbformat.v4 import new_code_cell, new_notebook

from w2s_book.parameters import ParameterError, defaults, load_profile, substitute


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


def test_yaml_float_trap_is_explained():
    with pytest.raises(ParameterError, match=r"write 1\.0e-3"):
        written("x = 0.1", x="1e-3")


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
