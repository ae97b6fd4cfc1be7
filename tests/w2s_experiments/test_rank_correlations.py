"""Summaries of measured pairs."""

from __future__ import annotations

import numpy as np
import pytest

from w2s_experiments import references
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


def test_the_foreign_teacher_has_the_smaller_overlap_and_the_larger_pgr(cells):
    by_teacher = [cells[t, "first", N_LABELS, N_PSEUDO] for t in ("near", "far")]
    assert references.rank_correlations(by_teacher) == (1.0, 1.0)
