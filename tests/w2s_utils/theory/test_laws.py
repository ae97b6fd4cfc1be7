"""The exact sampler and the laws, against formulas, each other and least squares itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import integrate, stats

from w2s_utils import checks
from w2s_utils.theory import laws, risks, scaling
from w2s_utils.theory.laws import Canonical
from w2s_utils.theory.risks import Setting
from w2s_utils.theory.subspaces import pair_with_cosines

TRIALS = 150_000


def problem(cosines, d_w, d_s, *, inside=False, sigma2=0.4, seed=3):
    """Target everywhere, or ``inside`` both subspaces (the first cosine must be 1)."""
    rng = np.random.default_rng(seed)
    weak, strong = pair_with_cosines(d_w + d_s + 2, d_w, d_s, cosines, rng)
    theta = rng.standard_normal(d_w + d_s + 2) / 3
    return weak, strong, 1.3 * weak[:, 0] if inside else theta, sigma2


CASES = {
    "general angles": problem([0.9, 0.6, 0.2], 5, 3),
    "student larger": problem([0.9, 0.6, 0.2], 3, 6),
    "well specified": problem([1, 0.7, 0], 5, 3, inside=True),
    "one dimension each": problem([0.8], 1, 1),
    "one student dimension": problem([0.8], 4, 1),
    "noise-free": problem([0.9, 0.6, 0.2], 5, 3, sigma2=0.0),
}
every_case = pytest.mark.parametrize("case", CASES)


def mean_is(sample, expected, relative):
    return checks.mean_equals(
        sample.mean(),
        expected,
        standard_error=sample.std(ddof=1) / np.sqrt(len(sample)),
        trials=len(sample),
        unit="squared units of the target",
        against={"other by the tolerance": (1 + relative) * expected},
    )


@every_case
def test_setting_is_that_of_the_projections(case):
    weak, strong, theta, sigma2 = CASES[case]
    setting = Canonical.from_bases(weak, strong, theta, sigma2).setting
    p_w, p_s, one = weak @ weak.T, strong @ strong.T, np.eye(len(theta))
    expected = {
        "d_w": weak.shape[1],
        "d_s": strong.shape[1],
        "d_sw": np.trace(p_w @ p_s),
        "sigma2": sigma2,
        "rho_w": np.sum(((one - p_w) @ theta) ** 2),
        "rho_s": np.sum(((one - p_s) @ theta) ** 2),
        "b": np.sum((p_s @ (one - p_w) @ theta) ** 2),
        "kappa": np.sum(((one - p_s) @ p_w @ theta) ** 2),
        "residual": np.sum(((one - p_s) @ (one - p_w) @ theta) ** 2),
    }
    for name, value in expected.items():
        assert getattr(setting, name) == pytest.approx(value, abs=1e-12), name


def test_setting_does_not_depend_on_rotations_or_bases():
    rng = np.random.default_rng(0)
    weak, strong, theta, sigma2 = CASES["general angles"]
    turn, within = (np.linalg.qr(rng.standard_normal((k, k)))[0] for k in (10, 5))
    first = Canonical.from_bases(weak, strong, theta, sigma2)
    second = Canonical.from_bases(turn @ weak @ within, turn @ strong, turn @ theta, sigma2)
    assert_allclose(
        list(vars(second.setting).values()), list(vars(first.setting).values()), atol=1e-12
    )


def test_intersecting_subspaces_have_cosines_of_at_most_one():
    rng = np.random.default_rng(1)
    turn = np.linalg.qr(rng.standard_normal((40, 40)))[0]
    found = Canonical.from_bases(turn[:, :20], turn[:, :20], turn[0], 1.0)
    assert np.all(found.cosines <= 1)
    assert found.setting.d_sw == pytest.approx(20)
    assert found.setting.kappa == pytest.approx(0, abs=1e-12)


@every_case
def test_means_of_the_draws_are_the_exact_risks(case):
    canonical = Canonical.from_bases(*CASES[case])
    setting = canonical.setting
    # Ten rows to spare, so that the variance is finite and the finite-sample terms are large.
    n, N = setting.d_w + 11, setting.d_s + 11
    drawn = laws.sample(canonical, n, N, TRIALS, np.random.default_rng(4))
    r, tau = setting.d_s / 10, (setting.sigma2 + setting.rho_w) / 10
    misfit = (setting.kappa + tau * (setting.d_w - setting.d_sw)) * (1 + r)
    for sample, expected in (
        (drawn.teacher, risks.teacher(setting, n)),
        (drawn.student, risks.student(setting, n, N)),
        (drawn.misfit, misfit),
    ):
        assert mean_is(sample, expected, 0.04).verdict == "passed"
    # The check has teeth: the in-sample variance, d_s/N for r, is refuted out of sample.
    reduced = (tau * (setting.d_w - setting.d_sw) + setting.kappa) * (r - setting.d_s / N)
    wrong = risks.student(setting, n, N) - reduced
    if setting.d_s > 1:
        assert mean_is(drawn.student, wrong, 0.04).verdict == "refuted"


def test_bridge_gain_and_misfit_of_a_well_specified_problem():
    canonical = Canonical.from_bases(*CASES["well specified"])
    setting, n, N = canonical.setting, 20, 24
    drawn = laws.sample(canonical, n, N, TRIALS, np.random.default_rng(5))
    unseen = setting.sigma2 * (5 - setting.d_sw) / (n - 6)
    r = 3 / (N - 4)
    assert mean_is(drawn.gain, unseen * (1 - r), 0.04).verdict == "passed"
    assert mean_is(drawn.misfit, unseen * (1 + r), 0.04).verdict == "passed"


def test_many_pseudo_labels_make_gain_and_misfit_equal_draw_by_draw():
    canonical = Canonical.from_bases(*CASES["well specified"])
    drawn = laws.sample(canonical, 20, 10**14, 100, np.random.default_rng(6))
    assert_allclose(drawn.gain, drawn.misfit, rtol=1e-5)


@every_case
def test_draws_agree_with_the_algebra_in_canonical_coordinates(case):
    """All coordinates drawn, where the sampler keeps one component and a norm."""
    canonical = Canonical.from_bases(*CASES[case])
    d_w, d_s = canonical.alpha.size, canonical.beta.size
    n, N, trials, rng = d_w + 3, d_s + 3, 40_000, np.random.default_rng(7)
    setting = canonical.setting
    noise = np.sqrt((setting.sigma2 + setting.rho_w) / rng.chisquare(n - d_w + 1, trials))
    w = canonical.alpha + noise[:, None] * rng.standard_normal((trials, d_w))
    overlap = np.zeros((d_s, d_w))
    np.fill_diagonal(overlap, canonical.cosines)
    unseen = np.sum(w**2, axis=1) - np.sum((w @ overlap.T) ** 2, axis=1)
    spread = np.sqrt(unseen / rng.chisquare(N - d_s + 1, trials))
    delta = spread[:, None] * rng.standard_normal((trials, d_s))
    student = setting.rho_s + np.sum((w @ overlap.T + delta - canonical.beta) ** 2, axis=1)
    misfit = unseen + np.sum(delta**2, axis=1)
    teacher = setting.rho_w + np.sum((w - canonical.alpha) ** 2, axis=1)

    drawn = laws.sample(canonical, n, N, trials, rng)
    for first, second in (
        (drawn.teacher, teacher),
        (drawn.student, student),
        (drawn.misfit, misfit),
        (drawn.gain, teacher - student),
    ):
        # A distance of .03 would be found in these 40 000 draws.
        assert stats.ks_2samp(first, second, method="asymp").pvalue > checks.LEVEL


@pytest.mark.parametrize("rows", [(5, 40), (40, 3), (5, 3), (5 + 7, 3 + 1)])
def test_smallest_samples_are_drawn(rows):
    """At n = d_w and N = d_s the means are infinite, the laws are not."""
    canonical = Canonical.from_bases(*CASES["general angles"])
    drawn = laws.sample(canonical, *rows, 20_000, np.random.default_rng(8))
    law = laws.teacher_law(canonical.setting, rows[0])
    assert checks.follows(drawn.teacher, law.cdf, resolution=0.045).verdict == "passed"
    assert np.all(np.isfinite(drawn.student))
    assert np.all(drawn.misfit >= 0)


@every_case
def test_draws_of_the_teacher_follow_the_f_law(case):
    canonical = Canonical.from_bases(*CASES[case])
    setting, n = canonical.setting, canonical.alpha.size + 4
    drawn = laws.sample(canonical, n, 20, 20_000, np.random.default_rng(9)).teacher
    assert checks.follows(drawn, laws.teacher_law(setting, n).cdf, resolution=0.045).verdict == (
        "passed"
    )
    # One degree of freedom off is refuted where it matters.
    if setting.d_w > 1:
        wrong = laws.teacher_law(setting, n + 1).cdf
        assert checks.follows(drawn, wrong, resolution=0.045).verdict == "refuted"


@every_case
def test_closed_laws_have_the_exact_means(case):
    setting = Canonical.from_bases(*CASES[case]).setting
    n, N = setting.d_w + setting.d_s + 4, 30
    assert laws.teacher_law(setting, n).mean() == pytest.approx(risks.teacher(setting, n))
    assert laws.baseline_law(setting, n).mean() == pytest.approx(risks.baseline(setting, n))
    assert laws.ceiling_law(setting, n, N).mean() == pytest.approx(risks.ceiling(setting, n, N))


def test_quantiles_of_the_teacher_in_closed_form():
    """d_w = 2: the squared error is a Lomax variable, 1 + x/s^2 to the power -(n - 1)/2."""
    setting, n = risks.Setting(d_w=2, d_s=1, d_sw=0, sigma2=0.5, rho_w=0.1, rho_s=0), 9
    level = np.array([0.1, 0.5, 0.9, 0.999])
    expected = 0.1 + 0.6 * ((1 - level) ** (-2 / (n - 1)) - 1)
    assert_allclose(laws.teacher_law(setting, n).ppf(level), expected)


def test_the_same_generator_gives_the_same_draws_whatever_the_block(monkeypatch):
    canonical = Canonical.from_bases(*CASES["general angles"])
    first, second = (
        laws.sample(canonical, 20, 20, 1000, np.random.default_rng(1)) for _ in range(2)
    )
    assert_allclose(first.student, second.student, rtol=0)
    assert first.teacher.shape == first.student.shape == first.misfit.shape == (1000,)
    monkeypatch.setattr(laws, "BLOCK", 7)
    blocked = laws.sample(canonical, 20, 20, 1000, np.random.default_rng(1))
    assert blocked.gain.shape == (1000,)
    assert len(np.unique(blocked.gain)) == 1000


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda c, g: laws.sample(c, 4, 9, 5, g),
            r"n: expected at least 5 \(.*d_w labels\), got 4",
        ),
        (lambda c, g: laws.sample(c, 9, 2, 5, g), "N: expected at least 3 .*got 2"),
        (lambda c, g: laws.sample(c, np.nan, 9, 5, g), "n: .*got nan"),
        (lambda c, g: laws.sample(c, 9, 9, 0, g), "trials: expected at least 1"),
        (lambda c, g: laws.teacher_law(c.setting, 4), "n: expected at least 5"),
        (lambda c, g: laws.baseline_law(c.setting, 2), "n: expected at least 3"),
        (lambda c, g: laws.ceiling_law(c.setting, 1, 1), r"n \+ N: expected at least 3"),
        (
            lambda c, g: Canonical.from_bases(np.ones((4, 2)), np.eye(4), np.ones(4), 1),
            "weak_basis",
        ),
        (
            lambda c, g: Canonical.from_bases(np.eye(4), np.eye(3), np.ones(4), 1),
            "strong_basis: .*4",
        ),
        (
            lambda c, g: Canonical.from_bases(np.eye(4), np.eye(4), np.ones(3), 1),
            "theta: expected 4",
        ),
        (
            lambda c, g: Canonical.from_bases(np.eye(4), np.eye(4), np.ones((4, 1)), 1),
            r"theta: expected shape \(m,\)",
        ),
        (
            lambda c, g: Canonical.from_bases(np.eye(4), np.eye(4), np.ones(4), -1),
            r"sigma2: expected a finite number, at least 0 \(a variance\), got -1",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(Canonical.from_bases(*CASES["general angles"]), np.random.default_rng(0))


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.mark.parametrize(("d_s", "N"), [(1, 1), (1, 3), (10, 21), (10, 19), (40, 100)])
def test_disjoint_subspaces_reduce_to_two_chi_squares(d_s, N):
    closed = stats.beta.cdf(0.5, d_s / 2, (N - d_s + 1) / 2)
    found = laws.probability_of_gain(12, d_s, 0, N)
    assert found == pytest.approx(closed, abs=1e-5)


def test_one_shared_direction_of_two_against_direct_integration():
    # t ~ Beta(1/2, 1/2) = cos^2 of a uniform angle, d_s = 2.
    def conditional(y, angle):
        t = np.cos(angle) ** 2
        return stats.ncx2.cdf(y / (1 - t), 2, y * t / (1 - t)) * stats.chi2.pdf(y, 20)

    value = integrate.dblquad(conditional, 1e-9, np.pi / 2, 0, 90, epsabs=1e-8)[0] * 2 / np.pi
    assert laws.probability_of_gain(2, 2, 1, 21) == pytest.approx(value, abs=1e-4)


def test_quadrature_has_the_exact_mean_and_converges():
    coarse = laws.coordinate_law(20, 10, 5, 0.5, 60, 50, nodes=16)
    fine = laws.coordinate_law(20, 10, 5, 0.5, 60, 50, nodes=32)
    assert fine.weights.sum() == pytest.approx(1)
    mean = fine.weights @ (fine.seen + fine.d_s * fine.spread)
    assert mean == pytest.approx(risks.student(Setting(20, 10, 5, 0.5), 60, 50), rel=2e-3)
    x = fine.ppf([0.05, 0.5, 0.95])
    assert_allclose(coarse.cdf(x), fine.cdf(x), atol=3e-4)
    assert_allclose(fine.cdf(x), [0.05, 0.5, 0.95], atol=1e-8)


@pytest.mark.parametrize(("d_w", "d_s", "n", "N"), [(4, 6, 30, 40), (3, 5, 5, 7), (1, 1, 1, 1)])
def test_without_discrepancy_the_student_has_its_teachers_law(d_w, d_s, n, N):
    law = laws.coordinate_law(d_w, d_s, d_w, 0.5, n, N)
    teacher = laws.teacher_law(Setting(d_w, d_s, d_w, 0.5), n)
    assert laws.probability_of_gain(d_w, d_s, d_w, N) == 0
    assert law.mean() == teacher.mean()
    share = np.array([0.01, 0.2, 0.5, 0.8, 0.99])
    assert_allclose(law.ppf(share), teacher.ppf(share))


@pytest.mark.parametrize("d_sw", [0, 2, 4])
def test_the_mean_is_exact_with_as_few_pseudo_labels_as_it_exists_with(d_sw):
    expected = float(risks.student(Setting(4, 6, d_sw, 0.5), 30, 8))
    assert laws.coordinate_law(4, 6, d_sw, 0.5, 30, 8).mean() == pytest.approx(expected)
    assert laws.coordinate_law(4, 6, 2, 0.5, 30, 7).mean() == np.inf


# Every geometry that a law admits: corners are d_sw = 0, d_sw = min(d_w, d_s), n = d_w, N = d_s.
geometries = st.tuples(
    st.integers(1, 40), st.integers(1, 40), st.integers(0, 40), st.integers(0, 60)
).map(lambda g: (g[0], g[1], min(g[0], g[1], g[2]), g[1] + g[3]))


@settings(max_examples=40)
@given(geometry=geometries, spare=st.integers(0, 30))
def test_every_admitted_geometry_has_a_law(geometry, spare):
    d_w, d_s, d_sw, N = geometry
    n = d_w + spare
    law = laws.coordinate_law(d_w, d_s, d_sw, 0.5, n, N, nodes=12)
    expected = risks.student(Setting(d_w, d_s, d_sw, 0.5), n, N)
    assert_allclose(law.mean(), np.inf if spare < 2 else expected)
    level = np.array([0.05, 0.5, 0.95])
    points = law.ppf(level)
    assert np.all(np.diff(points) > 0)
    assert_allclose(law.cdf(points), level, atol=1e-7)
    assert law.cdf(0.0) == 0
    odds = laws.probability_of_gain(*geometry)
    assert 0 <= odds <= 1
    assert odds == pytest.approx(laws.probability_of_gain(*geometry, nodes=96), abs=1e-4)
    assert laws.probability_of_gain(d_w, d_s, d_sw, N + 5) >= odds - 1e-4
    # Drawn runs: at level 1e-9 a binomial count of 4000 strays by at most 0.05.
    weak, strong = pair_with_cosines(d_w + d_s, d_w, d_s, np.arange(min(d_w, d_s)) < d_sw)
    model = Canonical.from_bases(weak, strong, np.zeros(d_w + d_s), 0.5)
    drawn = laws.sample(model, n, N, 4000, np.random.default_rng(1))
    assert_allclose(np.mean(drawn.student <= points[:, None], axis=1), level, atol=0.05)
    if d_sw < d_w:
        assert abs(np.mean(drawn.gain > 0) - odds) < 0.05


def nested(rng, tilt):
    """A teacher's subspace inside the student's, up to angles of about ``tilt``."""
    strong = np.linalg.qr(rng.standard_normal((16, 6)))[0]
    weak = strong @ rng.standard_normal((6, 4)) + tilt * rng.standard_normal((16, 4))
    return np.linalg.qr(weak)[0], strong


@pytest.mark.parametrize("length", [0.0, 1.0])
def test_a_teacher_inside_the_student_up_to_rounding_is_its_student(rng, length):
    weak, strong = nested(rng, 0.0)
    problem = Canonical.from_bases(weak, strong, length * rng.standard_normal(16), 0.5)
    assert np.all(problem.cosines == 1)
    drawn = laws.sample(problem, 20, 30, 200, rng)
    assert_allclose(drawn.student, drawn.teacher, rtol=1e-9)
    assert np.all(drawn.misfit == 0)
    assert scaling.pseudo_labels_to_help(problem.setting, 20) == np.inf
    near = Setting(4, 6, 4 - 1e-15, 0.5)
    assert scaling.pseudo_labels_to_help(near, 20) == np.inf


def test_angles_near_zero_have_the_limit_of_small_ones():
    odds = []
    for tilt in (1e-3, 1e-5, 1e-6):
        problem = Canonical.from_bases(*nested(np.random.default_rng(1), tilt), np.zeros(16), 0.5)
        drawn = laws.sample(problem, 20, 30, 4000, np.random.default_rng(2))
        odds.append(np.mean(drawn.gain > 0))
    assert 0.1 < odds[0] < 0.9
    assert_allclose(odds, odds[0], atol=0.03)


def test_far_from_the_centre_the_noncentral_law_is_finite_and_continuous():
    # SciPy's takes minutes or is NaN there.
    far = laws.LARGE * np.array([0.99, 1.01, 1e4, 1e6])
    assert_allclose(laws._noncentral(far + 9, 10, far), 0.5, atol=1e-4)


def test_the_size_of_the_teachers_error_cancels(rng):
    weak, strong = pair_with_cosines(12, 5, 4, [1, 0.7, 0.4, 0], rng)
    shares = []
    for n, sigma2 in ((6, 0.01), (60, 4.0)):
        problem = Canonical.from_bases(weak, strong, np.zeros(12), sigma2)
        shares.append(np.mean(laws.sample(problem, n, 10, 20_000, rng).gain > 0))
    assert abs(shares[0] - shares[1]) < 4.9 * np.sqrt(0.5 / 20_000)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"d_sw": 2.5}, r"d_sw: expected an integer.*use sample"),
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
        laws.coordinate_law(**sizes)


def test_bad_probabilities_are_refused():
    with pytest.raises(ValueError, match=r"probability: expected numbers in \(0, 1\)"):
        laws.coordinate_law(6, 4, 2, 1.0, 20, 20).ppf(1.0)
