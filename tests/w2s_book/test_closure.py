"""Which modules and data a notebook depends on, by reading its code."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from w2s_book.closure import Library, counting

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = """\
---
kernelspec: {name: python3}
---

# Title

Text that says import w2s_utils.claims is no code.

```{code-cell} ipython3
:tags: [hide-input]

%matplotlib inline
from w2s_utils.theory import risks
```

```{code-cell}
---
mystnb: {figure: {name: fig-a}}
---
command = [sys.executable, "-m", "w2s_report.command"]
```
"""


@pytest.fixture
def seen(own_library):
    """Return a function that looks at the library of a small book in a process of its own."""

    def look(expression):
        code = f"from w2s_book.closure import Library; library = Library(); print({expression})"
        command = [sys.executable, "-c", code]
        done = subprocess.run(
            command, cwd=own_library.root, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    return look


def test_every_import_counts_but_those_for_the_type_checker(own_library, seen):
    package = own_library.root / "w2s_experiments" / "own"
    (package / "deep").mkdir(parents=True)
    codes = {
        "plain": "import w2s_experiments.own.a",
        "several": "from w2s_experiments.own import a, b as c",
        "beside": "from . import b",
        "late": "def f():\n    for x in y:\n        from .a import name",
        "tried": "try:\n    from . import a\nexcept ImportError:\n    from . import b",
        "matched": "match 1:\n    case 1:\n        from . import a",
        "typed": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from . import a\n"
        "else:\n    from . import b",
        "quoted": "COMMAND = ['-m', 'w2s_experiments.own.b']",
        "deep.above": "from ..a import name",
    }
    for name in (*codes, "__init__", "a", "b", "deep.__init__"):
        path = package.joinpath(*name.split(".")).with_suffix(".py")
        path.write_text(codes.get(name, "name = 1"))
    own = "w2s_experiments.own"
    found = ast.literal_eval(
        seen(f"{{name: sorted(library.closure(['{own}.' + name])) for name in {list(codes)}}}")
    )
    needed = {
        name: {each.removeprefix(f"{own}.") for each in closure} - {name, own, "w2s_experiments"}
        for name, closure in found.items()
    }
    wanted = {"a": "plain late matched", "b": "beside typed quoted", "a b": "several tried"}
    told = {name: set(needs.split()) for needs, names in wanted.items() for name in names.split()}
    assert needed == told | {"deep.above": {"deep", "a"}}


def test_code_cells_and_modules_named_in_quotes():
    library = Library()
    found = library.of_notebook(NOTEBOOK)
    assert found - {"w2s_utils.theory"} == {"w2s_utils.theory.risks", "w2s_report.command"}
    assert {"w2s_utils", "w2s_utils.theory", "w2s_report"} <= library.closure(found)


def test_code_that_cannot_be_read_may_depend_on_everything():
    library = Library()
    assert library.of_notebook("```{code-cell}\nfrom w2s_utils import (\n```\n") == set(
        library.modules
    )


@pytest.mark.parametrize("module", ["w2s_utils.protocol", "w2s_experiments.images", "w2s_report"])
def test_what_an_import_loads_is_in_the_closure(module):
    code = f"import sys, {module}; print(*[m for m in sys.modules if m.startswith('w2s_')])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) <= Library().closure([module])


def test_a_module_that_asks_where_it_is_depends_on_the_data_below(own_library, seen):
    package = own_library.root / "w2s_experiments" / "own"
    (package / "inner").mkdir(parents=True)
    for path in ("__init__.py", "plain.py", "inner/__init__.py", "inner/weights.bin"):
        (package / path).write_text("")
    (package / "reader.py").write_text("FOLDER = __file__")
    digests = [f"library.digest(['w2s_experiments.own.{name}'])" for name in ("plain", "reader")]
    plain, reader = seen(", ".join(digests)).split()
    (package / "inner" / "weights.bin").write_text("1")
    still, changed = seen(", ".join(digests)).split()
    assert still == plain
    assert changed != reader


def without_docstrings(path):
    """Return the lines of a module that are in none of its docstrings, as Python reads it."""
    text = path.read_text("utf-8")
    lines = dict(enumerate(text.splitlines(keepends=True), 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node
        ):
            for line in range(node.body[0].lineno, node.body[0].end_lineno + 1):
                del lines[line]
    return "".join(lines.values())


def test_what_counts_of_a_module_is_all_but_its_docstrings():
    modules = Library().modules
    shown = {name for name, path in modules.items() if counting(path) == path.read_bytes()}
    commands = {name for name in modules if "command" in name or name in ("w2s_book.cli",)}
    assert commands <= shown
    for name in modules.keys() - shown:
        assert counting(modules[name]).decode() == without_docstrings(modules[name]), name


def test_an_edited_docstring_executes_nothing_an_edited_line_does(own_library, seen):
    path = own_library.root / "w2s_experiments" / "own.py"
    digests = []
    for text in ('"""One."""\n\nA = 1', '"""Two."""\n\nA = 1', '"""Two."""\n\nA = 2'):
        path.write_text(text)
        digests.append(seen("library.digest(['w2s_experiments.own'])"))
    assert digests[0] == digests[1] != digests[2]
