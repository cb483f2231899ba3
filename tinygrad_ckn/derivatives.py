"""Values with gradients, Jacobians and Hessians, by arrays or a module's parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

from tinygrad_ckn import ops
from tinygrad_ckn.backend import Array, Shape, is_array, xp_of
from tinygrad_ckn.errors import DTypeError, GradientError, ShapeError
from tinygrad_ckn.functional import Points, check_number, leaves_of, recorded
from tinygrad_ckn.gradient import grad
from tinygrad_ckn.graph import Variable, unwrap
from tinygrad_ckn.tensor import Tensor


@runtime_checkable
class Parametrised(Protocol):
    """An object with named parameters, such as `nn.Module`."""

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Yield the parameters with their names."""
        ...


# Where to differentiate: arrays, or the parameters of a module.
At: TypeAlias = Points | Parametrised
# Derivatives arranged as the inputs are: one, a tuple, or a dictionary by name.
Derivatives: TypeAlias = Any


class _Inputs(NamedTuple):
    """The leaves to differentiate at, the arguments of the function, and how results look."""

    leaves: list[Tensor]
    arguments: list[Tensor]
    arrange: Callable[[Sequence[Any]], Any]


def value_and_grad(
    function: Callable[..., Tensor], at: At, *, create_graph: bool = False
) -> tuple[Tensor, Derivatives]:
    """Return the value of a function that returns one number, and its gradient.

    Parameters
    ----------
    function
        Of one Tensor, or of several; without arguments if `at` is a module.
    at
        A Tensor or array; a sequence of them, one for each argument; or a module, for the
        gradients of its parameters that require grad.
    create_graph
        Record the gradients, so that they can be differentiated again, also with respect
        to Tensors among the inputs that require grad. Default: False.

    Returns
    -------
    value : Tensor
        Shape ().
    gradient : Tensor, tuple of Tensor or dict of Tensor
        Of the shapes of the inputs, arranged as they are: of a module by name. Zeros
        where the value does not depend on an input.

    Raises
    ------
    GradientError
        If the function does not return one number.
    DTypeError
        If an input is not floating, or the function takes another number of arguments.

    Examples
    --------
    >>> value_and_grad(lambda x, y: (x * y).sum(), [Tensor([1.0, 2.0]), Tensor([3.0, 4.0])])[1]
    (Tensor((2,), float64, cpu) [3. 4.], Tensor((2,), float64, cpu) [1. 2.])
    """
    inputs = _inputs_of(at, create_graph)
    output = recorded("value_and_grad", function, inputs.arguments)
    check_number("value_and_grad", output, "jacobian")
    gradients = _gradients(output, inputs.leaves, None, create_graph)
    return (output if create_graph else output.detach()), inputs.arrange(gradients)


def jacobian(
    function: Callable[..., Tensor],
    at: At,
    *others: object,
    create_graph: bool = False,
    batched: bool = False,
) -> Derivatives:
    """Return all first derivatives, of shape output.shape + input.shape.

    Takes one backward per element of the output.

    Parameters
    ----------
    function, at, create_graph
        As for `value_and_grad`; the output has any shape.
    batched
        The output of each example, along the first axis of length n, depends only on
        that example of the inputs: return (n, *output.shape[1:], *input.shape[1:]), by
        one backward per element of an example's output. Checked for one example.

    Raises
    ------
    ShapeError
        If batched and first axes differ.
    GradientError
        If batched and an output depends on another example.

    Examples
    --------
    >>> jacobian(ops.square, Tensor([1.0, 2.0]))
    Tensor((2, 2), float64, cpu) [[2. 0.] [0. 4.]]
    >>> jacobian(lambda x: (x**2).sum(axis=1), [[1.0, 2.0], [3.0, 4.0]], batched=True)
    Tensor((2, 2), float64, cpu) [[2. 4.] [6. 8.]]
    """
    _refuse_others("jacobian", others)
    inputs = _inputs_of(at, create_graph)
    output = recorded("jacobian", function, inputs.arguments)
    if batched:
        _check_batch(output, inputs.leaves)
    return inputs.arrange(_jacobians(output, inputs.leaves, create_graph, batched))


def hessian(
    function: Callable[..., Tensor], at: At, *others: object, create_graph: bool = False
) -> Derivatives:
    """Return all second derivatives of a function that returns one number.

    Parameters
    ----------
    function, at, create_graph
        As for `value_and_grad`.

    Returns
    -------
    Tensor, or tuple of tuples or dict of dicts of Tensor
        Of the shape a.shape + b.shape for inputs a and b, arranged as the inputs are.

    Raises
    ------
    GradientError
        If the output is not a scalar.

    Examples
    --------
    >>> hessian(lambda x: (x**3).sum(), Tensor([1.0, 2.0]))
    Tensor((2, 2), float64, cpu) [[ 6.  0.] [ 0. 12.]]
    >>> hessian(lambda x, y: x * y**2, [Tensor(2.0), Tensor(3.0)])[0][1].item()
    6.0
    """
    _refuse_others("hessian", others)
    inputs = _inputs_of(at, create_graph)
    output = recorded("hessian", function, inputs.arguments)
    check_number("hessian", output, "jacobian")
    slopes = _gradients(output, inputs.leaves, None, create_graph=True)
    rows = [_jacobians(slope, inputs.leaves, create_graph, batched=False) for slope in slopes]
    return inputs.arrange([inputs.arrange(row) for row in rows])


def _inputs_of(at: At, keep: bool) -> _Inputs:
    """Return where to differentiate; with `keep` Tensors that require grad are not copied."""
    if isinstance(at, Parametrised):
        named = [(name, p) for name, p in at.named_parameters() if p.requires_grad]
        names = [name for name, _ in named]
        parameters = [p for _, p in named]
        return _Inputs(parameters, [], lambda found: dict(zip(names, found, strict=True)))
    several = isinstance(at, list | tuple) and any(is_array(unwrap(p)) for p in at)
    points: list[Any] = list(at) if several and isinstance(at, list | tuple) else [at]
    leaves: list[Tensor] = [
        p if keep and isinstance(p, Tensor) and p.requires_grad else leaves_of([p])[0]
        for p in points
    ]
    return _Inputs(leaves, leaves, tuple if several else lambda found: found[0])


def _refuse_others(op: str, others: Sequence[object]) -> None:
    """Raise a DTypeError for inputs that are not in a list."""
    if others:
        raise DTypeError(
            f"{op}: expected one input, or a list of them, got {1 + len(others)} arguments; pass "
            f"{op}(f, [x, y]), or bind the others, as in {op}(lambda x: f(x, y), x)"
        )


def _gradients(
    output: Tensor, leaves: Sequence[Tensor], gradient: Array | None, create_graph: bool
) -> list[Tensor]:
    """Return the gradients of an output, zeros where it does not depend on a leaf."""
    found: Sequence[Tensor | None] = [None] * len(leaves)
    if output.requires_grad and leaves:
        found = grad(
            output, leaves, gradient=gradient, create_graph=create_graph, retain_graph=True
        )
    return [
        Variable.wrap(xp_of(leaf.data).zeros_like(leaf.data)) if g is None else g
        for g, leaf in zip(found, leaves, strict=True)
    ]


def _jacobians(
    output: Tensor, leaves: Sequence[Tensor], create_graph: bool, batched: bool
) -> list[Tensor]:
    """Return the Jacobian of a recorded output for each leaf, row by row."""
    xp = xp_of(output.data)
    # What an element of the result is a derivative of: an element, or one of each example.
    shape: Shape = output.shape[1:] if batched else output.shape
    count = math.prod(shape)
    rows: list[list[Tensor]] = []
    for k in range(count):
        unit = xp.zeros(output.shape, dtype=output.dtype)
        unit.reshape(-1, count)[:, k] = 1
        rows.append(_gradients(output, leaves, unit, create_graph))
    return [
        _joined([row[i] for row in rows], leaf, shape, batched) for i, leaf in enumerate(leaves)
    ]


def _joined(rows: Sequence[Tensor], leaf: Tensor, shape: Shape, batched: bool) -> Tensor:
    """Return rows of derivatives by a leaf as one Tensor."""
    n = leaf.shape[:1] if batched else ()
    whole = (*n, *shape, *leaf.shape[len(n) :])
    if not rows:
        empty: Tensor = Variable.wrap(xp_of(leaf.data).zeros(whole, dtype=leaf.dtype))
        return empty
    return ops.stack(list(rows), axis=len(n)).reshape(whole)


def _check_batch(output: Tensor, leaves: Sequence[Tensor]) -> None:
    """Raise an error unless outputs seem to be those of examples along the first axis."""
    lengths = [t.shape[0] if t.ndim else None for t in (output, *leaves)]
    if None in lengths or len(set(lengths)) > 1:
        shapes = [t.shape for t in leaves]
        raise ShapeError(
            f"jacobian: expected a first axis of one length with batched=True, got an output of "
            f"shape {output.shape} for inputs of shapes {shapes}; leave batched out"
        )
    if not output.size:
        return
    middle = output.shape[0] // 2
    unit = xp_of(output.data).zeros(output.shape, dtype=output.dtype)
    unit[middle] = 1
    for gradient in _gradients(output, leaves, unit, create_graph=False):
        others = gradient.data.copy()
        others[middle] = 0
        if others.any():
            raise GradientError(
                "jacobian: expected the output of each example to depend on that example only "
                f"with batched=True, got one that depends on others (example {middle}); leave "
                "batched out"
            )
