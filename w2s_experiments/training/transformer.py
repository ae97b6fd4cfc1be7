"""The SMILES encoders as PyTorch networks: their form, and their training. Needs PyTorch."""

from __future__ import annotations

import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm

from w2s_experiments.encoders import smiles, weights
from w2s_experiments.training import recipes
from w2s_experiments.training.export import write_card, write_onnx
from w2s_experiments.training.recipes import Pool, Recipe
from w2s_utils.files import replacing

MASKED = 0.15
DESCRIPTOR_WEIGHT = 2.0
COMPUTED = "rates"  # of the positions: no weights, and their angles need the precision


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

    def losses(
        self, tokens: torch.Tensor, wanted: torch.Tensor, masks: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
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


class Training:
    """One run: a network, its optimiser, and where it stands.

    Parameters
    ----------
    recipe : Recipe
    pool : Pool
    device : str
        ``"cpu"`` or ``"cuda"``.
    """

    def __init__(self, recipe: Recipe, pool: Pool, device: str):
        torch.manual_seed(recipe.seed)
        self.recipe, self.pool, self.device = recipe, pool, device
        self.rows = pool.rows[recipes.VALIDATION :][: recipe.molecules]
        described = pool.described.shape[1] if recipe.describe and pool.described is not None else 0
        self.encoder = Encoder(recipe.width, recipe.layers, recipe.heads, len(pool.vocabulary))
        self.model = Pretext(self.encoder, described).to(device)
        self.batches = math.ceil(len(self.rows) / recipe.batch)
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(), lr=recipe.rate, weight_decay=0.01
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, recipe.rate, total_steps=max(1, recipe.epochs * self.batches) + 1
        )

    def run(self, state: Path) -> float:
        """Train all epochs, or those that are left; return the seconds they took together.

        The state after each epoch is left in the file `state`, and read from there.
        """
        parts = {"model": self.model, "optimiser": self.optimiser, "schedule": self.schedule}
        first, seconds = 0, 0.0
        if state.exists():
            saved = torch.load(state, map_location=self.device, weights_only=True)
            for name, part in parts.items():
                part.load_state_dict(saved[name])
            first, seconds = saved["epoch"], saved["seconds"]
        started = time.monotonic() - seconds
        for epoch in range(first, self.recipe.epochs):
            self.epoch(epoch)
            saved = {name: part.state_dict() for name, part in parts.items()}
            saved |= {"epoch": epoch + 1, "seconds": time.monotonic() - started}
            with replacing(state) as temporary:
                torch.save(saved, temporary)
        return time.monotonic() - started

    def epoch(self, number: int) -> None:
        """Train on every molecule once."""
        recipe = self.recipe
        self.model.train()
        rng = np.random.default_rng([recipe.seed, number])
        masks = torch.Generator(self.device).manual_seed(1000 * recipe.seed + number)
        label = f"{recipe.name} {number + 1}/{recipe.epochs}"
        order = recipes.batches(self.rows, recipe.batch, rng)
        for batch in tqdm(order, label, self.batches, mininterval=5, leave=False):
            fill, described = self._losses(batch + recipes.VALIDATION, masks)
            self.optimiser.zero_grad(set_to_none=True)
            (fill + DESCRIPTOR_WEIGHT * described).backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimiser.step()
            self.schedule.step()

    def validate(self) -> tuple[float, float]:
        """Losses on molecules of the pool that were not trained on."""
        self.model.eval()
        masks = torch.Generator(self.device).manual_seed(123)
        rows = np.arange(min(recipes.VALIDATION, len(self.pool.rows)))
        with torch.no_grad():
            fill, described = self._losses(rows, masks)
        return round(float(fill), 4), round(float(described), 4)

    def _losses(
        self, rows: NDArray[np.int_], masks: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        tokens = torch.from_numpy(smiles.padded([self.pool.rows[i] for i in rows]))
        wanted = torch.zeros(0)
        if self.recipe.describe and self.pool.described is not None:
            wanted = torch.from_numpy(self.pool.described[rows])
        return self.model.losses(tokens.to(self.device), wanted.to(self.device), masks)


def train(recipe: Recipe, pool: Pool, out: Path, device: str, threads: int = 1) -> dict[str, Any]:
    """Train one encoder, or go on with it; return what its card says.

    The weights are left in ``out/NAME.npz``, the last state of an unfinished run beside it.
    """
    target, card = out / f"{recipe.name}.npz", out / f"{recipe.name}.json"
    if target.exists() and card.exists():
        return weights.read_card(card)
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("high")
    training, state = Training(recipe, pool, device), out / f"{recipe.name}.state.pt"
    seconds = training.run(state)
    losses = training.validate()
    values = {
        name: tensor.detach().cpu().numpy().astype(np.float16)
        for name, tensor in training.encoder.state_dict().items()
        if name != COMPUTED
    }
    with replacing(target) as temporary, temporary.open("wb") as file:
        np.savez(file, **values)
    about = {
        **asdict(recipe),
        "molecules": len(training.rows) if recipe.epochs else 0,
        "parameters": sum(p.numel() for p in training.encoder.parameters()),
        "loss_tokens": losses[0],
        "loss_descriptors": losses[1] if recipe.describe else None,
        "seconds": round(seconds, 1),
        "device": torch.cuda.get_device_name() if device == "cuda" else "processor",
        "torch": torch.__version__.split("+")[0],
        "vocabulary": pool.vocabulary,
    }
    write_card(card, about)
    state.unlink(missing_ok=True)
    return about


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
    card = weights.read_card(folder / f"{name}.json")
    encoder = Encoder(card["width"], card["layers"], card["heads"], len(card["vocabulary"]))
    with np.load(folder / f"{name}.npz", allow_pickle=False) as arrays:
        values = {key: torch.from_numpy(arrays[key].astype(np.float32)) for key in arrays.files}
    encoder.load_state_dict({COMPUTED: encoder.rates, **values})
    target = folder / f"{name}.onnx"
    card["sha256"] = write_onnx(
        encoder,
        torch.ones((2, 5), dtype=torch.int64),
        target,
        names=("tokens", "features"),
        axes={"tokens": {0: "molecules", 1: "length"}, "features": {0: "molecules"}},
        computed=COMPUTED,
    )
    write_card(folder / f"{name}.json", card)
    return target
