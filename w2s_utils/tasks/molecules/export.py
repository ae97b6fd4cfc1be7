"""From trained weights to an ONNX file with half-precision weights. Needs PyTorch and onnx."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import torch

from w2s_utils.tasks.molecules.pretrain import Encoder
from w2s_utils.tasks.weights import halve

COMPUTED = "rates"  # of the positions: no weights, and their angles need the precision


def export(folder: Path, name: str) -> Path:
    """Write ``NAME.onnx`` from ``NAME.npz``, and its hash into ``NAME.json``.

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
    card_file = folder / f"{name}.json"
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
    halve(model.graph, computed=COMPUTED)
    onnx.checker.check_model(model)
    onnx.save(model, target)
    card["sha256"] = hashlib.sha256(target.read_bytes()).hexdigest()
    card_file.write_text(json.dumps(card, indent=1) + "\n")
    return target
