"""What a node saves for the rules of its operands, and how these are called with it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

# Selects the arguments of a rule from (g, *residuals, needs_grad).
Selector: TypeAlias = Callable[[tuple[Any, ...]], tuple[Any, ...]]


class Rule(NamedTuple):
    """A vector-Jacobian product, and the names of what it needs."""

    function: Callable[..., Any]
    needs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to save if certain operands need a gradient, and how to call their rules.

    The residuals are one list: operands, shapes of operands, options, a mapping of all
    options, the output, `saved`.
    """

    # numbers of the operands, and of those whose shape is saved
    operands: Sequence[int]
    shapes: Sequence[int]
    options: tuple[str, ...]
    all_options: bool
    output: bool
    saved: bool
    # one per operand, or the joint rule
    rules: tuple[tuple[Callable[..., Any], Selector] | None, ...]
    joint: bool
    # whether anything is saved
    saves: bool

    @property
    def reads(self) -> Sequence[int] | None:
        """Numbers of the operands that the rules read, directly or in `saved`; None: all."""
        return None if self.saved else self.operands


def make_plan(
    rules: Sequence[Rule | None],
    operands: Sequence[str],
    options: Sequence[str],
    *,
    joint: bool,
    count: int | None,
) -> Plan:
    """Return the plan of some rules.

    Parameters
    ----------
    rules
        One per operand, None if it needs no gradient; or the joint rule.
    operands, options
        All names, in order.
    joint
        Whether the one rule returns the gradients of all operands.
    count
        Number of operands of a variadic primitive, which its rule gets as one tuple.
    """
    needs = {name for rule in rules if rule for name in rule.needs}
    numbers = [i for i, name in enumerate(operands) if name in needs]
    shapes = [i for i, name in enumerate(operands) if f"{name}_shape" in needs]
    named = tuple(name for name in options if name in needs)
    last = [name for name in ("options", "y", "saved") if name in needs]
    layout = _Layout()
    layout.add("g")
    for i in numbers:
        layout.add(operands[i], count)
    for i in shapes:
        layout.add(f"{operands[i]}_shape", count)
    for name in (*named, *last, "needs_grad"):
        layout.add(name)
    return Plan(
        operands=numbers if count is None else range(count * len(numbers)),
        shapes=shapes if count is None else range(count * len(shapes)),
        options=named,
        all_options="options" in needs,
        output="y" in needs,
        saved="saved" in needs,
        rules=tuple(rule and (rule.function, layout.selector(rule.needs)) for rule in rules),
        joint=joint,
        saves=bool(numbers or shapes or named or last),
    )


class _Layout:
    """Where the values that rules need stand in (g, *residuals, needs_grad)."""

    def __init__(self) -> None:
        self._places: dict[str, int | slice] = {}
        self._size = 0

    def add(self, name: str, count: int | None = None) -> None:
        """Append a value, or `count` of them that are one argument: a tuple."""
        start = self._size
        self._size += 1 if count is None else count
        self._places[name] = start if count is None else slice(start, self._size)

    def selector(self, names: Sequence[str]) -> Selector:
        """Return a function that selects the values of these names, as a tuple."""
        places = [self._places[name] for name in names]
        if len(places) > 1:
            return operator.itemgetter(*places)
        if len(places) == 1 and isinstance(places[0], int):
            # a tuple of one
            return operator.itemgetter(slice(places[0], places[0] + 1))
        return lambda values: tuple([values[place] for place in places])
