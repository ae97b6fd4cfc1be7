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
import gzip
import json
import math
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm

from w2s_experiments.data import datasets
from w2s_experiments.encoders import smiles
from w2s_experiments.encoders.descriptors import descriptors
from w2s_experiments.molecules import design
from w2s_utils import files

EVALUATION = ("esol", "freesolv", "lipophilicity")
MASKED = 0.15
DESCRIPTOR_WEIGHT = 2.0
LONGEST = 100  # tokens; longer molecules of the pool are left out
RAREST = 10  # a token seen less often is unknown
SMALL = 36000  # molecules that the weak encoders see
VALIDATION = 1000  # molecules of the pool that are only measured on


@dataclass(frozen=True)
class Recipe:
    """How one encoder is made.

    Attributes
    ----------
    name : str
    width, layers, heads : int
        Of the transformer.
    seed : int
        Of weights, order and masks.
    molecules : int
        Of the pool.
    epochs, batch : int
    rate : float
        Largest learning rate of the one-cycle schedule.
    describe : bool
        Whether descriptors are predicted beside the masked tokens.
    """

    name: str
    width: int
    layers: int
    heads: int
    seed: int
    molecules: int
    epochs: int
    batch: int
    rate: float
    describe: bool


def recipes(size: str) -> list[Recipe]:
    """All encoders of a size, ``"default"`` or ``"large"``: untrained, weak, strong."""
    weak = [
        Recipe(f"masked-{width}-{seed}", width, 2, _heads(width), seed, SMALL, 1, 64, 3e-3, False)
        for seed in range(design.SEEDS)
        for width in design.WIDTHS
    ]
    untrained = [
        Recipe(f"untrained-{width}", width, 2, _heads(width), 0, SMALL, 0, 64, 3e-3, False)
        for width in design.WIDTHS
    ]
    if size == "large":
        strong = [
            Recipe(f"strong-{s}", 192, 3, 6, s, 250000, 20, 256, 1e-3, True) for s in range(2)
        ]
    else:
        strong = [Recipe("strong-0", 192, 2, 6, 0, SMALL, 3, 64, 1e-3, True)]
    return [*untrained, *weak, *strong]


def _heads(width: int) -> int:
    return max(1, width // 16)


class Block(nn.Module):
    """Transformer layer, normalised before attention and before the two dense layers."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_dense = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.dense = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: torch.Tensor, blocked: torch.Tensor) -> torch.Tensor:
        """Transform tokens, shape (m, length, width); `blocked` is added to the attention."""
        m, length, width = x.shape
        split = self.query_key_value(self.before_attention(x))
        split = split.reshape(m, length, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        scores = query @ key.transpose(-1, -2) / math.sqrt(width // self.heads) + blocked
        seen = (torch.softmax(scores, -1) @ value).transpose(1, 2).reshape(m, length, width)
        x = x + self.out(seen)
        return x + self.dense(self.before_dense(x))


class Encoder(nn.Module):
    """Token numbers to the mean of the last hidden states; zero is padding."""

    def __init__(self, width: int, layers: int, heads: int, vocabulary: int):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.last = nn.LayerNorm(width)
        rates = torch.exp(-math.log(1000.0) * torch.arange(0, width, 2) / width)
        self.register_buffer("rates", rates)

    def hidden(self, tokens: torch.Tensor) -> torch.Tensor:
        """Hidden states of all tokens, shape (m, length, width)."""
        place = torch.cumsum(torch.ones_like(tokens[:1]), 1).unsqueeze(-1).to(self.rates.dtype)
        angle = place * self.rates
        position = torch.cat([torch.sin(angle), torch.cos(angle)], -1)
        x = self.embedding(tokens) + position
        blocked = (tokens == 0).to(x.dtype)[:, None, None, :] * -1e4
        for block in self.blocks:
            x = block(x, blocked)
        return self.last(x)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Mean over the tokens that are no padding, shape (m, width)."""
        kept = (tokens != 0).to(self.rates.dtype).unsqueeze(-1)
        return (self.hidden(tokens) * kept).sum(1) / kept.sum(1)


class Pretext(nn.Module):
    """An encoder with the heads of its pretext tasks, which are thrown away afterwards."""

    def __init__(self, encoder: Encoder, outputs: int):
        super().__init__()
        width, vocabulary = encoder.embedding.embedding_dim, encoder.embedding.num_embeddings
        self.encoder, self.fill = encoder, nn.Linear(width, vocabulary)
        self.describe = (
            nn.Sequential(nn.Linear(width, 256), nn.GELU(), nn.Linear(256, outputs))
            if outputs
            else None
        )

    def losses(self, tokens: torch.Tensor, wanted: torch.Tensor, masks: torch.Generator):
        """Cross-entropy of the masked tokens, mean squared error of the descriptors."""
        chance = torch.rand(tokens.shape, generator=masks, device=tokens.device)
        chosen = (chance < MASKED) & (tokens != 0)
        # Of the chosen, four in five become a mask, one in ten another token, one in ten stays.
        other = torch.randint(
            3, self.fill.out_features, tokens.shape, generator=masks, device=tokens.device
        )
        shown = torch.where(chosen & (chance < 0.8 * MASKED), torch.ones_like(tokens), tokens)
        shown = torch.where(chosen & (chance >= 0.9 * MASKED), other, shown)
        hidden = self.encoder.hidden(shown)
        fill = nn.functional.cross_entropy(self.fill(hidden[chosen]), tokens[chosen])
        if self.describe is None:
            return fill, torch.zeros((), device=tokens.device)
        kept = (tokens != 0).to(hidden.dtype).unsqueeze(-1)
        pooled = (hidden * kept).sum(1) / kept.sum(1)
        return fill, nn.functional.mse_loss(self.describe(pooled), wanted)


@dataclass(frozen=True, eq=False)
class Pool:
    """Molecules to pretrain on: token numbers, lengths, and descriptors as normal scores."""

    vocabulary: list[str]
    rows: list[NDArray[np.int64]]
    described: NDArray[np.float32] | None


def read_pool(folder: Path, count: int) -> list[str]:
    """Draw molecules from the SMILES files of a folder, without those of the evaluation sets.

    Parameters
    ----------
    folder : Path
        Has files ``*.smi.gz``, one SMILES a line.
    count : int
        Molecules wanted; fewer if there are no more.

    Returns
    -------
    list of str
        Canonical, distinct, in an order that depends on nothing but the files.
    """
    files = sorted(folder.glob("*.smi.gz"))
    if not files:
        raise smiles.MoleculeError(f"{folder}: expected files *.smi.gz with one SMILES a line")
    lines = sorted({line for file in files for line in gzip.decompress(file.read_bytes()).split()})
    lines = [line.decode("ascii") for line in lines]
    order = np.random.default_rng(0).permutation(len(lines))
    held_out = {text for name in EVALUATION for text in _in_parallel(
        smiles.canonical, list(datasets.load(name).inputs)
    )}  # fmt: skip
    found: dict[str, None] = {}
    for start in range(0, len(lines), 20000):
        chunk = [lines[i] for i in order[start : start + 20000]]
        found |= dict.fromkeys(
            text
            for text in _in_parallel(smiles.canonical, chunk)
            if text not in held_out and len(smiles.tokens(text)) <= LONGEST
        )
        if len(found) >= count + VALIDATION:
            break
    return list(found)[: count + VALIDATION]


def prepare(folder: Path, count: int, describe: bool) -> Pool:
    """Read the pool, cut it into tokens, compute descriptors where they are wanted."""
    texts = read_pool(folder, count)
    # Encoders of all sizes share one vocabulary: that of the molecules all of them see.
    seen = texts[: VALIDATION + min(count, SMALL)]
    counts = Counter(token for text in seen for token in smiles.tokens(text))
    words = sorted(token for token, times in counts.items() if times >= RAREST)
    words = [smiles.PAD, smiles.MASK, smiles.UNKNOWN, *words]
    described = None
    if describe:
        table = np.vstack(_in_parallel(_described, texts, wrap=True))
        described = _normal_scores(table).astype(np.float32)
    return Pool(words, smiles.encode(texts, words), described)


def _described(texts: list[str]) -> NDArray[np.float64]:
    return descriptors(texts)


def _in_parallel(function, texts: list[str], wrap: bool = False) -> list:
    """Apply a function of a list in pieces, one process a core."""
    workers = os.cpu_count() or 1
    pieces = [texts[i : i + 1000] for i in range(0, len(texts), 1000)]
    with ProcessPoolExecutor(workers) as executor:
        results = list(executor.map(function, pieces))
    return results if wrap else [value for result in results for value in result]


def _normal_scores(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks of every column on the normal scale, ties averaged; constant columns are zero."""
    from scipy import special, stats

    ranks = stats.rankdata(table, axis=0) / (len(table) + 1)
    scores = special.ndtri(ranks)
    spread = scores.std(axis=0)
    return (scores - scores.mean(axis=0)) / np.where(spread > 0, spread, 1.0)


def batches(rows: Sequence, size: int, rng: np.random.Generator) -> Iterator[NDArray[np.int_]]:
    """Batches of molecules of similar length, in random order."""
    order = rng.permutation(len(rows))
    lengths = np.array([len(row) for row in rows])
    grouped = []
    for start in range(0, len(order), 100 * size):
        chunk = order[start : start + 100 * size]
        chunk = chunk[np.argsort(lengths[chunk], kind="stable")]
        grouped += [chunk[i : i + size] for i in range(0, len(chunk), size)]
    for index in rng.permutation(len(grouped)):
        yield grouped[index]


def train(recipe: Recipe, pool: Pool, out: Path, device: str, threads: int = 1) -> dict:
    """Train one encoder, or go on with it; return what its card says.

    The weights are left in ``out/NAME.npz``, the last state of an unfinished run beside it.
    """
    target = out / f"{recipe.name}.npz"
    card = out / f"{recipe.name}.json"
    if target.exists() and card.exists():
        return json.loads(card.read_text())
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("high")
    torch.manual_seed(recipe.seed)
    rows = pool.rows[VALIDATION : VALIDATION + recipe.molecules]
    outputs = pool.described.shape[1] if recipe.describe else 0
    encoder = Encoder(recipe.width, recipe.layers, recipe.heads, len(pool.vocabulary))
    model = Pretext(encoder, outputs).to(device)
    steps = max(1, recipe.epochs * math.ceil(len(rows) / recipe.batch))
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.rate, total_steps=steps + 1)
    state, first, seconds = out / f"{recipe.name}.state.pt", 0, 0.0
    if state.exists():
        kept = torch.load(state, map_location=device, weights_only=True)
        model.load_state_dict(kept["model"])
        optimiser.load_state_dict(kept["optimiser"])
        schedule.load_state_dict(kept["schedule"])
        first, seconds = kept["epoch"], kept["seconds"]
    started = time.monotonic() - seconds
    for epoch in range(first, recipe.epochs):
        _epoch(model, recipe, rows, pool, epoch, optimiser, schedule, device)
        kept = {
            "model": model.state_dict(),
            "optimiser": optimiser.state_dict(),
            "schedule": schedule.state_dict(),
            "epoch": epoch + 1,
            "seconds": time.monotonic() - started,
        }
        with files.replacing(state) as temporary:
            torch.save(kept, temporary)
    losses = _validate(model, recipe, pool, device)
    weights = {
        name: values.detach().cpu().numpy().astype(np.float16)
        for name, values in encoder.state_dict().items()
        if name != "rates"
    }
    with files.replacing(target) as temporary, temporary.open("wb") as file:
        np.savez(file, **weights)
    about = {
        **asdict(recipe),
        "molecules": len(rows) if recipe.epochs else 0,
        "parameters": sum(p.numel() for p in encoder.parameters()),
        "loss_tokens": losses[0],
        "loss_descriptors": losses[1] if recipe.describe else None,
        "seconds": round(time.monotonic() - started, 1),
        "device": torch.cuda.get_device_name() if device == "cuda" else "processor",
        "torch": torch.__version__.split("+")[0],
        "vocabulary": pool.vocabulary,
    }
    card.write_text(json.dumps(about, indent=1) + "\n")
    state.unlink(missing_ok=True)
    return about


def _epoch(model, recipe, rows, pool, epoch, optimiser, schedule, device) -> None:
    model.train()
    rng = np.random.default_rng([recipe.seed, epoch])
    masks = torch.Generator(device).manual_seed(1000 * recipe.seed + epoch)
    total = math.ceil(len(rows) / recipe.batch)
    label = f"{recipe.name} {epoch + 1}/{recipe.epochs}"
    for batch in tqdm(batches(rows, recipe.batch, rng), label, total, mininterval=5, leave=False):
        tokens = torch.from_numpy(smiles.padded([rows[i] for i in batch])).to(device)
        wanted = _wanted(recipe, pool, batch + VALIDATION, device)
        fill, described = model.losses(tokens, wanted, masks)
        optimiser.zero_grad(set_to_none=True)
        (fill + DESCRIPTOR_WEIGHT * described).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()


@torch.no_grad()
def _validate(model, recipe, pool, device) -> tuple[float, float]:
    """Losses on molecules of the pool that were not trained on."""
    model.eval()
    masks = torch.Generator(device).manual_seed(123)
    tokens = torch.from_numpy(smiles.padded(pool.rows[:VALIDATION])).to(device)
    wanted = _wanted(recipe, pool, np.arange(len(tokens)), device)
    return tuple(round(float(loss), 4) for loss in model.losses(tokens, wanted, masks))


def _wanted(recipe, pool, rows, device) -> torch.Tensor:
    if not recipe.describe:
        return torch.zeros(0, device=device)
    return torch.from_numpy(pool.described[rows]).to(device)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the encoders that are not there yet; export them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pool", type=Path, required=True, help="folder with *.smi.gz")
    parser.add_argument("--out", type=Path, required=True, help="folder for weights and cards")
    parser.add_argument("--size", choices=["default", "large"], default="default")
    parser.add_argument("--device", choices=["cpu", "cuda"], default=None)
    parser.add_argument("--only", nargs="*", default=[""], help="names, or how names begin")
    parser.add_argument("--molecules", type=int, help="fewer molecules than the recipe's, to try")
    parser.add_argument("--train-only", action="store_true", help="no ONNX files")
    options = parser.parse_args(arguments)
    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    options.out.mkdir(parents=True, exist_ok=True)
    wanted = [r for r in recipes(options.size) if r.name.startswith(tuple(options.only))]
    if not wanted:
        parser.error(f"--only: no encoder of this size begins with {' or '.join(options.only)}")
    try:
        count = options.molecules or max(recipe.molecules for recipe in wanted)
        pool = prepare(options.pool, count, any(recipe.describe for recipe in wanted))
    except (smiles.MoleculeError, datasets.DataError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for recipe in wanted:
        card = train(recipe, pool, options.out, device, threads=os.cpu_count() or 1)
        print(f"{card['name']}: loss {card['loss_tokens']}, {card['seconds']} s", flush=True)
        if not options.train_only:
            from w2s_experiments.training.export import export

            export(options.out, recipe.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
