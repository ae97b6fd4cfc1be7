"""The ledger: every way to register, the record that travels, and its collection."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from w2s_utils import checks, claims

PASSED = checks.identity([1.0, 2.0], [1.0, 2.0], tolerance=1e-9)
REFUTED = checks.identity(1.0, 2.0, tolerance=1e-9)
INCONCLUSIVE = checks.mean_equals(
    1.0, 1.0, standard_error=1.0, trials=20, unit="misfit", resolution=0.1
)
MEASURED = checks.mean_at_most([0.0, 0.5], 1.0, standard_error=0.01, trials=64, unit="of the risk")
VERDICTS = {"passed": PASSED, "refuted": REFUTED, "inconclusive": INCONCLUSIVE}
FIELDS = {
    "id": str,
    "paper": str,
    "kind": str,
    "test": str,
    "unit": str,
    "alternatives": list,
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
OPTIONAL = {
    "standard_error": float,
    "tolerance": float,
    "z": float,
    "detectable": float,
    "trials": int,
}


class Cell:
    """A notebook cell: what was displayed by the time it has ended, as it arrives in a file."""

    def __init__(self):
        self.events, self.ended, self.shown = self, [], []

    def register(self, event, function):
        assert event == "post_run_cell"
        self.ended.append(function)

    def unregister(self, event, function):
        self.ended.remove(function)

    def display(self, bundle, *, raw):
        assert raw
        self.shown.append(json.loads(json.dumps(bundle)))

    @property
    def bundles(self):
        for function in list(self.ended):
            function()
        return self.shown

    @property
    def records(self):
        return [record for bundle in self.bundles for record in bundle[claims.MIME]]


@pytest.fixture
def cell(monkeypatch):
    """Return a cell that runs; what it displays is seen when it ends."""
    cell = Cell()
    monkeypatch.setattr(claims, "_shell", lambda: cell)
    monkeypatch.setattr("IPython.display.display", cell.display)
    yield cell
    claims._ROWS.clear()


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
def test_only_the_wanted_verdict_is_registered(kind, verdict, cell):
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
    (record,) = cell.records
    assert (record["outcome"], record["passed"]) == (outcome, passed)
    assert record["kind"] == check.kind


def test_failure_gives_the_numbers(cell):
    with pytest.raises(AssertionError, match=r"observed 1, expected 2; largest deviation 1"):
        register("claim", REFUTED)


def test_a_survey_takes_every_verdict_and_shows_nothing(cell):
    with claims.surveyed() as records:
        for check in VERDICTS.values():
            register("control", check)
    assert not cell.bundles
    assert [r["verdict"] for r in records] == ["passed", "refuted", "inconclusive"]
    assert [r["outcome"] for r in records] == ["failed", "control holds", "failed"]
    assert {r["wanted"] for r in records} == {"refuted"}
    with pytest.raises(claims.ClaimFailed):
        register("control", PASSED)


@pytest.mark.parametrize("check", VERDICTS.values(), ids=VERDICTS)
def test_records_have_the_schema(check, cell):
    with pytest.raises(claims.ClaimFailed):
        register("claim" if check is not PASSED else "control", check)
    record = cell.records[0]
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
            *(np.float32(1), 1),
            standard_error=np.float32(1),
            trials=np.int64(9),
            unit="m",
            against={"far": np.float32(99)},
        ),
        checks.at_most(np.arange(3), 5, tolerance=np.float32(0.5)),
        checks.follows(np.linspace(0.001, 0.999, 500), lambda x: x, resolution=0.2),
        checks.monotone(np.arange(12), np.arange(12)),
    ],
)
def test_numbers_of_numpy_become_numbers_of_json(check, cell):
    register("claim", check)
    record = cell.records[0]
    assert record["outcome"] == "holds"
    assert record["kind"] == check.kind


@pytest.mark.parametrize(
    ("id", "paper"), [("p1-thm1", "P1"), ("p5-x", "P5"), ("pgr-limit", "ours"), ("p12-x", "ours")]
)
def test_the_paper_is_read_off_the_id(id, paper, cell):
    register("claim", PASSED, id)
    assert cell.records[0]["paper"] == paper


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
        ("claim", MEASURED, "holds"),
        ("control", replace(MEASURED, verdict="refuted"), "control"),
        ("does_not_reproduce", replace(MEASURED, verdict="refuted"), "not-reproduced"),
        ("claim", replace(MEASURED, verdict="refuted"), "failed"),
    ],
)
def test_rows_have_the_class_of_the_outcome_and_an_anchor(kind, check, css, cell):
    try:
        register(kind, check)
    except claims.ClaimFailed:
        assert css == "failed"
    page = Tags()
    page.feed(cell.bundles[0]["text/html"])
    row = ("tr", {"role": "row", "id": "claim-p1-thm1-equality"})
    assert row in page.tags
    assert ("span", {"class": f"w2s-verdict w2s-verdict--{css}"}) in page.tags
    assert "The gain is the misfit" in page.text
    assert "Theorem 1" in page.text
    assert ("Seen in every trial." in page.text) == (kind == "does_not_reproduce")
    assert "The gain is the misfit" in cell.shown[0]["text/plain"]


def test_a_row_tells_error_unit_bound_and_what_it_rules_out(cell):
    register("claim", MEASURED)
    page = Tags()
    page.feed(cell.bundles[0]["text/html"])
    for text in ("0.5 ± 0.01 of the risk", "bound 1, worst of 2", "all above it: 1, 50.0 standard"):
        assert text in page.text
    assert (
        "0.5 ± 0.01 of the risk; expected bound 1, worst of 2; 64 trials"
        in (cell.shown[0]["text/plain"])
    )


def test_identities_are_a_line_and_no_row(cell):
    register("claim", PASSED)
    page = Tags()
    page.feed(cell.bundles[0]["text/html"])
    assert not {"table", "tr"} & {tag for tag, _ in page.tags}
    assert ("p", {"class": "w2s-identity", "id": "claim-p1-thm1-equality"}) in page.tags
    assert "tested identity" in page.text


def test_a_cell_has_one_table_and_the_next_cell_its_own(cell):
    for id in ("p1-a", "p1-b"):
        register("claim", MEASURED, id)
    assert len(cell.bundles) == 1
    assert len(cell.bundles) == 1  # an event later, nothing is shown twice
    register("claim", MEASURED, "p1-c")
    assert [len(bundle[claims.MIME]) for bundle in cell.bundles] == [2, 1]


def test_a_real_shell_closes_the_cell_even_when_a_claim_fails():
    code = (
        "from w2s_utils import checks, claims\n"
        "good = checks.identity(1.0, 1.0, tolerance=1e-9)\n"
        "claims.claim('p1-a', 's', good, supports='t')\n"
        "claims.control('p1-b', 's', good, supports='t')\n"
    )
    with capture_output() as output:
        InteractiveShell.instance().run_cell(code)
    InteractiveShell.clear_instance()
    assert "[holds] p1-a" in output.stdout
    assert "[failed] p1-b" in output.stdout


def test_without_a_kernel_a_claim_prints_its_line(capsys, monkeypatch):
    monkeypatch.setattr(claims, "_shell", lambda: None)
    register("claim", PASSED)
    assert capsys.readouterr().out.startswith("[holds] p1-thm1-equality: The gain is the misfit (")


@pytest.mark.parametrize("check", [REFUTED, replace(MEASURED, verdict="refuted")])
def test_tables_escape_what_authors_write(check, cell):
    hostile = '<script>alert("1")</script> a < b & c'
    claims.does_not_reproduce("p1-x", hostile, check, supports=hostile, evidence=hostile)
    page = Tags()
    page.feed(cell.bundles[0]["text/html"])
    assert "script" not in {tag for tag, _ in page.tags}
    assert hostile in page.text
    # The record itself is data, not markup.
    assert cell.records[0]["statement"] == hostile


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
def test_malformed_claims_are_refused_before_they_are_shown(changes, message, cell):
    good = {"id": "p1-x", "statement": "s", "check": PASSED, "supports": "t"}
    with pytest.raises(ValueError, match=message):
        claims.claim(**{**good, **changes})
    assert cell.bundles == []


@pytest.mark.parametrize("evidence", ["", " \n", None])
def test_what_does_not_reproduce_needs_evidence(evidence, cell):
    with pytest.raises(ValueError, match=r"evidence: claim p1-x .*in words"):
        claims.does_not_reproduce("p1-x", "s", REFUTED, supports="t", evidence=evidence)
    assert cell.bundles == []


@pytest.fixture
def executed(tmp_path, cell):
    """Write an executed notebook of claims; each cell holds the claims of one list."""

    def write(name, *cells):
        sources = []
        for seconds, registered in enumerate(cells):
            cell.shown.clear()
            for id, check in registered:
                register("claim", check, id)
            outputs = [{"output_type": "stream", "name": "stdout", "text": "x"}]
            outputs += [{"output_type": "display_data", "data": bundle} for bundle in cell.bundles]
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
    means = checks.mean_at_most(np.zeros(3), 1, standard_error=0.01, trials=50, unit="m")
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
