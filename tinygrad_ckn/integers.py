"""Integers as arguments: whether a value is one, and axes counted from 0."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np

from tinygrad_ckn.array_types import Axis
from tinygrad_ckn.errors import AxisError


def is_whole(value: object, minimum: int) -> bool:
    """Return whether a value is an integer, Python's or NumPy's, of at least `minimum`."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= minimum


def axes_of(op: str, axis: Any, ndim: int, *, scalars: bool = False) -> tuple[int, ...]:
    """Return the axes of NumPy's argument `axis` (None: all), counted from 0.

    With `scalars` an array of no axis has, as for NumPy's reductions, an axis 0 (or -1)
    that is not there.

    Raises
    ------
    AxisError
        If one is not an integer, out of range, or named twice.
    """
    if type(axis) is np.ndarray:
        axis = axis.tolist()
    if scalars and ndim == 0 and axis in (0, -1):
        return ()
    given = range(ndim) if axis is None else axis if isinstance(axis, Sequence) else (axis,)
    try:
        axes = tuple(operator.index(a) for a in given)
    except TypeError:
        axes = (ndim,)
    if any(not -ndim <= a < ndim for a in axes) or len({a % ndim for a in axes}) < len(axes):
        raise AxisError(f"{op}: argument axis expected distinct axes of {ndim}, got {axis}")
    return tuple(a % ndim for a in axes)


def axis_of(op: str, axis: Any, ndim: int) -> int:
    """Return one axis, counted from 0.

    Raises
    ------
    AxisError
        If it is not one integer, or out of range.
    """
    if axis is None or isinstance(axis, Sequence):
        raise AxisError(f"{op}: argument axis expected one axis of {ndim}, got {axis}")
    return axes_of(op, axis, ndim)[0]


def axis_tuple(axis: Any) -> Axis:
    """Return `axis` with a list or an array of axes as a tuple."""
    if axis is None or type(axis) is int or type(axis) is tuple:
        return axis
    if isinstance(axis, np.ndarray):
        axis = axis.tolist()
    return tuple(axis) if isinstance(axis, Sequence) else axis
