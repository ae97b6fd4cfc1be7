"""The report against problems whose answers are known, and against the rows themselves."""

import json
import subprocess
import sys
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import w2s_report
from w2s_report import analysis, card, comparison, one_pass, spectra
from w2s_report.options import Options
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
    inside = {"rho_w": 0, "rho_s": 0, "b": 0, "kappa": 0, "d_sw": 0, "student": 0}
    draws = 24
    for seed in range(draws):
        *arrays, truth = gaussian(np.random.default_rng(seed))
        found = report(*arrays, seed=seed, trials=4).teachers[0]
        assert (found.d_w, found.d_s) == (truth.d_w, truth.d_s)
        exact = risks.exact(truth, found.all_rows.n, found.all_rows.N)
        values = {name: getattr(truth, name) for name in ("rho_w", "rho_s", "b", "kappa")}
        ranges = {name: found.estimates[name] for name in values}
        values |= {"d_sw": truth.d_sw, "student": float(exact.student)}
        ranges |= {"d_sw": found.overlap.d_sw, "student": found.all_rows.predicted["student"]}
        for name, value in values.items():
            # Shared directions have no sampling error at all: rounding may put them outside.
            slack = 0.02 if name == "d_sw" else 0
            inside[name] += ranges[name].low - slack <= value <= ranges[name].high + slack
    # At 95 %, 24 draws give fewer than 19 with probability 0.002.
    assert min(inside.values()) >= 19, inside


def test_measured_errors_are_those_of_the_protocol_on_rows():
    weak, strong, labels, _ = gaussian(np.random.default_rng(1), rows=300, labelled=300)
    found = report(weak, strong, labels, trials=60)
    assert found.design["ceiling"]
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


def helpful(rng, labelled=150):
    """A weak model that sees little, all of it relevant, and noise that the student averages out.

    The strong model sees it without noise, among fifty other directions.
    """
    g = rng.standard_normal((3000, 60))
    labels = g[:, :4] @ np.ones(4) + rng.standard_normal(3000)
    labels[labelled:] = np.nan
    return g[:, :4] + 0.5 * rng.standard_normal((3000, 4)), g[:, :54], labels


def test_the_verdict_is_to_use_it_where_it_helps_and_not_where_it_does_not():
    weak, strong, labels = helpful(np.random.default_rng(3))
    found = report(weak, strong, labels, trials=20)
    assert found.verdict.decision == "use"
    assert all(value.low > 0 for value in found.verdict.over.values())
    assert found.teachers[0].enough is not None
    useless = report(strong[:, 30:36], strong[:, :10], labels, trials=20)
    assert useless.verdict.decision == "do not use"
    assert useless.verdict.reasons
    itself = report(strong[:, :4], strong, labels, trials=20)
    assert itself.verdict.decision == "use the teacher itself"


def noise(kind, rng):
    """Features of several kinds, and labels that have nothing to do with them."""
    g = rng.standard_normal((400, 30))
    weak, strong, labels = g[:, :10], g[:, 5:], rng.standard_normal(400)
    if kind == "sparse":
        strong = (rng.random((400, 40)) < 0.05).astype(float)
        weak = strong[:, :15]
    elif kind == "relu":
        maps = rng.standard_normal((10, 60))
        strong, weak = np.maximum(g[:, :10] @ maps, 0), np.maximum(g[:, :10] @ maps[:, :12], 0)
        labels = rng.standard_t(3, 400)
    elif kind == "classes":
        labels = rng.integers(0, 2, 400).astype(float)
    if kind != "all labelled":
        labels[150:] = np.nan
    return weak, strong, labels


@pytest.mark.parametrize("kind", ["gaussian", "sparse", "relu", "all labelled", "classes"])
def test_labels_that_are_noise_are_no_reason_to_use_anything(kind):
    """A verdict that compares with the baseline alone says "use" in 9 of 20 such draws.

    Four draws of five kinds see a rate of 0.15 with probability 0.96.
    """
    for seed in range(4):
        found = report(*noise(kind, np.random.default_rng([4, seed])), seed=seed, trials=30)
        assert found.verdict.decision not in ("use", "use the teacher itself"), seed
        first = found.comparisons[0]
        assert first.errors[first.decides]["shuffled"].high > 0
        assert not first.pgr


def test_a_penalised_baseline_can_veto():
    """Least squares on fifty directions loses to the student; ridge on a few strong ones wins."""
    rng = np.random.default_rng(5)
    scale = 1 / np.arange(1, 51)
    strong = rng.standard_normal((2000, 50)) * scale
    labels = 5 * strong[:, 0] + strong[:, 1] + rng.standard_normal(2000)
    labels[120:] = np.nan
    weak = strong[:, :3] + 0.02 * rng.standard_normal((2000, 3))
    found = report(weak, strong, labels, trials=20, share=0.99999)
    assert found.teachers[0].reference.measured["advantage"].low > 0
    assert found.verdict.over["baseline"].low < 0
    assert found.verdict.decision != "use"


def test_jobs_are_as_many_as_asked_for():
    together = Barrier(2)
    with analysis._workers(Options.of({"jobs": 2})):
        assert sorted(comparison.run([(together.wait, 60)] * 2)) == [0, 1]


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

    # To the bit: a fixed order of sums, and one BLAS thread wherever they are formed.
    first = plain(*arrays)
    assert plain(*paths, jobs=2) == first
    assert plain(*(np.asfortranarray(array) for array in arrays)) == first
    with threadpool_limits(2, "blas"):
        assert plain(*arrays) == first
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
    jsonschema = pytest.importorskip("jsonschema")
    rng = np.random.default_rng(7)
    x = rng.standard_normal((600, 8))
    classes = np.array(["a", "b", "c"])[np.argmax(x[:, :3] + rng.standard_normal((600, 3)), axis=1)]
    classes[rng.permutation(600)[200:]] = ""
    found = report(x[:, :4], x, classes)
    assert found.data.task == "multiclass"
    compared = found.comparisons[0]
    assert 0 < compared.errors["error rate"]["student"].value < 0.6
    assert compared.errors["log-loss"]["student"].value < np.log(3)
    assert compared.misfit.value > 0
    assert compared.splits == 6
    plain = found.to_dict()
    jsonschema.validate(plain, card.schema())
    del plain["verdict"]["decision"]
    with pytest.raises(jsonschema.ValidationError, match="decision"):
        jsonschema.validate(plain, card.schema())


def test_squared_errors_of_classes_are_added_up():
    rng = np.random.default_rng(8)
    x = rng.standard_normal((200, 3))
    labels = rng.integers(0, 4, 200)
    found = report(x[:, :2], x, labels, task="classification").teachers[0].reference
    # Labels without relation to the features: the variance of the one-hot columns, and a little.
    spread = 1 - np.sum((np.bincount(labels) / 200) ** 2)
    assert spread < found.measured["ceiling"].value < 1.1 * spread


def test_repeated_inputs_are_counted():
    weak, strong, labels, _ = gaussian(np.random.default_rng(9), rows=600, labelled=600, noise=0.5)
    twice = [np.concatenate([a, a[:200]]) for a in (weak, strong, labels)]
    assert report(*twice).data.repeated == 200


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums_of_the_pass_are_those_of_all_rows(dtype):
    rng = np.random.default_rng(11)
    # Far from zero: without the shift, single precision would lose the variance.
    strong = (1000 + rng.standard_normal((5000, 7))).astype(dtype)
    weak = (strong[:, :3] + rng.standard_normal((5000, 3))).astype(dtype)
    models = {n: open_table(a, n) for n, a in (("strong", strong), ("w", weak))}
    labelled = np.sort(rng.permutation(5000)[:100])
    sums = one_pass.one_pass(
        models,
        labelled,
        folds=9,
        sample=50,
        rng=np.random.default_rng(0),
        pairs=[("w", "strong")],
        jobs=2,
    )
    assert sums.folds * sums.fold_rows + sums.rest_rows == 4900
    assert sums.labelled == 100
    spectrum = spectra.spectrum("strong", models["strong"], sums)
    expected = np.linalg.eigvalsh(np.cov(strong.T.astype(float), bias=True))[::-1]
    tolerance = 1e-4 if dtype == np.float32 else 1e-9
    np.testing.assert_allclose(spectrum.eigenvalues, expected / expected.sum(), rtol=tolerance)
    weak_spectrum = spectra.spectrum("w", models["w"], sums)
    strong, weak = spectrum.limited(0.99, 5, 9), weak_spectrum.limited(0.9, 4, 9)
    both = spectra.pair(spectra.white(sums, [strong, weak], 4), weak, strong)
    white = both.total.products("strong", "strong") / 5000
    np.testing.assert_allclose(white, np.eye(5), atol=1e-3 if dtype == np.float32 else 1e-9)
    whole = Moments.of(weak=both.weak[:100], strong=both.strong[:100])
    assert both.total.count == 5000
    assert whole.count == 100


def test_designs_hide_labels_where_nearly_all_rows_have_one():
    few = comparison.Design.of(300, 10_000)
    assert (few.n, few.N, few.test, few.ceiling) == (180, comparison.MOST_ROWS, 120, False)
    assert comparison.Design.of(1000, 0) == comparison.Design(250, 500, 250, True)


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
    "answers": (lambda w, s, y: (w[:, :1], s, y), "given as --teacher-predictions"),
}


@pytest.mark.parametrize("case", BAD)
def test_arrays_that_cannot_be_used(case):
    change, message = BAD[case]
    *arrays, _ = gaussian(np.random.default_rng(12))
    with pytest.raises(InputError) as caught:
        report(*change(*arrays))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_directions_are_limited_by_the_labels():
    *arrays, _ = gaussian(np.random.default_rng(13), labelled=30)
    found = report(*arrays)
    assert found.data.representations[0].dimension == 9
    assert found.data.representations[0].limited_by == "half the labels of a split"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"share": 1.0}, "share: expected less than 1, got 1.0"),
        ({"trials": 2}, "trials: expected greater than or equal to 4, got 2"),
        ({"folds": 2}, "folds: expected"),
        ({"task": "ranking"}, "task: expected 'auto', 'regression' or 'classification'"),
        ({"seed": -1}, "seed: expected greater than or equal to 0"),
        ({"trials": 4.5}, "trials: expected a valid integer, got 4.5"),
        ({"trials": None}, "trials: expected a valid integer"),
        ({"jobs": True}, "jobs: expected a valid integer"),
        ({"share": "x"}, "share: expected a valid number, got 'x'"),
        ({"share": np.nan}, "share: expected"),
        ({"scheduler": 8786}, "scheduler: expected a valid string"),
        ({"dimension": 3}, "dimension: Unexpected keyword argument"),
        ({"student_predictions": {"x": np.ones(600)}}, "no teacher x"),
        ({"teacher_predictions": np.ones(600)}, "expected answers by the teacher's name"),
        ({"teacher_predictions": {"small": np.ones(600)}}, "both as features and as predictions"),
        ({"unlabelled": {"strong": np.ones((2, 10))}}, "give the further rows of every model"),
    ],
)
def test_settings_that_cannot_be(options, message):
    *arrays, _ = gaussian(np.random.default_rng(14), rows=600)
    with pytest.raises(InputError, match=message):
        report(*arrays, **options)


def test_teachers_have_names():
    *arrays, _ = gaussian(np.random.default_rng(14), rows=600)
    with pytest.raises(InputError, match="weak: expected features by the model's name"):
        w2s_report.report([arrays[0]], arrays[1], arrays[2])


def test_a_column_that_counts_the_rows_is_no_feature():
    weak, strong, labels, _ = gaussian(np.random.default_rng(16), rows=600)
    with pytest.raises(InputError, match="column 2 counts the rows"):
        report(weak, np.insert(strong, 2, np.arange(600) + 1, axis=1), labels)
    masked = np.ma.masked_greater(strong, 2.5)
    with pytest.raises(InputError, match="are NaN or infinite"):
        report(weak, masked, labels)


def test_labels_far_from_zero_change_nothing():
    """An offset of 2^20 keeps the digits of labels that are multiples of 2^-20."""
    weak, strong, labels, _ = gaussian(np.random.default_rng(17), rows=600)
    labels = np.round(labels * 2**20) / 2**20
    near, far = report(weak, strong, labels), report(weak, strong, labels + 2**20)
    assert far.verdict.decision == near.verdict.decision
    first, second = near.teachers[0], far.teachers[0]
    for name, expected in first.reference.measured.items():
        found = second.reference.measured[name]
        # Centred once the labels' mean of size 2^20 is known to sixteen digits.
        assert found.value == pytest.approx(expected.value, rel=1e-6, abs=1e-6), name


def test_a_dask_cluster_gives_the_same():
    distributed = pytest.importorskip("distributed")
    *arrays, _ = gaussian(np.random.default_rng(15), rows=600)
    with distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster:
        spread = report(*arrays, scheduler=cluster.scheduler_address)
    assert spread.teachers == report(*arrays).teachers
    with pytest.raises(InputError, match="no Dask scheduler"):
        report(*arrays, scheduler="tcp://127.0.0.1:9")


@pytest.mark.slow
@pytest.mark.parametrize("task", ["numbers", "classes"])
def test_the_benchmark_of_intervals_runs(task, tmp_path):
    script = Path(__file__).parents[2] / "benchmarks" / "report_card.py"
    asked = ["coverage", "--draws", "2", "--kinds", "gaussian", "--tasks", task, "--jobs", "1"]
    out = tmp_path / "found.json"
    subprocess.run([sys.executable, script, *asked, "--out", out], check=True, cwd=tmp_path)
    cells = json.loads(out.read_text())
    assert len(cells) == 3
    for rows in cells.values():
        assert all(0 <= row["coverage"] <= 1 and row["given"] <= 2 for row in rows.values())
    assert "budget 600, student" in cells[f"gaussian, {task}, predicted"]
