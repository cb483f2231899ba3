import pickle
from pathlib import Path

import numpy as np
import pytest

from tinygrad_ckn.data import load
from tinygrad_ckn.errors import DataError, DataWarning

RNG = np.random.default_rng(0)


def dump(path: Path, value: object) -> None:
    path.write_bytes(pickle.dumps(value, 2))


@pytest.fixture
def cifar10(tmp_path: Path) -> Path:
    folder = tmp_path / "outer" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for number, name in enumerate([f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]):
        pixels = RNG.integers(0, 256, (2, 3072), dtype=np.uint8)
        dump(folder / name, {b"data": pixels, b"labels": [number, 9 - number]})
    return folder


@pytest.fixture
def cifar100(tmp_path: Path) -> Path:
    folder = tmp_path / "hundred"
    folder.mkdir()
    for name, first in (("train", 0), ("test", 97)):
        pixels = RNG.integers(0, 256, (3, 3072), dtype=np.uint8)
        labels = {"fine_labels": list(range(first, first + 3)), "coarse_labels": [0, 1, 2]}
        dump(folder / name, {"data": pixels, **labels})
    dump(folder / "meta", {"fine_label_names": [f"thing {i}" for i in range(100)]})
    return folder


def test_cifar10_is_read_exactly(cifar10: Path):
    data = load(cifar10)
    assert (data.name, len(data.train), len(data.test)) == ("cifar10", 10, 2)
    assert data.train.labels.tolist() == [0, 9, 1, 8, 2, 7, 3, 6, 4, 5]
    assert data.class_names[:2] == ("airplane", "automobile")
    stored = pickle.loads((cifar10 / "data_batch_2").read_bytes())[b"data"][1]
    # Blue, row 31, column 4.
    assert data.train.images[3, 2, 31, 4] == np.float32(stored[2048 + 31 * 32 + 4]) / 255
    np.testing.assert_array_equal(data.train.images[3].ravel(), stored / np.float32(255))
    assert load("cifar10", data_dir=cifar10.parent).test.labels.tolist() == [5, 4]
    assert data.data_format.scale == 255


def test_cifar100_has_its_fine_labels_and_their_names(cifar100: Path):
    data = load(cifar100)
    assert (data.name, data.n_classes) == ("cifar100", 100)
    assert (data.train.labels.tolist(), data.test.labels.tolist()) == ([0, 1, 2], [97, 98, 99])
    assert data.class_names[99] == "thing 99"
    assert load("cifar100", data_dir=cifar100).train.labels.tolist() == [0, 1, 2]


def test_cifar100_has_coarse_labels_too(cifar100: Path):
    names = [f"kind {i}" for i in range(20)]
    dump(cifar100 / "meta", {"fine_label_names": ["x"] * 100, "coarse_label_names": names})
    data = load(cifar100, label="coarse")
    assert (data.n_classes, data.class_names[19], data.data_format.label) == (
        20,
        "kind 19",
        "coarse",
    )
    assert data.test.labels.tolist() == [0, 1, 2]


def test_a_set_that_is_read_whole_warns_of_its_memory(cifar10: Path):
    with pytest.warns(DataWarning, match=r"at most 1,000 bytes of memory, got 147,456 in parts"):
        load(cifar10, memory=1000)
    assert len(load(cifar10, memory="1MB").train) == 10


def test_a_missing_batch_is_named(cifar10: Path):
    (cifar10 / "data_batch_4").unlink()
    with pytest.raises(DataError, match="data_batch_4: expected this file of the Python version"):
        load(cifar10)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"data": np.zeros((1, 3072), np.uint8)}, "expected the key fine_labels of cifar100"),
        (
            {"data": np.zeros((1, 3071), np.uint8), "fine_labels": [0]},
            r"expected shape \(n, 3072\), n >= 1, got \(1, 3071\)",
        ),
        (
            {"data": np.zeros((1, 3072), np.uint8), "fine_labels": [100]},
            "expected integers 0 .. 99, got 100 at index 0",
        ),
        (
            {"data": np.zeros((1, 3072), np.uint8), "fine_labels": [0, 1]},
            "expected a list of 1 labels",
        ),
        ({"data": np.zeros((1, 3072)), "fine_labels": [0]}, "expected uint8 of shape"),
        ([1, 2], "expected a pickled dictionary of arrays, .*, got list instead of dict"),
    ],
)
def test_wrong_batches(cifar100: Path, batch: object, message: str):
    dump(cifar100 / "train", batch)
    with pytest.raises(DataError, match=message):
        load(cifar100)


def test_options_of_reading_have_no_meaning(cifar100: Path):
    with pytest.raises(DataError, match="argument scale expected None"):
        load(cifar100, scale=16)
