"""Weak-to-strong generalization: theory, one protocol, and a ledger of checked claims."""

from importlib import metadata

__version__ = metadata.version("w2s_utils")
