import numpy as np
import pytest

from tinygrad_ckn import Tensor
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.optim import SGD

START = np.array([1.5, -2.0, 0.3])


def slope(x: np.ndarray) -> np.ndarray:
    """The gradient of sum(x^4 + x)."""
    return 4 * x**3 + 1


def run(steps: int, **options: float) -> np.ndarray:
    x = Tensor(START, requires_grad=True)
    optimizer = SGD([x], **options)
    for _ in range(steps):
        optimizer.zero_grad()
        (x**4 + x).sum().backward()
        optimizer.step()
    return np.array(x.numpy())


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.8, False), (0.8, True)])
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_several_steps_agree_with_the_formula(
    momentum: float, nesterov: bool, decay: float
) -> None:
    x, v, lr = START.copy(), np.zeros(3), 0.01
    for _ in range(7):
        g = slope(x) + decay * x
        v = momentum * v + g
        x = x - lr * (g + momentum * v if nesterov else v)
    actual = run(7, lr=lr, momentum=momentum, weight_decay=decay, nesterov=nesterov)
    np.testing.assert_allclose(actual, x, rtol=1e-13)


def test_nesterov_is_the_gradient_at_the_lookahead_point() -> None:
    """Sutskever et al. 2013, eqs. 3-4.

    v' = mu v - lr grad(theta + mu v), theta' = theta + v'; ours is theta + mu v.
    """
    theta, v, mu, lr = START.copy(), np.zeros(3), 0.8, 0.01
    for _ in range(7):
        v = mu * v - lr * slope(theta + mu * v)
        theta = theta + v
    np.testing.assert_allclose(
        run(7, lr=lr, momentum=mu, nesterov=True), theta + mu * v, rtol=1e-12
    )


def test_momentum_of_a_constant_gradient_sums_to_lr_over_one_minus_mu() -> None:
    x = Tensor([0.0], requires_grad=True)
    optimizer = SGD([x], lr=0.1, momentum=0.5)
    for _ in range(60):
        x.grad = Tensor([1.0])
        before = x.item()
        optimizer.step()
    np.testing.assert_allclose(before - x.item(), 0.1 / (1 - 0.5), rtol=1e-12)


@pytest.mark.parametrize("momentum", [-0.1, 1.0, float("nan")])
def test_momentum_out_of_range(momentum: float) -> None:
    with pytest.raises(
        ConfigError, match=r"SGD: argument momentum expected a number in \[0, 1\), got"
    ):
        SGD([Tensor([1.0], requires_grad=True)], lr=0.1, momentum=momentum)


def test_nesterov_requires_momentum() -> None:
    with pytest.raises(
        ConfigError, match="SGD: argument momentum expected > 0 with nesterov=True, got 0"
    ):
        SGD([Tensor([1.0], requires_grad=True)], lr=0.1, nesterov=True)
