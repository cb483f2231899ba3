"""Conversion to Tensors, to other dtypes, and to other devices."""

from __future__ import annotations

from typing import Any

from tinygrad_ckn.backend import Array, DTypeLike, Namespace, backend_of, check_real
from tinygrad_ckn.backend import asarray as new_array
from tinygrad_ckn.errors import BackendError, CKNError, ShapeError
from tinygrad_ckn.graph import Variable, unwrap
from tinygrad_ckn.ops.join import stack
from tinygrad_ckn.ops.rounding import positive
from tinygrad_ckn.primitive import primitive
from tinygrad_ckn.tensor import Tensor


@primitive()
def astype(
    xp: Namespace, x: Array, dtype: DTypeLike, *, copy: bool = False, device: str | None = None
) -> Array:
    """Return x converted to a dtype; its gradient is converted back.

    Parameters
    ----------
    x
        Any shape.
    dtype
        As for NumPy, such as "float32".
    copy
        Copy where x has that dtype already; default False, since Tensors are not
        written into.
    device
        That of x, or None (default); `to_device` copies to another.

    Raises
    ------
    BackendError
        If the device is not that of x.

    Examples
    --------
    >>> astype(Tensor([1.0, 2.0]), "float32").dtype.name
    'float32'
    """
    array: Any = x
    if device is not None and device != backend_of(array).device:
        raise BackendError(
            f"astype: argument device expected {backend_of(array).device!r}, where the array is, "
            f"got {device!r}; use to_device"
        )
    return array.astype(dtype, copy=copy)


astype.vjp(x=lambda g: g)


@primitive(name="to_device")
def _to_device(xp: Namespace, x: Array, device: str, source: str) -> Array:
    return new_array(x, device=device)


_to_device.vjp(x=lambda g, source: to_device(g, source))


def to_device(x: Array, device: str) -> Tensor:
    """Return a copy of x on a device; its gradient is copied back.

    Parameters
    ----------
    x
        Any shape; the dtype is kept.
    device
        "cpu" or "cuda".

    Raises
    ------
    BackendError
        If the device is unknown or not available.

    Examples
    --------
    >>> to_device(Tensor([1.0, 2.0]), "cpu")
    Tensor((2,), float64, cpu) [1. 2.]
    """
    return _to_device(x, device, backend_of(unwrap(x)).device)


def asarray(
    obj: Any,
    *,
    dtype: DTypeLike | None = None,
    device: str | None = None,
    copy: bool | None = None,
) -> Tensor:
    """Return numbers, nested lists, or an array of any library as a Tensor.

    Parameters
    ----------
    obj
        The numbers. A Tensor is returned as it is if nothing is to be changed; Tensors,
        also in nested lists, keep their graph.
    dtype
        Default: that of the numbers; Python's are float64, int64 and bool.
    device
        "cpu" or "cuda"; default: that of the numbers, the CPU for lists.
    copy
        True copies, False shares the memory of an array or raises; None (default) copies
        all but Tensors.

    Raises
    ------
    DTypeError
        If the values are not real numbers or booleans.
    ShapeError
        If copy=False and sharing is impossible.

    Examples
    --------
    >>> asarray([[1.0, 2.0]])
    Tensor((1, 2), float64, cpu) [[1. 2.]]
    """
    if _holds_tensors(obj):
        obj = _joined(obj)
    if isinstance(obj, Variable):
        return _as_tensor(obj, dtype, device, copy)
    if copy is False:
        return _shared(obj, dtype, device)
    tensor: Tensor = Variable.wrap(new_array(obj, dtype=dtype, device=device))
    return tensor


def array(
    obj: Any, dtype: DTypeLike | None = None, *, copy: bool = True, device: str | None = None
) -> Tensor:
    """Return a copy of numbers, nested lists, or an array of any library, as a Tensor.

    Tensors, also in nested lists, keep their graph.

    Parameters
    ----------
    obj
        The numbers.
    dtype
        Default: that of the numbers; Python's are float64, int64 and bool.
    copy
        Whether Tensors are copied too; default True.
    device
        "cpu" or "cuda"; default: that of the numbers, the CPU for lists.

    Raises
    ------
    DTypeError
        If the values are not real numbers or booleans.

    Examples
    --------
    >>> t = Tensor(2.0, requires_grad=True)
    >>> array([[t, 1.0], [0.0, t]]).requires_grad
    True
    """
    return asarray(obj, dtype=dtype, device=device, copy=copy or None)


def _holds_tensors(obj: Any) -> bool:
    """Return whether a Tensor is among (nested) lists."""
    return isinstance(obj, list | tuple) and any(
        isinstance(part, Variable) or _holds_tensors(part) for part in obj
    )


def _joined(obj: Any) -> Any:
    """Return nested lists with Tensors as one Tensor, so that gradients flow to each."""
    return stack([_joined(part) if isinstance(part, list | tuple) else part for part in obj])


def _as_tensor(obj: Any, dtype: DTypeLike | None, device: str | None, copy: bool | None) -> Tensor:
    """Return a Tensor in another dtype or place, with its graph."""
    tensor: Any = obj
    if device is not None and device != tensor.device:
        tensor = to_device(tensor, device)
    if dtype is not None and tensor.dtype != dtype:
        tensor = astype(tensor, dtype)
    if copy is False and tensor is not obj:
        raise ShapeError(
            "asarray: copy=False expected the dtype and device of the Tensor, "
            f"{obj.dtype} and {obj.device!r}, got {dtype} and {device!r}"
        )
    result: Tensor = positive(tensor) if copy and tensor is obj else tensor
    return result


def _shared(obj: Any, dtype: DTypeLike | None, device: str | None) -> Tensor:
    """Return a Tensor on the memory of an array."""
    kind = f"{type(obj).__name__}"
    try:
        backend = backend_of(obj)
        fits = hasattr(obj, "dtype") and (dtype is None or obj.dtype == dtype)
    except CKNError:
        fits = False
    if not fits or (device is not None and device != backend.device):
        raise ShapeError(
            f"asarray: copy=False expected an array of the dtype and device asked for, got {kind}; "
            "leave copy out"
        )
    tensor: Tensor = Variable.wrap(check_real("asarray", "obj", obj))
    return tensor
