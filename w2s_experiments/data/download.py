"""From a public address to the file that is stored: pooch downloads, archives are converted."""

from __future__ import annotations

import gzip
import hashlib
import json
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

from w2s_experiments.data.registry import DataError, DataFile

LARGEST = 1 << 28  # bytes of a member or of a decompressed file; what is larger is no data set here
_TIMEOUT = 30  # seconds without a byte
_DOMAINS = ("books", "dvd", "music")


def read_limited(stream: IO[bytes] | gzip.GzipFile) -> bytes:
    """Read what must fit into memory, or raise OSError: an archive can be made to fill it."""
    content = stream.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise OSError(f"it expands to more than {LARGEST >> 20} MiB")
    return content


def download(file: DataFile, folder: Path, *, progress: bool = True) -> Path:
    """Fetch the public file that a stored one is, or is made from, into a data folder.

    It appears under its name (an archive: below ``downloads``) only when it is complete and has its
    checksum, where one is published; until then whatever stood there stays.

    Raises
    ------
    DataError
        If there is no address, it cannot be reached, or it holds another file.
    """
    if not file.url:
        raise DataError(f"{file.path}: no public address. {file.note}")
    try:
        with warnings.catch_warnings():
            # On import tqdm warns in notebooks without widgets; its bar of text serves as well.
            warnings.filterwarnings("ignore", message="IProgress not found")
            import pooch
    except ImportError:
        raise DataError('pooch is not installed: pip install "w2s_utils[data]"') from None
    pooch.get_logger().setLevel("WARNING")  # the bar says what is fetched
    if file.member:
        address = hashlib.sha256(file.url.encode()).hexdigest()[:8]
        target = folder / "downloads" / f"{address}-{file.url.rsplit('/', 1)[-1]}"
    else:
        target = folder / file.path
    try:
        fetched = pooch.retrieve(
            file.url,
            known_hash=file.public_hash if file.member else f"sha256:{file.sha256}",
            fname=target.name,
            path=target.parent,
            downloader=pooch.HTTPDownloader(progressbar=progress, timeout=_TIMEOUT),
        )
    except (OSError, ValueError) as error:  # requests' errors are OSErrors
        raise DataError(f"{file.url}: download failed, nothing was kept ({error})") from error
    return Path(fetched)


def make(file: DataFile, archive: Path) -> bytes:
    """Make a stored file from the public archive, compressed where it ends in ``.gz``.

    Raises
    ------
    DataError
        If its member is not there, or the archive is damaged.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened, opened.open(file.member) as stream:
                content = read_limited(stream)
        else:
            content = "".join(f"{line}\n" for line in reviews(archive, file.member)).encode()
    except (
        *(OSError, EOFError, KeyError, ValueError, ArithmeticError, RuntimeError),
        *(zipfile.BadZipFile, tarfile.TarError, zlib.error, ElementTree.ParseError),
    ) as error:
        raise DataError(
            f"{file.url}: cannot take {file.member!r} out of it ({error}); "
            f"delete {archive} to download it again"
        ) from error
    return gzip.compress(content, mtime=0) if file.path.endswith(".gz") else content


def reviews(archive: Path, part: str) -> Iterator[str]:
    """JSON lines of one part of Webis-CLS-10, French: ``fr/<domain>/<part>`` in XML.

    Reviewer, date, place and product are left out.
    """
    with tarfile.open(archive) as tar:
        members = {member.name: member for member in tar if member.isfile()}
        for domain in _DOMAINS:
            ending = f"fr/{domain}/{part}"
            name = next((name for name in members if name.endswith(ending)), None)
            stream = tar.extractfile(members[name]) if name else None
            if stream is None:
                raise KeyError(ending)
            root = ElementTree.fromstring(read_limited(stream))
            for i, item in enumerate(root.iter("item")):
                rating = int(float(item.findtext("rating", "")))
                record = {
                    "id": f"{domain}-{part.removesuffix('.review')}-{i:04d}",
                    "domain": domain,
                    "rating": rating,
                    "label": int(rating > 3),
                    "summary": item.findtext("summary"),
                    "text": item.findtext("text"),
                }
                yield json.dumps(record, ensure_ascii=False)
