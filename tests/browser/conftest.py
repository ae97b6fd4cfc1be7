import shutil
import threading
from collections import defaultdict
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
# Keep the browser from doing anything of its own on the network.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


def serve(folder):
    """Yield the address under which a folder can be seen, while it can be."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def browser():
    """Return the system's Chromium, driven by playwright."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("no Chromium here: install the package chromium (apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def address(smoke):
    """Serve the built site of the smoke profile and return its address."""
    if not (smoke.html / "index.html").exists():
        pytest.fail(f"{smoke.html} is not built: run `make test`, or `PROFILE=smoke doit html`")
    yield from serve(smoke.html)


@pytest.fixture(scope="session")
def idle():
    """Return the tabs that no test is using, by the settings of the context that each has."""
    return defaultdict(list)


@pytest.fixture
def tab(browser, idle):
    """Return a function that lends a tab, as good as new, until the end of the test.

    A new context costs a second of processor time, a tab that was there before a fifth of that.
    """
    lent = []

    def lend(listeners, *, width=1280, mode="light", **settings):
        key = tuple(sorted(settings.items()))
        page = idle[key].pop() if idle[key] else browser.new_context(**settings).new_page()
        lent.append((key, page, listeners))
        page.set_default_timeout(15_000)
        page.set_viewport_size({"width": width, "height": 844})
        page.emulate_media(color_scheme=mode, reduced_motion="no-preference")
        for event, listener in listeners.items():
            page.on(event, listener)
        return page

    yield lend
    for key, page, listeners in lent:
        for event, listener in listeners.items():
            page.remove_listener(event, listener)
        page.evaluate("localStorage.clear(), sessionStorage.clear()")
        page.goto("about:blank")
        page.mouse.move(0, 0)
        idle[key].append(page)


@pytest.fixture
def visit(tab, address):
    """Return a function that opens a page and records what went wrong while it was open.

    Afterwards the test fails on any request to another host, failed request or console error.
    """
    complaints = []

    def open_page(path, *, width=1280, mode="light", script=True):
        listeners = {
            "request": lambda request: note_outside(request.url),
            "response": lambda r: r.status < 400 or complaints.append(f"{r.status}: {r.url}"),
            "pageerror": lambda error: complaints.append(f"error: {error}"),
            "console": lambda message: note_console(message),
        }
        if script:
            listeners["requestfailed"] = lambda r: complaints.append(f"failed: {r.url}")
        page = tab(listeners, width=width, mode=mode, java_script_enabled=script)
        page.goto(f"{address}/{path}", wait_until="load")
        if script:
            # The page's script says when formulas are set and what is too wide has its place.
            page.wait_for_function("document.documentElement.classList.contains('w2s-typeset')")
        return page

    def note_outside(url):
        if not url.startswith((address, "data:", "blob:")):
            complaints.append(f"outside: {url}")

    def note_console(message):
        if message.type in ("error", "warning"):
            complaints.append(f"console: {message.text}")

    yield open_page
    assert not complaints


PAGE = """<!doctype html><html lang="en" data-theme="light"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>{name}</title>
<link rel="icon" href="data:,"><link rel="stylesheet" href="book.css">
<link rel="stylesheet" href="moving.css"><link rel="stylesheet" href="explorer.css">
<main class="bd-article">
<div class="w2s-moving" data-moving="{name}"><div class="w2s-figure-body">
{still}</div></div></main><script type="module" src="{name}.js"></script></html>
"""
BOOK = Path(__file__).resolve().parents[2] / "book"


@pytest.fixture(scope="session")
def bench(tmp_path_factory):
    """Serve the moving figures, each on a page of its own, and return the address."""
    folder = tmp_path_factory.mktemp("moving")
    moving = BOOK / "_ext" / "moving"
    for source in (*moving.iterdir(), BOOK / "_static" / "book.css"):
        shutil.copy(source, folder)
    for still in moving.glob("*.html"):
        page = PAGE.format(name=still.stem, still=still.read_text("utf-8"))
        (folder / still.name).write_text(page, "utf-8")
    yield from serve(folder)


@pytest.fixture
def figure(tab, bench):
    """Return a function that opens a moving figure's own page; no error may be logged there.

    A test has one tab for all that it opens with the same settings.
    """
    opened, complaints = {}, []
    listeners = {
        "pageerror": lambda error: complaints.append(f"error: {error}"),
        "console": lambda said: said.type == "error" and complaints.append(said.text),
    }

    def open_figure(name, *, width=1280, mode="light", script=True, touch=False, query=""):
        key = width, mode, script, touch
        if key not in opened:
            settings = {"java_script_enabled": script, "has_touch": touch}
            opened[key] = tab(listeners, width=width, mode=mode, **settings)
        page = opened[key]
        page.goto(f"{bench}/{name}.html{query}", wait_until="load")
        if script:
            page.wait_for_selector(".w2s-live")
        return page

    yield open_figure
    assert not complaints
