"""The two planes: their numbers against the exact risks, and the cloud against the numbers."""

import json

import numpy as np
import pytest

from w2s_utils.theory import risks

CASES = [(0.0, 4), (0.0, 60), (0.3, 5), (0.9, 7), (1.2, 40), (np.pi / 2, 4), (np.pi / 2, 10_000)]


def state(page):
    """What the figure shows, once it has drawn what was asked last."""
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return json.loads(page.locator("[data-moving]").get_attribute("data-state"))


def test_the_numbers_are_the_exact_risks_in_units_of_the_teacher_s(figure):
    found = figure("subspaces").evaluate(
        """async cases => {
          const F = await import("./formulas.js");
          return cases.map(([angle, N]) =>
            [F.twoPlanes(angle, N), F.clouds(F.whiteCloud(16), angle, N)]);
        }""",
        CASES,
    )
    for case, (shown, cloud) in zip(CASES, found, strict=True):
        angle, N = case
        # n = 5 and sigma2 = 1: each of the teacher's two directions has variance 1/2.
        setting = risks.Setting(d_w=2, d_s=2, d_sw=1 + np.cos(angle) ** 2, sigma2=1.0)
        inherited, reduced = risks.student_variance(setting, 5, N)
        assert shown["teacher"] == pytest.approx(float(risks.teacher(setting, 5))), case
        assert shown["inherited"] == pytest.approx(float(inherited)), case
        assert shown["reduced"] == pytest.approx(float(reduced), abs=1e-12), case
        assert shown["student"] == pytest.approx(float(risks.student(setting, 5, N))), case
        # What is drawn has these means of squares, and no others.
        for name, expected in (
            ("teacher", 1.0),
            ("shadow", inherited),
            ("student", inherited + reduced),
        ):
            points = np.array([row[name] for row in cloud])
            squares = np.sum(points**2, axis=1)
            assert np.mean(squares) == pytest.approx(float(expected)), (case, name)


def test_the_sliders_turn_the_plane_and_say_the_result(figure):
    page = figure("subspaces")
    angle, count = page.locator("[data-part=angle]"), page.locator("[data-part=count]")
    before = page.locator("[data-part=teachers-above]").get_attribute("d")
    angle.press("Home")
    now = state(page)
    assert now["degrees"] == 0
    assert now["student"] == 1
    assert "coincide" in page.locator("[data-part=sentence]").inner_text()
    assert page.locator("[data-part=teachers-above]").get_attribute("d") != before
    angle.press("End")
    count.press("Home")
    now = state(page)
    assert (now["degrees"], now["N"]) == (90, 4)
    assert now["student"] > now["teacher"]
    assert "w2s-fails" in page.locator("[data-moving]").get_attribute("class")
    count.press("ArrowRight")
    assert state(page)["student"] == pytest.approx(1)
    assert "as good as" in page.locator("[data-part=sentence]").inner_text()
    count.press("End")
    assert state(page)["student"] == pytest.approx(0.5, abs=1e-3)
    assert count.get_attribute("aria-valuetext").startswith("10 000; student's variance")
    page.wait_for_function(
        "document.querySelector('[role=status]').textContent.includes('averaged out')"
    )
