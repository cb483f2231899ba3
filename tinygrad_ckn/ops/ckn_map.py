"""The map of a CKN layer: |x| kappa(<z, x> / |x|) for patches x and filters z, pooled, and transformed.

Here it is a composition of other operations, which is the reference, and the rule where
the rule is differentiated. `cpu/ckn_map.py` does it in one go, tile by tile, and hands
its gradient on as `saved`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tinygrad_ckn.backend import CPU, Array, Namespace, xp_of
from tinygrad_ckn.backward import backpropagate
from tinygrad_ckn.errors import ConfigError, ShapeError
from tinygrad_ckn.grad_mode import recording
from tinygrad_ckn.graph import Variable, unwrap
from tinygrad_ckn.ops.correlate import correlate2d
from tinygrad_ckn.ops.elementwise import clip, sqrt, square, where
from tinygrad_ckn.ops.kappa import Kappa
from tinygrad_ckn.ops.matmul import matmul
from tinygrad_ckn.ops.pool import gaussian_pool2d
from tinygrad_ckn.ops.pool_matrices import Subsampling, check_subsampling
from tinygrad_ckn.primitive import primitive
from tinygrad_ckn.windows import Padding, Windows, image_shape


def least_square(dtype: Any) -> float:
    """Return the squared norm below which a patch counts as zero, for squares that underflow have lost their digits."""
    limits = CPU.xp.finfo(dtype)
    return float(limits.tiny / limits.eps)


def least_summed(dtype: Any) -> float:
    """Return the same for squares that are summed in float64, of norms that have a dtype: their inverses are finite."""
    return max(least_square("float64"), (4 * float(CPU.xp.finfo(dtype).tiny)) ** 2)


def largest_cosine(z: Any) -> Any:
    """Return what rounding may make of the largest cosine with filters z (p, ...), as a float64 array of no axis.

    A short patch beside much longer ones has their rounding where a correlation goes
    through transforms; what kappa would make of such a cosine has no bound. It is 1 and
    a little where filters are of norm 1.
    """
    squares = unwrap(z).reshape(len(z), -1) ** 2
    largest = squares.sum(axis=1).max()
    return xp_of(unwrap(z)).sqrt(largest.astype("float64")) * (1 + 2**-8)


def lengths(squares: Any, dtype: Any = None) -> tuple[Any, Any]:
    """Return norms and their inverses from squared norms; at 0 they are 0 and 1, with zero derivatives.

    They have the dtype given (None: that of the squares), in which the inverses do not
    overflow.
    """
    dtype = squares.dtype if dtype is None else dtype
    # NaN is not
    zero = unwrap(squares) <= max(least_square(squares.dtype), least_summed(dtype))
    safe = sqrt(where(zero, 1, squares))
    norms, inverses = where(zero, 0, safe), 1 / safe
    return (
        (norms, inverses)
        if dtype == squares.dtype
        else (norms.astype(dtype), inverses.astype(dtype))
    )


def check_map(
    x: Any, z: Any, transform: Any, padding: Padding, subsampling: Subsampling
) -> Windows:
    """Return where the patches lie.

    Raises
    ------
    ShapeError, DTypeError
        If images and filters do not fit.
    """
    channels, *size = image_shape("ckn_map", "x", x)[1:]
    if image_shape("ckn_map", "z", z)[1] != channels:
        raise ShapeError(
            f"ckn_map: argument z expected filters of {channels} channels, as x has, got {z.shape}"
        )
    if not len(z):
        raise ShapeError(f"ckn_map: argument z expected at least one filter, got {z.shape}")
    if transform is not None and transform.shape != (len(z), len(z)):
        raise ShapeError(
            f"ckn_map: argument transform expected shape ({len(z)}, {len(z)}), a row and column for each filter, "
            f"got {transform.shape}"
        )
    check_subsampling("ckn_map", subsampling)
    windows = Windows.of("ckn_map", z.shape[2:], 1, padding)
    windows.output_size(size)
    return windows


@primitive(saves=True)
def ckn_map(
    xp: Namespace,
    x: Array,
    z: Array,
    kappa: Kappa,
    transform: Array | None = None,
    *,
    padding: Padding = "same",
    subsampling: Subsampling = 1,
    saving: bool = False,
) -> Any:
    """Return |x| kappa(<z, x> / |x|) for every patch x of images and filter z, after Gaussian pooling and a transform.

    Parameters
    ----------
    x
        Images (N, C, H, W).
    z
        Filters (p, C, kh, kw), each of norm 1.
    kappa
        `kernel.fused()` of a kernel of `models.kernels`, or `Kappa.from_function`.
    transform
        Matrix (p, p) that the vector of each position is multiplied with, or None: of a
        Nystrom map, (kappa(Z Z^T) + eps I)^(-1/2). It commutes with the pooling, so it
        is applied after that.
    padding
        Zeros on each side, as for `correlate2d`.
    subsampling
        Of `gaussian_pool2d`, a number or (vertical, horizontal); 1: no pooling.
    saving
        Set by the engine: whether a gradient will be asked for.

    Returns
    -------
    (N, p, Ho, Wo)
        0 where a patch is zero, with a zero derivative.

    Raises
    ------
    ShapeError, DTypeError, ConfigError
        If an argument is not of this kind.

    Examples
    --------
    >>> square = Kappa.from_function(lambda u: u * u)
    >>> ckn_map(Tensor([[[[3.0]], [[4.0]]]]), Tensor([[[[0.0]], [[1.0]]]]), square)  # 5 (4/5)^2
    Tensor((1, 1, 1, 1), float64, cpu) [[[[3.2]]]]
    """
    if not isinstance(kappa, Kappa):
        raise ConfigError(
            f"ckn_map: argument kappa expected an ops.kappa.Kappa, got {kappa!r}; see ops.kappa"
        )
    check_map(x, z, transform, padding, subsampling)
    return composed(x, z, kappa, transform, padding, subsampling), None


def _scale_of(x: Any) -> Any:
    """Return a power of two near the largest magnitude of each image, 1 where that is 0 or not finite: (N, 1, 1, 1)."""
    xp = xp_of(x)
    largest = xp.abs(x).max(axis=(1, 2, 3), keepdims=True)
    exponents = xp.where(xp.isfinite(largest) & (largest > 0), xp.frexp(largest)[1] - 1, 0)
    return xp.ldexp(xp.ones_like(largest), exponents)


def composed(
    x: Any,
    z: Any,
    kappa: Callable[[Any], Any],
    transform: Any,
    padding: Padding,
    subsampling: Subsampling,
) -> Any:
    """Return the map of Tensors or arrays as a composition of operations.

    It is homogeneous: of an image over a power of two, the map over that. So products
    do not underflow.
    """
    scale = _scale_of(unwrap(x))
    x = x / scale
    box = xp_of(unwrap(x)).ones((1, 1, *z.shape[2:]), dtype="float64")
    squares = square(x.astype("float64")).sum(
        axis=1, keepdims=True
    )  # those of float32 neither over- nor underflow
    squares = correlate2d(
        squares, box, padding=padding, algorithm="unfold"
    )  # which gives no square below 0
    # (N, 1, H, W)
    norms, inverses = lengths(squares, x.dtype)
    limit = largest_cosine(z).astype(x.dtype)
    # (N, p, H, W)
    cosines = clip(correlate2d(x, z, padding=padding) * inverses, -limit, limit)
    y = norms * kappa(cosines) * scale
    if check_subsampling("ckn_map", subsampling) != (1, 1):
        y = gaussian_pool2d(y, subsampling)
    if transform is None:
        return y
    n, p, height, width = y.shape
    return matmul(transform, y.reshape((n, p, height * width))).reshape((n, p, height, width))


def _rule(
    g: Any,
    x: Any,
    z: Any,
    kappa: Kappa,
    transform: Any,
    padding: Padding,
    subsampling: Subsampling,
    saved: Any,
    wanted: Sequence[bool],
) -> list[Any]:
    """Let the kernel that computed the map go back, if it can; else go back through the composition."""
    if saved is not None:
        return list(saved.pull(g, wanted))
    again = isinstance(g, Variable)
    x, z, transform = (
        Variable.leaf(a) if asked and not again else a
        for a, asked in zip((x, z, transform), wanted, strict=True)
    )
    with recording(True):
        y = composed(x, z, kappa, transform, padding, subsampling)
    edges = [a._node or a for a, asked in zip((x, z, transform), wanted, strict=True) if asked]
    found = backpropagate(
        [(y._node or y, g)], edges, create_graph=again, retain_graph=again, partial=True
    )
    gradients = (found.get(edge) for edge in edges)
    return [next(gradients) if asked else None for asked in wanted]


ckn_map.vjp_jointly(_rule)
