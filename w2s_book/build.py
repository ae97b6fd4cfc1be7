"""Where things of the book are, what each output depends on, and what is therefore stale.

There is no database of what is up to date. Every output carries the digests of its inputs (an
executed notebook in its metadata, the html in a file beside its pages), and is written last and
renamed into place. So a build can be killed at any time: what has its name is whole, and says
what it was made from. The steps themselves are the tasks of ``dodo.py``.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from w2s_book.closure import Library, digest_file
from w2s_book.execute import data_sets, missing_data
from w2s_book.parameters import ParameterError, load_profile

# Seconds for one notebook: nets against one that hangs, not tests of a machine's speed.
TIMEOUTS = {"smoke": 900.0, "quick": 3600.0, "full": 14400.0}
ABSENT = "absent"


class Layout:
    """Where things are for one profile, and which notebooks with which parameters it has.

    Attributes
    ----------
    base : Path
        Folder of everything built for this profile.
    staged : Path
        Source folder of the book as Sphinx sees it.
    logs : Path
        Folder of the logs and of the notebooks that failed.
    claims : Path
        The collected claims.
    html : Path
        The built book.
    """

    def __init__(self, root: Path, profile: str):
        self.root, self.profile = root, profile
        self.base = root / "_build" / profile
        self.staged = self.base / "book"
        self.logs = self.base / "logs"
        self.claims = self.base / "claims.json"
        self.html = self.base / "html"

    def source(self, name: str) -> Path:
        """Return the source of a notebook."""
        return self.root / "notebooks" / f"{name}.md"

    def executed(self, name: str) -> Path:
        """Return the executed notebook."""
        return self.staged / "notebooks" / f"{name}.ipynb"

    def log(self, name: str) -> Path:
        """Return the log of a notebook."""
        return self.logs / f"{name.replace('/', '-')}.log"

    @functools.cached_property
    def library(self) -> Library:
        """The modules of the four packages, read once."""
        return Library()

    @functools.cached_property
    def parameters(self) -> dict[str, dict[str, Any]]:
        """The profile: every notebook of the book with its parameters."""
        profile = load_profile(self.root / "profiles.yml", self.profile)
        folder = self.root / "notebooks"
        sources = {p.relative_to(folder).with_suffix("").as_posix() for p in folder.glob("*/*.md")}
        if lacking := sorted(sources - set(profile)):
            raise ParameterError(f"profiles.yml: {self.profile} lacks {', '.join(lacking)}")
        if unknown := sorted(set(profile) - sources):
            raise ParameterError(
                f"profiles.yml: {self.profile} lists {', '.join(unknown)}, "
                "but notebooks/ has no such file"
            )
        return profile


# What depends on what


def notebook_inputs(layout: Layout, name: str) -> dict[str, str]:
    """Return the digests of everything an executed notebook depends on."""
    from w2s_experiments.data import datasets

    source = layout.source(name)
    named = [*data_sets(source), *data_sets(source, "optional_data")]
    data = {
        f"data {each}": _digest_files(datasets.files(each)) if datasets.available(each) else ABSENT
        for each in named
    }
    modules = layout.library.closure(layout.library.of_notebook(source.read_text("utf-8")))
    return {
        "source": _digest_files([source]),
        "parameters": _digest(json.dumps(layout.parameters[name], sort_keys=True).encode()),
        "library": layout.library.digest(modules),
        "dependencies": _digest_files([layout.root / "requirements.lock"]),
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        **data,
    }


def html_inputs(layout: Layout) -> dict[str, str]:
    """Return the digests of everything the html depends on."""
    root = layout.root
    return {
        "library": layout.library.digest(layout.library.modules),
        "docstrings": _digest_files(layout.library.modules.values()),
        **{name: _digest_files([layout.executed(name)]) for name in layout.parameters},
        "claims": _digest_files([layout.claims]),
        "prose": _digest_files(files_below(root / "book")),
        "configuration": _digest_files([root / "_config.yml", root / "_toc.yml"]),
        "dependencies": _digest_files([root / "requirements.lock"]),
    }


def changed(now: Mapping[str, str], before: Mapping[str, str] | None) -> str:
    """Say in words which inputs changed; empty if none did."""
    if before is None:
        return "new"
    keys = [key for key in {**now, **before} if now.get(key) != before.get(key)]
    return f"changed: {', '.join(keys)}" if keys else ""


def notebook_changes(layout: Layout, name: str) -> str:
    """Say why a notebook must be executed; empty if it need not be.

    Data that were here when it was executed and are not now are no reason: the run with them is
    worth more than a page without results.
    """
    about = read_about(layout.executed(name))
    try:
        now = notebook_inputs(layout, name)
    except ValueError:
        return "its inputs are wrong"  # the step itself says how
    if about is None or about.get("failed"):
        return "it failed before" if about else "new"
    before = about.get("inputs", {})
    if about.get("executed"):
        now |= {key: before[key] for key in now if now[key] == ABSENT and key in before}
    return changed(now, before)


def html_changes(layout: Layout) -> str:
    """Say why the html must be made; empty if it need not be."""
    return changed(html_inputs(layout), read_json(inputs_file(layout.html)))


def inputs_file(html: Path) -> Path:
    """Return the file that says what the html was made from."""
    return html / ".inputs.json"


def read_about(executed: Path) -> dict[str, Any] | None:
    """Return the record in an executed notebook's metadata, or None if there is no notebook."""
    notebook = read_json(executed)
    return notebook and notebook["metadata"].get("w2s", {})


def read_json(path: Path) -> Any:
    """Return what a file of JSON holds, or None if it is not there whole."""
    with contextlib.suppress(OSError, ValueError):
        return json.loads(path.read_text("utf-8"))
    return None


def lacking(layout: Layout) -> dict[str, list[str]]:
    """Return the notebooks whose data are not here, with the names of what they lack."""
    found = {}
    for name in layout.parameters:
        # What is wrong with a header is said when its notebook is executed.
        with contextlib.suppress(ValueError):
            found[name] = missing_data(layout.source(name))
    return {name: missing for name, missing in found.items() if missing}


def files_below(folder: Path) -> list[Path]:
    """Return the files in a folder and in those below it."""
    return sorted(p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts)


def _digest_files(paths: Iterable[Path]) -> str:
    """Digest names and contents; a file that is absent counts as such."""
    return _digest("".join(f"{path.name}\0{digest_file(path)}" for path in paths).encode())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
