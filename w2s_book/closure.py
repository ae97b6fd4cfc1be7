"""What the code in a notebook depends on: the modules of ours that it imports, and their data.

The closure is found by reading, not by running (grimp reads): every ``import`` counts, inside
functions too (a module loaded late, or a file read by a module loaded late, is not missed), those
under ``TYPE_CHECKING`` do not. A module named in quotes (``"w2s_book.cli"``, as for ``python -m``)
counts as imported, and so do the packages that a module is in. Data are the files in the folder of
a package that are no modules: they belong to all its modules, and those below it, sub-packages
included, to a module that asks where it is (``__file__``, `importlib.resources`). Docstrings count
where a module shows them, as commands do: no result of a notebook depends on the others.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import re
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("w2s_book", "w2s_experiments", "w2s_report", "w2s_utils")
_QUOTED = re.compile(rf"""["']((?:{"|".join(PACKAGES)})(?:\.\w+)+)["']""")
# The code of a cell, without its options: lines of ``:key: value``, or YAML between dashes.
_CODE_CELL = re.compile(
    r"^```\{code-cell\}[^\n]*\n(?:---\n.*?^---\n|(?::[\w-]+:[^\n]*\n)*)(.*?)^```\s*$",
    re.MULTILINE | re.DOTALL,
)
_IPYTHON = re.compile(r"^\s*[%!].*$", re.MULTILINE)
_PLACE = re.compile(r"\b__file__\b|\bresources\b|\bPackageLoader\b")
_DOCSTRING = re.compile(rb'(\A|:(?: *#.*)?\n) *r?"""[\s\S]*?"""\n')
_SHOWN = re.compile(rb"\b__doc__\b|^import click", re.MULTILINE)


class Library:
    """The four packages as Python finds them, as they are when they are first looked at.

    Attributes
    ----------
    modules : dict
        The file of every module, packages among them.
    graph : grimp.ImportGraph
        What imports what.
    """

    def __init__(self) -> None:
        import grimp
        from grimp.exceptions import SourceSyntaxError

        self.root = Path(find_spec(PACKAGES[0]).origin).parents[1]  # type: ignore[union-attr,arg-type]
        files = sorted(path for name in PACKAGES for path in (self.root / name).rglob("*.py"))
        parts = [path.relative_to(self.root).with_suffix("").parts for path in files]
        names = [".".join(each).removesuffix(".__init__") for each in parts]
        self.modules = dict(zip(names, files, strict=True))
        texts = {name: path.read_text("utf-8") for name, path in self.modules.items()}
        self._asking = {name for name, text in texts.items() if _PLACE.search(text)}
        self._data = functools.cache(_data)
        self._digest = functools.cache(lambda path: hashlib.sha256(counting(path)).hexdigest())
        try:
            self.graph = grimp.build_graph(
                *PACKAGES, exclude_type_checking_imports=True, cache_dir=None
            )
            needed = {name: set(_QUOTED.findall(text)) for name, text in texts.items()}
        except SourceSyntaxError:
            # It will fail when run; until then, all may depend on all.
            self.graph, needed = grimp.ImportGraph(), {name: set(texts) for name in texts}
        for name in texts:
            needed[name].add(name.rpartition(".")[0])
            for each in needed[name] & self.modules.keys() - {name}:
                self.graph.add_import(importer=name, imported=each)

    def of_notebook(self, source: str) -> set[str]:
        """Return the modules that the code cells of a MyST notebook import, without theirs."""
        code = _IPYTHON.sub("", "\n".join(c for c in _CODE_CELL.findall(source) if "w2s_" in c))
        try:
            nodes = ast.walk(ast.parse(code))
        except SyntaxError:
            return set(self.modules)
        names = set(_QUOTED.findall(code))
        for node in nodes:
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        return names & self.modules.keys()

    def closure(self, modules: Iterable[str]) -> set[str]:
        """Return the modules that some modules need, with themselves."""
        return set(modules).union(*map(self.graph.find_upstream_modules, modules))

    def digest(self, modules: Iterable[str]) -> str:
        """Return the digest of some modules and of the data that belong to them."""
        paths = {self.modules[name] for name in modules}
        data = (self._data(self.modules[name].parent, name in self._asking) for name in modules)
        total = hashlib.sha256()
        for path in sorted(paths.union(*data)):
            total.update(f"{path.relative_to(self.root).as_posix()}\0{self._digest(path)}".encode())
        return total.hexdigest()[:16]


def _data(folder: Path, deep: bool) -> list[Path]:
    """Return the data files of a package, with those of its sub-packages if ``deep``."""
    found = []
    for path in folder.iterdir():
        if path.is_file():
            found += [path] * (path.suffix not in (".py", ".pyc"))
        elif path.name != "__pycache__" and (deep or not (path / "__init__.py").exists()):
            found += _data(path, deep)
    return found


def counting(path: Path) -> bytes:
    """Return what counts of a file: of a module all but the docstrings that it does not show."""
    content = path.read_bytes()
    module = path.suffix == ".py" and not _SHOWN.search(content)
    return _DOCSTRING.sub(rb"\1", content) if module else content


def digest_file(path: Path) -> str:
    """Return the SHA-256 of a file, or ``"absent"``."""
    if not path.exists():
        return "absent"
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
