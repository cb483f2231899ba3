import json
import math

import numpy as np
import pytest
from scipy.linalg import inv, sqrtm

from tinygrad_ckn import Tensor
from tinygrad_ckn.errors import ConfigError, DTypeError, ShapeError
from tinygrad_ckn.models.preprocessing.gradient_map import GradientMap, image_gradients
from tinygrad_ckn.testing import gradcheck

rng = np.random.default_rng(0)


def longest(x: np.ndarray) -> np.ndarray:
    """Return the gradient (N, 2, H, W) of the channel where it is longest."""
    # (2, N, C, H, W)
    g = np.stack(np.gradient(x, axis=(3, 2)))
    out = np.zeros((len(x), 2, *x.shape[2:]))
    for n, i, j in np.ndindex(len(x), *x.shape[2:]):
        lengths = [math.hypot(*g[:, n, c, i, j]) for c in range(x.shape[1])]
        out[n, :, i, j] = g[:, n, lengths.index(max(lengths)), i, j]
    return out


@pytest.mark.parametrize("shape", [(2, 3, 5, 4), (1, 1, 2, 3), (2, 2, 7, 2)])
def test_gradients_are_numpys_in_the_channel_where_they_are_longest(shape) -> None:
    x = rng.normal(size=shape)
    np.testing.assert_allclose(image_gradients(x), longest(x), atol=1e-14)


def test_of_equal_channels_the_first_has_the_derivative() -> None:
    x = Tensor(np.repeat(rng.normal(size=(1, 1, 4, 4)), 2, axis=1), requires_grad=True)
    (image_gradients(x) * rng.normal(size=(1, 2, 4, 4))).sum().backward()
    assert np.abs(x.grad.numpy()[:, 0]).max() > 0.1
    np.testing.assert_array_equal(x.grad.numpy()[:, 1], 0)


@pytest.mark.parametrize(("n", "sigma", "eps"), [(12, None, 1e-3), (5, 0.4, 0.1), (2, None, 1e-3)])
def test_maps_are_the_formula(n: int, sigma: float | None, eps: float) -> None:
    x = rng.normal(size=(2, 3, 5, 4))
    angles = [2 * math.pi * j / n for j in range(n)]
    neighbours = math.sqrt((1 - math.cos(angles[1])) ** 2 + math.sin(angles[1]) ** 2)
    width = neighbours if sigma is None else sigma

    def kappa(a: float, b: float) -> float:
        """Return the Gaussian kernel of two orientations as points of the circle."""
        squared = (math.cos(a) - math.cos(b)) ** 2 + (math.sin(a) - math.sin(b)) ** 2
        return math.exp(-squared / (2 * width**2))

    transform = inv(
        sqrtm(np.array([[kappa(a, b) for b in angles] for a in angles]) + eps * np.eye(n))
    )
    expected = np.zeros((2, n, 5, 4))
    g = longest(x)
    for k, i, j in np.ndindex(2, 5, 4):
        theta = math.atan2(g[k, 1, i, j], g[k, 0, i, j])
        expected[k, :, i, j] = (
            math.hypot(*g[k, :, i, j]) * transform @ [kappa(theta, a) for a in angles]
        )
    layer = GradientMap(n, sigma=sigma, eps=eps)
    np.testing.assert_allclose(layer(x), expected, atol=1e-11)
    assert layer.output_shape((3, 5, 4)) == expected.shape[1:]
    single = layer(x.astype("float32"))
    assert single.dtype == "float32"
    np.testing.assert_allclose(single, expected, atol=1e-5)


def test_turning_an_image_turns_the_maps_and_permutes_them() -> None:
    x = rng.normal(size=(1, 1, 6, 6))
    layer = GradientMap(12)
    turned = layer(
        np.rot90(x, axes=(3, 2)).copy()
    )  # from the axis to the right to the one downwards
    np.testing.assert_allclose(
        turned, np.roll(np.rot90(layer(x), axes=(3, 2)), 3, axis=1), atol=1e-12
    )


def test_gradients_of_order_1_and_2_are_exact() -> None:
    assert gradcheck(GradientMap(5), [rng.normal(size=(2, 2, 4, 3))], order=2).error < 1e-6


def test_where_the_gradient_is_zero_all_is_exactly_zero() -> None:
    x = np.full((1, 3, 6, 8), 0.3, dtype="float32")
    x[..., 6:] = 0.9
    image = Tensor(x, requires_grad=True)
    y = GradientMap()(image)
    np.testing.assert_array_equal(y.numpy()[..., :5], 0)
    assert (np.abs(y.numpy()[..., 5:7]).max(axis=1) > 0.1).all()
    (y * y).sum().backward()
    assert np.isfinite(image.grad.numpy()).all()
    np.testing.assert_array_equal(image.grad.numpy()[..., :4], 0)


def test_tensors_give_what_arrays_give_and_fit_learns_nothing() -> None:
    x = rng.random((3, 3, 8, 8), dtype="float32")
    layer = GradientMap(8)
    assert layer.fit(x) is layer
    np.testing.assert_array_equal(layer(Tensor(x)).numpy(), layer(x))
    np.testing.assert_allclose(layer(Tensor(x, requires_grad=True)).numpy(), layer(x), atol=1e-6)


def test_the_configuration_has_all_options() -> None:
    config = json.loads(json.dumps(GradientMap(4, eps=0.1).config()))
    assert config == {
        "name": "gradient_map",
        "n_orientations": 4,
        "sigma": pytest.approx(math.sqrt(2)),
        "eps": 0.1,
    }


def test_bad_input_gets_a_sentence() -> None:
    with pytest.raises(ConfigError, match="n_orientations expected an integer >= 2, got 1"):
        GradientMap(1)
    with pytest.raises(ConfigError, match="eps expected a finite number > 0, got 0"):
        GradientMap(eps=0)
    with pytest.raises(ConfigError, match="sigma expected a finite number > 0, got -1"):
        GradientMap(sigma=-1)
    with pytest.raises(ShapeError, match=r"at least 2 x 2 pixels, got shape \(1, 1, 1, 5\)"):
        GradientMap()(np.zeros((1, 1, 1, 5)))
    with pytest.raises(DTypeError, match="divide them by 255"):
        GradientMap()(np.zeros((1, 1, 5, 5), dtype="uint8"))
