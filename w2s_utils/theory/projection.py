r"""Charikar et al. 2024: the student as a projection of the teacher onto its function class.

Functions are known by their values on ``m`` inputs, and distances are mean squares,

.. math:: d(f, g) = \frac1m \sum_{i=1}^m (f(x_i) - g(x_i))^2 ,

so the inputs stand for the distribution (a sample, or a quadrature rule of equal weights). A
function class is a set of linear heads on strong features :math:`\Phi` (shape ``(m, k)``),

.. math:: V_s = \{\Phi c : c \in F_s\}, \qquad
          f_{sw} = \arg\min_{v \in V_s} d(v, f_w),

and each constraint below is one choice of :math:`F_s`. With the identity for :math:`\Phi` it is a
set of functions directly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg, optimize

from w2s_utils import validation
from w2s_utils.validation import Array


@dataclass(frozen=True)
class Projection:
    """Nearest element of a function class.

    Attributes
    ----------
    coefficients : ndarray, shape (k,)
        Head of the student (for hulls, the convex weights).
    values : ndarray, shape (m,)
        Values of the student on the inputs.
    """

    coefficients: Array
    values: Array


@dataclass(frozen=True)
class MisfitGain:
    r"""The four distances of the misfit theorem, each a mean square in squared target units.

    Attributes
    ----------
    teacher_error : float
        :math:`\mathrm{err}_w = d(f_w, f^*)`.
    student_error : float
        :math:`\mathrm{err}_{sw} = d(f_{sw}, f^*)`.
    misfit : float
        :math:`d(f_{sw}, f_w)`, known without the truth.
    gain : float
        :math:`\mathrm{err}_w - \mathrm{err}_{sw}`.
    """

    teacher_error: float
    student_error: float
    misfit: float

    @property
    def gain(self) -> float:
        """Teacher's error less the student's."""
        return self.teacher_error - self.student_error


def misfit_and_gain(truth: ArrayLike, teacher: ArrayLike, student: ArrayLike) -> MisfitGain:
    """Distances between truth, teacher and student from their values on the same inputs.

    Parameters
    ----------
    truth, teacher, student : array_like, shape (m,)
        Values of :math:`f^*`, :math:`f_w` and :math:`f_{sw}` on the same ``m`` inputs.

    Returns
    -------
    MisfitGain

    Raises
    ------
    ValueError
        If the shapes differ or a value is not finite.
    """
    f = validation.vector(truth, "truth")
    w = validation.vector(teacher, "teacher", rows=len(f))
    s = validation.vector(student, "student", rows=len(f))
    return MisfitGain(
        teacher_error=float(np.mean((w - f) ** 2)),
        student_error=float(np.mean((s - f) ** 2)),
        misfit=float(np.mean((s - w) ** 2)),
    )


@dataclass(frozen=True)
class NonRealizable(MisfitGain):
    r"""Terms of the misfit theorem when the class does not contain the truth.

    With any member :math:`v` of the class (best: the one nearest to the truth), exactly

    .. math:: \mathrm{gain} = \mathrm{misfit} + 2\,\langle f_w - f_{sw}, f_{sw} - v\rangle
              + 2\,\langle f_w - f_{sw}, v - f^*\rangle .

    Attributes
    ----------
    approximation : float
        :math:`\varepsilon = d(v, f^*)`.
    angle : float
        :math:`\langle f_w - f_{sw}, f_{sw} - v\rangle`: not negative for a projection onto a
        convex class, zero for a subspace.
    cross : float
        :math:`\langle f_w - f_{sw}, v - f^*\rangle`, at least
        :math:`-\sqrt{\varepsilon\,\mathrm{misfit}}`.
    """

    approximation: float
    angle: float
    cross: float

    @property
    def bound(self) -> float:
        r"""Least gain allowed, :math:`\mathrm{misfit} - 2\sqrt{\varepsilon\,\mathrm{misfit}}`."""
        return self.misfit - 2 * float(np.sqrt(self.approximation * self.misfit))

    @property
    def tightness(self) -> float:
        r"""Share of the allowance :math:`2\sqrt{\varepsilon\,\mathrm{misfit}}` used up, at most 1.

        Negative where the gain exceeds the misfit, 0 where nothing is allowed.
        """
        allowance = self.misfit - self.bound
        return (self.misfit - self.gain) / allowance if allowance > 0 else 0.0


def decompose(
    truth: ArrayLike, teacher: ArrayLike, student: ArrayLike, best: ArrayLike
) -> NonRealizable:
    """Terms of the non-realizable misfit theorem from values on the same inputs.

    Parameters
    ----------
    truth, teacher, student : array_like, shape (m,)
        Values of :math:`f^*`, :math:`f_w` and :math:`f_{sw}`.
    best : array_like, shape (m,)
        Values of a member of the student's class, best the one nearest to the truth.

    Returns
    -------
    NonRealizable

    Raises
    ------
    ValueError
        If the shapes differ or a value is not finite.
    """
    four = misfit_and_gain(truth, teacher, student)
    f = validation.vector(truth, "truth")
    v = validation.vector(best, "best", rows=len(f))
    pull = np.asarray(teacher, dtype=float) - np.asarray(student, dtype=float)
    return NonRealizable(
        teacher_error=four.teacher_error,
        student_error=four.student_error,
        misfit=four.misfit,
        approximation=float(np.mean((v - f) ** 2)),
        angle=float(np.mean(pull * (np.asarray(student, dtype=float) - v))),
        cross=float(np.mean(pull * (v - f))),
    )


def onto_subspace(teacher: ArrayLike, features: ArrayLike) -> Projection:
    r"""Project onto :math:`\{\Phi c : c \in \mathbb{R}^k\}`: least squares, minimum norm.

    Parameters
    ----------
    teacher : array_like, shape (m,)
        Values of the weak model.
    features : array_like, shape (m, k)
        Strong features of the same inputs.

    Returns
    -------
    Projection
    """
    u, phi = _problem(teacher, features)
    return _projection(phi, _least_squares(phi, u))


def onto_box(
    teacher: ArrayLike, features: ArrayLike, lower: ArrayLike, upper: ArrayLike
) -> Projection:
    r"""Project onto :math:`\{\Phi c : l \le c \le u\}` (bounded heads; active-set, exact).

    Parameters
    ----------
    teacher : array_like, shape (m,)
    features : array_like, shape (m, k)
        Linearly independent columns.
    lower, upper : array_like, shape (k,) or scalar
        Bounds of the head, ``lower < upper``.

    Returns
    -------
    Projection

    Raises
    ------
    ValueError
        If a lower bound is not below its upper bound.
    RuntimeError
        If the active-set method does not converge.
    """
    u, phi = _problem(teacher, features)
    low, high = (
        _bounds(bounds, name, phi.shape[1]) for bounds, name in ((lower, "lower"), (upper, "upper"))
    )
    if not np.all(low < high):
        raise ValueError(f"lower, upper: expected lower < upper, got {low} and {high}")
    # SciPy's rule to stop is absolute: the problem is solved in units of its own.
    unit, sizes = linalg.norm(u) or 1.0, linalg.norm(phi, axis=0)
    sizes[sizes == 0] = 1.0
    heads = sizes / unit
    # An active set can change more often than there are coefficients, SciPy's default limit.
    solution = optimize.lsq_linear(
        phi / sizes,
        u / unit,
        bounds=(low * heads, high * heads),
        method="bvls",
        tol=1e-14,
        max_iter=100 * phi.shape[1],
    )
    if solution.status <= 0:
        raise RuntimeError(f"bounded least squares did not converge: {solution.message}")
    return _projection(phi, np.clip(solution.x / heads, low, high))


def onto_ball(teacher: ArrayLike, features: ArrayLike, radius: float) -> Projection:
    r"""Project onto :math:`\{\Phi c : \|c\|_2 \le R\}` (an ellipsoid of functions).

    The solution is ridge regression with the multiplier :math:`\lambda \ge 0` for which
    :math:`\|c\|_2 = R`, found by bracketing; :math:`\lambda = 0` when least squares is inside.

    Parameters
    ----------
    teacher : array_like, shape (m,)
    features : array_like, shape (m, k)
    radius : float
        Bound on the Euclidean norm of the head, positive.

    Returns
    -------
    Projection

    Raises
    ------
    ValueError
        If the radius is not positive.
    """
    u, phi = _problem(teacher, features)
    bound = validation.positive(radius, "radius", "; use onto_subspace for no bound")
    left, singular, right = linalg.svd(phi, full_matrices=False)
    keep = singular > singular[0] * max(phi.shape) * np.finfo(float).eps
    left, singular, right = left[:, keep], singular[keep], right[keep]
    moment = singular * (left.T @ u)

    def head(multiplier: float) -> Array:
        return np.asarray(moment / (singular**2 + multiplier))

    multiplier = 0.0
    if linalg.norm(head(0.0)) > bound:
        # ||c(lambda)|| < ||moment|| / lambda bounds the multiplier from above; twice that, so that
        # rounding cannot hide the change of sign.
        multiplier = optimize.brentq(
            lambda value: linalg.norm(head(value)) - bound,
            0.0,
            2 * linalg.norm(moment) / bound,
            xtol=1e-300,
            rtol=4 * np.finfo(float).eps,
        )
    return _projection(phi, right.T @ head(multiplier))


def onto_cone(teacher: ArrayLike, features: ArrayLike) -> Projection:
    r"""Project onto :math:`\{\Phi c : c \ge 0\}` (non-negative least squares, active-set).

    Parameters
    ----------
    teacher : array_like, shape (m,)
    features : array_like, shape (m, k)

    Returns
    -------
    Projection
    """
    u, phi = _problem(teacher, features)
    unit = linalg.norm(u) or 1.0  # SciPy's rule to stop does not know the unit of the teacher
    return _projection(phi, unit * optimize.nnls(phi, u / unit)[0])


def onto_hull(teacher: ArrayLike, vertices: ArrayLike) -> Projection:
    r"""Project onto the convex hull of functions, :math:`\{V w : w \ge 0, \sum_j w_j = 1\}`.

    Solved by non-negative least squares: with :math:`A = V - f_w 1^T`, the minimiser of
    :math:`\|A w\|^2 + (1^T w - 1)^2` over :math:`w \ge 0` is a multiple of the hull's weights.
    (Along a ray :math:`w = s w_1` with :math:`1^T w_1 = 1` the best value is
    :math:`\|A w_1\|^2 / (1 + \|A w_1\|^2)`, increasing in :math:`\|A w_1\|`.) The teacher is
    first projected on the hull's affine span, which does not move its projection on the hull.

    Parameters
    ----------
    teacher : array_like, shape (m,)
    vertices : array_like, shape (m, k)
        Values of the ``k`` functions that span the hull.

    Returns
    -------
    Projection
        Its coefficients are the convex weights.
    """
    u, hull = _problem(teacher, vertices, "vertices")
    # A distance to the span far larger than the hull would drown the weights in rounding.
    centre = hull.mean(axis=1)
    edges = hull - centre[:, None]
    nearest = edges @ _least_squares(edges, u - centre)
    offsets = edges - nearest[:, None]
    # Scaled so that neither block swamps the other in floating point.
    scale = linalg.norm(offsets) / np.sqrt(hull.shape[1]) or 1.0
    system = np.vstack([offsets / scale, np.ones(hull.shape[1])])
    rhs = np.zeros(len(system))
    rhs[-1] = 1.0
    weights = optimize.nnls(system, rhs)[0]
    return _projection(hull, weights / weights.sum())


def onto_l1_ball(teacher: ArrayLike, features: ArrayLike, radius: float) -> Projection:
    r"""Project onto :math:`\{\Phi c : \|c\|_1 \le R\}`, the hull of :math:`\pm R \phi_j`.

    Parameters
    ----------
    teacher : array_like, shape (m,)
    features : array_like, shape (m, k)
    radius : float
        Bound on the head's l1 norm, positive.

    Returns
    -------
    Projection

    Raises
    ------
    ValueError
        If the radius is not positive.
    """
    u, phi = _problem(teacher, features)
    bound = validation.positive(radius, "radius", "; use onto_subspace for no bound")
    weights = onto_hull(u, bound * np.hstack([phi, -phi])).coefficients
    k = phi.shape[1]
    return _projection(phi, bound * (weights[:k] - weights[k:]))


def onto_finite_set(teacher: ArrayLike, functions: ArrayLike) -> Projection:
    """Nearest of finitely many functions: not convex, the theorem's negative control.

    Parameters
    ----------
    teacher : array_like, shape (m,)
    functions : array_like, shape (m, k)

    Returns
    -------
    Projection
        Its coefficients are the indicator of the function chosen.
    """
    u, values = _problem(teacher, functions, "functions")
    nearest = np.argmin(np.mean((values - u[:, None]) ** 2, axis=0))
    return _projection(values, np.eye(values.shape[1])[nearest])


def _problem(
    teacher: ArrayLike, features: ArrayLike, name: str = "features"
) -> tuple[Array, Array]:
    u = validation.vector(teacher, "teacher")
    return u, validation.matrix(features, name, rows=len(u))


def _bounds(bounds: ArrayLike, name: str, size: int) -> Array:
    array = validation.at_least(bounds, -np.inf, name, "a bound is a number or -inf, inf")
    if array.shape not in ((), (1,), (size,)):
        raise ValueError(f"{name}: expected a number or shape ({size},), got {array.shape}")
    return np.broadcast_to(array, size)


def _least_squares(phi: Array, u: Array) -> Array:
    # LAPACK's default cut-off is too small for large rank-deficient matrices: rounding passes for
    # a direction, and the result leaves the column space.
    cutoff = max(phi.shape) * np.finfo(float).eps
    solution: Array = linalg.lstsq(phi, u, cond=cutoff)[0]
    return solution


def _projection(phi: Array, coefficients: Array) -> Projection:
    return Projection(coefficients=coefficients, values=phi @ coefficients)
