"""What the code in a notebook depends on: the modules of ours that it imports, and their data.

The closure is found by reading, not by running: every ``import`` counts, inside functions too
(a module loaded late, or a file read by a module loaded late, is not missed), those under
``TYPE_CHECKING`` do not. A module named in quotes (``"w2s_book.cli"``, as for ``python -m``)
counts as imported. Data are the files in the folder of a package that are no modules: they belong
to all its modules, and those below it, sub-packages included, to a module that asks where it is
(``__file__``, `importlib.resources`).
"""

from __future__ import annotations

import ast
import functools
import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

PACKAGES = ("w2s_book", "w2s_experiments", "w2s_report", "w2s_utils")
_OURS = "|".join(PACKAGES)
_QUOTED = re.compile(rf"""["']((?:{_OURS})(?:\.\w+)+)["']""")
# The code of a cell, without its options: lines of ``:key: value``, or YAML between dashes.
_CODE_CELL = re.compile(
    r"^```\{code-cell\}[^\n]*\n(?:---\n.*?^---\n|(?::[\w-]+:[^\n]*\n)*)(.*?)^```\s*$",
    re.MULTILINE | re.DOTALL,
)
_IPYTHON = re.compile(r"^\s*[%!].*$", re.MULTILINE)
_PLACE = re.compile(r"\b__file__\b|\bresources\b|\bPackageLoader\b")


class Library:
    """The four packages below a folder, as they are when they are first looked at.

    Parameters
    ----------
    root : Path
        Folder that holds the packages.
    """

    def __init__(self, root: Path):
        self.root = root
        self._read = functools.cache(self._read_module)
        self._files = functools.cache(self._files_of)
        self._digest = functools.cache(digest_file)

    def modules(self) -> list[str]:
        """Return the names of all modules, packages among them."""
        paths = (path for name in PACKAGES for path in (self.root / name).rglob("*.py"))
        return sorted(".".join(self._parts(path)) for path in paths)

    def direct(self, module: str) -> frozenset[str]:
        """Return the modules that importing or using a module needs first, without theirs."""
        return self._read(module)[0]

    def of_notebook(self, source: str) -> set[str]:
        """Return the modules that the code cells of a MyST notebook import, without theirs."""
        return self._imports(_IPYTHON.sub("", "\n".join(_CODE_CELL.findall(source))), ())

    def closure(self, modules: Iterable[str]) -> set[str]:
        """Return the modules that some modules need, with themselves."""
        found: set[str] = set()
        waiting = set(modules)
        while waiting:
            found |= waiting
            waiting = {needed for name in waiting for needed in self.direct(name)} - found
        return found

    def digest(self, modules: Iterable[str]) -> str:
        """Return the digest of some modules and of the data that belong to them."""
        paths = {self.file(name) for name in modules}
        for name in set(modules):
            paths |= set(self._files(self.file(name).parent, self._read(name)[1]))
        total = hashlib.sha256()
        for path in sorted(paths):
            total.update(f"{path.relative_to(self.root).as_posix()}\0{self._digest(path)}".encode())
        return total.hexdigest()[:16]

    def file(self, module: str) -> Path:
        """Return the file of a module."""
        path = self.root.joinpath(*module.split("."))
        return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")

    def _read_module(self, module: str) -> tuple[frozenset[str], bool]:
        """Return what a module needs, and whether it asks where it is."""
        path = self.file(module)
        text = path.read_text("utf-8")
        package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
        needed = self._imports(text, package) | self._packages_above(module)
        return frozenset(needed - {module}), bool(_PLACE.search(text))

    def _imports(self, code: str, package: Iterable[str]) -> set[str]:
        try:
            body = ast.parse(code).body
        except SyntaxError:
            return set(self.modules())  # it will fail when run; until then it may depend on all
        names = {*imported(body, list(package)), *_QUOTED.findall(code)}
        found = {name for name in names if name.startswith(PACKAGES) and self.file(name).is_file()}
        return found.union(*map(self._packages_above, found))

    def _packages_above(self, module: str) -> set[str]:
        parts = module.split(".")
        return {".".join(parts[:length]) for length in range(1, len(parts))}

    def _parts(self, path: Path) -> tuple[str, ...]:
        parts = path.relative_to(self.root).with_suffix("").parts
        return parts[:-1] if parts[-1] == "__init__" else parts

    def _files_of(self, folder: Path, deep: bool) -> list[Path]:
        """Return the data files of a package, with those of its sub-packages if ``deep``."""
        found = []
        for path in folder.iterdir():
            if path.is_file():
                found += [path] * (path.suffix not in (".py", ".pyc"))
            elif path.name != "__pycache__" and (deep or not (path / "__init__.py").exists()):
                found += self._files_of(path, deep)
        return found


def imported(body: Iterable[ast.stmt], package: list[str]) -> Iterator[str]:
    """Yield the dotted names that statements may import, at any depth.

    Parameters
    ----------
    body : iterable of ast.stmt
        Statements.
    package : list of str
        Parts of the name of the package they are in, for relative imports.

    Yields
    ------
    str
        For ``from a.b import c`` both ``"a.b"`` and ``"a.b.c"``, which may be no module.
    """
    for node in body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else []
            base = ".".join([*above, *(node.module or "").split(".")]).strip(".")
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from imported(node.orelse, package)
        else:
            yield from imported(_blocks(node), package)


def _blocks(node: ast.AST) -> Iterator[ast.stmt]:
    """Yield the statements directly inside one; expressions, which hold none, are not searched."""
    for field in ("body", "orelse", "finalbody", "handlers", "cases"):
        for child in getattr(node, field, ()):
            if isinstance(child, ast.stmt):
                yield child
            else:
                yield from _blocks(child)


def digest_file(path: Path) -> str:
    """Return the SHA-256 of a file, or ``"absent"``."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return "absent"
