"""Elementwise functions with CuPy's arguments and loops, and the operators of arrays."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from tools.gpu_emulator.standin.array import Scalar, ndarray, silent, unwrap, wrap
from tools.gpu_emulator.standin.counters import called
from tools.gpu_emulator.standin.surface import entry, table

# dtypes that a Python number adapts to
_KIND = {
    bool: "?bBhHiIlLqQefdFD",
    int: "bBhHiIlLqQefdFD",
    float: "efdFD",
    complex: "FD",
}
# dtypes of atomicAdd; CuPy adds int64 as uint64
_ATOMIC = "iILqQlefd"


class ufunc:
    """An elementwise function of arrays on the device and scalars.

    The result is an array on the device.
    """

    def __init__(self, name: str) -> None:
        known = entry("cupy", name)
        self.__name__ = self.name = name
        self._host: np.ufunc = getattr(np, name)
        self._methods: list[str] = known["methods"].split()
        # NumPy has no complex32.
        self.types: list[str] = [loop for loop in known["types"].split() if "E" not in loop]
        self.nin, self.nout = (len(side) for side in self.types[0].split("->"))

    def __repr__(self) -> str:
        return f"<ufunc 'cupy_{self.name}'>"

    @silent
    def __call__(self, *args: Any, **options: Any) -> Any:
        """Apply the function."""
        unknown = options.keys() - {"out", "dtype", "casting"}
        if unknown or not self.nin <= len(args) <= self.nin + self.nout:
            raise TypeError(
                f"cupy.{self.name}: wrong arguments: {len(args)} by position, {sorted(unknown)}"
            )
        for arg in args:
            if not isinstance(arg, ndarray | Scalar):
                raise TypeError(f"cupy.{self.name}: Unsupported type {type(arg)}")
        self._check_loop(args[: self.nin], options.get("dtype"))
        called(self.name)
        sources = *args, *(o if isinstance(o := options.get("out"), tuple) else (o,))
        hosts = {key: unwrap(value) for key, value in options.items()}
        return wrap(self._host(*map(unwrap, args), **hosts), sources)

    def _check_loop(self, args: tuple[Any, ...], dtype: Any) -> None:
        """Raise a TypeError if CuPy has no loop for these types of arguments."""
        for ins in self._inputs:
            if all(_fits(arg, char, dtype) for arg, char in zip(args, ins, strict=True)):
                return
        kinds = [getattr(arg, "dtype", type(arg).__name__) for arg in args]
        raise TypeError(
            f"cupy.{self.name}: wrong type of arguments {kinds}, known are {self.types}"
        )

    @cached_property
    def _inputs(self) -> list[str]:
        return [loop.split("->")[0] for loop in self.types]

    @silent
    def _reduction(
        self, method: str, array: ndarray, axis: Any, dtype: Any, out: Any, **options: Any
    ) -> Any:
        if method not in self._methods:
            raise NotImplementedError(f"`cupy_{self.name}.{method}` is not supported yet")
        called(f"{self.name}.{method}")
        result = getattr(self._host, method)(
            _of_device(array), axis=axis, dtype=dtype, out=unwrap(out), **options
        )
        return wrap(result, (out,))

    def reduce(
        self, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: bool = False
    ) -> Any:
        """Return the reduction over axes; only for add and multiply."""
        return self._reduction("reduce", array, axis, dtype, out, keepdims=keepdims)

    def accumulate(self, array: Any, axis: int = 0, dtype: Any = None, out: Any = None) -> Any:
        """Return running results along an axis; only for add and multiply."""
        return self._reduction("accumulate", array, axis, dtype, out)

    @silent
    def at(self, a: Any, indices: Any, b: Any = None) -> None:
        """Apply the function in place at indices, which may repeat."""
        if "at" not in self._methods:
            raise NotImplementedError(f"`cupy_{self.name}.at` is not supported yet")
        if self.name == "add" and _of_device(a).dtype.char not in _ATOMIC:
            raise TypeError(
                "cupy.add.at: expected int32, int64, uint32, uint64 or a floating dtype, "
                f"got {a.dtype}"
            )
        called(f"{self.name}.at")
        parts = indices if isinstance(indices, tuple) else (indices,)
        # NumPy checks the range; a list or an array on the host would be copied, as in x[i].
        self._host.at(
            a._host, tuple(p._host if isinstance(p, ndarray) else p for p in parts), unwrap(b)
        )


def _of_device(array: Any) -> np.ndarray:
    if not isinstance(array, ndarray):
        raise TypeError(f"expected an array on the device, got {type(array).__name__}")
    return array._host


def _fits(arg: Any, char: str, dtype: Any) -> bool:
    """Return whether a loop of a given type accepts an argument.

    The type of a Python number adapts to the other operands.
    """
    if dtype is not None:
        return np.can_cast(dtype, char)
    if type(arg) in _KIND:
        return char in _KIND[type(arg)]
    return np.can_cast(arg.dtype, char)


def _operators(function: Callable[..., Any]) -> tuple[Callable[..., Any], ...]:
    """Return the operator, its reflection, and its in-place form."""

    def left(self: ndarray, other: Any) -> Any:
        return NotImplemented if _defers(other) else function(self, other)

    def right(self: ndarray, other: Any) -> Any:
        return NotImplemented if _defers(other) else function(other, self)

    def in_place(self: ndarray, other: Any) -> Any:
        return function(self, other, out=self)

    return left, right, in_place


def _defers(other: Any) -> bool:
    """Return whether CuPy leaves an operator to the other operand."""
    operand = isinstance(other, ndarray | Scalar)
    return not operand and getattr(other, "__array_priority__", 0) > ndarray.__array_priority__


def _attach(functions: dict[str, Callable[..., Any]]) -> None:
    """Set the operators of arrays."""
    arithmetic = "add:add sub:subtract mul:multiply truediv:true_divide floordiv:floor_divide "
    arithmetic += (
        "mod:remainder pow:power and:bitwise_and or:bitwise_or xor:bitwise_xor matmul:matmul"
    )
    for pair in arithmetic.split():
        operator, name = pair.split(":")
        left, right, in_place = _operators(functions[name])
        setattr(ndarray, f"__{operator}__", left)
        setattr(ndarray, f"__r{operator}__", right)
        # CuPy has no __imatmul__
        if operator != "matmul":
            setattr(ndarray, f"__i{operator}__", in_place)
    for pair in "lt:less le:less_equal gt:greater ge:greater_equal eq:equal ne:not_equal".split():
        operator, name = pair.split(":")
        setattr(ndarray, f"__{operator}__", _operators(functions[name])[0])
    for pair in "neg:negative abs:absolute invert:invert".split():
        operator, name = pair.split(":")
        setattr(ndarray, f"__{operator}__", lambda self, function=functions[name]: function(self))


def _array_ufunc(
    self: ndarray, function: np.ufunc, method: str, *inputs: Any, **options: Any
) -> Any:
    """Support NumPy scalars left of an operator; refuse `numpy.exp(x)`, which CuPy would take."""
    if (
        method == "__call__"
        and len(inputs) == 2
        and all(isinstance(x, ndarray | Scalar) for x in inputs)
    ):
        return FUNCTIONS[function.__name__](*inputs, **options)
    raise TypeError(
        f"numpy.{function.__name__} of an array on the device; use xp.{function.__name__}"
    )


@silent
def matmul(a: Any, b: Any, *, out: Any = None) -> Any:
    """Return the matrix product; CuPy takes arrays only."""
    called("matmul")
    return wrap(np.matmul(_of_device(a), _of_device(b), out=unwrap(out)), (out,))


FUNCTIONS: dict[str, Any] = {
    name: ufunc(name)
    for name, known in table()["cupy"].items()
    if known["kind"] == "ufunc" and isinstance(getattr(np, name, None), np.ufunc)
} | {"matmul": matmul}
ndarray.__array_ufunc__ = _array_ufunc  # type: ignore[attr-defined]
_attach(FUNCTIONS)
