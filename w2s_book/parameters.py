"""The parameters of a notebook: read from its parameters cell, checked strictly, written back.

A notebook has exactly one cell tagged ``parameters``, and that cell holds literals only, so its
names and defaults are known without running anything. Values are written into the literals
themselves: comments stay, and a page shows one parameters cell with the values actually used.
"""

from __future__ import annotations

import ast
import difflib
import functools
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

TAG = "parameters"
PROFILES = ("smoke", "quick", "full")


class ParameterError(ValueError):
    """What keeps a notebook from being started, such as a parameter that is unknown or missing."""


# Reading YAML


class _Loader(yaml.SafeLoader):
    """YAML whose words mean what they mean in version 1.2.

    In version 1.1, which PyYAML reads, 010 is eight, 12:30 is 750, "no" is false, 2024-01-01 is a
    date and 1e-3 is a text.
    """

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        if twice := [key for i, key in enumerate(keys) if key in keys[:i]]:
            raise yaml.YAMLError(f"{twice[0]} is given twice{node.start_mark}")
        return super().construct_mapping(node, deep)

    def _whole(self, node: Any) -> int:
        return int(node.value, 0 if re.match("[-+]?0[xob]", node.value) else 10)

    def _real(self, node: Any) -> float:
        value = float(re.sub(r"\.(?=[in])", "", node.value.lower()))
        if math.isinf(value) and "inf" not in node.value.lower():
            raise yaml.YAMLError(f"{node.value} is too large for a float")
        return value


_PREFIX = "tag:yaml.org,2002:"
_Loader.yaml_implicit_resolvers = {}
_Loader.yaml_constructors = {
    tag: _Loader.yaml_constructors[tag]
    for tag in (None, *(_PREFIX + name for name in ("null", "bool", "str", "seq", "map")))
}
_Loader.add_constructor(f"{_PREFIX}int", _Loader._whole)
_Loader.add_constructor(f"{_PREFIX}float", _Loader._real)
for _name, _words in {
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?([0-9][0-9_]*|0x[0-9a-fA-F]+|0o[0-7]+|0b[01]+)",
    "float": r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?"
    r"|[-+]?\.?(inf|Inf|INF|infinity|Infinity)|\.?(nan|NaN|NAN)",
}.items():
    _Loader.add_implicit_resolver(_PREFIX + _name, re.compile(f"^(?:{_words})$"), None)


@functools.lru_cache  # the same headers are asked for again and again
def read_yaml(text: str, what: str) -> Any:
    """Read YAML by the rules of version 1.2; a key that is given twice is an error.

    Raises
    ------
    ParameterError
        If it is not valid; ``what`` says where it stands.
    """
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ParameterError(f"{what} is not valid YAML: {error}") from None


def read_value(name: str, text: str, default: Any) -> Any:
    """Read the value of a parameter from a command line, as YAML.

    What stands for a text is taken as it is written: a parameter that is a text has the value
    "010" or "no" where the command line says so.
    """
    value = read_yaml(text, f"{name}: {text!r}")
    if isinstance(default, str) and not isinstance(value, str | list | dict):
        return text.strip()
    return value


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
        profiles = read_yaml(path.read_text("utf-8"), str(path)) or {}
    except FileNotFoundError:
        raise ParameterError(f"{path} not found: run from the folder that holds it") from None
    if not isinstance(profiles, dict):
        raise ParameterError(f"{path}: expected a mapping of profiles, got {profiles!r}")
    if profile not in profiles:
        known = ", ".join(map(str, profiles)) or "none"
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
    header = read_yaml("\n".join(lines[1 : lines.index("---", 1)]), f"{source}: front matter")
    return header or {}


# The parameters cell


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
        If a parameter is unknown, missing, of another type than its default, or no literal.
    """
    cell = parameters_cell(nb, name)
    literals = _literals(cell.source, name)
    known = {key: default for key, default, _ in literals}
    _check_names(name, known, values)
    used, written = {}, {}
    for key, default in known.items():
        what = f"{name}: parameter {key!r}"
        try:
            used[key] = _checked(what, values[key], default)
            written[key] = _source(used[key], what)
        except RecursionError:
            raise ParameterError(f"{what}: expected a value that ends, got {values[key]}") from None
    # Positions in the syntax tree count bytes of UTF-8.
    lines = [line.encode() for line in cell.source.splitlines()]
    for key, default, node in reversed(literals):
        if used[key] != default or type(used[key]) is not type(default):
            first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
            tail = lines[last][node.end_col_offset :]
            head = lines[first][: node.col_offset]
            lines[first : last + 1] = [head + written[key].encode() + tail]
    cell.source = b"\n".join(lines).decode()
    return used


def recorded(value: Any) -> Any:
    """Return a value as JSON can hold it: numbers that are not finite become texts."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: recorded(item) for key, item in value.items()}
    return [recorded(item) for item in value] if isinstance(value, list | tuple) else value


def _literals(source: str, name: str) -> list[tuple[str, Any, ast.expr]]:
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        raise ParameterError(f"{name}: parameters cell, line {error.lineno}: {error.msg}") from None
    return [_literal(statement, name) for statement in statements]


def _literal(statement: ast.stmt, name: str) -> tuple[str, Any, ast.expr]:
    match statement:
        case (
            ast.Assign(targets=[ast.Name(id=key)], value=node)
            | ast.AnnAssign(target=ast.Name(id=key), value=ast.expr() as node)
        ):
            try:
                return key, ast.literal_eval(node), node
            except (ValueError, TypeError):
                pass
    raise ParameterError(
        f"{name}: parameters cell, line {statement.lineno}: `{ast.unparse(statement)}`: "
        "only `name = literal` is allowed, so that any value can be set from outside"
    )


def _check_names(name: str, known: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    unknown = [key for key in values if key not in known]
    missing = [key for key in known if key not in values]
    if not (unknown or missing):
        return
    close = difflib.get_close_matches(str(unknown[0]), known, n=1) if unknown else []
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    what = "unknown" if unknown else "no value given for"
    raise ParameterError(
        f"{name}: {what} parameter {', '.join(map(repr, unknown or missing))}{hint}; "
        f"it has: {', '.join(known) or 'none'}"
    )


def _checked(what: str, value: Any, default: Any) -> Any:
    """Return ``value`` as the type of ``default``; a whole number will do for a float."""
    if isinstance(default, tuple) and isinstance(value, list):
        value = tuple(value)
    if type(default) is float and type(value) is int:
        value = float(value)
    if default is not None and type(value) is not type(default):
        raise ParameterError(
            f"{what}: expected {type(default).__name__} like {default!r}, "
            f"got {value!r} ({type(value).__name__})"
        )
    numbers = isinstance(default, list | tuple) and all(map(_numeric, _leaves(default)))
    if numbers and default and (other := [v for v in _leaves(value) if not _numeric(v)]):
        raise ParameterError(
            f"{what}: expected numbers like {default!r}, got {other[0]!r} "
            f"({type(other[0]).__name__}) among them"
        )
    return value


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return [leaf for item in value for leaf in _leaves(item)]
    return [value]


def _numeric(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _source(value: Any, what: str) -> str:
    """Return the source text of a value that a parameters cell can hold and a record can keep."""
    match value:
        case None | bool() | int() | str():
            return repr(value)
        case float():
            return repr(value) if math.isfinite(value) else f'float("{value}")'
        case list():
            return f"[{', '.join(_source(item, what) for item in value)}]"
        case tuple():
            return f"({', '.join(_source(item, what) for item in value)}{',' * (len(value) == 1)})"
        case dict() if all(isinstance(key, str) for key in value):
            return f"{{{', '.join(f'{k!r}: {_source(v, what)}' for k, v in value.items())}}}"
        case dict():
            odd = next(key for key in value if not isinstance(key, str))
            raise ParameterError(f'{what}: expected keys that are texts, such as "1", got {odd!r}')
    raise ParameterError(
        f"{what}: expected a literal (a number, text, list or mapping of these), "
        f"got {value!r} ({type(value).__name__}); write it as a text, in quotes"
    )
