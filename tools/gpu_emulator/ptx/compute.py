"""Steps of instructions that compute; `opcodes.py` defines the operations."""

from collections.abc import Callable, Sequence

import numpy as np

from tools.gpu_emulator.ptx import floats
from tools.gpu_emulator.ptx.errors import NotKnown
from tools.gpu_emulator.ptx.kernel import CARRY, Instruction, Literal, Register, Vector
from tools.gpu_emulator.ptx.opcodes import TABLE
from tools.gpu_emulator.ptx.operands import reader, step, writer
from tools.gpu_emulator.ptx.types import WIDER, constant, dtype_of

ORDERED = {
    "eq": np.equal,
    "ne": lambda a, b: (a < b) | (a > b),
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "num": lambda a, b: (a == a) & (b == b),  # noqa: PLR0124 - false for NaN
}
UNORDERED = {
    "equ": "ne",
    "neu": "eq",
    "ltu": "ge",
    "leu": "gt",
    "gtu": "le",
    "geu": "lt",
    "nan": "num",
}
UNSIGNED = {"lo": "lt", "ls": "le", "hi": "gt", "hs": "ge"}
COMBINED = {"and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor}


def compute(ins: Instruction, clean: frozenset[int]) -> Callable:
    """Return the step of an instruction that computes.

    Registers in `clean` hold no subnormal numbers.
    """
    if ins.root == "setp":
        return _compare(ins, clean)
    if ins.root == "mov" and any(isinstance(operand, Vector) for operand in ins.operands):
        return _repack(ins)
    if "cc" in ins.modifiers or ins.root in ("addc", "subc", "madc"):
        return _carrying(ins)
    if ins.root not in TABLE:
        raise NotKnown("the opcode")
    signature, make = TABLE[ins.root]
    types = {"u": "u32", "p": "pred", "t": ins.type, "s": ins.type, "w": WIDER.get(ins.type, "")}
    if ins.root == "cvt":
        types["t"] = ins.modifiers[-2]
    if "wide" in ins.modifiers:
        signature = "w" + signature[1:3] + signature[3:].replace("t", "w")
    dtypes = [dtype_of(types[letter]) for letter in signature]
    return _step(ins, make(ins), dtypes, clean)


def _step(
    ins: Instruction, function: Callable, dtypes: list[np.dtype], clean: frozenset[int]
) -> Callable:
    write = writer(ins.operands[0], dtypes[0])
    reads = _reads(ins, ins.operands[1:], dtypes[1:], clean)
    if "sat" in ins.modifiers and dtypes[0].kind == "f":
        function = _then(function, floats.saturate)
    if "ftz" in ins.modifiers and dtypes[0] == np.float32:
        function = _then(function, floats.flush)
    return step(write, function, reads)


def _then(function: Callable, finish: Callable) -> Callable:
    return lambda *values: finish(function(*values))


def _reads(
    ins: Instruction, operands: tuple, dtypes: list[np.dtype], clean: frozenset[int]
) -> list[Callable]:
    def dirty(operand) -> bool:
        return "ftz" in ins.modifiers and not (
            isinstance(operand, Register) and operand.slot in clean
        )

    return [
        reader(operand, dtype, dirty(operand))
        for operand, dtype in zip(operands, dtypes, strict=True)
    ]


def _compare(ins: Instruction, clean: frozenset[int]) -> Callable:
    name = ins.modifiers[0]
    dtype = dtype_of(ins.type)
    base = UNORDERED.get(name) or UNSIGNED.get(name) or name
    function = np.not_equal if base == "ne" and dtype.kind != "f" else ORDERED[base]
    a, b = _reads(ins, ins.operands[1:3], [dtype, dtype], clean)
    results = ins.operands[0].items if isinstance(ins.operands[0], Vector) else (ins.operands[0],)
    writes = [writer(result, dtype_of("pred")) for result in results]
    combine = next((COMBINED[m] for m in ins.modifiers if m in COMBINED), None)
    other = reader(ins.operands[3], dtype_of("pred")) if combine else None
    negated = name in UNORDERED

    def compare(m):
        held = function(a(m), b(m))
        if negated:
            held = ~held
        for write, value in zip(writes, (held, ~held), strict=False):
            write(m, combine(value, other(m)) if combine else value)

    return compare


def _repack(ins: Instruction) -> Callable:
    """Return the step of a mov between one register and its parts, lowest part first."""
    target, source = ins.operands
    parts = (target if isinstance(target, Vector) else source).items
    whole = dtype_of(f"b{ins.type[1:]}")
    part = dtype_of(f"b{8 * whole.itemsize // len(parts)}")
    width = whole.type(8 * part.itemsize)
    if isinstance(target, Vector):
        read = reader(source, whole)
        writes = [writer(item, part) for item in parts]

        def unpack(m):
            value = read(m)
            for i, write in enumerate(writes):
                write(m, (value >> whole.type(i) * width).astype(part))

        return unpack
    reads = [reader(item, part) for item in parts]
    write = writer(target, whole)

    def pack(m):
        value = whole.type(0)
        for i, read in enumerate(reads):
            value = value | (read(m).astype(whole) << whole.type(i) * width)
        write(m, value)

    return pack


def _carrying(ins: Instruction) -> Callable:
    """Return the step of a 32-bit addition, subtraction or product with the carry flag."""
    if ins.type not in ("u32", "s32") or (ins.type == "s32" and "hi" in ins.modifiers):
        raise NotKnown("its carry")
    word = dtype_of("u32")
    write = writer(ins.operands[0], word)
    root = ins.root[:3]
    keeps = "cc" in ins.modifiers
    takes = ins.root.endswith("c")
    reads = [reader(operand, word) for operand in ins.operands[1:]]
    high = np.uint64(32)

    def carry(m):
        values = [read(m).astype(np.uint64) for read in reads]
        if root == "mad":
            product = values[0] * values[1]
            values = [
                product >> high if "hi" in ins.modifiers else product & np.uint64(0xFFFFFFFF),
                values[2],
            ]
        flag = m.registers[CARRY] if takes else np.uint64(0)
        total = values[0] - values[1] - flag if root == "sub" else values[0] + values[1] + flag
        if keeps:
            m.registers[CARRY] = total >> high & np.uint64(1)
        write(m, total.astype(np.uint32))

    return carry


def clean_registers(code: Sequence[Instruction]) -> frozenset[int]:
    """Return the slots that never hold a subnormal float32.

    They are written by flushing instructions and constants only.
    """
    clean: set[int] = set()
    other: set[int] = set()
    for ins in code:
        for target in ins.operands[:1]:
            for item in target.items if isinstance(target, Vector) else (target,):
                if isinstance(item, Register):
                    (clean if _writes_clean(ins) else other).add(item.slot)
    return frozenset(clean - other)


def _writes_clean(ins: Instruction) -> bool:
    if ins.word == "mov.f32" and isinstance(ins.operands[1], Literal):
        value = constant(ins.operands[1].word, np.dtype(np.float32))
        return bool(floats.flush(value) == value)
    result = ins.modifiers[-2] if ins.root == "cvt" else ins.type
    return "ftz" in ins.modifiers and ins.root in TABLE and result == "f32"
