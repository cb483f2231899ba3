"""Conversion of the dtype, and copies to another device."""

from __future__ import annotations

from typing import Any

from tinygrad_ckn.backend import Array, DTypeLike, Namespace, asarray, backend_of
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.primitive import primitive
from tinygrad_ckn.tensor import Tensor


@primitive()
def astype(xp: Namespace, x: Array, dtype: DTypeLike) -> Array:
    """Return x converted to a dtype; its gradient is converted back.

    Parameters
    ----------
    x
        Any shape.
    dtype
        As for NumPy, such as "float32".

    Examples
    --------
    >>> astype(Tensor([1.0, 2.0]), "float32").dtype.name
    'float32'
    """
    array: Any = x
    return array.astype(dtype, copy=False)


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
