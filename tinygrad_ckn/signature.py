"""Signatures of forwards: the namespace first, then operands and options.

A call's arguments are bound to them as Python binds them, only faster.
"""

from __future__ import annotations

import inspect
import itertools
import sys
from collections.abc import Callable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, NoReturn, Union, get_args, get_origin, get_type_hints

from tinygrad_ckn import refusals
from tinygrad_ckn.backend import Array, Index
from tinygrad_ckn.errors import DTypeError

# in an annotation that cannot be evaluated
_WORDS = ("Array", "ndarray", "Tensor")


class CallSignature:
    """Name, operands and options of an operation, read from its forward.

    `operands` and `options` are names in order; `indices` are those of options that may
    hold arrays and Tensors; `saving` is none of them.
    """

    __slots__ = (
        "__signature__",
        "count",
        "defaults",
        "indices",
        "left_out",
        "name",
        "operands",
        "operands_first",
        "options",
        "positional",
        "saves_on_demand",
        "variadic",
    )

    def __init__(
        self, forward: Callable[..., Any], name: str, operand_types: tuple[type, ...]
    ) -> None:
        self.name = name
        self.operands = operands_of(forward, name, operand_types)
        self.indices = indices_of(forward)
        parameters = list(inspect.signature(forward).parameters.values())[1:]
        self.__signature__ = inspect.Signature(parameters)
        names = [p.name for p in parameters]
        self.saves_on_demand = "saving" in names
        self.options = tuple(n for n in names if n not in (*self.operands, "saving"))
        self.positional = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
        self.defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
        self.variadic = parameters[0].kind is inspect.Parameter.VAR_POSITIONAL
        first = itertools.takewhile(self.operands.__contains__, self.positional)
        self.operands_first = len(list(first)) == len(self.operands)
        # a call with this many arguments, by position, passes all operands and nothing else
        self.count = len(self.operands) if self.operands_first and not self.variadic else -1
        # the defaults of the operands after the first n, by n
        self.left_out: dict[int, list[Any]] = {}
        for n in range(self.count + 1):
            if self.defaults.keys() >= set(self.operands[n:]):
                self.left_out[n] = [self.defaults[name] for name in self.operands[n:]]

    def label(self, number: int) -> str:
        """Name an operand for messages: `x`, or `arrays[2]`."""
        return f"{self.operands[0]}[{number}]" if self.variadic else self.operands[number]

    def bind(
        self, args: Sequence[Any], options: dict[str, Any]
    ) -> tuple[Sequence[Any], dict[str, Any]]:
        """Return all operands, with the defaults of those left out, and the options by name."""
        left_out = [] if self.variadic else self.left_out.get(len(args))
        if left_out is not None and (not options or options.keys().isdisjoint(self.operands)):
            return (*args, *left_out), options
        if len(args) > len(self.positional):
            self._refuse(args, options)
        named = {**options, **dict(zip(self.positional, args, strict=False))}
        if len(named) < len(args) + len(options):
            # an argument by position and by name
            self._refuse(args, options)
        operands = []
        for name in self.operands:
            if name in named:
                operands.append(named.pop(name))
            elif name in self.defaults:
                operands.append(self.defaults[name])
            else:
                self._refuse(args, options)
        if not named and not self.operands_first:
            # an option before an operand goes by name, its default too
            named = {name: self.defaults[name] for name in self.options if name in self.defaults}
        return operands, named

    def _refuse(self, args: Sequence[Any], options: Mapping[str, Any]) -> NoReturn:
        """Raise the error of a call that the signature does not allow, as Python words it."""
        self._check_binds(args, options, args[: len(self.operands)])
        raise AssertionError(self)

    def check_call(self, operands: Sequence[Any], options: Mapping[str, Any]) -> None:
        """Raise the error of bound operands with an option unknown or missing, if one is."""
        if self.operands_first:
            self._check_binds(operands, options, operands)
        else:
            named = dict(zip(self.operands, operands, strict=True))
            self._check_binds((), {**named, **options}, operands)

    def _check_binds(
        self, args: Sequence[Any], options: Mapping[str, Any], operands: Sequence[Any]
    ) -> None:
        try:
            self.__signature__.bind(*args, **options)
        except TypeError as error:
            told = TypeError(f"{error}; the call is {self.name}{self.__signature__}")
            raise refusals.of_forward(self, told, operands, options) from error


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
