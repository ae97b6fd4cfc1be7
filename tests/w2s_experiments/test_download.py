"""Downloads from a server on this machine: good, corrupted, cut short, absent."""

import gzip
import hashlib
import io
import tarfile
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from w2s_experiments.data import datasets, registry
from w2s_experiments.data.datasets import DataError, DataFile, Remote
from w2s_experiments.data.download import download

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
    return DataFile(path, sha256(content), len(content), Remote(url, f"sha256:{sha256(content)}"))


def register(monkeypatch, *files):
    entry = registry.Entry("toy", "Toy", files, "none", "nobody", "csv", 50)
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


def test_a_file_without_public_address_says_what_to_do(site, monkeypatch):
    register(monkeypatch, DataFile("toy/t.csv", "0" * 64, 1, None, note="Ask the authors."))
    with pytest.raises(DataError, match=r"no public address.*Ask the authors"):
        datasets.fetch("toy", progress=False)


def zipped(url, how, of, member="SST-2/t.tsv", content=CONTENT):
    return DataFile("toy/t.tsv.gz" if of == "content" else "toy/t.tsv", sha256(content),
                    len(content), Remote(url, None, how, member), of=of)  # fmt: skip


@pytest.mark.parametrize(
    ("how", "of"), [("zip member", "bytes"), ("zip member, gzipped", "content")]
)
def test_zip_members(site, how, of):
    root, url, cache = site
    with zipfile.ZipFile(root / "a.zip", "w") as archive:
        archive.writestr("SST-2/t.tsv", CONTENT)
    path = download(zipped(f"{url}/a.zip", how, of), cache, progress=False)
    content = path.read_bytes()
    assert (gzip.decompress(content) if of == "content" else content) == CONTENT


def test_zip_without_the_member_or_with_another_one(site):
    root, url, cache = site
    with zipfile.ZipFile(root / "a.zip", "w") as archive:
        archive.writestr("SST-2/t.tsv", b"other")
    with pytest.raises(DataError, match=r"SHA-256.*nothing was kept"):
        download(zipped(f"{url}/a.zip", "zip member", "bytes"), cache, progress=False)
    with pytest.raises(DataError, match=r"cannot take 'gone\.tsv' out of it.*delete"):
        download(zipped(f"{url}/a.zip", "zip member", "bytes", "gone.tsv"), cache, progress=False)
    (root / "b.zip").write_bytes(b"no archive")
    with pytest.raises(DataError, match="cannot take"):
        download(zipped(f"{url}/b.zip", "zip member", "bytes"), cache, progress=False)
    assert [name for name in left_over(cache) if not name.startswith("downloads/")] == []


REVIEW = (
    "<?xml version='1.0' encoding='utf-8'?><items><item><category>X</category>"
    "<rating>{stars}.0</rating><text>tr\u00e8s\n bien &amp; beau</text><title>T</title>"
    "<summary>Oui</summary><reviewer>R</reviewer></item></items>"
)


def test_reviews_from_the_public_archive(site):
    root, url, cache = site
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
    remote = Remote(f"{url}/a.tar.gz", None, "webis", "test")
    stored = DataFile("r.jsonl.gz", sha256(expected), 1, remote, of="content")
    assert gzip.decompress(download(stored, cache, progress=False).read_bytes()) == expected
    train = DataFile("r.jsonl.gz", "0" * 64, 1, Remote(f"{url}/a.tar.gz", None, "webis", "train"))
    with pytest.raises(DataError, match=r"fr/books/train\.review"):
        download(train, cache, progress=False)
    assert gzip.decompress((cache / "r.jsonl.gz").read_bytes()) == expected
