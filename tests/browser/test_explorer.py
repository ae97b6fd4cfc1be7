"""The explorer page: its numbers against the library, its controls, its address."""

from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from w2s_experiments import explorer
from w2s_utils import gaussian
from w2s_utils.theory import risks, scaling

ROLES = ("teacher", "student", "baseline", "ceiling")
QUANTITIES = (*ROLES, "pgr", "opr")
NAMES = explorer.PARAMETERS


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
    setting = {name: value for name, value in values.items() if name not in ("n", "N")}
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
    pairs = parse_qs(page.locator("#w2s-explorer").get_attribute("data-state"))
    return {name: float(values[0]) for name, values in pairs.items()}


def query(values):
    return "explorer.html?" + "&".join(f"{name}={value!r}" for name, value in values.items())


def as_arguments(values):
    return values | {name: int(values[name]) for name in ("d_w", "d_s", "n", "N")}


def test_formulas_are_those_of_the_library(visit):
    page = visit("explorer.html")
    rng = np.random.default_rng(20250301)
    settings = [random_setting(rng) for _ in range(500)]
    shown = page.evaluate("settings => settings.map(s => w2sFormulas.risks(s))", settings)
    for values, result in zip(settings, shown, strict=True):
        assert_same(result, expected(values))
        setting, n, N = split(values)
        inherited, reduced = risks.student_variance(setting, n, N)
        assert result["inherited"] == pytest.approx(float(inherited), rel=1e-9)
        assert result["reduced"] == pytest.approx(float(reduced), rel=1e-9)


def test_the_border_of_the_phase_diagram_is_that_of_the_library(visit):
    page = visit("explorer.html")
    rng = np.random.default_rng(20250302)
    settings = [random_setting(rng) for _ in range(200)]
    border = "s => Math.min(w2sFormulas.pseudoLabelsFor(s, w2sFormulas.risks(s).teacher), 1e300)"
    shown = page.evaluate(f"settings => settings.map({border})", settings)
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


def test_every_setting_can_be_linked(visit):
    rng = np.random.default_rng(20250303)
    for values in [random_setting(rng) for _ in range(5)]:
        page = visit(query(values))
        assert state(page) == pytest.approx(values)
        assert_same(numbers(page), expected(values))
        assert page.locator("#w2s-warning").is_hidden()


@pytest.mark.parametrize(("d_sw", "sigma2"), [(10, 1e-2), (90, 4e-4)])
def test_a_notebook_s_link_and_the_preset_show_the_notebook_s_numbers(visit, d_sw, sigma2):
    setting = gaussian.authors_model(d_sw, sigma2).setting
    exact = risks.exact(setting, 2000, 4000)
    page = visit(explorer.url(setting, 2000, 4000, page="explorer.html"))
    linked = numbers(page)
    for name in QUANTITIES:
        assert linked[name] == pytest.approx(float(getattr(exact, name)), rel=1e-9)
    assert page.locator("#w2s-warning").is_hidden()
    preset = "Dong et al., overlap 10" if d_sw == 10 else "Dong et al., bias dominates"
    page.get_by_role("button", name="Nothing to gain").click()
    assert state(page)["d_w"] == 50
    page.get_by_role("button", name=preset).click()
    state(page)
    assert numbers(page) == pytest.approx(linked, rel=1e-9)


def test_boxes_take_exact_values_and_the_address_keeps_them(visit):
    page = visit("explorer.html")
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
    assert state(page) == pytest.approx(values)
    assert_same(numbers(page), expected(values))
    page.wait_for_function("location.search.includes('kappa=0.04')")
    assert set(parse_qs(urlsplit(page.url).query)) == set(NAMES)
    page.reload()
    assert_same(numbers(page), expected(values))


def test_sliders_move_by_keyboard(visit):
    page = visit("explorer.html?d_w=20&d_s=10&d_sw=5&n=500&N=600&sigma2=0.1&rho_w=0.1&rho_s=0.1")
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


def test_the_split_follows_the_approximation_errors(visit):
    page = visit("explorer.html?rho_w=0.1&rho_s=0.1&b=0.05&kappa=0.05")
    page.locator("#w2s-slider-rho_w").focus()
    for key in ("End", "Home"):
        page.keyboard.press(key)
        now = state(page)
        assert now["b"] == pytest.approx(0.5 * now["rho_w"])
        assert page.locator("#w2s-warning").is_hidden()
    assert now["rho_w"] == 0
    assert now["kappa"] == pytest.approx(now["rho_s"])


def test_what_is_not_a_value_changes_nothing(visit):
    page = visit("explorer.html")
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


def test_too_few_inputs_are_told_with_the_least_number(visit):
    page = visit("explorer.html?d_w=200&d_s=100&n=150&N=4000")
    assert "n of at least 202" in page.locator("#w2s-verdict").inner_text()
    assert page.locator("[data-quantity=teacher]").inner_text() == "infinite"
    page = visit("explorer.html?d_w=200&d_s=100&n=1500&N=90")
    assert "N of at least 102" in page.locator("#w2s-verdict").inner_text()


def test_an_impossible_target_is_told(visit):
    page = visit("explorer.html?rho_w=0.1&rho_s=0.1&b=0.1&kappa=0.3")
    assert "κ lies between 0.1 and 0.1" in page.locator("#w2s-warning").inner_text()
    page = visit("explorer.html?rho_w=0.1&rho_s=0.1&b=0.2&kappa=0.3")
    assert "b is at most" in page.locator("#w2s-warning").inner_text()


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_the_page_fits_and_every_chart_is_drawn(visit, mode):
    page = visit("explorer.html", mode=mode)
    charts = page.locator("#w2s-charts [role=img]")
    assert charts.count() == 7
    for width in (1680, 1280, 390):
        page.set_viewport_size({"width": width, "height": 844})
        spill = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        page.wait_for_function(f"{spill} <= 0")
        for chart in charts.all():
            assert chart.get_attribute("aria-label")
            assert chart.locator(".scatterlayer .trace").count() >= 3
            page.wait_for_function(
                "id => document.querySelector(`#${id} svg`).clientWidth <= innerWidth",
                arg=chart.get_attribute("id"),
            )
    ink = page.locator("#w2s-phase .xtitle").evaluate("text => getComputedStyle(text).fill")
    light = sum(map(int, ink[4:-1].split(","))) > 3 * 128
    assert light == (mode == "dark")


def test_controls_have_names_and_values_can_be_read(visit):
    page = visit("explorer.html", width=390)
    for control in page.locator("#w2s-explorer input").all():
        named = "e => Boolean(e.labels?.length || e.getAttribute('aria-label'))"
        assert control.evaluate(named)
    page.locator("#w2s-explorer summary").focus()
    page.keyboard.press("Enter")
    for which in ("N", "n"):
        rows = page.locator(f"#w2s-values-{which} tbody tr")
        assert rows.count() == 8
        assert rows.first.locator("td").count() == 6
        assert rows.first.is_visible()


def test_the_plotting_library_is_loaded_on_this_page_only(visit):
    assert visit("explorer.html").evaluate("typeof Plotly") == "object"
    assert visit("index.html").evaluate("typeof Plotly") == "undefined"


def test_without_script_the_page_says_where_the_numbers_are(visit):
    page = visit("explorer.html", script=False)
    assert "w2s_utils.theory.risks" in page.locator("article").inner_text()
    assert page.locator("#w2s-explorer").is_hidden()
