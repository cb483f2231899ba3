"""Functions that call grad() or backward() themselves: PINN, MAML, forces."""

import numpy as np
import pytest

from tinygrad_ckn import Tensor, grad, nn, ops
from tinygrad_ckn.backend import Array
from tinygrad_ckn.errors import (
    GradientError,
)
from tinygrad_ckn.testing import check_jvp, check_module, gradcheck, gradgradcheck

x = np.array([[0.5, -1.0, 2.0], [1.5, 0.3, -0.7]])


def cube(xp, x: Array):
    return x * x * x


def slope(t):
    return grad(ops.sin(t).sum(), t, create_graph=True)[0]


def adapted(w, t):
    loss = ((t * w) ** 2).mean()
    return ops.tanh(t * (w - 0.1 * grad(loss, w, create_graph=True)[0]))


@pytest.mark.parametrize("check", [gradcheck, gradgradcheck, check_jvp])
def test_functions_that_call_grad_are_checked(check):
    assert check(slope, np.array([0.3, 1.2])).error < 1e-7
    assert check(adapted, [np.array([0.3, 1.2]), np.array([[1.0, -2.0], [0.5, 0.2]])]).error < 1e-7


def test_a_module_that_calls_grad_and_a_function_that_calls_backward_are_checked():
    class Force(nn.Module):
        def __init__(self):
            self.energy = nn.Linear(2, 1, rng=0)

        def forward(self, t):
            return -grad(ops.tanh(self.energy(t)).sum(), t, create_graph=True)[0]

    def accumulated(t):
        (t**3).sum().backward(create_graph=True)
        return t.grad

    assert check_module(Force(), np.array([[0.3, 1.2]]), order=2).error < 1e-6
    assert gradcheck(accumulated, np.array([0.3, 1.2])).error < 1e-7


def test_a_wrong_rule_inside_an_inner_gradient_is_caught(op):
    frozen = op(cube, x=lambda g, x: 3 * g * (x.detach() if isinstance(x, Tensor) else x) ** 2)
    with pytest.raises(GradientError, match="element"):
        gradcheck(lambda t: grad(frozen(t).sum(), t, create_graph=True)[0], np.array([0.3, 1.2]))
