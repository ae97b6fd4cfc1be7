"""The arrays that a report shows itself on: digits shipped with scikit-learn, as ``.npy`` files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

SIDE = 8


def write_digits(folder: Path, *, labelled: int, seed: int, student: int = 300) -> dict[str, Path]:
    """Write features and labels of the 1797 digits.

    The student sees random ReLU features of all 64 pixels; teachers see a blurred image (16 means
    of 2 by 2 pixels), the middle rows, and the upper half. The label is the digit.

    Parameters
    ----------
    folder : Path
    labelled : int
        Inputs that keep their label; the others get NaN.
    seed : int
        Draws the student's features and the labelled inputs.
    student : int
        ReLU features.

    Returns
    -------
    dict of str to Path
        ``strong``, ``blurred``, ``middle``, ``upper`` and ``labels``.
    """
    from sklearn.datasets import load_digits

    pixels, digits = load_digits(return_X_y=True)
    if not 1 <= labelled <= len(pixels):
        raise ValueError(f"labelled: expected 1 to {len(pixels)}, got {labelled!r}")
    rng = np.random.default_rng(seed)
    pixels = pixels / 16
    directions = rng.standard_normal((pixels.shape[1], student))
    labels = digits.astype(float)
    labels[rng.permutation(len(labels))[labelled:]] = np.nan
    images = pixels.reshape(-1, SIDE // 2, 2, SIDE // 2, 2)
    arrays = {
        "strong": np.maximum(pixels @ directions + rng.standard_normal(student), 0),
        "blurred": images.mean(axis=(2, 4)).reshape(len(pixels), -1),
        "middle": pixels[:, 2 * SIDE : 6 * SIDE],
        "upper": pixels[:, : 4 * SIDE],
    }
    paths = {name: folder / f"{name}.npy" for name in [*arrays, "labels"]}
    for name, array in arrays.items():
        np.save(paths[name], array.astype(np.float32))
    np.save(paths["labels"], labels)
    return paths
