"""Molecules: SMILES, shipped encoders, protocols, tables, and the command ``w2s embed``."""

from __future__ import annotations

import hashlib
import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from w2s_book.cli import main
from w2s_experiments.data import datasets
from w2s_experiments.encoders import descriptors, smiles, smiles_encoders
from w2s_experiments.encoders.smiles import MoleculeError
from w2s_experiments.encoders.weights import WeightsError
from w2s_experiments.molecules import design, runs, study, tables
from w2s_utils import ladder, resampling

MOLECULES = ["CCO", "c1ccccc1", "CC(=O)Oc1ccccc1C(=O)O", "C[C@@H](N)C(=O)O", "[Na+].[Cl-]"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Keep the user's cache out of the tests."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(datasets, "cache_folder", lambda: folder)
    return folder


# SMILES


def test_canonical_form_does_not_depend_on_the_spelling():
    assert smiles.canonical(["OCC", " C(C)O "]) == ["CCO", "CCO"]


@pytest.mark.parametrize(
    ("given_smiles", "message"),
    [
        (["CCO", "C1CC"], r"row 1 .*'C1CC' is no molecule"),
        (["CCO", ""], r"row 1 .*got ''"),
        ([None], r"row 0 .*got None"),
        ([], "at least one"),
    ],
)
@pytest.mark.parametrize(
    "function", [smiles.canonical, descriptors.descriptors, smiles_encoders.embed]
)
def test_what_is_no_molecule_is_refused_with_its_row(function, given_smiles, message):
    with pytest.raises(MoleculeError, match=message):
        function(given_smiles)


def test_tokens_are_atoms_bonds_and_ring_closures():
    assert smiles.tokens("C[C@@H](Cl)%12Br") == ["C", "[C@@H]", "(", "Cl", ")", "%12", "Br"]


@given(st.lists(st.sampled_from(MOLECULES), min_size=1, max_size=6))
def test_tokens_lose_nothing(texts):
    assert ["".join(smiles.tokens(text)) for text in texts] == texts


def test_a_missing_extra_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(WeightsError, match=r'pip install "w2s_utils\[encoders\]"'):
        smiles_encoders.embed(["CCO"], "masked-8-0")


# Encoders


@pytest.mark.parametrize("name", smiles_encoders.names())
def test_every_encoder_has_the_hash_and_the_width_of_its_card(name):
    card = smiles_encoders.card(name)
    weights = (smiles_encoders.WEIGHTS / f"{name}.onnx").read_bytes()
    assert hashlib.sha256(weights).hexdigest() == card["sha256"]
    assert len(weights) < 3e6
    assert {"molecules", "seed", "loss_tokens", "seconds", "device"} <= set(card)
    assert smiles_encoders.embed(["CCO"], name).shape == (1, card["width"])


def test_the_whole_design_is_shipped():
    wanted = {f"masked-{w}-{s}" for w in design.WIDTHS for s in range(design.SEEDS)}
    wanted |= {f"untrained-{w}" for w in design.WIDTHS} | {"strong-0", "strong-1"}
    assert set(smiles_encoders.names()) == wanted
    assert sum(file.stat().st_size for file in smiles_encoders.WEIGHTS.iterdir()) < 12e6


@given(st.permutations(MOLECULES), st.integers(1, len(MOLECULES)))
def test_features_of_a_molecule_do_not_depend_on_its_company(order, count):
    together = smiles_encoders._run(
        "masked-16-1", smiles_encoders.card("masked-16-1"), smiles.canonical(order), None, False, 1
    )
    alone = smiles_encoders._run(
        "masked-16-1",
        smiles_encoders.card("masked-16-1"),
        smiles.canonical(order[:count]),
        None,
        False,
        1,
    )
    assert together[:count] == pytest.approx(alone, abs=1e-5)


def test_equal_molecules_have_equal_rows_and_the_order_is_kept():
    features = smiles_encoders.embed(["OCC", "c1ccccc1", "CCO"], "masked-32-0")
    assert np.array_equal(features[0], features[2])
    alone = smiles_encoders.embed(["C1=CC=CC=C1"], "masked-32-0")[0]
    assert features[1] == pytest.approx(alone, abs=1e-5)


def test_features_are_computed_once(cache, monkeypatch):
    first = smiles_encoders.embed(MOLECULES, "masked-8-0")
    monkeypatch.setattr(smiles_encoders, "_run", None)
    assert np.array_equal(smiles_encoders.embed(MOLECULES[::-1], "masked-8-0"), first[::-1])
    assert len(list(cache.rglob("*.npy"))) == 1


def test_a_damaged_cache_is_replaced_and_an_unwritable_one_costs_only_time(cache):
    first = smiles_encoders.embed(MOLECULES, "masked-8-0")
    (file,) = cache.rglob("*.npy")
    file.write_bytes(file.read_bytes()[:20])
    assert np.array_equal(smiles_encoders.embed(MOLECULES, "masked-8-0"), first)
    shutil.rmtree(cache)
    cache.write_text("a file where the folder should be")
    assert np.array_equal(smiles_encoders.embed(MOLECULES, "masked-8-0"), first)


def test_wrong_weights_and_unknown_encoders_are_refused(tmp_path):
    for suffix in ("onnx", "json"):
        shutil.copy(smiles_encoders.WEIGHTS / f"masked-8-0.{suffix}", tmp_path)
    weights = tmp_path / "masked-8-0.onnx"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(WeightsError, match=r"hash .* is not the .* of its card"):
        smiles_encoders.embed(["CCO"], "masked-8-0", folder=tmp_path)
    (tmp_path / "masked-8-0.json").write_text("{")
    with pytest.raises(WeightsError, match="card cannot be read"):
        smiles_encoders.embed(["CCO"], "masked-8-0", folder=tmp_path)
    with pytest.raises(MoleculeError, match="got 'bert'"):
        smiles_encoders.embed(["CCO"], "bert")


def test_all_encoders_at_once_give_what_each_gives():
    chosen = ["masked-8-0", "untrained-12", "strong-1"]
    together = smiles_encoders.embed_all(MOLECULES, chosen)
    for name in chosen:
        assert together[name] == pytest.approx(smiles_encoders.embed(MOLECULES, name), abs=1e-5)


def test_descriptors_are_those_of_rdkit():
    table = descriptors.descriptors(["CCO", "c1ccccc1"])
    assert table.shape == (2, len(descriptors.names()))
    weight = table[:, descriptors.names().index("MolWt")]
    assert weight == pytest.approx([46.069, 78.114], abs=1e-3)
    assert np.all(np.isfinite(descriptors.descriptors(MOLECULES)))


def test_folding_keeps_the_number_of_fragments():
    wide, narrow = map(np.expm1, descriptors.morgan_counts(MOLECULES, (2048, 4)))
    assert narrow.sum(axis=1) == pytest.approx(wide.sum(axis=1))


# Protocols


def toy(rng, m=300):
    """Targets within reach of the strong features; weak ones are some of their columns."""
    strong = rng.standard_normal((m, 6))
    targets = strong @ rng.standard_normal(6)
    weak = [strong[:, :width] + 0.5 * rng.standard_normal((m, width)) for width in (2, 4)]
    (rows,) = runs.new_splits([str(i) for i in range(m)], 1, rng)
    return runs.standardise(weak, strong, rows), targets, rows


@pytest.mark.parametrize("protocol", runs.PROTOCOLS)
def test_gain_is_misfit_plus_cross(protocol):
    rng = np.random.default_rng(1)
    seen, targets, rows = toy(rng)
    found = runs.teach_molecules(seen, targets, rows, protocol=protocol, labels=60, rng=rng)
    for scores in found.scores.values():
        assert scores.teacher - scores.student == pytest.approx(scores.misfit + scores.cross)


def test_projection_of_a_truth_within_reach_gains_its_misfit():
    rng = np.random.default_rng(2)
    seen, targets, rows = toy(rng)
    found = runs.teach_molecules(seen, targets, rows, protocol="projection", labels=60, rng=rng)
    table = tables.means([found])
    assert found.unreachable == pytest.approx(0, abs=1e-12)
    assert table.gain == pytest.approx(table.misfit)
    assert found.inputs == len(targets) - 60
    assert found.degrees == 7


def test_fresh_students_do_not_see_the_labelled_molecules():
    rng = np.random.default_rng(3)
    seen, targets, rows = toy(rng)
    found = runs.teach_molecules(seen, targets, rows, protocol="fresh", labels=60, rng=rng)
    assert found.inputs == len(rows["train"]) - 60
    assert np.array_equal(np.sort(found.rows["test"]), rows["test"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocol": "other"}, "expected one of paper"),
        ({"protocol": "fresh", "labels": 60}, "rng: needed"),
        ({"protocol": "fresh", "labels": 10**6, "rng": np.random.default_rng(0)}, "got 1000000"),
        ({"protocol": "fresh"}, "none is left"),
    ],
)
def test_runs_refuse_what_cannot_be_run(options, message):
    seen, targets, rows = toy(np.random.default_rng(4))
    with pytest.raises(ValueError, match=message):
        runs.teach_molecules(seen, targets, rows, **options)


@given(st.lists(st.integers(0, 30), min_size=20, max_size=60), st.integers(0, 2**32 - 1))
def test_equal_molecules_stay_on_one_side(keys, seed):
    for split in runs.new_splits([str(key) for key in keys], 3, np.random.default_rng(seed)):
        parts = [{keys[row] for row in rows} for rows in split.values()]
        assert sorted(np.concatenate(list(split.values()))) == list(range(len(keys)))
        assert sum(map(len, parts)) == len(set(keys))


# Tables


def random_scores(rng, m=200, models=6):
    teacher, student = rng.exponential(size=(2, m, models))
    misfit = rng.exponential(size=(m, models))
    cross = teacher - student - misfit
    return ladder.Scores(teacher, student, misfit, cross)


def split_of(scores, inputs=111, rows=None):
    rows = np.arange(len(scores.teacher)) if rows is None else rows
    both = {"test": scores, "known": scores}
    return runs.Split(both, dict.fromkeys(both, rows), inputs, 10, 0.0)


def test_weights_of_one_are_no_weights():
    splits = [split_of(random_scores(np.random.default_rng(5)))] * 2
    plain, weighted = tables.means(splits), tables.means(splits, weights=np.ones((3, 200)))
    assert weighted.gain.shape == (3, 2, 6)
    assert weighted.gain[1] == pytest.approx(plain.gain)
    assert tables.gain_per_misfit_observed(weighted) == pytest.approx(
        np.full(3, tables.gain_per_misfit_observed(plain))
    )


def test_bootstrap_error_of_a_mean_is_its_standard_error():
    rng = np.random.default_rng(6)
    scores = random_scores(rng, m=400, models=1)
    weights = resampling.bootstrap_counts(400, 2000, rng)
    spread = tables.means([split_of(scores)], weights=weights).teacher.std(ddof=1)
    expected = scores.teacher.std(ddof=1) / 20
    assert spread == pytest.approx(expected, rel=0.1)


def test_error_of_a_share_is_that_of_resampling_the_molecules():
    rng = np.random.default_rng(8)
    pool = random_scores(rng, m=400, models=3)
    # Splits that share molecules: the second has half of the first's.
    half = ladder.Scores(*(values[::2] for values in vars(pool).values()))
    splits = [split_of(pool), split_of(half, rows=np.arange(0, 400, 2))]
    value, error = tables.share_error(splits, 3)
    weights = resampling.bootstrap_counts(400, 2000, rng)
    again = tables.gain_per_misfit_observed(tables.means(splits, weights=weights))
    plain = tables.gain_per_misfit_observed(tables.means(splits))
    assert value == pytest.approx(float(plain))
    assert error == pytest.approx(again.std(ddof=1), rel=0.1)


def test_regret_of_the_best_choice_is_zero_and_of_the_worst_the_range():
    student = np.array([[0.1, 0.2, 0.4, 0.3, 0.1, 0.2]])
    zero = np.zeros_like(student)
    test = ladder.Scores(student, student, zero, zero)
    known = ladder.Scores(-student, student, -3 * student, zero)
    found = tables.regrets(known, test, 3)
    assert found["student's error"] == pytest.approx(0)
    assert found["teacher's error"] == pytest.approx(np.array([[0.3, 0.2]]))
    assert found["error − misfit"] == pytest.approx(0)
    assert found["at random"] == pytest.approx(np.array([[0.7 / 3 - 0.1, 0.1]]))


@pytest.mark.skipif(not datasets.available("freesolv"), reason="the data are not here")
def test_study_of_real_molecules():
    one = study.load("freesolv", seeds=1, new_splits=1, most=120)
    assert len(one.targets) == 120
    assert len(one.splits) == 4
    assert [features.shape for features in one.ladders["masked"]] == [
        (120, width) for width in design.WIDTHS
    ]
    first, again = (one.run("fresh", labels=40, draws=2, strong="descriptors") for _ in range(2))
    assert len(first) == 8
    assert np.array_equal(first[3].scores["test"].student, again[3].scores["test"].student)
    scaled = one.scaled(one.targets, one.splits[0])[one.splits[0]["train"]]
    assert (scaled.mean(), scaled.std()) == pytest.approx((0, 1))


# The command


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_embed_writes_an_array_that_report_reads(folder):
    (folder / "mine.csv").write_text("name,smiles\na,CCO\nb,c1ccccc1\n")
    result = CliRunner().invoke(main, ["embed", "mine.csv", "--encoder", "masked-8-0"])
    assert result.exit_code == 0, result.output
    found = np.load(folder / "masked-8-0.npy")
    assert np.array_equal(found, smiles_encoders.embed(["CCO", "c1ccccc1"], "masked-8-0"))


def test_embed_reads_tables_as_spreadsheets_write_them(folder):
    table = '\ufeffsmiles,"name, or names"\r\nCCO,"a\nb"\r\nc1ccccc1,c\r\n'
    (folder / "mine.csv").write_bytes(table.encode())
    result = CliRunner().invoke(main, ["embed", "mine.csv", "--encoder", "masked-8-0"])
    assert result.exit_code == 0, result.output
    assert np.load(folder / "masked-8-0.npy").shape == (2, 8)


def test_embed_reads_smi_files_and_lists_encoders(folder):
    (folder / "mine.smi").write_text("CCO ethanol\n\nC methane\n")
    result = CliRunner().invoke(main, ["embed", "mine.smi", "--encoder", "descriptors"])
    assert result.exit_code == 0, result.output
    assert np.load(folder / "descriptors.npy").shape == (2, len(descriptors.names()))
    listed = CliRunner().invoke(main, ["embed", "--list"]).output.split()
    assert listed == ["descriptors", *smiles_encoders.names()]


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        ("smiles\nCCO\nC1CC\n", [], "row 1 (from 0): 'C1CC'"),
        ("", [], "empty"),
        ("smiles\n", [], "at least one"),
        ("other\nCCO\n", [], "no column 'smiles'; there are: other"),
        ("smiles\nCCO\n", ["--encoder", "bert"], "got 'bert'"),
        ("smiles\nCCO\n", ["--out", "x.txt"], "ends in .npy"),
        ("smiles\nCCO\n", ["--out", "there.npy"], "there.npy exists"),
        ("smiles\nCCO\n", ["--out", "no/folder/x.npy"], "cannot be written"),
        ("smiles\nCCO\0\n", [], "is no molecule"),
        (None, [], "no such file"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(folder, content, arguments, message):
    if content is not None:
        (folder / "mine.csv").write_text(content)
    (folder / "there.npy").write_text("mine")
    before = sorted(folder.glob("*.npy"))
    result = CliRunner().invoke(main, ["embed", "mine.csv", *arguments])
    assert result.exit_code == 2
    assert message in result.output
    assert len([line for line in result.output.splitlines() if "Error" in line]) == 1
    assert sorted(folder.glob("*.npy*")) == before
    assert (folder / "there.npy").read_text() == "mine"


def test_cards_hold_no_path():
    for name in smiles_encoders.names():
        assert "/" not in json.dumps({**smiles_encoders.card(name), "vocabulary": []})
