"""Pretraining of the SMILES encoders; runs where PyTorch is installed."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace

import numpy as np
import pytest

from w2s_experiments.data import datasets
from w2s_experiments.encoders import smiles_encoders

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("onnx", reason="onnx is not installed")
from w2s_experiments.training import export, pretrain  # noqa: E402

pytestmark = pytest.mark.skipif(
    not all(map(datasets.available, pretrain.EVALUATION)), reason="the data are not here"
)
TINY = pretrain.Recipe("tiny", 8, 1, 1, 0, 200, 2, 32, 3e-3, True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A pool of alcohols, amines and ethers, with benzene, which is an evaluation molecule."""
    path = tmp_path_factory.mktemp("pool")
    made = [
        "C" * i + end + "C" * j
        for i in range(1, 25)
        for j in range(1, 9)
        for end in ("O", "N", "C(=O)", "c1ccccc1")
    ]
    text = "\n".join([*made, "c1ccccc1"])
    (path / "pool.smi.gz").write_bytes(gzip.compress(text.encode()))
    return path


@pytest.fixture
def pool(folder, monkeypatch):
    monkeypatch.setattr(pretrain, "VALIDATION", 50)
    return pretrain.prepare(folder, 200, describe=True)


def weights(folder):
    with np.load(folder / "tiny.npz") as arrays:
        return {name: arrays[name] for name in arrays.files}


def test_evaluation_molecules_are_taken_out(folder, monkeypatch):
    monkeypatch.setattr(pretrain, "VALIDATION", 0)
    found = pretrain.read_pool(folder, 10**6)
    assert "c1ccccc1" not in found
    assert len(found) == len(set(found)) > 200


def test_a_killed_run_goes_on_and_ends_where_a_whole_one_does(pool, tmp_path, monkeypatch):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    pretrain.train(TINY, pool, whole, "cpu")
    epoch = pretrain._epoch

    def killed(model, recipe, rows, data, number, *rest):
        if number == 1:
            raise KeyboardInterrupt
        return epoch(model, recipe, rows, data, number, *rest)

    monkeypatch.setattr(pretrain, "_epoch", killed)
    with pytest.raises(KeyboardInterrupt):
        pretrain.train(TINY, pool, parts, "cpu")
    assert not (parts / "tiny.npz").exists()
    monkeypatch.setattr(pretrain, "_epoch", epoch)
    pretrain.train(TINY, pool, parts, "cpu")
    first, second = weights(whole), weights(parts)
    for name, values in first.items():
        assert second[name] == pytest.approx(values, abs=2e-3)
    assert not list(parts.glob("*.state.pt"))


def test_training_lowers_the_losses(pool, tmp_path):
    untrained = pretrain.train(replace(TINY, name="none", epochs=0), pool, tmp_path, "cpu")
    trained = pretrain.train(replace(TINY, name="some", epochs=6), pool, tmp_path, "cpu")
    assert trained["loss_tokens"] < untrained["loss_tokens"]
    assert trained["loss_descriptors"] < untrained["loss_descriptors"]


@pytest.mark.filterwarnings("ignore")
def test_an_exported_encoder_is_the_trained_one(pool, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "cache_folder", lambda: tmp_path / "cache")
    pretrain.train(TINY, pool, tmp_path, "cpu")
    export.export(tmp_path, "tiny")
    card = json.loads((tmp_path / "tiny.json").read_text())
    encoder = pretrain.Encoder(8, 1, 1, len(card["vocabulary"]))
    values = {k: torch.from_numpy(v.astype(np.float32)) for k, v in weights(tmp_path).items()}
    encoder.load_state_dict({"rates": encoder.rates, **values})
    texts = ["CCO", "CCCN", "CCOC"]
    rows = pretrain.smiles.padded(pretrain.smiles.encode(texts, card["vocabulary"]))
    with torch.no_grad():
        expected = encoder(torch.from_numpy(rows)).numpy()
    found = smiles_encoders.embed(texts, "tiny", folder=tmp_path)
    assert found == pytest.approx(expected, abs=1e-4)
