"""The chain between two planes: its numbers against the exact moments, and what it says of them."""

import json

import numpy as np
import pytest

from w2s_utils.theory import filters

CASES = [(0.0, 0.2, 20), (0.4, 0.0, 4), (0.9, 0.1, 20), (1.3, 0.5, 7), (np.pi / 2, 0.3, 50)]


def state(page):
    """What the figure shows, once it has drawn what was asked last."""
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return json.loads(page.locator("[data-moving]").get_attribute("data-state"))


def test_bias_and_variance_are_those_of_the_exact_chain(figure):
    found = figure("chain").evaluate(
        """async cases => {
          const F = await import("./formulas.js");
          return cases.map(([angle, share, N]) => F.planeChain(angle, share, N, 7));
        }""",
        CASES,
    )
    for case, shown in zip(CASES, found, strict=True):
        angle, share, N = case
        shared, other, up = np.eye(3)
        weak = np.stack([shared, other]).T
        strong = np.stack([shared, np.cos(angle) * other + np.sin(angle) * up]).T
        target = np.sqrt(1 - share) * shared + np.sqrt(share) * strong[:, 1]
        mean = weak @ (weak.T @ target)
        # n = 8 labels of noise variance 1.
        tau = (1 + np.sum((target - mean) ** 2)) / (8 - 2 - 1)
        moments = mean, np.outer(mean, mean) + tau * weak @ weak.T
        assert len(shown) == 8, case
        for hop, row in enumerate(shown):
            if hop:
                moments = filters.hop(*moments, (weak, strong)[hop % 2], N)
            bias = np.sum((moments[0] - target) ** 2)
            assert row["bias"] == pytest.approx(bias, abs=1e-12), (case, hop)
            risk = filters.risk(target, *moments, np.ones(3))
            assert row["bias"] + row["variance"] == pytest.approx(risk), (case, hop)


def test_the_sliders_lengthen_the_chain_and_say_the_result(figure):
    page = figure("chain")
    hop, angle, share = (page.locator(f"[data-part={name}]") for name in ("hop", "angle", "share"))
    share.press("Home")
    hop.press("End")
    now = state(page)
    assert (now["hop"], now["share"], now["best"]) == (12, 0, 12)
    assert now["bias"] == pytest.approx(0)
    assert "the longer, the better" in page.locator("[data-part=sentence]").inner_text()
    share.press("End")
    now = state(page)
    assert now["best"] < 12
    assert "Too long" in page.locator("[data-part=sentence]").inner_text()
    assert "w2s-fails" in page.locator("[data-moving]").get_attribute("class")
    hop.press("Home")
    assert "forgotten" in hop.get_attribute("aria-valuetext")
    angle.press("Home")
    first = state(page)
    hop.press("End")
    assert state(page)["risk"] == pytest.approx(first["risk"])
    page.wait_for_function(
        "document.querySelector('[role=status]').textContent.includes('coincide')"
    )
