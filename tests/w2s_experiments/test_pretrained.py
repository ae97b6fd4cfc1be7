"""Encoders that other packages carry: reading what may be trusted, refusing the rest."""

import hashlib
import io
import pickle
import re
import sys
import zipfile

import numpy as np
import pytest
from scipy.signal import correlate2d

from w2s_experiments.encoders import pretrained, weights
from w2s_experiments.encoders.pretrained import WeightsError

NUMBERS = np.arange(6, dtype=np.float32)


def here(*names):
    commands = pretrained.missing(*names)
    return pytest.mark.skipif(bool(commands), reason=f"missing here: {'; '.join(commands)}")


def tensor(key=b"0", count=6, offset=0, size=(2, 3), stride=(3, 1)):
    """Pickle opcodes of a tensor in PyTorch's old format, written by hand."""
    small = b"".join

    def numbers(values):
        return b"(" + small(b"K" + bytes([v]) for v in values) + b"t"

    storage = (
        b"(U\x07storagectorch\nFloatStorage\nU" + bytes([len(key)]) + key + b"U\x03cpuK"
        + bytes([count]) + b"NtQ"
    )  # fmt: skip
    call = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K" + bytes([offset])
    return call + numbers(size) + numbers(stride) + b"\x89}tR"


def stored(values, keys=("0",), count=6):
    """File with a dictionary of what ``values`` pickle to."""
    items = b"".join(b"U" + bytes([len(k)]) + k + v + b"s" for k, v in values.items())
    head = b"".join(pickle.dumps(part, protocol=2) for part in (1, 1001, {}))
    return (
        head + b"\x80\x02}" + items + b"." + pickle.dumps(list(keys), protocol=2)
        + count.to_bytes(8, "little") + NUMBERS.tobytes()
    )  # fmt: skip


def test_tensors_in_pytorchs_old_format():
    values = {b"a": tensor(), b"b": tensor(offset=1, size=(2,), stride=(3,))}
    found = pretrained._torch_tensors(stored(values))
    assert found.keys() == {"a", "b"}
    np.testing.assert_array_equal(found["a"], NUMBERS.reshape(2, 3))
    np.testing.assert_array_equal(found["b"], [1, 4])


def layers(*states, storages=(NUMBERS,)):
    """File in PyTorch's form of today: a zip of a list of layers and of their numbers."""
    stream = io.BytesIO()
    pickled = b"\x80\x02](" + b"".join(
        b"(U\x04kind(}(" + state + b"u}}tt" for state in states
    ) + b"e."  # fmt: skip
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("net/data.pkl", pickled)
        for key, numbers in enumerate(storages):
            archive.writestr(f"net/data/{key}", numbers.tobytes())
    return stream.getvalue()


def item(name, **options):
    return b"U" + bytes([len(name)]) + name + tensor(**options)


def test_tensors_of_a_list_of_layers_in_a_zip():
    found = pretrained._torch_tensors(
        layers(item(b"a"), item(b"b", offset=1, size=(2,), stride=(3,)))
    )
    assert found.keys() == {"0.a", "1.b"}
    np.testing.assert_array_equal(found["0.a"], NUMBERS.reshape(2, 3))
    np.testing.assert_array_equal(found["1.b"], [1, 4])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (layers(item(b"a"))[:-30], "cannot be read as tensors"),
        (layers(item(b"a"), storages=()), "no item named"),
        (layers(item(b"a"), storages=(NUMBERS[:5],)), "cannot be read as tensors"),
        (layers(b"U\x01acposix\nsystem\n(U\x04truetR"), "posix.system is no tensor"),
        (layers(b"U\x01aK\x07"), "something that is no tensor"),
        (b"", "cannot be read as tensors"),
        (stored({b"a": tensor()})[:-4], "cannot be read as tensors"),
        (stored({b"a": b"cposix\nsystem\n(U\x04truetR"}), "posix.system is no tensor"),
        (stored({b"a": b"cbuiltins\neval\n"}), "builtins.eval is no tensor"),
        (stored({b"a": tensor(), b"b": b"K\x07"}), "something that is no tensor"),
        (stored({b"a": tensor(), b"b": tensor(key=b"1")}), "something that is no tensor"),
        (stored({b"a": tensor(offset=1)}), "reaches beyond its numbers"),
        (stored({b"a": tensor(count=255)}), "storage is larger than the file"),
        (stored({b"a": tensor()}, count=5), "another size than it says"),
    ],
)
def test_other_objects_and_damage_are_one_line(content, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match=message) as caught:
        pretrained._torch_tensors(content)
    assert "\n" not in str(caught.value)


@pytest.fixture
def carried(tmp_path, monkeypatch):
    """A package with a file of weights, its card, and an empty cache."""
    folder = tmp_path / "site" / "carrier_of_weights"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise AssertionError('imported')")
    content = stored({b"a": tensor()})
    (folder / "model.pth").write_bytes(content)
    file = {"path": "model.pth", "sha256": hashlib.sha256(content).hexdigest()}
    card = {"package": folder.name, "install": "pip install it", "files": {"weights": file}}
    monkeypatch.setitem(pretrained.CARDS, "carried", card)
    monkeypatch.syspath_prepend(str(folder.parent))
    monkeypatch.setattr(weights.datasets, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(pretrained, "PIECE", 2)
    return folder / "model.pth"


def test_a_package_is_found_and_not_imported(carried):
    assert pretrained.missing("carried") == []
    assert pretrained.tensors("carried")["a"].shape == (2, 3)
    assert "carrier_of_weights" not in sys.modules


def test_what_is_missing_or_another_file_is_one_line(carried, monkeypatch):
    carried.write_bytes(carried.read_bytes() + b"\0")
    with pytest.raises(WeightsError, match=r"model\.pth: its hash .* card; pip install it$"):
        pretrained.tensors("carried")
    carried.unlink()
    with pytest.raises(WeightsError, match=r"model\.pth: cannot be read"):
        pretrained.tensors("carried")
    monkeypatch.setitem(pretrained.CARDS["carried"], "package", "no_such_package")
    with pytest.raises(WeightsError, match="no_such_package is not installed: pip install it"):
        pretrained.tensors("carried")
    assert pretrained.missing("carried") == ["pip install it"]


def test_pieces_are_cached_whole(carried, tmp_path):
    seen = []

    def run(part):
        seen.append(len(part))
        if 3 in part:
            raise KeyboardInterrupt
        return np.array(part, np.float32)

    with pytest.raises(KeyboardInterrupt):
        pretrained._pieces([1, 2, 3], ["1", "2", "3"], "carried", run)
    assert len(list((tmp_path / "cache" / "features").iterdir())) == 1
    found = pretrained._pieces([1, 2, 4], ["1", "2", "4"], "carried", run)
    assert seen == [2, 1, 1]
    np.testing.assert_array_equal(found, [1, 2, 4])


def test_missing_readers_are_named(monkeypatch):
    def find(name):
        return None if name == "tokenizers" else object()

    monkeypatch.setattr(pretrained, "find_spec", find)
    assert pretrained.missing("minilm") == ['pip install "w2s_utils[pretrained]"']
    assert pretrained.missing("lite0") == []
    with pytest.raises(WeightsError, match="nothing_here is not installed"):
        weights.require("nothing_here.at_all", "pretrained")


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((1, 64, 64, 3)), "got float64"),
        (np.zeros((1, 28, 28, 3), np.uint8), re.escape("shape (1, 28, 28, 3)")),
        (np.zeros((0, 64, 64, 3), np.uint8), re.escape("shape (0, 64, 64, 3)")),
        (np.zeros((64, 64, 3), np.uint8), re.escape("shape (64, 64, 3)")),
    ],
)
def test_images_of_another_size_or_type(images, message):
    with pytest.raises(ValueError, match=message):
        pretrained.efficientnet(images, "lite0")


@pytest.mark.parametrize(("side", "size", "stride"), [(8, 3, 1), (8, 3, 2), (7, 5, 2), (8, 5, 1)])
def test_convolution_is_scipys(side, size, stride):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, side, side, 3)).astype(np.float32)
    full, single = rng.standard_normal((4, 3, size, size)), rng.standard_normal((3, 1, size, size))
    out = -(-side // stride)
    pad = max((out - 1) * stride + size - side, 0)
    padded = np.pad(x, ((0, 0), (pad // 2, pad - pad // 2), (pad // 2, pad - pad // 2), (0, 0)))

    def expected(image, kernel, channel):
        return correlate2d(image[..., channel], kernel, mode="valid")[::stride, ::stride]

    each = pretrained._convolve(x, single, stride)
    crossed = pretrained._convolve(x, full, stride)
    for got, image in zip(each, padded, strict=True):
        for c in range(3):
            np.testing.assert_allclose(got[..., c], expected(image, single[c, 0], c), atol=1e-4)
    for got, image in zip(crossed, padded, strict=True):
        for o, kernels in enumerate(full):
            total = sum(expected(image, kernel, c) for c, kernel in enumerate(kernels))
            np.testing.assert_allclose(got[..., o], total, atol=1e-4)


@pytest.fixture
def no_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(weights.datasets, "cache_folder", lambda: tmp_path)


@here("minilm")
def test_minilm_gives_the_similarities_of_its_documentation(no_cache):
    texts = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
    states = pretrained.minilm(texts)
    assert states.shape == (3, 7, 384)
    last = states[:, -1] / np.linalg.norm(states[:, -1], axis=1, keepdims=True)
    # sentence-transformers' documentation, quickstart.
    np.testing.assert_allclose(
        (last @ last.T)[np.triu_indices(3, 1)], [0.6660, 0.1046, 0.1411], atol=2e-4
    )


@here("wordllama")
def test_static_words_ignore_their_order(no_cache):
    one, two, other = pretrained.static_words(["a b c", "a c b", "a c d"])
    assert one.shape == (256,)
    np.testing.assert_allclose(one, two, atol=1e-6)
    assert np.abs(one - other).max() > 1e-3


@pytest.mark.parametrize(
    ("text", "expected"),
    [("coffee", 3197928453018144401), ("hello", 5983625672228268878)],
)
def test_strings_have_the_hashes_of_spacys_documentation(text, expected):
    assert pretrained._murmur(text.encode()) == expected


@pytest.fixture
def spoken(tmp_path, monkeypatch):
    """A package in the form of spaCy's vectors: three words, two of them with one vector."""
    msgpack = pytest.importorskip("msgpack")
    folder = tmp_path / "site" / "carrier_of_words"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    np.save(folder / "vectors.npy", np.array([[1.0, 0.0], [0.0, 3.0]], np.float32))
    named = {"l'": 0, "album": 1, "disque": 1}
    rows = {pretrained._murmur(word.encode()): row for word, row in named.items()}
    (folder / "rows").write_bytes(msgpack.packb(rows))
    files = {
        key: {"path": name, "sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest()}
        for key, name in (("weights", "vectors.npy"), ("rows", "rows"))
    }
    card = {"package": folder.name, "install": "pip install it", "files": files}
    monkeypatch.setitem(pretrained.CARDS, "french", card)
    monkeypatch.syspath_prepend(str(folder.parent))
    monkeypatch.setattr(weights.datasets, "cache_folder", lambda: tmp_path / "cache")
    return folder


def test_french_words_are_averaged_as_far_as_they_are_read(spoken):
    found = pretrained.french_words(["L'album !", "disque disque", "", "ah"], [1, None])
    np.testing.assert_allclose(
        found, [[[1, 0], [0.5, 1.5]], [[0, 3], [0, 3]], [[0, 0], [0, 0]], [[0, 0], [0, 0]]]
    )
    again = pretrained.french_words(["L'album !"], [1])
    np.testing.assert_allclose(again, [[[1, 0]]])


def test_damaged_french_words_are_one_line(spoken):
    (spoken / "rows").write_bytes(b"\x80")
    with pytest.raises(WeightsError, match=r"rows: its hash .* card; pip install it$"):
        pretrained.french_words(["album"], [None])


@pytest.mark.parametrize(("length", "pads"), [(8, (1, 1)), (7, (1, 2))])
def test_convolution_of_a_text_place_by_place(length, pads):
    rng = np.random.default_rng(1)
    x, kernel = rng.standard_normal((2, length, 3)), rng.standard_normal((5, 3, 4))
    padded = np.pad(x, ((0, 0), pads, (0, 0)))
    found = pretrained._convolve(x[:, :, None], kernel[..., None], 2)[:, :, 0]
    assert found.shape == (2, (length + sum(pads) - 4) // 2 + 1, 5)
    for place in range(found.shape[1]):
        seen = padded[:, 2 * place : 2 * place + 4]
        expected = [[np.sum(one.T * k) for k in kernel] for one in seen]
        np.testing.assert_allclose(found[:, place], expected, atol=1e-6)


def test_recurrent_layer_unit_by_unit():
    rng = np.random.default_rng(2)
    units, x = 3, rng.standard_normal((2, 4, 5))
    w, u = rng.standard_normal((4 * units, 5)), rng.standard_normal((4 * units, units))
    b, d = rng.standard_normal((2, 4 * units))
    found = pretrained._lstm(x, w, u, b, d)
    for row, one in enumerate(x):
        h, c = np.zeros(units), np.zeros(units)
        for place, now in enumerate(one):
            before = h.copy()
            for k in range(units):
                i, f, g, o = (
                    w[k + m * units] @ now + u[k + m * units] @ before
                    + b[k + m * units] + d[k + m * units] for m in range(4)
                )  # fmt: skip
                i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
                c[k] = f * c[k] + i * np.tanh(g)
                h[k] = o * np.tanh(c[k])
            np.testing.assert_allclose(found[row, place], h, atol=1e-6)


@here("chemnet")
def test_chemnet_is_onnx_runtimes(no_cache):
    # The same weights as an ONNX graph (Conv, Selu, LSTM), run once by onnxruntime.
    found = pretrained.chemnet(["CCO", "CC(=O)Oc1ccccc1C(=O)O"])
    assert found.shape == (2, 512)
    expected = [[-0.044897, 0.011458, -0.177407], [0.048293, 0.003542, 0.069220]]
    np.testing.assert_allclose(found[:, :3], expected, atol=2e-5)
    with pytest.raises(ValueError, match="at most 349 characters, got 350"):
        pretrained.chemnet(["C" * 350])


@here("lite0", "lite2")
@pytest.mark.parametrize("name", ["lite0", "lite2"])
def test_lite_networks_know_a_palace(name):
    image = pytest.importorskip("PIL.Image")
    from sklearn.datasets import load_sample_image

    photo = image.fromarray(load_sample_image("china.jpg")).crop((106, 0, 533, 427))
    loaded, card = pretrained.tensors(name), pretrained.CARDS[name]
    pixels = np.asarray(photo.resize((256, 256)))[None]
    ends, last = pretrained._lite(pixels, loaded, card["blocks"])
    assert ends.shape == (1, 4 * sum(card["channels"]))
    assert np.argmax(last @ loaded["_fc.weight"].T + loaded["_fc.bias"]) == 698  # palace


def test_every_card_says_where_it_comes_from_and_what_it_has_seen():
    for name, card in pretrained.CARDS.items():
        assert {"title", "source", "licence", "trained_on", "seen"} <= card.keys(), name
        assert all(re.fullmatch("[0-9a-f]{64}", one["sha256"]) for one in card["files"].values())
