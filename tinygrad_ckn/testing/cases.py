"""A case: one line that says on which inputs an operation is to be checked, from which all its checks follow.

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
    """A call that must fail: arguments, options, the error's class, and a regular expression of its message."""

    args: tuple[Any, ...]
    options: dict[str, Any]
    error: type[Exception]
    match: str


def bad(*args: Any, error: type[Exception], match: str, **options: Any) -> Bad:
    """Describe a call that must fail with a message that says how to mend it."""
    return Bad(args, options, error, match)


class Draw(NamedTuple):
    """Arguments drawn for a case: raw arrays as they came, and the function of the floating ones."""

    args: list[Any]
    options: dict[str, Any]


@dataclass(frozen=True)
class Case:
    """An operation, and strategies of its arguments."""

    name: str
    function: Callable[..., Any]
    inputs: Sequence[Any]
    options: dict[str, Any]
    linear: bool
    errors: Sequence[Bad]

    def draw(self, data: Any) -> Draw:
        """Draw arguments; `data` is what `hypothesis.strategies.data()` gives a test."""
        args = [data.draw(s) if isinstance(s, st.SearchStrategy) else s for s in self.inputs]
        options = {
            k: data.draw(s) if isinstance(s, st.SearchStrategy) else s
            for k, s in self.options.items()
        }
        if len(args) == 1 and isinstance(args[0], tuple):
            # a strategy that draws everything together
            *args, together = args[0]
            options |= together
        return Draw(args, options)

    def call(self, options: dict[str, Any]) -> Callable[..., Any]:
        """Return the operation with its options bound."""

        def call(*args: Any) -> Any:
            return self.function(*args, **options)

        call.__name__ = self.name
        return call


def case(
    function: Callable[..., Any],
    *inputs: Any,
    name: str | None = None,
    linear: bool = False,
    errors: Sequence[Bad] = (),
    **options: Any,
) -> Case:
    """Enter an operation in the table of cases; several cases may share a name.

    Parameters
    ----------
    function
        A primitive or a function of Tensors.
    inputs
        Strategies (or fixed values) of the positional arguments; or one strategy of a
        tuple (*arguments, options).
    name
        Default: that of the function.
    linear
        Whether it is linear in each floating input by itself, so that the adjoint
        identity holds to rounding.
    errors
        Calls that must fail, made with `bad`.
    options
        Strategies (or fixed values) of the keyword arguments.

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
    """Return the arrays among arguments as Tensors on a device."""
    return [Tensor(a, device=device) if hasattr(a, "dtype") else a for a in args]
