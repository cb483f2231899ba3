"""Products with Jacobians and Hessians, and checkpointing, which trades time for memory."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from tinygrad_ckn.backend import Array, NDArray, asarray, is_array, xp_of
from tinygrad_ckn.backward import backpropagate
from tinygrad_ckn.errors import DTypeError, GradientError, ShapeError
from tinygrad_ckn.grad_mode import enable_grad
from tinygrad_ckn.gradient import as_tensor, grad
from tinygrad_ckn.graph import Node, Variable, Vertex, next_sequence, parents_since, unwrap
from tinygrad_ckn.ownership import own_option
from tinygrad_ckn.random_numbers import Tape
from tinygrad_ckn.tensor import Tensor

# One point or vector, or one per argument of a function; nested lists count as one array.
Points: TypeAlias = Array | float | Sequence[Any]


def leaves_of(primals: Points) -> list[Tensor]:
    """Return copies of the points, to differentiate at."""
    points = (
        [primals] if isinstance(primals, Variable) or not isinstance(primals, Sequence) else primals
    )
    arrays = [unwrap(p) if is_array(unwrap(p)) else asarray(p) for p in points]
    for array in arrays:
        if array.dtype.kind != "f":
            raise DTypeError(
                f"expected floating arrays to differentiate at, got {array.dtype}; use "
                ".astype('float64')"
            )
    return [Variable.leaf(array.copy()) for array in arrays]


def recorded(op: str, function: Callable[..., Tensor], leaves: Sequence[Tensor]) -> Tensor:
    """Return the function's value, recorded."""
    _check_arity(op, function, len(leaves))
    with enable_grad():
        output = function(*leaves)
    return _one_tensor(output)


def _check_arity(op: str, function: Callable[..., Any], count: int) -> None:
    """Raise a DTypeError if a function does not take `count` arguments."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        # of functions written in C
        return
    try:
        signature.bind(*range(count))
    except TypeError as error:
        hint = (
            "pass a list of one array for each argument, and a vector as an array, not a list of "
            "numbers"
        )
        raise DTypeError(
            f"{op}: expected a function of {count} argument{'s' * (count != 1)}, one for each "
            "point, got one of "
            f"{signature} ({error}); {hint}"
        ) from error


def check_number(op: str, output: Tensor, instead: str) -> None:
    """Raise a GradientError if a function's value is not one number."""
    if output.size != 1:
        raise GradientError(
            f"{op}: expected a function that returns one number, got shape {output.shape}; "
            "take its .sum(), or use "
            f"{instead}"
        )


def _one_tensor(output: Any) -> Tensor:
    if not isinstance(output, Tensor):
        raise GradientError(
            f"expected the function to return one Tensor, got {type(output).__name__}"
        )
    return output


def _like(op: str, argument: str, vectors: Points, leaves: Sequence[Tensor]) -> list[Any]:
    """Return one raw vector for each leaf, of its shape."""
    sequence = (
        [vectors] if isinstance(vectors, Variable) or not isinstance(vectors, Sequence) else vectors
    )
    arrays = [
        xp_of(p.data).asarray(unwrap(v), dtype=p.dtype)
        for v, p in zip(sequence, leaves, strict=False)
    ]
    expected = [p.shape for p in leaves]
    got = [v.shape for v in arrays]
    if len(sequence) != len(leaves) or expected != got:
        raise ShapeError(
            f"{op}: argument {argument} expected {len(leaves)} arrays of shapes {expected}, "
            f"got {got}"
        )
    return arrays


def _gradients(
    output: Tensor, leaves: Sequence[Tensor], gradient: Any, *, create_graph: bool
) -> list[Tensor]:
    """Return gradients with zeros where the output does not depend on a leaf."""
    if not output.requires_grad:
        results: tuple[Any, ...] = (None,) * len(leaves)
    else:
        results = grad(output, leaves, gradient=gradient, create_graph=create_graph)
    return [
        Variable.wrap(xp_of(p.data).zeros_like(p.data)) if g is None else g
        for g, p in zip(results, leaves, strict=True)
    ]


def vjp(
    function: Callable[..., Tensor], primals: Points, gradient: Array | float | None = None
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return function(*primals) and the products gradient^T J, one per primal.

    Parameters
    ----------
    function
        Of Tensors, returning one Tensor.
    primals
        The point: a Tensor or array, or a sequence of them; floating.
    gradient
        Of the shape of the output; default one, for a scalar.

    Raises
    ------
    GradientError
        If the output is not a scalar and `gradient` is missing or of another shape.

    Examples
    --------
    >>> y, (g,) = vjp(ops.square, Tensor([1.0, 2.0]), Tensor([1.0, 10.0]))
    >>> g
    Tensor((2,), float64, cpu) [ 2. 40.]
    """
    leaves = leaves_of(primals)
    output = recorded("vjp", function, leaves)
    return output.detach(), tuple(_gradients(output, leaves, gradient, create_graph=False))


def jvp(
    function: Callable[..., Tensor], primals: Points, tangents: Points
) -> tuple[Tensor, Tensor]:
    """Return function(*primals) and the Jacobian-vector product J tangents.

    J v is the gradient, in u, of <J^T u, v>: no second set of rules is needed (J.
    Townsend's "double vjp").

    Raises
    ------
    ShapeError
        If the tangents do not have the shapes of the primals.

    Examples
    --------
    >>> jvp(ops.square, Tensor([1.0, 2.0]), Tensor([1.0, 10.0]))[1]
    Tensor((2,), float64, cpu) [ 2. 40.]
    """
    leaves = leaves_of(primals)
    vectors = _like("jvp", "tangents", tangents, leaves)
    output = recorded("jvp", function, leaves)
    with enable_grad():
        dummy = Variable.leaf(xp_of(output.data).zeros_like(output.data))
        pulled = _gradients(output, leaves, dummy, create_graph=True)
    roots = [(p._vertex, v) for p, v in zip(pulled, vectors, strict=True) if p.requires_grad]
    result = backpropagate(roots, [dummy]).get(dummy)
    zeros = xp_of(output.data).zeros_like(output.data)
    return output.detach(), as_tensor(zeros if result is None else result)


def hvp(
    function: Callable[..., Tensor], primals: Points, vectors: Points
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return a scalar function's value and its Hessian times `vectors`, one per primal.

    Raises
    ------
    ShapeError
        If the vectors do not have the shapes of the primals.
    GradientError
        If the output is not a scalar.

    Examples
    --------
    >>> hvp(lambda x: (x**3).sum(), Tensor([1.0, 2.0]), Tensor([1.0, 1.0]))[1][0]
    Tensor((2,), float64, cpu) [ 6. 12.]
    """
    leaves = leaves_of(primals)
    arrays = _like("hvp", "vectors", vectors, leaves)
    output = recorded("hvp", function, leaves)
    check_number("hvp", output, "vjp and jvp")
    with enable_grad():
        slopes = _gradients(output, leaves, None, create_graph=True)
    roots = [(s._vertex, v) for s, v in zip(slopes, arrays, strict=True) if s.requires_grad]
    results = backpropagate(roots, leaves)
    products = [results.get(p) for p in leaves]
    zeros = [xp_of(p.data).zeros_like(p.data) for p in leaves]
    return output.detach(), tuple(
        as_tensor(z if h is None else h) for h, z in zip(products, zeros, strict=True)
    )


class _Checkpoint:
    """Stands for a primitive in the graph: its `vjp` runs the function again."""

    name = "checkpoint"
    broadcasts = False

    def label(self, number: int) -> str:
        return f"{number} (of those the function reads)"


class _CheckpointNode(Node):
    """The result of a checkpointed function: saves only what the function reads."""

    __slots__ = ("function", "tape")

    def __init__(
        self,
        function: Callable[[], Tensor],
        y: NDArray[Any],
        parents: Sequence[Vertex],
        args: Sequence[Any],
        tape: Tape,
    ) -> None:
        super().__init__(_Checkpoint(), y, parents, None)
        self.function = function
        self.tape = tape
        read = [
            *(a for a in args if isinstance(a, Variable)),
            *(p for p in parents if isinstance(p, Variable)),
        ]
        self.versions = [(i, tensor._version, tensor._version[0]) for i, tensor in enumerate(read)]

    def vjp(self, g: Array, needed: set[Vertex] | None, differentiable: bool) -> Sequence[Any]:
        """Run the function again, recorded, and differentiate that run."""
        with enable_grad(), self.tape.rewind():
            output = self.function()
        root = (output._vertex, g)
        parents = [parent for parent in self.parents if parent is not None]
        results = backpropagate(
            [root], parents, create_graph=differentiable, retain_graph=differentiable, partial=True
        )
        return [results.get(parent) for parent in parents]

    def release(self) -> None:
        """Drop the function and what it closes over."""
        super().release()
        del self.function


def checkpoint(function: Callable[..., Tensor], *args: object) -> Tensor:
    """Return function(*args) without saving intermediate arrays: backward runs it again.

    A chain of checkpointed blocks keeps only the results of the blocks. Gradients of
    any order flow to `args` and to every tensor that the function closes over, such as
    weights. The function must give the same result both times; `nn.Dropout` draws
    the same numbers again. Data assigned in between
    to `args` or to leaves are noticed, and arrays among `args` are copied; other
    changes, such as those of arrays that it closes over, go unnoticed.

    Raises
    ------
    GradientError
        If the function does not return one Tensor.

    Examples
    --------
    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> checkpoint(lambda x: ops.exp(ops.sin(x)), x).sum().backward()
    >>> x.grad.numpy().round(4).tolist()
    [1.2534, -1.0331]
    """
    start = next_sequence()
    args = tuple(map(own_option, args))
    tape = Tape()
    with tape:
        output = _one_tensor(function(*args))
    made = output._node
    if made is None or made.sequence < start:
        # nothing was recorded in between
        return output
    parents = parents_since(made, start)
    node = _CheckpointNode(lambda: function(*args), output._data, parents, args, tape)
    result: Tensor = Variable.wrap(output._data, node)
    return result
