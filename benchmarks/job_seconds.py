"""What a build's notebooks took, one by one and by part: ``python benchmarks/job_seconds.py``.

Takes the profile (default: quick), or folders of executed notebooks to set beside each other
(``_build/<profile>/book/notebooks``). Seconds are wall-clock time of a job, two of which run at a
time; what a job takes besides its cells is the start of its kernel, the reading and the writing.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path


def seconds(folder: Path) -> dict[str, tuple[float, float]]:
    """Of every executed notebook: the whole job, and its cells."""
    found = {}
    for path in sorted(folder.rglob("*.ipynb")):
        nb = json.loads(path.read_text("utf-8"))
        cells = (cell["metadata"].get("papermill", {}).get("duration", 0) for cell in nb["cells"])
        name = path.relative_to(folder).with_suffix("").as_posix()
        found[name] = nb["metadata"]["w2s"]["seconds"], sum(cells)
    return found


def main(given: list[str]) -> None:
    """Print a line a notebook, the longest first, and the sums by part."""
    folders = [Path(each) for each in given]
    if not any(folder.is_dir() for folder in folders):
        folders = [Path("_build", profile, "book", "notebooks") for profile in given or ["quick"]]
    for folder in folders:
        found, parts = seconds(folder), defaultdict(float)
        print(f"{folder}\n{'':30} {'job':>8} {'cells':>8}")
        for name, (job, cells) in sorted(found.items(), key=lambda item: -item[1][0]):
            parts[name.partition("/")[0]] += job
            print(f"{name:30} {job:8.1f} {cells:8.1f}")
        for part, job in [*parts.items(), ("all", sum(parts.values()))]:
            print(f"{part:30} {job:8.1f}   on two cores {job / 2:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
