import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import inv, sqrtm

from tinygrad_ckn import Tensor, block_sums, enable_grad, no_grad, parallel
from tinygrad_ckn.errors import ConfigError, DataError, DTypeError, ShapeError
from tinygrad_ckn.models.preprocessing import base as preprocessor
from tinygrad_ckn.models.preprocessing.whitening import LocalWhitening, PatchZCA
from tinygrad_ckn.testing import gradcheck


def places(x: np.ndarray, kernel: tuple[int, int]) -> list[tuple[slice, slice, slice]]:
    """Return where the patches of an image (C, H, W) lie, row by row."""
    (_, height, width), (kh, kw) = x.shape, kernel
    corners = itertools.product(range(height - kh + 1), range(width - kw + 1))
    return [(slice(None), slice(i, i + kh), slice(j, j + kw)) for i, j in corners]


def overlapped(patches: list[np.ndarray], where: list, shape: tuple[int, ...]) -> np.ndarray:
    """Return the image of which each pixel is the mean of the patches that contain it."""
    total, count = np.zeros(shape), np.zeros(shape)
    for patch, place in zip(patches, where, strict=True):
        total[place] += patch
        count[place] += 1
    return total / count


def locally_whitened(image: np.ndarray, kernel: tuple[int, int], floor: float = 0.0) -> np.ndarray:
    """Whiten an image (C, H, W); eigenvalues are at least `floor` times the largest."""
    where = places(image, kernel)
    centred = [image[place] - image[place].mean(axis=(1, 2), keepdims=True) for place in where]
    y = overlapped(centred, where, image.shape)
    p = np.array([y[place].reshape(-1) for place in where])
    e, u = np.linalg.eigh(p.T @ p)
    w = u @ np.diag(np.maximum(e, floor * e.max()) ** -0.25) @ u.T
    return overlapped([(w @ row).reshape(image[where[0]].shape) for row in p], where, image.shape)


@given(
    seed=st.integers(0, 2**32),
    channels=st.integers(1, 3),
    # more patches than they have values
    size=st.tuples(st.integers(9, 12), st.integers(9, 12)),
    kernel=st.tuples(st.integers(1, 3), st.integers(2, 3)),
)
@settings(max_examples=15, deadline=None)
def test_local_whitening_is_the_recipe(seed: int, channels: int, size, kernel) -> None:
    x = np.random.default_rng(seed).random((2, channels, *size))
    expected = np.array([locally_whitened(image, kernel) for image in x])
    y = LocalWhitening(kernel)(x)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def smooth(shape: tuple[int, ...]) -> np.ndarray:
    """Return images in [0, 1] with similar neighbouring pixels and channels, as photographs."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=shape)
    for axis in (2, 3, 2, 3):
        x = x + 0.9 * np.roll(x, 1, axis)
    x = 0.2 * x + x.mean(axis=1, keepdims=True) + rng.normal(scale=0.01, size=shape)
    return (x - x.min()) / (x.max() - x.min())


def test_local_whitening_of_float32_images_of_cifars_size_agrees_within_1e_5() -> None:
    x = smooth((3, 3, 32, 32)).astype("float32")
    expected = np.array([locally_whitened(image.astype("float64"), (3, 3)) for image in x])
    y = LocalWhitening()(x)
    assert y.dtype == "float32"
    assert np.abs(y - expected).max() <= 1e-5 * np.abs(expected).max()


def test_grey_images_have_singular_patches_and_are_whitened_in_the_other_directions() -> None:
    x = np.repeat(smooth((2, 1, 12, 12)), 3, axis=1).astype("float32")
    expected = np.array(
        [locally_whitened(image.astype("float64"), (3, 3), floor=1e-10) for image in x]
    )
    np.testing.assert_allclose(LocalWhitening()(x), expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("value", [0.0, 0.1, 1.0])
def test_a_constant_image_gives_zeros(value: float) -> None:
    x = np.full((2, 3, 8, 8), value, dtype="float32")
    x[0] = smooth((1, 3, 8, 8))[0]
    y = LocalWhitening()(x)
    assert np.abs(y[0]).max() > 1e-2
    np.testing.assert_allclose(y[1], 0, atol=1e-7)


def test_local_whitening_is_the_same_bits_however_the_work_is_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = smooth((7, 3, 10, 9)).astype("float32")
    whole = LocalWhitening()(x)
    monkeypatch.setattr(block_sums, "_BLOCK_BYTES", 1)
    before = parallel.get_num_threads()
    for threads in (1, 3):
        parallel.set_num_threads(threads)
        np.testing.assert_array_equal(LocalWhitening()(x), whole)
    parallel.set_num_threads(before)


def test_local_whitening_has_exact_gradients_of_order_1_and_2() -> None:
    layer = LocalWhitening(2, eps=1e-3)

    def recorded(x: Tensor) -> Tensor:
        with enable_grad():
            # the check takes values without recording, which are others in the last bits
            return layer(x if x.requires_grad else Tensor(x.data, requires_grad=True))

    assert (
        gradcheck(recorded, [np.random.default_rng(1).random((2, 2, 6, 5))], order=2).error < 1e-6
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_recorded_tensors_give_what_arrays_give(dtype: str) -> None:
    x = smooth((2, 3, 8, 8)).astype(dtype)
    layer = LocalWhitening()
    expected = layer(x)
    recorded = layer(Tensor(x, requires_grad=True))
    assert (recorded.requires_grad, recorded.dtype) == (True, dtype)
    np.testing.assert_allclose(recorded.numpy(), expected, atol=1e-6 * np.abs(expected).max())
    with no_grad():
        plain = layer(Tensor(x, requires_grad=True))
    for y in (plain, layer(Tensor(x))):
        assert not y.requires_grad
        np.testing.assert_array_equal(y.numpy(), expected)


def test_nothing_is_learned_and_the_shape_stays() -> None:
    layer = LocalWhitening((3, 2), eps=1e-6)
    assert layer.fit(np.zeros((2, 1, 4, 4))) is layer
    assert layer.state_dict() == {}
    assert layer.output_shape((3, 8, 9)) == (3, 8, 9)
    assert layer(np.zeros((0, 3, 8, 9))).shape == (0, 3, 8, 9)
    assert json.loads(json.dumps(layer.config())) == {
        "name": "local_whitening",
        "kernel_size": [3, 2],
        "eps": 1e-6,
    }


def test_bad_input_of_local_whitening_gets_a_sentence() -> None:
    for small in (
        lambda: LocalWhitening()(np.zeros((1, 3, 2, 8))),
        lambda: LocalWhitening().output_shape((3, 2, 8)),
    ):
        with pytest.raises(
            ShapeError, match=r"at least the kernel's extent \(3, 3\), got \(2, 8\)"
        ):
            small()
    with pytest.raises(ShapeError, match=r"x expected shape \(N, C, H, W\), got \(3, 8, 8\)"):
        LocalWhitening()(np.zeros((3, 8, 8)))
    with pytest.raises(DTypeError, match="float32 or float64, got uint8; divide them by 255"):
        LocalWhitening()(np.zeros((1, 3, 8, 8), dtype="uint8"))
    for value in (np.nan, np.inf):
        x = smooth((2, 3, 8, 8))
        x[1, 2, 3, 4] = value
        with pytest.raises(
            DataError, match="expected images of finite numbers, got NaN or infinity"
        ):
            LocalWhitening()(x)
    with pytest.raises(ConfigError, match="eps expected a number >= 1e-12, got 0"):
        LocalWhitening(eps=0)


def normalised(v: np.ndarray) -> np.ndarray:
    return (v - v.mean()) / np.sqrt(v.var() + 10 / 255**2)


def patches_of(image: np.ndarray, kernel: tuple[int, int], contrast: str) -> np.ndarray:
    """Return the patches of an image (C, H, W) as rows, of normal contrast."""
    if contrast == "image":
        image = normalised(image)
    rows = [image[place].reshape(-1) for place in places(image, kernel)]
    return np.array([normalised(row) for row in rows] if contrast == "patch" else rows)


@pytest.mark.parametrize("contrast", ["image", "patch"])
@pytest.mark.parametrize("kernel", [(3, 3), (1, 2)])
def test_patch_zca_is_the_formula(
    contrast: str, kernel: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    train, test = smooth((5, 2, 7, 6)), smooth((2, 2, 9, 5))
    p = np.concatenate([patches_of(image, kernel, contrast) for image in train])
    w = inv(sqrtm(np.cov(p.T, bias=True) + 0.2 * np.eye(p.shape[1])))
    expected = []
    for image in test:
        where = places(image, kernel)
        rows = (patches_of(image, kernel, contrast) - p.mean(axis=0)) @ w.T
        expected.append(overlapped([row.reshape(2, *kernel) for row in rows], where, image.shape))
    # 2 images
    monkeypatch.setattr(preprocessor, "_BLOCK", 2 * 2 * 7 * 6)
    layer = PatchZCA(kernel, eps=0.2, contrast=contrast).fit(train)
    np.testing.assert_allclose(layer(test), expected, atol=1e-11)
    single = layer(test.astype("float32"))
    assert single.dtype == "float32"
    np.testing.assert_allclose(single, expected, atol=1e-4)


def test_patches_whitened_with_a_small_eps_are_white() -> None:
    x = smooth((20, 1, 9, 9))
    layer = PatchZCA(2, eps=1e-9).fit(x)
    p = np.concatenate([patches_of(image, (2, 2), "image") for image in x])
    white = (p - layer.mean.numpy()) @ layer.whitening.numpy().T
    np.testing.assert_allclose(np.cov(white.T, bias=True), np.eye(4), atol=1e-5)


@pytest.mark.parametrize("contrast", ["image", "patch"])
def test_patch_zca_has_exact_gradients_of_order_1_and_2(contrast: str) -> None:
    x = smooth((3, 2, 5, 4))
    layer = PatchZCA((2, 3), contrast=contrast).fit(x)
    assert gradcheck(layer, [x[:2]], order=2).error < 1e-6


def test_patch_zca_of_tensors_is_that_of_arrays() -> None:
    x = smooth((3, 3, 8, 8)).astype("float32")
    layer = PatchZCA().fit(Tensor(x))
    plain, recorded = layer(Tensor(x)), layer(Tensor(x, requires_grad=True))
    assert (plain.requires_grad, recorded.requires_grad) == (False, True)
    assert recorded.dtype == "float32"
    np.testing.assert_array_equal(plain.numpy(), layer(x))
    np.testing.assert_allclose(recorded.numpy(), layer(x), atol=1e-6)
    np.testing.assert_array_equal(layer.mean.numpy(), PatchZCA().fit(x).mean.numpy())


def test_a_constant_image_has_no_contrast() -> None:
    x = smooth((3, 1, 6, 6))
    x[1] = 0.3
    layer = PatchZCA(2).fit(x)
    w, mean = layer.whitening.numpy(), layer.mean.numpy()
    where = places(x[1], (2, 2))
    expected = overlapped([(-w @ mean).reshape(1, 2, 2)] * len(where), where, (1, 6, 6))
    np.testing.assert_allclose(layer(x)[1], expected, atol=1e-12)


def test_bad_input_of_patch_zca_gets_a_sentence() -> None:
    with pytest.raises(ConfigError, match="contrast expected 'image' or 'patch', got 'pixel'"):
        PatchZCA(contrast="pixel")
    with pytest.raises(ConfigError, match="eps expected a finite number > 0, got -1"):
        PatchZCA(eps=-1)
    for small in (
        lambda: PatchZCA(9).fit(np.zeros((1, 3, 8, 8))),
        lambda: PatchZCA(9).output_shape((3, 8, 8)),
    ):
        with pytest.raises(
            ShapeError, match=r"PatchZCA: .*at least the kernel's extent \(9, 9\), got \(8, 8\)"
        ):
            small()
