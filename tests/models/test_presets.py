import math

import numpy as np
import pytest

from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.models import CKN, PRESETS
from tinygrad_ckn.models.kernels import Exponential, Polynomial
from tinygrad_ckn.models.presets import preset_layers


def after(size: int, subsamplings: list[float]) -> int:
    """Return the side of the last map: padding keeps it, pooling has centres at i s, i = 0 .. floor((n - 1) / s)."""
    for s in subsamplings:
        size = math.floor((size - 1) / s) + 1
    return size


# filters, kernel sizes, subsampling where it is not 1, by layer number, and the side of the last map on 32 x 32
PUBLISHED = {
    "unsup-32-64": ([32, 64], [3, 3], {1: 2, 2: 2}, 8),
    "unsup-64-256": ([64, 256], [3, 3], {1: 2, 2: 6}, 3),
    "unsup-256-1024": ([256, 1024], [3, 3], {1: 2, 2: 6}, 3),
    "ckn5": ([128] * 5, [3, 1, 3, 1, 3], {1: 2, 3: 2, 5: 3}, 3),
    "ckn14": ([256, 128] * 2 + [256] * 10, [3, 1] * 7, {4: 2, 8: 2, 12: 2, 14: 2}, 2),
}

by_name = pytest.mark.parametrize("name", PUBLISHED)


def test_the_published_presets_and_no_others_are_there() -> None:
    assert set(PRESETS) == set(PUBLISHED)


@by_name
def test_layers_are_the_published_ones(name: str) -> None:
    filters, kernels, subsampling, _ = PUBLISHED[name]
    layers = preset_layers(name, 3, np.random.default_rng(0))
    assert [layer.n_filters for layer in layers] == filters
    assert [layer.in_channels for layer in layers] == [3, *filters[:-1]]
    assert [layer.kernel_size for layer in layers] == [(k, k) for k in kernels]
    assert [layer.subsampling for layer in layers] == [(subsampling.get(i, 1),) * 2 for i in range(1, len(filters) + 1)]
    sigma = 0.6 if name.startswith("unsup") else 0.5
    assert [layer.kernel for layer in layers] == [Polynomial(2) if k == 1 else Exponential(sigma) for k in kernels]


@by_name
@pytest.mark.parametrize("size", [32, 28, 8])
def test_sizes_of_maps_are_those_of_the_subsampling(name: str, size: int) -> None:
    filters, _, subsampling, on_32 = PUBLISHED[name]
    side = after(size, list(subsampling.values()))
    assert size != 32 or side == on_32
    found = (size, size)
    for layer in preset_layers(name, 1, np.random.default_rng(0)):
        found = layer.output_size(found)
    assert found == (side, side)
    model = CKN.preset(name, in_channels=1, image_size=size, n_classes=3)
    assert model.classifier.weight.shape == (3, filters[-1] * side * side)


@pytest.mark.parametrize(("name", "size"), [("unsup-32-64", 8), ("unsup-64-256", 8), ("ckn5", 8), ("ckn14", 8)])
def test_features_of_two_images_have_the_size_of_the_classifier(name: str, size: int) -> None:
    model = CKN.preset(name, in_channels=2, image_size=size, n_classes=3)
    images = np.random.default_rng(0).normal(size=(2, 2, size, size))
    features = model.encode(images)
    assert features.shape == (2, model.classifier.in_features)
    assert features.dtype == "float32"
    assert np.isfinite(features).all()
    assert features.any(axis=1).all()
    assert (np.linalg.norm(features, axis=1) < 9 * np.linalg.norm(images.reshape(2, -1), axis=1)).all()


def test_filters_are_drawn_from_the_seed_differently_in_each_layer() -> None:
    def filters(seed: int) -> list[np.ndarray]:
        return [p.numpy() for p in CKN.preset("ckn5", in_channels=3, image_size=8, n_classes=2, rng=seed).parameters()]

    one, same, other = filters(1), filters(1), filters(2)
    assert all((a == b).all() for a, b in zip(one, same, strict=True))
    assert not any(np.allclose(a, b) for a, b in zip(one[:-1], other[:-1], strict=True))
    assert not np.allclose(one[1], one[3])


def test_unknown_presets_are_refused_with_the_known_ones() -> None:
    message = r"^CKN\.preset: expected one of unsup-32-64, .*, ckn14, got 'ckn7'$"
    with pytest.raises(ConfigError, match=message):
        CKN.preset("ckn7", in_channels=3, image_size=32, n_classes=10)
