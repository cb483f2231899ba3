"""One layer of a convolutional kernel network.

N batch, C channels, H x W image, G groups, p filters of kh x kw, Z (p, C/G*kh*kw) the
filters as rows, x a patch, s subsampling:

    psi(x) = (kappa(Z Z^T) + eps I)^(-1/2) |x| kappa(Z x / |x|)        Mairal 2016 (arXiv 1605.06265)

evaluated at every patch, then pooled. Gaussian pooling is linear in positions and the
matrix acts on channels, so they commute: the matrix is applied after pooling, to s^2
times fewer positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_ckn import checks, ops
from tinygrad_ckn.backend import CPU, Generator, asarray, default_rng, is_whole
from tinygrad_ckn.errors import ConfigError, ShapeError
from tinygrad_ckn.grad_mode import modes
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.models.checks import check_floating
from tinygrad_ckn.models.kernels import Exponential, Kernel, make_kernel
from tinygrad_ckn.models.layers.nystrom import Kept, factors, nystrom_error, transformed
from tinygrad_ckn.models.layers.pooling import Pooling
from tinygrad_ckn.nn import Module, Parameter, Sphere, init
from tinygrad_ckn.ops.ckn_map import reference_map
from tinygrad_ckn.ops.pool_matrices import Subsampling
from tinygrad_ckn.plain import plain_arguments
from tinygrad_ckn.windows import Padding, Pair, Windows, is_finite, pair

CONVENTIONS = ("inside", "outside")


class CKNLayer(Module):
    """Patches, kernel map on anchor filters, pooling: (N, C, H, W) -> (N, p, Ho, Wo).

    Parameters
    ----------
    in_channels, n_filters
        C and p.
    kernel_size
        Number or (vertical, horizontal); (1, k) for signals (N, C, 1, W).
    subsampling
        s >= 1, or (vertical, horizontal); may be fractional where the pooling is
        Gaussian. 1: no pooling.
    pooling
        "gaussian" (`ops.gaussian_pool2d`), "average" or "max" (of windows of s x s),
        "strided" (each s-th position and no more), or "none", for a subsampling of 1.
    kernel
        A kernel from `models.kernels`, or its name.
    padding
        "same" | "valid" | "full", a number or a pair, as for `ops.correlate2d`.
    dilation
        Of the patches, as for `ops.unfold`: number or (vertical, horizontal).
    groups
        G, as for `ops.correlate2d`: p/G filters see C/G channels each, with a norm and
        a Nystrom factor of their own.
    centred
        Whether a vector b, which is learned, is taken from each patch: psi(x - b).
        Border and zero patches become -b.
    eps
        Regularisation of the inverse square root, > 0.
    convention
        Where eps stands: "inside", (kappa(Z Z^T) + eps I)^(-1/2), or "outside", see
        `ops.inverse_sqrt`.
    rng
        Generator or seed of the random initial filters; None: the package's, see
        `manual_seed`.
    dtype
        "float32" or "float64".

    Attributes
    ----------
    weight : Parameter
        Filters (p, C/G, kh, kw), each of norm 1; optimisers keep them there.
    center : Parameter | None
        b (C, kh, kw), where patches are centred; zero at first.
    kernel_parameters : dict[str, Parameter]
        Those of a kernel that is trained, as `Exponential(0.6, trained=True)`.

    Raises
    ------
    ConfigError, ShapeError
        If an option is out of its range.

    Examples
    --------
    >>> layer = CKNLayer(1, 8, 3, subsampling=2)
    >>> layer(Tensor(np.ones((2, 1, 6, 5), dtype="float32"))).shape
    (2, 8, 3, 3)
    """

    weight: Parameter

    @plain_arguments
    def __init__(
        self,
        in_channels: int,
        n_filters: int,
        kernel_size: Pair,
        *,
        subsampling: Subsampling = 1,
        pooling: str = "gaussian",
        kernel: Kernel | str = Exponential(sigma=0.6),
        padding: Padding = "same",
        dilation: Pair = 1,
        groups: int = 1,
        center: bool = False,
        eps: float = 1e-3,
        eps_convention: str = "inside",
        rng: Generator | int | None = None,
        dtype: str = "float32",
    ) -> None:
        for name, value in (
            ("in_channels", in_channels),
            ("n_filters", n_filters),
            ("groups", groups),
        ):
            if not is_whole(value, 1):
                raise ConfigError(
                    f"CKNLayer: argument {name} expected an integer >= 1, got {value!r}"
                )
        if in_channels % groups or n_filters % groups:
            raise ConfigError(
                f"CKNLayer: argument groups expected a divisor of in_channels {in_channels} and n_filters {n_filters}, "
                f"got {groups}"
            )
        if not is_finite(eps) or eps <= 0:
            raise ConfigError(f"CKNLayer: argument eps expected a number > 0, got {eps!r}")
        if eps_convention not in CONVENTIONS:
            raise ConfigError(
                f"CKNLayer: argument eps_convention expected one of {', '.join(CONVENTIONS)}, got {eps_convention!r}"
            )
        self.in_channels, self.n_filters, self.groups = (
            int(in_channels),
            int(n_filters),
            int(groups),
        )
        self.kernel_size = pair("CKNLayer", "kernel_size", kernel_size, 1)
        self.pooling = Pooling.of("CKNLayer", pooling, subsampling)
        self.kernel = make_kernel(kernel)
        self.padding = (
            padding if isinstance(padding, str) else pair("CKNLayer", "padding", padding, 0)
        )
        self.dilation = pair("CKNLayer", "dilation", dilation, 1)
        self.eps, self.eps_convention = float(eps), eps_convention
        self.windows = Windows.of(
            "CKNLayer", self.kernel_size, self.pooling.stride, padding, self.dilation
        )
        shape = (self.n_filters, self.in_channels // self.groups, *self.kernel_size)
        self.weight = Parameter(
            init.sphere(shape, rng=default_rng(rng), dtype=dtype), constraint=Sphere()
        )
        of_patch = (self.in_channels, *self.kernel_size)
        self.center = Parameter(init.constant(of_patch, 0.0, dtype=dtype)) if center else None
        initial = self.kernel.initial_parameters()
        self.kernel_parameters = {
            name: Parameter(CPU.xp.asarray(value, dtype)) for name, value in initial.items()
        }
        self.kept = Kept()

    def forward(self, x: Any, factors: Sequence[Any] | None = None) -> Any:
        """Return the map of images (N, C, H, W); factors are those of `nystrom.factors`, or None: computed here."""
        checks.array("CKNLayer", x=x)
        if len(x.shape) != 4 or x.shape[1] != self.in_channels:
            raise ShapeError(
                f"CKNLayer: expected images of shape (N, {self.in_channels}, H, W), got {tuple(x.shape)}"
            )
        check_floating("CKNLayer", x)
        self.output_size(x.shape[2:])
        if self._unfolds:
            stride, size = self.windows.stride, self.windows.output_size(x.shape[2:])
            x = ops.unfold(
                x, self.kernel_size, stride=stride, padding=self.padding, dilation=self.dilation
            )
            y = self._map_columns(
                x.reshape((x.shape[0], self._patch, *size)), self.subsampling, factors
            )
        else:
            y = self._map_groups(
                x, self.weight, factors, padding=self.padding, subsampling=self.subsampling
            )
        return self.pooling(y) if self.pooling.windowed else y

    def embed(self, patches: Any) -> Any:
        """Return psi of patches given as rows, (n, C*kh*kw) -> (n, p); `sample_patches` draws such."""
        if len(patches.shape) != 2 or patches.shape[1] != self._patch:
            raise ShapeError(
                f"CKNLayer.embed: expected patches of shape (n, {self._patch}), got {patches.shape}"
            )
        n = patches.shape[0]
        return self._map_columns(patches.reshape((n, self._patch, 1, 1)), (1, 1)).reshape(
            (n, self.n_filters)
        )

    def _map_columns(
        self, x: Any, subsampling: tuple[float, float], factors: Sequence[Any] | None = None
    ) -> Any:
        """Return the map of patches that are laid out as channels, (N, C*kh*kw, Ho, Wo)."""
        if self.center is not None:
            x = x - self.center.reshape((self._patch, 1, 1))
        weight = self.weight.reshape((self.n_filters, self._patch // self.groups, 1, 1))
        return self._map_groups(x, weight, factors, padding=0, subsampling=subsampling)

    def _map_groups(
        self, x: Any, weight: Any, factors: Sequence[Any] | None, **options: Any
    ) -> Any:
        """Return the maps of all groups, before average and maximum pooling."""
        kappa = self.kernel.fused(**self._kernel_parameters())
        if self.pooling.name != "gaussian":
            options["subsampling"] = (1, 1)
        maps = []
        parts = _split(x, self.groups, 1), _split(weight, self.groups, 0)
        for images, z, factor in zip(
            *parts, self.factors() if factors is None else factors, strict=True
        ):
            # in float64: filters coincide
            apart = factor.dtype != weight.dtype
            within = None if apart else factor
            if kappa is None:
                y = reference_map(images, z, self._kappa, within, **options)
            else:
                y = ops.ckn_map(images, z, kappa, within, **options)
            maps.append(transformed(factor, y) if apart else y)
        return maps[0] if self.groups == 1 else ops.concatenate(maps, axis=1)

    @property
    def subsampling(self) -> tuple[float, float]:
        """The subsampling as (vertical, horizontal)."""
        return self.pooling.subsampling

    @property
    def _patch(self) -> int:
        """The number of elements of a patch of all channels."""
        return self.in_channels * self.kernel_size[0] * self.kernel_size[1]

    @property
    def _unfolds(self) -> bool:
        """Whether patches are laid out as channels, for what the fused map does not do by itself."""
        return self.center is not None or self.windows.stride != (1, 1) or self.dilation != (1, 1)

    def gram(self, dtype: str | None = None) -> Any:
        """Return kappa(Z Z^T) of each group: (G, p/G, p/G), computed in a dtype (None: that of the filters)."""
        z = self.weight.reshape((self.groups, self.n_filters // self.groups, -1))
        z = z if dtype is None else z.astype(dtype)
        return self._kappa(z @ z.swapaxes(1, 2))

    def _kappa(self, u: Any) -> Any:
        return self.kernel.kappa(u, **self._kernel_parameters())

    def _kernel_parameters(self) -> dict[str, Any]:
        """Return the kernel's parameters: Tensors in training or where a gradient may be asked for, else numbers."""
        asked = self.training or modes.recording
        return {
            name: p if asked and p.requires_grad else p.item()
            for name, p in self.kernel_parameters.items()
        }

    def factors(self) -> Sequence[Any]:
        """Return each group's Nystrom factor, (p/G, p/G); computed once for given filters in eval without recording."""
        return factors([self])[0]

    def set_filters(self, filters: Any) -> None:
        """Set the filters, each scaled to norm 1.

        Parameters
        ----------
        filters
            (p, C/G, kh, kw), or as rows (p, C/G*kh*kw).

        Raises
        ------
        ShapeError
            If they are of another shape.
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
                f"CKNLayer.set_filters: expected filters of shape {shape} or as rows, got {array.shape}"
            )
        self.weight.data = Sphere().retract(array).reshape(shape).astype(self.weight.dtype)

    def nystrom_error(self, patches: Any) -> float:
        """Return the share of the kernel that the filters miss on patches (n, C*kh*kw): `models.nystrom_error`."""
        return nystrom_error(self, patches)

    @property
    def fixed(self) -> bool:
        """Whether the factors stay what they are until a parameter changes."""
        return not (
            self.training
            or (modes.recording and any(p.requires_grad for p in self.factor_parameters))
        )

    @property
    def factor_parameters(self) -> list[Parameter]:
        """The parameters that the factors depend on."""
        return [self.weight, *self.kernel_parameters.values()]

    def output_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return (Ho, Wo) for images of size (H, W).

        Raises
        ------
        ShapeError
            If the kernel is larger than the padded image, or the subsampling leaves
            nothing of it.
        """
        return self.pooling.output_size(self.windows.output_size(size))

    def held(self, size: tuple[int, int]) -> int:
        """Return the number of elements that an image of size (H, W) has in the largest array that the map makes."""
        patches, pooled = self.windows.output_size(size), self.output_size(size)
        fused = (
            self.kernel.fused(**self._kernel_parameters()) is not None and not self.pooling.windowed
        )
        positions = pooled if fused else patches
        held = self.n_filters * positions[0] * positions[1]
        return max(held, self._patch * patches[0] * patches[1]) if self._unfolds else held

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments, as JSON takes them."""
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
        subsampling = " x ".join(f"{s:g}" for s in dict.fromkeys(self.subsampling))
        return f"{self.in_channels} -> {self.n_filters}, {kh}x{kw}, subsampling {subsampling}, {self.kernel}"


def _split(x: Any, groups: int, axis: int) -> list[Any]:
    return [x] if groups == 1 else ops.split(x, groups, axis)
