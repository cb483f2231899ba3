"""Launches of `correlate.cu`: correlation of single channels from shared memory."""

from __future__ import annotations

from dataclasses import dataclass

from tinygrad_ckn.backend import Array, Namespace
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

# Outputs per thread: more of them mean fewer reads of weights, but a larger tile.
_ROWS = (4, 1)
SOURCE = Source("correlate", *(f"correlate<{{T}}, {rows}>" for rows in _ROWS))


@dataclass(frozen=True, slots=True)
class Tiles:
    """Launch parameters: how an output is cut into tiles.

    Parameters
    ----------
    wide, high
        Threads of a block, across and down.
    rows
        Outputs per thread.
    span
        Size of a tile's input.
    pitch
        Distance between its rows in shared memory, in elements.
    shared
        Bytes of shared memory.
    """

    wide: int
    high: int
    rows: int
    span: tuple[int, int]
    pitch: int
    shared: int


def tiles_of(shapes: Correlation, itemsize: int) -> Tiles | None:
    """Return how a correlation is cut into tiles; None if this kernel does not suit it.

    That is the case if a filter sees several channels, if a tile exceeds the shared
    memory, or if a stride is a multiple of 4: threads of a warp read elements and rows
    `stride` apart, so 4 or more of them would share a bank.
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


def correlate_to(
    xp: Namespace, x: Array, w: Array, shapes: Correlation, tiles: Tiles, y: Array
) -> None:
    """Write the correlation of single channels to y (N, O, Ho, Wo).

    Images x are (N, G, H, W), filters w (O, 1, kh, kw); all arrays are contiguous.
    """
    windows = shapes.windows
    ho, wo = shapes.out
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
    blocks_per_map = block_count(ho, tiles.high * tiles.rows) * block_count(wo, tiles.wide)
    elements = max(shapes.filters * ho * wo, shapes.channels * shapes.size[0] * shapes.size[1])
    for part in batch_slices(windows.op, len(x), elements):
        SOURCE.launch(
            xp,
            f"correlate<{{T}}, {tiles.rows}>",
            len(x[part]) * shapes.filters * blocks_per_map,
            x[part],
            w,
            y[part],
            *(shapes.channels, shapes.filters, *geometry, *tiles.span, tiles.pitch),
            threads=(tiles.wide, tiles.high),
            shared=tiles.shared,
        )
