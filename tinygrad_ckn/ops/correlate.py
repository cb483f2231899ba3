"""correlate2d and its two adjoints, each a matrix product on unfolded patches, in blocks of images.

N batch, C channels in, O channels out, G groups, kh x kw kernel, Ho x Wo output, K =
C/G*kh*kw, L = Ho*Wo. The three are closed under differentiation: y = X w is linear in
the images and in the weights.

What stands here runs on any backend and is the reference; `cpu/correlate.py` has the
algorithms that the CPU chooses from, with the same checks and results.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tinygrad_ckn.backend import Array, Namespace
from tinygrad_ckn.errors import ConfigError, ShapeError
from tinygrad_ckn.primitive import primitive
from tinygrad_ckn.windows import Correlation, Padding, Pair, Windows, image_shape, pair

# unfolded patches held at a time
_BLOCK_BYTES = 2**23


def _blocks(n: int, row_bytes: int) -> Iterator[slice]:
    """Cut n images into slices of which the unfolded patches, `row_bytes` an image, stay small."""
    step = max(1, _BLOCK_BYTES // max(1, row_bytes))
    return (slice(i, i + step) for i in range(0, n, step))


def as_batch(x: Any) -> Any:
    """Return a 2-D array as a batch of one image of one channel."""
    return x.reshape(1, 1, *x.shape) if x.ndim == 2 else x


def check_forward(
    x: Any,
    w: Any,
    bias: Any,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Correlation:
    """Check the arguments of `correlate2d`, in four dimensions."""
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
    cotangent: Any,
    w: Any,
    input_size: Pair,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Correlation:
    """Check the arguments of `correlate2d_input`, in four dimensions."""
    op = "correlate2d_input"
    n, _, *_ = image_shape(op, "cotangent", cotangent)
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
    x: Any,
    cotangent: Any,
    kernel_size: Pair,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Correlation:
    """Check the arguments of `correlate2d_weight`, in four dimensions."""
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


def _check_filters(op: str, channels: int, w_shape: tuple[int, ...], groups: int) -> None:
    if groups < 1 or w_shape[0] % groups or channels != w_shape[1] * groups:
        raise ShapeError(
            f"{op}: argument w expected shape (O, C/groups, kh, kw) with C = {channels}, groups = {groups} "
            f"and O divisible by groups, got {tuple(w_shape)}"
        )


def check_algorithm(op: str, algorithm: str) -> None:
    """Refuse an algorithm that only another device's kernels know."""
    if algorithm not in ("auto", "unfold"):
        raise ConfigError(
            f"{op}: argument algorithm expected 'auto' or 'unfold' on this device, got {algorithm!r}; "
            "the others are for the CPU"
        )


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
    algorithm: str = "auto",
) -> Any:
    """Return the cross-correlation (no flip) of images with filters.

    Parameters
    ----------
    x
        Images (N, C, H, W), or one 2-D array (H, W).
    w
        Filters (O, C/groups, kh, kw), or one 2-D array (kh, kw) if x is 2-D.
    bias
        Added to each output channel: (O,), or None.
    stride, dilation
        Number or (vertical, horizontal).
    padding
        Zeros on each side: number, pair, or "valid" | "same" | "full" as in
        `scipy.signal.correlate2d`.
    groups
        Channels are cut into this many groups, each seen by its share of the filters.
    algorithm
        "auto" takes the one measured to be the fastest for such shapes; on the CPU
        there are "unfold" (a product with unfolded patches), "winograd", "toeplitz",
        "fft" and "direct", elsewhere only "unfold". The gradients are computed by it as
        well.

    Returns
    -------
    (N, O, Ho, Wo) or, for 2-D arguments, (Ho, Wo)

    Raises
    ------
    ShapeError
        If shapes do not fit, or the kernel is larger than the padded image.
    ConfigError
        If the algorithm is unknown or cannot do these shapes.

    Examples
    --------
    >>> correlate2d(Tensor([[1.0, 2.0, 3.0]]), Tensor([[1.0, 10.0]]), padding="valid")
    Tensor((1, 2), float64, cpu) [[21. 32.]]
    """
    check_algorithm("correlate2d", algorithm)
    flat = x.ndim == 2 and w.ndim == 2
    x, w = (as_batch(x), as_batch(w)) if flat else (x, w)
    shapes = check_forward(
        x, w, bias, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
    n, c, o, windows, kernel, (ho, wo) = (
        len(x),
        shapes.channels,
        shapes.filters,
        shapes.windows,
        w.shape[2:],
        shapes.out,
    )
    y = xp.empty((n, o, ho, wo), dtype=xp.result_type(x, w))
    # (G, O/G, K)
    rows = w.reshape(groups, o // groups, -1)
    for block in _blocks(n, c * kernel[0] * kernel[1] * ho * wo * x.dtype.itemsize):
        columns = windows.columns(xp, x[block]).reshape(
            -1, groups, rows.shape[2], ho * wo
        )  # (n, G, K, L)
        y[block] = xp.matmul(rows, columns).reshape(-1, o, ho, wo)
    if bias is not None:
        y = y + bias.reshape(o, 1, 1)
    return y[0, 0] if flat else y


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
    algorithm: str = "auto",
) -> Any:
    """Return the adjoint of `correlate2d` in its images: (N, O, Ho, Wo), (O, C/groups, kh, kw) -> (N, C, H, W).

    Also known as the transposed convolution; `input_size` is (H, W), which the other
    shapes leave open.

    Raises
    ------
    ShapeError
        If shapes do not fit.
    ConfigError
        If the algorithm is unknown or cannot do these shapes.

    Examples
    --------
    >>> correlate2d_input(Tensor([[1.0, 2.0]]), Tensor([[1.0, 10.0]]), input_size=(1, 3))
    Tensor((1, 3), float64, cpu) [[ 1. 12. 20.]]
    """
    check_algorithm("correlate2d_input", algorithm)
    flat = cotangent.ndim == 2 and w.ndim == 2
    cotangent, w = (as_batch(cotangent), as_batch(w)) if flat else (cotangent, w)
    shapes = check_input_adjoint(
        cotangent, w, input_size, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
    n, o, *out = cotangent.shape
    c, size, windows, kernel = shapes.channels, shapes.size, shapes.windows, w.shape[2:]
    x = xp.empty((n, c, *size), dtype=xp.result_type(cotangent, w))
    # (G, K, O/G)
    rows = w.reshape(groups, o // groups, -1).swapaxes(1, 2)
    length = out[0] * out[1]
    for block in _blocks(n, c * kernel[0] * kernel[1] * length * x.dtype.itemsize):
        columns = xp.matmul(
            rows, cotangent[block].reshape(-1, groups, o // groups, length)
        )  # (n, G, K, L)
        x[block] = windows.scatter(xp, columns.reshape(len(columns), -1, length), size)
    return x[0, 0] if flat else x


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
    algorithm: str = "auto",
) -> Any:
    """Return the adjoint of `correlate2d` in its filters: (N, C, H, W), (N, O, Ho, Wo) -> (O, C/groups, kh, kw).

    Raises
    ------
    ShapeError
        If shapes do not fit.
    ConfigError
        If the algorithm is unknown or cannot do these shapes.

    Examples
    --------
    >>> correlate2d_weight(Tensor([[1.0, 2.0, 3.0]]), Tensor([[1.0, 10.0]]), kernel_size=(1, 2))
    Tensor((1, 2), float64, cpu) [[21. 32.]]
    """
    check_algorithm("correlate2d_weight", algorithm)
    flat = x.ndim == 2 and cotangent.ndim == 2
    x, cotangent = (as_batch(x), as_batch(cotangent)) if flat else (x, cotangent)
    shapes = check_weight_adjoint(
        x, cotangent, kernel_size, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
    (n, c, *_), o, windows = x.shape, shapes.filters, shapes.windows
    kh, kw = windows.kernel
    length = shapes.out[0] * shapes.out[1]
    w = xp.zeros(
        (groups, o // groups, c // groups * kh * kw), dtype=xp.result_type(x, cotangent)
    )  # (G, O/G, K)
    for block in _blocks(n, c * kh * kw * length * x.dtype.itemsize):
        columns = windows.columns(xp, x[block]).reshape(
            -1, groups, w.shape[2], length
        )  # (n, G, K, L)
        maps = cotangent[block].reshape(-1, groups, o // groups, length)
        w += xp.matmul(maps, columns.swapaxes(2, 3)).sum(axis=0)
    w = w.reshape(o, c // groups, kh, kw)
    return w[0, 0] if flat else w


def _options(
    stride: Pair, padding: Padding, dilation: Pair, groups: int, algorithm: str
) -> dict[str, Any]:
    return {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
        "algorithm": algorithm,
    }


correlate2d.vjp(
    x=lambda g, w, x_shape, stride, padding, dilation, groups, algorithm: correlate2d_input(
        g, w, input_size=x_shape[-2:], **_options(stride, padding, dilation, groups, algorithm)
    ),
    w=lambda g, x, w_shape, stride, padding, dilation, groups, algorithm: correlate2d_weight(
        x, g, kernel_size=w_shape[-2:], **_options(stride, padding, dilation, groups, algorithm)
    ),
    bias=lambda g: g.sum(axis=(0, 2, 3)) if g.ndim == 4 else g.sum().reshape((1,)),
)
correlate2d_input.vjp(
    cotangent=lambda g, w, stride, padding, dilation, groups, algorithm: correlate2d(
        g, w, **_options(stride, padding, dilation, groups, algorithm)
    ),
    w=lambda g, cotangent, w_shape, stride, padding, dilation, groups, algorithm: (
        correlate2d_weight(
            g,
            cotangent,
            kernel_size=w_shape[-2:],
            **_options(stride, padding, dilation, groups, algorithm),
        )
    ),
)
correlate2d_weight.vjp(
    x=lambda g, cotangent, x_shape, stride, padding, dilation, groups, algorithm: correlate2d_input(
        cotangent,
        g,
        input_size=x_shape[-2:],
        **_options(stride, padding, dilation, groups, algorithm),
    ),
    cotangent=lambda g, x, stride, padding, dilation, groups, algorithm: correlate2d(
        x, g, **_options(stride, padding, dilation, groups, algorithm)
    ),
)
