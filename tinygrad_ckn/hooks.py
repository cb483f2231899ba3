"""Functions called around forwards and rules, and with the gradients of single tensors."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any, Literal, TypeAlias
from weakref import ref

Direction: TypeAlias = Literal["forward", "backward"]
# Called as hook(operation, direction, call); returns call().
Hook: TypeAlias = Callable[[str, Direction, Callable[[], Any]], Any]

# The engine asks whether this list is empty, and nothing else of it, in each operation.
HOOKS: list[Hook] = []
_numbers = count()


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


# Functions of the gradient of a vertex of a graph, by its id; mostly empty.
GRADIENT_HOOKS: dict[int, GradientHooks] = {}


class GradientHooks:
    """The functions called with the gradient of one vertex, in the order they were added.

    They are forgotten with the vertex, to which they do not hold.
    """

    def __init__(self, vertex: Any) -> None:
        key = self.key = id(vertex)
        self.functions: dict[int, Callable[[Any], Any]] = {}
        self._vertex = ref(vertex, lambda _: GRADIENT_HOOKS.pop(key, None))


class HookHandle:
    """The handle of a hook: `remove()` takes the function away from its Tensor again."""

    def __init__(self, hooks: GradientHooks, number: int) -> None:
        self._hooks = ref(hooks)
        self._number = number

    def remove(self) -> None:
        """Take the function away; nothing happens if it is gone already."""
        hooks = self._hooks()
        if hooks is not None and hooks.functions.pop(self._number, None) is not None:
            if not hooks.functions:
                del GRADIENT_HOOKS[hooks.key]


def add_gradient_hook(vertex: Any, function: Callable[[Any], Any]) -> HookHandle:
    """Call a function with the gradient of a vertex in each backward; see `register_hook`."""
    hooks = GRADIENT_HOOKS.get(id(vertex))
    if hooks is None:
        hooks = GRADIENT_HOOKS[id(vertex)] = GradientHooks(vertex)
    number = next(_numbers)
    hooks.functions[number] = function
    return HookHandle(hooks, number)
