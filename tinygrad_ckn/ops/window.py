"""unfold and fold: images to columns of patches, and its adjoint."""

from __future__ import annotations

from typing import Any

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
) -> Any:
    """Return the patches of images as columns, as `torch.nn.functional.unfold`: (N, C, H, W) -> (N, C*kh*kw, L).

    Parameters
    ----------
    x
        Images (N, C, H, W), floating.
    kernel_size, stride, dilation
        Number or (vertical, horizontal).
    padding
        Zeros on each side: number, pair, or "valid" | "same" | "full".

    Raises
    ------
    ShapeError
        If x has not four axes, or the kernel is larger than the padded image.

    Examples
    --------
    >>> unfold(Tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), (1, 2))
    Tensor((1, 2, 2), float64, cpu) [[[1. 3.] [2. 4.]]]
    """
    size = image_shape("unfold", "x", x)[2:]
    windows = Windows.of("unfold", kernel_size, stride, padding, dilation)
    windows.output_size(size)
    return windows.columns(xp, x)


def check_columns(
    columns: Any,
    output_size: Pair,
    kernel_size: Pair,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
) -> tuple[Windows, tuple[int, int]]:
    """Check the arguments of `fold`; return where the windows lie, and the size of the images."""
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
            f"fold: argument columns expected shape (N, C*{taps}, {ho * wo}), C >= 1, for images of {size}, "
            f"got {columns.shape}"
        )
    return windows, size


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
) -> Any:
    """Return images with each patch's values added at its place: (N, C*kh*kw, L) -> (N, C, H, W), unfold's adjoint.

    Parameters
    ----------
    columns
        Patches (N, C*kh*kw, L), as `unfold` makes them.
    output_size
        (H, W) of the images.
    kernel_size, stride, padding, dilation
        As for `unfold`.

    Raises
    ------
    ShapeError
        If the number of rows or columns is not what `unfold` gives for such images.

    Examples
    --------
    >>> fold(Tensor([[[1.0, 3.0], [2.0, 4.0]]]), (1, 3), (1, 2))
    Tensor((1, 1, 1, 3), float64, cpu) [[[[1. 5. 4.]]]]
    """
    windows, size = check_columns(
        columns, output_size, kernel_size, stride=stride, padding=padding, dilation=dilation
    )
    return windows.scatter(xp, columns, size)


unfold.vjp(
    x=lambda g, x_shape, kernel_size, stride, padding, dilation: fold(
        g, x_shape[2:], kernel_size, stride=stride, padding=padding, dilation=dilation
    )
)
fold.vjp(
    columns=lambda g, kernel_size, stride, padding, dilation: unfold(
        g, kernel_size, stride=stride, padding=padding, dilation=dilation
    )
)
