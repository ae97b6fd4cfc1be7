"""Who wins where: its border, its budget and its words against the exact risks."""

import json
import math

import numpy as np
import pytest

from w2s_utils.theory import risks, scaling

FORMULAS = "const F = await import('./formulas.js');"


def state(page):
    """What the figure shows, once it has drawn what was asked last."""
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return json.loads(page.locator("[data-moving]").get_attribute("data-state"))


def settings(rng, count):
    """Settings of coordinate spaces, as the library and as the page have them."""
    for _ in range(count):
        d_w, d_s = rng.integers(2, 60, 2).tolist()
        shared = float(rng.integers(0, min(d_w, d_s)))
        out = float(rng.choice([0.0, 0.01, 0.3]))
        known = {"d_w": d_w, "d_s": d_s, "d_sw": shared, "sigma2": float(rng.uniform(0.1, 2))}
        yield risks.Setting(**known, rho_w=0.0, rho_s=out, b=0.0, kappa=out), known | {
            "rho_w": 0, "rho_s": out, "b": 0, "kappa": out, "a": 1,
        }  # fmt: skip


def test_the_best_split_is_that_of_the_library(figure):
    page = figure("phase")
    rng = np.random.default_rng(20261127)
    cases = []
    for setting, values in settings(rng, 150):
        price = float(10 ** rng.uniform(-3, 0.5))
        least = setting.d_w + 2 + price * (setting.d_s + 2)
        cases.append((setting, values, least * float(rng.uniform(1, 30)), price))
    shown = page.evaluate(
        f"async cases => {{ {FORMULAS} return cases.map(([s, budget, price]) => "
        "{ const found = F.bestSplit(s, budget, price);"
        " return {...found, labelsOnly: Math.min(found.labelsOnly, 1e300)}; }); }",
        [case[1:] for case in cases],
    )
    for (setting, _, budget, price), found in zip(cases, shown, strict=True):
        best = scaling.best_purchase(setting, budget, 1.0, price)
        assert (found["n"], found["N"]) == (best.labels, best.pseudo_labels)
        assert found["student"] == pytest.approx(best.student, rel=1e-9)
        assert found["labelsOnly"] == pytest.approx(min(best.labels_only, 1e300), rel=1e-9)
    unreached = page.evaluate(
        f"async ([s, budget, price]) => {{ {FORMULAS} return F.bestSplit(s, budget, price); }}",
        [cases[0][1], cases[0][0].d_w + 1.5, 0.1],
    )
    assert unreached is None


def test_the_regions_are_those_of_the_least_risk(figure):
    page = figure("phase")
    rng = np.random.default_rng(20261128)
    cases = [
        (setting, values, int(max(setting.d_w, setting.d_s) + 2 + rng.geometric(0.01)))
        for setting, values in settings(rng, 150)
    ]
    shown = page.evaluate(
        f"async cases => {{ {FORMULAS} return cases.map(([s, n]) => {{"
        " const w = F.winners(s, n); return [Math.min(w.least, 1e300), w.other]; }); }",
        [case[1:] for case in cases],
    )
    won = 0
    for (setting, _, n), (least, other) in zip(cases, shown, strict=True):
        teacher, baseline = risks.teacher(setting, n), risks.baseline(setting, n)
        assert other == ("teacher" if teacher < baseline * (1 - 1e-12) else "baseline")
        best = float(min(teacher, baseline))
        if least < 1e12:
            above, below = int(least * (1 + 1e-6)) + 2, math.ceil(least * (1 - 1e-6)) - 2
            assert risks.student(setting, n, above) < best
            if below >= setting.d_s + 2:
                assert risks.student(setting, n, below) > best
            won += 1
        else:
            assert risks.student(setting, n, 10**9) >= best * (1 - 1e-6)
    assert 20 < won < 149


def test_the_point_moves_by_hand_and_by_key_and_the_sliders_turn_the_border(figure):
    page = figure("phase")
    point = page.locator("[data-part=point]")
    first = state(page)
    point.press("ArrowRight")
    point.press("ArrowUp")
    now = state(page)
    assert now["n"] > first["n"]
    assert now["N"] > first["N"]
    setting = risks.Setting(d_w=20, d_s=10, d_sw=2.0, sigma2=1.0)
    exact = risks.exact(setting, now["n"], now["N"])
    for role in ("teacher", "student", "baseline", "ceiling"):
        assert now[role] == pytest.approx(float(getattr(exact, role)))
    for _ in range(80):
        point.press("ArrowDown")
    assert state(page)["N"] == 12
    assert "alone wins" in page.locator("[data-part=sentence]").inner_text()
    for _ in range(3):
        point.press("Shift+ArrowUp")
    assert state(page)["N"] > 12
    border = page.locator("[data-part=border]").get_attribute("d")
    page.locator("[data-part=overlap]").press("End")
    assert state(page)["d_sw"] == 10
    assert page.locator("[data-part=border]").get_attribute("d") != border
    page.locator("[data-part=outside]").press("End")
    assert "no number of pseudo-labels" in page.locator("[data-part=sentence]").inner_text()
    assert "teacher" in page.locator("[data-part=outside]").get_attribute("aria-valuetext")
    page.wait_for_function(
        "document.querySelector('[role=status]').textContent.includes('no number')"
    )


def test_the_point_can_be_dragged_and_stays_on_the_map(figure):
    page = figure("phase")
    before, box = state(page), page.locator("[data-part=point]").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 60, box["y"] - 40, steps=4)
    now = state(page)
    assert now["n"] > before["n"]
    assert now["N"] > before["N"]
    page.mouse.move(5, 800, steps=4)
    page.mouse.up()
    now = state(page)
    assert (now["n"], now["N"]) == (22, 12)
    assert "too little" in page.locator("[data-part=budget]").inner_text() or now["best"]
