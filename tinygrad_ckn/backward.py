"""The walk back through the graph: gradients of outputs with respect to leaves, or to anything on the way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

from tinygrad_ckn.backend import CPU, Shape, is_array, xp_of
from tinygrad_ckn.errors import GradientError
from tinygrad_ckn.grad_mode import is_recording, is_searching_nan
from tinygrad_ckn.graph import Edge, Node, Variable, check_finite, unwrap
from tinygrad_ckn.ownership import own
from tinygrad_ckn.scattered import Pending, Scattered

_sequence = attrgetter("sequence")
_HOST: Any = CPU.array_type


def _history(
    roots: Sequence[Node], inputs: Sequence[Edge] | None, partial: bool
) -> tuple[list[Node], set[Any] | None]:
    """Return the nodes under the roots, newest first, and those edges among them that lead to `inputs` (None: all)."""
    seen = set(roots)
    stack = list(roots)
    ends = set(inputs or ()) if partial else set()
    while stack:
        for edge in stack.pop().edges:
            if isinstance(edge, Node) and edge not in seen and not (ends and edge in ends):
                seen.add(edge)
                stack.append(edge)
    order = sorted(seen, key=_sequence, reverse=True)
    if inputs is None:
        return order, None
    wanted: set[Any] = set(inputs)
    for node in reversed(order):
        if node.kept is None or any(edge in wanted for edge in node.edges):
            # a freed node is visited, to say so
            wanted.add(node)
    return [node for node in order if node in wanted], wanted


def sum_to(x: Any, shape: Shape) -> Any:
    """Sum an array or Tensor over the axes along which `shape` was broadcast to its shape."""
    extra = len(x.shape) - len(shape)
    if 1 not in shape:
        return x.sum(axis=tuple(range(extra))) if extra else x
    axes = (
        *range(extra),
        *(i + extra for i, n in enumerate(shape) if n == 1 and x.shape[i + extra] != 1),
    )
    return (x.sum(axis=axes, keepdims=True) if axes else x).reshape(shape)


def _fit(gradient: Any, node: Node, number: int, edge: Edge) -> Any:
    """Return the gradient in its operand's shape and dtype; the one place where broadcasting is undone."""
    if gradient.shape != edge.shape:
        if not node.primitive.broadcasts:
            raise GradientError(
                f"{node.name}: the rule of argument {node.primitive.label(number)} expected to return a gradient of "
                f"the argument's shape {edge.shape}, got {gradient.shape}"
            )
        gradient = sum_to(gradient, edge.shape)
    return gradient if gradient.dtype == edge.dtype else gradient.astype(edge.dtype)


def _shares(gradient: Any, g: Any, kept: Iterable[Any]) -> bool:
    """Tell whether a rule's result may be somebody else's memory: that of g, of a view, or of what was retained."""
    if gradient is g or getattr(gradient, "base", None) is not None:
        return True
    for value in kept:
        if value is gradient:
            return True
    return False


def _add(gradients: dict[Edge, Any], edge: Edge, gradient: Any, owned: set[Edge] | None) -> None:
    """Add another gradient at an edge, in place where its buffer is in `owned`; None: nothing is."""
    if owned is None:
        if isinstance(gradients[edge], Pending):
            gradients[edge].add(gradient)
        else:
            gradients[edge] = gradients[edge] + gradient
    elif edge in owned:
        gradients[edge] += gradient
    else:
        gradients[edge] = gradients[edge] + gradient
        owned.add(edge)


def _add_scattered(
    gradients: dict[Edge, Any], edge: Edge, gradient: Scattered, owned: set[Edge] | None
) -> None:
    """Add a gradient that is zero but at an index; the buffer that it is added to is owned from then on."""
    before = gradients.get(edge)
    if owned is None:
        if not isinstance(before, Pending):
            gradients[edge] = Pending(before)
        gradients[edge].add(gradient)
        return
    # of 0-d arrays NumPy makes scalars
    if edge not in owned or not is_array(before):
        xp = xp_of(gradient.values)
        gradients[edge] = (
            xp.zeros(edge.shape, dtype=edge.dtype) if before is None else xp.array(before)
        )
        owned.add(edge)
    gradient.add_to(gradients[edge])


def _summed(gradient: Any) -> Any:
    return gradient.sum() if isinstance(gradient, Pending) else gradient


def backpropagate(
    roots: Sequence[tuple[Edge, Any]],
    inputs: Sequence[Edge] | None = None,
    *,
    create_graph: bool = False,
    retain_graph: bool = False,
    partial: bool = False,
) -> dict[Edge, Any]:
    """Return the gradient of sum <output, gradient> over `roots` (pairs of the two), for `inputs` or for all leaves.

    With `partial` the walk ends at the inputs: what one has on another does not count.
    The gradients are raw arrays, or Tensors under `create_graph`. What is returned
    never shares memory with the gradients that were given.
    """
    targets = set(inputs or ())
    order, wanted = _history([edge for edge, _ in roots if isinstance(edge, Node)], inputs, partial)
    gradients: dict[Edge, Any] = {}
    owned: set[Edge] | None = (
        None if create_graph else set()
    )  # where a gradient is a buffer, to be added to in place
    results: dict[Edge, Any] = {}

    for root, gradient in roots:
        if root in gradients:
            _add(gradients, root, gradient, owned)
        else:
            goes_out = not create_graph and (isinstance(root, Variable) or root in targets)
            gradients[root] = gradient.copy() if goes_out else gradient
    # all before any is used up
    for node in order:
        if node.kept is None or node.versions:
            node.check_retained()
    recording = is_recording.get()
    is_recording.set(create_graph)
    try:
        for node in order:
            g = _summed(gradients.pop(node, None)) if create_graph else gradients.pop(node, None)
            if g is None:
                continue
            if node in targets:
                results[node] = g
            if wanted is not None and not any(edge in wanted for edge in node.edges):
                # nothing before it is asked for, so its part of the graph stays
                continue
            _pass_on(g, node, wanted, gradients, owned, targets)
            if not retain_graph:
                node.release()
        if create_graph:
            gradients = {edge: _summed(gradient) for edge, gradient in gradients.items()}
    finally:
        is_recording.set(recording)
    return results | gradients if results else gradients


def _pass_on(
    g: Any,
    node: Node,
    wanted: set[Any] | None,
    gradients: dict[Edge, Any],
    owned: set[Edge] | None,
    targets: set[Edge],
) -> None:
    """Pull the gradient of a node's output through its rules, and add what comes to the gradients at its edges."""
    edges, kept, searching = node.edges, node.kept or (), is_searching_nan.get()
    for number, pulled in enumerate(node.pull(g, wanted, owned is None)):
        if pulled is None:
            continue
        edge = edges[number]
        if edge is None or (wanted is not None and edge not in wanted):
            continue
        if type(pulled) is not _HOST and isinstance(pulled, Scattered):
            if searching:
                check_finite(unwrap(pulled.values), _rule_of(node, number))
            _add_scattered(gradients, edge, pulled, owned)
            continue
        try:
            fits = pulled.shape == edge.shape and pulled.dtype is edge.dtype
        except AttributeError:
            raise GradientError(
                f"{node.name}: the rule of argument {node.primitive.label(number)} expected to return an array or a "
                f"Tensor of shape {edge.shape}, got a {type(pulled).__name__}; return an array"
            ) from None
        gradient = pulled if fits else _fit(pulled, node, number, edge)
        if searching:
            check_finite(unwrap(gradient), _rule_of(node, number))
        if edge in gradients:
            _add(gradients, edge, gradient, owned)
        elif (
            owned is not None
            and (isinstance(edge, Variable) or edge in targets)
            and _shares(gradient, g, kept)
        ):
            # for it goes out
            gradients[edge] = gradient.copy()
        else:
            gradients[edge] = gradient


def _rule_of(node: Node, number: int) -> str:
    return f"the rule of {node.name!r} (forward at {node.site}) for operand {number}"


def grad(
    output: Any,
    inputs: Any,
    *,
    gradient: Any = None,
    create_graph: bool = False,
    retain_graph: bool | None = None,
) -> tuple[Any, ...]:
    """Return the gradients of `output` with respect to each of `inputs`, without touching any `.grad`.

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
    start = seed(output, gradient, create_graph)
    inputs = (
        list(inputs)
        if isinstance(inputs, Sequence) and not isinstance(inputs, Variable)
        else [inputs]
    )
    for i, tensor in enumerate(inputs):
        if not isinstance(tensor, Variable) or not tensor._requires_grad:
            raise GradientError(
                f"grad: inputs[{i}] expected a Tensor with requires_grad=True, got {tensor!r}"
            )
    edges = [tensor._node or tensor for tensor in inputs]
    results = backpropagate(
        [(output._node or output, start)],
        edges,
        create_graph=create_graph,
        retain_graph=create_graph if retain_graph is None else retain_graph,
    )
    return tuple(as_tensor(results.get(edge)) for edge in edges)


def as_tensor(gradient: Any) -> Any:
    """Return a result of `backpropagate` as a Tensor; None stays None."""
    if gradient is None or isinstance(gradient, Variable):
        return gradient
    return Variable.wrap(gradient if is_array(gradient) else xp_of(gradient).asarray(gradient))


def seed(output: Any, gradient: Any, create_graph: bool) -> Any:
    """Return the gradient to start from, checked: an array, or a Tensor if a graph is to be created."""
    if not isinstance(output, Variable) or not output._requires_grad:
        raise GradientError(
            f"backward: expected an output that depends on a tensor with requires_grad=True, got {output!r}"
        )
    if gradient is None:
        if output._data.size != 1:
            raise GradientError(
                f"backward: argument gradient expected an array of the output's shape {output.shape}, got None, "
                "which is for outputs of one element; pass gradient= or take a .sum() first"
            )
        one = output._data.copy()
        one.fill(1)
        return Variable.wrap(one) if create_graph else one
    start = xp_of(output._data).asarray(unwrap(gradient))
    if start.shape != output.shape or start.dtype.kind not in "fiub":
        raise GradientError(
            f"backward: argument gradient expected real numbers of the output's shape {output.shape}, "
            f"got {start.dtype} of shape {start.shape}"
        )
    given = start
    start = start if start.dtype == output.dtype else start.astype(output.dtype)
    if not create_graph:
        return start
    # it stays in the graph
    if not isinstance(gradient, Variable):
        return Variable.wrap(own(start) if start is given else start)
    tensor: Any = gradient
    return tensor if tensor.dtype == output.dtype else tensor.astype(output.dtype)
