"""Compare two builds number by number: claims, and the data of every figure.

``python benchmarks/compare_numbers.py BEFORE AFTER [--tolerance 1e-9]`` takes two folders of
executed notebooks (``_build/<profile>/book/notebooks`` of two builds), prints what differs, and
exits with 1 if anything does. Used before and after a refactoring, whose numbers must not change.
"""

from __future__ import annotations

import argparse
import base64
import csv
import io
import json
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CLAIM = "application/vnd.w2s.claim+json"
FIGURE = re.compile(r'download="([^"]+)\.csv" href="data:text/csv;base64,([^"]+)"')


def outputs(folder: Path) -> dict[str, Any]:
    """Return what can be compared, by notebook and name."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*.ipynb")):
        name = path.relative_to(folder).with_suffix("").as_posix()
        nb = json.loads(path.read_text("utf-8"))
        for cell in nb["cells"]:
            for output in cell.get("outputs", []):
                for record in output.get("data", {}).get(CLAIM, []):
                    found[f"{name}: {record['id']}"] = {
                        key: record.get(key) for key in ("outcome", "observed", "expected")
                    }
                html = "".join(output.get("data", {}).get("text/html", ""))
                for figure, content in FIGURE.findall(html):
                    text = base64.b64decode(content).decode()
                    found[f"{name}: {figure}"] = list(csv.reader(io.StringIO(text)))
    return found


def differences(before: Any, after: Any, tolerance: float, where: str = "") -> Iterator[str]:
    """Yield one line for each number or text that differs."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in {**before, **after}:
            yield from differences(before.get(key), after.get(key), tolerance, f"{where}/{key}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, pair in enumerate(zip(before, after, strict=True)):
            yield from differences(*pair, tolerance, f"{where}[{index}]")
    elif not _alike(before, after, tolerance):
        yield f"{where}: {before!r} -> {after!r}"


def _alike(before: Any, after: Any, tolerance: float) -> bool:
    if before == after:  # texts, "nan" among them
        return True
    try:
        return math.isclose(float(before), float(after), rel_tol=tolerance, abs_tol=tolerance)
    except (TypeError, ValueError):
        return False


def main() -> int:
    """Print the differences and their number."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--tolerance", type=float, default=1e-9, help="Relative and absolute.")
    options = parser.parse_args()
    before, after = outputs(options.before), outputs(options.after)
    common = [key for key in before if key in after]
    lines = [
        f"{key}{line}"
        for key in common
        for line in differences(before[key], after[key], options.tolerance)
    ]
    lines += [f"only before: {key}" for key in before if key not in after]
    lines += [f"only after: {key}" for key in after if key not in before]
    print(*lines, f"{len(common)} compared, {len(lines)} differences", sep="\n")
    return bool(lines)


if __name__ == "__main__":
    sys.exit(main())
