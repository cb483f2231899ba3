"""Copies of what a user may write into before a backward reads it: NumPy has no versions to look at."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from typing import Any

from tinygrad_ckn.backend import CPU, is_array

_HOST: Any = CPU.array_type
FIXED = frozenset({int, float, bool, str, type(None), slice, type(Ellipsis)})


def own(array: Any) -> Any:
    """Return an array that nobody else writes into: a copy, or itself if its memory is read-only.

    A broadcast array is copied without its repetitions. In time a copy costs less than
    a checksum now and another one in backward; in memory it costs what a Tensor or a
    read-only array does not.
    """
    if isinstance(array, _HOST) and not array.flags.writeable:
        if not _is_writeable(array):
            return array
        if 0 in array.strides and array.size:
            once = array[tuple(slice(0, 1) if step == 0 else slice(None) for step in array.strides)]
            return CPU.xp.broadcast_to(once.copy(), array.shape)
    return array.copy("K")


def _is_writeable(array: Any) -> bool:
    """Tell whether anything may write into an array's memory: through it, or what it is a view of."""
    memory = array
    while isinstance(memory, _HOST):
        if memory.flags.writeable:
            return True
        memory = memory.base
    return not (memory is None or isinstance(memory, bytes | mmap.mmap))


def own_operands(operands: list[Any], given: Sequence[Any], numbers: Sequence[int] | None) -> None:
    """Replace those of the operands at these numbers (None: all) that were given as arrays by their own copies."""
    for i in range(len(operands)) if numbers is None else numbers:
        if i < len(operands) and operands[i] is given[i] and is_array(given[i]):
            operands[i] = own(given[i])


def own_option(value: Any) -> Any:
    """Return an option such as an index with copies of the arrays and lists in it."""
    kind = type(value)
    if kind in FIXED:
        return value
    if kind is tuple or kind is list:
        return kind([own_option(part) for part in value])
    return own(value) if is_array(value) else value
