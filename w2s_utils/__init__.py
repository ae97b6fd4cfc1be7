"""Weak-to-strong generalization: theory, simulation, experiments and a ledger of checked claims."""

__version__ = "0.1.0"
