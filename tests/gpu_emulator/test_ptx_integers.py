"""Single integer instructions against Python's integers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.gpu_emulator.ptx import NotKnown
from tools.gpu_emulator.ptx.types import TYPES
from tools.gpu_emulator.single_instruction import columns, one


def amounts(count, most):
    """Draw bit positions, some of them too large."""
    return st.binary(min_size=count, max_size=count).map(
        lambda b: np.frombuffer(b, "u1").astype("u4") % (most + 1)
    )


def wrapped(value, kind):
    """Return the low bits of an integer in the given type."""
    bits = int(kind[1:])
    value &= (1 << bits) - 1
    return value - (1 << bits) if kind[0] == "s" and value >> bits - 1 else value


def truncated(a, b):
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def clamped(a, kind):
    return min(max(a, int(np.iinfo(TYPES[kind]).min)), int(np.iinfo(TYPES[kind]).max))


BINARY = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul.lo": lambda a, b: a * b,
    "min": min,
    "max": max,
}
ALL = ("s16", "u16", "s32", "u32", "s64", "u64")
WIDE = (("s16", "s32"), ("u16", "u32"), ("s32", "s64"), ("u32", "u64"))
CASES = [
    *((f"{op}.{kind}", kind, (kind, kind), f) for op, f in BINARY.items() for kind in ALL),
    *((f"{op}.b{bits}", f"u{bits}", (f"u{bits}",) * 2, f) for bits in (16, 32, 64) for op, f in
      (("and", lambda a, b: a & b), ("or", lambda a, b: a | b), ("xor", lambda a, b: a ^ b))),
    *((f"mul.hi.{k}", k, (k, k), lambda a, b, n=int(k[1:]): a * b >> n) for k in ALL),
    *((f"mad.hi.{k}", k, (k,) * 3, lambda a, b, c: (a * b >> 32) + c) for k in ("s32", "u32")),
    *((f"mad.lo.{k}", k, (k,) * 3, lambda a, b, c: a * b + c)
      for k in ("s32", "u32", "s64", "u64")),
    *((f"mul.wide.{k}", w, (k, k), lambda a, b: a * b) for k, w in WIDE),
    *((f"mad.wide.{k}", w, (k, k, w), lambda a, b, c: a * b + c) for k, w in WIDE[2:]),
    *((f"neg.{k}", k, (k,), lambda a: -a) for k in ("s32", "s64")),
    *((f"abs.{k}", k, (k,), abs) for k in ("s32", "s64")),
    *((f"not.b{n}", f"u{n}", (f"u{n}",), lambda a: ~a) for n in (32, 64)),
    *((f"popc.b{n}", "u32", (f"u{n}",), int.bit_count) for n in (32, 64)),
    *((f"clz.b{n}", "u32", (f"u{n}",), lambda a, n=n: n - a.bit_length()) for n in (32, 64)),
    *((f"brev.b{n}", f"u{n}", (f"u{n}",), lambda a, n=n: int(f"{a:0{n}b}"[::-1], 2))
      for n in (32, 64)),
    *((f"sad.{k}", k, (k,) * 3, lambda a, b, c: abs(a - b) + c) for k in ("s32", "u32")),
    *((f"bfind.{k}", "u32", (k,), lambda a: (a if a >= 0 else ~a).bit_length() - 1)
      for k in ALL[2:]),
    ("bfind.shiftamt.u32", "u32", ("u32",), lambda a: 32 - a.bit_length() if a else -1),
    *((f"cvt.{to}.{k}", to, (k,), lambda a: a) for to, k in
      (("s64", "s32"), ("u64", "u32"), ("u32", "u64"), ("s32", "s64"), ("s32", "s16"),
       ("u16", "u32"), ("s8", "s32"))),
    *((f"cvt.sat.{to}.{k}", to, (k,), lambda a, to=to: clamped(a, to)) for to, k in
      (("s32", "s64"), ("u32", "s32"), ("s32", "u32"), ("u64", "s32"), ("s16", "s32"),
       ("u8", "s32"))),
]  # fmt: skip


@pytest.mark.parametrize(
    ("word", "result", "sources", "oracle"), CASES, ids=[case[0] for case in CASES]
)
@given(data=st.data())
def test_results_agree_with_pythons_integers(word, result, sources, oracle, data):
    given_ = data.draw(columns(sources))
    expected = [wrapped(oracle(*map(int, row)), result) for row in zip(*given_, strict=True)]
    assert one(word, result, sources, given_).tolist() == expected


@pytest.mark.parametrize("kind", ["s32", "u32", "s64", "u64"])
@given(data=st.data())
def test_division_goes_towards_zero(kind, data):
    a, b = data.draw(columns((kind, kind)))
    b[b == 0] = 1
    rows = [(int(x), int(y)) for x, y in zip(a, b, strict=True)]
    quotients = one(f"div.{kind}", kind, (kind, kind), (a, b)).tolist()
    assert quotients == [wrapped(truncated(x, y), kind) for x, y in rows]
    assert one(f"rem.{kind}", kind, (kind, kind), (a, b)).tolist() == [
        x - y * truncated(x, y) for x, y in rows
    ]


@pytest.mark.parametrize("kind", ["b32", "b64", "s32", "s64", "u32", "u64"])
@given(data=st.data())
def test_shifts_by_the_width_and_more(kind, data):
    bits = int(kind[1:])
    source = kind.replace("b", "u")
    (a,) = data.draw(columns((source,)))
    n = data.draw(amounts(len(a), 80))
    left = kind[0] == "b"
    expected = [
        int(x) << int(s) if left else int(x) >> min(int(s), bits) for x, s in zip(a, n, strict=True)
    ]
    result = one(f"{'shl' if left else 'shr'}.{kind}", source, (source, "u32"), (a, n)).tolist()
    assert result == [wrapped(x, source) for x in expected]


@pytest.mark.parametrize("kind", ["u32", "s32", "u64", "s64"])
@given(data=st.data())
def test_fields_of_bits(kind, data):
    bits = int(kind[1:])
    a, b = data.draw(columns((kind, kind)))
    start, length = data.draw(amounts(len(a), 70)), data.draw(amounts(len(a), 70))

    # pseudocode of the PTX manual
    def extracted(x, s, n):
        digits = x & ((1 << bits) - 1)
        sign = 0 if kind[0] == "u" or n == 0 else digits >> min(s + n - 1, bits - 1) & 1
        return wrapped(
            sum(
                (digits >> s + i & 1 if i < n and s + i < bits else sign) << i for i in range(bits)
            ),
            kind,
        )

    rows = [tuple(map(int, row)) for row in zip(a, b, start, length, strict=True)]
    result = one(f"bfe.{kind}", kind, (kind, "u32", "u32"), (a, start, length)).tolist()
    assert result == [extracted(x, s, n) for x, _, s, n in rows]
    if kind[0] == "u":
        masks = [((1 << min(n, bits)) - 1) << s & ((1 << bits) - 1) for _, _, s, n in rows]
        expected = [
            y & ~mask | x << s & mask for (x, y, s, _), mask in zip(rows, masks, strict=True)
        ]
        assert (
            one(f"bfi.b{bits}", kind, (kind, kind, "u32", "u32"), (a, b, start, length)).tolist()
            == expected
        )


@given(columns(("u32",) * 3), st.integers(0, 255))
def test_bytes_bits_and_funnels(drawn, table):
    a, b, c = drawn
    rows = [tuple(map(int, row)) for row in zip(a, b, c, strict=True)]

    def chosen(x, y, selector, i):
        byte = (y << 32 | x) >> (selector >> 4 * i & 7) * 8 & 255
        return 255 * (byte >> 7) if selector >> 4 * i & 8 else byte

    expected = [sum(chosen(x, y, s, i) << 8 * i for i in range(4)) for x, y, s in rows]
    assert one("prmt.b32", "u32", ("u32",) * 3, drawn).tolist() == expected

    def looked_up(x, y, z, i):
        return table >> (4 * (x >> i & 1) + 2 * (y >> i & 1) + (z >> i & 1)) & 1

    expected = [sum(looked_up(*row, i) << i for i in range(32)) for row in rows]
    assert one("lop3.b32", "u32", ("u32",) * 3, drawn, literal=str(table)).tolist() == expected

    for direction, mode in (("l", "wrap"), ("l", "clamp"), ("r", "wrap"), ("r", "clamp")):
        amount = [z & 31 if mode == "wrap" else min(z, 32) for *_, z in rows]
        both = [y << 32 | x for x, y, _ in rows]
        shifted = [
            v << n >> 32 if direction == "l" else v >> n for v, n in zip(both, amount, strict=True)
        ]
        result = one(f"shf.{direction}.{mode}.b32", "u32", ("u32",) * 3, drawn).tolist()
        assert result == [v & 0xFFFFFFFF for v in shifted]


@pytest.mark.parametrize("kind", ["s32", "u32", "s64", "u64"])
@given(data=st.data())
def test_comparisons(kind, data):
    a, b = data.draw(columns((kind, kind)))
    b[::3] = a[::3]
    names = ("eq", "ne", "lt", "le", "gt", "ge") + (
        ("lo", "ls", "hi", "hs") if kind[0] == "u" else ()
    )
    same = {"lo": "lt", "ls": "le", "hi": "gt", "hs": "ge"}
    for name in names:
        expected = [
            getattr(int, f"__{same.get(name, name)}__")(int(x), int(y))
            for x, y in zip(a, b, strict=True)
        ]
        assert one(f"setp.{name}.{kind}", "u32", (kind, kind), (a, b)).tolist() == expected


def test_unsupported_instructions_are_named_with_their_line():
    with pytest.raises(
        NotKnown,
        match=r"the opcode; `vadd4.s32.s32 %r32_2, %r32_0, %r32_1` \(PTX line 2\d\) of one",
    ):
        one("vadd4.s32.s32", "s32", ("s32", "s32"), (np.zeros(1, "i4"), np.zeros(1, "i4")))
    with pytest.raises(NotKnown, match=r"the type .bf16"):
        one("cvt.rn.bf16.s32", "s32", ("s32",), (np.zeros(1, "i4"),))
