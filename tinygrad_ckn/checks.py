"""Checks of what users hand to modules and optimisers: numbers, integers, and saved states."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any

from tinygrad_ckn.backend import asarray, backend_of
from tinygrad_ckn.errors import ConfigError, DataError, DTypeError
from tinygrad_ckn.graph import raw


def number(
    owner: str, argument: str, value: Any, expected: str, accepts: Callable[[Any], bool]
) -> float:
    """Return an option as a float.

    Raises
    ------
    ConfigError
        If it is no number, or `accepts` refuses it; `expected` says in words what is accepted.

    Examples
    --------
    >>> number("SGD", "momentum", 1.5, "a number in [0, 1)", lambda m: 0 <= m < 1)
    Traceback (most recent call last):
    tinygrad_ckn.errors.ConfigError: SGD: argument momentum expected a number in [0, 1), got 1.5
    """
    if not isinstance(value, Real) or not accepts(value):
        raise ConfigError(f"{owner}: argument {argument} expected {expected}, got {value!r}")
    return float(value)


def integer(owner: str, argument: str, value: Any, *, least: int = 1) -> int:
    """Return an option as an int.

    Raises
    ------
    ConfigError
        If it is no integer, or smaller than `least`.

    Examples
    --------
    >>> integer("Linear", "in_features", 3)
    3
    """
    if not isinstance(value, Integral) or value < least:
        raise ConfigError(
            f"{owner}: argument {argument} expected an integer >= {least}, got {value!r}"
        )
    return int(value)


def array(owner: str, x: Any) -> None:
    """Raise a DTypeError if the argument x of a layer is no array or Tensor.

    Examples
    --------
    >>> array("Linear", [1.0])
    Traceback (most recent call last):
    tinygrad_ckn.errors.DTypeError: Linear: argument x expected an array or a Tensor, got list; pass numpy.asarray(x)
    """
    if not hasattr(x, "shape") or not hasattr(x, "dtype"):
        raise DTypeError(
            f"{owner}: argument x expected an array or a Tensor, got {type(x).__name__}; pass numpy.asarray(x)"
        )


def state(
    owner: str, mine: Mapping[str, Any], given: Mapping[str, Any], *, strict: bool
) -> dict[str, Any]:
    """Return copies of the given arrays and numbers, each on the device of mine of that name; changes nothing.

    Raises
    ------
    DataError
        If one has another shape or dtype than mine, or, when strict, names are missing or unexpected.
    DTypeError
        If what is given is no mapping.

    Examples
    --------
    >>> state("Net", {"bias": np.zeros(2)}, {"bias": [1.0, 2.0]}, strict=True)
    {'bias': array([1., 2.])}
    """
    if not isinstance(given, Mapping):
        raise DTypeError(
            f"{owner}.load_state_dict: argument state expected a mapping from names to arrays, as {owner}.state_dict() "
            f"returns, got {type(given).__name__}; open a file first, as with np.load(path)"
        )
    missing = [name for name in mine if name not in given]
    unexpected = [name for name in given if name not in mine]
    arrays = {
        name: asarray(raw(given[name]), device=backend_of(old).device)
        for name, old in mine.items()
        if name in given
    }
    wrong = []
    for name, array in arrays.items():
        expected = asarray(mine[name]) if isinstance(mine[name], Real) else mine[name]
        if array.shape != expected.shape or array.dtype != expected.dtype:
            wrong.append(
                f"{name!r} ({array.dtype} {array.shape}, not {expected.dtype} {expected.shape})"
            )
    problems = [
        f"{what} {', '.join(names)}"
        for what, names in (
            ("missing", [repr(name) for name in missing] if strict else []),
            ("unexpected", [repr(name) for name in unexpected] if strict else []),
            ("wrong shape or dtype", wrong),
        )
        if names
    ]
    if problems:
        raise DataError(
            f"{owner}.load_state_dict: argument state expected what {owner}.state_dict() returns, "
            f"got {'; '.join(problems)}; build the object as it was when saved (nothing was loaded)"
        )
    return arrays
