import numpy as np
import pytest

from tinygrad_ckn import Tensor, grad, hessian, linalg, ops
from tinygrad_ckn.errors import LinearAlgebraError, ShapeError
from tinygrad_ckn.testing import gradcheck

random = np.random.default_rng(0)


def matrix(m, n, *values):
    k = min(m, n)
    u, v = (np.linalg.qr(random.normal(size=(size, k)))[0] for size in (m, n))
    return (u * np.array(values)) @ v.T


SHAPES = [(3, 3), (4, 3), (3, 4)]
VALUES = {
    "equal": (1.0, 1.0, 1.0),
    "pair": (2.0, 1.0, 1.0),
    "a zero": (2.0, 1.0, 0.0),
    "pair and zero": (1.0, 1.0, 0.0),
    "two zeros": (1.0, 0.0, 0.0),
    "no rank": (0.0, 0.0, 0.0),
    "nearly": (1.0, 1.0 + 1e-7, 1e-9),
}
POINTS = [((3, 3), name) for name in VALUES]
POINTS += [(shape, name) for shape in SHAPES[1:] for name in ("pair", "two zeros", "nearly")]
EVEN = {
    "squares": lambda s: (s**2).sum(),
    "cosines": lambda s: ops.cos(s).sum(),
    "logarithms": lambda s: ops.log(1 + s**2).sum() * (s**2).sum(),
}


@pytest.mark.parametrize(("shape", "values"), POINTS, ids=str)
@pytest.mark.parametrize("name", EVEN)
def test_even_functions_are_right_at_equal_and_zero_singular_values(name, values, shape):
    a = matrix(*shape, *VALUES[values])
    assert gradcheck(lambda a: EVEN[name](linalg.svdvals(a)), a, order=2).error < 1e-5


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_other_functions_are_right_at_equal_ones_in_a_batch(shape):
    a = np.stack([matrix(*shape, 2.0, 1.0, 1.0), matrix(*shape, 3.0, 2.0, 1.0)])
    assert gradcheck(lambda a: linalg.svdvals(a).sum(), a, order=2).error < 1e-6


def test_the_sum_of_singular_values_of_a_singular_matrix_has_a_subgradient():
    a = np.diag([2.0, 0.0])
    x = Tensor(a, requires_grad=True)
    (g,) = grad(linalg.svdvals(x).sum(), x)
    assert np.isclose(g.numpy()[0, 0], 1.0)
    assert np.linalg.norm(g.numpy(), 2) <= 1 + 1e-12
    assert np.isnan(hessian(lambda a: linalg.svdvals(a).sum(), a).numpy()).all()
    assert np.isnan(hessian(lambda a: linalg.svdvals(a)[0], np.eye(2)).numpy()).all()


@pytest.mark.parametrize(
    "a", [np.diag([2.0, 0.0]), np.eye(2), np.diag([2.0, 0.0, 0.0])[:2]], ids=str
)
def test_two_calls_that_share_in_a_function_are_not_seen_through(a):
    # each gradient depends on the other singular values
    found = hessian(lambda a: (linalg.svdvals(a) * linalg.svdvals(a)).sum(), a)
    assert np.isnan(found.numpy()).all()
    apart = a + np.diag([0.0, 1.0, 0.0])[:2, : a.shape[1]] * 0.5
    assert np.isfinite(hessian(lambda a: (linalg.svdvals(a) ** 2).sum(), apart).numpy()).all()


def test_vectors_of_equal_or_zero_singular_values_have_derivative_nan():
    for a in (np.eye(2), np.diag([1.0, 0.0, 0.0]), matrix(3, 2, 1.0, 0.0)):
        x = Tensor(a, requires_grad=True)
        u, s, vh = linalg.svd(x, full_matrices=False)
        weights = random.normal(size=u.shape)
        (g,) = grad((u * weights).sum() + (s * s).sum() + vh.sum(), x)
        assert np.isnan(g.numpy()).any()


def test_a_low_rank_approximation_at_order_2():
    c = random.normal(size=(4, 3))

    def function(a):
        u, s, vh = linalg.svd(a, full_matrices=False)
        return ((u[..., :2] * s[..., None, :2]) @ vh[..., :2, :] * c).sum()

    assert gradcheck(function, matrix(4, 3, 3.0, 2.0, 1.0), order=2).error < 1e-6


@pytest.mark.parametrize("shape", [*SHAPES, (2, 4, 2), (1, 3), (0, 3), (2, 0, 0)], ids=str)
@pytest.mark.parametrize("full", [False, True])
def test_values_are_numpys(shape, full):
    a = random.normal(size=shape)
    for given in (a, Tensor(a), Tensor(a, requires_grad=True)):
        found = linalg.svd(given, full_matrices=full)
        expected = np.linalg.svd(a, full_matrices=full)
        for mine, theirs in zip(found, expected, strict=True):
            values = mine if given is a else mine.detach().numpy()
            assert np.allclose(values, theirs)
    assert np.allclose(linalg.svdvals(a), expected.S)


@pytest.mark.parametrize("shape", [(3, 2), (2, 3)], ids=str)
def test_the_vectors_that_full_matrices_add_have_derivative_nan(shape):
    x = Tensor(matrix(*shape, 2.0, 1.0), requires_grad=True)
    u, s, vh = linalg.svd(x)
    (g,) = grad(s.sum() + (u[:, :2] ** 2)[0].sum() + (vh[:2] ** 2)[:, 0].sum(), x)
    assert np.isfinite(g.numpy()).all()
    u, _, vh = linalg.svd(x)
    (g,) = grad(u.sum() + vh.sum(), x)
    assert np.isnan(g.numpy()).all()


def test_condition_number_1e12():
    a = matrix(3, 3, 1.0, 1e-6, 1e-12)
    x = Tensor(a, requires_grad=True)
    (g,) = grad((linalg.svdvals(x) ** 2).sum(), x)
    assert np.allclose(g.numpy(), 2 * a, atol=1e-15)


def test_what_has_no_decomposition_is_refused():
    with pytest.raises(LinearAlgebraError, match="svdvals: argument a expected finite numbers"):
        linalg.svdvals(np.array([[np.nan]]))
    with pytest.raises(ShapeError, match="svd: argument a expected matrices"):
        linalg.svd(Tensor([1.0]))
