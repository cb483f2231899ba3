from collections.abc import Callable

import numpy as np
import pytest
from scipy.signal import correlate2d

from tinygrad_ckn import Tensor
from tinygrad_ckn.errors import ConfigError, ShapeError
from tinygrad_ckn.nn import Conv2d, Flatten, Linear, Module


def check_gradients(module: Module, x: Tensor) -> None:
    """Compare gradients with central differences along random directions.

    The function is <u, module(x)> for random u.
    """
    rng = np.random.default_rng(1)
    u = Tensor(rng.normal(size=module(x).shape))
    (module(x) * u).sum().backward()

    def loss() -> float:
        return float((module(x) * u).sum().item())

    for tensor in [x, *module.parameters()]:
        direction, start, step = rng.normal(size=tensor.shape), tensor.data, 1e-5
        tensor.data = start + step * direction
        above = loss()
        tensor.data = start - step * direction
        slope = (above - loss()) / (2 * step)
        tensor.data = start
        assert tensor.grad is not None
        np.testing.assert_allclose((tensor.grad.numpy() * direction).sum(), slope, rtol=1e-7)


def test_linear_agrees_with_its_formula() -> None:
    layer = Linear(3, 2, rng=0, dtype="float64")
    layer.bias.data = np.array([1.0, -1.0])
    x = np.random.default_rng(0).normal(size=(4, 5, 3))
    expected = np.einsum("abi,oi->abo", x, layer.weight.numpy()) + np.array([1.0, -1.0])
    np.testing.assert_allclose(layer(Tensor(x)).numpy(), expected, rtol=1e-12)
    # An array is accepted as well.
    np.testing.assert_allclose(layer(x).numpy(), expected, rtol=1e-12)
    assert layer(Tensor(x[0, 0])).shape == (2,)


def test_linear_without_bias() -> None:
    layer = Linear(3, 2, bias=False, rng=0)
    assert list(layer.state_dict()) == ["weight"]
    x = np.ones((1, 3), np.float32)
    np.testing.assert_allclose(layer(Tensor(x)).numpy(), x @ layer.weight.numpy().T, rtol=1e-6)


@pytest.mark.parametrize("shape", [(3,), (5, 3), (2, 5, 3)])
def test_linear_gradients(shape: tuple[int, ...]) -> None:
    x = Tensor(np.random.default_rng(0).normal(size=shape), requires_grad=True)
    check_gradients(Linear(3, 2, rng=0, dtype="float64"), x)


@pytest.mark.parametrize(
    "options", [{}, {"stride": (2, 1), "padding": 1, "dilation": 2, "groups": 2}, {"bias": False}]
)
def test_conv2d_gradients(options: dict[str, object]) -> None:
    x = Tensor(np.random.default_rng(0).normal(size=(2, 4, 6, 5)), requires_grad=True)
    check_gradients(Conv2d(4, 6, (2, 3), rng=0, dtype="float64", **options), x)  # type: ignore[arg-type]


@pytest.mark.parametrize("padding", ["valid", "same", "full"])
def test_conv2d_agrees_with_scipy_summed_over_channels(padding: str) -> None:
    layer = Conv2d(2, 3, (3, 5), padding=padding, rng=0, dtype="float64")
    layer.bias.data = np.array([1.0, 2.0, 3.0])
    x = np.random.default_rng(0).normal(size=(2, 2, 6, 5))
    expected = [
        [
            sum(correlate2d(x[n, c], layer.weight.numpy()[o, c], padding) for c in range(2)) + o + 1
            for o in range(3)
        ]
        for n in range(2)
    ]
    np.testing.assert_allclose(layer(Tensor(x)).numpy(), expected, rtol=1e-12)


def test_conv2d_passes_its_options_on() -> None:
    layer = Conv2d(4, 2, 3, stride=2, padding=1, dilation=2, groups=2, rng=0)
    assert layer.weight.shape == (2, 2, 3, 3)
    assert layer(Tensor(np.ones((1, 4, 9, 7), np.float32))).shape == (1, 2, 4, 3)
    assert repr(layer) == (
        "Conv2d(4 -> 2, 3x3, stride=2, padding=1, dilation=2, groups=2)"
        "  weight (2, 2, 3, 3) bias (2,)  38"
    )


@pytest.mark.parametrize(
    "make", [lambda rng: Linear(3, 2, rng=rng), lambda rng: Conv2d(3, 2, 3, rng=rng)]
)
def test_the_seed_determines_the_weights_and_biases_start_at_zero(
    make: Callable[[object], Linear | Conv2d],
) -> None:
    first, again, other = make(0), make(0), make(1)
    np.testing.assert_array_equal(first.weight.numpy(), again.weight.numpy())
    np.testing.assert_array_equal(
        first.weight.numpy(), make(np.random.default_rng(0)).weight.numpy()
    )
    assert (first.weight.numpy() != other.weight.numpy()).any()
    assert not first.bias.numpy().any()
    assert first.weight.dtype == first.bias.dtype == np.float32


def test_one_generator_gives_each_layer_its_own_weights() -> None:
    rng = np.random.default_rng(0)
    assert (Linear(3, 2, rng=rng).weight.numpy() != Linear(3, 2, rng=rng).weight.numpy()).any()


@pytest.mark.parametrize("shape", [(), (2,), (3, 2), (3, 2, 4)])
def test_linear_names_itself_when_shapes_do_not_match(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        ShapeError, match=r"^Linear\(3 -> 2\): argument x expected shape \(\.\.\., 3\), got \("
    ):
        Linear(3, 2, rng=0)(Tensor(np.ones(shape)))


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 2, 8, 8), (1, 8, 8, 3)])
def test_conv2d_names_itself_when_shapes_do_not_match(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        ShapeError,
        match=r"^Conv2d\(3 -> 2, 5x5\): argument x expected shape \(N, 3, H, W\), got \(",
    ):
        Conv2d(3, 2, 5, rng=0)(Tensor(np.ones(shape)))


def test_conv2d_names_itself_when_the_image_is_too_small() -> None:
    with pytest.raises(
        ShapeError,
        match=r"^Conv2d\(3 -> 2, 5x5\): expected an image of at least the kernel's extent",
    ):
        Conv2d(3, 2, 5, rng=0)(Tensor(np.ones((1, 3, 4, 8))))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: Linear(0, 2),
            ConfigError,
            "Linear: argument in_features expected an integer >= 1, got 0",
        ),
        (
            lambda: Linear(2, 1.5),
            ConfigError,
            "Linear: argument out_features expected an integer >= 1, got 1.5",
        ),
        (
            lambda: Conv2d(0, 2, 3),
            ConfigError,
            "Conv2d: argument in_channels expected an integer >= 1, got 0",
        ),
        (
            lambda: Conv2d(2, -1, 3),
            ConfigError,
            "Conv2d: argument out_channels expected an integer >= 1, got -1",
        ),
        (
            lambda: Conv2d(2, 2, 3, groups=0),
            ConfigError,
            "Conv2d: argument groups expected an integer >= 1, got 0",
        ),
        (
            lambda: Conv2d(2, 3, 3, groups=2),
            ConfigError,
            "Conv2d: argument groups expected a divisor of in_channels 2 and out_channels 3, got 2",
        ),
        (
            lambda: Conv2d(3, 2, 3, groups=2),
            ConfigError,
            "Conv2d: argument groups expected a divisor of in_channels 3 and out_channels 2, got 2",
        ),
        (
            lambda: Conv2d(2, 2, 0),
            ShapeError,
            "Conv2d: argument kernel_size expected an integer >= 1",
        ),
        (
            lambda: Conv2d(2, 2, 3, stride=0),
            ShapeError,
            "Conv2d: argument stride expected an integer >= 1",
        ),
        (
            lambda: Conv2d(2, 2, 3, padding="half"),
            ShapeError,
            "Conv2d: argument padding expected 'valid'",
        ),
        (
            lambda: Conv2d(2, 2, 3, dilation=0),
            ShapeError,
            "Conv2d: argument dilation expected an integer >= 1",
        ),
    ],
)
def test_options_out_of_range(
    make: Callable[[], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^{message}"):
        make()


def test_flatten() -> None:
    x = np.arange(24.0).reshape(2, 3, 4)
    np.testing.assert_array_equal(Flatten()(Tensor(x)).numpy(), x.reshape(2, 12))
    assert Flatten()(Tensor(np.zeros((0, 3, 4)))).shape == (0, 12)
    assert Flatten()(Tensor(np.zeros(5))).shape == (5, 1)
    with pytest.raises(
        ShapeError, match=r"Flatten: argument x expected shape \(N, ...\), got \(\)"
    ):
        Flatten()(Tensor(1.0))
