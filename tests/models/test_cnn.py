"""ConvLayer and CNN against loops and compositions of operations, beside a CKN of the same shapes."""

import itertools
import json

import numpy as np
import pytest
from scipy.signal import correlate2d

from tinygrad_ckn import Tensor, ops
from tinygrad_ckn.data import load_digits
from tinygrad_ckn.errors import ConfigError, DTypeError, GradientError, ShapeError
from tinygrad_ckn.models import CKN, CNN, CKNLayer, ConvLayer, FineTuning, Progress
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


def small(rng: int = 0, dtype: str = "float32", **options: object) -> CNN:
    """Return a network of two layers for images (2, 7, 6), with 4 x 2 x 2 features."""
    layers = [
        ConvLayer(2, 3, 3, subsampling=2, rng=rng + 1, dtype=dtype),
        ConvLayer(3, 4, 2, subsampling=2, rng=rng + 2, dtype=dtype),
    ]
    return CNN(2, (7, 6), 3, layers, rng=rng, **options)


def tiny(rng: int = 0) -> CNN:
    """Return a network for the digits that has too few filters to do well with random ones."""
    layers = [
        ConvLayer(1, 8, 3, subsampling=2, pooling="max", rng=rng),
        ConvLayer(8, 8, 3, subsampling=2, pooling="max", rng=rng + 1),
    ]
    return CNN(1, 8, 10, layers, rng=rng)


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
            "ConvLayer: argument pooling expected 'gaussian', 'average', 'max', 'strided' or 'none', got",
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


def test_scores_are_the_layers_then_the_classifier() -> None:
    model = small(dtype="float64").eval()
    x = np.random.default_rng(0).normal(size=(5, 2, 7, 6))
    for layer in model.layers:
        layer.convolution.bias.data = np.random.default_rng(1).normal(size=layer.n_filters)
    y = x
    for layer in model.layers:
        weight, bias = layer.weight.numpy(), layer.convolution.bias.numpy()
        y = ops.gaussian_pool2d(ops.relu(ops.correlate2d(y, weight, bias, padding="same")), 2)
    np.testing.assert_allclose(model.encode(x), y.reshape(5, 16), rtol=1e-12)
    expected = y.reshape(5, 16) @ model.classifier.weight.numpy().T + model.classifier.bias.numpy()
    np.testing.assert_allclose(model.scores(x), expected, rtol=1e-12)
    np.testing.assert_allclose(model(Tensor(x)).numpy(), expected, rtol=1e-12)


def test_all_parameters_are_trained_and_named() -> None:
    model = small()
    names = [name for name, _ in model.named_parameters()]
    layers = [f"layers.{i}.convolution.{what}" for i in range(2) for what in ("weight", "bias")]
    assert names == [*layers, "classifier.weight", "classifier.bias"]
    model(
        Tensor(np.random.default_rng(0).normal(size=(5, 2, 7, 6)).astype("float32"))
    ).sum().backward()
    assert all(p.grad is not None and np.isfinite(p.grad.numpy()).all() for p in model.parameters())


def test_config_builds_it_again() -> None:
    model = small(preprocessing="standardize", mirror_average="features")
    again = CNN.from_config(json.loads(json.dumps(model.config())))
    assert again.config() == model.config()
    assert model.config()["model"] == "CNN"


def test_layers_of_the_other_class_are_refused() -> None:
    with pytest.raises(
        ConfigError, match="CNN: argument layers expected at least one ConvLayer and nothing else"
    ):
        CNN(1, 8, 10, [CKNLayer(1, 4, 3)])
    with pytest.raises(
        ConfigError, match="CKN: argument layers expected at least one CKNLayer and nothing else"
    ):
        CKN(1, 8, 10, [ConvLayer(1, 4, 3)])


def test_it_learns_digits() -> None:
    digits = load_digits()
    epochs: list[Progress] = []

    def note(progress: Progress) -> None:
        if progress.phase == "epoch":
            epochs.append(progress)

    model = tiny()
    fixed = tiny()
    fixed.fit_classifier(digits.train.images, digits.train.labels, l2=1e-6, rng=0)
    descent = FineTuning(epochs=8, batch_size=32, lr=0.05)
    assert (
        model.fit(digits.train.images, digits.train.labels, descent=descent, rng=0, report=note)
        is model
    )
    accuracy = model.accuracy(digits.test.images, digits.test.labels)
    assert accuracy > 0.95
    assert accuracy > fixed.accuracy(
        digits.test.images, digits.test.labels
    )  # that of random filters
    # before the classifier is fitted again
    assert epochs[-1].values["validation_accuracy"] > 0.93
    assert epochs[-1].values["loss"] < 0.2 * epochs[0].values["loss"]


def test_the_same_seed_gives_the_same_bits() -> None:
    digits = load_digits()
    images, labels = digits.train.images[:200], digits.train.labels[:200]

    def learned(seed: int) -> dict[str, np.ndarray]:
        descent = FineTuning(epochs=1, batch_size=50)
        return tiny().fit(images, labels, descent=descent, l2=1e-5, rng=seed).state_dict()

    first, second, other = learned(1), learned(1), learned(2)
    assert all((first[name] == second[name]).all() for name in first)
    assert not all((first[name] == other[name]).all() for name in first)


def test_without_a_descent_it_has_the_default_one() -> None:
    digits = load_digits()
    images, labels = digits.train.images[:100], digits.train.labels[:100]
    told: list[Progress] = []
    tiny().fit(images, labels, l2=1e-5, rng=0, report=told.append)
    assert {p.total for p in told if p.phase == "epoch"} == {FineTuning().epochs}


def test_a_joint_descent_starts_from_a_classifier_of_zeros() -> None:
    digits = load_digits()
    images, labels = digits.train.images[:100], digits.train.labels[:100]

    def first_loss(alternating: bool) -> float:
        told: list[Progress] = []
        descent = FineTuning(epochs=1, batch_size=100, alternating=alternating)
        tiny().fit(images, labels, descent=descent, l2=1e-5, rng=0, report=told.append)
        return next(p.values["loss"] for p in told if p.phase == "batch")

    assert first_loss(False) == pytest.approx(np.log(10), rel=1e-6)
    assert first_loss(True) < 1


def test_preprocessing_is_fitted_and_applied() -> None:
    digits = load_digits()
    images, labels = digits.train.images[:100], digits.train.labels[:100]
    model = CNN(
        1, 8, 10, [ConvLayer(1, 4, 3, subsampling=2, rng=0)], preprocessing="standardize", rng=0
    )
    model.fit(images, labels, descent=FineTuning(epochs=0), l2=1e-5, rng=0)
    standard = (images - images.mean(dtype="float64")) / images.std(dtype="float64")
    np.testing.assert_allclose(model.preprocess(images), standard, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        model.encode(images),
        model._flat_features(standard.astype("float32")).numpy(),
        rtol=1e-4,
        atol=1e-5,
    )


def test_a_loss_that_is_not_finite_is_refused_and_names_the_epoch() -> None:
    digits = load_digits()
    images, labels = digits.train.images[:100], digits.train.labels[:100]
    with (
        pytest.raises(GradientError, match="expected a finite loss and gradient"),
        np.errstate(all="ignore"),
    ):
        tiny().fit(images, labels, descent=FineTuning(epochs=3, lr=1e20, warmup=0), l2=1e-5, rng=0)
