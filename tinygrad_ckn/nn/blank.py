"""Modules without initial values, for values that are loaded afterwards."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from tinygrad_ckn.backend import CPU, DTypeLike, NDArray, Shape
from tinygrad_ckn.errors import DataError

# How many more values may be created, in a list of one number; None: any number, and
# they are drawn.
_remaining: ContextVar[list[float] | None] = ContextVar("_remaining", default=None)


@contextmanager
def without_values(limit: float = math.inf) -> Iterator[None]:
    """Make every initial value 0 within the block, without drawing anything.

    Parameters
    ----------
    limit
        Maximum number of values that all modules together may have; default no limit.
        One more is a DataError, raised before memory is allocated.

    Examples
    --------
    >>> from tinygrad_ckn.nn import init
    >>> with without_values(limit=6):
    ...     init.normal((2, 3), rng=0).tolist()
    [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    >>> with without_values(limit=6):
    ...     init.normal((10, 10), rng=0)
    Traceback (most recent call last):
    tinygrad_ckn.errors.DataError: expected at most 6 initial values in all, got shape (10, 10)
    """
    token = _remaining.set([limit])
    try:
        yield
    finally:
        _remaining.reset(token)


def blank(shape: Shape, dtype: DTypeLike) -> NDArray[Any] | None:
    """Return zeros within `without_values`, and None outside it.

    Raises
    ------
    DataError
        If they exceed the limit.
    """
    remaining = _remaining.get()
    if remaining is None:
        return None
    size = math.prod(shape)
    if size > remaining[0]:
        raise DataError(
            f"expected at most {remaining[0]:g} initial values in all, got shape {tuple(shape)}"
        )
    remaining[0] -= size
    zeros: NDArray[Any] = CPU.xp.zeros(shape, dtype=dtype)
    return zeros
