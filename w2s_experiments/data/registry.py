"""The data sets of the book: where each comes from, its checksum, licence and citation.

Nothing here opens a file or the network; :mod:`w2s_experiments.data.datasets` is the way in.
"""

from dataclasses import dataclass
from typing import Literal

__all__ = ["REGISTRY", "DataError", "DataFile", "Entry", "Remote", "lookup"]

_MOLECULENET = "https://deepchemdata.s3-us-west-1.amazonaws.com/datasets/"
_MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_WU = "Wu et al., MoleculeNet, Chem. Sci. 9 (2018) 513"
_CHEMBENCH = (
    "ChemBench (https://github.com/shenwanxiang/ChemBench, MIT) publishes these splits only as "
    "pickles, which are not opened here. Without the file the data set loads with splits=None. To "
    'have them, write {"splits": {"random122": {"train": [...], "valid": [...], "test": [...]}, '
    '"random123": ..., "random124": ...}} with zero-based row numbers of the CSV file beside it.'
)
_WEBIS = (
    "Made from the XML files of the public archive: per review its id, domain, rating, label, "
    "headline and text. A Zenodo login may be needed; then unpack and convert elsewhere, or copy "
    "the finished file. The conversion was checked on a few reviews, never on the whole archive: "
    "the checksum of the result decides."
)


class DataError(ValueError):
    """A data set that is unknown, absent, damaged or not what its description says."""


@dataclass(frozen=True)
class Remote:
    """A public file, and how to get from it to the file that is stored here.

    Attributes
    ----------
    url : str
        Address of the public file.
    known_hash : str or None
        Checksum of the public file, ``"md5:..."`` or ``"sha256:..."``; ``None`` where none is
        published, and then the checksum of the stored file alone decides.
    how : {"as is", "zip member", "zip member, gzipped", "webis"}
        What is done with it.
    member : str
        Name inside the archive.
    """

    url: str
    known_hash: str | None
    how: Literal["as is", "zip member", "zip member, gzipped", "webis"] = "as is"
    member: str = ""


@dataclass(frozen=True)
class DataFile:
    """One file of a data set.

    Attributes
    ----------
    path : str
        Path relative to the data folder, with forward slashes.
    sha256 : str
        Checksum of what `of` names.
    size : int
        Bytes of the file as first stored.
    remote : Remote or None
        Public source; ``None`` when there is no file to download, see `note`.
    of : {"bytes", "content", "splits"}
        What the checksum covers: the file's bytes; the content of a gzip file, whose own bytes
        depend on the compressor; or the row numbers in a JSON file of splits, whatever its layout.
    required : bool
        Whether the data set can be loaded without it.
    note : str
        What a user should know about getting it.
    """

    path: str
    sha256: str
    size: int
    remote: Remote | None
    of: Literal["bytes", "content", "splits"] = "bytes"
    required: bool = True
    note: str = ""


@dataclass(frozen=True)
class Entry:
    """Description of a data set; `files` is empty for what scikit-learn ships."""

    name: str
    title: str
    files: tuple[DataFile, ...]
    licence: str
    citation: str
    parse: str
    rows: int


def _splits(name: str, sha256: str, size: int) -> DataFile:
    path = f"moleculenet/chembench_splits_{name}.json"
    return DataFile(path, sha256, size, None, of="splits", required=False, note=_CHEMBENCH)


def _moleculenet(file: str, sha256: str, size: int) -> DataFile:
    remote = Remote(_MOLECULENET + file, f"sha256:{sha256}")
    return DataFile(f"moleculenet/{file}", sha256, size, remote)


def _mnist(file: str, sha256: str, size: int) -> DataFile:
    return DataFile(f"mnist/{file}", sha256, size, Remote(_MNIST + file, f"sha256:{sha256}"))


def _sst2(file: str, sha256: str, size: int, *, gzipped: bool) -> DataFile:
    remote = Remote(
        "https://dl.fbaipublicfiles.com/glue/data/SST-2.zip",
        "md5:9f81648d4199384278b86e315dac217c",
        "zip member, gzipped" if gzipped else "zip member",
        f"SST-2/{file}",
    )
    path = f"sst2/{file}.gz" if gzipped else f"sst2/{file}"
    return DataFile(path, sha256, size, remote, of="content" if gzipped else "bytes")


def _webis(part: str, sha256: str, size: int) -> DataFile:
    url = "https://zenodo.org/record/3251672/files/cls-acl10-unprocessed.tar.gz"
    path = f"french_reviews/webis_cls10_fr_{part}.jsonl.gz"
    return DataFile(path, sha256, size, Remote(url, None, "webis", part), of="content", note=_WEBIS)


_ALL = (
    Entry(
        name="esol",
        title="ESOL: aqueous solubility of 1128 molecules",
        files=(
            _moleculenet(
                "delaney-processed.csv",
                "8c06a76f0c6487d29ab0f903e6a7a7139f189ab3c1178f159c8be8964602f189",
                96699,
            ),
            _splits(
                "esol", "0d80eecb3b8921076a7bb299f8ec985ee4277dfdcde202ea0b9c8fea339499b2", 14358
            ),
        ),
        licence="none stated for the data; the source repository is MIT",
        citation=f"Delaney, J. Chem. Inf. Comput. Sci. 44 (2004) 1000; {_WU}",
        parse="CSV; blanks after some SMILES are stripped; Delaney's own model is an extra",
        rows=1128,
    ),
    Entry(
        name="freesolv",
        title="FreeSolv: hydration free energy of 642 molecules",
        files=(
            _moleculenet(
                "SAMPL.csv",
                "ab5895d914ee87cb563bd7b9611e869527bba45bec6b014d34dc495a0f9dcb72",
                32060,
            ),
            _splits(
                "freesolv", "6d73f0f976fe135a65089d980e9f532aecc942acce3cdf0ce6673952645a7197", 8112
            ),
        ),
        licence="not verified; see MobleyLab/FreeSolv before redistributing",
        citation=f"Mobley and Guthrie, J. Comput.-Aided Mol. Des. 28 (2014) 711; {_WU}",
        parse="CSV; the molecular-dynamics value is an extra",
        rows=642,
    ),
    Entry(
        name="lipophilicity",
        title="Lipophilicity: octanol/water logD of 4200 molecules",
        files=(
            _moleculenet(
                "Lipophilicity.csv",
                "aed41590cb30609d51d8e08ad3ff06495a76e80e211358801f596b10da69bacd",
                282606,
            ),
            _splits(
                "lipophilicity",
                "386d638844c060a1bf5f31b28c599a74334e11bdc7b55e6206f62a27d3bcc5d4",
                60400,
            ),
        ),
        licence="from ChEMBL, CC BY-SA 3.0 (not verified)",
        citation=f"Hersey, ChEMBL deposited set CHEMBL3301361 (AstraZeneca); {_WU}",
        parse="CSV",
        rows=4200,
    ),
    Entry(
        name="mnist",
        title="MNIST: 70000 handwritten digits of 28 by 28 pixels",
        files=(
            _mnist(
                "train-images-idx3-ubyte.gz",
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                9912422,
            ),
            _mnist(
                "train-labels-idx1-ubyte.gz",
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                28881,
            ),
            _mnist(
                "t10k-images-idx3-ubyte.gz",
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                1648877,
            ),
            _mnist(
                "t10k-labels-idx1-ubyte.gz",
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                4542,
            ),
        ),
        licence="CC BY-SA 3.0 according to the Keras documentation",
        citation="LeCun, Bottou, Bengio, Haffner, Proc. IEEE 86 (1998) 2278",
        parse="idx files: big-endian header, then unsigned bytes",
        rows=70000,
    ),
    Entry(
        name="sst2",
        title="SST-2: sentiment of 68221 phrases and sentences",
        files=(
            _sst2(
                "train.tsv",
                "48eac26399f8456935f81dd9e3a745c1430adb6c62e233ccfe22db4a0d15d1d1",
                1445059,
                gzipped=True,
            ),
            _sst2(
                "dev.tsv",
                "54a9c12c77e402fc14d6a66a506f24d999f596b0176eb777c972cccc2f9cc4b0",
                94931,
                gzipped=False,
            ),
        ),
        licence='not stated by GLUE ("unknown")',
        citation="Socher et al., EMNLP 2013; Wang et al., GLUE, ICLR 2019",
        parse="tab-separated, quotation marks are ordinary characters",
        rows=68221,
    ),
    Entry(
        name="webis_cls_fr",
        title="Webis-CLS-10, French: 12000 reviews of books, films and music",
        files=(
            _webis(
                "train", "cfb52b3a1f4da4e64877f666abed290de2da09a907354f459cbc07e068834942", 1648245
            ),
            _webis(
                "test", "8dd6ffa64e883fc37fefc5ead587db97662d416f0d76c39eef6044ba772cc45a", 1647319
            ),
        ),
        licence="not verified; customer reviews: for research, never shown or redistributed",
        citation="Prettenhofer and Stein, ACL 2010",
        parse="one JSON object a line; repeated texts are kept, see without_repeats",
        rows=12000,
    ),
    Entry(
        name="digits",
        title="Digits: 1797 handwritten digits of 8 by 8 pixels",
        files=(),
        licence="CC BY 4.0 (UCI), shipped with scikit-learn (BSD-3-Clause)",
        citation=(
            "Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning "
            "Repository (1998)"
        ),
        parse="sklearn.datasets.load_digits",
        rows=1797,
    ),
    Entry(
        name="diabetes",
        title="Diabetes: disease progression of 442 patients",
        files=(),
        licence="none stated for the data; shipped with scikit-learn (BSD-3-Clause)",
        citation="Efron, Hastie, Johnstone, Tibshirani, Ann. Statist. 32 (2004) 407",
        parse="sklearn.datasets.load_diabetes, columns centred and scaled as shipped",
        rows=442,
    ),
)

REGISTRY: dict[str, Entry] = {each.name: each for each in _ALL}


def lookup(name: str) -> Entry:
    """Look up the description of a data set.

    Parameters
    ----------
    name : str
        A key of ``REGISTRY``.

    Returns
    -------
    Entry

    Raises
    ------
    DataError
        If there is no such data set; the message lists the known names.
    """
    try:
        return REGISTRY[name]
    except KeyError:
        known = ", ".join(REGISTRY)
        raise DataError(f"unknown data set {name!r}; known data sets: {known}") from None
