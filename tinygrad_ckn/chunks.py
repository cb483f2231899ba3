"""Slices that cut a range into chunks."""

from __future__ import annotations

from collections.abc import Iterator


def slices(n: int, step: int) -> Iterator[slice]:
    """Cut range(n) into slices of `step` items; the last may be shorter.

    Examples
    --------
    >>> list(slices(5, 2))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    return (slice(start, min(start + step, n)) for start in range(0, n, step))
