"""The moving projection: its numbers against the library, by hand, by touch and by key."""

import json

import numpy as np
import pytest

from w2s_utils.theory import projection

KINDS = ("disc", "box", "hull", "line", "sphere", "points")
CONVEX = KINDS[:4]
PLANE = np.eye(2)  # two inputs: a function is a point of the plane


def state(page):
    """What the figure shows, once it has drawn what was asked last."""
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return json.loads(page.locator("[data-moving]").get_attribute("data-state"))


def choose(page, kind):
    page.locator(f"label:has(input[value={kind}])").click()
    return state(page)


def said(page):
    return page.locator("[data-part=sentence]").inner_text()


def projected(kind, teacher, shapes):
    """The student by the library, or by hand where the class is not convex."""
    if kind == "disc":
        return projection.onto_ball(teacher, PLANE, 1.0).values
    if kind == "box":
        # The library's box has equal sides: features bear the difference.
        return projection.onto_box(teacher, np.diag(shapes["BOX"]), -1.0, 1.0).values
    if kind == "hull":
        return projection.onto_hull(teacher, np.transpose(shapes["HULL"])).values
    if kind == "line":
        return projection.onto_subspace(teacher, np.reshape(shapes["LINE"], (2, 1))).values
    if kind == "sphere":
        return teacher / np.linalg.norm(teacher)
    points = np.array(shapes["POINTS"])
    return points[np.argmin(np.sum((points - teacher) ** 2, axis=1))]


def test_the_student_and_the_lengths_are_those_of_the_library(figure):
    pairs = np.random.default_rng(20260301).normal(size=(60, 2, 2))
    shapes, answers = figure("projection").evaluate(
        """async ([kinds, pairs]) => {
          const F = await import("./formulas.js");
          return [{ BOX: F.BOX, HULL: F.HULL, LINE: F.LINE, POINTS: F.POINTS }, kinds.map(
            kind => pairs.map(([teacher, truth]) => F.misfitAndGain(kind, teacher, truth)))];
        }""",
        [KINDS, pairs.tolist()],
    )
    for kind, answer in zip(KINDS, answers, strict=True):
        for (teacher, truth), found in zip(pairs, answer, strict=True):
            student = projected(kind, teacher, shapes)
            assert found["student"] == pytest.approx(student, abs=1e-6), kind
            # The library averages over two inputs, the figure draws squared lengths.
            lengths = projection.misfit_and_gain(truth, teacher, student)
            assert found["misfit"] == pytest.approx(2 * lengths.misfit, abs=1e-5), kind
            assert found["gain"] == pytest.approx(2 * lengths.gain, abs=1e-5), kind
            assert found["convex"] == (kind in CONVEX)
            cosine = 2 * np.cos(np.radians(found["angle"])) if found["angle"] is not None else 0.0
            product = np.sqrt(found["misfit"] * found["studentError"])
            assert found["surplus"] == pytest.approx(-cosine * product, abs=1e-9), kind


def test_a_convex_class_with_the_truth_never_falls_short(figure):
    page = figure("projection")
    least = page.evaluate(
        """async kinds => {
          const { CLASSES, misfitAndGain } = await import("./formulas.js");
          const at = i => [Math.cos(7 * i) * (i % 23) / 8, Math.sin(11 * i) * (i % 17) / 8];
          return kinds.map(kind => {
            const all = Array.from({ length: 500 }, (_, i) =>
              misfitAndGain(kind, at(i), CLASSES[kind].project(at(i + 91))));
            return [Math.min(...all.map(r => r.surplus)), all.every(r => r.inside)];
          });
        }""",
        list(KINDS),
    )
    for kind, (surplus, inside) in zip(KINDS, least, strict=True):
        assert inside
        assert (surplus > -1e-9) == (kind in CONVEX), kind


def test_keys_move_teacher_and_truth_and_the_result_is_said(figure):
    page = figure("projection")
    before = state(page)
    teacher = page.locator("[data-part=teacher]")
    teacher.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    now = state(page)
    assert now["teacher"] == pytest.approx([before["teacher"][0] + 0.1, before["teacher"][1] + 0.1])
    assert now["truth"] == before["truth"]
    assert "gain" in teacher.get_attribute("aria-valuetext")
    assert float(teacher.get_attribute("aria-valuenow")) == pytest.approx(
        now["teacher"][0], abs=0.01
    )
    status = page.locator("[role=status]")
    page.wait_for_function(
        "said => document.querySelector('[role=status]').textContent.includes(said)", arg=said(page)
    )
    assert status.inner_text().startswith("gain")
    page.keyboard.press("Tab")
    for _ in range(60):
        teacher.press("ArrowUp")
    assert state(page)["teacher"][1] == 1.5  # it stays in the picture


@pytest.mark.parametrize("kind", CONVEX)
def test_the_truth_begins_in_the_class_and_can_leave_it(figure, kind):
    page = figure("projection")
    choose(page, kind)
    assert float(page.locator("[data-moving]").get_attribute("data-surplus")) > -1e-9
    assert "nothing is promised" not in said(page)
    truth = page.locator("[data-part=truth]")
    for _ in range(20):
        truth.press("ArrowDown")
    state(page)
    assert "The truth is not in the class" in said(page)


def test_the_reason_is_told(figure):
    page = figure("projection")
    assert "never acute" in said(page)
    choose(page, "line")
    assert "A right angle" in said(page)
    shown = page.locator("[data-moving]")
    assert "w2s-fails" not in shown.get_attribute("class")
    choose(page, "sphere")
    for _ in range(10):
        page.locator("[data-part=teacher]").press("ArrowDown")
    state(page)
    assert "not convex" in said(page)
    assert "falls short" in said(page)
    assert "w2s-fails" in shown.get_attribute("class")
    assert page.locator("[data-part=surplus]").inner_text().startswith("−")
    choose(page, "disc")
    assert "there is nothing to gain" in said(page)
    assert page.locator("[data-part=surplus]").inner_text() == "0.00"


def test_a_mouse_and_a_finger_drag_the_teacher(figure):
    page = figure("projection", width=390, touch=True)
    for pointer in ("mouse", "touch"):
        before = state(page)
        box = page.locator("[data-part=teacher] .w2s-dot").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        if pointer == "mouse":
            page.mouse.move(x, y)
            page.mouse.down()
            page.mouse.move(x + 40, y + 20, steps=4)
            page.mouse.up()
        else:
            client = page.context.new_cdp_session(page)
            for kind, dx, dy in (
                ("Start", 0, 0),
                ("Move", 20, 10),
                ("Move", 40, 20),
                ("End", 0, 0),
            ):
                points = [] if kind == "End" else [{"x": x + dx, "y": y + dy}]
                client.send(
                    "Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points}
                )
                state(page)  # a frame each: moves within one are joined
        now = state(page)
        scale = page.locator("[data-part=picture]").bounding_box()["width"] / 440 * 112
        moved = np.subtract(now["teacher"], before["teacher"]) * scale
        assert moved == pytest.approx([40, -20], abs=1), pointer
        assert page.evaluate("scrollY") == 0


def test_the_bars_add_up(figure):
    page = figure("projection")
    wide = "name => document.querySelector(`[data-part=${name}]`).getBoundingClientRect().width"
    for kind in KINDS:
        choose(page, kind)
        widths = {
            name: page.evaluate(wide, f"bar-{name}")
            for name in ("teacher", "student", "misfit", "over", "surplus")
        }
        spent = widths["student"] + widths["misfit"] + widths["over"]
        short = widths["surplus"] - widths["over"]
        assert spent + short == pytest.approx(widths["teacher"], abs=0.5)
        assert min(widths["over"], widths["surplus"]) == 0
