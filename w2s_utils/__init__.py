"""Weak-to-strong generalization: theory, simulation, experiments and a ledger of checked claims."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Loaded when first asked for: importing the package stays light.
    if name == "report":
        from w2s_utils.reportcard.analysis import report

        return report
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), "report"])
