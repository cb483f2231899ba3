"""The types of PTX as NumPy dtypes, and literals of PTX."""

import numpy as np

from tools.gpu_emulator.ptx.errors import NotKnown

TYPES = {
    "pred": np.dtype(np.bool_),
    **{f"s{8 * size}": np.dtype(f"i{size}") for size in (1, 2, 4, 8)},
    **{f"{letter}{8 * size}": np.dtype(f"u{size}") for letter in "ub" for size in (1, 2, 4, 8)},
    **{f"f{8 * size}": np.dtype(f"f{size}") for size in (2, 4, 8)},
}
# result types of mul.wide and mad.wide
WIDER = {"s16": "s32", "u16": "u32", "s32": "s64", "u32": "u64"}


def dtype_of(name: str) -> np.dtype:
    """Return the dtype of a PTX type such as "f32"; raise NotKnown for others."""
    try:
        return TYPES[name]
    except KeyError:
        raise NotKnown(f"the type .{name}") from None


def bits(size: int) -> np.dtype:
    """Return the unsigned dtype of `size` bytes."""
    return np.dtype(f"u{size}")


def constant(word: str, dtype: np.dtype) -> np.generic:
    """Return a literal (12, 0x1F, 0f3F800000, 0d3FF0000000000000) as a scalar of `dtype`."""
    if word[:2] in ("0f", "0F"):
        return np.uint32(int(word[2:], 16)).view(dtype)
    if word[:2] in ("0d", "0D"):
        return np.uint64(int(word[2:], 16)).view(dtype)
    return integer(int(word.rstrip("U"), 0), dtype)


def integer(value: int, dtype: np.dtype) -> np.generic:
    """Return the low bits of an integer as a scalar of `dtype`."""
    if dtype == np.bool_:
        return np.bool_(value)
    return bits(dtype.itemsize).type(value & ((1 << 8 * dtype.itemsize) - 1)).view(dtype)
