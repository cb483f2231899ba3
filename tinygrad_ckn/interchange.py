"""Memory shared with other libraries."""

from __future__ import annotations

from typing import Any

from tinygrad_ckn.backend import check_real, use
from tinygrad_ckn.errors import DTypeError
from tinygrad_ckn.graph import Variable
from tinygrad_ckn.tensor import Tensor


def from_dlpack(source: Any) -> Tensor:
    """Return a Tensor on the memory of another library's array, without a copy (DLPack).

    What the other library writes there cannot be noticed; `Tensor(source)` makes a copy.

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
    tensor: Tensor = Variable.wrap(check_real("from_dlpack", "source", array))
    return tensor
