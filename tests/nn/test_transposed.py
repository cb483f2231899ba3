import numpy as np
import pytest

from tinygrad_ckn import Tensor
from tinygrad_ckn.errors import ConfigError, ShapeError
from tinygrad_ckn.nn import Conv2d, ConvTranspose2d


def test_each_pixel_places_a_filter() -> None:
    layer = ConvTranspose2d(1, 1, 2, stride=2, output_padding=1, bias=False, dtype="float64")
    layer.weight.data = np.array([[[[1.0, 2.0], [3.0, 4.0]]]])
    y = layer(np.array([[[[1.0, 10.0]]]]))  # type: ignore[arg-type]
    # output_padding adds at the bottom and right
    expected = [[1.0, 2.0, 10.0, 20.0, 0.0], [3.0, 4.0, 30.0, 40.0, 0.0], [0.0] * 5]
    assert y.tolist() == [[expected]]


@pytest.mark.parametrize("output_padding", [0, (1, 0)])
def test_it_is_the_adjoint_of_the_convolution(output_padding: object) -> None:
    options = {"stride": (3, 2), "padding": (1, 2), "dilation": (1, 2), "groups": 2, "bias": False}
    transposed = ConvTranspose2d(
        4, 6, (2, 3), output_padding=output_padding, dtype="float64", **options
    )
    forward = Conv2d(6, 4, (2, 3), dtype="float64", **options)  # type: ignore[arg-type]
    forward.weight.data = transposed.weight.data
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 4, 3, 4))
    y = transposed(Tensor(x)).numpy()
    u = rng.normal(size=y.shape)
    np.testing.assert_allclose((y * u).sum(), (x * forward(Tensor(u)).numpy()).sum(), rtol=1e-12)


def test_the_bias_is_added_to_each_channel() -> None:
    layer = ConvTranspose2d(2, 3, 2, rng=0)
    x = np.ones((1, 2, 2, 2), np.float32)
    before = layer(x).numpy()
    layer.bias.data = np.array([1.0, 2.0, 3.0], np.float32)  # type: ignore[union-attr]
    difference = layer(x).numpy() - before
    np.testing.assert_allclose(difference.mean(axis=(0, 2, 3)), [1, 2, 3], rtol=1e-6)
    assert repr(layer) == "ConvTranspose2d(2 -> 3, 2x2)  weight (2, 3, 2, 2) bias (3,)  27"


def test_options_out_of_range() -> None:
    with pytest.raises(ShapeError, match=r"less than the stride \(2, 2\), got \(0, 2\)"):
        ConvTranspose2d(1, 1, 3, stride=2, output_padding=(0, 2))
    with pytest.raises(ShapeError, match="argument padding expected an integer >= 0"):
        ConvTranspose2d(1, 1, 3, padding="same")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="expected a divisor of in_channels 3 and out_channels 2"):
        ConvTranspose2d(3, 2, 3, groups=3)
