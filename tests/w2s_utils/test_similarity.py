"""CAPA and error consistency: cases with a closed form, and the package of their authors."""

import numpy as np
import pytest

import w2s_report
from w2s_utils.similarity import similarity as by_row


def similarity(*models_and_truth):
    """Value and standard error of each measure."""
    found = by_row(*models_and_truth)
    return {name: (v.mean(), v.std() / np.sqrt(len(v))) for name, v in found.items()}


def drawn(seed, rows=400, classes=3):
    rng = np.random.default_rng(seed)
    truth = np.eye(classes)[rng.integers(0, classes, rows)]
    models = [rng.dirichlet(np.ones(classes), rows) + 0.5 * truth for _ in range(2)]
    return [p / p.sum(axis=1, keepdims=True) for p in models], truth


def test_closed_forms():
    truth = np.eye(2)[[0, 0, 0, 0, 1, 1, 1, 1]]
    # The first errs on inputs 0 and 1, the second on 1 and 2: accuracies 3/4, agreement 6/8.
    models = [truth.copy() for _ in range(2)]
    for model, wrong in zip(models, ([0, 1], [1, 2]), strict=True):
        model[wrong] = model[wrong][:, ::-1]
    expected = 9 / 16 + 1 / 16
    for value, _ in similarity(*models, truth).values():
        assert value == pytest.approx((0.75 - expected) / (1 - expected))
    # The same certain model twice is 1; where both are always right there is no chance left.
    assert similarity(models[0], models[0], truth)["CAPA"][0] == pytest.approx(1)
    assert similarity(truth, truth, truth) == {}
    # Models that say nothing of k classes: agreement 1/k, which is what chance gives.
    nothing = np.full((8, 4), 0.25)
    value, _ = similarity(nothing, nothing, np.eye(4)[np.arange(8) % 4])["CAPA"]
    assert value == pytest.approx(0)


def test_independent_errors_are_as_alike_as_chance():
    rng, rows = np.random.default_rng(0), 20_000
    truth = np.eye(2)[rng.integers(0, 2, rows)]
    models = [np.where((rng.random(rows) < p)[:, None], truth, 1 - truth) for p in (0.7, 0.9)]
    for value, error in similarity(*models, truth).values():
        assert abs(value) < 4 * error
        assert error < 0.02


@pytest.mark.parametrize("classes", [2, 5])
def test_equal_to_the_authors_package(classes):
    metrics = pytest.importorskip("lmsim.metrics")
    models, truth = drawn(1, classes=classes)
    found = similarity(*models, truth)
    answers = truth.argmax(axis=1)
    assert found["CAPA"][0] == pytest.approx(metrics.CAPA().compute_k(*models, answers))
    assert found["error consistency"][0] == pytest.approx(metrics.EC().compute_k(*models, answers))
    hard = [np.eye(classes)[p.argmax(axis=1)] for p in models]
    own = metrics.CAPA(prob=False).compute_k(*hard, answers)
    assert similarity(*hard, truth)["CAPA"][0] == pytest.approx(own)


def test_standard_errors_are_those_of_repeated_draws():
    found = [similarity(*m, t) for m, t in (drawn(seed) for seed in range(200))]
    for name in ("CAPA", "error consistency"):
        values, errors = np.array([f[name] for f in found]).T
        # A standard deviation over 200 draws is known to 5 %.
        assert np.mean(errors) == pytest.approx(values.std(), rel=0.25)


def test_a_report_of_given_classes_has_them():
    models, truth = drawn(2, rows=600)
    labels = truth.argmax(axis=1).astype(float)
    labels[400:] = np.nan
    card = w2s_report.report(
        labels=labels,
        teacher_predictions={"llm": models[0]},
        student_predictions={"llm": models[1]},
        baseline_predictions=models[0],
    )
    expected = similarity(models[1][:400], models[0][:400], truth[:400])
    for name, value in card.comparisons[0].similarity.items():
        assert value.value == pytest.approx(expected[name][0], abs=1e-6)
        assert value.low < value.value < value.high
