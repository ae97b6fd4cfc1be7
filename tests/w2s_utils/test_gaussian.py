"""The Gaussian model: the direct simulation against the formulas and the exact law."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from w2s_utils import checks
from w2s_utils.gaussian import (
    GaussianModel,
    authors_model,
    gaussian_rows,
    shared_model,
    simulate,
    student_rows,
)
from w2s_utils.least_squares import Ridge
from w2s_utils.theory import risks
from w2s_utils.theory.subspaces import pair_with_cosines


def build(cosines, d_w, d_s, *, well_specified=False, seed=2):
    rng = np.random.default_rng(seed)
    ambient = d_w + d_s + 1
    weak, strong = pair_with_cosines(ambient, d_w, d_s, cosines, rng)
    theta = weak[:, 0] if well_specified else rng.standard_normal(ambient) / 4
    return GaussianModel(
        weak,
        strong,
        theta,
        sigma2=0.5,
        # Least squares must undo these scales.
        weak_spectrum=1 / np.arange(1, d_w + 1),
        strong_spectrum=np.linspace(0.1, 3, d_s),
    )


MODELS = {
    "general angles, misspecified": build([0.9, 0.6, 0.2], 4, 3),
    "student larger, misspecified": build([0.9, 0.5], 2, 4),
    "well specified": build([1, 0.3, 0, 0, 0, 0], 8, 6, well_specified=True),
    "one dimension each": build([0.8], 1, 1),
}
every_model = pytest.mark.parametrize("name", MODELS)
TRIALS = 2000


def sizes(model):
    # Few rows to spare: d/n and d/(n - d - 1) differ by much more than the resolution.
    return model.setting.d_w + 14, model.setting.d_s + 9


@cache
def direct(name, evaluate="population"):
    model = MODELS[name]
    n, N = sizes(model)
    return simulate(model, n, N, TRIALS, np.random.default_rng(21), evaluate=evaluate)


def mean_is(result, quantity, expected, relative):
    estimate = result.mean(quantity)
    return checks.mean_equals(
        estimate.value,
        expected,
        standard_error=estimate.standard_error,
        trials=estimate.trials,
        unit="squared units of the target",
        against={"other by the tolerance": (1 + relative) * expected},
    ).verdict


@every_model
def test_direct_simulation_has_the_exact_means(name):
    model, result = MODELS[name], direct(name)
    found = risks.exact(model.setting, *sizes(model))
    for quantity in ("teacher", "student", "baseline", "ceiling"):
        assert mean_is(result, quantity, getattr(found, quantity), 0.25) == "passed"


def test_a_wrong_formula_is_refuted_by_the_direct_simulation():
    """d/n for d/(n - d - 1): the authors' expressions are not the means out of sample."""
    model, result = MODELS["well specified"], direct("well specified")
    n, N = sizes(model)
    bounds = risks.authors_bounds(model.setting, n, N)
    for quantity in ("teacher", "student", "baseline"):
        assert mean_is(result, quantity, getattr(bounds, quantity), 0.25) == "refuted"


@every_model
def test_direct_simulation_has_the_exact_mean_in_sample(name):
    model = MODELS[name]
    expected = risks.student_in_sample(model.setting, *sizes(model))
    assert mean_is(direct(name, "unlabelled"), "student", expected, 0.25) == "passed"


def test_in_sample_and_fresh_risks_differ():
    name = "well specified"
    expected = risks.student_in_sample(MODELS[name].setting, *sizes(MODELS[name]))
    assert mean_is(direct(name), "student", expected, 0.25) == "refuted"


@every_model
def test_exact_law_is_that_of_the_direct_simulation(name):
    model, first = MODELS[name], direct(name)
    second = simulate(model, *sizes(model), 20_000, np.random.default_rng(22), method="exact")
    for quantity in ("teacher", "student", "baseline", "ceiling", "misfit", "gain"):
        test = stats.ks_2samp(getattr(first, quantity), getattr(second, quantity), method="asymp")
        assert test.pvalue > checks.LEVEL, quantity


def test_another_law_is_refuted():
    model, first = MODELS["well specified"], direct("well specified")
    n, N = sizes(model)
    second = simulate(model, n + 3, N, 20_000, np.random.default_rng(22), method="exact")
    assert stats.ks_2samp(first.teacher, second.teacher, method="asymp").pvalue < checks.LEVEL


def test_risks_do_not_depend_on_spectra_or_on_a_rotation():
    model = MODELS["general angles, misspecified"]
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((8, 8)))[0]
    plain = GaussianModel(model.weak_basis, model.strong_basis, model.theta, model.sigma2)
    turned = GaussianModel(
        turn @ model.weak_basis, turn @ model.strong_basis, turn @ model.theta, model.sigma2
    )
    # The same design and noise, in turned coordinates.
    results = [
        simulate(some, 20, 20, 5, np.random.default_rng(3), rows=rows)
        for some, rows in (
            (model, gaussian_rows),
            (plain, gaussian_rows),
            (turned, lambda rng, shape: gaussian_rows(rng, shape) @ turn.T),
        )
    ]
    for other in results[1:]:
        for quantity in ("teacher", "student", "baseline", "ceiling", "misfit"):
            assert_allclose(getattr(other, quantity), getattr(results[0], quantity), rtol=1e-9)


def test_population_rule_is_exact_for_linear_functions():
    model = MODELS["general angles, misspecified"]
    rule = model.population()
    head = np.array([1.0, -2.0, 0.5])
    function = model.strong_basis * np.sqrt(model.strong_spectrum) @ head - model.theta
    mean_square = np.mean((rule.strong @ head - rule.labels) ** 2)
    assert mean_square == pytest.approx(np.sum(function**2))


def test_inputs_are_features_and_labels():
    model = MODELS["general angles, misspecified"]
    g = np.random.default_rng(1).standard_normal((3, 8))
    found = model.inputs(g, noise=np.array([0.0, 1.0, -1.0]))
    assert_allclose(found.weak, g @ model.weak_basis / np.sqrt(np.arange(1, 5)))
    assert_allclose(found.labels, g @ model.theta + [0, 1, -1])


def test_lists_do_for_arrays():
    model = GaussianModel(np.eye(3, 2).tolist(), np.eye(3, 1).tolist(), [1, 2, 3], 1, [1, 2])
    found = simulate(model, 5, 5, 2, np.random.default_rng(0))
    assert found.student.shape == (2,)
    assert model.setting.rho_w == pytest.approx(9)


def test_noise_free_well_specified_teachers_make_no_error():
    weak, strong = pair_with_cosines(5, 2, 3, [1, 1], np.random.default_rng(0))
    model = GaussianModel(weak, strong, weak[:, 0], sigma2=0.0)
    for method in ("direct", "exact"):
        found = simulate(model, 10, 10, 4, np.random.default_rng(0), method=method)
        for quantity in ("teacher", "student", "baseline", "ceiling", "misfit"):
            assert_allclose(getattr(found, quantity), 0, atol=1e-12)


def test_student_rows_have_identity_second_moment_and_heavier_tails():
    sample = student_rows(5)(np.random.default_rng(4), (200_000, 2))
    assert_allclose(sample.T @ sample / len(sample), np.eye(2), atol=0.03)
    assert np.mean(np.abs(sample) > 4) > 10 * 6.3e-5


def test_student_rows_change_the_risks():
    """The negative control: without Gaussian rows the formulas do not hold."""
    model = MODELS["well specified"]
    n, N = sizes(model)
    found = simulate(model, n, N, 1000, np.random.default_rng(5), rows=student_rows(2.5))
    assert mean_is(found, "teacher", risks.teacher(model.setting, n), 0.3) == "refuted"


def test_heads_are_passed_on():
    model = MODELS["well specified"]
    heads = {"teacher_head": Ridge(1e12), "student_head": Ridge(1e12)}
    found = simulate(model, 20, 20, 3, np.random.default_rng(6), **heads)
    for quantity in ("teacher", "student", "baseline", "ceiling"):
        assert_allclose(getattr(found, quantity), np.sum(model.theta**2), rtol=1e-6)


def test_numbers_do_not_depend_on_the_number_of_workers():
    model = MODELS["well specified"]
    one, two = (
        simulate(model, 20, 20, 6, np.random.default_rng(7), n_jobs=jobs) for jobs in (1, 2)
    )
    np.testing.assert_array_equal(one.student, two.student)


def test_overlap_of_the_authors_model_is_on_axes():
    model = authors_model(3, 0.1, d_w=6, d_s=5, active=12, D=100)
    shared = np.flatnonzero(model.weak_basis.sum(axis=1) * model.strong_basis.sum(axis=1))
    assert shared.tolist() == [2, 3, 4]
    assert_allclose(model.theta**2, 1 / np.arange(1, 13) / 100)
    assert_allclose(model.weak_spectrum, 1 / np.arange(3, 9))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weak_basis": np.ones((4, 2))}, "weak_basis: expected orthonormal.*numpy.linalg.qr"),
        ({"strong_basis": np.eye(3)}, "strong_basis: expected 4 rows"),
        ({"theta": np.ones(3)}, "theta: expected 4 rows"),
        ({"theta": np.ones((4, 2))}, r"theta: expected shape \(m,\)"),
        ({"theta": np.array([1, 2, np.inf, 4])}, "theta: 1 entries are NaN or infinite"),
        ({"theta": np.array([None] * 4)}, "theta: expected real numbers, got dtype object"),
        ({"sigma2": -1}, "sigma2: expected a finite number, at least 0"),
        ({"sigma2": np.nan}, "sigma2: .*got nan"),
        ({"weak_spectrum": np.ones(3)}, "weak_spectrum: expected 2 positive eigenvalues"),
        ({"strong_spectrum": [1.0, 0.0, 1.0]}, "strong_spectrum: expected 3 positive"),
    ],
)
def test_bad_models_are_named(changes, message):
    good = {
        "weak_basis": np.eye(4, 2),
        "strong_basis": np.eye(4, 3),
        "theta": np.ones(4),
        "sigma2": 1.0,
    }
    with pytest.raises(ValueError, match=message):
        GaussianModel(**{**good, **changes})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "fast"}, 'method: expected "direct" or "exact"'),
        ({"evaluate": "test"}, 'evaluate: expected "population" or "unlabelled"'),
        ({"method": "exact", "evaluate": "unlabelled"}, 'method: "exact".*use method="direct"'),
        ({"method": "exact", "rows": student_rows(3)}, 'method: "exact".*use method="direct"'),
        ({"method": "exact", "student_head": Ridge(1)}, 'method: "exact".*use method="direct"'),
        ({"method": "exact", "n": 7}, "n: expected at least 8"),
        ({"method": "exact", "N": 5}, "N: expected at least 6"),
        ({"trials": 0}, "trials: expected at least 1"),
        ({"n": 0}, "n: expected at least 1"),
        ({"N": 0}, "N: expected at least 1"),
    ],
)
def test_bad_options_are_named(options, message):
    arguments = {"n": 20, "N": 20, "trials": 2, **options}
    with pytest.raises(ValueError, match=message):
        simulate(MODELS["well specified"], rng=np.random.default_rng(0), **arguments)


@pytest.mark.parametrize("degrees", [2, 0, np.nan])
def test_student_rows_without_a_second_moment_are_refused(degrees):
    with pytest.raises(ValueError, match="degrees: expected more than 2"):
        student_rows(degrees)


@pytest.mark.parametrize("d_sw", [-1, 4, 6])
def test_impossible_overlaps_are_refused(d_sw):
    with pytest.raises(ValueError, match="d_sw: expected 1 to 3, got"):
        authors_model(d_sw, 0.1, d_w=3, d_s=4, active=6)


@pytest.mark.parametrize(("d_w", "d_s", "d_sw"), [(5, 3, 2), (3, 5, 3), (4, 4, 0)])
def test_shared_model_has_its_overlap_and_no_approximation_error(d_w, d_s, d_sw):
    setting = shared_model(d_w, d_s, d_sw, 0.5, ambient=12).setting
    assert setting == risks.Setting(d_w, d_s, d_sw, 0.5, norm2=0.0)


def test_shared_model_refuses_impossible_overlaps():
    with pytest.raises(ValueError, match=r"d_sw: expected 0 to min\(d_w, d_s\) = 3, got 4"):
        shared_model(5, 3, 4, 0.5)
    with pytest.raises(ValueError, match=r"ambient: expected at least 6"):
        shared_model(5, 3, 2, 0.5, ambient=5)
