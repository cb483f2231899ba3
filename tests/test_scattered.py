"""Rows of one array: backward takes time linear in their number, at any order.

Gradients are right however rows mix with other uses of the array.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_ckn import Tensor, checkpoint, detect_anomaly, grad, ops
from tinygrad_ckn.errors import GradientError
from tinygrad_ckn.profiling import profile
from tinygrad_ckn.testing import gradcheck

INDICES = [
    0,
    -1,
    slice(1, None),
    slice(None),
    (slice(None), 1),
    [0, 0, 2],
    np.array([True, False, True]),
    ...,
    (1, 2),
]
WAYS = {
    "iterating": lambda x: sum((row**3).sum() for row in x),
    "by number": lambda x: sum((x[i] ** 3).sum() for i in range(len(x))),
    "in pairs": lambda x: sum((x[i] * x[i + 1] ** 2).sum() for i in range(len(x) - 1)),
    "split": lambda x: sum((piece**3).sum() for piece in ops.split(x, len(x))),
    "of a result": lambda x: sum((row**3).sum() for row in ops.sin(x)),
    "columns": lambda x: sum((x[:, i] ** 3).sum() for i in range(x.shape[1])),
    "lists": lambda x: sum((x[[i, i]] ** 3).sum() for i in range(len(x))),
}


def traffic(function, n, order):
    """Return the bytes that all operations wrote, forward and backward."""
    x = Tensor(np.ones((n, n)), requires_grad=True)
    with profile() as profiled:
        y = function(x)
        if order == 1:
            y.backward()
        else:
            (g,) = grad(y, x, create_graph=True)
            grad((g * g).sum(), x)
    return sum(row.bytes for row in profiled.rows())


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_what_is_written_is_linear_in_the_size(way, order):
    small, large = traffic(way, 12, order), traffic(way, 48, order)
    # 16 times as many elements; quadratic would be 64 times
    assert large < 20 * small


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_derivatives(way):
    gradcheck(way, [np.random.default_rng(0).normal(size=(4, 3))], order=2)


@given(
    st.lists(st.sampled_from(range(len(INDICES))), min_size=1, max_size=8),
    st.integers(0, 3),
    st.booleans(),
)
def test_rows_mixed_with_other_uses_in_any_order(picks, place, inner):
    data = np.random.default_rng(1).normal(size=(3, 3))

    def function(x):
        h = ops.sin(x) if inner else x
        total = 0
        for i, pick in enumerate(picks):
            if i == place:
                total = total + (h * h * h).sum()
            total = total + (h[INDICES[pick]] ** 3).sum() * (i + 1)
        return total

    weights = np.zeros((3, 3))
    for i, pick in enumerate(picks):
        np.add.at(weights, INDICES[pick], i + 1)
    weights += len(picks) > place
    x = Tensor(data, requires_grad=True)
    h = np.sin(data) if inner else data
    slope = np.cos(data) if inner else 1.0
    (g,) = grad(function(x), x, create_graph=True)
    assert np.allclose(g.numpy(), 3 * weights * h**2 * slope, atol=1e-12)
    function(x).backward()
    assert np.allclose(x.grad.numpy(), g.numpy(), atol=1e-12)
    (second,) = grad(g.sum(), x)
    expected = 6 * weights * h * slope**2 - (3 * weights * h**2 * np.sin(data) if inner else 0)
    assert np.allclose(second.numpy(), expected, atol=1e-12)


def test_gradients_have_memory_of_their_own():
    x = Tensor(np.ones(3), requires_grad=True)
    up = np.ones(3)
    y = x[:]
    (g,) = grad(y, x, gradient=up)
    assert not np.shares_memory(g.data, up)
    assert g.tolist() == [1.0, 1.0, 1.0]


def test_a_gradient_that_others_hold_is_not_written_into():
    x = Tensor(np.ones(3), requires_grad=True)
    h = x * 2
    # the gradient of the first term is that of y itself
    y = (h + 1) + h[:]
    up = np.array([1.0, 2.0, 3.0])
    (g, gh) = grad(y, [x, h], gradient=up)
    assert up.tolist() == [1.0, 2.0, 3.0]
    assert gh.tolist() == [2.0, 4.0, 6.0]
    assert g.tolist() == [4.0, 8.0, 12.0]


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("create_graph", [True, False])
def test_dtypes_are_kept(dtype, create_graph):
    x = Tensor(np.ones((3, 2), dtype=dtype), requires_grad=True)
    (g,) = grad(sum(row.sum() for row in x), x, create_graph=create_graph)
    assert g.dtype == dtype


def test_through_checkpoints_and_partial_walks():
    x = Tensor(np.arange(6.0).reshape(3, 2), requires_grad=True)
    y = checkpoint(lambda x: sum((row**2).sum() for row in x), x)
    y.backward()
    assert np.array_equal(x.grad.numpy(), 2 * x.numpy())


def test_the_first_nan_is_told():
    x = Tensor([0.0, 1.0], requires_grad=True)
    with detect_anomaly(), np.errstate(all="ignore"):
        y = ops.sqrt(x[0]) + x[1]
        with pytest.raises(GradientError, match="the rule of 'sqrt'"):
            y.backward()
