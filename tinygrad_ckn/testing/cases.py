"""A case is one line per operation, from which all of its checks follow.

    case(ops.unfold, arrays(2, 3, 6, 5), kernel_size=st.integers(1, 3), linear=True)

Needs the extra `[test]` (Hypothesis).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from hypothesis import strategies as st

from tinygrad_ckn.tensor import Tensor

CASES: dict[str, list[Case]] = {}


class Bad(NamedTuple):
    """A call that must fail: its arguments, the error's class and a regex for its message."""

    args: tuple[Any, ...]
    options: dict[str, Any]
    error: type[Exception]
    match: str


def bad(*args: object, error: type[Exception], match: str, **options: object) -> Bad:
    """Describe a call that must fail, and the message expected of it."""
    return Bad(args, options, error, match)


class Draw(NamedTuple):
    """Arguments and options drawn for a case."""

    args: list[Any]
    options: dict[str, Any]


@dataclass(frozen=True)
class Case:
    """An operation with strategies for its arguments."""

    name: str
    function: Callable[..., Any]
    inputs: Sequence[Any]
    options: dict[str, Any]
    linear: bool
    errors: Sequence[Bad]

    def draw(self, data: st.DataObject) -> Draw:
        """Draw arguments; `data` comes from `hypothesis.strategies.data()`."""
        args = [data.draw(s) if isinstance(s, st.SearchStrategy) else s for s in self.inputs]
        options = {
            k: data.draw(s) if isinstance(s, st.SearchStrategy) else s
            for k, s in self.options.items()
        }
        if len(args) == 1 and isinstance(args[0], tuple):
            # one strategy for all arguments and options
            *args, together = args[0]
            options |= together
        return Draw(args, options)

    def call(self, options: dict[str, Any]) -> Callable[..., Any]:
        """Return the operation with its options bound."""

        def call(*args: object) -> object:
            return self.function(*args, **options)

        call.__name__ = self.name
        return call


def case(
    function: Callable[..., Any],
    *inputs: object,
    name: str | None = None,
    linear: bool = False,
    errors: Sequence[Bad] = (),
    **options: object,
) -> Case:
    """Add a case to the table; an operation may have several.

    Parameters
    ----------
    function
        A primitive or a function of Tensors.
    inputs
        Strategies or fixed values of the positional arguments; or one strategy that draws
        a tuple (*arguments, options).
    name
        Name of the operation; default: that of the function.
    linear
        Whether the operation is linear in each floating input, so that the adjoint
        identity holds up to rounding; default False.
    errors
        Calls that must fail, made with `bad`.
    options
        Strategies or fixed values of the keyword arguments.

    Examples
    --------
    >>> from tinygrad_ckn.testing.strategies import arrays
    >>> doubled = case(lambda x: x + x, arrays(3), name="doubled", linear=True)
    >>> del CASES["doubled"]
    """
    label = name or getattr(function, "name", None) or function.__name__
    made = Case(label, function, inputs, options, linear, errors)
    CASES.setdefault(label, []).append(made)
    return made


def on_device(args: Sequence[Any], device: str) -> list[Any]:
    """Return arguments with arrays replaced by Tensors on a device."""
    return [Tensor(a, device=device) if hasattr(a, "dtype") else a for a in args]
