"""Plug-in geometry against Gaussian features whose geometry is known, and the studies."""

from dataclasses import replace

import numpy as np
import pytest

from w2s_experiments import first_look
from w2s_utils import oracle
from w2s_utils.problem import Problem
from w2s_utils.theory import risks, subspaces

D_W, D_S, AMBIENT, ROWS = 12, 6, 30, 150


@pytest.fixture(scope="module")
def gaussian():
    """Bases, target and true setting of a Gaussian problem with general angles."""
    rng = np.random.default_rng(11)
    weak, strong = subspaces.pair_with_cosines(AMBIENT, D_W, D_S, np.linspace(1, 0.2, D_S), rng)
    # Mostly within the student's reach, so that there is a gap to recover.
    theta = strong @ rng.standard_normal(D_S) / 2 + rng.standard_normal(AMBIENT) / 12
    known = weak @ (weak.T @ theta)
    unknown = theta - known

    def square(vector):
        return float(vector @ vector)

    setting = risks.Setting(
        d_w=D_W,
        d_s=D_S,
        d_sw=float(np.sum((strong.T @ weak) ** 2)),
        sigma2=0.25,
        rho_w=square(unknown),
        rho_s=square(theta - strong @ (strong.T @ theta)),
        b=square(strong.T @ unknown),
        kappa=square(known - strong @ (strong.T @ known)),
        residual=square(unknown - strong @ (strong.T @ unknown)),
    )
    return weak, strong, theta, setting


def pool(gaussian, rng, rows=ROWS):
    weak, strong, theta, _ = gaussian
    g = rng.standard_normal((rows, AMBIENT))
    return g @ weak, g @ strong, g @ theta


def test_plug_in_geometry_is_nearly_unbiased(gaussian):
    rng = np.random.default_rng(1)
    fields = ("d_sw", "rho_w", "rho_s", "b", "kappa")
    found = np.array(
        [
            [getattr(oracle.estimate_setting(*pool(gaussian, rng), noise=0.5), f) for f in fields]
            for _ in range(300)
        ]
    )
    truth = np.array([getattr(gaussian[3], field) for field in fields])
    error = found.std(axis=0, ddof=1) / np.sqrt(len(found))
    # What is left is of order 1/m**2.
    np.testing.assert_array_less(np.abs(found.mean(axis=0) - truth), 5 * error + 0.01 * truth)
    assert np.all(error < 0.05 * truth)


def test_without_the_jackknife_the_overlap_is_biased_upwards(gaussian):
    rng = np.random.default_rng(2)
    raw = [
        subspaces.correlation_dimension_of_features(w, s, adjusted=False)
        for w, s, _ in (pool(gaussian, rng) for _ in range(100))
    ]
    assert np.mean(raw) > gaussian[3].d_sw * 1.05


def test_rank_deficient_features_are_refused(gaussian):
    w, s, f = pool(gaussian, np.random.default_rng(5))
    with pytest.raises(ValueError, match=r"strong: expected full column rank 7.*cut"):
        oracle.estimate_setting(w, np.column_stack([s, s[:, 0]]), f)


def test_several_targets_are_averaged(gaussian):
    w, s, f = pool(gaussian, np.random.default_rng(3))
    one, two = (oracle.estimate_setting(w, s, y) for y in (f, 3 * f))
    both = oracle.estimate_setting(w, s, np.column_stack([f, 3 * f]))
    for field in ("rho_w", "rho_s", "b", "kappa", "residual"):
        mean = (getattr(one, field) + getattr(two, field)) / 2
        assert getattr(both, field) == pytest.approx(mean)
    assert [one.d_sw, two.d_sw] == pytest.approx([both.d_sw] * 2)


def test_contained_spans_give_the_smaller_dimension():
    phi = np.random.default_rng(4).standard_normal((60, 8))
    for weak, strong in ((phi, phi[:, :3]), (phi[:, :3], phi)):
        setting = oracle.estimate_setting(weak, strong, phi[:, 0])
        assert setting.d_sw == pytest.approx(3)
        assert setting.rho_w == pytest.approx(0, abs=1e-20)


def test_too_few_rows_are_refused(gaussian):
    w, s, f = pool(gaussian, np.random.default_rng(5), rows=D_W + D_S)
    with pytest.raises(ValueError, match=r"rows.*expected at least 36"):
        oracle.estimate_setting(w, s, f)


def test_leverage():
    alone = np.zeros((10, 2))
    alone[0, 0] = 1
    alone[1:, 1] = 1
    assert oracle.largest_leverage(alone) == pytest.approx(1)
    assert oracle.largest_leverage(np.ones((10, 1))) == pytest.approx(0.1)


@pytest.fixture(scope="module")
def problem(gaussian):
    w, s, f = pool(gaussian, np.random.default_rng(6), rows=4000)
    target = (f - f.mean()) / f.std()
    teachers = {4: w[:, :4], D_W: w}
    return Problem("toy", target[:, None], 0.5, teachers, {"wide": s, "narrow": s[:, :2]})


@pytest.fixture(scope="module")
def cell(problem):
    rng = np.random.default_rng(7)
    return oracle.run_cell(problem, D_W, "wide", n=40, N=60, trials=400, rng=rng)


def test_measured_risks_misfit_and_gain_have_the_predicted_means(cell):
    for model, ratio in cell.ratios().items():
        assert abs(ratio.value - 1) < 5 * ratio.standard_error, model
        assert ratio.standard_error < 0.05, model
    for name in ("misfit", "gain"):
        mean = cell.result.mean(name)
        predicted = getattr(cell, f"predicted_{name}")
        assert abs(mean.value - predicted) < 5 * mean.standard_error
        assert mean.standard_error < 0.1 * predicted


def test_labels_are_noisy_and_test_targets_are_not(problem):
    kwargs = {"n": 1000, "N": 1000, "trials": 4, "rng": np.random.default_rng(8)}
    clean = oracle.run_cell(replace(problem, noise=0.0), D_W, "wide", **kwargs)
    kwargs["rng"] = np.random.default_rng(8)
    loud = oracle.run_cell(replace(problem, noise=3.0), D_W, "wide", **kwargs)
    added = loud.result.mean("teacher").value - clean.result.mean("teacher").value
    # Variance 9 d/n, not the noise of 9 itself.
    assert 0 < added < 1


def test_a_gap_within_its_error_is_not_resolved(cell):
    assert cell.gap_is_resolved()
    level = replace(cell.result, ceiling=cell.result.teacher[::-1].copy())
    assert not replace(cell, result=level).gap_is_resolved()


def test_in_sample_identity_and_bound(problem):
    rng = np.random.default_rng(9)
    run = oracle.in_sample(problem, D_W, "wide", n=40, N=60, trials=30, rng=rng)
    assert run.gain.shape == (30, 1)
    np.testing.assert_allclose(run.gain, run.misfit + run.cross, atol=1e-12)
    assert np.abs(run.cross).max() > 0.01  # the truth is out of reach, the term matters
    assert np.all(run.gain >= run.misfit - 2 * np.sqrt(run.unreachable * run.misfit))


def test_a_student_that_contains_the_teacher_repeats_it(problem):
    inside = replace(problem, students={"inside": problem.teachers[D_W]})
    kwargs = {"n": 40, "N": 60, "trials": 3, "rng": np.random.default_rng(10)}
    assert oracle.run_cell(inside, 4, "inside", **kwargs).result.misfit.max() < 1e-20


@pytest.fixture(scope="module")
def grid(problem):
    rng = np.random.default_rng(12)
    return {
        ("toy", student, d_w): oracle.run_cell(
            problem, d_w, student, n=60, N=80, trials=30, rng=rng
        )
        for student in problem.students
        for d_w in problem.teachers
    }


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
