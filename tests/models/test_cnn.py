"""The CNN: scores, configuration, training, preprocessing and errors."""

import json

import numpy as np
import pytest

from tinygrad_ckn import Tensor, ops
from tinygrad_ckn.data import load_digits
from tinygrad_ckn.errors import ConfigError, GradientError
from tinygrad_ckn.models import CKN, CNN, CKNLayer, ConvLayer, FineTuning, Progress


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
