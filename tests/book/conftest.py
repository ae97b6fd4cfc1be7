from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def site(smoke) -> Path:
    """Return the built site of the smoke profile."""
    if not (smoke.html / "index.html").exists():
        pytest.fail(f"{smoke.html} is not built: run `make test`, or `PROFILE=smoke doit html`")
    return smoke.html
