"""Every page of the site, measured: nothing is cut off, and axe has nothing to say."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
# Seen by axe on a phone and in the dark as well: one page of each kind.
KINDS = {
    *("index", "explorer", "claims", "notation", "bibliography", "genindex", "search"),
    *("notebooks/misfit/projection", "notebooks/tasks/molecules", "api/theory"),
}


def pages():
    """Name every page of the contents, and those that Sphinx adds."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))
    found = ["genindex", "search"]
    todo = [toc]
    while todo:
        for key, value in todo.pop().items():
            if key in ("file", "root"):
                found.append(value)
            elif isinstance(value, list):
                todo.extend(value)
    return sorted(found)


# What sticks out of the article, unless it or a box around it scrolls, shows so by a fade, and can
# be reached by keyboard. An image may be wider than a phone in such a box only.
CUT = """
() => {
  for (const fold of document.querySelectorAll("article details")) fold.open = true;
  return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => {
    // The search page has no article.
    const within = document.querySelector("article") ?? document.querySelector("main");
    const article = within.getBoundingClientRect();
    const cut = [];
    const note = (kind, node, by) =>
      cut.push(`${kind} by ${Math.round(by)}: ${node.textContent.trim().slice(0, 60)}`);
    const spill = document.documentElement.scrollWidth - document.documentElement.clientWidth;
    if (spill > 0) note("page", document.body, spill);
    for (const node of document.querySelectorAll(
      "article :is(mjx-math, table, pre, img, .w2s-parameters)")) {
      if (!node.checkVisibility() || !node.getClientRects().length) continue;
      const box = node.getBoundingClientRect();
      const by = Math.max(box.right - article.right, article.left - box.left);
      let around = node;
      while (around && !["auto", "scroll"].includes(getComputedStyle(around).overflowX))
        around = around.parentElement;
      const scrolls = around?.closest("article");
      // A figure may use a phone's margins, a note stands in that of a desk.
      if (!scrolls && by > 16 && !node.closest(".whose.margin")) note("outside", node, by);
      if (!scrolls || around.scrollWidth <= around.clientWidth + 1) continue;
      if (!around.classList.contains("w2s-scrolls")) note("no fade", node, by);
      if (around.tabIndex !== 0) note("no tab stop", node, by);
      // What overflows to the left of a box cannot be scrolled to.
      const start = around.getBoundingClientRect().left - around.scrollLeft;
      if (box.left < start - 2) note("lost at the left", node, start - box.left);
    }
    for (const formula of document.querySelectorAll("article .w2s-tex > mjx-container")) {
      const inner = formula.querySelector("mjx-math");
      if (!inner.getClientRects().length || formula.closest(".w2s-scrolls")) continue;
      const block = formula.closest("div.math, p, li, td, th, dt, dd, figcaption, summary");
      const by = inner.getBoundingClientRect().right - block.getBoundingClientRect().right;
      if (by > 1.5 && !block.closest(".w2s-scrolls")) note("formula", formula, by);
    }
    done(cut);
  })));
}
"""


def axe_script():
    return (Path(find_spec("axe_playwright_python").origin).parent / "axe.min.js").read_text(
        "utf-8"
    )


def violations(page, *, contrast=True):
    """Run every rule of axe-core on an open page; contrast takes most of the time."""
    if not page.evaluate("typeof axe !== 'undefined'"):
        page.evaluate(axe_script())
    options = {"resultTypes": ["violations"], "preload": False}
    options["rules"] = {"color-contrast": {"enabled": contrast}}
    found = page.evaluate("options => axe.run(document, options)", options)["violations"]
    return [
        f"{rule['id']} ({rule['impact']}): {node['html'][:160]}"
        for rule in found
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("name", pages())
def test_nothing_is_cut_off_and_axe_finds_nothing(visit, name):
    page = visit(f"{name}.html")
    page.emulate_media(reduced_motion="reduce")
    assert page.locator("mjx-merror, [data-mjx-error]").count() == 0
    written = page.locator("article .math").count()
    assert page.locator("article .math mjx-container").count() == written
    assert page.evaluate(CUT) == []
    assert violations(page) == []
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate(CUT) == [], "on a phone"
    for mode in ("light", "dark") if name in KINDS else ():
        page.emulate_media(color_scheme=mode)
        page.wait_for_function("mode => document.documentElement.dataset.theme === mode", arg=mode)
        # In the light a phone has the colours that the desk had.
        assert violations(page, contrast=mode == "dark") == [], f"on a phone, {mode}"


LIGHT = ("misfit/projection", "discrepancy/variance", "discrepancy/scaling")


@pytest.mark.parametrize("name", [f"notebooks/{name}" for name in LIGHT])
def test_a_page_is_light_and_its_figures_have_their_places(browser, address, name):
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page, sizes = context.new_page(), {}
    page.on("response", lambda r: sizes.update({r.url: int(r.headers.get("content-length", 0))}))
    page.goto(f"{address}/{name}.html", wait_until="load")
    page.wait_for_function("document.documentElement.classList.contains('w2s-typeset')")
    without_pictures = sum(size for url, size in sizes.items() if "/_images/" not in url)
    assert without_pictures < 2e6
    assert not [url for url in sizes if "fontawesome" in url]
    sized = "image => image.hasAttribute('width') && image.hasAttribute('height')"
    assert all(image.evaluate(sized) for image in page.locator("article figure img").all())
    context.close()


def test_a_page_without_script_sets_its_formulas_and_follows_the_dark(visit):
    page = visit("notebooks/discrepancy/variance.html", script=False, mode="dark")
    formulas = page.locator("article .math > math")
    assert formulas.count() > 20
    assert formulas.first.is_visible()
    clipped = page.locator("article .w2s-tex").first.bounding_box()
    assert max(clipped["width"], clipped["height"]) <= 1
