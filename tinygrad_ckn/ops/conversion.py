"""Conversion of the dtype, and copies to another device."""

from __future__ import annotations

from typing import Any

from tinygrad_ckn.backend import Array, DTypeLike, Namespace, asarray, backend_of
from tinygrad_ckn.errors import BackendError
from tinygrad_ckn.graph import unwrap
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
    return asarray(x, device=device)


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
