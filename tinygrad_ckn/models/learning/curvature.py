"""The largest curvature of a loss, which limits the step of gradient descent.

Along the direction of the largest eigenvalue c of the loss's Hessian, steps with a rate
above 2 / c diverge, with momentum m those above 2 (1 + m) / c; the moving average of SGD
makes them 1 / (1 - m) as long in the end (Polyak 1964; Goodfellow, Bengio & Courville
2016, Deep Learning, section 4.3.1). It is found by power iteration (von Mises &
Pollaczek-Geiringer 1929) on differences of gradients along the manifold that the
parameters are constrained to.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from tinygrad_ckn.backend import NDArray, xp_of
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.nn import Constraint
from tinygrad_ckn.tensor import Tensor

ITERATIONS = 8


def largest_curvature(
    objective: Callable[[], Tensor], parameters: Sequence[Tensor], *, step: float = 1e-3
) -> float:
    """Return the largest absolute eigenvalue of an objective's Hessian, to about one digit.

    It is 0 if the objective is flat.

    Parameters
    ----------
    objective : callable
        Computes a scalar from the parameters.
    parameters : sequence of Tensor
        Leaves, each on its constraint if it has one; values and gradients are restored
        afterwards.
    step : float, default 1e-3
        Length of a difference, in the norm of all parameters together.

    Examples
    --------
    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> round(largest_curvature(lambda: (x * x * np.array([0.5, 3.0])).sum(), [x]), 2)
    6.0
    """
    values = [p.data for p in parameters]
    gradients = [p.grad for p in parameters]
    try:
        direction = _gradient_at(objective, parameters, values, values, 0.0)
        curvature = 0.0
        for _ in range(ITERATIONS):
            norm = _norm(direction)
            if not 0 < norm < math.inf:
                break
            direction = [(part / norm).astype(part.dtype) for part in direction]
            ahead = _gradient_at(objective, parameters, values, direction, step)
            behind = _gradient_at(objective, parameters, values, direction, -step)
            for p, value in zip(parameters, values, strict=True):
                p.data = value
            direction = [
                _tangent(p, (a - b) / (2 * step))
                for p, a, b in zip(parameters, ahead, behind, strict=True)
            ]
            curvature = _norm(direction)
        return curvature
    finally:
        for p, value, gradient in zip(parameters, values, gradients, strict=True):
            p.data, p.grad = value, gradient


def _gradient_at(
    objective: Callable[[], Tensor],
    parameters: Sequence[Tensor],
    values: Sequence[NDArray[Any]],
    direction: Sequence[NDArray[Any]],
    length: float,
) -> list[NDArray[Any]]:
    """Return the gradient, tangent to the constraints, after a step from `values`."""
    for p, value, part in zip(parameters, values, direction, strict=True):
        moved = value
        if length:
            moved = value + length * part
            constraint = _constraint(p)
            if constraint is not None:
                moved = unwrap(constraint.retract(moved))
        p.data = moved
        p.grad = None
    objective().backward()
    return [
        _tangent(p, xp_of(p.data).zeros_like(p.data) if p.grad is None else p.grad.data)
        for p in parameters
    ]


def _constraint(parameter: Tensor) -> Constraint | None:
    return getattr(parameter, "constraint", None)


def _tangent(parameter: Tensor, gradient: NDArray[Any]) -> NDArray[Any]:
    constraint = _constraint(parameter)
    return gradient if constraint is None else unwrap(constraint.tangent(parameter.data, gradient))


def _norm(arrays: Sequence[NDArray[Any]]) -> float:
    """Return the Euclidean norm of all arrays together."""
    return math.sqrt(sum(float((array.astype("float64") ** 2).sum()) for array in arrays))
