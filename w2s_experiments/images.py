r"""Images: encoders that need no training, ColoredMNIST, and the two problems of the chapters."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from w2s_experiments.data import datasets
from w2s_experiments.encoders import weights
from w2s_experiments.problems import ENCODER_IMAGES, GREY_LEVELS
from w2s_utils import validation
from w2s_utils.problem import Problem, cut, standardise, with_constant

ENVIRONMENTS = (0.1, 0.2, 0.9)
LABEL_NOISE = 0.25
BINS, CELLS = 9, 4
PART = 1000
BELOW = 5


def oriented_gradients(images: ArrayLike) -> NDArray[np.float64]:
    """Histograms of oriented gradients: 9 orientations in each of 4 by 4 cells.

    Parameters
    ----------
    images : array_like, shape (m, h, w)
        Grey values; ``h`` and ``w`` multiples of 4.

    Returns
    -------
    ndarray, shape (m, 144)
        Gradient magnitude by orientation (without sign), shared between the two nearest
        orientations; every block of 2 by 2 cells is divided by its norm, and the four norms that a
        cell takes part in are averaged.

    Raises
    ------
    ValueError
        If the sizes are no multiples of 4.
    """
    grey = _images(images)
    if grey.shape[1] % CELLS or grey.shape[2] % CELLS:
        raise ValueError(f"images: expected sizes that are multiples of {CELLS}, got {grey.shape}")
    # A part at a time: the intermediate arrays are many times as large as the images.
    parts = [_oriented_gradients(grey[i : i + PART]) for i in range(0, len(grey), PART)]
    return np.vstack(parts)


def _oriented_gradients(grey: NDArray) -> NDArray:
    m, height, width = grey.shape
    down, right = np.gradient(grey, axis=1), np.gradient(grey, axis=2)
    rows, columns = (np.arange(length) * CELLS // length for length in (height, width))
    cell = np.arange(m)[:, None, None] * CELLS**2 + rows[:, None] * CELLS + columns
    # Most of the image of a digit is empty.
    drawn = (down != 0) | (right != 0)
    down, right, cell = down[drawn], right[drawn], cell[drawn] * BINS
    size = np.hypot(down, right)
    place = (np.arctan2(down, right) % np.pi) * (BINS / np.pi)
    lower = np.floor(place).astype(int) % BINS
    upper_share = place - np.floor(place)
    counts = np.zeros(m * CELLS * CELLS * BINS)
    for orientation, share in ((lower, 1 - upper_share), ((lower + 1) % BINS, upper_share)):
        counts += np.bincount(cell + orientation, size * share, minlength=len(counts))
    cells = counts.reshape(m, CELLS, CELLS, BINS)
    power = np.sum(cells**2, axis=3)
    blocks = np.sqrt(
        power[:, :-1, :-1] + power[:, 1:, :-1] + power[:, :-1, 1:] + power[:, 1:, 1:] + 1e-6
    )
    scale, parts = np.zeros((m, CELLS, CELLS)), np.zeros((CELLS, CELLS))
    for i in (0, 1):
        for j in (0, 1):
            spot = (slice(i, i + CELLS - 1), slice(j, j + CELLS - 1))
            scale[:, spot[0], spot[1]] += 1 / blocks
            parts[spot] += 1
    return (cells * (scale / parts)[..., None]).reshape(m, -1)


def spectrum(images: ArrayLike) -> NDArray[np.float64]:
    """Amplitudes of the two-dimensional Fourier transform, the half that is not redundant.

    Parameters
    ----------
    images : array_like, shape (m, h, w)

    Returns
    -------
    ndarray, shape (m, h * (w // 2 + 1))
    """
    grey = _images(images)
    return np.abs(np.fft.rfft2(grey)).reshape(len(grey), -1)


def gradients(images: ArrayLike) -> NDArray[np.float64]:
    """Differences of neighbouring pixels, down and to the right.

    Parameters
    ----------
    images : array_like, shape (m, h, w)

    Returns
    -------
    ndarray, shape (m, (h - 1) * w + h * (w - 1))
    """
    grey = _images(images)
    steps = (np.diff(grey, axis=1), np.diff(grey, axis=2))
    return np.hstack([step.reshape(len(grey), -1) for step in steps])


def slant(images: ArrayLike) -> NDArray[np.float64]:
    """Slant of what is drawn: covariance of column and row over the variance of the row.

    Parameters
    ----------
    images : array_like, shape (m, h, w)
        Grey values, not negative, each image with ink on more than one row.

    Returns
    -------
    ndarray, shape (m,)
        Positive if lower rows are further to the right.
    """
    grey = _images(images)
    rows, columns = np.arange(grey.shape[1]), np.arange(grey.shape[2])
    ink = grey.sum(axis=(1, 2))
    by_row = grey.sum(axis=2)
    row, column = by_row @ rows / ink, grey.sum(axis=1) @ columns / ink
    crossed = np.einsum("mij,i,j->m", grey, rows, columns, optimize=True) / ink - row * column
    return crossed / (by_row @ rows**2 / ink - row**2)


def random_relu(features: ArrayLike, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    r"""Random rectified features, :math:`\max(0, \phi^T g + c)`.

    Parameters
    ----------
    features : array_like, shape (m, d)
    count : int
    rng : numpy.random.Generator
        Draws Gaussian weights of variance ``1/d`` over the spread of the features, and offsets.

    Returns
    -------
    ndarray, shape (m, count)
    """
    phi = validation.matrix(features, "features")
    directions = rng.standard_normal((phi.shape[1], int(count))) / np.sqrt(phi.shape[1])
    found = phi @ directions / phi.std()
    found += rng.normal(0, 0.5, int(count))
    return np.maximum(found, 0, out=found)


def halved(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Means over two by two pixels, from 0 to 1: of shape (..., h, w) half the height and width."""
    pairs = images[..., ::2, :].astype(np.uint16) + images[..., 1::2, :]
    return (pairs[..., ::2] + pairs[..., 1::2]) / 4 / 255.0


def _images(images: ArrayLike) -> NDArray[np.float64]:
    grey = np.asarray(images, dtype=float)
    if grey.ndim != 3 or not np.all(np.isfinite(grey)):
        raise ValueError(f"images: expected finite values, shape (m, h, w), got {grey.shape}")
    return grey


def digits(rng: np.random.Generator, *, d_w: int = 20, noise: float = 1.0) -> Problem:
    """Whether a handwritten digit is below five: scikit-learn's digits, six teachers, one student.

    Parameters
    ----------
    rng : numpy.random.Generator
        Chooses 600 of the 1797 images, on which everything is fitted, and random features.
    d_w : int
        Dimension of each teacher, a constant included.
    noise : float
        Standard deviation of the label noise.

    Returns
    -------
    Problem
        Pool of 1197 images. Teachers ``"pixels"``, ``"top"``, ``"bottom"``, ``"ReLU"``,
        ``"gradients"``, ``"spectrum"``; the student sees the ten class probabilities of a network
        that was taught to tell the digits apart.
    """
    data = datasets.load("digits")
    order = rng.permutation(len(data.inputs))
    images = (data.inputs[order] / GREY_LEVELS).reshape(-1, 8, 8)
    labels = data.targets[order]
    flat = images.reshape(len(images), -1)
    seen = {
        "pixels": flat,
        "top": flat[:, :32],
        "bottom": flat[:, 32:],
        "ReLU": random_relu(flat, 200, rng),
        "gradients": gradients(images),
        "spectrum": spectrum(images),
    }
    network = MLPClassifier(
        24,
        solver="lbfgs",
        alpha=1.0,
        tol=1e-3,
        max_iter=2000,
        random_state=int(rng.integers(2**31)),
    ).fit(flat[:ENCODER_IMAGES], labels[:ENCODER_IMAGES])
    return Problem(
        name="digits",
        targets=standardise((labels[ENCODER_IMAGES:] < BELOW).astype(float)),
        noise=noise,
        teachers={
            name: cut(phi[ENCODER_IMAGES:], d_w, fitted_on=phi[:ENCODER_IMAGES])
            for name, phi in ((name, with_constant(features)) for name, features in seen.items())
        },
        students={"network": network.predict_proba(flat[ENCODER_IMAGES:])},
    )


@dataclass(frozen=True, eq=False)
class Coloured:
    """Images of ColoredMNIST, its environments pooled.

    Attributes
    ----------
    images : ndarray of uint8, shape (m, 2, 28, 28)
        The digit is in one of two colour channels.
    digits : ndarray of int, shape (m,)
    colours : ndarray of int, shape (m,)
        Which channel.
    """

    images: NDArray[np.uint8]
    digits: NDArray[np.int_]
    colours: NDArray[np.int_]


def coloured_mnist(rng: np.random.Generator, count: int) -> Coloured:
    """Draw images of MNIST's training part and colour them as DomainBed does.

    The colour is a noisy copy of a noisy label: the label, digit below five, is flipped with
    probability 0.25, and the colour is the flipped label, flipped once more with the probability of
    the image's environment (0.1, 0.2 or 0.9). Only the colour is noisy; what is to be predicted is
    the clean label.

    Parameters
    ----------
    rng : numpy.random.Generator
    count : int
        Images, without replacement.

    Returns
    -------
    Coloured

    Raises
    ------
    DataError
        If MNIST is not at hand.
    ValueError
        If more images are asked for than there are.
    """
    data = datasets.load("mnist")
    # The test part has taught the convolutional network.
    part = data.splits["standard"]["train"]
    total = len(part)
    if not 1 <= count <= total:
        raise ValueError(f"count: expected 1 to {total} (MNIST's training part), got {count}")
    rows = rng.permutation(part)[:count]
    numbers = data.targets[rows].astype(int)
    flip = np.asarray(ENVIRONMENTS)[np.arange(count) % len(ENVIRONMENTS)]
    colours = (numbers < BELOW) ^ (rng.random(count) < LABEL_NOISE) ^ (rng.random(count) < flip)
    images = np.zeros((count, 2, 28, 28), dtype=np.uint8)
    images[np.arange(count), colours.astype(int)] = data.inputs[rows].reshape(-1, 28, 28)
    return Coloured(images, numbers, colours.astype(int))


@dataclass(frozen=True, eq=False)
class Vision:
    """ColoredMNIST as a weak-to-strong problem.

    Attributes
    ----------
    problem : Problem
    spectra : dict of str to ndarray
        Singular values, largest first, of each encoder's features over the encoders' images.
    own : dict of str to ndarray, shape (m,)
        Probability that a digit is below five, as each student's network answers it by itself.
    slants : ndarray, shape (m,)
        Of the pool, see `slant`.
    correlation : float
        Of label and colour.
    """

    problem: Problem
    spectra: dict[str, NDArray[np.floating]]
    own: dict[str, NDArray[np.float64]]
    slants: NDArray[np.float64]
    correlation: float


def vision(
    rng: np.random.Generator,
    *,
    encoder_images: int,
    pool: int,
    d_w: int = 100,
    d_s: int = 26,
    read: Sequence[str] = ("gradients", "pixels"),
) -> Vision:
    """Six teachers and students on ColoredMNIST.

    Parameters
    ----------
    rng : numpy.random.Generator
    encoder_images : int
        Images on which principal directions and networks are fitted.
    pool : int
        Images of the experiments.
    d_w, d_s : int
        Dimensions of teachers and students, a constant included.
    read : sequence of str
        What students' networks read, one each: names of teachers.

    Returns
    -------
    Vision
        Teachers ``"gradients"`` (oriented), ``"spectrum"``, ``"pixels"``, ``"top"``, ``"bottom"``,
        ``"ReLU"``. Students: hidden units of a network taught ten digits, such as
        ``"network on gradients"``.

    Raises
    ------
    DataError
        If MNIST is not at hand.
    """
    drawn = coloured_mnist(rng, encoder_images + pool)
    grey = drawn.images.max(axis=1) / 255.0
    small = halved(drawn.images)
    flat = small.reshape(len(small), -1)
    seen = {
        "gradients": oriented_gradients(grey),
        "spectrum": spectrum(small.max(axis=1)),
        "pixels": flat,
        "top": small[:, :, :7].reshape(len(small), -1),
        "bottom": small[:, :, 7:].reshape(len(small), -1),
        "ReLU": random_relu(flat, 600, rng),
    }
    students, own = {}, {}
    for name in read:
        units, answers = _hidden_units(seen[name], drawn.digits, encoder_images, rng)
        phi = with_constant(units)
        students[f"network on {name}"] = cut(
            phi[encoder_images:], d_s, fitted_on=phi[:encoder_images]
        )
        own[f"network on {name}"] = answers
    labels = (drawn.digits < BELOW).astype(float)
    spectra, teachers = {}, dict[int | str, NDArray[np.float64]]()
    for name in list(seen):
        phi = with_constant(seen.pop(name))  # one at a time: all are gigabytes
        # The triangle has the singular values and the directions of all its rows.
        apart = np.linalg.qr(phi[:encoder_images], mode="r")
        teachers[name] = cut(phi[encoder_images:], d_w, fitted_on=apart)
        spectra[name] = np.linalg.svd(apart, compute_uv=False)
    problem = Problem("mnist", standardise(labels[encoder_images:]), 0.0, teachers, students)
    colour = float(np.corrcoef(labels, drawn.colours)[0, 1])
    return Vision(
        problem=problem,
        spectra=spectra,
        own=own,
        slants=slant(grey[encoder_images:]),
        correlation=colour,
    )


def convolution(images: ArrayLike) -> NDArray[np.float64]:
    """Hidden units of the shipped convolutional network.

    ``w2s_experiments.training.convolution`` trained it to tell ten digits apart, on MNIST's test
    part.

    Parameters
    ----------
    images : array_like of uint8, shape (m, 2, 28, 28)

    Returns
    -------
    ndarray, shape (m, 64)

    Raises
    ------
    WeightsError
        If ONNX Runtime is missing, or the weights are damaged.
    """
    pixels = np.asarray(images)
    if pixels.ndim != 4 or pixels.shape[1:] != (2, 28, 28) or pixels.dtype != np.uint8:
        raise ValueError(
            "images: expected uint8 values of shape (m, 2, 28, 28), got "
            f"{pixels.dtype} of shape {pixels.shape}"
        )
    folder = Path(__file__).parent / "encoders" / "shipped"
    card = weights.read_card(folder / "convolution.json")
    network = weights.session(folder / "convolution.onnx", card["sha256"], extra="encoders")
    parts = [
        network.run(None, {"images": pixels[i : i + PART].astype(np.float32) / 255})[0]
        for i in range(0, len(pixels), PART)
    ]
    return np.vstack(parts).astype(float)


def _hidden_units(
    features: NDArray, numbers: NDArray, apart: int, rng: np.random.Generator
) -> tuple[NDArray, NDArray]:
    """Hidden units of a network that tells ten digits apart; its answers below five."""
    mean, spread = features[:apart].mean(axis=0), features[:apart].std(axis=0).mean()
    scaled = (features - mean) / spread
    network = MLPClassifier(
        64, max_iter=15, batch_size=128, random_state=int(rng.integers(2**31)), alpha=1e-3
    )
    # Fifteen passes are enough here; the optimiser would rather go on.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        network.fit(scaled[:apart], numbers[:apart])
    units = np.maximum(scaled @ network.coefs_[0] + network.intercepts_[0], 0)
    return units, network.predict_proba(scaled[apart:])[:, :BELOW].sum(axis=1)


def cut_off_count(singular_values: ArrayLike, share: float = 0.99) -> int:
    """Directions that hold a share of the sum of squares, the count the paper reports.

    Parameters
    ----------
    singular_values : array_like, largest first
    share : float

    Returns
    -------
    int
    """
    squares = np.cumsum(np.asarray(singular_values, dtype=float) ** 2)
    return int(np.searchsorted(squares, share * squares[-1]) + 1)
