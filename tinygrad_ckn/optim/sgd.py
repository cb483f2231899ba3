"""Stochastic gradient descent, with and without momentum."""

from __future__ import annotations

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.optim.groups import Parameters
from tinygrad_ckn.optim.optimizer import Optimizer, ParameterState
from tinygrad_ckn.plain import plain_arguments


class SGD(Optimizer):
    """Stochastic gradient descent with momentum.

    A step of a parameter x with gradient g, with v = 0 at first:

        g <- g + weight_decay x
        v <- momentum v + g
        x <- x - lr v                    or, with `nesterov`, x - lr (g + momentum v)

    Source: Sutskever et al. 2013 (ICML), eqs. 1-4, in the variables of PyTorch: v is
    divided by -lr, so that a new learning rate takes effect immediately, and x is the
    lookahead point of Nesterov's method.

    Parameters
    ----------
    params
        Tensors that require grad, or groups of them as for `Optimizer`; those with a
        constraint stay on it.
    lr
        Learning rate > 0; can be assigned.
    momentum
        In [0, 1); default 0.
    weight_decay
        Weight of |x|^2 / 2 in the loss, >= 0; default 0.
    nesterov
        Whether to use Nesterov's momentum, which requires momentum > 0; default False.

    Raises
    ------
    ConfigError
        If the parameters cannot be trained, or an option is out of range.
    DTypeError
        If `params` are not tensors.

    Examples
    --------
    >>> x = Tensor([4.0], requires_grad=True)
    >>> optimizer = SGD([x], lr=0.25)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> x.item()
    2.0
    """

    @plain_arguments
    def __init__(
        self,
        params: Parameters,
        *,
        lr: float,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        self.momentum = checks.number(
            "SGD", "momentum", momentum, "a number in [0, 1)", lambda m: 0 <= m < 1
        )
        self.nesterov = nesterov
        if nesterov and not momentum:
            raise ConfigError(
                "SGD: argument momentum expected > 0 with nesterov=True, got 0; pass momentum=0.9"
            )
        self.moments = self.tangents = ("momentum",) if momentum else ()
        super().__init__(params, lr=lr, weight_decay=weight_decay)

    def _direction(self, gradient: Array, decay: Array | None, state: ParameterState) -> Array:
        if decay is not None:
            gradient = gradient + decay
        if not self.momentum:
            return gradient
        velocity: Array = state["momentum"]
        velocity *= self.momentum
        velocity += gradient
        return gradient + self.momentum * velocity if self.nesterov else velocity
