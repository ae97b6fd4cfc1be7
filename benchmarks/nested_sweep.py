"""Time a chapter's sweeps over labels and pseudo-labels: nested moments against refitting.

    python benchmarks/nested_sweep.py [--trials 5]

One run measures both on the splits of coloured digits: all points of an n sweep and an N sweep by
`w2s_utils.splits.sweep`, and every point anew by `w2s_utils.protocol.repeat`. The risks have to
agree in the mean (the splits of the second are drawn anew for every point).
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from w2s_experiments import images
from w2s_utils import protocol, splits

SIZES_N = [200, 300, 600, 1000, 1500, 2500, 4000]
SIZES_PSEUDO = [150, 400, 1000, 1500, 3000, 5000, 8000, 10000]
LABELS, PSEUDO, NOISE = 500, 10000, 1.0


def main() -> None:
    """Run both, print seconds, their ratio and the largest deviation of the means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=5)
    trials = parser.parse_args().trials
    problem = images.vision(np.random.default_rng(1), encoder_images=4000, pool=16000).problem
    weak, strong = problem.teachers["pixels"], problem.students["network on gradients"]
    cells = [(n, PSEUDO) for n in SIZES_N] + [(LABELS, N) for N in SIZES_PSEUDO]
    started = time.perf_counter()
    swept = splits.sweep(
        weak, strong, problem.targets, cells=cells, trials=trials, noise=NOISE,
        rng=np.random.default_rng(2),
    )  # fmt: skip
    together = time.perf_counter() - started

    started = time.perf_counter()
    again = {}
    for n, N in cells:
        draw = splits.random_splits(weak, strong, problem.targets, n=n, N=N)

        def noisy(rng: np.random.Generator, draw=draw) -> protocol.Trial:
            labelled, unlabelled, test = draw(rng)
            parts = [
                protocol.Inputs(
                    p.weak, p.strong, p.labels + NOISE * rng.standard_normal(p.labels.shape)
                )
                for p in (labelled, unlabelled)
            ]
            return (*parts, test)

        again[n, N] = protocol.repeat(noisy, trials, np.random.default_rng(3))
    anew = time.perf_counter() - started

    deviations = [
        abs(swept[cell].mean("student").value - again[cell].mean("student").value)
        / np.hypot(
            swept[cell].mean("student").standard_error, again[cell].mean("student").standard_error
        )
        for cell in cells
    ]
    print(f"{len(cells)} points, {trials} trials: sweep {together:.1f} s, refitting {anew:.1f} s")
    print(f"the sweep costs 1/{anew / together:.1f} of refitting (at most 1/5 asked)")
    print(f"students' risks differ by {max(deviations):.1f} standard errors at most")


if __name__ == "__main__":
    main()
