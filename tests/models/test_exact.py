"""The exact kernel against loops over pairs of positions and against explicit features."""

import itertools
import math
import tracemalloc
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_ckn import Tensor, data, ops
from tinygrad_ckn.errors import ConfigError, DataError, DTypeError, ShapeError
from tinygrad_ckn.models import CKN, CKNLayer, exact
from tinygrad_ckn.models.exact import exact_kernel
from tinygrad_ckn.models.kernels import ArcCosine1, Exponential, Kernel, Polynomial

PADDINGS = ["same", "valid", "full", 1, (0, 2)]
SUBSAMPLINGS = [1, 2, math.sqrt(2)]


def layer_of(channels: int = 1, filters: int = 2, kernel_size=3, **options) -> CKNLayer:
    return CKNLayer(channels, filters, kernel_size, dtype="float64", **options)


def borders(padding: object, kernel: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the zeros before and after an image, for each axis."""
    if isinstance(padding, str):
        return [
            {"valid": (0, 0), "same": ((k - 1) // 2, k // 2), "full": (k - 1, k - 1)}[padding]
            for k in kernel
        ]
    return [(p, p) for p in (padding if isinstance(padding, tuple) else (padding, padding))]


def weights(length: int, s: float) -> list[dict[int, float]]:
    """Return the positions within s of each centre i s, with weights that sum to 1."""
    found = []
    for i in range(math.floor((length - 1) / s + 1e-9) + 1):
        near = {
            z: math.exp(-(((z - i * s) / s) ** 2))
            for z in range(-9, length + 9)
            if abs(z - i * s) <= s + 1e-9
        }
        near = near if s > 1 else {i: 1.0}
        found.append({z: w / sum(near.values()) for z, w in near.items() if 0 <= z < length})
    return found


def positions(size) -> list[tuple[int, int]]:
    return list(itertools.product(range(size[0]), range(size[1])))


def patches(k: dict, size, layer) -> tuple[dict, tuple[int, int]]:
    """Return inner products of pairs of patches from those of positions, and their number."""
    kh, kw = layer.kernel_size
    (top, bottom), (left, right) = borders(layer.padding, (kh, kw))
    out = size[0] + top + bottom - kh + 1, size[1] + left + right - kw + 1
    found = {}
    for (a, b), (c, d) in itertools.product(positions(out), repeat=2):
        taps = [
            ((a + i - top, b + j - left), (c + i - top, d + j - left))
            for i in range(kh)
            for j in range(kw)
        ]
        found[(a, b), (c, d)] = math.fsum(k.get(pair, 0.0) for pair in taps)
    return found, out


def brute_force(kappa, layers, x: np.ndarray, y: np.ndarray) -> float:
    """Return the kernel of two images (C, H, W) by its definition, pair by pair."""

    def inner(a: np.ndarray, b: np.ndarray) -> dict:
        return {
            (p, q): math.fsum(a[:, *p] * b[:, *q])
            for p in positions(a.shape[1:])
            for q in positions(b.shape[1:])
        }

    size, kernels = x.shape[1:], {"xx": inner(x, x), "yy": inner(y, y), "xy": inner(x, y)}
    for layer in layers:
        sums = {}
        for name, k in kernels.items():
            sums[name], out = patches(k, size, layer)
        norms = {
            side: {p: math.sqrt(max(0.0, sums[side * 2][p, p])) for p in positions(out)}
            for side in "xy"
        }
        rows, columns = (weights(n, s) for n, s in zip(out, layer.subsampling, strict=True))
        size = len(rows), len(columns)
        for name, s in sums.items():
            mapped = {}
            for p, q in s:
                both = norms[name[0]][p] * norms[name[1]][q]
                mapped[p, q] = both * kappa(s[p, q] / both) if both else 0.0
            around = {
                (i, j): [((a, b), v * w) for a, v in rows[i].items() for b, w in columns[j].items()]
                for i, j in positions(size)
            }
            kernels[name] = {
                (i, j): math.fsum(v * w * mapped[p, q] for p, v in around[i] for q, w in around[j])
                for i, j in itertools.product(around, repeat=2)
            }
    return math.fsum(kernels["xy"][p, p] for p in positions(size))


def check_against_loops(case, layers, x: np.ndarray, y: np.ndarray) -> None:
    expected = [[brute_force(case.kappa, layers, a, b) for b in y] for a in x]
    scale = math.sqrt(max(abs(v) for row in expected for v in row) or 1.0)
    np.testing.assert_allclose(
        exact_kernel(layers, x, y), expected, rtol=case.tolerance, atol=case.tolerance * scale
    )


@given(
    seed=st.integers(0, 2**32),
    size=st.tuples(st.integers(3, 4), st.integers(3, 4)),
    kernel_size=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.sampled_from(PADDINGS),
    s=st.sampled_from(SUBSAMPLINGS),
)
@settings(max_examples=6, deadline=None)
def test_one_layer_is_its_definition_at_every_pair_of_positions(
    case, seed, size, kernel_size, padding, s
) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(2, 2, *size)), rng.normal(size=(1, 2, *size))
    # zero patches
    x[:, :, : rng.integers(0, 3)] = 0
    layer = layer_of(2, 3, kernel_size, kernel=case.kernel, padding=padding, subsampling=s)
    check_against_loops(case, [layer], x, y)


@pytest.mark.parametrize(("kernel_size", "s"), [(2, 1), (3, 2), (2, math.sqrt(2))])
@pytest.mark.parametrize("padding", PADDINGS)
def test_two_layers_are_their_definition_at_every_pair_of_positions(
    case, kernel_size, padding, s
) -> None:
    rng = np.random.default_rng(kernel_size)
    x, y = rng.normal(size=(1, 1, 4, 3)), rng.normal(size=(1, 1, 4, 3))
    x[..., :2, :] = 0
    options = {"kernel": case.kernel, "subsampling": s}
    layers = [
        layer_of(1, 2, kernel_size, padding=padding, **options),
        layer_of(2, 2, (1, 2), **options),
    ]
    check_against_loops(case, layers, x, y)


def squared(x: np.ndarray, kernel: int) -> np.ndarray:
    """Return the map of images (N, C, H, W) by patches p p^T / |p|, whose kernel is that of u^2."""
    # (N, d, L)
    columns = ops.unfold(x, kernel)
    norms = np.sqrt((columns**2).sum(axis=1))
    maps = (
        np.einsum("nil,njl->nijl", columns, columns) / np.where(norms > 0, norms, 1)[:, None, None]
    )
    return maps.reshape(len(x), -1, x.shape[2] - kernel + 1, x.shape[3] - kernel + 1)


@pytest.mark.parametrize("s", SUBSAMPLINGS)
def test_it_is_the_inner_product_of_features_that_are_of_finite_dimension(s: float) -> None:
    x = np.random.default_rng(0).normal(size=(4, 1, 6, 5))
    x[0, 0, :3] = 0
    maps = ops.gaussian_pool2d(squared(ops.gaussian_pool2d(squared(x, 2), s), 2), 2)
    features = maps.reshape(4, -1)
    options = {"kernel": Polynomial(2), "padding": "valid"}
    layers = [
        layer_of(1, 2, 2, subsampling=s, **options),
        layer_of(2, 2, 2, subsampling=2, **options),
    ]
    np.testing.assert_allclose(exact_kernel(layers, x), features @ features.T, rtol=1e-11)


@pytest.mark.parametrize(
    "options",
    [
        {"subsampling": (2, 1)},
        {"subsampling": (1, 2**0.5), "dilation": (1, 2)},
        {"pooling": "average", "subsampling": (2, 3), "padding": "valid"},
        {"pooling": "strided", "subsampling": 2, "dilation": 2, "padding": 1},
        {"pooling": "none", "padding": "full"},
    ],
    ids=str,
)
def test_options_of_a_layer_with_the_linear_kernel_whose_map_is_the_patch(options) -> None:
    x = np.random.default_rng(1).normal(size=(3, 2, 7, 6))
    layer = CKNLayer(2, 2, (2, 3), kernel=Polynomial(1), dtype="float64", **options)
    windows = layer.windows
    maps = ops.unfold(
        x, (2, 3), stride=windows.stride, padding=layer.padding, dilation=layer.dilation
    )
    maps = maps.reshape(3, -1, *windows.output_size((7, 6)))
    if layer.pooling.name == "gaussian":
        maps = ops.gaussian_pool2d(maps, layer.subsampling)
    if layer.pooling.name == "average":
        maps = ops.avg_pool2d(maps, options["subsampling"])
    features = maps.reshape(3, -1)
    np.testing.assert_allclose(exact_kernel([layer], x), features @ features.T, rtol=1e-12)


def test_images_go_through_the_preprocessing_of_a_network() -> None:
    x = np.random.default_rng(1).uniform(size=(3, 1, 6, 6))
    model = CKN(1, 6, 2, [layer_of()], preprocessing="local_whitening")
    np.testing.assert_array_equal(
        exact_kernel(model, x), exact_kernel(model.layers, model.preprocess(x))
    )


def distinct_patches(x: np.ndarray, layer: CKNLayer) -> np.ndarray:
    """Return the directions of all patches of images, each once, as filters."""
    rows = (
        ops.unfold(x, layer.kernel_size, padding=layer.padding)
        .transpose(0, 2, 1)
        .reshape(-1, layer.weight[0].size)
    )
    rows = rows[np.abs(rows).max(axis=1) > 0]
    rows = rows / np.sqrt((rows**2).sum(axis=1, keepdims=True))
    return rows[np.unique(rows.round(9), axis=0, return_index=True)[1]].reshape(
        -1, *layer.weight.shape[1:]
    )


def test_nystrom_with_all_patches_as_filters_is_exact() -> None:
    x = np.random.default_rng(2).integers(0, 3, size=(3, 1, 4, 4)).astype("float64")
    options = {"subsampling": 2, "kernel": Exponential(sigma=0.6), "eps": 1e-12}
    first = layer_of(1, 4, 2, **options)
    filters = distinct_patches(x, first)
    first = layer_of(1, len(filters), 2, **options)
    first.weight.data = filters
    maps = first(Tensor(x)).numpy()
    second = layer_of(len(filters), 4, 2, **options)
    filters = distinct_patches(maps, second)
    second = layer_of(first.n_filters, len(filters), 2, **options)
    second.weight.data = filters
    features = second(Tensor(maps)).numpy().reshape(3, -1)
    np.testing.assert_allclose(features @ features.T, exact_kernel([first, second], x), rtol=1e-6)


def nystrom_error(x: np.ndarray, filters: int) -> float:
    layers = [
        layer_of(*channels, subsampling=2, eps=1e-8)
        for channels in ((1, filters), (filters, filters))
    ]
    model = CKN(1, 8, 10, layers).fit_unsupervised(x, n_patches=2000, rng=0)
    features, gram = model.encode(x), exact_kernel(model, x)
    return float(np.linalg.norm(features @ features.T - gram) / np.linalg.norm(gram))


def test_nystrom_features_approach_it_as_filters_are_doubled() -> None:
    x = data.load("digits").train.images[:30].astype("float64")
    errors = [nystrom_error(x, filters) for filters in (16, 32, 64)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.02


@given(
    seed=st.integers(0, 2**32), padding=st.sampled_from(PADDINGS), s=st.sampled_from(SUBSAMPLINGS)
)
@settings(max_examples=5, deadline=None)
def test_it_is_symmetric_and_positive_semi_definite(case, seed: int, padding, s: float) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(6, 1, 4, 4)) * (rng.random((6, 1, 4, 4)) < 0.5)
    x[1] = x[0]
    options = {"kernel": case.kernel, "subsampling": s}
    gram = exact_kernel([layer_of(padding=padding, **options), layer_of(2, **options)], x)
    np.testing.assert_array_equal(gram, gram.T)
    assert np.linalg.eigvalsh(gram).min() >= -case.tolerance * np.trace(gram)


@given(seed=st.integers(0, 2**32), c=st.floats(1e-3, 1e3))
@settings(max_examples=5, deadline=None)
def test_it_is_positively_homogeneous(case, seed: int, c: float) -> None:
    x = np.random.default_rng(seed).normal(size=(3, 1, 4, 4))
    layers = [layer_of(kernel=case.kernel, subsampling=2)]
    expected = c * exact_kernel(layers, x)
    np.testing.assert_allclose(
        exact_kernel(layers, c * x, x), expected, rtol=case.tolerance, atol=case.tolerance * c
    )


def test_y_left_out_is_x(case) -> None:
    x = np.random.default_rng(3).normal(size=(5, 1, 4, 4))
    layers = [layer_of(kernel=case.kernel, subsampling=2)]
    np.testing.assert_allclose(
        exact_kernel(layers, x), exact_kernel(layers, x, x), rtol=1e-14, atol=1e-14
    )


def test_filters_and_eps_do_not_count_and_a_model_stands_for_its_layers() -> None:
    x = np.random.default_rng(4).normal(size=(3, 1, 6, 6))
    model = CKN(
        1, 6, 2, [layer_of(1, 3, subsampling=2, rng=0), layer_of(3, 2, subsampling=2, eps=0.1)]
    )
    gram = exact_kernel([layer_of(1, 5, subsampling=2, rng=1), layer_of(5, 7, subsampling=2)], x)
    np.testing.assert_array_equal(exact_kernel(model, x), gram)
    np.testing.assert_array_equal(exact_kernel(model, Tensor(x, requires_grad=True)), gram)


@dataclass(frozen=True)
class Trained(Kernel):
    """An exponential kernel whose parameter is a Tensor."""

    alpha: Tensor

    def kappa(self, u: object) -> object:
        return ops.kappa_exponential(u, self.alpha)


def test_parameters_of_a_kernel_may_be_tensors() -> None:
    x = np.random.default_rng(5).normal(size=(3, 1, 4, 4))
    trained = layer_of(kernel=Trained(Tensor(1 / 0.36, requires_grad=True)))
    gram = exact_kernel([trained], x)
    scales = np.ones((2, 3, 2, 2))
    assert (
        type(exact._map_kernel(np, trained, np.ones((3, 2, 2, 2, 2)), scales, scales)) is np.ndarray
    )
    np.testing.assert_allclose(
        gram, exact_kernel([layer_of(kernel=Exponential(0.6))], x), rtol=1e-14
    )


def test_it_is_computed_in_float64_unless_told_otherwise() -> None:
    x = np.random.default_rng(6).random((3, 1, 6, 6), dtype="float32")
    layers = [CKNLayer(1, 2, 3, subsampling=2)]
    gram, single = exact_kernel(layers, x), exact_kernel(layers, x, dtype="float32")
    assert (gram.dtype, single.dtype) == ("float64", "float32")
    np.testing.assert_array_equal(gram, exact_kernel(layers, x.astype("float64")))
    np.testing.assert_allclose(single, gram, rtol=1e-5)


@pytest.mark.parametrize("kernel_size", [1, 3])
@pytest.mark.parametrize("kernel", [ArcCosine1(), Exponential(), Polynomial(3)])
def test_memory_stays_within_the_budget_which_changes_nothing(kernel, kernel_size: int) -> None:
    x = np.random.default_rng(7).random((40, 1, 8, 8))
    layers = [layer_of(1, 2, kernel_size, kernel=kernel, subsampling=2)]
    whole = exact_kernel(layers, x)
    tracemalloc.start()
    gram = exact_kernel(layers, x, memory=2**23)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**23 + 2**17
    np.testing.assert_allclose(gram, whole, rtol=1e-14)


def test_empty_sets_give_empty_matrices() -> None:
    x, none = np.ones((3, 1, 4, 4)), np.ones((0, 1, 4, 4))
    layers = [layer_of()]
    assert exact_kernel(layers, x, none).shape == (3, 0)
    assert exact_kernel(layers, none, x).shape == (0, 3)
    assert exact_kernel(layers, none).shape == (0, 0)


@pytest.mark.parametrize("options", [{"pooling": "max"}, {"groups": 2}, {"center": True}])
def test_options_that_are_not_treated_exactly_are_refused(options: dict[str, object]) -> None:
    layers = [layer_of(1, 2), CKNLayer(2, 2, 1, dtype="float64", **options)]
    with pytest.raises(ConfigError, match=r"layers\[1\] expected groups=1, center=False"):
        exact_kernel(layers, np.ones((1, 1, 4, 4)))


@pytest.mark.parametrize("layers", [[], layer_of(), [layer_of(), "layer"], None])
def test_layers_that_are_none_are_refused(layers: object) -> None:
    with pytest.raises(
        ConfigError, match="argument layers expected a CKN or a list of CKNLayers, got "
    ):
        exact_kernel(layers, np.ones((1, 1, 4, 4)))


@pytest.mark.parametrize("shape", [(1, 4, 4), (1, 2, 4, 4)])
def test_images_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    x = np.ones((1, 1, 4, 4))
    with pytest.raises(
        ShapeError, match=r"argument x expected images of shape \(n, 1, H, W\), got "
    ):
        exact_kernel([layer_of()], np.ones(shape))
    with pytest.raises(
        ShapeError, match=r"argument y expected images of shape \(n, 1, H, W\), got "
    ):
        exact_kernel([layer_of()], x, np.ones(shape))
    with pytest.raises(
        ShapeError, match=r"argument y expected images of shape \(1, 4, 4\), as x, got \(1, 4, 5\)"
    ):
        exact_kernel([layer_of()], x, np.ones((1, 1, 4, 5)))
    with pytest.raises(ShapeError, match="at least the kernel's extent"):
        exact_kernel([layer_of(padding="valid")], np.ones((1, 1, 2, 2)))


def test_images_that_are_no_finite_floats_are_refused() -> None:
    with pytest.raises(
        DTypeError, match="exact_kernel: expected images of dtype float32 or float64, got int64"
    ):
        exact_kernel([layer_of()], np.ones((1, 1, 4, 4), dtype="int64"))
    with pytest.raises(DataError, match="argument x expected finite numbers, got NaN or infinity"):
        exact_kernel([layer_of()], np.full((1, 1, 4, 4), np.nan))


@pytest.mark.parametrize("memory", [10_000, 1e9, None])
def test_memory_that_is_too_small_for_a_pair_is_refused(memory: object) -> None:
    needed = 7 * (6 * 6) ** 2 * 8
    with pytest.raises(
        ConfigError,
        match=f"argument memory expected an integer >= {needed}, .* got {memory!r};",
    ):
        exact_kernel([layer_of()], np.ones((1, 1, 4, 4)), memory=memory)


def test_another_dtype_is_refused() -> None:
    with pytest.raises(
        ConfigError, match="argument dtype expected 'float32' or 'float64', got 'float16'"
    ):
        exact_kernel([layer_of()], np.ones((1, 1, 4, 4)), dtype="float16")


def test_mirrored_networks_are_refused() -> None:
    model = CKN(1, 4, 2, [layer_of()], mirror_average="features")
    with pytest.raises(
        ConfigError,
        match="expected a CKN with mirror_average=None, got 'features'; pass its layers",
    ):
        exact_kernel(model, np.ones((1, 1, 4, 4)))
