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
from w2s_utils.protocol import Result


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


def test_pretraining_lowers_the_loss():
    [found] = reps.pretrain([problem()], 3, reps.Effort(300, 200), np.random.default_rng(4))
    assert (found.depth, found.width) == (3, reps.WIDTH)
    assert problem().loss(found) < 0.1 < problem().loss(network(3, 8))


def test_refining_never_raises_the_loss():
    effort = [reps.Effort(100, refine) for refine in (0, 100)]
    losses = [
        problem().loss(reps.pretrain([problem()], 3, e, np.random.default_rng(4))[0])
        for e in effort
    ]
    assert losses[1] <= losses[0]


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
    found = reps.pretrain(others, 3, reps.Effort(300, 100), np.random.default_rng(4))
    for representation, mine, other in zip(found, others, others[::-1], strict=True):
        assert mine.loss(representation) < 0.15
        assert other.loss(representation) > 2 * mine.loss(representation)


def test_same_generator_same_network():
    def weights():
        found = reps.pretrain([problem()], 2, reps.Effort(30, 20), np.random.default_rng(0))
        return found[0].weights[1]

    assert np.array_equal(weights(), weights())


def test_rare_units_are_silenced_and_no_others():
    rng = np.random.default_rng(0)
    h, x = network(3, 1), reps.draw_inputs(2000, rng)
    share = np.mean(h(x) > 0, axis=0)
    bound = float(np.median(share[share > 0]))
    found = h.without_rare_units(x, bound)(x)
    assert_allclose(found, h(x) * (share >= bound))
    assert 0 < np.sum(share >= bound) < h.width


def test_own_inputs_share_the_labelled_ones():
    whole = population()
    fresh, own = (
        whole.sample(30, 30, np.random.default_rng(0), fresh=fresh) for fresh in (True, False)
    )
    assert_allclose(fresh["teacher"], own["teacher"])
    assert not np.allclose(fresh["student"], own["student"])
    rows = np.random.default_rng(0).integers(len(whole.labels), size=30)
    teacher = whole.weak @ np.linalg.lstsq(whole.weak[rows], whole.labels[rows])[0]
    student = whole.strong @ np.linalg.lstsq(whole.strong[rows], teacher[rows])[0]
    assert_allclose(own["student"], np.mean((student - whole.labels) ** 2, axis=0), rtol=1e-6)
    assert_allclose(own["misfit"], np.mean((student - teacher) ** 2, axis=0), rtol=1e-6)


@cache
def population(realizable=False, m=4000):
    return experiment(realizable).population(m, np.random.default_rng(8))


@pytest.mark.parametrize("realizable", [True, False])
def test_terms_of_the_theorem(realizable):
    terms = population(realizable).exact()
    gain, misfit, lacking = terms["gain"], terms["misfit"], terms["approximation"]
    assert_allclose(gain, misfit - 2 * terms["cross"], rtol=1e-9)
    assert_allclose(gain, terms["outside"] - lacking, rtol=1e-9)
    assert np.all(np.abs(gain - misfit) <= 2 * np.sqrt(lacking * misfit) + 1e-9)
    assert (lacking.max() < 1e-15 * misfit.max()) == realizable


def test_a_student_with_all_pseudo_labels_is_exact():
    whole = population()
    trial = whole.sample(len(whole.labels), None, np.random.default_rng(0))
    terms = whole.exact()
    for name in ("teacher", "student", "misfit"):
        assert_allclose(trial[name], terms[name], rtol=0.1)


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("realizable", [True, False])
def test_distance_predicted_at_finite_samples(realizable, fresh):
    x = reps.draw_inputs(4000, np.random.default_rng(5))
    setup = experiment(realizable)
    nets = (h.without_rare_units(x, 0.02) for h in (setup.target, setup.weak, setup.strong))
    whole = reps.Experiment(*nets, setup.heads).population(4000, np.random.default_rng(8))
    if realizable:
        whole = reps.Population(whole.weak, whole.strong, whole.best("strong", whole.labels))
    n = 600
    runs = Result.of(
        protocol.map_trials(
            lambda g: whole.sample(n, n, g, fresh=fresh), 400, np.random.default_rng(3)
        )
    )
    exact = whole.exact()
    # What finite samples add, over the misfit; the exact student's part has no error.
    added = np.sum(runs.gain - runs.misfit + 2 * exact["cross"], axis=1) / exact["misfit"].sum()
    predicted = np.sum(whole.distance(n, n, fresh=fresh) + 2 * exact["cross"])
    other = np.sum(whole.distance(n, n, fresh=not fresh) + 2 * exact["cross"])
    check = checks.mean_equals(
        added.mean(),
        predicted / exact["misfit"].sum(),
        standard_error=added.std(ddof=1) / 20,
        trials=400,
        unit="share of the misfit",
        against={"the other protocol": other / exact["misfit"].sum()},
    )
    assert check.verdict == "passed", check


def test_label_noise_raises_the_teachers_error():
    whole = population()
    quiet, loud = (
        np.mean([whole.sample(400, None, np.random.default_rng(i), noise=s)["teacher"].mean()
                 for i in range(20)])
        for s in (0.0, 3.0)
    )  # fmt: skip
    # Nine over 400 labels for each of the teacher's features.
    assert loud - quiet == pytest.approx(9 * whole.weak.shape[1] / 400, rel=0.3)


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
        population().sample(30, 40, rng, fresh=False)
    with pytest.raises(ValueError, match="m: expected at least 2"):
        reps.Pretraining.draw(network(), 2, 1, rng)
    with pytest.raises(ValueError, match="problems: expected one or more of the same shape"):
        reps.pretrain([], 2, reps.Effort(1), rng)
    with pytest.raises(ValueError, match="steps: expected at least 1"):
        reps.Effort(0)
    with pytest.raises(ValueError, match="tasks: expected at least 1"):
        reps.random_heads(0, rng)
