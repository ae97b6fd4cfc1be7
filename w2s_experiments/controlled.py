r"""Teachers that differ in one thing only: how many directions they share with the student.

Natural teachers differ in everything at once. A teacher that resembles the student has a larger
correlation dimension, and usually knows more as well. Here teachers are built from the span `H` of
many weak features so that what they know is the same: each contains the direction `u` of the best
predictor in `H`, and directions orthogonal to `u` that carry correlation with the student or carry
none. With :math:`P_w f^* = P_H f^*` for all of them, :math:`\rho_w`, `b` and :math:`\kappa` are
equal, and so is :math:`d_w`; only :math:`d_{s\wedge w}` differs.

Building `u` takes the targets of the whole pool: an experiment, no teacher that one could deploy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from w2s_utils import validation
from w2s_utils.theory.subspaces import column_space


def ladder(
    weak: Sequence[ArrayLike],
    strong: ArrayLike,
    target: ArrayLike,
    *,
    dimension: int,
    shared: Sequence[int],
) -> dict[str, NDArray[np.float64]]:
    """Build teachers of equal dimension and knowledge, and of growing overlap with the student.

    Parameters
    ----------
    weak : sequence of array_like, shape (m, D_i)
        Features whose joint span the teachers are made from.
    strong : array_like, shape (m, d_s)
        Full column rank.
    target : array_like, shape (m,)
        Without noise.
    dimension : int
        ``d_w`` of every teacher.
    shared : sequence of int
        For each teacher, how many of the ``d_s`` directions that correlate with the student it
        contains, beside the predictor's; at most ``min(d_s, d_w - 1)``.

    Returns
    -------
    dict of str to ndarray, shape (m, d_w)
        Orthogonal columns of mean square 1, by ``"k shared"``.

    Raises
    ------
    ValueError
        If there are too few directions for the dimension asked for, or shapes do not match.
    """
    blocks = [
        validation.matrix(block, f"weak[{i}]", rows=len(np.asarray(strong)))
        for i, block in enumerate(weak)
    ]
    span, student = column_space(np.hstack(blocks)), column_space(strong)
    f = validation.vector(target, "target", rows=len(span))
    d_s, d_w = student.shape[1], int(dimension)
    counts = [int(k) for k in shared]
    if not counts or min(counts) < 0 or max(counts) > min(d_s, d_w - 1):
        raise ValueError(
            f"shared: expected numbers from 0 to {min(d_s, d_w - 1)} (d_s and d_w - 1), got "
            f"{list(shared)}"
        )
    free = span.shape[1] - 1 - d_s
    if d_w - 1 - min(counts) > free:
        raise ValueError(
            f"dimension: the weak features span {span.shape[1]} directions, {max(free, 0)} of them "
            f"without correlation with the student; a teacher of {d_w} with {min(counts)} shared "
            f"needs {d_w - 1 - min(counts)}: give more weak features, or a smaller dimension"
        )
    head = span.T @ f
    if not np.linalg.norm(head) > 0:
        raise ValueError("target: the weak features say nothing about it")
    # Reflect the span so that its first column is the predictor, then rotate the others.
    reflected, _ = np.linalg.qr(np.column_stack([head, np.eye(len(head))[:, 1:]]))
    predictor, rest = span @ reflected[:, :1], span @ reflected[:, 1:]
    rotation = np.linalg.svd(rest.T @ student, full_matrices=True)[0]
    rest = rest @ rotation
    teachers = {
        f"{k} shared": np.column_stack([predictor, rest[:, :k], rest[:, d_s : d_s + d_w - 1 - k]])
        for k in counts
    }
    return {name: features * np.sqrt(len(f)) for name, features in teachers.items()}
