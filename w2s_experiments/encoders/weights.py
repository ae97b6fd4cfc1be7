"""Shipped weights: ONNX files with a card each, checked by hash, run without PyTorch."""

from __future__ import annotations

import hashlib
import json
from importlib import import_module
from pathlib import Path
from typing import Any


class WeightsError(ValueError):
    """Weights that are missing, damaged or not those of their card, or a missing runtime."""


def read_card(file: Path) -> dict[str, Any]:
    """Read the card of a file of weights.

    Parameters
    ----------
    file : Path
        Of the card.

    Returns
    -------
    dict

    Raises
    ------
    WeightsError
        If it cannot be read.
    """
    try:
        card: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{file}: the card cannot be read ({error})") from None
    return card


def session(file: Path, sha256: str, *, threads: int = 0, extra: str) -> Any:
    """Open an ONNX file for inference.

    Parameters
    ----------
    file : Path
    sha256 : str
        From its card.
    threads : int
        Of the runtime; 0 is one for each core.
    extra : str
        Extra of this package that brings the runtime.

    Returns
    -------
    onnxruntime.InferenceSession

    Raises
    ------
    WeightsError
        If the runtime is missing, or the file is, or it does not have its hash.
    """
    try:
        runtime = import_module("onnxruntime")
    except ImportError:
        raise WeightsError(
            f'onnxruntime is not installed: pip install "w2s_utils[{extra}]"'
        ) from None
    try:
        content = file.read_bytes()
    except OSError as error:
        raise WeightsError(f"{file}: cannot be read ({error.strerror})") from None
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise WeightsError(
            f"{file}: its hash {digest[:12]} is not the {sha256[:12]} of its card; "
            "install the package again, or export the weights again"
        )
    options = runtime.SessionOptions()
    options.intra_op_num_threads = int(threads)
    return runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
