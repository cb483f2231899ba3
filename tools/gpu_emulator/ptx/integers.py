"""Integer operations of PTX that NumPy lacks or defines differently.

All functions take and return NumPy arrays or scalars and are independent of
instructions.
"""

import numpy as np

from tools.gpu_emulator.ptx.types import bits


def shift_left(a, amount):
    """Return a << amount; zero if `amount` is the width or more."""
    width = 8 * a.dtype.itemsize
    shifted = a << np.minimum(amount, width - 1).astype(a.dtype)
    return np.where(amount < width, shifted, a.dtype.type(0))


def shift_right(a, amount):
    """Return a >> amount; all sign bits (or zeros) if `amount` is the width or more."""
    width = 8 * a.dtype.itemsize
    shifted = a >> np.minimum(amount, width - 1).astype(a.dtype)
    return shifted if a.dtype.kind == "i" else np.where(amount < width, shifted, a.dtype.type(0))


def funnel(low, high, amount, right, clamp):
    """Return 32 bits of high:low shifted, as shf.l and shf.r do."""
    amount = np.minimum(amount, 32) if clamp else amount & 31
    both = (high.astype(np.uint64) << np.uint64(32)) | low
    amount = np.asarray(amount).astype(np.uint64)
    return (both >> amount if right else (both << amount) >> np.uint64(32)).astype(np.uint32)


def high_product(a, b):
    """Return the upper half of a * b."""
    size = a.dtype.itemsize
    if size < 8:
        wide = np.dtype(f"{a.dtype.kind}{2 * size}")
        return (a.astype(wide) * b.astype(wide) >> wide.type(8 * size)).astype(a.dtype)
    x = a.view(np.uint64)
    y = b.view(np.uint64)
    half = np.uint64(32)
    low = np.uint64(0xFFFFFFFF)
    x0 = x & low
    x1 = x >> half
    y0 = y & low
    y1 = y >> half
    middle = x1 * y0 + (x0 * y0 >> half)
    other = x0 * y1 + (middle & low)
    high = (x1 * y1 + (middle >> half) + (other >> half)).view(a.dtype)
    if a.dtype.kind == "i":
        high = high - np.where(a < 0, b, 0) - np.where(b < 0, a, 0)
    return high.astype(a.dtype)


def divide(a, b):
    """Return a / b rounded towards zero; all ones for a divisor of zero."""
    safe = np.where(b == 0, b.dtype.type(1), b)
    quotient = a // safe
    # NumPy rounds down.
    if a.dtype.kind == "i":
        quotient = quotient + ((quotient * safe != a) & ((a < 0) != (safe < 0)))
    return np.where(b == 0, a.dtype.type(0) - a.dtype.type(1), quotient).astype(a.dtype)


def remainder(a, b):
    """Return the remainder of `divide`, with the sign of `a`; `a` for a divisor of zero."""
    return np.where(b == 0, a, a - divide(a, b) * b).astype(a.dtype)


def extract_bits(a, start, length):
    """Return bits `start` to `start + length` of `a`: bfe."""
    width = 8 * a.dtype.itemsize
    start = np.minimum(start & 255, width)
    length = length & 255
    unsigned = a.view(bits(a.dtype.itemsize))
    field = shift_right(unsigned, start) & low_ones(length, unsigned.dtype)
    if a.dtype.kind == "u":
        return field
    last = np.minimum(start.astype(np.int64) + length - 1, width - 1)
    sign = (shift_right(unsigned, np.maximum(last, 0).astype(np.uint32)) & 1).astype(bool) & (
        length > 0
    )
    valid = np.minimum(length, width - start)
    return (
        np.where(sign, field | ~low_ones(valid, unsigned.dtype), field)
        .astype(unsigned.dtype)
        .view(a.dtype)
    )


def insert_bits(a, b, start, length):
    """Return `b` with bits `start` to `start + length` replaced by the lowest of `a`: bfi."""
    start = start & 255
    length = length & 255
    mask = shift_left(low_ones(length, a.dtype), start)
    return (b & ~mask) | (shift_left(a, start) & mask)


def low_ones(count, dtype):
    """Return a word with the `count` lowest bits set, all if `count` exceeds the width."""
    return shift_left(dtype.type(1), count) - dtype.type(1)


def permute_bytes(a, b, selector):
    """Return four bytes of b:a selected by the four nibbles of `selector`.

    Bit 3 of a nibble repeats the byte's sign bit instead.
    """
    both = (b.astype(np.uint64) << np.uint64(32)) | a
    result = np.uint32(0)
    for i in range(4):
        nibble = (selector >> np.uint32(4 * i)) & 15
        byte = ((both >> ((nibble & 7) * 8).astype(np.uint64)) & np.uint64(255)).astype(np.uint32)
        byte = np.where(nibble & 8, np.where(byte & 128, np.uint32(255), np.uint32(0)), byte)
        result = result | (byte << np.uint32(8 * i))
    return result


def lookup3(a, b, c, table):
    """Return the bitwise function of three words whose truth table is `table`."""
    result = a & 0
    for i in range(8):
        if table >> i & 1:
            result = result | ((a if i & 4 else ~a) & (b if i & 2 else ~b) & (c if i & 1 else ~c))
    return result


def reverse(a):
    """Return the bits of `a` in reverse order."""
    result = a & 0
    for i in range(8 * a.dtype.itemsize):
        result = (result << 1) | ((a >> a.dtype.type(i)) & 1)
    return result


def leading_zeros(a):
    """Return the number of zeros above the highest set bit, as uint32."""
    count = np.zeros(np.shape(a), np.uint32)
    for i in range(8 * a.dtype.itemsize):
        count = count + ((a >> a.dtype.type(i)) == 0)
    return count.astype(np.uint32)


def highest_bit(a, from_top):
    """Return the position of the highest bit that differs from the sign, as uint32.

    If there is none, the result is all ones.
    """
    a = a ^ (a >> a.dtype.type(8 * a.dtype.itemsize - 1)) if a.dtype.kind == "i" else a
    zeros = leading_zeros(a.view(bits(a.dtype.itemsize)))
    position = zeros if from_top else np.uint32(8 * a.dtype.itemsize - 1) - zeros
    return np.where(a == 0, np.uint32(0xFFFFFFFF), position)


def convert(x, dtype, saturating):
    """Return integers as another type: their low bits, or the nearest value if saturating."""
    if saturating:
        source = np.iinfo(x.dtype)
        target = np.iinfo(dtype)
        x = np.clip(x, max(source.min, target.min), min(source.max, target.max))
    return x.astype(dtype)
