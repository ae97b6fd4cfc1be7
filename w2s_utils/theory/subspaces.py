r"""Dong et al. 2025: intrinsic dimensions, canonical angles and the correlation dimension.

Weak and strong features span subspaces :math:`V_w, V_s` with orthonormal bases :math:`U_w, U_s`.
Their overlap is measured by the cosines :math:`c_1 \ge c_2 \ge \dots` of the canonical angles,
the singular values of :math:`U_s^T U_w`, and summed up in the correlation dimension

.. math:: d_{s \wedge w} = \|U_s^T U_w\|_F^2 = \sum_j c_j^2 .
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg

from w2s_utils import validation
from w2s_utils.validation import Array


def intrinsic_dimension(features: ArrayLike, fraction: float = 0.99) -> int:
    r"""Number of eigenvalues of the second moment that hold a fraction of its trace.

    The second moment :math:`\Phi^T \Phi / m` is not centred (the definition of Dong et al. 2025).

    Parameters
    ----------
    features : array_like, shape (m, D)
        Features of ``m`` inputs.
    fraction : float
        Share of the trace to hold, in (0, 1].

    Returns
    -------
    int
        Between 1 and ``min(m, D)``.

    Raises
    ------
    ValueError
        If the features are all zero, not finite, or ``fraction`` is not in (0, 1].
    """
    phi = validation.matrix(features, "features")
    if not 0 < validation.real(fraction, "fraction") <= 1:
        raise ValueError(f"fraction: expected a number in (0, 1], got {fraction!r}")
    energy = linalg.svdvals(phi) ** 2
    if energy[0] == 0:
        raise ValueError("features: all entries are zero, so they have no intrinsic dimension")
    held = np.cumsum(energy) / energy.sum()
    # Rounding must not add a dimension that holds nothing.
    return int(np.searchsorted(held, fraction - 1e-12) + 1)


def leading_directions(features: ArrayLike, dimension: int) -> Array:
    """Orthonormal basis of the ``dimension`` leading (uncentred) principal directions.

    Parameters
    ----------
    features : array_like, shape (m, D)
    dimension : int
        Between 1 and ``min(m, D)``.

    Returns
    -------
    ndarray, shape (D, dimension)
        ``features @ basis`` has rank ``dimension``: the exact formulas need the rank, and the
        ambient dimension of features that were not truncated is their rank.

    Raises
    ------
    ValueError
        If ``dimension`` is out of range.
    """
    phi = validation.matrix(features, "features")
    most = min(phi.shape)
    if not 1 <= dimension <= most:
        raise ValueError(f"dimension: expected 1 to {most} for shape {phi.shape}, got {dimension}")
    # The triangle of a tall matrix has its directions, and no rows to carry along.
    triangle = np.linalg.qr(phi, mode="r") if len(phi) > 2 * phi.shape[1] else phi
    rows: Array = linalg.svd(triangle, full_matrices=False)[2][:dimension]
    return rows.T


def canonical_cosines(weak_basis: ArrayLike, strong_basis: ArrayLike) -> Array:
    """Cosines of the canonical angles between two subspaces, descending, in [0, 1].

    For bases with orthonormal columns, shapes ``(D, d_w)`` and ``(D, d_s)``, else `ValueError`;
    shape ``(min(d_w, d_s),)``.
    """
    weak = validation.orthonormal(weak_basis, "weak_basis")
    strong = validation.orthonormal(strong_basis, "strong_basis", rows=len(weak))
    cosines: Array = np.minimum(linalg.svdvals(strong.T @ weak), 1.0)
    return cosines


def correlation_dimension(weak_basis: ArrayLike, strong_basis: ArrayLike) -> float:
    r"""Correlation dimension :math:`\|U_s^T U_w\|_F^2`, between 0 and ``min(d_w, d_s)``.

    For bases as in `canonical_cosines`, whose squares it sums.
    """
    return float(np.sum(canonical_cosines(weak_basis, strong_basis) ** 2))


def canonical_correlations(weak_features: ArrayLike, strong_features: ArrayLike) -> Array:
    """Sample canonical correlations (uncentred) of two feature vectors on the same inputs.

    Parameters
    ----------
    weak_features, strong_features : array_like, shape (m, d_w) and (m, d_s)
        Full column rank, ``m > max(d_w, d_s)``.

    Returns
    -------
    ndarray, shape (min(d_w, d_s),)
        Descending, in [0, 1]: the cosines between the two column spaces in R^m. With finitely
        many inputs they are biased upwards: independent features of which one is centred
        Gaussian have ``E sum(r**2) = d_w d_s / m``.

    Raises
    ------
    ValueError
        If a feature matrix is rank deficient or has too few rows.
    """
    return canonical_cosines(*column_spaces(weak_features, strong_features))


def column_space(features: ArrayLike, name: str = "features") -> Array:
    """Orthonormal basis, shape ``(m, d)``, of the column space in R^m: the features, whitened.

    Parameters
    ----------
    features : array_like, shape (m, d)
        Full column rank, ``m > d``.
    name : str
        What an error calls them.

    Raises
    ------
    ValueError
        If the features are rank deficient or have too few rows.
    """
    phi = validation.matrix(features, name)
    m, d = phi.shape
    validation.at_least(m, d + 1, f"rows of {name}", f"one more than its {d} columns")
    left: Array
    left, singular, _ = linalg.svd(phi, full_matrices=False)
    rank = int(np.sum(singular > singular[0] * max(m, d) * np.finfo(float).eps))
    if rank < d:
        raise ValueError(
            f"{name}: expected full column rank {d}, got rank {rank}; project on the leading "
            "directions first (w2s_utils.theory.subspaces.leading_directions)"
        )
    return left


def column_spaces(weak_features: ArrayLike, strong_features: ArrayLike) -> tuple[Array, Array]:
    """`column_space` of two feature matrices that must be on the same inputs."""
    weak = validation.matrix(weak_features, "weak_features")
    strong = validation.matrix(strong_features, "strong_features", rows=len(weak))
    return column_space(weak, "weak_features"), column_space(strong, "strong_features")


def correlation_dimension_of_features(
    weak_features: ArrayLike, strong_features: ArrayLike, *, adjusted: bool = True
) -> float:
    r"""Estimate the correlation dimension from features of the same inputs.

    The raw estimate is the sum of squared canonical correlations. For Gaussian features and a
    correlation dimension :math:`d`,

    .. math::

        E\,\mathrm{raw} = d + \frac{(d_w - d)(d_s - d) - \sum_j c_j^2(1-c_j^2)}{m} + O(m^{-2}),

    and exactly :math:`d + (d_w-d)(d_s-d)/(m-d)` when every cosine is 0 or 1: the column spaces
    share :math:`d` directions, and what is left of them is independent in
    :math:`\mathbb{R}^{m-d}`. The adjusted estimate solves this relation for :math:`d`,

    .. math::

        \hat d_{s \wedge w} = \frac{m\,\mathrm{raw} - d_w d_s}{m - d_w - d_s + \mathrm{raw}} ,

    symmetric in weak and strong. Its bias, :math:`-\sum_j c_j^2(1-c_j^2)/m` to first order, is at
    most a quarter of ``min(d_w, d_s) / m``. (An adjusted :math:`R^2` summed over the student's
    directions, :math:`d_s - (d_s - \mathrm{raw})\,m/(m-d_w)`, has the further bias
    :math:`-d\,(d_s-d)/m`.)

    Parameters
    ----------
    weak_features, strong_features : array_like, shape (m, d_w) and (m, d_s)
    adjusted : bool
        Whether to remove the finite-sample bias.

    Returns
    -------
    float
        Dimension (a count), at most ``min(d_w, d_s)``; the adjusted value may be negative.

    Raises
    ------
    ValueError
        As `canonical_correlations`; adjusted also if ``m <= d_w + d_s``, where the two column
        spaces meet whatever the features are.
    """
    raw = float(np.sum(canonical_correlations(weak_features, strong_features) ** 2))
    if not adjusted:
        return raw
    m, d_w = np.shape(weak_features)
    d_s = np.shape(strong_features)[1]
    why = "d_w + d_s + 1 to adjust; use adjusted=False"
    validation.at_least(m, d_w + d_s + 1, "rows of weak_features", why)
    return float(adjusted_overlap(raw, m, d_w, d_s))


def adjusted_overlap(raw: ArrayLike, m: float, d_w: float, d_s: float) -> Array:
    r"""Sum of squared sample canonical correlations with its bias removed.

    The formula of `correlation_dimension_of_features`, for sums ``raw`` that are known already,
    from ``m > d_w + d_s`` inputs; may be negative.
    """
    return (m * np.asarray(raw) - d_w * d_s) / (m - d_w - d_s + np.asarray(raw))


def pair_with_cosines(
    ambient: int,
    d_w: int,
    d_s: int,
    cosines: ArrayLike,
    rng: np.random.Generator | None = None,
) -> tuple[Array, Array]:
    """Two subspaces with prescribed canonical cosines, in random position.

    Parameters
    ----------
    ambient : int
        Dimension of the whole space; at least ``d_w + d_s`` less the number of cosines equal
        to one.
    d_w, d_s : int
    cosines : array_like, shape (min(d_w, d_s),)
        In [0, 1]; their squares sum to the correlation dimension.
    rng : numpy.random.Generator, optional
        Rotates the pair at random; without it the weak subspace is spanned by the first axes.

    Returns
    -------
    weak_basis, strong_basis : ndarray, shape (ambient, d_w) and (ambient, d_s)

    Raises
    ------
    ValueError
        If the cosines have the wrong number or range, or the ambient dimension is too small.
    """
    c = validation.targets(cosines, "cosines")
    few = min(d_w, d_s)
    if c.shape != (few,) or np.any((c < 0) | (c > 1)):
        raise ValueError(f"cosines: expected {few} numbers in [0, 1], got {c}")
    shared = int(np.sum(c == 1))
    validation.at_least(ambient, d_w + d_s - shared, "ambient", "d_w + d_s less shared directions")
    weak = np.eye(ambient, d_w)
    strong = np.zeros((ambient, d_s))
    strong[np.arange(few), np.arange(few)] = c
    # Every direction of V_s that is not shared needs an axis of its own outside V_w.
    padded = np.pad(c, (0, d_s - few))
    own = np.flatnonzero(padded < 1)
    strong[d_w + np.arange(own.size), own] = np.sqrt(1 - padded[own] ** 2)
    if rng is None:
        return weak, strong
    rotation = linalg.qr(rng.standard_normal((ambient, ambient)))[0]
    return rotation @ weak, rotation @ strong
