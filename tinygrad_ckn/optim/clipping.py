"""Clipping of gradients by their norm."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tinygrad_ckn import checks
from tinygrad_ckn.backend import NDArray, backend_of
from tinygrad_ckn.nn.constraint import Constraint
from tinygrad_ckn.optim.groups import trainable
from tinygrad_ckn.plain import plain_arguments
from tinygrad_ckn.tensor import Tensor


@plain_arguments
def clip_grad_norm(params: Iterable[Tensor], max_norm: float) -> NDArray[Any]:
    """Scale all gradients by one factor, so that their norm together is at most max_norm.

    The norm is that of the step: of a parameter with a constraint, such as filters on the
    sphere, only the part of the gradient in the tangent space counts. Source: R. Pascanu,
    T. Mikolov and Y. Bengio, On the difficulty of training recurrent neural networks,
    ICML 2013, arXiv 1211.5063, section 3.2. (PyTorch adds 1e-6 to the norm it divides by,
    so that its gradients are shorter by as much.)

    Parameters
    ----------
    params
        Leaf tensors that require grad, on one device; those whose `grad` is None are
        skipped.
    max_norm
        Largest Euclidean norm, > 0.

    Returns
    -------
    array
        The norm before clipping, 0-d, float64, on the device of the gradients. If it is
        NaN or infinite, so are the gradients.

    Raises
    ------
    ConfigError
        If max_norm is not a finite number > 0, or the parameters are not valid.
    DTypeError
        If `params` are not tensors.

    Examples
    --------
    >>> x = Tensor([3.0, 4.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> float(clip_grad_norm([x], 1.0)), x.grad
    (10.0, Tensor((2,), float64, cpu) [0.6 0.8])
    """
    checks.positive("clip_grad_norm", max_norm=max_norm)
    given = [p for p in trainable("clip_grad_norm", params) if p.grad is not None]
    squares: Any = 0.0
    for parameter in given:
        gradient: Any = parameter.grad
        constraint: Constraint | None = getattr(parameter, "constraint", None)
        step = gradient.data
        if constraint is not None:
            step = constraint.tangent(parameter.data, step)
        squares = squares + (step.astype("float64") ** 2).sum()
    backend = backend_of(given[0].data) if given else backend_of()
    xp = backend.xp
    norm: NDArray[Any] = xp.sqrt(xp.asarray(squares))
    # NaN and infinity stay what they are.
    too_long = ~(norm <= max_norm)
    if not backend.asynchronous and not bool(too_long):
        return norm
    factor = xp.where(too_long, max_norm / xp.where(too_long, norm, 1.0), 1.0)
    for parameter in given:
        gradient = parameter.grad
        gradient.data = gradient.data * factor.astype(gradient.dtype)
    return norm
