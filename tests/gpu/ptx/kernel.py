"""Statements to a kernel that can be executed: registers become slots, variables addresses, labels positions.

Functions that are called are put in place of their calls, so the machine knows no stack.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from tests.gpu.ptx.errors import NotKnown
from tests.gpu.ptx.syntax import DIGITS, Function, Module, Statement, Variable, declaration
from tests.gpu.ptx.types import dtype_of

# Where each kind of memory lies; arrays follow from ARRAYS on. None of them is at 0, where null points.
SHARED, DYNAMIC, LOCAL, PARAMETERS, VARIABLES, ARRAYS = 1 << 24, 1 << 25, 1 << 26, 1 << 27, 1 << 28, 1 << 32
CARRY = 0  # the slot of the carry flag


class Register(NamedTuple):
    """A slot of the register file, and the size in bytes that it was declared with (0 for a predicate)."""

    slot: int
    size: int
    name: str
    negated: bool = False


class Literal(NamedTuple):
    """A constant as it was written, or the address of a variable."""

    word: str


class Special(NamedTuple):
    """A register that the hardware sets, such as %tid.x."""

    name: str


class Address(NamedTuple):
    """[base + offset]; an absolute address has no base."""

    base: Register | None
    offset: int


class Vector(NamedTuple):
    """Several operands in one place: {%f1, %f2}, or %r1|%p1."""

    items: tuple["Operand", ...]


class Label(NamedTuple):
    """Where a branch goes, as a name that is unique in the kernel."""

    name: str


Operand = Register | Literal | Special | Address | Vector | Label


class Instruction(NamedTuple):
    """An instruction with its operands resolved.

    `root` is the opcode's first word, `modifiers` the others, `type` the last.
    """

    word: str
    operands: tuple[Operand, ...]
    guard: Register | None
    line: int
    source: int | None
    text: str

    @property
    def root(self) -> str:
        return self.word.split(".", 1)[0]

    @property
    def modifiers(self) -> list[str]:
        return self.word.split(".")[1:]

    @property
    def type(self) -> str:
        return self.word.rsplit(".", 1)[-1]


@dataclass
class Kernel:
    """One entry of a module, ready to be executed.

    Attributes
    ----------
    parameters
        Offset in the parameter memory and declaration of each.
    variables
        Address and declaration of each module-wide variable that the kernel names.
    shared_size, local_size
        Bytes of a block's static shared memory, and of a thread's local memory.
    """

    name: str
    code: list[Instruction] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)
    parameters: list[tuple[int, Variable]] = field(default_factory=list)
    variables: dict[str, tuple[int, Variable]] = field(default_factory=dict)
    slots: int = CARRY + 1
    shared_size: int = 0
    local_size: int = 0


def link(module: Module, name: str) -> Kernel:
    """Return the kernel with the lowered name `name`."""
    function = module.functions.get(name)
    if function is None or not function.entry:
        entries = [f.name for f in module.functions.values() if f.entry]
        raise NotKnown(f"a kernel {name!r}; the PTX has {entries}")
    linker = Linker(module, Kernel(name))
    names: dict[str, Operand] = {}
    offset = 0
    for variable in function.parameters:
        offset = _aligned(offset, _alignment(variable))
        linker.kernel.parameters.append((offset, variable))
        names[variable.name] = Literal(str(PARAMETERS + offset))
        offset += size_of(variable)
    linker.function(function, names)
    return linker.kernel


def size_of(variable: Variable) -> int:
    """Return the size of a variable in bytes."""
    return dtype_of(variable.type).itemsize * variable.count


def _alignment(variable: Variable) -> int:
    return max(variable.align, dtype_of(variable.type).itemsize)


def _aligned(offset: int, align: int) -> int:
    return -(-offset // align) * align


class Linker:
    """Writes a function, and those that it calls, into a kernel."""

    def __init__(self, module: Module, kernel: Kernel) -> None:
        self.module, self.kernel = module, kernel
        self.shared: dict[str, Operand] = {}  # module-wide shared variables, placed when first named
        self.calls = 0
        self.open: list[str] = []  # functions that are being written, outermost first

    def function(self, function: Function, names: dict[str, Operand]) -> None:
        """Write the body of `function`, whose parameters stand for what `names` says."""
        if function.name in self.open:
            raise NotKnown(f"the recursive function {function.name}")
        self.open.append(function.name)
        self.calls += 1
        prefix, end = f"{self.calls}:", f"{self.calls}:end"
        scopes = [names]
        for statement in function.body:
            if statement.word == "{":
                scopes.append({})
            elif statement.word == "}":
                scopes.pop()
            elif statement.word == "label":
                self.kernel.labels[prefix + statement.operands[0][0]] = len(self.kernel.code)
            elif statement.word[0] == ".":
                self._declare(statement.operands[0], scopes[-1])
            elif statement.word.startswith("call"):
                self._call(statement, scopes)
            elif statement.word == "ret" and len(self.open) > 1:
                self._emit(statement, scopes, "bra", (Label(end),))
            else:
                operands = tuple(self._operand(tokens, scopes, statement, prefix) for tokens in statement.operands)
                self._emit(statement, scopes, statement.word, operands)
        self.kernel.labels[end] = len(self.kernel.code)
        self.open.pop()
        if not self.open:
            last = function.body[-1].line if function.body else 0
            self.kernel.code.append(Instruction("ret", (), None, last, None, "}"))  # a body may end without one

    def _emit(self, statement: Statement, scopes: list[dict], word: str, operands: tuple[Operand, ...]) -> None:
        guard = None
        if statement.guard:
            register = self._name(statement.guard[-1], scopes, statement)
            guard = register._replace(negated=statement.guard[0] == "!")
        text = f"{statement.word} {', '.join(''.join(tokens) for tokens in statement.operands)}".strip()
        self.kernel.code.append(Instruction(word, operands, guard, statement.line, statement.source, text))

    def _declare(self, words: tuple[str, ...], names: dict[str, Operand]) -> None:
        if words[0] != ".reg":
            variable = declaration(words)
            place = {".shared": self._in_shared, ".local": self._in_local, ".param": self._in_local}.get(words[0])
            if place is None:
                raise NotKnown(f"the directive `{' '.join(words)}`")
            names[variable.name] = place(variable)
            return
        dtype = dtype_of(words[1][1:])
        size = 0 if words[1] == ".pred" else dtype.itemsize
        text = "".join(words[2:])
        for name in text.split(","):
            base, _, count = name.partition("<")
            for register in [f"{base}{i}" for i in range(int(count[:-1]))] if count else [base]:
                names[register] = Register(self.kernel.slots, size, register)
                self.kernel.slots += 1

    def _in_shared(self, variable: Variable) -> Literal:
        if variable.count == 0:
            return Literal(str(DYNAMIC))
        offset = _aligned(self.kernel.shared_size, _alignment(variable))
        self.kernel.shared_size = offset + size_of(variable)
        return Literal(str(SHARED + offset))

    def _in_local(self, variable: Variable) -> Literal:
        offset = _aligned(self.kernel.local_size, _alignment(variable))
        self.kernel.local_size = offset + size_of(variable)
        return Literal(str(LOCAL + offset))

    def _call(self, statement: Statement, scopes: list[dict]) -> None:
        groups = [[w for w in tokens if w not in "(),"] for tokens in statement.operands]
        given = [tokens[0] == "(" for tokens in statement.operands]
        results = groups.pop(0) if given[0] else []
        (name,) = groups.pop(0)
        function = self.module.functions.get(name)
        if function is None or not function.body:
            raise NotKnown(f"the function {name} that PTX line {statement.line} calls")
        actual = [*results, *(groups[0] if groups else [])]
        formal = [variable.name for variable in (*function.results, *function.parameters)]
        self.function(function, dict(zip(formal, (self._name(a, scopes, statement) for a in actual), strict=True)))

    def _name(self, word: str, scopes: list[dict], statement: Statement) -> Operand:
        """Return what a name means here: innermost scope first, then the module."""
        for names in reversed(scopes):
            if word in names:
                return names[word]
        variable = self.module.variables.get(word)
        if variable is None:
            raise NotKnown(f"the name {word} at PTX line {statement.line}")
        if variable.space == "shared":
            if word not in self.shared:
                self.shared[word] = self._in_shared(variable)
            return self.shared[word]
        if word not in self.kernel.variables:
            ends = [address + size_of(v) for address, v in self.kernel.variables.values()]
            self.kernel.variables[word] = (_aligned(max(ends, default=VARIABLES) + 256, 256), variable)
        return Literal(str(self.kernel.variables[word][0]))

    def _operand(self, tokens: tuple[str, ...], scopes: list[dict], statement: Statement, prefix: str) -> Operand:
        def of(part: tuple[str, ...]) -> Operand:
            return self._operand(part, scopes, statement, prefix)

        first = tokens[0]
        if first == "[":
            inner = of(tokens[1:-1])
            return Address(None, int(inner.word, 0)) if isinstance(inner, Literal) else _plus(inner, 0)
        if first == "{":
            return Vector(tuple(of((token,)) for token in tokens[1:-1] if token != ","))
        if first == "!":
            return of(tokens[1:])._replace(negated=True)
        if "|" in tokens:
            return Vector((of(tokens[:1]), of(tokens[2:])))
        if "+" in tokens:
            return _plus(of(tokens[: tokens.index("+")]), int("".join(tokens[tokens.index("+") + 1 :]), 0))
        if first == "-" or DIGITS.fullmatch(first):
            return Literal("".join(tokens))
        if statement.word.startswith("bra"):
            return Label(prefix + first)
        if first == "_":
            return Register(-1, 0, "_")
        if first[0] == "%" and not any(first in names for names in scopes):
            return Special(first)
        return self._name(first, scopes, statement)


def _plus(base: Operand, offset: int) -> Operand:
    if isinstance(base, Literal):
        return Literal(str(int(base.word, 0) + offset))
    if isinstance(base, Address):
        return Address(base.base, base.offset + offset)
    return Address(base, offset)
