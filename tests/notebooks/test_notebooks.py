"""The real notebooks: their form, and what their run in the smoke profile left in the book.

The run itself happens once, in the build that the ``smoke`` fixture asks for.
"""

import ast
import json
import re
from pathlib import Path

import jupytext
import nbformat
import pytest
import yaml

from w2s_book.build import read_about
from w2s_book.execute import data_sets
from w2s_book.parameters import load_profile, parameters_cell
from w2s_experiments.data import datasets
from w2s_utils import claims

ROOT = Path(__file__).resolve().parents[2]
NAMES = sorted(load_profile(ROOT / "profiles.yml", "smoke"))
# What is shown is the argument; a folded cell draws or registers claims.
CODE_CELLS, CODE_LINES, FOLDED_LINES = 15, 25, 60
FOLDED = {"hide-input", "hide-cell"}
OUTCOMES = {"holds", "control holds", "does not reproduce"}

every_notebook = pytest.mark.parametrize("name", NAMES)


def source(name):
    return jupytext.read(ROOT / "notebooks" / f"{name}.md")


@pytest.fixture
def executed(smoke, name):
    """Return a notebook as the smoke run left it; skip where it failed or its data were missing."""
    nb = nbformat.read(smoke.executed(name), as_version=4)
    if nb.metadata.w2s.get("failed"):
        pytest.skip(f"{name} failed: see test_no_notebook_failed")
    if not nb.metadata.w2s.executed:
        pytest.skip(f"{name} was not executed: needs {', '.join(nb.metadata.w2s.missing_data)}")
    return nb


@every_notebook
def test_form_of_the_source(name):
    nb = source(name)
    first = nb.cells[0]
    assert first.cell_type == "markdown"
    assert re.search(r"^# \S", first.source, re.M), "a notebook begins with its title"
    assert nb.metadata.kernelspec.name == "python3"
    assert nb.metadata.kernelspec.language == "python"
    assert parameters_cell(nb, name)
    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    folded = [bool((FOLDED | {"parameters"}) & set(cell.metadata.get("tags", []))) for cell in code]
    assert len(code) - sum(folded) <= CODE_CELLS
    for cell, is_folded in zip(code, folded, strict=True):
        length = sum(map(bool, cell.source.split("\n")))
        most = FOLDED_LINES if is_folded else CODE_LINES
        assert length <= most, (
            f"{length} lines, at most {most}: longer code of one chapter belongs in "
            f"w2s_experiments/<chapter>.py\n{cell.source}"
        )
        ast.parse(cell.source)


def test_no_notebook_failed(smoke):
    abouts = {name: read_about(smoke.executed(name)) for name in smoke.parameters}
    failed = [about["failed"] for about in abouts.values() if about.get("failed")]
    assert not failed, "\n\n".join(failed)


@every_notebook
def test_run(executed, name):
    about = executed.metadata.w2s
    assert about.notebook == name
    assert about.profile == "smoke"
    assert about.parameters == load_profile(ROOT / "profiles.yml", "smoke")[name]
    assert about.peak_memory_mb < 1500
    for cell in executed.cells:
        if cell.cell_type == "code":
            assert cell.execution_count or not cell.source, "every code cell ran"
            assert not [o for o in cell.outputs if o.output_type == "error"]
            assert not [o for o in cell.outputs if o.get("name") == "stderr"], "no warnings"
    text = nbformat.writes(executed)
    assert str(ROOT) not in text
    assert "ipykernel_" not in text


@every_notebook
def test_claims_and_a_control(executed, smoke, name):
    records = claims.collect([smoke.executed(name)])
    outcomes = {record["outcome"] for record in records}
    assert outcomes <= OUTCOMES
    assert "holds" in outcomes
    # What is said of the report's own pages is about a program, and has no assumption to break.
    if not name.startswith("your_models/"):
        assert "control holds" in outcomes, "a check that cannot fail shows nothing"


@every_notebook
def test_figures_can_be_read(executed):
    images = [
        cell
        for cell in executed.cells
        for output in cell.get("outputs", [])
        if any(mime.startswith("image/") for mime in output.get("data", {}))
    ]
    assert images
    for cell in images:
        figure, image = cell.metadata.mystnb.figure, cell.metadata.mystnb.image
        assert re.fullmatch(r"fig-[a-z0-9-]+", figure.name)
        assert len(figure.caption) > 20
        assert len(image.alt) > 20
    links = [
        output
        for cell in executed.cells
        for output in cell.get("outputs", [])
        if "w2s-figure-data" in output.get("data", {}).get("text/html", "")
    ]
    assert len(links) == len(images), "the data behind each figure can be downloaded"


@every_notebook
def test_page_shows_the_badges_of_its_claims(executed, smoke, name):
    page = (smoke.html / f"notebooks/{name}.html").read_text()
    for record in claims.collect([smoke.executed(name)]):
        assert f'id="claim-{record["id"]}"' in page


def test_collected_claims_are_those_of_the_notebooks(smoke):
    collected = json.loads(smoke.claims.read_text())
    assert collected == claims.collect(smoke.executed(name) for name in smoke.parameters)
    assert {record["profile"] for record in collected} == {"smoke"}
    assert len({record["id"] for record in collected}) == len(collected)


@every_notebook
def test_data_sets_of_a_notebook_are_in_its_front_matter(name):
    path = ROOT / "notebooks" / f"{name}.md"
    named = {*data_sets(path), *data_sets(path, "optional_data")}
    code = "\n".join(cell.source for cell in source(name).cells if cell.cell_type == "code")
    stored = {each["name"] for each in datasets.describe() if each["status"] != "bundled"}
    assert {each for each in stored if re.search(rf'"{each}"', code)} <= named


def test_every_notebook_is_in_the_table_of_contents():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    files = re.findall(r"'file': 'notebooks/([^']+)'", str(toc))
    assert sorted(files) == NAMES
