"""Sphinx extension: how a chapter opens. Question, picture, answer; then how they were computed.

A notebook computes before it can show, so its first picture and its answer stand below its
parameters and runs. On the page they follow the question. The picture is the chapter's first
figure, or the one of the cell tagged ``key``; the answer is the output of the cell tagged
``minute``. They are moved, not copied: number, anchor, caption and data go with them, and a line
in their old place says where they are. Code stays in the order in which it runs.
"""

from __future__ import annotations

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform


class Opening(SphinxTransform):
    """Move the key figure and the answer of a chapter before its first cell.

    It runs before Sphinx numbers figures and lists sections.
    """

    default_priority = 800

    def apply(self) -> None:
        """Change the pages that have an answer in one minute; no others."""
        cells = [cell for cell in self.document.findall(nodes.container) if is_cell(cell)]
        minute = next((cell for cell in cells if "tag_minute" in cell["classes"]), None)
        if minute is None:
            return
        first = cells[0]
        opening = nodes.container(classes=["w2s-opening"])
        if figure := key_figure(self.document, cells):
            take_figure(figure, opening)
        if answer := output_of(minute):
            minute.remove(answer)
            answer["classes"].append("w2s-minute")
            opening += answer
        first.parent.insert(first.parent.index(first), opening)
        join_folds(cells)


def join_folds(cells: list[nodes.container]) -> None:
    """Let folded cells that follow each other and show nothing be one fold."""
    before = None
    for cell in cells:
        if cell.get("hide_mode") != "input" or output_of(cell):
            before = None
        elif before and before.next_node(descend=False, siblings=True) is cell:
            before[0].extend(cell[0].children)
            cell.parent.remove(cell)
        else:
            before = cell


def is_cell(node: nodes.Node) -> bool:
    """Tell whether this is a cell of code with what it gave."""
    return isinstance(node, nodes.container) and "cell" in node["classes"]


def output_of(cell: nodes.Element) -> nodes.container | None:
    """Return the part of a cell that is output."""
    parts = (part for part in cell.children if "cell_output" in part["classes"])
    return next(parts, None)


def key_figure(document: nodes.document, cells: list[nodes.container]) -> nodes.figure | None:
    """Return the figure that a chapter opens with; None where none was drawn."""
    tagged = [cell for cell in cells if "tag_key" in cell["classes"]]
    figures = (figure for place in (*tagged, document) for figure in place.findall(nodes.figure))
    return next(figures, None)


def take_figure(figure: nodes.figure, opening: nodes.container) -> None:
    """Move a figure and the link to its data; leave in their place where they are."""
    around, block = figure.parent, figure
    while not isinstance(block.parent, nodes.section):
        block = block.parent
    section = block.parent
    place = section.index(block) + (block is not figure)
    around.remove(figure)
    opening += figure
    if block is not figure and not around.children:
        around.parent.remove(around)
    if place < len(section) and holds_data(section[place]):
        data = section[place]
        section.remove(data)
        opening += data
    left = section[1:]
    if left and all(is_cell(part) and not output_of(part) for part in left):
        # A heading over code alone says nothing.
        section.replace_self(left)
    elif figure["names"] and not is_named(figure, section):
        while is_cell(section[place - 1]) and not output_of(section[place - 1]):
            place -= 1  # the code that drew it comes after
        section.insert(place, pointer(figure))


def holds_data(node: nodes.Node) -> bool:
    """Tell whether a cell is the link to a figure's data."""
    return is_cell(node) and any(
        "w2s-figure-data" in raw.astext() for raw in node.findall(nodes.raw)
    )


def is_named(figure: nodes.figure, section: nodes.section) -> bool:
    """Tell whether a section's text calls a figure by its number."""
    links = section.findall(addnodes.pending_xref)
    return any(link.get("reftarget") in figure["names"] for link in links)


def pointer(figure: nodes.figure) -> nodes.paragraph:
    """Return the line that stands where a figure stood."""
    name = figure["names"][0]
    link = addnodes.pending_xref(
        "", nodes.inline("", name), refdomain="std", reftype="numref", reftarget=name
    )
    link["refexplicit"], link["refwarn"] = False, True
    words = nodes.Text("Drawn in "), link, nodes.Text(", above.")
    return nodes.paragraph("", "", *words, classes=["w2s-moved"])


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.add_transform(Opening)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
