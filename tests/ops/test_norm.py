"""Derivatives at the zero vector of functions of the norm: NaN where none exists."""

import numpy as np
import pytest

from tinygrad_ckn import Tensor, grad, hessian, hvp, jvp, ops

zero = np.zeros(3)


def by_itself(y):
    return y * y


SMOOTH = {
    "square": (lambda x: ops.norm(x) ** 2, 2 * np.eye(3)),
    "square by multiplying": (lambda x: by_itself(ops.norm(x)), 2 * np.eye(3)),
    "ops.square": (lambda x: ops.square(ops.norm(x)), 2 * np.eye(3)),
    "cube": (lambda x: ops.norm(x) ** 3, np.zeros((3, 3))),
    "cosine": (lambda x: ops.cos(ops.norm(x)), -np.eye(3)),
    "gaussian": (lambda x: ops.exp(-(ops.norm(x) ** 2) / 2), -np.eye(3)),
    "weighted": (lambda x: (3 + ops.sin(x).sum()) * ops.norm(x) ** 2, 6 * np.eye(3)),
    "not at all": (lambda x: 0 * ops.norm(x) + x[0] ** 2, np.diag([2.0, 0, 0])),
    "of a result": (lambda x: ops.norm(ops.sin(2 * x)) ** 2, 8 * np.eye(3)),
}
SHARP = {
    "itself": ops.norm,
    "sum": lambda x: ops.norm(x) + ops.norm(x) ** 2,
    "root": lambda x: ops.norm(x) ** 1.5,
    "times a function of x": lambda x: ops.norm(x) * x[0] + ops.norm(x) ** 2,
}


@pytest.mark.parametrize(("function", "expected"), SMOOTH.values(), ids=SMOOTH)
def test_hessians_where_they_exist(function, expected):
    with np.errstate(all="ignore"):
        assert np.allclose(hessian(function, zero).numpy(), expected, atol=1e-12)
        product = hvp(function, zero, np.array([1.0, 2.0, 3.0]))[1][0].numpy()
    assert np.allclose(product, expected @ [1.0, 2.0, 3.0], atol=1e-12)


@pytest.mark.parametrize("function", SHARP.values(), ids=SHARP)
def test_hessians_are_nan_where_they_do_not_exist(function):
    with np.errstate(all="ignore"):
        assert np.isnan(hessian(function, zero).numpy()).all()


@pytest.mark.parametrize(
    "function", [f for f, _ in SMOOTH.values()] + [ops.norm], ids=[*SMOOTH, "itself"]
)
def test_first_derivatives_are_zero_recorded_or_not(function):
    x = Tensor(zero, requires_grad=True)
    with np.errstate(all="ignore"):
        for create_graph in (True, False):
            (g,) = grad(function(x), x, create_graph=create_graph)
            assert g.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("function", SHARP.values(), ids=SHARP)
def test_first_derivatives_of_sharp_functions_are_zero_too(function):
    x = Tensor(zero, requires_grad=True)
    with np.errstate(all="ignore"):
        recorded, plain = (
            grad(function(x), x, create_graph=flag)[0].tolist() for flag in (True, False)
        )
    assert recorded == plain == [0.0, 0.0, 0.0]


def test_functions_of_several_norms_together_have_no_second_derivative():
    together = hessian(lambda x: ops.norm(x, axis=1).sum() ** 2, np.zeros((2, 2))).numpy()
    assert np.isnan(together.reshape(4, 4)).any(axis=1).all()
    apart = hessian(lambda x: (ops.norm(x, axis=1) ** 2).sum() ** 2, np.zeros((2, 2))).numpy()
    assert np.array_equal(apart, np.zeros((2, 2, 2, 2)))


def test_each_row_has_its_own_derivatives():
    x = Tensor(np.array([[3.0, 4.0], [0.0, 0.0], [0.0, 0.0]]), requires_grad=True)
    y = ops.norm(x, axis=1)
    (g,) = grad((Tensor([1.0, 1.0, 0.0]) * y + y**2).sum(), x, create_graph=True)
    (h,) = grad(g.sum(), x)
    u = np.array([0.6, 0.8])
    expected = (np.eye(2) - np.outer(u, u)) / 5 + 2 * np.eye(2)
    assert np.allclose(h.numpy()[0], expected.sum(axis=0))
    assert np.isnan(h.numpy()[1]).all()
    assert np.allclose(h.numpy()[2], [2.0, 2.0])


def test_rows_that_no_output_depends_on_do_not_produce_nan():
    x = Tensor(np.array([[3.0, 4.0], [0.0, 0.0]]), requires_grad=True)
    (g,) = grad(ops.norm(x, axis=1)[0], x, create_graph=True)
    (h,) = grad((g * np.array([[1.0, 0.0], [1.0, 1.0]])).sum(), x)
    assert np.allclose(h.numpy(), [[0.128, -0.096], [0.0, 0.0]])


@pytest.mark.parametrize("axis", [None, 0, 1, (0, 1), -1])
@pytest.mark.parametrize("keepdims", [True, False])
def test_axes(axis, keepdims):
    actual = hessian(
        lambda x: (ops.norm(x, axis=axis, keepdims=keepdims) ** 2).sum(), np.zeros((2, 2))
    ).numpy()
    assert np.allclose(actual.reshape(4, 4), 2 * np.eye(4))


def test_directional_derivatives():
    assert jvp(ops.norm, zero, np.ones(3))[1].item() == 0.0
    assert np.isclose(jvp(ops.norm, np.array([3.0, 4.0]), np.array([1.0, 0.0]))[1].item(), 0.6)
