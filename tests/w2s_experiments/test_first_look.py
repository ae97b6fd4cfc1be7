"""The first look: terms in sample, leverage, tables and figures."""

from dataclasses import replace

import numpy as np
import pytest

from w2s_experiments import first_look
from w2s_utils.problem import Problem, measure_pairs, oracle_settings
from w2s_utils.theory import subspaces

D_W, D_S, AMBIENT = 12, 6, 30


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(11)
    weak, strong = subspaces.pair_with_cosines(AMBIENT, D_W, D_S, np.linspace(1, 0.2, D_S), rng)
    theta = strong @ rng.standard_normal(D_S) / 2 + rng.standard_normal(AMBIENT) / 12
    g = np.random.default_rng(6).standard_normal((4000, AMBIENT))
    w, s, f = g @ weak, g @ strong, g @ theta
    target = (f - f.mean()) / f.std()
    teachers = {4: w[:, :4], D_W: w}
    return Problem("toy", target[:, None], 0.5, teachers, {"wide": s, "narrow": s[:, :2]})


def test_leverage():
    alone = np.zeros((10, 2))
    alone[0, 0] = 1
    alone[1:, 1] = 1
    assert first_look.largest_leverage(alone) == pytest.approx(1)
    assert first_look.largest_leverage(np.ones((10, 1))) == pytest.approx(0.1)


def test_in_sample_identity_and_bound(problem):
    rng = np.random.default_rng(9)
    run = first_look.in_sample(problem, D_W, "wide", n=40, N=60, trials=30, rng=rng)
    assert run.gain.shape == (30, 1)
    np.testing.assert_allclose(run.gain, run.misfit + run.cross, atol=1e-12)
    assert np.abs(run.cross).max() > 0.01  # the truth is out of reach, the term matters
    assert np.all(run.gain >= run.misfit - 2 * np.sqrt(run.unreachable * run.misfit))


@pytest.fixture(scope="module")
def grid(problem):
    cells = measure_pairs(problem, oracle_settings(problem), cells=[(60, 80)], trials=30, seed=[12])
    return {("toy", s, d): cells[d, s, 60, 80] for s in problem.students for d in problem.teachers}


def test_tables_have_a_line_per_representation_and_per_cell(problem, grid):
    assert len(first_look.dimensions_table({"toy": problem}).splitlines()) == 1 + 4
    table = first_look.results_table(grid)
    assert len(table.splitlines()) == 1 + len(grid)
    level = {
        key: replace(c, result=replace(c.result, ceiling=c.result.teacher))
        for key, c in grid.items()
    }
    assert first_look.results_table(level).count("not resolved") == len(grid)


def test_figures_return_the_numbers_they_show(problem, grid):
    plt = pytest.importorskip("matplotlib.pyplot")
    cells = list(grid.values())
    figure, data = first_look.gain_against_misfit(grid)
    assert data["gain"] == [c.result.mean("gain").value for c in cells]
    assert data["student"] == ["wide", "wide", "narrow", "narrow"]
    figure, data = first_look.risks_against_size(grid)
    assert data["baseline formula"] == [float(c.predicted.baseline) for c in cells]
    assert len(figure.axes) == 2
    figure, data = first_look.spectra({"toy": problem}, {"toy": D_W})
    assert np.sum(data["toy wide"]) == pytest.approx(cells[1].setting.d_sw, abs=0.1)
    figure, data = first_look.agreement({"toy": cells})
    assert data["ratio"][0] == cells[0].ratios()["teacher"].value
    figure, data = first_look.sweeps(cells[:2], cells[2:])
    assert data["opr"] == [c.result.opr().value for c in cells[:2]]
    plt.close("all")
