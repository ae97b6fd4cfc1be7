"""Shipped weights: ONNX files with a card each, checked by hash, run without PyTorch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2s_experiments.data import datasets
from w2s_utils import files


class WeightsError(ValueError):
    """Weights that are missing, damaged or not those of their card, or a missing runtime."""


def require(module: str, extra: str) -> Any:
    """Import a module of an extra of this package; `WeightsError` if it is not installed."""
    try:
        return import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        raise WeightsError(
            f'{package} is not installed: pip install "w2s_utils[{extra}]"'
        ) from None


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


def checked(file: Path, sha256: str, remedy: str) -> bytes:
    """Content of a file, once it has the hash of its card.

    Parameters
    ----------
    file : Path
    sha256 : str
        From its card.
    remedy : str
        What to do where the hash is another.

    Returns
    -------
    bytes

    Raises
    ------
    WeightsError
        If it cannot be read, or does not have its hash.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise WeightsError(f"{file}: cannot be read ({error.strerror})") from None
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise WeightsError(
            f"{file}: its hash {digest[:12]} is not the {sha256[:12]} of its card; {remedy}"
        )
    return content


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
    runtime = require("onnxruntime", extra)
    content = checked(file, sha256, "install the package again, or export the weights again")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = int(threads)
    return runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def cached_features(
    content: Sequence[str], compute: Callable[[], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Features from the cache, or computed and put there.

    Parameters
    ----------
    content : sequence of str
        What the features are a function of; its hash is the name of the file.
    compute : callable
        Without arguments, to the features.

    Returns
    -------
    ndarray
    """
    digest = hashlib.sha256("\n".join(content).encode()).hexdigest()
    file = datasets.cache_folder() / "features" / f"{digest}.npy"
    with suppress(OSError, ValueError, EOFError):
        cached: NDArray[np.float32] = np.load(file, allow_pickle=False)
        return cached
    features = compute()
    # A cache that cannot be written costs time, not the result.
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing(file) as temporary, temporary.open("wb") as stream:
            np.save(stream, features, allow_pickle=False)
    return features
