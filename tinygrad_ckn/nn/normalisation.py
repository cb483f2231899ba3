"""Normalisation to mean 0 and variance 1: over the batch, or over the features.

N batch, C channels, L length, H x W image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array, DTypeLike, Namespace, xp_of
from tinygrad_ckn.errors import ConfigError, ShapeError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.integers import is_whole
from tinygrad_ckn.nn import init
from tinygrad_ckn.nn.module import Module
from tinygrad_ckn.nn.parameter import Parameter
from tinygrad_ckn.ops.reduce import mean, var
from tinygrad_ckn.ops.shape import reshape
from tinygrad_ckn.plain import plain_arguments, plain_array
from tinygrad_ckn.primitive import primitive
from tinygrad_ckn.random_numbers import is_repeating
from tinygrad_ckn.tensor import Tensor


@primitive(saves=True)
def normalise(
    xp: Namespace,
    x: Array,
    *,
    axis: tuple[int, ...],
    eps: float,
    moments: tuple[Array, Array, Array] | None = None,
) -> tuple[Array, Any]:
    """Return (x - mean) / sqrt(variance + eps), both over some axes.

    `moments` are what `moments_of(x)` returns, where it is known.
    """
    _, deviations, variance = moments or moments_of(x, axis)
    scale = 1 / xp.sqrt(variance + eps)
    return deviations * scale, scale


normalise.vjp(x=lambda g, x, y, axis, eps, saved: _normalise_rule(g, saved, x, y, axis, eps))


def _normalise_rule(
    g: Array, saved: Any, x: Array, y: Array, axis: tuple[int, ...], eps: float
) -> Any:
    # `saved` is 1 / sqrt(variance + eps).
    if saved is None:
        scale = (var(x, axis=axis, keepdims=True) + eps) ** -0.5
        along_y = mean(g * y, axis=axis, keepdims=True)
        return scale * (g - mean(g, axis=axis, keepdims=True) - y * along_y)
    product: Any = g * y
    along_y = product.mean(axis=axis, keepdims=True)
    slope = xp_of(product).multiply(y, along_y, out=product)
    slope += g.mean(axis=axis, keepdims=True)
    xp_of(product).subtract(g, slope, out=slope)
    slope *= saved
    return slope


def moments_of(x: Any, axis: tuple[int, ...]) -> tuple[Any, Any, Any]:
    """Return the mean over axes of a raw array, the deviations from it, and the variance.

    Mean and variance are with keepdims=True.
    """
    center = x.mean(axis=axis, keepdims=True)
    deviations = x - center
    return center, deviations, (deviations * deviations).mean(axis=axis, keepdims=True)


class _BatchNorm(Module):
    """Batch normalisation for any number of axes; subclasses say which."""

    # (C,); None without `affine`
    weight: Parameter | None
    bias: Parameter | None
    # (C,), buffers
    running_mean: Tensor
    running_var: Tensor
    # numbers of axes, and shapes in words
    _axes: tuple[int, ...]
    _shapes: str

    @plain_arguments
    def __init__(
        self,
        num_features: int,
        *,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        dtype: DTypeLike = "float32",
    ) -> None:
        owner = type(self).__name__
        checks.integers(owner, num_features=num_features)
        checks.positive(owner, eps=eps)
        self.num_features = int(num_features)
        self.eps = float(eps)
        self.momentum = checks.number(
            owner, "momentum", momentum, "a number in [0, 1]", lambda m: 0 <= m <= 1
        )
        shape = (self.num_features,)
        self.weight = Parameter(init.constant(shape, 1.0, dtype=dtype)) if affine else None
        self.bias = Parameter(init.constant(shape, 0.0, dtype=dtype)) if affine else None
        self.running_mean = Tensor(init.constant(shape, 0.0, dtype=dtype))
        self.running_var = Tensor(init.constant(shape, 1.0, dtype=dtype))

    def forward(self, x: Array) -> Tensor:
        """Return x normalised, by its own moments in training, else by the running ones.

        In training the running moments are updated.

        Raises
        ------
        ShapeError
            If x has another shape, or in training only one number for each channel.
        DTypeError
            If x is not a floating array.
        """
        owner = f"{type(self).__name__}({self.extra_repr()})"
        checks.floating(owner, x=x)
        if len(x.shape) not in self._axes or x.shape[1] != self.num_features:
            shapes = self._shapes.format(self.num_features)
            raise ShapeError(f"{owner}: argument x expected shape {shapes}, got {x.shape}")
        per_channel = (1, self.num_features, *[1] * (len(x.shape) - 2))
        y: Any = self._by_batch(owner, x) if self.training else self._by_running(x, per_channel)
        if self.weight is not None and self.bias is not None:
            y = y * reshape(self.weight, per_channel) + reshape(self.bias, per_channel)
        return y  # type: ignore[no-any-return]

    def _by_batch(self, owner: str, x: Array) -> Tensor:
        """Normalise by the moments of x, and take them into the running ones."""
        count = math.prod(x.shape) // self.num_features
        if count < 2:
            raise ShapeError(
                f"{owner}: argument x expected more than one number for each channel in training, "
                f"got shape {x.shape}; pass a larger batch, or call eval() first"
            )
        axis = (0, *range(2, len(x.shape)))
        moments = center, _, variance = moments_of(unwrap(x), axis)
        if not is_repeating():
            self._update(self.running_mean, center)
            self._update(self.running_var, variance * (count / (count - 1)))
        return normalise(x, axis=axis, eps=self.eps, moments=moments)

    def _update(self, running: Tensor, batch: Any) -> None:
        old = running.data
        new = (1 - self.momentum) * old + self.momentum * batch.reshape(-1).astype(old.dtype)
        running.set_data(new)

    def _by_running(self, x: Any, per_channel: tuple[int, ...]) -> Any:
        """Normalise by the running moments, which are constants."""
        xp = xp_of(self.running_var.data)
        scale = 1 / xp.sqrt(self.running_var.data + self.eps)
        return (x - self.running_mean.data.reshape(per_channel)) * scale.reshape(per_channel)

    def extra_repr(self) -> str:
        """Return the number of channels, and the options that differ from their defaults."""
        eps = f", eps={self.eps:g}" if self.eps != 1e-5 else ""
        momentum = f", momentum={self.momentum:g}" if self.momentum != 0.1 else ""
        affine = "" if self.weight is not None else ", affine=False"
        return f"{self.num_features}{eps}{momentum}{affine}"


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of features: (N, C) or (N, C, L) -> the same shape.

    y = (x - mean) / sqrt(variance + eps) * weight + bias, for each channel. In training
    the moments are those of the batch, with the variance divided by n for n numbers; the
    running ones, that eval mode uses, become (1 - momentum) running + momentum batch, with
    the variance of the batch divided by n - 1, as in PyTorch. Source: S. Ioffe and C.
    Szegedy, Batch normalization, ICML 2015 (arXiv 1502.03167), algorithms 1 and 2.

    Parameters
    ----------
    num_features
        C, at least 1.
    eps
        Added to the variance, > 0; default 1e-5.
    momentum
        Weight of a batch in the running moments, in [0, 1]; default 0.1.
    affine
        Whether to multiply by `weight` and add `bias`, (C,), at first 1 and 0; default
        True.
    dtype
        Of parameters and buffers; default float32.

    Raises
    ------
    ConfigError
        If an option is out of range.

    Examples
    --------
    >>> layer = BatchNorm1d(1, dtype="float64")
    >>> layer(Tensor([[1.0], [3.0]])).numpy().round(3).tolist()
    [[-1.0], [1.0]]
    >>> layer
    BatchNorm1d(1)  weight (1,) bias (1,) running_mean (1,) buffer running_var (1,) buffer  2
    >>> layer.running_mean
    Tensor((1,), float64, cpu) [0.2]
    """

    _axes = (2, 3)
    _shapes = "(N, {0}) or (N, {0}, L)"


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of images: (N, C, H, W) -> the same shape.

    As `BatchNorm1d`, with moments over batch, height and width.

    Parameters
    ----------
    num_features, eps, momentum, affine, dtype
        As for `BatchNorm1d`.

    Raises
    ------
    ConfigError
        If an option is out of range.

    Examples
    --------
    >>> layer = BatchNorm2d(3)
    >>> layer(Tensor(np.ones((2, 3, 4, 4), np.float32))).shape
    (2, 3, 4, 4)
    >>> sorted(layer.state_dict())
    ['bias', 'running_mean', 'running_var', 'weight']
    """

    _axes = (4,)
    _shapes = "(N, {0}, H, W)"


class LayerNorm(Module):
    """Normalisation of each example over its last axes: any shape -> the same shape.

    y = (x - mean) / sqrt(variance + eps) * weight + bias, with the variance divided by n
    for n numbers. Source: J. Ba, J. Kiros and G. Hinton, Layer normalization (arXiv
    1607.06450), section 3.

    Parameters
    ----------
    normalized_shape
        Sizes of the last axes that are normalised together; a number: of the last.
    eps
        Added to the variance, > 0; default 1e-5.
    elementwise_affine
        Whether to multiply by `weight` and add `bias`, of the normalised shape, at first 1
        and 0; default True.
    dtype
        Of the parameters; default float32.

    Raises
    ------
    ConfigError
        If a size or eps is out of range.

    Examples
    --------
    >>> LayerNorm(2, dtype="float64")(Tensor([[1.0, 3.0]])).numpy().round(3).tolist()
    [[-1.0, 1.0]]
    """

    # of the normalised shape; None without `elementwise_affine`
    weight: Parameter | None
    bias: Parameter | None

    @plain_arguments
    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        *,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        dtype: DTypeLike = "float32",
    ) -> None:
        sizes = plain_array(normalized_shape)
        shape = tuple(sizes) if isinstance(sizes, Sequence) else (sizes,)
        if not shape or not all(is_whole(size, 1) for size in shape):
            raise ConfigError(
                "LayerNorm: argument normalized_shape expected integers >= 1, at least one, "
                f"got {normalized_shape!r}"
            )
        checks.positive("LayerNorm", eps=eps)
        self.normalized_shape = shape
        self.eps = float(eps)
        affine = elementwise_affine
        self.weight = Parameter(init.constant(shape, 1.0, dtype=dtype)) if affine else None
        self.bias = Parameter(init.constant(shape, 0.0, dtype=dtype)) if affine else None

    def forward(self, x: Array) -> Tensor:
        """Return x normalised.

        Raises
        ------
        ShapeError
            If the last axes of x do not have the normalised shape.
        DTypeError
            If x is not a floating array.
        """
        owner = f"LayerNorm({self.extra_repr()})"
        checks.floating(owner, x=x)
        count = len(self.normalized_shape)
        if x.shape[-count:] != self.normalized_shape:
            sizes = ", ".join(map(str, self.normalized_shape))
            raise ShapeError(f"{owner}: argument x expected shape (..., {sizes}), got {x.shape}")
        y = normalise(x, axis=tuple(range(-count, 0)), eps=self.eps)
        return y if self.weight is None or self.bias is None else y * self.weight + self.bias

    def extra_repr(self) -> str:
        """Return the normalised shape, and the options that differ from their defaults."""
        eps = f", eps={self.eps:g}" if self.eps != 1e-5 else ""
        affine = "" if self.weight is not None else ", elementwise_affine=False"
        return f"{'x'.join(map(str, self.normalized_shape))}{eps}{affine}"
