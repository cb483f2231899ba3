"""One layer of a convolutional kernel network.

N batch, C channels, H x W image, G groups, p filters of kh x kw, Z (p, C/G*kh*kw) the
filters as rows, x a patch, s subsampling:

    psi(x) = (kappa(Z Z^T) + eps I)^(-1/2) |x| kappa(Z x / |x|)

(Mairal 2016, arXiv 1605.06265), evaluated at every patch, then pooled. Gaussian pooling
is linear in positions and the matrix acts on channels, so they commute: the matrix is
applied after pooling, to s^2 times fewer positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import numpy as np

from tinygrad_ckn import checks, ops
from tinygrad_ckn.backend import Array, Generator, Images, Vectors, asarray, backend_of, default_rng
from tinygrad_ckn.errors import ShapeError
from tinygrad_ckn.grad_mode import modes
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.models.checks import check_maps
from tinygrad_ckn.models.kernels import Exponential, Kernel, make_kernel
from tinygrad_ckn.models.layers.factors import (
    EpsConvention,
    FactorCache,
    apply_factor,
    nystrom_factors,
)
from tinygrad_ckn.models.layers.pooling import Pooling, PoolingName
from tinygrad_ckn.nn import Module, Parameter, Sphere, init
from tinygrad_ckn.ops.ckn_map import reference_map
from tinygrad_ckn.ops.pool_matrices import Subsampling
from tinygrad_ckn.plain import plain_arguments
from tinygrad_ckn.tensor import Tensor
from tinygrad_ckn.windows import Padding, Pair, Windows, pair


class CKNLayer(Module):
    """Kernel map of patches on anchor filters, and pooling: (N, C, H, W) -> (N, p, Ho, Wo).

    Parameters
    ----------
    in_channels, n_filters : int
        C and p.
    kernel_size : int or (int, int)
        kh x kw: one number, or (vertical, horizontal); (1, k) for signals (N, C, 1, W).
    subsampling : number or (number, number), default 1
        s >= 1, or (vertical, horizontal); fractional for Gaussian pooling only. 1: no
        pooling.
    pooling : str, default "gaussian"
        "gaussian" (`ops.gaussian_pool2d`), "average" or "max" (over windows of s x s),
        "strided" (every s-th position) or "none" (for a subsampling of 1).
    kernel : Kernel or str, default Exponential(sigma=0.6)
        A kernel from `models.kernels`, or its name.
    padding : "same", "valid", "full", int or (int, int), default "same"
        As for `ops.correlate2d`.
    dilation : int or (int, int), default 1
        Spacing of the pixels of a patch, as for `ops.unfold`.
    groups : int, default 1
        G, as for `ops.correlate2d`: p/G filters see C/G channels each, with a norm and a
        Nystrom factor of their own.
    center : bool, default False
        Subtract a learned vector b from each patch: psi(x - b). Patches outside the image
        and zero patches become -b.
    eps : float, default 1e-3
        Regularisation of the inverse square root, > 0.
    eps_convention : "inside" or "outside", default "inside"
        Where eps is added: "inside", (kappa(Z Z^T) + eps I)^(-1/2), or "outside", see
        `ops.inverse_sqrt`.
    rng : Generator, int or None, default None
        Generator or seed of the random initial filters. None: the package's generator,
        see `manual_seed`.
    dtype : "float32" or "float64", default "float32"
        Of the parameters.

    Attributes
    ----------
    weight : Parameter
        Filters (p, C/G, kh, kw), each of norm 1; optimisers keep them there.
    center : Parameter or None
        b (C, kh, kw), initially zero, if patches are centred.
    kernel_parameters : dict[str, Parameter]
        Those of a trained kernel, such as `Exponential(0.6, trained=True)`.

    Raises
    ------
    ConfigError, ShapeError
        If an option is out of range.

    Examples
    --------
    >>> layer = CKNLayer(1, 8, 3, subsampling=2)
    >>> layer(Tensor(np.ones((2, 1, 6, 5), dtype="float32"))).shape
    (2, 8, 3, 3)
    """

    weight: Parameter
    center: Parameter | None
    kernel_parameters: dict[str, Parameter]

    @plain_arguments
    def __init__(
        self,
        in_channels: int,
        n_filters: int,
        kernel_size: Pair,
        *,
        subsampling: Subsampling = 1,
        pooling: PoolingName = "gaussian",
        kernel: Kernel | str = Exponential(sigma=0.6),
        padding: Padding = "same",
        dilation: Pair = 1,
        groups: int = 1,
        center: bool = False,
        eps: float = 1e-3,
        eps_convention: EpsConvention = "inside",
        rng: Generator | int | None = None,
        dtype: str = "float32",
    ) -> None:
        name = "CKNLayer"
        checks.integers(name, in_channels=in_channels, n_filters=n_filters, groups=groups)
        checks.divisible(name, "groups", groups, in_channels=in_channels, n_filters=n_filters)
        checks.positive(name, eps=eps)
        checks.one_of(name, get_args(EpsConvention), eps_convention=eps_convention)
        self.in_channels = int(in_channels)
        self.n_filters = int(n_filters)
        self.groups = int(groups)
        self.kernel_size = pair(name, "kernel_size", kernel_size, 1)
        self.pooling = Pooling.of(name, pooling, subsampling)
        self.kernel = make_kernel(kernel)
        self.padding: Padding = (
            padding if isinstance(padding, str) else pair(name, "padding", padding, 0)
        )
        self.dilation = pair(name, "dilation", dilation, 1)
        self.eps = float(eps)
        self.eps_convention: EpsConvention = eps_convention
        stride = self.pooling.stride
        self.windows = Windows.of(name, self.kernel_size, stride, padding, self.dilation)
        self._make_parameters(center, default_rng(rng), dtype)
        self.factor_cache = FactorCache()

    def _make_parameters(self, center: bool, rng: Generator, dtype: str) -> None:
        shape = (self.n_filters, self.in_channels // self.groups, *self.kernel_size)
        self.weight = Parameter(init.sphere(shape, rng=rng, dtype=dtype), constraint=Sphere())
        patch_shape = (self.in_channels, *self.kernel_size)
        self.center = Parameter(init.constant(patch_shape, 0.0, dtype=dtype)) if center else None
        self.kernel_parameters = {
            name: Parameter(np.asarray(value, dtype))
            for name, value in self.kernel.initial_parameters().items()
        }

    def forward(self, x: Images, factors: Sequence[Array] | None = None) -> Tensor:
        """Return the maps (N, p, Ho, Wo) of images (N, C, H, W).

        `factors` are those of `factors()`; None: computed or taken from the cache.
        """
        check_maps("CKNLayer", x, self.in_channels)
        self.output_size((x.shape[2], x.shape[3]))
        if self._unfolds:
            columns = ops.unfold(
                x,
                self.kernel_size,
                stride=self.windows.stride,
                padding=self.padding,
                dilation=self.dilation,
            )
            size = self.windows.output_size(x.shape[2:])
            columns = columns.reshape((x.shape[0], self._patch_size, *size))
            y = self._map_columns(columns, self.subsampling, factors)
        else:
            y = self._map_groups(
                x, self.weight, factors, padding=self.padding, subsampling=self.subsampling
            )
        return self.pooling(y) if self.pooling.windowed else y

    def embed(self, patches: Vectors) -> Tensor:
        """Return psi of patches given as rows: (n, C*kh*kw) -> (n, p).

        `sample_patches` draws such patches.

        Raises
        ------
        ShapeError
            If the patches do not have the layer's size.
        """
        if len(patches.shape) != 2 or patches.shape[1] != self._patch_size:
            raise ShapeError(
                f"CKNLayer.embed: argument patches expected shape (n, {self._patch_size}), "
                f"got {patches.shape}"
            )
        n = patches.shape[0]
        columns = patches.reshape((n, self._patch_size, 1, 1))
        return self._map_columns(columns, (1, 1)).reshape((n, self.n_filters))

    def _map_columns(
        self, x: Images, subsampling: tuple[float, float], factors: Sequence[Array] | None = None
    ) -> Tensor:
        """Return the maps of patches laid out as channels, (N, C*kh*kw, Ho, Wo)."""
        if self.center is not None:
            x = x - self.center.reshape((self._patch_size, 1, 1))
        weight = self.weight.reshape((self.n_filters, self._patch_size // self.groups, 1, 1))
        return self._map_groups(x, weight, factors, padding=0, subsampling=subsampling)

    def _map_groups(
        self, x: Images, weight: Array, factors: Sequence[Array] | None, **options: Any
    ) -> Tensor:
        """Return the maps of all groups, before average and maximum pooling."""
        kappa = self.kernel.fused(**self._kernel_parameters())
        if self.pooling.name != "gaussian":
            options["subsampling"] = (1, 1)
        factors = self.factors() if factors is None else factors
        maps: list[Tensor] = []
        for images, filters, factor in zip(
            _split(x, self.groups, 1), _split(weight, self.groups, 0), factors, strict=True
        ):
            # The factor of coinciding filters is float64 and applied by itself.
            separate = factor.dtype != weight.dtype
            fused = None if separate else factor
            y: Any
            if kappa is None:
                y = reference_map(images, filters, self._kappa, fused, **options)
            else:
                y = ops.ckn_map(images, filters, kappa, fused, **options)
            maps.append(apply_factor(factor, y) if separate else y)
        return maps[0] if self.groups == 1 else ops.concatenate(maps, axis=1)

    @property
    def subsampling(self) -> tuple[float, float]:
        """The subsampling as (vertical, horizontal)."""
        return self.pooling.subsampling

    @property
    def _patch_size(self) -> int:
        """The number of elements of a patch, over all channels."""
        return self.in_channels * self.kernel_size[0] * self.kernel_size[1]

    @property
    def _unfolds(self) -> bool:
        """Whether patches are unfolded into channels, for options that the fused map lacks."""
        return self.center is not None or self.windows.stride != (1, 1) or self.dilation != (1, 1)

    def gram(self) -> Array:
        """Return kappa(Z Z^T) of each group, (G, p/G, p/G).

        It is float64 on the CPU: rounding of float32 is not small compared with eps.
        """
        z = self.weight.reshape((self.groups, self.n_filters // self.groups, -1))
        z = z if backend_of(unwrap(z)).asynchronous else z.astype("float64")
        return self._kappa(z @ z.swapaxes(1, 2))

    def _kappa(self, u: Array) -> Array:
        return self.kernel.kappa(u, **self._kernel_parameters())

    def _kernel_parameters(self) -> dict[str, Any]:
        """Return the kernel's parameters: Tensors if a gradient may be needed, else numbers."""
        differentiable = self.training or modes.recording
        return {
            name: p if differentiable and p.requires_grad else p.item()
            for name, p in self.kernel_parameters.items()
        }

    def factors(self) -> list[Array]:
        """Return the Nystrom factor (p/G, p/G) of each group.

        In eval mode without recording they are computed once and cached until a parameter
        changes.
        """
        cacheable = self.factors_cacheable
        cached = self.factor_cache.get(self.factor_parameters) if cacheable else None
        if cached is not None:
            return cached
        factors = nystrom_factors(
            self.gram(),
            eps=self.eps,
            eps_convention=self.eps_convention,
            dtype=str(self.weight.dtype),
        )
        if cacheable:
            self.factor_cache.put(self.factor_parameters, factors)
        return factors

    @property
    def factors_cacheable(self) -> bool:
        """Whether the factors are constant until a parameter changes."""
        return not self.training and not (
            modes.recording and any(p.requires_grad for p in self.factor_parameters)
        )

    @property
    def factor_parameters(self) -> list[Parameter]:
        """The parameters that the factors depend on."""
        return [self.weight, *self.kernel_parameters.values()]

    def set_filters(self, filters: Vectors) -> None:
        """Set the filters, each scaled to norm 1.

        Parameters
        ----------
        filters : array or Tensor
            (p, C/G, kh, kw), or as rows (p, C/G*kh*kw).

        Raises
        ------
        ShapeError
            If they have another shape.
        LinearAlgebraError
            If one is zero or not finite.

        Examples
        --------
        >>> layer = CKNLayer(1, 2, (1, 2))
        >>> layer.set_filters(np.array([[3.0, 4.0], [0.0, 2.0]]))
        >>> layer.weight.data.reshape(2, 2).tolist()
        [[0.6000000238418579, 0.800000011920929], [0.0, 1.0]]
        """
        array = asarray(unwrap(filters), device=self.weight.device)
        shape = self.weight.shape
        if array.shape not in (shape, (shape[0], self.weight.size // shape[0])):
            raise ShapeError(
                f"CKNLayer.set_filters: argument filters expected shape {shape}, or rows, "
                f"got {array.shape}"
            )
        self.weight.data = Sphere().retract(array).reshape(shape).astype(self.weight.dtype)

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
        """Return the elements per image, of size (H, W), of the largest intermediate array."""
        patches = self.windows.output_size(size)
        fused = self.kernel.fused(**self._kernel_parameters()) is not None
        height, width = self.output_size(size) if fused and not self.pooling.windowed else patches
        largest = self.n_filters * height * width
        return max(largest, self._patch_size * patches[0] * patches[1] * self._unfolds)

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON values."""
        return {
            "in_channels": self.in_channels,
            "n_filters": self.n_filters,
            "kernel_size": list(self.kernel_size),
            "subsampling": list(self.subsampling),
            "pooling": self.pooling.name,
            "kernel": self.kernel.config(),
            "padding": self.padding,
            "dilation": list(self.dilation),
            "groups": self.groups,
            "center": self.center is not None,
            "eps": self.eps,
            "eps_convention": self.eps_convention,
            "dtype": str(self.weight.dtype),
        }

    def extra_repr(self) -> str:
        """Return the options for the module tree."""
        kh, kw = self.kernel_size
        shape = f"{self.in_channels} -> {self.n_filters}, {kh}x{kw}"
        subsampling = " x ".join(f"{s:g}" for s in dict.fromkeys(self.subsampling))
        return f"{shape}, subsampling {subsampling}, {self.kernel}"


def _split(x: Array, groups: int, axis: int) -> Sequence[Array]:
    return [x] if groups == 1 else ops.split(x, groups, axis)
