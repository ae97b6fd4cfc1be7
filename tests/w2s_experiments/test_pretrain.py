"""Pretraining of the SMILES encoders: the pool always, the training where PyTorch is installed."""

from __future__ import annotations

import gzip
import json
import sys
from dataclasses import replace

import numpy as np
import pytest

from w2s_experiments.data import datasets
from w2s_experiments.encoders import smiles, smiles_encoders
from w2s_experiments.training import pretrain, recipes

pytestmark = pytest.mark.skipif(
    not all(map(datasets.available, recipes.EVALUATION)), reason="the data are not here"
)
TINY = recipes.Recipe("tiny", 8, 1, 1, 0, 200, 2, 32, 3e-3, True)


@pytest.fixture
def transformer():
    """Return the module that needs PyTorch."""
    pytest.importorskip("torch", reason="PyTorch is not installed")
    pytest.importorskip("onnx", reason="onnx is not installed")
    from w2s_experiments.training import transformer

    return transformer


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
    monkeypatch.setattr(recipes, "VALIDATION", 50)
    return recipes.prepare(folder, 200, describe=True)


def weights(folder):
    with np.load(folder / "tiny.npz") as arrays:
        return {name: arrays[name] for name in arrays.files}


def test_evaluation_molecules_are_taken_out(folder, monkeypatch):
    monkeypatch.setattr(recipes, "VALIDATION", 0)
    drawn = recipes.read_pool(folder, 10**6)
    assert "c1ccccc1" not in drawn
    assert len(drawn) == len(set(drawn)) > 200


def test_the_pool_is_tokens_and_normal_scores(pool):
    assert len(pool.rows) == len(pool.described) == 250
    assert pool.vocabulary[:3] == [smiles.PAD, smiles.MASK, smiles.UNKNOWN]
    assert {"C", "N", "O"} < set(pool.vocabulary)
    assert max(map(max, pool.rows)) < len(pool.vocabulary)
    spread = pool.described.std(axis=0)
    assert pool.described.mean(axis=0) == pytest.approx(0, abs=1e-5)
    assert spread[spread > 0] == pytest.approx(1, abs=1e-4)


def test_batches_hold_every_molecule_once_and_similar_lengths_together(pool):
    rng = np.random.default_rng(0)
    batches = list(recipes.batches(pool.rows, 32, rng))
    assert sorted(np.concatenate(batches)) == list(range(250))
    lengths = [[len(pool.rows[i]) for i in batch] for batch in batches]
    within = np.mean([np.std(each) for each in lengths])
    assert within < 0.5 * np.std([len(row) for row in pool.rows])


def test_the_recipes_are_those_of_the_shipped_encoders():
    names = [recipe.name for recipe in recipes.encoder_recipes("large")]
    assert sorted(names) == smiles_encoders.names()
    for recipe in recipes.encoder_recipes("large"):
        card = smiles_encoders.card(recipe.name)
        assert (card["width"], card["layers"], card["heads"]) == (
            recipe.width,
            recipe.layers,
            recipe.heads,
        )


def test_without_pytorch_the_command_says_how_to_get_it(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    out = tmp_path / "out"
    assert pretrain.main(["--pool", str(folder), "--out", str(out)]) == 2
    assert capsys.readouterr().err == (
        'error: torch is not installed: pip install "w2s_utils[pretrain]"\n'
    )
    assert not out.exists()


def test_a_killed_run_goes_on_and_ends_where_a_whole_one_does(
    transformer, pool, tmp_path, monkeypatch
):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    transformer.train(TINY, pool, whole, "cpu")
    epoch = transformer.Training.epoch

    def killed(training, number):
        if number == 1:
            raise KeyboardInterrupt
        epoch(training, number)

    monkeypatch.setattr(transformer.Training, "epoch", killed)
    with pytest.raises(KeyboardInterrupt):
        transformer.train(TINY, pool, parts, "cpu")
    assert not (parts / "tiny.npz").exists()
    monkeypatch.setattr(transformer.Training, "epoch", epoch)
    transformer.train(TINY, pool, parts, "cpu")
    first, second = weights(whole), weights(parts)
    for name, values in first.items():
        assert second[name] == pytest.approx(values, abs=2e-3)
    assert not list(parts.glob("*.state.pt"))


def test_training_lowers_the_losses(transformer, pool, tmp_path):
    untrained = transformer.train(replace(TINY, name="none", epochs=0), pool, tmp_path, "cpu")
    trained = transformer.train(replace(TINY, name="some", epochs=6), pool, tmp_path, "cpu")
    assert trained["loss_tokens"] < untrained["loss_tokens"]
    assert trained["loss_descriptors"] < untrained["loss_descriptors"]


@pytest.mark.filterwarnings("ignore")
def test_an_exported_encoder_is_the_trained_one(transformer, pool, tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr(datasets, "cache_folder", lambda: tmp_path / "cache")
    transformer.train(TINY, pool, tmp_path, "cpu")
    transformer.export(tmp_path, "tiny")
    card = json.loads((tmp_path / "tiny.json").read_text())
    encoder = transformer.Encoder(8, 1, 1, len(card["vocabulary"]))
    values = {k: torch.from_numpy(v.astype(np.float32)) for k, v in weights(tmp_path).items()}
    encoder.load_state_dict({"rates": encoder.rates, **values})
    texts = ["CCO", "CCCN", "CCOC"]
    rows = smiles.padded(smiles.encode(texts, card["vocabulary"]))
    with torch.no_grad():
        expected = encoder(torch.from_numpy(rows)).numpy()
    found = smiles_encoders.embed(texts, "tiny", folder=tmp_path)
    assert found == pytest.approx(expected, abs=1e-4)
