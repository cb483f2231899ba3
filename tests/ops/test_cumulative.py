"""Cumulative sums, products and differences against NumPy."""

import numpy as np
import pytest

from tinygrad_ckn import Tensor, grad, ops
from tinygrad_ckn.errors import AxisError, ConfigError, DTypeError, ShapeError

x = np.array([[1.0, 2.0, 0.0], [0.0, -3.0, 0.5]])


@pytest.mark.parametrize("name", ["cumsum", "cumprod"])
@pytest.mark.parametrize("axis", [None, 0, -1])
def test_numpys_functions(name, axis):
    for dtype in ("bool", "int8", "uint16", "float32", "float64"):
        found = getattr(ops, name)(x.astype(dtype), axis)
        expected = getattr(np, name)(x.astype(dtype), axis)
        assert found.dtype == expected.dtype
        assert np.array_equal(found, expected)
        assert np.array_equal(getattr(np, name)(Tensor(x), axis), getattr(np, name)(x, axis))


@pytest.mark.parametrize("name", ["cumulative_sum", "cumulative_prod"])
@pytest.mark.parametrize("initial", [False, True])
def test_the_standards_functions(name, initial):
    for dtype in (None, "float32"):
        options = {"axis": 1, "include_initial": initial, "dtype": dtype}
        found, expected = getattr(ops, name)(x, **options), getattr(np, name)(x, **options)
        assert found.dtype == expected.dtype
        assert np.array_equal(found, expected)
    with pytest.raises(ShapeError, match=f"{name}: argument axis expected an axis of 2, got None"):
        getattr(ops, name)(x)


@pytest.mark.parametrize(
    "call",
    [
        lambda axis: ops.cumsum(x, axis),
        lambda axis: ops.cumulative_prod(x, axis=axis),
        lambda axis: ops.diff(x, axis=axis),
        lambda axis: ops.sort(x, axis),
        lambda axis: ops.argsort(x, axis),
        lambda axis: ops.take(x, [0], axis),
        lambda axis: ops.take_along_axis(x, np.zeros((2, 3), int), axis),
        lambda axis: ops.repeat(x, 2, axis),
        lambda axis: ops.unstack(x, axis=axis),
    ],
)
def test_functions_along_one_axis_take_one(call):
    with pytest.raises(AxisError, match=r"argument axis expected one axis of 2, got \(0, 1\)"):
        call((0, 1))
    with pytest.raises(IndexError, match="argument axis"):
        call(2)


def test_second_derivatives_of_cumulative_products_at_zeros():
    point = Tensor([2.0, 0.0, 0.0, 5.0], requires_grad=True)
    (first,) = grad(ops.cumprod(point).sum(), point, create_graph=True)
    # x0 (1 + x1 (1 + x2 (1 + x3)))
    assert first.tolist() == [1.0, 2.0, 0.0, 0.0]
    (second,) = grad(first[1], point)
    assert second.tolist() == [1.0, 0.0, 12.0, 0.0]


def test_differences():
    for n in range(4):
        assert np.array_equal(ops.diff(x, n), np.diff(x, n))
    assert np.array_equal(ops.diff(x, axis=0, prepend=1.0), np.diff(x, axis=0, prepend=1.0))
    assert np.array_equal(np.diff(Tensor(x), append=x), np.diff(x, append=x))
    with pytest.raises(ConfigError, match="diff: argument n expected an integer >= 0, got -1"):
        ops.diff(x, -1)
    assert ops.diff(np.array([1, 2]), prepend=0.5).tolist() == [0.5, 1.0]
    with pytest.raises(DTypeError, match="diff: argument prepend or append expected an array"):
        ops.diff(x, append=[1.0])
