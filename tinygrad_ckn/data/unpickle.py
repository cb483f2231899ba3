"""Pickled dictionaries of arrays, lists and numbers, read without running any code.

`pickle` calls what a file names, and allocates what a file declares. Here the opcodes are
interpreted one by one, those that call something are limited to NumPy arrays and bytes,
and no size is believed. Source of the opcodes: Python's `pickletools`; of the arrays:
`numpy.ndarray.__reduce__`.
"""

from __future__ import annotations

import math
import pickletools
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.data.files import existing_file
from tinygrad_ckn.errors import DataError
from tinygrad_ckn.files import PathLike

# Anything that a pickle may hold; `_as` checks it before use.
Value: TypeAlias = Any
MAX_SIZE = 2**31
_DTYPE = re.compile(r"[|<>=]?(b1|[iu][1248]|f[248])")
_ROOMS = r"numpy\.(?:_core|core)\."
_RECONSTRUCT = re.compile(_ROOMS + r"multiarray\._reconstruct")
_SCALAR = re.compile(_ROOMS + r"multiarray\.scalar")
_FROM_BUFFER = re.compile(_ROOMS + r"numeric\._frombuffer")
_ALLOWED = re.compile(
    f"{_RECONSTRUCT.pattern}|{_SCALAR.pattern}|{_FROM_BUFFER.pattern}"
    r"|numpy\.(?:ndarray|dtype)|_codecs\.encode|(?:__builtin__|builtins)\.bytes"
)
_LITERALS = frozenset(
    "INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING "
    "UNICODE SHORT_BINUNICODE BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8 "
    "BYTEARRAY8".split()
)
_CONSTANTS: dict[str, Callable[[], Value]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
}
_MARK = object()


class _RefusedError(Exception):
    """Something that a file of data does not hold, as words after "got"."""


@dataclass(frozen=True)
class _Name:
    """The name of a function or class, which is not looked up."""

    name: str


@dataclass
class _DType:
    """A dtype, whose byte order follows later."""

    dtype: np.dtype[Any]


@dataclass
class _Array:
    """An array, whose contents follow later."""

    array: NDArray[Any] | None = None

    def fill(self, raw: Value, dtype: Value, shape: Value, order: Value) -> None:
        """Set the contents, after comparing the bytes with the shape."""
        raw = _bytes(raw)
        kind = _as(_DType, dtype).dtype
        sizes = [_as(int, size) for size in _as(tuple, shape)]
        if any(size < 0 for size in sizes) or math.prod(sizes) * kind.itemsize != len(raw):
            raise _RefusedError(f"an array of {len(raw)} bytes with another shape")
        if len(sizes) > 4 or order not in ("C", "F"):
            raise _RefusedError("an array in another layout")
        self.array = np.frombuffer(raw, kind).reshape(sizes, order=order)


def read_pickle(path: PathLike) -> dict[str, Value]:
    """Read a pickled dictionary of arrays, lists, strings, bytes and numbers.

    No code of the file is run. Any protocol is read, Python 2's included, whose strings
    are taken as Latin-1.

    Parameters
    ----------
    path : str or PathLike
        At most 2 GiB.

    Returns
    -------
    dict[str, Any]
        Keys that are bytes are decoded; arrays are read-only views of the file's bytes.

    Raises
    ------
    DataError
        For anything else: another name, an object, a damaged file.
    """
    path = existing_file(path, "a pickled dictionary of arrays")
    expected = f"{path}: expected a pickled dictionary of arrays, lists, strings and numbers, got"
    if path.stat().st_size > MAX_SIZE:
        raise DataError(f"{expected} {path.stat().st_size:,} bytes; expected at most {MAX_SIZE:,}")
    try:
        found = _as(dict, _Machine().run(path.read_bytes()))
    except _RefusedError as error:
        raise DataError(f"{expected} {error}; nothing of it was run") from error
    except (ValueError, IndexError, KeyError, TypeError, OverflowError) as error:
        raise DataError(
            f"{expected} a damaged or another file; copy or download it again"
        ) from error
    return {_text(key): _plain(value) for key, value in found.items()}


def starts_as_pickle(path: Path) -> bool:
    """Return whether a file begins like a pickle of protocol 2 or later, or a dictionary."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(2)[:1] in (b"\x80", b"(", b"}")


class _Machine:
    """The stack machine of a pickle, for data alone."""

    def __init__(self) -> None:
        self.stack: list[Value] = []
        self.memo: dict[int, Value] = {}

    def run(self, data: bytes) -> Value:
        """Return the value that a pickle describes."""
        for opcode, argument, _ in pickletools.genops(data):
            name = opcode.name
            if name == "STOP":
                return self.stack.pop()
            if name in _LITERALS:
                self.stack.append(argument)
            elif name in _CONSTANTS:
                self.stack.append(_CONSTANTS[name]())
            elif not (self._memory(name, argument) or self._containers(name)):
                self._objects(name, argument)
        raise _RefusedError("a file that ends early")

    def _memory(self, name: str, argument: Value) -> bool:
        """Do what an opcode of the stack or the memo says; return whether it is one."""
        if name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self.memo[argument] = self.stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = self.stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[argument])
        elif name == "MARK":
            self.stack.append(_MARK)
        elif name == "POP":
            self.stack.pop()
        elif name == "POP_MARK":
            self._to_mark()
        elif name == "DUP":
            self.stack.append(self.stack[-1])
        else:
            return name in ("PROTO", "FRAME")
        return True

    def _containers(self, name: str) -> bool:
        """Make or fill a tuple, list or dictionary; return whether the opcode does that."""
        if name == "TUPLE":
            self.stack.append(tuple(self._to_mark()))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            self.stack.append(tuple(self._last(int(name[-1]))))
        elif name == "LIST":
            self.stack.append(self._to_mark())
        elif name == "DICT":
            items = self._to_mark()
            self.stack.append({})
            self._set(items)
        elif name in ("APPEND", "APPENDS"):
            items = self._last(1) if name == "APPEND" else self._to_mark()
            _as(list, self.stack[-1]).extend(items)
        elif name in ("SETITEM", "SETITEMS"):
            self._set(self._last(2) if name == "SETITEM" else self._to_mark())
        else:
            return False
        return True

    def _objects(self, name: str, argument: Value) -> None:
        """Make or fill an array, a dtype or bytes, or refuse the opcode."""
        if name == "GLOBAL":
            self.stack.append(_allowed(str(argument).replace(" ", ".", 1)))
        elif name == "STACK_GLOBAL":
            room, last = self._last(2)
            self.stack.append(_allowed(f"{_as(str, room)}.{_as(str, last)}"))
        elif name == "REDUCE":
            called, arguments = self._last(2)
            self.stack.append(_call(_as(_Name, called).name, _as(tuple, arguments)))
        elif name == "BUILD":
            state = _as(tuple, self.stack.pop())
            built = self.stack[-1]
            if isinstance(built, _DType):
                built.dtype = built.dtype.newbyteorder("=" if state[1] == "|" else state[1])
            else:
                _, shape, dtype, fortran, raw = state
                _as(_Array, built).fill(raw, dtype, shape, "F" if fortran else "C")
        else:
            raise _RefusedError(f"an object (opcode {name})")

    def _last(self, count: int) -> list[Value]:
        """Remove the last values of the stack."""
        if len(self.stack) < count:
            raise _RefusedError("a damaged file")
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def _to_mark(self) -> list[Value]:
        """Remove the values of the stack down to the last mark."""
        items = []
        while (item := self.stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    def _set(self, items: list[Value]) -> None:
        """Set keys of the dictionary on the stack: keys and values in turn."""
        target = _as(dict, self.stack[-1])
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Other keys may take for ever to hash.
            target[_text(key)] = value


def _allowed(name: str) -> _Name:
    """Return a name that data may use, or refuse it."""
    if not _ALLOWED.fullmatch(name):
        raise _RefusedError(f"the name {name[:60]!r}")
    return _Name(name)


def _call(name: str, arguments: tuple[Value, ...]) -> Value:
    """Return what a call of an allowed name makes."""
    if _RECONSTRUCT.fullmatch(name):
        if arguments[:2] != (_Name("numpy.ndarray"), (0,)):
            raise _RefusedError("an array of another class")
        return _Array()
    if _FROM_BUFFER.fullmatch(name):
        array = _Array()
        raw, dtype, shape, order = arguments
        array.fill(raw, dtype, shape, order)
        return array
    if _SCALAR.fullmatch(name):
        scalar = _Array()
        scalar.fill(arguments[1], arguments[0], (1,), "C")
        return _plain(scalar).item()
    if name == "numpy.dtype":
        text = _text(arguments[0])
        if not _DTYPE.fullmatch(text):
            raise _RefusedError(f"an array of dtype {text[:20]!r}")
        return _DType(np.dtype(text))
    if name == "_codecs.encode":
        if arguments[1] != "latin1":
            raise _RefusedError("text in another encoding than latin1")
        return _as(str, arguments[0]).encode("latin1")
    if name.endswith(".bytes") and not arguments:
        return b""
    raise _RefusedError(f"a call of {name}")


def _as(kind: type[Any], value: Value) -> Value:
    """Return a value of the given type, or refuse it."""
    if type(value) is not kind:
        raise _RefusedError(f"{type(value).__name__.strip('_').lower()} instead of {kind.__name__}")
    return value


def _bytes(value: Value) -> bytes:
    """Return bytes, which are a string in files of Python 2."""
    return bytes(value.encode("latin1") if isinstance(value, str) else memoryview(value).cast("B"))


def _text(value: Value) -> str:
    """Return a string, which may have been stored as bytes."""
    return value.decode("latin1") if isinstance(value, bytes) else str(_as(str, value))


def _plain(value: Value) -> Value:
    """Return the array of a value that is one, other values unchanged."""
    if not isinstance(value, _Array):
        return value
    if value.array is None:
        raise DataError("unpickle: expected an array with contents, got none; it is damaged")
    return value.array
