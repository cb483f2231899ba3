"""Gram matrices of homogeneous dot-product kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinygrad_ckn import ops
from tinygrad_ckn.backend import CPU, check_real, xp_of
from tinygrad_ckn.errors import DataError, DTypeError, ShapeError
from tinygrad_ckn.graph import Variable, unwrap
from tinygrad_ckn.ops.ckn_map import norm_and_inverse

# vectors of a side of a block
_BLOCK = 1024


def gram(kappa: Callable[[Any], Any], x: Any, y: Any) -> Any:
    """Return |x_i| |y_j| kappa(<x_i, y_j> / (|x_i| |y_j|)), 0 where a vector is 0.

    Parameters
    ----------
    kappa
        Of Tensors or arrays of cosines, elementwise.
    x, y
        Vectors as rows, (n, d) and (m, d), or one vector each, (d,): Tensors, arrays or
        nested lists.

    Returns
    -------
    (n, m), or a number for one vector each
        Of arrays it is computed in blocks, so that memory beyond the result is bounded;
        of Tensors it is one differentiable composition. float64 where x or y has whole
        numbers.

    Raises
    ------
    ShapeError, DTypeError
        If x and y are not matrices of one number of columns, or not of real numbers.
    DataError
        If a number is NaN or infinite.

    Examples
    --------
    >>> gram(np.square, [[1.0, 1.0]], [[0.0, 3.0]]).round(4)
    array([[2.1213]])
    """
    x, y = _vectors("x", x), _vectors("y", y)
    if x.ndim == y.ndim == 1 and x.shape == y.shape:
        return _whole(kappa, x[None], y[None])[0, 0]
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise ShapeError(
            f"kernel: expected x (n, d) and y (m, d) of one d, got {x.shape} and {y.shape}"
        )
    if isinstance(x, Variable) or isinstance(y, Variable):
        return _whole(kappa, x, y)
    xp = xp_of(x, y)
    result = xp.empty((len(x), len(y)), dtype=xp.result_type(x, y))
    for i in range(0, len(x), _BLOCK):
        for j in range(0, len(y), _BLOCK):
            result[i : i + _BLOCK, j : j + _BLOCK] = _whole(
                kappa, x[i : i + _BLOCK], y[j : j + _BLOCK]
            )
    return result


def _whole(kappa: Callable[[Any], Any], x: Any, y: Any) -> Any:
    """Return the Gram matrix as one composition of operations."""
    (norm_x, inverse_x), (norm_y, inverse_y) = (
        norm_and_inverse(ops.square(v).sum(axis=1)) for v in (x, y)
    )
    cosines = (x * inverse_x.reshape((-1, 1))) @ (y * inverse_y.reshape((-1, 1))).swapaxes(0, 1)
    return norm_x.reshape((-1, 1)) * kappa(cosines) * norm_y


def _vectors(name: str, x: Any) -> Any:
    """Return an argument as a floating array or Tensor of finite numbers."""
    try:
        x = x if hasattr(x, "dtype") else CPU.xp.asarray(x, dtype="float64")
        xp = xp_of(unwrap(x))
    except (ValueError, TypeError) as error:
        raise DTypeError(
            f"kernel: argument {name} expected a Tensor, an array or nested lists of numbers, got {type(x).__name__}; "
            f"pass an array of its numbers ({error})"
        ) from error
    values = check_real("kernel", name, unwrap(x))
    if values.size and not (xp.isfinite(values.min()) and xp.isfinite(values.max())):
        # those of a NaN are NaN
        raise DataError(
            f"kernel: argument {name} expected finite numbers, got NaN or infinity; leave those vectors out"
        )
    return x if x.dtype.kind == "f" else x.astype("float64")
