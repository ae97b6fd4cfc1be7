"""The synthetic figures of Dong et al. 2025 at full size: three ways to simulate them.

    python benchmarks/synthetic_figures.py

Seven settings (overlaps 10, 50, 90 at noise 1e-2; 90 at 4e-4; 0, 40, 80 at 0.1), two sweeps of 20
points, 40 trials a point:

- a plain loop: draw the designs, ``numpy.linalg.lstsq`` four times, one setting after the other;
- ``w2s_experiments.synthetic``: the same least squares from shared draws;
- the exact laws, with 10 000 trials a point.

The first two are measured on a slice, at every ``--every``-th point and a few trials, and
extrapolated by the number of trials; the third is measured in full. One run, one thread.
"""

import argparse
import time

import numpy as np
from threadpoolctl import threadpool_limits

from w2s_experiments import synthetic
from w2s_utils import gaussian

SETTINGS = [(10, 1e-2), (50, 1e-2), (90, 1e-2), (90, 4e-4), (0, 0.1), (40, 0.1), (80, 0.1)]
SWEEP = np.linspace(400, 4000, 20).round().astype(int).tolist()
POINTS = [*((2000, N) for N in SWEEP), *((n, 4000) for n in SWEEP)]
TRIALS, EXACT_TRIALS = 40, 10_000


def plain_trial(model, n, N, rng):
    """Excess risks of the four models by least squares on freshly drawn designs."""
    g, noise = rng.standard_normal((n + N, len(model.theta))), rng.standard_normal(n + N)
    weak = g @ (model.weak_basis * np.sqrt(model.weak_spectrum))
    strong = g @ (model.strong_basis * np.sqrt(model.strong_spectrum))
    labels = g @ model.theta + np.sqrt(model.sigma2) * noise

    def fit(features, targets):
        return np.linalg.lstsq(features, targets, rcond=1e-6)[0]

    teacher = fit(weak[:n], labels[:n])
    student = fit(strong[n:], weak[n:] @ teacher)
    baseline, ceiling = fit(strong[:n], labels[:n]), fit(strong, labels)
    as_weak = model.weak_basis @ (np.sqrt(model.weak_spectrum) * teacher)
    as_strong = [
        model.strong_basis @ (np.sqrt(model.strong_spectrum) * fitted)
        for fitted in (student, baseline, ceiling)
    ]
    return [np.sum((fitted - model.theta) ** 2) for fitted in (as_weak, *as_strong)]


def timed(work):
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def plain(points, trials):
    """Return seconds a trial of one setting, averaged over the points."""
    model, rng = gaussian.authors_model(10, 1e-2), np.random.default_rng(1)
    work = [(n, N) for n, N in points for _ in range(trials)]
    return timed(lambda: [plain_trial(model, n, N, rng) for n, N in work]) / len(work)


def shared(points, trials):
    """Return seconds a trial of all settings, averaged over the points."""
    experiment, rng = synthetic.Experiment(), np.random.default_rng(1)
    seconds = timed(lambda: experiment.sweep(points, trials, rng))
    return seconds / (len(points) * trials)


def exact(trials):
    """Return seconds for all settings and points."""
    rng = np.random.default_rng(1)
    models = [gaussian.authors_model(*setting) for setting in SETTINGS]
    for model in models:
        model.canonical  # noqa: B018  computed once for a model
    work = [(model, n, N) for model in models for n, N in POINTS]
    return timed(lambda: [gaussian.simulate(*item, trials, rng, method="exact") for item in work])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--every", type=int, default=5, help="measure every so many points")
    parser.add_argument("--trials", type=int, default=3, help="trials a point in the slice")
    arguments = parser.parse_args()
    # Offset so that both ends of a sweep are not measured alone.
    points = POINTS[arguments.every // 2 :: arguments.every]
    with threadpool_limits(1):
        loop = plain(points, arguments.trials) * len(POINTS) * TRIALS * len(SETTINGS)
        direct = shared(points, arguments.trials) * len(POINTS) * TRIALS
        laws = exact(EXACT_TRIALS)
    measured = f"{len(points)} of {len(POINTS)} points, {arguments.trials} trials; extrapolated"
    print(f"{len(SETTINGS)} settings, {len(POINTS)} points, {TRIALS} trials a point, one thread")
    print(f"  plain loop of numpy.linalg.lstsq   {loop:9.1f} s   ({measured})")
    print(f"  shared draws, 18 settings          {direct:9.1f} s   ({measured})")
    print(f"  exact laws, {EXACT_TRIALS:,} trials a point {laws:8.1f} s   (in full)")
    print(f"  plain loop / shared draws          {loop / direct:9.1f}")
    more = f"{EXACT_TRIALS // TRIALS} times the trials"
    print(f"  plain loop / exact laws            {loop / laws:9.1f}   ({more})")
    print(f"  shared draws / exact laws          {direct / laws:9.1f}   ({more})")


if __name__ == "__main__":
    main()
