"""Arguments of a checked function: float64 leaves, and those passed through unchanged."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from tinygrad_ckn.backend import Array, asarray, is_array
from tinygrad_ckn.errors import DTypeError
from tinygrad_ckn.graph import Variable, unwrap
from tinygrad_ckn.nn import Module
from tinygrad_ckn.testing.layout import with_layout_of
from tinygrad_ckn.testing.problem import Problem

# The point of a check: one array or number, or one per argument.
Inputs: TypeAlias = Array | float | Sequence[Any]


def problem_of(
    function: Callable[..., Any], inputs: Inputs, kwargs: Mapping[str, Any] | None = None
) -> Problem:
    """Wrap a function and the point at which it is checked.

    Floating arrays and Tensors become leaves of float64 with their own layout in
    memory, positional and keyword arguments alike. Where a Tensor requires grad,
    Tensors that do not are left unchecked, as in PyTorch.

    Raises
    ------
    DTypeError
        If there is nothing to check.
    """
    name = str(
        getattr(function, "name", None) or getattr(function, "__name__", type(function).__name__)
    )
    single = isinstance(inputs, Variable | int | float) or hasattr(inputs, "dtype")
    passed: Any = [inputs] if single else inputs
    points: dict[Any, Any] = dict(enumerate(map(_array, passed)))
    count = len(points)
    points.update(kwargs or {})
    chosen = any(isinstance(p, Variable) and p._requires_grad for p in points.values())
    checked = [key for key, p in points.items() if _floating(p) and not (chosen and _left_out(p))]
    if not checked:
        raise DTypeError(
            f"{name}: expected at least one floating array among the inputs, got none; pass "
            "float64 arrays"
        )

    def of_leaves(*leaves: Array) -> object:
        arguments = points | dict(zip(checked, leaves, strict=True))
        return function(
            *[arguments[i] for i in range(count)],
            **{k: p for k, p in arguments.items() if isinstance(k, str)},
        )

    return Problem(
        name, of_leaves, [_leaf(points[key]) for key in checked], [str(key) for key in checked]
    )


def _array(point: Any) -> Any:
    """Return a NumPy scalar as a 0-d array; anything else unchanged."""
    return (
        asarray(point)
        if hasattr(point, "dtype") and not isinstance(point, Variable) and not is_array(point)
        else point
    )


def _floating(point: Any) -> bool:
    return is_array(unwrap(point)) and unwrap(point).dtype.kind == "f"


def _left_out(point: Any) -> bool:
    return isinstance(point, Variable) and not point._requires_grad


def _leaf(point: Any) -> Any:
    """Return a leaf that copies the values and the memory layout of an argument."""
    x = unwrap(point)
    return Variable.leaf(
        with_layout_of(x, x.astype("float64", order="C", copy=True), broadcast=True)
    )


def module_problem(
    module: Module, inputs: tuple[Any, ...], kwargs: Mapping[str, Any] | None
) -> Problem:
    """Wrap a float64 copy of a module; inputs and trained parameters are the leaves."""
    twin = copy.deepcopy(module)
    for _, tensor in twin.named_tensors():
        if tensor.dtype.kind == "f":
            tensor._data = tensor._data.astype("float64")
    trained = {name: p for name, p in twin.named_parameters() if p.requires_grad}
    try:
        at_inputs = problem_of(twin, inputs, kwargs)
    except DTypeError:
        # a module of integers, such as an embedding
        at_inputs = Problem("", lambda: twin(*inputs, **(kwargs or {})), [], [])
        if not trained:
            raise
    count = len(at_inputs.leaves)
    return Problem(
        type(module).__name__,
        lambda *leaves: at_inputs.function(*leaves[:count]),
        [*at_inputs.leaves, *trained.values()],
        [*at_inputs.names, *trained],
    )
