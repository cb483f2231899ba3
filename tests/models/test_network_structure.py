"""The parts of networks: shapes that fit together, and configurations that rebuild them."""

import json
from typing import Any

import numpy as np
import pytest

from tinygrad_ckn.errors import ConfigError, ShapeError
from tinygrad_ckn.models import CKN, CKNLayer
from tinygrad_ckn.models.kernels import Exponential, Polynomial
from tinygrad_ckn.models.preprocessing.chain import (
    GradientMap,
    LocalWhitening,
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


def test_a_preprocessing_that_changes_the_channels_is_counted_in() -> None:
    layers = [CKNLayer(4, 3, 3)]
    assert CKN(1, 6, 2, layers, preprocessing=GradientMap(4))._prepared_shape == (4, 6, 6)
    with pytest.raises(
        ConfigError,
        match=r"^CKN: layers\[0\] expected in_channels = 1, the channels before it, got 4$",
    ):
        CKN(1, 6, 2, layers)
    with pytest.raises(
        ShapeError, match=r"argument images expected shape \(N, 1, 6, 6\), got \(1, 4, 6, 6\)"
    ):
        CKN(1, 6, 2, layers, preprocessing=GradientMap(4)).predict(np.ones((1, 4, 6, 6)))


@pytest.mark.parametrize("channels", [0, 1.5, "1", None])
def test_channels_are_a_whole_number(channels: Any) -> None:
    with pytest.raises(
        ConfigError,
        match=f"^CKN: argument in_channels expected an integer >= 1, got {channels!r}$",
    ):
        CKN(channels, 6, 2, [CKNLayer(1, 3, 3)])


def test_an_unknown_preprocessing_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"one of the names gradient_map, .*, got 'whiten'"):
        small(preprocessing="whiten")


@pytest.mark.parametrize("spec", [*SPECS, None], ids=str)
@pytest.mark.parametrize("mirror_average", [None, "scores", "features"])
def test_config_and_state_hold_preprocessing_and_mirroring(
    spec: Any, mirror_average: str | None
) -> None:
    x = images(20, dtype="float64")
    model = small("float64", preprocessing=spec, mirror_average=mirror_average)
    model.fit(x, np.arange(20) % 3, n_patches=300, rng=0)
    twin = CKN.from_config(json.loads(json.dumps(model.config())))
    assert (twin.config(), twin.mirror_average) == (model.config(), mirror_average)
    twin.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(twin.scores(x), model.scores(x))


def test_a_config_from_before_preprocessing_is_read() -> None:
    config = small().config()
    del config["preprocessing"], config["mirror_average"]
    model = CKN.from_config(config)
    assert model.config() == small().config()


def test_another_word_for_mirrored_is_refused() -> None:
    with pytest.raises(
        ConfigError,
        match="CKN: argument mirror_average expected 'features', 'scores' or None, got True",
    ):
        small(mirror_average=True)
