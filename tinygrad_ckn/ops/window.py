"""unfold and fold: images to columns of patches, and the adjoint.

N batch, C channels, H x W image, kh x kw kernel, L = Ho*Wo patches.
"""

from __future__ import annotations

from tinygrad_ckn.backend import Array, Namespace
from tinygrad_ckn.errors import ShapeError
from tinygrad_ckn.primitive import primitive
from tinygrad_ckn.windows import Padding, Pair, Windows, image_shape, pair


@primitive()
def unfold(
    xp: Namespace,
    x: Array,
    kernel_size: Pair,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
) -> Array:
    """Return the patches of images as columns: (N, C, H, W) -> (N, C*kh*kw, L).

    As `torch.nn.functional.unfold`.

    Parameters
    ----------
    x
        Images (N, C, H, W), floating; the dtype is kept.
    kernel_size
        (kh, kw), or one number for both.
    stride
        Distance between patches, in pixels: number or (vertical, horizontal); default 1.
    padding
        Zeros on each side: number, pair, or "valid" | "same" | "full" as for
        `correlate2d`; default 0.
    dilation
        Distance between the pixels of a patch: number or (vertical, horizontal);
        default 1.

    Raises
    ------
    ShapeError
        If x does not have four axes, an option is out of range, or the kernel is larger
        than the padded image.
    DTypeError
        If x is not floating.

    Examples
    --------
    >>> unfold(Tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), (1, 2))
    Tensor((1, 2, 2), float64, cpu) [[[1. 3.] [2. 4.]]]
    """
    size = image_shape("unfold", "x", x)[2:]
    windows = Windows.of("unfold", kernel_size, stride, padding, dilation)
    windows.output_size(size)
    return windows.columns(xp, x)


unfold.vjp(x=lambda g, x_shape, options: fold(g, x_shape[2:], **options))


@primitive()
def fold(
    xp: Namespace,
    columns: Array,
    output_size: Pair,
    kernel_size: Pair,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
) -> Array:
    """Return images that sum overlapping patches: (N, C*kh*kw, L) -> (N, C, H, W).

    The adjoint of `unfold`.

    Parameters
    ----------
    columns
        Patches (N, C*kh*kw, L), as `unfold` returns them; the dtype is kept.
    output_size
        (H, W) of the images, or one number for both.
    kernel_size, stride, padding, dilation
        As for `unfold`.

    Raises
    ------
    ShapeError
        If the number of rows or columns is not that of `unfold` for such images, or an
        option is out of range.

    Examples
    --------
    >>> fold(Tensor([[[1.0, 3.0], [2.0, 4.0]]]), (1, 3), (1, 2))
    Tensor((1, 1, 1, 3), float64, cpu) [[[[1. 5. 4.]]]]
    """
    windows, size = check_columns(
        columns, output_size, kernel_size, stride=stride, padding=padding, dilation=dilation
    )
    return windows.scatter(xp, columns, size)


fold.vjp(
    columns=lambda g, kernel_size, stride, padding, dilation: unfold(
        g, kernel_size, stride=stride, padding=padding, dilation=dilation
    )
)


def check_columns(
    columns: Array,
    output_size: Pair,
    kernel_size: Pair,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
) -> tuple[Windows, tuple[int, int]]:
    """Check the arguments of `fold`; return the windows and the size of the images."""
    windows = Windows.of("fold", kernel_size, stride, padding, dilation)
    size = pair("fold", "output_size", output_size, 1)
    ho, wo = windows.output_size(size)
    taps = windows.kernel[0] * windows.kernel[1]
    if (
        columns.ndim != 3
        or columns.shape[1] % taps
        or not columns.shape[1]
        or columns.shape[2] != ho * wo
    ):
        raise ShapeError(
            f"fold: argument columns expected shape (N, C*{taps}, {ho * wo}), C >= 1, "
            f"for images of {size}, got {columns.shape}"
        )
    return windows, size
