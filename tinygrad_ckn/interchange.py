"""Memory shared with other libraries."""

from __future__ import annotations

from typing import Any

from tinygrad_ckn.backend import asarray, backend_of, check_real, use
from tinygrad_ckn.errors import DTypeError, ShapeError
from tinygrad_ckn.graph import Variable
from tinygrad_ckn.tensor import Tensor


def from_dlpack(source: Any, *, device: str | None = None, copy: bool | None = None) -> Tensor:
    """Return a Tensor on the memory of another library's array, without a copy (DLPack).

    What the other library writes there cannot be noticed; `Tensor(source)` makes a copy.

    Parameters
    ----------
    source
        An array with `__dlpack__`, such as PyTorch's or JAX's.
    device
        "cpu" or "cuda"; default: that of the source. Another one is copied to.
    copy
        True copies, False raises where a copy is needed; None (default) copies to
        another device only.

    Raises
    ------
    DTypeError
        If the source has no `__dlpack__`, or is not of real numbers or booleans.
    ShapeError
        If copy=False and a copy is needed.

    Examples
    --------
    >>> import numpy as np
    >>> from_dlpack(np.arange(3.0))
    Tensor((3,), float64, cpu) [0. 1. 2.]
    """
    if not hasattr(source, "__dlpack_device__"):
        raise DTypeError(
            f"from_dlpack: expected an array with __dlpack__, got {type(source).__name__}"
        )
    kind, _ = source.__dlpack_device__()
    # kDLCPU = 1 in dlpack.h
    array = use("cpu" if kind == 1 else "cuda").xp.from_dlpack(source)
    check_real("from_dlpack", "source", array)
    moves = device is not None and device != backend_of(array).device
    if moves and copy is False:
        raise ShapeError(
            f"from_dlpack: copy=False expected the device of the source, got {device!r}; leave "
            "copy out"
        )
    tensor: Tensor = Variable.wrap(asarray(array, device=device) if moves or copy else array)
    return tensor
