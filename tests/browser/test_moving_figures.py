"""What every moving figure keeps: a whole picture without script, nothing that jumps, names.

With ``W2S_WRITE_STILLS=1`` the pictures without script are drawn anew by the scripts.
"""

import os
from pathlib import Path

import pytest

MOVING = Path(__file__).resolve().parents[2] / "book" / "_ext" / "moving"
NAMES = sorted(path.stem for path in MOVING.glob("*.html"))
BODY = "document.querySelector('.w2s-figure-body').innerHTML.trim() + '\\n'"
SPILL = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.mark.parametrize("name", NAMES)
def test_the_picture_without_script_is_the_first_that_the_script_draws(figure, name):
    drawn = figure(name).evaluate(BODY)
    if os.environ.get("W2S_WRITE_STILLS"):
        (MOVING / f"{name}.html").write_text(drawn, "utf-8")
    assert (MOVING / f"{name}.html").read_text("utf-8") == drawn, "see the head of this file"


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_fits_and_shows_the_same_without_script(figure, name):
    boxes = {}
    for script in (False, True):
        page = figure(name, width=390, script=script)
        for mode in ("light", "dark"):
            page.emulate_media(color_scheme=mode)
            boxes[script, mode] = [box.bounding_box() for box in page.locator("svg").all()]
            if script:
                assert page.evaluate(SPILL) <= 0, mode
    assert boxes[True, "light"]
    assert all(boxes[False, "light"])
    assert all(boxes[False, "dark"])
    assert len({len(found) for found in boxes.values()}) == 1


@pytest.mark.parametrize("name", NAMES)
def test_nothing_jumps_when_the_script_arrives(browser, bench, name):
    # What comes from a cache comes too soon to be seen to jump: so a context of its own.
    context = browser.new_context(viewport={"width": 1280, "height": 844})
    page = context.new_page()
    page.goto(f"{bench}/{name}.html", wait_until="load")
    page.wait_for_selector(".w2s-live")
    shift = page.evaluate(
        """new Promise(done => {
          let sum = 0;
          new PerformanceObserver(list => { for (const e of list.getEntries()) sum += e.value; })
            .observe({ type: "layout-shift", buffered: true });
          setTimeout(() => done(sum), 300);
        })"""
    )
    context.close()
    assert shift < 0.01


@pytest.mark.parametrize("name", NAMES)
def test_all_that_takes_the_focus_has_a_name(figure, name):
    controls = "[tabindex='0'], input, button, select"
    nameless = """all => all.filter(e => !(e.labels?.length || e.getAttribute("aria-label")
      || e.textContent.trim())).map(e => e.outerHTML)"""
    page = figure(name)
    assert page.locator(controls).count() > 0
    assert page.locator(controls).evaluate_all(nameless) == []
