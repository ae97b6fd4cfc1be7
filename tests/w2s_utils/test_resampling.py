"""Jackknife and bootstrap by hand, against formulas, and by their coverage."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from w2s_utils.resampling import (
    bootstrap_counts,
    difference_of_ratios,
    jackknife_error,
    jackknife_value,
    ratio_of_means,
)


def test_jackknife_by_hand():
    generator = np.random.default_rng(0)
    top, bottom = generator.standard_normal(8) + 2, generator.standard_normal(8) + 5
    found = ratio_of_means(top, bottom)
    left_out = [np.delete(top, i).mean() / np.delete(bottom, i).mean() for i in range(8)]
    assert found.value == pytest.approx(top.mean() / bottom.mean())
    assert found.standard_error == pytest.approx(np.sqrt(7) * np.std(left_out))
    assert found.trials == 8


def test_jackknife_of_a_constant_denominator_is_the_error_of_a_mean():
    top = np.random.default_rng(0).standard_normal(20)
    found = ratio_of_means(top, np.full(20, 4.0))
    assert found.standard_error == pytest.approx(top.std(ddof=1) / np.sqrt(20) / 4)


def test_jackknife_covers_the_ratio_of_expectations():
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        noise = generator.standard_normal((2, 50))
        found = ratio_of_means(1 + noise[0], 4 + 0.5 * noise[0] + noise[1])
        covered += abs(found.value - 0.25) <= 1.96 * found.standard_error
    # 95 % of 400 is 380, with standard deviation 4.4.
    assert 358 <= covered <= 398


def test_jackknife_of_means_is_the_error_of_a_mean():
    values = np.random.default_rng(1).standard_normal((30, 2))
    left_out = (values.sum(axis=0) - values) / 29
    assert_allclose(jackknife_error(left_out), values.std(axis=0, ddof=1) / np.sqrt(30))


def test_jackknife_takes_the_bias_off_a_variance():
    values = np.random.default_rng(2).standard_normal(9)
    left_out = [np.delete(values, i).var() for i in range(9)]
    assert_allclose(jackknife_value(values.var(), left_out), values.var(ddof=1))


def test_a_difference_of_ratios_knows_what_they_share():
    generator = np.random.default_rng(3)
    top, bottom = generator.standard_normal(40) + 2, generator.standard_normal(40) + 5
    same = difference_of_ratios((top, bottom), (top, bottom))
    assert (same.value, same.standard_error, same.trials) == (0.0, 0.0, 40)
    shifted = difference_of_ratios((top + bottom, bottom), (top, bottom))
    assert shifted.value == pytest.approx(1)
    assert shifted.standard_error == pytest.approx(0, abs=1e-12)


def test_bootstrap_gives_the_error_of_a_mean():
    values = np.random.default_rng(4).standard_normal(50)
    counts = bootstrap_counts(50, 4000, np.random.default_rng(5))
    assert np.all(counts.sum(axis=1) == 50)
    # 4000 samples: the error of the standard deviation is 1.1 %.
    assert np.std(counts @ values / 50) == pytest.approx(values.std() / np.sqrt(50), rel=0.06)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda y: ratio_of_means([1.0], [1.0]), "trials: expected at least 2"),
        (lambda y: ratio_of_means(y, y[1:]), "denominator: expected 20 rows"),
        (lambda y: ratio_of_means(y, y * np.nan), "denominator: 20 entries are NaN"),
        (lambda y: ratio_of_means(y[:, None], y), r"numerator: expected shape \(m,\)"),
        (lambda y: difference_of_ratios((y, y), (y[:7], y[:7])), "second: expected the 20 trials"),
        (lambda y: jackknife_error(y[:1]), "left_out: expected at least 2"),
        (lambda y: bootstrap_counts(5, 1, np.random.default_rng(0)), "resamples: expected at"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.ones(20))
