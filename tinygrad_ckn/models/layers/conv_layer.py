"""The layer of a CNN: convolution, activation, pooling.

N batch, C channels, H x W image, p filters of kh x kw.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from tinygrad_ckn import checks, ops
from tinygrad_ckn.backend import Array, Generator, Images, default_rng
from tinygrad_ckn.models.checks import check_maps
from tinygrad_ckn.models.layers.pooling import Pooling, PoolingName
from tinygrad_ckn.nn import Conv2d, Module, Parameter
from tinygrad_ckn.ops.pool_matrices import Subsampling
from tinygrad_ckn.plain import plain_arguments, plain_array
from tinygrad_ckn.tensor import Tensor
from tinygrad_ckn.windows import Padding, Pair, Windows

ACTIVATIONS: dict[str, Callable[[Array], Tensor]] = {
    "relu": ops.relu,
    "tanh": ops.tanh,
    "sigmoid": ops.sigmoid,
    "softplus": ops.softplus,
}
Activation = Literal["relu", "tanh", "sigmoid", "softplus"]


class ConvLayer(Module):
    """Convolution with learned filters and bias, activation and pooling.

    Maps images (N, C, H, W) to (N, p, Ho, Wo), the shape that a `CKNLayer` with the same
    options gives.

    Parameters
    ----------
    in_channels, n_filters : int
        C and p.
    kernel_size : int or (int, int)
        kh x kw: one number, or (vertical, horizontal).
    subsampling, pooling
        As for `CKNLayer`.
    padding : "same", "valid", "full", int or (int, int), default "same"
        As for `ops.correlate2d`.
    activation : "relu", "tanh", "sigmoid" or "softplus", default "relu"
        Applied before the pooling.
    rng : Generator, int or None, default None
        Generator or seed of the initial filters, which are scaled for ReLU (He et al.
        2015, arXiv 1502.01852); biases start at 0. None: the package's generator.
    dtype : "float32" or "float64", default "float32"
        Of filters and biases.

    Raises
    ------
    ConfigError, ShapeError
        If an option is out of range.

    Examples
    --------
    >>> layer = ConvLayer(1, 8, 3, subsampling=2)
    >>> layer(Tensor(np.ones((2, 1, 6, 5), dtype="float32"))).shape
    (2, 8, 3, 3)
    """

    @plain_arguments
    def __init__(
        self,
        in_channels: int,
        n_filters: int,
        kernel_size: Pair,
        *,
        subsampling: Subsampling = 1,
        pooling: PoolingName = "gaussian",
        padding: Padding = "same",
        activation: Activation = "relu",
        rng: Generator | int | None = None,
        dtype: str = "float32",
    ) -> None:
        checks.integers("ConvLayer", in_channels=in_channels, n_filters=n_filters)
        checks.one_of("ConvLayer", ACTIVATIONS, activation=activation)
        self.in_channels = int(in_channels)
        self.n_filters = int(n_filters)
        self.pooling = Pooling.of("ConvLayer", pooling, subsampling)
        self.windows = Windows.of("ConvLayer", kernel_size, self.pooling.stride, padding)
        self.padding = plain_array(padding)
        self.activation = activation
        self.convolution = Conv2d(
            self.in_channels,
            self.n_filters,
            kernel_size,
            stride=self.pooling.stride,
            padding=padding,
            rng=default_rng(rng),
            dtype=dtype,
        )

    @property
    def weight(self) -> Parameter:
        """The filters (p, C, kh, kw)."""
        return self.convolution.weight

    def forward(self, x: Images) -> Tensor:
        """Return the maps (N, p, Ho, Wo) of images (N, C, H, W)."""
        check_maps("ConvLayer", x, self.in_channels)
        self.output_size((x.shape[2], x.shape[3]))
        return self.pooling(ACTIVATIONS[self.activation](self.convolution(x)))

    def output_size(self, size: Sequence[int]) -> tuple[int, int]:
        """Return (Ho, Wo) for images of size (H, W).

        Raises
        ------
        ShapeError
            If the kernel is larger than the padded image, or the subsampling leaves
            nothing of it.
        """
        return self.pooling.output_size(self.windows.output_size(size))

    def largest_intermediate(self, size: tuple[int, int]) -> int:
        """Return the number of elements per (H, W) image in the largest intermediate array."""
        height, width = self.windows.output_size(size)
        return self.n_filters * height * width

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON values."""
        return {
            "in_channels": self.in_channels,
            "n_filters": self.n_filters,
            "kernel_size": list(self.windows.kernel),
            "subsampling": list(self.pooling.subsampling),
            "pooling": self.pooling.name,
            "padding": self.padding,
            "activation": self.activation,
            "dtype": str(self.weight.dtype),
        }

    def extra_repr(self) -> str:
        """Return the options for the module tree."""
        subsampling = " x ".join(f"{s:g}" for s in dict.fromkeys(self.pooling.subsampling))
        return f"{self.activation}, subsampling {subsampling}"
