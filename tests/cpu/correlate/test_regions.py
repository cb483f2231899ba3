import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_ckn.cpu.correlate import regions


@given(st.integers(-9, 9), st.integers(-9, 9), st.integers(1, 9), st.integers(1, 9))
def test_crops_are_zero_outside_the_image(top, left, height, width):
    x = np.random.default_rng(0).normal(size=(2, 4, 5))
    padded = np.pad(x, ((0, 0), (20, 20), (20, 20)))
    out = np.full((2, height, width), np.nan)
    regions.crop_with_zeros(x, top, left, out)
    assert np.array_equal(
        out, padded[:, 20 + top : 20 + top + height, 20 + left : 20 + left + width]
    )


@given(st.integers(0, 50), st.integers(1, 100), st.integers(1, 300), st.integers(1, 9))
def test_slices_are_even_and_cover_everything(n, bytes_each, limit, minimum):
    slices = regions.even_slices(n, bytes_each, limit, minimum)
    assert [i for part in slices for i in range(part.start, part.stop)] == list(range(n))
    lengths = [part.stop - part.start for part in slices]
    assert all(length * bytes_each <= max(limit, minimum * bytes_each) for length in lengths)
    assert all(length == lengths[0] for length in lengths[:-1])
