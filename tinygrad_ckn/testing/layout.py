"""Memory layouts of arrays: copied from an input, or made to test rules with."""

from __future__ import annotations

from typing import Any

from tinygrad_ckn.backend import NDArray, xp_of


def with_layout_of(like: NDArray[Any], x: NDArray[Any], *, broadcast: bool = False) -> NDArray[Any]:
    """Return a copy of x with the memory layout of `like`: axis order, gaps, direction.

    Axes of stride 0 keep it only with `broadcast`: their elements are then one.
    """
    if like.flags.c_contiguous or x.shape != like.shape:
        return x
    xp = xp_of(x)
    order = sorted(range(x.ndim), key=lambda i: -abs(like.strides[i]))
    alike = [broadcast and s == 0 for s in like.strides]
    gap = min(
        (abs(s) for s, n in zip(like.strides, like.shape, strict=True) if s and n > 1), default=0
    )
    sizes = [1 if alike[i] else like.shape[i] for i in order]
    memory = xp.zeros((*sizes, 2 if gap > like.dtype.itemsize else 1), dtype=x.dtype)[..., 0]
    turned = memory.transpose([order.index(i) for i in range(x.ndim)])
    result: NDArray[Any] = turned[
        tuple(slice(None, None, -1 if s < 0 else 1) for s in like.strides)
    ]
    result[...] = x[tuple(slice(0, 1) if one else slice(None) for one in alike)]
    if any(alike):
        result = xp.broadcast_to(result, x.shape)
    return result


def strided(x: NDArray[Any]) -> NDArray[Any]:
    """Return a copy of x in memory that is neither contiguous nor in order."""
    xp = xp_of(x)
    memory = xp.zeros((*x.shape[::-1], 2), dtype=x.dtype)[..., 0]
    turned = memory.transpose() if x.ndim else memory
    result: NDArray[Any] = turned[(..., *[slice(None, None, -1)] * x.ndim)]
    result[...] = x
    return result
