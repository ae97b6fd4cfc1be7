"""What a user would have predicted from labels, and summaries of measured pairs."""

from __future__ import annotations

import numpy as np
import pytest

from w2s_experiments import comparisons
from w2s_utils.problem import Problem, measure_pairs, oracle_settings

N_LABELS, N_PSEUDO = 60, 200


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    g = rng.standard_normal((1500, 14))
    target = np.sign(g[:, 0] + 0.5 * g[:, 1] + 0.5 * rng.standard_normal(1500))[:, None]
    teachers = {"near": g[:, [0, 1, 2, 3, 4, 5]], "far": g[:, [0, 1, 8, 9, 10, 11]]}
    students = {"first": g[:, [0, 1, 2, 3, 4, 5]][:, :5], "second": g[:, [0, 1, 8, 9, 10]]}
    return Problem("toy", target / target.std(), 0.0, teachers, students)


@pytest.fixture(scope="module")
def cells(problem):
    settings = oracle_settings(problem)
    arguments = {"cells": [(N_LABELS, N_PSEUDO)], "trials": 80, "seed": [1], "noise": 1.0}
    return measure_pairs(problem, settings, **arguments)


def test_from_labels_centres_on_the_formula(problem, cells):
    cell = cells["far", "first", N_LABELS, N_PSEUDO]
    found = comparisons.predict_from_labels(
        problem, "far", "first", n=N_LABELS, N=N_PSEUDO, noise=1.0, draws=40,
        rng=np.random.default_rng(2),
    )  # fmt: skip
    assert found.pgr.shape == (40,)
    assert np.all(found.low < found.high)
    inside = (found.low < cell.predicted.pgr) & (cell.predicted.pgr < found.high)
    assert inside.mean() > 0.8
    # Errors on labels with their noise of variance 1.
    error = found.teacher.std(ddof=1) / np.sqrt(40)
    assert abs(found.teacher.mean() - float(cell.predicted.teacher) - 1) < 4.5 * error


def test_the_foreign_teacher_has_the_smaller_overlap_and_the_larger_pgr(cells):
    by_teacher = [cells[t, "first", N_LABELS, N_PSEUDO] for t in ("near", "far")]
    assert comparisons.rank_correlations(by_teacher) == (1.0, 1.0)
