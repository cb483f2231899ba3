"""Signatures of forwards: the namespace first, then operands and options."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from tinygrad_ckn.backend import Array, Index
from tinygrad_ckn.errors import DTypeError

# in an annotation that cannot be evaluated
_WORDS = ("Array", "ndarray", "Tensor")


def operands_of(
    forward: Callable[..., Any], name: str, classes: tuple[type, ...]
) -> tuple[str, ...]:
    """Return the names of the operands: parameters annotated Array or with one of the classes.

    Raises
    ------
    DTypeError
        If the first parameter is an operand, where the array namespace belongs, or
        there is no operand.
    """
    parameters = list(inspect.signature(forward).parameters.values())
    hints = _hints(forward)
    operands = tuple(p.name for p in parameters if _is_operand(hints.get(p.name), classes))
    shown = ", ".join(f"{p.name}: Array" if p.name in operands else p.name for p in parameters)
    if not parameters or parameters[0].name in operands:
        raise DTypeError(
            f"primitive {name}: expected the array namespace as the forward's first "
            f"parameter, got ({shown}); write "
            f"def {name}(xp, {shown or 'x: Array'}) and compute with xp, which is numpy or cupy"
        )
    if not operands:
        first = parameters[1].name if len(parameters) > 1 else "x"
        raise DTypeError(
            f"primitive {name}: expected at least one parameter annotated Array, as all are "
            "that it can be "
            f"differentiated in, got ({shown}); write {first}: Array, of tinygrad_ckn.primitive"
        )
    return operands


def indices_of(forward: Callable[..., Any]) -> frozenset[str]:
    """Return the names of the options annotated `Index`: these may hold arrays and Tensors."""
    hints = _hints(forward)
    return frozenset(name for name, hint in hints.items() if hint is Index or hint == "Index")


def _hints(forward: Callable[..., Any]) -> Mapping[str, Any]:
    """Return the annotations, evaluated where they can be."""
    try:
        return get_type_hints(forward, include_extras=True)
    except (
        NameError,
        AttributeError,
        TypeError,
    ):
        # of names that were imported for type checkers only
        pass
    # annotations are evaluated when they are asked for
    if sys.version_info >= (3, 14):
        import annotationlib

        return annotationlib.get_annotations(forward, format=annotationlib.Format.STRING)
    return inspect.get_annotations(forward)


def _is_operand(hint: Any, classes: Sequence[type]) -> bool:
    if isinstance(hint, str):
        return any(word in hint for word in _WORDS)
    if hint is Array:
        return True
    parts = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if Array in parts:
        return True
    # ndarray of NDArray[float64]
    kinds = [get_origin(part) or part for part in parts]
    return any(
        isinstance(kind, type) and kind is not NoneType and issubclass(kind, tuple(classes))
        for kind in kinds
    )
