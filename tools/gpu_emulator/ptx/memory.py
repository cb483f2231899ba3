"""Memory as windows of addresses, one per array, variable and kind of memory.

There are gaps between them.
"""

import ctypes
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tools.gpu_emulator.ptx.kernel import ARRAYS
from tools.gpu_emulator.ptx.shadow import Shadow

GUARD = 4096


@dataclass(eq=False)
class Window:
    """A range of addresses and its bytes.

    Attributes
    ----------
    start, size
        First address, and number of accessible bytes.
    space
        "global", "shared", "local", "param" or "const".
    name
        Name for messages.
    data
        The bytes, or one copy of `pitch` bytes per block (shared) or lane (local).
    pitch
        Distance of the copies in `data`; 0: a single copy.
    shadow
        The last accesses; None for read-only memory.
    """

    start: int
    size: int
    space: str
    name: str
    data: np.ndarray
    pitch: int = 0
    writable: bool = True
    shadow: Shadow | None = None
    _views: dict[np.dtype, tuple[int, np.ndarray]] = field(default_factory=dict)

    def elements(self, dtype: np.dtype) -> tuple[int, np.ndarray]:
        """Return the window's aligned elements of `dtype`, and the bytes before the first."""
        if dtype not in self._views:
            first = -self.start % dtype.itemsize
            end = first + max(0, len(self.data) - first) // dtype.itemsize * dtype.itemsize
            self._views[dtype] = (first, self.data[first:end].view(dtype))
        return self._views[dtype]


class Memory:
    """Windows in the order of their addresses."""

    def __init__(self, windows: Sequence[Window]) -> None:
        self.windows = sorted(windows, key=lambda window: window.start)
        self.starts = [window.start for window in self.windows]

    def window(self, address: int) -> Window | None:
        """Return the last window that starts at or before `address`."""
        at = bisect_right(self.starts, address) - 1
        return self.windows[at] if at >= 0 else None

    def describe(self, address: int) -> str:
        """Describe the location of an address for a message."""
        window = self.window(address)
        if address < GUARD:
            return f"address {address} (a null pointer?)"
        if window is None or address >= window.start + window.size + GUARD:
            after = next((w for w in self.windows if 0 < w.start - address <= GUARD), None)
            if after is not None:
                return (
                    f"address {address:#x}, {after.start - address} bytes before {after.name} "
                    f"({after.size} bytes)"
                )
            return f"address {address:#x}, far from all memory"
        offset = address - window.start
        if offset < window.size:
            return f"byte {offset} of {window.name} ({window.size} bytes)"
        return (
            f"address {address:#x}, {offset - window.size} bytes past the end of {window.name} "
            f"({window.size} bytes)"
        )


def array_windows(arrays: dict[str, np.ndarray], grain: int) -> tuple[list[Window], dict[str, int]]:
    """Return windows onto the memory of arrays, and the address of each array's first element.

    Arrays that share memory share a window. A view keeps its offset from its base,
    modulo 256 bytes, so that an alignment that only the base has is detected.
    """
    extents = sorted(
        (*np.lib.array_utils.byte_bounds(array), name) for name, array in arrays.items()
    )
    windows: list[Window] = []
    addresses: dict[str, int] = {}
    free = ARRAYS
    at = 0
    while at < len(extents):
        low, high, name = extents[at]
        names = [name]
        while at + 1 < len(extents) and extents[at + 1][0] < high:
            at += 1
            high = max(high, extents[at][1])
            names.append(extents[at][2])
        at += 1
        start = free + (low - np.lib.array_utils.byte_bounds(_owner(arrays[name]))[0]) % 256
        size = high - low
        data = (
            np.frombuffer((ctypes.c_ubyte * size).from_address(low), np.uint8)
            if size
            else np.empty(0, np.uint8)
        )
        writable = all(arrays[each].flags.writeable for each in names)
        shadow = Shadow(start, size, grain) if writable else None
        windows.append(
            Window(start, size, "global", " and ".join(names), data, 0, writable, shadow)
        )
        addresses |= {
            each: start + arrays[each].__array_interface__["data"][0] - low for each in names
        }
        free = -(-(start + size + GUARD) // 256) * 256
    return windows, addresses


def _owner(array: np.ndarray) -> np.ndarray:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array
