"""Transposed convolution: the adjoint of a convolution with respect to its images."""

from __future__ import annotations

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array, DTypeLike
from tinygrad_ckn.errors import ShapeError
from tinygrad_ckn.nn import init
from tinygrad_ckn.nn.init import Seed
from tinygrad_ckn.nn.module import Module
from tinygrad_ckn.nn.parameter import Parameter
from tinygrad_ckn.ops.correlate import correlate2d_input
from tinygrad_ckn.ops.shape import reshape
from tinygrad_ckn.plain import plain_arguments
from tinygrad_ckn.tensor import Tensor
from tinygrad_ckn.windows import Pair, pair


class ConvTranspose2d(Module):
    """Adjoint of Conv2d with the same options: (N, C, H, W) -> (N, O, Ho, Wo).

    Ho = (H - 1) stride - 2 padding + dilation (kh - 1) + output_padding + 1, and so for
    Wo: the size of an image that Conv2d takes to (H, W). With a stride there are several;
    `output_padding` chooses among them, and adds pixels at the bottom and right. Values and
    names as PyTorch's. Source: V. Dumoulin and F. Visin, A guide to convolution arithmetic
    for deep learning (arXiv 1603.07285), section 4.

    Parameters
    ----------
    in_channels, out_channels
        C and O, divisible by `groups`.
    kernel_size
        (kh, kw), or one number for both, in pixels.
    stride, dilation
        Of that Conv2d: number or (vertical, horizontal); default 1.
    padding
        Of that Conv2d, which takes away as much here: number or (vertical, horizontal);
        default 0.
    output_padding
        Number or (vertical, horizontal), less than the stride; default 0.
    groups
        Number of groups of channels; default 1.
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
        If another option is out of range.

    Examples
    --------
    >>> layer = ConvTranspose2d(4, 1, 3, stride=2, padding=1, output_padding=1, rng=0)
    >>> layer(Tensor(np.ones((2, 4, 7, 7), np.float32))).shape
    (2, 1, 14, 14)
    """

    # (C, O/groups, kh, kw)
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
        padding: Pair = 0,
        output_padding: Pair = 0,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = True,
        rng: Seed = None,
        dtype: DTypeLike = "float32",
    ) -> None:
        owner = "ConvTranspose2d"
        checks.integers(owner, in_channels=in_channels, out_channels=out_channels, groups=groups)
        checks.divisible(
            owner, "groups", groups, in_channels=in_channels, out_channels=out_channels
        )
        self.in_channels = int(in_channels)
        self.out_channels = int(out_channels)
        self.groups = int(groups)
        self.kernel_size = pair(owner, "kernel_size", kernel_size, 1)
        self.stride = pair(owner, "stride", stride, 1)
        self.padding = pair(owner, "padding", padding, 0)
        self.output_padding = pair(owner, "output_padding", output_padding, 0)
        self.dilation = pair(owner, "dilation", dilation, 1)
        if any(more >= s for more, s in zip(self.output_padding, self.stride, strict=True)):
            raise ShapeError(
                f"{owner}: argument output_padding expected numbers less than the stride "
                f"{self.stride}, got {self.output_padding}"
            )
        shape = (self.in_channels, self.out_channels // self.groups, *self.kernel_size)
        self.weight = Parameter(init.kaiming_uniform(shape, rng=rng, dtype=dtype))
        self.bias = (
            Parameter(init.constant((self.out_channels,), 0.0, dtype=dtype)) if bias else None
        )

    def forward(self, x: Array) -> Tensor:
        """Return the sum over the pixels of x of filters placed there.

        Parameters
        ----------
        x
            Images (N, C, H, W), floating.

        Raises
        ------
        ShapeError
            If x does not have the shape (N, in_channels, H, W), or so small that the
            padding leaves nothing.
        DTypeError
            If x is not a floating array.
        """
        owner = f"ConvTranspose2d({self.extra_repr()})"
        checks.floating(owner, x=x)
        if len(x.shape) != 4 or x.shape[1] != self.in_channels:
            raise ShapeError(
                f"{owner}: argument x expected shape (N, {self.in_channels}, H, W), got {x.shape}"
            )
        size = [
            (n - 1) * self.stride[i]
            - 2 * self.padding[i]
            + self.dilation[i] * (self.kernel_size[i] - 1)
            + self.output_padding[i]
            + 1
            for i, n in enumerate(x.shape[2:])
        ]
        if min(size) < 1 or 0 in x.shape[2:]:
            raise ShapeError(
                f"{owner}: argument x expected images of which the padding leaves a pixel, got "
                f"shape {x.shape}, for a result of size {tuple(size)}; use less padding"
            )
        y = correlate2d_input(
            x,
            self.weight,
            input_size=size,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
        )
        return y if self.bias is None else y + reshape(self.bias, (-1, 1, 1))

    def extra_repr(self) -> str:
        """Return the sizes, and the options that differ from their defaults."""
        kh, kw = self.kernel_size
        defaults = {
            "stride": (1, 1),
            "padding": (0, 0),
            "output_padding": (0, 0),
            "dilation": (1, 1),
            "groups": 1,
        }
        options = [
            f", {name}={getattr(self, name)!r}"
            for name, default in defaults.items()
            if getattr(self, name) != default
        ]
        return f"{self.in_channels} -> {self.out_channels}, {kh}x{kw}{''.join(options)}"
