"""The report card tells whether a strong model gains from a weak one's labels.

`report` is the way in, ``w2s report`` the command, `card.schema` the form of what it writes. The
modules, in the order in which they use each other: `options` and `readers` (files), `labels`,
`inputs` (all that was given, opened), `one_pass` (one pass over the rows), `spectra` (what the
features alone say), `heads` and `comparison` (what decides), `teachers` (the formulas of least
squares), `verdict`, `card` (all of it, as one dataclass), `analysis`; `page` and `command` show it.
"""

import importlib
from typing import Any

_FROM = {
    "report": "w2s_report.analysis",
    "report_run": "w2s_report.runs",
    "Options": "w2s_report.options",
}


def __getattr__(name: str) -> Any:
    # Loaded when first asked for: the command line imports the package for its options alone.
    if name not in _FROM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_FROM[name]), name)
