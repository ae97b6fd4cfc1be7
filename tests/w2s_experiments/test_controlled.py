"""Controlled ladders: equal in all but the overlap; and what images are encoded to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2s_experiments import controlled, images
from w2s_experiments.data import datasets
from w2s_utils.problem import (
    Problem,
    difference,
    measure_pairs,
    oracle_settings,
    standardise,
)
from w2s_utils.theory.subspaces import column_space


def pool(rng, m=400, d_s=4):
    strong = rng.standard_normal((m, d_s))
    blocks = [rng.standard_normal((m, 12)), rng.standard_normal((m, 10)) + strong[:, :1]]
    return blocks, strong, strong @ rng.standard_normal(d_s) + blocks[0][:, 0]


def projected(features, values):
    basis = column_space(features)
    return basis @ (basis.T @ values)


@given(st.integers(0, 2**32 - 1))
def test_rungs_know_the_same_and_share_more_and_more(seed):
    blocks, strong, target = pool(np.random.default_rng(seed))
    teachers = controlled.ladder(blocks, strong, target, dimension=7, shared=[0, 2, 4])
    known = projected(np.hstack(blocks), target)
    overlaps = []
    for features in teachers.values():
        assert features.shape == (400, 7)
        assert features.T @ features / 400 == pytest.approx(np.eye(7), abs=1e-8)
        assert projected(features, target) == pytest.approx(known)
        crossed = column_space(features).T @ column_space(strong)
        overlaps.append(np.sum(crossed**2))
    assert overlaps[0] < overlaps[1] < overlaps[2]


def test_with_all_directions_shared_the_overlap_is_that_of_the_span():
    blocks, strong, target = pool(np.random.default_rng(1))
    (teacher,) = controlled.ladder(blocks, strong, target, dimension=7, shared=[4]).values()
    span, student = column_space(np.hstack(blocks)), column_space(strong)
    assert np.sum((column_space(teacher).T @ student) ** 2) == pytest.approx(
        np.sum((span.T @ student) ** 2)
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dimension": 7, "shared": []}, "numbers from 0 to 4"),
        ({"dimension": 7, "shared": [5]}, "numbers from 0 to 4"),
        ({"dimension": 3, "shared": [3]}, "numbers from 0 to 2"),
        ({"dimension": 21, "shared": [0]}, "span 22 directions, 17 of them"),
    ],
)
def test_ladders_that_cannot_be_built(options, message):
    blocks, strong, target = pool(np.random.default_rng(2))
    with pytest.raises(ValueError, match=message):
        controlled.ladder(blocks, strong, target, **options)


def test_a_target_that_the_weak_features_know_nothing_of():
    rng = np.random.default_rng(3)
    block, strong = rng.standard_normal((50, 9)), rng.standard_normal((50, 2))
    with pytest.raises(ValueError, match="say nothing"):
        controlled.ladder([block], strong, np.zeros(50), dimension=4, shared=[0])


def test_a_ladder_orders_pgr_by_overlap():
    rng = np.random.default_rng(4)
    strong = rng.standard_normal((1500, 4))
    blocks = [rng.standard_normal((1500, 10)) + strong @ rng.standard_normal((4, 10)) / 2]
    blocks.append(rng.standard_normal((1500, 12)))
    target = strong @ rng.standard_normal(4)
    teachers = controlled.ladder(blocks, strong, target, dimension=9, shared=[0, 4])
    problem = Problem("toy", standardise(target), 1.0, teachers, {"strong": strong})
    settings = oracle_settings(problem)
    known = [s.rho_w for s in settings.values()]
    assert known == pytest.approx([known[0]] * 2)
    run = measure_pairs(problem, settings, cells=[(30, 600)], trials=150, seed=[5], noise=2.0)
    low, high = (run[name, "strong", 30, 600] for name in teachers)
    gap = difference(low.result, high.result)
    assert gap.value > 3 * gap.standard_error
    assert gap.value == pytest.approx(
        float(low.predicted.pgr - high.predicted.pgr), abs=5 * gap.standard_error
    )


# Encoders


def test_gradients_of_a_ramp_have_one_orientation():
    ramp = np.tile(np.arange(28.0), (1, 28, 1))
    cells = images.oriented_gradients(ramp).reshape(4, 4, 9)
    assert np.all(cells[..., 0] > 0)
    assert cells[..., 1:] == pytest.approx(0)
    down = images.oriented_gradients(ramp.transpose(0, 2, 1)).reshape(4, 4, 9)
    assert np.argmax(down.sum(axis=(0, 1))) in (4, 5)


@given(st.floats(0.1, 10))
def test_gradients_do_not_depend_on_brightness(factor):
    drawn = np.random.default_rng(6).random((3, 28, 28)) * 10
    one, other = images.oriented_gradients(drawn), images.oriented_gradients(factor * drawn)
    assert other == pytest.approx(one, rel=1e-4, abs=1e-6)


def test_parts_of_a_batch_do_not_matter(monkeypatch):
    drawn = np.random.default_rng(7).random((7, 8, 8))
    whole = images.oriented_gradients(drawn)
    monkeypatch.setattr(images, "PART", 2)
    assert np.array_equal(images.oriented_gradients(drawn), whole)


def test_spectrum_ignores_where_a_digit_is():
    drawn = np.zeros((1, 14, 14))
    drawn[0, 3:6, 4:9] = np.random.default_rng(8).random((3, 5))
    moved = np.roll(drawn, (2, 3), axis=(1, 2))
    assert images.spectrum(moved) == pytest.approx(images.spectrum(drawn))
    assert images.spectrum(drawn).shape == (1, 14 * 8)


def test_slant_is_that_of_a_line():
    drawn = np.zeros((2, 20, 20))
    rows = np.arange(5, 15)
    drawn[0, rows, rows] = 3.0
    drawn[1, rows, 9] = 1.0
    assert images.slant(drawn) == pytest.approx([1, 0])


def test_shapes_are_checked():
    with pytest.raises(ValueError, match="multiples of 4"):
        images.oriented_gradients(np.ones((2, 9, 8)))
    with pytest.raises(ValueError, match=r"shape \(m, h, w\), got \(3, 4\)"):
        images.spectrum(np.ones((3, 4)))


def test_cut_off_counts_directions():
    assert images.cut_off_count([3.0, 1.0, 0.1], 0.89) == 1
    assert images.cut_off_count([3.0, 1.0, 0.1], 0.99) == 2
    assert images.cut_off_count([1.0, 1.0], 1.0) == 2


def test_digits_have_equal_teachers():
    problem = images.digits(np.random.default_rng(9), d_w=12)
    assert {phi.shape for phi in problem.teachers.values()} == {(1197, 12)}
    assert problem.students["network"] == pytest.approx(problem.students["network"].clip(0, 1))
    settings = oracle_settings(problem)
    assert all(s.rho_s < s.rho_w for s in settings.values())


@pytest.mark.skipif(not datasets.available("mnist"), reason="the data are not here")
def test_coloured_mnist_is_coloured_as_described():
    drawn = images.coloured_mnist(np.random.default_rng(10), 30000)
    assert np.all((drawn.images.sum(axis=(2, 3)) > 0).sum(axis=1) == 1)
    labels = drawn.digits < 5
    for index, flip in enumerate(images.ENVIRONMENTS):
        rows = slice(index, None, len(images.ENVIRONMENTS))
        agree = np.mean(labels[rows] == drawn.colours[rows])
        # The colour is the label flipped twice.
        expected = 0.75 * (1 - flip) + 0.25 * flip
        assert agree == pytest.approx(expected, abs=5 * np.sqrt(0.25 / 10000))
    with pytest.raises(ValueError, match="expected 1 to 60000"):
        images.coloured_mnist(np.random.default_rng(0), 60001)


@pytest.mark.skipif(not datasets.available("mnist"), reason="the data are not here")
def test_vision_has_pools_of_the_sizes_asked_for():
    found = images.vision(np.random.default_rng(11), encoder_images=800, pool=900, d_w=40, d_s=20)
    assert {phi.shape for phi in found.problem.teachers.values()} == {(900, 40)}
    assert {phi.shape for phi in found.problem.students.values()} == {(900, 20)}
    below = found.problem.targets[:, 0] > 0
    assert np.mean((found.own["network on gradients"] > 0.5) == below) > 0.8
    assert found.slants.shape == (900,)
    assert all(np.all(np.diff(s) <= 1e-9) for s in found.spectra.values())


@pytest.mark.skipif(not datasets.available("mnist"), reason="the data are not here")
def test_the_convolutional_network_knows_digits_in_either_colour():
    data = datasets.load("mnist")
    grey, digits = data.inputs[:3000], data.targets[:3000]
    pictures = np.zeros((3000, 2, 28, 28), dtype=np.uint8)
    pictures[:, 0] = grey
    units = images.convolution(pictures)
    assert units.shape == (3000, 64)
    other = images.convolution(np.ascontiguousarray(pictures[:, ::-1]))
    assert not np.allclose(units, other)
    basis, target = np.column_stack([units, np.ones(3000)]), np.eye(10)[digits]
    head = np.linalg.lstsq(basis[:2000], target[:2000], rcond=None)[0]
    assert np.mean(np.argmax(basis[2000:] @ head, axis=1) == digits[2000:]) > 0.95


def test_convolution_refuses_other_images():
    with pytest.raises(ValueError, match="uint8 values"):
        images.convolution(np.zeros((3, 28, 28)))
