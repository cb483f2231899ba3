"""The machine: executes a batch of blocks, one lane per thread.

The lanes at the lowest position step together.
"""

from collections.abc import Sequence

import numpy as np

from tools.gpu_emulator.ptx import shadow
from tools.gpu_emulator.ptx.errors import BarrierDivergence, EndlessLoop, PTXError
from tools.gpu_emulator.ptx.kernel import DYNAMIC, LOCAL, SHARED, Kernel
from tools.gpu_emulator.ptx.memory import Memory, Window
from tools.gpu_emulator.ptx.operands import UNWRITTEN
from tools.gpu_emulator.ptx.report import Report, Traffic
from tools.gpu_emulator.ptx.steps import SWITCH, Compiled

Dim = tuple[int, int, int]


class Lanes:
    """The lanes that step together.

    Attributes
    ----------
    mask, index
        One flag per lane of the batch, and the indices of the active lanes.
    all
        Whether every lane of the batch is active.
    whole
        Whether every lane that has not exited is active, so that results need not be
        blended with the values of others.
    warps
        Number of warps with an active lane.
    """

    def __init__(self, mask: np.ndarray, alive: np.ndarray) -> None:
        self.mask = mask
        self.index = np.flatnonzero(mask)
        self.all = len(self.index) == len(mask)
        self.whole = self.all or not (alive & ~mask).any()
        self.warps = int(np.count_nonzero(mask.reshape(-1, 32).any(1)))


class Machine:
    """Executes one batch of blocks from the first instruction to the last.

    Parameters
    ----------
    compiled
        The kernel as functions of the machine.
    grid, block
        Extents of the launch.
    blocks
        Numbers of the batch's blocks, x fastest.
    windows
        Memory shared by all blocks.
    parameters
        Bytes of the arguments.
    shared
        Bytes of dynamic shared memory.
    report, traffic
        Counters to add to; `traffic` is keyed by position of the instruction and kind of
        memory.
    budget
        Maximum number of steps of the batch.
    """

    def __init__(
        self,
        compiled: Compiled,
        grid: Dim,
        block: Dim,
        blocks: np.ndarray,
        windows: Sequence[Window],
        parameters: np.ndarray,
        shared: int,
        report: Report,
        traffic: dict[tuple[int, str], Traffic],
        budget: int,
    ) -> None:
        self.compiled = compiled
        self.kernel = compiled.kernel
        self.blocks = blocks
        self.grid = grid
        self.block = block
        self.threads = block[0] * block[1] * block[2]
        # The last warp of a block may have lanes without a thread.
        self.block_lanes = -(-self.threads // 32) * 32
        self.size = self.block_lanes * len(blocks)
        self.numbers = np.arange(self.size)
        self.thread = self.numbers % self.block_lanes
        self.alive = self.thread < self.threads
        self.parameters = parameters
        self.report = report
        self.traffic = traffic
        self.budget = budget
        self.registers: list = [UNWRITTEN] * self.kernel.slots
        self.special = self._special()
        self.stamps = shadow.stamp(np.repeat(blocks, self.block_lanes), self.thread)
        self.memory = Memory([*windows, *self._private(shared)])
        self.waiting: dict[int, np.ndarray] = {}
        self.groups: dict[int, np.ndarray] = {}
        self.lanes = Lanes(self.alive, self.alive)
        self.at = 0

    def _special(self) -> dict[str, np.ndarray]:
        values: dict[str, np.ndarray] = {"WARP_SZ": np.uint32(32)}
        position = np.minimum(self.thread, self.threads - 1)
        number = self.blocks
        for axis, width, count in zip("xyz", self.block, self.grid, strict=True):
            values[f"%tid.{axis}"] = (
                (position % width).astype(np.uint32) if width > 1 else np.uint32(0)
            )
            block = np.repeat(number % count, self.block_lanes).astype(np.uint32)
            values[f"%ctaid.{axis}"] = block if len(self.blocks) > 1 else block[0]
            values[f"%ntid.{axis}"] = np.uint32(width)
            values[f"%nctaid.{axis}"] = np.uint32(count)
            position = position // width
            number = number // count
        lane = (self.thread % 32).astype(np.uint32)
        values["%laneid"] = lane
        values["%warpid"] = (self.thread // 32).astype(np.uint32)
        bit = np.uint32(1) << lane
        values |= {"%lanemask_eq": bit, "%lanemask_lt": bit - 1, "%lanemask_le": bit | (bit - 1)}
        values |= {"%lanemask_ge": ~(bit - 1), "%lanemask_gt": ~(bit | (bit - 1))}
        return values

    def _private(self, shared: int) -> list[Window]:
        """Return the memory of each block and thread, filled with ones.

        They read as NaN, should a check miss a read.
        """
        kernel = self.kernel
        grain = self.compiled.grain
        kinds = (
            (SHARED, kernel.shared_size, "shared", "static shared memory", len(self.blocks)),
            (DYNAMIC, shared, "shared", "dynamic shared memory", len(self.blocks)),
            (LOCAL, kernel.local_size, "local", "local memory", self.size),
        )
        windows = []
        for start, size, space, name, copies in kinds:
            if size:
                pitch = -(-size // 16) * 16
                shadows = shadow.Shadow(0, pitch * copies, grain[space], private=True)
                data = np.full(pitch * copies, 0xFF, np.uint8)
                windows.append(Window(start, size, space, name, data, pitch, shadow=shadows))
        return windows

    def active(self, values) -> np.ndarray:
        """Return the values of the active lanes, one each."""
        if values.ndim == 0:
            return np.full(len(self.lanes.index), values)
        return values if self.lanes.all else values[self.lanes.index]

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Return an array over all lanes with the given values of the active ones."""
        if self.lanes.all:
            return values
        spread = np.zeros(self.size, values.dtype)
        spread[self.lanes.index] = values
        return spread

    def blend(self, slot: int, value):
        """Return `value` for the active lanes and the register's value for the others."""
        old = self.registers[slot]
        if old is UNWRITTEN:
            return value
        return np.where(
            self.lanes.mask, value, old if old.dtype == value.dtype else old.view(value.dtype)
        )

    def push(self, at: int, mask: np.ndarray) -> None:
        """Let lanes continue from position `at`, with those already there."""
        if at in self.compiled.exits:
            # At once, so that the others need not preserve these lanes' registers.
            self.exit(mask)
        else:
            self.groups[at] = self.groups[at] | mask if at in self.groups else mask

    def narrow(self, mask: np.ndarray) -> None:
        """Restrict the next step to these lanes of the active ones."""
        self.lanes = Lanes(mask, self.alive)

    def exit(self, mask: np.ndarray) -> None:
        """End lanes."""
        self.alive = self.alive & ~mask

    def barrier(self) -> bool:
        """Let the active lanes wait for their blocks; return whether all may continue at once."""
        here = self.lanes.mask
        if self.at in self.waiting:
            here = here | self.waiting.pop(self.at)
        counts = here.reshape(-1, self.block_lanes).sum(1)
        full = np.repeat(counts == self.threads, self.block_lanes)
        free = here & full
        self.stamps[free] += shadow.INTERVAL
        if len(self.lanes.index) == np.count_nonzero(free) == np.count_nonzero(here):
            return True
        if free.any():
            self.push(self.at + 1, free)
        if (here & ~full).any():
            self.waiting[self.at] = here & ~full
        return False

    def run(self) -> None:
        """Execute until all lanes have ended; a PTXError tells where it arose."""
        steps = self.compiled.steps
        flops = self.compiled.flops
        last = self.report.steps + self.budget
        self.groups = {0: self.alive}
        try:
            while self.groups:
                at = min(self.groups)
                self.lanes = Lanes(self.groups.pop(at), self.alive)
                stop = min(self.groups, default=len(steps))
                active = len(self.lanes.index)
                warps = self.lanes.warps
                while True:
                    self.at = at
                    self.report.steps += 1
                    self.report.instructions += warps
                    if self.report.steps > last:
                        raise EndlessLoop(
                            f"more than {self.budget} steps", int(self.lanes.index[0])
                        )
                    self.report.flops += flops[at] * active
                    to = steps[at](self)
                    if to is SWITCH:
                        break
                    at = at + 1 if to is None else to
                    # Other lanes are at this position, or at an earlier one.
                    if at >= stop:
                        self.push(at, self.lanes.mask)
                        break
            if self.waiting:
                self._diverged()
        except PTXError as error:
            raise self._located(error) from None

    def _diverged(self) -> None:
        self.at, mask = next(iter(self.waiting.items()))
        lane = int(np.argmax(mask))
        first = lane // self.block_lanes * self.block_lanes
        absent = first + int(np.argmin(mask[first : first + self.threads]))
        code = self.kernel.code
        others = [code[at].line for at, there in self.waiting.items() if there[absent]]
        where = f"waits at the barrier of PTX line {others[0]}" if others else "has ended"
        raise BarrierDivergence(
            f"thread {absent - first} of the block never comes here, it {where}", lane
        )

    def _located(self, error: PTXError) -> PTXError:
        ins = self.kernel.code[self.at]
        error.at(self.kernel.name, ins.text, ins.line, ins.source)
        if error.lane is not None:
            error.thread = _position(int(self.thread[error.lane]), self.block)
            error.block = _position(int(self.blocks[error.lane // self.block_lanes]), self.grid)
        return error


def _position(number: int, extents: Dim) -> Dim:
    x, y, _ = extents
    return number % x, number // x % y, number // (x * y)


def batches(
    grid: Dim, block: Dim, kernel: Kernel, shared: int, lanes: int, memory: int
) -> list[np.ndarray]:
    """Cut the blocks of a launch into batches within limits of `lanes` and `memory`.

    `memory` counts the bytes of shared and local memory.
    """
    total = grid[0] * grid[1] * grid[2]
    threads = -(-(block[0] * block[1] * block[2]) // 32) * 32
    private = kernel.shared_size + shared + threads * kernel.local_size
    count = max(1, min(lanes // threads, memory // max(1, private)))
    return [np.arange(first, min(first + count, total)) for first in range(0, total, count)]
