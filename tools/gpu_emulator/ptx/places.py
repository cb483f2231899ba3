"""Locate accesses: split the executing lanes by window of memory, and count the traffic."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from tools.gpu_emulator.ptx.errors import Misaligned, NotKnown, OutOfBounds
from tools.gpu_emulator.ptx.kernel import Address, Instruction
from tools.gpu_emulator.ptx.memory import Window
from tools.gpu_emulator.ptx.operands import reader
from tools.gpu_emulator.ptx.report import Traffic, count_banks, count_sectors
from tools.gpu_emulator.ptx.types import dtype_of

SPACES = {"global": ("global",), "shared": ("shared",), "local": ("local",), "const": ("const",)}
# Arguments of calls belong to a thread.
SPACES |= {"param": ("param", "local")}
# for an instruction without a state space
ANY = ("global", "shared", "local", "param", "const")


class Part(NamedTuple):
    """The active lanes whose access falls into one window.

    `at` selects them among the active lanes, `lanes` are their indices in the batch,
    `stamps` their stamps for the shadow, `places` the bytes in the window's data.
    """

    window: Window
    at: slice | np.ndarray
    lanes: np.ndarray
    stamps: np.ndarray
    addresses: np.ndarray
    places: np.ndarray

    def elements(self, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
        """Return the window's memory as elements, and the index of each lane's first one."""
        first, elements = self.window.elements(dtype)
        return elements, (self.places - first) // dtype.itemsize

    @property
    def words(self) -> np.ndarray:
        """Return the indices into the window's shadow, one range per copy of the memory."""
        return self.places if self.window.pitch else self.addresses


def space_of(ins: Instruction) -> str:
    """Return the kind of memory that an instruction names, or ""."""
    return next((m.split("::")[0] for m in ins.modifiers if m.split("::")[0] in SPACES), "")


def address_of(operand) -> Callable:
    """Return a function of the machine that computes addresses as int64."""
    if not isinstance(operand, Address):
        raise NotKnown(f"the address {operand}")
    base, offset = operand
    if base is None:
        return lambda m: np.int64(offset)
    if base.size == 4:
        read = reader(base, dtype_of("u32"))
        return lambda m: read(m).astype(np.int64) + offset
    read = reader(base, dtype_of("s64"))
    return (lambda m: read(m) + offset) if offset else read


def placed(m, ins: Instruction, addresses, size: int) -> Iterator[Part]:
    """Yield the accesses of the active lanes, window by window; nearly always there is one."""
    lanes = m.lanes.index
    addresses = m.active(addresses)
    if (addresses & (size - 1)).any():
        at = int(np.argmax(addresses & (size - 1) != 0))
        where = m.memory.describe(int(addresses[at]))
        raise Misaligned(f"{size} bytes are accessed at once at {where}", int(lanes[at]))
    window = m.memory.window(int(addresses[0]))
    if window is not None and _inside(addresses, window, size).all():
        yield _part(m, ins, window, slice(None), lanes, addresses, size)
        return
    numbers = np.searchsorted(m.memory.starts, addresses, side="right") - 1
    for number in np.unique(numbers):
        (at,) = np.nonzero(numbers == number)
        window = m.memory.windows[number] if number >= 0 else None
        inside = _inside(addresses[at], window, size) if window else np.zeros(len(at), bool)
        if not inside.all():
            first = at[np.argmin(inside)]
            raise OutOfBounds(
                f"{size} bytes at {m.memory.describe(int(addresses[first]))}", int(lanes[first])
            )
    for number in np.unique(numbers):
        (at,) = np.nonzero(numbers == number)
        yield _part(m, ins, m.memory.windows[number], at, lanes[at], addresses[at], size)


def _inside(addresses: np.ndarray, window: Window, size: int) -> np.ndarray:
    if window.size < size:
        return np.zeros(len(addresses), bool)
    return (addresses - window.start).view(np.uint64) <= np.uint64(window.size - size)


def _part(m, ins: Instruction, window: Window, at, lanes, addresses, size: int) -> Part:
    space = space_of(ins)
    if window.space not in SPACES.get(space, ANY):
        raise OutOfBounds(f"an access to {space} memory meets {window.name}", int(lanes[0]))
    places = addresses - window.start
    if window.pitch:
        copies = lanes // m.block_lanes if window.space == "shared" else lanes
        places = places + copies * window.pitch
    _count(m, ins, window.space, lanes, addresses, size)
    return Part(window, at, lanes, m.active(m.stamps)[at], addresses, places)


def _count(
    m, ins: Instruction, space: str, lanes: np.ndarray, addresses: np.ndarray, size: int
) -> None:
    if space not in ("global", "shared"):
        return
    traffic = m.traffic.get((m.at, space))
    if traffic is None:
        traffic = m.traffic[m.at, space] = Traffic(ins.text, ins.line, ins.source, space)
    (count_sectors if space == "global" else count_banks)(traffic, lanes, addresses, size)
