"""A user's own folder of faces, with the age in each file's name, as UTKFace has them.

The same sweep over labels as in the published curves, with features that need no download: a
teacher of coarse grey values and a student of oriented gradients.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from w2s_experiments.images import oriented_gradients
from w2s_utils import splits, validation
from w2s_utils.problem import with_constant
from w2s_utils.protocol import Result

SIZE = 48  # pixels of a side, after scaling
COARSE = 8  # squares of a side that the teacher sees
OLDEST = 130  # years
_NAMED = re.compile(r"(\d{1,3})_.*\.(jpe?g|png)", re.IGNORECASE)


def read(folder: str | Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Read the images of a folder, scaled to 48 by 48 grey values, and the ages in their names.

    Parameters
    ----------
    folder : str or Path
        Holds ``AGE_anything.jpg`` (or ``.jpeg``, ``.png``), as ``25_1_2_20170109.jpg.chip.jpg``;
        other files are not looked at.

    Returns
    -------
    images : ndarray, shape (m, 48, 48)
        Grey values 0 to 1, in the order of the names.
    ages : ndarray, shape (m,)
        Years.

    Raises
    ------
    ValueError
        If there is no such folder, no such file in it, an age above 130 years, or a file that is
        no image; the message names the file.
    """
    place = Path(folder).expanduser()
    if not place.is_dir():
        raise ValueError(f"folder: {str(folder)!r} is not a folder; give that of the photographs")
    named = [(path, _NAMED.fullmatch(path.name)) for path in sorted(place.iterdir())]
    found = [(path, int(match[1])) for path, match in named if match]
    if not found:
        raise ValueError(f"folder: no file in {place} is named AGE_anything.jpg, as 25_1_2.jpg")
    for path, age in found:
        if age > OLDEST:
            raise ValueError(f"{path}: its name says {age} years, expected 0 to {OLDEST}")
    images = np.array([_grey(path) for path, _ in found])
    return images, np.array([float(age) for _, age in found])


def _grey(path: Path) -> NDArray[np.float64]:
    from PIL import Image

    try:
        with Image.open(path) as image:
            small = image.convert("L").resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}: cannot be read as an image ({error})") from error
    return np.asarray(small, dtype=float) / 255


def features(images: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Features of a teacher and a student, of fixed functions that were fitted to nothing.

    Parameters
    ----------
    images : ndarray, shape (m, 48, 48)

    Returns
    -------
    weak : ndarray, shape (m, 65)
        Mean grey values of 8 by 8 squares, and a constant.
    strong : ndarray, shape (m, 145)
        Histograms of oriented gradients, and a constant.
    """
    side = SIZE // COARSE
    squares = images.reshape(len(images), COARSE, side, COARSE, side).mean(axis=(2, 4))
    coarse = with_constant(squares.reshape(len(images), -1))
    return coarse, with_constant(oriented_gradients(images))


def along_labels(
    images: NDArray[np.float64],
    ages: NDArray[np.float64],
    *,
    points: int = 8,
    trials: int = 10,
    rng: np.random.Generator,
) -> dict[int, Result]:
    """Teacher, student, baseline and ceiling along the labels, at half the images as pseudo-labels.

    Arguments are what `read` returns, the numbers of points and of random splits. Returns by number
    of labels results in squared years, with labels from twice the student's columns to a quarter
    of the images; a quarter is left for testing.

    Raises
    ------
    ValueError
        If there are too few images for that: 2400 or more are needed.
    """
    weak, strong = features(images)
    least = 2 * strong.shape[1]
    validation.at_least(len(images), 2400, "images", "a quarter of them are the labels, at most")
    labels = np.geomspace(least, len(images) // 4, points).astype(int)
    N = len(images) // 2
    cells = [(int(n), N) for n in labels]
    results = splits.sweep(weak, strong, ages, cells=cells, trials=trials, rng=rng)
    return {n: results[n, N] for n, _ in cells}
