"""Translate each instruction of a kernel to one function of the machine."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tools.gpu_emulator.ptx import shadow, warp
from tools.gpu_emulator.ptx.access import memory_step, size_of
from tools.gpu_emulator.ptx.compute import clean_registers, compute
from tools.gpu_emulator.ptx.errors import NotKnown, PTXError, Trapped
from tools.gpu_emulator.ptx.kernel import Address, Instruction, Kernel, Register, Vector
from tools.gpu_emulator.ptx.opcodes import flops
from tools.gpu_emulator.ptx.places import space_of

# result of a step after which the machine must choose the active lanes again
SWITCH = -1
MEMORY = ("ld", "st", "atom", "red")
# instructions about ordering and speed, which the machine does not model
NOTHING = ("membar", "fence", "prefetch", "nanosleep")


class Compiled(NamedTuple):
    """A kernel as the machine runs it.

    A step returns None to continue with the next one, a position to jump to, or SWITCH.

    Attributes
    ----------
    flops
        Floating-point operations of each instruction in one thread.
    exits
        Positions at which lanes end.
    grain
        Bytes of the smallest access to each kind of memory.
    """

    kernel: Kernel
    steps: list[Callable]
    flops: list[int]
    exits: frozenset[int]
    grain: dict[str, int]


def compiled(kernel: Kernel) -> Compiled:
    """Return the kernel's steps; NotKnown names an unsupported instruction."""
    used = frozenset(slot for ins in kernel.code for slot in _read_slots(ins))
    clean = clean_registers(kernel.code)
    makers = {
        "bra": lambda ins: _branch(ins, kernel.labels),
        **dict.fromkeys(("ret", "exit"), lambda ins: _end),
        **dict.fromkeys(("bar", "barrier"), _barrier),
        "trap": lambda ins: _trap,
        **dict.fromkeys(NOTHING, lambda ins: lambda m: None),
        **dict.fromkeys(MEMORY, lambda ins: memory_step(ins, used)),
        **warp.STEPS,
    }
    steps = []
    for ins in kernel.code:
        try:
            step = makers.get(ins.root, lambda ins: compute(ins, clean))(ins)
        except (PTXError, KeyError, IndexError, ValueError, TypeError, AttributeError) as error:
            reason = error.message if isinstance(error, PTXError) else "its form"
            raise NotKnown(reason).at(kernel.name, ins.text, ins.line, ins.source) from error
        steps.append(_guarded(step, ins.guard) if ins.guard and ins.root != "bra" else step)
    exits = frozenset(
        at for at, ins in enumerate(kernel.code) if ins.root in ("ret", "exit") and not ins.guard
    )
    return Compiled(kernel, steps, [flops(ins) for ins in kernel.code], exits, _grain(kernel))


def _guarded(step: Callable, guard: Register) -> Callable:
    """Return the step restricted to the lanes whose predicate holds."""
    slot = guard.slot
    negated = guard.negated

    def guarded(m):
        flags = m.registers[slot] ^ negated
        if flags.ndim == 0:
            return step(m) if flags else None
        everyone = m.lanes
        mask = m.lanes.mask & flags
        if not mask.any():
            return None
        m.narrow(mask)
        to = step(m)
        # The lanes ended or are waiting.
        if to is SWITCH:
            if (rest := everyone.mask & ~mask).any():
                m.push(m.at + 1, rest)
            return SWITCH
        m.lanes = everyone
        return to

    return guarded


def _branch(ins: Instruction, labels: dict[str, int]) -> Callable:
    target = labels[ins.operands[0].name]
    if ins.guard is None:
        return lambda m: target
    slot = ins.guard.slot
    negated = ins.guard.negated

    def branch(m):
        flags = m.registers[slot] ^ negated
        if flags.ndim == 0:
            return target if flags else None
        mask = m.lanes.mask
        taken = mask & flags
        count = np.count_nonzero(taken)
        if count == 0:
            return None
        if count == len(m.lanes.index):
            return target
        m.push(target, taken)
        m.push(m.at + 1, mask & ~flags)
        return SWITCH

    return branch


def _end(m) -> int:
    m.exit(m.lanes.mask)
    return SWITCH


def _trap(m) -> None:
    raise Trapped("the kernel stopped itself", int(m.lanes.index[0]))


def _barrier(ins: Instruction) -> Callable:
    if "warp" in ins.modifiers:
        mask = warp.reader(ins.operands[0], warp.U32)
        return lambda m: _warp_barrier(m, mask(m))
    if "sync" not in ins.modifiers or len(ins.operands) != 1 or ins.operands[0] != ("0",):
        raise NotKnown("a barrier other than __syncthreads()")
    return lambda m: None if m.barrier() else SWITCH


def _warp_barrier(m, mask) -> None:
    warp.check_mask(m, mask)
    lanes = m.lanes.index
    # The shadow cannot represent an ordering among part of a warp.
    full = warp.words(m.alive) == warp.words(m.lanes.mask)
    m.stamps[lanes[full[lanes >> 5]]] += shadow.SYNC


def _read_slots(ins: Instruction):
    """Yield the slots that an instruction may read."""
    sources = ins.operands if ins.root in ("st", "red") else ins.operands[1:]
    for operand in (*sources, *([ins.guard] if ins.guard else [])):
        for item in operand.items if isinstance(operand, Vector) else (operand,):
            register = item.base if isinstance(item, Address) else item
            if isinstance(register, Register):
                yield register.slot


def _grain(kernel: Kernel) -> dict[str, int]:
    grain = {"global": 8, "shared": 8, "local": 8}
    for ins in kernel.code:
        if ins.root in MEMORY:
            named = "local" if space_of(ins) == "param" else space_of(ins)
            for space in [named] if named in grain else list(grain):
                # Without a state space, an access may be to any kind of memory.
                grain[space] = min(grain[space], size_of(ins))
    return grain
