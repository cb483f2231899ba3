"""softmax, log_softmax and logsumexp: accurate at any common offset, and at infinities."""

import math

import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_ckn import Tensor, grad, hessian, ops

EPS = {"float32": 2.0**-24, "float64": 2.0**-53}
# Offsets, and differences that remain exact when an offset is added, in either dtype.
offsets = st.sampled_from([0.0, 2.0**10, -(2.0**14), 2.0**20, -(2.0**23)])
differences = st.lists(st.integers(-20, 20), min_size=1, max_size=6)
dtypes = st.sampled_from(["float32", "float64"])


def exact_softmax(d):
    """Return the softmax of small numbers in extended precision, independently of the library."""
    weights = np.exp(np.asarray(d, dtype=np.longdouble) - max(d))
    return weights / weights.sum()


@given(differences, offsets, dtypes)
def test_values_and_gradients_do_not_depend_on_a_common_offset(d, offset, dtype):
    p = exact_softmax(d)
    x = Tensor(np.array(d, dtype=dtype) + np.array(offset, dtype=dtype), requires_grad=True)
    close = {"rtol": 0, "atol": 8 * EPS[dtype]}
    y = ops.softmax(x)
    assert y.dtype == x.dtype
    np.testing.assert_allclose(y.numpy(), p, **close)
    logs = ops.log_softmax(x).numpy()
    np.testing.assert_allclose(logs, np.log(p), rtol=4 * EPS[dtype], atol=8 * EPS[dtype])
    (g,) = grad(ops.log_softmax(x)[0], x)
    np.testing.assert_allclose(g.numpy(), np.eye(len(d))[0] - p, **close)
    (g,) = grad(ops.logsumexp(x), x)
    np.testing.assert_allclose(g.numpy(), p, **close)
    (g,) = grad(ops.softmax(x)[0], x)
    np.testing.assert_allclose(g.numpy(), p[0] * (np.eye(len(d))[0] - p), **close)
    labels = np.array([len(d) - 1])
    rows = x.reshape((1, -1))
    assert math.isclose(
        ops.cross_entropy(rows, labels).item(),
        -math.log(p[-1]),
        rel_tol=8 * EPS[dtype],
        abs_tol=8e-7,
    )
    (g,) = grad(ops.cross_entropy(rows, labels), x)
    np.testing.assert_allclose(g.numpy(), p - np.eye(len(d))[-1], **close)


@given(differences, offsets, dtypes)
def test_second_derivatives_do_not_depend_on_a_common_offset(d, offset, dtype):
    p = exact_softmax(d)
    x = np.array(d, dtype=dtype) + np.array(offset, dtype=dtype)
    # Hessian of logsumexp, and of each loss computed with it.
    expected = np.diag(p) - np.outer(p, p)
    labels = np.array([0])
    for function in (
        ops.logsumexp,
        lambda t: ops.cross_entropy(t.reshape((1, -1)), labels),
        lambda t: -ops.log_softmax(t)[0],
    ):
        np.testing.assert_allclose(
            hessian(function, x).numpy(), expected, rtol=0, atol=32 * EPS[dtype]
        )
    # d^2 p_0 = p_0 ((e_0 - p)(e_0 - p)^T - (diag p - p p^T))
    r = np.eye(len(d))[0] - p
    actual = hessian(lambda t: ops.softmax(t)[0], x).numpy()
    np.testing.assert_allclose(
        actual, p[0] * (np.outer(r, r) - expected), rtol=0, atol=32 * EPS[dtype]
    )


@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 2), (0, 1, 2), [1, 2], np.array([0, 1])])
def test_axes_against_scipy(axis):
    x = np.random.default_rng(0).normal(size=(2, 3, 4))
    theirs = tuple(axis) if isinstance(axis, list | np.ndarray) else axis
    assert np.allclose(ops.softmax(x, axis=axis), scipy.special.softmax(x, axis=theirs), atol=1e-15)
    assert np.allclose(
        ops.log_softmax(x, axis=axis), scipy.special.log_softmax(x, axis=theirs), atol=1e-14
    )
    assert np.allclose(
        ops.logsumexp(x, axis=axis), scipy.special.logsumexp(x, axis=theirs), atol=1e-14
    )
    assert np.allclose(ops.softmax(1e3 * x, axis=axis), scipy.special.softmax(1e3 * x, axis=theirs))
    for name in ("sum", "mean", "var", "max"):
        assert np.allclose(getattr(ops, name)(x, axis=axis), getattr(np, name)(x, axis=theirs))


def test_minus_infinity_is_a_weight_of_zero():
    x = Tensor([[0.0, -np.inf, 0.0]], requires_grad=True)
    assert ops.softmax(x).tolist() == [[0.5, 0.0, 0.5]]
    assert ops.log_softmax(x).tolist()[0][1] == -np.inf
    assert grad(ops.logsumexp(x), x)[0].tolist() == [[0.5, 0.0, 0.5]]
    whole = np.full(3, -np.inf)
    assert ops.logsumexp(whole) == -np.inf
    assert np.array_equal(
        hessian(ops.logsumexp, np.array([0.0, -np.inf])).numpy(), np.zeros((2, 2))
    )


def test_an_empty_axis_has_no_weight():
    assert ops.logsumexp(np.zeros((2, 0)), axis=1).tolist() == [-np.inf, -np.inf]
    assert ops.logsumexp(np.zeros((0, 2)), axis=1).shape == (0,)
    assert ops.softmax(np.zeros((2, 0))).shape == ops.log_softmax(np.zeros((2, 0))).shape == (2, 0)
    x = Tensor(np.zeros((2, 0)), requires_grad=True)
    assert grad(ops.logsumexp(x, axis=1).sum(), x)[0].shape == (2, 0)


def test_logsumexp_at_infinities():
    x = Tensor([[-np.inf, -np.inf], [0.0, -np.inf]], requires_grad=True)
    y = ops.logsumexp(x, axis=1)
    assert y.tolist() == [-np.inf, 0.0]
    y.backward(np.ones(2))
    assert x.grad.tolist() == [[0.0, 0.0], [1.0, 0.0]]
    assert ops.logsumexp(np.array([np.inf, 1.0])) == np.inf


def test_nan_is_propagated():
    x = np.array([np.nan, 1.0])
    for function in (ops.logsumexp, ops.softmax, ops.log_softmax):
        assert np.isnan(function(x)).all()
