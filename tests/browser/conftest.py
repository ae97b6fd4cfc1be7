import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

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
    handler = partial(Quiet, directory=str(smoke.html))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def visit(browser, address):
    """Return a function that opens a page and records what went wrong while it was open.

    Afterwards the test fails on any request to another host, failed request or console error.
    """
    contexts, complaints = [], []

    def open_page(path, *, width=1280, mode="light", script=True):
        context = browser.new_context(
            viewport={"width": width, "height": 844},
            color_scheme=mode,
            java_script_enabled=script,
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("request", lambda request: note_outside(request.url))
        if script:
            page.on("requestfailed", lambda request: complaints.append(f"failed: {request.url}"))
        page.on("response", lambda r: r.ok or complaints.append(f"{r.status}: {r.url}"))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("console", lambda message: note_console(message))
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
    for context in contexts:
        context.close()
    assert not complaints
