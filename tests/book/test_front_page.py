"""The first page takes its numbers from the run."""

import json
import re
from pathlib import Path

import front_page
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("value", "error", "shown"),
    [
        (0.04077639, 0.00040819, ("0.0408", " ± 0.0004")),
        (-0.9526, 0.0575, ("−0.95", " ± 0.06")),
        (12.3, 2.4, ("12", " ± 2")),
        (0.123456, None, ("0.123", "")),
    ],
)
def test_a_number_is_shown_to_the_first_digit_of_its_error(value, error, shown):
    assert front_page.with_error(value, error) == shown


def test_the_claims_that_the_first_page_quotes_are_registered():
    named = re.findall(r"\{measured\}`([\w-]+)`", (ROOT / "book/index.md").read_text("utf-8"))
    assert len(named) >= 2
    text = "\n".join(path.read_text("utf-8") for path in (ROOT / "notebooks").rglob("*.md"))
    # An id may be put together from parts: `f"{figure}-projection"`.
    made = [re.sub(r"\{[^}]*\}", "[a-z0-9-]+", each) for each in re.findall(r'"([\w{}.-]+)"', text)]
    # A bare variable would stand for any id: it must have letters of its own.
    made = [each for each in made if len(each.replace("[a-z0-9-]+", "")) > 5]
    missing = [id for id in named if not any(re.fullmatch(each, id) for each in made)]
    assert not missing


def test_the_verdict_is_quoted_from_the_executed_report(tmp_path):
    html = """<div class="w2s-verdict"><p><strong>Use weak
        supervision.</strong></p><ul><li>One  reason.</li><li>Another.</li></ul></div>"""
    cells = [
        {"cell_type": "markdown", "source": "text"},
        {"cell_type": "code", "outputs": [{"data": {"text/plain": "3"}}, {"name": "stdout"}]},
        {"cell_type": "code", "outputs": [{"data": {"text/html": html}}]},
    ]
    path = tmp_path / "report.ipynb"
    path.write_text(json.dumps({"cells": cells}), "utf-8")
    assert front_page.verdict(path) == ["Use weak supervision.", "One reason."]
    path.write_text(json.dumps({"cells": cells[:2]}), "utf-8")
    assert front_page.verdict(path) == []
