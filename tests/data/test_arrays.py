import re
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_ckn.data.arrays import as_images, scale_bytes
from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.errors import DataError

NONE = Reading()
BYTES = np.random.default_rng(0).integers(0, 256, (30, 6, 6), dtype=np.uint8)


def read(array: np.ndarray, reading: Reading = NONE) -> np.ndarray:
    return as_images(array, "a.npz", reading)[0]


def trained_on(array: np.ndarray, **told: float) -> Reading:
    """How the model reads that was trained on an array."""
    return Reading(like=as_images(array, "train", Reading(**told))[1])


def test_bytes_are_divided_exactly() -> None:
    every_byte = np.arange(256, dtype=np.uint8)
    scaled = scale_bytes(every_byte)
    assert scaled.dtype == np.float32
    np.testing.assert_array_equal(scaled, (every_byte / 255).astype(np.float32))
    # The argument is not changed.
    np.testing.assert_array_equal(every_byte, np.arange(256))


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.uint16])
def test_integer_images_are_divided_by_255(dtype: type) -> None:
    images, found = as_images(np.array([[[0, 51], [102, 255]]], dtype=dtype), "a", NONE)
    np.testing.assert_array_equal(images, np.array([[[[0, 0.2], [0.4, 1]]]], dtype=np.float32))
    assert (found.scale, found.stored, found.image_shape) == (255, "integers", (1, 2, 2))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f8"])
def test_float_images_are_not_changed(dtype: str) -> None:
    images, found = as_images(np.array([[[-1.5, 300.0]]], dtype=dtype), "a", NONE)
    assert images.dtype == np.float32
    np.testing.assert_array_equal(images, [[[[-1.5, 300.0]]]])
    assert (found.scale, found.stored) == (1, "floats")


def test_boolean_images_are_zeros_and_ones() -> None:
    images, found = as_images(np.array([[[True, False]]]), "a", NONE)
    np.testing.assert_array_equal(images, [[[[1, 0]]]])
    assert (found.scale, found.stored) == (1, "booleans")


def test_a_given_scale_divides_and_does_not_change_the_array() -> None:
    array = np.array([[[0.0, 8.0]]], np.float32)
    np.testing.assert_array_equal(read(array, Reading(scale=16)), [[[[0, 0.5]]]])
    np.testing.assert_array_equal(array, [[[0, 8]]])
    np.testing.assert_array_equal(
        read(np.array([[[0, 65535]]]), Reading(scale=65535)), [[[[0, 1]]]]
    )


def test_images_become_contiguous() -> None:
    backwards = np.arange(16, dtype=np.uint8).reshape(2, 2, 2, 2)[::-1]
    images = read(backwards, Reading(channels_last=False))
    assert images.flags.c_contiguous
    np.testing.assert_array_equal(images, backwards / np.float32(255))
    turned = np.arange(10, dtype=np.float64).reshape(1, 2, 5).transpose(0, 2, 1)
    assert read(turned).flags.c_contiguous
    np.testing.assert_array_equal(read(turned)[:, 0], turned)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (
            np.zeros((3, 4)),
            "a.npz: expected at least one image, as an array (n, H, W) or (n, C, H, W), got "
            "shape (3, 4)",
        ),
        (np.zeros((0, 4, 4)), "a.npz: expected at least one image, as an array"),
        (np.zeros((1, 2, 2), "S1"), "a.npz: expected pixels of dtype uint8 or float32, got |S1"),
        (
            np.array([[[0, 256]]]),
            "a.npz: expected integer pixels 0 .. 255, got 256 at index (0, 0, 0, 1)",
        ),
        (
            np.array([[[0, -1]]]),
            "a.npz: expected integer pixels 0 .. 255, got -1 at index (0, 0, 0, 1)",
        ),
        (np.array([[[0, np.nan]]]), "a.npz: expected finite pixels, got nan at index (0, 0, 0, 1)"),
        (
            np.array([[[-np.inf, 0]]]),
            "a.npz: expected finite pixels, got -inf at index (0, 0, 0, 0)",
        ),
        (np.array([[[0, 1e300]]]), "a.npz: expected finite pixels, got inf at index (0, 0, 0, 1)"),
    ],
)
def test_bad_images_are_refused(array: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        read(array)


FORMS = {
    "bytes": BYTES,
    "bytes as int64": BYTES.astype(np.int64),
    "floats 0..255": BYTES.astype(np.float32),
    "floats 0..1": BYTES / np.float32(255),
    "float64 0..1": BYTES / 255,
    "standardised": (BYTES - 127.0) / 74,
}


@given(train=st.sampled_from(sorted(FORMS)), test=st.sampled_from(sorted(FORMS)))
def test_the_same_images_in_any_form_are_read_on_the_scale_of_training_or_refused(
    train: str, test: str
) -> None:
    expected, reading = read(FORMS[train]), trained_on(FORMS[train])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            found = read(FORMS[test], reading)
        except DataError as error:
            assert "as argument scale" in str(error) or "centre and scale them" in str(error)
            # One way of reading makes them equal.
            assert {train, test} != {"bytes", "floats 0..1"}
            assert train != test
        else:
            if "standardised" not in (train, test):
                np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("train", "test"),
    [
        (BYTES, BYTES.astype(np.float32)),
        (BYTES / 255, BYTES.astype(np.float32)),
        (BYTES.astype(np.float32), BYTES / 255),
        (BYTES / 255, BYTES / 255**2),
        ((BYTES - 127.0) / 74, BYTES),
        (BYTES / 255, np.minimum(BYTES, 1)),
        (BYTES > 99, BYTES.astype(np.float32)),
        (BYTES.astype(np.float32), BYTES > 99),
    ],
)
def test_images_of_another_scale_are_refused(train: np.ndarray, test: np.ndarray) -> None:
    with pytest.raises(DataError, match="as argument scale"):
        read(test, trained_on(train))


def test_black_images_have_every_scale() -> None:
    for train in FORMS.values():
        assert not read(np.zeros((3, 6, 6), np.float32), trained_on(train)).any()


def test_the_scale_of_the_training_holds_for_later_files_of_the_same_kind() -> None:
    digits = BYTES // 16
    for array in (digits, digits.astype(np.float32)):
        reading = trained_on(array, scale=16)
        np.testing.assert_array_equal(read(array, reading), digits[:, None] / np.float32(16))
        with pytest.raises(DataError, match="as argument scale"):
            read(BYTES.astype(array.dtype), reading)
    np.testing.assert_array_equal(
        read(digits / 16, trained_on(digits, scale=16)), digits[:, None] / np.float32(16)
    )
