from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from tinygrad_ckn.data import load
from tinygrad_ckn.data.loading import load_parts
from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.errors import DataError

X = np.random.default_rng(0).integers(0, 256, (32, 32, 3, 4), dtype=np.uint8)
Y = np.array([[1], [10], [9], [2]], np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    savemat(tmp_path / "train_32x32.mat", {"X": X, "y": Y}, do_compression=True)
    savemat(tmp_path / "test_32x32.mat", {"X": X[..., :1], "y": Y[1:2]})
    return tmp_path


def test_label_10_is_the_digit_0(folder: Path):
    data = load(folder)
    assert data.train.labels.tolist() == [1, 0, 9, 2]
    assert data.test.labels.tolist() == [0]
    np.testing.assert_array_equal(
        data.train.images, X.transpose(3, 2, 0, 1).astype(np.float32) / np.float32(255)
    )
    assert data.classes == tuple(range(10))
    assert load("svhn", data_dir=folder).name == "svhn"


def test_one_file_has_no_test_part(folder: Path):
    path = folder / "train_32x32.mat"
    path.rename(folder / "digits")
    parts = load_parts(folder / "digits", None, Reading())
    assert (parts.train.labels.tolist(), parts.test) == ([1, 0, 9, 2], None)


def test_an_image_of_a_file_of_one(folder: Path):
    savemat(folder / "train_32x32.mat", {"X": X[..., :1], "y": Y[:1]})
    assert load(folder).train.images.shape == (1, 3, 32, 32)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X": X, "y": Y[:3]}, r"y: expected a label for each image, shape \(4, 1\)"),
        ({"X": X, "y": Y + 1}, "y: expected labels 1 .. 10, got 11 at index 1"),
        ({"X": X.astype(float), "y": Y}, "X: expected uint8 of shape .*, got double"),
        ({"images": X}, "X: expected uint8 .*, got none"),
    ],
)
def test_other_arrays(folder: Path, arrays: dict[str, np.ndarray], message: str):
    savemat(folder / "test_32x32.mat", arrays)
    with pytest.raises(DataError, match=message):
        load(folder)


def test_version_7_3_and_damaged_files(folder: Path):
    path = folder / "test_32x32.mat"
    header = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    path.write_bytes(header + bytes(400))
    with pytest.raises(DataError, match=r"got version 7.3 \(HDF5\); save it again with -v7"):
        load(folder)
    good = (folder / "train_32x32.mat").read_bytes()
    for damaged in (b"", good[:130], good[: len(good) // 2], b"MATLAB 5.0 MAT-file"):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"test_32x32\.mat"):
            load(folder)


def test_no_byte_ends_the_process(folder: Path):
    path = folder / "test_32x32.mat"
    content = path.read_bytes()
    # The tags of X; SciPy alone ends at three of these.
    for position in range(136, 192):
        for value in (0, 1, 8):
            path.write_bytes(content[:position] + bytes([value]) + content[position + 1 :])
            try:
                load(path, holdout=0)
            except DataError as error:
                assert str(error).startswith(str(path))


def test_a_missing_file_is_named(folder: Path):
    (folder / "test_32x32.mat").unlink()
    with pytest.raises(DataError, match=r"test_32x32\.mat: expected this file of SVHN"):
        load(folder)
