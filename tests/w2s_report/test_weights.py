"""Pseudo-labels that count by the teacher's confidence."""

import numpy as np
import pytest

import w2s_report
from w2s_report import heads


def test_a_row_counts_by_its_sum():
    rng = np.random.default_rng(1)
    phi, variances = rng.standard_normal((60, 4)), np.array([1, 0.5, 0.2, 0.1])
    targets, counts = rng.dirichlet(np.full(3, 0.2), size=60), rng.choice([1, 9], 60)
    repeated = np.repeat(np.arange(60), counts)
    weighted = targets * (counts / counts.mean())[:, None]
    [by_weight] = heads._path(phi, variances, weighted, [0.01])
    [by_repetition] = heads._path(phi[repeated], variances, targets[repeated], [0.01])
    [alike] = heads._path(phi, variances, targets, [0.01])
    # L-BFGS stops at a slope of 1e-3.
    np.testing.assert_allclose(by_weight, by_repetition, atol=0.03)
    assert np.abs(by_weight - alike).max() > 0.1


def answers(rng, sure, unsure):
    """Two classes, of which half of a teacher's answers know more than the other half."""
    x = rng.standard_normal((1500, 5))
    truth = (x[:, 0] > 0).astype(int)
    right = np.where(rng.random(1500) < 0.5, sure, unsure)
    second = np.where(truth == 1, right, 1 - right)
    labels = np.where(np.arange(1500) < 500, np.array(["no", "yes"])[truth], "")
    return x, np.column_stack([1 - second, second]), labels


def test_weights_help_where_confidence_tells_right_from_wrong():
    x, said, labels = answers(np.random.default_rng(2), sure=0.9, unsure=0.4)
    found = w2s_report.report(None, x, labels, teacher_predictions={"llm": said}, trials=4)
    [compared] = found.comparisons
    errors = compared.errors["log-loss"]
    assert compared.weighted.low > 0
    assert errors["weighted"].value < errors["student"].value
    assert any(text.startswith("Weights: ") for text in found.verdict.would_change)


@pytest.mark.parametrize("sure", [0.8, 1.0])
def test_weights_change_nothing_where_the_teacher_is_equally_sure(sure):
    x, said, labels = answers(np.random.default_rng(3), sure, sure)
    found = w2s_report.report(None, x, labels, teacher_predictions={"llm": said}, trials=4)
    [compared] = found.comparisons
    assert abs(compared.weighted.value) < 1e-9 * compared.errors["log-loss"]["constant"].value
    assert not any(text.startswith("Weights: ") for text in found.verdict.would_change)


def test_numbers_have_no_confidence():
    rng = np.random.default_rng(4)
    x = rng.standard_normal((300, 5))
    y = np.where(np.arange(300) < 100, x[:, 0] + rng.standard_normal(300), np.nan)
    [compared] = w2s_report.report({"w": x[:, :2]}, x, y, trials=4).comparisons
    assert compared.weighted is None
    assert "weighted" not in compared.errors["squared error"]
