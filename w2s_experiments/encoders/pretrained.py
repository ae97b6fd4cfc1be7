"""Encoders that other packages carry: checked by hash, read without unpickling, run by numpy.

Each has a card in ``pretrained.yml``. The packages are found, never imported, but for VADER, which
is a program; a chapter asks `missing` first and does without what is not there. Features are cached
a piece at a time, under the hash of the weights and of the texts or images.
"""

from __future__ import annotations

import functools
import hashlib
import io
import pickle
import re
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, ndtr
from tqdm import tqdm

from w2s_experiments.encoders import weights
from w2s_experiments.encoders.weights import WeightsError

FOLDER = Path(__file__).parent
CARDS: dict[str, dict[str, Any]] = yaml.safe_load((FOLDER / "pretrained.yml").read_text("utf-8"))
# Fixed before any of them was scored on the inputs that the chapters use.
DESIGN: dict[str, dict[str, Any]] = yaml.safe_load((FOLDER / "design.yml").read_text("utf-8"))
EXTRA = "pretrained"
PIECE = 500
Tensors = dict[str, NDArray[Any]]


def missing(*names: str) -> list[str]:
    """Commands that install those of some encoders that are not here, and what reads them.

    Parameters
    ----------
    *names : str
        Keys of ``CARDS``.
    """
    commands = [CARDS[name]["install"] for name in names if not find_spec(CARDS[name]["package"])]
    readers = {reader for name in names for reader in CARDS[name].get("readers", ())}
    return commands + (
        [f'pip install "w2s_utils[{EXTRA}]"'] if not all(map(find_spec, readers)) else []
    )


def content(name: str, file: str = "weights") -> bytes:
    """Content of a file of an encoder, with the hash of its card.

    Raises
    ------
    WeightsError
        If the package is not installed, the file is not in it, or its hash is another.
    """
    card = CARDS[name]
    spec = find_spec(card["package"])
    if spec is None or not spec.submodule_search_locations:
        raise WeightsError(f"{name}: {card['package']} is not installed: {card['install']}")
    about, folder = card["files"][file], Path(spec.submodule_search_locations[0])
    return weights.checked(folder / about["path"], about["sha256"], card["install"])


def tensors(name: str) -> Tensors:
    """Weights of an encoder by name.

    Raises
    ------
    WeightsError
        As `content`, or if the file does not hold tensors and nothing else.
    """
    stored = content(name)
    if not CARDS[name]["files"]["weights"]["path"].endswith(".safetensors"):
        return _torch_tensors(stored)
    loaded: Tensors = weights.require("safetensors.numpy", EXTRA).load(stored)
    return loaded


# PyTorch's files: five pickles and then raw numbers, or a zip of one pickle and raw numbers.


def _rebuild(storage: NDArray, offset: int, size: tuple, stride: tuple, *_: object) -> NDArray:
    """Tensor on a storage; refused where it would reach beyond it."""
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if min((offset, *size, *stride), default=0) < 0 or last >= len(storage):
        raise pickle.UnpicklingError("a tensor reaches beyond its numbers")
    steps = tuple(step * storage.itemsize for step in stride)
    return np.lib.stride_tricks.as_strided(storage[offset:], size, steps, writeable=False)


class _TensorsOnly(pickle.Unpickler):
    """Reads tensors and plain containers; calls nothing else that a file may name."""

    ADMITTED = {  # noqa: RUF012
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _rebuild,
        ("torch", "FloatStorage"): np.float32,
        ("torch", "LongStorage"): np.int64,
    }

    def __init__(self, stream: io.BytesIO, storages: Tensors, size: int) -> None:
        super().__init__(stream)
        self.storages, self.size = storages, size

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.ADMITTED:
            raise pickle.UnpicklingError(f"{module}.{name} is no tensor")
        return self.ADMITTED[module, name]

    def persistent_load(self, pid: Any) -> NDArray:
        _, dtype, key, _, count, *_ = pid
        if not 0 <= count * np.dtype(dtype).itemsize <= self.size:
            raise pickle.UnpicklingError("a storage is larger than the file")
        return self.storages.setdefault(key, np.empty(count, dtype))


def _torch_tensors(stored: bytes) -> Tensors:
    """Tensors of a file of PyTorch's; damage and any other object in it are refused.

    Those of a list of layers have the layer's number before their name.
    """
    try:
        found = (_zipped if stored[:2] == b"PK" else _one_file)(stored)
        if not all(isinstance(value, np.ndarray) for value in found.values()):
            raise pickle.UnpicklingError("it holds something that is no tensor")
    except Exception as error:
        raise WeightsError(f"the weights cannot be read as tensors ({error})") from None
    return found


def _one_file(stored: bytes) -> Tensors:
    stream, storages = io.BytesIO(stored), Tensors()
    *_, found, keys = (_TensorsOnly(stream, storages, len(stored)).load() for _ in range(5))
    if set(keys) != set(storages):
        raise pickle.UnpicklingError("it holds something that is no tensor")
    for key in keys:
        storage = storages[key]
        if int.from_bytes(stream.read(8), "little") != len(storage):
            raise pickle.UnpicklingError("a storage has another size than it says")
        storage[:] = np.frombuffer(stream.read(storage.nbytes), storage.dtype)
    return dict(found)


def _zipped(stored: bytes) -> Tensors:
    storages = Tensors()
    with zipfile.ZipFile(io.BytesIO(stored)) as archive:
        root = archive.namelist()[0].partition("/")[0]
        pickled = io.BytesIO(archive.read(f"{root}/data.pkl"))
        layers = _TensorsOnly(pickled, storages, len(stored)).load()
        for key, storage in storages.items():
            storage[:] = np.frombuffer(archive.read(f"{root}/data/{key}"), storage.dtype)
    states = (state for _, (state, *_) in layers)
    return {f"{i}.{key}": value for i, state in enumerate(states) for key, value in state.items()}


# Features, a piece at a time.


def _pieces(items: Any, keys: Sequence[str], name: str, run: Callable[[Any], NDArray]) -> NDArray:
    """Features of items, every piece from the cache or computed; a bar shows the pieces."""
    digest, found = CARDS[name]["files"]["weights"]["sha256"], []
    starts = range(0, len(items), PIECE)
    for i in tqdm(starts, name, leave=False, disable=None):
        compute = functools.partial(run, items[i : i + PIECE])
        found.append(weights.cached_features([digest, *keys[i : i + PIECE]], compute))
    return np.concatenate(found)


def _texts(texts: Sequence[str], name: str, run: Callable, **options: Any) -> NDArray:
    """Features of texts from the token numbers of each."""
    listed = [str(text) for text in texts]
    tokenizer = weights.require("tokenizers", EXTRA).Tokenizer.from_str(
        content(name, "tokenizer").decode()
    )
    tokenizer.no_padding()
    loaded = tensors(name)

    def encode(part: list[str]) -> NDArray:
        return run([one.ids for one in tokenizer.encode_batch(part, **options)], loaded)

    return _pieces(listed, listed, name, encode)


def static_words(texts: Sequence[str]) -> NDArray[np.float32]:
    """WordLlama's: the mean over the tokens of each text of one vector a token, shape (m, 256).

    Raises
    ------
    WeightsError
        If its package is not installed, or damaged.
    """

    def run(ids: list[list[int]], loaded: Tensors) -> NDArray:
        table = loaded["embedding.weight"].astype(np.float32)
        return np.array([table[one].mean(axis=0) for one in ids])

    return _texts(texts, "wordllama", run, add_special_tokens=False)


def minilm(texts: Sequence[str]) -> NDArray[np.float32]:
    """MiniLM's: mean over the tokens of the hidden states, shape (m, 7, 384).

    The first is of the embeddings, the last of the sixth layer.

    Raises
    ------
    WeightsError
        If its package is not installed, or damaged.
    """

    def run(ids: list[list[int]], loaded: Tensors) -> NDArray:
        lengths = np.array([len(one) for one in ids])
        features = np.empty((len(ids), 7, 384), np.float32)
        # Texts of one length at a time: nothing to pad, nothing to mask.
        for length in np.unique(lengths):
            rows = np.flatnonzero(lengths == length)
            features[rows] = _transformer(np.array([ids[row] for row in rows]), loaded)
        return features

    return _texts(texts, "minilm", run)


def _transformer(ids: NDArray, w: Tensors, heads: int = 12) -> NDArray:
    """BERT's forward pass: means over the positions after the embeddings and after each layer."""

    def normed(x: NDArray, name: str) -> NDArray:
        x = x - x.mean(axis=-1, keepdims=True)
        x /= np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + 1e-12)
        return x * w[f"{name}.LayerNorm.weight"] + w[f"{name}.LayerNorm.bias"]

    def linear(x: NDArray, name: str) -> NDArray:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    word, position = (w[f"embeddings.{kind}_embeddings.weight"] for kind in ("word", "position"))
    x = word[ids] + position[: ids.shape[1]] + w["embeddings.token_type_embeddings.weight"][0]
    x = normed(x, "embeddings")
    means = [x.mean(axis=1)]
    for layer in range(6):
        name = f"encoder.layer.{layer}"
        query, key, value = (
            linear(x, f"{name}.attention.self.{part}")
            .reshape(*ids.shape, heads, -1)
            .transpose(0, 2, 1, 3)
            for part in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 1, 3, 2) / np.float32(np.sqrt(query.shape[-1]))
        share = np.exp(scores - scores.max(axis=-1, keepdims=True))
        mixed = (share / share.sum(axis=-1, keepdims=True)) @ value
        mixed = mixed.transpose(0, 2, 1, 3).reshape(x.shape)
        x = normed(x + linear(mixed, f"{name}.attention.output.dense"), f"{name}.attention.output")
        inner = linear(x, f"{name}.intermediate.dense")
        inner *= ndtr(inner)
        x = normed(x + linear(inner, f"{name}.output.dense"), f"{name}.output")
        means.append(x.mean(axis=1))
    return np.stack(means, axis=1)


TOKENS = re.compile(r"\w+['’]?|[^\w\s]")


def french_words(texts: Sequence[str], lengths: Sequence[int | None]) -> NDArray[np.float32]:
    """Mean of spaCy's French word vectors over the first words of each text.

    Words are in small letters, with the apostrophe of an elision, or a sign each; a word without a
    vector is passed over, a text of such words is zero.

    Parameters
    ----------
    texts : sequence of str
    lengths : sequence of int or None
        How many words to read, once each; None is all.

    Returns
    -------
    ndarray, shape (m, lengths, 300)

    Raises
    ------
    WeightsError
        If its package is not installed, or damaged.
    """
    table = np.load(io.BytesIO(content("french")), allow_pickle=False)
    unpack = weights.require("msgpack", EXTRA).unpackb
    rows = unpack(content("french", "rows"), strict_map_key=False)
    row_of = functools.cache(lambda word: rows.get(_murmur(word.encode())))

    def run(part: list[str]) -> NDArray:
        found = np.zeros((len(part), len(lengths), table.shape[1]), np.float32)
        for i, text in enumerate(part):
            read = [row_of(word) for word in TOKENS.findall(text.lower())]
            for j, most in enumerate(lengths):
                known = [row for row in read[:most] if row is not None]
                found[i, j] = table[known].mean(axis=0) if known else 0
        return found

    listed = [str(text) for text in texts]
    return _pieces(listed, [f"{text}\n{lengths}" for text in listed], "french", run)


def _murmur(text: bytes) -> int:
    """MurmurHash64A with seed 1, by which spaCy names a string."""
    multiplier, mask = 0xC6A4A7935BD1E995, 2**64 - 1
    found = 1 ^ len(text) * multiplier & mask
    whole = len(text) // 8 * 8
    for i in range(0, whole, 8):
        k = int.from_bytes(text[i : i + 8], "little") * multiplier & mask
        found = (found ^ (k ^ k >> 47) * multiplier & mask) * multiplier & mask
    if text[whole:]:
        found = (found ^ int.from_bytes(text[whole:], "little")) * multiplier & mask
    found = (found ^ found >> 47) * multiplier & mask
    return found ^ found >> 47


SYMBOLS = [*"CNOHF", "Cl", *"PB", "Br", *"SI", "Si", *"#()+-12345678=[]@cnosX."]
SYMBOL = re.compile(r"Cl|Br|Si|.")
PLACES = 350  # of a padded molecule, as its makers pad


def chemnet(smiles: Sequence[str]) -> NDArray[np.float32]:
    """ChemNet's last layer: convolutions and two recurrent layers on a SMILES, shape (m, 512).

    Parameters
    ----------
    smiles : sequence of str
        RDKit's canonical form, as its makers use; at most 349 symbols.

    Raises
    ------
    ValueError
        If one is longer.
    WeightsError
        If its package is not installed, or damaged.
    """
    listed = [str(one) for one in smiles]
    longest = max(map(len, listed), default=0)
    if longest >= PLACES:
        raise ValueError(f"smiles: expected at most {PLACES - 1} characters, got {longest}")
    loaded = tensors("chemnet")

    def run(part: list[str]) -> NDArray:
        x = np.zeros((len(part), PLACES, len(SYMBOLS)), np.float32)
        number = {symbol: i for i, symbol in enumerate(SYMBOLS)}
        for row, one in zip(x, part, strict=True):
            for place, symbol in enumerate(SYMBOL.findall(f"{one}.")):
                row[place, number.get(symbol, number["X"])] = 1 / len(SYMBOLS)
        for i in range(2):
            x = _selu(_convolve(x[:, :, None], loaded[f"{i}.weight"][..., None], 2)[:, :, 0])
        for i in (2, 3):
            x = _lstm(x[:, ::-1], *(loaded[f"{i}.{kind}_l0"] for kind in LSTM))
        return x[:, -1].copy()  # a view would keep all places

    return _pieces(listed, listed, "chemnet", run)


LSTM = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def _selu(x: NDArray) -> NDArray:
    scale, alpha = np.float32(1.0507009873554805), np.float32(1.6732632423543772)
    return scale * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def _lstm(x: NDArray, w: NDArray, u: NDArray, *biases: NDArray) -> NDArray:
    """Outputs of a recurrent layer; gates in PyTorch's order: input, forget, cell, output."""
    bias, found = biases[0] + biases[1], np.empty((*x.shape[:2], u.shape[1]), np.float32)
    h = c = np.zeros_like(found[:, 0])
    for place in range(x.shape[1]):  # all places at once would take gigabytes
        i, f, g, o = np.split(x[:, place] @ w.T + bias + h @ u.T, 4, axis=1)
        c = expit(f) * c + expit(i) * np.tanh(g)
        h = found[:, place] = expit(o) * np.tanh(c)
    return found


STRIDES = (1, 2, 2, 2, 1, 2, 1)  # of the seven stages
FEW = 8  # images at a time: more leave the processor's cache


def efficientnet(images: ArrayLike, name: str, *, stages: bool = False) -> NDArray[np.float32]:
    """EfficientNet-Lite's: means over the image of the last layer, or what each stage ends with.

    Parameters
    ----------
    images : array_like of uint8, shape (m, h, w, 3)
        Sides multiples of 64.
    name : str
        ``"lite0"`` or ``"lite2"``.
    stages : bool
        Whether to give the ends of the seven stages, means over the four quarters of the image,
        one stage beside the other; the card has their channels.

    Returns
    -------
    ndarray, shape (m, channels)

    Raises
    ------
    ValueError
        If the images are of another type or size.
    WeightsError
        If its package is not installed, or damaged.
    """
    pixels = np.asarray(images)
    if (
        pixels.dtype != np.uint8
        or pixels.shape[3:] != (3,)
        or not pixels.size
        or any(side % 64 for side in pixels.shape[1:3])
    ):
        raise ValueError(
            "images: expected uint8 values of shape (m, h, w, 3), sides multiples of 64, got "
            f"{pixels.dtype} of shape {pixels.shape}"
        )
    loaded, card = tensors(name), CARDS[name]

    def run(part: NDArray) -> NDArray:
        starts = range(0, len(part), FEW)
        return np.concatenate(
            [_lite(part[i : i + FEW], loaded, card["blocks"])[not stages] for i in starts]
        )

    keys = [hashlib.sha256(image.tobytes()).hexdigest() + str(stages) for image in pixels]
    return _pieces(pixels, keys, name, run)


def _lite(images: NDArray, w: Tensors, blocks: Sequence[int]) -> tuple[NDArray, NDArray]:
    """Forward pass: ends of the stages by quarters, and means of the last layer."""

    def layer(x: NDArray, name: str, normed: str, stride: int = 1, cap: float = 6) -> NDArray:
        scale = w[f"{normed}.weight"] / np.sqrt(w[f"{normed}.running_var"] + np.float32(1e-3))
        x = _convolve(x, w[f"{name}.weight"] * scale[:, None, None, None], stride)
        x += w[f"{normed}.bias"] - w[f"{normed}.running_mean"] * scale
        return np.clip(x, 0, cap, out=x) if cap else x

    x = layer((images.astype(np.float32) - 127) / 128, "_conv_stem", "_bn0", 2)
    ends: list[NDArray] = []
    index = 0
    for count, stride in zip(blocks, STRIDES, strict=True):
        for first in [True] + [False] * (count - 1):
            name, kept = f"_blocks.{index}", x
            if index:
                x = layer(x, f"{name}._expand_conv", f"{name}._bn0")
            x = layer(x, f"{name}._depthwise_conv", f"{name}._bn1", stride if first else 1)
            x = layer(x, f"{name}._project_conv", f"{name}._bn2", cap=0)
            x = x if first else x + kept
            index += 1
        m, height, width, channels = x.shape
        quarters = x.reshape(m, 2, height // 2, 2, width // 2, channels).mean(axis=(2, 4))
        ends.append(quarters.reshape(m, -1))
    return np.hstack(ends), layer(x, "_conv_head", "_bn1").mean(axis=(1, 2))


def _convolve(x: NDArray, kernel: NDArray, stride: int) -> NDArray:
    """Convolve images, channels last, padded as TensorFlow's "SAME"; one map each if depthwise."""
    sizes = kernel.shape[2:]
    if sizes == (1, 1):
        return x @ kernel[:, :, 0, 0].T
    sides = x.shape[1:3]
    out = [-(-side // stride) for side in sides]
    beyond = ((n - 1) * stride + k - side for n, k, side in zip(out, sizes, sides, strict=True))
    pads = [(max(pad, 0) // 2, max(pad, 0) - max(pad, 0) // 2) for pad in beyond]
    x = np.pad(x, ((0, 0), *pads, (0, 0)))
    total = np.zeros((len(x), *out, len(kernel)), np.float32)
    for i, j in np.ndindex(*sizes):
        part = x[:, i : i + stride * out[0] : stride, j : j + stride * out[1] : stride]
        each = kernel.shape[1] == 1
        total += part * kernel[:, 0, i, j] if each else part @ kernel[:, :, i, j].T
    return total
