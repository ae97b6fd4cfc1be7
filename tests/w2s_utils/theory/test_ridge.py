import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2s_utils import gaussian
from w2s_utils.least_squares import Ridge
from w2s_utils.theory import ridge, risks, subspaces
from w2s_utils.theory.risks import Setting


def random_problem(seed, d_w=8, d_s=6, ambient=18):
    rng = np.random.default_rng(seed)
    bases = subspaces.pair_with_cosines(ambient, d_w, d_s, rng.uniform(size=min(d_w, d_s)), rng)
    return *bases, rng.standard_normal(ambient), 0.3


@given(seed=st.integers(0, 1000), n=st.integers(10, 99), N=st.integers(8, 99))
def test_enough_rows_give_the_exact_risks_of_least_squares(seed, n, N):
    arguments = random_problem(seed)
    problem = ridge.Principal.from_bases(*arguments)
    expected = risks.exact(gaussian.GaussianModel(*arguments).setting, n, N)
    weak, strong = ridge.ridge(np.ones(8), n, 0), ridge.ridge(np.ones(6), N, 0)
    assert ridge.teacher(problem, weak) == pytest.approx(float(expected.teacher), rel=1e-10)
    assert ridge.student(problem, weak, strong) == pytest.approx(float(expected.student), rel=1e-10)
    both = ridge.ridge(np.ones(6), n + N, 0)
    assert ridge.baseline(problem, both) == pytest.approx(float(expected.ceiling), rel=1e-10)


spectra = st.lists(st.floats(0.01, 10), min_size=2, max_size=20).map(np.array)


@given(spectrum=spectra, m=st.integers(1, 40), penalty=st.floats(1e-6, 1e4))
def test_effective_penalty_solves_its_equation(spectrum, m, penalty):
    kappa = ridge.effective_penalty(spectrum, m, penalty)
    assert np.sum(spectrum / (spectrum + kappa)) + penalty / kappa == pytest.approx(m, rel=1e-8)


@given(
    spectrum=spectra, m=st.integers(1, 40), penalty=st.floats(1e-3, 1e4), scale=st.floats(0.1, 9)
)
def test_the_unit_of_the_features_does_not_matter(spectrum, m, penalty, scale):
    one, two = ridge.ridge(spectrum, m, penalty), ridge.ridge(scale * spectrum, m, scale * penalty)
    for name in ("shrinkage", "spread", "energy"):
        np.testing.assert_allclose(getattr(one, name), getattr(two, name), rtol=1e-7)


def test_the_error_of_the_equivalent_is_of_the_order_of_one_over_the_dimension():
    scaled = []
    for d in (10, 20, 40, 80, 160):
        norm = Setting(d, d, 0, 0.5, norm2=1.0)
        exact = float(risks.teacher(norm, d // 2))
        problem = ridge.Principal.from_bases(np.eye(d), np.eye(d), np.eye(d)[0], 0.5)
        found = ridge.teacher(problem, ridge.ridge(np.ones(d), d // 2, 1e-9))
        scaled.append(d * abs(found / exact - 1))
    assert np.ptp(scaled) < 0.2 * np.mean(scaled)


@given(seed=st.integers(0, 1000), n=st.integers(3, 40), N=st.integers(3, 40))
def test_a_bayes_teacher_loses_what_its_student_gains_in_misfit(seed, n, N):
    """In the equivalent, as in the theorem, averaged over the signs of the target."""
    rng = np.random.default_rng(seed)
    weak, strong = subspaces.pair_with_cosines(18, 8, 6, rng.uniform(size=6), rng)
    spectrum = rng.uniform(0.2, 5, 8)
    best = ridge.ridge(spectrum, n, 0.3 / 0.04)
    gains, misfits = [], []
    for i in range(8):  # one coefficient at a time averages as random signs do
        theta = weak[:, i] * np.sqrt(8 * 0.04 * spectrum[i])
        problem = ridge.Principal.from_bases(weak, strong, theta, 0.3, spectrum)
        student = ridge.ridge(np.ones(6), N, 2.0)
        gains.append(ridge.teacher(problem, best) - ridge.student(problem, best, student))
        # The misfit is the risk of a student of a teacher that is the target.
        misfits.append(_misfit(problem, best, student))
    # Quadratic in the target: its noise from the labels is counted in each of the eight problems.
    assert np.mean(gains) == pytest.approx(-np.mean(misfits), rel=1e-7, abs=1e-12)


def _misfit(problem, teacher_fit, student_fit):
    """Expected misfit: a student's distance to w, whose moments are those of the teacher's fit."""
    square = problem.alpha**2
    noise = problem.sigma2 + problem.rho_w + teacher_fit.energy @ square
    covariance = np.diag(teacher_fit.spread * noise)
    mean = teacher_fit.shrinkage * problem.alpha
    second = np.outer(mean, mean) + covariance
    taught = problem.cross @ second @ problem.cross.T
    unseen = np.trace(second) - np.trace(taught)
    bias = (1 - student_fit.shrinkage) ** 2 @ np.diag(taught)
    spread = student_fit.spread.sum() * (unseen + student_fit.energy @ np.diag(taught))
    return unseen + bias + spread


@pytest.mark.parametrize("m", [5, 8, 40])
def test_the_best_penalty_of_isotropic_features_does_not_depend_on_the_rows(m):
    problem = ridge.Principal.from_bases(*random_problem(1))
    noise = problem.sigma2 + problem.rho_w

    def risk(penalty):
        return ridge.teacher(problem, ridge.ridge(np.ones(8), m, penalty))

    best = 8 * noise / np.sum(problem.alpha**2)
    grid = best * np.geomspace(0.5, 2, 41)
    assert grid[np.argmin([risk(penalty) for penalty in grid])] == pytest.approx(best)


def test_the_equivalent_describes_a_simulation():
    model = gaussian.authors_model(9, 0.01, d_w=60, d_s=30, active=90, D=300)
    problem = ridge.Principal.from_bases(
        model.weak_basis,
        model.strong_basis,
        model.theta,
        model.sigma2,
        model.weak_spectrum,
        model.strong_spectrum,
    )
    for n in (40, 90):
        rng = np.random.default_rng(n)
        heads = {"teacher_head": Ridge(0.2), "student_head": Ridge(0.5)}
        run = gaussian.simulate(model, n, 150, 100, rng, **heads)
        weak = ridge.ridge(model.weak_spectrum, n, 0.2)
        strong = ridge.ridge(model.strong_spectrum, 150, 0.5)
        expected = ridge.teacher(problem, weak), ridge.student(problem, weak, strong)
        assert run.teacher.mean() == pytest.approx(expected[0], rel=0.05)
        assert run.student.mean() == pytest.approx(expected[1], rel=0.05)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: ridge.ridge([1.0, 0.0], 5, 1), "spectrum: expected 2 positive"),
        (lambda p: ridge.ridge([1.0, 1.0], 2, 0), "give a positive penalty"),
        (lambda p: ridge.ridge([1.0, 1.0], 5, -1), "penalty: expected a finite number, at least 0"),
        (lambda p: ridge.ridge([1.0, 1.0], 0, 1), "count: expected at least 1"),
        (
            lambda p: ridge.teacher(p, ridge.ridge(np.ones(6), 9, 0)),
            "8 dimensions of the weak features",
        ),
        (
            lambda p: ridge.student(p, *[ridge.ridge(np.ones(8), 20, 0)] * 2),
            "student_fit: expected a fit in the 6 dimensions of the strong features, got one in 8",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(ridge.Principal.from_bases(*random_problem(0)))
