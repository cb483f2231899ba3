"""L-BFGS, from SciPy: for losses computed on all data, such as a linear classifier's."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tinygrad_ckn import checks
from tinygrad_ckn.backend import CPU, Array, NDArray, asarray, to_numpy, xp_of
from tinygrad_ckn.errors import ConfigError, GradientError
from tinygrad_ckn.optim.groups import trainable
from tinygrad_ckn.plain import plain_arguments
from tinygrad_ckn.tensor import Tensor


@dataclass(frozen=True, slots=True)
class LBFGSResult:
    """Result of a minimisation.

    Parameters
    ----------
    loss
        Loss at the final parameters.
    iterations, evaluations
        Numbers of accepted steps, and of calls of the closure.
    converged
        Whether a tolerance was met; False if the iterations or the line search were
        exhausted first.
    message
        Reason that SciPy gives.
    """

    loss: float
    iterations: int
    evaluations: int
    converged: bool
    message: str


class LBFGS:
    """Minimise a loss by `scipy.optimize.minimize(method="L-BFGS-B")`.

    It computes in float64; parameters keep their dtypes. Each `step` is a complete
    search, which starts with an empty history. Source: Liu & Nocedal 1989 (Mathematical
    Programming 45); Byrd et al. 1995 (SIAM J. Sci. Comput. 16) for the code.

    Parameters
    ----------
    params
        Tensors that require grad, without constraints.
    max_iterations
        Maximum number of iterations of one `step`, at least 1; default 100.
    gradient_tolerance
        The search ends when no element of the gradient is larger, >= 0; default 1e-5.
        It also ends when the loss changes by no more than the rounding of the
        parameters' dtype.
    history_size
        Number of pairs of steps and gradient differences to keep, at least 1; default
        10.

    Attributes
    ----------
    result
        LBFGSResult of the last `step`; None before the first.

    Raises
    ------
    ConfigError
        If the parameters cannot be trained or have a constraint, or an option is out of
        range.
    DTypeError
        If `params` are not tensors.

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
                    f"LBFGS: argument params[{i}] expected a parameter without constraint, "
                    f"got one on {constraint!r}; train it with SGD or Adam"
                )
        checks.integers("LBFGS", max_iterations=max_iterations, history_size=history_size)
        checks.nonnegative("LBFGS", gradient_tolerance=gradient_tolerance)
        self.max_iterations = int(max_iterations)
        self.history_size = int(history_size)
        self.gradient_tolerance = float(gradient_tolerance)
        self.result: LBFGSResult | None = None

    def step(self, closure: Callable[[], Tensor]) -> float:
        """Minimise the loss that the closure computes; return its smallest value.

        The parameters end where the loss was smallest, even if the closure raises or is
        interrupted; their `grad` is None afterwards.

        Parameters
        ----------
        closure
            Computes the loss from the current parameters: a Tensor of one element that
            requires grad. It must be the same function each time, without dropout or
            random batches, and must not call backward.

        Raises
        ------
        GradientError
            If the value of the closure cannot be differentiated, or is not finite at
            the start.
        """
        from scipy.optimize import minimize

        start = self._flatten([parameter.data for parameter in self.params])
        best = start
        smallest = math.inf

        def evaluate(point: NDArray[Any]) -> tuple[float, NDArray[Any]]:
            nonlocal best, smallest
            self._assign(point)
            loss, gradient = self._differentiate(closure)
            if not math.isfinite(loss) and math.isinf(smallest):
                raise GradientError(
                    "LBFGS.step: the closure expected to return a finite loss at the start, "
                    f"got {loss}"
                )
            if loss < smallest:
                # SciPy passes copies, so the point needs no copy here.
                best = point
                smallest = loss
            return loss, gradient

        try:
            end = minimize(
                evaluate, start, jac=True, method="L-BFGS-B", options=self._scipy_options()
            )
        finally:
            self._assign(best)
            self._zero_grad()
        self.result = LBFGSResult(
            smallest, int(end.nit), int(end.nfev), bool(end.success), str(end.message)
        )
        return smallest

    def _scipy_options(self) -> dict[str, float]:
        return {
            "maxiter": self.max_iterations,
            # Never reached: a line search evaluates at most 20 times.
            "maxfun": 25 * self.max_iterations + 25,
            "maxcor": self.history_size,
            "gtol": self.gradient_tolerance,
            "ftol": max(float(xp_of(p.data).finfo(p.dtype).eps) for p in self.params),
        }

    def _differentiate(self, closure: Callable[[], Tensor]) -> tuple[float, NDArray[Any]]:
        """Return the loss and its gradient (P,) at the current parameters."""
        self._zero_grad()
        loss = closure()
        if not isinstance(loss, Tensor):
            raise GradientError(
                "LBFGS.step: the closure expected to return the loss as a Tensor, "
                f"got {type(loss).__name__}; end it with return loss, not loss.item()"
            )
        loss.backward()
        gradients = [
            xp_of(p.data).zeros_like(p.data) if p.grad is None else p.grad.data for p in self.params
        ]
        return float(loss.item()), self._flatten(gradients)

    def _flatten(self, arrays: list[Array]) -> NDArray[Any]:
        """Return arrays of the parameters' shapes as one float64 vector (P,) on the host."""
        vectors = [to_numpy(array).ravel() for array in arrays]
        flat: NDArray[Any] = CPU.xp.concatenate(vectors, dtype="float64")
        return flat

    def _assign(self, vector: NDArray[Any]) -> None:
        """Set the parameters from a vector (P,)."""
        start = 0
        for parameter in self.params:
            part = vector[start : start + parameter.size].reshape(parameter.shape)
            parameter.set_data(asarray(part, dtype=parameter.dtype, device=parameter.device))
            start += parameter.size

    def _zero_grad(self) -> None:
        for parameter in self.params:
            parameter.grad = None
