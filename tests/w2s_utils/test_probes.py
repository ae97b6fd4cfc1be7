"""Logistic probes: the three measures, nested samples, mistakes."""

import numpy as np
import pytest

from w2s_utils import probes


def problem(m=600, seed=1):
    rng = np.random.default_rng(seed)
    strong = rng.standard_normal((m, 3))
    weak = {"near": np.column_stack([strong[:, :2], rng.standard_normal((m, 4))])}
    weak["far"] = rng.standard_normal((m, 6))
    labels = (strong[:, 0] + 0.3 * strong[:, 2] > 0).astype(float)
    return weak, strong, labels


def test_measures_differ_by_what_they_should():
    weak, strong, labels = problem()
    found = probes.run_logistic(
        weak, strong, labels, cells=[(60, 200)], flips=0.2, trials=5, rng=np.random.default_rng(2)
    )
    results = found["near"][60, 200]
    assert list(results) == list(probes.MEASURES)
    for name in ("teacher", "student", "baseline", "ceiling"):
        law, noisy = (getattr(results[m], name) for m in ("law", "noisy"))
        np.testing.assert_allclose(noisy - law, 0.16)
    np.testing.assert_array_equal(results["law"].misfit, results["clean"].misfit)
    # Baseline and ceiling know nothing of the teacher.
    np.testing.assert_array_equal(results["law"].ceiling, found["far"][60, 200]["law"].ceiling)
    assert found["far"][60, 200]["law"].teacher.mean() > results["law"].teacher.mean()


def test_without_flips_all_measures_agree():
    weak, strong, labels = problem()
    found = probes.run_logistic(
        weak, strong, labels, cells=[(60, 200)], flips=0.0, trials=2, rng=np.random.default_rng(3)
    )
    results = found["near"][60, 200]
    np.testing.assert_allclose(results["law"].student, results["clean"].student)
    np.testing.assert_allclose(results["law"].student, results["noisy"].student)


def test_a_cell_does_not_depend_on_smaller_ones_nor_on_workers():
    weak, strong, labels = problem()
    arguments = {"flips": 0.1, "trials": 4}
    one = probes.run_logistic(weak, strong, labels, cells=[(80, 200)], rng=np.random.default_rng(4),
                     **arguments)  # fmt: skip
    two = probes.run_logistic(weak, strong, labels, cells=[(30, 50), (80, 200)], n_jobs=2,
                     rng=np.random.default_rng(4), **arguments)  # fmt: skip
    np.testing.assert_array_equal(
        one["near"][80, 200]["law"].student, two["near"][80, 200]["law"].student
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"flips": 0.5}, "flips: expected a probability"),
        ({"cells": []}, "at least one teacher and one pair"),
        ({"cells": [(400, 300)]}, "n \\+ N < 600"),
        ({"labels": np.full(600, 2.0)}, "labels: expected 0 and 1"),
        ({"weak": {"short": np.ones((5, 2))}}, r"weak\['short'\]: expected 600 rows"),
        ({"penalty": 0.0}, "penalty"),
        ({"trials": 0}, "trials"),
    ],
)
def test_mistakes_are_named(changes, message):
    weak, strong, labels = problem()
    arguments = {"weak": weak, "strong": strong, "labels": labels, "cells": [(20, 20)]}
    arguments |= {"flips": 0.1, "trials": 2, "rng": np.random.default_rng(0)} | changes
    with pytest.raises(ValueError, match=message):
        probes.run_logistic(**arguments)


def test_measures_of_flipped_labels():
    weak, strong, labels = problem()
    found = probes.run_logistic(
        weak, strong, labels, cells=[(60, 200)], flips=0.2, trials=5, rng=np.random.default_rng(4)
    )
    first, *others = (result[60, 200] for result in found.values())
    np.testing.assert_allclose(first["noisy"].teacher - first["law"].teacher, 0.2 * 0.8)
    assert np.all(first["clean"].teacher != first["law"].teacher)
    for other in others:
        np.testing.assert_allclose(first["law"].baseline, other["law"].baseline)
