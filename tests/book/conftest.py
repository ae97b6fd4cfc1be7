import sys
from pathlib import Path

import pytest

# The book's Sphinx extensions are modules of the book, not of a package.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "book" / "_ext"))


@pytest.fixture(scope="session")
def site(smoke) -> Path:
    """Return the built site of the smoke profile."""
    if not (smoke.html / "index.html").exists():
        pytest.fail(f"{smoke.html} is not built: run `make test`, or `PROFILE=smoke doit html`")
    return smoke.html
