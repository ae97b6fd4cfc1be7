"""Scores of every input: what they estimate, on problems where the truth is known."""

import csv

import numpy as np
import pytest

import w2s_report
from w2s_report import scores


def problem(seed=0, rows=3000, labelled=1200):
    """The teacher sees columns 0 to 3, the student 2 to 9; the truth is in 0, 2 and 6."""
    rng = np.random.default_rng(seed)
    g = rng.standard_normal((rows, 10))
    truth = g[:, 0] + g[:, 2] + 0.8 * g[:, 6]
    labels = truth + 0.3 * rng.standard_normal(rows)
    labels[rng.permutation(rows)[labelled:]] = np.nan
    return g[:, :4], g[:, 2:], labels, truth, 0.8 * g[:, 6]


def scored(path, *arguments, **options):
    card = w2s_report.report(*arguments, scores=path, trials=4, **options)
    return card, np.load(path)


def test_contribution_is_what_a_student_inherits(tmp_path):
    weak, strong, labels, truth, unseen = problem()
    card, table = scored(tmp_path / "s.npy", {"t": weak}, strong, labels)
    assert table.shape == (3000, 1, len(scores.NAMES))
    found = dict(zip(scores.NAMES, table[:, 0].T, strict=True))
    # P_s (I - P_w) y is 0.8 of column 6: its square at each input, in the mean b = 0.64. Eight
    # coefficients from 1200 labels with residual variance 0.73 leave a correlation of about 0.99.
    assert np.corrcoef(found["contribution"], unseen**2)[0, 1] > 0.97
    assert found["contribution"].mean() == pytest.approx(0.64, rel=0.1)
    # The misfit: the student cannot express column 0.
    assert found["disagreement"].mean() == pytest.approx(1, rel=0.1)
    assert card.comparisons[0].misfit.value == pytest.approx(1, rel=0.15)
    assert np.isnan(found["confidence"]).all()
    # Pseudo-labels of small contribution are better ones.
    teacher = weak[:, 0] + weak[:, 2]
    order = np.argsort(found["contribution"])
    errors = (teacher - truth)[order] ** 2
    assert errors[:1500].mean() < 0.3 * errors[1500:].mean()


def test_nothing_is_found_where_the_teacher_misses_nothing(tmp_path):
    weak, strong, labels, _, unseen = problem(1)
    _, table = scored(tmp_path / "s.npy", {"t": weak}, strong, labels - unseen)
    assert table[:, 0, 0].mean() < 0.02


def test_given_answers_of_classes_and_the_file(tmp_path):
    rng = np.random.default_rng(2)
    p, q = rng.random((2, 300))
    labels = (rng.random(300) < p).astype(float)
    labels[200:] = np.nan
    path = tmp_path / "scores.csv"
    given = {"teacher_predictions": {"a, b": p}, "student_predictions": {"a, b": q}}
    w2s_report.report(labels=labels, scores=path, baseline_predictions=p, **given)
    with path.open(newline="") as file:
        header, *lines = csv.reader(file)
    assert header == ["input", *(f"a, b {name}" for name in scores.NAMES)]
    found = np.array(lines, float)
    assert (found[:, 0] == np.arange(300)).all()
    assert np.isnan(found[:, 1]).all()
    assert found[:, 2] == pytest.approx(q * np.log(q / p) + (1 - q) * np.log((1 - q) / (1 - p)),
                                        abs=1e-3)  # fmt: skip
    assert found[:, 3] == pytest.approx(np.maximum(p, 1 - p), rel=1e-6)


def test_the_same_for_any_number_of_rows_at_a_time(tmp_path, monkeypatch):
    weak, strong, labels, *_ = problem(rows=400, labelled=200)
    _, whole = scored(tmp_path / "a.npy", {"t": weak, "u": weak[:, :2]}, strong, labels)
    monkeypatch.setattr(scores, "STEP", 37)
    _, pieces = scored(tmp_path / "b.npy", {"t": weak, "u": weak[:, :2]}, strong, labels)
    assert pieces == pytest.approx(whole, rel=1e-9, nan_ok=True)


def test_no_input_is_scored_by_a_student_that_learnt_from_it(tmp_path):
    """Given answers of noise: a student fitted to an input's own answer would be nearer to it."""
    rng = np.random.default_rng(3)
    strong = rng.standard_normal((400, 60))
    labels = strong[:, 0] + 0.1 * rng.standard_normal(400)
    labels[100:] = np.nan
    says = strong[:, 0] + rng.standard_normal(400)
    _, table = scored(tmp_path / "s.npy", None, strong, labels, teacher_predictions={"t": says})
    learnt, left = table[100:, 0, 1], table[:100, 0, 1]
    assert learnt.mean() == pytest.approx(left.mean(), rel=0.35)
    assert learnt.mean() > 1


def test_names_of_files(tmp_path, monkeypatch):
    from click.testing import CliRunner

    from w2s_book.cli import main

    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["report", "--labels", "y.npy", "--scores", "s.txt"])
    assert done.exit_code == 2
    assert "--scores: expected a name that ends in .csv or .npy, got s.txt" in done.output
