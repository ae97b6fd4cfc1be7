"""The student's law against closed forms, the joint sampler and least squares itself."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import integrate, stats

from w2s_utils import checks, gaussian
from w2s_utils.theory import laws, risks, student_law, subspaces
from w2s_utils.theory.risks import Setting


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.mark.parametrize(("d_s", "N"), [(1, 1), (1, 3), (10, 21), (10, 19), (40, 100)])
def test_disjoint_subspaces_reduce_to_two_chi_squares(d_s, N):
    closed = stats.beta.cdf(0.5, d_s / 2, (N - d_s + 1) / 2)
    found = student_law.probability_of_gain(12, d_s, 0, N)
    assert found == pytest.approx(closed, abs=4e-3 if d_s == 1 else 1e-9)


def test_one_shared_direction_of_two_against_direct_integration():
    # t ~ Beta(1/2, 1/2) = cos^2 of a uniform angle, d_s = 2.
    def conditional(y, angle):
        t = np.cos(angle) ** 2
        return stats.ncx2.cdf(y / (1 - t), 2, y * t / (1 - t)) * stats.chi2.pdf(y, 20)

    value = integrate.dblquad(conditional, 1e-9, np.pi / 2, 0, 90, epsabs=1e-8)[0] * 2 / np.pi
    assert student_law.probability_of_gain(2, 2, 1, 21) == pytest.approx(value, abs=1e-4)


def test_quadrature_has_the_exact_mean_and_converges():
    coarse = student_law.coordinate_law(20, 10, 5, 0.5, 60, 50, nodes=16)
    fine = student_law.coordinate_law(20, 10, 5, 0.5, 60, 50, nodes=32)
    assert fine.weights.sum() == pytest.approx(1)
    assert fine.mean() == pytest.approx(risks.student(Setting(20, 10, 5, 0.5), 60, 50), rel=1e-6)
    x = fine.ppf([0.05, 0.5, 0.95])
    assert_allclose(coarse.cdf(x), fine.cdf(x), atol=1e-5)
    assert_allclose(fine.cdf(x), [0.05, 0.5, 0.95], atol=1e-8)
    assert np.all(fine.standard_error(x) == 0)


def test_the_law_ends_where_it_should():
    # No overlap at all, and no discrepancy at all: then the student is the teacher.
    law = student_law.coordinate_law(4, 6, 4, 0.5, 30, 40)
    teacher = laws.teacher_law(Setting(4, 6, 4, 0.5), 30)
    assert law.beats_teacher() == 0
    assert student_law.probability_of_gain(4, 6, 4, 40) == 0
    assert law.mean() == pytest.approx(teacher.mean(), rel=1e-9)


@pytest.mark.parametrize("shared_target", [True, False])
def test_sampled_law_agrees_with_least_squares(rng, shared_target):
    weak, strong = subspaces.pair_with_cosines(16, 6, 4, [1, 0.8, 0.5, 0], rng)
    theta = weak[:, 0] * 0 if shared_target else 0.4 * rng.standard_normal(16)
    model = gaussian.GaussianModel(weak, strong, theta, 0.5)
    law = student_law.sampled_law(model.canonical, 24, 16, 3000, rng)
    result = gaussian.simulate(model, 24, 16, 3000, rng)
    points = law.ppf([0.1, 0.5, 0.9])
    observed = [np.mean(result.student <= x) for x in points]
    error = np.sqrt(0.25 / 3000 + law.standard_error(points) ** 2)
    assert np.all(np.abs(observed - law.cdf(points)) < 4.9 * error)
    odds = np.sqrt(0.25 / 3000 + law.standard_error() ** 2)
    assert abs(np.mean(result.gain > 0) - law.beats_teacher()) < 4.9 * odds
    assert law.mean() == pytest.approx(float(risks.student(model.setting, 24, 16)), rel=0.1)


def test_sampled_law_agrees_with_the_joint_sampler_in_distribution(rng):
    weak, strong = subspaces.pair_with_cosines(16, 6, 4, [1, 0.8, 0.5, 0.2], rng)
    problem = laws.Canonical.from_bases(weak, strong, rng.standard_normal(16), 0.5)
    law = student_law.sampled_law(problem, 24, 16, 2000, rng)
    draws = laws.sample(problem, 24, 16, 20000, rng)
    grid = np.quantile(draws.student, np.linspace(0.001, 0.999, 60))
    check = checks.follows(
        draws.student, lambda x: np.interp(x, grid, law.cdf(grid)), resolution=0.03
    )
    assert check.observed < 0.03


def test_the_size_of_the_teachers_error_cancels(rng):
    weak, strong = subspaces.pair_with_cosines(12, 5, 4, [1, 0.7, 0.4, 0], rng)
    shares = []
    for n, sigma2 in ((6, 0.01), (60, 4.0)):
        problem = laws.Canonical.from_bases(weak, strong, np.zeros(12), sigma2)
        shares.append(student_law.sampled_law(problem, n, 10, 4000, rng))
    difference = shares[0].beats_teacher() - shares[1].beats_teacher()
    error = np.hypot(*(law.standard_error() for law in shares))
    assert abs(difference) < 4.9 * error


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"d_sw": 2.5}, r"d_sw: expected an integer.*sampled_law"),
        ({"d_sw": 5}, r"d_sw: expected an integer, 0 to min\(d_w, d_s\) = 4"),
        ({"n": 5}, r"n: expected at least 6"),
        ({"N": 3}, r"N: expected at least 4"),
        ({"sigma2": 0.0}, r"sigma2: expected a positive"),
        ({"nodes": 0}, r"nodes: expected at least 1"),
    ],
)
def test_bad_sizes_are_refused(change, message):
    sizes = {"d_w": 6, "d_s": 4, "d_sw": 2, "sigma2": 1.0, "n": 20, "N": 20, **change}
    with pytest.raises(ValueError, match=message):
        student_law.coordinate_law(**sizes)


def test_bad_probabilities_are_refused():
    with pytest.raises(ValueError, match=r"probability: expected numbers in \(0, 1\)"):
        student_law.coordinate_law(6, 4, 2, 1.0, 20, 20).ppf(1.0)
