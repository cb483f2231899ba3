"""`grad`, the gradients of a Tensor; where a backward starts, and what it returns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tinygrad_ckn import refusals
from tinygrad_ckn.backend import Array, is_array, xp_of
from tinygrad_ckn.backward import backpropagate
from tinygrad_ckn.graph import Variable, unwrap
from tinygrad_ckn.ownership import own

if TYPE_CHECKING:
    from tinygrad_ckn import Tensor


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
        If the output does not require grad, is not a scalar and comes without `gradient`,
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
    vertices = [tensor._vertex for tensor in tensors]
    results = backpropagate(
        [(output._vertex, start)],
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
