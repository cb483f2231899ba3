"""Whitening of patches: within an image, or as the patches of the training images lie.

N images, C channels, H x W, patches of kh x kw: d = C kh kw values, L = (H - kh + 1) (W
- kw + 1) in an image. Patches that were changed are put together to an image again by
the mean of those that contain a pixel.
"""

from __future__ import annotations

import math
from typing import Any, Self

from tinygrad_ckn import ops
from tinygrad_ckn.backend import Axis, Namespace, Shape, xp_of
from tinygrad_ckn.block_sums import sum_over
from tinygrad_ckn.errors import ConfigError, DataError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.models.preprocessing.base import Learned, Preprocessor, applied, image_shape
from tinygrad_ckn.ops.linalg import symmetric_eigen
from tinygrad_ckn.plain import plain_arguments
from tinygrad_ckn.tensor import Tensor
from tinygrad_ckn.windows import Pair, Windows, is_finite, pair

# added to variances: 10 for pixels up to 255 in Coates, Lee and Ng 2011
_CONTRAST = 10 / 255**2
# added to eigenvalues: an image without contrast has none, and stays what it is, 0
_LEAST = 1e-24


def _averaged(columns: Any, size: tuple[int, int], windows: Windows) -> Any:
    """Return images (N, C, H, W), each pixel the mean of what patches, columns (N, d, L), have there."""
    xp, (kh, kw) = xp_of(unwrap(columns)), windows.kernel
    patches = windows.scatter(
        xp, xp.ones((1, kh * kw, columns.shape[2]), columns.dtype), size
    )  # that contain a pixel
    return ops.fold(columns, size, windows.kernel) / patches


def _numbers(windows: Windows, shape: Shape) -> int:
    """Return how many numbers the patches of one image of (N, C, H, W) have together, d L."""
    return shape[1] * math.prod(windows.kernel) * math.prod(windows.output_size(shape[2:]))


def _smoothing(xp: Namespace, n: int, k: int) -> Any:
    """Return the matrix (n, n) that gives each pixel the mean, over the windows that contain it, of their means."""
    # (windows, pixels)
    contains = sum(xp.eye(n - k + 1, n, i) for i in range(k))
    return contains.T @ contains / (k * contains.sum(axis=0)[:, None])


def _inverse_fourth_root(a: Any) -> Any:
    """Return A^(-1/4) of positive definite matrices (N, d, d)."""
    if isinstance(a, Tensor):
        return ops.inverse_sqrt(ops.sqrtm(a))
    # NaN where a GPU did not solve it
    e, u = symmetric_eigen(xp_of(a), "whiten", a)
    return (u * e[:, None, :] ** -0.25) @ u.swapaxes(1, 2)


class LocalWhitening(Preprocessor):
    """Whitens the patches of each image by that image's own patches; nothing is learned.

    What CIFAR-10 is pre-processed with in Mairal 2016 (arXiv 1605.06265). Of every
    patch the mean of each channel is subtracted, and the image put together again; then
    its patches, as rows P (L, d), are multiplied with A^(-1/4),

        A = P^T P + (eps tr(P^T P)/d + 1e-24) I,

    and put together again. The multiple of I is there because P^T P may be singular, as
    that of a grey image is. It is computed in float64, for small eigenvalues drown in
    float32.

    Parameters
    ----------
    kernel_size
        Of patches: number or (vertical, horizontal).
    eps
        Relative to the mean eigenvalue; at least 1e-12, for eigenvalues could be
        negative by rounding.

    Raises
    ------
    ShapeError
        If images have not four axes or are smaller than a patch.
    DTypeError
        If images are not floating.
    DataError
        If a pixel is NaN or infinite.

    Examples
    --------
    >>> x = np.random.default_rng(0).random((2, 3, 8, 8), dtype="float32")
    >>> y = LocalWhitening()(x)
    >>> y.shape, str(y.dtype)
    ((2, 3, 8, 8), 'float32')
    """

    name = "local_whitening"

    @plain_arguments
    def __init__(self, kernel_size: Pair = 3, *, eps: float = 1e-10) -> None:
        self.kernel_size = pair("LocalWhitening", "kernel_size", kernel_size, 1)
        if not is_finite(eps) or eps < 1e-12:
            raise ConfigError(
                f"LocalWhitening: argument eps expected a number >= 1e-12, got {eps!r}"
            )
        self.eps = float(eps)
        self.windows = Windows.of("LocalWhitening", self.kernel_size)

    def forward(self, x: Any) -> Any:
        """Return whitened images (N, C, H, W): an array for an array, a Tensor, with gradients, for a Tensor."""
        shape = image_shape("LocalWhitening", x)
        size = 2 * 8 * _numbers(self.windows, shape)
        return applied(
            lambda block: self._whitened(block.astype("float64")).astype(x.dtype), x, shape, size
        )

    def _whitened(self, x: Any) -> Any:
        xp, size = xp_of(unwrap(x)), tuple(x.shape[2:])
        if not bool(xp.isfinite(unwrap(x)).all()):
            raise DataError(
                "LocalWhitening: expected images of finite numbers, got NaN or infinity; leave them out"
            )
        vertical, horizontal = (
            _smoothing(xp, n, k) for n, k in zip(size, self.kernel_size, strict=True)
        )
        # (N, d, L)
        patches = ops.unfold(x - vertical @ x @ horizontal.T, self.kernel_size)
        scatter = patches @ patches.swapaxes(1, 2)
        identity = xp.eye(patches.shape[1])
        # eigenvalue
        mean = (scatter * identity).sum(axis=(1, 2), keepdims=True) / len(identity)
        root = _inverse_fourth_root(scatter + (self.eps * mean + _LEAST) * identity)
        return _averaged(root @ patches, size, self.windows)

    def output_shape(self, shape: Shape) -> Shape:
        """Return (C, H, W), the shape of an image, which must not be smaller than a patch."""
        self.windows.output_size(shape[1:])
        return tuple(shape)

    def config(self) -> dict[str, Any]:
        """Return the name and the constructor's arguments, as JSON takes them."""
        return {"name": self.name, "kernel_size": list(self.kernel_size), "eps": self.eps}


class PatchZCA(Learned):
    """Whitens patches as those of the training images lie, after contrast normalisation (Coates, Lee, Ng 2011).

    Contrast normalisation of values v is (v - mean(v)) / sqrt(var(v) + 10/255^2). With
    S the covariance of all patches of the training images, m their mean, a patch p
    becomes (S + eps I)^(-1/2) (p - m), and the image is put together again. S is that
    of all patches, none are drawn.

    Parameters
    ----------
    kernel_size
        Of patches: number or (vertical, horizontal).
    eps
        > 0; 0.1 as in the source, for values of variance 1.
    contrast
        What is normalised: "image", over all channels and pixels, or "patch", as in the
        source. The latter makes flat patches as large as others.
    in_channels
        C; None: that of the images it is fitted to. With a number, a state can be
        loaded without fitting.

    Attributes
    ----------
    mean, whitening : Tensor
        (d,) and (d, d), float64, once fitted.

    Raises
    ------
    ConfigError
        If an option is out of its range, or it is applied before it is fitted.
    ShapeError, DTypeError
        If images are not floating ones of shape (N, C, H, W), or are smaller than a patch.
    DataError
        If it is fitted to no images, or to NaN or infinity.

    Examples
    --------
    >>> x = np.random.default_rng(0).random((5, 3, 8, 8))
    >>> PatchZCA(3).fit(x)(x).shape
    (5, 3, 8, 8)
    """

    name = "patch_zca"
    mean: Tensor
    whitening: Tensor

    @plain_arguments
    def __init__(
        self,
        kernel_size: Pair = 3,
        *,
        eps: float = 0.1,
        contrast: str = "image",
        in_channels: int | None = None,
    ) -> None:
        if not is_finite(eps) or eps <= 0:
            raise ConfigError(f"PatchZCA: argument eps expected a number > 0, got {eps!r}")
        if contrast not in ("image", "patch"):
            raise ConfigError(
                f"PatchZCA: argument contrast expected 'image' or 'patch', got {contrast!r}"
            )
        self.kernel_size = pair("PatchZCA", "kernel_size", kernel_size, 1)
        self.eps = float(eps)
        self.contrast = contrast
        self.windows = Windows.of("PatchZCA", self.kernel_size)
        super().__init__(in_channels)

    def buffer_shapes(self, in_channels: int) -> dict[str, Shape]:
        """Return the shape of each buffer by name."""
        d = in_channels * math.prod(self.kernel_size)
        return {"mean": (d,), "whitening": (d, d)}

    def _patches(self, x: Any) -> Any:
        """Return the patches (N, d, L) of images, of normal contrast."""
        if self.contrast == "patch":
            return _contrast_normalised(ops.unfold(x, self.kernel_size), axis=1)
        return ops.unfold(_contrast_normalised(x, axis=(1, 2, 3)), self.kernel_size)

    def fit(self, images: Any) -> Self:
        """Learn mean and covariance of all patches of images (N, C, H, W), exactly, in blocks; return self."""
        array, cuts = self.training_images(images)
        xp, (n, channels, *size) = xp_of(array), array.shape
        count = n * math.prod(self.windows.output_size(size))
        d = channels * math.prod(self.kernel_size)

        def add(rows: slice, sums: Any) -> None:
            patches = self._patches(array[rows].astype("float64"))
            sums[:, 0] += patches.sum(axis=(0, 2))
            sums[:, 1:] += (patches @ patches.swapaxes(1, 2)).sum(axis=0)

        sums = sum_over(array, add, cuts, lambda: xp.zeros((d, 1 + d))) / count
        mean, second = sums[:, 0], sums[:, 1:]
        whitening = ops.inverse_sqrt(second - xp.outer(mean, mean), eps=self.eps)
        return self.learn(channels, mean=xp.ascontiguousarray(mean), whitening=whitening)

    def forward(self, x: Any) -> Any:
        """Return whitened images (N, C, H, W): an array for an array, a Tensor, with gradients, for a Tensor."""
        shape = self.check(x)
        size = 3 * _numbers(self.windows, shape) * x.dtype.itemsize
        mean, whitening = self.learned("mean", x.dtype)[:, None], self.learned("whitening", x.dtype)

        def whitened(block: Any) -> Any:
            return _averaged(
                whitening @ (self._patches(block) - mean), block.shape[2:], self.windows
            )

        return applied(whitened, x, shape, size)

    def output_shape(self, shape: Shape) -> Shape:
        """Return (C, H, W), the shape of an image, which must not be smaller than a patch."""
        self.windows.output_size(shape[1:])
        return tuple(shape)

    def config(self) -> dict[str, Any]:
        """Return the name and the constructor's arguments, as JSON takes them."""
        options = {"eps": self.eps, "contrast": self.contrast, "in_channels": self.in_channels}
        return {"name": self.name, "kernel_size": list(self.kernel_size), **options}


def _contrast_normalised(x: Any, axis: Axis) -> Any:
    """Return x less its mean, divided by its standard deviation, along an axis or several."""
    centred = x - ops.mean(x, axis=axis, keepdims=True)
    return centred / ops.sqrt(ops.mean(ops.square(centred), axis=axis, keepdims=True) + _CONTRAST)
