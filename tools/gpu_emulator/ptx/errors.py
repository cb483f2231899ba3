"""What the interpreter finds wrong with a kernel; every class is one kind of mistake."""

from collections.abc import Sequence


class PTXError(Exception):
    """A kernel did what it must not do.

    Attributes
    ----------
    kernel, instruction
        Lowered name of the kernel, and the text of the instruction; empty until the
        machine has filled them in.
    line, source
        Line of the PTX, and of the CUDA source where it is known.
    thread, block
        Who did it, as (x, y, z).
    """

    kind = "error"

    def __init__(self, message: str, lane: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        # position in the batch; the machine turns it into a thread and a block
        self.lane = lane
        self.kernel = self.instruction = ""
        self.line: int | None = None
        self.source: int | None = None
        self.thread: Sequence[int] | None = None
        self.block: Sequence[int] | None = None

    def at(self, kernel: str, instruction: str, line: int, source: int | None) -> "PTXError":
        """Say where the mistake is, and return the error."""
        self.kernel, self.instruction, self.line, self.source = kernel, instruction, line, source
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
    """An instruction, a directive or a function that the interpreter has no meaning for."""

    kind = "not known to the interpreter"


class BadLaunch(PTXError):
    """Arguments, grid, block or shared memory do not fit the kernel."""

    kind = "bad launch"


class OutOfBounds(PTXError):
    """An access outside of every array, or outside of shared or local memory, or of the wrong kind of memory."""

    kind = "out of bounds"


class Misaligned(PTXError):
    """An address that is no multiple of the access's full size; a vector counts as one access."""

    kind = "misaligned"


class ReadOnly(PTXError):
    """A store to a read-only array or to a constant."""

    kind = "read-only"


class Uninitialised(PTXError):
    """A read of shared or local memory, or of a register, that nobody has written."""

    kind = "uninitialised"


class Race(PTXError):
    """Two threads at the same word, one of them writing, with nothing that orders them."""

    kind = "race"


class BadShuffle(PTXError):
    """A shuffle or vote whose mask names the wrong lanes, or that reads from a lane that takes no part."""

    kind = "bad shuffle"


class BarrierDivergence(PTXError):
    """A barrier that a part of the block never reaches."""

    kind = "barrier divergence"


class EndlessLoop(PTXError):
    """More steps than the budget allows."""

    kind = "endless loop"


class Trapped(PTXError):
    """The kernel stopped itself: trap, or a failed assertion."""

    kind = "trap"
