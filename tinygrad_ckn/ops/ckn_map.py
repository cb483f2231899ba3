"""The map of a CKN layer: |x| kappa(<z, x> / |x|) of patches x and filters z, pooled.

`reference_map` composes it of other operations: the reference for tests, and the rule
where the rule itself is differentiated. `cpu/ckn_map/fused.py` and `cuda/ckn_map.py`
compute it faster and pass their gradient on as `saved`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tinygrad_ckn.backend import CPU, Array, DTypeLike, Namespace, xp_of
from tinygrad_ckn.backward import backpropagate
from tinygrad_ckn.errors import ConfigError, ShapeError
from tinygrad_ckn.grad_mode import recording
from tinygrad_ckn.graph import Variable, unwrap
from tinygrad_ckn.ops.clip import clip
from tinygrad_ckn.ops.correlate import correlate2d
from tinygrad_ckn.ops.elementwise import sqrt, square, where
from tinygrad_ckn.ops.kappa import Kappa
from tinygrad_ckn.ops.matmul import matmul
from tinygrad_ckn.ops.pool import gaussian_pool2d
from tinygrad_ckn.ops.pool_matrices import Subsampling, check_subsampling
from tinygrad_ckn.primitive import primitive
from tinygrad_ckn.windows import Padding, Windows, image_shape


def zero_norm_threshold(dtype: DTypeLike, norm_dtype: DTypeLike | None = None) -> float:
    """Return the squared norm up to which a vector counts as zero.

    Smaller squares have lost their digits to underflow, or the inverse of the norm
    overflows.

    Parameters
    ----------
    dtype
        dtype in which the squares are summed.
    norm_dtype
        dtype of the norm and its inverse; default: dtype.

    Examples
    --------
    >>> zero_norm_threshold("float32") == 2**-103
    True
    """
    limits = CPU.xp.finfo(dtype)
    smallest = float(CPU.xp.finfo(dtype if norm_dtype is None else norm_dtype).tiny)
    return max(float(limits.tiny / limits.eps), (4 * smallest) ** 2)


def cosine_bound(z: Array) -> Array:
    """Return an upper bound of the cosine with any filter, allowing for rounding.

    A correlation by transforms gives a short patch next to much longer ones the
    rounding error of those, and kappa of such a cosine has no bound.

    Parameters
    ----------
    z
        Filters (p, ...).

    Returns
    -------
    0-d array, float64
        1 and a little for filters of norm 1.
    """
    squares = unwrap(z).reshape(len(z), -1) ** 2
    largest = squares.sum(axis=1).max()
    return xp_of(unwrap(z)).sqrt(largest.astype("float64")) * (1 + 2**-8)


def norm_and_inverse(squares: Array, dtype: DTypeLike | None = None) -> tuple[Array, Array]:
    """Return norms and their inverses, given squared norms.

    They are 0 and 1, with zero derivatives, for vectors that count as zero.

    Parameters
    ----------
    squares
        Squared norms, any shape.
    dtype
        dtype of the results, in which the inverses do not overflow; default: that of
        the squares.
    """
    dtype = squares.dtype if dtype is None else dtype
    # False for NaN.
    is_zero = unwrap(squares) <= zero_norm_threshold(squares.dtype, dtype)
    safe = sqrt(where(is_zero, 1, squares))
    norms = where(is_zero, 0, safe)
    inverses = 1 / safe
    if dtype == squares.dtype:
        return norms, inverses
    return norms.astype(dtype), inverses.astype(dtype)


def check_map(
    x: Array,
    z: Array,
    transform: Array | None,
    padding: Padding,
    subsampling: Subsampling,
) -> Windows:
    """Return the positions of the patches.

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
            f"ckn_map: argument transform expected shape ({len(z)}, {len(z)}), a row and a column "
            f"per filter, got {transform.shape}"
        )
    check_subsampling("ckn_map", subsampling)
    windows = Windows.of("ckn_map", z.shape[2:], 1, padding)
    windows.output_size(size)
    return windows


def _vjp(
    g: Array,
    x: Array,
    z: Array,
    kappa: Kappa,
    transform: Array | None,
    padding: Padding,
    subsampling: Subsampling,
    saved: Any,
    needs_grad: Sequence[bool],
) -> list[Array | None]:
    """Return the gradients by the kernel that computed the map, else by the reference."""
    if saved is not None:
        return list(saved.vjp(g, needs_grad))
    create_graph = isinstance(g, Variable)
    operands: list[Any] = [
        Variable.leaf(operand) if needed and not create_graph else operand
        for operand, needed in zip((x, z, transform), needs_grad, strict=True)
    ]
    x, z, transform = operands
    with recording(True):
        y: Any = reference_map(x, z, kappa, transform, padding, subsampling)
    pairs = zip(operands, needs_grad, strict=True)
    edges = [operand._vertex for operand, needed in pairs if needed]
    by_edge = backpropagate(
        [(y._vertex, g)],
        edges,
        create_graph=create_graph,
        retain_graph=create_graph,
        partial=True,
    )
    gradients = (by_edge.get(edge) for edge in edges)
    return [next(gradients) if needed else None for needed in needs_grad]


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
) -> tuple[Array, Any]:
    """Return |x| kappa(<z, x> / |x|) of each patch x and filter z, pooled, transformed.

    Parameters
    ----------
    x
        Images (N, C, H, W).
    z
        Filters (p, C, kh, kw), each of norm 1.
    kappa : Kappa
        `kernel.fused()` of a kernel of `models.kernels`, or `Kappa.from_function`.
    transform : (p, p) matrix or None
        Multiplies the vector of each position; None: the identity. A Nystrom map has
        (kappa(Z Z^T) + eps I)^(-1/2). It commutes with the pooling and is applied after
        it.
    padding : str, int or pair, default "same"
        Zeros on each side, as for `correlate2d`.
    subsampling : float or (vertical, horizontal), default 1
        As for `gaussian_pool2d`; 1: no pooling.
    saving : bool
        Set by the engine: whether a gradient will be computed.

    Returns
    -------
    (N, p, Ho, Wo)
        0 for a zero patch, with a zero derivative.

    Raises
    ------
    ShapeError, DTypeError, ConfigError
        If an argument is not of this kind.

    Examples
    --------
    >>> square = Kappa.from_function(lambda u: u * u)
    >>> x, z = Tensor([[[[3.0]], [[4.0]]]]), Tensor([[[[0.0]], [[1.0]]]])
    >>> ckn_map(x, z, square)  # 5 (4/5)^2
    Tensor((1, 1, 1, 1), float64, cpu) [[[[3.2]]]]
    """
    if not isinstance(kappa, Kappa):
        raise ConfigError(
            f"ckn_map: argument kappa expected an ops.kappa.Kappa, got {kappa!r}; "
            "make one by Kappa.from_function"
        )
    check_map(x, z, transform, padding, subsampling)
    return reference_map(x, z, kappa, transform, padding, subsampling), None


ckn_map.vjp_jointly(_vjp)


def reference_map(
    x: Array,
    z: Array,
    kappa: Callable[[Array], Array],
    transform: Array | None,
    padding: Padding,
    subsampling: Subsampling,
) -> Array:
    """Return the map, as `ckn_map`, as a composition of operations.

    Images are divided by a power of two first, and the map multiplied by it, so that
    products do not underflow.
    """
    scale = _scale_of(unwrap(x))
    x = x / scale
    box = xp_of(unwrap(x)).ones((1, 1, *z.shape[2:]), dtype="float64")
    # Squares of float32 neither overflow nor underflow in float64.
    pixels = square(x.astype("float64")).sum(axis=1, keepdims=True)
    # By "unfold", since transforms may give a negative sum.
    squares = correlate2d(pixels, box, padding=padding, algorithm="unfold")
    # (N, 1, H, W)
    norms, inverses = norm_and_inverse(squares, x.dtype)
    bound = cosine_bound(z).astype(x.dtype)
    # (N, p, H, W)
    cosines = clip(correlate2d(x, z, padding=padding) * inverses, -bound, bound)
    y = norms * kappa(cosines) * scale
    if check_subsampling("ckn_map", subsampling) != (1, 1):
        y = gaussian_pool2d(y, subsampling)
    if transform is None:
        return y
    n, p, height, width = y.shape
    return matmul(transform, y.reshape((n, p, height * width))).reshape((n, p, height, width))


def _scale_of(x: Array) -> Array:
    """Return a power of two near the largest magnitude of each image: (N, 1, 1, 1).

    It is 1 for an image that is zero or has a NaN or infinity.
    """
    xp = xp_of(x)
    largest = xp.abs(x).max(axis=(1, 2, 3), keepdims=True)
    exponents = xp.where(xp.isfinite(largest) & (largest > 0), xp.frexp(largest)[1] - 1, 0)
    return xp.ldexp(xp.ones_like(largest), exponents)
