import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_ckn.data import load_csv, load_npz
from tinygrad_ckn.data.array_pairs import read_array_file
from tinygrad_ckn.data.npz_csv import read_npz_images
from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.errors import DataError

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 3, 4, 5), dtype=np.uint8)
LABELS = np.arange(20) % 2


def write(folder: Path, **arrays: Any) -> Path:
    path = folder / "mine.npz"
    np.savez(path, **arrays)
    return path


def test_an_archive_without_a_test_part_is_divided_by_class(tmp_path: Path) -> None:
    path = write(tmp_path, images=IMAGES, labels=LABELS)
    data = load_npz(path)
    assert (data.name, data.n_classes, data.class_names) == ("mine", 2, ("0", "1"))
    assert (data.in_channels, data.image_size) == (3, (4, 5))
    assert np.bincount(data.train.labels).tolist() == [8, 8]
    assert np.bincount(data.test.labels).tolist() == [2, 2]
    np.testing.assert_array_equal(load_npz(path).test.images, data.test.images)
    assert not np.array_equal(load_npz(path, seed=1).test.images, data.test.images)


def test_an_archive_with_a_test_part_keeps_it(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        images=IMAGES[:3],
        labels=LABELS[:3],
        test_images=IMAGES[3:5] / 255,
        test_labels=[2, 0],
    )
    data = load_npz(path)
    np.testing.assert_array_equal(data.train.images, IMAGES[:3] / np.float32(255))
    np.testing.assert_array_equal(data.test.images, (IMAGES[3:5] / 255).astype(np.float32))
    assert data.test.labels.tolist() == [2, 0]
    assert data.n_classes == 3


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([1, 2, 2, 1, 1] * 4, (1, 2)),
        ([0, 3, 0, 3, -1] * 4, (-1, 0, 3)),
        (["dog", "cat", "dog", "cat", "emu"] * 4, ("cat", "dog", "emu")),
        ([True, False] * 10, (False, True)),
        ([[2.0], [5.0]] * 10, (2, 5)),
    ],
)
def test_labels_of_any_kind_are_classes_in_sorted_order(
    tmp_path: Path, labels: list[Any], classes: tuple[Any, ...]
):
    data = load_npz(write(tmp_path, images=IMAGES, labels=labels))
    assert data.classes == classes
    assert data.class_names == tuple(str(label) for label in classes)
    assert sorted({*data.train.labels.tolist(), *data.test.labels.tolist()}) == list(classes)
    if np.ndim(labels) == 1:
        lines = [f"{label},1,2,3,{i}" for i, label in enumerate(labels)]
        (tmp_path / "a.csv").write_text("\n".join(lines))
        assert load_csv(tmp_path / "a.csv", header=False).classes == classes


def test_names_of_classes_are_taken_from_the_archive(tmp_path: Path) -> None:
    data = load_npz(write(tmp_path, images=IMAGES, labels=LABELS, class_names=["cat", "dog"]))
    assert (data.classes, data.class_names) == ((0, 1), ("cat", "dog"))
    data = load_npz(
        write(tmp_path, images=IMAGES, labels=LABELS * 0, class_names=["cat", "dog", "emu"])
    )
    assert (data.classes, data.class_names) == ((0, 1, 2), ("cat", "dog", "emu"))
    for names, message in (
        (
            ["only"],
            "labels: expected labels of 1 classes, or class numbers 0 .. 0, got 2 different "
            "ones: 0, 1",
        ),
        ([1, 2], "class_names: expected a name for each class, got [1, 2]"),
        (["cat", "\x1b[31m"], "class_names: expected a name for each class, got"),
    ):
        with pytest.raises(DataError, match=re.escape(f"mine.npz, {message}")):
            load_npz(write(tmp_path, images=IMAGES, labels=LABELS, class_names=names))


def test_both_parts_are_read_as_the_training_part(tmp_path: Path) -> None:
    bytes_, floats = IMAGES, IMAGES.astype(np.float32)
    for train, test in ((bytes_, bytes_ / 255), (floats, bytes_)):
        data = load_npz(
            write(tmp_path, images=train, labels=LABELS, test_images=test, test_labels=LABELS)
        )
        np.testing.assert_allclose(data.test.images, data.train.images, rtol=1e-6)
    for train, test in ((bytes_, floats), (floats, floats / 255)):
        with pytest.raises(DataError, match=r"mine\.npz, test_images: .* as argument scale"):
            load_npz(
                write(tmp_path, images=train, labels=LABELS, test_images=test, test_labels=LABELS)
            )
    data = load_npz(write(tmp_path, images=floats, labels=LABELS), scale=255)
    np.testing.assert_allclose(data.train.images.max(), IMAGES.max() / 255, rtol=0.1)
    last = np.moveaxis(IMAGES, 1, 3)
    data = load_npz(write(tmp_path, images=last, labels=LABELS), channels_last=True)
    assert data.data_format.channels_last
    np.testing.assert_array_equal(
        data.train.images[0],
        load_npz(write(tmp_path, images=IMAGES, labels=LABELS)).train.images[0],
    )
    data = load_npz(
        write(tmp_path, images=IMAGES.reshape(20, -1), labels=LABELS),
        image_shape=(3, 4, 5),
        channels_last=False,
    )
    assert data.train.images.shape == (16, 3, 4, 5)


def test_copies_of_an_image_stay_on_one_side(tmp_path: Path) -> None:
    path = write(tmp_path, images=np.repeat(IMAGES, 3, 0), labels=np.repeat(LABELS, 3))
    data = load_npz(path)
    assert data.n_copies == 0
    assert 6 <= len(data.test) <= 24
    path = write(
        tmp_path, images=IMAGES, labels=LABELS, test_images=IMAGES[:7], test_labels=LABELS[:7]
    )
    assert load_npz(path).n_copies == 7


OBJECTS = np.array([None, 1], dtype=object)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"images": IMAGES},
            "mine.npz: expected an array named 'labels', got images; store it with "
            "np.savez(labels=",
        ),
        ({"x": IMAGES, "y": LABELS}, "mine.npz: expected an array named 'images', got x, y;"),
        ({}, "mine.npz: expected an array named 'images', got no named array;"),
        ({"images": OBJECTS, "labels": LABELS}, "is damaged or needs pickle, which is never used"),
        ({"images": IMAGES, "labels": OBJECTS}, "is damaged or needs pickle, which is never used"),
        (
            {"images": IMAGES[0, 0], "labels": LABELS},
            "mine.npz, images: expected at least one image",
        ),
        (
            {"images": IMAGES, "labels": LABELS / 2},
            "mine.npz, labels: expected labels that are integers, strings or boo",
        ),
        (
            {
                "images": IMAGES,
                "labels": LABELS,
                "test_images": IMAGES,
                "test_labels": LABELS.astype(str),
            },
            "mine.npz: expected labels of one kind in all parts, got int64 and <U",
        ),
        (
            {"images": IMAGES, "labels": LABELS[1:]},
            "mine.npz, labels: expected 20 labels, one per image, got 19",
        ),
        (
            {"images": IMAGES, "labels": LABELS, "test_images": IMAGES},
            "mine.npz: expected both test_images and test_labels, got no test_labels",
        ),
        (
            {
                "images": IMAGES,
                "labels": LABELS,
                "test_images": IMAGES[:, :1],
                "test_labels": LABELS,
            },
            "mine.npz, test_images: expected images 3x4x5 as those the model was trained on, got "
            "1x4x5",
        ),
        (
            {"images": IMAGES[:2], "labels": LABELS[:2]},
            "mine.npz: expected enough images to hold out 20% of them for testing, got 2 images "
            "of 2 classes",
        ),
    ],
)
def test_a_bad_archive_is_refused(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        load_npz(write(tmp_path, **arrays))


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    with pytest.raises(DataError, match=r"mine\.npz: expected an \.npz file, got nothing"):
        load_npz(path)
    for content in (b"", b"PK\x03\x04", b"label,p0\n"):
        path.write_bytes(content)
        with pytest.raises(
            DataError,
            match=r"mine\.npz: expected an \.npz archive of numeric arrays, got one that is",
        ):
            load_npz(path)
    with path.open("wb") as stream:
        np.save(stream, IMAGES)
    with pytest.raises(
        DataError, match=r"mine\.npz: expected an array named 'images', got no named array"
    ):
        load_npz(path)


def test_an_archive_damaged_at_any_byte_is_read_or_refused_in_a_sentence(tmp_path: Path) -> None:
    np.savez_compressed(
        tmp_path / "whole.npz", images=IMAGES[:4, :1, :2, :2], labels=LABELS[:4] * 0
    )
    whole = (tmp_path / "whole.npz").read_bytes()
    path = tmp_path / "damaged.npz"
    for position in range(len(whole)):
        for flipped_bits in (0x01, 0x80, 0xFF):
            damaged = bytearray(whole)
            damaged[position] ^= flipped_bits
            path.write_bytes(damaged)
            try:
                assert (
                    load_npz(path).n_classes == 1
                )  # a byte that says nothing about the arrays, such as a date
            except DataError as error:
                assert str(error).startswith(str(path))


def test_an_archive_truncated_at_any_byte_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, images=IMAGES[:4, :1, :2, :2], labels=LABELS[:4] * 0)
    whole = path.read_bytes()
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(DataError, match=r"mine\.npz: expected an \.npz archive .* is damaged"):
            load_npz(path)


def test_a_csv_file_is_divided_by_class(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    np.savetxt(path, np.column_stack([LABELS, IMAGES.reshape(20, -1)]), fmt="%d", delimiter=",")
    data = load_csv(path, image_shape=(3, 4, 5))
    assert (data.name, data.n_classes, len(data.train), len(data.test)) == ("mine", 2, 16, 4)
    rows = {image.tobytes() for image in IMAGES / np.float32(255)}
    assert {image.tobytes() for image in (*data.train.images, *data.test.images)} == rows
    assert not np.array_equal(
        load_csv(path, image_shape=(3, 4, 5), seed=1).test.images, data.test.images
    )


def test_a_missing_csv_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.csv: expected a CSV file, got nothing"):
        load_csv(tmp_path / "absent.csv")


def test_images_alone_are_read(tmp_path: Path) -> None:
    expected = IMAGES / np.float32(255)
    np.testing.assert_array_equal(
        read_npz_images(write(tmp_path, images=IMAGES, labels=OBJECTS), Reading()), expected
    )
    np.save(tmp_path / "mine.npy", IMAGES)
    np.testing.assert_array_equal(read_array_file(tmp_path / "mine.npy", Reading()), expected)


def test_a_bad_npy_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.npy"
    np.save(path, OBJECTS)
    with pytest.raises(
        DataError, match=r"mine\.npy: expected a numeric array .* damaged or needs pickle"
    ):
        read_array_file(path, Reading())
    write(tmp_path, images=IMAGES).rename(path)
    with pytest.raises(DataError, match=r"mine\.npy: expected a single array .* got an archive"):
        read_array_file(path, Reading())
    np.save(path, LABELS)
    with pytest.raises(
        DataError, match=r"mine\.npy: expected at least one image, .* got shape \(20,\)"
    ):
        read_array_file(path, Reading())


def test_medmnist_in_colour_has_the_channels_last(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 28, 28, 3), dtype=np.uint8)
    arrays = {}
    for part, rows in (("train", slice(5)), ("val", slice(5, 7)), ("test", slice(7, 9))):
        arrays[f"{part}_images"] = pixels[rows]
        arrays[f"{part}_labels"] = (np.arange(9) % 2)[rows, np.newaxis]
    np.savez(tmp_path / "pathmnist.npz", **arrays)
    data = load_npz(tmp_path / "pathmnist.npz")
    expected = pixels.transpose(0, 3, 1, 2) / np.float32(255)
    for split, rows in ((data.train, slice(5)), (data.validation, slice(5, 7))):
        np.testing.assert_array_equal(split.images, expected[rows])
    assert data.data_format.channels_last
    # The user's word, and images of another kind, are not read so.
    with pytest.raises(DataError, match=r"expected images|channels"):
        load_npz(tmp_path / "pathmnist.npz", channels_last=False, image_shape=(3, 28, 28))
    np.savez(tmp_path / "mine.npz", images=pixels, labels=np.arange(9) % 2)
    with pytest.raises(DataError, match="which looks like channels last; say which"):
        load_npz(tmp_path / "mine.npz")


def test_archives_of_keras_and_medmnist(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 28, 28), dtype=np.uint8)
    numbers = np.arange(6, dtype=np.uint8) % 3
    arrays = {"x_train": pixels, "y_train": numbers, "x_test": pixels[:3], "y_test": [2, 1, 0]}
    np.savez(tmp_path / "mnist.npz", **arrays, x_val=pixels[:2], y_val=[1, 2])
    keras = load_npz(tmp_path / "mnist.npz")
    np.testing.assert_array_equal(
        keras.train.images[:, 0], pixels.astype(np.float32) / np.float32(255)
    )
    assert (keras.train.labels.tolist(), keras.test.labels.tolist()) == ([0, 1, 2] * 2, [2, 1, 0])
    assert keras.validation is not None
    assert keras.validation.labels.tolist() == [1, 2]
    np.savez(tmp_path / "two.npz", **arrays, images=pixels, labels=numbers)
    with pytest.raises(DataError, match="one array of training images, got images and x_train; st"):
        load_npz(tmp_path / "two.npz")
    parts = {
        f"{part}_{kind}": values
        for part in ("train", "val", "test")
        for kind, values in (("images", pixels), ("labels", numbers[:, np.newaxis]))
    }
    np.savez(tmp_path / "medical.npz", **parts)
    medical = load_npz(tmp_path / "medical.npz")
    assert {part: len(split) for part, split in medical.parts.items()} == {
        "training": 6,
        "test": 6,
        "validation": 6,
    }
    assert medical.train.labels.tolist() == [0, 1, 2] * 2
    np.savez(tmp_path / "chest.npz", **{**parts, "train_labels": np.zeros((6, 14), np.uint8)})
    with pytest.raises(DataError, match="train_labels: expected labels"):
        load_npz(tmp_path / "chest.npz")
    np.savez(tmp_path / "half.npz", x_train=pixels, y_train=numbers, x_test=pixels)
    with pytest.raises(DataError, match="expected both x_test and y_test, got no y_test"):
        load_npz(tmp_path / "half.npz")
