r"""How alike teacher and student answer, beyond what two accuracies bring about by chance.

S. Goel et al., Great models think alike and this undermines AI oversight (ICML 2025), for CAPA;
R. Geirhos, K. Meding and F. A. Wichmann, Beyond accuracy (NeurIPS 2020), for error consistency.
"""

import numpy as np

from w2s_utils.validation import Array


def similarity(first: Array, second: Array, truth: Array) -> dict[str, Array]:
    r"""Return "CAPA" and "error consistency" of two models, as what each row adds to them.

    The mean over rows is the measure, and its error that of the mean, to the first order.

    Both are :math:`(c_{obs} - c_{exp})/(1 - c_{exp})`: 0 where models of these accuracies agree as
    by chance, 1 where they are the same; not there where no chance is left. For CAPA

    .. math::

        c_{obs} = \frac1m\sum_x \sum_i p_1(i|x)\,p_2(i|x), \qquad
        c_{exp} = \bar p_1\bar p_2 + \frac{(1-\bar p_1)(1-\bar p_2)}{k-1},

    with the mean probabilities :math:`\bar p_j` of the true class; for error consistency the share
    of inputs on which both are right or both wrong, and what independent errors would make of it.

    Parameters
    ----------
    first, second, truth : ndarray, shape (m, k)
        Probabilities of ``k >= 2`` classes, and the true class as a column of ones and zeros.
    """
    known = [np.sum(p * truth, axis=1) for p in (first, second)]
    right = [p.argmax(axis=1) == truth.argmax(axis=1) for p in (first, second)]
    found = {
        "CAPA": _kappa(known[0], known[1], np.sum(first * second, axis=1), truth.shape[1] - 1),
        "error consistency": _kappa(right[0], right[1], right[0] == right[1], 1),
    }
    return {name: rows for name, rows in found.items() if rows is not None}


def _kappa(first: Array, second: Array, alike: Array, others: int) -> Array | None:
    p, q, observed = first.mean(), second.mean(), alike.mean()
    expected = p * q + (1 - p) * (1 - q) / others
    if expected >= 1:
        return None
    found = (observed - expected) / (1 - expected)
    chance = (first - p) * (q - (1 - q) / others) + (second - q) * (p - (1 - p) / others)
    return np.asarray(found + (alike - observed - (1 - found) * chance) / (1 - expected))
