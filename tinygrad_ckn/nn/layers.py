"""Layers: the linear ones, and what brings images into their shape.

N batch, C channels in, O channels out, H x W image, kh x kw kernel, Ho x Wo output.
"""

from __future__ import annotations

import math
from typing import Any

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array
from tinygrad_ckn.errors import ConfigError, ShapeError
from tinygrad_ckn.nn import init
from tinygrad_ckn.nn.init import Seed
from tinygrad_ckn.nn.module import Module
from tinygrad_ckn.nn.parameter import Parameter
from tinygrad_ckn.ops.correlate import correlate2d
from tinygrad_ckn.ops.matmul import matmul
from tinygrad_ckn.ops.shape import reshape
from tinygrad_ckn.plain import plain_arguments, plain_array
from tinygrad_ckn.tensor import Tensor
from tinygrad_ckn.windows import Padding, Pair, Windows, pair


class Linear(Module):
    """An affine map of the last axis: y = x W^T + b, (..., in_features) -> (..., out_features).

    Parameters
    ----------
    in_features, out_features
        At least 1.
    bias
        Whether to add b.
    rng
        Draws W by `init.kaiming_uniform`; b starts at zero. A seed or generator; None:
        the package's.
    dtype
        Of the parameters.

    Raises
    ------
    ConfigError
        If a size is no positive integer.

    Examples
    --------
    >>> layer = Linear(3, 2, rng=0)
    >>> layer(Tensor(np.ones((5, 3), np.float32))).shape
    (5, 2)
    """

    # (out_features, in_features)
    weight: Parameter
    # (out_features,)
    bias: Parameter | None

    @plain_arguments
    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool = True,
        rng: Seed = None,
        dtype: Any = "float32",
    ) -> None:
        checks.integers("Linear", in_features=in_features)
        self.in_features = int(in_features)
        checks.integers("Linear", out_features=out_features)
        self.out_features = int(out_features)
        self.weight = Parameter(
            init.kaiming_uniform((out_features, in_features), rng=rng, dtype=dtype)
        )
        self.bias = (
            Parameter(init.constant((self.out_features,), 0.0, dtype=dtype)) if bias else None
        )

    def forward(self, x: Array) -> Tensor:
        """Return x W^T + b.

        Raises
        ------
        ShapeError
            If the last axis of x has not in_features elements.
        """
        checks.array(f"Linear({self.extra_repr()})", x=x)
        if not x.shape or x.shape[-1] != self.in_features:
            raise ShapeError(
                f"Linear({self.extra_repr()}): argument x expected shape (..., {self.in_features}), got {x.shape}; "
                "flatten or reshape it first"
            )
        y: Tensor = matmul(x, self.weight.T)
        return y if self.bias is None else y + self.bias

    def extra_repr(self) -> str:
        """Return the sizes."""
        return f"{self.in_features} -> {self.out_features}"


class Conv2d(Module):
    """A cross-correlation of images with learned filters: (N, C, H, W) -> (N, O, Ho, Wo).

    Parameters
    ----------
    in_channels, out_channels
        C and O, divisible by `groups`.
    kernel_size
        Number or (kh, kw).
    stride, padding, dilation, groups
        As for `ops.correlate2d`.
    bias
        Whether to add a number to each output channel.
    rng
        Draws the filters by `init.kaiming_uniform`; biases start at zero. A seed or
        generator; None: the package's.
    dtype
        Of the parameters.

    Raises
    ------
    ConfigError
        If a number of channels or groups is no positive integer, or channels are not
        divisible by groups.
    ShapeError
        If the kernel size, stride, padding or dilation is out of range.

    Examples
    --------
    >>> layer = Conv2d(1, 4, 3, padding="same", rng=0)
    >>> layer
    Conv2d(1 -> 4, 3x3, padding='same')  weight (4, 1, 3, 3) bias (4,)  40
    >>> layer(Tensor(np.ones((2, 1, 8, 8), np.float32))).shape
    (2, 4, 8, 8)
    """

    # (O, C/groups, kh, kw)
    weight: Parameter
    # (O,)
    bias: Parameter | None

    @plain_arguments
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        *,
        stride: Pair = 1,
        padding: Padding = 0,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = True,
        rng: Seed = None,
        dtype: Any = "float32",
    ) -> None:
        checks.integers("Conv2d", in_channels=in_channels)
        self.in_channels = int(in_channels)
        checks.integers("Conv2d", out_channels=out_channels)
        self.out_channels = int(out_channels)
        checks.integers("Conv2d", groups=groups)
        self.groups = int(groups)
        if in_channels % groups or out_channels % groups:
            raise ConfigError(
                f"Conv2d: argument groups expected a divisor of in_channels = {in_channels} and "
                f"out_channels = {out_channels}, got {groups}"
            )
        self.kernel_size = pair("Conv2d", "kernel_size", kernel_size, 1)
        self.stride, self.padding, self.dilation = map(plain_array, (stride, padding, dilation))
        self._windows("Conv2d")
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight = Parameter(init.kaiming_uniform(shape, rng=rng, dtype=dtype))
        self.bias = (
            Parameter(init.constant((self.out_channels,), 0.0, dtype=dtype)) if bias else None
        )

    def _windows(self, owner: str) -> Windows:
        """Return where the filters lie, with the options checked."""
        return Windows.of(owner, self.kernel_size, self.stride, self.padding, self.dilation)

    def forward(self, x: Array) -> Tensor:
        """Return the correlation of each image with each filter.

        Raises
        ------
        ShapeError
            If x is no batch of images of in_channels channels, or its images are
            smaller than the kernel.
        """
        owner = f"Conv2d({self.extra_repr()})"
        checks.array(owner, x=x)
        if len(x.shape) != 4 or x.shape[1] != self.in_channels:
            raise ShapeError(
                f"{owner}: argument x expected shape (N, {self.in_channels}, H, W), got {x.shape}"
            )
        self._windows(owner).output_size(x.shape[2:])
        y: Tensor = correlate2d(
            x,
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
        )
        return y

    def extra_repr(self) -> str:
        """Return the sizes, and the options that differ from their defaults."""
        kh, kw = self.kernel_size
        options = {
            "stride": (self.stride, 1),
            "padding": (self.padding, 0),
            "dilation": (self.dilation, 1),
        }
        options["groups"] = (self.groups, 1)
        given = [
            f", {name}={value!r}" for name, (value, default) in options.items() if value != default
        ]
        return f"{self.in_channels} -> {self.out_channels}, {kh}x{kw}{''.join(given)}"


class Flatten(Module):
    """All axes but the first made one: (N, ...) -> (N, D).

    Examples
    --------
    >>> Flatten()(Tensor(np.zeros((2, 3, 4)))).shape
    (2, 12)
    """

    def forward(self, x: Array) -> Any:
        """Return x as (N, D).

        Raises
        ------
        ShapeError
            If x has no axis.
        """
        if not x.shape:
            raise ShapeError("Flatten: argument x expected shape (N, ...), got (); pass a batch")
        return reshape(x, (x.shape[0], math.prod(x.shape[1:])))
