"""The built site as a reader's browser shows it: desktop and phone, light and dark."""

import re

import pytest

CHAPTER = "notebooks/misfit/projection.html"
INVERTED = "invert(1) hue-rotate(180deg)"


def test_the_page_follows_the_reader_s_preference_for_dark(visit):
    page = visit("index.html", mode="dark")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.emulate_media(color_scheme="light")
    page.wait_for_function("document.documentElement.dataset.theme === 'light'")


def test_figures_are_visible_and_fit(visit):
    page = visit(CHAPTER)
    figures = page.locator("article figure img")
    assert figures.count() > 0
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 844})
        for image in figures.all():
            image.scroll_into_view_if_needed()
            assert image.is_visible()
            page.wait_for_function(
                "image => image.complete && image.naturalWidth > 0", arg=image.element_handle()
            )
            # On a phone a figure stays readable, and its box scrolls.
            box = image.locator("xpath=ancestor-or-self::*[contains(@class, 'w2s-figure-box')]")
            fitting = box.first if box.count() else image
            assert fitting.bounding_box()["width"] <= width


def test_the_theme_button_changes_the_mode_and_inverts_line_plots(visit):
    page = visit(CHAPTER)
    figure = page.locator("img.w2s-figure").first
    shown = "image => getComputedStyle(image).filter"
    assert figure.evaluate(shown) == "none"
    button = page.locator("button.theme-switch-button").first
    for _ in range(3):
        if page.evaluate("document.documentElement.dataset.theme") == "dark":
            break
        button.click()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert figure.evaluate(shown) == INVERTED


def test_proofs_fold_and_open_by_keyboard(visit):
    page = visit("notebooks/misfit/nonrealizable.html")
    proof = page.locator("details.sd-dropdown").first
    assert proof.get_attribute("open") is None
    proof.locator("summary").focus()
    page.keyboard.press("Enter")
    assert proof.get_attribute("open") is not None
    assert proof.locator("mjx-container").first.is_visible()
    page.keyboard.press("Enter")
    assert proof.get_attribute("open") is None


def test_every_claim_link_lands_on_its_badge(visit, smoke):
    from w2s_utils import claims

    page = visit("claims.html")
    links = page.locator("a.w2s-ledger__link")
    assert links.count() == len(claims.read(smoke.claims))
    first = links.first
    name = first.get_attribute("href").split("#claim-")[1]
    first.click()
    page.wait_for_url(re.compile(rf"#claim-{name}$"))
    badge = page.locator(f"#claim-{name}")
    landed = "box => box.getBoundingClientRect().top >= 0 && box.getBoundingClientRect().top < 844"
    page.wait_for_function(landed, arg=badge.element_handle())


def test_the_test_behind_a_claim_unfolds_without_script(visit):
    page = visit(CHAPTER, script=False)
    badge = page.locator(".w2s-evidence details").first
    badge.locator("summary").focus()
    page.keyboard.press("Space")
    assert badge.locator("p").first.is_visible()


def test_the_first_tab_stop_skips_to_the_text(visit):
    page = visit(CHAPTER)
    page.keyboard.press("Tab")
    focused = page.locator(":focus")
    assert focused.text_content().strip() == "Skip to main content"
    assert focused.is_visible()
    page.keyboard.press("Enter")
    assert page.url.endswith("#main-content")


def test_focus_is_visible(visit):
    page = visit("index.html")
    card = page.locator("article a.reference").first
    page.keyboard.press("Tab")
    card.focus()
    assert card.evaluate("link => getComputedStyle(link).outlineStyle") == "solid"


def test_the_menu_opens_on_a_phone(visit):
    page = visit("index.html", width=390)
    entry = page.locator(".bd-sidebar-primary").get_by_role("link", name="Claims", exact=True)
    assert not entry.is_visible()
    page.locator("button.primary-toggle").first.click()
    entry.wait_for(state="visible")
    entry.click()
    page.wait_for_url(re.compile(r"claims\.html$"))


QUESTIONS = {  # and the pages that answer them first
    "misfit": ["notebooks/misfit/projection"],
    "report card": ["notebooks/your_models/report"],
    "how many pseudo-labels": ["notebooks/discrepancy/scaling"],  # its title
    "canonical angles": ["notation"],  # where they are defined
    "PGR": ["notation"],
    "negative control": ["notebooks/bridge/gain_and_misfit", "how-it-works"],
    "when does weak supervision help": ["notebooks/your_models/guide", "index"],
    "how do I choose a teacher": [
        "notebooks/misfit/teacher_choice",
        "notebooks/tasks/choosing_a_teacher",
    ],
    "does early stopping help": ["notebooks/field/regularise", "notebooks/field/how_much"],
    "how many labels do I need": ["notebooks/discrepancy/scaling", "notebooks/your_models/guide"],
    "use my own models": ["notebooks/your_models/guide"],
    "sentimen": ["notebooks/tasks/text"],  # not yet written out
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_search_answers_with_text_before_the_reference(visit, question):
    page = visit(f"search.html?q={question.replace(' ', '+')}")
    page.locator("ul.search li a").nth(3).wait_for()
    links = page.locator("ul.search li > a").evaluate_all("all => all.map(a => a.pathname)")
    found = [path.removeprefix("/").removesuffix(".html") for path in links]
    assert found[0] in QUESTIONS[question]
    assert set(QUESTIONS[question]) <= set(found[:4])
    assert not [path for path in found[:5] if path.startswith("api/")]


def test_the_search_knows_no_code(visit):
    page = visit("search.html?q=geomspace+tight_layout")
    page.get_by_text("did not match any documents").wait_for()


CONTRAST = """
() => {
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const linear = v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const behind = node => {
    for (; node; node = node.parentElement) {
      const colour = parse(getComputedStyle(node).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const poor = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !node.checkVisibility({visibilityProperty: true}))
      continue;
    if (node.closest("mjx-container, script, style, svg, .headerlink, .visually-hidden"))
      continue;
    const style = getComputedStyle(node);
    const [a, b] = [light(parse(style.color)), light(behind(node))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5)
      poor.push(`${ratio.toFixed(2)} ${style.color} ${walker.currentNode.data.trim()}`);
  }
  return poor;
}
"""


@pytest.mark.parametrize("path", ["index.html", CHAPTER, "claims.html", "api/theory.html"])
def test_text_has_the_contrast_of_wcag_aa(visit, path):
    page = visit(path)
    for mode in ("light", "dark"):
        page.emulate_media(color_scheme=mode, reduced_motion="reduce")
        page.wait_for_function("mode => document.documentElement.dataset.theme === mode", arg=mode)
        assert page.evaluate(CONTRAST) == [], mode
