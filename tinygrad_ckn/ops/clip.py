"""Limits on values; the derivative is 1 between them and at them, 0 outside."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

from tinygrad_ckn.backend import Array, Namespace, is_array, xp_of
from tinygrad_ckn.errors import ConfigError, DTypeError, ShapeError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.ops.conversion import astype
from tinygrad_ckn.ops.elementwise import where
from tinygrad_ckn.ops.grids import common_shape
from tinygrad_ckn.primitive import primitive
from tinygrad_ckn.tensor import Tensor


@primitive(name="clip")
def _clip(xp: Namespace, x: Array | float, a_min: Any, a_max: Any) -> Array:
    """Return x limited by numbers or 0-d arrays."""
    numbers = [bound for bound in (a_min, a_max) if isinstance(bound, Real)]
    if len(numbers) == 2 and numbers[0] > numbers[1]:
        raise ShapeError(f"clip: expected a_min <= a_max, got {a_min} and {a_max}; swap them")
    return xp.clip(x, a_min, a_max)


_clip.vjp(x=lambda g, x, a_min, a_max: g * _inside(unwrap(x), a_min, a_max))


def _inside(x: Array, a_min: Any, a_max: Any) -> Array:
    low = -math.inf if a_min is None else a_min
    high = math.inf if a_max is None else a_max
    return (x >= low) & (x <= high)


def clip(
    x: Array | float,
    min: Array | float | None = None,
    max: Array | float | None = None,
    *,
    a_min: Array | float | None = None,
    a_max: Array | float | None = None,
) -> Tensor:
    """Return x limited to [min, max], in the dtype of x.

    The derivative is 1 on the closed interval and 0 outside, where a bound that is a
    Tensor receives the gradient.

    Parameters
    ----------
    x
        Any shape.
    min, max
        Numbers, arrays that broadcast with x, or None for no bound (the default). Whether
        they are in order is checked of numbers only, because reading arrays would block a
        GPU; elsewhere max wins.
    a_min, a_max
        The same, by NumPy's names.

    Raises
    ------
    DTypeError
        If a bound is something else.
    ShapeError
        If min > max, or an array does not broadcast with x.
    ConfigError
        If a bound is given under both names.

    Examples
    --------
    >>> clip(Tensor([0.5, -3.0]), 0, 1)
    Tensor((2,), float64, cpu) [0.5 0. ]
    """
    low = _one("min", a_min, min)
    high = _one("max", a_max, max)
    if not _is_array(low) and not _is_array(high):
        return _clip(x, low, high)
    common_shape("clip", [bound for bound in (x, low, high) if bound is not None])
    limited: Any = x
    if low is not None:
        limited = _limit(limited, low, unwrap(limited) < unwrap(low))
    if high is not None:
        limited = _limit(limited, high, unwrap(limited) > unwrap(high))
    return limited


def _one(name: str, numpys: Any, standards: Any) -> Any:
    """Return a bound that is given under one of two names."""
    if numpys is not None and standards is not None:
        raise ConfigError(f"clip: expected a_{name} or {name}, got both; leave one out")
    bound = standards if numpys is None else numpys
    if bound is not None and not isinstance(bound, Real) and not is_array(unwrap(bound)):
        raise DTypeError(
            f"clip: expected numbers or arrays as bounds, got {bound!r} as a_{name}; pass "
            "numpy.asarray of it"
        )
    return bound


def _is_array(bound: Any) -> bool:
    """Return whether a bound has axes or a gradient, so that it is an operand."""
    array = unwrap(bound)
    return array is not bound or bool(is_array(array) and array.ndim)


def _limit(x: Any, bound: Any, beyond: Array) -> Any:
    """Return the bound where x is beyond it or the bound is NaN, else x."""
    other: Any = unwrap(bound)
    invalid: Any = xp_of(other).isnan(other)
    limited: Any = where(beyond | invalid, bound, x)
    dtype = getattr(x, "dtype", limited.dtype)
    return limited if limited.dtype == dtype else astype(limited, dtype)
