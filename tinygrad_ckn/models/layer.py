"""One layer of a convolutional kernel network.

N batch, C channels, H x W image, p filters of kh x kw, Z (p, C*kh*kw) the filters as rows, x a patch, s subsampling:

    psi(x) = (kappa(Z Z^T) + eps I)^(-1/2) |x| kappa(Z x / |x|)        Mairal 2016 (arXiv 1605.06265)

evaluated at every patch, then pooled with Gaussian weights. Pooling is linear in positions and the matrix acts on
channels, so they commute: the matrix is applied after pooling, to s^2 times fewer positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_ckn import ops
from tinygrad_ckn.backend import Generator, is_whole
from tinygrad_ckn.backend import rng as generator
from tinygrad_ckn.errors import ConfigError, DTypeError, ShapeError
from tinygrad_ckn.graph import raw
from tinygrad_ckn.models.kernels import Exponential, Kernel
from tinygrad_ckn.models.kernels import kernel as kernel_of
from tinygrad_ckn.modes import modes
from tinygrad_ckn.nn import Module, Parameter, Sphere, init
from tinygrad_ckn.ops._windows import Padding, Pair, Windows, is_finite, pair
from tinygrad_ckn.ops.ckn_map import composed
from tinygrad_ckn.ops.pool import gaussian_size


def check_floating(owner: str, images: Any) -> None:
    """Raise a DTypeError if images are of an integer dtype: their scale would be another than that of [0, 1]."""
    if raw(images).dtype.kind in "iu":
        raise DTypeError(
            f"{owner}: expected images of dtype float32 or float64, got {images.dtype}; divide them by 255, or as the "
            "training images were, and pass float32"
        )


class CKNLayer(Module):
    """Patches, kernel map on anchor filters, Gaussian pooling: (N, C, H, W) -> (N, p, Ho, Wo).

    Parameters
    ----------
    in_channels, n_filters
        C and p.
    kernel_size
        Number or (vertical, horizontal).
    subsampling
        s >= 1, may be fractional; 1: no pooling.
    kernel
        A kernel from `models.kernels`, or its name.
    padding
        "same" | "valid" | "full", a number or a pair, as for `ops.correlate2d`.
    eps
        Regularisation inside the inverse square root, > 0.
    rng
        Generator or seed of the random initial filters.
    dtype
        "float32" or "float64".

    Attributes
    ----------
    weight : Parameter
        Filters (p, C, kh, kw), each of norm 1; optimisers keep them there.

    Examples
    --------
    >>> layer = CKNLayer(1, 8, 3, subsampling=2)
    >>> layer(Tensor(np.ones((2, 1, 6, 5), dtype="float32"))).shape
    (2, 8, 3, 3)
    """

    weight: Parameter

    def __init__(
        self,
        in_channels: int,
        n_filters: int,
        kernel_size: Pair,
        *,
        subsampling: float = 1,
        kernel: Kernel | str = Exponential(sigma=0.6),
        padding: Padding = "same",
        eps: float = 1e-3,
        rng: Generator | int | None = None,
        dtype: str = "float32",
    ) -> None:
        for name, value in (("in_channels", in_channels), ("n_filters", n_filters)):
            if not is_whole(value, 1):
                raise ConfigError(f"CKNLayer: argument {name} expected a whole number >= 1, got {value!r}")
        if not is_finite(subsampling) or subsampling < 1:
            raise ConfigError(f"CKNLayer: argument subsampling expected a number >= 1, got {subsampling!r}")
        if not is_finite(eps) or eps <= 0:
            raise ConfigError(f"CKNLayer: argument eps expected a number > 0, got {eps!r}")
        self.in_channels = int(in_channels)
        self.n_filters = int(n_filters)
        self.kernel_size = pair("CKNLayer", "kernel_size", kernel_size, 1)
        self.subsampling = subsampling
        self.kernel = kernel_of(kernel)
        self.padding = padding
        self.eps = eps
        self.windows = Windows.of("CKNLayer", self.kernel_size, 1, padding)
        shape = (n_filters, in_channels, *self.kernel_size)
        self.weight = Parameter(init.sphere(shape, rng=generator(rng), dtype=dtype), constraint=Sphere())
        self._transform: tuple[Any, int, Any] | None = None  # for the weight's array at its version

    def forward(self, x: Any, transform: Any = None) -> Any:
        """Return the map of images (N, C, H, W); transform is that of `transforms`, or None: it is computed here."""
        if len(x.shape) != 4 or x.shape[1] != self.in_channels:
            raise ShapeError(f"CKNLayer: expected images of shape (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        check_floating("CKNLayer", x)
        kappa = self.kernel.fused()
        if transform is None:
            transform = self.transform()
        if kappa is None:
            return composed(x, self.weight, self.kernel.kappa, transform, self.padding, self.subsampling)
        return ops.ckn_map(x, self.weight, kappa, transform, padding=self.padding, subsampling=self.subsampling)

    def transform(self) -> Any:
        """Return (kappa(Z Z^T) + eps I)^(-1/2), (p, p); computed once for given filters in eval without recording."""
        return transforms([self])[0]

    def gram(self) -> Any:
        """Return kappa(Z Z^T), (p, p)."""
        z = self.weight.reshape((self.n_filters, -1))
        return self.kernel.kappa(z @ z.T)

    @property
    def _fixed(self) -> bool:
        """Whether the transform stays what it is until the weight changes."""
        return not (self.training or (modes.recording and self.weight.requires_grad))

    def _kept(self) -> Any:
        """Return the transform that was kept, if it is still that of the filters."""
        if self._transform is None or not self._fixed:
            return None
        array, version, transform = self._transform
        return transform if array is self.weight.data and version == self.weight.version else None

    def _keep(self, transform: Any) -> None:
        if self._fixed:
            self._transform = (self.weight.data, self.weight.version, raw(transform))

    def output_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return (Ho, Wo) for images of size (H, W)."""
        size = self.windows.output_size(size)
        return gaussian_size(size, self.subsampling) if self.subsampling > 1 else size

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments, as JSON takes them."""
        return {
            "in_channels": self.in_channels,
            "n_filters": self.n_filters,
            "kernel_size": list(self.kernel_size),
            "subsampling": self.subsampling,
            "kernel": self.kernel.config(),
            "padding": self.padding,
            "eps": self.eps,
            "dtype": str(self.weight.dtype),
        }

    def extra_repr(self) -> str:
        """Return the options for the module tree."""
        kh, kw = self.kernel_size
        return f"{self.in_channels} -> {self.n_filters}, {kh}x{kw}, subsampling {self.subsampling:g}, {self.kernel}"


def transforms(layers: Sequence[CKNLayer]) -> list[Any]:
    """Return the `transform` of each layer, those of as many filters in one stack: the CPU's threads share it."""
    found = [layer._kept() for layer in layers]
    stacks: dict[tuple[Any, ...], list[int]] = {}
    for i, (layer, kept) in enumerate(zip(layers, found, strict=True)):
        if kept is None:
            stacks.setdefault((layer.n_filters, layer.eps, layer.weight.dtype), []).append(i)
    for (_, eps, _), numbers in stacks.items():
        roots = ops.inverse_sqrt(ops.stack([layers[i].gram() for i in numbers]), eps=eps)
        for place, i in enumerate(numbers):
            found[i] = roots[place]
            layers[i]._keep(found[i])
    return found
