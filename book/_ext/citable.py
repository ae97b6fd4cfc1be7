"""Sphinx extension: what search engines, link previews and reference managers read of a page.

Two addresses make links of it, each in one place of ``_config.yml``: ``html.baseurl``, where the
book is published, and ``repository.url``, where its source is. Continuous integration may give
them as ``W2S_BASE_URL`` and ``W2S_REPOSITORY_URL``. Without them nothing is invented: descriptions
and citations are there, absolute addresses are not.
"""

from __future__ import annotations

import functools
import html
import os
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from sphinx.application import Sphinx

CITATION = Path(__file__).resolve().parents[2] / "CITATION.cff"
PICTURE = "_static/preview.png"
LONGEST = 200
NOT_FOUND = """<h1>There is no such page</h1>
<p>It may have moved. The <a href="{index}">front page</a> leads to every chapter, and the
<a href="{search}">search</a> finds statements, figures and terms.</p>"""


@functools.cache
def citation() -> dict[str, Any]:
    """Return what CITATION.cff says."""
    return dict(yaml.safe_load(CITATION.read_text("utf-8")))


def settle(app: Sphinx, config: Any) -> None:
    """Take the two addresses from the environment where it gives them."""
    base = os.environ.get("W2S_BASE_URL") or config.html_baseurl or ""
    config.html_baseurl = f"{base.rstrip('/')}/" if base else ""
    if repository := os.environ.get("W2S_REPOSITORY_URL"):
        config.html_theme_options["repository_url"] = repository
    config.html_theme_options["use_repository_button"] = bool(
        config.html_theme_options.get("repository_url")
    )


def description(doctree: nodes.document) -> str:
    """Return the first paragraph of a page in plain words, cut at a word."""
    for paragraph in doctree.findall(nodes.paragraph):
        if any(paragraph.findall(nodes.image)):
            continue
        text = " ".join(paragraph.astext().split())
        if len(text) > 40:
            return textwrap.shorten(text, LONGEST, placeholder=" …")
    return ""


def tags(app: Sphinx, page: str, title: str, about: str) -> Iterator[str]:
    """Yield the elements of a page's head."""
    cff = citation()
    base = app.config.html_baseurl
    picture = f"{base}{PICTURE}"
    named: dict[str, str] = {
        "description": about,
        "citation_title": title,
        "citation_author": cff["authors"][0]["name"],
        "citation_publication_date": app.config.copyright,
        "citation_inbook_title": app.config.html_title,
        "citation_language": app.config.language,
        "twitter:card": "summary_large_image",
    }
    if base:
        named["citation_fulltext_html_url"] = f"{base}{page}.html"
    for name, content in named.items():
        if content:
            yield f'<meta name="{name}" content="{html.escape(content)}">'
    graph = {
        "og:title": title,
        "og:description": about,
        "og:type": "book" if page == app.config.root_doc else "article",
        "og:site_name": app.config.html_title,
        "og:image": picture if base else "",
        "og:image:alt": "A student's function is the projection of its teacher's onto a class.",
        "og:url": f"{base}{page}.html" if base else "",
    }
    for name, content in graph.items():
        if content:
            yield f'<meta property="{name}" content="{html.escape(content)}">'


def cite(app: Sphinx, page: str, title: str) -> str:
    """Return the block that says how to cite a page."""
    cff = citation()
    author, year = cff["authors"][0]["name"], app.config.copyright
    book, version = app.config.html_title, cff["version"]
    address = f"{app.config.html_baseurl}{page}.html" if app.config.html_baseurl else ""
    fields = {
        "author": f"{{{author}}}",
        "title": title,
        "booktitle": book,
        "year": year,
        "note": f"Version {version}",
        "url": address,
    }
    lines = [f"  {name} = {{{content}}}" for name, content in fields.items() if content]
    entry = f"@incollection{{{page.rsplit('/', 1)[-1].replace('_', '-')}-{year},\n"
    entry += ",\n".join(lines) + "\n}"
    words = (
        f"{author} ({year}). “{title}”. In: <cite>{html.escape(book)}</cite>, version {version}."
    )
    link = f' <a href="{address}">{address}</a>' if address else ""
    return (
        f'<details class="w2s-cite"><summary>Cite this page</summary><p>{words}{link}</p>'
        f"<pre>{html.escape(entry)}</pre></details>"
    )


def describe(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Put head and citation into a page."""
    title = re.sub(r"<[^>]+>", "", html.unescape(context.get("title") or ""))
    title = re.sub(r"^\d+\. ", "", title)
    about = description(doctree) if doctree is not None else ""
    # Docutils writes a viewport of its own here; `page_form` writes the one there is.
    context["metatags"] = "\n".join([context.get("metatags", ""), *tags(app, page, title, about)])
    if page == app.config.root_doc:
        context["title"] = (
            f"{app.config.html_title}: weak-to-strong generalization, proved and measured"
        )
        context["docstitle"] = ""
    if page.startswith("notebooks/") and context.get("body"):
        context["body"] += cite(app, page, title)
    if page == "404" and app.config.html_baseurl:
        # It is shown at any address, so its links start at the root of the book.
        context["metatags"] += f'<base href="{app.config.html_baseurl}">'


def not_found(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield the page for an address that there is not."""
    body = NOT_FOUND.format(index=f"{app.config.root_doc}.html", search="search.html")
    yield "404", {"title": "Page not found", "body": body}, "page.html"


def write_files(app: Sphinx, exception: Exception | None) -> None:
    """Write the picture of link previews, ``robots.txt`` and, with an address, the sitemap."""
    if exception is not None or app.builder.format != "html":
        return
    out, base = Path(app.outdir), app.config.html_baseurl
    draw(out / PICTURE, app.config.html_title)
    robots = ["User-agent: *", "Allow: /", "Disallow: /_sources/"]
    if base:
        places = "".join(
            f"<url><loc>{html.escape(base)}{name}.html</loc></url>\n"
            for name in sorted(app.env.found_docs)
        )
        (out / "sitemap.xml").write_text(
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{places}</urlset>\n',
            "utf-8",
        )
        robots.append(f"Sitemap: {base}sitemap.xml")
    (out / "robots.txt").write_text("\n".join(robots) + "\n", "utf-8")


def draw(path: Path, title: str) -> None:
    """Draw teacher, student and truth, with the book's name, as link previews show it."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.patches import Circle

    from w2s_utils import figures

    with mpl.rc_context():
        figures.use_style()
        figure = Figure(figsize=(12, 6.3), facecolor="#fdfdfb", layout="none")
        axis = figure.add_axes((0.56, 0.05, 0.42, 0.9))
        axis.set(xlim=(-1.35, 1.6), ylim=(-1.4, 1.7), aspect="equal")
        axis.axis("off")
        axis.add_patch(Circle((0, 0), 1.1, color=figures.STUDENT, alpha=0.15, lw=0))
        teacher, student, truth = (1.0, 1.35), (0.655, 0.884), (0.2, -0.5)
        for (x, y), colour, name in (
            (teacher, figures.TEACHER, "teacher"),
            (student, figures.STUDENT, "student"),
            (truth, figures.CEILING, "truth"),
        ):
            axis.plot(x, y, "o", ms=16, color=colour, zorder=3)
            axis.text(x - 0.12, y, name, fontsize=24, color=colour, ha="right", va="center")
        axis.plot(*zip(teacher, student, truth, teacher, strict=True), color="#1d1f22", lw=2)
        figure.text(0.06, 0.58, title, fontsize=40, weight="bold", color="#1d1f22")
        line = "When a weak teacher makes\na better student: proved,\nmeasured, and checked."
        figure.text(0.06, 0.26, line, fontsize=26, color="#565a60", linespacing=1.4)
        figure.savefig(path, dpi=100, transparent=False)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("config-inited", settle)
    app.connect("html-page-context", describe)
    app.connect("html-collect-pages", not_found)
    app.connect("build-finished", write_files)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
