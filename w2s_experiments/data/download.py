"""From a public address to a checked file in the cache, whole or not at all."""

import gzip
import hashlib
import json
import os
import tarfile
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from w2s_experiments.data.parsers import read_bytes
from w2s_experiments.data.registry import DataError, DataFile, Remote

with warnings.catch_warnings():
    # On import tqdm warns in notebooks without widgets; its bar of text serves as well.
    warnings.filterwarnings("ignore", message="IProgress not found")
    import pooch

__all__ = ["checksum", "download", "user_cache"]

_TIMEOUT = 30  # seconds without a byte
_DOMAINS = ("books", "dvd", "music")


def user_cache() -> Path:
    """Folder of this package in the user's cache."""
    return Path(pooch.os_cache("w2s_utils"))


def checksum(path: Path, of: str) -> str:
    """SHA-256 of what `of` names in a file.

    Parameters
    ----------
    path : Path
        An existing file.
    of : {"bytes", "content", "splits"}
        See :class:`~w2s_experiments.data.registry.DataFile`.

    Returns
    -------
    str
        Hexadecimal digest.

    Raises
    ------
    DataError
        If the file cannot be read as `of` requires.
    """
    if of == "bytes":
        return pooch.file_hash(str(path))
    content = read_bytes(path)
    if of == "splits":
        try:
            splits = json.loads(content)["splits"]
            ordered = {s: {p: sorted(i) for p, i in parts.items()} for s, parts in splits.items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{path}: not a JSON file of splits ({error!r})") from error
        content = json.dumps(ordered, sort_keys=True, separators=(",", ":")).encode()
    return hashlib.sha256(content).hexdigest()


def download(file: DataFile, folder: Path, *, progress: bool = True) -> Path:
    """Fetch one file into a folder.

    The file appears under its name only when it is complete and its checksum is right; until then
    whatever stood there stays.

    Parameters
    ----------
    file : DataFile
        With a `remote`.
    folder : Path
        The data folder; `file.path` is relative to it.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    DataError
        If the address cannot be reached, or what it holds is not what was expected.
    """
    if file.remote is None:
        raise DataError(f"{file.path}: no public address. {file.note}")
    target = folder / file.path
    public = _retrieve(file.remote, folder, progress)
    target.parent.mkdir(parents=True, exist_ok=True)
    # The suffix is kept: it tells the readers whether the content is compressed.
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".part-", suffix=target.suffix)
    os.close(handle)
    part = Path(name)
    try:
        part.write_bytes(_convert(public, file.remote))
        found = checksum(part, file.of)
        if found != file.sha256:
            raise DataError(
                f"{file.remote.url}: what was made of it has SHA-256 {found}, "
                f"expected {file.sha256} for {file.path}; nothing was kept"
            )
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    if file.remote.how == "as is":
        public.unlink()
    return target


def _retrieve(remote: Remote, folder: Path, progress: bool) -> Path:
    """Public file in the folder ``downloads``, checked where a checksum is published."""
    name = f"{hashlib.sha256(remote.url.encode()).hexdigest()[:8]}-{remote.url.rsplit('/', 1)[-1]}"
    try:
        return Path(
            pooch.retrieve(
                remote.url,
                known_hash=remote.known_hash,
                fname=name,
                path=folder / "downloads",
                downloader=pooch.HTTPDownloader(progressbar=progress, timeout=_TIMEOUT),
            )
        )
    except (OSError, ValueError) as error:  # requests' errors are OSErrors
        raise DataError(f"{remote.url}: download failed, nothing was kept ({error})") from error


def _convert(public: Path, remote: Remote) -> bytes:
    """Bytes of the stored file, made from the public one."""
    try:
        if remote.how == "as is":
            return public.read_bytes()
        if remote.how == "webis":
            lines = "".join(f"{line}\n" for line in webis_lines(public, remote.member))
            return gzip.compress(lines.encode(), mtime=0)
        with zipfile.ZipFile(public) as archive:
            content = archive.read(remote.member)
        return gzip.compress(content, mtime=0) if remote.how.endswith("gzipped") else content
    except (OSError, KeyError, zipfile.BadZipFile, tarfile.TarError, ElementTree.ParseError) as e:
        raise DataError(
            f"{remote.url}: cannot take {remote.member!r} out of it ({e}); "
            f"delete {public} to download it again"
        ) from e


def webis_lines(archive: Path, part: str) -> Iterator[str]:
    """JSON lines of one part of Webis-CLS-10, French, from the public archive.

    Parameters
    ----------
    archive : Path
        ``cls-acl10-unprocessed.tar.gz``, which holds ``fr/<domain>/<part>.review`` in XML.
    part : {"train", "test"}
        Which part.

    Yields
    ------
    str
        One review; reviewer, date, place and product are left out.
    """
    with tarfile.open(archive) as tar:
        members = {member.name: member for member in tar}
        for domain in _DOMAINS:
            ending = f"fr/{domain}/{part}.review"
            name = next((name for name in members if name.endswith(ending)), None)
            if name is None:
                raise KeyError(ending)
            root = ElementTree.fromstring(tar.extractfile(members[name]).read())
            for i, item in enumerate(root.iter("item")):
                rating = int(float(item.findtext("rating")))
                record = {
                    "id": f"{domain}-{part}-{i:04d}",
                    "domain": domain,
                    "rating": rating,
                    "label": int(rating > 3),
                    "summary": item.findtext("summary"),
                    "text": item.findtext("text"),
                }
                yield json.dumps(record, ensure_ascii=False)
