"""The largest curvature of a loss: how long a step of gradient descent may be.

Along the direction of the largest eigenvalue c of the loss's Hessian, steps of a rate
above 2 / c grow from one to the next, and with momentum m those above 2 (1 + m) / c;
the moving average of SGD makes them 1 / (1 - m) as long in the end. (Polyak 1964;
Goodfellow, Bengio & Courville 2016, Deep Learning, section 4.3.1.) Found by power
iteration (von Mises & Pollaczek-Geiringer 1929) on differences of gradients along the
manifold on which the parameters are kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from tinygrad_ckn.backend import xp_of
from tinygrad_ckn.tensor import Tensor

ITERATIONS = 8


def largest_curvature(
    objective: Callable[[], Tensor], parameters: Sequence[Any], *, step: float = 1e-3
) -> float:
    """Return the largest absolute eigenvalue of an objective's Hessian, in about one digit; 0 where it is flat.

    Parameters
    ----------
    objective
        Computes a scalar from the parameters.
    parameters
        Leaves, each on its constraint if it has one; they have their values again
        afterwards.
    step
        Length of a difference, in the norm of all parameters together.

    Examples
    --------
    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> round(largest_curvature(lambda: (x * x * np.array([0.5, 3.0])).sum(), [x]), 2)
    6.0
    """
    start = [p.data for p in parameters]
    kept = [p.grad for p in parameters]

    def gradient_at(direction: Sequence[Any], length: float) -> list[Any]:
        """Return the gradient after a step, tangent to the constraints."""
        for p, data, part in zip(parameters, start, direction, strict=True):
            moved = data if not length else data + length * part
            p.data = (
                moved if not length or _constraint(p) is None else _constraint(p).retract(moved)
            )
            p.grad = None
        objective().backward()
        return [
            _tangent(p, xp_of(p.data).zeros_like(p.data) if p.grad is None else p.grad.data)
            for p in parameters
        ]

    try:
        direction, curvature = gradient_at(start, 0.0), 0.0
        for _ in range(ITERATIONS):
            norm = _norm(direction)
            if not 0 < norm < math.inf:
                break
            direction = [(part / norm).astype(part.dtype) for part in direction]
            asynchronous, behind = gradient_at(direction, step), gradient_at(direction, -step)
            for p, data in zip(parameters, start, strict=True):
                p.data = data
            differences = zip(parameters, asynchronous, behind, strict=True)
            direction = [_tangent(p, (a - b) / (2 * step)) for p, a, b in differences]
            curvature = _norm(direction)
        return curvature
    finally:
        for p, data, gradient in zip(parameters, start, kept, strict=True):
            p.data, p.grad = data, gradient


def _constraint(parameter: Any) -> Any:
    return getattr(parameter, "constraint", None)


def _tangent(parameter: Any, gradient: Any) -> Any:
    constraint = _constraint(parameter)
    return gradient if constraint is None else constraint.tangent(parameter.data, gradient)


def _norm(arrays: Sequence[Any]) -> float:
    """Return the Euclidean norm of arrays taken together."""
    return math.sqrt(sum(float((array.astype("float64") ** 2).sum()) for array in arrays))
