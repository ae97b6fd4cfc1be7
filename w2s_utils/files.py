"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file beside its name, then rename it: whoever looks sees the old one or the new one.

    Parameters
    ----------
    path : Path
        What is replaced once the block has ended without an error.

    Yields
    ------
    Path
        What to write; it is gone afterwards.

    Raises
    ------
    OSError
        If it cannot be written; its ``filename`` is ``path``, on a full disk too.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise
    finally:
        with suppress(OSError):
            temporary.unlink()
