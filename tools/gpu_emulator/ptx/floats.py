"""Floating point as PTX defines it, where NumPy differs.

This covers flushing, rounding, fused products and conversions. All functions take and
return NumPy arrays or scalars and are independent of instructions.
"""

import numpy as np

TINY = np.finfo(np.float32).tiny


def flush(x):
    """Return float32 `x` with subnormal numbers replaced by zeros of the same sign."""
    magnitude = x.view(np.uint32) & 0x7FFFFFFF
    # Zero wraps around.
    subnormal = (magnitude - 1) < 0x7FFFFF
    return np.where(subnormal, np.copysign(np.float32(0), x), x) if subnormal.any() else x


def saturate(x):
    """Return `x` clipped to [0, 1]; NaN becomes 0."""
    one = x.dtype.type(1)
    return np.where(x > 0, np.minimum(x, one), x.dtype.type(0))


def two_sum(a, b):
    """Return a + b rounded, and the rounding error."""
    s = a + b
    v = s - a
    return s, (a - (s - v)) + (b - v)


def two_product(a, b):
    """Return a * b rounded, and the rounding error (Dekker); float64."""
    p = a * b
    # 2**27 + 1
    x = a * 134217729.0
    y = b * 134217729.0
    a_high = x - (x - a)
    b_high = y - (y - b)
    a_low = a - a_high
    b_low = b - b_high
    return p, ((a_high * b_high - p) + a_high * b_low + a_low * b_high) + a_low * b_low


def directed(y, rest, rounding):
    """Return y + rest rounded to a neighbour of y: to zero (rz), down (rm) or up (rp)."""
    above = rest < 0
    below = rest > 0
    if rounding == "rz":
        above = above & (y > 0)
        below = below & (y < 0)
    if rounding != "rp":
        y = np.where(above, np.nextafter(y, y.dtype.type(-np.inf)), y)
    return np.where(below, np.nextafter(y, y.dtype.type(np.inf)), y) if rounding != "rm" else y


def add64(a, b, rounding):
    """Return a + b in float64 with directed rounding."""
    return directed(*two_sum(a, b), rounding)


def fma64(a, b, c):
    """Return a * b + c in float64, rounded once except for rare cases in the last bit."""
    p, e = two_product(a, b)
    s, f = two_sum(p, c)
    fused = s + (e + f)
    # Splitting overflows near the largest numbers, and turns infinity into NaN.
    return np.where(np.isfinite(fused), fused, s)


def fma32(a, b, c, rounding="rn"):
    """Return a * b + c in float32.

    The sum is computed in float64, which rounds twice in about 1 of 2**29 cases.
    """
    product = np.multiply(a, b, dtype=np.float64)
    if rounding == "rn":
        return (product + c).astype(np.float32)
    return narrow(*two_sum(product, np.asarray(c, np.float64)), rounding)


def narrow(x, error=0.0, rounding="rn"):
    """Return x + error as float32, where `error` is below the last place of the float64 `x`."""
    y = x.astype(np.float32)
    return y if rounding == "rn" else directed(y, np.where(x == y, error, x - y), rounding)


def minimum(a, b):
    """Return the smaller one; a number wins over NaN, and -0 is below +0."""
    return _chosen(np.minimum, np.bitwise_or, a, b)


def maximum(a, b):
    """Return the larger one; a number wins over NaN, and +0 is above -0."""
    return _chosen(np.maximum, np.bitwise_and, a, b)


def _chosen(function, of_zeros, a, b):
    """Return `function` with PTX's results for signed zeros and NaN, which NumPy leaves open."""
    chosen = function(a, b)
    zeros = (a == 0) & (b == 0)
    if zeros.any():
        word = np.dtype(f"u{a.dtype.itemsize}")
        chosen = np.where(zeros, of_zeros(a.view(word), b.view(word)).view(a.dtype), chosen)
    if np.isnan(chosen).any():
        chosen = np.where(np.isnan(a), b, np.where(np.isnan(b), a, chosen))
    return chosen


def to_integer(x, dtype, rounding):
    """Return floats as integers, rounded (rni, rzi, rmi, rpi) and clipped to the range.

    NaN is converted as on the hardware.
    """
    rounded = {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}[rounding](x)
    limits = np.iinfo(dtype)
    inside = (rounded >= float(limits.min)) & (rounded < float(limits.max) + (dtype.itemsize < 8))
    y = np.where(inside, rounded, 0).astype(dtype)
    y = np.where(inside | np.isnan(x), y, np.where(x > 0, limits.max, limits.min).astype(dtype))
    if x.dtype.itemsize == 8 or dtype.itemsize == 8:
        indefinite = limits.min if dtype.kind == "i" else limits.max // 2 + 1
        y = np.where(np.isnan(x), dtype.type(indefinite), y)
    return y


def in_double(function):
    """Return `function` computed in float64 and rounded to the dtype of its argument."""
    return lambda x: function(x.astype(np.float64)).astype(x.dtype)


def upper_word(x):
    """Return float64 `x` with its low word zeroed, as double-precision approximations do."""
    return (x.view(np.uint64) & np.uint64(0xFFFFFFFF00000000)).view(np.float64)
