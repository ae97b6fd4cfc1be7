"""A small convolutional network for coloured digits. Needs PyTorch, the extra ``pretrain``.

    python -m w2s_experiments.training.convolution --out FOLDER

It is taught the ten digits on the 10000 images of MNIST's test part, coloured at random; the
experiments use the training part only. A minute or two on two processor cores.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from w2s_experiments.data import datasets
from w2s_experiments.training.export import write_card, write_onnx

NAME = "convolution"
CHANNELS, UNITS = (24, 48, 48), 64
EPOCHS, BATCH, RATE, SEED = 8, 128, 2e-3, 20250404


class Convolution(nn.Module):
    """Images, shape (m, 2, 28, 28) in [0, 1], to hidden units, shape (m, 64)."""

    def __init__(self) -> None:
        super().__init__()
        first, second, third = CHANNELS
        self.layers = nn.Sequential(
            nn.Conv2d(2, first, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(first, second, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(second, third, 3, padding=1), nn.ReLU(), nn.Flatten(),
            nn.Linear(third * 49, UNITS), nn.ReLU(),
        )  # fmt: skip

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Hidden units."""
        return self.layers(images)


def train() -> tuple[Convolution, dict[str, Any]]:
    """Train the network; return it and what its card says."""
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    data = datasets.load("mnist")
    assert data.splits is not None
    rows = data.splits["standard"]["test"]
    grey = torch.from_numpy(data.inputs[rows].astype(np.float32) / 255)
    digits = torch.from_numpy(data.targets[rows])
    network, head = Convolution(), nn.Linear(UNITS, 10)
    parameters = [*network.parameters(), *head.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=RATE, weight_decay=1e-3)
    steps = EPOCHS * (len(rows) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    started, losses = time.monotonic(), []
    for _ in tqdm(range(EPOCHS), NAME):
        order = rng.permutation(len(rows))[: len(rows) // BATCH * BATCH]
        for batch in order.reshape(-1, BATCH):
            images = torch.zeros(BATCH, 2, 28, 28)
            images[torch.arange(BATCH), torch.from_numpy(rng.integers(0, 2, BATCH))] = grey[batch]
            loss = nn.functional.cross_entropy(head(network(images)), digits[batch])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            losses.append(float(loss))
    card = {
        "name": NAME,
        "data": "MNIST, test part, coloured at random",
        "images": len(rows),
        "channels": CHANNELS,
        "units": UNITS,
        "parameters": sum(p.numel() for p in network.parameters()),
        "epochs": EPOCHS,
        "batch": BATCH,
        "rate": RATE,
        "seed": SEED,
        "loss": round(float(np.mean(losses[-len(rows) // BATCH :])), 4),
        "seconds": round(time.monotonic() - started, 1),
        "torch": torch.__version__.split("+")[0],
    }
    return network, card


def export(network: Convolution, card: dict[str, Any], folder: Path) -> None:
    """Write ``convolution.onnx`` and ``convolution.json``."""
    card["sha256"] = write_onnx(
        network,
        torch.zeros(2, 2, 28, 28),
        folder / f"{NAME}.onnx",
        names=("images", "features"),
        axes={"images": {0: "m"}, "features": {0: "m"}},
    )
    write_card(folder / f"{NAME}.json", card)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and export."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for weights and card")
    folder = parser.parse_args(arguments).out
    folder.mkdir(parents=True, exist_ok=True)
    try:
        network, card = train()
    except datasets.DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    export(network, card, folder)
    print(f"{NAME}: loss {card['loss']}, {card['seconds']} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
