import numpy as np
import pytest

from w2s_experiments.synthetic import Experiment
from w2s_utils import protocol
from w2s_utils.theory import risks

SMALL = Experiment(overlaps=(1, 4), variances=(0.3, 0.01), d_w=8, d_s=5, D=13)


def test_same_numbers_as_least_squares_on_the_same_draws():
    results = SMALL.simulate(20, 30, 3, np.random.default_rng(5))
    for trial, rng in enumerate(np.random.default_rng(5).spawn(3)):
        noise = rng.standard_normal(50)
        g, h = rng.standard_normal((20, 13)), rng.standard_normal((30, 13))
        for (d_sw, sigma2), result in results.items():
            model = SMALL.model(d_sw, sigma2)
            inputs = (
                model.inputs(g, np.sqrt(sigma2) * noise[:20]),
                model.inputs(h, np.sqrt(sigma2) * noise[20:]),
                model.population(),
            )
            expected = protocol.run_trial(*inputs)
            for role in (*protocol.ROLES, "misfit"):
                assert getattr(result, role)[trial] == pytest.approx(expected[role], rel=1e-8)


def test_numbers_do_not_depend_on_the_number_of_workers():
    one = SMALL.simulate(20, 30, 5, np.random.default_rng(1))
    two = SMALL.simulate(20, 30, 5, np.random.default_rng(1), n_jobs=2)
    for key, result in one.items():
        np.testing.assert_array_equal(result.student, two[key].student)


def test_means_are_the_exact_risks():
    for (d_sw, sigma2), result in SMALL.simulate(40, 60, 2000, np.random.default_rng(2)).items():
        exact = risks.exact(SMALL.model(d_sw, sigma2).setting, 40, 60)
        for role in protocol.ROLES:
            expected, estimate = float(getattr(exact, role)), result.mean(role)
            error = estimate.standard_error
            assert abs(estimate.value - expected) < 5 * error, (d_sw, sigma2, role)
            # A fifth more or less would have been seen.
            assert 7 * error < 0.2 * expected, (d_sw, sigma2, role)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [((7, 30, 2), "n: expected at least 8"), ((20, 4, 2), "N: expected at least 5")],
)
def test_too_few_inputs_are_refused(sizes, message):
    with pytest.raises(ValueError, match=message):
        SMALL.simulate(*sizes, np.random.default_rng(0))


def test_an_overlap_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="d_sw: expected 0 to 5, got 6"):
        Experiment(overlaps=(6,), d_w=8, d_s=5)


@pytest.fixture(scope="module")
def runs():
    return SMALL.sweep([(20, 30), (40, 30)], 400, np.random.default_rng(3))


def test_table_has_simulation_and_formulas_at_every_point(runs):
    table = runs.table(4, 0.3)
    exact = risks.exact(SMALL.model(4, 0.3).setting, [20, 40], 30)
    np.testing.assert_array_equal(table["n"], [20, 40])
    np.testing.assert_allclose(table["student_exact"], exact.student)
    assert runs.trials(4, 0.3, "student").shape == (2, 400)
    simulated = runs.trials(4, 0.3, "student").mean(axis=1)
    np.testing.assert_allclose(table["student_simulated"], simulated)
    assert len({len(column) for column in table.values()}) == 1
