"""Instructions by which the lanes of a warp exchange values.

Each names the participating lanes in a mask.
"""

from collections.abc import Callable

import numpy as np

from tools.gpu_emulator.ptx.errors import BadShuffle, NotKnown
from tools.gpu_emulator.ptx.kernel import Instruction, Vector
from tools.gpu_emulator.ptx.operands import reader, writer
from tools.gpu_emulator.ptx.types import dtype_of

LANES = np.arange(32, dtype=np.int64)
REDUCTIONS = {"add": np.add, "min": np.minimum, "max": np.maximum}
REDUCTIONS |= {"and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor}
U32 = dtype_of("u32")
PRED = dtype_of("pred")


def words(flags: np.ndarray) -> np.ndarray:
    """Return one word per warp; bit i is the flag of lane i."""
    return (flags.reshape(-1, 32).astype(np.uint32) << LANES.astype(np.uint32)).sum(
        1, dtype=np.uint32
    )


def check_mask(m, mask) -> None:
    """Raise BadShuffle unless `mask` names exactly the executing lanes.

    Lanes that have exited may be named.
    """
    mask = np.broadcast_to(mask, m.size)
    if m.lanes.all and (mask == 0xFFFFFFFF).all():
        return
    lanes = m.lanes.index
    excluded = (mask[lanes] >> (lanes & 31).astype(np.uint32)) & 1 == 0
    if excluded.any():
        lane = int(lanes[np.argmax(excluded)])
        raise BadShuffle(
            f"the mask {int(mask[lane]):#010x} leaves out lane {lane % 32}, which executes", lane
        )
    absent = mask[lanes] & np.repeat(words(m.alive) & ~words(m.lanes.mask), 32)[lanes]
    if absent.any():
        lane = int(lanes[np.argmax(absent != 0)])
        missing = int(absent[np.argmax(absent != 0)])
        message = (
            f"the mask {int(mask[lane]):#010x} names lanes {missing:#010x}, which are elsewhere"
        )
        raise BadShuffle(message, lane)


def shuffle(ins: Instruction) -> Callable:
    """Return the step of shfl.sync."""
    mode = ins.modifiers[1]
    both = ins.operands[0].items if isinstance(ins.operands[0], Vector) else (ins.operands[0],)
    writes = [writer(target, dtype) for target, dtype in zip(both, (U32, PRED), strict=False)]
    value, lane, clamp, mask = [reader(operand, U32) for operand in ins.operands[1:]]

    def step(m):
        names = mask(m)
        lane_index = m.special["%laneid"].astype(np.int64)
        check_mask(m, names)
        b = lane(m).astype(np.int64) & 31
        c = clamp(m).astype(np.int64)
        segment = c >> 8 & 31
        last = (lane_index & segment) | (c & 31 & ~segment)
        if mode == "up":
            source = lane_index - b
            valid = source >= last
        else:
            source = {
                "down": lane_index + b,
                "bfly": lane_index ^ b,
                "idx": (lane_index & segment) | (b & ~segment),
            }[mode]
            valid = source <= last
        source = np.where(valid, source, lane_index) + m.numbers // 32 * 32
        _check_sources(m, source, names)
        results = np.broadcast_to(value(m), m.size)[source], valid
        for write, result in zip(writes, results, strict=False):
            write(m, result)

    return step


def _check_sources(m, source: np.ndarray, mask) -> None:
    if m.lanes.all and (mask == 0xFFFFFFFF).all():
        return
    lanes = m.lanes.index
    named = np.broadcast_to(mask, m.size)[lanes] >> (source[lanes] & 31).astype(np.uint32) & 1
    idle = ~m.lanes.mask[source[lanes]] | (named == 0)
    if idle.any():
        lane = int(lanes[np.argmax(idle)])
        message = (
            f"reads from lane {source[lane] % 32}, which has exited, does not exist or is inactive"
        )
        raise BadShuffle(message, lane)


def vote(ins: Instruction) -> Callable:
    """Return the step of vote.sync."""
    mode = ins.modifiers[1]
    write = writer(ins.operands[0], U32 if mode == "ballot" else PRED)
    value = reader(ins.operands[1], PRED)
    mask = reader(ins.operands[2], U32)

    def step(m):
        check_mask(m, mask(m))
        flags = np.broadcast_to(value(m), m.size)
        names = mask(m)
        yes, no = (np.repeat(words(each & m.lanes.mask), 32) & names for each in (flags, ~flags))
        write(
            m, {"ballot": yes, "any": yes != 0, "all": no == 0, "uni": (yes == 0) | (no == 0)}[mode]
        )

    return step


def active_mask(ins: Instruction) -> Callable:
    """Return the step of activemask."""
    write = writer(ins.operands[0], U32)
    return lambda m: write(m, np.repeat(words(m.lanes.mask), 32))


def match(ins: Instruction) -> Callable:
    """Return the step of match.any.sync."""
    if ins.modifiers[0] != "any":
        raise NotKnown("its mode")
    write = writer(ins.operands[0], U32)
    value = reader(ins.operands[1], dtype_of(ins.type))
    mask = reader(ins.operands[2], U32)

    def step(m):
        check_mask(m, mask(m))
        values = np.broadcast_to(value(m), m.size).reshape(-1, 32)
        equal = (values[:, :, None] == values[:, None, :]) & m.lanes.mask.reshape(-1, 1, 32)
        write(m, words(equal.reshape(-1)) & mask(m))

    return step


def reduction(ins: Instruction) -> Callable:
    """Return the step of redux.sync."""
    if ins.modifiers[1] not in REDUCTIONS:
        raise NotKnown("its operation")
    function = REDUCTIONS[ins.modifiers[1]]
    dtype = dtype_of(ins.type)
    write = writer(ins.operands[0], dtype)
    value = reader(ins.operands[1], dtype)
    mask = reader(ins.operands[2], U32)

    def step(m):
        check_mask(m, mask(m))
        active = m.lanes.mask.reshape(-1, 32)
        if (
            (np.broadcast_to(mask(m), m.size) != np.repeat(words(active), 32)) & m.lanes.mask
        ).any():
            raise NotKnown("a mask that is only a part of the lanes that execute")
        rows = np.broadcast_to(value(m), m.size).reshape(-1, 32)
        if ins.modifiers[1] in ("add", "xor"):
            rows = np.where(active, rows, dtype.type(0))
        else:
            # Repeating the first lane's value does not change these reductions.
            rows = np.where(active, rows, rows[np.arange(len(rows)), active.argmax(1)][:, None])
        write(m, np.repeat(function.reduce(rows, axis=1, dtype=dtype), 32))

    return step


STEPS = {
    "shfl": shuffle,
    "vote": vote,
    "activemask": active_mask,
    "match": match,
    "redux": reduction,
}
