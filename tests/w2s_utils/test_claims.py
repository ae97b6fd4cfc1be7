"""The ledger: every way to register, the record that travels, and its collection."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import numpy as np
import pytest

from w2s_utils import checks, claims

PASSED = checks.identity([1.0, 2.0], [1.0, 2.0], tolerance=1e-9)
REFUTED = checks.identity(1.0, 2.0, tolerance=1e-9)
INCONCLUSIVE = checks.mean_equals(1.0, 1.0, standard_error=1.0, trials=20, resolution=0.1)
VERDICTS = {"passed": PASSED, "refuted": REFUTED, "inconclusive": INCONCLUSIVE}
FIELDS = {
    "id": str,
    "paper": str,
    "kind": str,
    "statement": str,
    "supports": str,
    "outcome": str,
    "passed": bool,
    "observed": float,
    "expected": float,
    "comparisons": int,
    "detail": str,
    "evidence": str,
}
OPTIONAL = {"standard_error": float, "tolerance": float, "z": float, "trials": int}


@pytest.fixture
def displayed(monkeypatch):
    """Bundles handed to IPython's display, the records among them as they arrive in a file."""
    bundles = []

    def display(bundle, *, raw):
        assert raw
        bundles.append(json.loads(json.dumps(bundle)))

    monkeypatch.setattr("IPython.display.display", display)
    return bundles


def register(kind, check, id="p1-thm1-equality"):
    options = {"supports": "Theorem 1"}
    if kind == "does_not_reproduce":
        options["evidence"] = "Seen in every trial."
    getattr(claims, kind)(id, "The gain is the misfit", check, **options)


WANTED = {
    "claim": ("passed", "holds", True),
    "control": ("refuted", "control holds", True),
    "does_not_reproduce": ("refuted", "does not reproduce", False),
}


@pytest.mark.parametrize("kind", WANTED)
@pytest.mark.parametrize("verdict", VERDICTS)
def test_only_the_wanted_verdict_is_registered(kind, verdict, displayed):
    wanted, outcome, passed = WANTED[kind]
    check = VERDICTS[verdict]
    if verdict == wanted:
        register(kind, check)
    else:
        message = rf"p1-thm1-equality: expected the check to be {wanted}, it was {verdict} "
        with pytest.raises(claims.ClaimFailed, match=message):
            register(kind, check)
        outcome, passed = "failed", False
    # Shown in any case, so that a failed page says what failed.
    (bundle,) = displayed
    record = bundle[claims.MIME]
    assert (record["outcome"], record["passed"]) == (outcome, passed)
    assert record["kind"] == ("control" if kind == "control" else "equality")


def test_failure_gives_the_numbers(displayed):
    with pytest.raises(AssertionError, match=r"observed 1, expected 2; largest deviation 1"):
        register("claim", REFUTED)


def test_a_survey_takes_every_verdict_and_shows_nothing(displayed):
    with claims.surveyed() as records:
        for check in VERDICTS.values():
            register("control", check)
    assert not displayed
    assert [r["verdict"] for r in records] == ["passed", "refuted", "inconclusive"]
    assert [r["outcome"] for r in records] == ["failed", "control holds", "failed"]
    assert {r["wanted"] for r in records} == {"refuted"}
    with pytest.raises(claims.ClaimFailed):
        register("control", PASSED)


@pytest.mark.parametrize("check", VERDICTS.values(), ids=VERDICTS)
def test_records_have_the_schema(check, displayed):
    with pytest.raises(claims.ClaimFailed):
        register("claim" if check is not PASSED else "control", check)
    record = displayed[0][claims.MIME]
    assert FIELDS.keys() | OPTIONAL.keys() <= record.keys()
    for name, kind in FIELDS.items():
        assert isinstance(record[name], kind), name
    for name, kind in OPTIONAL.items():
        assert record[name] is None or isinstance(record[name], kind), name
    assert record["detail"] == check.detail


@pytest.mark.parametrize(
    "check",
    [
        checks.mean_equals(
            np.float32(1), 1, standard_error=np.float32(1), trials=np.int64(9), resolution=1e9
        ),
        checks.at_most(np.arange(3), 5, tolerance=np.float32(0.5)),
        checks.follows(np.linspace(0.001, 0.999, 500), lambda x: x, resolution=0.5),
        checks.monotone(np.arange(12), np.arange(12)),
    ],
)
def test_numbers_of_numpy_become_numbers_of_json(check, displayed):
    register("claim", check)
    record = displayed[0][claims.MIME]
    assert record["outcome"] == "holds"
    assert record["kind"] == check.kind


@pytest.mark.parametrize(
    ("id", "paper"), [("p1-thm1", "P1"), ("p5-x", "P5"), ("pgr-limit", "ours"), ("p12-x", "ours")]
)
def test_the_paper_is_read_off_the_id(id, paper, displayed):
    register("claim", PASSED, id)
    assert displayed[0][claims.MIME]["paper"] == paper


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.text = [], ""

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize(
    ("kind", "check", "css"),
    [
        ("claim", PASSED, "holds"),
        ("control", REFUTED, "control"),
        ("does_not_reproduce", REFUTED, "not-reproduced"),
        ("claim", REFUTED, "failed"),
    ],
)
def test_badges_have_the_class_of_the_outcome_and_an_anchor(kind, check, css, displayed):
    try:
        register(kind, check)
    except claims.ClaimFailed:
        assert css == "failed"
    page = Tags()
    page.feed(displayed[0]["text/html"])
    assert page.tags[0] == (
        "div",
        {"class": f"w2s-claim w2s-claim--{css}", "id": "claim-p1-thm1-equality"},
    )
    assert "The gain is the misfit" in page.text
    assert "Theorem 1" in page.text
    assert ("Seen in every trial." in page.text) == (kind == "does_not_reproduce")
    assert "The gain is the misfit" in displayed[0]["text/plain"]


def test_badges_escape_what_authors_write(displayed):
    hostile = '<script>alert("1")</script> a < b & c'
    claims.does_not_reproduce(
        "p1-x", hostile, REFUTED, supports=hostile, evidence=f"{hostile} indeed"
    )
    bundle = displayed[0]
    page = Tags()
    page.feed(bundle["text/html"])
    assert {tag for tag, _ in page.tags} <= {"div", "span", "details", "summary", "p"}
    assert page.text.count(hostile) == 3
    # The record itself is data, not markup.
    assert bundle[claims.MIME]["statement"] == hostile


def test_badges_tell_bounds_errors_and_trials(displayed):
    check = checks.mean_at_most([0.0, 0.5], 1.0, standard_error=0.01, trials=64)
    register("claim", check)
    for text in (displayed[0]["text/html"], displayed[0]["text/plain"]):
        assert "observed 0.5, bound 1, standard error 0.01, 64 trials, worst of 2" in text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": "P1-thm"}, "id: expected lower-case words joined by hyphens, got 'P1-thm'"),
        ({"id": "p1--thm"}, "id: expected"),
        ({"id": "p1-thm\n"}, "id: expected"),
        ({"id": ""}, "id: expected"),
        ({"id": None}, "id: expected"),
        ({"statement": "  "}, "statement: claim p1-x needs it in words"),
        ({"statement": None}, "statement: claim p1-x needs it in words, got None"),
        ({"supports": ""}, "supports: claim p1-x needs it in words"),
        ({"check": True}, "check: claim p1-x expected a w2s_utils.checks.Check, got True"),
    ],
)
def test_malformed_claims_are_refused_before_they_are_shown(changes, message, displayed):
    good = {"id": "p1-x", "statement": "s", "check": PASSED, "supports": "t"}
    with pytest.raises(ValueError, match=message):
        claims.claim(**{**good, **changes})
    assert displayed == []


@pytest.mark.parametrize("evidence", ["", " \n", None])
def test_what_does_not_reproduce_needs_evidence(evidence, displayed):
    with pytest.raises(ValueError, match=r"evidence: claim p1-x .*in words"):
        claims.does_not_reproduce("p1-x", "s", REFUTED, supports="t", evidence=evidence)
    assert displayed == []


@pytest.fixture
def executed(tmp_path, displayed):
    """Write an executed notebook of claims; each cell holds the claims of one list."""

    def write(name, *cells):
        sources = []
        for seconds, registered in enumerate(cells):
            displayed.clear()
            for id, check in registered:
                register("claim", check, id)
            outputs = [{"output_type": "stream", "name": "stdout", "text": "x"}]
            outputs += [{"output_type": "display_data", "data": bundle} for bundle in displayed]
            duration = {"papermill": {"duration": seconds + 0.5}}
            sources += [
                {"cell_type": "markdown", "metadata": {}, "source": ""},
                {"cell_type": "code", "metadata": duration, "outputs": outputs, "source": ""},
            ]
        path = tmp_path / f"{name}.ipynb"
        about = {"w2s": {"notebook": f"misfit/{name}", "profile": "smoke"}}
        path.write_text(json.dumps({"metadata": about, "cells": sources}))
        return path

    return write


def test_collected_records_know_their_place(executed):
    one = executed("one", [("p1-a", PASSED)], [("p1-b", PASSED), ("p1-c", PASSED)])
    two = executed("two", [("p2-a", PASSED)])
    found = claims.collect([one, str(two)])
    assert [record["id"] for record in found] == ["p1-a", "p1-b", "p1-c", "p2-a"]
    assert [record["cell"] for record in found] == [1, 3, 3, 1]
    assert [record["seconds"] for record in found] == [0.5, 1.5, 1.5, 0.5]
    assert [record["notebook"] for record in found] == ["misfit/one"] * 3 + ["misfit/two"]
    assert {record["profile"] for record in found} == {"smoke"}


def test_notebooks_without_claims_or_metadata_are_read(tmp_path):
    path = tmp_path / "bare.ipynb"
    path.write_text(json.dumps({"metadata": {}, "cells": [{"metadata": {}, "source": ""}]}))
    assert claims.collect([path]) == []
    assert claims.collect([]) == []


@pytest.mark.parametrize("same_notebook", [True, False])
def test_ids_are_unique_in_the_book(same_notebook, executed):
    if same_notebook:
        paths = [executed("one", [("p1-a", PASSED)], [("p1-a", PASSED)])]
        second = "misfit/one"
    else:
        paths = [executed("one", [("p1-a", PASSED)]), executed("two", [("p1-a", PASSED)])]
        second = "misfit/two"
    with pytest.raises(ValueError, match=rf"'p1-a' .* in misfit/one and again in {second}.*suffix"):
        claims.collect(paths)


def test_the_budget_counts_monte_carlo_comparisons_only(executed, monkeypatch):
    monkeypatch.setattr(claims, "COMPARISONS", 5)
    means = checks.mean_at_most(np.zeros(3), 1, standard_error=0.01, trials=50)
    path = executed("one", [("a", means), ("b", PASSED), ("c", PASSED)])
    assert len(claims.collect([path])) == 3
    path = executed("one", [("a", means), ("b", means)])
    with pytest.raises(
        ValueError, match=r"makes 6 Monte Carlo comparisons.* 5: raise .*COMPARISON"
    ):
        claims.collect([path])


def test_records_survive_writing_and_reading(executed, tmp_path):
    records = claims.collect([executed("one", [("p1-a", PASSED)])])
    records[0]["statement"] = "ρ ≤ 1"
    path = tmp_path / "claims.json"
    claims.write(records, path)
    assert claims.read(path) == records
    assert "ρ ≤ 1" in path.read_text("utf-8")
    claims.write([], str(path))
    assert claims.read(str(path)) == []
    assert [p.name for p in tmp_path.glob("claims*")] == ["claims.json"]


def test_an_interrupted_write_leaves_the_old_records(tmp_path):
    path = tmp_path / "claims.json"
    claims.write([{"id": "a"}], path)
    with pytest.raises(TypeError):
        claims.write([{"id": object()}], path)
    assert claims.read(path) == [{"id": "a"}]
