import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_ckn.data_format import DataFormat, PixelRange, extremes_of, warn_of_two_scales
from tinygrad_ckn.errors import ConfigError, DataError, DataWarning

IMAGES = np.random.default_rng(0).normal(size=(3000, 1, 4, 4)).astype(np.float32)


def test_extremes_are_those_of_each_image() -> None:
    lowest, highest = extremes_of(IMAGES)
    np.testing.assert_array_equal(lowest, IMAGES.min(axis=(1, 2, 3)))
    np.testing.assert_array_equal(highest, IMAGES.max(axis=(1, 2, 3)))


def test_black_images_say_nothing_about_the_scale() -> None:
    with_black = np.concatenate([IMAGES, np.zeros_like(IMAGES)])
    assert PixelRange.of(with_black) == PixelRange.of(IMAGES)
    PixelRange.of(IMAGES).check(IMAGES[:5] * 0, "a", "b")
    black = PixelRange.of(IMAGES * 0)
    assert (black.faint, black.bright) == (0, 0)
    # nothing to compare with
    black.check(IMAGES, "a", "b")


@given(factor=st.floats(0.2, 5), n=st.integers(1, 50), start=st.integers(0, 2900))
def test_images_like_those_of_the_training_pass(factor: float, n: int, start: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        PixelRange.of(IMAGES).check(np.float32(factor) * IMAGES[start : start + n], "a", "b")


@pytest.mark.parametrize("factor", [255, 1 / 255, 65535, 1 / 65535, 127.5, 1 / 16 / 5])
def test_images_of_another_scale_are_refused_or_give_a_warning(factor: float) -> None:
    pixels, other = PixelRange.of(IMAGES), np.float32(factor) * IMAGES[:20]
    with pytest.raises(
        DataError,
        match=r"^a: expected images scaled as the training .*, got all images with .*; mend$",
    ):
        pixels.check(other, "a", "mend")
    with pytest.raises(DataError, match="all images"):
        pixels.check(np.concatenate([other, np.zeros_like(other)]), "a", "mend")
    some = np.concatenate([IMAGES[:7], other[:1], IMAGES[7:10]])
    with pytest.warns(
        DataWarning,
        match="^a: .*, got 1 of 11 images, the first at index 7, with a largest pixel of",
    ):
        pixels.check(some, "a", "mend")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pixels.check(some, "a", "mend", warn=False)


POSITIVE = np.random.default_rng(0).random((3000, 1, 4, 4), np.float32)
# a black background
POSITIVE[:, :, 0, 0] = 0


@given(
    n=st.integers(1, 50),
    start=st.integers(0, 2900),
    spread=st.floats(0.5, 3),
    mean=st.floats(0.3, 0.7),
)
def test_images_that_are_centred_differently_are_refused(
    n: int, start: int, spread: float, mean: float
) -> None:
    positive = POSITIVE[start : start + n]
    centred = np.float32(spread) * (POSITIVE - np.float32(mean))
    with pytest.raises(
        DataError, match=r"^a: expected images with negative pixels in each, as the .*; centre"
    ):
        PixelRange.of(centred).check(positive, "a", "mend")
    with pytest.raises(
        DataError,
        match=r"^a: expected images with pixels >= 0, .* got negative pixels in each; centre",
    ):
        PixelRange.of(POSITIVE).check(centred[start : start + n], "a", "mend")


def test_a_few_images_without_negative_pixels_and_small_overshoots_pass() -> None:
    some = np.concatenate([POSITIVE[:1], IMAGES])
    PixelRange.of(some).check(POSITIVE[:1], "a", "b")
    PixelRange.of(POSITIVE).check(
        POSITIVE[:5] - np.float32(0.5) * POSITIVE[:5].max() / 10, "a", "b"
    )


@given(
    n=st.integers(5, 100), more=st.integers(5, 100), factor=st.sampled_from([1 / 255, 255, 65535])
)
def test_training_images_of_two_scales_give_a_warning(n: int, more: int, factor: float) -> None:
    images = np.concatenate([IMAGES[:n], np.float32(factor) * IMAGES[n : n + more]])
    low, high = (n, more) if factor > 1 else (more, n)
    with pytest.warns(
        DataWarning,
        match=rf"^a: .*, got {low} with a largest .* and {high} of at least .*; scale them",
    ):
        warn_of_two_scales(images, "a")


@given(n=st.integers(1, 50), odd=st.integers(0, 4), factor=st.sampled_from([1 / 255, 255]))
def test_a_few_exceptions_are_not_a_second_scale(n: int, odd: int, factor: float) -> None:
    images = np.concatenate([IMAGES[:n], np.float32(factor) * IMAGES[:odd], 0 * IMAGES[:9]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_two_scales(images, "a")


FORMAT = replace(
    DataFormat.of_arrays(IMAGES, ("cat", "dog")),
    scale=255.0,
    stored="integers",
    channels_last=True,
    header=True,
)


@pytest.mark.parametrize(
    "data_format",
    [
        FORMAT,
        DataFormat.of_arrays(IMAGES),
        DataFormat.of_arrays(IMAGES, (False, True)),
        replace(FORMAT, classes=(-1, 1)),
    ],
)
def test_a_format_survives_json(data_format: DataFormat) -> None:
    assert DataFormat.from_config(json.loads(json.dumps(data_format.config()))) == data_format


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image_shape", [1, 4]),
        ("image_shape", [1, 4, 0]),
        ("image_shape", "144"),
        ("classes", ["a", 1]),
        ("classes", ["a", "a"]),
        ("classes", [1.5, 2]),
        ("classes", "ab"),
        ("class_names", ["a"]),
        ("class_names", "ab"),
        ("class_names", ["\x1b[31m", "b"]),
        ("class_names", 10),
        ("scale", 0),
        ("scale", "255"),
        ("scale", float("nan")),
        ("scale", 10**400),
        ("stored", "bytes"),
        ("channels_last", 1),
        ("header", "yes"),
        ("pixels", None),
        ("pixels", {"low": 0, "high": 1, "faint": 1, "bright": 1}),
        ("pixels", {"low": 0, "high": float("inf"), "faint": 1, "bright": 1, "shallow": 0}),
        ("pixels", {"low": 1, "high": 0, "faint": 1, "bright": 1, "shallow": 0}),
        ("pixels", {"low": 0, "high": 1, "faint": 1, "bright": -5, "shallow": 0}),
        ("more", 1),
    ],
)
def test_invalid_formats_are_refused(name: str, value: object) -> None:
    with pytest.raises(
        ConfigError, match=r"^DataFormat.from_config: expected what config\(\) returns, got"
    ):
        DataFormat.from_config({**FORMAT.config(), name: value})


@pytest.mark.parametrize("config", [None, 3, "text", [], {}, [1, 2]])
def test_other_types_than_mappings_are_refused(config: object) -> None:
    with pytest.raises(
        ConfigError, match=r"^DataFormat.from_config: expected what config\(\) returns, got"
    ):
        DataFormat.from_config(config)


def test_what_was_done_to_pictures_is_saved_where_something_was() -> None:
    """Models saved before there were pictures load, and are saved as they were."""
    plain = DataFormat.of_arrays(IMAGES)
    assert not {"resize", "crop", "grey", "rgb"} & set(plain.config())
    resized = replace(plain, resize=(4, 4), crop=True, grey=True)
    config = json.loads(json.dumps(resized.config()))
    assert (config["resize"], config["crop"], config["grey"]) == ([4, 4], True, True)
    assert DataFormat.from_config(config) == resized
    # as the options that a config.json does not have
    assert DataFormat.from_config({**plain.config(), "resize": None, "crop": None}) == plain
    for wrong in ({"resize": [4]}, {"resize": [0, 4]}, {"resize": 4}, {"crop": 1}, {"grey": "no"}):
        with pytest.raises(ConfigError, match=r"DataFormat.from_config: expected what config\(\)"):
            DataFormat.from_config({**config, **wrong})
