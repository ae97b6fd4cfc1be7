"""The report card: will a strong model gain from a weak one's labels, told from feature arrays.

``w2s_report.report`` is the way in, ``w2s report`` the command. The modules, in the order in which
they use each other: `readers` (files), `labels`, `one_pass` (one pass over the rows), `spectra`
(what the features alone say), `splits` (repeated splits), `teachers` (one teacher and the
student), `probabilities` (logistic heads), `verdict`, `card` (all of it, as one dataclass); `draw`,
`sections`, `page` and `command` show it.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    # Loaded when first asked for: the command line imports the package for its options alone.
    if name == "report":
        from w2s_report.analysis import report

        return report
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), "report"])
