"""Writers of small files in the formats that the loaders read."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

IDX_CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx_bytes(array: np.ndarray) -> bytes:
    """An IDX file, written from the format's description and not with the library."""
    code = IDX_CODES[array.dtype.str[1:]]
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.fixture(name="idx_bytes", scope="session")
def idx_bytes_fixture() -> Callable[[np.ndarray], bytes]:
    return idx_bytes


@pytest.fixture
def mnist_folder(tmp_path: Path) -> Path:
    """Four small IDX files under MNIST's names: 20 and 10 images of 5x4 pixels, all ten labels."""
    folder = tmp_path / "clothes"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for part, n in (("train", 20), ("t10k", 10)):
        (folder / f"{part}-images-idx3-ubyte").write_bytes(
            idx_bytes(rng.integers(0, 256, (n, 5, 4), dtype=np.uint8))
        )
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(
            idx_bytes(np.arange(n, dtype=np.uint8) % 10)
        )
    return folder


@pytest.fixture
def cifar_folder(tmp_path: Path) -> Path:
    """Six small CIFAR-10 files: two records in every training file, three in the test file."""
    folder = tmp_path / "cifar"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for k in range(1, 6):
        records = rng.integers(0, 256, (2, 3073), dtype=np.uint8)
        records[:, 0] = (2 * k - 2, 2 * k - 1)
        records.tofile(folder / f"data_batch_{k}.bin")
    records = rng.integers(0, 256, (3, 3073), dtype=np.uint8)
    records[:, 0] = (9, 0, 4)
    records.tofile(folder / "test_batch.bin")
    return folder
