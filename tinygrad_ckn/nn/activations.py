"""Functions of each element as modules, to stand in a Sequential."""

from __future__ import annotations

from typing import Any

from tinygrad_ckn.backend import Array
from tinygrad_ckn.nn.module import Module
from tinygrad_ckn.ops.elementwise import relu, sigmoid, softplus, tanh


class ReLU(Module):
    """The positive part; any shape.

    Examples
    --------
    >>> ReLU()(Tensor([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    def forward(self, x: Array) -> Any:
        """Return max(x, 0)."""
        return relu(x)


class Tanh(Module):
    """The hyperbolic tangent; any shape.

    Examples
    --------
    >>> Tanh()(Tensor([0.0])).item()
    0.0
    """

    def forward(self, x: Array) -> Any:
        """Return tanh x."""
        return tanh(x)


class Sigmoid(Module):
    """The logistic function; any shape.

    Examples
    --------
    >>> Sigmoid()(Tensor([0.0])).item()
    0.5
    """

    def forward(self, x: Array) -> Any:
        """Return 1 / (1 + e**-x)."""
        return sigmoid(x)


class Softplus(Module):
    """The smooth positive part; any shape.

    Examples
    --------
    >>> Softplus()(Tensor([0.0])).item()
    0.6931471805599453
    """

    def forward(self, x: Array) -> Any:
        """Return log(1 + e**x)."""
        return softplus(x)
