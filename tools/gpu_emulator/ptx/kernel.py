"""An executable kernel: instructions with registers as slots and variables as addresses."""

from dataclasses import dataclass, field
from typing import NamedTuple

from tools.gpu_emulator.ptx.syntax import Variable

# Start of each kind of memory; arrays follow from ARRAYS on. None of them is at 0,
# the null pointer.
SHARED = 1 << 24
DYNAMIC = 1 << 25
LOCAL = 1 << 26
PARAMETERS = 1 << 27
VARIABLES = 1 << 28
ARRAYS = 1 << 32
# slot of the carry flag
CARRY = 0


class Register(NamedTuple):
    """A slot of the register file, and its declared size in bytes (0 for a predicate)."""

    slot: int
    size: int
    name: str
    negated: bool = False


class Literal(NamedTuple):
    """A constant as written, or the address of a variable."""

    word: str


class Special(NamedTuple):
    """A register that the hardware sets, such as %tid.x."""

    name: str


class Address(NamedTuple):
    """[base + offset]; an absolute address has no base."""

    base: Register | None
    offset: int


class Vector(NamedTuple):
    """Several operands in one: {%f1, %f2}, or %r1|%p1."""

    items: tuple["Operand", ...]


class Label(NamedTuple):
    """The target of a branch, as a name that is unique in the kernel."""

    name: str


Operand = Register | Literal | Special | Address | Vector | Label


class Instruction(NamedTuple):
    """An instruction with resolved operands.

    `root` is the first word of the opcode, `modifiers` the others, `type` the last.
    """

    word: str
    operands: tuple[Operand, ...]
    guard: Register | None
    line: int
    source: int | None
    text: str

    @property
    def root(self) -> str:
        """First word of the opcode."""
        return self.word.split(".", 1)[0]

    @property
    def modifiers(self) -> list[str]:
        """Other words of the opcode."""
        return self.word.split(".")[1:]

    @property
    def type(self) -> str:
        """Last word of the opcode."""
        return self.word.rsplit(".", 1)[-1]


@dataclass
class Kernel:
    """One entry of a module, ready for execution.

    Attributes
    ----------
    parameters
        Offset in the parameter memory and declaration of each.
    variables
        Address and declaration of each module-wide variable that the kernel uses.
    max_threads
        Maximum threads of a block by __launch_bounds__; None: not declared.
    shared_size, local_size
        Bytes of a block's static shared memory, and of a thread's local memory.
    """

    name: str
    code: list[Instruction] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)
    parameters: list[tuple[int, Variable]] = field(default_factory=list)
    variables: dict[str, tuple[int, Variable]] = field(default_factory=dict)
    max_threads: int | None = None
    slots: int = CARRY + 1
    shared_size: int = 0
    local_size: int = 0
