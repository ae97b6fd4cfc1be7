"""The report against problems whose answers are known, and against the rows themselves."""

import numpy as np
import pytest

import w2s_report
from w2s_report import one_pass, schema, spectra, splits
from w2s_report.inputs import Features
from w2s_report.readers import InputError, open_table
from w2s_utils import protocol
from w2s_utils.least_squares import Moments
from w2s_utils.splits import random_splits
from w2s_utils.theory import risks


def gaussian(rng, rows=3000, labelled=300, d_w=6, d_s=10, shared=3, noise=0.7):
    """Features with ``shared`` common directions, a target in both and beyond both."""
    g = rng.standard_normal((rows, d_w + d_s - shared + 1))
    weak, strong = g[:, :d_w], g[:, d_w - shared : d_w - shared + d_s]
    target = 0.5 * g[:, 0] + 0.8 * g[:, d_w - 1] + 0.6 * g[:, d_w + 1] + 0.3 * g[:, -1]
    labels = target + noise * rng.standard_normal(rows)
    labels[labelled:] = np.nan
    # In the notation of the theory: directions 0, d_w - 1 (shared), d_w + 1 (student's), last.
    truth = risks.Setting(
        d_w=d_w + 1,
        d_s=d_s + 1,
        d_sw=shared + 1,
        sigma2=0.0,
        rho_w=noise**2 + 0.36 + 0.09,
        rho_s=noise**2 + 0.25 + 0.09,
        b=0.36,
        kappa=0.25,
    )
    return weak, strong, labels, truth


def report(weak, strong, labels, **options):
    options = {"trials": 6, "share": 0.999999} | options
    return w2s_report.report({"small": weak}, strong, labels, **options)


def test_known_geometry_is_recovered():
    """Two dozen draws: intervals that miss as often as a broken estimate would be refused."""
    inside = {"rho_w": 0, "rho_s": 0, "b": 0, "kappa": 0, "d_sw": 0, "pgr": 0}
    draws = 24
    for seed in range(draws):
        *arrays, truth = gaussian(np.random.default_rng(seed))
        found = report(*arrays, seed=seed, trials=4).teachers[0]
        assert (found.d_w, found.d_s) == (truth.d_w, truth.d_s)
        exact = risks.exact(truth, found.all_rows.n, found.all_rows.N)
        values = {name: getattr(truth, name) for name in ("rho_w", "rho_s", "b", "kappa")}
        ranges = {name: found.estimates[name] for name in values}
        values |= {"d_sw": truth.d_sw, "pgr": float(exact.pgr)}
        ranges |= {"d_sw": found.overlap.d_sw, "pgr": found.all_rows.predicted["pgr"]}
        for name, value in values.items():
            # Shared directions have no sampling error at all: rounding may put them outside.
            slack = 0.02 if name == "d_sw" else 0
            inside[name] += ranges[name].low - slack <= value <= ranges[name].high + slack
    # At 95 %, 24 draws give fewer than 19 with probability 0.002.
    assert min(inside.values()) >= 19, inside


def test_measured_errors_are_those_of_the_protocol_on_rows():
    weak, strong, labels, _ = gaussian(np.random.default_rng(1), rows=300, labelled=300)
    found = report(weak, strong, labels, trials=60)
    assert found.ceiling_measured
    reference = found.teachers[0].reference
    constant = np.ones((300, 1))
    result = protocol.repeat(
        random_splits(
            np.hstack([constant, weak]),
            np.hstack([constant, strong]),
            labels,
            n=reference.n,
            N=reference.N,
        ),
        60,
        np.random.default_rng(2),
    )
    for name in ("teacher", "student", "baseline", "ceiling", "misfit"):
        expected = result.mean(name)
        allowed = 6 * np.sqrt(2) * expected.standard_error
        assert abs(reference.measured[name].value - expected.value) < allowed, name


def test_the_verdict_is_to_use_it_where_it_helps_and_not_where_it_does_not():
    rng = np.random.default_rng(3)
    g = rng.standard_normal((6000, 60))
    target = g[:, :4] @ np.ones(4)
    labels = target + rng.standard_normal(6000)
    labels[150:] = np.nan
    helpful = report(g[:, :6], g[:, :50], labels, trials=20)
    assert helpful.verdict.decision in ("use", "use the teacher itself")
    useless = report(g[:, 20:26], g[:, :10], labels, trials=20)
    assert useless.verdict.decision == "do not use"
    assert useless.verdict.reasons
    assert useless.verdict.would_change


def test_noise_that_nobody_can_tell_is_not_evidence():
    rng = np.random.default_rng(4)
    labels = rng.standard_normal(400)
    labels[60:] = np.nan
    g = rng.standard_normal((400, 8))
    found = report(g[:, :5], g[:, 2:8], labels, trials=20)
    assert found.verdict.decision == "not enough evidence"


def test_same_seed_same_report_whatever_the_workers_or_the_kind_of_input(tmp_path):
    *arrays, _ = gaussian(np.random.default_rng(5), rows=900)
    paths = [tmp_path / f"{name}.npy" for name in ("weak", "strong", "labels")]
    for path, array in zip(paths, arrays, strict=True):
        np.save(path, array)

    def plain(*inputs, **options):
        weak, strong, labels = inputs
        two = {"one": weak, "two": weak}
        found = w2s_report.report(two, strong, labels, trials=4, **options).to_dict()
        found["provenance"].pop("files")
        return found

    first = plain(*arrays)
    assert plain(*paths, jobs=2) == first
    assert plain(*arrays, seed=1)["teachers"] != first["teachers"]
    teachers = first["teachers"]
    assert {**teachers[0], "name": ""} == {**teachers[1], "name": ""}


def test_further_rows_count_as_rows_without_label():
    weak, strong, labels, _ = gaussian(np.random.default_rng(6), rows=900)
    joined = report(weak, strong, labels)
    apart = report(
        weak[:500],
        strong[:500],
        labels[:500],
        unlabelled={"strong": strong[500:], "small": weak[500:]},
    )
    assert apart.data == joined.data
    assert apart.teachers == joined.teachers


def test_classes_and_the_schema():
    rng = np.random.default_rng(7)
    x = rng.standard_normal((600, 8))
    classes = np.array(["a", "b", "c"])[np.argmax(x[:, :3] + rng.standard_normal((600, 3)), axis=1)]
    classes[rng.permutation(600)[200:]] = ""
    found = report(x[:, :4], x, classes)
    assert found.data.task == "multiclass"
    logistic = found.probabilities["small"]
    assert 0.4 < logistic.accuracy["student"].value < 1
    assert logistic.kl_misfit.value > 0
    plain = found.to_dict()
    schema.validate(plain)
    del plain["verdict"]["decision"]
    with pytest.raises(ValueError, match="report: verdict/decision: field required"):
        schema.validate(plain)


def test_squared_errors_of_classes_are_added_up():
    rng = np.random.default_rng(8)
    x = rng.standard_normal((200, 3))
    labels = rng.integers(0, 4, 200)
    found = report(x[:, :2], x, labels, task="classification").teachers[0].reference
    # Labels without relation to the features: the variance of the one-hot columns, and a little.
    spread = 1 - np.sum((np.bincount(labels) / 200) ** 2)
    assert spread < found.measured["ceiling"].value < 1.1 * spread


def test_the_noise_is_identified_by_repeated_inputs():
    weak, strong, labels, _ = gaussian(np.random.default_rng(9), rows=600, labelled=600, noise=0.5)
    twice = [np.concatenate([a, a[:200]]) for a in (weak, strong)]
    again = labels[:200] + np.random.default_rng(10).standard_normal(200)
    found = report(*twice, np.concatenate([labels, again]))
    assert found.data.repeated == 200
    assert found.noise.source == "repeated rows"
    # The difference of two labels has variance 1, so a label is charged with one half.
    assert found.noise.variance.low < 0.5 < found.noise.variance.high
    assert report(weak, strong, labels).noise.source == "not identified"
    known = report(weak, strong, labels, noise=0.5)
    assert known.teachers[0].excess.predicted["student"].value == pytest.approx(
        known.teachers[0].all_rows.predicted["student"].value - 0.25
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums_of_the_pass_are_those_of_all_rows(dtype):
    rng = np.random.default_rng(11)
    # Far from zero: without the shift, single precision would lose the variance.
    strong = (1000 + rng.standard_normal((5000, 7))).astype(dtype)
    weak = (strong[:, :3] + rng.standard_normal((5000, 3))).astype(dtype)
    models = [Features(n, (open_table(a, n),)) for n, a in (("strong", strong), ("w", weak))]
    labelled = np.sort(rng.permutation(5000)[:100])
    sums = one_pass.one_pass(
        models[0], models[1:], labelled, folds=9, sample=50, rng=np.random.default_rng(0), jobs=2
    )
    assert sums.folds * sums.fold_rows + sums.rest_rows == 4900
    assert spectra.labelled_rows(sums) == 100
    spectrum = spectra.spectrum(models[0], sums)
    expected = np.linalg.eigvalsh(np.cov(strong.T.astype(float), bias=True))[::-1]
    tolerance = 1e-4 if dtype == np.float32 else 1e-9
    np.testing.assert_allclose(spectrum.eigenvalues, expected / expected.sum(), rtol=tolerance)
    both = spectra.cut_pair(sums, spectra.spectrum(models[1], sums), spectrum, 4, 5)
    white = both.total.products("strong", "strong") / 5000
    np.testing.assert_allclose(white, np.eye(5), atol=1e-3 if dtype == np.float32 else 1e-9)
    whole = Moments.of(weak=both.weak[:100], strong=both.strong[:100])
    assert both.total.count == 5000
    assert whole.count == 100


def test_designs_use_whole_groups():
    few = splits.Design.of(300, 20, 500)
    assert (few.size, few.train, few.hidden, few.test) == (8, 22, 0, 15)
    assert (few.n, few.N) == (176, 10_000)
    all_labelled = splits.Design.of(1000, 0, 0)
    assert all_labelled.ceiling
    assert all_labelled.n + all_labelled.N + all_labelled.test * all_labelled.size <= 1000
    ns, Ns = few.sizes(20, 30)
    assert ns[-1] == few.n
    assert Ns[-1] == few.N
    assert all(n % few.size == 0 and n >= 20 for n in ns)


BAD = {
    "rows": (lambda w, s, y: (w[:-1], s, y), "both must have one row for each input"),
    "nan": (lambda w, s, y: (w, np.where(s == s[3, 2], np.nan, s), y), "row 3, column 2 are NaN"),
    "inf": (lambda w, s, y: (np.where(w == w[9, 1], np.inf, w), s, y), "row 9, column 1 are NaN"),
    "constant": (lambda w, s, y: (w, np.ones_like(s), y), "no column varies"),
    "huge": (lambda w, s, y: (w, np.concatenate([s[:2500], 1e200 * s[2500:]]), y), "too large"),
    "flat": (lambda w, s, y: (w[:, 0], s, y), "expected a row for each input"),
    "texts": (lambda w, s, y: (w.astype(str), s, y), "features are texts"),
    "objects": (lambda w, s, y: (w.astype(object), s, y), "never unpickled"),
    "none": (lambda w, s, y: (w[:, :0], s, y), "expected a row for each input"),
}


@pytest.mark.parametrize("case", BAD)
def test_arrays_that_cannot_be_used(case):
    change, message = BAD[case]
    *arrays, _ = gaussian(np.random.default_rng(12))
    with pytest.raises(InputError) as caught:
        report(*change(*arrays))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_dimensions_that_the_labels_cannot_support():
    *arrays, _ = gaussian(np.random.default_rng(13), labelled=30)
    with pytest.raises(InputError, match="18 labels in a split"):
        report(*arrays, dimensions={"strong": 11, "small": 17})
    with pytest.raises(InputError, match="no model 'smal'"):
        report(*arrays, dimensions={"smal": 4})
    found = report(*arrays)
    assert found.data.representations[0].dimension == 9
    assert found.data.representations[0].limited_by == "half the labels of a split"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"share": 1.0}, "share: expected"),
        ({"trials": 2}, "trials: expected a number from 4"),
        ({"folds": 2}, "folds: expected"),
        ({"task": "ranking"}, "task: expected"),
        ({"noise": -1.0}, "noise: expected"),
        ({"noise": 50.0}, "noise: expected at most"),
        ({"unlabelled": {"strong": np.ones((2, 10))}}, "give the further rows of every model"),
    ],
)
def test_settings_that_cannot_be(options, message):
    *arrays, _ = gaussian(np.random.default_rng(14), rows=600)
    with pytest.raises(InputError, match=message):
        report(*arrays, **options)


def test_a_dask_cluster_gives_the_same():
    distributed = pytest.importorskip("distributed")
    *arrays, _ = gaussian(np.random.default_rng(15), rows=600)
    with distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster:
        spread = report(*arrays, scheduler=cluster.scheduler_address)
    assert spread.teachers == report(*arrays).teachers
    with pytest.raises(InputError, match="no Dask scheduler"):
        report(*arrays, scheduler="tcp://127.0.0.1:9")
