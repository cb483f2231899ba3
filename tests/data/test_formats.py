"""Every format: files true to the published layout are read exactly, damaged ones refused."""

import bz2
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from tinygrad_ckn.data import load, load_images
from tinygrad_ckn.data.formats import FILES, FOLDERS, Format
from tinygrad_ckn.errors import DataError

RNG = np.random.default_rng(0)
N = 12
GREY = RNG.integers(0, 256, (N, 1, 6, 6), dtype=np.uint8)
SMALL = RNG.integers(0, 256, (N, 3, 32, 32), dtype=np.uint8)
LARGE = RNG.integers(0, 256, (N, 3, 96, 96), dtype=np.uint8)
NUMBERS = np.arange(N) % 4
# Images of the training part; the others are test images where a format has some.
TRAIN, TEST = slice(0, 10), slice(10, 12)


class Row(NamedTuple):
    """How the test writes a format, and the pixels and labels that come back."""

    write: Callable[[Path], None]
    images: np.ndarray
    labels: np.ndarray = NUMBERS
    divisor: int = 255


def npy(folder: Path) -> None:
    np.save(folder / "X.npy", GREY[:, 0])
    np.save(folder / "y.npy", NUMBERS)


def pairs(folder: Path) -> None:
    for part, rows in (("train", TRAIN), ("test", TEST)):
        np.save(folder / f"X_{part}.npy", GREY[rows])
        np.save(folder / f"y_{part}.npy", NUMBERS[rows])


def npz(folder: Path) -> None:
    np.savez(folder / "mine.npz", images=GREY, labels=NUMBERS)


def table(folder: Path) -> None:
    rows = ["label," + ",".join(f"p{i}" for i in range(36))]
    rows += [",".join(map(str, (y, *x.ravel()))) for x, y in zip(GREY, NUMBERS, strict=True)]
    (folder / "mine.csv").write_text("\r\n".join(rows) + "\r\n")


def matlab(folder: Path, name: str = "mine.mat", rows: slice = slice(None)) -> None:
    from scipy.io import savemat

    y = np.where(NUMBERS[rows] == 0, 10, NUMBERS[rows])
    savemat(folder / name, {"X": SMALL[rows].transpose(2, 3, 1, 0), "y": y[:, np.newaxis]})


def svhn(folder: Path) -> None:
    matlab(folder, "train_32x32.mat", TRAIN)
    matlab(folder, "test_32x32.mat", TEST)


def idx_bytes(array: np.ndarray) -> bytes:
    head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return head + array.astype(np.uint8).tobytes()


def idx_file(folder: Path) -> None:
    (folder / "mine.idx").write_bytes(idx_bytes(GREY[:, 0]))


def idx(folder: Path) -> None:
    for part, rows in (("train", TRAIN), ("t10k", TEST)):
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx_bytes(GREY[rows, 0]))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx_bytes(NUMBERS[rows]))


def records(*labels: np.ndarray, rows: slice) -> np.ndarray:
    columns = [label[rows, np.newaxis].astype(np.uint8) for label in labels]
    return np.hstack([*columns, SMALL[rows].reshape(-1, 3072)])


def cifar10(folder: Path) -> None:
    for i in range(5):
        rows = slice(2 * i, 2 * i + 2)
        records(NUMBERS, rows=rows).tofile(folder / f"data_batch_{i + 1}.bin")
    records(NUMBERS, rows=TEST).tofile(folder / "test_batch.bin")


def cifar100(folder: Path) -> None:
    for name, rows in (("train.bin", TRAIN), ("test.bin", TEST)):
        records(NUMBERS + 7, NUMBERS, rows=rows).tofile(folder / name)


def batch(rows: slice, key: bytes) -> bytes:
    return pickle.dumps({b"data": SMALL[rows].reshape(-1, 3072), key: NUMBERS[rows].tolist()}, 2)


def cifar10_python(folder: Path) -> None:
    for i in range(5):
        rows = slice(2 * i, 2 * i + 2)
        (folder / f"data_batch_{i + 1}").write_bytes(batch(rows, b"labels"))
    (folder / "test_batch").write_bytes(batch(TEST, b"labels"))


def cifar100_python(folder: Path) -> None:
    for name, rows in (("train", TRAIN), ("test", TEST)):
        (folder / name).write_bytes(batch(rows, b"fine_labels"))


def stl10(folder: Path) -> None:
    for part, rows in (("train", TRAIN), ("test", TEST)):
        np.ascontiguousarray(LARGE[rows].swapaxes(2, 3)).tofile(folder / f"{part}_X.bin")
        (NUMBERS[rows] + 1).astype(np.uint8).tofile(folder / f"{part}_y.bin")


USPS = np.round(RNG.uniform(-1, 1, (N, 1, 16, 16)), 3).astype(np.float32)


def usps(folder: Path) -> None:
    for name, rows in (("usps.bz2", TRAIN), ("usps.t.bz2", TEST)):
        lines = [
            f"{y + 1} " + " ".join(f"{i}:{v}" for i, v in enumerate(x.ravel(), start=1))
            for x, y in zip(USPS[rows], NUMBERS[rows], strict=True)
        ]
        (folder / name).write_bytes(bz2.compress("\n".join(lines).encode()))


def pictures(folder: Path) -> None:
    for i, (x, y) in enumerate(zip(GREY[:, 0], NUMBERS, strict=True)):
        part = "train" if i < TRAIN.stop else "test"
        path = folder / part / str(y) / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(x).save(path)


BY_CLASS = np.concatenate([np.argsort(NUMBERS[TRAIN], kind="stable"), [10, 11]])
ROWS = {
    "an .npy file": Row(npy, GREY),
    "an .npz file": Row(npz, GREY),
    "a table (.csv, .tsv or .txt, zipped or not)": Row(table, GREY),
    "a .mat file of SVHN": Row(matlab, SMALL),
    "an IDX file": Row(idx_file, GREY),
    "IDX files (train-images-idx3-ubyte ...)": Row(idx, GREY),
    "CIFAR-10's binary files (data_batch_1.bin ...)": Row(cifar10, SMALL),
    "CIFAR-10's Python version (data_batch_1 ...)": Row(cifar10_python, SMALL),
    "CIFAR-100's Python version (train, test, meta)": Row(cifar100_python, SMALL),
    "CIFAR-100's binary files (train.bin ...)": Row(cifar100, SMALL),
    "STL-10's binary files (train_X.bin ...)": Row(stl10, LARGE, NUMBERS + 1),
    "SVHN's files (train_32x32.mat ...)": Row(svhn, SMALL),
    "USPS's files (zip.train ... or usps.bz2 ...)": Row(usps, USPS, divisor=1),
    "pairs of array files (X_train.npy and y_train.npy ...)": Row(pairs, GREY),
    # In the order of the classes.
    "a folder of pictures for each class": Row(pictures, GREY[BY_CLASS], NUMBERS[BY_CLASS]),
}


def path_of(known: Format, folder: Path) -> Path:
    """Return the path to read: the folder, or its file of images."""
    return folder if known in FOLDERS else min(folder.iterdir())


def test_every_format_has_a_row():
    assert [known.words for known in (*FILES, *FOLDERS)] == list(ROWS)


@pytest.mark.parametrize("known", [*FILES, *FOLDERS], ids=lambda known: known.words)
def test_a_true_file_is_read_exactly(known: Format, tmp_path: Path):
    row = ROWS[known.words]
    row.write(tmp_path)
    path = path_of(known, tmp_path)
    expected = row.images.astype(np.float32) / np.float32(row.divisor)
    assert next(other for other in (FILES, FOLDERS)[known in FOLDERS] if other.holds(path)) is known
    if known.images:
        np.testing.assert_array_equal(load_images(path), expected)
    if known.parts is None:
        return
    data = load(path) if known in FOLDERS else load(path, holdout=0)
    splits = [split for split in (data.train, data.test) if split is not None]
    images = np.concatenate([split.images for split in splits])
    np.testing.assert_array_equal(images, expected)
    assert np.concatenate([split.labels for split in splits]).tolist() == row.labels.tolist()


@pytest.mark.parametrize("fault", ["cut off", "other bytes", "empty", "missing"])
@pytest.mark.parametrize("known", [*FILES, *FOLDERS], ids=lambda known: known.words)
def test_a_wrong_file_is_refused_in_a_sentence(known: Format, fault: str, tmp_path: Path):
    row = ROWS[known.words]
    row.write(tmp_path)
    path = path_of(known, tmp_path)
    files = sorted(file for file in tmp_path.rglob("*") if file.is_file())
    # The first holds images, the last labels or test images.
    for wrong in {files[0], files[-1]}:
        content = wrong.read_bytes()
        if fault == "missing":
            if known.words.startswith("a folder of pictures") or wrong == path:
                # One picture fewer is no fault; a path must be there.
                continue
            wrong.unlink()
        else:
            damaged = {"cut off": content[: len(content) // 2 - 1], "empty": b""}
            wrong.write_bytes(damaged.get(fault, b"\x93not an image\0" * 9))
        with pytest.raises(DataError) as caught:
            load(path) if known.parts else load_images(path)
        message = str(caught.value)
        assert str(tmp_path) in message
        assert "expected" in message
        assert "got" in message
        assert "\n" not in message
        wrong.write_bytes(content)
