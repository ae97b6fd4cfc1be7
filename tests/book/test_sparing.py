"""What is done once, and by several processes, gives the pages that it would give without."""

import os
import subprocess
import sys
from pathlib import Path

EXTENSIONS = Path(__file__).resolve().parents[2] / "book" / "_ext"
PAGES = "abcdefg"
CONFIGURATION = """
import sys
sys.path.insert(0, {folder!r})
extensions = ["myst_parser", "sphinx_proof", "sphinxcontrib.bibtex", *{added}]
myst_enable_extensions = ["dollarmath"]
bibtex_bibfiles = ["references.bib"]
exclude_patterns = ["_build"]
html_theme = "sphinx_book_theme"
html_theme_options = {{"show_navbar_depth": 2, "home_page_in_toc": True}}
numfig = True
"""
INDEX = """# Book

```{{toctree}}
:caption: One
:numbered: 1
{first}
```

```{{toctree}}
:caption: Two
:hidden:
{second}
```
"""
PAGE = """# Page {name}

Cells of {{cite}}`one`; {{prf:ref}}`t-{name}`, {{prf:ref}}`t-{next}`, {{numref}}`f-{next}`.

```{{prf:theorem}} Of {name}
:label: t-{name}
Words of {name}.
```

## Section of {name}

```{{figure}} dot.svg
:name: f-{name}
A figure of {name}
```

### A part of it

"""
BELOW = "```{toctree}\n:maxdepth: 2\nbelow\n```\n"


def built(root, added):
    """Return the pages that a small book becomes with these extensions, and its search index."""
    root.mkdir()
    (root / "conf.py").write_text(CONFIGURATION.format(folder=str(EXTENSIONS), added=added))
    (root / "dot.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    (root / "references.bib").write_text("@misc{one, title={T}, author={A, B}, year={2001}}")
    (root / "index.md").write_text(
        INDEX.format(first="\n".join(PAGES[:3]), second="\n".join([*PAGES[3:], "bibliography"]))
    )
    (root / "bibliography.md").write_text("# Bibliography\n\n```{bibliography}\n```\n")
    for name, after in zip(PAGES, PAGES[1:] + PAGES[0], strict=True):
        text = PAGE.format(name=name, next=after)
        (root / f"{name}.md").write_text(text + BELOW * (name == "b"))
    (root / "below.md").write_text("# Below\n\n## Section below\n\nText.\n")
    command = [sys.executable, "-m", "sphinx", "-W", "-b", "html", ".", "_build"]
    done = subprocess.run(
        command, cwd=root, env=os.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    pages = {path.name: path.read_text() for path in (root / "_build").glob("*.html")}
    return pages | {"index of the search": (root / "_build/searchindex.js").read_text()}


def test_a_page_is_the_same_with_and_without(tmp_path):
    without, with_them = built(tmp_path / "a", []), built(tmp_path / "b", ["two_cores", "sparing"])
    assert len(without) > len(PAGES)
    assert "Section below" in without["below.html"]
    assert with_them == without
