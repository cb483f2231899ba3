from pathlib import Path

import numpy as np
import pytest

from tinygrad_ckn.data import load
from tinygrad_ckn.errors import DataError
from tinygrad_ckn.lazy_images import is_lazy


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inner = tmp_path / "stl10_binary"
    inner.mkdir()
    rng = np.random.default_rng(0)
    for part, labels in (("train", [10, 1, 2]), ("test", [3, 1])):
        rng.integers(0, 256, 27648 * len(labels), dtype=np.uint8).tofile(inner / f"{part}_X.bin")
        np.array(labels, np.uint8).tofile(inner / f"{part}_y.bin")
    return inner


def test_columns_come_first_and_labels_are_those_published(folder: Path):
    data = load(folder.parent)
    stored = np.fromfile(folder / "train_X.bin", np.uint8)
    assert (data.name, data.train.images.shape) == ("stl10", (3, 3, 96, 96))
    # Image 1, green, row 5, column 7.
    position = 27648 + 9216 + 7 * 96 + 5
    assert data.train.images[1, 1, 5, 7] == np.float32(stored[position]) / 255
    assert (data.train.labels.tolist(), data.test.labels.tolist()) == ([10, 1, 2], [3, 1])
    assert data.classes == tuple(range(1, 11))
    assert (data.class_names[0], data.class_names[9]) == ("airplane", "truck")
    assert load("stl10", data_dir=folder).test.labels.tolist() == [3, 1]


def test_images_are_read_in_blocks(folder: Path):
    whole, lazy = load(folder), load(folder, memory=200_000)
    assert is_lazy(lazy.train.images)
    np.testing.assert_array_equal(lazy.train.images[:], whole.train.images)


def test_names_of_classes_are_those_of_the_file(folder: Path):
    (folder / "class_names.txt").write_text("\n".join("abcdefghij") + "\n")
    assert load(folder).class_names == tuple("abcdefghij")
    (folder / "class_names.txt").write_text("a\nb\n")
    with pytest.raises(DataError, match="expected 10 names, one a line, got 2"):
        load(folder)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train_X.bin", bytes(27649), "expected images of 27648 bytes, got 27,649 bytes in all"),
        ("test_y.bin", bytes([1]), "expected 2 bytes, a label for each image of test_X.bin, got 1"),
        ("test_y.bin", bytes([1, 0]), "expected labels 1 .. 10, got 0 at byte 1"),
        ("test_X.bin", None, "test_X.bin: expected this file of STL-10, got nothing"),
    ],
)
def test_wrong_files(folder: Path, name: str, content: bytes | None, message: str):
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        load(folder)
