"""Parse PTX text into statements, without resolving names; `link.py` does that."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from tools.gpu_emulator.ptx.errors import NotKnown

TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"[^"]*"|[\w.$%]+(?:::[\w.]+)*|\n|\S', re.DOTALL)
DIGITS = re.compile(r"0[fF][0-9a-fA-F]{8}|0[dD][0-9a-fA-F]{16}|(?:0[xX][0-9a-fA-F]+|\d+)U?")


@dataclass(frozen=True)
class Statement:
    """One statement of a function's body.

    Attributes
    ----------
    word
        The opcode with its modifiers ("ld.global.f32"), a directive (".reg"), "{", "}"
        or "label".
    operands
        A list of tokens per operand; a declaration has one list with all its words, a
        label its name.
    guard
        Tokens between "@" and the opcode: (), ("%p1",) or ("!", "%p1").
    line, source
        Line of the PTX, and of the CUDA source if given by `.loc`.
    """

    word: str
    operands: tuple[tuple[str, ...], ...]
    guard: tuple[str, ...]
    line: int
    source: int | None


@dataclass(frozen=True)
class Variable:
    """A declared variable: state space, alignment, element type, name, count, initial bytes."""

    space: str
    align: int
    type: str
    name: str
    # 0 for an array whose size is set by the launch
    count: int
    values: tuple[str, ...] = ()


@dataclass
class Function:
    """An entry or a device function, with its body as statements.

    `max_threads` is the value of __launch_bounds__.
    """

    name: str
    entry: bool
    parameters: list[Variable]
    results: list[Variable]
    max_threads: int | None = None
    body: list[Statement] = field(default_factory=list)


@dataclass
class Module:
    """All functions and module-wide variables of a PTX text, by name."""

    functions: dict[str, Function] = field(default_factory=dict)
    variables: dict[str, Variable] = field(default_factory=dict)


class Tokens:
    """The tokens of a text with their lines, without comments and line ends."""

    def __init__(self, text: str) -> None:
        self.words: list[str] = []
        self.lines: list[int] = []
        self.at = 0
        line = 1
        for match in TOKEN.finditer(text):
            word = match.group()
            if word[0] != "\n" and not word.startswith(("//", "/*")):
                self.words.append(word)
                self.lines.append(line)
            line += word.count("\n")

    def __bool__(self) -> bool:
        return self.at < len(self.words)

    @property
    def word(self) -> str:
        """The current word."""
        return self.words[self.at]

    @property
    def line(self) -> int:
        """Line of the current word."""
        return self.lines[self.at]

    def take(self) -> str:
        """Return the current word and advance."""
        self.at += 1
        return self.words[self.at - 1]

    def until(self, end: str) -> Iterator[str]:
        """Yield the words before `end`, and skip it."""
        while (word := self.take()) != end:
            yield word

    def rest_of_line(self) -> list[str]:
        """Return the remaining words of the line and advance past them."""
        line = self.line
        words = []
        while self and self.line == line:
            words.append(self.take())
        return words

    def skip_braces(self) -> None:
        """Advance past the matching closing brace."""
        depth = 0
        while True:
            word = self.take()
            depth += (word == "{") - (word == "}")
            if word == "}" and depth == 0:
                return


def parse(text: str) -> Module:
    """Return the functions and variables of a PTX text."""
    tokens = Tokens(text)
    module = Module()
    while tokens:
        word = tokens.word
        if word in (".version", ".target", ".address_size", ".file", ".loc"):
            tokens.rest_of_line()
        elif word == ".section":
            tokens.skip_braces()
        elif word in (".visible", ".weak", ".extern", ".common"):
            tokens.take()
        elif word in (".entry", ".func"):
            function = _function(tokens)
            if function.body or function.name not in module.functions:
                module.functions[function.name] = function
        elif word in (".global", ".const", ".shared"):
            variable = declaration(tuple(tokens.until(";")))
            module.variables[variable.name] = variable
        else:
            raise NotKnown(f"`{word}` at PTX line {tokens.line} outside of a function")
    return module


def declaration(words: tuple[str, ...]) -> Variable:
    """Parse `.shared .align 4 .b8 name[128] = {...}` without its semicolon.

    Parameters have the same form.
    """
    space = words[0][1:]
    align = 0
    kind = ""
    name = ""
    count = 1
    values = ()
    at = 1
    while at < len(words):
        word = words[at]
        if word == ".align":
            align = int(words[at + 1])
            at = at + 1
        elif word == "[":
            end = words.index("]", at)
            count = int(words[at + 1]) if end > at + 1 else 0
            at = end
        elif word == "=":
            values = tuple(w for w in words[at + 1 :] if w not in "{},")
            break
        elif word[0] == ".":
            # `.u64 .ptr .align 1 name`
            kind = kind if word == ".ptr" or kind else word[1:]
        else:
            name = word
        at += 1
    return Variable(space, align, kind, name, count, values)


def _parameters(tokens: Tokens) -> list[Variable]:
    if tokens.word != "(":
        return []
    tokens.take()
    words = list(tokens.until(")"))
    return [declaration(part) for part in split(words) if part]


def _function(tokens: Tokens) -> Function:
    entry = tokens.take() == ".entry"
    results = _parameters(tokens)
    name = tokens.take()
    function = Function(name, entry, _parameters(tokens), results)
    # .maxntid 256, 1, 1 and similar ones; .noreturn
    while tokens.word not in ("{", ";"):
        if tokens.take() == ".maxntid":
            function.max_threads = math.prod(int(w) for w in tokens.rest_of_line() if w != ",")
    if tokens.take() == "{":
        function.body = _body(tokens)
    return function


def _body(tokens: Tokens) -> list[Statement]:
    body: list[Statement] = []
    depth = 1
    source = None
    while True:
        line = tokens.line
        word = tokens.take()
        if word in ("{", "}"):
            depth += 1 if word == "{" else -1
            if depth == 0:
                return body
            body.append(Statement(word, (), (), line, source))
        elif word == ".loc":
            tokens.at -= 1
            source = int(tokens.rest_of_line()[2])
        elif word == ".pragma":
            list(tokens.until(";"))
        elif word[0] == ".":
            body.append(Statement(word, ((word, *tokens.until(";")),), (), line, source))
        elif tokens.word == ":":
            tokens.take()
            body.append(Statement("label", ((word,),), (), line, source))
        else:
            guard: tuple[str, ...] = ()
            if word == "@":
                guard = (tokens.take(),)
                if guard == ("!",):
                    guard = ("!", tokens.take())
                word = tokens.take()
            operands = tuple(split(list(tokens.until(";"))))
            body.append(Statement(word, operands, guard, line, source))


def split(words: list[str]) -> Iterator[tuple[str, ...]]:
    """Yield the parts of `words` between commas, except those within brackets of any kind."""
    part: list[str] = []
    depth = 0
    for word in words:
        depth += (word in "[{(") - (word in "]})")
        if word == "," and depth == 0:
            yield tuple(part)
            part = []
        else:
            part.append(word)
    if part:
        yield tuple(part)
