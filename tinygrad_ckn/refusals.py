"""The sentences of the engine's errors: each function returns the exception to raise.

An error of a forward is restated with the operation and its operands, as the library's
error of the same Python kind, since NumPy's message names neither. An AttributeError is
restated only if an argument of the caller lacks the attribute: every other one is a
mistake in the forward, and passes through unchanged.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from tinygrad_ckn.backend import Shape, backend_of, is_array
from tinygrad_ckn.errors import (
    AxisError,
    BackendError,
    CKNError,
    DTypeError,
    GradientError,
    OpIndexError,
    ShapeError,
)

# What a forward raises for arguments that do not fit.
OF_FORWARDS = (ValueError, TypeError, IndexError, AttributeError, ArithmeticError)


class Operation(Protocol):
    """The parts of a primitive that error texts name."""

    @property
    def name(self) -> str:
        """Name of the operation."""
        ...

    @property
    def operands(self) -> Sequence[str]:
        """Names of the operands."""
        ...

    def label(self, number: int) -> str:
        """Name an operand: `x`, or `arrays[2]`."""
        ...


_KINDS = (
    # as NumPy's AxisError
    ((ValueError, IndexError), AxisError),
    ((ValueError,), ShapeError),
    ((IndexError,), OpIndexError),
)


def of_forward(
    primitive: Operation,
    error: Exception,
    operands: Sequence[Any],
    options: Mapping[str, Any],
) -> Exception:
    """Return the error of a forward or of a call, restated, or as it is.

    It is as it is if the forward raised it on purpose or by a mistake of its own.
    """
    if isinstance(error, CKNError):
        return error
    text = str(error).removeprefix(f"{primitive.name}: ").rstrip(". ")
    if isinstance(error, AttributeError):
        if not _lacks(error, [*operands, *options.values()]):
            return error
        for i, operand in enumerate(operands):
            if operand is error.obj:
                text = f"argument {primitive.label(i)} expected an array or a Tensor"
    labelled = (f"{primitive.label(i)}: {_describe(x)}" for i, x in enumerate(operands))
    got = ", ".join(labelled) or "no operands"
    kind: type[CKNError] = DTypeError
    for pythons, ours in _KINDS:
        if all(isinstance(error, python) for python in pythons):
            kind = ours
            break
    return kind(f"{primitive.name}: {text}; got {got}")


def _lacks(error: AttributeError, arguments: Sequence[Any]) -> bool:
    """Return whether the attribute was asked of an argument that is not an array."""
    return any(error.obj is x and not is_array(x) for x in arguments)


def _describe(operand: Any) -> str:
    if operand is None:
        return "None"
    if hasattr(operand, "dtype"):
        return f"{operand.dtype} array of shape {operand.shape}"
    return f"{type(operand).__name__} {operand!r}"


def of_backends(primitive: Operation, error: CKNError, operands: Sequence[Any]) -> CKNError:
    """Return the error for operands on two devices, which it names, or for a non-array."""
    if not isinstance(error, BackendError):
        return type(error)(f"{primitive.name}: {error}")
    arrays = [i for i, operand in enumerate(operands) if is_array(operand)]
    first = backend_of(operands[arrays[0]])
    other = next(i for i in arrays if backend_of(operands[i]) is not first)
    labels = f"{primitive.label(arrays[0])} and {primitive.label(other)}"
    return BackendError(f"{primitive.name}: arguments {labels}: {error}")


def complex_result(primitive: Operation, dtype: object) -> CKNError:
    """Return the error for a forward whose result is not of real numbers."""
    return DTypeError(
        f"{primitive.name}: expected a result of real numbers, got {dtype}; check the dtypes"
    )


def tensor_option(primitive: Operation, name: str) -> CKNError:
    """Return the error for a Tensor passed as a static option."""
    return DTypeError(
        f"{primitive.name}: argument {name} expected a plain option, got a Tensor; "
        "no gradient goes there: pass its .item() or .tolist()"
    )


def unknown_operand(primitive: Operation, name: str) -> CKNError:
    """Return the error for a rule of something that is not an operand."""
    return DTypeError(
        f"{primitive.name}: the rule of {name!r} is for something that is not an operand; "
        f"the operands are {primitive.operands}"
    )


def unknown_names(
    primitive: Operation, rule: str, names: Sequence[str], known: Collection[str]
) -> CKNError:
    """Return the error for a rule with a parameter that it cannot be given."""
    return DTypeError(f"{primitive.name}: {rule} names {names}; known are {sorted(known)}")


def two_meanings(primitive: Operation, rule: str, name: str) -> CKNError:
    """Return the error for a rule that names both an argument and something of the engine."""
    meaning = "the output" if name == "y" else "a name of the engine"
    return DTypeError(
        f"{primitive.name}: {rule} names {name!r}, which is {meaning} and an argument of the "
        "forward; rename the argument"
    )


def order_of_parameters(primitive: Operation, rule: str, names: Sequence[str]) -> CKNError:
    """Return the error for a rule whose parameters cannot be passed by position."""
    return DTypeError(
        f"{primitive.name}: {rule} expected {', '.join(names)} as its first parameters, by "
        "position; move parameters with a default of your own to the end"
    )


def two_kinds_of_rules(primitive: Operation) -> CKNError:
    """Return the error for a primitive with a joint rule and rules per operand."""
    return DTypeError(
        f"{primitive.name}: expected one joint rule or a rule for each operand, got both; "
        "leave one out"
    )


def no_rule(primitive: Operation, operand: str) -> CKNError:
    """Return the error for a gradient asked of an operand without a rule."""
    return GradientError(
        f"{primitive.name}: argument {operand} has no derivative, "
        "but got a tensor that requires grad; pass it as .detach()"
    )


def graph_freed(name: str) -> CKNError:
    """Return the error for a second backward through a node."""
    return GradientError(
        f"backward: the graph through {name!r} was freed by an earlier backward; "
        "pass retain_graph=True to that one to run it twice"
    )


def data_assigned(name: str, argument: str, shape: Shape) -> CKNError:
    """Return the error for a Tensor that a rule needs and whose data were replaced."""
    return GradientError(
        f"backward: {argument} of {name!r} (output shape {shape}) "
        "expected the data it was computed with, got data assigned since; "
        "run backward before assigning, or compute it again"
    )


def count_of_gradients(primitive: Operation, expected: int, got: int) -> CKNError:
    """Return the error for a joint rule that returned too few or too many gradients."""
    return GradientError(
        f"{primitive.name}: the rule of {', '.join(primitive.operands)} "
        f"expected to return {expected} gradients, got {got}"
    )


def shape_of_gradient(primitive: Operation, number: int, expected: Shape, got: Shape) -> CKNError:
    """Return the error for a rule whose gradient does not have its operand's shape."""
    return GradientError(
        f"{primitive.name}: the rule of argument {primitive.label(number)} expected "
        f"to return a gradient of the argument's shape {expected}, got {got}"
    )


def kind_of_gradient(primitive: Operation, number: int, expected: Shape, got: object) -> CKNError:
    """Return the error for a rule that returned something other than an array."""
    return GradientError(
        f"{primitive.name}: the rule of argument {primitive.label(number)} expected to return "
        f"an array or a Tensor of shape {expected}, got a {type(got).__name__}; return an array"
    )


def no_graph(output: object) -> CKNError:
    """Return the error for a backward from something that does not require grad."""
    return GradientError(
        "backward: expected an output that depends on a tensor with requires_grad=True, "
        f"got {output!r}"
    )


def no_initial_gradient(shape: Shape) -> CKNError:
    """Return the error for a backward from several elements without `gradient`."""
    return GradientError(
        f"backward: argument gradient expected an array of the output's shape {shape}, got None, "
        "which is for outputs of one element; pass gradient= or take a .sum() first"
    )


def initial_gradient(shape: Shape, got: Any) -> CKNError:
    """Return the error for a `gradient` of another shape, or not of real numbers."""
    return GradientError(
        f"backward: argument gradient expected real numbers of the output's shape {shape}, "
        f"got {got.dtype} of shape {got.shape}"
    )


def not_differentiable_input(number: int, got: object) -> CKNError:
    """Return the error for an input of `grad` that does not require grad."""
    return GradientError(
        f"grad: inputs[{number}] expected a Tensor with requires_grad=True, got {got!r}"
    )


def hooked_gradient(shape: Shape, dtype: object, new: object) -> CKNError:
    """Return the error for a hook that returns something else than a gradient."""
    got = f"{getattr(new, 'dtype', type(new).__name__)} {getattr(new, 'shape', '')}".rstrip()
    return ShapeError(
        f"Tensor.register_hook: expected a function that returns None or a gradient {dtype} "
        f"{shape}, got {got}"
    )


def no_hook(function: object, requires_grad: bool) -> CKNError:
    """Return the error for a hook that is no function, or on a tensor without gradient."""
    if not callable(function):
        return DTypeError(
            "Tensor.register_hook: argument function expected a function of the gradient, "
            f"got {type(function).__name__}"
        )
    return GradientError(
        "Tensor.register_hook: expected a tensor that requires grad, got one with "
        f"requires_grad={requires_grad}; set it, or hook the result it was detached from"
    )
