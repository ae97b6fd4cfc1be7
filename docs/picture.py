"""Take the README's picture: a figure and its claims on a desktop, a theorem on a phone, dark.

Run ``make book`` first, then ``.venv/bin/python docs/picture.py``. Needs a system Chromium and
playwright (extra ``test``); writes ``docs/page.png``.
"""

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
CHAPTER = "notebooks/misfit/projection.html"
HEIGHT, GAP = 1080, 24


def shot(browser: Browser, width: int, mode: str, target: str) -> Image.Image:
    """Show the chapter at ``target`` (a selector, put near the top) and take a picture."""
    page = browser.new_page(
        viewport={"width": width, "height": HEIGHT}, color_scheme=mode, reduced_motion="reduce"
    )
    page.goto((ROOT / "_build" / "html" / CHAPTER).resolve().as_uri())
    page.wait_for_function("MathJax.startup.promise.then(() => true)")
    page.locator(target).first.evaluate("node => scrollTo(0, node.offsetTop - 90)")
    page.wait_for_timeout(500)
    return Image.open(io.BytesIO(page.screenshot()))


def main() -> None:
    """Write ``docs/page.png``."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("no Chromium found: install the package chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        parts = [shot(browser, 1280, "light", "figure"), shot(browser, 390, "dark", "h1")]
        browser.close()
    picture = Image.new("RGB", (sum(part.width for part in parts) + GAP, HEIGHT), "white")
    picture.paste(parts[0], (0, 0))
    picture.paste(parts[1], (parts[0].width + GAP, 0))
    # 256 colours, spread so that the few coloured points keep theirs: half the size.
    picture = picture.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    picture.save(ROOT / "docs" / "page.png", optimize=True)


if __name__ == "__main__":
    main()
