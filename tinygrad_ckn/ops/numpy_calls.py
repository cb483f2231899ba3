"""NumPy's functions on Tensors: `np.concatenate([t, t])` and `np.exp(t)` run the ops.

Functions whose result has no derivative (`np.shape`, `np.allclose`) get the values.
Other functions without an op get the values too, unless a Tensor requires grad: the
graph would be lost, so an error says which op to use instead. Sources: NEP 13
(`__array_ufunc__`) and NEP 18 (`__array_function__`).
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tinygrad_ckn.backend import CPU, Array
from tinygrad_ckn.errors import CKNError, DTypeError
from tinygrad_ckn.graph import Variable
from tinygrad_ckn.ops import elementwise, numpy_products, shape
from tinygrad_ckn.ops.matmul import matmul
from tinygrad_ckn.ops.sorting import nonzero
from tinygrad_ckn.primitive import REGISTRY
from tinygrad_ckn.tensor import Tensor

if TYPE_CHECKING:
    import numpy as np

_NUMPY = CPU.xp
# NumPy's names of ufuncs and functions whose op has another name.
UFUNCS: Mapping[str, str] = MappingProxyType(
    {
        "absolute": "abs",
        "arccos": "acos",
        "arccosh": "acosh",
        "arcsin": "asin",
        "arcsinh": "asinh",
        "arctan": "atan",
        "arctan2": "atan2",
        "arctanh": "atanh",
        "conjugate": "positive",
        "left_shift": "bitwise_left_shift",
        "right_shift": "bitwise_right_shift",
        "rint": "round",
        "true_divide": "divide",
    }
)
ALIASES: Mapping[str, str] = MappingProxyType({"around": "round", "copy": "positive"})
# Replacements for functions without an op.
INSTEAD: Mapping[str, str] = MappingProxyType(
    {
        "unique": "ops.unique_values, unique_counts, unique_inverse or unique_all",
        "nansum": "ops.where(ops.isnan(t), 0, t).sum()",
        "cbrt": "t ** (1 / 3) of positive numbers",
        "fabs": "ops.abs",
        "fmax": "ops.maximum",
        "fmin": "ops.minimum",
        "trace": "ops.trace",
        "diagonal": "ops.diagonal",
        "nbytes": "t.data.nbytes",
        "unsqueeze": "ops.expand_dims",
        "view": "t.reshape",
        "permute": "t.transpose",
        "double": 't.astype("float64")',
        "float": 't.astype("float32")',
        "clone": "t.copy",
    }
)
# Names in INSTEAD that are attributes of NumPy's arrays or PyTorch's tensors.
ATTRIBUTES = "trace diagonal nbytes unsqueeze view permute double float clone".split()
# Functions of values or shapes whose result has no derivative.
VALUES = frozenset(
    (
        "shape ndim size array_equal array_equiv allclose isclose argwhere flatnonzero "
        "shares_memory may_share_memory array_repr array_str array2string "
        "iscomplexobj isrealobj"
    ).split()
)


# Options that change how a result is computed, not the result. `order` is not one of
# them: reshape and ravel read elements in that order. Sorting is stable of any kind.
HOW = frozenset({"optimize", "casting", "subok", "kind"})


def dot(a: Array | float, b: Array | float) -> Tensor:
    """Return the product of vectors, matrices or numbers, as `numpy.dot` does.

    Raises
    ------
    ShapeError
        If the sizes do not fit.
    DTypeError
        If one has more than two axes: numpy.dot then contracts other axes than matmul.

    Examples
    --------
    >>> dot(Tensor([1.0, 2.0]), Tensor([3.0, 4.0])).item()
    11.0
    """
    left: Any = a
    right: Any = b
    ndims = [len(getattr(x, "shape", ())) for x in (a, b)]
    if 0 in ndims:
        product: Tensor = left * right
        return product
    if max(ndims) > 2:
        raise DTypeError(
            f"dot: expected at most two axes, got {ndims[0]} and {ndims[1]}; use ops.matmul or "
            "ops.einsum"
        )
    return matmul(left, right)


def ravel(x: Array) -> Tensor:
    """Return x as a vector, in C order.

    Examples
    --------
    >>> ravel(Tensor([[1.0, 2.0]])).shape
    (2,)
    """
    return shape.reshape(x, (-1,))


def where(
    condition: Array, x: Array | float | None = None, y: Array | float | None = None
) -> Tensor | tuple[Array, ...]:
    """Return `ops.where(condition, x, y)`, and `ops.nonzero` of a condition alone.

    Raises
    ------
    DTypeError
        If one of x and y is left out.

    Examples
    --------
    >>> where(np.array([True, False]), Tensor([1.0, 2.0]), 0.0)
    Tensor((2,), float64, cpu) [1. 0.]
    """
    if x is None and y is None:
        return nonzero(condition)
    if x is None or y is None:
        raise DTypeError("where: expected both x and y, or neither of them, got one")
    return elementwise.where(condition, x, y)


def hint(name: str, known: Sequence[str]) -> str:
    """Return the advice for a name that Tensors lack, as the end of a sentence."""
    if name in INSTEAD:
        return f"use {INSTEAD[name]}"
    # another function perhaps, as ops.mean is for np.median
    near = difflib.get_close_matches(name, known, n=1)
    nearest = f" (the nearest name is ops.{near[0]})" if near else ""
    return f"use another of tinygrad_ckn.ops{nearest}, or t.detach().numpy() for the values"


def table(
    ops: Mapping[str, Callable[..., Any]], linalg: Mapping[str, Callable[..., Any]]
) -> dict[Any, Callable[..., Any]]:
    """Return the op for each function of NumPy that has an op's name or an alias.

    `linalg` has those of `numpy.linalg`, some of which differ from NumPy's of that name.
    """
    replacements: dict[Any, Callable[..., Any]] = {}
    for module, known in ((_NUMPY, ops), (_NUMPY.linalg, linalg)):
        names = {name: name for name in known if hasattr(module, name)} | dict(ALIASES)
        for name, op in names.items():
            function = getattr(module, name, None)
            replaced = not isinstance(function, _NUMPY.ufunc | type) and name not in VALUES
            if function is not None and replaced and op in known:
                replacements[function] = known[op]
    # those of the standard take the last two axes, and vectors only
    replacements[_NUMPY.trace] = numpy_products.trace
    replacements[_NUMPY.diagonal] = numpy_products.diagonal
    replacements[_NUMPY.outer] = numpy_products.outer
    replacements[_NUMPY.where] = where
    return replacements


def call(
    functions: Mapping[Any, Callable[..., Any]],
    known: Sequence[str],
    function: Any,
    args: Sequence[Any],
    options: Mapping[str, Any],
) -> object:
    """Return the result of a NumPy function with Tensors among its arguments.

    Raises
    ------
    DTypeError
        If the function has no op and a Tensor requires grad, or if the op lacks an
        option.
    """
    name = getattr(function, "__name__", str(function))
    prefix = "np.linalg." if "linalg" in getattr(function, "__module__", "") else "np."
    op = functions.get(function)
    if op is not None:
        positional, named = _arguments(function, args, options)
        accepted = [name for name in inspect.signature(op).parameters if name != "saving"]
        unknown = [option for option in named if option not in accepted]
        if unknown:
            raise DTypeError(
                f"{prefix}{name}: of tensors expected the arguments {', '.join(accepted)}, "
                f"got {unknown[0]}=; leave it out, or pass t.detach().numpy() for the values"
            )
        try:
            return op(*positional, **named)
        except CKNError as error:
            if isinstance(error.__cause__, TypeError):
                raise DTypeError(f"{prefix}{name}: {error}") from error
            raise
        except TypeError as error:
            raise DTypeError(
                f"{prefix}{name}: of tensors expected the arguments {', '.join(accepted)}, {error}"
            ) from error
    if name not in VALUES and any_requires_grad([args, options]):
        raise DTypeError(
            f"{prefix}{name}: not an operation on tensors that require grad, for the result "
            f"would have no graph; {hint(name, known)}"
        )
    return function(*_values(args), **_values(options))


def call_ufunc(
    known: Sequence[str],
    ufunc: np.ufunc,
    method: str,
    inputs: Sequence[Any],
    options: Mapping[str, Any],
) -> Tensor:
    """Return the result of the op for a ufunc with Tensors among its inputs.

    Raises
    ------
    DTypeError
        If the ufunc has no op, or is called with options or by a method such as
        `reduce`.
    """
    name = UFUNCS.get(ufunc.__name__, ufunc.__name__)
    if method == "__call__" and not options and name in REGISTRY:
        result: Tensor = REGISTRY[name](*inputs)
        return result
    text = f"np.{ufunc.__name__}" + (f".{method}" if method != "__call__" else "")
    extra = f" with {', '.join(options)}=" if options else ""
    raise DTypeError(f"{text}{extra}: not an operation on tensors; {hint(name, known)}")


def _arguments(
    function: Any, args: Sequence[Any], options: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Return positional and named arguments; those with NumPy's default are left out."""
    try:
        signature = inspect.signature(function)
        bound = signature.bind(*args, **options)
    except (TypeError, ValueError):
        # functions written in C have no signature
        return list(args), {k: v for k, v in options.items() if v is not None or k == "axis"}
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for parameter in signature.parameters.values():
        if parameter.name not in bound.arguments:
            continue
        value = bound.arguments[parameter.name]
        if parameter.kind is parameter.VAR_POSITIONAL:
            positional += value
        elif parameter.kind is parameter.VAR_KEYWORD:
            named |= value
        elif parameter.name in HOW:
            continue
        elif parameter.default is parameter.empty:
            positional.append(value)
        elif not _is_default(value, parameter.default):
            named[parameter.name] = value
    return positional, named


def _is_default(value: Any, default: Any) -> bool:
    return value is default or (
        type(value) is type(default) and isinstance(value, str | int) and value == default
    )


def any_requires_grad(value: object) -> bool:
    """Return whether a Tensor that requires grad is among (nested) arguments."""
    if isinstance(value, Variable):
        return value._requires_grad
    parts = (
        value.values()
        if isinstance(value, Mapping)
        else value
        if isinstance(value, list | tuple)
        else ()
    )
    return any(map(any_requires_grad, parts))


def _values(value: Any) -> Any:
    """Return arguments with Tensors replaced by their values, read-only."""
    if isinstance(value, Variable):
        tensor: Any = value
        return tensor.detach().numpy()
    if isinstance(value, Mapping):
        return {name: _values(part) for name, part in value.items()}
    return type(value)(map(_values, value)) if type(value) in (list, tuple) else value
