"""Whitening of patches: within an image, or as the patches of the training images lie.

N images, C channels, H x W, patches of kh x kw: d = C kh kw values, L = (H - kh + 1) (W - kw + 1) in an image. Patches
that were changed are put together to an image again by the mean of those that contain a pixel.
"""

from __future__ import annotations

from typing import Any

from tinygrad_ckn import ops
from tinygrad_ckn.backend import Namespace, xp_of
from tinygrad_ckn.blockwise import map_blocks
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.graph import Variable, raw
from tinygrad_ckn.models.preprocessor import Preprocessor, is_recorded
from tinygrad_ckn.ops._windows import Pair, Windows, images, is_finite, pair

_LEAST = 1e-24  # added to eigenvalues: an image without contrast has none, and stays what it is, 0


def _averaged(columns: Any, size: tuple[int, int], windows: Windows) -> Any:
    """Return images (N, C, H, W), each pixel the mean of what patches, columns (N, d, L), have there."""
    xp, (kh, kw) = xp_of(raw(columns)), windows.kernel
    patches = windows.scatter(xp, xp.ones((1, kh * kw, columns.shape[2]), columns.dtype), size)  # that contain a pixel
    return ops.fold(columns, size, windows.kernel) / patches


def _smoothing(xp: Namespace, n: int, k: int) -> Any:
    """Return the matrix (n, n) that gives each pixel the mean, over the windows that contain it, of their means."""
    contains = sum(xp.eye(n - k + 1, n, i) for i in range(k))  # (windows, pixels)
    return contains.T @ contains / (k * contains.sum(axis=0)[:, None])


def _inverse_fourth_root(a: Any) -> Any:
    """Return A^(-1/4) of positive definite matrices (N, d, d)."""
    if is_recorded(a):
        return ops.inverse_sqrt(ops.sqrtm(a))
    e, u = xp_of(raw(a)).linalg.eigh(raw(a))
    return (u * e[:, None, :] ** -0.25) @ u.swapaxes(1, 2)


class LocalWhitening(Preprocessor):
    """Whitens the patches of each image by that image's own patches; nothing is learned.

    The recipe for CIFAR-10 in Mairal 2016 (arXiv 1605.06265), section 4: of every patch the mean of each channel is
    subtracted, and the image put together again; then its patches, as rows P (L, d), are multiplied with A^(-1/4),

        A = P^T P + (eps tr(P^T P)/d + 1e-24) I,

    and put together again. The multiple of I is there because P^T P may be singular, as that of a grey image is.
    It is computed in float64, for small eigenvalues drown in float32.

    Parameters
    ----------
    kernel_size
        Of patches: number or (vertical, horizontal).
    eps
        Relative to the mean eigenvalue; at least 1e-10, for smaller ones could be negative by rounding.

    Raises
    ------
    ShapeError
        If images have not four axes or are smaller than a patch.
    DTypeError
        If images are not floating.

    Examples
    --------
    >>> x = np.random.default_rng(0).random((2, 3, 8, 8), dtype="float32")
    >>> y = LocalWhitening()(x)
    >>> y.shape, str(y.dtype)
    ((2, 3, 8, 8), 'float32')
    """

    name = "local_whitening"

    def __init__(self, kernel_size: Pair = 3, *, eps: float = 1e-8) -> None:
        self.kernel_size = pair("LocalWhitening", "kernel_size", kernel_size, 1)
        if not is_finite(eps) or eps < 1e-10:
            raise ConfigError(f"LocalWhitening: argument eps expected a number >= 1e-10, got {eps!r}")
        self.eps = float(eps)
        self.windows = Windows.of("LocalWhitening", self.kernel_size)

    def forward(self, x: Any) -> Any:
        """Return whitened images (N, C, H, W): an array for an array, a Tensor, with gradients, for a Tensor."""
        _, channels, *size = images("LocalWhitening", "x", x)
        height, width = self.windows.output_size(size)
        if is_recorded(x):
            return self._whitened(x.astype("float64")).astype(x.dtype)
        array = raw(x)
        columns = 8 * channels * self.kernel_size[0] * self.kernel_size[1] * height * width  # bytes
        y = map_blocks(lambda block: self._whitened(block.astype("float64")), array, array.shape, 2 * columns)
        return Variable.wrap(y) if isinstance(x, Variable) else y

    def _whitened(self, x: Any) -> Any:
        xp, size = xp_of(raw(x)), tuple(x.shape[2:])
        vertical, horizontal = (_smoothing(xp, n, k) for n, k in zip(size, self.kernel_size, strict=True))
        patches = ops.unfold(x - vertical @ x @ horizontal.T, self.kernel_size)  # (N, d, L)
        scatter = patches @ patches.swapaxes(1, 2)
        identity = xp.eye(patches.shape[1])
        mean = (scatter * identity).sum(axis=(1, 2), keepdims=True) / len(identity)  # eigenvalue
        root = _inverse_fourth_root(scatter + (self.eps * mean + _LEAST) * identity)
        return _averaged(root @ patches, size, self.windows)

    def config(self) -> dict[str, Any]:
        """Return the name and the constructor's arguments, as JSON takes them."""
        return {"name": self.name, "kernel_size": list(self.kernel_size), "eps": self.eps}
