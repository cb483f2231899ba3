import numpy as np
import pytest

from tinygrad_ckn import Tensor, grad, hessian, linalg, ops
from tinygrad_ckn.errors import LinearAlgebraError
from tinygrad_ckn.ops.linalg.determinant import cofactors
from tinygrad_ckn.testing import gradcheck

random = np.random.default_rng(0)


def of_rank(n, rank, batch=2):
    return random.normal(size=(batch, n, rank)) @ random.normal(size=(batch, rank, n))


def by_minors(a):
    """Return the matrix of cofactors of one matrix by its definition."""
    n = len(a)
    return np.array(
        [
            [(-1) ** (i + j) * np.linalg.det(np.delete(np.delete(a, i, 0), j, 1)) for j in range(n)]
            for i in range(n)
        ]
    )


@pytest.mark.parametrize("rank", [0, 1, 2, 3, 4])
def test_gradients_are_cofactors_at_every_rank(rank):
    a = of_rank(4, rank)
    x = Tensor(a, requires_grad=True)
    linalg.det(x).sum().backward()
    expected = np.stack([by_minors(m) for m in a])
    assert np.allclose(x.grad.numpy(), expected, atol=1e-12)
    assert np.allclose(cofactors(a), expected, atol=1e-12)


@pytest.mark.parametrize(("n", "rank"), [(1, 0), (2, 0), (2, 1), (3, 1), (3, 2), (4, 2), (4, 4)])
def test_second_derivatives_are_right_at_every_rank(n, rank):
    assert gradcheck(cofactors, of_rank(n, rank)).error < 1e-7
    if rank >= n - 1:
        assert gradcheck(linalg.det, of_rank(n, rank), order=2).error < 1e-6


def test_second_derivatives_at_equal_singular_values():
    assert gradcheck(linalg.det, np.eye(3), order=2).error < 1e-6
    # d^2 det / da_11 da_22 = 1 = - d^2 det / da_12 da_21
    h = hessian(linalg.det, np.zeros((2, 2))).numpy().reshape(4, 4)
    assert np.array_equal(h, np.fliplr(np.diag([1.0, -1.0, -1.0, 1.0])))


def test_third_derivatives_need_an_invertible_matrix():
    t = Tensor(1.0, requires_grad=True)
    slope = linalg.det(t * np.diag([1.0, 2.0, 3.0]))
    for _ in range(3):
        (slope,) = grad(slope, t, create_graph=True)
    assert np.isclose(slope.item(), 36.0)
    x = Tensor(np.zeros((2, 2)), requires_grad=True)
    (g,) = grad(linalg.det(x), x, create_graph=True)
    with pytest.raises(LinearAlgebraError, match="inv: argument a expected invertible"):
        grad((g * g).sum(), x, create_graph=True)


def test_values_are_numpys():
    a = random.normal(size=(2, 3, 4, 4))
    assert np.allclose(linalg.det(a), np.linalg.det(a))
    for mine, theirs in zip(linalg.slogdet(a), np.linalg.slogdet(a), strict=True):
        assert np.allclose(mine, theirs)


def test_the_logarithm_of_a_huge_determinant_and_its_sign():
    a = np.diag([-1e200, 1e200, 1e200])
    x = Tensor(a, requires_grad=True)
    sign, logarithm = linalg.slogdet(x)
    assert sign.item() == -1.0
    assert np.isclose(logarithm.item(), 600 * np.log(10))
    logarithm.backward()
    assert np.allclose(x.grad.numpy(), np.diag(1 / np.diag(a)), atol=0)
    (g,) = grad(linalg.slogdet(x).sign, x)
    assert not g.numpy().any()


@pytest.mark.parametrize("a", [np.eye(3), np.diag([2.0, 2.0, 5.0]), np.array([[-0.5]])], ids=str)
def test_slogdet_is_right_at_equal_eigenvalues(a):
    assert gradcheck(lambda x: linalg.slogdet(x).logabsdet, a, order=2).error < 1e-6


def test_slogdet_of_a_singular_matrix():
    x = Tensor(np.ones((2, 2)), requires_grad=True)
    sign, logarithm = linalg.slogdet(x)
    assert (sign.item(), logarithm.item()) == (0.0, -np.inf)
    with pytest.raises(LinearAlgebraError, match="singular"):
        logarithm.backward()


def test_condition_number_1e12():
    a = np.diag([1.0, 1e-6, 1e-12])
    x = Tensor(a, requires_grad=True)
    (g,) = grad(ops.log(linalg.det(x)), x)
    assert np.allclose(np.diag(g.numpy()), [1.0, 1e6, 1e12], rtol=1e-12)


def test_empty_matrices_have_determinant_1():
    x = Tensor(np.zeros((2, 0, 0)), requires_grad=True)
    y = linalg.det(x)
    assert y.tolist() == [1.0, 1.0]
    (g,) = grad(y.sum(), x, create_graph=True)
    assert g.shape == (2, 0, 0)
    assert linalg.slogdet(x).logabsdet.tolist() == [0.0, 0.0]
