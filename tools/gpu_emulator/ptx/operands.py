"""Read and write operands while a kernel runs.

A register holds an array with one element per lane of the batch, or a scalar while all
lanes agree. Its dtype is that of the last write; a reader views the same bits as the
dtype it needs.
"""

from collections.abc import Callable

import numpy as np

from tools.gpu_emulator.ptx.errors import NotKnown, Uninitialised
from tools.gpu_emulator.ptx.floats import flush
from tools.gpu_emulator.ptx.kernel import Label, Literal, Operand, Register, Special
from tools.gpu_emulator.ptx.types import bits, constant

SPECIAL = {f"%{name}.{axis}" for name in ("tid", "ntid", "ctaid", "nctaid") for axis in "xyz"}
SPECIAL |= {
    "%laneid",
    "%warpid",
    "WARP_SZ",
    *(f"%lanemask_{which}" for which in ("eq", "lt", "le", "gt", "ge")),
}


class _Unwritten:
    """The initial value of a register; asking for its dtype raises."""

    @property
    def dtype(self):
        raise Uninitialised("a register is read before it is written")


UNWRITTEN = _Unwritten()


def reader(operand: Operand, dtype: np.dtype, flushing: bool = False) -> Callable:
    """Return a function of the machine that reads the operand as `dtype`.

    It flushes subnormal numbers if `flushing`.
    """
    read = _reader(operand, dtype)
    if flushing and dtype == np.float32:
        if isinstance(operand, Literal):
            value = flush(read(None))
            return lambda m: value
        return lambda m: flush(read(m))
    return read


def _reader(operand: Operand, dtype: np.dtype) -> Callable:
    if isinstance(operand, Literal):
        value = constant(operand.word, dtype)
        return lambda m: value
    if isinstance(operand, Special):
        name = operand.name
        if name not in SPECIAL:
            raise NotKnown(f"the special register {name}")
        return lambda m: m.special[name].astype(dtype, copy=False)
    if isinstance(operand, Label):
        raise NotKnown(f"the name {operand.name.split(':')[1]}")
    if not isinstance(operand, Register):
        raise NotKnown(f"the operand {operand}")
    slot = operand.slot
    size = operand.size
    if operand.negated:
        return lambda m: ~m.registers[slot]
    if size > dtype.itemsize:
        held = bits(size)
        part = bits(dtype.itemsize)
        return lambda m: m.registers[slot].view(held).astype(part).view(dtype)
    if size and size < dtype.itemsize:
        raise NotKnown(f"the register {operand.name} of {size} bytes read as {dtype}")

    def read(m):
        value = m.registers[slot]
        return value if value.dtype is dtype else value.view(dtype)

    return read


def writer(operand: Operand, dtype: np.dtype) -> Callable:
    """Return a function of the machine and a value that writes it for the active lanes."""
    if not isinstance(operand, Register):
        raise NotKnown(f"the result {operand}")
    slot = operand.slot
    size = operand.size
    if slot < 0:
        return lambda m, value: None

    def write(m, value):
        m.registers[slot] = value if m.lanes.whole else m.blend(slot, value)

    if size > dtype.itemsize:
        # A narrow load or conversion extends to the register, with the sign if it has one.
        wide = np.dtype(f"{dtype.kind}{size}")
        return lambda m, value: write(m, value.astype(wide))
    return write


def step(write: Callable, function: Callable, reads: list[Callable]) -> Callable:
    """Return the function of the machine that executes an instruction without side effects."""
    if len(reads) == 1:
        (a,) = reads
        return lambda m: write(m, function(a(m)))
    if len(reads) == 2:
        a, b = reads
        return lambda m: write(m, function(a(m), b(m)))
    return lambda m: write(m, function(*[read(m) for read in reads]))
