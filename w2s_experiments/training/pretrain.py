"""Pretrain the SMILES encoders: a ladder of weak ones, and a strong one. Needs PyTorch.

Weak encoders, of widths 8 to 96, fill in masked tokens. The strong one also predicts RDKit's
descriptors, as MolBERT does. The pool of molecules has no label, and the molecules of the
evaluation sets are taken out of it first. Every model is saved after each epoch; a run that was
killed goes on from there.

    pip install "w2s_utils[pretrain]"
    python -m w2s_experiments.training.pretrain --pool FOLDER --out FOLDER [--size large]

The default size takes less than half an hour on two processor cores; ``large`` wants a GPU.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from w2s_experiments.data.datasets import DataError
from w2s_experiments.encoders.smiles import MoleculeError
from w2s_experiments.training import recipes


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the encoders that are not there yet; export them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pool", type=Path, required=True, help="folder with *.smi.gz")
    parser.add_argument("--out", type=Path, required=True, help="folder for weights and cards")
    parser.add_argument("--size", choices=["default", "large"], default="default")
    parser.add_argument("--device", choices=["cpu", "cuda"], default=None)
    parser.add_argument("--only", nargs="*", default=[""], help="names, or how names begin")
    parser.add_argument("--molecules", type=int, help="fewer molecules than the recipe's, to try")
    parser.add_argument("--train-only", action="store_true", help="no ONNX files")
    options = parser.parse_args(arguments)
    wanted = [
        recipe
        for recipe in recipes.encoder_recipes(options.size)
        if recipe.name.startswith(tuple(options.only))
    ]
    if not wanted:
        parser.error(f"--only: no encoder of this size begins with {' or '.join(options.only)}")
    try:
        import torch

        from w2s_experiments.training import transformer
    except ImportError as error:
        return _refuse(f'{error.name} is not installed: pip install "w2s_utils[pretrain]"')
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        count = options.molecules or max(recipe.molecules for recipe in wanted)
        pool = recipes.prepare(options.pool, count, any(recipe.describe for recipe in wanted))
    except (MoleculeError, DataError) as error:
        return _refuse(error)
    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    for recipe in wanted:
        card = transformer.train(recipe, pool, options.out, device, threads=os.cpu_count() or 1)
        print(f"{card['name']}: loss {card['loss_tokens']}, {card['seconds']} s", flush=True)
        if not options.train_only:
            transformer.export(options.out, recipe.name)
    return 0


def _refuse(error: object) -> int:
    print(f"error: {error}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
