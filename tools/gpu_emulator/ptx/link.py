"""Link statements into a kernel.

Registers become slots, variables addresses, labels positions. Called functions are
inlined, so the machine needs no stack.
"""

from tools.gpu_emulator.ptx.errors import NotKnown
from tools.gpu_emulator.ptx.kernel import (
    DYNAMIC,
    LOCAL,
    PARAMETERS,
    SHARED,
    VARIABLES,
    Address,
    Instruction,
    Kernel,
    Label,
    Literal,
    Operand,
    Register,
    Special,
    Vector,
)
from tools.gpu_emulator.ptx.syntax import DIGITS, Function, Module, Statement, Variable, declaration
from tools.gpu_emulator.ptx.types import dtype_of

Names = dict[str, Operand]


def link(module: Module, name: str) -> Kernel:
    """Return the kernel with the lowered name `name`."""
    function = module.functions.get(name)
    if function is None or not function.entry:
        entries = [f.name for f in module.functions.values() if f.entry]
        raise NotKnown(f"a kernel {name!r}; the PTX has {entries}")
    kernel = Kernel(name, max_threads=function.max_threads)
    names: Names = {}
    offset = 0
    for variable in function.parameters:
        offset = _aligned(offset, variable)
        kernel.parameters.append((offset, variable))
        names[variable.name] = Literal(str(PARAMETERS + offset))
        offset += size_of(variable)
    Body(Layout(module, kernel), function, names).write()
    last = function.body[-1].line if function.body else 0
    # A body may end without a ret.
    kernel.code.append(Instruction("ret", (), None, last, None, "}"))
    return kernel


def size_of(variable: Variable) -> int:
    """Return the size of a variable in bytes."""
    return dtype_of(variable.type).itemsize * variable.count


def _aligned(offset: int, variable: Variable) -> int:
    align = max(variable.align, dtype_of(variable.type).itemsize)
    return -(-offset // align) * align


class Layout:
    """The addresses of one kernel's variables."""

    def __init__(self, module: Module, kernel: Kernel) -> None:
        self.module = module
        self.kernel = kernel
        self.calls = 0
        # module-wide ones, placed at their first use
        self._shared: Names = {}
        self._end = VARIABLES

    def shared(self, variable: Variable) -> Literal:
        """Place a variable of a block."""
        if variable.count == 0:
            return Literal(str(DYNAMIC))
        offset = _aligned(self.kernel.shared_size, variable)
        self.kernel.shared_size = offset + size_of(variable)
        return Literal(str(SHARED + offset))

    def local(self, variable: Variable) -> Literal:
        """Place a variable of a thread, or an argument of a call."""
        offset = _aligned(self.kernel.local_size, variable)
        self.kernel.local_size = offset + size_of(variable)
        return Literal(str(LOCAL + offset))

    def named(self, word: str) -> Operand | None:
        """Return the address of the module-wide variable of that name, if there is one."""
        variable = self.module.variables.get(word)
        if variable is None:
            return None
        if variable.space == "shared":
            if word not in self._shared:
                self._shared[word] = self.shared(variable)
            return self._shared[word]
        if word not in self.kernel.variables:
            # The gap makes accesses past the end detectable.
            start = -(-(self._end + 256) // 256) * 256
            self.kernel.variables[word] = (start, variable)
            self._end = start + size_of(variable)
        return Literal(str(self.kernel.variables[word][0]))


class Body:
    """A function being inlined into a kernel.

    Parameters
    ----------
    layout
        Layout of the kernel.
    function
        Function to write.
    names
        Meanings of the function's parameters.
    callers
        Names of the functions being written, outermost first.
    """

    def __init__(
        self, layout: Layout, function: Function, names: Names, callers: tuple[str, ...] = ()
    ) -> None:
        if function.name in callers:
            raise NotKnown(f"the recursive function {function.name}")
        self.layout = layout
        self.function = function
        self.callers = (*callers, function.name)
        layout.calls += 1
        self.number = layout.calls
        self.scopes = [names]

    def write(self) -> None:
        """Append the function's instructions to the kernel."""
        code = self.layout.kernel.code
        labels = self.layout.kernel.labels
        end = self._label("end")
        for statement in self.function.body:
            if statement.word == "{":
                self.scopes.append({})
            elif statement.word == "}":
                self.scopes.pop()
            elif statement.word == "label":
                labels[self._label(statement.operands[0][0]).name] = len(code)
            elif statement.word[0] == ".":
                self._declare(statement.operands[0])
            elif statement.word.startswith("call"):
                self._call(statement)
            elif statement.word == "ret" and len(self.callers) > 1:
                self._emit(statement, "bra", (end,))
            else:
                self._emit(statement, statement.word, self._operands(statement))
        labels[end.name] = len(code)

    def _label(self, name: str) -> Label:
        return Label(f"{self.number}:{name}")

    def _emit(
        self, statement: Statement, word: str, operands: tuple[Operand, ...], inverted: bool = False
    ) -> None:
        guard = None
        if statement.guard:
            guard = self._name(statement.guard[-1])._replace(
                negated=(statement.guard[0] == "!") != inverted
            )
        operand_text = ", ".join("".join(tokens) for tokens in statement.operands)
        text = f"{statement.word} {operand_text}".strip()
        ins = Instruction(word, operands, guard, statement.line, statement.source, text)
        self.layout.kernel.code.append(ins)

    def _declare(self, words: tuple[str, ...]) -> None:
        if words[0] != ".reg":
            place = {
                ".shared": self.layout.shared,
                ".local": self.layout.local,
                ".param": self.layout.local,
            }
            if words[0] not in place:
                raise NotKnown(f"the directive `{' '.join(words)}`")
            variable = declaration(words)
            self.scopes[-1][variable.name] = place[words[0]](variable)
            return
        size = 0 if words[1] == ".pred" else dtype_of(words[1][1:]).itemsize
        for name in "".join(words[2:]).split(","):
            base, _, count = name.partition("<")
            for register in [f"{base}{i}" for i in range(int(count[:-1]))] if count else [base]:
                self.scopes[-1][register] = Register(self.layout.kernel.slots, size, register)
                self.layout.kernel.slots += 1

    def _call(self, statement: Statement) -> None:
        """Inline the function of a statement `call (results), name, (arguments)`."""
        groups = [[w for w in tokens if w not in "(),"] for tokens in statement.operands]
        results = groups.pop(0) if statement.operands[0][0] == "(" else []
        (name,) = groups.pop(0)
        function = self.layout.module.functions.get(name)
        if function is None or not function.body:
            raise NotKnown(f"the function {name} that PTX line {statement.line} calls")
        formal = [variable.name for variable in (*function.results, *function.parameters)]
        actual = [self._name(word) for word in (*results, *(groups[0] if groups else []))]
        body = Body(self.layout, function, dict(zip(formal, actual, strict=True)), self.callers)
        if statement.guard:
            self._emit(statement, "bra", (body._label("end"),), inverted=True)
        body.write()

    def _name(self, word: str) -> Operand:
        """Return the meaning of a name: innermost scope first, then the module."""
        for names in reversed(self.scopes):
            if word in names:
                return names[word]
        if (variable := self.layout.named(word)) is not None:
            return variable
        if word[0] == "%" or word == "WARP_SZ":
            return Special(word)
        return self._label(word)

    def _operands(self, statement: Statement) -> tuple[Operand, ...]:
        try:
            return tuple(map(self._operand, statement.operands))
        except (
            ValueError,
            AttributeError,
        ) as error:
            # a register instead of a number, or vice versa
            raise NotKnown(
                f"an operand of {statement.word} at PTX line {statement.line}"
            ) from error

    def _operand(self, tokens: tuple[str, ...]) -> Operand:
        first = tokens[0]
        if first == "[":
            inner = self._operand(tokens[1:-1])
            if isinstance(inner, Literal):
                return Address(None, int(inner.word, 0))
            return inner if isinstance(inner, Address) else Address(inner, 0)
        if first == "{":
            return Vector(tuple(self._single((token,)) for token in tokens[1:-1] if token != ","))
        if "|" in tokens:
            return Vector((self._single(tokens[:1]), self._single(tokens[2:])))
        if "+" in tokens:
            at = tokens.index("+")
            return _plus(self._single(tokens[:at]), int("".join(tokens[at + 1 :]), 0))
        return self._single(tokens)

    def _single(self, tokens: tuple[str, ...]) -> Operand:
        first = tokens[0]
        if first == "!":
            return self._name(tokens[1])._replace(negated=True)
        if first == "-" or DIGITS.fullmatch(first):
            return Literal("".join(tokens))
        return Register(-1, 0, "_") if first == "_" else self._name(first)


def _plus(base: Operand, offset: int) -> Operand:
    return (
        Literal(str(int(base.word, 0) + offset))
        if isinstance(base, Literal)
        else Address(base, offset)
    )
