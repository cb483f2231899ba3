import numpy as np
import pytest

from tinygrad_ckn import Tensor, grad, linalg, ops
from tinygrad_ckn.errors import LinearAlgebraError, ShapeError
from tinygrad_ckn.ops.linalg.qr import orthonormal_factor
from tinygrad_ckn.testing import gradcheck

random = np.random.default_rng(0)
SHAPES = [(3, 3), (4, 2), (2, 4), (2, 3, 2), (1, 1), (0, 2), (2, 0), (0, 3, 2)]


@pytest.mark.parametrize("mode", ["reduced", "complete"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_factors_are_numpys(shape, mode):
    a = random.normal(size=shape)
    for given in (a, Tensor(a, requires_grad=True)):
        q, r = linalg.qr(given, mode=mode)
        expected = np.linalg.qr(a, mode=mode)
        for mine, theirs in zip((q, r), expected, strict=True):
            values = mine if given is a else mine.detach().numpy()
            assert np.allclose(values, theirs)
        assert np.array_equal(np.tril(np.asarray(Tensor(r).numpy()), -1), np.tril(expected.R * 0))


@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4), (2, 3, 2)], ids=str)
def test_both_factors_at_order_2(shape):
    assert gradcheck(linalg.qr, random.normal(size=shape), order=2).error < 1e-6


def test_the_columns_that_complete_adds_have_derivative_nan():
    x = Tensor(random.normal(size=(3, 2)), requires_grad=True)
    q, r = linalg.qr(x, mode="complete")
    (g,) = grad((q[:, :2] ** 2)[0].sum() + r.sum(), x)
    assert np.isfinite(g.numpy()).all()
    (g,) = grad(linalg.qr(x, mode="complete").Q.sum(), x)
    assert np.isnan(g.numpy()).all()


def test_the_volume_of_columns_is_right_at_equal_singular_values():
    def log_volume(a):
        return ops.log(abs(linalg.diagonal(linalg.qr(a).R))).sum()

    assert gradcheck(log_volume, np.eye(4)[:, :3], order=2).error < 1e-6


def test_dependent_columns_are_refused_in_the_backward_pass():
    x = Tensor(np.diag([1.0, 0.0]), requires_grad=True)
    q, r = linalg.qr(x)
    with pytest.raises(LinearAlgebraError, match="singular"):
        (q.sum() + r.sum()).backward()


def test_condition_number_1e12():
    a = np.triu(np.ones((3, 3))) * [[1.0], [1e-6], [1e-12]]
    x = Tensor(a, requires_grad=True)
    # |det a| is the product of the diagonal
    (g,) = grad(ops.log(abs(linalg.diagonal(linalg.qr(x).R))).sum(), x)
    assert np.allclose(g.numpy(), np.linalg.inv(a).T, rtol=1e-3, atol=1e6)


def test_the_orthonormal_factor_is_for_tall_matrices():
    with pytest.raises(ShapeError, match="no more columns than rows"):
        orthonormal_factor(np.ones((2, 3)))
