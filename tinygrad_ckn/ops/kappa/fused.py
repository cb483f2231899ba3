"""Each kappa with its derivative, as the fused map of a layer takes it: on arrays, into memory that is there."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, ParamSpec

from tinygrad_ckn.backend import Namespace
from tinygrad_ckn.ops.kappa.primitives import (
    arccos0_slope,
    derivative_of,
    kappa_arccos0,
    kappa_arccos1,
    kappa_exponential,
    kappa_matern,
    kappa_polynomial,
    kappa_power_series,
    matern_of,
)

P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Kappa:
    """A kappa with its derivative, as the fused map of a CKN layer takes it (`ops.ckn_map`).

    It is a function of v = scale * u + shift, for the map has v as cheaply as u:
    exp(alpha (u - 1)) is then exp(v).

    Attributes
    ----------
    of
        kappa of Tensors or arrays of cosines u, as a composition of operations.
    value
        value(xp, v, out) writes kappa to out; out may be v itself.
    slope
        slope(xp, v, value, out) returns the derivative in v, given value = kappa: value
        itself, or out with it.
    scale, shift
        Of v.
    device
        Name and order of the function in `cuda/ckn_map.cu` that is `value` and `slope`
        on a GPU; None: there is none.
    """

    of: Callable[[Any], Any]
    value: Callable[[Namespace, Any, Any], None]
    slope: Callable[[Namespace, Any, Any, Any], Any]
    scale: float = 1.0
    shift: float = 0.0
    device: tuple[str, int] | None = None
    made_by: Any = field(
        default=None, compare=False, repr=False
    )  # function, arguments, options: how it pickles

    def __reduce__(self) -> Any:
        """Pickle by how it was made, for its functions have no names; one of your own by its functions."""
        if self.made_by is not None:
            return _make, self.made_by
        return type(self), (self.of, self.value, self.slope, self.scale, self.shift, self.device)


def _make(function: Callable[..., Kappa], args: Any, options: Any) -> Kappa:
    return function(*args, **options)


def pickles(function: Callable[P, Kappa]) -> Callable[P, Kappa]:
    """Decorate a function that makes a Kappa: the Kappa pickles by it and its arguments."""

    @functools.wraps(function)
    def make(*args: P.args, **options: P.kwargs) -> Kappa:
        return replace(function(*args, **options), made_by=(make, args, options))

    return make


@pickles
def exponential(alpha: float) -> Kappa:
    """Return `kappa_exponential` of a fixed alpha: exp(v), v = alpha u - alpha, which is its own derivative.

    Examples
    --------
    >>> exponential(2.0).of(np.array([1.0, 0.5])).round(4).tolist()
    [1.0, 0.3679]
    """

    def value(xp: Namespace, v: Any, out: Any) -> None:
        xp.exp(v, out=out)

    def slope(xp: Namespace, v: Any, value: Any, out: Any) -> Any:
        return value

    return Kappa(
        lambda u: kappa_exponential(u, alpha),
        value,
        slope,
        alpha,
        -alpha,
        device=("Exponential", 0),
    )


@pickles
def linear() -> Kappa:
    """Return kappa(u) = u, of derivative 1.

    Examples
    --------
    >>> linear().of(np.array([1.0, 0.5])).tolist()
    [1.0, 0.5]
    """

    def value(xp: Namespace, v: Any, out: Any) -> None:
        xp.copyto(out, v)

    def slope(xp: Namespace, v: Any, value: Any, out: Any) -> Any:
        out[...] = 1
        return out

    return Kappa(lambda u: u, value, slope, device=("Polynomial", 1))


@pickles
def polynomial(degree: int) -> Kappa:
    """Return `kappa_polynomial` of a degree, with its derivative degree u^(degree - 1).

    Examples
    --------
    >>> polynomial(2).of(np.array([1.0, 0.5])).tolist()
    [1.0, 0.25]
    """

    def value(xp: Namespace, v: Any, out: Any) -> None:
        if degree == 2:
            xp.multiply(v, v, out=out)
        else:
            xp.power(v, degree, out=out)

    def slope(xp: Namespace, v: Any, value: Any, out: Any) -> Any:
        if degree == 2:
            return xp.multiply(v, 2, out=out)
        return xp.multiply(xp.power(v, degree - 1, out=out), degree, out=out)

    return Kappa(lambda u: kappa_polynomial(u, degree), value, slope, device=("Polynomial", degree))


@pickles
def inner_polynomial(c: float, degree: int) -> Kappa:
    """Return ((u + c) / (1 + c))^degree: `polynomial` of v = (u + c) / (1 + c).

    Examples
    --------
    >>> inner_polynomial(1.0, 2).of(np.array([1.0, 0.0])).tolist()
    [1.0, 0.25]
    """
    return replace(
        polynomial(degree),
        of=lambda u: kappa_polynomial((u + c) / (1 + c), degree),
        scale=1 / (1 + c),
        shift=c / (1 + c),
    )


@pickles
def inverse_polynomial() -> Kappa:
    """Return 1 / (2 - u), whose derivative is its square.

    Examples
    --------
    >>> inverse_polynomial().of(np.array([1.0, 0.0])).tolist()
    [1.0, 0.5]
    """

    def value(xp: Namespace, v: Any, out: Any) -> None:
        xp.reciprocal(xp.subtract(2, v, out=out), out=out)

    def slope(xp: Namespace, v: Any, value: Any, out: Any) -> Any:
        return xp.multiply(value, value, out=out)

    return Kappa(lambda u: 1 / (2 - u), value, slope, device=("InversePolynomial", 0))


@pickles
def power_series(coefficients: tuple[float, ...]) -> Kappa:
    """Return `kappa_power_series` with its derivative.

    Examples
    --------
    >>> power_series((0.5, 0.5)).of(np.array([1.0, 0.0])).tolist()
    [1.0, 0.5]
    """
    slopes = derivative_of(coefficients)

    def value(xp: Namespace, v: Any, out: Any) -> None:
        out[...] = kappa_power_series.forward(xp, v, coefficients)

    return Kappa(
        lambda u: kappa_power_series(u, coefficients),
        value,
        lambda xp, v, value, out: kappa_power_series.forward(xp, v, slopes),
    )


@pickles
def arccos0() -> Kappa:
    """Return `kappa_arccos0` with its derivative, taken as 0 at u = +-1.

    Examples
    --------
    >>> arccos0().of(np.array([1.0, 0.0])).tolist()
    [1.0, 0.5]
    """

    def value(xp: Namespace, v: Any, out: Any) -> None:
        out[...] = kappa_arccos0.forward(xp, v)

    return Kappa(
        kappa_arccos0, value, lambda xp, v, value, out: arccos0_slope(v), device=("Arccos0", 0)
    )


@pickles
def arccos1() -> Kappa:
    """Return `kappa_arccos1` with its derivative, `kappa_arccos0`.

    Examples
    --------
    >>> arccos1().of(np.array([1.0, -1.0])).tolist()
    [1.0, 0.0]
    """

    def value(xp: Namespace, v: Any, out: Any) -> None:
        out[...] = kappa_arccos1.forward(xp, v)

    return Kappa(
        kappa_arccos1,
        value,
        lambda xp, v, value, out: kappa_arccos0.forward(xp, v),
        device=("Arccos1", 0),
    )


@pickles
def matern(rate: float, order: int) -> Kappa:
    """Return `kappa_matern` as a function of v = (rate d)^2 = 2 rate^2 (1 - u), in which each is a slope of the next.

    The derivative in v is that of one order less times -1/(2 (2 order - 1)); of order 0
    it is -exp(-s)/(2 s), s^2 = v, taken as 0 at v = 0.

    Examples
    --------
    >>> matern(1.0, 0).of(np.array([1.0, 0.5])).round(4).tolist()
    [1.0, 0.3679]
    """

    def value(xp: Namespace, v: Any, out: Any) -> None:
        out[...] = matern_of(xp, xp.sqrt(xp.maximum(v, 0)), order)

    def slope(xp: Namespace, v: Any, value: Any, out: Any) -> Any:
        s = xp.sqrt(xp.maximum(v, 0, out=out), out=out)
        if order:
            return matern_of(xp, s, order - 1) * (-0.5 / (2 * order - 1))
        return xp.where(s > 0, -0.5 * value / xp.where(s > 0, s, 1), 0)

    return Kappa(
        lambda u: kappa_matern(u, rate, order),
        value,
        slope,
        -2 * rate**2,
        2 * rate**2,
        device=("Matern", order),
    )
