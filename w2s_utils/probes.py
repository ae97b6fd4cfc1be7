r"""Logistic probes: a teacher's probabilities as soft labels for the student.

In the image and text experiments of Dong et al. 2025 heads are logistic and labels are flipped.
With flips of probability :math:`\eta` the label of an input with true label :math:`y` is 1 with
probability :math:`\eta + (1-2\eta)y`, its *law*. What a classifier's squared error is measured
against decides what one sees:

- ``"law"``: the law of the noisy label. This is the analogue of an excess risk.
- ``"noisy"``: a noisy label, in expectation: the above plus :math:`\eta(1-\eta)`, for any model.
- ``"clean"``: the true label.

Heads are scikit-learn's, by L-BFGS as in the paper; a Newton method of our own on the soft labels
themselves was no faster at these sizes (half to twice the time).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from w2s_utils import validation
from w2s_utils.protocol import Result, over_trials, splitter

MEASURES = ("law", "noisy", "clean")
STEPS = 2000
TOLERANCE = 1e-6


def fit_logistic(
    features: ArrayLike, probabilities: ArrayLike, *, penalty: float = 1.0
) -> NDArray[np.float64]:
    r"""Logistic regression on soft labels, by L-BFGS.

    .. math::

        \min_c \; \sum_i \bigl[\log(1 + e^{\phi_i^T c}) - p_i \phi_i^T c\bigr]
        + \tfrac{\lambda}{2}\|c\|^2

    Parameters
    ----------
    features : array_like, shape (m, d)
        Whitened, so that the penalty treats all directions alike; with a constant if an intercept
        is wanted.
    probabilities : array_like, shape (m,)
        Labels between 0 and 1.
    penalty : float
        :math:`\lambda > 0`, in total, not per row.

    Returns
    -------
    ndarray, shape (d,)

    Raises
    ------
    ValueError
        If a label is not in [0, 1] or the penalty not positive.
    """
    phi = validation.matrix(features, "features")
    labels = validation.vector(probabilities, "probabilities", rows=len(phi))
    if labels.min() < 0 or labels.max() > 1:
        raise ValueError(
            f"probabilities: expected numbers in [0, 1], got {labels.min():g} to {labels.max():g}"
        )
    weight = validation.positive(penalty, "penalty")

    model = LogisticRegression(C=1 / weight, fit_intercept=False, tol=TOLERANCE, max_iter=STEPS)
    # The loss is linear in a label: a soft one is two rows, weighted by how likely each is.
    both = np.repeat([1.0, 0.0], len(phi))
    model.fit(np.vstack([phi, phi]), both, sample_weight=np.r_[labels, 1 - labels])
    return model.coef_[0]


def run(
    weak: Mapping[str, ArrayLike],
    strong: ArrayLike,
    labels: ArrayLike,
    *,
    cells: Sequence[tuple[int, int]],
    flips: float,
    trials: int,
    rng: np.random.Generator,
    penalty: float = 1.0,
    groups: ArrayLike | None = None,
    n_jobs: int = 1,
) -> dict[str, dict[tuple[int, int], dict[str, Result]]]:
    """Run teachers, students, baseline and ceiling with logistic heads, on random splits.

    As in `w2s_utils.protocol.sweep` smaller samples are the first rows of larger ones; all teachers
    and cells of a trial share the split, the flips and the test inputs, and the baseline and
    ceiling are fitted once for all teachers.

    Parameters
    ----------
    weak : mapping of str to array_like, shape (m, d_w)
        Features by teacher, whitened.
    strong : array_like, shape (m, d_s)
        Features of the student, baseline and ceiling, whitened.
    labels : array_like, shape (m,)
        True labels, 0 or 1.
    cells : sequence of (int, int)
        Pairs ``(n, N)`` of labelled and unlabelled inputs.
    flips : float
        Probability that a training label is flipped, in [0, 0.5).
    trials : int
    rng : numpy.random.Generator
    penalty : float
        Of every head, see `fit_logistic`.
    groups : array_like, shape (m,), optional
        As in `w2s_utils.protocol.random_splits`.
    n_jobs : int
        Worker processes.

    Returns
    -------
    dict
        `w2s_utils.protocol.Result` by teacher, cell and measure (see the module's description):
        mean squared errors of the probability of class 1.

    Raises
    ------
    ValueError
        If rows differ, a label is not 0 or 1, flips are out of range, or no test inputs are left.
    """
    phi = validation.matrix(strong, "strong")
    teachers = {
        name: validation.matrix(values, f"weak[{name!r}]", rows=len(phi))
        for name, values in weak.items()
    }
    truth = validation.vector(labels, "labels", rows=len(phi))
    if not np.all(np.isin(truth, [0, 1])):
        raise ValueError(f"labels: expected 0 and 1, got {np.unique(truth)[:5]}")
    if not 0 <= flips < 0.5:
        raise ValueError(f"flips: expected a probability in [0, 0.5), got {flips!r}")
    pairs = list(dict.fromkeys((int(n), int(N)) for n, N in cells))
    if not pairs or not teachers:
        raise ValueError("weak, cells: expected at least one teacher and one pair (n, N)")
    draw = splitter(len(phi), max(n for n, _ in pairs), max(N for _, N in pairs), groups)

    def one(generator: np.random.Generator) -> list[dict[str, NDArray]]:
        labelled, unlabelled, test = draw(generator)
        noisy = np.where(generator.random(len(truth)) < flips, 1 - truth, truth)
        targets = _targets(truth[test], flips)

        def head(features: NDArray, soft: NDArray) -> NDArray:
            return fit_logistic(features, soft, penalty=penalty)

        def fitted(rows: NDArray) -> NDArray:
            return expit(phi[test] @ head(phi[rows], noisy[rows]))

        baselines = {n: fitted(labelled[:n]) for n, _ in pairs}
        ceilings = {(n, N): fitted(np.r_[labelled[:n], unlabelled[:N]]) for n, N in pairs}
        found = []
        for features in teachers.values():
            heads = {
                n: head(features[labelled[:n]], noisy[labelled[:n]]) for n in {n for n, _ in pairs}
            }
            for n, N in pairs:
                rows = unlabelled[:N]
                student = head(phi[rows], expit(features[rows] @ heads[n]))
                predictions = {
                    "teacher": expit(features[test] @ heads[n]),
                    "student": expit(phi[test] @ student),
                    "baseline": baselines[n],
                    "ceiling": ceilings[n, N],
                }
                found.append(_errors(predictions, targets))
        return found

    rows = over_trials(one, trials, rng, n_jobs)
    keys = [(name, pair) for name in teachers for pair in pairs]
    table = {
        key: {name: np.array([row[index][name] for row in rows]) for name in rows[0][index]}
        for index, key in enumerate(keys)
    }
    return {
        name: {pair: _measures(table[name, pair], flips) for pair in pairs} for name in teachers
    }


def _targets(truth: NDArray, flips: float) -> NDArray:
    """Law of the noisy label and true label of the test inputs, shape (m, 2)."""
    return np.column_stack([flips + (1 - 2 * flips) * truth, truth])


def _errors(predictions: Mapping[str, NDArray], targets: NDArray) -> dict[str, NDArray]:
    errors = {name: np.mean((p[:, None] - targets) ** 2, axis=0) for name, p in predictions.items()}
    misfit = np.mean((predictions["student"] - predictions["teacher"]) ** 2)
    return {**errors, "misfit": np.repeat(misfit, 2)}


def _measures(errors: Mapping[str, NDArray], flips: float) -> dict[str, Result]:
    law, clean = (
        Result(**{name: values[:, i] for name, values in errors.items()}) for i in range(2)
    )
    constant = flips * (1 - flips)
    shifted = {name: values[:, 0] + constant for name, values in errors.items()}
    noisy = Result(**{**shifted, "misfit": errors["misfit"][:, 0]})
    return dict(zip(MEASURES, (law, noisy, clean), strict=True))
