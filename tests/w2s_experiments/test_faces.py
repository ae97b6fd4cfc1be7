"""A folder of generated pictures in the form of UTKFace: read, refused, and the line it draws."""

import numpy as np
import pytest
from PIL import Image

from w2s_experiments import faces


def save(folder, name, pixels):
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(folder / name)


def test_ages_are_read_from_names_and_images_scaled(tmp_path):
    save(tmp_path, "7_0_0_20170101.jpg.chip.jpg", np.full((200, 200, 3), 255))
    save(tmp_path, "31_1_2.png", np.zeros((30, 60)))
    (tmp_path / "notes.txt").write_text("no picture")
    save(tmp_path, "unnamed.png", np.zeros((5, 5)))
    images, ages = faces.read(tmp_path)
    assert images.shape == (2, 48, 48)
    assert ages.tolist() == [31, 7]
    assert images[0].max() == 0
    assert images[1].min() > 0.98


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("12_cut.jpg", b"\xff\xd8\xff\xe0 cut short", r"12_cut\.jpg: cannot be read as an image"),
        ("412_old.png", b"", r"412_old\.png: its name says 412 years, expected 0 to 130"),
        ("face.png", b"", "no file in .* is named AGE_anything"),
    ],
)
def test_what_is_no_photograph_with_an_age_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        faces.read(tmp_path)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is not a folder"):
        faces.read(tmp_path / "none")


def test_too_few_images_are_refused():
    with pytest.raises(ValueError, match=r"images.*2400"):
        faces.along_labels(np.zeros((300, 48, 48)), np.zeros(300), rng=np.random.default_rng(0))


def test_the_student_lies_on_a_line_in_its_teacher():
    # Stripes whose angle is the age, under noise that the coarse grey values average out.
    rng = np.random.default_rng(3)
    ages = rng.uniform(1, 90, 2400)
    across, down = np.meshgrid(np.arange(48), np.arange(48))
    angle = np.deg2rad(ages)[:, None, None]
    wave = np.sin((across * np.cos(angle) + down * np.sin(angle)) * 0.35)
    images = np.clip(0.5 + 0.25 * wave + 0.1 * rng.standard_normal((2400, 48, 48)), 0, 1)
    results = faces.along_labels(images, ages, points=5, trials=6, rng=rng)
    errors = {
        role: np.array([getattr(result, role).mean() for result in results.values()])
        for role in ("teacher", "student", "baseline", "ceiling")
    }
    assert np.all(np.diff(errors["teacher"]) < 0)
    assert np.all(errors["ceiling"] < errors["baseline"])
    slope, height = np.polyfit(errors["teacher"], errors["student"], 1)
    assert 0 < slope < 1
    on_line = slope * errors["teacher"] + height
    assert np.abs(on_line / errors["student"] - 1).max() < 0.05
