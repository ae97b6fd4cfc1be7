"""What the coordinates of two networks cannot say."""

from __future__ import annotations

import numpy as np
import pytest

from w2s_experiments import dimensions
from w2s_utils.theory import subspaces


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.mark.parametrize("shared", [0, 6])
def test_coordinates_of_two_networks_say_nothing(rng, shared):
    hidden = rng.standard_normal((500, 20))
    weak = hidden[:, :8] @ rng.standard_normal((8, 40))
    strong = hidden[:, 8 - shared : 14 - shared] @ rng.standard_normal((6, 30))
    values = [dimensions.compare_coordinates(weak, strong, 8, 6, rng) for _ in range(200)]
    assert np.mean(values) == pytest.approx(8 * 6 / 30, abs=5 * np.std(values) / np.sqrt(200))
    cut = [phi @ subspaces.leading_directions(phi, d) for phi, d in ((weak, 8), (strong, 6))]
    assert subspaces.correlation_dimension_of_features(*cut) == pytest.approx(shared, abs=0.3)
