"""Features of the bundled data sets: ranks, scales, nesting, and who has seen what."""

import numpy as np
import pytest

from w2s_experiments import problems as builders
from w2s_experiments.data import datasets

SIZES = [5, 20]


@pytest.fixture(scope="module")
def problems():
    rng = np.random.default_rng(0)
    found = [builders.digits(SIZES, rng, noise=0.5), builders.diabetes(SIZES, rng)]
    if datasets.available("freesolv"):
        found.append(builders.freesolv(SIZES))
    return found


def test_every_representation_has_full_column_rank_and_the_same_rows(problems):
    for problem in problems:
        for phi in (*problem.teachers.values(), *problem.students.values()):
            assert len(phi) == len(problem.targets)
            assert np.linalg.matrix_rank(phi) == phi.shape[1]
        assert [phi.shape[1] for phi in problem.teachers.values()] == SIZES


def test_targets_are_standardised(problems):
    for problem in problems:
        np.testing.assert_allclose(problem.targets.mean(axis=0), 0, atol=1e-12)
        np.testing.assert_allclose(problem.targets.std(axis=0), 1, atol=1e-12)


def test_sizes_and_noise(problems):
    digits, diabetes = problems[:2]
    assert digits.targets.shape == (1197, len(builders.PROPERTIES))
    assert diabetes.targets.shape == (442, 1)
    assert (digits.noise, diabetes.noise) == (0.5, 0)
    assert digits.students["network"].shape == (1197, 10)
    assert diabetes.students["columns"].shape == (442, 11)


def test_targets_belong_to_their_images():
    # Rows of features and targets are permuted together: the network knows its digits.
    problem = builders.digits([5], np.random.default_rng(3))
    digit = problem.students["network"].argmax(axis=1)
    even = np.isin(digit, [0, 2, 4, 6, 8])
    assert np.mean(even == (problem.targets[:, 0] > 0)) > 0.9


def test_the_same_generator_gives_the_same_features():
    first, second = (builders.diabetes([7], np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first.teachers[7], second.teachers[7])
    np.testing.assert_array_equal(first.students["kernel"], second.students["kernel"])


def test_leading_directions_are_nested(problems):
    small, large = problems[0].teachers[5], problems[0].teachers[20]
    np.testing.assert_allclose(small, large[:, :5], atol=1e-9)


def test_cut_keeps_the_leading_directions():
    rng = np.random.default_rng(2)
    phi = rng.standard_normal((50, 4)) * [10, 5, 1, 0.1]
    kept = builders.cut(phi, 2)
    assert np.sum(kept**2) == pytest.approx(np.sum(np.linalg.svd(phi, compute_uv=False)[:2] ** 2))
    elsewhere = builders.cut(phi, 2, fitted_on=np.eye(4)[[2, 3]])
    np.testing.assert_allclose(np.sum(elsewhere**2, 0), np.sum(phi[:, 2:] ** 2, 0))


def test_a_constant_target_is_refused():
    with pytest.raises(ValueError, match="column 1 is constant"):
        builders.standardise(np.column_stack([np.arange(5), np.ones(5)]))


def test_freesolv_without_its_file_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("W2S_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(datasets, "cache_folder", lambda: tmp_path)
    with pytest.raises(datasets.DataError, match="w2s data fetch freesolv"):
        builders.freesolv([3])
