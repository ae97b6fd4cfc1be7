"""Which modules and data a notebook depends on, by reading its code."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from w2s_book.closure import Library, imported

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


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("import a.b", {"a.b"}),
        ("from a import b, c as d", {"a", "a.b", "a.c"}),
        ("from . import b", {"p.q", "p.q.b"}),
        ("from ..r import b", {"p.r", "p.r.b"}),
        ("def f():\n    for x in y:\n        import late", {"late"}),
        ("try:\n    import a\nexcept ImportError:\n    import b\nelse:\n    import c", set("abc")),
        ("match x:\n    case 1:\n        import a", {"a"}),
        ("if TYPE_CHECKING:\n    import a\nelse:\n    import b", {"b"}),
    ],
)
def test_every_import_counts_but_those_for_the_type_checker(code, names):
    assert set(imported(ast.parse(code).body, ["p", "q"])) == names


def test_code_cells_and_modules_named_in_quotes():
    assert Library(ROOT).of_notebook(NOTEBOOK) == {
        *("w2s_utils", "w2s_utils.theory", "w2s_utils.theory.risks"),
        *("w2s_report", "w2s_report.command"),
    }


def test_code_that_cannot_be_read_may_depend_on_everything():
    library = Library(ROOT)
    assert library.of_notebook("```{code-cell}\nimport (\n```\n") == set(library.modules())


@pytest.mark.parametrize("module", ["w2s_utils.protocol", "w2s_experiments.images", "w2s_report"])
def test_what_an_import_loads_is_in_the_closure(module):
    code = f"import sys, {module}; print(*[m for m in sys.modules if m.startswith('w2s_')])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) <= Library(ROOT).closure([module])


def test_a_module_that_asks_where_it_is_depends_on_the_data_below(tmp_path):
    package = tmp_path / "w2s_utils"
    (package / "inner").mkdir(parents=True)
    for path in ("__init__.py", "plain.py", "inner/__init__.py", "inner/weights.bin"):
        (package / path).write_text("")
    (package / "reader.py").write_text("FOLDER = __file__")
    before = [Library(tmp_path).digest([f"w2s_utils.{name}"]) for name in ("plain", "reader")]
    (package / "inner" / "weights.bin").write_text("1")
    after = [Library(tmp_path).digest([f"w2s_utils.{name}"]) for name in ("plain", "reader")]
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, False]
