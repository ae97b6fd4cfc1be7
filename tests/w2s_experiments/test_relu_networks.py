"""Representations: networks, pretraining, and the misfit theorem's terms for new tasks."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from w2s_experiments import relu_networks as reps
from w2s_experiments import relu_training
from w2s_utils import checks, protocol


def network(depth=3, seed=0):
    return reps.Representation.random(depth, np.random.default_rng(seed))


@cache
def problem(m=60, tasks=4):
    rng = np.random.default_rng(1)
    return reps.Pretraining.draw(network(), tasks, m, rng)


@cache
def experiment(realizable=False):
    rng = np.random.default_rng(2)
    target = network()
    strong = target if realizable else target.perturbed(0.01, rng)
    return reps.Experiment(target, network(2, 9), strong, reps.random_heads(6, rng))


def left_by_rounding(phi, heads):
    """Mean square that rounding may leave, for each task, of what is linear in the features.

    The precision times the number of terms times their size, as for the residual of a backward
    stable least-squares solution.
    """
    design = np.column_stack([phi, np.ones(len(phi))])
    coefficients = np.vstack([heads.coefficients, heads.intercept])
    size = np.linalg.norm(design) * np.linalg.norm(coefficients, axis=0)
    return (np.finfo(float).eps * design.size * size) ** 2 / len(phi)


def test_features_of_a_network_written_out():
    h = reps.Representation(
        (np.array([[1.0, -1.0], [2.0, 0.0]]), np.array([[1.0, 1.0]])),
        (np.array([0.0, -1.0]), np.array([0.5])),
    )
    # max(3-1, 0) = 2 and max(6-1, 0) = 5, sum and bias 7.5; then a dead and a live unit.
    assert_allclose(h([[3.0, 1.0], [0.0, 4.0]]), [[7.5], [0.5]])
    assert (h.depth, h.width) == (2, 1)


def test_default_initialisation_has_the_stated_range():
    h = reps.Representation.random(4, np.random.default_rng(0), inputs=8, width=200)
    for fan_in, weight, bias in zip((8, 200, 200, 200), h.weights, h.biases, strict=True):
        assert weight.shape == (200, fan_in)
        for values in (weight, bias):
            assert np.abs(values).max() < 1 / np.sqrt(fan_in)
            assert np.abs(values).max() > 0.95 / np.sqrt(fan_in)


@given(
    st.integers(1, 6),
    st.floats(1e-3, 1e3),
    st.floats(1e-3, 1e3),
    st.integers(0, 2**32 - 1),
)
def test_rescaling_is_exact(depth, inputs, outputs, seed):
    rng = np.random.default_rng(seed)
    h = reps.Representation.random(depth, rng)
    x = reps.draw_inputs(5, rng)
    expected = outputs * h(x / inputs)
    assert_allclose(h.rescaled(inputs, outputs)(x), expected, rtol=1e-9, atol=1e-12)


def test_perturbation_has_the_stated_size():
    h = network()
    assert_allclose(h.perturbed(0.0, np.random.default_rng(0)).weights[1], h.weights[1])
    moved = h.perturbed(0.3, np.random.default_rng(0))
    noise = np.concatenate(
        [(a - b).ravel() for a, b in zip(moved.weights + moved.biases, h.weights + h.biases,
                                         strict=True)]
    )  # fmt: skip
    assert noise.std() == pytest.approx(0.3, rel=0.1)
    assert abs(noise.mean()) < 0.05


def test_gradient_against_finite_differences():
    rng = np.random.default_rng(3)
    layers = relu_training.initial(1, 3, 5, 4, rng).astype(float)
    layers += 0.1 * rng.standard_normal(layers.shape)
    x, heads = (
        relu_training._padded(rng.standard_normal((1, 4, 7)), 5),
        rng.standard_normal((1, 5, 7)),
    )
    heads[:, 3:] = 0  # the last two units of the last layer are extra ones
    y, gate, slope = rng.standard_normal((1, 7)), 0.6, 0.2

    def loss(values):
        active = x.astype(float)
        for layer in values:
            out = layer @ active
            out = np.where(out > 0, out, slope * out)
            out[:, 3:] *= gate
            active = np.concatenate([out, np.ones((1, 1, 7))], axis=1)
        return np.mean((np.sum(heads * active[:, :-1], axis=1) - y) ** 2)

    analytic = relu_training._gradient(layers, x, heads, y, 3, gate, slope)
    for index in [(0, 0, 0, 1), (0, 0, 4, 2), (1, 0, 2, 3), (1, 0, 4, 5), (2, 0, 1, 5)]:
        step = np.zeros_like(layers)
        step[index] = 1e-5
        numeric = (loss(layers + step) - loss(layers - step)) / 2e-5
        assert analytic[index] == pytest.approx(numeric, rel=1e-4, abs=1e-6)


def test_training_ends_with_the_network_asked_for():
    schedule = relu_training.Schedule(100)
    assert schedule.at(0)[1] > 0.9
    assert schedule.at(39)[1:] == (0, 0)
    assert schedule.at(99)[0] == pytest.approx(0, abs=1e-9)
    rng = np.random.default_rng(0)
    layers = relu_training.train(
        relu_training.initial(2, 3, 20, 8, rng),
        rng.standard_normal((1, 8, 50)),
        rng.standard_normal((1, 4, 50)),
        rng.standard_normal((1, 50)),
        schedule,
        rng,
    )
    assert layers.shape == (3, 2, 4, 5)


def test_pretraining_lowers_the_loss_and_keeps_the_best_restart():
    [result] = reps.pretrain([problem()], 3, reps.Effort(3, 300, 200), np.random.default_rng(4))
    assert result.representation.depth == 3
    assert result.representation.width == reps.WIDTH
    assert result.loss == problem().loss(result.representation)
    assert result.loss <= result.restarts.min()
    assert result.loss < 0.1 < problem().loss(network(3, 8))
    assert len(set(result.restarts.tolist())) == 3


def test_target_itself_has_no_loss():
    p, target = problem(), network()
    features = target(p.inputs.reshape(-1, reps.INPUTS))
    limit = left_by_rounding(features, p.heads).max() / np.mean(p.targets.var(axis=1))
    assert (
        p.loss(target) <= limit < 1e-12 < p.loss(target.perturbed(1e-4, np.random.default_rng(0)))
    )


def test_problems_side_by_side_do_not_mix():
    target = network(3, 5)
    others = [problem(), reps.Pretraining.draw(target, 4, 60, np.random.default_rng(6))]
    results = reps.pretrain(others, 3, reps.Effort(2, 300, 100), np.random.default_rng(4))
    for result, mine, other in zip(results, others, others[::-1], strict=True):
        assert result.loss < 0.15
        assert other.loss(result.representation) > 2 * mine.loss(result.representation)


def test_same_generator_same_network():
    def weights():
        effort = reps.Effort(1, 30, 20)
        found = reps.pretrain([problem()], 2, effort, np.random.default_rng(0))[0]
        return found.representation.weights[1]

    assert np.array_equal(weights(), weights())


def test_own_inputs_are_the_teachers():
    labelled, unlabelled, test = experiment().draw(30, 30, 20, fresh=False)(
        np.random.default_rng(0)
    )
    assert unlabelled is labelled
    assert test.labels.shape == (20, 6)
    labelled, unlabelled, _ = experiment().draw(30, 40, 20)(np.random.default_rng(0))
    assert unlabelled.labels.shape == (40, 6)
    assert not np.array_equal(labelled.labels[:30], unlabelled.labels[:30])


def test_realizable_population_lies_on_the_diagonal():
    setup, rng = experiment(True), np.random.default_rng(0)
    population = setup.population(200, 400, np.random.default_rng(0))
    scale = population["misfit"].max()
    assert_allclose(population["gain"] / scale, population["misfit"] / scale, atol=1e-12)
    _, points = reps.draw_inputs(200, rng), reps.draw_inputs(400, rng)
    limit = left_by_rounding(setup.target(points), setup.heads)
    assert np.all(population["approximation"] <= limit)
    assert np.all(limit < 1e-12 * scale)


def test_population_identity_and_bound():
    population = experiment().population(200, 400, np.random.default_rng(0))
    distance = population["gain"] - population["misfit"]
    assert_allclose(population.distance(), distance, atol=1e-12)
    assert np.all(population["gain"] >= population["bound"] - 1e-12)
    assert np.abs(distance).max() > 1e-6


@pytest.mark.parametrize("realizable", [True, False])
def test_distance_predicted_at_finite_samples(realizable):
    setup, rng = experiment(realizable), np.random.default_rng(3)
    n = N = 400
    result = setup.run(n, N, 4000, 100, rng)
    measured = (result.gain - result.misfit).mean(axis=1)
    predicted = np.array(
        [setup.population(n, 4000, child).distance(N).mean() for child in rng.spawn(100)]
    )
    ratio = protocol.ratio_of_means(measured, predicted)
    check = checks.mean_equals(
        ratio.value, 1.0, standard_error=ratio.standard_error, trials=100, resolution=0.8
    )
    assert check.verdict == "passed", check
    without = np.array(
        [setup.population(n, 4000, child).distance().mean() for child in rng.spawn(5)]
    )
    if realizable:
        assert np.abs(without).max() < 1e-9 < -measured.mean()


def test_approximation_error_of_the_target_and_of_nothing():
    rng = np.random.default_rng(0)
    target, heads = network(), reps.random_heads(5, rng)
    x = reps.draw_inputs(300, np.random.default_rng(1))
    limit = left_by_rounding(target(x), heads) / heads.predict(target(x)).var(axis=0)
    found = reps.approximation_errors(target, target, heads, 300, np.random.default_rng(1))
    assert np.all(found <= limit)
    assert np.all(limit < 1e-12)
    dead = reps.Representation((np.zeros((16, 8)),), (np.zeros(16),))
    assert_allclose(reps.approximation_errors(dead, target, heads, 300, rng), 1)


def test_bad_input():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"weights: layer 1 expected shape \(3, 2\)"):
        reps.Representation((np.ones((2, 8)), np.ones((3, 4))), (np.ones(2), np.ones(3)))
    with pytest.raises(ValueError, match="weights, biases: expected one of each"):
        reps.Representation((), ())
    with pytest.raises(ValueError, match="x: expected 8 columns, got 3"):
        network()(np.ones((4, 3)))
    with pytest.raises(ValueError, match="depth: expected at least 1"):
        reps.Representation.random(0, rng)
    with pytest.raises(ValueError, match="scale: expected a finite number, at least 0"):
        network().perturbed(-1.0, rng)
    with pytest.raises(ValueError, match="N: expected n = 30"):
        experiment().draw(30, 40, 10, fresh=False)
    with pytest.raises(ValueError, match="m: expected at least 2"):
        reps.Pretraining.draw(network(), 2, 1, rng)
    with pytest.raises(ValueError, match="problems: expected one or more of the same shape"):
        reps.pretrain([], 2, reps.Effort(1, 1), rng)
    with pytest.raises(ValueError, match="steps: expected at least 1"):
        reps.Effort(1, 0)
    with pytest.raises(ValueError, match="tasks: expected at least 1"):
        reps.random_heads(0, rng)
