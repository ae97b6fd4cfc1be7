r"""One formula for linear students: two moments of a teacher and the filter of a student.

In coordinates in which inputs are white, a target is a vector :math:`t`, a teacher a random vector
:math:`w`, and a student that is linear in its pseudo-labels, with inputs independent of the
teacher's, a matrix :math:`S`. Its expected risk on a fresh input is

.. math::

    E\|Sw - t\|^2 = \|t\|^2 - 2\,\langle S\,E w,\, t\rangle
                    + \mathrm{tr}\bigl(S^T S\; E\,w w^T\bigr).

`risk` is that formula; `random_features` and `hop` give moments of teachers, `quadratic_limit`
what no filter between zero and one can beat. Proofs are in the part ``field``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from w2s_utils import validation
from w2s_utils.theory.ridge import effective_penalty
from w2s_utils.validation import Array


def risk(target: ArrayLike, mean: ArrayLike, second: ArrayLike, student: ArrayLike) -> float:
    r"""Expected risk of a student; see the module for the formula.

    Parameters
    ----------
    target, mean : array_like, shape (D,)
        :math:`t` and :math:`E w`, in white coordinates.
    second : array_like, shape (D, D) or (D,)
        :math:`E\,w w^T`, or its diagonal, which is enough for a diagonal student.
    student : array_like, shape (D, D) or (D,)
        :math:`S`, or its diagonal.

    Raises
    ------
    ValueError
        If shapes do not match, or only the diagonal is given for a student that is not diagonal.
    """
    t = validation.vector(target, "target")
    m = validation.vector(mean, "mean", rows=t.size)
    moments, s = validation.real(second, "second"), validation.real(student, "student")
    for name, given in (("second", moments), ("student", s)):
        if given.shape not in ((t.size,), (t.size, t.size)):
            raise ValueError(
                f"{name}: expected shape ({t.size},) or ({t.size}, {t.size}) as the target has "
                f"{t.size} coordinates, got {given.shape}"
            )
    if s.ndim == 1:
        diagonal = moments if moments.ndim == 1 else np.diag(moments)
        return float(t @ t - 2 * (s * m) @ t + s**2 @ diagonal)
    if moments.ndim == 1:
        raise ValueError("second: expected a matrix for a student that is one, got a diagonal")
    return float(t @ t - 2 * (s @ m) @ t + np.sum((s @ moments) * s))


def random_features(spectrum: ArrayLike, target: ArrayLike, count: int) -> tuple[Array, Array]:
    r"""Mean and diagonal second moment of a teacher :math:`w = P t` with ``M`` random features.

    :math:`P` projects on the range of :math:`\Lambda^{1/2} U`, ``U`` with ``M`` Gaussian columns.
    With :math:`\sum_i \lambda_i/(\lambda_i+\kappa) = M` and
    :math:`\ell_i = \lambda_i/(\lambda_i+\kappa)`, in the limit of many dimensions

    .. math::

        E w_i = \ell_i t_i, \qquad E w_i^2 = \ell_i^2 t_i^2
        + \ell_i(1-\ell_i)\,\frac{\sum_j \ell_j(1-\ell_j) t_j^2}{M - \sum_j \ell_j^2} .

    Parameters
    ----------
    spectrum, target : array_like, shape (D,)
        Variances :math:`\lambda_i` and the target in white coordinates.
    count : int
        Random features, ``M < D``.

    Raises
    ------
    ValueError
        If there are as many features as dimensions: then the projection is the identity.
    """
    t = validation.vector(target, "target")
    variances = validation.spectrum(spectrum, "spectrum", t.size)
    if count >= t.size:
        raise ValueError(
            f"count: expected fewer random features than the {t.size} dimensions, got {count}"
        )
    kept = variances / (variances + effective_penalty(variances, count, 0.0))
    between = kept * (1 - kept)
    spread = between * np.sum(between * t**2) / (count - np.sum(kept**2))
    return kept * t, kept**2 * t**2 + spread


def quadratic_limit(teacher_error: ArrayLike) -> Array:
    r"""Least error of a student :math:`0 \le S \le I` of a teacher that projects the target.

    :math:`\bigl(1 + L - \sqrt{(1+3L)(1-L)}\bigr)/2 = L^2 + O(L^3)`, with ``L`` the teacher's error
    as a share of the target's variance, between 0 and 1.
    """
    error = validation.real(teacher_error, "teacher_error")
    if not np.all((error >= 0) & (error <= 1)):
        raise ValueError(f"teacher_error: expected shares between 0 and 1, got {error}")
    # The difference of nearly equal numbers as a quotient: exact for small errors too.
    result: Array = 2 * error**2 / (1 + error + np.sqrt((1 + 3 * error) * (1 - error)))
    return result


def hop(mean: Array, second: Array, basis: ArrayLike, count: float = np.inf) -> tuple[Array, Array]:
    r"""Moments of the least-squares student of a teacher, itself a teacher for the next.

    With :math:`P` the projection on the span of ``basis``, ``d`` dimensions, and ``count`` fresh
    Gaussian pseudo-labels, :math:`N \ge d + 2`, exactly

    .. math::

        E w \mapsto P\,E w, \qquad E ww^T \mapsto P\,E ww^T P
        + \frac{\mathrm{tr}\bigl((I-P)\,E ww^T\bigr)}{N-d-1}\, P .
    """
    directions = validation.orthonormal(basis, "basis", rows=len(mean))
    d = directions.shape[1]
    if count < d + 2:
        raise ValueError(f"count: expected at least d + 2 = {d + 2} pseudo-labels, got {count}")
    projection = directions @ directions.T
    seen = projection @ second @ projection
    return projection @ mean, seen + (np.trace(second - seen) / (count - d - 1)) * projection
