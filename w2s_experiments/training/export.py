"""From trained weights to an ONNX file with half-precision weights. Needs PyTorch and onnx."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from w2s_experiments.encoders import weights
from w2s_experiments.training.pretrain import Encoder

COMPUTED = "rates"  # of the positions: no weights, and their angles need the precision


def export(folder: Path, name: str) -> Path:
    """Write ``NAME.onnx`` from ``NAME.npz``, and its hash into ``NAME.json``.

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
        values = {key: torch.from_numpy(arrays[key].astype(np.float32)) for key in arrays.files}
    encoder.load_state_dict({"rates": encoder.rates, **values})
    target = folder / f"{name}.onnx"
    card["sha256"] = weights.export(
        encoder,
        torch.ones((2, 5), dtype=torch.int64),
        target,
        names=("tokens", "features"),
        axes={"tokens": {0: "molecules", 1: "length"}, "features": {0: "molecules"}},
        computed=COMPUTED,
    )
    card_file.write_text(json.dumps(card, indent=1) + "\n")
    return target
