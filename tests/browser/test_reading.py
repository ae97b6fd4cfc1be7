"""How a page reads: nothing jumps while it arrives, and a link shows what it points to."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

TOC = (Path(__file__).resolve().parents[2] / "_toc.yml").read_text("utf-8")
PAGES = sorted({"index", "genindex", "search", *re.findall(r"file: (\S+)", TOC)})
WIDTHS = (1280, 390)
MOST = 0.05  # of layout shift; Web Vitals call .1 good
SHIFT = """
  window.shift = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shift += entry.value;
  }).observe({ type: "layout-shift", buffered: true });
"""
CHAPTER = "notebooks/discrepancy/scaling.html"


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_nothing_jumps_while_a_page_arrives(browser, address, name, width):
    context = browser.new_context(viewport={"width": width, "height": 844})
    page = context.new_page()
    page.add_init_script(SHIFT)
    page.goto(f"{address}/{name}.html", wait_until="load")
    page.wait_for_function("document.documentElement.classList.contains('w2s-typeset')")
    # What shifted is told with the frame that shows it.
    page.evaluate("new Promise(go => requestAnimationFrame(() => requestAnimationFrame(go)))")
    assert page.evaluate("shift") <= MOST
    unsized = "all => all.filter(i => !i.hasAttribute('width') || !i.hasAttribute('height')).length"
    assert page.locator("article img").evaluate_all(unsized) == 0
    context.close()


FIRST = """
figure => {
  const { top, bottom } = figure.querySelector("img, .w2s-figure-body").getBoundingClientRect();
  return [top + scrollY, bottom + scrollY];
}
"""


@pytest.mark.parametrize("name", [name for name in PAGES if name.startswith("notebooks/")])
def test_a_chapter_opens_with_a_picture(visit, name):
    page = visit(f"{name}.html")
    if page.get_by_text("This notebook was not executed").count():
        pytest.skip("its data are not here, so nothing is drawn")
    assert page.locator("article .w2s-opening").count() == 1
    figure = page.locator("article figure").first
    assert page.locator(".w2s-opening figure").count() == 1
    top, bottom = figure.evaluate(FIRST)
    # Of a screen of 900 most of the picture is seen, of a phone's within 1.3 screens.
    assert top < 450
    assert (900 - top) / (bottom - top) > 0.7
    page.set_viewport_size({"width": 390, "height": 844})
    assert figure.evaluate(FIRST)[1] < 1.3 * 844


@pytest.mark.parametrize(
    ("target", "part", "word"),
    [
        ("#prop-budget", ".proof", "best split"),
        ("variance.html#thm-exact-risks", ".proof mjx-container", ""),
        ("#fig-scaling-phase", "figure img", ""),
        ("#equation-eq-authors-peak", "mjx-container", ""),
        ("notation.html#symbol-", "table td", "intrinsic dimensions"),
        ("bibliography.html#", ".citation", "Discrepancies are virtue"),
    ],
)
def test_a_link_shows_what_it_points_to(visit, target, part, word):
    page = visit(CHAPTER)
    link = page.locator(f"article a.reference.internal[href*='{target}']").first
    shown = page.locator(".w2s-preview")
    link.scroll_into_view_if_needed()
    link.hover()
    shown.locator(part).first.wait_for()
    assert word in shown.text_content()
    assert link.get_attribute("aria-describedby") == shown.get_attribute("id")
    assert shown.locator("a, [id]").count() == 0
    box = shown.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 1280
    page.keyboard.press("Escape")
    assert shown.count() == 0


def test_a_preview_comes_with_the_focus_of_a_key_and_goes_with_it(visit):
    page = visit(CHAPTER)
    page.emulate_media(reduced_motion="reduce")
    link = page.locator("article a.reference.internal[href*='#prop-budget']").first
    page.keyboard.press("Tab")  # from here on the focus is a keyboard's
    link.focus()
    page.locator(".w2s-preview .proof").wait_for()
    axe = Path(find_spec("axe_playwright_python").origin).parent / "axe.min.js"
    page.evaluate(axe.read_text("utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations'], preload: false})")
    nodes = [node["html"] for rule in found["violations"] for node in rule["nodes"]]
    assert nodes == []
    page.keyboard.press("Shift+Tab")
    assert page.locator(".w2s-preview").count() == 0


def test_a_finger_gets_no_preview(browser, address):
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    page = context.new_page()
    page.goto(f"{address}/{CHAPTER}", wait_until="load")
    page.wait_for_function("document.documentElement.classList.contains('w2s-typeset')")
    link = page.locator("article a.reference.internal[href='#fig-scaling-phase']").first
    link.scroll_into_view_if_needed()
    link.tap()
    page.wait_for_url("**#fig-scaling-phase")
    page.wait_for_timeout(600)  # longer than a pointer waits
    assert page.locator(".w2s-preview").count() == 0
    context.close()


def test_whose_a_statement_is_stands_beside_it_where_there_is_room(visit):
    page = visit(CHAPTER)
    statement, tag = page.locator("#prop-budget"), page.locator("#prop-budget > .whose")
    for width, beside in ((1280, True), (390, False)):
        page.set_viewport_size({"width": width, "height": 844})
        tag.scroll_into_view_if_needed()
        at, box = tag.bounding_box(), statement.bounding_box()
        assert (at["x"] >= box["x"] + box["width"]) == beside
        assert at["x"] + at["width"] <= width


def test_a_page_names_what_is_next_by_path(visit):
    page = visit("notebooks/misfit/projection.html")
    following = page.locator(".w2s-paths a")
    assert following.count() == 2
    following.first.click()
    page.wait_for_url("**/notebooks/discrepancy/variance.html")
