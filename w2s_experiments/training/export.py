"""From PyTorch networks to ONNX files with half-precision weights. Needs PyTorch and onnx."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from w2s_utils.files import replacing

SMALL = 64  # constants with fewer numbers stay in single precision


def write_card(file: Path, card: Mapping[str, Any]) -> None:
    """Write the card of a network: what is known of how it was made."""
    with replacing(file) as temporary:
        temporary.write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")


def write_onnx(
    network: Any,
    example: Any,
    file: Path,
    *,
    names: tuple[str, str],
    axes: Mapping[str, Mapping[int, str]],
    computed: str = "",
) -> str:
    """Write a PyTorch network as ONNX with half-precision weights.

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
    with replacing(file) as temporary:
        torch.onnx.export(
            network.eval(),
            (example,),
            temporary,
            input_names=[names[0]],
            output_names=[names[1]],
            dynamic_axes=axes,
            opset_version=17,
            dynamo=False,
        )
        model = onnx.load(temporary)
        _halve(model.graph, computed)
        onnx.checker.check_model(model)
        onnx.save(model, temporary)
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _halve(graph: Any, computed: str) -> None:
    """Store large constants as half precision, with a cast in front of their use."""
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
