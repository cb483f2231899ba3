"""Single floating-point instructions against NumPy and exact fractions."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.gpu_emulator.ptx.types import TYPES
from tools.gpu_emulator.single_instruction import columns, one

TINY = np.finfo("f4").tiny
# NumPy warns of overflows.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def flushed(x):
    return np.where(np.abs(x) < TINY, np.copysign(np.float32(0), x), x).astype("f4")


def same(a, b):
    """Compare bits; all NaN are equal."""
    word = f"u{a.dtype.itemsize}"
    np.testing.assert_array_equal(np.isnan(a), np.isnan(b))
    np.testing.assert_array_equal(
        np.where(np.isnan(a), 0, a).view(word), np.where(np.isnan(b), 0, b).view(word)
    )


PLAIN = {
    "add": (2, np.add),
    "sub": (2, np.subtract),
    "mul": (2, np.multiply),
    "div.rn": (2, np.divide),
    "sqrt.rn": (1, np.sqrt),
    "rcp.rn": (1, lambda x: (1 / x.astype("f8")).astype(x.dtype)),
    "abs": (1, np.abs),
    "neg": (1, np.negative),
}


@pytest.mark.parametrize("word", PLAIN)
@given(data=st.data())
def test_basic_operations_and_flushing(word, data):
    count, oracle = PLAIN[word]
    for kind in ("f32", "f64"):
        values = data.draw(columns((kind,) * count))
        same(one(f"{word}.{kind}", kind, (kind,) * count, values), oracle(*values))
    values = data.draw(columns(("f32",) * count))
    expected = flushed(oracle(*map(flushed, values)))
    same(one(f"{word}.ftz.f32", "f32", ("f32",) * count, values), expected)


@pytest.mark.parametrize("kind", ["f32", "f64"])
@given(data=st.data())
def test_fma_rounds_once(kind, data):
    a, b, c = data.draw(columns((kind,) * 3))
    moderate = (
        np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
        .normal(size=(2, 32))
        .astype(a.dtype)
    )
    a, b, c = (
        np.append(a, moderate[0]),
        np.append(b, moderate[1]),
        np.append(c, -moderate[0] * moderate[1]),
    )
    result = one(f"fma.rn.{kind}", kind, (kind,) * 3, (a, b, c))
    for x, y, z, r in zip(a.tolist(), b.tolist(), c.tolist(), result, strict=True):
        if not all(map(math.isfinite, (x, y, z))):
            same(np.array([r]), np.array([x * y + z], r.dtype))
        elif abs(r) < np.finfo(r.dtype).max / 2 and 2.0**-900 < abs(x * y) < 2.0**900:
            error = abs(Fraction(x) * Fraction(y) + Fraction(z) - Fraction(float(r)))
            assert error <= Fraction(float(np.spacing(np.abs(r)))) * Fraction(500001, 1000000)


DIRECTED = [
    ("add", "f32"),
    ("sub", "f32"),
    ("mul", "f32"),
    ("fma", "f32"),
    ("add", "f64"),
    ("sub", "f64"),
]


@pytest.mark.parametrize(("word", "kind"), DIRECTED)
@given(data=st.data())
def test_directed_rounding_brackets_the_exact_value(word, kind, data):
    count = 3 if word == "fma" else 2
    values = data.draw(columns((kind,) * count))
    values = [
        np.append(v, np.linspace(-3, 5, 20)[::step].astype(v.dtype))
        for v, step in zip(values, (1, -1, 1), strict=False)
    ]
    exact = {
        "add": lambda a, b: a + b,
        "sub": lambda a, b: a - b,
        "mul": lambda a, b: a * b,
        "fma": lambda a, b, c: a * b + c,
    }[word]
    down, up, zero = (
        one(f"{word}.{r}.{kind}", kind, (kind,) * count, values) for r in ("rm", "rp", "rz")
    )
    for row, low, high, near in zip(zip(*values, strict=True), down, up, zero, strict=True):
        if not np.isfinite([*row, low, high]).all():
            continue
        value = exact(*(Fraction(float(x)) for x in row))
        assert Fraction(float(low)) <= value <= Fraction(float(high))
        assert low == high == value or np.nextafter(low, low.dtype.type(np.inf)) == high
        assert near == (low if value > 0 else high)


@pytest.mark.parametrize("kind", ["f32", "f64"])
@given(data=st.data())
def test_minimum_and_maximum(kind, data):
    a, b = data.draw(columns((kind, kind)))
    for word, oracle in (("min", min), ("max", max)):
        result = one(f"{word}.{kind}", kind, (kind, kind), (a, b))
        rows = zip(a.tolist(), b.tolist(), strict=True)
        expected = [y if math.isnan(x) else x if math.isnan(y) else oracle(x, y) for x, y in rows]
        np.testing.assert_array_equal(result, np.array(expected, a.dtype))
        zeros = (a == 0) & (b == 0)
        negative = np.signbit(a) | np.signbit(b) if word == "min" else np.signbit(a) & np.signbit(b)
        np.testing.assert_array_equal(np.signbit(result)[zeros], negative[zeros])
    result = one("max.NaN.f32", "f32", ("f32", "f32"), (a.astype("f4"), b.astype("f4")))
    np.testing.assert_array_equal(
        np.isnan(result), np.isnan(a.astype("f4")) | np.isnan(b.astype("f4"))
    )


COMPARISONS = {
    "eq": "__eq__",
    "ne": "__ne__",
    "lt": "__lt__",
    "le": "__le__",
    "gt": "__gt__",
    "ge": "__ge__",
}


@pytest.mark.parametrize("name", [*COMPARISONS, *(f"{n}u" for n in COMPARISONS), "num", "nan"])
@given(data=st.data())
def test_comparisons_with_nan(name, data):
    a, b = data.draw(columns(("f64", "f64")))
    b[::3] = a[::3]
    expected = []
    for x, y in zip(a.tolist(), b.tolist(), strict=True):
        unordered = math.isnan(x) or math.isnan(y)
        ordinary = name in ("num",) or (name != "nan" and getattr(x, COMPARISONS[name[:2]])(y))
        expected.append((name == "nan" or name.endswith("u")) if unordered else ordinary)
    assert one(f"setp.{name}.f64", "u32", ("f64", "f64"), (a, b)).tolist() == expected


ROUNDED = {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}


@pytest.mark.parametrize("rounding", ROUNDED)
@pytest.mark.parametrize("target", ["s32", "u32", "s64", "u64", "s16"])
@pytest.mark.parametrize("source", ["f32", "f64"])
@given(data=st.data())
def test_floats_to_integers(source, target, rounding, data):
    (x,) = data.draw(columns((source,)))
    edges = np.append(np.arange(-3, 4) + 0.5, 2.0 ** np.array([15, 30, 31, 32, 62, 63, 64]))
    x = np.append(x, edges.astype(x.dtype))
    limits = np.iinfo(TYPES[target])
    expected = []
    for value in x.tolist():
        # the PTX manual, cvt
        if math.isnan(value):
            wide = source == "f64" or target in ("s64", "u64")
            expected.append(
                0 if not wide else limits.min if target[0] == "s" else (limits.max >> 1) + 1
            )
        elif math.isinf(value):
            expected.append(limits.max if value > 0 else limits.min)
        else:
            expected.append(min(max(int(ROUNDED[rounding](value)), limits.min), limits.max))
    assert one(f"cvt.{rounding}.{target}.{source}", target, (source,), (x,)).tolist() == expected
    same(one(f"cvt.{rounding}.{source}.{source}", source, (source,), (x,)), ROUNDED[rounding](x))


@pytest.mark.parametrize("source", ["s32", "u32", "s64", "u64"])
@given(data=st.data())
def test_integers_to_floats(source, data):
    (x,) = data.draw(columns((source,)))
    same(one(f"cvt.rn.f64.{source}", "f64", (source,), (x,)), np.array([float(int(v)) for v in x]))
    nearest = one(f"cvt.rn.f32.{source}", "f32", (source,), (x,))
    for value, result in zip(x.tolist(), nearest, strict=True):
        assert abs(Fraction(value) - Fraction(float(result))) * 2 <= Fraction(
            float(np.spacing(np.abs(result)))
        )


@given(columns(("f64",)), columns(("f32",)))
def test_widths_and_saturation(wide, narrow):
    same(one("cvt.rn.f32.f64", "f32", ("f64",), wide), wide[0].astype("f4"))
    same(one("cvt.rn.ftz.f32.f64", "f32", ("f64",), wide), flushed(wide[0].astype("f4")))
    same(one("cvt.f64.f32", "f64", ("f32",), narrow), narrow[0].astype("f8"))
    same(one("cvt.ftz.f64.f32", "f64", ("f32",), narrow), flushed(narrow[0]).astype("f8"))
    inside = np.clip(np.nan_to_num(narrow[0], nan=0.0), 0, 1)
    np.testing.assert_array_equal(one("cvt.sat.f32.f32", "f32", ("f32",), narrow), inside)
    assert one(
        "cvt.rz.f32.f64", "f32", ("f64",), (np.array([1 + 2.0**-30, -1 - 2.0**-30]),)
    ).tolist() == [1, -1]


APPROXIMATE = {
    "rcp.approx.ftz": lambda x: 1 / x,
    "sqrt.approx.ftz": np.sqrt,
    "rsqrt.approx.ftz": lambda x: 1 / np.sqrt(x),
    "ex2.approx.ftz": np.exp2,
    "lg2.approx.ftz": np.log2,
    "sin.approx.ftz": np.sin,
    "cos.approx.ftz": np.cos,
    "tanh.approx": np.tanh,
}


@pytest.mark.parametrize("word", APPROXIMATE)
@given(columns(("f32",)))
def test_approximations_are_the_nearest_float(word, drawn):
    x = drawn[0] if word == "tanh.approx" else flushed(drawn[0])
    expected = APPROXIMATE[word](x.astype("f8")).astype("f4")
    same(
        one(f"{word}.f32", "f32", ("f32",), drawn),
        expected if word == "tanh.approx" else flushed(expected),
    )


def test_approximations_in_double_have_a_low_word_of_zeros():
    x = np.array([0.3, 7.0, 1e200])
    for word, oracle in (("rcp.approx.ftz.f64", 1 / x), ("rsqrt.approx.ftz.f64", 1 / np.sqrt(x))):
        result = one(word, "f64", ("f64",), (x,))
        assert not (result.view("u8") & 0xFFFFFFFF).any()
        np.testing.assert_allclose(result, oracle, rtol=2.0**-20)


@given(columns(("f32", "f32")))
def test_signs_and_kinds(drawn):
    a, b = drawn
    same(one("copysign.f32", "f32", ("f32", "f32"), (a, b)), np.copysign(b, a))
    np.testing.assert_array_equal(one("mov.b32", "u32", ("f32",), (a,)), a.view("u4"))
