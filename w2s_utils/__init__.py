"""Weak-to-strong generalization: theory, one protocol, and a ledger of checked claims."""

__version__: str


def __getattr__(name: str) -> str:
    """Read the version from the installed package, when it is asked for: that takes a while."""
    if name == "__version__":
        from importlib import metadata

        return metadata.version("w2s_utils")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
