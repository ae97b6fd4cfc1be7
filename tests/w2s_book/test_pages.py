"""The generated pages, from small notebooks written here."""

import json
import subprocess
import sys

import pytest

from w2s_book import pages

RECORD = {
    "id": "p1-thm1-equality",
    "paper": "P1",
    "kind": "equality",
    "statement": "gain = misfit for d_s < d_w, in *every* trial",
    "supports": "Theorem 1",
    "evidence": "",
    "outcome": "holds",
    "passed": True,
    "observed": -0.125,
    "expected": -0.125,
    "standard_error": 0.002,
    "tolerance": 0.05,
    "z": 4.75,
    "trials": 400,
    "comparisons": 3,
    "detail": "largest deviation 0.1 < 4.75",
    "notebook": "misfit/projection",
    "profile": "smoke",
    "cell": 6,
    "seconds": 0.5,
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


def record(**changes):
    return {**RECORD, **changes}


def page(name="misfit/projection", about=RAN, markdown=THEOREM, title="Gain and misfit"):
    return pages.Page(name, title, about, markdown)


def notebook(markdown, about):
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": markdown.splitlines(keepends=True)},
        {"cell_type": "code", "metadata": {}, "source": "# not a heading", "outputs": []},
    ]
    return json.dumps({"cells": cells, "metadata": {"w2s": about}})


@pytest.fixture
def staged(tmp_path):
    folder = tmp_path / "notebooks"
    for name, markdown, about in [
        ("misfit/projection", THEOREM, RAN),
        ("tasks/first_look", "# A first look\n", ABSENT),
    ]:
        path = folder / f"{name}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text(notebook(markdown, about), "utf-8")
    (tmp_path / "claims.json").write_text(json.dumps([RECORD]), "utf-8")
    return tmp_path


def test_a_page_knows_its_name_title_and_record(staged):
    first, second = pages.read_pages(staged)
    assert (first.name, first.title, first.executed) == (
        "misfit/projection",
        "Gain and misfit",
        True,
    )
    assert (second.name, second.executed) == ("tasks/first_look", False)


def test_pages_follow_the_table_of_contents(staged):
    toc = staged / "toc.yml"
    toc.write_text("parts:\n- chapters:\n  - file: notebooks/tasks/first_look\n")
    order = pages.reading_order(toc)
    assert order == ["tasks/first_look"]
    names = [page.name for page in pages.read_pages(staged, order)]
    assert names == ["tasks/first_look", "misfit/projection"]


def test_without_notebooks_the_error_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="make book"):
        pages.read_pages(tmp_path)


def test_a_claim_links_to_its_cell_and_shows_its_numbers():
    text = pages.render("claims", [page()], [RECORD])
    assert 'href="notebooks/misfit/projection.html#claim-p1-thm1-equality"' in text
    assert 'id="ledger-p1-thm1-equality"' in text
    for fact in ("−0.125", "0.002", "4.75 SE", "400", "cell 7", "cell took"):
        assert fact in text


def test_a_statement_is_shown_as_plain_text():
    text = pages.render("claims", [page()], [RECORD])
    assert r"d\_s \< d\_w, in \*every\* trial" in text
    assert "0.1 &lt; 4.75" in text


def test_counts_are_by_paper_and_outcome():
    records = [
        record(id="a"),
        record(id="b", outcome="control holds"),
        record(id="c", paper="ours", outcome="does not reproduce", evidence="It is not so."),
    ]
    text = pages.render("claims", [page()], records)
    assert "| [P1](#p1-claims) | 1 | 1 | 0 | 2 |" in text
    assert "| [this book](#ours-claims) | 0 | 0 | 1 | 1 |" in text
    assert "| all | 1 | 1 | 1 | 3 |" in text
    assert r"It is not so\." in text
    assert "≠ does not reproduce" in text


def test_a_book_without_claims_has_a_claims_page():
    assert "**0 claims**" in pages.render("claims", [], [])


def test_numbers_that_do_not_apply_are_left_out():
    missing = {"standard_error": None, "tolerance": None, "z": None, "trials": None}
    shown = pages.facts(record(**missing, comparisons=1, seconds=None, kind="inequality"))
    assert list(shown) == [("observed", "−0.125"), ("bound", "−0.125")]


def test_status_tells_what_ran_and_what_did_not():
    absent = page("tasks/first_look", ABSENT, "# A first look\n", "A first look")
    broken = page("misfit/low_sample", FAILED, "# Low sample\n", "Low sample")
    text = pages.render("status", [page(), absent, broken], [RECORD])
    assert "1 of 3 notebooks executed in the `smoke` profile: 3.2 s" in text
    assert "| [Gain and misfit](notebooks/misfit/projection.ipynb) | 3.2 | 181 | 1 |" in text
    assert "| [Low sample](notebooks/misfit/low_sample.ipynb) | failed | – | – |" in text
    assert "1 notebook failed" in text
    assert "1 notebook not executed, for want of data" in text
    assert "`w2s data fetch freesolv`" in text
    assert "**not executed**" in text
    assert "| numpy | 2.4.6 |" in text


def test_a_parameter_with_a_bar_stays_in_its_column():
    assert r"`'a\|b'`" in pages.render("status", [page()], [])


def test_versions_that_differ_are_all_shown():
    other = page(about={**RAN, "versions": {"numpy": "1.26.0"}})
    assert "| numpy | 1.26.0, 2.4.6 |" in pages.render("status", [page(), other], [])


def test_a_book_in_which_nothing_ran_has_a_status_page():
    absent = page("tasks/first_look", ABSENT)
    assert "No notebook was executed." in pages.render("status", [absent], [])


@pytest.mark.parametrize("fence", ["```", "````", ":::", "::::"])
def test_labelled_statements_are_found_in_any_fence(fence):
    text = f"{fence}{{prf:lemma}} A title\n:class: x\n:label: lem-a\n\nText.\n{fence}\n"
    assert page(markdown=text).statements == [("A title", "lem-a")]


def test_proofs_remarks_and_unlabelled_statements_are_left_out():
    text = (
        "```{prf:proof}\n:label: p\n```\n"
        "```{prf:remark}\n:label: r\n```\n"
        "```{prf:theorem} No label\n\nSee :label: x in the text.\n```\n"
    )
    assert page(markdown=text).statements == []


def test_theorems_are_listed_by_page():
    absent = page("tasks/first_look", ABSENT, "", "A first look")
    text = pages.render("theorems", [page(), absent], [])
    assert "## [Gain and misfit](notebooks/misfit/projection.ipynb)" in text
    assert "- {prf:ref}`thm-gain`: Gain is at least misfit" in text
    assert "A first look" not in text


def test_the_page_of_a_failed_notebook_says_how_and_shows_no_results(tmp_path):
    source, out = tmp_path / "a.md", tmp_path / "p" / "a.ipynb"
    source.write_text("# Title\n\nSee {numref}`fig-a`.\n\n```{code-cell}\n1 + 1\n```\n")
    reason = "\n".join(["p/a failed in cell 2", *(f"line {i}" for i in range(100))])
    pages.write_failed(source, out, {"notebook": "p/a", "failed": reason})
    written = pages.read_page(out, tmp_path)
    assert (written.title, written.executed, written.failed) == ("Title", False, reason)
    assert written.markdown.index("# Title") < written.markdown.index("p/a failed in cell 2")
    assert "line 5" in written.markdown
    assert "line 50" not in written.markdown
    assert "figure not drawn" in written.markdown
    assert "fig-a" not in written.markdown


def test_pages_are_written_from_the_command_line(staged):
    command = [sys.executable, "-m", "w2s_book.pages", str(staged), str(staged / "claims.json")]
    subprocess.run(command, check=True)
    for name, title in (("claims", "Claims"), ("status", "Status"), ("theorems", "Theorems")):
        assert (staged / f"{name}.md").read_text("utf-8").startswith(f"# {title}\n\n")
    done = subprocess.run(command[:-2], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "usage" in done.stderr
