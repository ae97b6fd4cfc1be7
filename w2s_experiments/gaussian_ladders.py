"""Ladders of random teachers in the Gaussian model, with exact errors."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from w2s_utils import validation
from w2s_utils.ladder import LEAST_LABELS, Ladder, Part, climb
from w2s_utils.least_squares import MinimumNorm


def gaussian_teachers(
    rng: np.random.Generator, theta: ArrayLike, d_s: int, count: int, *, sigma2: float = 0.5
) -> NDArray[np.float64]:
    """Coefficients of random teachers in the Gaussian model, of very different quality.

    Each sees a random subspace of 5 to 40 dimensions, tilted towards or away from the student's
    (the first ``d_s`` coordinates), and fits 1.5 to 4 times as many noisy labels as dimensions.

    Parameters
    ----------
    rng : numpy.random.Generator
    theta : array_like, shape (D,)
        Target; ``D`` at least 40.
    d_s : int
    count : int
    sigma2 : float
        Variance of the label noise.

    Returns
    -------
    ndarray, shape (D, count)
    """
    target = validation.vector(theta, "theta")
    if not 0 < d_s < len(target) or len(target) < 40:
        raise ValueError(
            f"theta, d_s: expected 40 coordinates or more, of which 1 to {len(target) - 1} are the "
            f"student's, got {len(target)} and {d_s}"
        )
    found = []
    for _ in range(count):
        d_w = int(rng.integers(5, 41))
        n = int(np.ceil(rng.uniform(LEAST_LABELS, 4) * d_w))
        directions = rng.standard_normal((len(target), d_w))
        directions[:d_s] *= 4.0 ** rng.uniform(-1, 1)
        g = rng.standard_normal((n, len(target)))
        labels = g @ target + np.sqrt(sigma2) * rng.standard_normal(n)
        head = MinimumNorm().fit(g @ directions, labels)
        found.append(directions @ head.coefficients)
    return np.column_stack(found)


def gaussian_ladder(
    rng: np.random.Generator,
    theta: ArrayLike,
    teachers: ArrayLike,
    d_s: int,
    N: int,
    *,
    labels: int = 0,
    sigma2: float = 0.5,
) -> Ladder:
    """Students of given teachers in the Gaussian model, on fresh inputs; errors are exact.

    Parameters
    ----------
    rng : numpy.random.Generator
    theta : array_like, shape (D,)
    teachers : array_like, shape (D, t)
        From `gaussian_teachers`.
    d_s : int
    N : int
        Pseudo-labels; 0 for the whole distribution.
    labels : int
        Noisy validation labels; 0 when the errors are known exactly.
    sigma2 : float
        Variance of the noise on validation labels.

    Returns
    -------
    Ladder
    """
    target = validation.vector(theta, "theta")
    functions = validation.matrix(teachers, "teachers", rows=len(target))
    ambient = len(target)
    # A rule of equal weights that is exact for squares of linear functions.
    population = np.sqrt(ambient) * np.eye(ambient)

    def part(g: NDArray, noise: ArrayLike = 0.0) -> Part:
        return Part(g[:, :d_s], g @ functions, g @ target + noise)

    drawn = rng.standard_normal((N + labels, ambient))
    noise = np.sqrt(sigma2) * rng.standard_normal(labels)
    everyone = part(population)
    if N == 0:
        ladder = climb(everyone, everyone, everyone)
        return Ladder(**{**vars(ladder), "correction": 1.0})
    return climb(part(drawn[:N]), part(drawn[N:], noise) if labels else everyone, everyone)
