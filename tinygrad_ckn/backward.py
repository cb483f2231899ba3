"""The walk back through the graph: gradients of outputs with respect to leaves or results."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from tinygrad_ckn import refusals
from tinygrad_ckn.accumulation import Gradients, RecordedGradients
from tinygrad_ckn.backend import CPU, Array, Shape, is_array, xp_of
from tinygrad_ckn.grad_mode import is_recording, is_searching_nan
from tinygrad_ckn.graph import Node, Variable, Vertex, check_finite, unwrap
from tinygrad_ckn.hooks import HOOKS, call_hooked
from tinygrad_ckn.ownership import own
from tinygrad_ckn.scattered import Scattered

if TYPE_CHECKING:
    from tinygrad_ckn import Tensor

_sequence = attrgetter("sequence")
_HOST: Any = CPU.array_type


def backpropagate(
    roots: Sequence[tuple[Vertex, Any]],
    inputs: Sequence[Vertex] | None = None,
    *,
    create_graph: bool = False,
    retain_graph: bool = False,
    partial: bool = False,
) -> dict[Vertex, Any]:
    """Return the gradient of sum <output, gradient> over `roots`, for `inputs` or for all leaves.

    Parameters
    ----------
    roots
        Pairs of an output's vertex and its gradient.
    inputs
        Vertices; default: all leaves.
    create_graph
        Differentiate the rules: gradients are Tensors with a graph, else raw arrays.
    retain_graph
        Keep the residuals for another backward.
    partial
        End the walk at the inputs: the effect of one on another does not count.

    Returns
    -------
    dict
        Gradients by vertex. None shares memory with the gradients passed in.
    """
    targets = set(inputs or ())
    nodes = [vertex for vertex, _ in roots if isinstance(vertex, Node)]
    order, needed = _toposort(nodes, inputs, targets if partial else ())
    gradients = RecordedGradients(targets) if create_graph else Gradients(targets)
    for vertex, gradient in roots:
        gradients.add(vertex, gradient, gradient, None)
    for node in order:
        # all, before any is used up
        if node.residuals is None or node.versions:
            node.check_residuals()
    results: dict[Vertex, Any] = {}
    recording = is_recording.get()
    is_recording.set(create_graph)
    try:
        for node in order:
            g = gradients.pop(node)
            if g is None:
                continue
            if node in targets:
                results[node] = g
            # a node whose parents no input is reached through keeps its residuals
            if needed is None or not needed.isdisjoint(node.parents):
                _propagate(node, g, needed, gradients)
                if not retain_graph:
                    node.release()
        return gradients.remaining() | results
    finally:
        is_recording.set(recording)


def _toposort(
    roots: Sequence[Node], inputs: Sequence[Vertex] | None, ends: Collection[Vertex]
) -> tuple[list[Node], set[Any] | None]:
    """Return the nodes from the roots to the ends, newest first, and the needed vertices.

    Needed are inputs, and nodes through which one is reached; None: all.
    """
    seen = set(roots)
    stack = list(roots)
    while stack:
        for parent in stack.pop().parents:
            if isinstance(parent, Node) and parent not in seen and parent not in ends:
                seen.add(parent)
                stack.append(parent)
    order = sorted(seen, key=_sequence, reverse=True)
    if inputs is None:
        return order, None
    needed: set[Any] = set(inputs)
    for node in reversed(order):
        # a freed node is visited, to say so
        if node.residuals is None or not needed.isdisjoint(node.parents):
            needed.add(node)
    return [node for node in order if node in needed], needed


def _propagate(node: Node, g: Any, needed: set[Any] | None, gradients: Gradients) -> None:
    """Add the gradients of a node's operands, given that of its output."""
    parents = node.parents
    residuals = node.residuals
    searching = is_searching_nan.get()
    if HOOKS:
        results = call_hooked(node.name, "backward", node.vjp, g, needed, gradients.records)
    else:
        results = node.vjp(g, needed, gradients.records)
    for number, result in enumerate(results):
        parent = parents[number]
        if result is None or parent is None or (needed is not None and parent not in needed):
            continue
        gradient = result
        scattered = False
        if (
            type(result) is not _HOST
            or result.dtype is not parent.dtype
            or result.shape != parent.shape
        ):
            scattered = isinstance(result, Scattered)
            gradient = result if scattered else _unbroadcast(result, node, number, parent)
        if searching:
            rule = f"the rule of {node.name!r} (forward at {node.site}) for operand {number}"
            check_finite(unwrap(gradient.values if scattered else gradient), rule)
        if scattered:
            gradients.add_scattered(parent, gradient)
        else:
            gradients.add(parent, gradient, g, residuals)


def _unbroadcast(gradient: Any, node: Node, number: int, parent: Vertex) -> Any:
    """Return a gradient in its operand's shape and dtype; the only place to undo broadcasting."""
    shape = parent.shape
    if not hasattr(gradient, "shape") or not hasattr(gradient, "dtype"):
        raise refusals.kind_of_gradient(node.primitive, number, shape, gradient)
    if gradient.shape != shape:
        if not node.primitive.broadcasts:
            raise refusals.shape_of_gradient(node.primitive, number, shape, gradient.shape)
        gradient = sum_to(gradient, shape)
    return gradient if gradient.dtype == parent.dtype else gradient.astype(parent.dtype)


def sum_to(x: Any, shape: Shape) -> Any:
    """Sum an array or Tensor over the axes along which `shape` was broadcast to its shape."""
    extra = len(x.shape) - len(shape)
    if 1 not in shape:
        return x.sum(axis=tuple(range(extra))) if extra else x
    repeated = [i + extra for i, n in enumerate(shape) if n == 1 and x.shape[i + extra] != 1]
    axes = (*range(extra), *repeated)
    return (x.sum(axis=axes, keepdims=True) if axes else x).reshape(shape)


def grad(
    output: Tensor,
    inputs: Tensor | Sequence[Tensor],
    *,
    gradient: Array | float | None = None,
    create_graph: bool = False,
    retain_graph: bool | None = None,
) -> tuple[Tensor | None, ...]:
    """Return the gradients of `output` with respect to `inputs`; changes no `.grad`.

    Parameters
    ----------
    output
        A Tensor that requires grad; a scalar, unless `gradient` is given.
    inputs
        A Tensor or a sequence of Tensors; leaves or results on the way.
    gradient
        What multiplies the Jacobian from the left; same shape as `output`. Default:
        one, for a scalar.
    create_graph
        Record the computation of the gradients, so that they can be differentiated again.
    retain_graph
        Keep what the graph retains, for another backward through it. Default: the value
        of `create_graph`.

    Returns
    -------
    tuple of Tensor or None
        None where the output does not depend on the input.

    Raises
    ------
    GradientError
        If the output does not require grad, is no scalar and comes without `gradient`,
        or its graph was freed.

    Examples
    --------
    >>> from tinygrad_ckn import Tensor, grad
    >>> x = Tensor(3.0, requires_grad=True)
    >>> (slope,) = grad(x**2, x, create_graph=True)
    >>> slope.item(), grad(slope, x)[0].item()
    (6.0, 2.0)
    """
    start = initial_gradient(output, gradient, create_graph)
    tensors = (
        [inputs] if isinstance(inputs, Variable) or not isinstance(inputs, Sequence) else inputs
    )
    for i, tensor in enumerate(tensors):
        if not isinstance(tensor, Variable) or not tensor._requires_grad:
            raise refusals.not_differentiable_input(i, tensor)
    vertices = [tensor.vertex for tensor in tensors]
    results = backpropagate(
        [(output.vertex, start)],
        vertices,
        create_graph=create_graph,
        retain_graph=create_graph if retain_graph is None else retain_graph,
    )
    return tuple(as_tensor(results.get(vertex)) for vertex in vertices)


def as_tensor(gradient: Any) -> Any:
    """Return a result of `backpropagate` as a Tensor; None stays None."""
    if gradient is None or isinstance(gradient, Variable):
        return gradient
    return Variable.wrap(gradient if is_array(gradient) else xp_of(gradient).asarray(gradient))


def initial_gradient(output: object, gradient: Any, create_graph: bool) -> Any:
    """Return the gradient to start from, checked.

    An array, or a Tensor if a graph is to be created; one for an output of one element.
    """
    if not isinstance(output, Variable) or not output._requires_grad:
        raise refusals.no_graph(output)
    if gradient is None:
        if output._data.size != 1:
            raise refusals.no_initial_gradient(output.shape)
        one = output._data.copy()
        one.fill(1)
        return Variable.wrap(one) if create_graph else one
    array = xp_of(output._data).asarray(unwrap(gradient))
    if array.shape != output.shape or array.dtype.kind not in "fiub":
        raise refusals.initial_gradient(output.shape, array)
    start = array if array.dtype == output.dtype else array.astype(output.dtype)
    if not create_graph:
        return start
    if isinstance(gradient, Variable):
        tensor: Any = gradient
        return tensor if tensor.dtype == output.dtype else tensor.astype(output.dtype)
    # it stays in the graph
    return Variable.wrap(own(start) if start is array else start)
