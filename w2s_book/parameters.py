"""The parameters of a notebook: read from its parameters cell, checked strictly, written back.

A notebook has exactly one cell tagged ``parameters``, and that cell holds literals only, so its
names and defaults are known without running anything. Values are written into the literals
themselves: comments stay, and a page shows one parameters cell with the values actually used.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

TAG = "parameters"
PROFILES = ("smoke", "quick", "full")


class ParameterError(ValueError):
    """A parameter that is unknown, missing, of the wrong type, or not a literal."""


def load_profile(path: str | Path, profile: str) -> dict[str, dict[str, Any]]:
    """Read one profile: for every notebook, the value of each of its parameters.

    Parameters
    ----------
    path : str or Path
        A ``profiles.yml``: profile, notebook, parameter, value.
    profile : str
        The profile to read.

    Raises
    ------
    ParameterError
        If the file cannot be read as that, or has no such profile.
    """
    path = Path(path)
    try:
        profiles = yaml.safe_load(path.read_text("utf-8")) or {}
    except FileNotFoundError:
        raise ParameterError(f"{path} not found: run from the folder that holds it") from None
    except yaml.YAMLError as error:
        raise ParameterError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(profiles, dict):
        raise ParameterError(f"{path}: expected a mapping of profiles, got {profiles!r}")
    if profile not in profiles:
        known = ", ".join(profiles) or "none"
        raise ParameterError(f"{path} has no profile {profile!r}; it has: {known}")
    notebooks = profiles[profile] or {}
    for name, values in notebooks.items():
        if values is not None and not isinstance(values, dict):
            raise ParameterError(
                f"{path}: {profile}: {name}: expected a mapping of parameters, got {values!r}"
            )
    return {name: dict(values or {}) for name, values in notebooks.items()}


def front_matter(source: Path) -> dict[str, Any]:
    """Return the YAML header of a MyST notebook (without reading it as a notebook: it is fast)."""
    lines = source.read_text("utf-8").splitlines()
    if not lines or lines[0] != "---" or "---" not in lines[1:]:
        return {}
    return yaml.safe_load("\n".join(lines[1 : lines.index("---", 1)])) or {}


def parameters_cell(nb: Any, name: str) -> Any:
    """Return the one cell of a notebook tagged ``parameters``."""
    cells = [cell for cell in nb.cells if TAG in cell.metadata.get("tags", [])]
    if len(cells) != 1:
        raise ParameterError(
            f"{name}: expected exactly one cell tagged {TAG!r}, found {len(cells)}"
        )
    if cells[0].cell_type != "code":
        raise ParameterError(f"{name}: the cell tagged {TAG!r} must be a code cell")
    return cells[0]


def defaults(nb: Any, name: str) -> dict[str, Any]:
    """Return the names and default values in a notebook's parameters cell."""
    return {key: value for key, value, _ in _literals(parameters_cell(nb, name).source, name)}


def substitute(nb: Any, name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Write ``values`` into the literals of the parameters cell, in place.

    Parameters
    ----------
    nb : nbformat.NotebookNode
        The notebook.
    name : str
        Its name, for errors.
    values : mapping
        One value for each parameter, no more and no fewer.

    Returns
    -------
    dict
        The values as written, in the order of the cell.

    Raises
    ------
    ParameterError
        If a parameter is unknown, missing or of another type than its default.
    """
    cell = parameters_cell(nb, name)
    literals = _literals(cell.source, name)
    known = {key: default for key, default, _ in literals}
    _check_names(name, known, values)
    used = {key: _checked(name, key, values[key], default) for key, default in known.items()}
    # Positions in the syntax tree count bytes of UTF-8.
    lines = [line.encode() for line in cell.source.splitlines()]
    for key, default, node in reversed(literals):
        if used[key] != default or type(used[key]) is not type(default):
            _replace(lines, node, repr(used[key]))
    cell.source = b"\n".join(lines).decode()
    return used


def _literals(source: str, name: str) -> list[tuple[str, Any, ast.expr]]:
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        raise ParameterError(f"{name}: parameters cell, line {error.lineno}: {error.msg}") from None
    return [_literal(statement, name) for statement in statements]


def _literal(statement: ast.stmt, name: str) -> tuple[str, Any, ast.expr]:
    match statement:
        case ast.Assign(targets=[ast.Name(id=key)], value=node):
            pass
        case ast.AnnAssign(target=ast.Name(id=key), value=ast.expr() as node):
            pass
        case _:
            raise _not_literal(name, statement)
    try:
        return key, ast.literal_eval(node), node
    except ValueError:
        raise _not_literal(name, statement) from None


def _not_literal(name: str, statement: ast.stmt) -> ParameterError:
    return ParameterError(
        f"{name}: parameters cell, line {statement.lineno}: `{ast.unparse(statement)}`: "
        "only `name = literal` is allowed, so that any value can be set from outside"
    )


def _check_names(name: str, known: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    listed = ", ".join(known) or "none"
    unknown = [key for key in values if key not in known]
    if unknown:
        close = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise ParameterError(
            f"{name}: unknown parameter {_quoted(unknown)}{hint}; it has: {listed}"
        )
    missing = [key for key in known if key not in values]
    if missing:
        raise ParameterError(
            f"{name}: no value given for parameter {_quoted(missing)}; it has: {listed}"
        )


def _quoted(names: list[str]) -> str:
    return ", ".join(map(repr, names))


def _checked(name: str, key: str, value: Any, default: Any) -> Any:
    """Return ``value`` as the type of ``default``; a whole number will do for a float."""
    if isinstance(default, tuple) and isinstance(value, list):
        value = tuple(value)
    if type(default) is float and type(value) is int:
        value = float(value)
    if default is not None and value is not None and type(value) is not type(default):
        hint = "; in YAML write 1.0e-3" if _looks_like_float(value) else ""
        raise ParameterError(
            f"{name}: parameter {key!r}: expected {type(default).__name__} like {default!r}, "
            f"got {value!r} ({type(value).__name__}{hint})"
        )
    return value


def _looks_like_float(value: Any) -> bool:
    # YAML 1.1 reads 1e-3 as a text.
    try:
        return isinstance(value, str) and float(value) is not None
    except ValueError:
        return False


def _replace(lines: list[bytes], node: ast.expr, text: str) -> None:
    first, last = node.lineno - 1, node.end_lineno - 1
    tail = lines[last][node.end_col_offset :]
    lines[first : last + 1] = [lines[first][: node.col_offset] + text.encode() + tail]
