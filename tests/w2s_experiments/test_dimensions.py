"""Regularised overlaps, and what the coordinates of two networks cannot say."""

from __future__ import annotations

import numpy as np
import pytest

from w2s_experiments import dimensions
from w2s_utils.theory import subspaces


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def features(rng, m, d_w, d_s, cosines):
    weak, strong = subspaces.pair_with_cosines(d_w + d_s, d_w, d_s, cosines, rng)
    g = rng.standard_normal((m, d_w + d_s))
    return g @ weak, g @ strong


def test_regularised_overlap_without_regularisation_is_the_adjusted_estimate(rng):
    weak, strong = features(rng, 200, 6, 5, [1, 0.9, 0.5, 0.1, 0])
    result = dimensions.regularised(weak, strong, 1e-12)
    assert result.weak == pytest.approx(6)
    assert result.strong == pytest.approx(5)
    adjusted = subspaces.correlation_dimension_of_features(weak, strong)
    assert result.estimate == pytest.approx(adjusted)


def test_regularisation_forgets_directions_that_hold_little(rng):
    weak, strong = features(rng, 400, 6, 5, [1, 1, 1, 0, 0])
    noisy_weak = np.hstack([weak, 1e-4 * rng.standard_normal((400, 30))])
    noisy_strong = np.hstack([strong, 1e-4 * rng.standard_normal((400, 30))])
    result = dimensions.regularised(noisy_weak, noisy_strong, 1e-5)
    assert result.weak == pytest.approx(6, abs=0.1)
    assert result.estimate == pytest.approx(3, abs=0.1)


@pytest.mark.parametrize("shared", [0, 6])
def test_coordinates_of_two_networks_say_nothing(rng, shared):
    hidden = rng.standard_normal((500, 20))
    weak = hidden[:, :8] @ rng.standard_normal((8, 40))
    strong = hidden[:, 8 - shared : 14 - shared] @ rng.standard_normal((6, 30))
    values = [dimensions.compare_coordinates(weak, strong, 8, 6, rng) for _ in range(200)]
    assert np.mean(values) == pytest.approx(8 * 6 / 30, abs=5 * np.std(values) / np.sqrt(200))
    cut = [phi @ subspaces.leading_directions(phi, d) for phi, d in ((weak, 8), (strong, 6))]
    assert subspaces.correlation_dimension_of_features(*cut) == pytest.approx(shared, abs=0.3)
