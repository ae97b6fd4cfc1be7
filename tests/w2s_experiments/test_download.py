"""Downloads from a server on this machine: good, corrupted, cut short, absent."""

import gzip
import hashlib
import io
import sys
import tarfile
import threading
import zipfile
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from w2s_experiments.data import datasets, download, registry
from w2s_experiments.data.datasets import DataError, DataFile

CONTENT = b"smiles,y\nCCO,1\n" * 50


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder; a path below /short/ promises more bytes than it sends."""

    def log_message(self, *args):
        pass

    def do_GET(self):
        if not self.path.startswith("/short/"):
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[:100])
        self.close_connection = True


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Folder of a web site, its address, and an empty cache."""
    root, cache = tmp_path / "site", tmp_path / "cache"
    root.mkdir()
    cache.mkdir()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("W2S_DATA_DIR", raising=False)
    monkeypatch.setattr(datasets, "cache_folder", lambda: cache)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield root, f"http://127.0.0.1:{server.server_port}", cache
    server.shutdown()
    server.server_close()
    thread.join()


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def file(url, content=CONTENT, path="toy/t.csv"):
    return DataFile(path, sha256(content), len(content), url=url)


def register(monkeypatch, *files):
    entry = registry.Entry("toy", "Toy", "none", "nobody", {}, files)
    monkeypatch.setitem(datasets.REGISTRY, "toy", entry)


def left_over(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_good_download(site, monkeypatch):
    root, url, cache = site
    (root / "t.csv").write_bytes(CONTENT)
    register(monkeypatch, file(f"{url}/t.csv"))
    assert not datasets.available("toy")
    assert datasets.fetch("toy", progress=False) == [cache / "toy/t.csv"]
    assert datasets.verify("toy") == [cache / "toy/t.csv"]
    assert (cache / "toy/t.csv").read_bytes() == CONTENT
    assert left_over(cache) == ["toy/t.csv"]
    (root / "t.csv").unlink()  # a second fetch does not ask again
    assert datasets.fetch("toy", progress=False) == [cache / "toy/t.csv"]


@pytest.mark.parametrize("name", ["t.csv", "short/t.csv", "absent.csv"])
def test_bad_download_leaves_nothing(site, monkeypatch, name):
    root, url, cache = site
    (root / "t.csv").write_bytes(CONTENT.replace(b"1", b"2", 1))
    register(monkeypatch, file(f"{url}/{name}"))
    with pytest.raises(DataError, match=r"download failed, nothing was kept.*W2S_DATA_DIR") as e:
        datasets.fetch("toy", progress=False)
    assert f"{url}/{name}" in str(e.value)
    assert left_over(cache) == []
    assert not datasets.available("toy")


def test_no_server(site, monkeypatch):
    register(monkeypatch, file("http://127.0.0.1:9/t.csv"))
    with pytest.raises(DataError, match="download failed"):
        datasets.fetch("toy", progress=False)


def test_damaged_cache_is_replaced_only_by_a_good_file(site, monkeypatch):
    root, url, cache = site
    (cache / "toy").mkdir()
    (cache / "toy/t.csv").write_bytes(b"damaged")
    register(monkeypatch, file(f"{url}/t.csv"))
    with pytest.raises(DataError):
        datasets.fetch("toy", progress=False)
    assert (cache / "toy/t.csv").read_bytes() == b"damaged"
    (root / "t.csv").write_bytes(CONTENT)
    datasets.fetch("toy", progress=False)
    assert (cache / "toy/t.csv").read_bytes() == CONTENT


def test_a_damaged_file_of_the_user_is_not_hidden_by_a_download(site, monkeypatch, tmp_path):
    root, url, cache = site
    (root / "t.csv").write_bytes(CONTENT)
    register(monkeypatch, file(f"{url}/t.csv"))
    (tmp_path / "mine/toy").mkdir(parents=True)
    (tmp_path / "mine/toy/t.csv").write_bytes(b"mine")
    monkeypatch.setenv("W2S_DATA_DIR", str(tmp_path / "mine"))
    with pytest.raises(DataError, match="SHA-256"):
        datasets.fetch("toy", progress=False)
    assert (tmp_path / "mine/toy/t.csv").read_bytes() == b"mine"
    assert left_over(cache) == []


def test_a_cache_that_cannot_be_written(site, monkeypatch, tmp_path):
    root, url, _ = site
    (root / "t.csv").write_bytes(CONTENT)
    (tmp_path / "file").write_text("where the folder should be")
    monkeypatch.setattr(datasets, "cache_folder", lambda: tmp_path / "file")
    register(monkeypatch, file(f"{url}/t.csv"))
    with pytest.raises(DataError, match=r"Try again, or put toy/t\.csv below"):
        datasets.fetch("toy", progress=False)


def test_nothing_is_written_into_the_folder_of_the_user(site, monkeypatch, tmp_path):
    root, url, cache = site
    (root / "t.csv").write_bytes(CONTENT)
    register(monkeypatch, file(f"{url}/t.csv"))
    mine = tmp_path / "mine"
    mine.mkdir()
    monkeypatch.setenv("W2S_DATA_DIR", str(mine))
    assert datasets.fetch("toy", progress=False) == [cache / "toy/t.csv"]
    assert left_over(mine) == []


def test_a_file_without_public_address_says_what_to_do(site, monkeypatch):
    register(monkeypatch, DataFile("toy/t.csv", "0" * 64, 1, note="Ask the authors."))
    with pytest.raises(DataError, match=r"no public address.*Ask the authors"):
        datasets.fetch("toy", progress=False)


def member(url, name="SST-2/t.tsv", content=CONTENT, *, zipped=False, **given):
    path, of = ("toy/t.tsv.gz", "content") if zipped else ("toy/t.tsv", "bytes")
    return DataFile(path, sha256(content), len(content), of, url, member=name, **given)


@pytest.mark.parametrize("zipped", [False, True])
def test_zip_members(site, monkeypatch, zipped):
    root, url, _ = site
    with zipfile.ZipFile(root / "a.zip", "w") as archive:
        archive.writestr("SST-2/t.tsv", CONTENT)
    register(monkeypatch, member(f"{url}/a.zip", zipped=zipped))
    (path,) = datasets.fetch("toy", progress=False)
    content = path.read_bytes()
    assert (gzip.decompress(content) if zipped else content) == CONTENT


def test_an_archive_with_another_checksum_is_not_opened(site, monkeypatch):
    root, url, cache = site
    with zipfile.ZipFile(root / "a.zip", "w") as archive:
        archive.writestr("SST-2/t.tsv", CONTENT)
    register(monkeypatch, member(f"{url}/a.zip", public_hash=f"md5:{'0' * 32}"))
    with pytest.raises(DataError, match="download failed, nothing was kept"):
        datasets.fetch("toy", progress=False)
    assert left_over(cache) == []


@pytest.mark.parametrize(
    ("archive", "name", "complaint"),
    [
        ("a.zip", "SST-2/t.tsv", r"SHA-256 is .*expected"),
        ("a.zip", "gone.tsv", r"cannot take 'gone\.tsv' out of it.*delete"),
        ("a.zip", "large", r"cannot take 'large' out of it.*more than 1 MiB"),
        ("b.zip", "SST-2/t.tsv", "cannot take"),
        ("cut.zip", "SST-2/t.tsv", "cannot take"),
    ],
)
def test_archives_that_are_not_what_they_should_be(site, monkeypatch, archive, name, complaint):
    root, url, cache = site
    monkeypatch.setattr(download, "LARGEST", 1 << 20)
    with zipfile.ZipFile(root / "a.zip", "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("SST-2/t.tsv", b"other")
        opened.writestr("large", bytes(1 << 24))
        opened.writestr("../../escaped", b"out of the folder")
    (root / "b.zip").write_bytes(b"no archive")
    (root / "cut.zip").write_bytes((root / "a.zip").read_bytes()[:-40])
    register(monkeypatch, member(f"{url}/{archive}", name))
    with pytest.raises(DataError, match=complaint):
        datasets.fetch("toy", progress=False)
    assert not [path for path in left_over(cache) if not path.startswith("downloads/")]
    assert not list(cache.parent.rglob("escaped"))


REVIEW = (
    "<?xml version='1.0' encoding='utf-8'?><items><item><category>X</category>"
    "<rating>{stars}.0</rating><text>tr\u00e8s\n bien &amp; beau</text><title>T</title>"
    "<summary>Oui</summary><reviewer>R</reviewer></item></items>"
)


def test_reviews_from_the_public_archive(site, monkeypatch):
    root, url, _ = site
    with tarfile.open(root / "a.tar.gz", "w:gz") as tar:
        for stars, domain in ((2, "music"), (4, "books"), (5, "dvd")):  # not in our order
            content = REVIEW.format(stars=stars).encode()
            info = tarfile.TarInfo(f"cls/fr/{domain}/test.review")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    rest = '"summary": "Oui", "text": "très\\n bien & beau"}\n'
    expected = (
        f'{{"id": "books-test-0000", "domain": "books", "rating": 4, "label": 1, {rest}'
        f'{{"id": "dvd-test-0000", "domain": "dvd", "rating": 5, "label": 1, {rest}'
        f'{{"id": "music-test-0000", "domain": "music", "rating": 2, "label": 0, {rest}'
    ).encode()
    stored = member(f"{url}/a.tar.gz", "test.review", expected, zipped=True)
    register(monkeypatch, stored)
    (path,) = datasets.fetch("toy", progress=False)
    assert gzip.decompress(path.read_bytes()) == expected
    register(monkeypatch, stored, replace(stored, path="toy/train.gz", member="train.review"))
    with pytest.raises(DataError, match=r"fr/books/train\.review"):
        datasets.fetch("toy", progress=False)
    assert gzip.decompress(path.read_bytes()) == expected


def test_without_pooch_the_error_says_how_to_get_it(site, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    register(monkeypatch, file(f"{site[1]}/t.csv"))
    with pytest.raises(DataError, match=r'pip install "w2s_utils\[data\]"'):
        datasets.fetch("toy", progress=False)
