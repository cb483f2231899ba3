import re
from pathlib import Path

import numpy as np
import pytest

from tinygrad_ckn.data import load_cifar10
from tinygrad_ckn.errors import DataError


def test_records_are_read_in_order(cifar_folder: Path) -> None:
    data = load_cifar10(cifar_folder)
    assert (data.name, len(data.train), len(data.test)) == ("cifar10", 10, 3)
    assert (data.in_channels, data.image_size) == (3, (32, 32))
    assert (data.class_names[0], data.class_names[9]) == ("airplane", "truck")
    assert data.train.labels.tolist() == list(range(10))
    assert data.test.labels.tolist() == [9, 0, 4]
    third = (cifar_folder / "data_batch_2.bin").read_bytes()[
        1:3073
    ]  # image 2, the first of the second file
    # Red, row 0, column 1.
    assert data.train.images[2, 0, 0, 1] == np.float32(third[1]) / 255
    assert (
        data.train.images[2, 2, 31, 0] == np.float32(third[2 * 1024 + 31 * 32]) / 255
    )  # blue, row 31, column 0
    np.testing.assert_array_equal(
        data.train.images[2].ravel(), np.frombuffer(third, np.uint8) / np.float32(255)
    )


def test_the_subfolder_of_the_official_archive_is_found(cifar_folder: Path) -> None:
    inner = cifar_folder.parent / "outer" / "cifar-10-batches-bin"
    inner.parent.mkdir()
    cifar_folder.rename(inner)
    assert len(load_cifar10(inner.parent).train) == 10
    assert len(load_cifar10(str(inner)).train) == 10


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (
            2 * 3073 + 5,
            "data_batch_3.bin: expected records of 3073 bytes, got 5 bytes in the last one, at "
            "byte 6146",
        ),
        (
            3072,
            "data_batch_3.bin: expected records of 3073 bytes, got 3072 bytes in the last one, "
            "at byte 0",
        ),
        (
            0,
            "data_batch_3.bin: expected records of 3073 bytes, got an empty file, at byte 0",
        ),
    ],
)
def test_an_incomplete_record_is_refused(cifar_folder: Path, size: int, message: str) -> None:
    (cifar_folder / "data_batch_3.bin").write_bytes(bytes(size))
    with pytest.raises(DataError, match=re.escape(message)):
        load_cifar10(cifar_folder)


def test_a_label_above_9_is_refused(cifar_folder: Path) -> None:
    content = bytearray((cifar_folder / "test_batch.bin").read_bytes())
    content[3073] = 10
    (cifar_folder / "test_batch.bin").write_bytes(content)
    message = r"test_batch\.bin: expected a label 0 \.\. 9 at byte 3073, in record 1, got 10"
    with pytest.raises(DataError, match=message):
        load_cifar10(cifar_folder)


def test_a_missing_file_is_refused(cifar_folder: Path) -> None:
    (cifar_folder / "data_batch_5.bin").unlink()
    with pytest.raises(
        DataError,
        match=r"data_batch_5\.bin: expected this file of CIFAR-10's binary version, got nothing",
    ):
        load_cifar10(cifar_folder)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match="absent: expected a folder with the CIFAR-10 binary files, got nothing"
    ):
        load_cifar10(tmp_path / "absent")
