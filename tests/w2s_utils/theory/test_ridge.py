import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2s_utils import gaussian
from w2s_utils.least_squares import Ridge
from w2s_utils.theory import ridge, risks, subspaces

few = settings(max_examples=25, deadline=None)


def random_problem(seed, d_w=8, d_s=6, ambient=18):
    rng = np.random.default_rng(seed)
    bases = subspaces.pair_with_cosines(ambient, d_w, d_s, rng.uniform(size=min(d_w, d_s)), rng)
    return *bases, rng.standard_normal(ambient), 0.3


@few
@given(seed=st.integers(0, 1000), n=st.integers(10, 99), N=st.integers(8, 99))
def test_enough_rows_give_the_exact_risks_of_least_squares(seed, n, N):
    arguments = random_problem(seed)
    problem = ridge.Principal.from_bases(*arguments)
    expected = risks.exact(gaussian.GaussianModel(*arguments).setting, n, N)
    weak, strong = ridge.minimum_norm(8, n), ridge.minimum_norm(6, N)
    assert ridge.teacher(problem, weak) == pytest.approx(float(expected.teacher), rel=1e-10)
    assert ridge.student(problem, weak, strong) == pytest.approx(float(expected.student), rel=1e-10)


@few
@given(d=st.integers(3, 60), data=st.data())
def test_too_few_rows_project_on_a_random_subspace(d, data):
    m = data.draw(st.integers(1, d - 2))
    fit = ridge.minimum_norm(d, m)
    # A projection of rank m keeps m/d of the squared length, and only shortens.
    length = fit.shrinkage[0] ** 2 + fit.rank_one + fit.spread.sum() * fit.energy[0]
    assert length == pytest.approx(m / d, rel=1e-9)
    assert fit.spread.sum() == pytest.approx(m / (d - m - 1), rel=1e-12)


def test_one_row_by_hand():
    # w = (a.t) a / |a|^2 with a uniform in direction: E (w_1 - t_1)^2 for t = e_1, d = 3.
    fit = ridge.minimum_norm(3, 1)
    variance = fit.rank_one + fit.spread[0] * fit.energy[0]
    assert fit.shrinkage[0] == pytest.approx(1 / 3)
    assert variance == pytest.approx(1 / 5 - 1 / 9)  # E a_1^4/|a|^4 = 3/(d(d+2))


@pytest.mark.parametrize("m", [5, 6, 7])
def test_the_peak_is_refused(m):
    with pytest.raises(ValueError, match=r"at most d - 2 = 4 or at least d \+ 2 = 8 rows"):
        ridge.minimum_norm(6, m)


spectra = st.lists(st.floats(0.01, 10), min_size=2, max_size=20).map(np.array)


@few
@given(spectrum=spectra, m=st.integers(1, 40), penalty=st.floats(1e-6, 1e4))
def test_effective_penalty_solves_its_equation(spectrum, m, penalty):
    kappa = ridge.effective_penalty(spectrum, m, penalty)
    assert np.sum(spectrum / (spectrum + kappa)) + penalty / kappa == pytest.approx(m, rel=1e-8)


@few
@given(
    spectrum=spectra, m=st.integers(1, 40), penalty=st.floats(1e-3, 1e4), scale=st.floats(0.1, 9)
)
def test_the_unit_of_the_features_does_not_matter(spectrum, m, penalty, scale):
    one, two = ridge.ridge(spectrum, m, penalty), ridge.ridge(scale * spectrum, m, scale * penalty)
    for name in ("shrinkage", "spread", "energy"):
        np.testing.assert_allclose(getattr(one, name), getattr(two, name), rtol=1e-7)


@pytest.mark.parametrize("m", [300, 1200])
def test_the_ridgeless_limit_on_both_sides(m):
    exact, limit = ridge.minimum_norm(600, m), ridge.ridge(np.ones(600), m, 1e-9)
    np.testing.assert_allclose(limit.shrinkage, exact.shrinkage, rtol=1e-6)
    np.testing.assert_allclose(limit.spread, exact.spread, rtol=1e-2)


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
        (lambda p: ridge.ridge([1.0, 0.0], 5, 1), "spectrum: expected positive variances, got 0"),
        (lambda p: ridge.ridge([1.0, 1.0], 2, 0), "give a positive penalty"),
        (lambda p: ridge.ridge([1.0, 1.0], 5, -1), "penalty: expected a finite number, at least 0"),
        (lambda p: ridge.ridge([1.0, 1.0], 0, 1), "count: expected at least 1"),
        (lambda p: ridge.teacher(p, ridge.minimum_norm(6, 9)), "8 dimensions of the weak features"),
        (
            lambda p: ridge.student(p, ridge.minimum_norm(8, 20), ridge.minimum_norm(8, 20)),
            "student_fit: expected a fit in the 6 dimensions of the strong features, got one in 8",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(ridge.Principal.from_bases(*random_problem(0)))
