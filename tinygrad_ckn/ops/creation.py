"""Tensors made of numbers and shapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tinygrad_ckn.backend import Array, DTypeLike, Namespace, backend_of, check_real, use
from tinygrad_ckn.errors import CKNError, DTypeError, ShapeError
from tinygrad_ckn.graph import Variable, unwrap
from tinygrad_ckn.ops.conversion import asarray
from tinygrad_ckn.ops.rounding import positive
from tinygrad_ckn.ops.shape import broadcast_to
from tinygrad_ckn.plain import plain
from tinygrad_ckn.tensor import Tensor


def _made(op: str, device: str | None, make: Callable[[Namespace], Any]) -> Tensor:
    """Return what `make` makes of the namespace of a device, as a Tensor."""
    xp = use("cpu" if device is None else device).xp
    try:
        array = make(xp)
    except CKNError:
        raise
    except (ValueError, OverflowError, MemoryError) as error:
        raise ShapeError(f"{op}: {error}") from error
    except TypeError as error:
        raise DTypeError(f"{op}: {error}") from error
    tensor: Tensor = Variable.wrap(check_real(op, "dtype", array))
    return tensor


def _sizes(shape: Any) -> Any:
    """Return a shape, an array or a Tensor perhaps, as integers."""
    return plain(unwrap(shape).tolist() if hasattr(shape, "tolist") else shape)


def empty(
    shape: int | Sequence[int], *, dtype: DTypeLike | None = None, device: str | None = None
) -> Tensor:
    """Return a Tensor of a shape whose values are arbitrary.

    Parameters
    ----------
    shape
        Size or sizes.
    dtype
        Default: float64.
    device
        "cpu" (default) or "cuda".

    Raises
    ------
    ShapeError
        If a size is negative.

    Examples
    --------
    >>> empty((2, 3)).shape
    (2, 3)
    """
    return _made("empty", device, lambda xp: xp.empty(_sizes(shape), dtype=dtype or "float64"))


def zeros(
    shape: int | Sequence[int], *, dtype: DTypeLike | None = None, device: str | None = None
) -> Tensor:
    """Return a Tensor of zeros.

    Parameters
    ----------
    shape
        Size or sizes.
    dtype
        Default: float64.
    device
        "cpu" (default) or "cuda".

    Raises
    ------
    ShapeError
        If a size is negative.

    Examples
    --------
    >>> zeros(2)
    Tensor((2,), float64, cpu) [0. 0.]
    """
    return _made("zeros", device, lambda xp: xp.zeros(_sizes(shape), dtype=dtype or "float64"))


def ones(
    shape: int | Sequence[int], *, dtype: DTypeLike | None = None, device: str | None = None
) -> Tensor:
    """Return a Tensor of ones.

    Parameters
    ----------
    shape
        Size or sizes.
    dtype
        Default: float64.
    device
        "cpu" (default) or "cuda".

    Raises
    ------
    ShapeError
        If a size is negative.

    Examples
    --------
    >>> ones(2, dtype="int64").tolist()
    [1, 1]
    """
    return _made("ones", device, lambda xp: xp.ones(_sizes(shape), dtype=dtype or "float64"))


def full(
    shape: int | Sequence[int],
    fill_value: Array | float,
    *,
    dtype: DTypeLike | None = None,
    device: str | None = None,
) -> Tensor:
    """Return a Tensor filled with a value.

    Parameters
    ----------
    shape
        Size or sizes.
    fill_value
        Number, or an array that broadcasts to the shape; gradients flow to a Tensor.
    dtype
        Default: that of the value.
    device
        "cpu" or "cuda"; default: that of the value, the CPU for numbers.

    Raises
    ------
    ShapeError
        If a size is negative, or the value does not broadcast to the shape.

    Examples
    --------
    >>> full(2, 3.5)
    Tensor((2,), float64, cpu) [3.5 3.5]
    """
    value = asarray(fill_value, dtype=dtype, device=device)
    spread = broadcast_to(value, _sizes(shape))
    return spread if spread.requires_grad else positive(spread)


def empty_like(x: Array, *, dtype: DTypeLike | None = None, device: str | None = None) -> Tensor:
    """Return `empty` of the shape, and by default the dtype and device, of an array.

    Examples
    --------
    >>> empty_like(Tensor([[1.0, 2.0]])).shape
    (1, 2)
    """
    return empty(x.shape, **_like(x, dtype, device))


def zeros_like(x: Array, *, dtype: DTypeLike | None = None, device: str | None = None) -> Tensor:
    """Return `zeros` of the shape, and by default the dtype and device, of an array.

    Examples
    --------
    >>> zeros_like(Tensor([1, 2])).tolist()
    [0, 0]
    """
    return zeros(x.shape, **_like(x, dtype, device))


def ones_like(x: Array, *, dtype: DTypeLike | None = None, device: str | None = None) -> Tensor:
    """Return `ones` of the shape, and by default the dtype and device, of an array.

    Examples
    --------
    >>> ones_like(Tensor([1.0, 2.0]), dtype="float32").dtype.name
    'float32'
    """
    return ones(x.shape, **_like(x, dtype, device))


def full_like(
    x: Array,
    fill_value: Array | float,
    *,
    dtype: DTypeLike | None = None,
    device: str | None = None,
) -> Tensor:
    """Return `full` of the shape, and by default the dtype and device, of an array.

    Examples
    --------
    >>> full_like(Tensor([1.0, 2.0]), 7)
    Tensor((2,), float64, cpu) [7. 7.]
    """
    return full(x.shape, fill_value, **_like(x, dtype, device))


def _like(x: Array, dtype: DTypeLike | None, device: str | None) -> dict[str, Any]:
    return {
        "dtype": x.dtype if dtype is None else dtype,
        "device": backend_of(unwrap(x)).device if device is None else device,
    }


def eye(
    n_rows: int,
    n_cols: int | None = None,
    *,
    k: int = 0,
    dtype: DTypeLike | None = None,
    device: str | None = None,
) -> Tensor:
    """Return a matrix with ones on a diagonal and zeros elsewhere.

    Parameters
    ----------
    n_rows, n_cols
        Its shape; n_cols is n_rows by default.
    k
        The diagonal: 0 (default) is the main one, positive ones lie above it.
    dtype
        Default: float64.
    device
        "cpu" (default) or "cuda".

    Raises
    ------
    ShapeError
        If a size is negative.

    Examples
    --------
    >>> eye(2)
    Tensor((2, 2), float64, cpu) [[1. 0.] [0. 1.]]
    """
    return _made("eye", device, lambda xp: xp.eye(n_rows, n_cols, k=k, dtype=dtype or "float64"))


def identity(n: int, *, dtype: DTypeLike | None = None, device: str | None = None) -> Tensor:
    """Return a square matrix with ones on its diagonal: `eye` of n rows.

    Examples
    --------
    >>> identity(2)
    Tensor((2, 2), float64, cpu) [[1. 0.] [0. 1.]]
    """
    return eye(n, dtype=dtype, device=device)


def arange(
    start: float,
    stop: float | None = None,
    step: float = 1,
    *,
    dtype: DTypeLike | None = None,
    device: str | None = None,
) -> Tensor:
    """Return evenly spaced numbers from `start` up to `stop`, which is left out.

    Parameters
    ----------
    start, stop, step
        First number, end, and distance; with one argument, 0 and that end.
    dtype
        Default: int64 of integers, else float64.
    device
        "cpu" (default) or "cuda".

    Raises
    ------
    ShapeError
        If the step is 0, or the numbers would be too many.

    Examples
    --------
    >>> arange(1, 7, 2).tolist()
    [1, 3, 5]
    """
    numbers = _numbers("arange", start, stop, step)
    first, end, by = numbers if stop is not None else (0, numbers[0], numbers[2])
    try:
        return _made("arange", device, lambda xp: xp.arange(first, end, by, dtype=dtype))
    except ZeroDivisionError as error:
        raise ShapeError("arange: argument step expected a number other than 0, got 0") from error


def linspace(
    start: float,
    stop: float,
    num: int,
    *,
    dtype: DTypeLike | None = None,
    device: str | None = None,
    endpoint: bool = True,
) -> Tensor:
    """Return evenly spaced numbers from `start` to `stop`.

    Parameters
    ----------
    start, stop
        First and last number.
    num
        How many, an integer >= 0.
    dtype
        Default: float64.
    device
        "cpu" (default) or "cuda".
    endpoint
        Whether `stop` is one of them; default True.

    Raises
    ------
    ShapeError
        If `num` is negative.

    Examples
    --------
    >>> linspace(0, 1, 3)
    Tensor((3,), float64, cpu) [0.  0.5 1. ]
    """
    numbers = _numbers("linspace", start, stop, num)
    return _made(
        "linspace",
        device,
        lambda xp: xp.linspace(*numbers, dtype=dtype or "float64", endpoint=endpoint),
    )


def _numbers(op: str, *arguments: Any) -> tuple[Any, ...]:
    """Return arguments as Python numbers."""
    for argument in arguments:
        if isinstance(argument, Variable):
            raise DTypeError(
                f"{op}: expected numbers, got a Tensor; no gradient goes there: pass its .item()"
            )
    numbers: tuple[Any, ...] = plain(arguments)
    return numbers
