r"""Dong et al. 2025's Gaussian model, simulated directly or drawn from its exact law.

One :math:`g \sim N(0, I_D)` an input; weak features :math:`\Sigma_w^{1/2} g`, strong features
:math:`\Sigma_s^{1/2} g`, target :math:`\theta_*^T g`, labels with independent noise. Only the
coordinates in which something happens are drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from w2s_utils import protocol, validation
from w2s_utils.least_squares import Head
from w2s_utils.protocol import Inputs, Result, Trial
from w2s_utils.theory import laws, subspaces
from w2s_utils.theory.risks import Setting
from w2s_utils.validation import Array

DrawRows = Callable[[np.random.Generator, tuple[int, int]], Array]


def gaussian_rows(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Independent standard normal entries: the model's design."""
    return rng.standard_normal(shape)


def student_rows(degrees: float) -> DrawRows:
    """Rows with multivariate Student tails and identity second moment: breaks the assumption.

    For the ``rows`` argument of `simulate`; `ValueError` unless the ``degrees`` of freedom are
    above 2, for a second moment to exist.
    """
    if not validation.real(degrees, "degrees") > 2:
        raise ValueError(f"degrees: expected more than 2, got {degrees!r}")

    def rows(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
        scale = np.sqrt((degrees - 2) / rng.chisquare(degrees, shape[0]))
        return rng.standard_normal(shape) * scale[:, None]

    return rows


@dataclass(frozen=True)
class GaussianModel:
    """Two feature subspaces, a target and label noise.

    Attributes
    ----------
    weak_basis, strong_basis : ndarray, shape (D, d_w) and (D, d_s)
        Orthonormal columns.
    theta : ndarray, shape (D,)
        Target in the coordinates of g.
    sigma2 : float
        Label-noise variance, in squared target units.
    weak_spectrum, strong_spectrum : ndarray, shape (d_w,) and (d_s,), optional
        Non-zero eigenvalues of the features' second moments; default ones. They scale the
        features that least squares sees and change no risk.

    Raises
    ------
    ValueError
        If shapes do not match, bases are not orthonormal, or a variance is negative.
    """

    weak_basis: Array
    strong_basis: Array
    theta: Array
    sigma2: float
    weak_spectrum: Any = None
    strong_spectrum: Any = None

    def __post_init__(self) -> None:
        weak = validation.orthonormal(self.weak_basis, "weak_basis")
        strong = validation.orthonormal(self.strong_basis, "strong_basis", rows=len(weak))
        checked = {
            "weak_basis": weak,
            "strong_basis": strong,
            "theta": validation.vector(self.theta, "theta", rows=len(weak)),
            "sigma2": validation.nonnegative(self.sigma2, "sigma2", "a variance"),
        }
        for name, basis in (("weak_spectrum", weak), ("strong_spectrum", strong)):
            checked[name] = validation.spectrum(getattr(self, name), name, basis.shape[1])
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @cached_property
    def canonical(self) -> laws.Canonical:
        """The problem in canonical coordinates."""
        return laws.Canonical.from_bases(
            self.weak_basis, self.strong_basis, self.theta, self.sigma2
        )

    @property
    def setting(self) -> Setting:
        """The quantities on which the expected risks depend.

        Without the target's norm where features have unequal variances: then the risks of fits on
        fewer rows than dimensions have no exact formula.
        """
        setting = self.canonical.setting
        spectra = np.ptp(self.weak_spectrum), np.ptp(self.strong_spectrum)
        return replace(setting, norm2=None) if any(spectra) else setting

    @cached_property
    def _maps(self) -> tuple[Array, Array]:
        return (
            self.weak_basis * np.sqrt(self.weak_spectrum),
            self.strong_basis * np.sqrt(self.strong_spectrum),
        )

    def inputs(self, g: Array, noise: Array | float = 0.0) -> Inputs:
        """Features and labels of the inputs in the rows of ``g``, shape (m, D)."""
        weak, strong = self._maps
        return Inputs(g @ weak, g @ strong, g @ self.theta + noise)

    def population(self) -> Inputs:
        """Inputs over which a mean square equals the population's: a rule of D equal weights.

        The rows are ``sqrt(D)`` times the axes, exact for every quadratic form in ``g``.
        """
        ambient = len(self.theta)
        return self.inputs(np.sqrt(ambient) * np.eye(ambient))


def shared_model(
    d_w: int, d_s: int, d_sw: int, sigma2: float, *, ambient: int | None = None
) -> GaussianModel:
    """Well-specified coordinate model: ``d_sw`` directions shared, the others orthogonal.

    The target is zero: where both models can express it, no risk depends on it.

    Parameters
    ----------
    d_w, d_s, d_sw, sigma2
        ``0 <= d_sw <= min(d_w, d_s)``, else `ValueError`; label-noise variance.
    ambient : int, optional
        Dimension of the inputs, at least ``d_w + d_s - d_sw``; default ``d_w + d_s``.
    """
    if not 0 <= d_sw <= min(d_w, d_s):
        raise ValueError(f"d_sw: expected 0 to min(d_w, d_s) = {min(d_w, d_s)}, got {d_sw!r}")
    dimension = d_w + d_s if ambient is None else ambient
    cosines = (np.arange(min(d_w, d_s)) < d_sw).astype(float)
    weak, strong = subspaces.pair_with_cosines(dimension, d_w, d_s, cosines)
    return GaussianModel(weak, strong, np.zeros(dimension), sigma2)


def authors_model(
    d_sw: int, sigma2: float, *, d_w: int = 200, d_s: int = 100, active: int = 300, D: int = 20000
) -> GaussianModel:
    r"""Synthetic model of Dong et al. 2025, at the authors' sizes by default.

    Eigenvalues :math:`1/i` on the first ``active`` coordinates of ``D``; target
    :math:`\theta_i = \pm 1/\sqrt{D}` in feature coordinates, alternating signs here (the risks do
    not depend on them); strong features on the first ``d_s`` coordinates, weak features on ``d_w``
    consecutive ones of which ``d_sw`` are shared.

    Parameters
    ----------
    d_sw : int
        Shared coordinates: 10, 50, 90 in the main figures; 0, 40, 80 in others.
    sigma2 : float
        Label-noise variance: 1e-2 (main), 4e-4, 0.1.

    Raises
    ------
    ValueError
        If the weak coordinates do not fit among the active ones.
    """
    offset = d_s - d_sw
    if not 0 <= offset <= active - d_w or d_sw > min(d_w, d_s):
        raise ValueError(
            f"d_sw: expected {max(0, d_s + d_w - active)} to {min(d_w, d_s)}, got {d_sw}"
        )
    eigenvalues = 1 / np.arange(1, active + 1)
    axes = np.eye(active)
    return GaussianModel(
        weak_basis=axes[:, offset : offset + d_w],
        strong_basis=axes[:, :d_s],
        theta=np.sqrt(eigenvalues / D) * (-1.0) ** np.arange(active),
        sigma2=sigma2,
        weak_spectrum=eigenvalues[offset : offset + d_w],
        strong_spectrum=eigenvalues[:d_s],
    )


def simulate(
    model: GaussianModel,
    n: int,
    N: int,
    trials: int,
    rng: np.random.Generator,
    *,
    method: Literal["direct", "exact"] = "direct",
    evaluate: Literal["population", "unlabelled"] = "population",
    rows: DrawRows = gaussian_rows,
    teacher_head: Head | None = None,
    student_head: Head | None = None,
    n_jobs: int = 1,
) -> Result:
    """Simulate weak-to-strong training in a Gaussian model.

    Parameters
    ----------
    model, n, N, trials, rng
        ``n`` labels and ``N`` pseudo-labels a trial.
    method : {"direct", "exact"}
        "direct" draws designs and solves least squares; "exact" draws the risks from their law,
        thousands of times faster. With "exact", teacher, student and misfit are joint draws, but
        baseline and ceiling are independent of them: the joint law of all four is not known, so
        do not form ratios within a trial.
    evaluate : {"population", "unlabelled"}
        Risk on a fresh input, or averaged over the student's own training inputs (direct only).
    rows : callable
        Draws the rows of the design (direct only); see `student_rows`.
    teacher_head, student_head : Head, optional
        Default minimum-norm least squares (direct only).
    n_jobs : int
        Worker processes for "direct"; the numbers do not depend on it.

    Returns
    -------
    Result
        Excess risks (the target is noise-free), one entry a trial.

    Raises
    ------
    ValueError
        If an option does not go with the method, or ``n``, ``N`` are too small for the law.
    """
    if method == "exact":
        if evaluate != "population" or rows is not gaussian_rows or teacher_head or student_head:
            raise ValueError(
                'method: "exact" holds for Gaussian rows, least squares and fresh inputs only; '
                'use method="direct" with evaluate, rows, teacher_head or student_head'
            )
        return _exact(model, n, N, trials, rng)
    if method != "direct":
        raise ValueError(f'method: expected "direct" or "exact", got {method!r}')
    if evaluate not in ("population", "unlabelled"):
        raise ValueError(f'evaluate: expected "population" or "unlabelled", got {evaluate!r}')
    validation.at_least(n, 1, "n", "labels")
    validation.at_least(N, 1, "N", "pseudo-labels")
    ambient = len(model.theta)
    population = model.population()

    def draw(generator: np.random.Generator) -> Trial:
        noise = np.sqrt(model.sigma2) * generator.standard_normal(n + N)
        labelled = model.inputs(rows(generator, (n, ambient)), noise[:n])
        g = rows(generator, (N, ambient))
        unlabelled = model.inputs(g, noise[n:])
        test = population if evaluate == "population" else model.inputs(g)
        return labelled, unlabelled, test

    return protocol.repeat(
        draw, trials, rng, teacher_head=teacher_head, student_head=student_head, n_jobs=n_jobs
    )


def _exact(model: GaussianModel, n: int, N: int, trials: int, rng: np.random.Generator) -> Result:
    joint = laws.sample(model.canonical, n, N, trials, rng)
    setting = model.setting
    return Result(
        teacher=joint.teacher,
        student=joint.student,
        baseline=laws.baseline_law(setting, n).rvs(trials, random_state=rng),
        ceiling=laws.ceiling_law(setting, n, N).rvs(trials, random_state=rng),
        misfit=joint.misfit,
    )
