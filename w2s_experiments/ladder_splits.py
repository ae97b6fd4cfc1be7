r"""One strong model and a ladder of weak ones over random splits of one data set.

In each split every weak model is fitted on the same labels, every student on the same unlabelled
inputs. Inputs are drawn without replacement from one pool, so splits share inputs: their spread is
the error of the split, not that of the pool. `Splits.jackknife` gives the latter. It leaves out one
input at a time, in whatever part each split has put it; for linear heads what this changes is known
in closed form, so no head is fitted again, and there are as many groups as inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from w2s_utils import geometry, validation
from w2s_utils.ladder import LEAST_LABELS, Ladder, Part, climb
from w2s_utils.least_squares import MinimumNorm
from w2s_utils.moments import Moments
from w2s_utils.problem import Problem
from w2s_utils.theory import risks
from w2s_utils.theory.subspaces import column_space


@dataclass(frozen=True, eq=False)
class Splits:
    r"""What happened, one row a split and one column a weak model.

    With `P` the projection on the strong features over the student's own training inputs,
    ``own_gain = own_misfit + own_cross`` identically, where ``own_cross`` is
    :math:`-2\langle (I-P)f_w, (I-P)y\rangle`.

    Attributes
    ----------
    teacher, student : ndarray, shape (trials, t)
        Errors on the test labels.
    misfit : ndarray, shape (trials, t)
        Mean squared distance of student and teacher on the test inputs; needs no labels.
    own_gain, own_misfit, own_cross : ndarray, shape (trials, t)
        On the student's own training inputs; of these only the misfit needs no labels.
    unreachable : ndarray, shape (trials,)
        :math:`\|(I-P)y\|^2`, the error of the best head on the student's training inputs.
    baseline, ceiling : ndarray, shape (trials,)
        Test errors of the strong model on the labels, and on all inputs with their labels.
    ladders : tuple of Ladder
        For the rules of choice: errors on validation labels beside those on test labels.
    left_out : ndarray, shape (m, 2, t)
        What leaving out one input of the pool adds to the mean misfit and the mean gain, to the
        first order in the change of the heads.
    """

    teacher: NDArray[np.float64]
    student: NDArray[np.float64]
    misfit: NDArray[np.float64]
    own_gain: NDArray[np.float64]
    own_misfit: NDArray[np.float64]
    own_cross: NDArray[np.float64]
    unreachable: NDArray[np.float64]
    baseline: NDArray[np.float64]
    ceiling: NDArray[np.float64]
    ladders: tuple[Ladder, ...]
    left_out: NDArray[np.float64]

    @property
    def gain(self) -> NDArray[np.float64]:
        """Error of each teacher less that of its student, on the test labels."""
        return self.teacher - self.student

    def regret(self, rule: str) -> NDArray[np.float64]:
        """Error of the student chosen by a rule less that of the best student, by split."""
        return np.array([ladder.regrets()[rule] for ladder in self.ladders])

    def jackknife(
        self, statistic: Callable[[NDArray, NDArray], ArrayLike]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        r"""Value of a statistic of the mean misfits and gains, and its error over the inputs.

        .. math:: \mathrm{SE}^2 = \frac{m-1}{m} \sum_r (s_{(r)} - \bar s)^2

        with :math:`s_{(r)}` the statistic without input `r` (B. Efron and C. Stein, The jackknife
        estimate of variance, Annals of Statistics 9, 1981). The parts are drawn at random, so the
        expectation of the statistic is the same for every set of splits, and the error over the
        inputs, splits held fixed, is the whole error.

        Parameters
        ----------
        statistic : callable
            From the mean misfits and the mean gains, shape (t,) each, to a number or an array. It
            should be smooth in them.

        Returns
        -------
        value, standard_error : ndarray
            In the shape of the statistic.
        """
        means = np.array([self.misfit.mean(axis=0), self.gain.mean(axis=0)])
        values = np.array([statistic(*(means + change)) for change in self.left_out], float)
        error = np.sqrt((len(values) - 1) * values.var(axis=0))
        return np.asarray(statistic(*means), float), error


def run(
    problem: Problem,
    student: str,
    *,
    n: int,
    N: int,
    known: int,
    trials: int,
    rng: np.random.Generator,
) -> Splits:
    """Split at random, teach every weak model, train every student.

    Parameters
    ----------
    problem : Problem
        With one target. Its noise is added to all labels but those of the test inputs.
    student : str
        Key of ``problem.students``.
    n, N, known : int
        Labelled inputs, unlabelled ones, and labelled ones to validate on; the rest are test
        inputs.
    trials : int
        Splits, at least 2.
    rng : numpy.random.Generator
        One generator a split is spawned from it.

    Returns
    -------
    Splits

    Raises
    ------
    ValueError
        If no test inputs are left, or there are fewer than 1.5 labels for a weak feature or fewer
        pseudo-labels than strong features.
    """
    m, strong = len(problem.targets), problem.students[student]
    target = validation.targets(problem.targets, "problem.targets")
    if target.reshape(m, -1).shape[1] != 1:
        raise ValueError(f"problem: expected one target, got shape {target.shape}")
    validation.at_least(trials, 2, "trials", "for a standard error")
    widest = max(features.shape[1] for features in problem.teachers.values())
    validation.at_least(n, int(np.ceil(LEAST_LABELS * widest)), "n", f"labels, {widest} features")
    validation.at_least(N, strong.shape[1] + 2, "N", "pseudo-labels, strong features and two")
    validation.at_least(known, 1, "known", "labels to validate on")
    validation.at_least(m, n + N + known + 2, "inputs", "n + N + known and two to test on")
    # Heads predict the same on any basis; normal equations are accurate on an orthonormal one.
    weak = [column_space(phi, f"teacher {name}") for name, phi in problem.teachers.items()]
    strong = column_space(strong, f"student {student}")
    ends = np.cumsum([n, N, known])
    left_out = np.zeros((m, 2, len(weak)))

    def one(generator: np.random.Generator) -> tuple:
        order = generator.permutation(m)
        noisy = target.ravel() + problem.noise * generator.standard_normal(m)
        parts = np.split(order, ends)
        *row, changes = _one_split(weak, strong, noisy, target.ravel(), parts)
        for part, change in changes:
            left_out[part] += change / trials
        return tuple(row)

    rows = [one(generator) for generator in rng.spawn(trials)]
    *numbers, climbed = zip(*rows, strict=True)
    return Splits(*map(np.array, numbers), ladders=climbed, left_out=left_out)


def _one_split(
    weak: list[NDArray], strong: NDArray, noisy: NDArray, target: NDArray, parts: list[NDArray]
) -> tuple:
    labelled, own, known, test = parts
    taught = np.column_stack([
        MinimumNorm().fit(phi[labelled], noisy[labelled]).predict(phi) for phi in weak
    ])  # fmt: skip
    ladder = climb(
        Part(strong[own], taught[own]),
        Part(strong[known], taught[known], noisy[known]),
        Part(strong[test], taught[test], target[test]),
    )
    both = np.column_stack([taught[own], target[own]])
    model = MinimumNorm().fit(strong[own], both)
    away = both - model.predict(strong[own])
    learnt = model.predict(strong[test])[:, :-1]
    everyone = np.concatenate([labelled, own])
    single = [
        MinimumNorm().fit(strong[rows], noisy[rows]).predict(strong[test])
        for rows in (labelled, everyone)
    ]
    own_errors = [
        _mean_square(values[:, :-1] - target[own, None]) for values in (both, both - away)
    ]
    return (
        ladder.teacher,
        ladder.student,
        _mean_square(learnt - taught[test]),
        own_errors[0] - own_errors[1],
        _mean_square(away[:, :-1]),
        -2 * np.mean(away[:, :-1] * away[:, -1:], axis=0),
        _mean_square(away[:, -1]),
        *(_mean_square(values - target[test]) for values in single),
        ladder,
        _leaving_one_out(weak, strong, noisy, target, parts, taught, learnt, away[:, :-1]),
    )


def _leaving_one_out(
    weak: list[NDArray],
    strong: NDArray,
    noisy: NDArray,
    target: NDArray,
    parts: list[NDArray],
    taught: NDArray,
    learnt: NDArray,
    away: NDArray,
) -> list[tuple[NDArray, NDArray]]:
    """Change of misfit and gain when an input is left out: rows, and an array (rows, 2, t)."""
    labelled, own, _, test = parts
    truth, T = target[test, None], len(test)
    misfit, gain = (learnt - taught[test]) ** 2, (taught[test] - truth) ** 2 - (learnt - truth) ** 2
    tested = np.stack([misfit, gain], axis=1)
    tested = (tested.mean(axis=0) - tested) / (T - 1)
    # Derivatives of misfit and gain in the predictions of teacher and student, (T, 2, t).
    off = learnt - taught[test]
    by_teacher = 2 / T * np.stack([-off, taught[test] - truth], axis=1)
    by_student = 2 / T * np.stack([off, truth - learnt], axis=1)
    moved = np.einsum("xs,xqt->sqt", strong[test], by_student)
    learnt_from, leverage = _row_weights(strong[own], moved.reshape(moved.shape[0], -1))
    learnt_from = learnt_from.reshape(len(own), *moved.shape[1:])
    own_change = learnt_from * (away / (leverage - 1)[:, None])[:, None]
    labelled_change = np.empty((len(labelled), 2, len(weak)))
    for index, phi in enumerate(weak):
        moved = phi[test].T @ by_teacher[..., index] + phi[own].T @ learnt_from[..., index]
        weights, leverage = _row_weights(phi[labelled], moved)
        residual = noisy[labelled] - taught[labelled, index]
        labelled_change[..., index] = weights * (residual / (leverage - 1))[:, None]
    return [(test, tested), (own, own_change), (labelled, labelled_change)]


def _row_weights(phi: NDArray, direction: NDArray) -> tuple[NDArray, NDArray]:
    r"""Weight of each target in :math:`g^\top\hat\beta`, one column a direction; leverages.

    Without row `r` the coefficients change by
    :math:`-(\Phi^\top\Phi)^{-1}\phi_r e_r / (1 - h_r)`, with residual and leverage of the row.
    """
    found = np.linalg.solve(phi.T @ phi, np.column_stack([direction, phi.T]))
    width = direction.shape[1]
    return phi @ found[:, :width], np.einsum("rd,dr->r", phi, found[:, width:])


def gains_from_labels(
    problem: Problem, student: str, *, n: int, N: int, trials: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Expected gain of every weak model, as whoever has `n` labels can compute it.

    The geometry is estimated from the labels of `n` inputs and the features of all
    (`w2s_utils.geometry.from_labels`), for one draw of labels a row.

    Parameters
    ----------
    problem, student, n, N, rng
        As in `run`; ``n`` at least two more than the weak and strong features together. The
        same generator draws the same labelled inputs.
    trials : int
        Draws of labelled inputs.

    Returns
    -------
    ndarray, shape (trials, t)
    """
    target = np.ravel(problem.targets)
    strong = problem.students[student]
    moments = [Moments.of(weak=phi, strong=strong) for phi in problem.teachers.values()]
    found = []
    for generator in rng.spawn(trials):
        rows = generator.permutation(len(target))[:n]
        labels = (target + problem.noise * generator.standard_normal(len(target)))[rows]
        row = []
        for phi, features in zip(problem.teachers.values(), moments, strict=True):
            setting = geometry.from_labels(
                phi[rows], strong[rows], labels, features=features
            ).setting
            expected = risks.exact(setting, n, N)
            row.append(float(expected.teacher - expected.student))
        found.append(row)
    return np.array(found)


def _mean_square(values: NDArray) -> NDArray:
    return np.mean(values**2, axis=0)
