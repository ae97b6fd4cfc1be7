"""A comparison of two networks that says nothing of them.

For ``discrepancy/dimensions`` and ``discrepancy/differences``. To estimate the correlation
dimension use `w2s_utils.theory.subspaces.correlation_dimension_of_features`.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg

from w2s_utils.theory import subspaces
from w2s_utils.validation import Array


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
