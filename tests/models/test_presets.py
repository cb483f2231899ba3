import math

import numpy as np
import pytest

from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.models import CKN, CNN, PRESETS, ConvLayer, build
from tinygrad_ckn.models.kernels import Exponential, Polynomial
from tinygrad_ckn.models.presets import get_preset

R = math.sqrt(2)


def after(size: int, name: str) -> int:
    """Return the side of the last map; padding keeps it, pooling divides it by s."""
    subsamplings = PUBLISHED[name][2].values()
    for s in subsamplings:
        size = size // 2 if name.startswith("lenet") else math.floor((size - 1) / s) + 1
    return size


# filters, kernel sizes, subsampling where it is not 1, by layer number, and the side of
# the last map on 32 x 32
PUBLISHED = {
    "unsup-32-64": ([32, 64], [3, 3], {1: 2, 2: 2}, 8),
    "unsup-64-256": ([64, 256], [3, 3], {1: 2, 2: 6}, 3),
    "unsup-256-1024": ([256, 1024], [3, 3], {1: 2, 2: 6}, 3),
    "unsup-256-4096": ([256, 4096], [3, 3], {1: 2, 2: 6}, 3),
    "unsup-512-8192": ([512, 8192], [3, 2], {1: 2, 2: 6}, 3),
    "ckn5": ([128] * 5, [3, 1, 3, 1, 3], {1: 2, 3: 2, 5: 3}, 3),
    "ckn9": ([128] * 9, [3, 1] * 4 + [3], {1: R, 3: R, 5: R, 7: R, 9: 3}, 3),
    "ckn14": ([256, 128] * 2 + [256] * 10, [3, 1] * 7, {4: 2, 8: 2, 12: 2, 14: 2}, 2),
    "lenet-ckn": ([32, 64], [5, 5], {1: 2, 2: 2}, 8),
    "cnn5": ([128] * 5, [3, 1, 3, 1, 3], {1: 2, 3: 2, 5: 3}, 3),
    "lenet": ([32, 64], [5, 5], {1: 2, 2: 2}, 8),
}
TWINS = [("ckn5", "cnn5"), ("lenet-ckn", "lenet")]

by_name = pytest.mark.parametrize("name", PUBLISHED)
but_the_largest = pytest.mark.parametrize(
    "name", sorted(PUBLISHED.keys() - {"unsup-256-4096", "unsup-512-8192"})
)


def test_these_presets_and_no_others_are_there() -> None:
    assert set(PRESETS) == set(PUBLISHED)


@by_name
def test_layers_are_the_published_ones(name: str) -> None:
    filters, kernels, subsampling, _ = PUBLISHED[name]
    layers = build(name, in_channels=3, image_size=4, n_classes=2).layers
    assert [layer.n_filters for layer in layers] == filters
    assert [layer.in_channels for layer in layers] == [3, *filters[:-1]]
    assert [layer.windows.kernel for layer in layers] == [(k, k) for k in kernels]
    expected = [(subsampling.get(i, 1),) * 2 for i in range(1, len(filters) + 1)]
    assert [layer.pooling.subsampling for layer in layers] == expected
    assert {layer.pooling.name for layer in layers} == {
        "average" if name.startswith("lenet") else "gaussian"
    }


@pytest.mark.parametrize("name", [name for name in PUBLISHED if PRESETS[name].model == "CKN"])
def test_kernels_are_the_published_ones(name: str) -> None:
    _, kernels, _, _ = PUBLISHED[name]
    sigma = 0.5 if name.startswith("ckn") else 0.6
    layers = build(name, in_channels=3, image_size=4, n_classes=2).layers
    assert [layer.kernel for layer in layers] == [
        Polynomial(2) if k == 1 else Exponential(sigma) for k in kernels
    ]


@but_the_largest
@pytest.mark.parametrize("size", [32, 28, 8])
def test_sizes_of_maps_are_those_of_the_subsampling(name: str, size: int) -> None:
    filters, _, _, on_32 = PUBLISHED[name]
    side = after(size, name)
    assert size != 32 or side == on_32
    model = build(name, in_channels=1, image_size=size, n_classes=3)
    assert model.classifier.weight.shape == (3, filters[-1] * side * side)


@but_the_largest
def test_features_of_two_images_have_the_size_of_the_classifier(name: str) -> None:
    model = build(name, in_channels=2, image_size=8, n_classes=3)
    images = np.random.default_rng(0).normal(size=(2, 2, 8, 8))
    features = model.encode(images)
    assert features.shape == (2, model.classifier.in_features)
    assert features.dtype == "float32"
    assert np.isfinite(features).all()
    assert features.any(axis=1).all()


@pytest.mark.parametrize(("ckn", "cnn"), TWINS)
def test_a_cnn_has_the_shapes_of_its_twin(ckn: str, cnn: str) -> None:
    options = {"in_channels": 3, "image_size": (32, 20), "n_classes": 10}
    one, other = CKN.preset(ckn, **options), CNN.preset(cnn, **options)
    assert [layer.weight.shape for layer in one.layers] == [
        layer.weight.shape for layer in other.layers
    ]
    assert one.classifier.weight.shape == other.classifier.weight.shape
    x = np.random.default_rng(0).random((1, 3, 32, 20), dtype="float32")
    for a, b in zip(one.layers, other.layers, strict=True):
        assert isinstance(b, ConvLayer)
        assert a(x).shape == (x := b(x).numpy()).shape


@by_name
def test_each_says_where_it_comes_from_and_what_was_published(name: str) -> None:
    record = get_preset(name)
    assert record is PRESETS[name]
    assert len(record.source) > 10
    assert "%" in record.published or record.published.startswith("none")
    ours = record.source.startswith("ours")
    assert not ours or record.published.startswith("none")


def test_filters_are_drawn_from_the_seed_differently_in_each_layer() -> None:
    for name in ("ckn5", "cnn5"):

        def filters(seed: int, name: str = name) -> list[np.ndarray]:
            model = build(name, in_channels=3, image_size=8, n_classes=2, rng=seed)
            return [layer.weight.numpy() for layer in model.layers] + [
                model.classifier.weight.numpy()
            ]

        one, same, other = filters(1), filters(1), filters(2)
        assert all((a == b).all() for a, b in zip(one, same, strict=True))
        assert not any(np.allclose(a, b) for a, b in zip(one, other, strict=True))
        assert not np.allclose(one[1], one[3])


@pytest.mark.parametrize("name", ["unsup-32-64", "lenet"])
def test_the_first_layer_takes_what_the_preprocessing_makes(name: str) -> None:
    model = build(
        name,
        in_channels=3,
        image_size=8,
        n_classes=2,
        preprocessing={"name": "gradient_map", "n_orientations": 5},
    )
    assert [layer.in_channels for layer in model.layers] == [5, 32]
    assert (model.in_channels, model._prepared_shape[0]) == (3, 5)
    assert model.eval().scores(
        np.random.default_rng(0).random((2, 3, 8, 8), dtype="float32")
    ).shape == (2, 2)


def test_unknown_presets_are_refused_with_the_known_ones() -> None:
    message = r"^get_preset: expected one of unsup-32-64, .*, ckn14, .*, lenet, got 'ckn7'$"
    for make in (CKN.preset, CNN.preset, build):
        with pytest.raises(ConfigError, match=message):
            make("ckn7", in_channels=3, image_size=32, n_classes=10)


def test_presets_of_the_other_class_are_refused() -> None:
    options = {"in_channels": 3, "image_size": 32, "n_classes": 10}
    with pytest.raises(
        ConfigError,
        match=r"CKN.preset: expected a preset of a CKN, got 'lenet' of a CNN; use CNN.preset",
    ):
        CKN.preset("lenet", **options)
    with pytest.raises(
        ConfigError,
        match=r"CNN.preset: expected a preset of a CNN, got 'ckn5' of a CKN; use CKN.preset",
    ):
        CNN.preset("ckn5", **options)
