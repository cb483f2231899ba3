import importlib

import numpy as np
import pytest

from tinygrad_ckn import Tensor, linalg, ops
from tinygrad_ckn.errors import DTypeError, LinearAlgebraError, ShapeError
from tinygrad_ckn.ops.linalg.lapack import (
    call_lapack,
    check_matrices,
    check_square,
    decompose,
    triangle,
)

a = np.arange(1.0, 13.0).reshape(3, 4)


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("lower", [False, True])
def test_triangles_are_numpys(lower, diagonal):
    if lower:
        expected = np.tril(a, 0 if diagonal else -1)
    else:
        expected = np.triu(a, 0 if diagonal else 1)
    assert np.array_equal(triangle(a, lower=lower, diagonal=diagonal), expected)
    assert triangle(Tensor(a, dtype="float32"), lower=lower).dtype == "float32"
    assert np.array_equal(triangle(np.full((2, 2), np.nan))[0, 1:], [0.0])


def test_each_check_has_its_sentence():
    with pytest.raises(ShapeError, match=r"f: argument b expected matrices .*got shape \(3,\)"):
        check_matrices("f", b=np.ones(3))
    with pytest.raises(DTypeError, match="f: argument b expected a floating dtype, got int64; use"):
        check_matrices("f", b=np.ones((3, 3), int))
    with pytest.raises(ShapeError, match="f: argument b expected square matrices"):
        check_square("f", "b", a)
    with pytest.raises(LinearAlgebraError, match="f: argument a expected finite numbers"):
        decompose(np, "f", "svd", np.full((2, 2), np.nan))


def test_what_lapack_refuses_is_one_sentence():
    with pytest.raises(LinearAlgebraError, match=r"f: argument a expected small ones \(Singular"):
        call_lapack(np, "f", np.linalg.inv, np.zeros((2, 2)), expected="small ones")


def test_the_namespace_is_that_of_ops():
    assert importlib.import_module("tinygrad_ckn.linalg") is linalg
    assert linalg is ops.linalg
    assert dir(linalg) == sorted(linalg.__all__)
    assert ops.inv is linalg.inv
    assert ops.tensordot is linalg.tensordot
