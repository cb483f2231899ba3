"""NumPy's products and diagonals, which differ from those of the Array API standard.

`np.trace(t)`, `np.diagonal(t)` and `np.outer(t, u)` run those here: along the first two
axes, and of flattened arrays, where the standard takes the last two axes, and vectors.
"""

from __future__ import annotations

from typing import Any

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array, xp_of
from tinygrad_ckn.errors import ShapeError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.integers import axes_of
from tinygrad_ckn.ops.arithmetic import multiply
from tinygrad_ckn.ops.index import getitem
from tinygrad_ckn.ops.linalg.products import tensordot
from tinygrad_ckn.ops.reduce import sum
from tinygrad_ckn.ops.shape import moveaxis, reshape
from tinygrad_ckn.tensor import Tensor


def outer(a: Array, b: Array) -> Tensor:
    """Return the products of all elements of a with all elements of b, as a matrix.

    Parameters
    ----------
    a, b
        Any shapes; they are flattened. `linalg.outer` takes vectors only.

    Raises
    ------
    DTypeError
        If one is not an array.

    Examples
    --------
    >>> outer(Tensor([1.0, 2.0]), Tensor([3.0, 4.0]))
    Tensor((2, 2), float64, cpu) [[3. 4.] [6. 8.]]
    """
    checks.array("outer", a=a, b=b)
    return multiply(reshape(a, (-1, 1)), reshape(b, (1, -1)))


def inner(a: Array, b: Array) -> Tensor:
    """Return the sums of products over the last axes of a and b.

    Parameters
    ----------
    a, b
        Arrays whose last axes have one size; 0-d ones multiply.

    Raises
    ------
    ShapeError
        If the sizes differ.
    DTypeError
        If one is not an array.

    Examples
    --------
    >>> inner(Tensor([1.0, 2.0]), Tensor([3.0, 4.0])).item()
    11.0
    """
    checks.array("inner", a=a, b=b)
    if not a.shape or not b.shape:
        return multiply(a, b)
    return tensordot(a, b, axes=((-1,), (-1,)))


def vdot(a: Array, b: Array) -> Tensor:
    """Return the sum of the products of all elements.

    Parameters
    ----------
    a, b
        Arrays of one size; they are flattened.

    Raises
    ------
    ShapeError
        If the sizes differ.
    DTypeError
        If one is not an array.

    Examples
    --------
    >>> vdot(Tensor([[1.0, 2.0]]), Tensor([3.0, 4.0])).item()
    11.0
    """
    checks.array("vdot", a=a, b=b)
    sizes = [unwrap(x).size for x in (a, b)]
    if sizes[0] != sizes[1]:
        raise ShapeError(f"vdot: expected arrays of one size, got {sizes[0]} and {sizes[1]}")
    return sum(multiply(reshape(a, (-1,)), reshape(b, (-1,))))


def diagonal(x: Array, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """Return the diagonals of matrices, as the last axis.

    Parameters
    ----------
    x
        At least two axes.
    offset
        The diagonal: 0 (default) is the main one, positive ones lie above it.
    axis1, axis2
        Axes of the rows and the columns; default the first two. `linalg.diagonal` takes
        the last two.

    Raises
    ------
    ShapeError
        If an axis is out of range or named twice.
    DTypeError
        If x is not an array.

    Examples
    --------
    >>> diagonal(Tensor([[1.0, 2.0], [3.0, 4.0]]))
    Tensor((2,), float64, cpu) [1. 4.]
    """
    checks.array("diagonal", x=x)
    axes = axes_of("diagonal", (axis1, axis2), len(x.shape))
    matrices: Any = moveaxis(x, axes, (-2, -1))
    below, above = max(-offset, 0), max(offset, 0)
    rows, columns = matrices.shape[-2:]
    steps = xp_of(unwrap(x)).arange(max(0, min(rows - below, columns - above)))
    return getitem(matrices, (..., steps + below, steps + above))


def trace(x: Array, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """Return the sums over diagonals of matrices.

    Parameters
    ----------
    x
        At least two axes.
    offset
        The diagonal: 0 (default) is the main one, positive ones lie above it.
    axis1, axis2
        Axes of the rows and the columns; default the first two. `linalg.trace` takes
        the last two.

    Raises
    ------
    ShapeError
        If an axis is out of range or named twice.
    DTypeError
        If x is not an array.

    Examples
    --------
    >>> trace(Tensor([[1.0, 2.0], [3.0, 4.0]])).item()
    5.0
    """
    return sum(diagonal(x, offset, axis1, axis2), axis=-1)
