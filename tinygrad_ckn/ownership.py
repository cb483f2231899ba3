"""Copies of arrays that a user may write into before backward; NumPy has no versions."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from typing import Any

from tinygrad_ckn.backend import CPU, NDArray, is_array

_HOST: Any = CPU.array_type
FIXED = frozenset({int, float, bool, str, type(None), slice, type(Ellipsis)})


def own(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array that nothing else writes into: a copy, or itself if read-only.

    A broadcast array is copied without its repetitions. A copy takes less time
    than a checksum now and another one in backward. It takes memory, which a Tensor or a
    read-only array does not.
    """
    result: NDArray[Any] = array
    if isinstance(array, _HOST) and not array.flags.writeable:
        if not _is_writeable(array):
            return result
        if 0 in array.strides and array.size:
            once = array[tuple(slice(0, 1) if step == 0 else slice(None) for step in array.strides)]
            result = CPU.xp.broadcast_to(once.copy(), array.shape)
            return result
    result = array.copy("K")
    return result


def _is_writeable(array: Any) -> bool:
    """Return whether an array's memory can be written through it or through a base."""
    memory = array
    while isinstance(memory, _HOST):
        if memory.flags.writeable:
            return True
        memory = memory.base
    return not (memory is None or isinstance(memory, bytes | mmap.mmap))


def own_operands(operands: list[Any], passed: Sequence[Any], numbers: Sequence[int] | None) -> None:
    """Replace the raw arrays at these positions (None: all) with copies."""
    for i in range(len(operands)) if numbers is None else numbers:
        if i < len(operands) and operands[i] is passed[i] and is_array(passed[i]):
            operands[i] = own(passed[i])


def own_option(value: Any) -> Any:
    """Return an option, such as an index, with copies of its arrays and lists."""
    kind = type(value)
    if kind in FIXED:
        return value
    if kind is tuple or kind is list:
        return kind([own_option(part) for part in value])
    return own(value) if is_array(value) else value
