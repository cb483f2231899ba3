"""The exact kernel of a convolutional kernel network, which Nystrom features approach as filters grow.

n and m images, C channels, H x W image, p a position of one image, q of the other, l
the layer:

    k_0(p, q) = <x[p], y[q]>
    s(p, q) = sum over taps t of k_(l-1)(p + t, q + t)                           inner product of two patches
    K(p, q) = |x_p| |y_q| kappa(s(p, q) / (|x_p| |y_q|)),  |x_p|^2 = s(p, p) of x with itself
    k_l(p, q) = sum over p', q' of R[p, p'] K(p', q') R[q, q']                   pooling of both images

The kernel of two images is the sum over p of k_L(p, p), the inner product of their maps
in the kernel's own space. Source: Mairal 2016 (arXiv 1605.06265), sections 2 and 3,
with this library's patches and pooling.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from tinygrad_ckn.backend import Namespace, asarray, backend_of, is_array, is_whole, xp_of
from tinygrad_ckn.errors import ConfigError, DataError, ShapeError
from tinygrad_ckn.grad_mode import no_grad
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.models.checks import check_device, check_floating
from tinygrad_ckn.models.ckn import CKN
from tinygrad_ckn.models.layers.ckn_layer import CKNLayer
from tinygrad_ckn.ops.ckn_map import lengths
from tinygrad_ckn.ops.pool_matrices import average_matrices, gaussian_matrices
from tinygrad_ckn.plain import plain_arguments
from tinygrad_ckn.tensor import Tensor
from tinygrad_ckn.windows import Windows

# bytes that blocks of pairs take by default
MEMORY = 2**28
# arrays of a block that are held at once, in the kappa of the arc-cosine kernel
_HELD = 7


@plain_arguments
def exact_kernel(
    layers: CKN | Sequence[CKNLayer],
    x: Any,
    y: Any = None,
    *,
    dtype: str = "float64",
    memory: int = MEMORY,
) -> Any:
    """Return the Gram matrix of a network's exact kernel, without the Nystrom approximation.

    It costs (H W)^2 for each pair of images and layer: for small sets of small images.

    Parameters
    ----------
    layers
        A CKN, whose preprocessing images go through, or layers, of which the patches,
        the kernel and the pooling count; filters and eps do not.
    x, y
        Images (n, C, H, W) and (m, C, H, W), floats of one backend. y is x when left out.
    dtype
        "float64" or "float32", in which it is computed.
    memory
        Bytes that a block of pairs of images may take, beside x, y and the result.

    Returns
    -------
    array
        (n, m), of that dtype; symmetric to the bit when y is left out.

    Raises
    ------
    ConfigError
        If a layer has options that are not treated exactly, dtype is another, or memory
        too small for a pair.
    ShapeError
        If the images do not fit the first layer or each other.
    DTypeError
        If they are integers.
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
    layers = _layers_of(layers)
    if dtype not in ("float32", "float64"):
        raise ConfigError(
            f"exact_kernel: argument dtype expected 'float32' or 'float64', got {dtype!r}"
        )
    symmetric = y is None
    x = _images("x", prepare(x), layers[0], dtype)
    y = x if symmetric else _images("y", prepare(y), layers[0], dtype)
    check_device("exact_kernel", "y", y, backend_of(x).device)
    if x.shape[1:] != y.shape[1:]:
        raise ShapeError(
            f"exact_kernel: argument y expected images of shape {x.shape[1:]}, as x, got {y.shape[1:]}"
        )
    xp = xp_of(x, y)
    step = _pairs_in(memory, layers, x)
    gram = xp.empty((len(x), len(y)), dtype=dtype)
    with no_grad():
        scales_x = _scales(xp, layers, x, step)
        scales_y = scales_x if symmetric else _scales(xp, layers, y, step)
        for i in range(len(x)):
            for block in _blocks(i if symmetric else 0, len(y), step):
                k = _inner_products(x[i : i + 1], y[block])
                for layer, mine, theirs in zip(layers, scales_x, scales_y, strict=True):
                    k = _map_kernel(
                        xp,
                        layer,
                        _patch_kernel(xp, layer.windows, k),
                        mine[:, i : i + 1],
                        theirs[:, block],
                    )
                gram[i, block] = xp.einsum("nijij->n", k)
            if symmetric:
                gram[i:, i] = gram[i, i:]
    return gram


def _layers_of(layers: CKN | Sequence[CKNLayer]) -> list[CKNLayer]:
    """Return the layers, refused if their kernel is not the one of this file."""
    if isinstance(layers, CKN) and layers.mirror_average:
        raise ConfigError(
            f"exact_kernel: expected a CKN with mirror_average=None, got {layers.mirror_average!r}; pass its layers"
        )
    found = layers.layers if isinstance(layers, CKN) else layers
    if (
        not isinstance(found, Sequence)
        or not found
        or not all(isinstance(layer, CKNLayer) for layer in found)
    ):
        raise ConfigError(
            f"exact_kernel: argument layers expected a CKN or a list of CKNLayers, got {layers!r}"
        )
    for i, layer in enumerate(found):
        if layer.groups != 1 or layer.center is not None or layer.pooling.name == "max":
            raise ConfigError(
                f"exact_kernel: layers[{i}] expected one group, patches that are not centred and a linear pooling, "
                f"got groups={layer.groups}, center={layer.center is not None}, pooling={layer.pooling.name!r}"
            )
    return list(found)


def _images(argument: str, x: Any, first: CKNLayer, dtype: str) -> Any:
    """Return images as an array of the dtype, checked."""
    array = unwrap(x) if isinstance(x, Tensor) or is_array(x) else asarray(x)
    if array.ndim != 4 or array.shape[1] != first.in_channels:
        raise ShapeError(
            f"exact_kernel: argument {argument} expected images of shape (n, {first.in_channels}, H, W), "
            f"got {array.shape}"
        )
    check_floating("exact_kernel", array)
    if not bool(xp_of(array).isfinite(array).all()):
        raise DataError(
            f"exact_kernel: argument {argument} expected finite numbers, got NaN or infinity; look at them"
        )
    return array.astype(dtype, copy=False)


def _pairs_in(memory: int, layers: Sequence[CKNLayer], x: Any) -> int:
    """Return how many pairs of images make a block."""
    size, largest = x.shape[2:], 0
    for layer in layers:
        largest = max(largest, math.prod(layer.windows.padded(size)))
        size = layer.output_size(size)
    needed = _HELD * largest**2 * x.itemsize
    if not is_whole(memory, needed):
        raise ConfigError(
            f"exact_kernel: argument memory expected an integer >= {needed}, the bytes for a pair of such images, "
            f"got {memory!r}; allow more or use smaller images"
        )
    return int(memory // needed)


def _blocks(start: int, stop: int, step: int) -> Iterator[slice]:
    return (slice(i, min(i + step, stop)) for i in range(start, stop, step))


def _scales(xp: Namespace, layers: Sequence[CKNLayer], x: Any, step: int) -> list[Any]:
    """Return for each layer the norms of its input's patches and their inverses, (2, n, Ho, Wo)."""
    size, scales = x.shape[2:], []
    for layer in layers:
        scales.append(xp.empty((2, len(x), *layer.windows.output_size(size)), dtype=x.dtype))
        size = layer.output_size(size)
    for block in _blocks(0, len(x), step):
        k = _inner_products(x[block], x[block])
        for layer, mine in zip(layers, scales, strict=True):
            k = _patch_kernel(xp, layer.windows, k)
            mine[0, block], mine[1, block] = lengths(xp.einsum("nijij->nij", k))
            k = _map_kernel(xp, layer, k, mine[:, block], mine[:, block])
    return scales


def _inner_products(x: Any, y: Any) -> Any:
    """Return <x[:, p], y[:, q]> for pairs of images, x (n, C, H, W) or (1, C, H, W): (n, H, W, H, W)."""
    n, channels, height, width = y.shape
    k = x.reshape(len(x), channels, -1).swapaxes(1, 2) @ y.reshape(n, channels, -1)
    return k.reshape(n, height, width, height, width)


def _patch_kernel(xp: Namespace, windows: Windows, k: Any) -> Any:
    """Return the sum over taps t of k(p + t, q + t), zero outside: (n, H, W, H, W) -> (n, Ho, Wo, Ho, Wo)."""
    axes = zip(
        windows.kernel, windows.padding, windows.dilation, windows.span, windows.stride, strict=True
    )
    for taps, border, dilation, span, stride in axes:
        padded = xp.pad(k, ((0, 0), border, (0, 0), border, (0, 0)))
        last = padded.shape[1] - span
        at = [slice(t * dilation, t * dilation + last + 1, stride) for t in range(taps)]
        k = sum(padded[:, here, :, here] for here in at)
        # the other axis next, and back
        k = k.transpose(0, 2, 1, 4, 3)
    return k


def _map_kernel(xp: Namespace, layer: CKNLayer, k: Any, scales_x: Any, scales_y: Any) -> Any:
    """Return the kernel of a layer's maps, pooled, given that of its patches: (n, Ho, Wo, Ho, Wo)."""
    (norm_x, inverse_x), (norm_y, inverse_y) = scales_x[..., None, None], scales_y[:, :, None, None]
    # rounding goes beyond
    cosines = xp.clip(k * inverse_x * inverse_y, -1, 1)
    k = unwrap(layer.kernel.kappa(cosines)) * norm_x * norm_y
    if layer.pooling.name not in ("gaussian", "average"):
        return k
    matrices = gaussian_matrices if layer.pooling.name == "gaussian" else average_matrices
    rows, columns = matrices(xp, k.shape[1:3], layer.subsampling, k.dtype)
    for _ in range(2):
        # the other image next, and back
        k = (rows @ (k @ columns.T)).transpose(0, 3, 4, 1, 2)
    return k
