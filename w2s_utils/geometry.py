r"""Geometry of a weak-to-strong problem: all that the expected risks depend on, estimated.

`setting_from_labels` takes what a user has: both feature vectors of many inputs and the labels of a
few. The features alone give the geometry; regressions on the labelled inputs give the approximation
errors. Label noise cannot be told from what no feature expresses: both are what is left of a label.
So the estimates describe the *labels*: :math:`\rho_w` and :math:`\rho_s` have the noise in them and
:math:`\sigma^2 = 0`. The expected risks are then errors on noisy labels, PGR is what it always is
(the noise cancels), and OPR compares total errors.

`oracle_setting` takes a whole pool of inputs **with their true targets**: it tests the formulas,
and is nothing that a user could compute from the labels of one experiment.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg

from w2s_utils import validation
from w2s_utils.least_squares import WELL_CONDITIONED, Moments
from w2s_utils.resampling import jackknife_value
from w2s_utils.theory import risks, subspaces
from w2s_utils.validation import Array

GROUPS = 10
QUANTITIES = ("rho_w", "rho_s", "b", "kappa", "d_sw")


@dataclass(frozen=True)
class Range:
    """An estimate with an interval, ``low <= high``, in the unit of what is estimated."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Estimates:
    r"""Geometry of the labels, with standard errors.

    Attributes
    ----------
    setting : Setting
        For `w2s_utils.theory.risks`; ``sigma2 = 0``, estimates below zero set to zero.
    values : ndarray, shape (5,)
        :math:`\rho_w, \rho_s, b, \kappa, d_{s\wedge w}`, unclipped (in the order `QUANTITIES`).
    covariance : ndarray, shape (5, 5)
        Of their errors, by a normal approximation.
    labels, inputs : int
        Rows behind them.
    """

    setting: risks.Setting
    values: Array
    covariance: Array
    labels: int
    inputs: int

    def standard_error(self, quantity: str) -> float:
        """Standard error of ``"rho_w"``, ``"rho_s"``, ``"b"``, ``"kappa"`` or ``"d_sw"``."""
        if quantity not in QUANTITIES:
            raise ValueError(f"quantity: expected one of {', '.join(QUANTITIES)}, got {quantity!r}")
        index = QUANTITIES.index(quantity)
        return float(np.sqrt(self.covariance[index, index]))

    def settings(self, count: int, rng: np.random.Generator) -> list[risks.Setting]:
        """Problems drawn from the normal approximation: predictions of each give an interval.

        Approximation errors, which are positive, are drawn as log-normal.
        """
        noise = rng.multivariate_normal(np.zeros(5), self.covariance, size=count)
        drawn = self.values + noise
        drawn[:, :2] = self.values[:2] * np.exp(noise[:, :2] / self.values[:2])
        return [_setting(self.setting, values, self.setting.sigma2) for values in drawn]


def setting_from_labels(
    weak: ArrayLike, strong: ArrayLike, labels: ArrayLike, *, features: Moments | None = None
) -> Estimates:
    r"""Estimate a problem from labelled inputs, and from the features of more inputs.

    In coordinates that are white over all inputs let :math:`\hat\beta_w, \hat\beta_s` be the least
    squares heads of the labels, :math:`\hat C` the cross moment of the features and
    :math:`\hat\delta = \hat\beta_s - \hat C\hat\beta_w`. Then

    .. math::

        \hat\rho_w = \frac{\mathrm{RSS}_w}{n-d_w}, \quad
        \hat b = \|\hat\delta\|^2 - \widehat{\operatorname{tr}\operatorname{Var}}\,\hat\delta, \quad
        \hat\kappa = \frac{m}{m-d_s}\Bigl(\hat\beta_w^T D\,\hat\beta_w
        - \operatorname{tr} D\,\widehat{\operatorname{Var}}\,\hat\beta_w\Bigr),
        \quad D = I - \hat C^T\hat C,

    the noise of the heads taken off with the residual variances and covariance on
    :math:`n-d_w`, :math:`n-d_s` and :math:`\operatorname{tr}(I-H_w)(I-H_s)` degrees of freedom, and
    the noise of :math:`\hat C` with the moments it has for Gaussian features. Standard errors come
    from each label's influence on these numbers and, for the features, from Gaussian formulas.
    Several tasks are averaged. With features of the labelled inputs alone the estimate of ``b`` is
    low by half a standard error or so; unlabelled inputs, several for each labelled one, mend that.

    Parameters
    ----------
    weak : array_like, shape (n, d_w)
        Features of the labelled inputs, of full rank; ``n >= d_w + d_s + 2``.
    strong : array_like, shape (n, d_s)
    labels : array_like, shape (n,) or (n, tasks)
        As observed.
    features : Moments, optional
        Blocks ``weak`` and ``strong`` over all inputs, the labelled ones among them; default the
        labelled ones alone.

    Raises
    ------
    ValueError
        If shapes do not match, there are too few labels, or features are rank deficient.
    """
    w, s = validation.matrix(weak, "weak"), validation.matrix(strong, "strong")
    y = validation.targets(labels, "labels", rows=len(w)).reshape(len(w), -1)
    (n, d_w), d_s = w.shape, s.shape[1]
    why = f"d_w + d_s + 2, with d_w = {d_w} and d_s = {d_s}; cut the features to fewer directions"
    validation.at_least(n, d_w + d_s + 2, "labels", why)
    moments = Moments.of(weak=w, strong=s) if features is None else features
    _check_features(moments, w, s)
    cross = moments.canonical("weak", "strong")
    a, b = moments.whiten("weak", w.T).T, moments.whiten("strong", s.T).T
    if _share_constant(moments, w, s):
        # An offset changes no estimate, but its rounding would.
        y = y - y.mean(axis=0)
    fit_w, fit_s = _Regression.of(a, y), _Regression.of(b, y)
    m, keep = moments.count, np.eye(d_w) - cross.T @ cross
    delta = fit_s.head - cross @ fit_w.head
    var_w = fit_w.variance * fit_w.inverse
    var_delta = _variance_of_difference(fit_w, fit_s, cross)
    kappa = np.mean(np.sum(fit_w.head * (keep @ fit_w.head), axis=0)) - np.sum(keep * var_w)
    kappa *= m / (m - d_s)
    more = _noise_of_cross_moment(fit_w, fit_s, cross, max(kappa, 0)) / m
    values = np.array([
        fit_w.variance,
        fit_s.variance,
        np.mean(np.sum(delta**2, axis=0)) - np.trace(var_delta) - more,
        kappa,
        subspaces.adjusted_overlap(float(np.sum(cross**2)), m, d_w, d_s),
    ])  # fmt: skip
    influence = np.column_stack([
        fit_w.squares() / np.sqrt(n * (n - d_w)),
        fit_s.squares() / np.sqrt(n * (n - d_s)),
        2 * _product(delta, fit_s.influence) - 2 * _product(cross.T @ delta, fit_w.influence),
        2 * _product(keep @ fit_w.head, fit_w.influence),
    ])  # fmt: skip
    quadratic = [0, 0, 2 * np.sum(var_delta**2), 2 * np.sum((keep @ var_w) * (keep @ var_w).T)]
    covariance = _covariance(influence, np.array(quadratic))
    covariance += np.diag(_of_features(values, cross, m))
    base = risks.Setting(d_w=d_w, d_s=d_s, d_sw=0.0, sigma2=0.0)
    return Estimates(_setting(base, values, 0.0), values, covariance, n, m)


def oracle_setting(
    weak: ArrayLike, strong: ArrayLike, targets: ArrayLike, *, noise: float = 0.0
) -> risks.Setting:
    r"""Plug-in geometry of a weak-to-strong problem, from a pool with known targets.

    With the projections :math:`\hat P_w, \hat P_s` on the columns of the two feature matrices in
    :math:`R^m`,

    .. math::

        \hat\rho_w = \frac{\|(I-\hat P_w)f\|^2}{m-d_w}, \qquad
        \hat b = \frac{\|\hat P_s(I-\hat P_w)f\|^2}{m}, \qquad
        \hat\kappa = \frac{\|(I-\hat P_s)\hat P_w f\|^2}{m}, \qquad
        \hat d_{s\wedge w} = \operatorname{tr} \hat P_s \hat P_w .

    The first is unbiased for Gaussian features. The others have a bias of order ``1/m``, which a
    delete-a-group jackknife reduces to the second order. Several targets are averaged: the risks
    are linear in all but the dimension.

    Parameters
    ----------
    weak : array_like, shape (m, d_w)
        Full column rank.
    strong : array_like, shape (m, d_s)
        Full column rank; ``m`` at least ``2 (d_w + d_s)``.
    targets : array_like, shape (m,) or (m, tasks)
        Without the noise that `noise` describes.
    noise : float
        Standard deviation of the label noise added in the experiment.

    Raises
    ------
    ValueError
        If shapes do not match, a feature matrix is rank deficient, or there are too few rows.
    """
    w = validation.matrix(weak, "weak")
    s = validation.matrix(strong, "strong", rows=len(w))
    f = validation.targets(targets, "targets", rows=len(w)).reshape(len(w), -1)
    m, d_w, d_s = len(w), w.shape[1], s.shape[1]
    validation.at_least(m, 2 * (d_w + d_s), "rows", "twice the weak and strong columns")
    if all(np.any((np.ptp(phi, axis=0) == 0) & (phi[0] != 0)) for phi in (w, s)):
        f = f - f.mean(axis=0)
    groups = _groups(w, s, f)
    total = sum(groups[1:], groups[0])
    if not all(_well_conditioned(total.products(name, name)) for name in ("weak", "strong")):
        # Orthonormal columns keep the moments of all subsets well conditioned.
        groups = _groups(subspaces.column_space(w, "weak"), subspaces.column_space(s, "strong"), f)
        total = sum(groups[1:], groups[0])
    left_out = [_plug_in(total - group) for group in groups]
    d_sw, b, kappa, residual = jackknife_value(_plug_in(total), left_out).tolist()
    heads = {name: total.fit(name, "target") for name in ("weak", "strong")}
    rho_w, rho_s = (
        float(np.mean(total.mean_square(target=-np.eye(f.shape[1]), **{name: head})))
        * (m / (m - len(head)))
        for name, head in heads.items()
    )
    return risks.Setting(
        d_w=d_w,
        d_s=d_s,
        d_sw=float(np.clip(d_sw, 0, min(d_w, d_s))),
        sigma2=noise**2,
        rho_w=rho_w,
        rho_s=rho_s,
        b=max(0.0, b),
        kappa=max(0.0, kappa),
        residual=max(0.0, residual),
    )


def _groups(weak: Array, strong: Array, target: Array) -> list[Moments]:
    """Moments of every tenth row: pools may come in some order."""
    blocks = {"weak": weak, "strong": strong, "target": target}
    return [
        Moments.of(**{name: values[i::GROUPS] for name, values in blocks.items()})
        for i in range(GROUPS)
    ]


def _well_conditioned(gram: Array) -> bool:
    """Whether sums of products keep ten digits, in columns of unit length."""
    lengths = np.sqrt(np.diag(gram))
    scale = np.outer(lengths, lengths)
    return bool(lengths.all() and np.linalg.cond(gram / scale) < WELL_CONDITIONED**-2)


def _plug_in(moments: Moments) -> Array:
    cross = moments.canonical("weak", "strong")
    target = moments.products("target", "target") / moments.count
    head, whole = (
        moments.whiten(name, moments.products(name, "target")) / moments.count
        for name in ("weak", "strong")
    )
    unknown = whole - cross @ head
    kappa = np.sum(head * (head - cross.T @ (cross @ head)))
    b = np.sum(unknown**2)
    residual = np.trace(target) - np.sum(head**2) - b
    return np.array([np.sum(cross**2), *(np.array([b, kappa, residual]) / len(target))])


@dataclass(frozen=True, eq=False)
class _Regression:
    features: Array
    head: Array
    inverse: Array
    residuals: Array
    left: Array  # 1 less the leverage
    variance: float

    @classmethod
    def of(cls, features: Array, labels: Array) -> _Regression:
        n, d = features.shape
        inverse = linalg.inv(features.T @ features)
        head = inverse @ (features.T @ labels)
        residuals = labels - features @ head
        leverage = np.sum((features @ inverse) * features, axis=1)
        variance = float(np.mean(np.sum(residuals**2, axis=0)) / (n - d))
        return cls(features, head, inverse, residuals, np.maximum(1 - leverage, 1e-9), variance)

    def squares(self) -> Array:
        """Squared residuals, their mean taken off: what each label adds to the variance."""
        squared = np.mean(self.residuals**2, axis=1) / self.left
        return cast(Array, squared - squared.mean())

    @property
    def influence(self) -> tuple[Array, Array]:
        """Change of the head with each label: directions (n, d) and residuals (n, k)."""
        return self.features @ self.inverse, self.residuals / np.sqrt(self.left)[:, None]


def _product(direction: Array, influence: tuple[Array, Array]) -> Array:
    """Products of a direction (d, k) with the influences on the heads, averaged over tasks."""
    along, residuals = influence
    return cast(Array, np.mean((along @ direction) * residuals, axis=1))


def _check_features(moments: Moments, w: Array, s: Array) -> None:
    for name, rows in (("weak", w), ("strong", s)):
        width = len(moments.products(name, name))
        if width != rows.shape[1]:
            raise ValueError(
                f"features: expected {rows.shape[1]} columns in block {name}, got {width}"
            )
    needed = w.shape[1] + s.shape[1] + 2
    validation.at_least(moments.count, needed, "features", "rows: d_w + d_s + 2")


def _share_constant(moments: Moments, w: Array, s: Array) -> bool:
    """Whether some weak and some strong column are constant, and the same one over all inputs."""
    first, second = (np.flatnonzero((np.ptp(phi, axis=0) == 0) & (phi[0] != 0)) for phi in (w, s))
    cross = moments.products("weak", "strong")[np.ix_(first, second)]
    squares = [np.diag(moments.products(name, name)) for name in ("weak", "strong")]
    limit = np.outer(squares[0][first], squares[1][second])
    return bool(np.any(cross**2 >= (1 - 1e-12) * limit))


def _variance_of_difference(weak: _Regression, strong: _Regression, cross: Array) -> Array:
    both = strong.features.T @ weak.features
    shared = np.sum((both @ weak.inverse) * (strong.inverse @ both))
    degrees = len(weak.features) - len(weak.inverse) - len(strong.inverse) + shared
    covariance = np.mean(np.sum(weak.residuals * strong.residuals, axis=0)) / degrees
    mixed = covariance * strong.inverse @ both @ weak.inverse @ cross.T
    own = strong.variance * strong.inverse + weak.variance * cross @ weak.inverse @ cross.T
    return cast(Array, own - mixed - mixed.T)


def _noise_of_cross_moment(
    weak: _Regression, strong: _Regression, cross: Array, kappa: float
) -> float:
    """Trace of the variance that an estimated cross moment adds, times the number of inputs.

    What it errs by is in part what the labels of the same inputs make the heads err by.
    """
    unseen = (weak.features - strong.features @ cross) @ weak.head
    n = len(unseen)
    shared_s = np.mean(np.sum(strong.residuals * unseen, axis=0)) / (n - len(strong.inverse))
    shared_w = np.mean(np.sum(weak.residuals * unseen, axis=0)) / (n - len(weak.inverse))
    return float(len(cross) * (kappa - 2 * shared_s) + 2 * np.sum(cross**2) * shared_w)


def _covariance(influence: Array, quadratic: Array) -> Array:
    """Covariance of four estimates; the noise in an estimated direction is not counted twice."""
    raw = influence.T @ influence
    sd = np.sqrt(np.diag(raw))
    # In a quadratic form first-order terms at the estimate hold its second-order variance twice.
    variance = np.maximum(np.diag(raw) - quadratic, quadratic)
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = np.nan_to_num(raw / np.outer(sd, sd))
    found = np.zeros((5, 5))
    found[:4, :4] = correlation * np.sqrt(np.outer(variance, variance))
    return found


def _of_features(values: Array, cross: Array, m: int) -> Array:
    """Variances that come from knowing the features of m inputs only, for Gaussian features."""
    _, _, b, kappa, _ = np.maximum(values, 0)
    squares = np.minimum(linalg.svdvals(cross), 1) ** 2
    overlap = 4 * np.sum(squares * (1 - squares) ** 2)
    return np.array([0, 0, 4 * b * kappa + 2 * b**2, 2 * kappa**2, overlap]) / m


def _setting(base: risks.Setting, values: Array, sigma2: float) -> risks.Setting:
    rho_w, rho_s, b, kappa, d_sw = np.maximum(values, 0).tolist()
    return replace(
        base,
        sigma2=sigma2,
        rho_w=rho_w,
        rho_s=rho_s,
        b=min(b, rho_w),
        kappa=kappa,
        d_sw=min(d_sw, base.d_w, base.d_s),
    )


def expected_risks_and_ratios(
    setting: risks.Setting, n: ArrayLike, N: ArrayLike
) -> dict[str, Array]:
    """Expected risks (`w2s_utils.theory.risks.exact`) and what follows, broadcast over n and N.

    ``"teacher"``, ``"student"``, ``"baseline"``, ``"ceiling"``, ``"misfit"``, ``"gain"`` (teacher
    less student), ``"gap"`` (teacher less ceiling), ``"advantage"`` (baseline less student),
    ``"pgr"``, ``"opr"``.
    """
    expected = risks.exact(setting, n, N)
    return vars(expected) | {
        "misfit": risks.misfit(setting, n, N),
        "gain": expected.teacher - expected.student,
        "gap": expected.teacher - expected.ceiling,
        "advantage": expected.baseline - expected.student,
        "pgr": expected.pgr,
        "opr": expected.opr,
    }
