import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2s_utils import gaussian
from w2s_utils.theory import filters, risks, subspaces

seeds = st.integers(0, 10_000)


@given(seed=seeds)
def test_the_formula_is_the_average_over_any_teachers(seed):
    rng = np.random.default_rng(seed)
    target, student = rng.standard_normal(5), rng.standard_normal((5, 5))
    teachers = rng.standard_normal((7, 5)) + 1
    mean, second = teachers.mean(0), teachers.T @ teachers / 7
    expected = np.mean(np.sum((teachers @ student.T - target) ** 2, axis=1))
    assert filters.risk(target, mean, second, student) == pytest.approx(expected, rel=1e-10)
    diagonal = np.diag(student)
    full = filters.risk(target, mean, second, np.diag(diagonal))
    assert filters.risk(target, mean, second, diagonal) == pytest.approx(full, rel=1e-10)
    assert filters.risk(target, mean, np.diag(second), diagonal) == pytest.approx(full, rel=1e-10)


def test_a_diagonal_is_not_enough_for_a_student_that_mixes():
    with pytest.raises(ValueError, match="expected a matrix for a student"):
        filters.risk(np.ones(3), np.ones(3), np.ones(3), np.eye(3))
    with pytest.raises(ValueError, match=r"student: expected shape \(3,\)"):
        filters.risk(np.ones(3), np.ones(3), np.ones(3), np.ones(2))


@given(seed=seeds)
def test_a_projection_keeps_what_it_keeps_of_the_target(seed):
    """E |P t|^2 = <E P t, t>, which ties the two moments together."""
    rng = np.random.default_rng(seed)
    spectrum, target = rng.uniform(0.1, 3, 30), rng.standard_normal(30)
    mean, second = filters.random_features(spectrum, target, int(rng.integers(2, 28)))
    assert second.sum() == pytest.approx(mean @ target, rel=1e-6)


def test_equal_variances_give_the_moments_of_a_uniform_subspace():
    """There they are known exactly, and the equivalent differs from them by one over d."""
    d, count, target = 2000, 500, np.eye(2000)[0]
    mean, second = filters.random_features(np.ones(d), target, count)
    share = count / d
    assert mean[0] == pytest.approx(share)
    assert second[0] == pytest.approx(count * (count + 2) / (d * (d + 2)), rel=5e-3)
    other = count * (d - count) / (d * (d - 1) * (d + 2))
    assert filters.random_features(np.ones(d), np.ones(d), count)[1].sum() == pytest.approx(count)
    off = filters.random_features(np.r_[np.ones(d)], target, count)[1]
    assert off[1:].mean() == pytest.approx(other, rel=5e-3)


def test_as_many_features_as_dimensions_are_refused():
    with pytest.raises(ValueError, match="count: expected fewer random features"):
        filters.random_features(np.ones(3), np.ones(3), 3)


@given(seed=seeds)
def test_no_filter_beats_the_limit_and_a_projection_on_a_line_attains_it(seed):
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.standard_normal((6, 3)))[0]
    target = np.eye(6)[0]
    teacher = basis @ basis[0]
    limit = filters.quadratic_limit(1 - teacher @ teacher)
    turn, _ = np.linalg.qr(rng.standard_normal((6, 6)))
    student = turn @ (rng.uniform(size=6) * (turn.T @ teacher))
    assert np.sum((student - target) ** 2) >= limit - 1e-12
    centre = teacher / 2  # students fill the ball around it that touches zero and the teacher
    nearest = centre + np.linalg.norm(centre) * (target - centre) / np.linalg.norm(target - centre)
    assert np.sum((nearest - target) ** 2) == pytest.approx(limit, abs=1e-12)
    line = nearest / np.linalg.norm(nearest)
    np.testing.assert_allclose(line * (line @ teacher), nearest, atol=1e-9)


def test_the_limit_is_quadratic_for_good_teachers_and_knows_its_range():
    assert filters.quadratic_limit(1e-6) == pytest.approx(1e-12, rel=1e-5)
    assert filters.quadratic_limit(1.0) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="between 0 and 1"):
        filters.quadratic_limit(1.2)


@given(seed=seeds, n=st.integers(10, 60), N=st.integers(8, 60))
def test_one_hop_gives_the_exact_risk_of_the_student(seed, n, N):
    rng = np.random.default_rng(seed)
    weak, strong = subspaces.pair_with_cosines(18, 8, 6, rng.uniform(size=6), rng)
    target = rng.standard_normal(18)
    expected = risks.exact(gaussian.GaussianModel(weak, strong, target, 0.3).setting, n, N)
    mean = weak @ (weak.T @ target)
    tau = (0.3 + target @ target - mean @ mean) / (n - 9)
    second = np.outer(mean, mean) + tau * weak @ weak.T
    assert filters.risk(target, mean, second, np.ones(18)) == pytest.approx(float(expected.teacher))
    moments = filters.hop(mean, second, strong, N)
    assert filters.risk(target, *moments, np.ones(18)) == pytest.approx(float(expected.student))


def test_a_hop_needs_two_more_labels_than_dimensions():
    with pytest.raises(ValueError, match="at least d \\+ 2 = 4"):
        filters.hop(np.ones(5), np.eye(5), np.eye(5)[:, :2], 3)


@given(seed=seeds, d=st.integers(3, 7), shared=st.integers(1, 3))
def test_a_chain_between_two_subspaces_ends_where_the_chapter_says(seed, d, shared):
    rng = np.random.default_rng(seed)
    cosines = np.r_[np.ones(shared), rng.uniform(0, 0.8, d - shared)]
    weak, strong = subspaces.pair_with_cosines(2 * d - shared, d, d, cosines, rng)
    count = 2 * d - shared + 2 + int(rng.integers(0, 20))
    mean, second = np.zeros(len(weak)), weak @ weak.T
    for k in range(400):
        mean, second = filters.hop(mean, second, (strong, weak)[k % 2], count)
    end = shared * (count - d - 1) / (count - 2 * d + shared - 1)
    assert np.trace(second) == pytest.approx(end, rel=1e-4)


@given(angle=st.floats(0.05, 1.5), hops=st.integers(1, 6), variance=st.floats(0.01, 3))
def test_stepping_stones_lose_less_of_signal_and_noise(angle, hops, variance):
    axes = np.eye(8)
    turned = [np.cos(a) * axes[:, :4] + np.sin(a) * axes[:, 4:] for a in
              angle * np.arange(hops + 1) / hops]  # fmt: skip
    target = turned[-1][:, 0]
    mean = turned[0] @ (turned[0].T @ target)
    moments = mean, np.outer(mean, mean) + variance / 4 * turned[0] @ turned[0].T
    for basis in turned[1:]:
        moments = filters.hop(*moments, basis)
    kept = np.cos(angle / hops) ** hops
    expected = (1 - kept * np.cos(angle)) ** 2 + kept**2 * variance
    assert filters.risk(target, *moments, np.ones(8)) == pytest.approx(expected, abs=1e-9)
