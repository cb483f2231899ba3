"""Adam, with weight decay in the loss (Adam) or decoupled from it (AdamW)."""

from __future__ import annotations

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Array, xp_of
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.optim.groups import Parameters
from tinygrad_ckn.optim.optimizer import Optimizer, ParameterState
from tinygrad_ckn.plain import plain_arguments


class Adam(Optimizer):
    """Adam: steps whose size does not depend on the scale of the gradient.

    Step t = 1, 2, ... of a parameter x with gradient g, with m = v = 0 at first:

        g <- g + weight_decay x
        m <- b1 m + (1 - b1) g
        v <- b2 v + (1 - b2) g^2
        x <- x - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)

    Source: Kingma & Ba 2015 (arXiv 1412.6980), algorithm 1.

    Parameters
    ----------
    params
        Tensors that require grad, or groups of them as for `Optimizer`; those with a
        constraint stay on it.
    lr
        Learning rate > 0, default 1e-3; can be assigned.
    betas
        (b1, b2), both in [0, 1); default (0.9, 0.999).
    eps
        Added to the denominator, so that the step stays bounded where the gradient is
        nearly 0; > 0, default 1e-8.
    weight_decay
        Weight of |x|^2 / 2 in the loss, >= 0; default 0.

    Raises
    ------
    ConfigError
        If the parameters cannot be trained, or an option is out of range.
    DTypeError
        If `params` are not tensors.

    Examples
    --------
    >>> x = Tensor([4.0], requires_grad=True)
    >>> optimizer = Adam([x], lr=0.5)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> round(x.item(), 6)
    3.5
    """

    moments = ("mean", "square")
    tangents = ("mean",)

    @plain_arguments
    def __init__(
        self,
        params: Parameters,
        *,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        owner = type(self).__name__
        if not isinstance(betas, tuple | list) or len(betas) != 2:
            raise ConfigError(
                f"{owner}: argument betas expected two numbers, got {betas!r}; "
                "pass for example (0.9, 0.999)"
            )
        beta1, beta2 = (
            checks.number(owner, f"betas[{i}]", beta, "a number in [0, 1)", lambda b: 0 <= b < 1)
            for i, beta in enumerate(betas)
        )
        self.betas = beta1, beta2
        checks.positive(owner, eps=eps)
        self.eps = float(eps)
        super().__init__(params, lr=lr, weight_decay=weight_decay)

    def _direction(self, gradient: Array, decay: Array | None, state: ParameterState) -> Array:
        return self._scaled(gradient if decay is None else gradient + decay, state)

    def _scaled(self, gradient: Array, state: ParameterState) -> Array:
        """Update both moments; return the mean divided by the root of the mean square.

        Both are corrected for their start at 0.
        """
        beta1, beta2 = self.betas
        steps = state["steps"]
        mean: Array = state["mean"]
        square: Array = state["square"]
        mean *= beta1
        mean += (1 - beta1) * gradient
        square *= beta2
        square += (1 - beta2) * gradient * gradient
        scale = xp_of(square).sqrt(square / (1 - beta2**steps)) + self.eps
        direction: Array = mean / (1 - beta1**steps) / scale
        return direction


class AdamW(Adam):
    """Adam with decoupled weight decay: x <- x - lr (Adam's direction + weight_decay x).

    The decay is not divided by the scale of the gradient and is not part of the moments.
    Source: Loshchilov & Hutter 2019 (arXiv 1711.05101), algorithm 2. The factor of the
    schedule and their alpha are both part of lr, so the decay is multiplied by the whole
    lr, as in PyTorch.

    Parameters
    ----------
    params, lr, betas, eps
        As for Adam.
    weight_decay
        Fraction of x that is subtracted per unit of lr, >= 0; default 0.01.

    Raises
    ------
    ConfigError
        If the parameters cannot be trained, or an option is out of range.
    DTypeError
        If `params` are not tensors.

    Examples
    --------
    >>> x = Tensor([4.0], requires_grad=True)
    >>> optimizer = AdamW([x], lr=0.5, weight_decay=0.25)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> round(x.item(), 6)
    3.0
    """

    @plain_arguments
    def __init__(
        self,
        params: Parameters,
        *,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def _direction(self, gradient: Array, decay: Array | None, state: ParameterState) -> Array:
        direction = self._scaled(gradient, state)
        if decay is not None:
            direction += decay
        return direction
