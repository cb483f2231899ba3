"""Checks of arguments: each returns the value or raises one sentence.

A sentence names the operation, the argument, what was expected and what was given.
Several arguments of one kind are checked by one call, in the order they are given.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from numbers import Real
from typing import Any, NoReturn

from tinygrad_ckn.backend import Array, xp_of
from tinygrad_ckn.errors import CKNError, ConfigError, DataError, DTypeError
from tinygrad_ckn.integers import is_whole


def integers(
    owner: str, minimum: int = 1, *, or_none: bool = False, hint: str = "", **arguments: object
) -> None:
    """Raise a ConfigError unless all arguments are integers of at least `minimum`.

    Parameters
    ----------
    owner
        The operation or class, which begins the sentence.
    minimum
        Smallest value allowed.
    or_none
        Allow None as well.
    hint
        How to fix it; appended after a semicolon.
    **arguments
        Values by name of argument.

    Raises
    ------
    ConfigError
        If one is not an integer, or less than `minimum`.

    Examples
    --------
    >>> integers("CKNLayer", n_filters=64, groups=0)
    Traceback (most recent call last):
    tinygrad_ckn.errors.ConfigError: CKNLayer: argument groups expected an integer >=
        1, got 0
    """
    for name, value in arguments.items():
        if not is_whole(value, minimum) and not (or_none and value is None):
            none = " or None" * or_none
            _refuse(owner, name, f"an integer >= {minimum}{none}", value, hint)


def positive(owner: str, *, hint: str = "", **arguments: object) -> None:
    """Raise a ConfigError unless all arguments are finite numbers > 0.

    Examples
    --------
    >>> positive("Exponential", sigma=-1.0)
    Traceback (most recent call last):
    tinygrad_ckn.errors.ConfigError: Exponential: argument sigma expected a finite
        number > 0, got -1.0
    """
    for name, value in arguments.items():
        number(owner, name, value, "a finite number > 0", lambda x: 0 < x < float("inf"), hint)


def nonnegative(owner: str, *, hint: str = "", **arguments: object) -> None:
    """Raise a ConfigError unless all arguments are finite numbers >= 0.

    Examples
    --------
    >>> nonnegative("SGD", weight_decay=-1.0)
    Traceback (most recent call last):
    tinygrad_ckn.errors.ConfigError: SGD: argument weight_decay expected a finite
        number >= 0, got -1.0
    """
    for name, value in arguments.items():
        number(owner, name, value, "a finite number >= 0", lambda x: 0 <= x < float("inf"), hint)


def number(
    owner: str,
    argument: str,
    value: object,
    expected: str,
    accepts: Callable[[Any], bool],
    hint: str = "",
) -> float:
    """Return an argument as a float.

    Parameters
    ----------
    owner, argument
        The operation and the name of its argument.
    value
        The argument.
    expected
        In words, what `accepts` accepts.
    accepts
        Called with real numbers only.
    hint
        How to fix it; appended after a semicolon.

    Raises
    ------
    ConfigError
        If it is not a real number, or not accepted.

    Examples
    --------
    >>> number("SGD", "momentum", 1.5, "a number in [0, 1)", lambda m: 0 <= m < 1)
    Traceback (most recent call last):
    tinygrad_ckn.errors.ConfigError: SGD: argument momentum expected a number in [0,
        1), got 1.5
    """
    if not isinstance(value, Real) or not accepts(value):
        _refuse(owner, argument, expected, value, hint)
    return float(value)


def one_of(owner: str, choices: Collection[Any], *, hint: str = "", **arguments: object) -> None:
    """Raise a ConfigError unless all arguments are among the choices.

    Examples
    --------
    >>> one_of("ConvLayer", ("relu", "none"), activation="tanh")
    Traceback (most recent call last):
    tinygrad_ckn.errors.ConfigError: ConvLayer: argument activation expected 'relu' or
        'none', got 'tanh'
    """
    for name, value in arguments.items():
        # Not `value in choices`, which an array makes an array and a list cannot be hashed for.
        if not any(type(value) is type(choice) and value == choice for choice in choices):
            _refuse(owner, name, listed(choices), value, hint)


def divisible(owner: str, by: str, divisor: int, **arguments: int) -> None:
    """Raise a ConfigError unless the divisor, named `by`, divides all arguments.

    Examples
    --------
    >>> divisible("CKNLayer", "groups", 2, in_channels=3, n_filters=4)
    Traceback (most recent call last):
    tinygrad_ckn.errors.ConfigError: CKNLayer: argument groups expected a divisor of
        in_channels 3 and n_filters 4, got 2
    """
    if any(value % divisor for value in arguments.values()):
        of = " and ".join(f"{name} {value}" for name, value in arguments.items())
        raise ConfigError(f"{owner}: argument {by} expected a divisor of {of}, got {divisor}")


def array(owner: str, **arguments: object) -> None:
    """Raise a DTypeError unless all arguments are arrays or Tensors.

    Examples
    --------
    >>> array("Linear", x=[1.0])
    Traceback (most recent call last):
    tinygrad_ckn.errors.DTypeError: Linear: argument x expected an array or a Tensor,
        got list; pass numpy.asarray(x)
    """
    for name, value in arguments.items():
        if not hasattr(value, "shape") or not hasattr(value, "dtype"):
            raise DTypeError(
                f"{owner}: argument {name} expected an array or a Tensor, "
                f"got {type(value).__name__}; pass numpy.asarray({name})"
            )


def floating(owner: str, **arguments: object) -> None:
    """Raise a DTypeError unless all arguments are floating arrays or Tensors.

    Examples
    --------
    >>> floating("LayerNorm", x=np.array([1]))
    Traceback (most recent call last):
    tinygrad_ckn.errors.DTypeError: LayerNorm: argument x expected a floating dtype,
        got int64; use .astype('float32')
    """
    array(owner, **arguments)
    for name, value in arguments.items():
        given: Any = value
        if given.dtype.kind != "f":
            raise DTypeError(
                f"{owner}: argument {name} expected a floating dtype, got {given.dtype}; "
                "use .astype('float32')"
            )


def finite(
    owner: str, *, hint: str = "", error: type[CKNError] = DataError, **arguments: Array
) -> None:
    """Raise a DataError unless all arguments, arrays of one backend, are finite.

    Examples
    --------
    >>> finite("fit_ridge", features=np.array([1.0, np.nan]), hint="leave them out")
    Traceback (most recent call last):
    tinygrad_ckn.errors.DataError: fit_ridge: argument features expected finite
        numbers, got NaN or infinity; leave them out
    """
    for name, value in arguments.items():
        if not bool(xp_of(value).isfinite(value).all()):
            suffix = f"; {hint}" * bool(hint)
            raise error(
                f"{owner}: argument {name} expected finite numbers, got NaN or infinity{suffix}"
            )


def listed(choices: Collection[Any]) -> str:
    """Return choices as in "'a', 'b' or None".

    Examples
    --------
    >>> listed(("features", "scores", None))
    "'features', 'scores' or None"
    """
    *most, last = map(repr, choices)
    return f"{', '.join(most)} or {last}" if most else last


def _refuse(owner: str, argument: str, expected: str, value: object, hint: str) -> NoReturn:
    suffix = f"; {hint}" * bool(hint)
    raise ConfigError(f"{owner}: argument {argument} expected {expected}, got {value!r}{suffix}")
