"""Shipped weights: ONNX files with a card each, checked by hash, run without PyTorch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

SMALL = 64  # constants with fewer numbers stay in single precision


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
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{file}: the card cannot be read ({error})") from None


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


def export(
    network: Any,
    example: Any,
    file: Path,
    *,
    names: tuple[str, str],
    axes: Mapping[str, Mapping[int, str]],
    computed: str = "",
) -> str:
    """Write a PyTorch network as ONNX with half-precision weights. Needs PyTorch and onnx.

    The graph computes in single precision; its weights are stored in half precision, which halves
    the file, and are cast when it is loaded.

    Parameters
    ----------
    network : torch.nn.Module
        With one input and one output.
    example : torch.Tensor
        An input.
    file : Path
    names : (str, str)
        Of input and output.
    axes : mapping of str to mapping of int to str
        Axes of any length, by name of input or output.
    computed : str
        Constants whose names end so are no weights, and stay in single precision.

    Returns
    -------
    str
        Hash of the file, for its card.
    """
    import onnx
    import torch

    torch.onnx.export(
        network.eval(),
        (example,),
        file,
        input_names=[names[0]],
        output_names=[names[1]],
        dynamic_axes=axes,
        opset_version=17,
        dynamo=False,
    )
    model = onnx.load(file)
    _halve(model.graph, computed)
    onnx.checker.check_model(model)
    onnx.save(model, file)
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _halve(graph: Any, computed: str) -> None:
    """Store large constants as half precision, with a cast in front of their use."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for constant in graph.initializer:
        values = numpy_helper.to_array(constant)
        kept = values.size < SMALL or (computed and constant.name.endswith(computed))
        if constant.data_type != TensorProto.FLOAT or kept:
            continue
        name = constant.name
        constant.CopyFrom(numpy_helper.from_array(values.astype("float16"), f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    for cast in reversed(casts):
        graph.node.insert(0, cast)
