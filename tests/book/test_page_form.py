"""What the build writes so that a page need not move: chips, MathML, symbols, reading paths."""

from pathlib import Path
from xml.etree import ElementTree

import offline
import page_form
import pytest
import symbols
import yaml

ROOT = Path(__file__).resolve().parents[2]


def test_parameters_are_chips_with_their_comments():
    found = page_form.chips("seed = 7  # of all\nsizes = [\n    1,\n    2,\n]\nname = '<a>'")
    assert '<span title="of all">seed = 7</span>' in found
    assert "<span>sizes = [ 1, 2, ]</span>" in found
    assert "&lt;a&gt;" in found
    assert page_form.chips("# nothing") == ""


@pytest.mark.parametrize(
    ("tex", "rows"),
    [
        (r"\begin{aligned} a &= 1, & b &= 2, \\ c &= \frac{1}{2} \end{aligned}", 2),
        (r"a = 1 \\ b = 2", 2),
    ],
)
def test_an_aligned_formula_has_rows_and_cells_without_script(tex, rows):
    formula = ElementTree.fromstring(offline.mathml(tex, "block"))
    assert len(list(formula.iter("mtr"))) == rows
    assert not [part for part in formula.iter() if part.text == "&"]


def test_signs_in_scripts_and_of_numbers_take_no_room():
    formula = ElementTree.fromstring(offline.mathml(r"d_{s \wedge w} = -1/n - 2"))
    tight = [sign.text for sign in formula.iter("mo") if sign.get("lspace") == "0em"]
    assert tight == ["∧", "−", "/"]


def test_a_first_cell_may_name_several_symbols():
    assert symbols.symbols_of("d_w, d_s") == ["d_w", "d_s"]
    assert symbols.symbols_of("d(f, g)") == ["d(f,g)"]
    assert symbols.normal(r"d_{s\wedge w}") == symbols.normal(r"d_{s \wedge w}")
    assert symbols.normal("d_{w}") == "d_w"


def test_reading_paths_name_pages_of_the_contents_once_each():
    toc = (ROOT / "_toc.yml").read_text("utf-8")
    for path in yaml.safe_load((ROOT / "book" / "paths.yml").read_text("utf-8")):
        pages = path["pages"]
        assert len(set(pages)) == len(pages) > 1
        assert not [page for page in pages if f"file: {page}\n" not in toc]
