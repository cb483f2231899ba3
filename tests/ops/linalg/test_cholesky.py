import numpy as np
import pytest

from tinygrad_ckn import Tensor, grad, hessian, linalg, ops
from tinygrad_ckn.errors import LinearAlgebraError
from tinygrad_ckn.testing import gradcheck

random = np.random.default_rng(0)


def log_det(a):
    return 2 * ops.log(linalg.diagonal(linalg.cholesky(a))).sum()


def definite(*values):
    q = np.linalg.qr(random.normal(size=(len(values), len(values))))[0]
    a = (q * values) @ q.T
    return (a + a.T) / 2


@pytest.mark.parametrize("upper", [False, True])
def test_factors_are_numpys(upper):
    a = np.stack([definite(1.0, 2.0, 3.0), definite(1.0, 1.0, 1e-3)])
    assert np.allclose(linalg.cholesky(a, upper=upper), np.linalg.cholesky(a, upper=upper))


@pytest.mark.parametrize("values", [(2.0, 2.0, 2.0), (1.0, 1.0, 3.0), (0.7,)])
def test_log_det_is_right_at_equal_eigenvalues(values):
    a = definite(*values)
    assert gradcheck(log_det, a, order=2).error < 1e-6
    x = Tensor(a, requires_grad=True)
    (g,) = grad(log_det(x), x)
    assert np.allclose(g.numpy(), np.linalg.inv(a), rtol=1e-12)


def test_the_third_derivative_of_log_det_is_right_at_the_identity():
    # along t I: d^3 of n log t at 1 is 2 n
    t = Tensor(1.0, requires_grad=True)
    slope = log_det(t * np.eye(4))
    for _ in range(3):
        (slope,) = grad(slope, t, create_graph=True)
    assert np.isclose(slope.item(), 8.0)


def test_log_det_with_condition_number_1e12():
    a = definite(1.0, 1e-6, 1e-12)
    x = Tensor(a, requires_grad=True)
    (g,) = grad(log_det(x), x)
    # the inverse itself is known to 1e-4 only
    assert np.abs(g.numpy() @ a - np.eye(3)).max() < 1e-3


def test_the_gradient_of_a_raw_hessian_is_symmetric():
    h = hessian(log_det, definite(1.0, 2.0)).numpy().reshape(4, 4)
    assert np.allclose(h, h.T)
    assert np.allclose(h[1], h[2])


def test_an_indefinite_matrix_of_a_batch_is_named():
    with pytest.raises(LinearAlgebraError, match="cholesky: argument a expected positive definite"):
        linalg.cholesky(np.stack([np.eye(2), np.array([[1.0, 2.0], [2.0, 1.0]])]))


def test_empty_matrices_and_batches():
    assert linalg.cholesky(np.zeros((0, 0))).shape == (0, 0)
    assert linalg.cholesky(np.zeros((0, 2, 2)), upper=True).shape == (0, 2, 2)
