"""The table of Tensor's operators and methods, all defined here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array
from tinygrad_ckn.errors import BackendError, ConfigError
from tinygrad_ckn.graph import apply
from tinygrad_ckn.ops import (
    arithmetic,
    conversion,
    cumulative,
    elementwise,
    index,
    logic,
    numpy_calls,
    positions,
    products,
    reduce,
    rounding,
    shape,
    sorting,
)
from tinygrad_ckn.ops.clip import clip
from tinygrad_ckn.ops.matmul import matmul
from tinygrad_ckn.ops.norm import norm
from tinygrad_ckn.primitive import Primitive
from tinygrad_ckn.tensor import Tensor, methods

if TYPE_CHECKING:
    import numpy as np


# of the Array API standard: the last one, and those that it contains
VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12")


def _method(function: Primitive[...] | Callable[..., Any]) -> Callable[..., Any]:
    """Return a callable as a function, because Python binds `self` to functions only."""

    def method(self: Tensor, *args: Any, **options: Any) -> Tensor:
        return function(self, *args, **options)

    method.__doc__ = function.__doc__
    return method


def _binary(function: Primitive[...]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return a binary operator and its reflection, such as __sub__ and __rsub__."""

    def forward(self: Tensor, other: Array | float) -> Tensor:
        return apply(function, (self, other))

    def reflected(self: Tensor, other: Array | float) -> Tensor:
        return apply(function, (other, self))

    return forward, reflected


def _reduction(function: Primitive[...]) -> Callable[..., Any]:
    """Make a method that NumPy's reductions can call, with dtype=None and out=None."""

    def method(self: Tensor, *args: Any, **options: Any) -> Tensor:
        for name in ("dtype", "out"):
            if name in options and options[name] is None:
                del options[name]
        return function(self, *args, **options)

    method.__doc__ = function.__doc__
    return method


def _variadic(function: Primitive[...], option: str) -> Callable[..., Any]:
    """Make a method that takes a tuple or its elements, as reshape and transpose do."""

    def method(self: Tensor, *sizes: int | Sequence[int]) -> Tensor:
        return apply(
            function,
            (self,),
            {option: sizes if len(sizes) != 1 or isinstance(sizes[0], int) else sizes[0]},
        )

    method.__doc__ = function.__doc__
    return method


_transpose: Primitive[...] = shape.transpose


def _transposed(self: Tensor, *axes: int | Sequence[int]) -> Tensor:
    if not axes:
        return apply(_transpose, (self,))
    result: Tensor = _variadic(_transpose, "axes")(self, *axes)
    return result


def _to_device(self: Tensor, device: str, /, *, stream: object = None) -> Tensor:
    """Return the tensor on a device, as the Array API standard spells `to`.

    Raises
    ------
    BackendError
        If a stream is given: copies are in order without one.
    """
    if stream is not None:
        raise BackendError("Tensor.to_device: argument stream expected None, got a stream")
    return self.to(device)


_table: dict[str, Any] = {
    "__neg__": _method(arithmetic.negative),
    "__pos__": _method(rounding.positive),
    "__invert__": _method(logic.invert),
    "__floor__": _method(rounding.floor),
    "__ceil__": _method(rounding.ceil),
    "__divmod__": lambda self, other: (self // other, self % other),
    "__rdivmod__": lambda self, other: (other // self, other % self),
    "__round__": lambda self, decimals=0: rounding.round(self, decimals or 0),
    "mT": property(
        lambda self: shape.swapaxes(self, -1, -2),
        doc="The matrices transposed, with the last two axes exchanged.",
    ),
    "__abs__": _method(elementwise.abs),
    "__getitem__": _method(index.getitem),
    "reshape": _variadic(shape.reshape, "shape"),
    "transpose": _transposed,
    "T": property(_transposed, doc="The tensor with its axes reversed."),
}
_operators: dict[str, Primitive[...]] = {
    "add": arithmetic.add,
    "sub": arithmetic.subtract,
    "mul": arithmetic.multiply,
    "truediv": arithmetic.divide,
    "pow": arithmetic.power,
    "matmul": matmul,
    "floordiv": rounding.floor_divide,
    "mod": rounding.remainder,
    "and": logic.bitwise_and,
    "or": logic.bitwise_or,
    "xor": logic.bitwise_xor,
    "lshift": logic.bitwise_left_shift,
    "rshift": logic.bitwise_right_shift,
}
for _name, _function in _operators.items():
    _table[f"__{_name}__"], _table[f"__r{_name}__"] = _binary(_function)
for _name, _function in {
    "eq": arithmetic.equal,
    "ne": arithmetic.not_equal,
    "lt": arithmetic.less,
    "le": arithmetic.less_equal,
    "gt": arithmetic.greater,
    "ge": arithmetic.greater_equal,
}.items():
    _table[f"__{_name}__"] = _binary(_function)[0]
for _name in ("sum", "mean", "var", "std", "max", "min", "argmax", "argmin"):
    _table[_name] = _reduction(getattr(reduce, _name))
_table["to_device"] = _to_device
_table["prod"] = _reduction(products.prod)
for _name in ("any", "all"):
    _table[_name] = _reduction(getattr(logic, _name))
for _name in (
    "exp",
    "log",
    "sqrt",
    "square",
    "abs",
    "sign",
    "sin",
    "cos",
    "tanh",
    "sigmoid",
    "relu",
):
    _table[_name] = _method(getattr(elementwise, _name))
for _name, _callable in {
    **{name: getattr(shape, name) for name in ("swapaxes", "squeeze")},
    "astype": conversion.astype,
    "clip": clip,
    "cumsum": cumulative.cumsum,
    "cumprod": cumulative.cumprod,
    "argsort": sorting.argsort,
    "nonzero": sorting.nonzero,
    "searchsorted": sorting.searchsorted,
    "repeat": positions.repeat,
    "take": positions.take,
    "cpu": lambda self: self.to("cpu"),
    "cuda": lambda self: self.to("cuda"),
    "numel": lambda self: self.size,
    "copy": rounding.positive,
    "round": rounding.round,
    "dot": numpy_calls.dot,
    "norm": norm,
    "flatten": numpy_calls.ravel,
    "ravel": numpy_calls.ravel,
}.items():
    _table[_name] = _method(_callable)
methods(_table)


class _Missing:
    """An attribute that a Tensor lacks and arrays of other libraries have.

    Reading it raises an error that names the replacement. `Tensor.__getattr__` would
    cover every name, but slow down each access to an attribute.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, tensor: object, kind: type | None = None) -> NoReturn:
        raise AttributeError(
            f"Tensor has no attribute {self.name!r}; {numpy_calls.hint(self.name, [])}"
        )


def attach_numpy_functions(
    functions: Mapping[Any, Callable[..., Any]], known: Sequence[str]
) -> None:
    """Let NumPy's functions run the ops on Tensors; `ops` calls it once."""

    def __array_function__(
        self: Tensor,
        function: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any],
        options: Mapping[str, Any],
    ) -> object:
        return numpy_calls.call(functions, known, function, args, options)

    def __array_ufunc__(
        self: Tensor, ufunc: np.ufunc, method: str, *inputs: object, **options: object
    ) -> Tensor:
        return numpy_calls.call_ufunc(known, ufunc, method, inputs, options)

    missing: dict[str, Any] = {name: _Missing(name) for name in numpy_calls.ATTRIBUTES}
    methods(missing)
    methods({"__array_ufunc__": __array_ufunc__, "__array_function__": __array_function__})


def attach_namespace(namespace: ModuleType) -> None:
    """Let Tensors name the module of their operations; `ops` calls it once."""

    def __array_namespace__(self: Tensor, *, api_version: str | None = None) -> ModuleType:
        """Return `tinygrad_ckn.ops`, the namespace of the Array API standard."""
        if api_version not in (None, *VERSIONS):
            raise ConfigError(
                f"__array_namespace__: argument api_version expected {checks.listed(VERSIONS)}, "
                f"got {api_version!r}"
            )
        return namespace

    methods({"__array_namespace__": __array_namespace__})
