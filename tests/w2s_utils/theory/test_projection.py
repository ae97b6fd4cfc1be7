"""The geometry of the misfit theorem, on every class of functions, degenerate ones included."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose
from scipy import optimize
from sklearn.isotonic import isotonic_regression

from w2s_utils.theory import projection

RADIUS = 0.7


def _ball(rng, k):
    direction = rng.standard_normal(k)
    return RADIUS * rng.uniform() ** (1 / k) * direction / np.linalg.norm(direction)


# Class: projection, a random member's coefficients, and how far coefficients are from feasible.
CLASSES = {
    "subspace": (
        projection.onto_subspace,
        lambda rng, k: rng.standard_normal(k),
        lambda c: 0.0,
    ),
    "box": (
        lambda u, phi: projection.onto_box(u, phi, -0.3, 0.5),
        lambda rng, k: rng.uniform(-0.3, 0.5, k),
        lambda c: max(np.max(-0.3 - c), np.max(c - 0.5)),
    ),
    "ball": (
        lambda u, phi: projection.onto_ball(u, phi, RADIUS),
        _ball,
        lambda c: np.linalg.norm(c) - RADIUS,
    ),
    "cone": (
        projection.onto_cone,
        lambda rng, k: rng.exponential(size=k) * (rng.uniform(size=k) < 0.5),
        lambda c: np.max(-c),
    ),
    "hull": (
        projection.onto_hull,
        lambda rng, k: rng.dirichlet(np.full(k, 0.4)),
        lambda c: max(np.max(-c), abs(c.sum() - 1)),
    ),
    "l1 ball": (
        lambda u, phi: projection.onto_l1_ball(u, phi, RADIUS),
        lambda rng, k: RADIUS * rng.uniform() * rng.dirichlet(np.ones(k)) * rng.choice([-1, 1], k),
        lambda c: np.abs(c).sum() - RADIUS,
    ),
}
every_class = pytest.mark.parametrize("name", CLASSES)
problems = st.integers(1, 7).flatmap(
    lambda m: st.tuples(
        hnp.arrays(float, m, elements=st.integers(-4, 4).map(float)),
        # Small integers: zero, repeated and dependent columns are common.
        hnp.arrays(
            float, st.tuples(st.just(m), st.integers(1, 6)), elements=st.integers(-2, 2).map(float)
        ),
        st.integers(0, 2**32 - 1),
    )
)


@every_class
@given(problem=problems)
def test_angle_at_the_projection_is_obtuse(name, problem):
    u, phi, seed = problem
    project, member, _ = CLASSES[name]
    p = project(u, phi).values
    rng = np.random.default_rng(seed)
    others = phi @ np.stack([member(rng, phi.shape[1]) for _ in range(20)], axis=1)
    scale = 1 + np.abs(u).max() * np.abs(others).max()
    assert np.max((u - p) @ (others - p[:, None])) <= 1e-9 * scale * len(u)


@every_class
@given(problem=problems)
def test_projection_is_feasible_and_idempotent(name, problem):
    u, phi, _ = problem
    project, _, excess = CLASSES[name]
    p = project(u, phi)
    assert excess(p.coefficients) <= 1e-12
    assert_allclose(p.values, phi @ p.coefficients, atol=1e-12)
    assert_allclose(project(p.values, phi).values, p.values, atol=1e-7)


@every_class
@given(problem=problems)
def test_gain_is_at_least_the_misfit_for_a_truth_in_the_class(name, problem):
    u, phi, seed = problem
    project, member, _ = CLASSES[name]
    truth = phi @ member(np.random.default_rng(seed), phi.shape[1])
    found = projection.misfit_and_gain(truth, u, project(u, phi).values)
    slack = 1e-9 * (1 + found.teacher_error)
    assert found.gain >= found.misfit - slack
    if name == "subspace":
        assert found.gain <= found.misfit + slack


@every_class
@given(problem=problems)
def test_unrealizable_truth_costs_at_most_twice_the_root_of_error_times_misfit(name, problem):
    u, phi, seed = problem
    project, _, _ = CLASSES[name]
    truth = np.random.default_rng(seed).standard_normal(len(u))
    best = projection.misfit_and_gain(truth, truth, project(truth, phi).values)
    found = projection.misfit_and_gain(truth, u, project(u, phi).values)
    slack = 2 * np.sqrt(best.misfit * found.misfit)
    assert found.gain >= found.misfit - slack - 1e-9 * (1 + found.teacher_error)


@pytest.mark.parametrize("name", ["subspace", "cone", "hull"])
@pytest.mark.parametrize("scale", [1e-12, 1e-4, 1e5, 1e12])
def test_scaling_the_problem_scales_the_projection(name, scale, rng):
    project = CLASSES[name][0]
    u, phi = rng.standard_normal(9), rng.standard_normal((9, 4))
    both = scale if name == "hull" else 1.0
    expected = scale * project(u, phi).values
    assert_allclose(project(scale * u, both * phi).values, expected, rtol=1e-9, atol=1e-12 * scale)


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_scaling_features_inversely_to_the_bounds_changes_nothing(scale, rng):
    u, phi = rng.standard_normal(9), rng.standard_normal((9, 4))
    pairs = [
        (
            projection.onto_box(u, phi, -0.1, 0.2),
            projection.onto_box(u, scale * phi, -0.1 / scale, 0.2 / scale),
        ),
        (projection.onto_ball(u, phi, 0.3), projection.onto_ball(u, scale * phi, 0.3 / scale)),
        (
            projection.onto_l1_ball(u, phi, 0.3),
            projection.onto_l1_ball(u, scale * phi, 0.3 / scale),
        ),
    ]
    for first, second in pairs:
        assert_allclose(first.values, second.values, atol=1e-9)


@given(problem=problems)
def test_hull_agrees_with_a_second_solver(problem):
    u, vertices, _ = problem
    k = vertices.shape[1]
    second = optimize.minimize(
        lambda w: np.sum((vertices @ w - u) ** 2),
        np.full(k, 1 / k),
        jac=lambda w: 2 * vertices.T @ (vertices @ w - u),
        bounds=[(0, 1)] * k,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones(k)},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    # SLSQP may stop early on degenerate cases, never below the optimum.
    distance = np.sum((projection.onto_hull(u, vertices).values - u) ** 2)
    assert distance <= second.fun + 1e-7 * (1 + second.fun)
    if second.success:
        assert distance >= second.fun - 1e-5 * (1 + second.fun)


def test_hull_leaves_a_teacher_inside_alone(rng):
    vertices, weights = rng.standard_normal((10, 4)), np.array([0.1, 0.2, 0.3, 0.4])
    found = projection.onto_hull(vertices @ weights, vertices)
    assert_allclose(found.coefficients, weights, atol=1e-12)


@pytest.mark.parametrize("copies", [1, 5])
def test_hull_of_one_vertex_or_of_its_copies_is_that_vertex(copies, rng):
    vertex = rng.standard_normal((6, 1))
    for teacher in (rng.standard_normal(6), vertex[:, 0]):
        found = projection.onto_hull(teacher, np.repeat(vertex, copies, axis=1))
        assert_allclose(found.values, vertex[:, 0], atol=1e-12)
        assert found.coefficients.sum() == pytest.approx(1)


@pytest.mark.parametrize("distance", [1.0, 1e3, 1e6, 1e9])
def test_hull_keeps_its_digits_however_far_the_teacher(distance, rng):
    vertices, weights = rng.standard_normal((10, 4)), np.array([0.1, 0.2, 0.3, 0.4])
    edges = vertices[:, 1:] - vertices[:, :1]
    normal = np.linalg.qr(edges, mode="complete")[0][:, -1]
    found = projection.onto_hull(vertices @ weights + distance * normal, vertices)
    assert_allclose(found.coefficients, weights, atol=1e-14 + 1e-14 * distance)


def test_hull_of_two_points_in_closed_form():
    found = projection.onto_hull([0.25, 3.0], [[1.0, 0.0], [0.0, 0.0]])
    # The segment from (1, 0) to (0, 0).
    assert_allclose(found.coefficients, [0.25, 0.75])


def test_ball_inside_on_and_outside_the_radius(rng):
    u, phi = rng.standard_normal(12), rng.standard_normal((12, 3))
    free = projection.onto_subspace(u, phi).coefficients
    norm = np.linalg.norm(free)
    for radius in (norm * (1 + 1e-12), 2 * norm, 1e9):
        assert_allclose(projection.onto_ball(u, phi, radius).coefficients, free, rtol=1e-9)
    for share in (0.999, 0.5, 1e-6, 1e-30):
        found = projection.onto_ball(u, phi, share * norm).coefficients
        assert np.linalg.norm(found) == pytest.approx(share * norm, rel=1e-9)
    # A vanishing ball points along the moment of the features with the teacher.
    moment = phi.T @ u
    assert_allclose(found / np.linalg.norm(found), moment / np.linalg.norm(moment), rtol=1e-6)


def test_ball_of_orthonormal_features_shrinks_the_free_solution(rng):
    phi = np.linalg.qr(rng.standard_normal((8, 3)))[0]
    u = rng.standard_normal(8)
    free = phi.T @ u
    expected = 0.1 * free / np.linalg.norm(free)
    assert_allclose(projection.onto_ball(u, phi, 0.1).coefficients, expected, rtol=1e-12)


def test_box_and_cone_of_identity_features_clip():
    u = np.array([-2.0, -0.1, 0.3, 4.0])
    assert_allclose(projection.onto_box(u, np.eye(4), -1, 0.5).values, np.clip(u, -1, 0.5))
    assert_allclose(projection.onto_cone(u, np.eye(4)).values, np.maximum(u, 0))
    low, high = np.array([-3, 0, -np.inf, 1]), np.array([-2.5, 1, 0, np.inf])
    assert_allclose(projection.onto_box(u, np.eye(4), low, high).values, np.clip(u, low, high))


def test_l1_ball_of_identity_features_thresholds_softly():
    # Threshold 1.5 brings the norm from 6 to 2.
    u = np.array([3.0, -2.0, 0.5, 0.5])
    assert_allclose(
        projection.onto_l1_ball(u, np.eye(4), 2.0).values, [1.5, -0.5, 0, 0], atol=1e-12
    )


def test_large_rank_deficient_features_stay_in_their_column_space():
    # LAPACK's default cut-off leaves the column space here, by 0.017.
    rng = np.random.default_rng(11)
    independent = rng.standard_normal((2000, 50))
    phi = np.hstack([independent, independent @ rng.standard_normal((50, 200))])
    phi *= np.logspace(0, 3, 250)
    u = rng.standard_normal(2000)
    basis = np.linalg.qr(independent)[0]
    expected = basis @ (basis.T @ u)
    assert_allclose(projection.onto_subspace(u, phi).values, expected, atol=1e-10)


def test_subspace_gives_the_head_of_least_norm(rng):
    phi = rng.standard_normal((8, 3)) @ rng.standard_normal((3, 6))
    u = rng.standard_normal(8)
    expected = np.linalg.pinv(phi, rcond=1e-10) @ u
    assert_allclose(projection.onto_subspace(u, phi).coefficients, expected, atol=1e-10)


def test_subspace_identity_is_exact_to_machine_precision(rng):
    for _ in range(50):
        phi = rng.standard_normal((40, 6))
        truth, teacher = phi @ rng.standard_normal(6), rng.standard_normal(40)
        found = projection.misfit_and_gain(
            truth, teacher, projection.onto_subspace(teacher, phi).values
        )
        assert found.gain == pytest.approx(found.misfit, abs=1e-14 * found.teacher_error)


def test_a_finite_set_breaks_the_theorem(rng):
    """The negative control: no convexity, and the gain can be below the misfit."""
    violations = 0
    for _ in range(100):
        functions, teacher = rng.standard_normal((5, 4)), rng.standard_normal(5)
        student = projection.onto_finite_set(teacher, functions)
        assert sorted(student.coefficients) == [0, 0, 0, 1]
        distances = np.mean((functions - teacher[:, None]) ** 2, axis=0)
        found = projection.misfit_and_gain(functions[:, 0], teacher, student.values)
        assert found.misfit == pytest.approx(distances.min())
        violations += found.gain < found.misfit - 1e-9
    assert violations > 20


def test_the_four_distances_by_hand():
    found = projection.misfit_and_gain([0.0, 0.0], [3.0, 1.0], [1.0, 1.0])
    assert (found.teacher_error, found.student_error, found.misfit) == (5, 1, 2)
    assert found.gain == 4


@pytest.mark.parametrize("unit", [1e-12, 1e-7, 1e7])
@pytest.mark.parametrize(
    "onto",
    [
        lambda u, phi, unit: projection.onto_box(u, phi, -0.3 * unit, 0.5 * unit),
        lambda u, phi, unit: projection.onto_ball(u, phi, RADIUS * unit),
        lambda u, phi, unit: projection.onto_l1_ball(u, phi, RADIUS * unit),
        lambda u, phi, unit: projection.onto_cone(u, phi),
        lambda u, phi, unit: projection.onto_hull(u, unit * phi),
    ],
    ids=["box", "ball", "l1 ball", "cone", "hull"],
)
def test_the_unit_of_the_target_does_not_matter(onto, unit):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        u, phi = rng.standard_normal(30), rng.standard_normal((30, 6))
        expected = onto(u, phi, 1.0).values
        found = onto(unit * u, phi, unit).values / unit
        assert_allclose(found, expected, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize("unit", [1e-7, 1e7])
def test_the_unit_of_a_feature_does_not_matter_to_bounded_heads(unit):
    rng = np.random.default_rng(2)
    u, phi = rng.standard_normal(30), rng.standard_normal((30, 6))
    units = np.array([1, unit, 1, unit, 1, 1])
    expected = projection.onto_box(u, phi, -0.05, 0.02).values
    found = projection.onto_box(u, units * phi, -0.05 / units, 0.02 / units)
    assert_allclose(found.values, expected, atol=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda u, a: projection.onto_subspace(u[:-1], a), r"features: expected 3 rows.*got 4"),
        (lambda u, a: projection.onto_subspace(a, a), r"teacher: expected shape \(m,\)"),
        (lambda u, a: projection.onto_subspace(u, u), r"features: expected a non-empty matrix"),
        (lambda u, a: projection.onto_cone(u * np.nan, a), r"teacher: 4 entries are NaN"),
        (lambda u, a: projection.onto_cone(u, a + 1j), r"features: expected real numbers"),
        (lambda u, a: projection.onto_hull(u, a / 0), r"vertices: .* NaN or infinite.*remove"),
        (lambda u, a: projection.onto_hull(u, a.astype(str)), r"vertices: expected real numbers"),
        (lambda u, a: projection.onto_finite_set(u, a[:2]), r"functions: expected 4 rows"),
        (lambda u, a: projection.onto_box(u, a, 1, 1), r"lower, upper: expected lower < upper"),
        (lambda u, a: projection.onto_box(u, a, np.nan, 1), r"lower: .*got nan"),
        (lambda u, a: projection.onto_box(u, a, 0, [1, 1, 1]), r"upper: .*shape \(2,\)"),
        (lambda u, a: projection.onto_ball(u, a, 0), r"radius: expected a positive.*onto_subspace"),
        (lambda u, a: projection.onto_ball(u, a, np.inf), r"radius: expected a positive finite"),
        (lambda u, a: projection.onto_ball(u, a, "1"), r"radius: expected real numbers"),
        (lambda u, a: projection.onto_l1_ball(u, a, -1), r"radius: expected a positive"),
        (lambda u, a: projection.misfit_and_gain(u, u[:2], u), r"teacher: expected 4 rows"),
        (lambda u, a: projection.misfit_and_gain(u, u, a), r"student: expected shape \(m,\)"),
        (lambda u, a: projection.misfit_and_gain([None] * 4, u, u), r"truth: expected real"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.arange(4.0), np.ones((4, 2)))


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@every_class
@given(problem=problems)
def test_every_term_of_the_decomposition_has_its_sign(name, problem):
    teacher, features, seed = problem
    project = CLASSES[name][0]
    truth = np.random.default_rng(seed).standard_normal(len(teacher))
    best = project(truth, features).values
    terms = projection.decompose(truth, teacher, project(teacher, features).values, best)
    scale = 1 + terms.teacher_error + terms.misfit
    assert_allclose(
        terms.gain, terms.misfit + 2 * terms.angle + 2 * terms.cross, atol=1e-10 * scale
    )
    assert terms.angle >= -1e-7 * scale
    assert abs(terms.cross) <= np.sqrt(terms.approximation * terms.misfit) + 1e-10 * scale
    assert terms.gain >= terms.bound - 1e-7 * scale
    assert terms.gain >= -terms.approximation - 1e-7 * scale
    if name == "subspace":
        assert_allclose(terms.angle, 0, atol=1e-8 * scale)


@pytest.mark.parametrize("reach", [0.3, 1.0, 2.5])
def test_bound_is_attained_by_teacher_and_truth_on_one_normal(reach):
    # The normal cone of the box at its corner (0.5, 0.5) is the quadrant above it.
    corner, normal = np.array([0.5, 0.5]), np.array([1.0, 2.0])
    teacher, truth = corner + reach * normal, corner + normal
    student = projection.onto_box(teacher, np.eye(2), -0.3, 0.5).values
    assert_allclose(student, corner)
    terms = projection.decompose(truth, teacher, student, corner)
    assert_allclose(terms.gain, terms.bound, atol=1e-12)
    assert_allclose(terms.tightness, 1, atol=1e-12)


def test_decompose_in_the_realizable_case_allows_nothing():
    terms = projection.decompose([1.0, 0], [2.0, 1], [2.0, 0], [1.0, 0])
    assert terms.approximation == 0
    assert terms.tightness == 0
    assert terms.gain == terms.bound == terms.misfit


@pytest.mark.parametrize("bad", [[1.0], [1.0, np.nan]])
def test_decompose_refuses_bad_values(bad):
    with pytest.raises(ValueError, match="best"):
        projection.decompose([1.0, 0], [2.0, 1], [2.0, 0], bad)


def test_weight_decay_differs_by_its_formula_and_is_a_projection_on_a_ball(rng):
    for _ in range(50):
        phi, teacher = rng.standard_normal((30, 5)), rng.standard_normal(30)
        true, penalty = rng.standard_normal(5), 10 ** rng.uniform(-2, 1)
        head = np.linalg.solve(phi.T @ phi / 30 + penalty * np.eye(5), phi.T @ teacher / 30)
        ball = projection.onto_ball(teacher, phi, np.linalg.norm(head))
        assert_allclose(ball.coefficients, head, atol=1e-9)
        found = projection.misfit_and_gain(phi @ true, teacher, phi @ head)
        expected = 2 * penalty * (head @ head - head @ true)
        assert_allclose(found.gain - found.misfit, expected, atol=1e-9)


def test_on_a_sphere_the_difference_has_the_sign_of_the_length_of_the_teachers_head(rng):
    for _ in range(50):
        phi = np.sqrt(30) * np.linalg.qr(rng.standard_normal((30, 5)))[0]
        true = rng.standard_normal(5)
        true /= np.linalg.norm(true)
        teacher = rng.standard_normal(30) + phi @ true
        head = phi.T @ teacher / 30
        length = np.linalg.norm(head)
        student = head / length
        found = projection.misfit_and_gain(phi @ true, teacher, phi @ student)
        expected = -2 * (1 - length) * (1 - student @ true)
        assert_allclose(found.gain - found.misfit, expected, atol=1e-10)


def test_linear_heads_exchange_errors_outside_the_class(rng):
    for _ in range(50):
        phi, truth, teacher = rng.standard_normal((30, 5)), *rng.standard_normal((2, 30))
        best, student = (projection.onto_subspace(f, phi).values for f in (truth, teacher))
        terms = projection.decompose(truth, teacher, student, best)
        outside = np.mean((teacher - student - truth + best) ** 2)
        assert_allclose(terms.gain, outside - terms.approximation, atol=1e-12)
        # Polarisation: the law of cosines outside the class.
        assert_allclose(-2 * terms.cross, terms.misfit + terms.approximation - outside, atol=1e-12)


def _monotone(u):
    """Non-decreasing functions: a cone of steps, and a constant of either sign."""
    steps = np.tri(len(u))
    return projection.onto_cone(u, np.column_stack([steps, -steps[:, 0]])).values


def _averages_and_less(u):
    """Corner of the simplex: non-negative values whose sum is at most one."""
    return projection.onto_hull(u, np.column_stack([np.zeros(len(u)), np.eye(len(u))])).values


OUTSIDE = {  # classes that no chapter uses, with a second way to project on them
    "monotone": (_monotone, isotonic_regression),
    "half line": (
        lambda u: projection.onto_box(u, np.ones((len(u), 1)), 0.2, np.inf).values,
        lambda u: np.full(len(u), max(u.mean(), 0.2)),
    ),
    "corner": (
        _averages_and_less,
        lambda u: np.maximum(u, 0) if np.maximum(u, 0).sum() <= 1 else _simplex_by_sorting(u),
    ),
}


def _simplex_by_sorting(u):
    down = np.sort(u)[::-1]
    shifts = (np.cumsum(down) - 1) / np.arange(1, len(u) + 1)
    return np.maximum(u - shifts[np.nonzero(down > shifts)[0][-1]], 0)


@pytest.mark.parametrize("name", OUTSIDE)
@given(u=hnp.arrays(float, st.integers(2, 8), elements=st.floats(-3, 3, width=16)))
def test_classes_outside_the_books_list(name, u):
    project, second = OUTSIDE[name]
    found = project(u)
    assert_allclose(found, second(u), atol=1e-9)
    assert_allclose(project(found), found, atol=1e-9)
    truth = project(np.flip(u))
    four = projection.misfit_and_gain(truth, u, found)
    assert four.gain >= four.misfit - 1e-9


@pytest.mark.parametrize("unit", [1e-9, 1e-4, 1e6])
def test_the_unit_does_not_matter_outside_the_books_list(unit, rng):
    for _ in range(10):
        u = rng.standard_normal(12)
        assert_allclose(_monotone(unit * u) / unit, _monotone(u), atol=1e-9)
        phi = rng.standard_normal((12, 4))
        wedge = ([-0.1, 0.0, -np.inf, 0.05], [0.2, np.inf, 0.0, 0.3])  # some sides are open
        expected = projection.onto_box(u, phi, *wedge).values
        scaled = projection.onto_box(unit * u, unit * phi, *wedge).values / unit
        assert_allclose(scaled, expected, atol=1e-9)
