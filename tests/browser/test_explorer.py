"""The explorer: its numbers against the library, its controls, its words, its address."""

from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from w2s_experiments import explorer
from w2s_utils import gaussian
from w2s_utils.theory import risks, scaling, subspaces

ROLES = ("teacher", "student", "baseline", "ceiling")
QUANTITIES = (*ROLES, "pgr", "opr")
NAMES = (*explorer.PARAMETERS, "a", "price")
FORMULAS = "const F = await import('./formulas.js');"


def random_setting(rng):
    """A setting of some target, with sizes for which all expectations exist."""
    d_w, d_s = rng.integers(1, 300, 2).tolist()
    n = int(max(d_w, d_s) + 2 + rng.geometric(1e-3))
    N = int(d_s + 2 + rng.geometric(1e-3))
    rho_w, rho_s = (10 ** rng.uniform(-6, 1, 2) * (rng.uniform(size=2) < 0.8)).tolist()
    b = float(rho_w * rng.uniform())
    sides = np.sqrt([rho_s, rho_w - b])
    kappa = float(rng.uniform(abs(sides[0] - sides[1]), sides.sum()) ** 2)
    return {
        "d_w": d_w,
        "d_s": d_s,
        "d_sw": float(min(d_w, d_s) * rng.uniform()),
        "n": n,
        "N": N,
        "sigma2": float(10 ** rng.uniform(-5, 1)),
        "rho_w": rho_w,
        "rho_s": rho_s,
        "b": b,
        "kappa": kappa,
    }


def split(values):
    setting = {
        name: value for name, value in values.items() if name not in ("n", "N", "a", "price")
    }
    return risks.Setting(**setting), values["n"], values["N"]


def expected(values):
    exact = risks.exact(*split(values))
    return {name: float(getattr(exact, name)) for name in QUANTITIES}


def assert_same(shown, wanted):
    for name in ROLES:
        assert shown[name] == pytest.approx(wanted[name], rel=1e-9), name
    # PGR is a ratio of differences: where they cancel, 1e-9 of the risks is what can be asked.
    gap = abs(wanted["teacher"] - wanted["ceiling"]) / max(wanted[role] for role in ROLES)
    assert shown["pgr"] == pytest.approx(wanted["pgr"], rel=1e-9, abs=1e-12 / max(gap, 1e-9))
    assert shown["opr"] == pytest.approx(wanted["opr"], rel=1e-9)


def numbers(page):
    cells = page.locator("[data-quantity]").all()
    return {
        cell.get_attribute("data-quantity"): float(cell.get_attribute("data-value"))
        for cell in cells
    }


def state(page):
    """The setting the page shows, once it has drawn what was asked last."""
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    pairs = parse_qs(page.locator("[data-moving]").get_attribute("data-state"))
    return {name: float(values[0]) for name, values in pairs.items()}


def shown_of(now, values):
    return {name: now[name] for name in values}


def query(values):
    return "?" + "&".join(f"{name}={value!r}" for name, value in values.items())


def verdict(page):
    return page.locator("[data-part=verdict]").inner_text()


def as_arguments(values):
    return values | {name: int(values[name]) for name in ("d_w", "d_s", "n", "N")}


def test_formulas_are_those_of_the_library(figure):
    page = figure("explorer")
    rng = np.random.default_rng(20250301)
    settings = [random_setting(rng) for _ in range(500)]
    shown = page.evaluate(
        f"async settings => {{ {FORMULAS} return settings.map(s => F.risks({{a: 1, ...s}})); }}",
        settings,
    )
    for values, result in zip(settings, shown, strict=True):
        assert_same(result, expected(values))
        setting, n, N = split(values)
        inherited, reduced = risks.student_variance(setting, n, N)
        assert result["inherited"] == pytest.approx(float(inherited), rel=1e-9)
        assert result["reduced"] == pytest.approx(float(reduced), rel=1e-9)


def test_the_border_of_the_phase_diagram_is_that_of_the_library(figure):
    page = figure("explorer")
    rng = np.random.default_rng(20250302)
    settings = [random_setting(rng) for _ in range(200)]
    # At equal dimensions and overlap the two can only tie, at whatever N.
    ties = [s | {"d_sw": s["d_w"], "d_s": s["d_w"], "b": s["rho_w"] / 2} for s in settings[:20]]
    ties = [s | {"b": 0, "kappa": 0, "rho_s": s["rho_w"], "N": s["d_s"] + 50} for s in ties]
    border = "s => Math.min(F.pseudoLabelsFor(s, F.risks(s).teacher), 1e300)"
    shown = page.evaluate(
        f"""async settings => {{ {FORMULAS}
          return settings.map(s => ({{a: 1, ...s}})).map({border}); }}""",
        settings + ties,
    )
    assert min(shown[len(settings) :]) == 1e300
    shown = shown[: len(settings)]
    helped = 0
    for values, result in zip(settings, shown, strict=True):
        setting, n, _ = split(values)
        if result < 1e12:
            above, below = int(result * (1 + 1e-6)) + 2, int(result * (1 - 1e-6)) - 1
            assert scaling.helps(setting, n, above)
            if below >= setting.d_s + 2:
                assert not scaling.helps(setting, n, below)
            helped += 1
        else:
            assert not scaling.helps(setting, n, 10**9)
    assert 20 < helped < 190


def problem(rng, d_w, d_s, cosines):
    """Two subspaces and a target, as the library and as the page have them."""
    weak, strong = subspaces.pair_with_cosines(d_w + d_s + 3, d_w, d_s, cosines, rng)
    theta = rng.standard_normal(len(weak))
    inside, seen = weak @ (weak.T @ theta), strong @ strong.T
    parts = {"a": seen @ inside, "kappa": inside - seen @ inside, "b": seen @ (theta - inside)}
    values = {name: float(part @ part) for name, part in parts.items()}
    values["d_sw"] = float(np.sum((strong.T @ weak) ** 2))
    for name, basis in (("rho_w", weak), ("rho_s", strong)):
        values[name] = float(np.sum((theta - basis @ (basis.T @ theta)) ** 2))
    values["sigma2"] = 0.3
    known = {name: value for name, value in values.items() if name != "a"}
    setting = risks.Setting(d_w=d_w, d_s=d_s, norm2=float(theta @ theta), **known)
    return setting, values


def test_both_branches_of_least_squares_are_those_of_the_library(figure):
    page = figure("explorer")
    rng = np.random.default_rng(20260302)
    cases = [(9, 6, [1, 0.7, 0.2]), (6, 9, [0.9, 0.9, 0.4, 0.1]), (5, 5, [1] * 5), (4, 7, [0] * 4)]
    compared = 0
    for d_w, d_s, cosines in cases:
        cosines = np.pad(np.asarray(cosines, float), (0, min(d_w, d_s) - len(cosines)))
        setting, values = problem(rng, d_w, d_s, cosines)
        sizes = [(n, N) for n in (1, 3, d_w - 2, d_w + 2, 40) for N in (1, d_s - 2, d_s + 2, 60)]
        settings = [values | {"d_w": d_w, "d_s": d_s, "n": n, "N": N} for n, N in sizes]
        shown = page.evaluate(
            f"async settings => {{ {FORMULAS} return settings.map(F.risks); }}", settings
        )
        for (n, N), found in zip(sizes, shown, strict=True):
            if abs(n - d_w) < 2:
                continue
            wanted = risks.exact(setting, n, N)
            assert found["teacher"] == pytest.approx(float(wanted.teacher)), (n, N)
            assert found["student"] == pytest.approx(float(wanted.student)), (n, N)
            compared += 1
    assert compared > 60


def test_baseline_and_ceiling_below_their_peak_are_those_of_a_teacher(figure):
    """The baseline is a teacher with strong features: exchange the two."""
    page = figure("explorer")
    setting, values = problem(np.random.default_rng(20260303), 7, 5, np.array([1, 0.5, 0.3, 0, 0]))
    turned = replace(setting, d_w=5, d_s=7, rho_w=setting.rho_s, rho_s=setting.rho_w, b=0.0)
    for n, N in ((1, 1), (3, 20), (1, 2), (20, 20)):
        found = page.evaluate(
            f"async s => {{ {FORMULAS} return F.risks(s); }}",
            values | {"d_w": 7, "d_s": 5, "n": n, "N": N},
        )
        for role, count in (("baseline", n), ("ceiling", n + N)):
            wanted = float(risks.teacher(turned, count))
            assert found[role] == pytest.approx(wanted), (role, count)


def test_every_setting_can_be_linked(figure):
    rng = np.random.default_rng(20250303)
    for values in [random_setting(rng) for _ in range(5)]:
        page = figure("explorer", query=query(values))
        assert shown_of(state(page), values) == pytest.approx(values)
        assert_same(numbers(page), expected(values))
        assert page.locator("[data-part=warning]").is_hidden()


@pytest.mark.parametrize(("d_sw", "sigma2"), [(10, 1e-2), (90, 4e-4)])
def test_a_notebook_s_link_and_the_preset_show_the_notebook_s_numbers(figure, d_sw, sigma2):
    setting = gaussian.authors_model(d_sw, sigma2).setting
    exact = risks.exact(setting, 2000, 4000)
    page = figure("explorer", query=explorer.url(setting, 2000, 4000, page=""))
    linked = numbers(page)
    for name in QUANTITIES:
        assert linked[name] == pytest.approx(float(getattr(exact, name)), rel=1e-9)
    assert page.locator("[data-part=warning]").is_hidden()
    preset = "Dong et al., overlap 10" if d_sw == 10 else "Dong et al., bias dominates"
    page.get_by_role("button", name="Nothing to gain").click()
    assert state(page)["d_w"] == 50
    page.get_by_role("button", name=preset).click()
    state(page)
    assert numbers(page) == pytest.approx(linked, rel=1e-9)


def test_boxes_take_exact_values_and_the_address_keeps_them(figure):
    page = figure("explorer")
    values = {
        "d_w": 60,
        "d_s": 40,
        "d_sw": 12.5,
        "n": 777,
        "N": 1234,
        "sigma2": 0.3,
        "rho_w": 0.02,
        "rho_s": 0.05,
        "b": 0.011,
        "kappa": 0.04,
    }
    for name, value in values.items():
        page.locator(f"#w2s-box-{name}").fill(str(value))
    assert shown_of(state(page), values) == pytest.approx(values)
    assert_same(numbers(page), expected(values))
    page.wait_for_function("location.search.includes('kappa=0.04')")
    assert set(parse_qs(urlsplit(page.url).query)) == set(NAMES)
    page.reload()
    page.wait_for_selector(".w2s-live")
    assert_same(numbers(page), expected(values))


def test_sliders_move_by_keyboard(figure):
    page = figure(
        "explorer", query="?d_w=20&d_s=10&d_sw=5&n=500&N=600&sigma2=0.1&rho_w=0.1&rho_s=0.1"
    )
    for name in NAMES[:8]:
        slider = page.locator(f"#w2s-slider-{name}")
        slider.focus()
        before = now = state(page)
        for key, sign in (("ArrowRight", 1), ("ArrowLeft", -1), ("PageUp", 1)):
            old, _ = now[name], page.keyboard.press(key)
            now = state(page)
            assert (now[name] - old) * sign > 0, (name, key)
            if name in ("d_w", "d_s", "n", "N"):
                assert now[name] == int(now[name])
        assert slider.get_attribute("aria-valuetext")
        box = page.locator(f"#w2s-box-{name}")
        assert float(box.input_value()) == pytest.approx(now[name])
        moved = {key for key in NAMES if now[key] != pytest.approx(before[key])}
        assert moved <= {name, "b", "kappa"}
        assert_same(numbers(page), expected(as_arguments(now)))


def test_the_split_follows_the_approximation_errors(figure):
    page = figure("explorer", query="?rho_w=0.1&rho_s=0.1&b=0.05&kappa=0.05")
    page.locator("#w2s-slider-rho_w").focus()
    for key in ("End", "Home"):
        page.keyboard.press(key)
        now = state(page)
        assert now["b"] == pytest.approx(0.5 * now["rho_w"])
        assert page.locator("[data-part=warning]").is_hidden()
    assert now["rho_w"] == 0
    assert now["kappa"] == pytest.approx(now["rho_s"])


def test_what_is_not_a_value_changes_nothing(figure):
    page = figure("explorer")
    before = state(page)
    box = page.locator("#w2s-box-sigma2")
    for text in ("", "-3", "many", "NaN"):
        box.fill(text)
        assert box.get_attribute("aria-invalid") == "true"
        assert state(page) == before
        box.blur()
        state(page)
        assert float(box.input_value()) == before["sigma2"]
        assert box.get_attribute("aria-invalid") is None


def test_at_a_peak_the_page_says_where_the_risk_is_finite(figure):
    page = figure("explorer", query="?d_w=200&d_s=100&n=200&N=4000&sigma2=1")
    assert "at most 198 or at least 202" in verdict(page)
    assert page.locator("[data-quantity=teacher]").inner_text() == "infinite"
    page = figure("explorer", query="?d_w=200&d_s=100&n=1500&N=101&sigma2=1")
    assert "at most 98 or at least 102" in verdict(page)
    page = figure("explorer", query="?d_w=200&d_s=100&n=150&N=4000&sigma2=1")
    assert np.isfinite(numbers(page)["teacher"])


def test_an_impossible_target_is_told_and_its_numbers_are_not(figure):
    page = figure("explorer", query="?rho_w=0.1&rho_s=0.1&b=0.1&kappa=0.3")
    assert "κ lies between 0.1 and 0.1" in page.locator("[data-part=warning]").inner_text()
    assert {cell.inner_text() for cell in page.locator("[data-quantity]").all()} == {"–"}
    assert verdict(page) == ""
    assert "w2s-impossible" in page.locator("[data-moving]").get_attribute("class")
    page = figure("explorer", query="?rho_w=0.1&rho_s=0.1&b=0.2&kappa=0.3")
    assert "b is at most" in page.locator("[data-part=warning]").inner_text()
    page = figure("explorer", query="?rho_w=0.1&rho_s=0.3&b=0&kappa=0.1")
    assert "with b = 0, κ is" in page.locator("[data-part=warning]").inner_text()
    page = figure("explorer", query="?d_w=5&d_s=9&d_sw=5&rho_w=0.1&rho_s=0.1&b=0.05&kappa=0.1")
    assert "κ is 0" in page.locator("[data-part=warning]").inner_text()


def test_equality_is_no_gain(figure):
    page = figure("explorer")
    page.get_by_role("button", name="Nothing to gain").click()
    state(page)
    assert "as good as its teacher" in verdict(page)
    assert "it can only tie" in verdict(page)
    assert "better than its teacher from" not in verdict(page)
    assert page.locator("[data-part=strip-word]").text_content() == "equal"
    for overlap in (50, 49.5, 0):
        page.locator("#w2s-box-d_sw").fill(str(overlap))
        now = as_arguments(state(page))
        assert_same(numbers(page), expected(now))
        assert ("from N = 202 on" in verdict(page)) == (overlap < 50)
    page = figure("explorer", query="?sigma2=0&rho_w=0&rho_s=0&b=0&kappa=0&d_w=50&d_s=100&n=500")
    assert "there is nothing to gain" in verdict(page)
    assert page.locator("[data-quantity=pgr]").inner_text() == "–"


def test_the_budget_is_split_as_the_library_splits_it(figure):
    values = {"d_w": 200, "d_s": 100, "d_sw": 10, "n": 2000, "N": 2110, "sigma2": 1}
    zero = {"rho_w": 0, "rho_s": 0, "b": 0, "kappa": 0}
    page = figure("explorer", query=query(values | zero))
    price = page.locator("#w2s-box-price")
    for each, verdict_of in ((0.1, "pseudo-labels pay"), (5, "buy labels only")):
        price.fill(str(each))
        state(page)
        best = scaling.best_purchase(risks.Setting(200, 100, 10, 1.0), 2000 + 2110 * each, 1, each)
        said = page.locator("[data-part=budget]").inner_text()
        assert f"n = {best.labels}, N = {best.pseudo_labels}:" in said
        assert (verdict_of in said) == (best.worthwhile == (verdict_of == "pseudo-labels pay"))
    page.locator("#w2s-box-n").fill("3")
    price.fill("0.01")
    state(page)
    assert "too little" in page.locator("[data-part=budget]").inner_text()


def test_without_a_gap_there_is_no_pgr(figure):
    values = {"d_w": 5, "d_s": 50, "d_sw": 0, "n": 100, "N": 200, "sigma2": 1}
    zero = {"rho_w": 0, "rho_s": 0, "b": 0, "kappa": 0}
    page = figure("explorer", query=query(values | zero))
    assert page.locator("[data-quantity=pgr]").inner_text() == "–"
    assert "no gap to recover" in verdict(page)


def test_the_ends_of_every_slider_give_numbers_or_a_reason(figure):
    page = figure(
        "explorer",
        query="?d_w=20&d_s=10&d_sw=5&n=500&N=600&sigma2=0.1&rho_w=0.1&rho_s=0.1&b=0.05&kappa=0.05&a=1",
    )
    for name in NAMES:
        slider = page.locator(f"#w2s-slider-{name}")
        for key in ("Home", "End"):
            slider.press(key)
            now = state(page)
            told = page.locator("[data-part=warning]").is_visible() or verdict(page)
            assert told, (name, key)
            assert "NaN" not in page.locator("[data-moving]").inner_text(), (name, key)
            assert page.locator("[d*=NaN], [cx*=NaN], [cy*=NaN], [y*=NaN]").count() == 0
            assert all(np.isfinite(value) for value in now.values())
        page.reload()
        page.wait_for_selector(".w2s-live")


CORNERS = """async () => {
  const F = await import("./formulas.js"), S = await import("./settings.js");
  const start = S.PRESETS["Much to gain"], fields = S.FIELDS.filter(field => field.id !== "price");
  const told = r => ["teacher", "student", "baseline", "ceiling"].map(role =>
    Number.isNaN(r[role]) ? null : Math.min(r[role], 1e300));
  const found = [];
  for (let corner = 0; corner < 2 ** fields.length; corner += 1) {
    let state = start;
    fields.forEach((field, i) => {
      const end = (corner >> i) & 1 ? 1000 : 0;
      state = S.changed(state, field.id, S.fromPosition(field, state, end));
    });
    state = F.settled(state);
    const more = F.risks({ ...state, N: 1e9 });
    found.push({ state, impossible: F.impossible(state), risks: told(F.risks(state)),
      gains: F.compare(F.risks(state).teacher, F.risks(state).student),
      ever: F.compare(more.teacher, more.student),
      from: F.pseudoLabelsFor(state, more.teacher) < 1e9 });
  }
  return found;
}"""


def test_the_corners_of_all_sliders_are_those_of_the_library(figure):
    corners = figure("explorer").evaluate(CORNERS)
    compared = shared = 0
    for corner in corners:
        assert None not in corner["risks"], corner["state"]
        if corner["impossible"]:
            continue
        values = as_arguments(corner["state"])
        setting, n, N = split(values)
        if n >= max(setting.d_w, setting.d_s) + 2 and setting.d_s + 2 <= N:
            exact = risks.exact(setting, n, N)
            wanted = [float(getattr(exact, role)) for role in ROLES]
            assert corner["risks"] == pytest.approx(wanted, rel=1e-9), values
            compared += 1
        if setting.d_sw == setting.d_w and setting.rho_w == setting.rho_s == 0:
            # Nothing to gain: the student can tie at best, now and with any number of labels.
            assert corner["ever"] <= 0, values
            assert not corner["from"], values
            if setting.d_s + 2 <= N:
                assert corner["gains"] <= 0, values
            shared += 1
    assert compared > 50
    assert shared > 20


def test_a_slider_that_cannot_move_says_why(figure):
    page = figure("explorer")
    for name, reason in (("b", "ρ_w is 0"), ("kappa", "b is 0")):
        slider = page.locator(f"#w2s-slider-{name}")
        assert slider.is_disabled()
        why = page.locator(f"#{slider.get_attribute('aria-describedby')}")
        assert reason in why.inner_text()


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_every_chart_is_drawn_and_its_label_follows(figure, mode):
    page = figure("explorer", mode=mode)
    charts = page.locator("svg[role=img]")
    assert charts.count() == 4
    before = [chart.get_attribute("aria-label") for chart in charts.all()]
    assert all(before)
    page.locator("#w2s-box-N").fill("300")
    page.locator("#w2s-box-n").fill("900")
    state(page)
    for chart, label in zip(charts.all(), before, strict=True):
        assert chart.get_attribute("aria-label") != label
        assert chart.locator(".w2s-line").count() >= 2
    page.locator("label:has(input[value=opr-n])").click()
    state(page)
    assert "OPR against labels" in page.locator("[data-part=ratio]").get_attribute("aria-label")


def test_charts_stand_beside_each_other_on_a_desk(figure):
    page = figure("explorer")
    boxes = [chart.bounding_box() for chart in page.locator("svg[role=img]").all()]
    assert boxes[0]["y"] == pytest.approx(boxes[1]["y"], abs=2)
    assert boxes[2]["y"] > boxes[0]["y"] + boxes[0]["height"]
    assert boxes[0]["x"] < boxes[1]["x"]


def test_the_result_stays_in_sight_on_a_phone(figure):
    page = figure("explorer", width=390)
    slider = page.locator("#w2s-slider-kappa")
    slider.scroll_into_view_if_needed()
    strip = page.locator("[data-part=strip]")
    box = strip.bounding_box()
    assert 0 <= box["y"] < 844 - box["height"]
    before = strip.inner_text()
    page.locator("#w2s-slider-d_sw").press("End")
    state(page)
    assert strip.inner_text() != before


def test_a_pointer_reads_the_curves(figure):
    page = figure("explorer")
    chart = page.locator("[data-part=risk-N]")
    box = chart.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert "student" in chart.locator(".w2s-here").text_content()


def test_controls_have_names_and_values_can_be_read(figure):
    page = figure("explorer", width=390)
    for control in page.locator("[data-moving] input").all():
        named = "e => Boolean(e.labels?.length || e.getAttribute('aria-label'))"
        assert control.evaluate(named)
    page.locator("[data-moving] summary").focus()
    page.keyboard.press("Enter")
    for which in ("N", "n"):
        rows = page.locator(f"[data-part=values-{which}] tr")
        assert rows.count() == 8
        assert rows.first.locator("td").count() == 6
        assert rows.first.is_visible()


def test_without_script_the_first_setting_is_drawn(figure):
    page = figure("explorer", script=False)
    assert float(page.locator("[data-quantity=teacher]").get_attribute("data-value")) > 0
    assert page.locator(".w2s-line").count() > 8
    assert page.locator(".w2s-settings").is_hidden()


def test_figures_are_loaded_on_their_pages_only(visit):
    loaded = "[...document.scripts].map(each => each.src).filter(src => src.includes('moving/'))"
    assert any("explorer.js" in source for source in visit("explorer.html").evaluate(loaded))
    assert visit("notation.html").evaluate(loaded) == []
