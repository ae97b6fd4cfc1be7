"""The checks themselves: verdicts, false alarms and power, measured on simulated data."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from w2s_utils import checks


@pytest.fixture
def rng():
    return np.random.default_rng(19)


@pytest.fixture
def coarse(monkeypatch):
    """A level at which errors can be counted in a few thousand repetitions."""
    monkeypatch.setattr(checks, "LEVEL", 0.02)
    monkeypatch.setattr(checks, "LOOSEST", np.inf)


FAR = {"far": 1e9}


def verdicts(samples, expected, **asked):
    """Verdict of mean_equals for every row of samples."""
    trials = samples.shape[1]
    errors = samples.std(axis=1, ddof=1) / np.sqrt(trials)
    return [
        checks.mean_equals(
            mean, expected, standard_error=error, trials=trials, unit="m", **asked
        ).verdict
        for mean, error in zip(samples.mean(axis=1), errors, strict=True)
    ]


def share(found, verdict):
    return sum(one == verdict for one in found) / len(found)


def test_budget_of_the_book():
    assert pytest.approx(checks.FALSE_ALARM) == checks.LEVEL * checks.COMPARISONS


def test_critical_values_are_student_quantiles_and_tend_to_the_normal_one():
    values = [checks.critical_value(trials) for trials in (2, 3, 10, 100, 10**7)]
    assert values == sorted(values, reverse=True)
    # Two trials: one degree of freedom, a Cauchy quantile.
    assert values[0] == pytest.approx(np.tan(np.pi / 2 * (1 - checks.LEVEL)), rel=1e-6)
    assert values[-1] == pytest.approx(stats.norm.isf(checks.LEVEL / 2), rel=1e-5)


@pytest.mark.parametrize("trials", [0, 1])
def test_one_trial_has_no_standard_error(trials):
    with pytest.raises(ValueError, match=r"trials: .*at least 2 repetitions"):
        checks.critical_value(trials)


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("trials", [5, 50])
def test_false_alarms_of_a_true_mean_are_at_the_level(trials, rng):
    found = verdicts(rng.standard_normal((4000, trials)), 0.0, against=FAR)
    # 2 % of 4000 is 80, with standard deviation 8.9.
    assert share(found, "refuted") == pytest.approx(0.02, abs=4 * 8.9 / 4000)
    assert share(found, "passed") == 1 - share(found, "refuted")


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("trials", [5, 50])
def test_a_departure_of_the_resolution_seldom_passes(trials, rng):
    z = checks.critical_value(trials) + stats.t.ppf(checks.POWER, trials - 1)
    departure = z / np.sqrt(trials) * 1.05
    samples = departure + rng.standard_normal((4000, trials))
    found = verdicts(samples, 0.0, resolution=departure)
    assert share(found, "passed") <= 1 - checks.POWER + 4 * 13.8 / 4000
    assert share(found, "refuted") > 0.5


def test_a_true_mean_with_enough_trials_passes(rng):
    found = verdicts(rng.standard_normal((200, 1000)), 0.0, against={"0.3": 0.3})
    assert share(found, "passed") == 1


def test_three_verdicts_of_a_mean():
    def verdict(observed, error, resolution):
        return checks.mean_equals(
            observed, 1.0, standard_error=error, trials=10**6, unit="m", resolution=resolution
        ).verdict

    assert verdict(1.001, 0.001, 0.01) == "passed"
    assert verdict(1.1, 0.001, 0.01) == "refuted"
    assert verdict(1.001, 0.01, 0.01) == "inconclusive"
    # Refuted although the resolution is not reached: what is seen is enough.
    assert verdict(1.1, 0.01, 0.01) == "refuted"


@pytest.mark.parametrize("trials", [3, 10, 10**6])
def test_a_mean_passes_from_the_resolution_that_its_error_allows(trials):
    needed = checks.critical_value(trials) + stats.t.ppf(checks.POWER, trials - 1)
    for factor, verdict in ((1.0001, "passed"), (0.9999, "inconclusive")):
        check = checks.mean_equals(
            *(1.0, 1.0),
            standard_error=0.2,
            trials=trials,
            unit="m",
            resolution=0.2 * needed * factor,
        )
        assert check.verdict == verdict


def test_of_several_means_the_nearest_to_failing_is_reported():
    check = checks.mean_equals(
        [1.0, 2.0, 3.5],
        [1.0, 2.0, 3.0],
        standard_error=[0.1, 0.1, 0.2],
        trials=1000,
        unit="m",
        resolution=2.0,
    )
    assert (check.verdict, check.comparisons, check.trials) == ("passed", 3, 1000)
    assert (check.observed, check.expected, check.standard_error) == (3.5, 3.0, 0.2)
    assert check.tolerance == 2.0
    assert "2.50 standard errors" in check.detail
    noisy = checks.mean_equals(
        [1.0, 2.0], [1.0, 2.1], standard_error=[5.0, 0.1], trials=1000, unit="m", resolution=2.0
    )
    assert (noisy.verdict, noisy.observed) == ("inconclusive", 1.0)


def test_a_pass_refutes_every_rival():
    def check(**rivals):
        options = {"standard_error": 0.01, "trials": 1000, "unit": "m"}
        return checks.mean_equals([1.0, 2.0], [1.0, 2.01], **options, against=rivals)

    found = check(bound=[1.0, 2.2], constant=5.0)
    assert (found.verdict, found.kind, found.unit) == ("passed", "measurement", "m")
    assert [(r.name, r.value, r.refuted) for r in found.alternatives] == [
        ("bound", 2.2, True),
        ("constant", 5.0, True),
    ]
    assert found.alternatives[0].distance == pytest.approx(20)
    # A rival that the data cannot tell from what is expected leaves the matter open.
    near = check(near=[1.0, 2.03], constant=5.0)
    assert near.verdict == "inconclusive"
    assert [rival.refuted for rival in near.alternatives] == [False, True]


@pytest.mark.usefixtures("coarse")
def test_a_wrong_formula_seldom_passes_in_the_place_of_the_right_one(rng):
    samples = rng.standard_normal((4000, 50))
    distance = (checks.critical_value(50) + stats.t.ppf(checks.POWER, 49)) / np.sqrt(50)
    right = verdicts(samples, 0.0, against={"wrong": 1.05 * distance})
    wrong = verdicts(samples, 1.05 * distance, against={"right": 0.0})
    assert share(right, "passed") > checks.POWER - 0.02 - 4 * 13.8 / 4000
    assert share(wrong, "passed") <= 0.02 + 4 * 8.9 / 4000


def test_bounds_rule_out_what_lies_beyond_and_rivals():
    options = {"standard_error": 0.05, "trials": 500, "unit": "m"}
    found = checks.mean_at_least(2.0, 1.0, **options)
    assert [(r.value, r.distance, r.refuted) for r in found.alternatives] == [
        (1.0, pytest.approx(20), True)
    ]
    assert checks.mean_at_least(2.0, 1.0, **options, against={"x": 2.1}).verdict == "inconclusive"
    assert checks.mean_at_least(2.0, 1.0, **options, against={"x": 3.0}).verdict == "passed"


def test_laws_against_rivals(rng):
    sample = rng.standard_normal(2000)
    rivals = {"shifted": stats.norm(0.5).cdf}
    assert checks.follows(sample, stats.norm.cdf, against=rivals).verdict == "passed"
    near = {"nearly the same": stats.norm(0.01).cdf}
    assert checks.follows(sample, stats.norm.cdf, against=near).verdict == "inconclusive"


def test_identities_hold_up_to_the_tolerance():
    passed = checks.identity([1.0, 2.0 + 1e-9], [1.0, 2.0], tolerance=1e-8)
    assert (passed.verdict, passed.comparisons, passed.trials) == ("passed", 2, None)
    assert passed.observed == 2.0 + 1e-9
    assert checks.identity(np.ones(3), 1.1, tolerance=0.05).verdict == "refuted"
    assert checks.identity(1.0, 1.0, tolerance=0.0).verdict == "passed"


def test_bounds_in_every_instance():
    assert checks.at_most([1.0, 2.0], 2.0).verdict == "passed"
    assert checks.at_least([1.0, 2.0], 1.0).verdict == "passed"
    above = checks.at_most([1.0, 2.0, 5.0], [1.0, 1.9, 1.0])
    assert (above.verdict, above.observed, above.expected) == ("refuted", 5.0, 1.0)
    assert above.detail == "2 of 3 instances above the bound"
    assert checks.at_most(2.0, 1.9, tolerance=0.2).verdict == "passed"
    below = checks.at_least([1.0, 2.0], 1.5)
    assert (below.verdict, below.detail) == ("refuted", "1 of 2 instances below the bound")
    assert checks.at_least(1.4, 1.5, tolerance=0.2).verdict == "passed"


@pytest.mark.parametrize(
    ("observed", "most", "least"),
    [
        (0.0, "passed", "refuted"),
        (2.0, "refuted", "passed"),
        (1.01, "inconclusive", "inconclusive"),
    ],
)
def test_means_against_bounds(observed, most, least):
    options = {"standard_error": 0.05, "trials": 500, "unit": "m"}
    assert checks.mean_at_most(observed, 1.0, **options).verdict == most
    assert checks.mean_at_least(observed, 1.0, **options).verdict == least
    several = checks.mean_at_most([0.0, observed], 1.0, **options)
    assert (several.verdict, several.observed, several.comparisons) == (most, observed, 2)


def test_three_verdicts_of_a_share():
    hits = np.arange(60) < 50
    assert checks.share_at_least(hits, 0.5).verdict == "passed"
    assert checks.share_at_least(~hits, 0.5).verdict == "refuted"
    assert checks.share_at_least(hits, 0.7).verdict == "inconclusive"
    # Signs that are all alike have no spread, and still decide.
    found = checks.share_at_least(np.ones(20, bool), 0.5)
    assert (found.verdict, found.observed, found.trials) == ("passed", 1.0, 20)
    assert checks.share_at_least(np.ones(19, bool), 0.5).verdict == "inconclusive"


@pytest.mark.usefixtures("coarse")
def test_a_share_at_its_bound_seldom_gets_a_verdict(rng):
    hits = rng.random((4000, 200)) < 0.3
    found = [checks.share_at_least(row, 0.3).verdict for row in hits]
    for verdict in ("passed", "refuted"):
        assert 0 < share(found, verdict) < 0.01 + 4 * 6.3 / 4000


@pytest.mark.usefixtures("coarse")
def test_a_mean_at_its_bound_is_demonstrated_only_by_false_alarm(rng):
    samples = rng.standard_normal((4000, 30))
    found = [
        checks.mean_at_most(mean, 0.0, standard_error=error, trials=30, unit="m").verdict
        for mean, error in zip(
            samples.mean(axis=1), samples.std(axis=1, ddof=1) / np.sqrt(30), strict=True
        )
    ]
    # One side of the two-sided level: 1 % of 4000 is 40, with standard deviation 6.3.
    for verdict in ("passed", "refuted"):
        assert share(found, verdict) == pytest.approx(0.01, abs=4 * 6.3 / 4000)


@pytest.mark.usefixtures("coarse")
def test_false_alarms_of_distribution_checks(rng):
    found = [
        checks.follows(rng.standard_normal(200), stats.norm.cdf, resolution=0.5).verdict
        for _ in range(1000)
    ]
    assert share(found, "refuted") <= 0.02 + 4 * 4.4 / 1000
    assert share(found, "passed") == 1 - share(found, "refuted")


@pytest.mark.usefixtures("coarse")
def test_a_distance_of_the_resolution_is_refuted_with_the_stated_power(rng):
    # Normal laws whose means differ by s have Kolmogorov-Smirnov distance 2 Phi(s/2) - 1.
    size = 2000
    resolution = (np.sqrt(np.log(2 / checks.LEVEL)) + np.sqrt(np.log(40))) / np.sqrt(2 * size)
    shift = 2 * stats.norm.ppf((1 + resolution) / 2)
    found = [
        checks.follows(
            shift + rng.standard_normal(size), stats.norm.cdf, resolution=resolution * 1.001
        ).verdict
        for _ in range(200)
    ]
    assert share(found, "refuted") >= checks.POWER


def test_three_verdicts_of_distributions(rng):
    sample = rng.standard_normal(2000)
    assert checks.follows(sample, stats.norm.cdf, resolution=0.13).verdict == "passed"
    assert checks.follows(sample, stats.norm(0.5).cdf, resolution=0.13).verdict == "refuted"
    few = checks.follows(sample[:50], stats.norm.cdf, resolution=0.13)
    assert (few.verdict, few.trials) == ("inconclusive", 50)


def test_a_degenerate_law_does_not_pass(rng):
    with pytest.raises(ValueError, match=r"cdf: expected values.*got NaN"):
        checks.follows(rng.standard_normal(10**5), lambda x: x * np.nan, resolution=0.1)


def test_trends_need_ten_points():
    x = np.arange(10.0)
    assert checks.monotone(x, x**3).verdict == "passed"
    assert checks.monotone(x, -x).verdict == "refuted"
    assert checks.monotone(x, -x, increasing=False).verdict == "passed"
    assert checks.monotone(x, x, increasing=False).verdict == "refuted"
    assert checks.monotone(x[:9], x[:9]).verdict == "inconclusive"
    assert checks.monotone(x, (-1) ** x).verdict == "inconclusive"
    found = checks.monotone(x, x)
    assert (found.observed, found.expected, found.trials) == (pytest.approx(1), 1, 10)


FINE = {"standard_error": 0.1, "trials": 10, "unit": "m"}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: checks.identity(np.nan, 1, tolerance=1), "observed: expected finite numbers"),
        (lambda: checks.identity(1, [np.inf], tolerance=1), "expected: expected finite numbers"),
        (lambda: checks.identity([], 1, tolerance=1), "observed: .*got 0 values"),
        (lambda: checks.identity(1 + 2j, 1, tolerance=1), "observed: expected real numbers"),
        (lambda: checks.identity("1", 1, tolerance=1), "observed: expected real numbers"),
        (lambda: checks.identity([None], 1, tolerance=1), "observed: expected real numbers"),
        (
            lambda: checks.identity([1, 2], [1, 2, 3], tolerance=1),
            r"expected: .*\(2,\), got \(3,\)",
        ),
        # A tolerance of NaN would refute, and a control would hold.
        (lambda: checks.identity(1, 1, tolerance=np.nan), "tolerance: .*got nan"),
        (lambda: checks.at_most(1, 1, tolerance=-1), "tolerance: .*at least 0"),
        (lambda: checks.at_least(1, np.nan), "bound: expected finite numbers"),
        (lambda: checks.mean_at_most(1, [1, np.nan], **FINE), "bound: expected finite numbers"),
        (
            lambda: checks.mean_at_most(1, 1, standard_error=0.0, trials=9, unit="m"),
            "standard_error: expected 1 positive",
        ),
        (
            lambda: checks.mean_at_least([1, 2], 1, standard_error=[1, 1, 1], trials=9, unit="m"),
            "standard_error: expected 2 positive",
        ),
        (
            lambda: checks.mean_at_least(1, 1, standard_error=np.nan, trials=9, unit="m"),
            "standard_error: expected finite",
        ),
        (lambda: checks.mean_equals(1, 1, **FINE), "against, resolution: .*says what it rules out"),
        (lambda: checks.mean_equals(1, 1, **FINE, against={}), "against, resolution"),
        (lambda: checks.mean_equals(1, 1, **FINE, against={"x": 1}), "predicts just what is exp"),
        (lambda: checks.mean_equals(1, 1, **FINE, against={"x": [1, 2]}), "1 values, got 2"),
        (lambda: checks.mean_equals(1, 1, **FINE, against={" ": 2}), "against: a rival needs"),
        (
            lambda: checks.mean_equals(1, 1, **FINE, resolution=9.0),
            r"resolution: the data can detect 1\.\d+, so state at most 2 times that, got 9",
        ),
        (
            lambda: checks.mean_equals(1, 2, **FINE | {"unit": ""}, against={"x": 9}),
            "unit: a measurement needs it in words",
        ),
        (lambda: checks.follows([0.5], lambda x: x), "against, resolution"),
        (lambda: checks.follows([0.5] * 99, lambda x: x, resolution=0.9), "a distance of 0.399"),
        (lambda: checks.share_at_least([0.2, 0.7], 0.5), "hits: expected one bool a trial, got 2"),
        (lambda: checks.share_at_least(np.zeros(0, bool), 0.5), "hits: .*got 0 values"),
        (lambda: checks.share_at_least([True], 1.0), "bound: expected a probability"),
        (lambda: checks.mean_equals(1, 1, **FINE, resolution=0), "resolution: expected 1 positive"),
        (
            lambda: checks.mean_equals(1, 1, standard_error=1, trials=1, unit="m", resolution=1),
            "trials: .*at least 2",
        ),
        (lambda: checks.follows([], stats.norm.cdf, resolution=1), "sample: expected finite"),
        (lambda: checks.follows([1], stats.norm.cdf, resolution=np.nan), "resolution: .*got nan"),
        (lambda: checks.follows([np.inf], stats.norm.cdf, resolution=1), "sample: expected finite"),
        (lambda: checks.monotone([1, 2], [1, np.nan]), "y: 1 entries are NaN"),
        (lambda: checks.monotone([1, 2, 3], [1, 2]), "y: expected 3 rows"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
