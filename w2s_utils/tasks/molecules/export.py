"""From trained weights to an ONNX file with half-precision weights. Needs PyTorch and onnx."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from w2s_utils.tasks.molecules.pretrain import Encoder

SMALL = 64  # constants with fewer numbers stay in single precision
COMPUTED = "rates"  # of the positions: no weights, and their angles need the precision


def export(folder: Path, name: str) -> Path:
    """Write ``NAME.onnx`` from ``NAME.npz``, and its hash into ``NAME.card.json``.

    The graph computes in single precision; its weights are stored in half precision, which halves
    the file, and are cast when it is loaded.

    Parameters
    ----------
    folder : Path
    name : str

    Returns
    -------
    Path
        Of the ONNX file.
    """
    card_file = folder / f"{name}.card.json"
    card = json.loads(card_file.read_text())
    encoder = Encoder(card["width"], card["layers"], card["heads"], len(card["vocabulary"]))
    with np.load(folder / f"{name}.npz") as arrays:
        weights = {key: torch.from_numpy(arrays[key].astype(np.float32)) for key in arrays.files}
    encoder.load_state_dict({"rates": encoder.rates, **weights})
    target = folder / f"{name}.onnx"
    torch.onnx.export(
        encoder.eval(),
        (torch.ones((2, 5), dtype=torch.int64),),
        target,
        input_names=["tokens"],
        output_names=["features"],
        dynamic_axes={"tokens": {0: "molecules", 1: "length"}, "features": {0: "molecules"}},
        opset_version=17,
        dynamo=False,
    )
    model = onnx.load(target)
    _halve(model.graph)
    onnx.checker.check_model(model)
    onnx.save(model, target)
    card["sha256"] = hashlib.sha256(target.read_bytes()).hexdigest()
    card_file.write_text(json.dumps(card, indent=1) + "\n")
    return target


def _halve(graph: onnx.GraphProto) -> None:
    """Store large constants as half precision, with a cast in front of their use."""
    casts = []
    for constant in graph.initializer:
        values = numpy_helper.to_array(constant)
        kept = values.size < SMALL or constant.name.endswith(COMPUTED)
        if constant.data_type != TensorProto.FLOAT or kept:
            continue
        name = constant.name
        constant.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    for cast in reversed(casts):
        graph.node.insert(0, cast)
