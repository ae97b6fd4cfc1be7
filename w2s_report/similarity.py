r"""How alike teacher and student answer, beyond what two accuracies bring about by chance.

S. Goel et al., Great models think alike and this undermines AI oversight (ICML 2025), for CAPA;
R. Geirhos, K. Meding and F. A. Wichmann, Beyond accuracy (NeurIPS 2020), for error consistency.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from w2s_utils.resampling import jackknife_error

GROUPS = 20


def similarity(first: NDArray, second: NDArray, truth: NDArray) -> dict[str, tuple[float, float]]:
    r"""Return "CAPA" and "error consistency" of two models, with standard errors.

    Both are :math:`(c_{obs} - c_{exp})/(1 - c_{exp})`: 0 where models of these accuracies agree as
    by chance, 1 where they are the same, NaN where no chance is left. For CAPA

    .. math::

        c_{obs} = \frac1m\sum_x \sum_i p_1(i|x)\,p_2(i|x), \qquad
        c_{exp} = \bar p_1\bar p_2 + \frac{(1-\bar p_1)(1-\bar p_2)}{k-1},

    with the mean probabilities :math:`\bar p_j` of the true class; for error consistency the share
    of inputs on which both are right or both wrong, and what independent errors would make of it.

    Parameters
    ----------
    first, second, truth : ndarray, shape (m, k)
        Probabilities of ``k >= 2`` classes, and the true class as a column of ones and zeros.
        Errors are from leaving out `GROUPS` groups of rows.
    """
    right = [p.argmax(axis=1) == truth.argmax(axis=1) for p in (first, second)]
    rows = {
        "CAPA": [np.sum(p * truth, axis=1) for p in (first, second)]
        + [np.sum(first * second, axis=1)],
        "error consistency": [*right, right[0] == right[1]],
    }
    found = {}
    for name, columns in rows.items():
        others = truth.shape[1] - 1 if name == "CAPA" else 1
        table = np.array(columns, float)
        whole = _kappa(table.mean(axis=1), others)
        parts = np.array_split(table, min(GROUPS, len(truth)), axis=1)
        left = [(table.sum(axis=1) - p.sum(axis=1)) / (len(truth) - p.shape[1]) for p in parts]
        found[name] = whole, float(jackknife_error([_kappa(means, others) for means in left]))
    return found


def _kappa(means: NDArray, others: int) -> float:
    first, second, observed = means.tolist()
    expected = first * second + (1 - first) * (1 - second) / others
    return (observed - expected) / (1 - expected) if expected < 1 else float("nan")
