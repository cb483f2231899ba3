import numpy as np
import pytest
import scipy.stats

from tinygrad_ckn import Tensor
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.nn import GELU, LeakyReLU, Module, ReLU, Sigmoid, Softplus, Tanh

X = np.array([[-3.0, -0.5], [0.25, 2.0]])


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (ReLU(), np.where(X > 0, X, 0)),
        (Tanh(), np.tanh(X)),
        (Sigmoid(), 1 / (1 + np.exp(-X))),
        (Softplus(), np.log(1 + np.exp(X))),
        (GELU(), X * scipy.stats.norm.cdf(X)),
    ],
)
def test_values_and_gradients(module: Module, expected: np.ndarray) -> None:
    x = Tensor(X, requires_grad=True)
    y = module(x)
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-12)
    y.sum().backward()
    assert x.grad is not None
    assert not list(module.parameters())
    assert repr(module) == type(module).__name__


def test_leaky_relu_has_the_slope_of_the_left_at_zero() -> None:
    x = Tensor([-2.0, 0.0, 3.0], requires_grad=True)
    y = LeakyReLU(0.1)(x)
    np.testing.assert_allclose(y.numpy(), [-0.2, 0.0, 3.0], rtol=1e-15)
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.1, 0.1, 1.0]
    assert repr(LeakyReLU()) == "LeakyReLU(0.01)"
    with pytest.raises(ConfigError, match="LeakyReLU: argument negative_slope expected a finite"):
        LeakyReLU(np.inf)


def test_the_approximation_of_gelu_is_close_and_in_float32_stays() -> None:
    x = np.linspace(-5, 5, 101, dtype="float32")
    exact, close = GELU()(Tensor(x)), GELU("tanh")(Tensor(x))
    assert exact.dtype == close.dtype == np.float32
    assert 1e-5 < abs(exact.numpy() - close.numpy()).max() < 5e-4
    assert repr(GELU("tanh")) == "GELU(tanh)"
    with pytest.raises(ConfigError, match="approximate expected 'none' or 'tanh', got 'erf'"):
        GELU("erf")
