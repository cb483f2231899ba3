"""Products and their derivatives where factors are 0."""

import itertools
import math

import numpy as np
import pytest

from tinygrad_ckn import Tensor, grad, ops
from tinygrad_ckn.errors import ShapeError
from tinygrad_ckn.primitive import REGISTRY


@pytest.mark.parametrize("zeros", [(), (0,), (2,), (1, 3), (0, 1, 2, 3)])
def test_first_and_second_derivatives_are_products_of_the_other_factors(zeros):
    x = np.array([2.0, -3.0, 0.5, 7.0])
    x[list(zeros)] = 0
    point = Tensor(x, requires_grad=True)
    (first,) = grad(ops.prod(point), point, create_graph=True)
    expected = [math.prod(np.delete(x, i)) for i in range(4)]
    assert np.allclose(first.numpy(), expected)
    for i in range(4):
        (second,) = grad(first[i], point, retain_graph=True)
        rows = [math.prod(np.delete(x, [i, j])) if i != j else 0 for j in range(4)]
        assert np.allclose(second.numpy(), rows)


def test_no_overflow_where_the_quotient_would():
    point = Tensor([1e-200, 1e-200, 1e200], requires_grad=True)
    assert np.allclose(grad(ops.prod(point), point)[0].numpy(), [1.0, 1.0, 0.0])


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "float32", "float64"])
def test_values_and_dtypes_agree_with_numpy(dtype):
    x = np.array([[1, 2, 3], [0, 2, 5]]).astype(dtype)
    for axis, keepdims in itertools.product([None, 0, 1, (0, 1)], [False, True]):
        found = ops.prod(x, axis=axis, keepdims=keepdims)
        expected = np.prod(x, axis=axis, keepdims=keepdims)
        assert found.dtype == expected.dtype
        assert np.array_equal(found, expected)
    assert ops.prod(x, dtype="float64").dtype == "float64"


@pytest.mark.parametrize("n", [0, 1, 2, 7, 8])
def test_recurrence_of_any_length(n):
    random = np.random.default_rng(n)
    a, b = random.normal(size=(2, 3, n))
    y = np.zeros((3, n))
    before = np.zeros(3)
    for i in range(n):
        before = y[:, i] = a[:, i] * before + b[:, i]
    assert np.allclose(REGISTRY["recurrence"](a, b), y)


def test_recurrence_takes_one_shape():
    with pytest.raises(ShapeError, match="two arrays of one shape"):
        REGISTRY["recurrence"](np.ones(2), np.ones(3))
