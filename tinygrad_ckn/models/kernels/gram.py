"""Gram matrices of homogeneous dot-product kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinygrad_ckn import ops
from tinygrad_ckn.backend import CPU, Array, Vectors, check_real, xp_of
from tinygrad_ckn.chunks import slices
from tinygrad_ckn.errors import DataError, DTypeError, ShapeError
from tinygrad_ckn.graph import Variable, unwrap
from tinygrad_ckn.ops.ckn_map import norm_and_inverse

# Rows and columns of a block.
_BLOCK = 1024


def gram(kappa: Callable[[Array], Array], x: Vectors, y: Vectors) -> Array:
    """Return |x_i| |y_j| kappa(<x_i, y_j> / (|x_i| |y_j|)), 0 where a vector is 0.

    Parameters
    ----------
    kappa
        Function of cosines, elementwise, for Tensors and arrays.
    x, y
        Vectors as rows, (n, d) and (m, d), or one vector each, (d,): Tensors, arrays or
        nested lists.

    Returns
    -------
    (n, m), or a number for one vector each
        For arrays it is computed in blocks, which bounds the memory besides the result;
        for Tensors it is one differentiable composition. float64 if x or y is of
        integers.

    Raises
    ------
    ShapeError, DTypeError
        If x and y are not matrices of as many columns, or not of real numbers.
    DataError
        If a number is NaN or infinite.

    Examples
    --------
    >>> gram(np.square, [[1.0, 1.0]], [[0.0, 3.0]]).round(4)
    array([[2.1213]])
    """
    x = _check_vectors("x", x)
    y = _check_vectors("y", y)
    if x.ndim == y.ndim == 1 and x.shape == y.shape:
        return _gram_block(kappa, x[None], y[None])[0, 0]
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise ShapeError(
            f"kernel: expected x (n, d) and y (m, d) of one d, got {x.shape} and {y.shape}"
        )
    if isinstance(x, Variable) or isinstance(y, Variable):
        return _gram_block(kappa, x, y)
    xp = xp_of(x, y)
    result: Array = xp.empty((len(x), len(y)), dtype=xp.result_type(x, y))
    for rows in slices(len(x), _BLOCK):
        for columns in slices(len(y), _BLOCK):
            result[rows, columns] = _gram_block(kappa, x[rows], y[columns])
    return result


def _gram_block(kappa: Callable[[Array], Array], x: Any, y: Any) -> Any:
    """Return the Gram matrix as one composition of operations."""
    norm_x, inverse_x = norm_and_inverse(ops.square(x).sum(axis=1))
    norm_y, inverse_y = norm_and_inverse(ops.square(y).sum(axis=1))
    cosines = (x * inverse_x.reshape((-1, 1))) @ (y * inverse_y.reshape((-1, 1))).swapaxes(0, 1)
    return norm_x.reshape((-1, 1)) * kappa(cosines) * norm_y


def _check_vectors(name: str, x: Any) -> Any:
    """Return an argument as a floating array or Tensor of finite numbers."""
    try:
        x = x if hasattr(x, "dtype") else CPU.xp.asarray(x, dtype="float64")
        xp = xp_of(unwrap(x))
    except (ValueError, TypeError) as error:
        raise DTypeError(
            f"kernel: argument {name} expected a Tensor, an array or nested lists of numbers, "
            f"got {type(x).__name__}; pass an array of its numbers ({error})"
        ) from error
    values = check_real("kernel", name, unwrap(x))
    # The minimum and maximum are NaN if a number is.
    if values.size and not (xp.isfinite(values.min()) and xp.isfinite(values.max())):
        raise DataError(
            f"kernel: argument {name} expected finite numbers, got NaN or infinity; "
            "leave those vectors out"
        )
    return x if x.dtype.kind == "f" else x.astype("float64")
