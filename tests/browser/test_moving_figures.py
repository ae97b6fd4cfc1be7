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
@pytest.mark.parametrize("mode", ["light", "dark"])
def test_a_figure_fits_and_shows_the_same_without_script(figure, name, mode):
    boxes = []
    for script in (False, True):
        page = figure(name, width=390, mode=mode, script=script)
        if script:
            assert page.evaluate(SPILL) <= 0
            assert page.evaluate("document.querySelectorAll('svg').length") > 0
        boxes.append([box.bounding_box() for box in page.locator("svg").all()])
    assert all(boxes[0])
    assert len(boxes[0]) == len(boxes[1])


@pytest.mark.parametrize("name", NAMES)
def test_nothing_jumps_when_the_script_arrives(figure, name):
    page = figure(name)
    shift = page.evaluate(
        """new Promise(done => {
          let sum = 0;
          new PerformanceObserver(list => { for (const e of list.getEntries()) sum += e.value; })
            .observe({ type: "layout-shift", buffered: true });
          setTimeout(() => done(sum), 300);
        })"""
    )
    assert shift < 0.01


@pytest.mark.parametrize("name", NAMES)
def test_all_that_takes_the_focus_has_a_name(figure, name):
    page = figure(name)
    for control in page.locator("[tabindex='0'], input, button, select").all():
        named = (
            "e => Boolean(e.labels?.length || e.getAttribute('aria-label') || e.textContent.trim())"
        )
        assert control.evaluate(named)
