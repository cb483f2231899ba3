"""The one rule of mixed dtypes: numbers, Python's and NumPy's, take the dtype of the array."""

import operator

import numpy as np
import pytest

from tinygrad_ckn import Tensor, grad, ops
from tinygrad_ckn.errors import CKNError, DTypeError
from tinygrad_ckn.primitive import REGISTRY

# the dtype of an array, a number, the dtype of their sum
TABLE = [
    ("float32", 0.5, "float32"),
    ("float32", np.float64(0.5), "float32"),
    ("float32", np.longdouble(0.5), "float32"),
    ("float32", np.int64(3), "float32"),
    ("float32", np.bool_(True), "float32"),
    ("float64", np.float32(0.5), "float64"),
    ("float16", np.float32(0.5), "float16"),
    ("int8", 3, "int8"),
    ("int8", np.int64(3), "int8"),
    ("int8", np.bool_(True), "int8"),
    ("int8", 0.5, "float64"),
    ("int8", np.float32(0.5), "float64"),
    ("uint8", np.int64(3), "uint8"),
    ("bool", np.int8(3), "int64"),
    ("bool", np.float32(0.5), "float64"),
    # arrays of no axis have a dtype of their own
    ("float32", np.array(0.5), "float64"),
    ("float32", Tensor(0.5), "float64"),
    ("float32", np.array(3, "int64"), "float64"),
    ("int8", np.array(3, "int64"), "int64"),
    ("int8", np.array([3], "uint8"), "int16"),
    ("float32", np.array([3], "int16"), "float32"),
    ("float32", np.array([3], "int32"), "float64"),
]
each = pytest.mark.parametrize(("dtype", "other", "expected"), TABLE, ids=str)


@each
def test_tensors_and_arrays_follow_the_table(dtype, other, expected):
    array = np.ones(2, dtype)
    for left in (array, Tensor(array)):
        assert ops.add(left, other).dtype == expected
        assert ops.add(other, left).dtype == expected
        assert ops.where(np.array([True, False]), left, other).dtype == expected
        assert ops.result_type(left, other) == expected


@each
def test_operators_follow_the_table(dtype, other, expected):
    t = Tensor(np.ones(2, dtype))
    for operation in (operator.add, operator.mul):
        assert operation(t, other).dtype == expected
        assert operation(other, t).dtype == expected


def test_no_operation_of_two_leaves_float32_beside_a_number():
    single = Tensor(np.full((2, 2), 0.5, "float32"))
    kept = []
    for name, primitive in REGISTRY.items():
        # a kernel's cosine is an array, its parameter a number
        if not primitive.takes_numbers or len(primitive.operands) != 2 or "kappa" in name:
            continue
        for args in ((single, 0.25), (0.25, single), (single, np.float64(0.25))):
            try:
                result = primitive(*args)
            except CKNError:
                # of integers, or of matrices
                continue
            kept += [name]
            assert result.dtype in ("float32", "bool"), name
    assert len(set(kept)) > 20


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("number", [0.5, np.float32(0.5), np.float64(0.5)])
def test_gradients_have_the_dtype_of_their_tensor_and_the_same_bits(dtype, number):
    t = Tensor(np.linspace(0.1, 1, 5), dtype=dtype, requires_grad=True)
    (found,) = grad((number * t**number + t / number).sum(), t)
    (expected,) = grad((0.5 * t**0.5 + t / 0.5).sum(), t)
    assert found.dtype == dtype
    assert np.array_equal(found.numpy(), expected.numpy())


def test_numbers_alone_have_their_own_dtype():
    assert ops.add(np.float32(1), np.float32(2)).dtype == "float32"
    assert ops.add(np.float32(1), np.float64(2)).dtype == "float64"
    assert ops.exp(np.float32(1)).dtype == "float32"
    assert Tensor(np.float32(1)).dtype == "float32"
    assert ops.asarray(np.int8(1)).dtype == "int8"


def test_integers_beyond_the_dtype_are_refused():
    with pytest.raises(DTypeError, match=r"add: .* out of bounds for int8"):
        ops.add(Tensor(np.ones(2, "int8")), np.int64(300))
