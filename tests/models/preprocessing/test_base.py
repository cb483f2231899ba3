import json

import numpy as np
import pytest

from tinygrad_ckn.errors import ConfigError, DataError, DTypeError, ShapeError
from tinygrad_ckn.models.preprocessing import base as preprocessor
from tinygrad_ckn.models.preprocessing.chain import PatchZCA, Standardize, make_preprocessor

rng = np.random.default_rng(0)
learned = pytest.mark.parametrize("make", [Standardize, PatchZCA])


@learned
def test_a_state_is_loaded_into_what_the_configuration_describes(make) -> None:
    x = rng.random((4, 2, 6, 5), dtype="float32")
    layer = make().fit(x)
    twin = make_preprocessor(json.loads(json.dumps(layer.config())))
    twin.load_state_dict(layer.state_dict())
    np.testing.assert_array_equal(twin(x), layer(x))
    assert {array.dtype.name for array in layer.state_dict().values()} == {"float64"}


@learned
@pytest.mark.parametrize("channels", [None, 2])
def test_use_before_fit_is_refused(make, channels: int | None) -> None:
    layer = make(in_channels=channels)
    x = rng.random((1, 2, 6, 5))
    with pytest.raises(
        ConfigError, match=r"expected to be fitted before use, got no mean; call fit\(images\)"
    ):
        layer(x)
    assert layer.fit(x) is layer
    assert layer(x).shape == x.shape
    assert layer(x[:0]).shape == (0, 2, 6, 5)


@learned
@pytest.mark.parametrize("block", [1, 2**20])
def test_training_images_are_checked(make, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preprocessor, "_BLOCK", block)
    x = rng.random((3, 2, 6, 5))
    for value in (np.nan, np.inf):
        bad = x.copy()
        bad[2, 1, 5, 4] = value
        with pytest.raises(
            DataError, match=f"{make.__name__}.fit: .* finite numbers, got NaN or infinity"
        ):
            make().fit(bad)
    with pytest.raises(DataError, match=r"at least one image, got none"):
        make().fit(x[:0])
    with pytest.raises(DTypeError, match="float32 or float64, got uint8; divide them by 255"):
        make().fit(x.astype("uint8"))
    with pytest.raises(ShapeError, match=r"expected shape \(N, C, H, W\), got \(3, 2, 6\)"):
        make().fit(x[:, :, :, 0])
    with pytest.raises(
        ShapeError, match=r"expected images of 2 channels, got shape \(3, 1, 6, 5\)"
    ):
        make().fit(x)(x[:, :1])
    with pytest.raises(ConfigError, match="in_channels expected an integer >= 1 or None, got 0"):
        make(in_channels=0)
