r"""Mulgund and Pabbaraju 2025: misfit and gain beyond the squared loss.

A strictly convex, differentiable potential :math:`\psi` measures how far predictions :math:`p` are
from :math:`q` by its **Bregman divergence**

.. math:: D_\psi(p, q) = \psi(p) - \psi(q) - \langle \nabla\psi(q), p - q\rangle ,

here averaged over ``m`` inputs. The student is the member of a convex class that is nearest to the
teacher, itself in the *first* place,
:math:`f_{sw} = \arg\min_{f \in V_s} \mathbb E D_\psi(f, f_w)`. For distributions and the
negative entropy this is the reverse Kullback-Leibler divergence :math:`\mathrm{KL}(f \| f_w)`;
ordinary cross-entropy with soft labels has the teacher first.

Predictions have shape ``(m,)`` or ``(m, c)``: ``c`` outputs, for classification the probabilities
of ``c`` classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg, optimize, special

from w2s_utils import validation
from w2s_utils.logistic import cross_entropy_head
from w2s_utils.validation import Array

Elementwise = Callable[[Array], Array]
Loss = Callable[[Array], float]
First = Literal["student", "teacher"]
POLISHING_STEPS = 12
SUPPORT = 1e-6  # weights below are the solver's rounding


@dataclass(frozen=True)
class Divergence:
    r"""Bregman divergence of a potential that is a sum over outputs, :math:`\sum_j \varphi(p_j)`.

    Attributes
    ----------
    name : str
    potential, slope, curvature : callable
        :math:`\varphi, \varphi', \varphi''`, elementwise.
    interior : tuple of float
        Open interval on which the slope is finite: where predictions must lie.
    closed : bool
        Whether the potential is finite at the ends, so that a truth may lie there.
    jointly_convex : bool
        Whether :math:`D(p, q)` is convex in the second place too.
    """

    name: str
    potential: Elementwise
    slope: Elementwise
    curvature: Elementwise
    interior: tuple[float, float] = (-np.inf, np.inf)
    closed: bool = True
    jointly_convex: bool = True

    def __call__(self, first: ArrayLike, second: ArrayLike) -> float:
        """Mean over inputs of :math:`D(p, q)`.

        Parameters
        ----------
        first : array_like, shape (m,) or (m, c)
        second : array_like, same shape
            In the interior of the domain.

        Returns
        -------
        float

        Raises
        ------
        ValueError
            If the shapes differ or values lie outside the domain.
        """
        p = self.check(first, "first", boundary=self.closed)
        q = self.check(second, "second")
        _same_shape(p, q, "second")
        value = self.potential(p) - self.potential(q) - self.slope(q) * (p - q)
        return float(value.sum() / len(p))

    def check(self, values: ArrayLike, name: str, *, boundary: bool = False) -> Array:
        """Return predictions as floats, after checking that they lie in the domain."""
        array = validation.targets(values, name)
        low, high = self.interior
        inside = (low <= array) & (array <= high) if boundary else (low < array) & (array < high)
        if not inside.all():
            interval = f"from {low:g} to {high:g}" if boundary else f"inside ({low:g}, {high:g})"
            raise ValueError(
                f"{name}: the {self.name} divergence needs values {interval}, "
                f"got {array[~inside][0]:g}; smooth the predictions"
            )
        return array


SQUARED = Divergence(
    "squared", potential=np.square, slope=lambda x: 2 * x, curvature=lambda x: np.full_like(x, 2.0)
)
"""Squared distance, :math:`\\varphi = x^2`."""

KL = Divergence(
    "Kullback-Leibler",
    potential=lambda x: special.xlogy(x, x),
    slope=lambda x: np.log(x) + 1,
    curvature=lambda x: 1 / x,
    interior=(0.0, np.inf),
)
"""Kullback-Leibler divergence in nats, :math:`\\varphi = x \\log x`, between distributions (for
other positive values with :math:`- p + q`)."""

ITAKURA_SAITO = Divergence(
    "Itakura-Saito",
    potential=lambda x: -np.log(x),
    slope=lambda x: -1 / x,
    curvature=lambda x: 1 / x**2,
    interior=(0.0, np.inf),
    closed=False,
    jointly_convex=False,
)
"""Itakura-Saito divergence, :math:`\\varphi = -\\log x`: :math:`p/q - \\log(p/q) - 1`, for
predicted variances and power spectra; it does not depend on the unit."""

LOGISTIC = Divergence(
    "logistic",
    potential=lambda x: special.xlogy(x, x) + special.xlogy(1 - x, 1 - x),
    slope=special.logit,
    curvature=lambda x: 1 / (x * (1 - x)),
    interior=(0.0, 1.0),
)
"""Logistic loss of predicted probabilities, each output a yes-or-no question."""


@dataclass(frozen=True)
class Terms:
    r"""The three-point identity between truth, teacher and student.

    Attributes
    ----------
    teacher_error, student_error : float
        :math:`\mathbb E D(f^*, f_w)` and :math:`\mathbb E D(f^*, f_{sw})`.
    misfit : float
        :math:`\mathbb E D(f_{sw}, f_w)`.
    cross : float
        :math:`\mathbb E\langle\nabla\psi(f_{sw}) - \nabla\psi(f_w), f^* - f_{sw}\rangle`. The gain
        is exactly the misfit plus this term.
    """

    teacher_error: float
    student_error: float
    misfit: float
    cross: float

    @property
    def gain(self) -> float:
        """Teacher's error less the student's."""
        return self.teacher_error - self.student_error


def three_points(
    divergence: Divergence, truth: ArrayLike, teacher: ArrayLike, student: ArrayLike
) -> Terms:
    """Errors, misfit and the term between gain and misfit.

    Parameters
    ----------
    divergence : Divergence
    truth : array_like, shape (m,) or (m, c)
        May lie at the end of the domain (one-hot labels).
    teacher, student : array_like, same shape
        In the interior.

    Returns
    -------
    Terms

    Raises
    ------
    ValueError
        If the shapes differ or values lie outside the domain.
    """
    f = divergence.check(truth, "truth", boundary=divergence.closed)
    w = divergence.check(teacher, "teacher")
    s = divergence.check(student, "student")
    _same_shape(f, w, "teacher")
    _same_shape(f, s, "student")
    pull = divergence.slope(s) - divergence.slope(w)
    return Terms(
        teacher_error=divergence(f, w),
        student_error=divergence(f, s),
        misfit=divergence(s, w),
        cross=float(np.sum(pull * (f - s)) / len(f)),
    )


@dataclass(frozen=True)
class HullStudent:
    """Student in the convex hull of given models, with a certificate.

    Attributes
    ----------
    weights : ndarray, shape (k,)
        Convex weights of the models.
    values : ndarray, shape (m,) or (m, c)
        Its predictions.
    loss : float
        What was minimised.
    gap : float
        Frank-Wolfe gap: the loss is above its minimum over the hull by no more than this.
    """

    weights: Array
    values: Array
    loss: float
    gap: float


def onto_hull(
    divergence: Divergence,
    teacher: ArrayLike,
    models: ArrayLike,
    *,
    first: First = "student",
    tolerance: float = 1e-6,
) -> HullStudent:
    r"""Member of a convex hull of models that is nearest to the teacher.

    Minimises :math:`\mathbb E D(f, f_w)` (or :math:`\mathbb E D(f_w, f)`) over
    :math:`f = \sum_j a_j f_j`, :math:`a \ge 0`, :math:`\sum_j a_j = 1` by sequential quadratic
    programming (SciPy's SLSQP, with the student first sharpened by Newton steps), then computes
    the Frank-Wolfe gap :math:`\langle\nabla F(a), a\rangle - \min_j \nabla_j F(a)`, an upper
    bound of the loss above the minimum whatever the solver did. With the student first, the cross
    term of `three_points` is at least minus the gap for every truth in the hull.

    Parameters
    ----------
    divergence : Divergence
    teacher : array_like, shape (m,) or (m, c)
    models : array_like, shape (k, m) or (k, m, c)
        Predictions of the ``k`` models that span the hull, in the interior of the domain.
    first : {"student", "teacher"}
        Who takes the first place. "teacher" with `KL` is ordinary cross-entropy.
    tolerance : float
        Largest gap accepted, in the unit of the divergence.

    Returns
    -------
    HullStudent

    Raises
    ------
    ValueError
        If shapes do not match, values lie outside the domain, or the loss is not convex.
    RuntimeError
        If the solver leaves a gap above the tolerance.
    """
    w = divergence.check(teacher, "teacher")
    corners = _models(divergence, models, w)
    if first not in ("student", "teacher"):
        raise ValueError(f'first: expected "student" or "teacher", got {first!r}')
    if first == "teacher" and not divergence.jointly_convex:
        raise ValueError(
            f"first: the {divergence.name} divergence is not convex in its second place, so no "
            'minimum can be certified; use first="student"'
        )

    def values(a: Array) -> Array:
        return np.tensordot(a, corners, axes=1)

    def loss(a: Array) -> float:
        return divergence(values(a), w) if first == "student" else divergence(w, values(a))

    def gradient(a: Array) -> Array:
        f = values(a)
        if first == "student":
            by_value = divergence.slope(f) - divergence.slope(w)
        else:
            by_value = divergence.curvature(f) * (f - w)
        return corners.reshape(len(corners), -1) @ by_value.ravel() / len(w)

    def hessian(a: Array) -> Array:
        flat = corners.reshape(len(corners), -1)
        return (flat * divergence.curvature(values(a)).ravel()) @ flat.T / len(w)

    weights = _on_simplex(loss, gradient, len(corners))
    if first == "student":
        weights = _polish(weights, gradient, hessian)
    gap = _gap(weights, gradient)
    if not gap <= tolerance:
        raise RuntimeError(
            f"the solver stopped with a Frank-Wolfe gap of {gap:.2g}, above the tolerance "
            f"{tolerance:.2g}; models that differ by many orders of magnitude are hard: smooth them"
        )
    return HullStudent(weights, values(weights), loss(weights), max(gap, 0.0))


def gap_over(
    divergence: Divergence, teacher: ArrayLike, student: ArrayLike, models: ArrayLike
) -> float:
    r"""Frank-Wolfe gap of any student over the hull of models (student first).

    .. math:: \max_j\; \mathbb E \langle \nabla\psi(f_w) - \nabla\psi(f), f_j - f \rangle

    is minus the least cross term of `three_points` over all truths in the hull: the largest
    amount by which the gain can fall short of the misfit.

    Parameters
    ----------
    divergence : Divergence
    teacher, student : array_like, shape (m,) or (m, c)
    models : array_like, shape (k, m) or (k, m, c)

    Returns
    -------
    float
    """
    w = divergence.check(teacher, "teacher")
    s = divergence.check(student, "student")
    _same_shape(w, s, "student")
    pull = (divergence.slope(w) - divergence.slope(s)).ravel()
    corners = _models(divergence, models, w).reshape(-1, w.size)
    return float(np.max(corners @ pull) - s.ravel() @ pull) / len(w)


def greedy_mixtures(
    divergence: Divergence, teacher: ArrayLike, models: ArrayLike, largest: int
) -> list[HullStudent]:
    """Mixtures of 1, 2, ... of the models, each with its gap over the hull of all of them.

    Fully corrective Frank-Wolfe: begin with the best single model; then add the model with the
    steepest descent and fit the weights of all those chosen again.

    Parameters
    ----------
    divergence : Divergence
    teacher : array_like, shape (m,) or (m, c)
    models : array_like, shape (k, m) or (k, m, c)
    largest : int
        Number of models in the largest mixture, at most ``k``.

    Returns
    -------
    list of HullStudent
        Entry ``i`` mixes ``i + 1`` models or fewer; the weights are over all ``k`` models.
    """
    w = divergence.check(teacher, "teacher")
    corners = _models(divergence, models, w)
    if not 1 <= largest <= len(corners):
        raise ValueError(f"largest: expected 1 to {len(corners)} (the models), got {largest!r}")
    chosen = [int(np.argmin([divergence(corner, w) for corner in corners]))]
    steps = []
    for size in range(1, largest + 1):
        fitted = onto_hull(divergence, w, corners[chosen])
        weights = np.zeros(len(corners))
        weights[chosen] = fitted.weights
        gap = gap_over(divergence, w, fitted.values, corners)
        steps.append(HullStudent(weights, fitted.values, fitted.loss, max(gap, 0.0)))
        if size < largest:
            pull = (divergence.slope(fitted.values) - divergence.slope(w)).ravel()
            slopes = corners.reshape(len(corners), -1) @ pull
            slopes[chosen] = np.inf
            chosen.append(int(np.argmin(slopes)))
    return steps


def onto_softmax_heads(teacher: ArrayLike, features: ArrayLike) -> tuple[Array, Array]:
    r"""Linear head with softmax, fitted to soft labels by ordinary cross-entropy.

    Minimises :math:`\mathbb E\,\mathrm{KL}(f_w \| \mathrm{softmax}(\Phi C))` over all
    :math:`C`, by Newton's method in a trust region (SciPy). At the minimum
    :math:`\mathbb E\,\varphi\,(f_{sw} - f_w)^T = 0`.

    Parameters
    ----------
    teacher : array_like, shape (m, c)
        Positive probabilities.
    features : array_like, shape (m, k)

    Returns
    -------
    coefficients : ndarray, shape (k, c)
    probabilities : ndarray, shape (m, c)

    Raises
    ------
    RuntimeError
        If the gradient does not vanish to 1e-7 of the features' size.
    """
    w = validation.matrix(teacher, "teacher")
    phi = validation.matrix(features, "features", rows=len(w))
    if not (np.all(w > 0) and np.allclose(w.sum(axis=1), 1)):
        raise ValueError("teacher: expected rows of positive probabilities that sum to 1")
    model = cross_entropy_head(phi, w)
    return model.coefficients, model.probabilities(phi)


def _on_simplex(loss: Loss, gradient: Elementwise, size: int) -> Array:
    uniform = np.full(size, 1 / size)
    if size == 1:
        return uniform
    # SLSQP's accuracy is absolute: the loss is measured in units of its slope.
    unit = np.ptp(gradient(uniform)) or 1.0
    found = optimize.minimize(
        lambda a: loss(_clean(a)) / unit,
        uniform,
        jac=lambda a: gradient(_clean(a)) / unit,
        bounds=[(0, 1)] * size,
        constraints={"type": "eq", "fun": lambda a: a.sum() - 1, "jac": np.ones_like},
        method="SLSQP",
        options={"ftol": 1e-16, "maxiter": 1000},
    )
    return _clean(found.x)


def _polish(weights: Array, gradient: Elementwise, hessian: Elementwise) -> Array:
    """Newton steps on the models in use, while they shrink the gap.

    SLSQP compares losses, so rounding stops it at the root of the machine's precision; these
    steps only look at slopes.
    """
    best, gap = weights, _gap(weights, gradient)
    current = best
    for _ in range(POLISHING_STEPS):
        slopes = gradient(current)
        used = current > SUPPORT
        used[np.argmin(slopes)] = True
        count = int(used.sum())
        system = np.ones((count + 1, count + 1))
        system[:count, :count] = hessian(current)[np.ix_(used, used)]
        system[count, count] = 0
        step = np.zeros_like(current)
        step[used] = linalg.lstsq(system, np.append(-slopes[used], 0))[0][:count]
        falling = step < 0
        room = np.min(-current[falling] / step[falling], initial=1.0)
        current = _clean(current + room * step)
        reached = _gap(current, gradient)
        if reached < gap:
            best, gap = current, reached
    return best


def _gap(weights: Array, gradient: Elementwise) -> float:
    slopes = gradient(weights)
    return float(slopes @ weights - slopes.min())


def _clean(weights: Array) -> Array:
    positive: Array = np.maximum(weights, 0)
    return np.asarray(positive / positive.sum())


def _models(divergence: Divergence, models: ArrayLike, teacher: Array) -> Array:
    array = validation.real(models, "models")
    if array.ndim != teacher.ndim + 1 or array.shape[1:] != teacher.shape or not len(array):
        raise ValueError(
            f"models: expected predictions of shape (k, {', '.join(map(str, teacher.shape))}), "
            f"one for each model, got {array.shape}"
        )
    divergence.check(array.reshape(-1), "models")
    return array


def _same_shape(first: Array, second: Array, name: str) -> None:
    if first.shape != second.shape:
        raise ValueError(f"{name}: expected shape {first.shape}, got {second.shape}")
