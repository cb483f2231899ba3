"""L-BFGS, on SciPy: for losses computed on all of the data, as when solving for a linear classifier."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tinygrad_ckn import checks
from tinygrad_ckn.backend import asarray, to_numpy, use, xp_of
from tinygrad_ckn.errors import ConfigError, GradientError
from tinygrad_ckn.optim.optimizer import trainable
from tinygrad_ckn.plain import plain_arguments
from tinygrad_ckn.tensor import Tensor


@dataclass(frozen=True, slots=True)
class LBFGSResult:
    """How a minimisation ended.

    Parameters
    ----------
    loss
        At the parameters as they are now.
    iterations, evaluations
        Numbers of accepted steps, and of calls of the closure.
    converged
        Whether a tolerance was met, rather than the number of iterations or the line
        search exhausted.
    message
        SciPy's account of it.
    """

    loss: float
    iterations: int
    evaluations: int
    converged: bool
    message: str


class LBFGS:
    """Minimise a loss in float64 by `scipy.optimize.minimize(method="L-BFGS-B")`; parameters keep their dtypes.

    Each `step` is a search of its own, which starts with an empty history. Source: Liu
    & Nocedal 1989 (Mathematical Programming 45); Byrd et al. 1995 (SIAM J. Sci. Comput.
    16), the code.

    Parameters
    ----------
    params
        Tensors that require grad, without constraints.
    max_iterations
        Steps of one `step`, at least 1.
    gradient_tolerance
        The largest element of the gradient that ends the search, >= 0. It also ends
        where the loss no longer changes beyond the rounding of the parameters' dtype.
    history_size
        Pairs of steps and gradient differences that are kept, at least 1.

    Attributes
    ----------
    result
        The LBFGSResult of the last `step`; None before.

    Raises
    ------
    ConfigError
        If the parameters cannot be trained or have a constraint, or an option is out of
        range.
    DTypeError
        If `params` are no tensors.

    Examples
    --------
    >>> x = Tensor([4.0, -1.0], requires_grad=True)
    >>> loss = LBFGS([x]).step(lambda: ((x - 2) ** 2).sum())
    >>> bool(loss < 1e-10), x.numpy().round(4).tolist()
    (True, [2.0, 2.0])
    """

    @plain_arguments
    def __init__(
        self,
        params: Iterable[Tensor],
        *,
        max_iterations: int = 100,
        gradient_tolerance: float = 1e-5,
        history_size: int = 10,
    ) -> None:
        self.params = trainable("LBFGS", params)
        for i, parameter in enumerate(self.params):
            constraint = getattr(parameter, "constraint", None)
            if constraint is not None:
                raise ConfigError(
                    f"LBFGS: argument params[{i}] expected a parameter without constraint, got one on "
                    f"{constraint!r}; train it with SGD or Adam"
                )
        checks.integers("LBFGS", max_iterations=max_iterations)
        self.max_iterations = int(max_iterations)
        checks.integers("LBFGS", history_size=history_size)
        self.history_size = int(history_size)
        self.gradient_tolerance = checks.number(
            "LBFGS",
            "gradient_tolerance",
            gradient_tolerance,
            "a finite number >= 0",
            lambda value: 0 <= value < math.inf,
        )
        self.result: LBFGSResult | None = None

    def step(self, closure: Callable[[], Tensor]) -> float:
        """Minimise the loss that the closure computes, and return its least value.

        The parameters end where it was least, also if the closure raises or is
        interrupted; their `grad` is None then.

        Parameters
        ----------
        closure
            Computes the loss from the parameters as they are: a Tensor of one element
            that requires grad. It is the same function each time, without dropout or
            random batches, and does not call backward.

        Raises
        ------
        GradientError
            If the closure's value cannot be differentiated, or is not finite where the
            search starts.
        """
        from scipy.optimize import minimize

        start = self._flatten([parameter.data for parameter in self.params])
        best, least = start, math.inf

        def evaluate(point: Any) -> tuple[float, Any]:
            nonlocal best, least
            self._assign(point)
            loss, gradient = self._differentiate(closure)
            if not math.isfinite(loss) and math.isinf(least):
                raise GradientError(
                    f"LBFGS.step: the closure expected to return a finite loss at the start, got {loss}"
                )
            if loss < least:
                # SciPy hands out copies
                best, least = point, loss
            return loss, gradient

        try:
            found = minimize(
                evaluate,
                start,
                jac=True,
                method="L-BFGS-B",
                options={
                    "maxiter": self.max_iterations,
                    "maxfun": 25 * self.max_iterations
                    # never the limit: a line search evaluates at most 20 times
                    + 25,
                    "maxcor": self.history_size,
                    "gtol": self.gradient_tolerance,
                    "ftol": max(float(xp_of(p.data).finfo(p.dtype).eps) for p in self.params),
                },
            )
        finally:
            self._assign(best)
            self._zero_grad()
        self.result = LBFGSResult(
            least, int(found.nit), int(found.nfev), bool(found.success), str(found.message)
        )
        return least

    def _differentiate(self, closure: Callable[[], Tensor]) -> tuple[float, Any]:
        """Return the closure's loss and its gradient (P,) at the parameters as they are."""
        self._zero_grad()
        loss = closure()
        if not isinstance(loss, Tensor):
            raise GradientError(
                f"LBFGS.step: the closure expected to return the loss as a Tensor, got {type(loss).__name__}; "
                "end it with return loss, not loss.item()"
            )
        loss.backward()
        gradients = [
            xp_of(p.data).zeros_like(p.data) if p.grad is None else p.grad.data for p in self.params
        ]
        return float(loss.item()), self._flatten(gradients)

    def _flatten(self, arrays: list[Any]) -> Any:
        """Return arrays of the parameters' shapes as one float64 vector (P,) on the host."""
        return use("cpu").xp.concatenate(
            [to_numpy(array).ravel() for array in arrays], dtype="float64"
        )

    def _assign(self, vector: Any) -> None:
        """Set the parameters from a vector (P,)."""
        begin = 0
        for parameter in self.params:
            part = vector[begin : begin + parameter.size].reshape(parameter.shape)
            parameter.set_data(asarray(part, dtype=parameter.dtype, device=parameter.device))
            begin += parameter.size

    def _zero_grad(self) -> None:
        for parameter in self.params:
            parameter.grad = None
