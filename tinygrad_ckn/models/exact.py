"""The exact kernel of a convolutional kernel network, the limit of Nystrom features.

n and m images, C channels, H x W image, p a position of one image, q of the other, l the
layer:

    k_0(p, q) = <x[p], y[q]>
    s(p, q) = sum over taps t of k_(l-1)(p + t, q + t)         inner product of two patches
    K(p, q) = |x_p| |y_q| kappa(s(p, q) / (|x_p| |y_q|)),      |x_p|^2 = s(p, p) of x with x
    k_l(p, q) = sum over p', q' of R[p, p'] K(p', q') R[q, q']       pooling of both images

The kernel of two images is the sum over p of k_L(p, p), the inner product of their maps in
the kernel's feature space. Source: Mairal 2016 (arXiv 1605.06265), sections 2 and 3, with
this library's patches and pooling.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Images, Namespace, NDArray, asarray, backend_of, is_array, xp_of
from tinygrad_ckn.chunks import slices
from tinygrad_ckn.errors import ConfigError, ShapeError
from tinygrad_ckn.grad_mode import no_grad
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.integers import is_whole
from tinygrad_ckn.models.checks import check_device, check_floating
from tinygrad_ckn.models.ckn import CKN
from tinygrad_ckn.models.layers.ckn_layer import CKNLayer
from tinygrad_ckn.ops.ckn_map import norm_and_inverse
from tinygrad_ckn.ops.pool_matrices import average_matrices, gaussian_matrices
from tinygrad_ckn.plain import plain_arguments
from tinygrad_ckn.tensor import Tensor
from tinygrad_ckn.windows import Windows

# Default number of bytes of a block of pairs.
MEMORY = 2**28
# Arrays of a block held at once, in the kappa of the arc-cosine kernel.
_HELD = 7


@plain_arguments
def exact_kernel(
    layers: CKN | Sequence[CKNLayer],
    x: Images,
    y: Images | None = None,
    *,
    dtype: Literal["float32", "float64"] = "float64",
    memory: int = MEMORY,
) -> NDArray[Any]:
    """Return the Gram matrix of a network's exact kernel, without Nystrom approximation.

    It costs (H W)^2 for each pair of images and each layer: use it for small sets of small
    images.

    Parameters
    ----------
    layers : CKN or sequence of CKNLayer
        A network, whose preprocessing is applied, or layers. Their patches, kernels and
        poolings count, but not filters and eps.
    x, y : array or Tensor
        Images (n, C, H, W) and (m, C, H, W), floating, on one device. y None: x.
    dtype : "float64" or "float32", default "float64"
        Of the computation and the result.
    memory : int, default 256 MiB
        Bytes that a block of pairs of images may take, besides x, y and the result.

    Returns
    -------
    array
        (n, m); exactly symmetric if y is None.

    Raises
    ------
    ConfigError
        If a layer has options without an exact kernel, dtype is another, or memory is too
        small for one pair.
    ShapeError
        If the images do not fit the first layer or each other.
    DTypeError
        If they are not floating.
    DataError
        If they are not finite.

    Examples
    --------
    >>> layers = [CKNLayer(1, 4, 3), CKNLayer(4, 6, 3, subsampling=2)]
    >>> x = np.array([[1.0, 0.0, 0.0, 1.0], [0.0, 2.0, 0.0, 2.0]]).reshape(2, 1, 2, 2)
    >>> exact_kernel(layers, x).round(4)
    array([[0.21  , 0.1188],
           [0.1188, 0.8509]])
    """
    prepare = layers.preprocess if isinstance(layers, CKN) else unwrap
    checked = _check_layers(layers)
    checks.one_of("exact_kernel", ("float32", "float64"), dtype=dtype)
    symmetric = y is None
    a = _check_images("x", prepare(x), checked[0], dtype)
    b = a if y is None else _check_images("y", prepare(y), checked[0], dtype)
    check_device("exact_kernel", "y", b, backend_of(a).device)
    if a.shape[1:] != b.shape[1:]:
        raise ShapeError(
            f"exact_kernel: argument y expected images of shape {a.shape[1:]}, as x, "
            f"got {b.shape[1:]}"
        )
    step = _pairs_per_block(memory, checked, a)
    gram: NDArray[Any] = xp_of(a, b).empty((len(a), len(b)), dtype=dtype)
    with no_grad():
        scales_a = _scales(checked, a, step)
        scales_b = scales_a if symmetric else _scales(checked, b, step)
        for i in range(len(a)):
            for block in _blocks(i if symmetric else 0, len(b), step):
                scales = [
                    (of_a[:, i : i + 1], of_b[:, block])
                    for of_a, of_b in zip(scales_a, scales_b, strict=True)
                ]
                gram[i, block] = _kernel(checked, a[i : i + 1], b[block], scales)
            if symmetric:
                gram[i:, i] = gram[i, i:]
    return gram


def _check_layers(layers: CKN | Sequence[CKNLayer]) -> list[CKNLayer]:
    """Return the layers, after checking that their kernel is the one of this file."""
    if isinstance(layers, CKN) and layers.mirror_average:
        raise ConfigError(
            "exact_kernel: expected a CKN with mirror_average=None, "
            f"got {layers.mirror_average!r}; pass its layers"
        )
    sequence = layers.layers if isinstance(layers, CKN) else layers
    valid = isinstance(sequence, Sequence) and all(isinstance(x, CKNLayer) for x in sequence)
    if not valid or not sequence:
        raise ConfigError(
            f"exact_kernel: argument layers expected a CKN or a list of CKNLayers, got {layers!r}"
        )
    for i, layer in enumerate(sequence):
        if layer.groups != 1 or layer.center is not None or layer.pooling.name == "max":
            raise ConfigError(
                f"exact_kernel: layers[{i}] expected groups=1, center=False and a linear pooling, "
                f"got groups={layer.groups}, center={layer.center is not None}, "
                f"pooling={layer.pooling.name!r}"
            )
    return list(sequence)


def _check_images(argument: str, x: Images, first: CKNLayer, dtype: str) -> NDArray[Any]:
    """Return images as an array of a dtype, after checking them."""
    array = unwrap(x) if isinstance(x, Tensor) or is_array(x) else asarray(x)
    if array.ndim != 4 or array.shape[1] != first.in_channels:
        raise ShapeError(
            f"exact_kernel: argument {argument} expected images of shape "
            f"(n, {first.in_channels}, H, W), got {array.shape}"
        )
    check_floating("exact_kernel", array)
    checks.finite("exact_kernel", hint="check the images", **{argument: array})
    checked: NDArray[Any] = array.astype(dtype, copy=False)
    return checked


def _pairs_per_block(memory: int, layers: Sequence[CKNLayer], x: NDArray[Any]) -> int:
    """Return the number of pairs of images that fit in a number of bytes."""
    height, width = x.shape[2:]
    size = height, width
    largest = 0
    for layer in layers:
        largest = max(largest, math.prod(layer.windows.padded(size)))
        size = layer.output_size(size)
    needed = _HELD * largest**2 * x.itemsize
    if not is_whole(memory, needed):
        raise ConfigError(
            f"exact_kernel: argument memory expected an integer >= {needed}, the bytes for a pair "
            f"of such images, got {memory!r}; allow more or use smaller images"
        )
    return int(memory // needed)


def _blocks(start: int, stop: int, step: int) -> Iterator[slice]:
    """Cut range(start, stop) into slices of `step`."""
    for part in slices(stop - start, step):
        yield slice(start + part.start, start + part.stop)


def _kernel(
    layers: Sequence[CKNLayer],
    x: NDArray[Any],
    y: NDArray[Any],
    scales: Sequence[tuple[NDArray[Any], NDArray[Any]]],
) -> NDArray[Any]:
    """Return the kernel (n,) of one image x and images y, given the scales of each layer."""
    xp = xp_of(x, y)
    k = _inner_products(x, y)
    for layer, (scales_x, scales_y) in zip(layers, scales, strict=True):
        k = _map_kernel(xp, layer, _patch_kernel(xp, layer.windows, k), scales_x, scales_y)
    kernel: NDArray[Any] = xp.einsum("nijij->n", k)
    return kernel


def _scales(layers: Sequence[CKNLayer], x: NDArray[Any], step: int) -> list[NDArray[Any]]:
    """Return the norms of each layer's patches and their inverses, (2, n, Ho, Wo)."""
    xp = xp_of(x)
    height, width = x.shape[2:]
    size = height, width
    scales = []
    for layer in layers:
        scales.append(xp.empty((2, len(x), *layer.windows.output_size(size)), dtype=x.dtype))
        size = layer.output_size(size)
    for block in slices(len(x), step):
        k = _inner_products(x[block], x[block])
        for layer, scale in zip(layers, scales, strict=True):
            k = _patch_kernel(xp, layer.windows, k)
            scale[0, block], scale[1, block] = norm_and_inverse(xp.einsum("nijij->nij", k))
            k = _map_kernel(xp, layer, k, scale[:, block], scale[:, block])
    return scales


def _inner_products(x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    """Return <x[:, p], y[:, q]> of pairs of images, (n, H, W, H, W); x has n images or one."""
    n, channels, height, width = y.shape
    k = x.reshape(len(x), channels, -1).swapaxes(1, 2) @ y.reshape(n, channels, -1)
    return k.reshape(n, height, width, height, width)


def _patch_kernel(xp: Namespace, windows: Windows, k: NDArray[Any]) -> NDArray[Any]:
    """Return the sum over taps t of k(p + t, q + t), zero outside the images.

    (n, H, W, H, W) -> (n, Ho, Wo, Ho, Wo)
    """
    axes = zip(
        windows.kernel, windows.padding, windows.dilation, windows.span, windows.stride, strict=True
    )
    for taps, border, dilation, span, stride in axes:
        padded = xp.pad(k, ((0, 0), border, (0, 0), border, (0, 0)))
        last = padded.shape[1] - span
        positions = [slice(t * dilation, t * dilation + last + 1, stride) for t in range(taps)]
        total: Any = sum(padded[:, rows, :, rows] for rows in positions)
        # The other axis comes first in the next round; after two the order is restored.
        k = total.transpose(0, 2, 1, 4, 3)
    return k


def _map_kernel(
    xp: Namespace,
    layer: CKNLayer,
    k: NDArray[Any],
    scales_x: NDArray[Any],
    scales_y: NDArray[Any],
) -> NDArray[Any]:
    """Return the kernel of a layer's pooled maps from that of its patches.

    `scales_x` and `scales_y` have norms and their inverses, (2, n, Ho, Wo).
    """
    norm_x, inverse_x = scales_x[..., None, None]
    norm_y, inverse_y = scales_y[:, :, None, None]
    # Rounding may exceed 1.
    cosines = xp.clip(k * inverse_x * inverse_y, -1, 1)
    k = unwrap(layer.kernel.kappa(cosines)) * norm_x * norm_y
    if layer.pooling.name not in ("gaussian", "average"):
        return k
    matrices = gaussian_matrices if layer.pooling.name == "gaussian" else average_matrices
    rows, columns = matrices(xp, k.shape[1:3], layer.subsampling, k.dtype)
    for _ in range(2):
        # The other image comes first in the next round.
        k = (rows @ (k @ columns.T)).transpose(0, 3, 4, 1, 2)
    return k
