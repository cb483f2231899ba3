"""Options of a layer against loops over positions, and derivatives of order 1 and 2."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import inv, sqrtm

from tinygrad_ckn import Tensor, no_grad, ops, profiling
from tinygrad_ckn.errors import ConfigError, LinearAlgebraError, ShapeError
from tinygrad_ckn.models import CKNLayer
from tinygrad_ckn.models.kernels import ArcCosine1, Exponential, Polynomial
from tinygrad_ckn.testing import check_module

KERNELS = [Exponential(0.6), Polynomial(2), ArcCosine1()]


def border(padding: object, kernel: int, dilation: int) -> tuple[int, int]:
    """Return the zeros before and after an axis."""
    reach = (kernel - 1) * dilation
    words = {"valid": (0, 0), "same": (reach // 2, reach - reach // 2)}
    words["full"] = ((kernel - 1) * dilation,) * 2
    return words[padding] if isinstance(padding, str) else (padding, padding)


def weights_of(length: int, s: float, pooling: str) -> list[list[float]]:
    """Return each output's weights over the positions of an axis."""
    if s == 1:
        return np.eye(length).tolist()
    if pooling == "strided":
        return np.eye(length)[:: int(s)].tolist()
    if pooling == "average":
        starts = range(0, length - int(s) + 1, int(s))
        return [
            [1 / s if start <= z < start + s else 0.0 for z in range(length)] for start in starts
        ]
    rows = []
    for i in range(int((length - 1) / s + 1e-9) + 1):
        row = {
            z: np.exp(-(((z - i * s) / s) ** 2))
            for z in range(-50, 100)
            if abs(z - i * s) <= s + 1e-9
        }
        rows.append([row.get(z, 0.0) / sum(row.values()) for z in range(length)])
    return rows


def pooled(y: np.ndarray, subsampling: tuple[float, float], pooling: str) -> np.ndarray:
    if pooling == "max":
        sh, sw = (int(s) for s in subsampling)
        out = np.empty((*y.shape[:2], y.shape[2] // sh, y.shape[3] // sw))
        for i, j in np.ndindex(*out.shape[2:]):
            out[:, :, i, j] = y[:, :, i * sh : (i + 1) * sh, j * sw : (j + 1) * sw].max(axis=(2, 3))
        return out
    rows, columns = (
        weights_of(n, s, pooling) for n, s in zip(y.shape[2:], subsampling, strict=True)
    )
    return np.einsum("ih,nchw,jw->ncij", rows, y, columns)


def reference(
    layer: CKNLayer, x: np.ndarray, kappa: object, options: dict[str, object]
) -> np.ndarray:
    """Return the map, position by position, patch by patch, group by group."""
    kh, kw = options["kernel_size"]
    dh, dw = options["dilation"]
    padding, groups, eps = options["padding"], options["groups"], options["eps"]
    x = np.pad(x, [(0, 0), (0, 0), border(padding, kh, dh), border(padding, kw, dw)])
    weight, centre = layer.weight.numpy(), 0 if layer.center is None else layer.center.numpy()
    per, c = len(weight) // groups, x.shape[1] // groups
    y = np.zeros((len(x), len(weight), x.shape[2] - (kh - 1) * dh, x.shape[3] - (kw - 1) * dw))
    for group in range(groups):
        z = weight[group * per : (group + 1) * per].reshape(per, -1)
        gram = np.array([[kappa(a @ b) for b in z] for a in z])
        inside = options["eps_convention"] == "inside"
        root = (
            inv(sqrtm(gram + eps * np.eye(per))) if inside else inv(sqrtm(gram) + eps * np.eye(per))
        )
        for n, i, j in np.ndindex(len(x), *y.shape[2:]):
            patch = x[n, :, i : i + (kh - 1) * dh + 1 : dh, j : j + (kw - 1) * dw + 1 : dw] - centre
            patch = patch[group * c : (group + 1) * c].reshape(-1)
            norm = np.sqrt(patch @ patch)
            if norm:
                values = [norm * kappa(a @ patch / norm) for a in z]
                y[n, group * per : (group + 1) * per, i, j] = root @ values
    return pooled(y, options["subsampling"], options["pooling"])


poolings = st.one_of(
    st.tuples(st.just("gaussian"), st.tuples(*[st.sampled_from([1, 2**0.5, 2, 3])] * 2)),
    st.tuples(st.sampled_from(["average", "max", "strided"]), st.tuples(*[st.integers(1, 3)] * 2)),
    st.tuples(st.just("none"), st.just((1, 1))),
)
settings_of_a_layer = st.fixed_dictionaries(
    {
        "kernel_size": st.tuples(st.integers(1, 3), st.integers(1, 3)),
        "padding": st.sampled_from(["same", "valid", "full", 2]),
        "dilation": st.tuples(st.integers(1, 2), st.integers(1, 2)),
        "groups": st.sampled_from([1, 2]),
        "center": st.booleans(),
        "eps_convention": st.sampled_from(["inside", "outside"]),
        "eps": st.sampled_from([0.01, 0.1]),
        "kernel": st.sampled_from(KERNELS),
    }
)


@given(settings_of_a_layer, poolings, st.integers(0, 2**32), st.booleans())
@settings(max_examples=60, deadline=None)
def test_value_is_that_of_loops_over_positions(options, pooling, seed: int, zeros: bool) -> None:
    rng = np.random.default_rng(seed)
    options = options | {"pooling": pooling[0], "subsampling": pooling[1]}
    layer = CKNLayer(4, 4, **options, rng=rng, dtype="float64")
    if layer.center is not None:
        layer.center.data = rng.normal(size=layer.center.shape)
    x = rng.normal(size=(2, 4, 8, 7))
    x[:, :, : 4 * zeros] = 0

    def kappa(u: float) -> float:
        return float(options["kernel"].kappa(np.float64(u)))

    expected = reference(layer, x, kappa, options)
    y = layer(Tensor(x)).numpy()
    assert y.shape[2:] == expected.shape[2:] == layer.output_size((8, 7))
    np.testing.assert_allclose(y, expected, rtol=1e-7, atol=1e-9)
    with no_grad():
        np.testing.assert_allclose(layer.eval()(x), expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    "options",
    [
        {"dilation": 2},
        {"groups": 2, "kernel_size": (2, 1)},
        {"center": True, "padding": "valid"},
        {"eps_convention": "outside"},
        {"pooling": "average", "subsampling": 2},
        {"pooling": "max", "subsampling": (2, 1)},
        {"pooling": "strided", "subsampling": 2},
        {"pooling": "gaussian", "subsampling": (1, 2**0.5)},
        {"padding": 2, "kernel_size": (1, 3)},
        {
            "groups": 2,
            "dilation": (1, 2),
            "center": True,
            "pooling": "average",
            "subsampling": 2,
            "padding": "full",
        },
    ],
    ids=str,
)
def test_derivatives_of_order_1_and_2_in_images_and_parameters(options) -> None:
    rng = np.random.default_rng(0)
    kernel_size = options.pop("kernel_size", (2, 2))
    layer = CKNLayer(
        2, 4, kernel_size, kernel=Exponential(0.7), eps=0.1, rng=rng, dtype="float64", **options
    )
    if layer.center is not None:
        layer.center.data = rng.normal(size=layer.center.shape)
    assert check_module(layer, Tensor(rng.normal(size=(2, 2, 5, 4))), order=2)


def test_signals_are_images_of_one_row() -> None:
    x = np.random.default_rng(0).normal(size=(3, 2, 1, 20))
    layer = CKNLayer(2, 5, (1, 4), subsampling=(1, 2), rng=0, dtype="float64")
    y = layer(Tensor(x)).numpy()
    assert y.shape == (3, 5, 1, 10)
    turned = CKNLayer(2, 5, (4, 1), subsampling=(2, 1), dtype="float64")
    turned.set_filters(layer.weight.numpy().swapaxes(2, 3))
    np.testing.assert_allclose(
        turned(Tensor(x.swapaxes(2, 3))).numpy(), y.swapaxes(2, 3), rtol=1e-10
    )


@pytest.mark.parametrize("groups", [1, 2])
def test_embedded_patches_are_the_map_at_their_positions(groups: int) -> None:
    rng = np.random.default_rng(0)
    layer = CKNLayer(
        2, 4, (2, 3), groups=groups, center=True, padding="valid", rng=0, dtype="float64"
    )
    layer.center.data = rng.normal(size=layer.center.shape)
    x = rng.normal(size=(2, 2, 5, 6))
    patches = ops.unfold(x, (2, 3)).transpose(0, 2, 1).reshape(-1, 12)
    maps = layer(Tensor(x)).numpy().transpose(0, 2, 3, 1).reshape(-1, 4)
    np.testing.assert_allclose(layer.embed(patches).numpy(), maps, rtol=1e-10)


def test_an_empty_batch_has_an_empty_map() -> None:
    for options in ({}, {"center": True}, {"groups": 2}, {"pooling": "max", "subsampling": 2}):
        layer = CKNLayer(2, 4, 3, **options)
        assert layer(Tensor(np.ones((0, 2, 6, 4), "float32"))).shape == (
            0,
            4,
            *layer.output_size((6, 4)),
        )


def test_filters_are_set_from_plain_arrays_and_scaled() -> None:
    z = np.random.default_rng(0).normal(size=(3, 2, 2, 1)) * 1e-3
    layer = CKNLayer(2, 3, (2, 1))
    for given_as in (z, z.reshape(3, 4), z.tolist(), Tensor(z)):
        layer.set_filters(given_as)
        rows = layer.weight.numpy().reshape(3, 4)
        np.testing.assert_allclose(
            rows, z.reshape(3, 4) / np.linalg.norm(z.reshape(3, 4), axis=1)[:, None], rtol=1e-6
        )
        assert rows.dtype == "float32"
    with pytest.raises(
        ShapeError, match=r"argument filters expected shape \(3, 2, 2, 1\), or rows, got \(4, 3\)"
    ):
        layer.set_filters(z.reshape(4, 3))
    with pytest.raises(LinearAlgebraError, match="a zero one at index 1"):
        layer.set_filters(np.eye(3, 4) * [[1], [0], [1]])


def test_every_option_is_in_the_config() -> None:
    options = {
        "dilation": 2,
        "groups": 2,
        "center": True,
        "eps_convention": "outside",
        "pooling": "max",
    }
    layer = CKNLayer(2, 4, (2, 1), subsampling=(2, 1), **options, rng=0)
    again = CKNLayer(**json.loads(json.dumps(layer.config())))
    assert again.config() == layer.config()
    again.load_state_dict(layer.state_dict())
    x = np.random.default_rng(0).normal(size=(1, 2, 6, 6)).astype("float32")
    np.testing.assert_array_equal(again(Tensor(x)).numpy(), layer(Tensor(x)).numpy())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"groups": 3},
            "argument groups expected a divisor of in_channels 2 and n_filters 4, got 3",
        ),
        ({"groups": 0}, "argument groups expected an integer >= 1, got 0"),
        (
            {"pooling": "mean"},
            "argument pooling expected 'gaussian', 'average', 'max', 'strided' or 'none', got",
        ),
        (
            {"pooling": "none", "subsampling": 2},
            "subsampling expected 1 with pooling 'none', got 2",
        ),
        (
            {"pooling": "max", "subsampling": 1.5},
            "subsampling expected integers with pooling 'max', got 1.5",
        ),
        (
            {"eps_convention": "both"},
            "argument eps_convention expected 'inside' or 'outside', got 'both'",
        ),
        ({"dilation": 0}, "argument dilation expected an integer >= 1 or two of them, got 0"),
    ],
)
def test_options_out_of_range_are_refused(options, message: str) -> None:
    with pytest.raises((ConfigError, ShapeError), match=message):
        CKNLayer(2, 4, 3, **options)


def test_subsampling_that_empties_the_map_is_refused() -> None:
    for pooling, size in itertools.product(("average", "max"), ((2, 9), (9, 2))):
        layer = CKNLayer(1, 4, 3, pooling=pooling, subsampling=3)
        with pytest.raises(
            ShapeError, match=r"expected a map of at least the subsampling \(3, 3\), got"
        ):
            layer(np.ones((1, 1, *size)))


def test_a_trained_kernel_has_parameters_with_gradients_of_order_1_and_2() -> None:
    rng = np.random.default_rng(0)
    kernel = 0.5 * Exponential(0.7, trained=True) + 0.5 * Exponential(1.5, trained=True)
    layer = CKNLayer(2, 4, 2, kernel=kernel, subsampling=2, eps=0.1, rng=rng, dtype="float64")
    assert len(layer.kernel_parameters) == 2
    assert len(list(layer.parameters())) == 3
    x = Tensor(rng.normal(size=(2, 2, 5, 4)))
    assert check_module(layer, x, order=2)
    with no_grad():
        np.testing.assert_allclose(layer(x).numpy(), layer(Tensor(x.numpy())).numpy(), rtol=1e-12)


def test_the_map_of_a_trained_kernel_follows_its_parameter() -> None:
    layer = CKNLayer(2, 4, 2, kernel=Exponential(0.7, trained=True), rng=0, dtype="float64")
    x = np.random.default_rng(0).normal(size=(2, 2, 5, 4))
    other = CKNLayer(2, 4, 2, kernel=Exponential(0.5), dtype="float64")
    other.set_filters(layer.weight)
    with no_grad():
        before = layer.eval()(x)
        layer.kernel_parameters["log_alpha"].data = np.log(np.array(4.0))
        np.testing.assert_allclose(
            layer(x), other.eval()(x), rtol=1e-10
        )  # the factors that were kept are not used
        assert not np.allclose(layer(x), before)
    np.testing.assert_allclose(
        layer(Tensor(x)).numpy(), layer.train()(Tensor(x)).numpy(), rtol=1e-10
    )
    again = CKNLayer(**json.loads(json.dumps(layer.config())))
    again.load_state_dict(layer.state_dict())
    np.testing.assert_allclose(again(Tensor(x)).numpy(), layer(Tensor(x)).numpy(), rtol=1e-12)


def test_numpy_numbers_are_numbers_in_the_config() -> None:
    kernel = 0.5 * Exponential(np.float32(0.5)) + 0.5 * Polynomial(np.int64(2))
    options = {
        "eps": np.float32(0.5),
        "padding": np.int64(1),
        "groups": np.int64(2),
        "subsampling": np.float64(2),
    }
    layer = CKNLayer(np.int64(2), np.int64(4), np.int64(3), kernel=kernel, **options)
    again = CKNLayer(**json.loads(json.dumps(layer.config())))
    assert again.config() == layer.config()


def test_without_subsampling_nothing_is_pooled() -> None:
    layer = CKNLayer(2, 4, 2, kernel=Exponential(0.7, trained=True), rng=0)
    with profiling.profile() as profiled:
        layer(Tensor(np.ones((1, 2, 4, 4), "float32")))
    names = {row.name for row in profiled.rows()}
    assert "correlate2d" in names
    assert "gaussian_pool2d" not in names
