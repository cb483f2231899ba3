import gzip
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad_ckn.data import idx, load_fashion_mnist, load_idx, read_idx
from tinygrad_ckn.errors import DataError

Writer = Callable[[np.ndarray], bytes]

DTYPES = st.sampled_from([np.uint8, np.int8, np.int16, np.int32, np.float32, np.float64])
ARRAYS = hnp.arrays(DTYPES, hnp.array_shapes(min_dims=1, max_dims=4, max_side=4))
one_folder_for_all_draws = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)


@given(array=ARRAYS, zipped=st.booleans())
@one_folder_for_all_draws
def test_round_trip(tmp_path: Path, idx_bytes: Writer, array: np.ndarray, zipped: bool) -> None:
    path = tmp_path / "array.idx"
    path.write_bytes(gzip.compress(idx_bytes(array), 1) if zipped else idx_bytes(array))
    read = read_idx(path)
    assert read.dtype == array.dtype
    assert read.dtype.isnative
    assert not read.flags.writeable
    np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize(
    "array", [np.arange(6, dtype=np.uint8).reshape(2, 3), np.arange(2, dtype=np.float64)]
)
def test_truncation_at_every_byte_is_refused(
    tmp_path: Path, idx_bytes: Writer, array: np.ndarray
) -> None:
    path = tmp_path / "short.idx"
    whole = idx_bytes(array)
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(
            DataError, match=rf"short\.idx: expected .* got a file that ends at byte {end}\b"
        ):
            read_idx(path)


def test_gzip_truncated_at_every_byte_is_refused(tmp_path: Path, idx_bytes: Writer) -> None:
    path = tmp_path / "short.gz"
    whole = gzip.compress(idx_bytes(np.arange(6, dtype=np.uint8)))
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(DataError, match=rf"short\.gz: expected .* at byte {end}\b"):
            read_idx(path)


def test_data_that_end_early_say_from_where_to_where(tmp_path: Path, idx_bytes: Writer) -> None:
    path = tmp_path / "short.idx"
    path.write_bytes(idx_bytes(np.zeros((2, 3), np.int16))[:-1])
    with pytest.raises(
        DataError, match=r"shape \(2, 3\) from byte 12 to byte 24, got a file that ends at byte 23"
    ):
        read_idx(path)


ONE_BYTE = b"\0\0\x08\x01\0\0\0\x01\x07"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"\x89PNG\r\n\x1a\n",
            "bad.idx: expected 0x0000 at byte 0, where an IDX file starts, got 0x8950",
        ),
        (
            b"\0\0\x0a\x01" + ONE_BYTE[4:],
            "expected an IDX type code at byte 2, one of 0x08, 0x09, 0x0b, 0x0c, 0x0d, 0x0e, got "
            "0x0a",
        ),
        (b"\0\0\x08\0\x07", "bad.idx: expected 1 to 64 dimensions at byte 3, got 0"),
        (b"\0\0\x08\x41" + bytes(300), "bad.idx: expected 1 to 64 dimensions at byte 3, got 65"),
        (
            b"\0\0\x08\x02\0\0\0\x01\0\0\0\0",
            "expected a length of at least 1 for dimension 1 at byte 8, got 0",
        ),
        (
            ONE_BYTE + b"\x07",
            "data of shape (1,) from byte 8 to byte 9, got a file that ends at byte 10",
        ),
        # Claims 2**99 bytes.
        (b"\0\0\x0e\x03" + b"\xff" * 12, "got a file that ends at byte 16"),
        (
            b"\x1f\x8b\0\0broken",
            "bad.idx: expected a sound gzip stream, got one damaged at or before byte",
        ),
    ],
)
def test_a_bad_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.idx"
    path.write_bytes(content)
    with pytest.raises(DataError, match=re.escape(message)):
        read_idx(path)


def test_a_damaged_gzip_stream_is_refused(tmp_path: Path, idx_bytes: Writer) -> None:
    path = tmp_path / "bad.gz"
    whole = gzip.compress(idx_bytes(np.arange(200, dtype=np.uint8)), mtime=0)
    # In the deflate stream, and in the checksum.
    for position in (12, len(whole) - 6):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        path.write_bytes(damaged)
        with pytest.raises(
            DataError,
            match=rf"bad\.gz: .* damaged at or before byte {len(whole)} .*; copy or download",
        ):
            read_idx(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="absent: expected an IDX file, got nothing"):
        read_idx(tmp_path / "absent")


def test_a_folder_is_read(mnist_folder: Path) -> None:
    data = load_idx(mnist_folder)
    assert (data.name, len(data.train), len(data.test), data.image_size) == (
        "clothes",
        20,
        10,
        (5, 4),
    )
    assert data.class_names == tuple("0123456789")
    raw = np.frombuffer(
        (mnist_folder / "train-images-idx3-ubyte").read_bytes(), np.uint8, offset=16
    )
    np.testing.assert_array_equal(data.train.images.ravel(), raw / np.float32(255))
    np.testing.assert_array_equal(data.train.labels, np.arange(20) % 10)


@pytest.mark.parametrize("dot", [False, True])
@pytest.mark.parametrize("zipped", [False, True])
def test_every_name_is_found(mnist_folder: Path, dot: bool, zipped: bool) -> None:
    expected = load_idx(mnist_folder)
    for path in list(mnist_folder.iterdir()):
        name = path.name.replace("-idx", ".idx") if dot else path.name
        content = path.read_bytes()
        path.unlink()
        (mnist_folder / (name + ".gz" if zipped else name)).write_bytes(
            gzip.compress(content) if zipped else content
        )
    data = load_idx(mnist_folder)
    np.testing.assert_array_equal(data.train.images, expected.train.images)
    np.testing.assert_array_equal(data.test.labels, expected.test.labels)


def test_a_missing_part_is_named(mnist_folder: Path) -> None:
    (mnist_folder / "t10k-labels-idx1-ubyte").unlink()
    message = r"clothes: expected a file t10k-labels-idx1-ubyte or t10k-labels-idx1-ubyte\.gz, got"
    with pytest.raises(DataError, match=message):
        load_idx(mnist_folder)


def test_files_of_different_lengths_are_refused(mnist_folder: Path, idx_bytes: Writer) -> None:
    (mnist_folder / "train-labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros(19, np.uint8)))
    message = (
        "train-labels-idx1-ubyte: expected 20 labels, one for each image of "
        "train-images-idx3-ubyte, got 19"
    )
    with pytest.raises(DataError, match=message):
        load_idx(mnist_folder)


def test_labels_in_the_place_of_images_are_refused(mnist_folder: Path) -> None:
    labels = (mnist_folder / "train-labels-idx1-ubyte").read_bytes()
    (mnist_folder / "train-images-idx3-ubyte").write_bytes(labels)
    with pytest.raises(
        DataError,
        match=r"train-images-idx3-ubyte: expected at least one image, .* got shape \(20,\)",
    ):
        load_idx(mnist_folder)


def test_fashion_mnist_has_its_class_names(mnist_folder: Path) -> None:
    data = load_fashion_mnist(mnist_folder)
    assert data.name == "fashion-mnist"
    assert data.class_names[0] == "T-shirt/top"
    assert data.class_names[9] == "Ankle boot"


def test_fashion_mnist_is_looked_for_where_debian_puts_it(
    mnist_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idx, "DEBIAN_FASHION_MNIST", mnist_folder)
    assert len(load_fashion_mnist().train) == 20
    monkeypatch.setattr(idx, "DEBIAN_FASHION_MNIST", mnist_folder / "absent")
    with pytest.raises(
        DataError,
        match=r"run `apt-get install dataset-fashion-mnist`, or pass .* as argument data_dir",
    ):
        load_fashion_mnist()
