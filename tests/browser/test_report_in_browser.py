"""The page of ``w2s report``, opened from disk as a user opens it."""

import pytest
from click.testing import CliRunner

from w2s_experiments import report_example as example
from w2s_report.command import report

WIDTHS = (1280, 390)


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    paths = example.write_digits(folder, labelled=120, seed=0)
    given = ["--strong", paths.pop("strong"), "--labels", paths.pop("labels"), "--trials", 4]
    for name, path in paths.items():
        given += ["--weak", f"{name}={path}"]
    out = folder / "report.html"
    done = CliRunner().invoke(report, [*map(str, given), "--out", str(out)])
    assert done.exit_code == 0, done.output
    return out


@pytest.fixture
def opened(tab, page_file):
    requests, complaints = [], []
    listeners = {
        "request": lambda request: requests.append(request.url),
        "console": lambda message: complaints.append(message.text),
        "pageerror": lambda error: complaints.append(str(error)),
    }

    def visit(mode="light", width=1280):
        page = tab(listeners, width=width, mode=mode)
        page.goto(page_file.as_uri(), wait_until="load")
        return page

    yield visit
    assert not [url for url in requests if not url.startswith((page_file.as_uri(), "data:"))]
    assert not complaints


def test_figures_are_drawn_and_described(opened):
    page = opened()
    images = page.locator("figure img").all()
    assert images
    for image in images:
        assert image.evaluate("i => i.complete && i.naturalWidth > 0")
        assert len(image.get_attribute("alt")) > 20
    assert page.locator("figcaption").count() == len(images)
    assert page.locator(".w2s-verdict strong").first.inner_text().endswith(".")


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_scrolls_sideways(opened, width):
    page = opened(width=width)
    spill = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(spill) <= 0


def test_light_and_dark(opened):
    colour = "() => getComputedStyle(document.body).backgroundColor"
    light, dark = opened("light"), opened("dark")
    assert light.evaluate(colour) == "rgb(253, 252, 250)"
    assert dark.evaluate(colour) == "rgb(25, 24, 23)"
    shown = "() => getComputedStyle(document.querySelector('figure img')).filter"
    assert light.evaluate(shown) == "none"
    assert "invert" in dark.evaluate(shown)
