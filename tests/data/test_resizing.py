"""Sizes of pictures."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_ckn.data import resizing
from tinygrad_ckn.data.resizing import centre_crop, resized

SIDES = st.integers(1, 9)


def test_the_crop_is_around_the_centre():
    pixels = np.arange(6 * 11).reshape(6, 11)
    np.testing.assert_array_equal(centre_crop(pixels, (32, 32)), pixels[:, 2:8])
    np.testing.assert_array_equal(centre_crop(pixels.T, (32, 32)), pixels.T[2:8])
    np.testing.assert_array_equal(centre_crop(pixels, (12, 22)), pixels)
    assert centre_crop(pixels, (1000, 1)).shape == (6, 1)


@given(SIDES, SIDES, SIDES, SIDES, st.integers(0, 2**32))
def test_smaller_pictures_are_means_over_areas(h, w, new_h, new_w, seed):
    new_h, new_w = min(h, new_h), min(w, new_w)
    pixels = np.random.default_rng(seed).integers(0, 256, (h, w, 3), dtype=np.uint8)
    # Each old pixel as new_h x new_w equal ones: new pixels are means of whole ones.
    fine = pixels.astype(float).repeat(new_h, axis=0).repeat(new_w, axis=1)
    expected = fine.reshape(new_h, h, new_w, w, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(resized(pixels, (new_h, new_w), 255), expected, atol=2e-4)


def test_large_pictures_are_averaged_in_parts(monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 256, (50, 40, 2), dtype=np.uint8)
    whole = resized(pixels[..., :1], (7, 13), 255)
    for limit in (1, 100, 700):
        monkeypatch.setattr(resizing, "_MAX_ELEMENTS", limit)
        np.testing.assert_array_equal(resized(pixels[..., :1], (7, 13), 255), whole)


@given(SIDES, SIDES, SIDES, SIDES, st.sampled_from([255, 65535]))
def test_flat_pictures_stay_flat_and_in_range(h, w, new_h, new_w, top):
    pixels = np.full((h, w, 1), top, dtype=np.uint16)
    image = resized(pixels, (new_h, new_w), top)
    np.testing.assert_allclose(image, top, rtol=1e-5)
    assert image.shape == (new_h, new_w, 1)
    assert image.max() <= top


def test_larger_pictures_are_interpolated_and_clipped():
    step = np.zeros((2, 4, 1), np.uint8)
    step[:, 2:] = 255
    image = resized(step, (2, 8), 255)[0, :, 0]
    # A step is half way in the middle, and Lanczos' filter would overshoot beside it.
    assert image[3] + image[4] == pytest.approx(255, abs=1e-3)
    assert image[2] == 0
    assert image[5] == 255
    assert 0 < image[3] < 127 < image[4] < 255


def test_transparent_colours_do_not_bleed():
    pixels = np.array([[[200, 100, 50, 255], [7, 7, 7, 0]]], np.uint8)
    np.testing.assert_allclose(resized(pixels, (1, 1), 255), [[[200, 100, 50, 127.5]]], rtol=1e-5)
    np.testing.assert_array_equal(resized(pixels[:, 1:], (2, 2), 255)[..., 3], 0)
