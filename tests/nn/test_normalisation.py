from collections.abc import Callable

import numpy as np
import pytest

from tinygrad_ckn import Tensor, checkpoint
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.nn import BatchNorm1d, BatchNorm2d, LayerNorm, Sequential

X = np.random.default_rng(0).normal(size=(4, 3, 2, 5)) * 3 + 7


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_batch_has_mean_0_and_variance_1_and_the_running_moments_take_it_in(dtype: str) -> None:
    layer = BatchNorm2d(3, momentum=0.25, dtype=dtype)
    x = X.astype(dtype)
    y = layer(x).numpy()
    rtol = 1e-5 if dtype == "float32" else 1e-12
    mean, var = x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))
    expected = (x - mean[:, None, None]) / np.sqrt(var + 1e-5)[:, None, None]
    np.testing.assert_allclose(y, expected, rtol=rtol, atol=rtol)
    assert y.dtype == dtype
    np.testing.assert_allclose(layer.running_mean.numpy(), 0.25 * mean, rtol=rtol)
    # of 40 numbers, as an estimate of the variance without bias
    np.testing.assert_allclose(layer.running_var.numpy(), 0.75 + 0.25 * var * 40 / 39, rtol=rtol)


def test_eval_mode_is_an_affine_map_by_the_running_moments() -> None:
    layer = BatchNorm1d(3, dtype="float64")
    layer.running_mean.data = np.array([1.0, 2.0, 3.0])
    layer.running_var.data = np.array([4.0, 1.0, 0.25])
    layer.weight.data = np.array([1.0, 2.0, 3.0])  # type: ignore[union-attr]
    layer.bias.data = np.array([0.0, 1.0, -1.0])  # type: ignore[union-attr]
    layer.eval()
    x = X[:, :, 0, 0]
    scale = np.array([1.0, 2.0, 3.0]) / np.sqrt(np.array([4.0, 1.0, 0.25]) + 1e-5)
    expected = (x - [1.0, 2.0, 3.0]) * scale + [0.0, 1.0, -1.0]
    np.testing.assert_allclose(layer(x).numpy(), expected, rtol=1e-14)
    # one example, and none
    np.testing.assert_allclose(layer(x[:1]).numpy(), expected[:1], rtol=1e-14)
    assert layer(x[:0]).shape == (0, 3)
    assert layer.running_mean.tolist() == [1.0, 2.0, 3.0]


def test_the_running_moments_are_saved_and_not_trained() -> None:
    layer = BatchNorm2d(3)
    layer(X.astype("float32"))
    other = BatchNorm2d(3)
    other.load_state_dict(layer.state_dict())
    x = X.astype("float32")
    np.testing.assert_array_equal(other.eval()(x).numpy(), layer.eval()(x).numpy())
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]
    assert list(BatchNorm2d(3, affine=False).state_dict()) == ["running_mean", "running_var"]


def test_a_large_mean_costs_no_accuracy() -> None:
    x = (1000 + np.random.default_rng(0).normal(size=(64, 1))).astype("float32")
    exact = (x.astype("float64") - x.mean(dtype="float64")) / x.std(dtype="float64")
    for y in (
        BatchNorm1d(1, eps=1e-12)(x).numpy(),
        LayerNorm(64, eps=1e-12)(x.T.copy()).numpy().T,
    ):
        np.testing.assert_allclose(y, exact, atol=1e-3)


def test_a_checkpoint_counts_its_batch_once() -> None:
    layer, plain = BatchNorm2d(3, dtype="float64"), BatchNorm2d(3, dtype="float64")
    leaf = Tensor(X, requires_grad=True)
    u = np.random.default_rng(1).normal(size=X.shape)
    (checkpoint(layer, leaf) * u).sum().backward()
    first = leaf.grad
    leaf.grad = None
    (plain(leaf) * u).sum().backward()
    np.testing.assert_allclose(first.numpy(), leaf.grad.numpy(), atol=1e-12)  # type: ignore[union-attr]
    np.testing.assert_array_equal(layer.running_mean.numpy(), plain.running_mean.numpy())


def test_layer_norm_agrees_with_its_formula() -> None:
    layer = LayerNorm((2, 5), dtype="float64")
    w, b = np.random.default_rng(1).normal(size=(2, 2, 5))
    layer.weight.data, layer.bias.data = w, b  # type: ignore[union-attr]
    mean, var = X.mean(axis=(2, 3), keepdims=True), X.var(axis=(2, 3), keepdims=True)
    expected = (X - mean) / np.sqrt(var + 1e-5) * w + b
    np.testing.assert_allclose(layer(X).numpy(), expected, rtol=1e-12)
    assert layer(X[:0]).shape == (0, 3, 2, 5)
    assert not list(LayerNorm(5, elementwise_affine=False).parameters())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BatchNorm1d(0), "BatchNorm1d: argument num_features expected an integer >= 1"),
        (lambda: BatchNorm2d(1, eps=0), "BatchNorm2d: argument eps expected a finite number > 0"),
        (lambda: BatchNorm2d(1, momentum=2), r"argument momentum expected a number in \[0, 1\]"),
        (lambda: LayerNorm((2, 0)), r"normalized_shape expected integers >= 1, .* got \(2, 0\)"),
        (lambda: LayerNorm(()), r"expected integers >= 1, at least one, got \(\)"),
    ],
)
def test_options_out_of_range(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_names_and_options_are_shown() -> None:
    net = Sequential(BatchNorm2d(3, eps=1e-3), LayerNorm((2, 5)))
    assert "0: BatchNorm2d(3, eps=0.001)  weight (3,) bias (3,) running_mean (3,)" in repr(net)
    assert "1: LayerNorm(2x5)  weight (2, 5)" in repr(net)
