"""The instructions that compute, one line each in TABLE.

A signature has a letter per operand, result first: t is the instruction's type, w the
next wider one, s the source type of a conversion, u is u32, p a predicate.
"""

from collections.abc import Callable

import numpy as np

from tools.gpu_emulator.ptx import floats, integers
from tools.gpu_emulator.ptx.errors import NotKnown
from tools.gpu_emulator.ptx.kernel import Instruction
from tools.gpu_emulator.ptx.types import WIDER, dtype_of

ROUNDINGS = {"rn", "rz", "rm", "rp"}
INTEGER_ROUNDINGS = {"rni", "rzi", "rmi", "rpi"}


def is_float(ins: Instruction) -> bool:
    """Return whether the instruction's type is a floating-point type."""
    return ins.type[0] == "f"


def _rounding(ins: Instruction) -> str:
    return next((m for m in ins.modifiers if m in ROUNDINGS), "rn")


def _nearest(ins: Instruction) -> None:
    if _rounding(ins) != "rn":
        raise NotKnown("its rounding")


def _fma(ins: Instruction) -> Callable:
    rounding = _rounding(ins)
    if ins.type == "f32":
        return lambda a, b, c: floats.fma32(a, b, c, rounding)
    _nearest(ins)
    return floats.fma64


def _add(ins: Instruction) -> Callable:
    rounding = _rounding(ins)
    if rounding == "rn" or not is_float(ins):
        return np.add
    if ins.type == "f64":
        return lambda a, b: floats.add64(a, b, rounding)
    return lambda a, b: floats.fma32(a, np.float32(1), b, rounding)


def _subtract(ins: Instruction) -> Callable:
    if _rounding(ins) == "rn":
        return np.subtract
    add = _add(ins)
    return lambda a, b: add(a, -b)


def _multiply(ins: Instruction) -> Callable:
    if is_float(ins):
        if _rounding(ins) == "rn":
            return np.multiply
        fma = _fma(ins)
        return lambda a, b: fma(a, b, np.float32(-0.0))
    if "hi" in ins.modifiers:
        return integers.high_product
    if "wide" in ins.modifiers:
        wide = dtype_of(WIDER[ins.type])
        return lambda a, b: np.multiply(a, b, dtype=wide)
    return np.multiply


def _multiply_add(ins: Instruction) -> Callable:
    if is_float(ins):
        return _fma(ins)
    multiply = _multiply(ins)
    return lambda a, b, c: multiply(a, b) + c


def _divide(ins: Instruction) -> Callable:
    _nearest(ins)
    return np.divide if is_float(ins) else integers.divide


def _inverse(function: Callable) -> Callable[[Instruction], Callable]:
    """Return the maker of rcp or rsqrt; .approx.ftz.f64 has a low word of zeros."""

    def make(ins: Instruction) -> Callable:
        _nearest(ins)
        if ins.modifiers == ["approx", "ftz", "f64"]:
            return lambda x: floats.upper_word(function(x))
        return floats.in_double(function)

    return make


def _extreme(of_floats: Callable, of_all: Callable) -> Callable[[Instruction], Callable]:
    return lambda ins: of_floats if is_float(ins) and "NaN" not in ins.modifiers else of_all


def _always(function: Callable) -> Callable[[Instruction], Callable]:
    return lambda ins: function


def _rounded(function: Callable) -> Callable[[Instruction], Callable]:
    def make(ins: Instruction) -> Callable:
        _nearest(ins)
        return function

    return make


def _convert(ins: Instruction) -> Callable:
    *_, to, source = ins.modifiers
    target = dtype_of(to)
    integral = next((m for m in ins.modifiers if m in INTEGER_ROUNDINGS), None)
    rounding = _rounding(ins)
    if source[0] != "f" and to[0] != "f":
        return lambda x: integers.convert(x, target, "sat" in ins.modifiers)
    if to[0] != "f":
        return lambda x: floats.to_integer(x, target, integral)
    if integral:
        return {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}[integral]
    if rounding == "rn":
        return lambda x: x.astype(target)
    if to != "f32" or source in ("s64", "u64"):
        raise NotKnown("its rounding")
    return lambda x: floats.narrow(x.astype(np.float64), rounding=rounding)


def _test(ins: Instruction) -> Callable:
    tests = {"finite": np.isfinite, "infinite": np.isinf, "notanumber": np.isnan}
    tests["number"] = lambda x: ~np.isnan(x)
    return tests[ins.modifiers[0]]


def _funnel(ins: Instruction) -> Callable:
    right = "r" in ins.modifiers
    clamp = "clamp" in ins.modifiers
    return lambda a, b, amount: integers.funnel(a, b, amount, right, clamp)


TABLE: dict[str, tuple[str, Callable[[Instruction], Callable]]] = {
    "mov": ("tt", _always(lambda x: x)),
    # All kinds of memory share one range of addresses.
    "cvta": ("tt", _always(lambda x: x)),
    "cvt": ("ts", _convert),
    "selp": ("tttp", _always(lambda a, b, p: np.where(p, a, b)[()])),
    "add": ("ttt", _add),
    "sub": ("ttt", _subtract),
    "mul": ("ttt", _multiply),
    "mad": ("tttt", _multiply_add),
    "fma": ("tttt", _fma),
    "div": ("ttt", _divide),
    "sad": ("tttt", _always(lambda a, b, c: np.maximum(a, b) - np.minimum(a, b) + c)),
    "rem": ("ttt", _always(integers.remainder)),
    "abs": ("tt", _always(np.abs)),
    "neg": ("tt", _always(np.negative)),
    "min": ("ttt", _extreme(floats.minimum, np.minimum)),
    "max": ("ttt", _extreme(floats.maximum, np.maximum)),
    "sqrt": ("tt", _rounded(np.sqrt)),
    "rcp": ("tt", _inverse(lambda x: 1 / x)),
    "rsqrt": ("tt", _inverse(lambda x: 1 / np.sqrt(x))),
    "ex2": ("tt", _always(floats.in_double(np.exp2))),
    "lg2": ("tt", _always(floats.in_double(np.log2))),
    "sin": ("tt", _always(floats.in_double(np.sin))),
    "cos": ("tt", _always(floats.in_double(np.cos))),
    "tanh": ("tt", _always(floats.in_double(np.tanh))),
    "copysign": ("ttt", _always(lambda a, b: np.copysign(b, a))),
    "testp": ("pt", _test),
    "and": ("ttt", _always(np.bitwise_and)),
    "or": ("ttt", _always(np.bitwise_or)),
    "xor": ("ttt", _always(np.bitwise_xor)),
    "not": ("tt", _always(np.bitwise_not)),
    "shl": ("ttu", _always(integers.shift_left)),
    "shr": ("ttu", _always(integers.shift_right)),
    "shf": ("uuuu", _funnel),
    "bfe": ("ttuu", _always(integers.extract_bits)),
    "bfi": ("tttuu", _always(integers.insert_bits)),
    "brev": ("tt", _always(integers.reverse)),
    "popc": ("ut", _always(lambda x: np.bitwise_count(x).astype(np.uint32))),
    "clz": ("ut", _always(integers.leading_zeros)),
    "bfind": ("ut", lambda ins: lambda x: integers.highest_bit(x, "shiftamt" in ins.modifiers)),
    "prmt": ("uuuu", _always(integers.permute_bytes)),
    "lop3": ("uuuuu", _always(integers.lookup3)),
}
WEIGHTS = {
    "add": 1,
    "sub": 1,
    "mul": 1,
    "div": 1,
    "sqrt": 1,
    "rcp": 1,
    "rsqrt": 1,
    "ex2": 1,
    "lg2": 1,
    "fma": 2,
    "mad": 2,
}


def flops(ins: Instruction) -> int:
    """Return the floating-point operations of an instruction in one thread."""
    return WEIGHTS.get(ins.root, 0) if is_float(ins) else 0
