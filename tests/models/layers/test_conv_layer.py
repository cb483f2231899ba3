"""The layer of a CNN: values, shapes, derivatives, initialisation and refused options."""

import itertools
import json

import numpy as np
import pytest
from scipy.signal import correlate2d

from tinygrad_ckn import Tensor, ops
from tinygrad_ckn.errors import ConfigError, DTypeError, ShapeError
from tinygrad_ckn.models import CKNLayer, ConvLayer
from tinygrad_ckn.testing import check_module

POOLINGS = [
    ("gaussian", 2**0.5),
    ("gaussian", (1, 2)),
    ("average", 2),
    ("max", (2, 3)),
    ("strided", 2),
    ("none", 1),
]
ACTIVATIONS = {
    "relu": lambda y: np.maximum(y, 0),
    "tanh": np.tanh,
    "sigmoid": lambda y: 1 / (1 + np.exp(-y)),
    "softplus": lambda y: np.log1p(np.exp(y)),
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("padding", ["valid", "full"])
def test_a_layer_is_correlation_bias_activation(activation: str, padding: str) -> None:
    rng = np.random.default_rng(0)
    layer = ConvLayer(2, 3, (3, 2), activation=activation, padding=padding, rng=0, dtype="float64")
    layer.convolution.bias.data = rng.normal(size=3)
    x = rng.normal(size=(2, 2, 6, 5))
    y = layer(Tensor(x)).numpy()
    for n, f in itertools.product(range(2), range(3)):
        channels = [
            correlate2d(x[n, c], layer.weight.numpy()[f, c], mode=padding) for c in range(2)
        ]
        expected = ACTIVATIONS[activation](sum(channels) + layer.convolution.bias.numpy()[f])
        np.testing.assert_allclose(y[n, f], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("pooling", "s"), POOLINGS)
def test_what_is_pooled_is_the_activated_map(pooling: str, s: object) -> None:
    x = np.random.default_rng(0).normal(size=(2, 2, 9, 8))
    layer = ConvLayer(2, 3, 3, subsampling=s, pooling=pooling, rng=0, dtype="float64")
    whole = ops.relu(ops.correlate2d(x, layer.weight.numpy(), padding="same"))
    steps = [int(v) for v in np.broadcast_to(s, 2)]
    pooled = {
        "gaussian": lambda: ops.gaussian_pool2d(whole, s),
        "average": lambda: ops.avg_pool2d(whole, steps),
        "max": lambda: ops.max_pool2d(whole, steps),
        "strided": lambda: whole[:, :, :: steps[0], :: steps[1]],
        "none": lambda: whole,
    }[pooling]()
    y = layer(Tensor(x)).numpy()
    np.testing.assert_allclose(y, pooled, rtol=1e-12, atol=1e-14)
    assert y.shape[2:] == layer.output_size((9, 8))


@pytest.mark.parametrize(("pooling", "s"), POOLINGS)
@pytest.mark.parametrize("padding", ["same", "valid", "full", 2])
@pytest.mark.parametrize("kernel_size", [1, 2, (3, 2), 5])
def test_shapes_are_those_of_a_ckn_layer(
    pooling: str, s: object, padding: object, kernel_size: object
) -> None:
    options = {"subsampling": s, "pooling": pooling, "padding": padding}
    x = np.random.default_rng(0).normal(size=(2, 2, 9, 8)).astype("float32")
    mine, theirs = ConvLayer(2, 3, kernel_size, **options), CKNLayer(2, 3, kernel_size, **options)
    assert mine(x).shape == theirs(x).shape
    assert mine.output_size((9, 8)) == theirs.output_size((9, 8))


@pytest.mark.parametrize(("pooling", "s"), POOLINGS)
@pytest.mark.parametrize("activation", ["relu", "tanh", "softplus"])
def test_derivatives_of_order_1_and_2_in_images_and_parameters(
    pooling: str, s: object, activation: str
) -> None:
    rng = np.random.default_rng(0)
    options = {"subsampling": s, "pooling": pooling, "activation": activation}
    layer = ConvLayer(2, 2, (2, 3), **options, rng=rng, dtype="float64")
    layer.convolution.bias.data = rng.normal(size=2)
    size = (
        (1, 2, 4, 3) if pooling == "max" else (2, 2, 5, 6)
    )  # few values, of which none are nearly the largest
    report = check_module(layer, Tensor(rng.normal(size=size)), order=2)
    assert {c.order for c in report.comparisons} == {1, 2}


def test_he_initialisation() -> None:
    layer = ConvLayer(20, 500, 3, rng=0)
    weight, fan_in = layer.weight.numpy(), 180
    assert weight.std() == pytest.approx((2 / fan_in) ** 0.5, rel=0.01)
    assert not layer.convolution.bias.numpy().any()
    np.testing.assert_array_equal(weight, ConvLayer(20, 500, 3, rng=0).weight.numpy())
    assert not np.allclose(weight, ConvLayer(20, 500, 3, rng=1).weight.numpy())


def test_every_option_is_in_the_config() -> None:
    options = {
        "subsampling": (2, 1),
        "pooling": "max",
        "padding": "valid",
        "activation": "tanh",
        "dtype": "float64",
    }
    layer = ConvLayer(2, 4, (2, 1), **options, rng=0)
    again = ConvLayer(**json.loads(json.dumps(layer.config())))
    assert again.config() == layer.config()
    again.load_state_dict(layer.state_dict())
    x = np.random.default_rng(0).normal(size=(1, 2, 6, 6))
    np.testing.assert_array_equal(again(x).numpy(), layer(x).numpy())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"in_channels": 0}, "ConvLayer: argument in_channels expected an integer >= 1, got 0"),
        ({"n_filters": 1.5}, "ConvLayer: argument n_filters expected an integer >= 1, got 1.5"),
        (
            {"activation": "gelu"},
            "argument activation expected 'relu', 'tanh', 'sigmoid' or 'softplus', got 'gelu'",
        ),
        (
            {"pooling": "mean"},
            "ConvLayer: argument pooling expected 'gaussian', 'average', 'max', 'strided' or ",
        ),
        ({"kernel_size": 0}, "ConvLayer: argument kernel_size expected"),
        ({"padding": "wide"}, "ConvLayer: argument padding expected"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises((ConfigError, ShapeError), match=message):
        ConvLayer(**{"in_channels": 2, "n_filters": 4, "kernel_size": 3, **options})


def test_images_that_do_not_fit_are_refused() -> None:
    layer = ConvLayer(2, 3, 3)
    with pytest.raises(
        ShapeError, match=r"ConvLayer: expected images of shape \(N, 2, H, W\), got \(1, 3, 5, 5\)"
    ):
        layer(np.ones((1, 3, 5, 5), "float32"))
    with pytest.raises(
        DTypeError, match="ConvLayer: expected images of dtype float32 or float64, got uint8"
    ):
        layer(np.ones((1, 2, 5, 5), "uint8"))
    with pytest.raises(ShapeError, match="ConvLayer: expected a map of at least the subsampling"):
        ConvLayer(2, 3, 3, subsampling=4, pooling="max")(np.ones((1, 2, 3, 5), "float32"))
