"""Functions called around every forward and every rule: what a profile is made of."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, TypeAlias

Direction: TypeAlias = Literal["forward", "backward"]
# Called as hook(operation, direction, call); returns call().
Hook: TypeAlias = Callable[[str, Direction, Callable[[], Any]], Any]

# The engine asks whether this list is empty, and nothing else of it, in each operation.
HOOKS: list[Hook] = []


def call_hooked(
    name: str,
    direction: Direction,
    function: Callable[..., Any],
    /,
    *args: Any,
    **options: Any,
) -> Any:
    """Return function(*args, **options), called within all hooks; the last one is outermost."""
    call: Callable[[], Any] = partial(function, *args, **options)
    for hook in HOOKS:
        call = partial(hook, name, direction, call)
    return call()
