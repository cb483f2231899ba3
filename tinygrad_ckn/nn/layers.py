"""Linear layers, and Flatten.

N batch, C channels in, O channels out, H x W image, kh x kw kernel, Ho x Wo output.
"""

from __future__ import annotations

import math

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array, DTypeLike
from tinygrad_ckn.errors import ShapeError
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
    """Affine map of the last axis, y = x W^T + b.

    (..., in_features) -> (..., out_features).

    Parameters
    ----------
    in_features, out_features
        Sizes of the last axis, at least 1.
    bias
        Whether to add b; default True.
    rng
        Generator or seed that W is drawn with, by `init.kaiming_uniform`; b starts at
        0. None (default): the next generator of the package, see `manual_seed`.
    dtype
        Of the parameters; default float32.

    Raises
    ------
    ConfigError
        If a size is not a positive integer.

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
        dtype: DTypeLike = "float32",
    ) -> None:
        checks.integers("Linear", in_features=in_features, out_features=out_features)
        self.in_features = int(in_features)
        self.out_features = int(out_features)
        self.weight = Parameter(
            init.kaiming_uniform((out_features, in_features), rng=rng, dtype=dtype)
        )
        self.bias = (
            Parameter(init.constant((self.out_features,), 0.0, dtype=dtype)) if bias else None
        )

    def forward(self, x: Array) -> Tensor:
        """Return x W^T + b.

        Parameters
        ----------
        x
            (..., in_features).

        Raises
        ------
        ShapeError
            If the last axis of x does not have in_features elements.
        DTypeError
            If x is not an array.
        """
        checks.array(f"Linear({self.extra_repr()})", x=x)
        if not x.shape or x.shape[-1] != self.in_features:
            raise ShapeError(
                f"Linear({self.extra_repr()}): argument x expected shape "
                f"(..., {self.in_features}), got {x.shape}; flatten or reshape it first"
            )
        y = matmul(x, self.weight.T)
        return y if self.bias is None else y + self.bias

    def extra_repr(self) -> str:
        """Return the sizes."""
        return f"{self.in_features} -> {self.out_features}"


class Conv2d(Module):
    """Cross-correlation with learned filters: (N, C, H, W) -> (N, O, Ho, Wo).

    Parameters
    ----------
    in_channels, out_channels
        C and O, divisible by `groups`.
    kernel_size
        (kh, kw), or one number for both, in pixels.
    stride, padding, dilation, groups
        As for `ops.correlate2d`, with the same defaults.
    bias
        Whether to add a number to each output channel; default True.
    rng
        Generator or seed that the filters are drawn with, by `init.kaiming_uniform`;
        biases start at 0. None (default): the next generator of the package, see
        `manual_seed`.
    dtype
        Of the parameters; default float32.

    Raises
    ------
    ConfigError
        If a number of channels or groups is not a positive integer, or channels are not
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
        dtype: DTypeLike = "float32",
    ) -> None:
        checks.integers("Conv2d", in_channels=in_channels, out_channels=out_channels, groups=groups)
        checks.divisible(
            "Conv2d", "groups", groups, in_channels=in_channels, out_channels=out_channels
        )
        self.in_channels = int(in_channels)
        self.out_channels = int(out_channels)
        self.groups = int(groups)
        self.kernel_size = pair("Conv2d", "kernel_size", kernel_size, 1)
        self.stride: Pair = plain_array(stride)
        self.padding: Padding = plain_array(padding)
        self.dilation: Pair = plain_array(dilation)
        self._windows("Conv2d")
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight = Parameter(init.kaiming_uniform(shape, rng=rng, dtype=dtype))
        self.bias = (
            Parameter(init.constant((self.out_channels,), 0.0, dtype=dtype)) if bias else None
        )

    def _windows(self, owner: str) -> Windows:
        """Check the options; return the positions of the filters."""
        return Windows.of(owner, self.kernel_size, self.stride, self.padding, self.dilation)

    def forward(self, x: Array) -> Tensor:
        """Return the correlation of each image with each filter.

        Parameters
        ----------
        x
            Images (N, C, H, W), floating.

        Raises
        ------
        ShapeError
            If x does not have the shape (N, in_channels, H, W), or the kernel is larger
            than a padded image.
        DTypeError
            If x is not a floating array.
        """
        owner = f"Conv2d({self.extra_repr()})"
        checks.array(owner, x=x)
        if len(x.shape) != 4 or x.shape[1] != self.in_channels:
            raise ShapeError(
                f"{owner}: argument x expected shape (N, {self.in_channels}, H, W), got {x.shape}"
            )
        self._windows(owner).output_size(x.shape[2:])
        return correlate2d(
            x,
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
        )

    def extra_repr(self) -> str:
        """Return the sizes, and the options that differ from their defaults."""
        kh, kw = self.kernel_size
        defaults = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
        options = [
            f", {name}={getattr(self, name)!r}"
            for name, default in defaults.items()
            if getattr(self, name) != default
        ]
        return f"{self.in_channels} -> {self.out_channels}, {kh}x{kw}{''.join(options)}"


class Flatten(Module):
    """Join all axes but the first: (N, ...) -> (N, D).

    Examples
    --------
    >>> Flatten()(Tensor(np.zeros((2, 3, 4)))).shape
    (2, 12)
    """

    def forward(self, x: Array) -> Tensor:
        """Return x as (N, D).

        Raises
        ------
        ShapeError
            If x has no axis.
        """
        if not x.shape:
            raise ShapeError("Flatten: argument x expected shape (N, ...), got (); pass a batch")
        return reshape(x, (x.shape[0], math.prod(x.shape[1:])))
