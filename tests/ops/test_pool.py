import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_ckn import Tensor, ops
from tinygrad_ckn.errors import ShapeError
from tinygrad_ckn.testing.strategies import arrays


def gaussian_by_definition(x, s):
    """Pool an image (H, W) by loops over output positions and window elements."""
    height, width = x.shape
    span = range(-20, 40)

    def axis(length, i):
        weights = {
            z: math.exp(-((z - i * s) ** 2) / s**2) for z in span if abs(z - i * s) <= s + 1e-9
        }
        total = sum(weights.values())
        return {z: weight / total for z, weight in weights.items() if 0 <= z < length}

    rows = [axis(height, i) for i in range(math.floor((height - 1) / s + 1e-9) + 1)]
    columns = [axis(width, j) for j in range(math.floor((width - 1) / s + 1e-9) + 1)]
    return np.array(
        [
            [sum(a * b * x[p, q] for p, a in r.items() for q, b in c.items()) for c in columns]
            for r in rows
        ]
    )


@given(
    arrays(st.integers(1, 9), st.integers(1, 9)),
    st.one_of(st.sampled_from([2, 3, 6, 2**0.5, 1.5]), st.floats(1.01, 4)),
)
def test_gaussian_pooling_agrees_with_its_definition(x, s):
    expected = gaussian_by_definition(x, s)
    assert np.allclose(ops.gaussian_pool2d(x[None, None], s)[0, 0], expected, atol=1e-12)


def test_subsampling_1_is_the_identity():
    x = np.arange(12.0).reshape(1, 1, 3, 4)
    assert np.array_equal(ops.gaussian_pool2d(x, 1), x)


def test_constant_images_stay_constant_away_from_the_border():
    y = ops.gaussian_pool2d(np.ones((1, 1, 13, 13)), 3)
    assert np.allclose(y[0, 0, 1:-1, 1:-1], 1)
    assert (y[0, 0, 0] < 1).all()


def windows(x, kernel, stride, padding, value):
    x = np.pad(x, padding, constant_values=value)
    starts = [range(0, n - kernel + 1, stride) for n in x.shape]
    return [[x[i : i + kernel, j : j + kernel] for j in starts[1]] for i in starts[0]]


@given(
    arrays(st.integers(3, 7), st.integers(3, 7)),
    st.integers(1, 3),
    st.sampled_from([None, 1, 2]),
    st.integers(0, 1),
)
def test_average_and_maximum_agree_with_loops(x, kernel, stride, padding):
    padding = min(padding, kernel // 2)
    step = kernel if stride is None else stride
    mean = [[w.mean() for w in row] for row in windows(x, kernel, step, padding, 0.0)]
    top = [[w.max() for w in row] for row in windows(x, kernel, step, padding, -np.inf)]
    assert np.allclose(ops.avg_pool2d(x[None, None], kernel, stride, padding)[0, 0], mean)
    assert np.array_equal(ops.max_pool2d(x[None, None], kernel, stride, padding)[0, 0], top)


def test_the_first_of_equal_maxima_receives_the_gradient():
    x = Tensor(np.ones((1, 1, 2, 2)), requires_grad=True)
    ops.max_pool2d(x, 2).sum().backward()
    assert x.grad.tolist() == [[[[1.0, 0.0], [0.0, 0.0]]]]


def test_padding_is_never_the_maximum():
    x = Tensor(-np.ones((1, 1, 2, 2)), requires_grad=True)
    y = ops.max_pool2d(x, 2, 1, 1)
    assert (y.numpy() == -1).all()
    y.sum().backward()
    assert x.grad.numpy().sum() == 9


@pytest.mark.parametrize(
    "call",
    [
        lambda y: ops.gaussian_unpool2d(y, (9, 9), 2),
        lambda y: ops.avg_unpool2d(y, (9, 9), 2),
    ],
)
def test_adjoints_check_the_size(call):
    with pytest.raises(ShapeError, match=r"argument y expected size .* for images \(9, 9\)"):
        call(np.ones((1, 1, 2, 2)))


def test_empty_batches():
    x = np.zeros((0, 2, 4, 4))
    assert (
        ops.max_pool2d(x, 2).shape
        == ops.avg_pool2d(x, 2).shape
        == ops.gaussian_pool2d(x, 2).shape
        == (0, 2, 2, 2)
    )
