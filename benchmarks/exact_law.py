"""Exact-law simulation against direct simulation of one and the same model.

    python benchmarks/exact_law.py

Prints trials per second of both and their ratio at the sizes of Dong et al. 2025, then what a trial
of the exact law costs as n, N and the ambient dimension D grow. One thread.
"""

import argparse
import sys
import time

import numpy as np
from threadpoolctl import threadpool_limits

from w2s_utils import gaussian
from w2s_utils.theory import laws

D_W, D_S, D_SW, LABELS, PSEUDO_LABELS = 200, 100, 10, 2000, 4000
REQUIRED = 2000


def seconds_a_trial(simulate, trials, repeats=3):
    """Return the best of several repetitions: what disturbs a measurement only adds to it."""
    best = np.inf
    for _ in range(repeats):
        started = time.perf_counter()
        simulate(trials)
        best = min(best, time.perf_counter() - started)
    return best / trials


def compare(direct_trials, exact_trials):
    """Return the ratio of trials per second, exact law over direct simulation."""
    model = gaussian.authors_model(D_SW, 1e-2, d_w=D_W, d_s=D_S)

    def simulate(method):
        rng = np.random.default_rng(1)
        return lambda trials: gaussian.simulate(
            model, LABELS, PSEUDO_LABELS, trials, rng, method=method
        )

    model.canonical  # noqa: B018  computed once for a model, not once a trial
    direct = seconds_a_trial(simulate("direct"), direct_trials)
    exact = seconds_a_trial(simulate("exact"), exact_trials)
    print(f"d_w = {D_W}, d_s = {D_S}, n = {LABELS}, N = {PSEUDO_LABELS}, one thread")
    print(f"  direct     {1 / direct:12,.1f} trials/s   ({direct_trials} trials, best of 3)")
    print(f"  exact law  {1 / exact:12,.1f} trials/s   ({exact_trials} trials, best of 3)")
    return direct / exact


def growth(trials):
    """Print the cost of a trial of the exact law against n, N and D."""
    print("\nmicroseconds a trial of the exact law")
    print(f"  {'n':>9} {'N':>9} {'D':>6} {'us':>8}")
    sizes = [(2000, 4000, 300), (20_000, 4000, 300), (2_000_000, 4000, 300)]
    sizes += [(2000, 40_000, 300), (2000, 4_000_000, 300), (2000, 4000, 1000), (2000, 4000, 3000)]
    for n, N, ambient in sizes:
        problem = gaussian.shared_model(D_W, D_S, D_SW, 1e-2, ambient=ambient).canonical
        rng = np.random.default_rng(1)

        def simulate(count, problem=problem, n=n, N=N, rng=rng):
            laws.sample(problem, n, N, count, rng)

        cost = seconds_a_trial(simulate, trials)
        print(f"  {n:9,d} {N:9,d} {ambient:6,d} {1e6 * cost:8.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--direct", type=int, default=10, help="direct trials a repetition")
    parser.add_argument("--exact", type=int, default=100_000, help="exact-law trials a repetition")
    arguments = parser.parse_args()
    with threadpool_limits(1):
        ratio = compare(arguments.direct, arguments.exact)
        print(f"  ratio      {ratio:12,.0f}   (required: {REQUIRED:,})")
        growth(arguments.exact // 5)
    return 0 if ratio >= REQUIRED else 1


if __name__ == "__main__":
    sys.exit(main())
