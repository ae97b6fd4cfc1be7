r"""What the theory predicts for real features, and what happens: plug-in settings and studies.

The formulas of `w2s_utils.theory.risks` take the geometry of Gaussian features as given. Here it
is estimated from a whole pool of inputs **with their true targets**: an oracle, which tests the
formulas and is nothing that a user could compute from the labels of one experiment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from w2s_utils import protocol, validation
from w2s_utils.least_squares import MinimumNorm
from w2s_utils.problem import Problem
from w2s_utils.theory import risks
from w2s_utils.theory.subspaces import adjusted_overlap, column_space

GROUPS = 10
MODELS = ("teacher", "student", "baseline", "ceiling")


def estimate_setting(
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

    Returns
    -------
    Setting

    Raises
    ------
    ValueError
        If shapes do not match, a feature matrix is rank deficient, or there are too few rows.
    """
    w, s = validation.matrix(weak, "weak"), validation.matrix(strong, "strong")
    f = validation.targets(targets, "targets", rows=len(w)).reshape(len(w), -1)
    m, d_w, d_s = len(w), w.shape[1], s.shape[1]
    validation.at_least(m, 2 * (d_w + d_s), "rows", "twice the weak and strong columns")
    # Orthonormal columns keep the moment matrices of all subsets well conditioned.
    q_w, q_s = _orthonormal(w, "weak"), _orthonormal(s, "strong", rows=m)
    rho_w, rho_s = (
        float(np.sum((f - q @ (q.T @ f)) ** 2)) / f.shape[1] / (m - q.shape[1]) for q in (q_w, q_s)
    )
    d_sw, b, kappa, residual = _jackknife(q_w, q_s, f).tolist()
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


def _orthonormal(features: NDArray, name: str, rows: int | None = None) -> NDArray:
    validation.matrix(features, name, rows=rows)
    left, singular, _ = np.linalg.svd(features, full_matrices=False)
    if singular[-1] <= singular[0] * max(features.shape) * np.finfo(float).eps:
        raise ValueError(
            f"{name}: expected full column rank {features.shape[1]}; cut it to its leading "
            "directions first (w2s_utils.problem.cut)"
        )
    return left


def _jackknife(q_w: NDArray, q_s: NDArray, f: NDArray) -> NDArray:
    """Overlap, b, kappa and residual, first-order bias removed by leaving out groups of rows."""
    columns = np.column_stack([q_w, q_s, f])
    dimensions = q_w.shape[1], q_s.shape[1]
    # Every tenth row: pools may come in some order.
    groups = [columns[start::GROUPS] for start in range(GROUPS)]
    moments = [group.T @ group for group in groups]
    total = np.sum(moments, axis=0)
    whole = _geometry(total, len(f), *dimensions)
    rest = [
        _geometry(total - moment, len(f) - len(group), *dimensions)
        for moment, group in zip(moments, groups, strict=True)
    ]
    return GROUPS * whole - (GROUPS - 1) * np.mean(rest, axis=0)


def _geometry(moments: NDArray, rows: int, d_w: int, d_s: int) -> NDArray:
    """Raw overlap, b, kappa and residual from the moments of weak, strong and target columns."""
    w, s, f = slice(0, d_w), slice(d_w, d_w + d_s), slice(d_w + d_s, None)
    ww, ws, ss = moments[w, w], moments[w, s], moments[s, s]
    head = np.linalg.solve(ww, moments[w, f])
    explained = np.linalg.solve(ss, ws.T)
    unknown = moments[s, f] - ws.T @ head
    overlap = np.trace(np.linalg.solve(ww, ws @ explained))
    b = np.sum(unknown * np.linalg.solve(ss, unknown))
    kappa = np.sum(head * ((ww - ws @ explained) @ head))
    residual = np.trace(moments[f, f]) - np.sum(moments[w, f] * head) - b
    return np.array([overlap, *(np.array([b, kappa, residual]) / rows / len(head.T))])


def largest_leverage(features: ArrayLike) -> float:
    """Largest share that one input has in the fit of its own label, between d/m and 1.

    Near 1, a direction of the features is carried by a single input: a sample without that input
    does not see the direction, and one with it cannot average its noise.

    Parameters
    ----------
    features : array_like, shape (m, d)
        Full column rank.

    Returns
    -------
    float
    """
    return float(np.max(np.sum(np.linalg.qr(validation.matrix(features, "features"))[0] ** 2, 1)))


def expected_misfit(setting: risks.Setting, n: ArrayLike, N: ArrayLike) -> NDArray[np.float64]:
    r"""Misfit on a fresh input, :math:`(\kappa + \tau\,(d_w-d_{s\wedge w}))(1+r)`.

    The teacher's prediction, seen by the student, is a linear part in the strong features and a
    remainder of mean square :math:`\kappa + \tau(d_w - d_{s\wedge w})` in the mean over teachers,
    which acts as label noise: least squares on ``N`` rows misses it by itself and by its share
    :math:`r = d_s/(N-d_s-1)` in the coefficients.

    Parameters
    ----------
    setting : Setting
    n, N : array_like of int
        ``n >= d_w + 2`` and ``N >= d_s + 2``.

    Returns
    -------
    ndarray
    """
    r = setting.d_s / (np.asarray(N) - setting.d_s - 1)
    tau = (risks.teacher(setting, n) - setting.rho_w) / setting.d_w
    return (setting.kappa + tau * (setting.d_w - setting.d_sw)) * (1 + r)


@dataclass(frozen=True, eq=False)
class Cell:
    """One teacher and one student: what was measured, and what the formulas predict.

    Attributes
    ----------
    setting : Setting
        Plug-in geometry.
    n, N : int
        Labelled and unlabelled inputs.
    result : Result
        Measured risks, misfit and gain, by split and task.
    predicted : Risks
        Expected risks.
    """

    setting: risks.Setting
    n: int
    N: int
    result: protocol.Result
    predicted: risks.Risks

    @property
    def predicted_misfit(self) -> float:
        """Expected misfit on a fresh input."""
        return float(expected_misfit(self.setting, self.n, self.N))

    @property
    def predicted_gain(self) -> float:
        """Expected teacher's risk less the expected student's."""
        return float(self.predicted.teacher - self.predicted.student)

    def ratios(self) -> dict[str, protocol.Estimate]:
        """Measured over predicted risk of each model, with the standard error over splits."""
        means = {name: self.result.mean(name) for name in MODELS}
        expected = {name: float(getattr(self.predicted, name)) for name in MODELS}
        return {
            name: protocol.Estimate(
                mean.value / expected[name], mean.standard_error / expected[name], mean.trials
            )
            for name, mean in means.items()
        }

    def log_ratio(self, model: str) -> protocol.Estimate:
        """Mean over splits of the logarithm of measured over predicted risk.

        Where single splits dominate the arithmetic mean this one still exists.

        Parameters
        ----------
        model : {"teacher", "student", "baseline", "ceiling"}
        """
        risks_of = getattr(self.result, model).reshape(self.result.trials, -1).mean(axis=1)
        values = np.log(risks_of / float(getattr(self.predicted, model)))
        error = values.std(ddof=1) / np.sqrt(len(values))
        return protocol.Estimate(float(values.mean()), float(error), len(values))

    def gap_is_resolved(self, standard_errors: float = 3.0) -> bool:
        """Whether teacher and ceiling differ by enough standard errors for PGR to mean something.

        Parameters
        ----------
        standard_errors : float
            How many.
        """
        gap = self.result.teacher - self.result.ceiling
        per_split = gap.reshape(len(gap), -1).mean(axis=1)
        error = per_split.std(ddof=1) / np.sqrt(len(per_split))
        return bool(per_split.mean() > standard_errors * error)


def median_deviations(cells: Sequence[Cell]) -> dict[str, float]:
    """Median over cells of the size of `Cell.log_ratio`.

    Parameters
    ----------
    cells : sequence of Cell

    Returns
    -------
    dict of str to float
        By model.
    """
    return {
        model: float(np.median([abs(cell.log_ratio(model).value) for cell in cells]))
        for model in MODELS
    }


def rank_correlations(cells: Sequence[Cell]) -> tuple[float, float]:
    """Kendall's rank correlation of measured PGR with minus the overlap, and with the formula.

    Parameters
    ----------
    cells : sequence of Cell
        One for each teacher.

    Returns
    -------
    overlap, formula : float
    """
    measured = [cell.result.pgr().value for cell in cells]
    overlap = [-cell.setting.d_sw for cell in cells]
    formula = [float(cell.predicted.pgr) for cell in cells]
    return tuple(float(stats.kendalltau(measured, values).statistic)
                 for values in (overlap, formula))  # fmt: skip


def overlap_estimates(
    weak: ArrayLike,
    strong: ArrayLike,
    sizes: Sequence[int],
    *,
    draws: int,
    rng: np.random.Generator,
) -> dict[str, NDArray[np.float64]]:
    """Estimates of the correlation dimension from random subsets of a pool.

    Parameters
    ----------
    weak : array_like, shape (m, d_w)
    strong : array_like, shape (m, d_s)
    sizes : sequence of int
        Inputs of a subset, more than ``d_w + d_s`` each.
    draws : int
        Subsets of each size.
    rng : numpy.random.Generator

    Returns
    -------
    dict of str to ndarray, shape (sizes, draws)
        ``"raw"``: sum of squared canonical correlations; ``"less null"``: that less its value
        ``d_w d_s / m`` for unrelated features; ``"adjusted"``:
        `w2s_utils.theory.subspaces.adjusted_overlap`.
    """
    w, s = validation.matrix(weak, "weak"), validation.matrix(strong, "strong")
    d_w, d_s = w.shape[1], s.shape[1]
    raw = np.empty((len(sizes), int(draws)))
    for j, generator in enumerate(rng.spawn(int(draws))):
        order = generator.permutation(len(w))
        for i, m in enumerate(sizes):
            rows = order[:m]
            raw[i, j] = np.sum((column_space(w[rows]).T @ column_space(s[rows])) ** 2)
    m = np.asarray(sizes, dtype=float)[:, None]
    return {
        "raw": raw,
        "less null": raw - d_w * d_s / m,
        "adjusted": adjusted_overlap(raw, m, d_w, d_s),
    }


def run_cell(
    problem: Problem,
    teacher: int,
    student: str,
    *,
    n: int,
    N: int,
    trials: int,
    rng: np.random.Generator,
) -> Cell:
    """Repeat random splits of a problem for one teacher and one student.

    Parameters
    ----------
    problem : Problem
    teacher : int
        Key of ``problem.teachers``.
    student : str
        Key of ``problem.students``.
    n, N : int
        Labelled and unlabelled inputs; the rest of the pool is the test set.
    trials : int
        Splits, at least 2; label noise is drawn anew in each.
    rng : numpy.random.Generator

    Returns
    -------
    Cell
    """
    weak, strong = problem.teachers[teacher], problem.students[student]
    split = protocol.random_splits(weak, strong, problem.targets, n=n, N=N)

    def draw(generator: np.random.Generator) -> protocol.Trial:
        labelled, unlabelled, test = split(generator)
        return (*(_noisy(part, problem.noise, generator) for part in (labelled, unlabelled)), test)

    # Rank is full by construction: no direction may be dropped.
    head = MinimumNorm()
    result = protocol.repeat(draw, trials, rng, teacher_head=head, student_head=head)
    setting = estimate_setting(weak, strong, problem.targets, noise=problem.noise)
    return Cell(setting, n, N, result, risks.exact(setting, n, N))


def _noisy(part: protocol.Inputs, noise: float, rng: np.random.Generator) -> protocol.Inputs:
    labels = part.labels + noise * rng.standard_normal(part.labels.shape)
    return protocol.Inputs(part.weak, part.strong, labels)


@dataclass(frozen=True, eq=False)
class InSample:
    r"""Gain and misfit over a student's own training inputs, one entry a split (and a task).

    Attributes
    ----------
    gain, misfit : ndarray, shape (trials, tasks)
    cross : ndarray, same shape
        :math:`-2\langle (I-P)f_w, (I-P)f^* \rangle`, with `P` the student's projection; the gain
        is the misfit plus this term, identically.
    unreachable : ndarray, same shape
        :math:`\|(I-P)f^*\|^2`, the error of the best head.
    """

    gain: NDArray[np.float64]
    misfit: NDArray[np.float64]
    cross: NDArray[np.float64]
    unreachable: NDArray[np.float64]


def in_sample(
    problem: Problem,
    teacher: int,
    student: str,
    *,
    n: int,
    N: int,
    trials: int,
    rng: np.random.Generator,
) -> InSample:
    """Project teachers' predictions on a student's features, over the unlabelled inputs.

    Parameters
    ----------
    problem, teacher, student, n, N, trials, rng
        As in `run_cell`.

    Returns
    -------
    InSample
    """
    weak, strong = problem.teachers[teacher], problem.students[student]
    split = protocol.random_splits(weak, strong, problem.targets, n=n, N=N)
    rows = []
    for generator in rng.spawn(trials):
        labelled, unlabelled, _ = split(generator)
        labelled = _noisy(labelled, problem.noise, generator)
        taught = MinimumNorm().fit(labelled.weak, labelled.labels).predict(unlabelled.weak)
        truth = unlabelled.labels
        # Least squares on the unlabelled inputs is the projection in their empirical inner product.
        rest = truth - MinimumNorm().fit(unlabelled.strong, truth).predict(unlabelled.strong)
        learnt = MinimumNorm().fit(unlabelled.strong, taught).predict(unlabelled.strong)
        rows.append(
            (
                np.mean((taught - truth) ** 2 - (learnt - truth) ** 2, axis=0),
                np.mean((learnt - taught) ** 2, axis=0),
                -2 * np.mean((taught - learnt) * rest, axis=0),
                np.mean(rest**2, axis=0),
            )
        )
    return InSample(*np.array(rows).transpose(1, 0, 2))
