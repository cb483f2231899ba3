import re
from pathlib import Path

import numpy as np
import pytest

from tinygrad_ckn.data import load, load_test
from tinygrad_ckn.data.cifar100 import has_cifar100_files
from tinygrad_ckn.errors import ConfigError, DataError
from tinygrad_ckn.lazy_images import is_lazy


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The published files, with 5 and 3 records."""
    rng = np.random.default_rng(0)
    for name, n in (("train.bin", 5), ("test.bin", 3)):
        records = rng.integers(0, 256, (n, 3074), dtype=np.uint8)
        records[:, 0] = np.arange(n) % 20
        records[:, 1] = 99 - np.arange(n)
        records.tofile(tmp_path / name)
    return tmp_path


def test_fine_labels_and_planes_are_read(folder: Path) -> None:
    data = load("cifar100", data_dir=folder)
    assert (data.name, data.n_classes, len(data.test)) == ("cifar100", 100, 3)
    assert data.train.labels.tolist() == [99, 98, 97, 96, 95]
    stored = np.frombuffer((folder / "train.bin").read_bytes(), np.uint8).reshape(5, 3074)
    np.testing.assert_array_equal(
        data.train.images, stored[:, 2:].reshape(5, 3, 32, 32) / np.float32(255)
    )
    assert data.class_names[99] == "99"
    (folder / "fine_label_names.txt").write_text("\n".join(f"name_{i}" for i in range(100)) + "\n")
    assert load(folder).class_names[99] == "name_99"


def test_coarse_labels_and_their_names(folder: Path) -> None:
    data = load(folder, label="coarse")
    assert (data.n_classes, data.train.labels.tolist()) == (20, [0, 1, 2, 3, 4])
    # What a model was trained on is what it is measured on.
    assert data.data_format.label == "coarse"
    assert load_test(folder, data_format=data.data_format)[0].labels.tolist() == [0, 1, 2]
    assert load(folder, label="fine").n_classes == 100
    (folder / "coarse_label_names.txt").write_text("\n".join(f"kind_{i}" for i in range(20)))
    assert load("cifar100", data_dir=folder, label="coarse").class_names[19] == "kind_19"
    with pytest.raises(ConfigError, match="argument label expected fine or coarse with CIFAR-100"):
        load(folder, label="last")


def test_images_are_read_in_blocks(folder: Path) -> None:
    whole, lazy = load(folder), load(folder, memory=20_000)
    assert is_lazy(lazy.train.images)
    np.testing.assert_array_equal(lazy.train.images[:], whole.train.images)
    assert lazy.train.labels.tolist() == whole.train.labels.tolist()


def test_the_published_subfolder_is_found(folder: Path) -> None:
    inner = folder / "cifar-100-binary"
    inner.mkdir()
    for name in ("train.bin", "test.bin"):
        (folder / name).rename(inner / name)
    assert has_cifar100_files(folder)
    assert load(folder).name == "cifar100"


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (0, 20, "expected a coarse label 0 .. 19 at byte 0, in record 0, got 20"),
        (3075, 100, "expected a fine label 0 .. 99 at byte 3075, in record 1, got 100"),
        (None, 10, "expected records of 3074 bytes, got 10 bytes in the last one, at byte 0"),
        (None, 0, "expected records of 3074 bytes, got an empty file, at byte 0"),
    ],
)
def test_a_wrong_file_is_refused(folder: Path, at: int | None, value: int, message: str) -> None:
    path = folder / "train.bin"
    content = bytearray(path.read_bytes())
    if at is None:
        del content[value:]
    else:
        content[at] = value
    path.write_bytes(content)
    with pytest.raises(DataError, match=re.escape(f"{path}: {message}")):
        load(folder)


def test_a_missing_file_and_wrong_names_are_refused(folder: Path) -> None:
    (folder / "fine_label_names.txt").write_text("apple\n")
    with pytest.raises(DataError, match="expected 100 names, one a line, got 1"):
        load(folder)
    (folder / "test.bin").unlink()
    with pytest.raises(DataError, match=r"test\.bin: expected this file of CIFAR-100's binary"):
        load(folder)
