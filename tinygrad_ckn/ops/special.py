"""Special functions of probability and statistics, element by element, as in SciPy.

The values are SciPy's or CuPy's; the set of functions is closed, so that all have
derivatives of any order. Sources of the derivatives: NIST Digital Library of
Mathematical Functions, sections 5.15, 7.10 and 10.29.
"""

from __future__ import annotations

import math

from tinygrad_ckn import checks
from tinygrad_ckn.backend import CPU, Array, Namespace, floating, special, to_numpy
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.ops.elementwise import exp, log, sign, square
from tinygrad_ckn.primitive import primitive
from tinygrad_ckn.tensor import Tensor


def _special(xp: Namespace, name: str, x: Array | float) -> Array:
    """Return a function of SciPy or CuPy of x, in the dtype of x."""
    floats = floating(xp, x)
    return xp.asarray(getattr(special(xp), name)(floats), dtype=floats.dtype)


@primitive()
def erf(xp: Namespace, x: Array | float) -> Array:
    """Return the error function: 2/sqrt(pi) times the integral of e**-t**2 up to x.

    Parameters
    ----------
    x
        Any shape; integers become float64.

    Examples
    --------
    >>> erf(Tensor([0.0, 0.5]))
    Tensor((2,), float64, cpu) [0.         0.52049988]
    """
    return _special(xp, "erf", x)


erf.vjp(x=lambda g, x: g * (2 / math.sqrt(math.pi)) * exp(-square(x)))


@primitive()
def erfc(xp: Namespace, x: Array | float) -> Array:
    """Return 1 - erf(x), accurate for large x too.

    Parameters
    ----------
    x
        Any shape; integers become float64.

    Examples
    --------
    >>> erfc(Tensor([0.0, 0.5]))
    Tensor((2,), float64, cpu) [1.         0.47950012]
    """
    return _special(xp, "erfc", x)


erfc.vjp(x=lambda g, x: g * (-2 / math.sqrt(math.pi)) * exp(-square(x)))


@primitive()
def erfinv(xp: Namespace, x: Array | float) -> Array:
    """Return the inverse of `erf`; infinite at -1 and 1, NaN beyond.

    Parameters
    ----------
    x
        Any shape; integers become float64.

    Examples
    --------
    >>> erfinv(Tensor([0.0, 0.5]))
    Tensor((2,), float64, cpu) [0.         0.47693628]
    """
    return _special(xp, "erfinv", x)


erfinv.vjp(x=lambda g, y: g * (math.sqrt(math.pi) / 2) * exp(square(y)))


@primitive()
def ndtr(xp: Namespace, x: Array | float) -> Array:
    """Return the probability that a standard normal variable is at most x.

    Parameters
    ----------
    x
        Any shape; integers become float64.

    Examples
    --------
    >>> ndtr(Tensor([0.0, 1.0]))
    Tensor((2,), float64, cpu) [0.5        0.84134475]
    """
    return _special(xp, "ndtr", x)


ndtr.vjp(x=lambda g, x: g * (1 / math.sqrt(2 * math.pi)) * exp(-0.5 * square(x)))


@primitive()
def logit(xp: Namespace, x: Array | float) -> Array:
    """Return log(x / (1 - x)), the inverse of `sigmoid`; NaN outside [0, 1].

    Parameters
    ----------
    x
        Any shape; integers become float64.

    Examples
    --------
    >>> logit(Tensor([0.5, 0.75]))
    Tensor((2,), float64, cpu) [0.         1.09861229]
    """
    return _special(xp, "logit", x)


logit.vjp(x=lambda g, x: g / (x * (1 - x)))


@primitive()
def gammaln(xp: Namespace, x: Array | float) -> Array:
    """Return the logarithm of |gamma(x)|; infinite at 0, -1, -2 ...

    Parameters
    ----------
    x
        Any shape; integers become float64.

    Examples
    --------
    >>> gammaln(Tensor([1.0, 4.0]))
    Tensor((2,), float64, cpu) [0.         1.79175947]
    """
    return _special(xp, "gammaln", x)


gammaln.vjp(x=lambda g, x: g * digamma(x))


@primitive()
def digamma(xp: Namespace, x: Array | float) -> Array:
    """Return the derivative of `gammaln`.

    Parameters
    ----------
    x
        Any shape; integers become float64.

    Examples
    --------
    >>> digamma(Tensor([1.0, 4.0]))
    Tensor((2,), float64, cpu) [-0.57721566  1.25611767]
    """
    return _special(xp, "digamma", x)


digamma.vjp(x=lambda g, x: g * polygamma(1, x))


@primitive()
def polygamma(xp: Namespace, n: int, x: Array | float) -> Array:
    """Return the derivative of order n of `digamma`.

    Parameters
    ----------
    n
        Order, an integer >= 0.
    x
        Any shape; integers become float64.

    Raises
    ------
    ConfigError
        If n is not an integer >= 0.

    Examples
    --------
    >>> polygamma(1, Tensor([1.0, 2.0]))
    Tensor((2,), float64, cpu) [1.64493407 0.64493407]
    """
    checks.integers("polygamma", 0, n=n)
    floats = floating(xp, x)
    return xp.asarray(special(xp).polygamma(n, floats), dtype=floats.dtype)


polygamma.vjp(x=lambda g, x, n: g * polygamma(n + 1, x))


@primitive(broadcasts=True)
def xlogy(xp: Namespace, a: Array | float, b: Array | float) -> Array:
    """Return a * log(b), elementwise, and 0 where a is 0 and b is not NaN.

    Where both are 0 there is no derivative: the gradients are -inf and NaN.

    Parameters
    ----------
    a, b
        Arrays or numbers that broadcast; integers become floating.

    Examples
    --------
    >>> xlogy(Tensor([0.0, 2.0]), Tensor([0.0, 1.0]))
    Tensor((2,), float64, cpu) [0. 0.]
    """
    # SciPy's is float64 beside a number
    common = xp.result_type(a, b)
    dtype = common if common.kind == "f" else "float64"
    return xp.asarray(special(xp).xlogy(a, b), dtype=dtype)


xlogy.vjp(a=lambda g, b: g * log(b), b=lambda g, a, b: g * a / b)


@primitive()
def ive(xp: Namespace, n: int, x: Array | float) -> Array:
    """Return the modified Bessel function of the first kind of order n, times e**-|x|.

    For even n the derivative at 0, where |x| has a kink, is taken as if that of |x|
    were 0.

    Parameters
    ----------
    n
        Order, an integer >= 0.
    x
        Any shape; integers become float64.

    Raises
    ------
    ConfigError
        If n is not an integer >= 0.

    Examples
    --------
    >>> ive(1, Tensor([0.0, 2.0]))
    Tensor((2,), float64, cpu) [0.         0.21526929]
    """
    checks.integers("ive", 0, n=n)
    floats = floating(xp, x)
    functions = special(xp)
    if n < 2:
        values = (functions.i1e if n else functions.i0e)(floats)
    else:
        # CuPy has the orders 0 and 1 only
        values = special(CPU.xp).ive(n, to_numpy(floats))
    return xp.asarray(values, dtype=floats.dtype)


ive.vjp(x=lambda g, x, n: g * _ive_slope(x, n))


def _ive_slope(x: Array, n: int) -> Array:
    return 0.5 * (ive(abs(n - 1), x) + ive(n + 1, x)) - sign(unwrap(x)) * ive(n, x)


def i0e(x: Array | float) -> Tensor:
    """Return the modified Bessel function of order 0, times e**-|x|: `ive` of order 0.

    Parameters
    ----------
    x
        Any shape; integers become float64.

    Examples
    --------
    >>> i0e(Tensor([0.0, 2.0]))
    Tensor((2,), float64, cpu) [1.         0.30850832]
    """
    return ive(0, x)
