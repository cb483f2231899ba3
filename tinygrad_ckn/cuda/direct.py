"""Launches of `correlate.cu`: the correlation of single channels, from tiles in shared memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tinygrad_ckn.backend import Namespace
from tinygrad_ckn.cuda.launch import (
    SHARED_BYTES,
    THREADS,
    Source,
    batch_slices,
    block_count,
    row_pitch,
    threads_per_row,
)
from tinygrad_ckn.windows import Correlation

# outputs of a thread: the more, the fewer reads of weights, and the larger the tile
_ROWS = (4, 1)
SOURCE = Source("correlate", *(f"correlate<{{T}}, {rows}>" for rows in _ROWS))


@dataclass(frozen=True, slots=True)
class Tiles:
    """How an output is cut: blocks of wide x high threads with `rows` outputs each, of span[0] x span[1] inputs."""

    wide: int
    high: int
    rows: int
    span: tuple[int, int]
    pitch: int
    # bytes
    shared: int


def tiles_of(shapes: Correlation, itemsize: int) -> Tiles | None:
    """Return how a correlation is cut into tiles; None if it is not of single channels, or they take too much memory.

    Threads of a warp read elements and rows `stride` apart: for a multiple of 4 they
    would be 4 to a bank and more.
    """
    windows = shapes.windows
    if shapes.channels != shapes.groups or any(stride % 4 == 0 for stride in windows.stride):
        return None
    wide = threads_per_row(shapes.out[1])
    high = THREADS // wide
    for rows in _ROWS:
        span_h = (high * rows - 1) * windows.stride[0] + windows.span[0]
        span_w = (wide - 1) * windows.stride[1] + windows.span[1]
        distance = row_pitch(span_w, wide)
        shared = (span_h * distance + windows.kernel[0] * windows.kernel[1]) * itemsize
        if shared <= SHARED_BYTES:
            return Tiles(wide, high, rows, (span_h, span_w), distance, shared)
    return None


def correlate_to(xp: Namespace, x: Any, w: Any, shapes: Correlation, tiles: Tiles, y: Any) -> None:
    """Write the correlation of images (N, G, H, W) with filters (O, 1, kh, kw) to y (N, O, Ho, Wo); all contiguous."""
    windows, (ho, wo) = shapes.windows, shapes.out
    (top, _), (left, _) = windows.padding
    geometry = (
        *windows.kernel,
        *windows.stride,
        *windows.dilation,
        top,
        left,
        *shapes.size,
        ho,
        wo,
    )
    in_map = block_count(ho, tiles.high * tiles.rows) * block_count(wo, tiles.wide)
    elements = max(shapes.filters * ho * wo, shapes.channels * shapes.size[0] * shapes.size[1])
    for part in batch_slices(windows.op, len(x), elements):
        SOURCE.launch(
            xp,
            f"correlate<{{T}}, {tiles.rows}>",
            len(x[part]) * shapes.filters * in_map,
            x[part],
            w,
            y[part],
            *(shapes.channels, shapes.filters, *geometry, *tiles.span, tiles.pitch),
            threads=(tiles.wide, tiles.high),
            shared=tiles.shared,
        )
