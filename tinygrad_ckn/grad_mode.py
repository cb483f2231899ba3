"""Switches of a context: recording the graph, searching for NaN, evaluating modules.

Each is a context variable, so that threads and asyncio tasks do not see each other's: a
`no_grad` block held across an `await` is that task's alone.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, cast, overload

from tinygrad_ckn.backend import xp_of
from tinygrad_ckn.errors import DTypeError, GradientError

P = ParamSpec("P")
T = TypeVar("T")

_PACKAGE = str(Path(__file__).parent)

is_recording: ContextVar[bool] = ContextVar("is_recording", default=True)
is_searching_nan: ContextVar[bool] = ContextVar("is_searching_nan", default=False)
is_evaluating: ContextVar[bool] = ContextVar("is_evaluating", default=False)

# Values to restore when the blocks entered in this context end.
_entered: ContextVar[tuple[tuple[Switch, bool], ...]] = ContextVar("_entered", default=())


class Modes:
    """The switches as read-only attributes; hot paths read the context variables."""

    @property
    def recording(self) -> bool:
        """Whether operations on Tensors are recorded."""
        return is_recording.get()

    @property
    def anomaly(self) -> bool:
        """Whether every result is checked for NaN and infinity."""
        return is_searching_nan.get()


modes = Modes()


class Switch:
    """Set a context variable for a block, or for a decorated function.

    It decorates functions, generator functions and coroutine functions. A decorated
    generator has its own setting while it runs, and its caller's between two values.
    """

    def __init__(self, variable: ContextVar[bool], value: bool) -> None:
        self._variable = variable
        self._value = value

    def __enter__(self) -> None:
        _entered.set((*_entered.get(), (self, self._variable.get())))
        self._variable.set(self._value)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        entered = list(_entered.get())
        own = max((i for i, (switch, _) in enumerate(entered) if switch is self), default=None)
        # entered in another context
        if own is None:
            return
        before = entered.pop(own)[1]
        inner = (
            i
            for i, (switch, _) in enumerate(entered)
            if i >= own and switch._variable is self._variable
        )
        later = next(inner, None)
        if later is None:
            self._variable.set(before)
        else:
            # a block entered later goes on: it ends with what this one found
            entered[later] = entered[later][0], before
        _entered.set(tuple(entered))

    def __call__(self, function: Callable[P, T]) -> Callable[P, T]:
        """Decorate a function, a generator function or a coroutine function."""
        if isinstance(function, type) or not callable(function):
            got = (
                f"the class {function.__name__}"
                if isinstance(function, type)
                else type(function).__name__
            )
            raise DTypeError(
                f"no_grad: expected a function to decorate, got {got}; decorate its methods"
            )
        variable, value = self._variable, self._value
        if inspect.isgeneratorfunction(function):
            wrapped: Any = _generator(function, variable, value)
        elif inspect.isasyncgenfunction(function):
            wrapped = _async_generator(function, variable, value)
        elif inspect.iscoroutinefunction(function):
            wrapped = _coroutine(function, variable, value)
        else:
            wrapped = _function(function, variable, value)
        return cast("Callable[P, T]", functools.wraps(function)(wrapped))


def _function(function: Callable[P, T], variable: ContextVar[bool], value: bool) -> Callable[P, T]:
    def wrapped(*args: P.args, **options: P.kwargs) -> T:
        with Switch(variable, value):
            return function(*args, **options)

    return wrapped


def _generator(
    function: Callable[P, Generator[Any, Any, T]], variable: ContextVar[bool], value: bool
) -> Callable[P, Generator[Any, Any, T]]:
    def wrapped(*args: P.args, **options: P.kwargs) -> Generator[Any, Any, T]:
        generator = function(*args, **options)
        step: Callable[[], Any] = functools.partial(next, generator)
        try:
            while True:
                with Switch(variable, value):
                    try:
                        item = step()
                    except StopIteration as end:
                        result: T = end.value
                        return result
                try:
                    sent = yield item
                except GeneratorExit:
                    raise
                except BaseException as error:
                    step = functools.partial(generator.throw, error)
                else:
                    step = functools.partial(generator.send, sent)
        finally:
            with Switch(variable, value):
                generator.close()

    return wrapped


def _async_generator(
    function: Callable[P, AsyncGenerator[T, Any]], variable: ContextVar[bool], value: bool
) -> Callable[P, AsyncGenerator[T, Any]]:
    async def wrapped(*args: P.args, **options: P.kwargs) -> AsyncGenerator[T, Any]:
        generator = function(*args, **options)
        try:
            while True:
                with Switch(variable, value):
                    try:
                        item = await generator.__anext__()
                    except StopAsyncIteration:
                        return
                yield item
        finally:
            with Switch(variable, value):
                await generator.aclose()

    return wrapped


def _coroutine(
    function: Callable[P, Awaitable[T]], variable: ContextVar[bool], value: bool
) -> Callable[P, Awaitable[T]]:
    async def wrapped(*args: P.args, **options: P.kwargs) -> T:
        with Switch(variable, value):
            return await function(*args, **options)

    return wrapped


def recording(switch: bool) -> Switch:
    """Set whether operations on Tensors are recorded, for a block."""
    return Switch(is_recording, switch)


def evaluation() -> Switch:
    """Run all modules in eval mode for a block, in this thread or task, without changing them."""
    return Switch(is_evaluating, True)


@overload
def no_grad() -> Switch: ...
@overload
def no_grad(function: Callable[P, T], /) -> Callable[P, T]: ...
def no_grad(function: Callable[P, T] | None = None, /) -> Switch | Callable[P, T]:
    """Record nothing within the block or the decorated function: faster, and saves memory.

    `with no_grad():`, `@no_grad()` and `@no_grad` all work. Only this thread or asyncio
    task is affected.

    Examples
    --------
    >>> from tinygrad_ckn import Tensor, no_grad
    >>> w = Tensor([1.0, 2.0], requires_grad=True)
    >>> with no_grad():
    ...     y = w * 2
    >>> y.requires_grad
    False
    """
    switch = Switch(is_recording, False)
    return switch if function is None else switch(function)


@overload
def enable_grad() -> Switch: ...
@overload
def enable_grad(function: Callable[P, T], /) -> Callable[P, T]: ...
def enable_grad(function: Callable[P, T] | None = None, /) -> Switch | Callable[P, T]:
    """Record again, within a `no_grad` block.

    Examples
    --------
    >>> from tinygrad_ckn import Tensor, enable_grad, no_grad
    >>> w = Tensor([1.0, 2.0], requires_grad=True)
    >>> with no_grad(), enable_grad():
    ...     y = w * 2
    >>> y.requires_grad
    True
    """
    switch = Switch(is_recording, True)
    return switch if function is None else switch(function)


@overload
def detect_anomaly() -> Switch: ...
@overload
def detect_anomaly(function: Callable[P, T], /) -> Callable[P, T]: ...
def detect_anomaly(function: Callable[P, T] | None = None, /) -> Switch | Callable[P, T]:
    """Raise a GradientError at the first NaN or infinity.

    It names the operation and the line of your code that called it.

    Slow: every result is checked. The forward must run inside the block for the lines
    to be known in backward.

    Examples
    --------
    >>> from tinygrad_ckn import Tensor, detect_anomaly, ops
    >>> with detect_anomaly():
    ...     ops.inv(Tensor([[1.0, 0.0], [0.0, 4.0]])).item(1, 1)
    0.25
    """
    switch = Switch(is_searching_nan, True)
    return switch if function is None else switch(function)


def users_line() -> str:
    """Return 'file:line' of the innermost caller outside this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def check_finite(array: Any, source: str) -> None:
    """Raise a GradientError that names the source of a NaN or infinity in an array."""
    if array.dtype.kind == "f" and not xp_of(array).isfinite(array).all():
        raise GradientError(f"detect_anomaly: {source} made the first NaN or infinity")
