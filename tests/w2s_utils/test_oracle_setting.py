"""Plug-in geometry of a pool against Gaussian features whose geometry is known."""

import numpy as np
import pytest

from w2s_utils import geometry
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
            [getattr(geometry.oracle_setting(*pool(gaussian, rng), noise=0.5), f) for f in fields]
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
    with pytest.raises(ValueError, match=r"strong: expected full column rank 7.*leading"):
        geometry.oracle_setting(w, np.column_stack([s, s[:, 0]]), f)


def test_several_targets_are_averaged(gaussian):
    w, s, f = pool(gaussian, np.random.default_rng(3))
    one, two = (geometry.oracle_setting(w, s, y) for y in (f, 3 * f))
    both = geometry.oracle_setting(w, s, np.column_stack([f, 3 * f]))
    for field in ("rho_w", "rho_s", "b", "kappa", "residual"):
        mean = (getattr(one, field) + getattr(two, field)) / 2
        assert getattr(both, field) == pytest.approx(mean)
    assert [one.d_sw, two.d_sw] == pytest.approx([both.d_sw] * 2)


def test_contained_spans_give_the_smaller_dimension():
    phi = np.random.default_rng(4).standard_normal((60, 8))
    for weak, strong in ((phi, phi[:, :3]), (phi[:, :3], phi)):
        setting = geometry.oracle_setting(weak, strong, phi[:, 0])
        assert setting.d_sw == pytest.approx(3)
        assert setting.rho_w == pytest.approx(0, abs=1e-12)


def test_the_basis_of_the_features_does_not_matter_however_bad_it_is(gaussian):
    """A condition of 1e6, of which sums of products would keep four digits."""
    w, s, f = pool(gaussian, np.random.default_rng(9))
    near = w[:, :1] + 1e-6 * w  # columns that are all but the same
    near[:, 0] = w[:, 0]
    one, other = geometry.oracle_setting(w, s, f), geometry.oracle_setting(near, s, f)
    for field in ("d_sw", "rho_w", "rho_s", "b", "kappa"):
        assert getattr(other, field) == pytest.approx(getattr(one, field), rel=1e-7)


def test_too_few_rows_are_refused(gaussian):
    w, s, f = pool(gaussian, np.random.default_rng(5), rows=D_W + D_S)
    with pytest.raises(ValueError, match=r"rows.*expected at least 36"):
        geometry.oracle_setting(w, s, f)


@pytest.mark.parametrize("estimate", [geometry.oracle_setting, geometry.setting_from_labels])
def test_labels_far_from_zero_change_nothing_where_both_models_have_a_constant(estimate, gaussian):
    """An exact shift: labels are multiples of 1/64, which sums and offset keep."""
    w, s, f = pool(gaussian, np.random.default_rng(7))
    ones = np.ones((len(f), 1))
    w, s = np.hstack([w, ones]), np.hstack([s, 3 * ones])
    f = np.round(64 * f) / 64
    near, far = (estimate(w, s, f + offset) for offset in (0, 1e9))
    if estimate is geometry.setting_from_labels:
        np.testing.assert_allclose(far.values, near.values, rtol=1e-9)
        near, far = near.setting, far.setting
    for field in ("d_sw", "rho_w", "rho_s", "b", "kappa"):
        assert getattr(far, field) == pytest.approx(getattr(near, field), rel=1e-9)


def test_an_offset_that_only_one_model_can_express_is_part_of_the_geometry(gaussian):
    w, s, f = pool(gaussian, np.random.default_rng(8))
    setting = geometry.oracle_setting(np.hstack([w, np.ones((len(f), 1))]), s, f + 10)
    assert setting.kappa > 50
    assert setting.rho_s > 50
