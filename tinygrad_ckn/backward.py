"""The walk back through the graph: gradients of outputs with respect to leaves or results."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from operator import attrgetter
from typing import Any

from tinygrad_ckn import refusals
from tinygrad_ckn.accumulation import Gradients, RecordedGradients
from tinygrad_ckn.backend import CPU, Shape
from tinygrad_ckn.grad_mode import check_finite, is_recording, is_searching_nan
from tinygrad_ckn.graph import Node, Vertex, unwrap
from tinygrad_ckn.hooks import HOOKS, call_hooked
from tinygrad_ckn.scattered import Scattered

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
        remaining = gradients.remaining()
        return results | remaining if results else remaining
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
    for number, gradient in enumerate(results):
        parent = parents[number]
        if gradient is None or parent is None or (needed is not None and parent not in needed):
            continue
        # the type first, which is faster to compare
        if type(gradient) is not _HOST and isinstance(gradient, Scattered):
            gradients.add_scattered(parent, gradient)
            values = gradient.values
        else:
            values = gradient
            if (
                type(values) is not _HOST
                or values.dtype is not parent.dtype
                or values.shape != parent.shape
            ):
                values = _unbroadcast(values, node, number, parent)
            gradients.add(parent, values, g, residuals)
        if searching:
            rule = f"the rule of {node.name!r} (forward at {node.site}) for operand {number}"
            check_finite(unwrap(values), rule)


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
