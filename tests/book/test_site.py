"""The built site of the smoke profile, read as files."""

import json
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def pages(site):
    """Return every page of the site, parsed, by its path."""
    found = {path: path.read_text("utf-8") for path in sorted(site.rglob("*.html"))}
    return {
        path.relative_to(site).as_posix(): BeautifulSoup(text, "html.parser")
        for path, text in found.items()
        if "_static" not in path.parts
    }


@pytest.fixture(scope="session")
def claims(smoke):
    return json.loads(smoke.claims.read_text("utf-8"))


def files_of(entry):
    """Yield the files of a table of contents, at any depth."""
    for key, value in entry.items():
        if key in ("file", "root"):
            yield value
        elif isinstance(value, list):
            for item in value:
                yield from files_of(item)


def test_every_page_of_the_contents_is_there(site):
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))
    missing = [name for name in files_of(toc) if not (site / f"{name}.html").exists()]
    assert not missing


def test_nothing_is_loaded_from_elsewhere(pages):
    loaded = [
        (page, tag.get("src") or tag.get("href"))
        for page, soup in pages.items()
        for tag in soup.select(
            "script[src], img[src], iframe[src], source[src], link[rel~=stylesheet], "
            "link[rel~=preload], link[rel~=icon], link[rel~=preconnect]"
        )
    ]
    assert loaded
    outside = [entry for entry in loaded if re.match(r"(https?:)?//", entry[1])]
    assert not outside


def test_style_sheets_load_nothing_from_elsewhere(site):
    remote = re.compile(r"(?:url\(|@import\s)['\"]?(?:https?:)?//")
    outside = [path for path in site.rglob("*.css") if remote.search(path.read_text("utf-8"))]
    assert not outside


def test_every_file_a_page_asks_for_exists(site, pages):
    missing = []
    for page, soup in pages.items():
        for tag in soup.select("script[src], img[src], link[rel~=stylesheet], a.download"):
            address = urlsplit(tag.get("src") or tag.get("href"))
            target = (site / page).parent / unquote(address.path)
            if not address.scheme and not target.exists():
                missing.append((page, address.path))
    assert not missing


def test_every_image_has_alternative_text(pages):
    images = [(page, img) for page, soup in pages.items() for img in soup.select("article img")]
    assert images
    assert not [(page, img["src"]) for page, img in images if not img.get("alt", "").strip()]


def test_every_figure_has_a_number_and_a_caption(pages):
    figures = [
        figure
        for soup in pages.values()
        for figure in soup.select("article figure:not(.w2s-protocol)")
    ]
    assert figures
    for figure in figures:
        assert figure.select_one(".caption-number").text.startswith("Figure ")
        assert figure.select_one(".caption-text").text.strip()
        assert figure.select_one("img, .w2s-moving")


def test_every_claim_is_in_the_ledger_and_has_its_anchor(pages, claims):
    assert claims
    entries = {tag["id"] for tag in pages["claims.html"].select("[id^=ledger-]")}
    assert entries == {f"ledger-{claim['id']}" for claim in claims}
    for claim in claims:
        target = f"notebooks/{claim['notebook']}.html"
        link = pages["claims.html"].find("a", href=f"{target}#claim-{claim['id']}")
        assert link is not None, claim["id"]
        assert pages[target].find(id=f"claim-{claim['id']}"), claim["id"]


def test_every_link_within_the_site_resolves(site, pages):
    broken = []
    places = {page: {tag["id"] for tag in soup.select("[id]")} for page, soup in pages.items()}
    for page, soup in pages.items():
        for link in soup.select("article a[href]"):
            address = urlsplit(link["href"])
            if address.scheme or link["href"] == "#":
                continue
            path = unquote(address.path)
            target = page if not path else relative(site, (site / page).parent / path)
            if target not in pages:
                if not (site / target).exists():
                    broken.append((page, link["href"]))
            elif address.fragment and unquote(address.fragment) not in places[target]:
                broken.append((page, link["href"]))
    assert not broken


def relative(site, path):
    return path.resolve().relative_to(site.resolve()).as_posix()


def test_theorems_are_listed_with_their_numbers(pages):
    links = [link.text for link in pages["theorems.html"].select("article a.reference.internal")]
    numbered = [text for text in links if re.fullmatch(r"[A-Z][a-z]+ \d+(\.\d+)?", text)]
    assert any(text.startswith("Theorem") for text in numbered)
    assert len(numbered) == len(set(numbered))


def test_statements_share_one_counter(pages):
    for page, soup in pages.items():
        titles = soup.select("div.proof > p.admonition-title > .caption-number")
        numbers = [title.text.split()[-1] for title in titles if re.search(r"\d", title.text)]
        assert len(numbers) == len(set(numbers)), page


def test_executed_notebooks_can_be_downloaded(site, pages):
    notebooks = [page for page in pages if page.startswith("notebooks/")]
    assert notebooks
    for page in notebooks:
        link = pages[page].select_one(".btn-download-source-button")
        target = (site / page).parent / link["href"]
        notebook = json.loads(target.read_text("utf-8"))
        about = notebook["metadata"]["w2s"]
        outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
        assert bool(outputs) == about["executed"], page


def test_downloads_are_plain_markdown(site, pages):
    for page in (page for page in pages if page.startswith("notebooks/")):
        path = site / "_sources" / page.replace(".html", ".ipynb")
        cells = json.loads(path.read_text("utf-8"))["cells"]
        written = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
        assert "pip install" in "".join(cells[1]["source"]), page
        assert not re.findall(
            r"\{(?:cite|prf|numref|eq|doc)[\w:]*\}`|^[`:]{3,}\{", written, re.M
        ), page


def test_pages_say_what_they_are_and_how_to_cite_them(pages):
    for page, soup in pages.items():
        assert len(soup.select('meta[name="viewport"]')) == 1, page
        if page not in ("genindex.html", "py-modindex.html", "prf-prf.html", "search.html"):
            assert soup.select_one('meta[property="og:title"]'), page
        if page.startswith("notebooks/"):
            assert len(soup.select_one('meta[name="description"]')["content"]) > 40, page
            assert "@incollection" in soup.select_one(".w2s-cite pre").text, page


def test_the_bibliography_links_to_its_sources(pages):
    entries = pages["bibliography.html"].select(".citation")
    outside = [e for e in entries if e.select_one('a[href^="https://"]')]
    assert len(outside) > 15


def test_figures_carry_the_font_that_their_text_asks_for(site):
    texts = {path: path.read_text("utf-8") for path in (site / "_images").glob("*.svg")}
    lettered = {path: text for path, text in texts.items() if "Source Sans Pro" in text}
    assert lettered
    for path, text in lettered.items():
        assert "@font-face{font-family:'Source Sans Pro'" in text, path
        assert "<text" in text, path


def test_no_page_shows_an_error(pages):
    for page, soup in pages.items():
        assert not soup.select("div.traceback, .problematic, .system-message"), page


def test_no_path_of_a_machine_is_published(site):
    folders = r"/(?:home|Users|root|tmp|private|mnt)/\w|[A-Z]:\\\\Users"
    inside = re.compile(f"{folders}|{re.escape(str(ROOT))}")
    suffixes = {".html", ".ipynb", ".js", ".txt"}
    leaks = [
        (path.relative_to(site).as_posix(), found.group())
        for path in site.rglob("*")
        if path.suffix in suffixes and "_static" not in path.parts
        for found in inside.finditer(path.read_text("utf-8"))
    ]
    assert not leaks


def test_the_site_is_light(site):
    total = sum(path.stat().st_size for path in site.rglob("*") if path.is_file())
    mathjax = sum(p.stat().st_size for p in (site / "_static" / "mathjax").rglob("*.*"))
    assert mathjax < 4e6
    assert total < 60e6


def test_pages_offer_no_link_to_a_file_outside_git(pages):
    for page, soup in pages.items():
        labels = [str(tag.get("class")) for tag in soup.select(".article-header-buttons a, .btn")]
        unwanted = [label for label in labels if re.search("launch|edit|repository", label)]
        assert not unwanted, page
