"""Tensors for the functions of einops, if it is installed."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

from tinygrad_ckn import ops
from tinygrad_ckn.backend import NDArray
from tinygrad_ckn.tensor import Tensor


class _Functions:
    """The functions of a library that einops calls: its `AbstractBackend`."""

    framework_name = "tinygrad_ckn"

    def is_appropriate_type(self, tensor: object) -> bool:
        return isinstance(tensor, Tensor)

    def from_numpy(self, x: NDArray[Any]) -> Tensor:
        return Tensor(x)

    def to_numpy(self, x: Tensor) -> NDArray[Any]:
        return x.numpy()

    def arange(self, start: int, stop: int) -> Tensor:
        return ops.arange(start, stop)

    def reduce(self, x: Tensor, operation: str, axes: Sequence[int]) -> Tensor:
        function: Callable[..., Tensor] = getattr(ops, operation)
        return function(x, axis=tuple(axes))

    def stack_on_zeroth_dimension(self, tensors: Sequence[Tensor]) -> Tensor:
        return ops.stack(tensors)

    def add_axis(self, x: Tensor, new_position: int) -> Tensor:
        return ops.expand_dims(x, new_position)

    def tile(self, x: Tensor, repeats: Sequence[int]) -> Tensor:
        return ops.tile(x, repeats)

    def concat(self, tensors: Sequence[Tensor], axis: int) -> Tensor:
        return ops.concatenate(tensors, axis=axis)

    def is_float_type(self, x: Tensor) -> bool:
        return x.dtype.kind == "f"

    def einsum(self, pattern: str, *x: Tensor) -> Tensor:
        return ops.einsum(pattern, *x)


# einops finds backends among the subclasses of its own class, which keeps no reference
_registered: list[type] = []


def register() -> bool:
    """Let einops know Tensors; return whether it is installed.

    Examples
    --------
    >>> register() in (True, False)
    True
    """
    if not _registered:
        try:
            base = importlib.import_module("einops._backends").AbstractBackend
        except (ImportError, AttributeError):
            return False
        _registered.append(type("TensorBackend", (_Functions, base), {}))
    return True
