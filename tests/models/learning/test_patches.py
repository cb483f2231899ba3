import itertools
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from tinygrad_ckn import no_grad
from tinygrad_ckn.chunks import slices
from tinygrad_ckn.errors import ConfigError, DataError, ShapeError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.models.batched import image_blocks
from tinygrad_ckn.models.layers.ckn_layer import CKNLayer
from tinygrad_ckn.models.learning import patches as patches_module
from tinygrad_ckn.models.learning.patches import sample_patches
from tinygrad_ckn.models.preprocessing.chain import make_preprocessor


def all_patches(images: np.ndarray, kernel: tuple[int, int]) -> np.ndarray:
    """Return every patch of images that have their border already, as rows."""
    kh, kw = kernel
    n, _, height, width = images.shape
    return np.array(
        [
            images[k, :, i : i + kh, j : j + kw].reshape(-1)
            for k in range(n)
            for i in range(height - kh + 1)
            for j in range(width - kw + 1)
        ]
    )


def numbered(*shape: int) -> np.ndarray:
    return 1.0 + np.arange(np.prod(shape), dtype=float).reshape(shape)


def draw(images: np.ndarray, layer: CKNLayer, n: int, seed: int = 0, **options) -> np.ndarray:
    return sample_patches(images, layer, n, rng=np.random.default_rng(seed), **options)


@given(n=st.integers(0, 40), elements=st.integers(0, 50), limit=st.integers(1, 200))
@settings(max_examples=50, deadline=None)
def test_blocks_cover_everything_in_order_within_the_limit(
    n: int, elements: int, limit: int
) -> None:
    found = [list(range(n))[block] for block in image_blocks(n, elements, limit)]
    assert list(itertools.chain.from_iterable(found)) == list(range(n))
    assert all(
        len(block) == 1 or 1 < len(block) * elements <= limit or not elements for block in found
    )
    assert all((len(block) + 1) * max(1, elements) > limit for block in found[:-1])


@given(
    size=st.tuples(st.integers(4, 6), st.integers(4, 6)),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 4)),
    padding=st.sampled_from(["valid", "same", "full", (1, 0)]),
)
@settings(max_examples=15, deadline=None)
def test_every_patch_is_drawn_and_nothing_else(size, kernel, padding) -> None:
    images = numbered(2, 3, *size)
    layer = CKNLayer(3, 2, kernel, padding=padding)
    (top, bottom), (left, right) = layer.windows.padding
    bordered = np.pad(images, [(0, 0), (0, 0), (top, bottom), (left, right)])
    assert layer.output_size(size) == (
        bordered.shape[2] - kernel[0] + 1,
        bordered.shape[3] - kernel[1] + 1,
    )
    expected = {tuple(p) for p in all_patches(bordered, kernel)}
    expected.discard((0.0,) * (3 * kernel[0] * kernel[1]))
    assert {tuple(p) for p in draw(images, layer, 15 * len(expected))} == expected


def test_patches_are_uniform_over_images_and_positions() -> None:
    images = numbered(5, 1, 4, 3)
    found = draw(images, CKNLayer(1, 2, 1), 12_000, seed=1)[:, 0]
    counts = np.bincount(found.astype(int), minlength=61)[1:]
    assert counts.sum() == 12_000
    assert chisquare(counts).pvalue > 0.01


def test_patches_are_uniform_over_images_and_positions_with_a_border() -> None:
    layer = CKNLayer(1, 2, 3, padding="same")
    images = numbered(3, 1, 4, 5)
    found = draw(images, layer, 6_000, seed=2)
    expected = all_patches(np.pad(images, [(0, 0), (0, 0), (1, 1), (1, 1)]), (3, 3))
    index = {tuple(p): i for i, p in enumerate(expected)}
    assert len(index) == 60
    counts = np.bincount([index[tuple(p)] for p in found], minlength=60)
    assert chisquare(counts).pvalue > 0.01


def test_zero_patches_are_left_out_and_the_others_stay_uniform() -> None:
    images = numbered(4, 1, 3, 3)
    images[1] = 0
    images[2, 0, :2] = 0
    found = draw(images, CKNLayer(1, 2, 1), 5_000, seed=3)[:, 0]
    values = images[images != 0]
    assert (found != 0).all()
    counts = [int((found == v).sum()) for v in values]
    assert sum(counts) == len(found)
    assert chisquare(counts).pvalue > 0.01


@pytest.mark.parametrize("name", ["local_whitening", "patch_zca"])
@pytest.mark.parametrize("background", [0.0, 0.3, 1.0])
def test_what_preprocessing_makes_of_constant_patches_is_left_out(
    name: str, background: float
) -> None:
    images = np.full((40, 1, 16, 16), background, "float32")
    images[:, :, 5:11, 5:11] = np.random.default_rng(0).uniform(0, 1, (40, 1, 6, 6))
    images[3] = background
    prepared = make_preprocessor(name)
    prepared.fit(images)
    layer = CKNLayer(1, 4, 3, padding="valid")
    maps = np.asarray(prepared(images))
    found = draw(maps, layer, 3_000)
    assert len(found) > 1_000
    assert np.ptp(found, axis=1).min() > 1e-5 * abs(maps).max()


def test_nan_is_refused() -> None:
    images = numbered(4, 1, 5, 5)
    images[2, 0, 1, 1] = np.nan
    with pytest.raises(
        DataError, match=r"^sample_patches: argument images expected finite numbers, got NaN"
    ):
        draw(images, CKNLayer(1, 2, 3), 100)


def test_of_more_than_fit_those_kept_are_uniform_over_images_and_positions() -> None:
    images = numbered(6, 1, 4, 5)
    counts = np.zeros(121)
    for seed in range(300):
        found = draw(images, CKNLayer(1, 2, 1), 20, seed)[:, 0].astype(int)
        assert len(found) == 20
        np.add.at(counts, found, 1)
    assert chisquare(counts[1:]).pvalue > 0.01


def test_few_images_are_encoded_and_which_is_uniform() -> None:
    images = numbered(30, 1, 4, 5)
    counts = np.zeros(601)
    for seed in range(400):
        seen: list[int] = []
        found = sample_patches(
            images,
            CKNLayer(1, 2, 1),
            20,
            rng=seed,
            encode=lambda x, seen=seen: seen.append(len(x)) or x,
        )
        # 30 draws, 8 an image; the first call is for the shape
        assert sum(seen[1:]) <= 4
        np.add.at(counts, found[:, 0].astype(int), 1)
    by_image, by_position = (
        counts[1:].reshape(30, 20).sum(axis=1),
        counts[1:].reshape(30, 20).sum(axis=0),
    )
    # patches of one image come about 5 at a time
    assert chisquare(by_image / 5).pvalue > 0.01
    assert chisquare(by_position).pvalue > 0.01


@given(
    seen=st.integers(0, 30),
    new=st.integers(0, 30),
    size=st.integers(1, 20),
    seed=st.integers(0, 1000),
)
def test_a_reservoir_keeps_the_last_for_each_place(
    seen: int, new: int, size: int, seed: int
) -> None:
    taken, rows = patches_module._reservoir(seen, new, size, np.random.default_rng(seed))
    rng = np.random.default_rng(seed)
    expected = {}
    for i in range(new):
        place = int(rng.integers(0, seen + i + 1))
        place = seen + i if seen + i < size else place
        if place < size:
            expected[place] = i
    assert dict(zip(rows.tolist(), taken.tolist(), strict=True)) == expected
    assert rows.tolist() == sorted(expected)


def flat_and_not() -> np.ndarray:
    """Return two-channel images with a left half of one colour and different channels."""
    images = numbered(3, 2, 5, 8)
    images[:, 0, :, :4], images[:, 1, :, :4] = 0.3, 0.7
    return images


def test_constant_patches_of_images_are_left_out_and_the_others_stay_uniform() -> None:
    found = draw(flat_and_not(), CKNLayer(2, 2, (2, 3), padding="valid"), 6_000, seed=4)
    expected = all_patches(flat_and_not(), (2, 3))
    kept = [p for p in expected if len(set(p[:6])) > 1 or len(set(p[6:])) > 1]
    assert len(kept) == 3 * 4 * (6 - 2)
    index = {tuple(p): i for i, p in enumerate(kept)}
    counts = np.bincount([index[tuple(p)] for p in found], minlength=len(kept))
    assert chisquare(counts).pvalue > 0.01


def test_a_patch_that_varies_in_one_channel_only_is_kept() -> None:
    images = np.full((1, 2, 3, 3), 0.5)
    images[0, 1, 1, 1] = 0.6
    np.testing.assert_array_equal(
        draw(images, CKNLayer(2, 2, 3, padding="valid"), 4), images.reshape(1, 18).repeat(4, 0)
    )


def test_constant_patches_are_kept_where_every_patch_is_constant_and_in_maps() -> None:
    images = np.full((2, 3, 4, 4), 0.5)
    assert len(draw(images, CKNLayer(3, 2, 1), 10)) == 10
    layer = CKNLayer(3, 2, 3, padding="valid")
    assert draw(images, layer, 10).shape == (0, 27)
    assert draw(images, layer, 10, encode=lambda x: x).shape == (10, 27)


@pytest.mark.parametrize("n", [7, 400])
def test_patches_fill_an_array_or_a_file(tmp_path: Path, n: int) -> None:
    images = np.random.default_rng(0).normal(size=(4, 2, 6, 6)).astype("float32")
    images[:2] = 0
    layer = CKNLayer(2, 2, 3)
    expected = draw(images, layer, n)
    out = np.full((n, 18), np.nan, "float32")
    found = draw(images, layer, n, out=out)
    assert np.shares_memory(found, out)
    np.testing.assert_array_equal(found, expected)
    assert np.isnan(out[len(found) :]).all()
    file = np.lib.format.open_memmap(tmp_path / "x.npy", mode="w+", dtype="float32", shape=(n, 18))
    draw(images, layer, n, out=file).flush()
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy")[: len(expected)], expected)


@pytest.mark.parametrize(
    ("shape", "dtype"), [((4, 18), "float64"), ((5, 9), "float64"), ((5, 18), "float32")]
)
def test_an_array_that_patches_do_not_fit_in_is_refused(shape: tuple[int, int], dtype: str) -> None:
    with pytest.raises(
        ShapeError, match=r"argument out expected shape \(5, 18\) and dtype float64, got \("
    ):
        draw(numbered(2, 2, 5, 5), CKNLayer(2, 2, 3), 5, out=np.empty(shape, dtype))


def test_memory_is_needed_for_the_patches_and_a_block_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patches_module, "_BLOCK", 2**16)
    images = np.random.default_rng(0).normal(size=(10, 8, 16, 16))
    layer = CKNLayer(8, 2, 3)
    tracemalloc.start()
    try:
        found = draw(images, layer, 20_000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.nbytes == 20_000 * 72 * 8
    assert peak < 1.5 * found.nbytes


def test_a_patch_with_any_nonzero_element_counts() -> None:
    images = np.zeros((1, 1, 2, 2))
    images[0, 0, 1, 1] = -1e-30
    found = draw(images, CKNLayer(1, 2, 2, padding="valid"), 10)
    np.testing.assert_array_equal(found, np.tile([0, 0, 0, -1e-30], (10, 1)))


def test_nothing_but_zeros_gives_no_patches() -> None:
    assert draw(np.zeros((3, 2, 4, 4)), CKNLayer(2, 2, 3), 100).shape == (0, 18)


@pytest.mark.parametrize("n", [1, 2, 17, 1000])
def test_as_many_as_wanted_and_no_more(n: int) -> None:
    assert draw(numbered(3, 2, 5, 5), CKNLayer(2, 2, 3), n).shape == (n, 18)


def test_no_more_than_there_are_where_most_are_zero() -> None:
    images = np.zeros((50, 1, 4, 4))
    images[0] = 1
    assert 0 < len(draw(images, CKNLayer(1, 2, 1), 1000)) < 100


def test_the_seed_fixes_every_bit() -> None:
    images = np.random.default_rng(0).normal(size=(4, 2, 6, 6)).astype("float32")
    layer = CKNLayer(2, 2, 3)
    one, same, other = (draw(images, layer, 50, seed) for seed in (1, 1, 2))
    assert one.dtype == "float32"
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_blocks_do_not_change_the_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    images = numbered(7, 2, 5, 4)
    layer = CKNLayer(2, 2, 3)
    images[2] = 0
    whole, all_of_them = draw(images, layer, 60), draw(images, layer, 1000)
    monkeypatch.setattr(patches_module, "image_blocks", lambda n, elements: slices(n, 2))
    monkeypatch.setattr(patches_module, "slices", lambda n, step: slices(n, 2))
    np.testing.assert_array_equal(draw(images, layer, 60), whole)
    np.testing.assert_array_equal(draw(images, layer, 1000), all_of_them)


def test_encoding_on_the_way_gives_the_patches_of_everything_encoded_first() -> None:
    below = CKNLayer(1, 3, 3, subsampling=2, dtype="float64").eval()
    layer = CKNLayer(3, 4, 2, padding="same", dtype="float64")
    images = np.random.default_rng(0).normal(size=(20, 1, 7, 8))
    images[::3] = 0
    encoded: list[int] = []

    def encode(x: np.ndarray) -> np.ndarray:
        encoded.append(len(x))
        with no_grad():
            return unwrap(below(x))

    found = draw(images, layer, 500, encode=encode)
    np.testing.assert_allclose(found, draw(encode(images), layer, 500), rtol=1e-13, atol=1e-15)
    assert found.any(axis=1).all()
    assert encoded[0] == 1
    assert sum(encoded[1:-1]) <= 20


@pytest.mark.parametrize("count", [0, -3, 2.5])
def test_the_number_of_patches_is_checked(count: float) -> None:
    with pytest.raises(ConfigError, match="n_patches expected an integer >= 1, got"):
        sample_patches(
            np.ones((2, 1, 4, 4)), CKNLayer(1, 3, 2), count, rng=np.random.default_rng(0)
        )


def test_what_is_no_input_of_the_layer_is_refused() -> None:
    layer = CKNLayer(1, 4, 3)
    with pytest.raises(
        DataError, match="sample_patches: argument images expected at least one image, got none"
    ):
        sample_patches(np.ones((0, 1, 5, 5)), layer, 10, rng=0)
    with pytest.raises(
        ShapeError, match=r"sample_patches: expected images \(N, 1, H, W\), got \(1, 2, 5, 5\)"
    ):
        sample_patches(np.ones((3, 2, 5, 5)), layer, 10, rng=0)
