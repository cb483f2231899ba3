"""Images in one file of an array, their labels in another."""

from pathlib import Path

import numpy as np
import pytest

from tinygrad_ckn.data import load, load_images, load_test
from tinygrad_ckn.errors import DataError, DataWarning
from tinygrad_ckn.lazy_images import is_lazy

IMAGES = np.random.default_rng(0).integers(0, 256, (24, 5, 5), dtype=np.uint8)
LABELS = np.arange(24) % 3
FLOATS = IMAGES[:, np.newaxis] / np.float32(255)


def write(folder: Path, **arrays: np.ndarray) -> Path:
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return folder


@pytest.mark.parametrize(
    ("images", "labels"),
    [("X", "y"), ("x", "Y"), ("images", "labels"), ("mine_imgs", "mine_labels"), ("X-1", "y-1")],
)
def test_a_file_has_its_labels_beside_it(tmp_path: Path, images: str, labels: str):
    write(tmp_path, **{images: IMAGES, labels: LABELS})
    for path in (tmp_path / f"{images}.npy", tmp_path):
        data = load(path, holdout=0)
        np.testing.assert_array_equal(data.train.images, FLOATS)
        assert data.train.labels.tolist() == LABELS.tolist()
    np.testing.assert_array_equal(load_images(tmp_path / f"{images}.npy"), FLOATS)


def test_names_say_the_parts(tmp_path: Path):
    parts = {"train": slice(12), "test": slice(12, 18), "val": slice(18, 24)}
    for part, rows in parts.items():
        write(tmp_path, **{f"X_{part}": IMAGES[rows], f"y_{part}": LABELS[rows, np.newaxis]})
    data = load(tmp_path)
    for split, rows in zip((data.train, data.test, data.validation), parts.values(), strict=True):
        np.testing.assert_array_equal(split.images, FLOATS[rows])
        assert split.labels.tolist() == LABELS[rows].tolist()
    assert load_test(tmp_path)[0].labels.tolist() == LABELS[12:18].tolist()
    # A file alone has its own images.
    assert len(load(tmp_path / "X_test.npy", holdout=0).train) == 6


def test_hidden_files_are_ignored_and_dev_is_validation(tmp_path: Path):
    write(tmp_path, X_train=IMAGES, y_train=LABELS, X_dev=IMAGES[:6], y_dev=LABELS[:6])
    for name in ("._X_train.npy", "._y_train.npy"):
        # As macOS leaves them on other disks.
        (tmp_path / name).write_bytes(b"\0\5\x16\7")
    data = load(tmp_path, holdout=0)
    assert {part: len(split) for part, split in data.parts.items()} == {
        "training": 24,
        "validation": 6,
    }


def test_other_parts_are_read_as_the_training_images(tmp_path: Path):
    # Bytes for training, a sixteenth of them as floats for testing: 0..1 is on that scale.
    write(tmp_path, X_train=IMAGES, y_train=LABELS, X_test=FLOATS[:6, 0], y_test=LABELS[:6])
    np.testing.assert_array_equal(load(tmp_path).test.images, FLOATS[:6])


def test_images_are_read_in_blocks(tmp_path: Path):
    write(tmp_path, X=IMAGES, y=LABELS)
    lazy = load(tmp_path, memory=100, holdout=0).train.images
    assert is_lazy(lazy)
    np.testing.assert_array_equal(lazy[:], FLOATS)


def test_an_archive_of_one_array_is_like_a_file_of_it(tmp_path: Path):
    np.savez(tmp_path / "digits_images.npz", IMAGES)
    np.savez(tmp_path / "digits_labels.npz", LABELS)
    np.testing.assert_array_equal(load(tmp_path, holdout=0).train.images, FLOATS)
    np.testing.assert_array_equal(load_images(tmp_path / "digits_images.npz"), FLOATS)
    (tmp_path / "digits_images.npz").write_bytes(b"PK\3\4 cut off")
    with pytest.raises(DataError, match=r"digits_images\.npz: expected an \.npz archive of num"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("arrays", "path", "message"),
    [
        (["X", "y", "y_test"], "", r"y_test\.npy: expected the images of these labels in a file"),
        (["X"], "X.npy", r"labels of these images in one file, y\.npy, beside it, got none"),
        (["X_train"], "", r"in one file, y_train\.npy, beside it, got none; add or rename it"),
        (
            ["X-a", "y-a", "y_a"],
            "X-a.npy",
            r"beside it, got y-a\.npy and y_a",
        ),
        (
            ["X_train", "y_train"],
            "y_train.npy",
            r"expected images, got a file named as the labels of X_train\.npy; give the file of",
        ),
        (["X"], "Z/X.npy", r"expected an array file with its labels beside it, got nothing"),
        (["X", "y"], "x_train.npy", r"x_train\.npy: expected an array file .*, got nothing"),
        (
            ["faces", "y"],
            "faces.npy",
            r"expected a name that says where the labels are",
        ),
        (
            ["X", "y", "images", "labels"],
            "",
            r"file of train images, got X\.npy and images\.npy",
        ),
        (
            ["X_test", "y_test"],
            "",
            r"a file of training images, .*, got X_test\.npy alone",
        ),
    ],
)
def test_files_without_their_labels_are_refused(
    tmp_path: Path, arrays: list[str], path: str, message: str
):
    for name in arrays:
        of_labels = name.startswith(("y", "labels"))
        write(tmp_path, **{name: LABELS if of_labels else IMAGES})
    with pytest.raises(DataError, match=message):
        load(tmp_path / path)


def test_arrays_that_do_not_fit_and_options_without_meaning_are_refused(tmp_path: Path):
    write(tmp_path, X=IMAGES, y=LABELS[:-1])
    with pytest.raises(DataError, match=r"y\.npy: expected 24 labels, one for each image of X"):
        load(tmp_path)
    with pytest.raises(DataError, match=r"argument header expected None with .* no table"):
        load(tmp_path, header=True)
    np.savez(tmp_path / "a.npz", images=IMAGES, labels=LABELS)
    with pytest.warns(
        DataWarning, match=r"at most 10 bytes of memory, got 2,400 in parts that are"
    ):
        load(tmp_path / "a.npz", memory=10)
