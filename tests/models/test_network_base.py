"""The computing half of networks: preprocessing, mirror images, batches of images."""

import copy
import functools
import pickle
import tracemalloc
from typing import Any

import numpy as np
import pytest

from tinygrad_ckn import Tensor, grad, no_grad
from tinygrad_ckn.errors import ConfigError, NotFittedError, ShapeError
from tinygrad_ckn.models import CKN, CKNLayer, FineTuning, batched, fit_linear
from tinygrad_ckn.models.batched import image_blocks
from tinygrad_ckn.models.kernels import Exponential, Polynomial
from tinygrad_ckn.models.preprocessing.chain import (
    LocalWhitening,
    Standardize,
    make_preprocessor,
)


def small(dtype: str = "float32", rng: int = 0, channels: int = 2, **options: Any) -> CKN:
    """Return a network of two layers for images (2, 7, 6), with 4 x 2 x 2 features."""
    layers = [
        CKNLayer(channels, 3, 3, subsampling=2, kernel=Exponential(0.5), rng=rng + 1, dtype=dtype),
        CKNLayer(3, 4, 2, subsampling=2, kernel=Polynomial(2), rng=rng + 2, dtype=dtype),
    ]
    return CKN(2, (7, 6), 3, layers, rng=rng, **options)


def images(n: int = 5, seed: int = 0, dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 2, 7, 6)).astype(dtype)


SPECS = [
    "standardize",
    LocalWhitening(3),
    {"name": "patch_zca", "kernel_size": 2},
    ["standardize", "patch_zca"],
]


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_images_go_through_the_preprocessing_first(spec: Any) -> None:
    model, plain = small("float64", preprocessing=spec), small("float64")
    x = 5 + 3 * images(20, dtype="float64")
    by_hand = make_preprocessor(spec).fit(x)
    model.eval().fit_unsupervised(x, n_patches=300, rng=0)
    plain.eval().fit_unsupervised(by_hand(x), n_patches=300, rng=0)
    y = 5 + 3 * images(8, seed=1, dtype="float64")
    close = {"rtol": 1e-9, "atol": 1e-11}
    np.testing.assert_allclose(model.preprocess(y), by_hand(y), **close)
    np.testing.assert_allclose(
        model.layers[1].weight.numpy(), plain.layers[1].weight.numpy(), **close
    )
    np.testing.assert_allclose(
        model.features(y).numpy(), plain.features(by_hand(y)).numpy(), **close
    )
    np.testing.assert_allclose(model.encode(y), plain.encode(by_hand(y)), **close)
    np.testing.assert_allclose(model(y).numpy(), plain(by_hand(y)).numpy(), **close)
    np.testing.assert_allclose(model.scores(y), plain.scores(by_hand(y)), **close)
    np.testing.assert_array_equal(model.predict(y), plain.predict(by_hand(y)))
    assert not np.allclose(model.encode(y), plain.encode(y), atol=1e-3)


@pytest.mark.filterwarnings("ignore::tinygrad_ckn.errors.TrainingWarning")
@pytest.mark.parametrize(
    "descent", [None, FineTuning(epochs=1, batch_size=20, validation=0.25)], ids=["none", "descent"]
)
@pytest.mark.parametrize("mirror_average", [None, "scores", "features"])
def test_fitting_preprocesses_training_images_once(
    descent: FineTuning | None, mirror_average: str | None
) -> None:
    x, labels = 5 + 3 * images(40, dtype="float64"), np.arange(40) % 3
    by_hand = Standardize().fit(x)
    model, plain = (
        small("float64", preprocessing=p, mirror_average=mirror_average)
        for p in ("standardize", None)
    )
    model.fit(x, labels, descent=descent, n_patches=300, rng=0)
    plain.fit(by_hand(x), labels, descent=descent, n_patches=300, rng=0)
    for name, array in plain.state_dict().items():
        np.testing.assert_allclose(
            model.state_dict()[name], array, rtol=1e-7, atol=1e-9, err_msg=name
        )


def test_the_preprocessing_is_fitted_on_training_images_only() -> None:
    model, x = small(preprocessing="standardize"), images(20)
    with pytest.raises(ConfigError, match="Standardize: expected to be fitted before use"):
        model.eval().predict(x)
    model.fit_unsupervised(x, n_patches=300)
    learned = model.preprocessing.mean.numpy().copy()
    np.testing.assert_allclose(learned, x.mean(axis=(0, 2, 3), dtype="float64"), rtol=1e-5)
    model.predict(2 * images(3))
    # on the filters as they are
    model.fit_classifier(2 * x, np.arange(20) % 3, l2=1e-3)
    np.testing.assert_array_equal(model.preprocessing.mean.numpy(), learned)


def test_gradients_in_images_go_through_the_preprocessing() -> None:
    x = images(4, dtype="float64")
    model = small("float64", preprocessing="standardize").fit_unsupervised(x, n_patches=300)
    leaf, inner = Tensor(x, requires_grad=True), Tensor(Standardize().fit(x)(x), requires_grad=True)
    (whole,) = grad(model(leaf).sum(), leaf)
    (part,) = grad(model.classifier(model._flat_features(inner)).sum(), inner)
    std = x.std(axis=(0, 2, 3))[:, None, None]
    np.testing.assert_allclose(whole.numpy(), part.numpy() / std, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("mirror_average", ["scores", "features"])
def test_mirrored_features_and_scores_are_the_means_of_both(mirror_average: str) -> None:
    model, plain, x = (
        small("float64", mirror_average=mirror_average),
        small("float64"),
        images(7, dtype="float64"),
    )
    plain.load_state_dict(model.state_dict())
    model.load_state_dict(plain.state_dict())
    both = (plain.scores(x) + plain.scores(x[:, :, :, ::-1])) / 2
    np.testing.assert_allclose(model.scores(x), both, rtol=1e-10)
    np.testing.assert_allclose(model(Tensor(x)).numpy(), both, rtol=1e-10)
    with no_grad():
        np.testing.assert_allclose(model(x).numpy(), both, rtol=1e-10)
    assert not np.allclose(both, plain.scores(x), rtol=1e-3)
    np.testing.assert_allclose(
        model.encode(x), (plain.encode(x) + plain.encode(x[:, :, :, ::-1])) / 2, rtol=1e-10
    )


@pytest.mark.parametrize("spec", [None, "standardize"])
def test_a_mirrored_network_predicts_the_same_for_mirror_images(spec: str | None) -> None:
    x, labels = images(60, dtype="float64"), np.arange(60) % 3
    model = small("float64", preprocessing=spec, mirror_average="features").fit(
        x, labels, n_patches=300, rng=0
    )
    y = images(50, seed=1, dtype="float64")
    np.testing.assert_allclose(
        model.scores(y[:, :, :, ::-1]), model.scores(y), rtol=1e-9, atol=1e-12
    )
    np.testing.assert_array_equal(model.predict(y[:, :, :, ::-1]), model.predict(y))
    assert len(set(model.predict(y))) > 1


@pytest.mark.parametrize("mirror_average", ["scores", "features"])
def test_the_classifier_is_fitted_on_images_as_they_are_or_on_the_means(
    mirror_average: str,
) -> None:
    x, labels = images(60, dtype="float64"), np.arange(60) % 3
    model, plain = small("float64", mirror_average=mirror_average), small("float64")
    features = (model if mirror_average == "features" else plain).encode(x)
    found = model.fit_classifier(x, labels, loss="squared_hinge", rng=3)
    fit = fit_linear(features, labels, 3, loss="squared_hinge", rng=3)
    np.testing.assert_allclose(found.weight, fit.weight, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(model.classifier.weight.numpy(), fit.weight, rtol=1e-6, atol=1e-9)
    assert found.held_out == fit.held_out


@pytest.mark.parametrize("per_block", [1, 2, 5, 100])
def test_features_in_blocks_are_the_features_in_one_go(
    monkeypatch: pytest.MonkeyPatch, per_block: int
) -> None:
    model, x = small("float64"), images(7, dtype="float64")
    whole = model.features(x)
    assert whole.requires_grad
    through: list[int] = []

    def first_layer(x: object, factors: object, forward=model.layers[0].forward) -> object:
        through.append(len(x))
        return forward(x, factors)

    monkeypatch.setattr(model.layers[0], "forward", first_layer)
    monkeypatch.setattr(
        batched,
        "image_blocks",
        functools.partial(image_blocks, limit=per_block * model._largest_intermediate()),
    )
    with no_grad():
        in_pieces = model.features(Tensor(x))
    assert max(through) == min(per_block, 7)
    assert sum(through) == 7
    assert not in_pieces.requires_grad
    np.testing.assert_allclose(in_pieces.numpy(), whole.numpy(), rtol=1e-13, atol=1e-15)


def test_memory_of_features_stays_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    model = CKN(1, 16, 2, [CKNLayer(1, 32, 3, subsampling=4)])
    x = np.random.default_rng(0).normal(size=(1600, 1, 16, 16)).astype("float32")
    map_of_all = 1600 * 32 * 16 * 16 * 4
    monkeypatch.setattr(
        batched, "image_blocks", functools.partial(image_blocks, limit=80 * 32 * 4 * 4)
    )
    model.encode(x[:2])
    tracemalloc.start()
    try:
        features = model.encode(x)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert features.shape == (1600, 32 * 16)
    assert peak < features.nbytes + map_of_all / 2


def test_default_blocks_hold_at_most_2_to_24_elements_of_the_largest_map() -> None:
    steps = {block.stop - block.start for block in image_blocks(10_000, 128 * 32 * 32)}
    assert max(steps) == 2**24 // (128 * 32 * 32)


def test_encode_and_predict_leave_the_mode_as_it_was() -> None:
    model = small()
    # assigned: it may be used
    model.classifier.weight.data = model.classifier.weight.data
    for training in (True, False):
        model.train(training)
        model.encode(images())
        model.predict(images())
        assert {module.training for module in model.modules()} == {training}


def test_encode_in_training_mode_uses_the_cached_factors(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small()
    monkeypatch.setattr(batched, "image_blocks", functools.partial(image_blocks, limit=1))
    calls: list[int] = []
    gram = CKNLayer.gram
    monkeypatch.setattr(CKNLayer, "gram", lambda layer: calls.append(1) or gram(layer))
    model.train().encode(images())
    assert len(calls) == 2


def test_mode_is_restored_when_encoding_fails() -> None:
    model = small().train()
    with pytest.raises(ShapeError):
        model.encode(images()[:, :1])
    assert model.training
    assert all(layer.training for layer in model.layers)


def test_memory_of_scores_of_a_mirrored_network_stays_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, sizes = small(mirror_average="features").eval(), []
    monkeypatch.setattr(
        batched,
        "image_blocks",
        functools.partial(image_blocks, limit=2 * model._largest_intermediate()),
    )
    flat = CKN._flat_features
    monkeypatch.setattr(
        CKN, "_flat_features", lambda self, x: sizes.append(len(x)) or flat(self, x)
    )
    whole = model(Tensor(images(7))).numpy()
    sizes.clear()
    np.testing.assert_allclose(model.scores(images(7)), whole, rtol=1e-5)
    assert sizes == [2, 2, 2, 2, 2, 2, 1, 1]


WAYS = {
    "fitted": lambda model: model.fit(images(30), np.arange(30) % 3, n_patches=300, rng=0),
    "fitted the classifier": lambda model: model.fit_classifier(
        images(30), np.arange(30) % 3, l2=1e-3
    ),
    "loaded": lambda model: model.load_state_dict(model.state_dict()),
    "assigned": lambda model: setattr(
        model.classifier.weight, "data", model.classifier.weight.data + 1
    ),
    "eval mode": lambda model: model.eval(),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_random_classifier_is_not_used_before_somebody_says_so(way: str) -> None:
    model, x, labels = small(), images(4), np.zeros(4, dtype=int)
    uses = {"predict": (x,), "scores": (x,), "accuracy": (x, labels)}
    for name, arguments in uses.items():
        message = (
            rf"^CKN\.{name}: expected a classifier that was fitted, loaded or assigned, "
            r"got the initial random one; call fit\(images, labels\) first, "
            r"or eval\(\) to use the model anyway$"
        )
        for made in (model, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            assert not made.is_fitted
            with pytest.raises(NotFittedError, match=message):
                getattr(made, name)(*arguments)
    model.encode(x)
    model(x)
    WAYS[way](model)
    assert model.is_fitted == (way != "eval mode")
    for name, arguments in uses.items():
        getattr(model, name)(*arguments)


def test_filters_without_a_classifier_do_not_make_a_model_fitted() -> None:
    with pytest.raises(NotFittedError):
        small().fit_unsupervised(images(30), n_patches=300).predict(images(2))


def test_a_fitted_model_is_fitted_after_a_copy_too() -> None:
    model = small().fit(images(30), np.arange(30) % 3, n_patches=300, rng=0)
    for made in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(made.predict(images(4)), model.predict(images(4)))
    assert model.to("cpu").is_fitted
    assert not small().to("cpu").is_fitted


def test_it_is_what_scikit_learns_error_is() -> None:
    assert issubclass(NotFittedError, ValueError)
    assert issubclass(NotFittedError, AttributeError)
