"""What the build writes: a chapter's opening, chips, MathML, symbols, reading paths."""

from pathlib import Path
from xml.etree import ElementTree

import offline
import opening
import page_form
import pytest
import symbols
import yaml
from docutils import nodes
from docutils.utils import new_document

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


def cell(*tags, output=None):
    """Return a cell of code as MyST-NB makes it."""
    found = nodes.container(classes=["cell", *(f"tag_{tag}" for tag in tags)])
    found += nodes.container("", nodes.literal_block("", "code"), classes=["cell_input"])
    found["hide_mode"] = "input" if "hide-input" in tags else None
    if output is not None:
        found += nodes.container("", output, classes=["cell_output"])
    return found


def picture(name):
    return nodes.figure("", nodes.image(uri="x"), names=[name], ids=[name])


def data():
    raw = nodes.raw("", '<p class="w2s-figure-data">CSV</p>', format="html")
    return nodes.container("", nodes.container("", raw, classes=["cell_output"]), classes=["cell"])


def opened(*sections):
    """Return a chapter with these sections as the page has it."""
    document = new_document("chapter")
    chapter = nodes.section("", nodes.title("", "Title"), nodes.paragraph("", "Question?"))
    chapter += cell("parameters")
    chapter += [cell("hide-input"), cell("hide-input")]
    chapter += cell("hide-input", "minute", output=nodes.paragraph("", "Answer."))
    chapter += [nodes.section("", nodes.title("", "The picture"), *parts) for parts in sections]
    document += chapter
    opening.Opening(document).apply()
    return chapter


def test_a_chapter_opens_with_question_picture_and_answer():
    drawn = [cell("hide-input"), cell("hide-input", output=picture("fig-a")), data()]
    chapter = opened([nodes.paragraph("", "Look."), *drawn, nodes.paragraph("", "Left and right.")])
    first, *rest = chapter[2].children
    assert chapter[1].astext() == "Question?"
    assert [first["names"], len(rest)] == [["fig-a"], 2]
    assert rest[-1].astext() == "Answer."
    # Parameters, one fold for what was three cells, and what is left of the section.
    assert ["tag_parameters" in chapter[3]["classes"], len(chapter[4][0])] == [True, 3]
    section = chapter[5]
    texts = [part.astext() for part in section.findall(nodes.paragraph)]
    assert texts == ["Look.", "Drawn in fig-a, above.", "Left and right."]
    assert not list(section.findall(nodes.figure))
    assert len(list(section.findall(nodes.literal_block))) == 2


def test_a_heading_without_its_picture_goes_when_nothing_is_left():
    chapter = opened([cell("hide-input", output=picture("fig-a")), data()])
    assert len(list(chapter.findall(nodes.section))) == 1
    assert len(list(chapter.findall(nodes.figure))) == 1
    assert len(list(chapter.findall(nodes.literal_block))) == 5


def test_a_notebook_may_name_its_key_figure():
    sections = [
        [nodes.paragraph("", "One."), cell("hide-input", output=picture("fig-a"))],
        [nodes.paragraph("", "Two."), cell("hide-input", "key", output=picture("fig-b"))],
    ]
    chapter = opened(*sections)
    assert [figure["names"][0] for figure in chapter.findall(nodes.figure)] == ["fig-b", "fig-a"]
    assert "Drawn in fig-b" in chapter[-1].astext()


def test_a_figure_need_not_have_a_name_nor_code():
    chapter = opened([nodes.figure("", nodes.image(uri="x"))])
    assert isinstance(chapter[2][0], nodes.figure)
    assert chapter[-1].astext() == "The picture"


def test_a_chapter_without_a_picture_opens_with_its_answer():
    chapter = opened([nodes.paragraph("", "Nothing was drawn.")])
    assert chapter[2].astext() == "Answer."
