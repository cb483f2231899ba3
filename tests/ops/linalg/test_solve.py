import numpy as np
import pytest
import scipy.linalg

from tinygrad_ckn import Tensor, grad, linalg
from tinygrad_ckn.errors import DTypeError, LinearAlgebraError, ShapeError

random = np.random.default_rng(0)
triangle = np.tril(random.normal(size=(4, 4))) + 3 * np.eye(4)


@pytest.mark.parametrize("unit", [False, True])
@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("shape", [(4,), (4, 2)])
def test_solutions_are_scipys(lower, unit, shape):
    a = triangle if lower else triangle.T
    # what stands in the other triangle is not read
    full = a + np.where(a == 0, 7.0, 0)
    b = random.normal(size=shape)
    expected = scipy.linalg.solve_triangular(a, b, lower=lower, unit_diagonal=unit)
    found = linalg.solve_triangular(full, b, lower=lower, unit_diagonal=unit)
    assert np.allclose(found, expected, rtol=1e-13)
    # that of batches and of a GPU
    plain = linalg.solve_triangular.forward(np, full, b, lower=lower, unit_diagonal=unit)
    assert np.allclose(plain, expected, rtol=1e-13)


def test_the_other_triangle_has_gradient_0():
    a = Tensor(triangle, requires_grad=True)
    linalg.solve_triangular(a, np.ones(4), lower=True, unit_diagonal=True).sum().backward()
    assert np.array_equal(a.grad.numpy(), np.tril(a.grad.numpy(), -1))
    assert a.grad.numpy().any()


def test_batches_broadcast_and_may_be_empty():
    stack = np.stack([triangle, 2 * triangle])
    b = random.normal(size=(3, 1, 4, 2))
    found = linalg.solve_triangular(stack, b, lower=True)
    assert found.shape == (3, 2, 4, 2)
    assert np.allclose(stack @ found, b)
    assert linalg.solve_triangular(np.zeros((0, 3, 3)), np.ones((3, 1))).shape == (0, 3, 1)
    assert linalg.solve_triangular(np.zeros((0, 0)), np.ones((0,))).shape == (0,)


def test_an_ill_conditioned_triangle_is_solved_as_accurately_as_by_substitution():
    n = 60
    a = np.tril(-np.ones((n, n)), -1) + np.eye(n)
    x = random.normal(size=n)
    b = a @ x
    expected = scipy.linalg.solve_triangular(a, b, lower=True)
    found = linalg.solve_triangular(a[None], b[:, None], lower=True)[0, :, 0]
    assert np.abs(a @ found - b).max() <= 4 * max(np.abs(a @ expected - b).max(), 1e-15)


def test_a_gradient_with_condition_number_1e12():
    a = np.diag([1.0, 1e-6, 1e-12]) + np.tril(np.ones((3, 3)), -1) * 1e-12
    x = Tensor(a, requires_grad=True)
    b = np.array([1.0, 2.0, 3.0])
    (g,) = grad(linalg.solve_triangular(x, b, lower=True).sum(), x)
    y = scipy.linalg.solve_triangular(a, b, lower=True)
    expected = -np.tril(np.outer(scipy.linalg.solve_triangular(a.T, np.ones(3)), y))
    assert np.allclose(g.numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("a", "b", "error", "match"),
    [
        (np.eye(2), np.ones((3, 2)), ShapeError, r"b expected 2 rows as a has, got shape \(3, 2\)"),
        (np.eye(2, dtype=int), np.ones(2), DTypeError, "a expected a floating dtype, got int64"),
        (np.array([[0.0, 1.0], [0.0, 1.0]]), np.ones(2), LinearAlgebraError, "got a singular one"),
    ],
)
def test_what_cannot_be_solved_is_said(a, b, error, match):
    with pytest.raises(error, match=f"solve_triangular: argument {match}|{match}"):
        linalg.solve_triangular(a, b)
