import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_ckn.data import load_digits
from tinygrad_ckn.data.reading import Reading
from tinygrad_ckn.data.shapes import arrange, from_rows
from tinygrad_ckn.data_format import DataFormat
from tinygrad_ckn.errors import DataError, DataWarning

# (200, 8, 8)
DIGITS = load_digits().train.images[:200, 0]


def placed(height: int, width: int) -> np.ndarray:
    """Digits at random places of a larger image, (200, height, width)."""
    images, rng = np.zeros((200, height, width), np.float32), np.random.default_rng(0)
    for image, digit in zip(images, DIGITS, strict=True):
        row, column = rng.integers(0, height - 7), rng.integers(0, width - 7)
        image[row : row + 8, column : column + 8] = digit
    return images


def coloured(images: np.ndarray) -> np.ndarray:
    """Images in a random colour on a random ground, (n, 3, H, W)."""
    rng = np.random.default_rng(0)
    ink, ground = (
        rng.uniform(0.5, 1, (len(images), 3, 1, 1)),
        rng.uniform(0, 0.4, (len(images), 3, 1, 1)),
    )
    return (images[:, None] * (ink - ground) + ground).astype(np.float32)


def trained_on(*shape: int, channels_last: bool = False) -> Reading:
    found = DataFormat.of_arrays(np.ones((1, *shape)))
    return Reading(like=DataFormat(found.image_shape, found.pixels, channels_last=channels_last))


@pytest.mark.parametrize(
    "shape",
    [
        (1, 8, 8),
        (3, 8, 8),
        (4, 14, 14),
        (13, 14, 14),
        (3, 4, 5),
        (3, 4, 4),
        (1, 1, 64),
        (1, 1, 1),
        (2, 9, 8),
    ],
)
def test_few_channels_or_squares_say_where_the_channels_are(shape: tuple[int, int, int]) -> None:
    images, last = arrange(np.zeros((5, *shape)), Reading(), "a")
    assert (images.shape, last) == ((5, *shape), False)


@pytest.mark.parametrize("shape", [(14, 14, 4), (14, 14, 13), (8, 8, 1), (12, 16, 3), (64, 1, 1)])
def test_channels_last_are_recognised_and_refused_unless_requested(
    shape: tuple[int, int, int],
) -> None:
    array = np.random.default_rng(0).random((5, *shape))
    with pytest.raises(
        DataError, match="which looks like channels last; say which with argument channels_last"
    ):
        arrange(array, Reading(), "a")
    images, last = arrange(array, Reading(channels_last=True), "a")
    np.testing.assert_array_equal(images, np.moveaxis(array, 3, 1))
    assert last
    assert arrange(array, Reading(channels_last=False), "a")[0].shape == array.shape


@pytest.mark.parametrize("shape", [(3, 3, 3), (13, 12, 17), (1, 64, 1)])
def test_an_ambiguous_array_is_refused(shape: tuple[int, int, int]) -> None:
    with pytest.raises(DataError, match="which can be channels first and channels last"):
        arrange(np.zeros((5, *shape)), Reading(), "a")


@given(
    channels=st.integers(1, 6),
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    last=st.booleans(),
    n=st.integers(1, 4),
)
def test_an_array_is_read_correctly_or_refused(
    channels: int, height: int, width: int, last: bool, n: int
) -> None:
    """An array of any shape is read correctly or refused if the model's shape is known."""
    images = np.arange(n * channels * height * width).reshape(n, channels, height, width)
    stored = np.moveaxis(images, 1, 3) if last else images
    for reading in (
        trained_on(channels, height, width, channels_last=last),
        Reading(channels_last=last),
    ):
        np.testing.assert_array_equal(arrange(stored, reading, "a")[0], images)
    try:
        found, _ = arrange(stored, trained_on(channels, height, width), "a")
    except DataError:
        return
    assert found.shape == images.shape
    if (channels, height, width) != (height, width, channels):
        np.testing.assert_array_equal(found, images)


def test_a_single_image_is_read_if_the_shape_is_known() -> None:
    image = np.arange(48).reshape(3, 4, 4)
    for stored in (image, np.moveaxis(image, 0, 2)):
        with pytest.raises(
            DataError,
            match=r"which can be \d grey images and one in colour; pass their shape \(C, H, W\)",
        ):
            arrange(stored, Reading(), "a")
    for reading in (trained_on(3, 4, 4), Reading(image_shape=(3, 4, 4))):
        np.testing.assert_array_equal(arrange(image, reading, "a")[0], image[None])
    assert arrange(image[0], trained_on(1, 4, 4), "a")[0].shape == (1, 1, 4, 4)
    assert arrange(image, trained_on(1, 4, 4), "a")[0].shape == (3, 1, 4, 4)
    assert arrange(image, Reading(), "a", count=3)[0].shape == (3, 1, 4, 4)


def test_images_of_another_size_are_refused() -> None:
    with pytest.raises(
        DataError,
        match=r"^a: expected images 1x8x8 as those the model was trained on, got 1x9x9; bri",
    ):
        arrange(np.zeros((2, 9, 9)), trained_on(1, 8, 8), "a")
    with pytest.raises(
        DataError, match=r"^a: expected images 1x8x8 as image_shape says, got 3x4x5;"
    ):
        arrange(np.zeros((2, 3, 4, 5)), Reading(image_shape=(1, 8, 8)), "a")


@pytest.mark.parametrize(("height", "width"), [(8, 8), (12, 12), (16, 16)])
def test_rows_of_grey_squares_are_read(height: int, width: int) -> None:
    images = placed(height, width)
    found, last = from_rows(images.reshape(200, -1), Reading(), "a")
    np.testing.assert_array_equal(found[:, 0], images)
    assert not last


@pytest.mark.parametrize(
    ("images", "likelier"),
    [
        (placed(8, 32), "1x8x32 images"),
        (placed(32, 8), ""),
        (
            np.concatenate([coloured(DIGITS), np.ones((200, 1, 8, 8), np.float32)], 1),
            "4x8x8 images",
        ),
    ],
)
def test_rows_that_do_not_look_like_a_square_are_refused(images: np.ndarray, likelier: str) -> None:
    with pytest.raises(
        DataError, match=re.escape(f"1x16x16 images, got pixels that look more like {likelier}")
    ):
        from_rows(images.reshape(200, -1), Reading(), "a")


@pytest.mark.parametrize(
    ("width", "readings"), [(192, r" \(3x8x8, or grey\?\)"), (27, r" \(3x3x3"), (2, ""), (0, "")]
)
def test_rows_that_are_not_a_grey_square_are_refused(width: int, readings: str) -> None:
    with pytest.raises(DataError, match=f"which are read as grey squares, got {width}{readings}"):
        from_rows(np.zeros((30, width)), Reading(), "a")


@pytest.mark.parametrize("width", [1, 4, 16, 64, 100])
@pytest.mark.parametrize("n", [1, 2, 10, 40])
def test_noise_and_constants_are_squares(width: int, n: int) -> None:
    for rows in (np.zeros((n, width)), np.ones((n, width))):
        assert from_rows(rows, Reading(), "a")[0].shape[0] == n
    refused = 0
    for seed in range(50):
        try:
            from_rows(np.random.default_rng(seed).random((n, width)), Reading(), "a")
        except DataError:
            refused += 1
    assert refused == 0


@pytest.mark.parametrize("n", [1, 19, 200])
@pytest.mark.parametrize("last", [False, True])
def test_rows_of_colours_are_not_guessed_from_an_array_that_was_trained_on(
    n: int, last: bool
) -> None:
    planes = coloured(placed(12, 12))[:n]
    rows = (planes.transpose(0, 2, 3, 1) if last else planes).reshape(n, -1)
    for like in (trained_on(3, 12, 12), trained_on(3, 12, 12, channels_last=True)):
        with pytest.raises(
            DataError,
            match=r"got rows of 432 pixels, whose .* say which with argument channels_last",
        ):
            from_rows(rows, like, "a")
        np.testing.assert_array_equal(
            from_rows(rows, replace(like, channels_last=last), "a")[0], planes
        )
    table = trained_on(3, 12, 12, channels_last=last)
    assert table.like is not None
    as_table = replace(table, like=replace(table.like, header=False))
    np.testing.assert_array_equal(from_rows(rows, as_table, "a")[0], planes)


def test_a_single_row_of_pixels_is_an_image_of_a_known_shape() -> None:
    row = np.arange(12.0)
    for shape in ((1, 3, 4), (3, 2, 2)):
        reading = Reading(image_shape=shape, channels_last=False)
        np.testing.assert_array_equal(arrange(row, reading, "a")[0], row.reshape(1, *shape))


def test_an_order_of_colours_that_pixels_contradict_gives_a_warning() -> None:
    planes, interleaved = coloured(placed(12, 12)), coloured(placed(12, 12)).transpose(0, 2, 3, 1)
    shape = Reading(image_shape=(3, 12, 12))
    np.testing.assert_array_equal(from_rows(planes.reshape(200, -1), shape, "a")[0], planes)
    with pytest.warns(
        DataWarning, match="3x12x12 images, got pixels that look more like .* with channels last"
    ):
        from_rows(interleaved.reshape(200, -1), shape, "a")
    told = Reading(image_shape=(3, 12, 12), channels_last=True)
    np.testing.assert_array_equal(from_rows(interleaved.reshape(200, -1), told, "a")[0], planes)
    with pytest.raises(DataError, match="a: expected 432 pixels a row for images 3x12x12, got 431"):
        from_rows(np.zeros((2, 431)), shape, "a")
    with pytest.raises(DataError, match="got 433; if a column holds labels, say which as argument"):
        from_rows(np.zeros((2, 433)), shape, "a")
