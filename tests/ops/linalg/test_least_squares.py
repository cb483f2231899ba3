import numpy as np
import pytest

from tinygrad_ckn import Tensor, grad, linalg, ops
from tinygrad_ckn.errors import ShapeError
from tinygrad_ckn.testing import gradcheck

random = np.random.default_rng(0)
low_rank = random.normal(size=(4, 2)) @ random.normal(size=(2, 3))


@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4), (2, 3, 2), (1, 1), (0, 2), (2, 0)])
def test_pseudo_inverses_are_numpys(shape):
    a = random.normal(size=shape)
    assert np.allclose(linalg.pinv(a), np.linalg.pinv(a))
    assert np.array_equal(linalg.matrix_rank(a), np.linalg.matrix_rank(a))


def test_the_tolerance_of_ranks():
    a = np.diag([1.0, 1e-3, 1e-9])
    for rtol, rank in ((None, 3), (1e-6, 2), (1e-2, 1), (2.0, 0)):
        assert linalg.matrix_rank(a, rtol=rtol) == rank
        assert np.linalg.matrix_rank(linalg.pinv(a, rtol=rtol)) == rank
    both = np.stack([a, a])
    for rtol in ([1e-6, 1e-2], np.array([1e-6, 1e-2]), Tensor([1e-6, 1e-2])):
        assert linalg.matrix_rank(both, rtol=rtol).tolist() == [2, 1]
        ranks = np.linalg.matrix_rank(linalg.pinv(both, rtol=rtol))
        assert ranks.tolist() == [2, 1]
    assert linalg.matrix_rank(np.zeros((2, 2))) == 0
    assert linalg.matrix_rank(np.ones(3)) == 1


def test_derivatives_among_matrices_of_the_same_rank():
    b, c = random.normal(size=(4, 2)), random.normal(size=(2, 3))
    assert gradcheck(lambda b, c: linalg.pinv(b @ c, rtol=1e-6), [b, c], order=2).error < 1e-6
    # that of a multiple of one matrix
    t = Tensor(2.0, requires_grad=True)
    slope = linalg.pinv(t * low_rank).sum()
    expected = np.linalg.pinv(low_rank).sum()
    for factor in (-1 / 4, 2 / 8, -6 / 16):
        (slope,) = grad(slope, t, create_graph=True)
        assert np.isclose(slope.item(), factor * expected)


def test_pinv_at_equal_singular_values():
    assert gradcheck(linalg.pinv, np.eye(3)[:, :2], order=2).error < 1e-6


def test_condition_number_1e12():
    a = np.diag([1.0, 1e-6, 1e-12])
    x = Tensor(a, requires_grad=True)
    (g,) = grad(linalg.pinv(x).sum(), x)
    inverse = np.diag(1 / np.diag(a))
    assert np.allclose(g.numpy(), -np.outer(inverse.sum(0), inverse.sum(1)), rtol=1e-3)


@pytest.mark.parametrize("a", [random.normal(size=(5, 3)), random.normal(size=(3, 5)), low_rank])
@pytest.mark.parametrize("columns", [(), (2,)])
def test_solutions_of_least_squares_are_numpys(a, columns):
    b = random.normal(size=(len(a), *columns))
    found = linalg.lstsq(a, b)
    expected = np.linalg.lstsq(a, b)
    assert np.allclose(found.solution, expected[0])
    assert found.rank == expected[2]
    assert np.allclose(found.singular_values, expected[3])
    residuals = ((a @ expected[0] - b) ** 2).sum(axis=0)
    assert np.allclose(found.residuals, residuals)


def test_the_gradient_of_a_regression_is_that_of_the_normal_equations():
    a, b = random.normal(size=(2, 6, 3)), random.normal(size=(2, 6, 1))

    def by_normal_equations(a, b):
        return linalg.solve(a.mT @ a, a.mT @ b)

    weights = random.normal(size=(2, 3, 1))
    points = [Tensor(x, requires_grad=True) for x in (a, b)]
    mine = grad((linalg.lstsq(*points).solution * weights).sum(), points)
    other = grad((by_normal_equations(*points) * weights).sum(), points)
    for x, y in zip(mine, other, strict=True):
        assert np.allclose(x.numpy(), y.numpy())
    assert gradcheck(lambda a, b: linalg.lstsq(a, b)[:2], [a, b], order=2).error < 1e-6


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match="lstsq: argument b expected 3 rows as a has"):
        linalg.lstsq(np.ones((3, 2)), np.ones((2, 3)))
    assert linalg.lstsq(Tensor(np.eye(2)), ops.positive(np.ones(2))).solution.tolist() == [1, 1]
