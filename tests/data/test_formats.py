"""Every format: files true to the published layout are read exactly, damaged ones refused.

Data frames, DLPack and `__array__` objects are in test_in_memory.py.
"""

import bz2
import csv
import gzip
import io
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
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
RGB = RNG.integers(0, 256, (N, 3, 28, 28), dtype=np.uint8)
# The parts of most formats, and of those with a validation part.
PARTS = {"train": slice(10), "test": slice(10, 12)}
THREE_PARTS = {"train": slice(8), "val": slice(8, 10), "test": slice(10, 12)}


class Row(NamedTuple):
    """How the test writes a format in some parts, and what comes back of all of them."""

    words: str
    write: Callable[[Path], None]
    images: np.ndarray
    labels: np.ndarray = NUMBERS
    divisor: int = 255
    n_parts: int = 1
    label: str | None = None


def npy(folder: Path) -> None:
    np.save(folder / "X.npy", GREY[:, 0])
    np.save(folder / "y.npy", NUMBERS)


def pairs(folder: Path) -> None:
    for part, rows in THREE_PARTS.items():
        np.save(folder / f"X_{part}.npy", GREY[rows])
        np.save(folder / f"y_{part}.npy", NUMBERS[rows])


def npz(folder: Path) -> None:
    np.savez(folder / "mine.npz", images=GREY, labels=NUMBERS)


def kmnist(folder: Path) -> None:
    for part, rows in PARTS.items():
        np.savez_compressed(folder / f"kmnist-{part}-imgs.npz", GREY[rows, 0])
        np.savez_compressed(folder / f"kmnist-{part}-labels.npz", NUMBERS[rows].astype(np.uint8))


def keras(folder: Path) -> None:
    arrays = {f"x_{part}": GREY[rows, 0] for part, rows in THREE_PARTS.items()}
    arrays |= {f"y_{part}": NUMBERS[rows] for part, rows in THREE_PARTS.items()}
    np.savez(folder / "mnist.npz", **arrays)


def medmnist(images: np.ndarray) -> Callable[[Path], None]:
    """Images (n, H, W), or (n, H, W, 3), and labels (n, 1)."""

    def write(folder: Path) -> None:
        arrays = {f"{part}_images": images[rows] for part, rows in THREE_PARTS.items()}
        arrays |= {f"{part}_labels": NUMBERS[rows, None] for part, rows in THREE_PARTS.items()}
        np.savez_compressed(folder / "pathmnist.npz", **arrays)

    return write


WORDS = np.array(["big cat", "dog", "emu", "owl"])[NUMBERS]


def table(
    name: str = "mine.csv",
    labels: np.ndarray = NUMBERS,
    place: int = 0,
    label: str | None = "label",
    **style: Any,
) -> Callable[[Path], None]:
    """A table with its labels in some column; the header is None or names them."""

    def write(folder: Path) -> None:
        lines = [[f"pixel{i}" for i in range(36)]] if label else []
        lines += [list(map(str, image.ravel())) for image in GREY]
        names = ([label] if label else []) + labels.astype(str).tolist()
        for line, cell in zip(lines, names, strict=True):
            line.insert(place, cell)
        text = io.StringIO()
        csv.writer(text, **style).writerows(lines)
        content = text.getvalue().encode()
        path = folder / name
        if path.suffix == ".zip":
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr(path.stem, content)
        else:
            path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)

    return write


def data_frame(folder: Path) -> None:
    frame = pd.DataFrame(GREY.reshape(N, -1))
    frame.columns = [f"pixel{i}" for i in range(36)]
    frame.assign(target=WORDS).to_csv(folder / "frame.csv", index=False)


def matlab(folder: Path, name: str = "mine.mat", rows: slice = slice(None)) -> None:
    from scipy.io import savemat

    y = np.where(NUMBERS[rows] == 0, 10, NUMBERS[rows])
    savemat(folder / name, {"X": SMALL[rows].transpose(2, 3, 1, 0), "y": y[:, np.newaxis]})


def svhn(folder: Path) -> None:
    matlab(folder, "train_32x32.mat", PARTS["train"])
    matlab(folder, "test_32x32.mat", PARTS["test"])


def idx_bytes(array: np.ndarray) -> bytes:
    head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return head + array.astype(np.uint8).tobytes()


def idx_file(folder: Path) -> None:
    (folder / "mine.idx").write_bytes(idx_bytes(GREY[:, 0]))


def idx(folder: Path) -> None:
    for part, rows in (("train", PARTS["train"]), ("t10k", PARTS["test"])):
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx_bytes(GREY[rows, 0]))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx_bytes(NUMBERS[rows]))


def idx_zipped(folder: Path) -> None:
    idx(folder)
    for path in list(folder.iterdir()):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()


def records(*labels: np.ndarray, rows: slice) -> np.ndarray:
    columns = [label[rows, np.newaxis].astype(np.uint8) for label in labels]
    return np.hstack([*columns, SMALL[rows].reshape(-1, 3072)])


def cifar10(folder: Path) -> None:
    for i in range(5):
        rows = slice(2 * i, 2 * i + 2)
        records(NUMBERS, rows=rows).tofile(folder / f"data_batch_{i + 1}.bin")
    records(NUMBERS, rows=PARTS["test"]).tofile(folder / "test_batch.bin")


def cifar100(folder: Path) -> None:
    for name, rows in (("train.bin", PARTS["train"]), ("test.bin", PARTS["test"])):
        records(NUMBERS + 7, NUMBERS, rows=rows).tofile(folder / name)


def batch(rows: slice, **labels: np.ndarray) -> bytes:
    stored = {key.encode(): values[rows].tolist() for key, values in labels.items()}
    names = [b"%d.png" % number for number in range(N)[rows]]
    pixels = SMALL[rows].reshape(-1, 3072)
    return pickle.dumps({b"batch_label": b"a", **stored, b"data": pixels, b"filenames": names}, 2)


def cifar10_python(folder: Path) -> None:
    for i in range(5):
        rows = slice(2 * i, 2 * i + 2)
        (folder / f"data_batch_{i + 1}").write_bytes(batch(rows, labels=NUMBERS))
    (folder / "test_batch").write_bytes(batch(PARTS["test"], labels=NUMBERS))


def cifar100_python(folder: Path) -> None:
    for name, rows in PARTS.items():
        content = batch(rows, fine_labels=NUMBERS, coarse_labels=NUMBERS + 7)
        (folder / name).write_bytes(content)


def stl10(folder: Path) -> None:
    for part, rows in PARTS.items():
        np.ascontiguousarray(LARGE[rows].swapaxes(2, 3)).tofile(folder / f"{part}_X.bin")
        (NUMBERS[rows] + 1).astype(np.uint8).tofile(folder / f"{part}_y.bin")


USPS = np.round(RNG.uniform(-1, 1, (N, 1, 16, 16)), 3).astype(np.float32)


def usps_text(rows: slice) -> str:
    lines = zip(NUMBERS[rows], USPS[rows], strict=True)
    return "".join(f"{y}.0000 {' '.join(f'{v:.4f}' for v in x.ravel())} \n" for y, x in lines)


def usps(folder: Path) -> None:
    for part, rows in PARTS.items():
        (folder / f"zip.{part}.gz").write_bytes(gzip.compress(usps_text(rows).encode()))


def usps_file(folder: Path) -> None:
    (folder / "zip.train").write_text(usps_text(slice(N)))


def usps_libsvm(folder: Path) -> None:
    for name, rows in (("usps.bz2", PARTS["train"]), ("usps.t.bz2", PARTS["test"])):
        lines = [
            f"{y + 1} " + " ".join(f"{i}:{v}" for i, v in enumerate(x.ravel(), start=1))
            for x, y in zip(USPS[rows], NUMBERS[rows], strict=True)
        ]
        (folder / name).write_bytes(bz2.compress("\n".join(lines).encode()))


def pictures(folder: Path) -> None:
    for part, rows in THREE_PARTS.items():
        for i in range(N)[rows]:
            path = folder / part / str(NUMBERS[i]) / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(GREY[i, 0]).save(path)


def pictures_of_classes(folder: Path) -> None:
    for i, image in enumerate(RGB):
        path = folder / WORDS[i] / f"{i}.bmp"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(image.transpose(1, 2, 0)).save(path)


# Pictures come in the order of the classes, within each part.
OF_PARTS = np.concatenate([np.argsort(NUMBERS[:8], kind="stable"), [8, 9, 10, 11]])
OF_CLASSES = np.argsort(NUMBERS, kind="stable")
(
    NPY,
    NPZ,
    TABLE,
    MATLAB,
    IDX_FILE,
    IDX,
    CIFAR10,
    CIFAR10_PYTHON,
    CIFAR100_PYTHON,
    CIFAR100,
    STL10,
    SVHN,
    USPS_FILES,
    PAIRS,
    PICTURES,
) = (known.words for known in (*FILES, *FOLDERS))
ROWS = {
    "npy": Row(NPY, npy, GREY),
    "npz": Row(NPZ, npz, GREY),
    "Keras": Row(NPZ, keras, GREY, n_parts=3),
    "MedMNIST, grey": Row(NPZ, medmnist(GREY[:, 0]), GREY, n_parts=3),
    "MedMNIST, RGB": Row(NPZ, medmnist(RGB.transpose(0, 2, 3, 1)), RGB, n_parts=3),
    "label first": Row(TABLE, table(), GREY),
    "label last": Row(TABLE, table(place=36, label="class"), GREY),
    "label named": Row(TABLE, table(place=7, label="digit"), GREY, label="digit"),
    "label first, no header": Row(TABLE, table(labels=WORDS, label=None), GREY, WORDS),
    "label last, no header": Row(TABLE, table(labels=WORDS, label=None, place=36), GREY, WORDS),
    "quoted": Row(TABLE, table(labels=WORDS, quoting=csv.QUOTE_ALL), GREY, WORDS),
    "tabs": Row(TABLE, table("mine.tsv", WORDS, delimiter="\t"), GREY, WORDS),
    "semicolons": Row(TABLE, table(delimiter=";", lineterminator="\r"), GREY),
    "spaces": Row(TABLE, table("mine.txt", label=None, delimiter=" "), GREY),
    "table, gzip": Row(TABLE, table("mine.csv.gz"), GREY),
    "table, zip": Row(TABLE, table("mine.csv.zip", WORDS), GREY, WORDS),
    "spaces, zip": Row(TABLE, table("mine.txt.zip", label=None, delimiter=" "), GREY),
    "pandas": Row(TABLE, data_frame, GREY, WORDS),
    "USPS, one file": Row(TABLE, usps_file, USPS, divisor=1),
    "SVHN, one file": Row(MATLAB, matlab, SMALL),
    "IDX, one file": Row(IDX_FILE, idx_file, GREY),
    "IDX": Row(IDX, idx, GREY, n_parts=2),
    "IDX, gzip": Row(IDX, idx_zipped, GREY, n_parts=2),
    "CIFAR-10": Row(CIFAR10, cifar10, SMALL, n_parts=2),
    "CIFAR-10, Python": Row(CIFAR10_PYTHON, cifar10_python, SMALL, n_parts=2),
    "CIFAR-100, Python": Row(CIFAR100_PYTHON, cifar100_python, SMALL, n_parts=2),
    "CIFAR-100, Python, coarse": Row(
        CIFAR100_PYTHON, cifar100_python, SMALL, NUMBERS + 7, n_parts=2, label="coarse"
    ),
    "CIFAR-100": Row(CIFAR100, cifar100, SMALL, n_parts=2),
    "CIFAR-100, coarse": Row(CIFAR100, cifar100, SMALL, NUMBERS + 7, n_parts=2, label="coarse"),
    "STL-10": Row(STL10, stl10, LARGE, NUMBERS + 1, n_parts=2),
    "SVHN": Row(SVHN, svhn, SMALL, n_parts=2),
    "USPS": Row(USPS_FILES, usps, USPS, divisor=1, n_parts=2),
    "USPS, LIBSVM": Row(USPS_FILES, usps_libsvm, USPS, divisor=1, n_parts=2),
    "pairs": Row(PAIRS, pairs, GREY, n_parts=3),
    "KMNIST, npz": Row(PAIRS, kmnist, GREY, n_parts=2),
    "pictures in parts": Row(PICTURES, pictures, GREY[OF_PARTS], NUMBERS[OF_PARTS], n_parts=3),
    "pictures": Row(PICTURES, pictures_of_classes, RGB[OF_CLASSES], WORDS[OF_CLASSES]),
}


def format_of(row: Row) -> Format:
    """Return the format of a row."""
    return next(known for known in (*FILES, *FOLDERS) if known.words == row.words)


def path_of(known: Format, folder: Path) -> Path:
    """Return the path to read: the folder, or its file of images."""
    return folder if known in FOLDERS else min(folder.iterdir())


def test_every_format_has_a_row():
    assert {known.words for known in (*FILES, *FOLDERS)} == {row.words for row in ROWS.values()}


@pytest.mark.parametrize("name", ROWS)
def test_a_true_file_is_read_exactly(name: str, tmp_path: Path):
    row = ROWS[name]
    row.write(tmp_path)
    known = format_of(row)
    path = path_of(known, tmp_path)
    expected = row.images.astype(np.float32) / np.float32(row.divisor)
    assert next(other for other in (FILES, FOLDERS)[known in FOLDERS] if other.holds(path)) is known
    if row.words in (NPY, IDX_FILE):
        np.testing.assert_array_equal(load_images(path), expected)
    if known.parts is None:
        return
    parts = load(path, label=row.label, holdout=0 if row.n_parts == 1 else None).parts
    assert len(parts) == row.n_parts
    assert sum(map(len, parts.values())) == N
    splits = [parts[part] for part in ("training", "validation", "test") if part in parts]
    images = np.concatenate([split.images for split in splits])
    np.testing.assert_array_equal(images, expected)
    assert np.concatenate([split.labels for split in splits]).tolist() == row.labels.tolist()


@pytest.mark.parametrize("fault", ["cut off", "other bytes", "empty", "missing"])
@pytest.mark.parametrize("name", ROWS)
def test_a_wrong_file_is_refused_in_a_sentence(name: str, fault: str, tmp_path: Path):
    row = ROWS[name]
    row.write(tmp_path)
    known = format_of(row)
    path = path_of(known, tmp_path)
    files = sorted(file for file in tmp_path.rglob("*") if file.is_file())
    # The first holds images, the last labels or test images.
    for wrong in {files[0], files[-1]}:
        content = wrong.read_bytes()
        if fault == "missing":
            if row.words == PICTURES or wrong == path:
                # One picture fewer is no fault; a path must be there.
                continue
            wrong.unlink()
        else:
            # Not at the end of a record or a line, where nobody can tell.
            damaged = {"cut off": content[: len(content) * 2 // 5 - 1], "empty": b""}
            wrong.write_bytes(damaged.get(fault, b"\x93not an image\0" * 9))
        with pytest.raises(DataError) as caught:
            load(path, label=row.label) if known.parts else load_images(path)
        message = str(caught.value)
        assert str(tmp_path) in message
        assert "expected" in message
        assert "got" in message
        assert "\n" not in message
        wrong.write_bytes(content)
