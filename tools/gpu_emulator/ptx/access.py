"""Loads, stores and atomics: each access is located, counted, checked and executed."""

from collections.abc import Callable

import numpy as np

from tools.gpu_emulator.ptx.errors import NotKnown, ReadOnly
from tools.gpu_emulator.ptx.kernel import PARAMETERS, VARIABLES, Instruction, Register, Vector
from tools.gpu_emulator.ptx.operands import reader, writer
from tools.gpu_emulator.ptx.places import address_of, placed
from tools.gpu_emulator.ptx.shadow import CONSTANT
from tools.gpu_emulator.ptx.types import bits, dtype_of

# A vector is one access: hardware executes it as one transaction of 8, 16 or 32 bytes.
LENGTHS = {"v2": 2, "v4": 4, "v8": 8}
# Accesses of these kinds are ordered, like atomics.
ORDERED = {"volatile", "relaxed", "acquire", "release", "acq_rel"}
ATOMICS = {
    "add": np.add,
    "min": np.minimum,
    "max": np.maximum,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
}


def size_of(ins: Instruction) -> int:
    """Return the bytes of one element of an access."""
    return dtype_of(ins.type).itemsize


def memory_step(ins: Instruction, used: frozenset[int]) -> Callable:
    """Return the step of ld, st, atom or red.

    `used` are the slots that some instruction reads.
    """
    if ins.root == "ld":
        return _load(ins)
    if ins.root == "st":
        return _store(ins)
    return _atomic(ins, used)


def _shape(ins: Instruction, operand) -> tuple[np.dtype, int, tuple]:
    """Return the element type, number of elements and registers of a load or store."""
    dtype = dtype_of(ins.type)
    count = next((LENGTHS[m] for m in ins.modifiers if m in LENGTHS), 1)
    return dtype, count, operand.items if isinstance(operand, Vector) else (operand,)


def _load(ins: Instruction) -> Callable:
    dtype, count, targets = _shape(ins, ins.operands[0])
    address = address_of(ins.operands[1])
    size = dtype.itemsize * count
    writes = [writer(target, dtype) for target in targets]
    kind = (
        CONSTANT
        if "nc" in ins.modifiers
        else "read"
        if ORDERED.isdisjoint(ins.modifiers)
        else "read in order"
    )
    base, offset = ins.operands[1]
    # An argument has the same value in all lanes.
    if base is None and PARAMETERS <= offset < VARIABLES:
        return lambda m: _read_parameter(m, offset - PARAMETERS, dtype, writes)

    def load(m):
        columns_of_parts = []
        for part in placed(m, ins, address(m), size):
            if part.window.shadow is not None:
                part.window.shadow.access(kind, part.words, size, part.stamps, part.lanes)
            elements, index = part.elements(dtype)
            columns_of_parts.append((part.at, [elements[index + i] for i in range(count)]))
        for i, write in enumerate(writes):
            write(m, m.spread(_joined([(at, columns[i]) for at, columns in columns_of_parts])))

    return load


def _joined(pieces: list[tuple[slice | np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return the values of all active lanes from those of each part."""
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
    address = address_of(ins.operands[0])
    size = dtype.itemsize * count
    reads = [reader(source, dtype) for source in sources]
    ordered = not ORDERED.isdisjoint(ins.modifiers)

    def store(m):
        where = address(m)
        values = [m.active(read(m)) for read in reads]
        for part in placed(m, ins, where, size):
            if not part.window.writable:
                raise ReadOnly(f"a store to {part.window.name}", int(part.lanes[0]))
            elements, index = part.elements(dtype)
            for i, value in enumerate(values):
                elements[index + i] = value[part.at]
            same = np.logical_and.reduce(
                [_equal(elements[index + i], v[part.at]) for i, v in enumerate(values)]
            )
            if ordered:
                note = part.window.shadow.access
                note("changed atomically", part.words, size, part.stamps, part.lanes, fills=True)
            else:
                part.window.shadow.write(part.words, size, part.stamps, part.lanes, same)

    return store


def _equal(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return where two arrays have equal bits."""
    word = bits(a.dtype.itemsize)
    return a.view(word) == b.view(word)


def _atomic(ins: Instruction, used: frozenset[int]) -> Callable:
    dtype = dtype_of(ins.type)
    operands = ins.operands if ins.root == "atom" else (Register(-1, 0, "_"), *ins.operands)
    target = operands[0]
    address = address_of(operands[1])
    name = next((m for m in ins.modifiers if m in (*ATOMICS, "exch", "cas", "inc", "dec")), None)
    if name is None or isinstance(operands[2], Vector):
        raise NotKnown("the atomic")
    reads = [reader(operand, dtype) for operand in operands[2:]]
    write = writer(target, dtype)
    result_used = target.slot in used

    def atomic(m):
        where = address(m)
        values = [m.active(read(m)) for read in reads]
        old = np.empty(len(m.lanes.index), dtype)
        for part in placed(m, ins, where, dtype.itemsize):
            if not part.window.writable:
                raise ReadOnly(f"an atomic on {part.window.name}", int(part.lanes[0]))
            part.window.shadow.access(
                "changed atomically", part.words, dtype.itemsize, part.stamps, part.lanes
            )
            elements, index = part.elements(dtype)
            arguments = [value[part.at] for value in values]
            if not result_used and name in ATOMICS:
                ATOMICS[name].at(elements, index, arguments[0])
            else:
                old[part.at] = _one_by_one(name, elements, index, arguments)
        if result_used:
            write(m, m.spread(old))

    return atomic


def _one_by_one(
    name: str, elements: np.ndarray, index: np.ndarray, values: list[np.ndarray]
) -> np.ndarray:
    """Change `elements` in lane order and return the value that each lane found."""
    old = np.empty(len(index), elements.dtype)
    order = np.argsort(index, kind="stable")
    grouped = index[order]
    starts = np.flatnonzero(np.diff(grouped, prepend=-1))
    turns = np.arange(len(index)) - np.repeat(starts, np.diff(starts, append=len(index)))
    # Within one turn, no two lanes share an element.
    for turn in range(int(turns.max()) + 1):
        lanes = order[turns == turn]
        before = old[lanes] = elements[index[lanes]]
        arguments = [value[lanes] for value in values]
        elements[index[lanes]] = _changed(name, before, arguments)
    return old


def _changed(name: str, before: np.ndarray, arguments: list[np.ndarray]) -> np.ndarray:
    if name in ATOMICS:
        return ATOMICS[name](before, arguments[0])
    if name == "exch":
        return arguments[0]
    if name == "cas":
        return np.where(before == arguments[0], arguments[1], before)
    if name == "inc":
        return np.where(before >= arguments[0], 0, before + 1).astype(before.dtype)
    return np.where((before == 0) | (before > arguments[0]), arguments[0], before - 1).astype(
        before.dtype
    )
