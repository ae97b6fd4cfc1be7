"""Sphinx extension: the notebooks that a page offers open well in plain Jupyter.

The pages are written in MyST, of which Jupyter knows the plain part only: a theorem would be a
block of code there, a citation a word in braces. What is downloaded says the same in Markdown, and
its first cell says what to install.
"""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

from pybtex.database import Entry, parse_file
from sphinx.application import Sphinx

INSTALL = """\
This notebook is a chapter of *{book}*. It needs the book's library:

```
pip install "w2s_utils[book] @ git+{repository}"
```
"""
FROM_CLONE = INSTALL.replace(
    'pip install "w2s_utils[book] @ git+{repository}"', "pip install -e .[book]    # in a clone"
)
FENCE = re.compile(
    r"^(?P<marks>`{3,}|:{3,})\{(?P<kind>[\w:-]+)\}[ \t]*(?P<title>[^\n]*)\n"
    r"(?P<body>.*?)^(?P=marks)[ \t]*$",
    flags=re.MULTILINE | re.DOTALL,
)
# What a page's name may begin with, seen from another folder.
PLACE = re.compile(r"^(?:\.\./|/|notebooks/)+")
OPTION = re.compile(r"\A(?::[\w-]+:[^\n]*\n)+")
NAMES = {
    **{"solution-start": "Solution", "exercise-start": "Exercise", "dropdown": ""},
    "moving": "A figure that moves on the book's page",
}
SILENT = {"solution-end", "exercise-end", "bibliography", "tableofcontents"}


def quoted(kind: str, title: str, body: str, words: dict[str, str]) -> str:
    """Return a directive as a blockquote with a title in bold."""
    if kind in SILENT:
        return ""
    if kind in ("solution-start", "moving"):
        title = ""  # it names an exercise by its label, a figure by its file
    label = re.search(r"^:label:[ \t]*(\S+)", body, flags=re.MULTILINE)
    body = OPTION.sub("", body)
    if kind in ("math", "code-block", "code"):
        return f"$$\n{body.strip()}\n$$" if kind == "math" else f"```{title}\n{body}```"
    name = NAMES.get(kind, kind.rsplit(":", 1)[-1].replace("-", " ").capitalize())
    name = words.get(label[1], name) if label else name
    remark = f" ({title})" if title and name else title
    heading = f"**{name}{remark}.**\n\n" if name or title else ""
    whole = f"{heading}{plain(body, words).strip()}".strip()
    return re.sub(r"^", "> ", whole, flags=re.MULTILINE)


def plain(text: str, words: dict[str, str]) -> str:
    """Return MyST as the Markdown that Jupyter shows."""

    def directive(match: re.Match[str]) -> str:
        return quoted(match["kind"], match["title"].strip(), match["body"], words)

    text = FENCE.sub(directive, text)
    text = re.sub(r"^\{[.#][^}\n]*\}\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"^\([\w:-]+\)=\n", "", text, flags=re.MULTILINE)
    return re.sub(r"\$\$[ \t]*\(([\w:-]+)\)", "$$", text)


def roles(text: str, words: dict[str, str]) -> str:
    """Replace roles by what the page shows for them."""

    def shown(match: re.Match[str]) -> str:
        content = match["content"]
        told = re.fullmatch(r"(?s)(.*?)\s*<[^>]*>", content)
        if told:
            return told[1]
        if match["role"].startswith("cite"):
            return ", ".join(words.get(key.strip(), key) for key in content.split(","))
        name = PLACE.sub("", content)
        same = (
            text for key, text in words.items() if PLACE.sub("", key) in (name, Path(name).name)
        )
        return words.get(content) or next(same, name)

    return re.sub(r"\{(?P<role>[\w:-]+)\}`(?P<content>[^`]+)`", shown, text)


def words_of(page: str) -> dict[str, str]:
    """Return what a finished page shows for each target that it refers to."""
    links = re.findall(
        r'<a class="reference internal" href="([^"]+)"[^>]*>(.*?)</a>', page, re.DOTALL
    )
    words = {}
    for address, shown in links:
        path, _, anchor = address.partition("#")
        text = html.unescape(re.sub(r"<[^>]+>", "", shown)).strip()
        words[anchor.removeprefix("equation-") or path.removesuffix(".html")] = text
    return words


def citations(bibliography: Path) -> dict[str, str]:
    """Return author and year of each entry, as the pages cite it."""
    entries = parse_file(str(bibliography)).entries
    return {key: f"{authors(entry)} [{entry.fields['year']}]" for key, entry in entries.items()}


def authors(entry: Entry) -> str:
    """Return one or two last names, or the first and others."""
    names = [" ".join(author.last_names) for author in entry.persons["author"]]
    return " and ".join(names) if len(names) < 3 else f"{names[0]} et al."


def rewrite(path: Path, words: dict[str, str], first: str) -> None:
    """Make one downloaded notebook plain."""
    notebook: dict[str, Any] = json.loads(path.read_text("utf-8"))
    for cell in notebook["cells"]:
        texts = [(cell, "source")] if cell["cell_type"] == "markdown" else []
        outputs = [output.get("data", {}) for output in cell.get("outputs", [])]
        texts += [(data, "text/markdown") for data in outputs if "text/markdown" in data]
        for holder, key in texts:
            holder[key] = roles(plain("".join(holder[key]), words), words)
    install = {"cell_type": "markdown", "id": "install", "metadata": {}, "source": first}
    notebook["cells"].insert(1, install)
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", "utf-8")


def rewrite_all(app: Sphinx, exception: Exception | None) -> None:
    """Make every downloaded notebook plain."""
    if exception is not None or app.builder.format != "html":
        return
    out, book = Path(app.outdir), app.config.html_title
    repository = app.config.html_theme_options.get("repository_url")
    first = INSTALL.format(book=book, repository=repository)
    if not repository:
        first = FROM_CLONE.format(book=book)
    sources = out / "_sources"
    cited: dict[str, str] = {}
    for name in app.config.bibtex_bibfiles:
        cited |= citations(Path(app.srcdir, name))
    for path in sources.rglob("*.ipynb"):
        page = (out / path.relative_to(sources)).with_suffix(".html")
        if page.exists():
            rewrite(path, words_of(page.read_text("utf-8")) | cited, first)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("build-finished", rewrite_all)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
