"""Weak and strong classifiers of digits."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from w2s_experiments import classifiers

SETUP = {"directions": (2, 16), "labels": 100, "heads": 3, "shots": 60}


def accuracy(predictions, labels):
    return np.mean(predictions.argmax(axis=1) == labels.argmax(axis=1))


def test_digits():
    found = classifiers.digits(np.random.default_rng(5), **SETUP)
    again = classifiers.digits(np.random.default_rng(5), **SETUP)
    assert found.labels.shape == (1097, 10)
    assert found.weak.shape == (2, 1097, 10)
    assert found.strong.shape == (3, 1097, 10)
    for group in (found.weak, found.strong, found.labels[None]):
        assert_allclose(group.sum(axis=2), 1)
    assert min(found.weak.min(), found.strong.min()) >= 1e-4 * (1 - 1e-9)
    assert_array_equal(found.strong, again.strong)
    assert accuracy(found.weak[0], found.labels) < 0.6 < accuracy(found.weak[1], found.labels)
    assert all(accuracy(head, found.labels) > 0.8 for head in found.strong)


def test_smoothing_keeps_distributions():
    assert_allclose(classifiers.smooth(np.eye(4)).sum(axis=1), 1)
    assert_allclose(classifiers.smooth(np.eye(4)).min(), 2.5e-4)


@pytest.mark.parametrize("labels", [5, 1000])
def test_too_few_or_too_many_labels(labels):
    with pytest.raises(ValueError, match="labels: expected 10 to 997"):
        classifiers.digits(np.random.default_rng(0), **{**SETUP, "labels": labels})
