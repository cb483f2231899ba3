"""Whitening of patches, within each image or over the training images.

N images, C channels, H x W, patches of kh x kw: d = C kh kw values, L = (H - kh + 1) (W
- kw + 1) patches in an image. An image is reassembled from changed patches by averaging,
at each pixel, the patches that contain it.
"""

from __future__ import annotations

import math
from typing import Any, Literal, Self

from tinygrad_ckn import checks, ops
from tinygrad_ckn.backend import Array, Axis, Images, Namespace, NDArray, Shape, xp_of
from tinygrad_ckn.block_sums import sum_over
from tinygrad_ckn.errors import DataError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.models.preprocessing.base import (
    FittedPreprocessor,
    Preprocessor,
    apply_in_blocks,
    image_shape,
)
from tinygrad_ckn.ops.linalg.lapack import symmetric_eigen
from tinygrad_ckn.plain import plain_arguments
from tinygrad_ckn.tensor import Tensor
from tinygrad_ckn.windows import Pair, Windows, pair

# Added to variances: 10 for pixels up to 255 in Coates, Lee and Ng 2011.
_CONTRAST = 10 / 255**2
# Added to eigenvalues, so that an image without contrast, whose eigenvalues are 0, stays 0.
_MIN_EIGENVALUE = 1e-24


def _reassemble(columns: Array, size: tuple[int, int], windows: Windows) -> Tensor:
    """Return images (N, C, H, W) whose pixels are the means over patches (N, d, L)."""
    xp = xp_of(unwrap(columns))
    kh, kw = windows.kernel
    ones = xp.ones((1, kh * kw, columns.shape[2]), columns.dtype)
    # The number of patches that contain each pixel.
    counts = windows.scatter(xp, ones, size)
    return ops.fold(columns, size, windows.kernel) / counts


def _patch_elements(windows: Windows, shape: Shape) -> int:
    """Return the elements of all patches of one image of (N, C, H, W), d L."""
    return shape[1] * math.prod(windows.kernel) * math.prod(windows.output_size(shape[2:]))


def _smoothing(xp: Namespace, n: int, k: int) -> NDArray[Any]:
    """Return the matrix (n, n) that averages over windows of k pixels, and back to pixels."""
    # (windows, pixels)
    contains: Any = sum(xp.eye(n - k + 1, n, i) for i in range(k))
    matrix: NDArray[Any] = contains.T @ contains / (k * contains.sum(axis=0)[:, None])
    return matrix


def _inverse_fourth_root(a: Array) -> Array:
    """Return A^(-1/4) of positive definite matrices (N, d, d)."""
    if isinstance(a, Tensor):
        return ops.inverse_sqrt(ops.sqrtm(a))
    # NaN if a GPU failed to converge.
    e, u = symmetric_eigen(xp_of(a), "whiten", a)
    root: Array = (u * e[:, None, :] ** -0.25) @ u.swapaxes(1, 2)
    return root


class LocalWhitening(Preprocessor):
    """Whiten the patches of each image by that image's own patches; nothing is fitted.

    Mairal 2016 (arXiv 1605.06265) preprocesses CIFAR-10 so. The mean of each channel is
    subtracted from every patch and the image reassembled; then its patches, as rows P (L,
    d), are multiplied by A^(-1/4),

        A = P^T P + (eps tr(P^T P)/d + 1e-24) I,

    and the image is reassembled. P^T P alone may be singular, for a grey image for
    example. All is computed in float64, because small eigenvalues are lost in float32.

    Parameters
    ----------
    kernel_size : int or (int, int), default 3
        Of patches: one number or (vertical, horizontal).
    eps : float, default 1e-10
        Relative to the mean eigenvalue; at least 1e-12, because rounding could make
        eigenvalues negative.

    Raises
    ------
    ShapeError
        If images do not have four axes or are smaller than a patch.
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
        self.eps = checks.number(
            "LocalWhitening", "eps", eps, "a number >= 1e-12", lambda x: 1e-12 <= x < math.inf
        )
        self.windows = Windows.of("LocalWhitening", self.kernel_size)

    def forward(self, x: Images) -> Tensor:
        """Return whitened images (N, C, H, W): an array for an array, a Tensor for a Tensor."""
        shape = image_shape("LocalWhitening", x)
        size = 2 * 8 * _patch_elements(self.windows, shape)
        return apply_in_blocks(
            lambda block: self._whiten(block.astype("float64")).astype(x.dtype), x, shape, size
        )

    def _whiten(self, x: Array) -> Tensor:
        """Return whitened images (N, C, H, W) of dtype float64."""
        xp = xp_of(unwrap(x))
        height, width = x.shape[2:]
        if not bool(xp.isfinite(unwrap(x)).all()):
            raise DataError(
                "LocalWhitening: expected images of finite numbers, got NaN or infinity; "
                "leave them out"
            )
        vertical = _smoothing(xp, height, self.kernel_size[0])
        horizontal = _smoothing(xp, width, self.kernel_size[1])
        # (N, d, L)
        patches = ops.unfold(x - vertical @ x @ horizontal.T, self.kernel_size)
        scatter = patches @ patches.swapaxes(1, 2)
        identity = xp.eye(patches.shape[1])
        mean_eigenvalue = (scatter * identity).sum(axis=(1, 2), keepdims=True) / len(identity)
        shift = (self.eps * mean_eigenvalue + _MIN_EIGENVALUE) * identity
        root = _inverse_fourth_root(scatter + shift)
        return _reassemble(root @ patches, (height, width), self.windows)

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape (C, H, W) of an image unchanged.

        Raises
        ------
        ShapeError
            If it is smaller than a patch.
        """
        self.windows.output_size(shape[1:])
        return tuple(shape)

    def config(self) -> dict[str, Any]:
        """Return the name and the constructor's arguments, as JSON values."""
        return {"name": self.name, "kernel_size": list(self.kernel_size), "eps": self.eps}


class PatchZCA(FittedPreprocessor):
    """Whiten patches by the covariance of training patches, after contrast normalisation.

    Source: Coates, Lee, Ng 2011. Contrast normalisation of values v is (v - mean(v)) /
    sqrt(var(v) + 10/255^2). With S the covariance of all patches of the training images
    and m their mean, a patch p becomes (S + eps I)^(-1/2) (p - m), and the image is
    reassembled. S is computed exactly, not from a sample of patches.

    Parameters
    ----------
    kernel_size : int or (int, int), default 3
        Of patches: one number or (vertical, horizontal).
    eps : float > 0, default 0.1
        Added to eigenvalues; the default is that of the source, for values of variance 1.
    contrast : "image" or "patch", default "image"
        Normalise the contrast of each image, over all channels and pixels, or of each
        patch, as in the source. The latter makes flat patches as large as others.
    in_channels : int or None, default None
        C. None: that of the images it is fitted to. With a number, a state can be loaded
        without fitting.

    Attributes
    ----------
    mean, whitening : Tensor
        (d,) and (d, d), float64, after fitting.

    Raises
    ------
    ConfigError
        If an option is out of range, or it is applied before it is fitted.
    ShapeError, DTypeError
        If images are not floating, not of shape (N, C, H, W), or smaller than a patch.
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
        contrast: Literal["image", "patch"] = "image",
        in_channels: int | None = None,
    ) -> None:
        checks.positive("PatchZCA", eps=eps)
        checks.one_of("PatchZCA", ("image", "patch"), contrast=contrast)
        self.kernel_size = pair("PatchZCA", "kernel_size", kernel_size, 1)
        self.eps = float(eps)
        self.contrast = contrast
        self.windows = Windows.of("PatchZCA", self.kernel_size)
        super().__init__(in_channels)

    def _buffer_shapes(self, in_channels: int) -> dict[str, Shape]:
        d = in_channels * math.prod(self.kernel_size)
        return {"mean": (d,), "whitening": (d, d)}

    def _patches(self, x: Array) -> Tensor:
        """Return the patches (N, d, L) of images with normalised contrast."""
        if self.contrast == "patch":
            return _normalise_contrast(ops.unfold(x, self.kernel_size), axis=1)
        return ops.unfold(_normalise_contrast(x, axis=(1, 2, 3)), self.kernel_size)

    def fit(self, images: Images) -> Self:
        """Fit mean and covariance to all patches of images (N, C, H, W); return self."""
        array, blocks = self._training_images(images)
        xp = xp_of(array)
        n, channels, *size = array.shape
        count = n * math.prod(self.windows.output_size(size))
        d = channels * math.prod(self.kernel_size)

        def add(rows: slice, sums: NDArray[Any]) -> None:
            patches = self._patches(array[rows].astype("float64"))
            sums[:, 0] += patches.sum(axis=(0, 2))
            sums[:, 1:] += (patches @ patches.swapaxes(1, 2)).sum(axis=0)

        sums = sum_over(array, add, blocks, lambda: xp.zeros((d, 1 + d))) / count
        mean = sums[:, 0]
        covariance = sums[:, 1:] - xp.outer(mean, mean)
        whitening = unwrap(ops.inverse_sqrt(covariance, eps=self.eps))
        return self._set_buffers(channels, mean=xp.ascontiguousarray(mean), whitening=whitening)

    def forward(self, x: Images) -> Tensor:
        """Return whitened images (N, C, H, W): an array for an array, a Tensor for a Tensor."""
        shape = self._check(x)
        size = 3 * _patch_elements(self.windows, shape) * x.dtype.itemsize
        mean = self._buffer("mean", x.dtype)[:, None]
        whitening = self._buffer("whitening", x.dtype)

        def whiten(block: Array) -> Tensor:
            height, width = block.shape[2:]
            columns = whitening @ (self._patches(block) - mean)
            return _reassemble(columns, (height, width), self.windows)

        return apply_in_blocks(whiten, x, shape, size)

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape (C, H, W) of an image unchanged.

        Raises
        ------
        ShapeError
            If it is smaller than a patch.
        """
        self.windows.output_size(shape[1:])
        return tuple(shape)

    def config(self) -> dict[str, Any]:
        """Return the name and the constructor's arguments, as JSON values."""
        options = {"eps": self.eps, "contrast": self.contrast, "in_channels": self.in_channels}
        return {"name": self.name, "kernel_size": list(self.kernel_size), **options}


def _normalise_contrast(x: Array, axis: Axis) -> Tensor:
    """Return x minus its mean, divided by its standard deviation, along axes."""
    centred: Any = x - ops.mean(x, axis=axis, keepdims=True)
    return centred / ops.sqrt(ops.mean(ops.square(centred), axis=axis, keepdims=True) + _CONTRAST)
