import doctest
import inspect

import numpy as np
import pytest

from tinygrad_ckn import Tensor, ops
from tinygrad_ckn.errors import DTypeError, OpIndexError, ShapeError
from tinygrad_ckn.primitive import REGISTRY


def test_raw_arrays_in_raw_array_out_and_tensors_in_tensor_out():
    assert type(ops.exp(np.ones(2))) is np.ndarray
    assert type(ops.sum(np.ones(2))) is np.ndarray
    assert type(ops.exp(Tensor([1.0]))) is Tensor


def test_signature_and_documentation_are_those_of_the_function_without_xp():
    assert list(inspect.signature(ops.correlate2d).parameters)[:3] == ["x", "w", "bias"]
    assert ops.exp.__doc__.startswith("Return e**x.")
    assert repr(ops.exp) == "<primitive exp(x: 'Array | float')>"


def test_operands_may_be_named():
    x, w = np.ones((1, 1, 3, 3)), np.ones((2, 1, 2, 2))
    expected = ops.correlate2d(x, w, np.array([1.0, 2.0]))
    assert np.array_equal(ops.correlate2d(x=x, w=w, bias=np.array([1.0, 2.0])), expected)
    named = ops.correlate2d(x, w=Tensor(w, requires_grad=True), bias=np.array([1.0, 2.0]))
    assert np.array_equal(named.numpy(), expected)
    named.sum().backward()


def test_options_may_be_positional():
    x = Tensor(np.ones((2, 3)), requires_grad=True)
    y = ops.sum(x, 1, True)
    assert y.shape == (2, 1)
    y.backward(np.ones((2, 1)))
    assert x.grad.shape == (2, 3)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (
            lambda: ops.add(np.ones(2), np.ones(3)),
            ShapeError,
            r"add: .*; got a: float64 array of shape \(2,\), b: ",
        ),
        (lambda: ops.exp(Tensor([1.0]), 3), DTypeError, "exp: .*positional"),
        (
            lambda: ops.sum(Tensor([1.0]), 0, axis=0),
            DTypeError,
            "sum: multiple values for argument 'axis'",
        ),
        (lambda: ops.norm(np.ones(2), 0), DTypeError, "norm: too many positional arguments"),
        (
            lambda: ops.sum(np.ones(2), axes=1),
            DTypeError,
            "sum: .*unexpected keyword argument 'axes'",
        ),
        (
            lambda: Tensor([1.0])[3],
            OpIndexError,
            "getitem: index 3 is out of bounds.*; got x: float64 array",
        ),
        (
            lambda: ops.concatenate([np.ones(2), np.ones((1, 2))]),
            ShapeError,
            r"got arrays\[0\]: .*arrays\[1\]",
        ),
        (lambda: ops.multiply(Tensor([1.0]), "a"), DTypeError, "got str"),
        (
            lambda: ops.multiply(Tensor([1.0]), 1j),
            DTypeError,
            "multiply: expected real numbers, got complex",
        ),
        (
            lambda: ops.abs(np.ones(2) * 1j),
            DTypeError,
            "abs: argument x expected a real dtype, got complex128",
        ),
        (
            lambda: ops.multiply(Tensor([1.0]), np.ones(1) * 1j),
            DTypeError,
            "argument b expected a real dtype",
        ),
    ],
)
def test_errors_from_below_name_operation_and_operands(call, error, match):
    with pytest.raises(error, match=match):
        call()


def test_every_documented_primitive_has_an_example():
    for name in ops.__all__:
        operation = getattr(ops, name)
        if callable(operation):
            assert doctest.DocTestParser().get_examples(operation.__doc__), name


def test_unused_operands_are_not_retained():
    a, b = Tensor(np.ones(2), requires_grad=True), Tensor(np.ones(2))
    assert (a * b)._node.residuals == [b.data]
    assert (a + b)._node.residuals == []
    assert ops.sum(a)._node.residuals == [(2,), None]
    assert REGISTRY["multiply"].plan(0b11, 2).operands == [0, 1]
