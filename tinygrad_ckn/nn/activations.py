"""Elementwise functions as modules, for use in a Sequential."""

from __future__ import annotations

from tinygrad_ckn.backend import Array
from tinygrad_ckn.nn.module import Module
from tinygrad_ckn.ops.elementwise import relu, sigmoid, softplus, tanh
from tinygrad_ckn.tensor import Tensor


class ReLU(Module):
    """Rectified linear unit, max(x, 0); any shape, the dtype is kept.

    Examples
    --------
    >>> ReLU()(Tensor([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    def forward(self, x: Array) -> Tensor:
        """Return max(x, 0)."""
        return relu(x)


class Tanh(Module):
    """Hyperbolic tangent; any shape, a floating dtype is kept.

    Examples
    --------
    >>> Tanh()(Tensor([0.0])).item()
    0.0
    """

    def forward(self, x: Array) -> Tensor:
        """Return tanh x."""
        return tanh(x)


class Sigmoid(Module):
    """Logistic function, 1 / (1 + e**-x); any shape, a floating dtype is kept.

    Examples
    --------
    >>> Sigmoid()(Tensor([0.0])).item()
    0.5
    """

    def forward(self, x: Array) -> Tensor:
        """Return 1 / (1 + e**-x)."""
        return sigmoid(x)


class Softplus(Module):
    """Smooth rectified linear unit, log(1 + e**x); any shape, a floating dtype is kept.

    Examples
    --------
    >>> Softplus()(Tensor([0.0])).item()
    0.6931471805599453
    """

    def forward(self, x: Array) -> Tensor:
        """Return log(1 + e**x)."""
        return softplus(x)
