"""Elementwise functions as modules, for use in a Sequential."""

from __future__ import annotations

import math
from typing import Any, cast

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array, xp_of
from tinygrad_ckn.graph import Variable, unwrap
from tinygrad_ckn.nn.module import Module
from tinygrad_ckn.ops.elementwise import relu, sigmoid, softplus, tanh
from tinygrad_ckn.ops.special import ndtr
from tinygrad_ckn.plain import plain_arguments
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


class LeakyReLU(Module):
    """x where x > 0, else negative_slope x; any shape, the dtype is kept.

    Parameters
    ----------
    negative_slope
        Any number; default 0.01, as in PyTorch.

    Raises
    ------
    ConfigError
        If it is not a finite number.

    Examples
    --------
    >>> LeakyReLU(0.5)(Tensor([-1.0, 2.0])).tolist()
    [-0.5, 2.0]
    """

    @plain_arguments
    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = checks.number(
            "LeakyReLU", "negative_slope", negative_slope, "a finite number", math.isfinite
        )

    def forward(self, x: Array) -> Tensor:
        """Return x or its multiple; the derivative at 0 is negative_slope, as in PyTorch."""
        checks.array(f"LeakyReLU({self.extra_repr()})", x=x)
        array: Any = unwrap(x)
        kind = array.dtype.type if array.dtype.kind == "f" else float
        slopes = xp_of(array).where(array > 0, kind(1), kind(self.negative_slope))
        return cast(Tensor, x * Variable.wrap(slopes))

    def extra_repr(self) -> str:
        """Return the slope."""
        return f"{self.negative_slope:g}"


class GELU(Module):
    """Gaussian error linear unit, x P(X <= x) for a standard normal X; any shape.

    Source: D. Hendrycks and K. Gimpel, Gaussian error linear units (arXiv 1606.08415).

    Parameters
    ----------
    approximate
        "none" (default), or "tanh" for x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))).

    Raises
    ------
    ConfigError
        If it is neither.

    Examples
    --------
    >>> GELU()(Tensor([0.0, 1.0])).numpy().round(4).tolist()
    [0.0, 0.8413]
    """

    def __init__(self, approximate: str = "none") -> None:
        checks.one_of("GELU", ("none", "tanh"), approximate=approximate)
        self.approximate = approximate

    def forward(self, x: Array) -> Tensor:
        """Return x times the normal distribution function."""
        checks.array("GELU", x=x)
        value: Any = x
        if self.approximate == "none":
            return value * ndtr(x)  # type: ignore[no-any-return]
        inner = math.sqrt(2 / math.pi) * (value + 0.044715 * value * value * value)
        return 0.5 * value * (1 + tanh(inner))  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        """Return the approximation, if there is one."""
        return "" if self.approximate == "none" else self.approximate
