"""Images that are read when indexed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_ckn import Tensor, lazy_images
from tinygrad_ckn.backend import CPU, backend_of, is_array
from tinygrad_ckn.data_format import PixelRange, extremes_of
from tinygrad_ckn.fingerprints import equal_numbers, fingerprints_of
from tinygrad_ckn.lazy_images import LazyImages, as_lazy, default_memory, is_lazy, room, some_of
from tinygrad_ckn.stored_rows import StoredRows


class Reads:
    """A source that notes how many images are asked for at a time."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.shape = array.shape
        self.dtype = array.dtype
        self.sizes: list[int] = []

    def read(self, indices: np.ndarray) -> np.ndarray:
        self.sizes.append(len(indices))
        return self.array[indices]


def pixels(n: int = 7) -> np.ndarray:
    return np.random.default_rng(0).random((n, 2, 3, 4)).astype("float32")


KEYS = [
    0,
    -1,
    np.int64(2),
    slice(None),
    slice(5, 1, -2),
    np.array([3, 3, 0]),
    [1, 2],
    [],
    np.arange(7) > 3,
    (slice(2), slice(None), 0),
    (1, 0),
    (np.array([1, 4]), slice(None), slice(None), slice(None, None, -1)),
]


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_indexing_is_that_of_an_array(key: object) -> None:
    array = pixels()
    expected = array[key]
    found = LazyImages(Reads(array), 1)[key]
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == "float32"


@pytest.mark.parametrize("key", [7, -8, np.array([9]), "x"], ids=str)
def test_an_index_outside_is_refused(key: object) -> None:
    with pytest.raises(IndexError):
        _ = LazyImages(Reads(pixels()), 1)[key]


@given(st.data())
def test_views_of_views_are_those_of_an_array(data: st.DataObject) -> None:
    expected = pixels()
    images: object = LazyImages(Reads(expected), 1)
    for _ in range(data.draw(st.integers(0, 3))):
        n = len(expected)
        chosen = np.array(data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=9)))
        images, expected = some_of(images, chosen), some_of(expected, chosen)
    assert is_lazy(images)
    np.testing.assert_array_equal(np.asarray(images), expected)
    assert images.shape == expected.shape
    np.testing.assert_array_equal(list(images), expected)


def test_attributes_are_those_of_an_array() -> None:
    array = pixels()
    images = LazyImages(Reads(array), 1)
    for name in ("shape", "dtype", "ndim", "size", "nbytes"):
        assert getattr(images, name) == getattr(array, name), name
    assert len(images) == len(array)
    assert (images.min(), images.max()) == (array.min(), array.max())
    assert images.astype("float64")[:2].dtype == "float64"
    assert repr(images) == "LazyImages((7, 2, 3, 4), float32)"


def test_they_are_read_like_arrays_of_the_host_and_are_none() -> None:
    images = LazyImages(Reads(pixels()), 1)
    assert backend_of(images) is CPU
    assert not is_array(images)
    np.testing.assert_array_equal(Tensor(images).numpy(), pixels())


def test_a_map_is_computed_from_what_is_read_with_the_numbers_of_the_images() -> None:
    array = pixels()
    source = Reads(array)
    images = LazyImages(source, 1).take(np.array([6, 2, 4]))
    doubled = images.map(lambda x, i: x[:, 0] * 2 + i[:, None, None], (3, 4), "float32")
    assert source.sizes == []
    np.testing.assert_array_equal(doubled[1:], array[[2, 4], 0] * 2 + [[[1]], [[2]]])
    assert source.sizes == [2]
    assert doubled.shape == (3, 3, 4)


def test_measures_are_those_of_an_array_read_in_blocks_and_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lazy_images, "_BLOCK_BYTES", 2 * 96)
    array = pixels()
    array[4] = array[1]
    source = Reads(array)
    images = LazyImages(source, 1)
    np.testing.assert_array_equal(fingerprints_of(images), fingerprints_of(array))
    np.testing.assert_array_equal(
        equal_numbers(fingerprints_of(images)), equal_numbers(fingerprints_of(array))
    )
    assert sorted(source.sizes) == [1, 2, 2, 2]
    assert PixelRange.of(images) == PixelRange.of(array)
    seen = len(source.sizes)
    # Fewer images are not read again either.
    part = images.take(np.array([5, 1]))
    np.testing.assert_array_equal(fingerprints_of(part), fingerprints_of(array)[[5, 1]])
    np.testing.assert_array_equal(extremes_of(part), np.array(extremes_of(array))[:, [5, 1]])
    assert len(source.sizes) == seen


def test_there_is_room_in_memory_or_in_a_file() -> None:
    assert type(room((2, 3), "float32", 24, "a test")) is np.ndarray
    in_file: object = room((2, 3), "float32", 23, "a test")
    assert isinstance(in_file, StoredRows)
    assert is_lazy(as_lazy(in_file, 23))
    array = np.zeros((2, 3))
    assert as_lazy(array, 23) is array
    assert type(LazyImages(Reads(pixels()), 23).room((2, 3), "float32", "a test")) is StoredRows


def test_the_default_is_a_quarter_of_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lazy_images, "usable_bytes", lambda: 4000)
    assert default_memory() == 1000
    monkeypatch.setattr(lazy_images, "usable_bytes", lambda: 0)
    assert default_memory() == 2**62
