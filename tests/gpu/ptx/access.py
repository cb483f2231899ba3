"""Loads, stores and atomics: each access is placed in a window, checked, counted, and only then made."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from tests.gpu.ptx.errors import Misaligned, NotKnown, OutOfBounds, ReadOnly
from tests.gpu.ptx.kernel import PARAMETERS, VARIABLES, Address, Instruction, Register, Vector
from tests.gpu.ptx.memory import Window
from tests.gpu.ptx.operands import reader, writer
from tests.gpu.ptx.report import Traffic, count_banks, count_sectors
from tests.gpu.ptx.types import bits, dtype_of

SPACES = {"global": ("global",), "shared": ("shared",), "local": ("local",), "const": ("const",)}
SPACES |= {"param": ("param", "local")}  # arguments of calls are a thread's own
ANY = ("global", "shared", "local", "param", "const")  # an instruction that names no space
# A vector is one access; hardware makes it one transaction of 8 or 16 bytes.
LENGTHS = {"v2": 2, "v4": 4}
# Accesses of these kinds order themselves, as atomics do.
ORDERED = {"volatile", "relaxed", "acquire", "release", "acq_rel"}
ATOMICS = {
    "add": np.add,
    "min": np.minimum,
    "max": np.maximum,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
}


class Part(NamedTuple):
    """The active lanes whose access falls into one window.

    `at` selects them among the active lanes, `lanes` are their numbers in the batch, `stamps` theirs for the shadow,
    `places` the bytes in the window's data.
    """

    window: Window
    at: slice | np.ndarray
    lanes: np.ndarray
    stamps: np.ndarray
    addresses: np.ndarray
    places: np.ndarray


def space_of(ins: Instruction) -> str:
    """Return the kind of memory that an instruction names, or ""."""
    return next((m.split("::")[0] for m in ins.modifiers if m.split("::")[0] in SPACES), "")


def size_of(ins: Instruction) -> int:
    """Return the bytes of one element of an access."""
    return dtype_of(ins.type).itemsize


def memory_step(ins: Instruction, used: set[int]) -> Callable:
    """Return the step of ld, st, atom or red; `used` are the slots that some instruction reads."""
    if ins.root == "ld":
        return _load(ins)
    if ins.root == "st":
        return _store(ins)
    return _atomic(ins, used)


def address_of(operand) -> Callable:
    """Return a function of the machine that gives addresses as int64."""
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


def _parts(m, ins: Instruction, addresses, size: int) -> Iterator[Part]:
    """Yield the accesses of the active lanes, window by window; nearly always there is one."""
    lanes = m.lanes.index
    addresses = m.active(addresses)
    if (addresses & (size - 1)).any():
        at = int(np.argmax(addresses & (size - 1) != 0))
        where = m.memory.describe(int(addresses[at]))
        raise Misaligned(f"{size} bytes are accessed at once at {where}", int(lanes[at]))
    window = m.memory.window(int(addresses[0]))
    if window is not None and _inside(addresses, window, size).all():
        yield _part(m, ins, window, slice(None), lanes, addresses)
        return
    numbers = np.searchsorted(m.memory.starts, addresses, side="right") - 1
    for number in np.unique(numbers):
        (at,) = np.nonzero(numbers == number)
        window = m.memory.windows[number] if number >= 0 else None
        inside = _inside(addresses[at], window, size) if window else np.zeros(len(at), bool)
        if not inside.all():
            first = at[np.argmin(inside)]
            raise OutOfBounds(f"{size} bytes at {m.memory.describe(int(addresses[first]))}", int(lanes[first]))
    for number in np.unique(numbers):
        (at,) = np.nonzero(numbers == number)
        yield _part(m, ins, m.memory.windows[number], at, lanes[at], addresses[at])


def _inside(addresses: np.ndarray, window: Window, size: int) -> np.ndarray:
    if window.size < size:
        return np.zeros(len(addresses), bool)
    return (addresses - window.start).view(np.uint64) <= np.uint64(window.size - size)


def _part(m, ins: Instruction, window: Window, at, lanes, addresses) -> Part:
    space = space_of(ins)
    if window.space not in SPACES.get(space, ANY):
        raise OutOfBounds(f"an access to {space} memory meets {window.name}", int(lanes[0]))
    places = addresses - window.start
    if window.pitch:
        copies = lanes // m.block_lanes if window.space == "shared" else lanes
        places = places + copies * window.pitch
    return Part(window, at, lanes, m.active(m.stamps)[at], addresses, places)


def _elements(part: Part, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Return memory as elements, and the index of each lane's first one."""
    first, elements = part.window.elements(dtype)
    return elements, (part.places - first) // dtype.itemsize


def _count(m, ins: Instruction, part: Part, size: int) -> None:
    space = part.window.space
    if space not in ("global", "shared"):
        return
    traffic = m.traffic.get(m.at)
    if traffic is None:
        traffic = m.traffic[m.at] = Traffic(ins.text, ins.line, ins.source, space)
    (count_sectors if space == "global" else count_banks)(traffic, part.lanes, part.addresses, size)


def _shape(ins: Instruction, operand) -> tuple[np.dtype, int, tuple]:
    """Return element type, number of elements, and the registers of a load or store."""
    dtype, count = dtype_of(ins.type), next((LENGTHS[m] for m in ins.modifiers if m in LENGTHS), 1)
    return dtype, count, operand.items if isinstance(operand, Vector) else (operand,)


def _shadowed(part: Part) -> np.ndarray:
    """Return what the window's shadow is indexed by: copies of shared memory are told apart."""
    return part.places if part.window.pitch else part.addresses


def _load(ins: Instruction) -> Callable:
    dtype, count, targets = _shape(ins, ins.operands[0])
    address, size = address_of(ins.operands[1]), dtype.itemsize * count
    writes = [writer(target, dtype) for target in targets]
    kind = "read" if ORDERED.isdisjoint(ins.modifiers) else "read in order"
    base, offset = ins.operands[1]
    if base is None and PARAMETERS <= offset < VARIABLES:  # an argument: the same for all
        return lambda m: _read_parameter(m, offset - PARAMETERS, dtype, writes)

    def load(m):
        found = []
        for part in _parts(m, ins, address(m), size):
            _count(m, ins, part, size)
            if part.window.shadow is not None:
                part.window.shadow.access(kind, _shadowed(part), size, part.stamps, part.lanes)
            elements, index = _elements(part, dtype)
            found.append((part.at, [elements[index + i] for i in range(count)]))
        for i, write in enumerate(writes):
            write(m, m.spread(_joined([(at, columns[i]) for at, columns in found])))

    return load


def _joined(pieces: list[tuple[slice | np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return the values of all active lanes, from those of each part."""
    if len(pieces) == 1:
        return pieces[0][1]
    joined = np.empty(sum(len(values) for _, values in pieces), pieces[0][1].dtype)
    for at, values in pieces:
        joined[at] = values
    return joined


def _read_parameter(m, offset: int, dtype: np.dtype, writes: list[Callable]) -> None:
    for i, write in enumerate(writes):
        start = offset + i * dtype.itemsize
        write(m, m.parameters[start : start + dtype.itemsize].view(dtype)[0])


def _store(ins: Instruction) -> Callable:
    dtype, count, sources = _shape(ins, ins.operands[1])
    address, size = address_of(ins.operands[0]), dtype.itemsize * count
    reads = [reader(source, dtype) for source in sources]
    ordered = not ORDERED.isdisjoint(ins.modifiers)

    def store(m):
        where = address(m)
        values = [m.active(read(m)) for read in reads]
        for part in _parts(m, ins, where, size):
            if not part.window.writable:
                raise ReadOnly(f"a store to {part.window.name}", int(part.lanes[0]))
            _count(m, ins, part, size)
            elements, index = _elements(part, dtype)
            for i, value in enumerate(values):
                elements[index + i] = value[part.at]
            same = np.logical_and.reduce([_equal(elements[index + i], v[part.at]) for i, v in enumerate(values)])
            if ordered:
                note = part.window.shadow.access
                note("changed atomically", _shadowed(part), size, part.stamps, part.lanes, fills=True)
            else:
                part.window.shadow.write(_shadowed(part), size, part.stamps, part.lanes, same)

    return store


def _equal(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return where two arrays have the same bits."""
    word = bits(a.dtype.itemsize)
    return a.view(word) == b.view(word)


def _atomic(ins: Instruction, used: set[int]) -> Callable:
    dtype = dtype_of(ins.type)
    operands = ins.operands if ins.root == "atom" else (Register(-1, 0, "_"), *ins.operands)
    target, address = operands[0], address_of(operands[1])
    name = next((m for m in ins.modifiers if m in (*ATOMICS, "exch", "cas", "inc", "dec")), None)
    if name is None or isinstance(operands[2], Vector):
        raise NotKnown("the atomic")
    reads = [reader(operand, dtype) for operand in operands[2:]]
    write = writer(target, dtype)
    wanted = target.slot in used

    def atomic(m):
        where = address(m)
        values = [m.active(read(m)) for read in reads]
        old = np.empty(len(m.lanes.index), dtype)
        for part in _parts(m, ins, where, dtype.itemsize):
            if not part.window.writable:
                raise ReadOnly(f"an atomic on {part.window.name}", int(part.lanes[0]))
            _count(m, ins, part, dtype.itemsize)
            part.window.shadow.access("changed atomically", _shadowed(part), dtype.itemsize, part.stamps, part.lanes)
            elements, index = _elements(part, dtype)
            given = [value[part.at] for value in values]
            if not wanted and name in ATOMICS:
                ATOMICS[name].at(elements, index, given[0])
            else:
                old[part.at] = _one_by_one(name, elements, index, given)
        if wanted:
            write(m, m.spread(old))

    return atomic


def _one_by_one(name: str, elements: np.ndarray, index: np.ndarray, values: list[np.ndarray]) -> np.ndarray:
    """Change `elements` in the order of the lanes and return what each lane found there."""
    old = np.empty(len(index), elements.dtype)
    order = np.argsort(index, kind="stable")
    grouped = index[order]
    starts = np.flatnonzero(np.diff(grouped, prepend=-1))
    turns = np.arange(len(index)) - np.repeat(starts, np.diff(starts, append=len(index)))
    for turn in range(int(turns.max()) + 1):  # in one turn no two lanes share an element
        lanes = order[turns == turn]
        found = old[lanes] = elements[index[lanes]]
        given = [value[lanes] for value in values]
        elements[index[lanes]] = _changed(name, found, given)
    return old


def _changed(name: str, found: np.ndarray, given: list[np.ndarray]) -> np.ndarray:
    if name in ATOMICS:
        return ATOMICS[name](found, given[0])
    if name == "exch":
        return given[0]
    if name == "cas":
        return np.where(found == given[0], given[1], found)
    if name == "inc":
        return np.where(found >= given[0], 0, found + 1).astype(found.dtype)
    return np.where((found == 0) | (found > given[0]), given[0], found - 1).astype(found.dtype)
