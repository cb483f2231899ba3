import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from tinygrad_ckn import Tensor
from tinygrad_ckn.models.preprocessing import base as preprocessor
from tinygrad_ckn.models.preprocessing.standardize import Standardize
from tinygrad_ckn.testing import gradcheck


def images(n: int = 7) -> np.ndarray:
    """Return images of 3 channels: far from 0, constant, and near 0."""
    x = np.random.default_rng(n).normal(size=(n, 3, 4, 5))
    x[:, 0] = 1e4 + x[:, 0]
    x[:, 1] = 0.1
    return x


def as_pixels(x: np.ndarray) -> np.ndarray:
    return x.transpose(0, 2, 3, 1).reshape(-1, x.shape[1])


@pytest.mark.parametrize("block", [1, 130, 2**20])
def test_it_is_scikit_learns_scaler_of_pixels(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preprocessor, "_BLOCK", block)
    train, test = images(), images(2)
    scaler = StandardScaler().fit(as_pixels(train))
    layer = Standardize().fit(train)
    np.testing.assert_allclose(as_pixels(layer(test)), scaler.transform(as_pixels(test)), atol=1e-9)
    np.testing.assert_allclose(layer.std.numpy(), scaler.scale_, rtol=1e-11)


def test_a_constant_channel_becomes_0_in_float32_too() -> None:
    x = images().astype("float32")
    layer = Standardize().fit(x)
    assert layer.std.numpy()[1] == 1
    assert layer(x).dtype == "float32"
    np.testing.assert_array_equal(layer(x)[:, 1], 0)


def test_tensors_give_tensors_with_exact_gradients() -> None:
    layer = Standardize().fit(Tensor(images()))
    x = images(2)
    np.testing.assert_array_equal(layer(Tensor(x)).numpy(), layer(x))
    assert gradcheck(layer, [x[:, :, :2]], order=2).error < 1e-6
