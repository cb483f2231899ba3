"""The errors that the interpreter reports, one class per kind of mistake."""

from collections.abc import Sequence


class PTXError(Exception):
    """A kernel made a mistake.

    Attributes
    ----------
    kernel, instruction
        Lowered name of the kernel, and text of the instruction; empty until the machine
        fills them in.
    line, source
        Line of the PTX, and of the CUDA source if known.
    thread, block
        Indices (x, y, z) of the thread and its block.
    """

    kind = "error"

    def __init__(self, message: str, lane: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        # index in the batch, which the machine translates to a thread and a block
        self.lane = lane
        self.kernel = self.instruction = ""
        self.line: int | None = None
        self.source: int | None = None
        self.thread: Sequence[int] | None = None
        self.block: Sequence[int] | None = None

    def at(self, kernel: str, instruction: str, line: int, source: int | None) -> "PTXError":
        """Set the location of the mistake and return the error."""
        self.kernel = kernel
        self.instruction = instruction
        self.line = line
        self.source = source
        return self

    def __str__(self) -> str:
        """Return one sentence: kind, message, instruction, lines, kernel, thread, block."""
        text = f"{self.kind}: {self.message}"
        if self.line is not None:
            where = f"PTX line {self.line}" + (
                f", source line {self.source}" if self.source else ""
            )
            text += f"; `{self.instruction}` ({where})"
        if self.kernel:
            text += f" of {self.kernel}"
        if self.thread is not None:
            text += f" in thread {tuple(self.thread)} of block {tuple(self.block or ())}"
        return text


class NotKnown(PTXError):
    """An instruction, a directive or a function that the interpreter does not support."""

    kind = "not known to the interpreter"


class BadLaunch(PTXError):
    """Arguments, grid, block or shared memory do not fit the kernel."""

    kind = "bad launch"


class OutOfBounds(PTXError):
    """An access outside all arrays, outside shared or local memory, or to the wrong kind."""

    kind = "out of bounds"


class Misaligned(PTXError):
    """An address that is not a multiple of the access's size; a vector is one access."""

    kind = "misaligned"


class ReadOnly(PTXError):
    """A store to a read-only array or to a constant."""

    kind = "read-only"


class Uninitialised(PTXError):
    """A read of shared memory, local memory or a register before it is written."""

    kind = "uninitialised"


class Race(PTXError):
    """Two unordered accesses of different threads to one word, at least one a write."""

    kind = "race"


class BadShuffle(PTXError):
    """A shuffle or vote whose mask names the wrong lanes, or that reads an inactive lane."""

    kind = "bad shuffle"


class BarrierDivergence(PTXError):
    """A barrier that some threads of the block never reach."""

    kind = "barrier divergence"


class EndlessLoop(PTXError):
    """More steps than the budget."""

    kind = "endless loop"


class Trapped(PTXError):
    """The kernel stopped itself: a trap, or a failed assertion."""

    kind = "trap"
