"""kappa and its derivative on arrays, as the fused map of a CKN layer evaluates them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from tinygrad_ckn.backend import Array, Namespace, NDArray
from tinygrad_ckn.grad_mode import enable_grad
from tinygrad_ckn.gradient import grad
from tinygrad_ckn.graph import Variable, unwrap


class DeviceFunction(NamedTuple):
    """A struct in `cuda/ckn_map.cu` that computes kappa and its derivative on a GPU.

    The struct is a function of v = scale u + shift; `order` is the degree of a
    polynomial or the order of a Matern kernel.
    """

    name: str
    order: int = 0
    scale: float = 1.0
    shift: float = 0.0


@dataclass(frozen=True, slots=True)
class Kappa:
    """A function kappa of cosines, in the form that `ops.ckn_map` takes.

    `Kappa.from_function` makes one of any differentiable function. A hand-written one
    is faster, and may be a function of v = scale u + shift, since the map computes v at
    no extra cost: exp(alpha (u - 1)) is then exp(v).

    Attributes
    ----------
    function : callable
        kappa of cosines u, elementwise, composed of operations: Tensors or arrays.
    value : callable
        `value(xp, v, out)` writes kappa to out, which may be v itself.
    value_and_slope : callable
        `value_and_slope(xp, v, values, slopes)` writes kappa to values and returns its
        derivative in v: in slopes, in values, or in new memory.
    scale, shift : float
        Coefficients of v.
    device : DeviceFunction or None
        kappa on a GPU; None: the map is composed of operations there.

    Examples
    --------
    >>> kappa = Kappa.from_function(lambda u: 1 / (2 - u))
    >>> kappa(np.array([1.0, 0.0])).tolist()
    [1.0, 0.5]
    """

    function: Callable[[Array], Array]
    value: Callable[[Namespace, Array, Array], None]
    value_and_slope: Callable[[Namespace, Array, NDArray[Any], NDArray[Any]], Array]
    scale: float = 1.0
    shift: float = 0.0
    device: DeviceFunction | None = None

    @classmethod
    def from_function(
        cls, function: Callable[[Array], Array], device: DeviceFunction | None = None
    ) -> Kappa:
        """Return the Kappa of a function of cosines, with the derivative by `grad`.

        Examples
        --------
        >>> v = np.array([1.0, 0.5])
        >>> values, slopes = np.empty_like(v), np.empty_like(v)
        >>> square = Kappa.from_function(lambda u: u * u)
        >>> square.value_and_slope(np, v, values, slopes).tolist(), values.tolist()
        ([2.0, 1.0], [1.0, 0.25])
        """
        return cls(
            function, partial(_value, function), partial(_value_and_slope, function), device=device
        )

    def __call__(self, u: Array) -> Array:
        """Return kappa of cosines u, Tensors or arrays, by `function`."""
        return self.function(u)


def _value(function: Callable[[Array], Array], xp: Namespace, v: Array, out: Array) -> None:
    # A Tensor, as below, so that kappa may use its methods.
    xp.copyto(out, unwrap(function(Variable.wrap(v))))


def _value_and_slope(
    function: Callable[[Array], Array],
    xp: Namespace,
    v: Array,
    values: NDArray[Any],
    slopes: NDArray[Any],
) -> Array:
    u = Variable.leaf(v)
    with enable_grad():
        y = function(u)
    xp.copyto(values, unwrap(y))
    if not isinstance(y, Variable) or not y._requires_grad:
        slopes.fill(0)
        return slopes
    slopes.fill(1)
    return unwrap(grad(y, u, gradient=slopes)[0])
