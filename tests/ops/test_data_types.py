"""Questions about dtypes, and the dtype of mixed operands."""

import numpy as np
import pytest

from tinygrad_ckn import Tensor, ops
from tinygrad_ckn.errors import DTypeError


def test_dtypes_are_numpys():
    assert ops.float32 == np.float32
    assert Tensor([True]).dtype == ops.bool
    assert {ops.int8: 1}[Tensor([1], dtype="int8").dtype] == 1
    assert not hasattr(ops, "complex64")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("bool", 1),
        ("signed integer", 4),
        ("unsigned integer", 4),
        ("integral", 8),
        ("real floating", 2),
        ("complex floating", 0),
        ("numeric", 10),
        (("bool", "integral"), 9),
    ],
)
def test_kinds(kind, expected):
    info = ops.__array_namespace_info__()
    assert len(info.dtypes(kind=kind)) == expected
    assert all(ops.isdtype(dtype, kind) for dtype in info.dtypes(kind=kind).values())


def test_limits():
    assert ops.finfo(Tensor([1.0], dtype="float32")).bits == 32
    assert ops.iinfo(ops.uint8).max == 255
    assert ops.can_cast(Tensor([1], dtype="int8"), ops.int16)
    assert not ops.can_cast(ops.float64, ops.float32)


def test_result_type_of_numbers_and_arrays():
    assert ops.result_type(Tensor([1.0], dtype="float32"), 2.0) == "float32"
    assert ops.result_type(np.float32(1), np.float64(2)) == "float64"
    assert ops.result_type("int8", "uint8") == "int16"


@pytest.mark.parametrize(
    "call",
    [
        lambda: ops.finfo("int8"),
        lambda: ops.iinfo("float32"),
        lambda: ops.isdtype("int8", "wide"),
        ops.result_type,
    ],
)
def test_bad_arguments_get_a_sentence(call):
    with pytest.raises(DTypeError, match=r"^(finfo|iinfo|isdtype|result_type): "):
        call()
