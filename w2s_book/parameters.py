"""The parameters of a notebook: read from its parameters cell, checked strictly, written back.

A notebook has exactly one cell tagged ``parameters``, and that cell holds literals only, so its
names and defaults are known without running anything. Values are written into the literals
themselves: comments stay, and a page shows one parameters cell with the values actually used.
"""

from __future__ import annotations

import ast
import contextlib
import difflib
import functools
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

TAG = "parameters"
PROFILES = ("smoke", "quick", "full")


class ParameterError(ValueError):
    """What keeps a notebook from being started, such as a parameter that is unknown or missing."""


class _Loader(yaml.BaseLoader):
    """YAML whose words mean what they mean in version 1.2.

    In version 1.1, which PyYAML reads, 010 is eight, 12:30 is 750, "no" is false, 2024-01-01 is a
    date and 1e-3 is a text.
    """

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        if twice := [key for i, key in enumerate(keys) if key in keys[:i]]:
            raise yaml.YAMLError(f"{twice[0]} is given twice{node.start_mark}")
        return super().construct_mapping(node, deep)

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        if not re.fullmatch("tag:yaml.org,2002:(str|seq|map)", node.tag):
            raise yaml.YAMLError(f"{node.tag} is not supported{node.start_mark}")
        return super().construct_object(node, deep)

    def construct_scalar(self, node: Any) -> Any:
        """Return what a word stands for; what is in quotes stands for itself."""
        word = node.value
        if node.style or word.lower() in _WORDS:
            return word if node.style else _WORDS[word.lower()]
        for number in (int, functools.partial(int, base=0), _real):
            with contextlib.suppress(ValueError):
                return number(word)
        return word


_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}


def _real(word: str) -> float:
    value = float(re.sub(r"^([-+]?)\.(?=[in])", r"\1", word.lower()))
    if math.isinf(value) and "inf" not in word.lower():
        raise yaml.YAMLError(f"{word:.20} is too large for a float")
    return value


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
        profiles = read_yaml(path.read_text("utf-8"), str(path))
    except FileNotFoundError:
        raise ParameterError(f"{path} not found: run from the folder that holds it") from None
    profiles = profiles if isinstance(profiles, dict) else {}
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
    _check_names(name, [key for key, *_ in literals], values)
    what = {key: f"{name}: parameter {key!r}" for key, *_ in literals}
    used = {key: _checked(what[key], values[key], default) for key, default, _ in literals}
    # Positions in the syntax tree count bytes of UTF-8.
    lines = [line.encode() for line in cell.source.splitlines()]
    for key, default, node in reversed(literals):
        written = _source(used[key], what[key])
        if used[key] != default:
            first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
            tail = lines[last][node.end_col_offset :]
            head = lines[first][: node.col_offset]
            lines[first : last + 1] = [head + written.encode() + tail]
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
            with contextlib.suppress(ValueError, TypeError):
                return key, ast.literal_eval(node), node
    raise ParameterError(
        f"{name}: parameters cell, line {statement.lineno}: `{ast.unparse(statement)}`: "
        "only `name = literal` is allowed, so that any value can be set from outside"
    )


def _check_names(name: str, known: Sequence[str], values: Mapping[str, Any]) -> None:
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
    """Return ``value`` as the type of ``default``; a whole number will do for a float.

    The items of a list are to be like those of the default, where these are of one type.
    """
    if isinstance(default, tuple) and isinstance(value, list):
        value = tuple(value)
    if type(default) is float and type(value) is int:
        value = float(value)
    if default is not None and type(value) is not type(default):
        raise ParameterError(
            f"{what}: expected {type(default).__name__} like {default!r}, "
            f"got {value!r} ({type(value).__name__})"
        )
    if isinstance(default, list | tuple) and default:
        like = next((item for item in default if type(item) is float), default[0])
        numbers = {int, float} if type(like) is float else {type(like)}
        if {type(item) for item in default} <= numbers:
            value = type(value)(_checked(f"{what}, an item", item, like) for item in value)
    return value


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
    raise ParameterError(
        f"{what}: expected a literal (a number, text, list or mapping from texts to these), "
        f"got {value!r} ({type(value).__name__}); write what is none as a text, in quotes"
    )
