import re

import numpy as np
import pytest

from tinygrad_ckn.data._arrays import as_images, as_labels, numbered_classes, scale_bytes
from tinygrad_ckn.errors import DataError


def test_bytes_are_divided_exactly() -> None:
    every_byte = np.arange(256, dtype=np.uint8)
    scaled = scale_bytes(every_byte)
    assert scaled.dtype == np.float32
    np.testing.assert_array_equal(scaled, (every_byte / 255).astype(np.float32))
    np.testing.assert_array_equal(every_byte, np.arange(256))  # the argument is left alone


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.uint16])
def test_integer_images_are_divided_by_255(dtype: type) -> None:
    images = as_images(np.array([[[0, 51], [102, 255]]], dtype=dtype), "a")
    np.testing.assert_array_equal(images, np.array([[[[0, 0.2], [0.4, 1]]]], dtype=np.float32))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f8"])
def test_float_images_are_taken_as_they_are(dtype: str) -> None:
    images = as_images(np.array([[[-1.5, 300.0]]], dtype=dtype), "a")
    assert images.dtype == np.float32
    np.testing.assert_array_equal(images, [[[[-1.5, 300.0]]]])


def test_images_become_contiguous() -> None:
    backwards = np.arange(24, dtype=np.uint8).reshape(2, 3, 2, 2)[::-1]
    images = as_images(backwards, "a")
    assert images.flags.c_contiguous
    np.testing.assert_array_equal(images, backwards / np.float32(255))
    turned = np.arange(12, dtype=np.float64).reshape(1, 3, 4).transpose(0, 2, 1)
    assert as_images(turned, "a").flags.c_contiguous
    np.testing.assert_array_equal(as_images(turned, "a")[:, 0], turned)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (
            np.zeros((3, 4)),
            "a.npz: expected at least one image, as an array (n, H, W) or (n, C, H, W), got shape (3, 4)",
        ),
        (np.zeros((0, 4, 4)), "a.npz: expected at least one image, as an array"),
        (np.zeros((2, 8, 8, 3)), "got shape (2, 8, 8, 3), which looks like channels last"),
        (np.zeros((1, 2, 2), bool), "a.npz: expected pixels of dtype uint8 or float32, got bool"),
        (np.array([[[0, 256]]]), "a.npz: expected integer pixels 0 .. 255, got 256 at index (0, 0, 0, 1)"),
        (np.array([[[0, -1]]]), "a.npz: expected integer pixels 0 .. 255, got -1 at index (0, 0, 0, 1)"),
        (np.array([[[0, np.nan]]]), "a.npz: expected finite pixels, got nan at index (0, 0, 0, 1)"),
        (np.array([[[-np.inf, 0]]]), "a.npz: expected finite pixels, got -inf at index (0, 0, 0, 0)"),
        (np.array([[[0, 1e300]]]), "a.npz: expected finite pixels, got inf at index (0, 0, 0, 1)"),
    ],
)
def test_bad_images_are_refused(array: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        as_images(array, "a.npz")


def test_labels_become_int64() -> None:
    labels = as_labels(np.array([3, 0], dtype=np.uint8), "a")
    assert labels.dtype == np.int64
    assert labels.tolist() == [3, 0]
    assert numbered_classes(labels, np.array([5])) == ("0", "1", "2", "3", "4", "5")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([0.0]), "a.npz: expected labels as integers of shape (n,), got float64 of shape (1,)"),
        (np.array([[0]]), "a.npz: expected labels as integers of shape (n,), got int64 of shape (1, 1)"),
        (np.array([0, -1]), "a.npz: expected labels 0 .. 65535, got -1 at index 1"),
        (np.array([0, 65536]), "a.npz: expected labels 0 .. 65535, got 65536 at index 1"),
        (
            np.array([1, 2, 2**64 - 1], np.uint64),
            "a.npz: expected labels 0 .. 65535, got 18446744073709551615 at index 2",
        ),
    ],
)
def test_bad_labels_are_refused(array: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        as_labels(array, "a.npz")
