"""Figures: what is refused, what travels with them, and how the book gets their captions."""

from __future__ import annotations

import base64
import csv
import io
import re

import matplotlib as mpl
import nbformat
import numpy as np
import pytest
from matplotlib import pyplot as plt

from w2s_utils import figures

GOOD = {
    "name": "fig-gain-misfit",
    "caption": "Gain against\n   misfit.",
    "alt": "Points on\n the diagonal.",
    "data": {"misfit": [0.5, 1.0], "gain": [0.25]},
}


@pytest.fixture(autouse=True)
def defaults():
    with plt.rc_context():
        plt.switch_backend("agg")
        yield
        plt.close("all")


@pytest.fixture
def displayed(monkeypatch):
    outputs = []

    def display(thing, metadata=None, raw=False):
        data = thing if raw else {"text/html": thing.data}
        outputs.append(nbformat.v4.new_output("display_data", data=data, metadata=metadata or {}))

    monkeypatch.setattr("IPython.display.display", display)
    return outputs


def draw():
    figure, axes = plt.subplots()
    axes.plot([0, 1], [0, 2], label="gain")
    axes.legend()
    return figure


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"caption": ""}, "caption: figure fig-gain-misfit needs it in words"),
        ({"caption": None}, "caption: figure fig-gain-misfit needs it in words, got None"),
        ({"alt": " \n"}, "alt: figure fig-gain-misfit needs it in words"),
        ({"data": {}}, "data: figure fig-gain-misfit needs the columns"),
        ({"data": {"x": [1], "y": []}}, "data: figure fig-gain-misfit needs the columns"),
        ({"name": "gain"}, "name: expected 'fig-' and lower-case words with hyphens, got 'gain'"),
        ({"name": "fig-Gain"}, "name: expected"),
        ({"name": "fig-a b"}, "name: expected"),
        ({"name": 'fig-a"'}, "name: expected"),
        ({"name": None}, "name: expected"),
    ],
)
def test_incomplete_figures_are_refused(changes, message, displayed):
    with pytest.raises(ValueError, match=message):
        figures.show(draw(), **{**GOOD, **changes})
    assert displayed == []


@pytest.mark.parametrize(
    ("options", "mime", "classes"),
    [
        ({}, "image/svg+xml", "w2s-figure"),
        ({"invertible": False}, "image/svg+xml", "w2s-figure-card"),
        ({"dense": True}, "image/png", "w2s-figure"),
    ],
)
def test_the_record_travels_with_the_image(options, mime, classes, displayed):
    figures.show(draw(), **GOOD, **options)
    image, link = displayed
    assert mime in image.data
    record = image.metadata[figures.RECORD]
    # White space of source lines is no part of a caption.
    assert record["caption"] == "Gain against misfit."
    assert record["alt"] == image.data["text/plain"] == "Points on the diagonal."
    assert (record["name"], record["classes"]) == (GOOD["name"], classes)
    assert record["provenance"]["matplotlib"] == mpl.__version__
    assert figures.RECORD not in link.metadata


def test_shown_figures_are_closed(displayed):
    figure = draw()
    assert plt.fignum_exists(figure.number)
    figures.show(figure, **GOOD)
    assert not plt.fignum_exists(figure.number)


@pytest.mark.parametrize("dense", [False, True])
def test_the_same_figure_gives_the_same_bytes(dense, displayed):
    for _ in range(2):
        figures.show(draw(), **GOOD, dense=dense)
    assert displayed[0].data == displayed[2].data
    if not dense:
        svg = displayed[0].data["image/svg+xml"]
        assert "<dc:date>" not in svg
        # Ids inside two pictures of one page must not meet.
        figures.show(draw(), **{**GOOD, "name": "fig-other"})
        ids, others = (
            set(re.findall(r'<clipPath id="([^"]+)"', output.data["image/svg+xml"]))
            for output in (displayed[0], displayed[4])
        )
        assert ids
        assert not ids & others


@pytest.mark.parametrize(("invertible", "transparent"), [(True, True), (False, False)])
def test_invertible_figures_are_transparent(invertible, transparent, displayed):
    figures.use_style()
    figures.show(draw(), **GOOD, dense=True, invertible=invertible)
    pixels = plt.imread(io.BytesIO(base64.b64decode(displayed[0].data["image/png"])))
    assert (pixels[0, 0, 3] == 0) == transparent


def table(output):
    link = re.search(
        r'download="([^"]+)" href="data:text/csv;base64,([^"]+)"', output.data["text/html"]
    )
    text = base64.b64decode(link[2]).decode()
    return link[1], list(csv.reader(io.StringIO(text)))


def test_the_data_can_be_downloaded_with_all_digits(displayed):
    values = np.array([1 / 3, 1e-300, -np.pi])
    data = {"x, in m": values, "label": ["a", 'b"', "c,d"], "n": np.arange(3), "short": [0.5]}
    figures.show(draw(), **{**GOOD, "data": data})
    name, rows = table(displayed[1])
    assert name == "fig-gain-misfit.csv"
    assert rows[0] == list(data)
    assert [float(row[0]) for row in rows[1:]] == values.tolist()
    assert [row[1] for row in rows[1:]] == data["label"]
    assert [row[2] for row in rows[1:]] == ["0", "1", "2"]
    assert [row[3] for row in rows[1:]] == ["0.5", "", ""]


def test_matrices_become_columns_row_by_row(displayed):
    figures.show(draw(), **{**GOOD, "data": {"z": np.array([[1, 2], [3, 4]]), "w": 7.0}})
    _, rows = table(displayed[1])
    assert rows == [["z", "w"], ["1", "7.0"], ["2", ""], ["3", ""], ["4", ""]]


def test_style_is_set_for_the_kernel():
    figures.use_style()
    assert mpl.rcParams["axes.prop_cycle"].by_key()["color"] == list(figures.PALETTE)
    assert mpl.rcParams["savefig.transparent"]


def test_letters_of_formulas_are_those_of_unicode(tmp_path):
    """A letter of a private area is a box in every font but the one that it was set in."""
    figures.use_style()
    figure, axes = plt.subplots()
    axes.set_title(
        r"$\alpha \beta \varepsilon \eta \theta \kappa \lambda \mu \rho \sigma \tau \Lambda$"
    )
    axes.set_xlabel(r"$d_{s\wedge w}$, $\ell \perp x_i$, $\|t\|^2 \leq \pm 1$")
    figure.savefig(tmp_path / "letters.svg")
    drawn = re.findall(r">([^<]+)</t", (tmp_path / "letters.svg").read_text("utf-8"))
    assert not [text for text in drawn if any("\ue000" <= letter <= "\uf8ff" for letter in text)]


def code(*outputs, metadata=None):
    return nbformat.v4.new_code_cell("x", outputs=list(outputs), metadata=metadata or {})


def stream():
    return nbformat.v4.new_output("stream", name="stdout", text="x")


def book(*cells):
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("text"), *cells])


def test_promote_gives_the_cell_what_myst_nb_reads(displayed):
    figures.show(draw(), **GOOD)
    image, link = displayed
    notebook = book(code(stream()), code(image, link, metadata={"tags": ["hide-input"]}))
    figures.promote(notebook)
    cells = notebook.cells
    assert cells[2].metadata["mystnb"] == {
        "figure": {"name": "fig-gain-misfit", "caption": "Gain against misfit."},
        "image": {"alt": "Points on the diagonal.", "classes": "w2s-figure"},
    }
    assert cells[2].metadata["tags"] == ["hide-input"]
    # MyST-NB would caption the link as well: it moves to a cell below, without visible source.
    assert cells[2].outputs == [image]
    assert cells[3].outputs == [link]
    assert cells[3].metadata["tags"] == ["remove-input"]
    assert "mystnb" not in cells[3].metadata
    assert "mystnb" not in cells[1].metadata
    assert cells[1].outputs == [stream()]
    nbformat.validate(notebook)
    again = nbformat.from_dict(notebook)
    figures.promote(again)
    assert again == notebook


def test_promote_refuses_an_image_without_record(displayed):
    bare = nbformat.v4.new_output("display_data", data={"image/png": "AAAA"})
    with pytest.raises(ValueError, match=r"cell 1 displays an image without caption.*figures.show"):
        figures.promote(book(code(bare)))
    figures.show(draw(), **GOOD)
    with pytest.raises(ValueError, match="cell 2 displays an image without caption"):
        figures.promote(book(code(displayed[0]), code(displayed[0], bare)))


def test_promote_refuses_two_figures_in_one_cell(displayed):
    figures.show(draw(), **GOOD)
    figures.show(draw(), **{**GOOD, "name": "fig-other"})
    with pytest.raises(ValueError, match="cell 1 shows 2 figures: use one cell for each"):
        figures.promote(book(code(*displayed)))


def test_promote_leaves_notebooks_without_figures_alone():
    notebook = book(code(stream()), code())
    before = nbformat.from_dict(notebook)
    figures.promote(notebook)
    assert notebook == before
