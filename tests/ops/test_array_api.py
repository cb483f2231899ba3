"""Names, signatures and values of the Array API standard against array-api-strict.

`scripts/array_api_tests.py` runs the standard's own test suite where a copy is at hand.
"""

import inspect
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_ckn import Tensor, ops

strict = pytest.importorskip(
    "array_api_strict",
    minversion="2.3",
    reason="array-api-strict 2.3 is not installed (pip install -e '.[test]')",
)
VERSION = "2024.12"

NOT_THERE = {
    "complex numbers": "complex64 complex128 fft",
    "of a later version": "broadcast_shapes",
    "of array-api-strict itself": """
        ArrayAPIStrictFlags Device __version__ get_array_api_strict_flags
        reset_array_api_strict_flags set_array_api_strict_flags
    """,
}
MATRICES = "matmul matrix_transpose tensordot vecdot".split()
# ops.linalg is the standard's extension once it names what it has.
if hasattr(ops.linalg, "__all__"):
    MATRICES += [f"linalg.{name}" for name in strict.linalg.__all__]
else:
    NOT_THERE["of the extension for linear algebra"] = "linalg matrix_transpose tensordot vecdot"
    MATRICES = ["matmul"]
LEFT_OUT = {name for names in NOT_THERE.values() for name in names.split()}
NAMES = [name for name in strict.__all__ if name not in LEFT_OUT]
FUNCTIONS = [
    name
    for name in NAMES
    if inspect.isfunction(getattr(strict, name)) and name not in (*MATRICES, "linalg")
]
# Defaults that differ, and why.
OTHER_DEFAULTS = {
    ("astype", "copy"): "Tensors are not written into, so a copy would only cost",
    ("astype", "device"): "array-api-strict has a value of its own for None",
    ("from_dlpack", "device"): "array-api-strict has a value of its own for None",
    ("from_dlpack", "copy"): "array-api-strict has a value of its own for None",
    ("std", "correction"): "None stands for ddof, which is 0 by default",
    ("var", "correction"): "None stands for ddof, which is 0 by default",
}


@pytest.fixture(autouse=True)
def _version():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        strict.set_array_api_strict_flags(api_version=VERSION)
        yield
        strict.reset_array_api_strict_flags()


def lookup(namespace, name):
    for part in name.split("."):
        namespace = getattr(namespace, part)
    return namespace


def test_all_names_exist():
    assert [name for name in NAMES if not hasattr(ops, name)] == []
    assert [name for name in LEFT_OUT & set(dir(ops)) if name != "linalg"] == []
    assert len(NAMES) > 130


def test_constants_and_dtypes_have_the_same_values():
    for name in ("e", "inf", "nan", "newaxis", "pi"):
        assert repr(getattr(ops, name)) == repr(getattr(strict, name))
    for name in ops.__array_namespace_info__().dtypes():
        assert getattr(ops, name) == getattr(strict, name)._np_dtype


@pytest.mark.parametrize("name", [*FUNCTIONS, *MATRICES])
def test_calls_that_the_standard_allows_are_allowed(name):
    theirs = inspect.signature(lookup(strict, name)).parameters
    ours = inspect.signature(lookup(ops, name)).parameters
    positions = [p for p in ours.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    several = any(p.kind is p.VAR_POSITIONAL for p in ours.values())
    number = -1
    for number, parameter in enumerate(theirs.values()):
        if parameter.kind is parameter.VAR_POSITIONAL:
            assert several
        elif parameter.kind is not parameter.KEYWORD_ONLY:
            assert several or number < len(positions), f"{parameter} by position"
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
            assert positions[number].name == parameter.name
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            assert parameter.name in ours, f"{parameter} by name"
            required = parameter.default is parameter.empty
            if not required and (name, parameter.name) not in OTHER_DEFAULTS:
                assert ours[parameter.name].default == parameter.default, parameter.name
    # and nothing more is required
    more = [p for p in positions[number + 1 :] if p.name not in theirs]
    assert all(p.default is not p.empty for p in more)


FLOATS = ("float32", "float64")
INTEGERS = ("int8", "uint16", "int64")
NUMBERS = FLOATS + INTEGERS
# functions of one and of two arrays, by the dtypes they take
UNARY = {
    FLOATS: """
        acos acosh asin asinh atan atanh cos cosh exp expm1 log log10 log1p log2 reciprocal signbit
        sin sinh sqrt tan tanh mean std var
    """,
    NUMBERS: """
        abs ceil conj floor isfinite isinf isnan negative positive round sign square trunc argmax
        argmin argsort max min sort prod sum cumulative_sum cumulative_prod diff unique_all
        unique_counts unique_inverse unique_values
    """,
    (*INTEGERS, "bool"): "bitwise_invert",
    ("bool",): "logical_not",
    (*NUMBERS, "bool"): """
        all any count_nonzero nonzero flip permute_dims squeeze stack concat roll tile unstack
        repeat reshape expand_dims broadcast_to moveaxis tril triu zeros_like ones_like full_like
        empty_like asarray astype take take_along_axis meshgrid broadcast_arrays where
    """,
}
BINARY = {
    FLOATS: "atan2 copysign divide hypot logaddexp nextafter pow",
    NUMBERS: """
        add subtract multiply floor_divide remainder maximum minimum equal not_equal less less_equal
        greater greater_equal clip searchsorted
    """,
    (*INTEGERS, "bool"): "bitwise_and bitwise_or bitwise_xor",
    INTEGERS: "bitwise_left_shift bitwise_right_shift",
    ("bool",): "logical_and logical_or logical_xor",
}
# How a function is called, unless with the arrays alone; x is (3, 4), v its first row.
CALLS = {
    "searchsorted": lambda xp, x, y: xp.searchsorted(xp.sort(x[0, :]), y),
    "clip": lambda xp, x, y: xp.clip(x, xp.minimum(x, y), xp.maximum(y, y)),
    "pow": lambda xp, x, y: xp.pow(xp.abs(x), y),
    "bitwise_left_shift": lambda xp, x, y: xp.bitwise_left_shift(x, xp.abs(y) % 4),
    "bitwise_right_shift": lambda xp, x, y: xp.bitwise_right_shift(x, xp.abs(y) % 4),
    "std": lambda xp, x: xp.std(x, axis=1, correction=1.5, keepdims=True),
    "var": lambda xp, x: xp.var(x, axis=(0, 1), correction=1),
    "mean": lambda xp, x: xp.mean(x, axis=0),
    "max": lambda xp, x: xp.max(x, axis=1, keepdims=True),
    "min": lambda xp, x: xp.min(x, axis=(0, 1)),
    "all": lambda xp, x: xp.all(x, axis=1),
    "any": lambda xp, x: xp.any(x, axis=0, keepdims=True),
    "argmax": lambda xp, x: xp.argmax(x, axis=1, keepdims=True),
    "argmin": lambda xp, x: xp.argmin(x, axis=0),
    "argsort": lambda xp, x: xp.argsort(x, axis=0, stable=True),
    "sort": lambda xp, x: xp.sort(x, axis=1, descending=True),
    "sum": lambda xp, x: xp.sum(x, axis=1),
    "prod": lambda xp, x: xp.prod(x, axis=0, keepdims=True),
    "cumulative_sum": lambda xp, x: xp.cumulative_sum(x, axis=1, include_initial=True),
    "cumulative_prod": lambda xp, x: xp.cumulative_prod(x, axis=0),
    "diff": lambda xp, x: xp.diff(x, axis=1, n=2, prepend=x),
    "count_nonzero": lambda xp, x: xp.count_nonzero(x, axis=1),
    "flip": lambda xp, x: xp.flip(x, axis=1),
    "permute_dims": lambda xp, x: xp.permute_dims(x, (1, 0)),
    "squeeze": lambda xp, x: xp.squeeze(x[:1, :], axis=0),
    "stack": lambda xp, x: xp.stack([x, x], axis=-1),
    "concat": lambda xp, x: xp.concat([x, x[:2, :]], axis=0),
    "roll": lambda xp, x: xp.roll(x, (1, -2), axis=(0, 1)),
    "tile": lambda xp, x: xp.tile(x, (2, 1, 3)),
    "unstack": lambda xp, x: xp.unstack(x, axis=1),
    "repeat": lambda xp, x: xp.repeat(x, 2, axis=1),
    "reshape": lambda xp, x: xp.reshape(x, (2, -1)),
    "expand_dims": lambda xp, x: xp.expand_dims(x, axis=1),
    "broadcast_to": lambda xp, x: xp.broadcast_to(x, (2, 3, 4)),
    "moveaxis": lambda xp, x: xp.moveaxis(x, 0, -1),
    "tril": lambda xp, x: xp.tril(x, k=-1),
    "triu": lambda xp, x: xp.triu(x, k=1),
    "full_like": lambda xp, x: xp.full_like(x, 1),
    # its values are arbitrary
    "empty_like": lambda xp, x: xp.zeros_like(xp.empty_like(x)),
    "astype": lambda xp, x: xp.astype(x, xp.float32),
    "take": lambda xp, x: xp.take(x, xp.asarray([2, 0, 2]), axis=1),
    "take_along_axis": lambda xp, x: xp.take_along_axis(x, xp.asarray([[2], [0], [3]]), axis=1),
    "meshgrid": lambda xp, x: xp.meshgrid(x[0, :], x[1, :], indexing="ij"),
    "broadcast_arrays": lambda xp, x: xp.broadcast_arrays(x, x[:1, :]),
    "where": lambda xp, x: xp.where(x == x[0, 0], x, x[:1, :]),
}
TABLE = [
    (name, dtypes, count)
    for count, table in ((1, UNARY), (2, BINARY))
    for dtypes, names in table.items()
    for name in names.split()
]
# Checked against NumPy in the test of their module; array-api-strict takes the real and
# the imaginary part of complex numbers only.
OF_NUMBERS = {
    "imag", "real",
    "arange", "empty", "eye", "from_dlpack", "full", "linspace", "ones", "zeros",
    "__array_namespace_info__", "isin", "can_cast", "finfo", "iinfo", "isdtype", "result_type",
}  # fmt: skip


def test_all_functions_are_in_the_table():
    assert set(FUNCTIONS) - {name for name, *_ in TABLE} == OF_NUMBERS


def drawn(data, dtype):
    """Draw a (3, 4) array with the values at which functions differ."""
    kind = np.dtype(dtype).kind
    if kind == "b":
        values = [False, True]
    elif kind == "f":
        values = [-np.inf, -3.5, -1.0, -0.5, -0.0, 0.0, 0.25, 0.5, 1.0, 2.0, 7.0, np.inf, np.nan]
    else:
        values = [1, 2, 3, 5, 7, 100] if kind == "u" else [-7, -2, -1, 1, 2, 3, 100]
    picked = data.draw(st.lists(st.sampled_from(values), min_size=12, max_size=12))
    return np.array(picked, dtype).reshape(3, 4)


def parts(result):
    return list(result) if isinstance(result, tuple | list) else [result]


@pytest.mark.parametrize(("name", "dtypes", "count"), TABLE, ids=[name for name, *_ in TABLE])
@given(data=st.data())
def test_values_on_drawn_inputs(name, dtypes, count, data):
    dtype = data.draw(st.sampled_from(dtypes))
    arrays = [drawn(data, dtype) for _ in range(count)]
    call = CALLS.get(name, lambda xp, *x: getattr(xp, name)(*x))
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = parts(call(ops, *map(Tensor, arrays)))
        expected = parts(call(strict, *map(strict.asarray, arrays)))
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        reference = np.asarray(theirs)
        assert isinstance(ours, Tensor)
        assert (ours.dtype, ours.shape) == (reference.dtype, reference.shape)
        assert np.allclose(ours.numpy(), reference, rtol=1e-6, equal_nan=True)
