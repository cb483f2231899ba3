"""Folders of pictures as data sets, and pictures as images."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinygrad_ckn.data import load, load_digits, load_images, load_test
from tinygrad_ckn.data.picture_folder import labelled_pictures
from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.data_format import PixelRange
from tinygrad_ckn.errors import ConfigError, DataError, DataWarning


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten pictures of 3x4 pixels in each of the classes 2 and 10; their values differ."""
    for i in range(10):
        for label in (2, 10):
            write(tmp_path / "set" / str(label) / f"{i}.png", np.full((3, 4), 20 * i + label, "u1"))
    return tmp_path / "set"


def test_a_folder_with_a_folder_for_each_class(folder: Path):
    dataset = load(folder)
    assert (dataset.name, dataset.class_names, dataset.classes) == ("set", ("2", "10"), (2, 10))
    assert (dataset.train.images.shape, len(dataset.test)) == ((16, 1, 3, 4), 4)
    for split in (dataset.train, dataset.test):
        values = np.round(split.images[:, 0, 0, 0] * 255)
        np.testing.assert_array_equal(values % 20 // 8, split.labels // 10 * 1)
        numbers = [20 * int(path.stem) + int(path.parent.name) for path in split.paths]
        np.testing.assert_array_equal(values, numbers)
    data_format = dataset.data_format
    assert (data_format.scale, data_format.stored, data_format.resize) == (255.0, "integers", None)
    split, whole = load_test(folder, data_format=data_format)
    assert (len(split), whole) == (20, True)


def test_names_of_classes_are_in_natural_order(tmp_path: Path):
    for i, name in enumerate(("b10", "b9", "7")):
        for j in range(5):
            write(tmp_path / name / f"{j}.png", np.full((2, 2), 50 * i + j, "u1"))
    dataset = load(tmp_path)
    assert dataset.class_names == dataset.classes == ("7", "b9", "b10")
    # Some of the classes, whose names are all numbers, are still names.
    (tmp_path / "few").mkdir()
    (tmp_path / "7").rename(tmp_path / "few" / "7")
    split, _ = load_test(tmp_path / "few", data_format=dataset.data_format)
    assert set(split.labels.tolist()) == {"7"}


def test_parts_of_a_data_set(tmp_path: Path):
    for part, n in (("train", 4), ("val", 2), ("test", 3)):
        for i in range(n):
            for name in "ab":
                write(tmp_path / part / name / f"{i}.png", np.full((2, 2), 99, "u1"))
    sizes = {part: len(split) for part, split in load(tmp_path).parts.items()}
    assert sizes == {"training": 8, "test": 6, "validation": 4}
    for path in sorted((tmp_path / "test").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    (tmp_path / "test").rmdir()
    # Without a test part the validation part is one, unless a share is held out.
    sizes = {part: len(split) for part, split in load(tmp_path).parts.items()}
    assert sizes == {"training": 8, "test": 4}
    sizes = {part: len(split) for part, split in load(tmp_path, holdout=0.0).parts.items()}
    assert sizes == {"training": 8, "validation": 4}
    write(tmp_path / "val" / "a" / "x.png", np.zeros((9, 9), "u1"))
    with pytest.raises(DataError, match=r"one size, got 12 of 2x2 and 1 of 9x9 \(height x width\)"):
        load(tmp_path)


def test_pictures_are_decoded_when_they_are_read(folder: Path):
    files = labelled_pictures(folder, Reading()).train
    assert (files.shape, len(files)) == ((20, 1, 3, 4), 20)
    images = files.images(Reading())
    np.testing.assert_array_equal(files.read([3, 17, 3]), images[[3, 17, 3]])
    np.testing.assert_array_equal(files.read(np.arange(5)), images[:5])
    assert files.labels is not None
    write(files.paths[3], np.zeros((1, 1), "u1"))
    with pytest.raises(DataError, match="expected a picture of 3x4, as its header says, got 1x1"):
        files.read([3])


def test_images_of_pictures_and_folders(folder: Path):
    images = load_images(folder)
    assert images.shape == (20, 1, 3, 4)
    np.testing.assert_array_equal(load_images(folder / "10"), images[10:])
    np.testing.assert_array_equal(load_images(folder / "10" / "3.png"), images[13:14])
    unnamed = (folder / "2" / "0.png").rename(folder.parent / "picture")
    np.testing.assert_array_equal(load_images(unnamed), images[:1])
    assert load_images(folder, resize=(5, 5), rgb=True).shape == (19, 3, 5, 5)


def test_broken_pictures_are_left_out_on_request_only(folder: Path):
    for label, name in ((2, "3.png"), (10, "0.png")):
        path = folder / str(label) / name
        path.write_bytes(path.read_bytes()[:50])
    (folder / "2" / "4.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"2/4.png: expected .* pass argument skip_broken to leave"):
        load(folder)
    with pytest.warns(DataWarning, match=r"left out 3 of 20 pictures, .*3.png, .*4.png, .*0.png$"):
        dataset = load(folder, skip_broken=True)
    assert len(dataset.train) + len(dataset.test) == 17
    with pytest.raises(DataError, match=r"expected a picture that can be read, got 1 that cannot"):
        load_images(folder / "2" / "4.png", skip_broken=True)


def test_options_without_a_meaning_are_refused(folder: Path, tmp_path: Path):
    with pytest.raises(DataError, match=r"argument header expected None with .* no table"):
        load(folder, header=True)
    np.save(tmp_path / "a.npy", np.zeros((2, 1, 3, 3), "f4"))
    for call in (
        lambda: load_images(tmp_path / "a.npy", grey=True),
        lambda: load("digits", grey=True),
    ):
        with pytest.raises(DataError, match="argument grey expected None with"):
            call()
    with pytest.raises(ConfigError, match="argument crop expected a size"):
        load(folder, crop=True)


def test_a_folder_of_images_without_classes_is_not_for_training(folder: Path):
    with pytest.raises(DataError, match=r"2: expected folders named as the classes, got 10 files"):
        load(folder / "2")


def test_pictures_on_another_scale_than_the_training(folder: Path):
    data_format = load(folder).data_format
    data_format = replace(data_format, pixels=PixelRange(0, 1, 0.9, 1, 0))
    write(folder / "dark.png", np.ones((3, 4), "u1"))
    with pytest.raises(DataError, match="as argument scale"):
        load_images(folder / "dark.png", data_format=data_format)


def test_digits_as_pictures_have_the_pixels_of_the_embedded_ones(tmp_path: Path):
    images = load_digits().train.images[:30]
    pixels = np.round(images[:, 0] * 255).astype(np.uint8)
    for i, mode in enumerate(["L", "P", "RGB"] * 10):
        colours = Image.fromarray(pixels[i]).convert("RGB")
        picture = colours.convert(mode, palette=Image.Palette.ADAPTIVE)
        picture.save(tmp_path / f"{i}.png")
    found = load_images(tmp_path, grey=True, data_format=load_digits().data_format)
    np.testing.assert_allclose(found, images, atol=0.5 / 255 + 1e-6)
