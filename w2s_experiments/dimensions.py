"""Two ways to compare feature vectors, for ``discrepancy/dimensions`` and ``differences``.

`regularised` generalises the correlation dimension to features without a sharp rank;
`compare_coordinates` is a comparison that carries no information. To estimate the correlation
dimension use `w2s_utils.theory.subspaces.correlation_dimension_of_features`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from w2s_utils import validation
from w2s_utils.theory import subspaces
from w2s_utils.validation import Array


@dataclass(frozen=True)
class Regularised:
    r"""Overlap of two smoothers: canonical correlations with regularised whitening.

    ``raw`` is :math:`\operatorname{tr} H_w H_s`, ``weak`` and ``strong`` the effective dimensions
    :math:`\operatorname{tr} H_w` and :math:`\operatorname{tr} H_s`, and ``estimate`` the raw
    overlap adjusted as for projections.
    """

    raw: float
    weak: float
    strong: float
    estimate: float


def regularised(weak: Array, strong: Array, share: float) -> Regularised:
    r"""Overlap with regularised whitening, of features of any rank on the same ``m`` inputs.

    The projections become the smoothers of ridge regression,
    :math:`H = \Phi(\Phi^T\Phi + \lambda m I)^{-1}\Phi^T` with :math:`\lambda` a ``share`` of the
    trace of the second moment, so that directions holding much less than that are not counted. The
    adjustment, written as

    .. math::

        \frac{\operatorname{tr} H_w H_s - \operatorname{tr} H_w \operatorname{tr} H_s / m}
             {\operatorname{tr} (I-H_w)(I-H_s) / m},

    is the same number for projections; for smoothers it is a convention, not a theorem.
    """
    penalty = validation.positive(share, "share")
    halves = []
    for phi in (weak, strong):
        left, singular, _ = linalg.svd(phi, full_matrices=False)
        halves.append(left * np.sqrt(singular**2 / (singular**2 + penalty * np.sum(singular**2))))
    raw = float(np.sum((halves[1].T @ halves[0]) ** 2))
    d_w, d_s = (float(np.sum(half**2)) for half in halves)
    estimate = float(subspaces.adjusted_overlap(raw, len(weak), d_w, d_s))
    return Regularised(raw, d_w, d_s, estimate)


def compare_coordinates(
    weak: Array, strong: Array, d_w: int, d_s: int, rng: np.random.Generator
) -> float:
    r"""Overlap of the leading directions of two networks as if their coordinates were the same.

    The wider features are first mapped at random to the width of the narrower. Two networks share
    no coordinates, so the result is that of random subspaces, :math:`d_w d_s / \min(D_w, D_s)` on
    average, whatever the features have in common.
    """
    width = min(weak.shape[1], strong.shape[1])
    bases = []
    for phi, dimension in ((weak, d_w), (strong, d_s)):
        if phi.shape[1] > width:
            axes = rng.standard_normal((phi.shape[1], width))
            phi = phi @ linalg.qr(axes, mode="economic")[0]
        bases.append(subspaces.leading_directions(phi, dimension))
    return subspaces.correlation_dimension(*bases)
