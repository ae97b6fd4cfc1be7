"""The pages written from what ran, from small notebooks and entries written here."""

import json

import chapters
import evidence
import ledger_pages
import pytest
import yaml
from evidence import Entry

MEASURED = {
    "id": "p1-thm1-gain",
    "paper": "P1",
    "kind": "measurement",
    "test": "equality",
    "statement": "gain = misfit for d_s < d_w, in *every* trial",
    "supports": "Theorem 1",
    "evidence": "",
    "outcome": "holds",
    "passed": True,
    "verdict": "passed",
    "observed": -0.125,
    "expected": -0.126,
    "unit": "of the variance",
    "standard_error": 0.002,
    "tolerance": None,
    "z": 4.75,
    "detectable": 0.01,
    "alternatives": [
        {"name": "half the misfit", "value": -0.063, "distance": 31.0, "refuted": True}
    ],
    "trials": 400,
    "comparisons": 3,
    "detail": "largest deviation 0.1 < 4.75",
    "notebook": "misfit/projection",
    "profile": "smoke",
    "cell": 6,
    "seconds": 0.5,
}
IDENTITY = {
    **MEASURED,
    "id": "p1-thm1-rounding",
    "kind": "identity",
    "alternatives": [],
    "detectable": None,
}
RAN = {
    "notebook": "misfit/projection",
    "profile": "smoke",
    "parameters": {"seed": 1, "name": "a|b"},
    "seconds": 3.24,
    "peak_memory_mb": 181.4,
    "versions": {"numpy": "2.4.6", "python": "3.11.2"},
    "executed": True,
}
ABSENT = {
    "notebook": "tasks/first_look",
    "parameters": {"seed": 1},
    "executed": False,
    "missing_data": ["freesolv"],
    "command": "w2s data fetch freesolv",
}
FAILED = {
    "notebook": "misfit/low_sample",
    "parameters": {"seed": 1},
    "executed": False,
    "failed": "misfit/low_sample failed in cell 3",
}
THEOREM = """\
# Gain and misfit

```{prf:theorem} Gain is at least misfit
:label: thm-gain

Text.
```
"""
ENTRY = {
    "name": "Theorem 1",
    "source": "charikar2024",
    "statement": "The gain is at least the misfit.",
    "chapter": "misfit/projection",
    "verdict": "holds",
    "label": "thm-gain",
    "claims": ["p1-thm1-gain", "p1-thm1-rounding"],
    "exact": [{"claim": "p1-thm1-gain", "errors": ["half the misfit"]}],
}


def record(**changes):
    return {**MEASURED, **changes}


def entry(**changes):
    return Entry(**{**ENTRY, **changes})


def page(name="misfit/projection", about=RAN, markdown=THEOREM, title="Gain and misfit"):
    return chapters.Page(name, title, about, markdown)


def notebook(markdown, about):
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": markdown.splitlines(keepends=True)},
        {"cell_type": "code", "metadata": {}, "source": "# not a heading", "outputs": []},
    ]
    return json.dumps({"cells": cells, "metadata": {"w2s": about}})


@pytest.fixture
def staged(tmp_path):
    source = tmp_path / "book"
    for name, markdown, about in [
        ("misfit/projection", THEOREM, RAN),
        ("tasks/first_look", "# A first look\n", ABSENT),
    ]:
        path = source / "notebooks" / f"{name}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text(notebook(markdown, about), "utf-8")
    (tmp_path / "claims.json").write_text(json.dumps([MEASURED, IDENTITY]), "utf-8")
    (source / "evidence").mkdir()
    (source / "evidence" / "misfit-projection.yml").write_text(yaml.safe_dump([ENTRY]), "utf-8")
    return source


def test_a_page_knows_its_name_title_and_record(staged):
    first, second = chapters.read_pages(staged)
    assert (first.name, first.title, first.executed) == (
        "misfit/projection",
        "Gain and misfit",
        True,
    )
    assert (second.name, second.executed) == ("tasks/first_look", False)


def test_pages_follow_the_table_of_contents(staged):
    toc = staged / "toc.yml"
    toc.write_text("parts:\n- chapters:\n  - file: notebooks/tasks/first_look\n")
    order = chapters.reading_order(toc)
    assert order == ["tasks/first_look"]
    names = [page.name for page in chapters.read_pages(staged, order)]
    assert names == ["tasks/first_look", "misfit/projection"]


def test_without_notebooks_the_error_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="make book"):
        chapters.read_pages(tmp_path)


@pytest.mark.parametrize("fence", ["```", "````", ":::", "::::"])
def test_labelled_statements_are_found_in_any_fence(fence):
    text = f"{fence}{{prf:lemma}} A title\n:class: x\n:label: lem-a\n\nText.\n{fence}\n"
    assert page(markdown=text).statements == {"lem-a": "A title"}


def test_proofs_remarks_and_unlabelled_statements_are_left_out():
    text = (
        "```{prf:proof}\n:label: p\n```\n"
        "```{prf:remark}\n:label: r\n```\n"
        "```{prf:theorem} No label\n\nSee :label: x in the text.\n```\n"
    )
    assert page(markdown=text).statements == {}


# The account of the book and its gaps


def test_an_account_without_a_gap():
    evidence.check([entry()], [page()], [MEASURED, IDENTITY])


@pytest.mark.parametrize(
    ("entries", "records", "fault"),
    [
        ([entry(claims=["p1-thm1-gain"])], [MEASURED, IDENTITY], "p1-thm1-rounding is in no entry"),
        ([entry(label="")], [MEASURED, IDENTITY], "thm-gain has no entry"),
        ([entry(claims=["*"], controls=["p1-x"])], [MEASURED], "no claim p1-x is registered"),
        ([entry(), entry(chapter="misfit/other")], [MEASURED, IDENTITY], "no such chapter"),
        ([entry(claims=["*"])], [record(outcome="does not reproduce")], "does not simply hold"),
        (
            [entry(claims=["*"], verdict="does not reproduce", why="No.")],
            [IDENTITY],
            "rests on no measurement",
        ),
        (
            [entry(claims=["*"], exact=[{"claim": "p1-thm1-gain", "errors": ["twice"]}])],
            [MEASURED],
            "does not refute 'twice'",
        ),
        (
            [entry(claims=["*"])],
            [record(alternatives=[{**MEASURED["alternatives"][0], "refuted": False}])],
            "does not refute 'half the misfit'",
        ),
        (
            [entry(claims=["*"], exact=[{"claim": "p1-gone", "errors": []}])],
            [MEASURED],
            "no claim p1-gone",
        ),
    ],
)
def test_a_gap_or_a_contradiction_is_refused(entries, records, fault):
    with pytest.raises(evidence.EvidenceError, match=fault):
        evidence.check(entries, [page()], records)


def test_a_chapter_that_did_not_run_owes_no_claims():
    evidence.check([entry()], [page(about=ABSENT)], [])


def test_an_entry_without_its_optional_packages_owes_no_claims():
    needing = entry(needs="pretrained encoders", exact=[], label="fig-gain")
    told = entry(claims=[], exact=[])
    evidence.check([needing, told], [page()], [])
    text = ledger_pages.render("evidence", [page()], [], [needing])
    assert "it needs pretrained encoders" in text
    assert "{numref}`fig-gain`" not in text
    with pytest.raises(evidence.EvidenceError, match="no claim p1-thm1-rounding"):
        evidence.check([needing, told], [page()], [MEASURED])
    assert "{numref}`fig-gain`" in ledger_pages.render("evidence", [page()], [MEASURED], [needing])


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ({"verdict": "maybe"}, "verdict: expected one of"),
        ({"verdict": "in part"}, "why: a verdict other than 'holds' needs its reason"),
        ({"proof": "x"}, "expected.*got.*'proof'"),
        ({"name": None}, "expected"),
    ],
)
def test_a_malformed_entry_is_refused_with_its_place(staged, wrong, fault):
    raw = {**ENTRY, **wrong}
    if raw["name"] is None:
        del raw["name"]
    (staged / "evidence" / "misfit-projection.yml").write_text(yaml.safe_dump([raw]))
    with pytest.raises(evidence.EvidenceError, match=f"misfit-projection.yml, entry 1.*{fault}"):
        evidence.read_entries(staged / "evidence")


# The pages


def test_a_claim_links_to_its_cell_and_says_what_it_rules_out():
    text = ledger_pages.render("claims", [page()], [MEASURED, IDENTITY], [entry()])
    for id in ("p1-thm1-gain", "p1-thm1-rounding"):
        assert f'href="notebooks/misfit/projection.html#claim-{id}"' in text
        assert f'id="ledger-{id}"' in text
    assert "half the misfit: \N{MINUS SIGN}0.063, 31.0 standard errors away" in text
    assert "**1 measurement** in 1 notebook, and tested 1 identity beside them" in text


def test_measurements_are_counted_by_paper_and_outcome():
    records = [
        record(id="a"),
        record(id="b", outcome="control holds"),
        record(id="c", paper="ours", outcome="does not reproduce", evidence="It is not so."),
        IDENTITY,
    ]
    text = ledger_pages.render("claims", [page()], records)
    assert "| measurements | holds | control holds | does not reproduce |" in text
    assert "| {cite:t}`charikar2024` | 1 | 1 | 0 |" in text
    assert "| this book | 0 | 0 | 1 |" in text


def test_a_book_without_claims_has_a_claims_page():
    assert "**0 measurements**" in ledger_pages.render("claims", [], [])


def test_what_does_not_reproduce_comes_first_and_as_a_sentence():
    wrong = entry(
        name="The bound", verdict="does not reproduce", why="It fails out of sample.", unseen="All."
    )
    text = ledger_pages.render("evidence", [page()], [MEASURED], [entry(), wrong])
    sentence = "The gain is at least the misfit. It fails out of sample. *Not seen:* All."
    assert 0 < text.index(sentence) < text.index("::::{div}")
    assert "| {cite:t}`charikar2024` | 1 | 0 | 1 | 0 |" in text


def test_a_statement_shows_its_proof_and_its_measurements():
    text = ledger_pages.render("evidence", [page()], [MEASURED, IDENTITY], [entry()])
    assert "{prf:ref}`thm-gain` in [](notebooks/misfit/projection.ipynb)" in text
    assert "<summary>1 measurement, 1 identity</summary>" in text
    assert "✓ holds" in text


def test_a_figure_of_a_chapter_that_did_not_run_is_not_linked():
    drawn = entry(label="fig-x")
    ran = ledger_pages.render("evidence", [page()], [MEASURED], [drawn])
    absent = ledger_pages.render("evidence", [page(about=ABSENT)], [], [drawn])
    assert "{numref}`fig-x`" in ran
    assert "fig-x" not in absent


def test_every_error_that_a_formula_refutes_is_in_the_table():
    text = ledger_pages.render("mutations", [page()], [MEASURED], [entry()])
    link = '<a href="notebooks/misfit/projection.html#claim-p1-thm1-gain">Theorem 1</a>'
    assert f"| {link} | half the misfit | -0.063 | -0.125 | 31.0 |" in text
    assert "No chapter" in ledger_pages.render("mutations", [page(about=ABSENT)], [], [entry()])


def test_status_tells_what_ran_and_what_did_not():
    absent = page("tasks/first_look", ABSENT, "# A first look\n", "A first look")
    broken = page("misfit/low_sample", FAILED, "# Low sample\n", "Low sample")
    text = ledger_pages.render("status", [page(), absent, broken], [MEASURED])
    assert "1 of 3 notebooks executed in the `smoke` profile: 3.2 s" in text
    assert "| [Gain and misfit](notebooks/misfit/projection.ipynb) | 3.2 | 181 | 1 |" in text
    assert "| [Low sample](notebooks/misfit/low_sample.ipynb) | failed | – | – |" in text
    assert "1 notebook failed" in text
    assert "1 notebook not executed, for want of data" in text
    assert "`w2s data fetch freesolv`" in text
    assert "**not executed**" in text
    assert "| numpy | 2.4.6 |" in text


@pytest.mark.parametrize("name", ["evidence", "claims", "status"])
def test_data_without_a_public_address_are_said_to_be_absent(name):
    about = ABSENT | {"missing_data": ["faces"], "copied": ["faces"], "command": "w2s data fetch f"}
    text = ledger_pages.render(name, [page("tasks/curves", about, "# Curves\n", "Curves")], [])
    assert "no public address of faces; what to copy says `w2s data fetch f`" in text


def test_a_parameter_with_a_bar_stays_in_its_column():
    assert r"`'a\|b'`" in ledger_pages.render("status", [page()], [])


def test_versions_that_differ_are_all_shown():
    other = page(about={**RAN, "versions": {"numpy": "1.26.0"}})
    assert "| numpy | 1.26.0, 2.4.6 |" in ledger_pages.render("status", [page(), other], [])


def test_a_book_in_which_nothing_ran_has_a_status_page():
    absent = page("tasks/first_look", ABSENT)
    assert "No notebook was executed." in ledger_pages.render("status", [absent], [])


def test_theorems_are_listed_by_page_with_their_verdict():
    absent = page("tasks/first_look", ABSENT, "", "A first look")
    text = ledger_pages.render("theorems", [page(), absent], [], [entry()])
    assert "## Gain and misfit" in text
    assert "{prf:ref}`thm-gain`: Gain is at least misfit" in text
    assert ": The gain is at least the misfit. {cite:t}`charikar2024`, Theorem 1." in text
    assert "A first look" not in text


def test_the_pages_are_written_into_a_staged_book(staged):
    entry = (
        "@misc{charikar2024, title = {{Gain}: and misfit}, author = {A, B and C, D}, year = {2024}}"
    )
    (staged / "references.bib").write_text(entry, "utf-8")
    ledger_pages.write(staged, staged.parent / "claims.json", staged / "_toc.yml")
    assert "## Gain (A and C 2024)" in (staged / "evidence.md").read_text("utf-8")
    for name in ("evidence", "claims", "theorems", "status"):
        assert (staged / f"{name}.md").read_text("utf-8").startswith(f"# {name.capitalize()}\n\n")
    assert "half the misfit" in (staged / "mutations.txt").read_text("utf-8")
