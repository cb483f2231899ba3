"""correlate2d and its two adjoints, as matrix products with unfolded patches.

N batch, C channels in, O channels out, G groups, kh x kw kernel, Ho x Wo output, K =
C/G*kh*kw, L = Ho*Wo. The output is linear in the images and in the weights, so the three
are closed under differentiation.

These forwards run on any backend and are the reference; `cpu/correlate/` has the
algorithms that the CPU chooses from, with the same checks and results.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeAlias, TypeVar

from tinygrad_ckn.backend import Array, Namespace, NDArray, Shape
from tinygrad_ckn.chunks import slices
from tinygrad_ckn.errors import ConfigError, ShapeError
from tinygrad_ckn.primitive import primitive
from tinygrad_ckn.windows import Correlation, Padding, Pair, Windows, image_shape, pair

Algorithm: TypeAlias = Literal["auto", "unfold", "winograd", "toeplitz", "fft", "direct"]

# Raw arrays, or operands of an op.
A = TypeVar("A", NDArray[Any], Array)
# Bytes of unfolded patches held at a time.
_BLOCK_BYTES = 2**23


@primitive()
def correlate2d(
    xp: Namespace,
    x: Array,
    w: Array,
    bias: Array | None = None,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
    algorithm: Algorithm = "auto",
) -> Array:
    """Return the cross-correlation (no flip) of images with filters.

    Parameters
    ----------
    x
        Images (N, C, H, W), or one 2-D array (H, W); floating.
    w
        Filters (O, C/groups, kh, kw), or one 2-D array (kh, kw) if x is 2-D; floating.
    bias
        Added to each output channel: (O,), or None (default).
    stride
        Distance between windows, in pixels: number or (vertical, horizontal); default 1.
    padding
        Zeros on each side: number, pair, or "valid" | "same" | "full" as in
        `scipy.signal.correlate2d`; default 0.
    dilation
        Distance between the pixels of a window: number or (vertical, horizontal);
        default 1.
    groups
        Number of groups of channels, each correlated with its share of the filters;
        default 1.
    algorithm
        "auto" (default) takes the one measured to be the fastest for such shapes. On the
        CPU there are "unfold" (a product with unfolded patches), "winograd", "toeplitz",
        "fft" and "direct", elsewhere only "unfold". The gradients use it too.

    Returns
    -------
    (N, O, Ho, Wo) or, for 2-D arguments, (Ho, Wo)
        In the dtype that x and w promote to.

    Raises
    ------
    ShapeError
        If shapes do not match, an option is out of range, or the kernel is larger than
        the padded image.
    DTypeError
        If x or w is not floating.
    ConfigError
        If the algorithm is unknown or does not support these shapes.

    Examples
    --------
    >>> correlate2d(Tensor([[1.0, 2.0, 3.0]]), Tensor([[1.0, 10.0]]), padding="valid")
    Tensor((1, 2), float64, cpu) [[21. 32.]]
    """
    check_algorithm("correlate2d", algorithm)
    flat = x.ndim == 2 and w.ndim == 2
    if flat:
        x = as_batch(x)
        w = as_batch(w)
    shapes = check_forward(
        x, w, bias, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
    o = shapes.filters
    ho, wo = shapes.out
    # (G, O/G, K)
    rows = w.reshape(groups, o // groups, -1)
    y = xp.empty((len(x), o, ho, wo), dtype=xp.result_type(x, w))
    for block in _image_blocks(shapes, x.dtype.itemsize):
        # (n, G, K, L)
        columns = shapes.windows.columns(xp, x[block]).reshape(-1, groups, rows.shape[2], ho * wo)
        y[block] = xp.matmul(rows, columns).reshape(-1, o, ho, wo)
    if bias is not None:
        y = y + bias.reshape(o, 1, 1)
    return y[0, 0] if flat else y


correlate2d.vjp(
    x=lambda g, w, x_shape, options: correlate2d_input(g, w, input_size=x_shape[-2:], **options),
    w=lambda g, x, w_shape, options: correlate2d_weight(x, g, kernel_size=w_shape[-2:], **options),
    bias=lambda g: g.sum(axis=(0, 2, 3)) if g.ndim == 4 else g.sum().reshape((1,)),
)


@primitive()
def correlate2d_input(
    xp: Namespace,
    cotangent: Array,
    w: Array,
    *,
    input_size: Pair,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
    algorithm: Algorithm = "auto",
) -> Array:
    """Return the adjoint of `correlate2d` with respect to its images.

    Also known as the transposed convolution.

    Parameters
    ----------
    cotangent
        (N, O, Ho, Wo), or (Ho, Wo) if w is 2-D; floating.
    w
        Filters (O, C/groups, kh, kw), or one 2-D array (kh, kw); floating.
    input_size
        (H, W) of the images, which the other shapes do not determine if stride > 1.
    stride, padding, dilation, groups, algorithm
        As for `correlate2d`.

    Returns
    -------
    (N, C, H, W) or, for 2-D arguments, (H, W)
        In the dtype that the arguments promote to.

    Raises
    ------
    ShapeError
        If shapes do not match, or an option is out of range.
    DTypeError
        If an argument is not floating.
    ConfigError
        If the algorithm is unknown or does not support these shapes.

    Examples
    --------
    >>> correlate2d_input(Tensor([[1.0, 2.0]]), Tensor([[1.0, 10.0]]), input_size=(1, 3))
    Tensor((1, 3), float64, cpu) [[ 1. 12. 20.]]
    """
    check_algorithm("correlate2d_input", algorithm)
    flat = cotangent.ndim == 2 and w.ndim == 2
    if flat:
        cotangent = as_batch(cotangent)
        w = as_batch(w)
    shapes = check_input_adjoint(
        cotangent, w, input_size, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
    n, o, ho, wo = cotangent.shape
    # (G, K, O/G)
    rows = w.reshape(groups, o // groups, -1).swapaxes(1, 2)
    x = xp.empty((n, shapes.channels, *shapes.size), dtype=xp.result_type(cotangent, w))
    for block in _image_blocks(shapes, x.dtype.itemsize):
        maps = cotangent[block].reshape(-1, groups, o // groups, ho * wo)
        # (n, G, K, L)
        columns = xp.matmul(rows, maps)
        columns = columns.reshape(len(columns), -1, ho * wo)
        x[block] = shapes.windows.scatter(xp, columns, shapes.size)
    return x[0, 0] if flat else x


correlate2d_input.vjp(
    cotangent=lambda g, w, options: correlate2d(g, w, **_shared(options)),
    w=lambda g, cotangent, w_shape, options: correlate2d_weight(
        g, cotangent, kernel_size=w_shape[-2:], **_shared(options)
    ),
)


@primitive()
def correlate2d_weight(
    xp: Namespace,
    x: Array,
    cotangent: Array,
    *,
    kernel_size: Pair,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
    algorithm: Algorithm = "auto",
) -> Array:
    """Return the adjoint of `correlate2d` with respect to its filters.

    Parameters
    ----------
    x
        Images (N, C, H, W), or one 2-D array (H, W); floating.
    cotangent
        (N, O, Ho, Wo), or (Ho, Wo) if x is 2-D; floating.
    kernel_size
        (kh, kw) of the filters, which the other shapes do not determine if stride > 1.
    stride, padding, dilation, groups, algorithm
        As for `correlate2d`.

    Returns
    -------
    (O, C/groups, kh, kw) or, for 2-D arguments, (kh, kw)
        In the dtype that the arguments promote to.

    Raises
    ------
    ShapeError
        If shapes do not match, or an option is out of range.
    DTypeError
        If an argument is not floating.
    ConfigError
        If the algorithm is unknown or does not support these shapes.

    Examples
    --------
    >>> correlate2d_weight(
    ...     Tensor([[1.0, 2.0, 3.0]]), Tensor([[1.0, 10.0]]), kernel_size=(1, 2)
    ... )
    Tensor((1, 2), float64, cpu) [[21. 32.]]
    """
    check_algorithm("correlate2d_weight", algorithm)
    flat = x.ndim == 2 and cotangent.ndim == 2
    if flat:
        x = as_batch(x)
        cotangent = as_batch(cotangent)
    shapes = check_weight_adjoint(
        x, cotangent, kernel_size, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
    o, c, kh, kw = shapes.w_shape
    length = shapes.out[0] * shapes.out[1]
    # (G, O/G, K)
    w = xp.zeros((groups, o // groups, c * kh * kw), dtype=xp.result_type(x, cotangent))
    for block in _image_blocks(shapes, x.dtype.itemsize):
        # (n, G, K, L)
        columns = shapes.windows.columns(xp, x[block]).reshape(-1, groups, w.shape[2], length)
        maps = cotangent[block].reshape(-1, groups, o // groups, length)
        w += xp.matmul(maps, columns.swapaxes(2, 3)).sum(axis=0)
    w = w.reshape(o, c, kh, kw)
    return w[0, 0] if flat else w


correlate2d_weight.vjp(
    x=lambda g, cotangent, x_shape, options: correlate2d_input(
        cotangent, g, input_size=x_shape[-2:], **_shared(options)
    ),
    cotangent=lambda g, x, options: correlate2d(x, g, **_shared(options)),
)


def _shared(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that all three operations have."""
    return {n: v for n, v in options.items() if n not in ("input_size", "kernel_size")}


def _image_blocks(shapes: Correlation, itemsize: int) -> Iterator[slice]:
    """Cut the images into blocks whose unfolded patches stay small."""
    kh, kw = shapes.windows.kernel
    ho, wo = shapes.out
    image_bytes = shapes.channels * kh * kw * ho * wo * itemsize
    return slices(shapes.n, max(1, _BLOCK_BYTES // max(1, image_bytes)))


def as_batch(x: A) -> A:
    """Return a 2-D array as a batch of one image with one channel."""
    return x.reshape(1, 1, *x.shape) if x.ndim == 2 else x


def check_algorithm(op: str, algorithm: str) -> None:
    """Raise a ConfigError unless these forwards have the algorithm."""
    if algorithm not in ("auto", "unfold"):
        raise ConfigError(
            f"{op}: argument algorithm expected 'auto' or 'unfold' on this device, "
            f"got {algorithm!r}; the others are for the CPU"
        )


def check_forward(
    x: Array,
    w: Array,
    bias: Array | None,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Correlation:
    """Check the 4-D arguments of `correlate2d`; return their shapes."""
    op = "correlate2d"
    n, c, *size = image_shape(op, "x", x)
    o, _, *kernel = image_shape(op, "w", w)
    _check_filters(op, c, w.shape, groups)
    if not o:
        raise ShapeError(f"{op}: argument w expected at least one filter, got {w.shape}")
    windows = Windows.of(op, kernel, stride, padding, dilation)
    windows.output_size(size)
    if bias is not None and bias.shape != (o,):
        raise ShapeError(
            f"{op}: argument bias expected shape ({o},), one for each filter, got {bias.shape}"
        )
    return Correlation(n, c, (size[0], size[1]), o, groups, windows)


def check_input_adjoint(
    cotangent: Array,
    w: Array,
    input_size: Pair,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Correlation:
    """Check the 4-D arguments of `correlate2d_input`; return their shapes."""
    op = "correlate2d_input"
    n = image_shape(op, "cotangent", cotangent)[0]
    o, channels, *kernel = image_shape(op, "w", w)
    windows = Windows.of(op, kernel, stride, padding, dilation)
    size = pair(op, "input_size", input_size, 1)
    _check_filters(op, channels * groups, w.shape, groups)
    expected = (n, o, *windows.output_size(size))
    if cotangent.shape != expected:
        raise ShapeError(
            f"{op}: argument cotangent expected shape {expected}, got {cotangent.shape}"
        )
    return Correlation(n, channels * groups, size, o, groups, windows)


def check_weight_adjoint(
    x: Array,
    cotangent: Array,
    kernel_size: Pair,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Correlation:
    """Check the 4-D arguments of `correlate2d_weight`; return their shapes."""
    op = "correlate2d_weight"
    n, c, *size = image_shape(op, "x", x)
    o = image_shape(op, "cotangent", cotangent)[1]
    windows = Windows.of(op, kernel_size, stride, padding, dilation)
    expected = (n, o, *windows.output_size(size))
    if cotangent.shape != expected or groups < 1 or o % groups or c % groups:
        raise ShapeError(
            f"{op}: argument cotangent expected shape {expected} with O and C = {c} divisible by "
            f"groups = {groups}, got {cotangent.shape}"
        )
    return Correlation(n, c, (size[0], size[1]), o, groups, windows)


def _check_filters(op: str, channels: int, w_shape: Shape, groups: int) -> None:
    if groups < 1 or w_shape[0] % groups or channels != w_shape[1] * groups:
        raise ShapeError(
            f"{op}: argument w expected shape (O, C/groups, kh, kw) with C = {channels}, "
            f"groups = {groups} and O divisible by groups, got {tuple(w_shape)}"
        )
