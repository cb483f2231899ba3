"""Hyper-parameters as Python numbers: NumPy's scalars would spread their dtype.

`np.float64(0.5) * x` is float64 for an array x in float32 (NEP 50); operations take the
scalar as the Python number 0.5 and keep float32. So do options: one such as a kernel's
sigma has no dtype, and whatever it was written as, the model's bits are those of the
Python number of the same value.
"""

from __future__ import annotations

import functools
import inspect
from abc import ABCMeta
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ParamSpec, TypeVar, overload

from tinygrad_ckn.backend import CPU

P = ParamSpec("P")
T = TypeVar("T")

# types that `plain` returns unchanged
PLAIN = frozenset({int, float, bool, str, bytes, type(None)})


def plain(value: Any) -> Any:
    """Return NumPy's scalars and 0-d arrays as Python numbers, also in containers.

    Examples
    --------
    >>> plain((np.float64(0.5), np.array(3), "same"))
    (0.5, 3, 'same')
    """
    kind: Any = type(value)
    if kind in PLAIN:
        return value
    if kind is tuple or kind is list:
        items = [plain(item) for item in value]
        same = all(new is old for new, old in zip(items, value, strict=True))
        return value if same else kind(items)
    if kind is dict:
        return {name: plain(item) for name, item in value.items()}
    if kind is CPU.array_type:
        return value if value.ndim else _number(value[()])
    return _number(value)


def _number(value: Any) -> Any:
    """Return a scalar as Python's int, float, bool or str; anything else unchanged."""
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    return value.item() if isinstance(value, CPU.xp.generic) else value


def plain_array(value: object) -> Any:
    """Return `plain(value)`, and arrays as nested lists: for options that are sequences."""
    array: Any = value
    return array.tolist() if type(value) is CPU.array_type else plain(value)


@overload
def plain_arguments(function: type[T]) -> type[T]: ...
@overload
def plain_arguments(function: Callable[P, T]) -> Callable[P, T]: ...
def plain_arguments(function: Any) -> Any:
    """Decorate a function or class: its arguments are converted by `plain`.

    Examples
    --------
    >>> @plain_arguments
    ... def double(x):
    ...     return 2 * x
    >>> double(np.float32(0.5))
    1.0
    """
    if isinstance(function, type):
        function.__init__ = plain_arguments(function.__init__)  # type: ignore[misc]
        return function

    @functools.wraps(function)
    def call(*args: object, **options: object) -> object:
        return function(
            *map(plain, args), **{name: plain(value) for name, value in options.items()}
        )

    return call


class PlainArguments(ABCMeta):
    """Metaclass of classes that, like their subclasses, take plain arguments."""

    @property
    def __signature__(cls) -> inspect.Signature:
        """The signature of the constructor, which that of `__call__` would hide."""
        signature = inspect.signature(cls.__init__)  # type: ignore[misc]
        return signature.replace(parameters=list(signature.parameters.values())[1:])

    def __call__(cls, *args: object, **options: object) -> Any:
        """Make an instance."""
        return super().__call__(
            *map(plain, args), **{name: plain(value) for name, value in options.items()}
        )
