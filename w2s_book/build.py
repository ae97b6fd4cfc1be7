"""The steps of the build: what each depends on, and what it writes.

``dodo.py`` is the graph; each of its tasks runs one step here in a process of its own:
``python -m w2s_book.build PROFILE execute NOTEBOOK``, ``fetch``, ``claims``, ``html`` or
``publish``.

There is no database of what is up to date. Every output carries the digests of its inputs (an
executed notebook in its metadata, the rest in a small file beside it), and is written last and
renamed into place. So a build can be killed at any time: what has its name is whole, and says
what it was made from.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yaml import YAMLError

from w2s_book.closure import Library, digest_file
from w2s_book.execute import NotebookFailed, run, write_without_results
from w2s_book.parameters import PROFILES, ParameterError, front_matter, load_profile
from w2s_utils import files

# Seconds for one notebook: nets against one that hangs, not tests of a machine's speed.
TIMEOUTS = {"smoke": 900.0, "quick": 3600.0, "full": 14400.0}
ABSENT = "absent"
_LINES_SHOWN = 20
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class BuildError(RuntimeError):
    """A step that could not be done, told in words."""


@dataclass(frozen=True)
class Layout:
    """Where things are, for one profile."""

    root: Path
    profile: str

    @property
    def base(self) -> Path:
        """Folder of everything built for this profile."""
        return self.root / "_build" / self.profile

    @property
    def staged(self) -> Path:
        """Source folder of the book as Sphinx sees it."""
        return self.base / "book"

    @property
    def logs(self) -> Path:
        """Folder of the logs and of the notebooks that failed."""
        return self.base / "logs"

    @property
    def claims(self) -> Path:
        """The collected claims."""
        return self.base / "claims.json"

    @property
    def html(self) -> Path:
        """The built book."""
        return self.base / "html"

    def source(self, name: str) -> Path:
        """Return the source of a notebook."""
        return self.root / "notebooks" / f"{name}.md"

    def executed(self, name: str) -> Path:
        """Return the executed notebook."""
        return self.staged / "notebooks" / f"{name}.ipynb"

    def log(self, name: str) -> Path:
        """Return the log of a notebook."""
        return self.logs / f"{name.replace('/', '-')}.log"

    def inputs_file(self, step: str) -> Path:
        """Return the file that says what the claims or the html were made from."""
        return self.base / f".{step}.inputs.json"

    @functools.cached_property
    def library(self) -> Library:
        """The modules of the four packages, read once."""
        return Library(self.root)

    @functools.cached_property
    def data(self) -> dict[str, dict[str, list[str]]]:
        """For every notebook the data sets that it names, under ``data`` and ``optional_data``."""
        return {name: _data_named(self.source(name)) for name in self.parameters}

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


def timeout(profile: str) -> float:
    """Return the time limit of one notebook: ``TIMEOUT`` from the environment, or the default."""
    given = os.environ.get("TIMEOUT") or TIMEOUTS[profile]
    try:
        return float(given)
    except ValueError:
        raise BuildError(f"TIMEOUT: expected a number of seconds, got {given!r}") from None


def check_settings(profile: str) -> str:
    """Return ``profile``, once it and what the environment says to the build make sense.

    Raises
    ------
    BuildError
        If they do not; before anything is built, since the old book is worth more than a new one
        made with a typing error.
    """
    if profile not in PROFILES:
        raise BuildError(f"PROFILE: expected one of {', '.join(PROFILES)}, got {profile!r}")
    timeout(profile)
    if (data := os.environ.get("DATA", "")) not in ("", "fetch", "none"):
        raise BuildError(f"DATA: expected fetch or none, got {data!r}")
    folder = os.environ.get("W2S_DATA_DIR")
    if folder and not Path(folder).expanduser().is_dir():
        raise BuildError(f"W2S_DATA_DIR is {folder!r}, which is not a folder: correct or unset it")
    return profile


# What depends on what


def notebook_inputs(layout: Layout, name: str) -> dict[str, str]:
    """Return the digests of everything an executed notebook depends on."""
    source = layout.source(name)
    header, library = layout.data[name], layout.library
    modules = library.closure(library.of_notebook(source.read_text("utf-8")))
    return {
        "source": _digest_files([source]),
        "parameters": _digest(json.dumps(layout.parameters[name], sort_keys=True).encode()),
        "library": library.digest(modules),
        "dependencies": _digest_files([layout.root / "requirements.lock"]),
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        **{
            f"data {each}": _data_digest(each)
            for each in (*header.get("data", []), *header.get("optional_data", []))
        },
    }


def claims_inputs(layout: Layout) -> dict[str, str]:
    """Return the digests of everything the collected claims depend on."""
    executed = {name: _digest_files([layout.executed(name)]) for name in layout.parameters}
    return {"library": layout.library.digest(layout.library.modules()), **executed}


def html_inputs(layout: Layout) -> dict[str, str]:
    """Return the digests of everything the html depends on."""
    root = layout.root
    return {
        **claims_inputs(layout),
        "claims": _digest_files([layout.claims]),
        "prose": _digest_files(_files(root / "book")),
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


def claims_changes(layout: Layout) -> str:
    """Say why the claims must be collected; empty if they need not be."""
    return changed(claims_inputs(layout), _recorded(layout, "claims", layout.claims))


def html_changes(layout: Layout) -> str:
    """Say why the html must be made; empty if it need not be."""
    return changed(html_inputs(layout), _recorded(layout, "html", layout.html / "index.html"))


def stale(layout: Layout) -> str:
    """Say what must be made anew; empty if nothing."""
    steps = {"the claims": claims_changes(layout), "the html": html_changes(layout)}
    names = [name for name in layout.parameters if notebook_changes(layout, name)]
    names += [step for step, reason in steps.items() if reason]
    more = f" and {len(names) - 3} more" * (len(names) > 3)
    return f"{', '.join(names[:3])}{more} would have to be made" if names else ""


def read_about(executed: Path) -> dict[str, Any] | None:
    """Return the record in an executed notebook's metadata, or None if there is no notebook."""
    try:
        return json.loads(executed.read_text("utf-8"))["metadata"].get("w2s", {})
    except (OSError, ValueError, KeyError):
        return None


def lacking(layout: Layout) -> dict[str, list[str]]:
    """Return the notebooks whose data are not here, with the names of what they lack."""
    needed = {name: header.get("data", []) for name, header in layout.data.items()}
    lacks = {name: [each for each in sets if not _here(each)] for name, sets in needed.items()}
    return {name: missing for name, missing in lacks.items() if missing}


def failed(layout: Layout) -> list[str]:
    """Return the notebooks whose page says that they failed."""
    abouts = {name: read_about(layout.executed(name)) or {} for name in layout.parameters}
    return [name for name, about in abouts.items() if about.get("failed")]


def _data_named(source: Path) -> dict[str, list[str]]:
    try:
        return front_matter(source).get("w2s") or {}
    except (ValueError, YAMLError):
        return {}  # the execution says how the header is wrong


def _here(data_set: str) -> bool:
    from w2s_experiments.data import datasets

    # One that there is not at all is an error of its notebook, and does not wait to be fetched.
    return data_set not in datasets.REGISTRY or datasets.available(data_set)


def _data_digest(data_set: str) -> str:
    from w2s_experiments.data import datasets

    return _digest_files(datasets.files(data_set)) if _here(data_set) else ABSENT


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts)


def _digest_files(paths: Iterable[Path]) -> str:
    """Digest names and contents; a file that is absent counts as such."""
    return _digest("".join(f"{path.name}\0{digest_file(path)}" for path in paths).encode())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


# The steps


def fetch(layout: Layout) -> None:
    """Download the data sets that notebooks need and that are not here, as far as can be."""
    from w2s_experiments.data import datasets

    names = to_fetch(layout)
    sizes = (file.size for name in names for file in datasets.REGISTRY[name].files)
    print(f"fetching data: {', '.join(names)} ({sum(sizes) / 1e6:.1f} MB in all)", flush=True)
    for name in names:
        try:
            datasets.fetch(name)
        except datasets.DataError as error:
            print(f"  {name} could not be fetched: {error}", flush=True)


def to_fetch(layout: Layout) -> list[str]:
    """Return the data sets that are needed and not here; none where ``DATA`` is ``none``."""
    if os.environ.get("DATA") == "none":
        return []
    return sorted({name for missing in lacking(layout).values() for name in missing})


def execute(layout: Layout, name: str) -> None:
    """Execute one notebook with the profile's parameters.

    A notebook that fails gets a page that says so, without results: the book goes on without it.
    """
    try:
        run(
            layout.source(name),
            layout.executed(name),
            layout.parameters[name],
            profile=layout.profile,
            timeout=timeout(layout.profile),
            root=layout.root,
            log=layout.log(name),
            inputs=notebook_inputs(layout, name),
        )
    except (NotebookFailed, ValueError) as error:
        _write_failed(layout, name, "\n".join([str(error), *getattr(error, "__notes__", [])]))
    except Exception:
        _write_failed(layout, name, traceback.format_exc())


def _write_failed(layout: Layout, name: str, reason: str) -> None:
    lines = reason.splitlines()
    lines[_LINES_SHOWN:] = ["..."] * (len(lines) > _LINES_SHOWN)
    notice = (
        ":::::{error}\n**This notebook failed**, so this page has its text and its code, and no "
        "results:\n\n~~~~~~~~text\n" + "\n".join(lines) + "\n~~~~~~~~\n:::::"
    )
    about = {"profile": layout.profile, "parameters": layout.parameters[name], "failed": reason}
    write_without_results(
        layout.source(name), layout.executed(name), {"notebook": name, **about}, notice
    )


def collect(layout: Layout) -> None:
    """Collect the claims of all executed notebooks."""
    from w2s_utils import claims

    inputs = claims_inputs(layout)
    try:
        records = claims.collect(layout.executed(name) for name in layout.parameters)
    except ValueError as error:
        raise BuildError(f"claims: {error}") from None
    claims.write(records, layout.claims)
    _record_inputs(layout, "claims", inputs)


def render(layout: Layout) -> None:
    """Build the html from clean, and put it in the place of the old one only if it is good."""
    inputs = html_inputs(layout)
    stage(layout)
    workshop = layout.base / "sphinx"
    # An incremental build passes pages that a clean one refuses.
    shutil.rmtree(workshop, ignore_errors=True)
    log = layout.logs / "html.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [
        *(sys.executable, "-c", "from jupyter_book.cli.main import main; main()"),
        *("build", str(layout.staged)),
        *("--config", str(layout.root / "_config.yml")),
        *("--toc", str((layout.root / "_toc.yml").resolve())),
        *("--path-output", str(workshop), "-W", "-n", "--keep-going"),
    ]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    log.write_text(_COLOUR.sub("", done.stdout), "utf-8")
    if done.returncode:
        raise BuildError(_sphinx_message(layout, log))
    layout.inputs_file("html").unlink(missing_ok=True)
    _swap(workshop / "_build" / "html", layout.html)
    _record_inputs(layout, "html", inputs)
    shutil.rmtree(workshop, ignore_errors=True)


def stage(layout: Layout) -> None:
    """Lay out the book's source: the prose and the executed notebooks."""
    layout.staged.mkdir(parents=True, exist_ok=True)
    for old in layout.staged.iterdir():
        if old.name != "notebooks":
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    wanted = {layout.executed(name) for name in layout.parameters}
    for old in _files(layout.staged / "notebooks"):
        if old not in wanted:
            old.unlink()
    shutil.copytree(
        layout.root / "book",
        layout.staged,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("__pycache__", "notebooks"),
    )


def publish(layout: Layout) -> None:
    """Point ``_build/html`` and ``_build/claims.json`` at this profile."""
    for link, target in published(layout).items():
        if link.is_dir() and not link.is_symlink():
            shutil.rmtree(link)
        with files.replacing(link) as temporary:
            temporary.symlink_to(target)


def published(layout: Layout) -> dict[Path, str]:
    """Return the links that `publish` makes, each with its target."""
    folder = layout.base.parent
    names = (layout.html.name, layout.claims.name)
    return {folder / name: f"{layout.profile}/{name}" for name in names}


def is_published(layout: Layout) -> bool:
    """Tell whether the links point at this profile."""
    return all(
        link.is_symlink() and os.readlink(link) == target
        for link, target in published(layout).items()
    )


def _recorded(layout: Layout, step: str, target: Path) -> dict[str, str] | None:
    """Return what a step's output was made from, if it is there."""
    try:
        return json.loads(layout.inputs_file(step).read_text("utf-8")) if target.exists() else None
    except (OSError, ValueError):
        return None


def _record_inputs(layout: Layout, step: str, inputs: Mapping[str, str]) -> None:
    with files.replacing(layout.inputs_file(step)) as temporary:
        temporary.write_text(json.dumps(inputs, indent=1) + "\n", "utf-8")


def _swap(new: Path, old: Path) -> None:
    aside = old.with_name(f"{old.name}.old")
    shutil.rmtree(aside, ignore_errors=True)
    if old.exists():
        os.rename(old, aside)
    os.rename(new, old)
    shutil.rmtree(aside, ignore_errors=True)


def _sphinx_message(layout: Layout, log: Path) -> str:
    text = log.read_text("utf-8").replace(f"{layout.staged.resolve()}{os.sep}", "")
    lines = [line for line in text.splitlines() if "WARNING" in line or "ERROR" in line]
    found = list(dict.fromkeys(lines))
    shown = found[:_LINES_SHOWN] or text.splitlines()[-_LINES_SHOWN:]
    more = len(found) - len(shown)
    rest = [f"and {more} more"] if more > 0 else []
    kept = "; the previous html is untouched" if layout.html.exists() else ""
    return "\n".join(
        ["the book has warnings, which are errors here:", *shown, *rest, f"log: {log}{kept}"]
    )


# One step as a process

STEPS: dict[str, Callable[..., None]] = {
    "fetch": fetch,
    "execute": execute,
    "claims": collect,
    "html": render,
    "publish": publish,
}


def main(arguments: list[str]) -> int:
    """Run one step; return the exit code, with the reason of a failure on standard error."""
    profile, step, *names = arguments
    leave_with_parent()
    try:
        STEPS[step](Layout(Path("."), profile), *names)
    except (NotebookFailed, ParameterError, BuildError, FileNotFoundError) as error:
        print(error, *getattr(error, "__notes__", []), sep="\n", file=sys.stderr)
        return 1
    return 0


def leave_with_parent() -> None:
    """Stop, kernel included, when told to or when the process that started this one is killed."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    parent = os.getppid()

    def follow() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=follow, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
