import mpmath
import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_ckn import Tensor, grad, ops
from tinygrad_ckn.errors import ConfigError, DTypeError, LinearAlgebraError
from tinygrad_ckn.testing.strategies import near_duplicate_filters, spd_matrices

random = np.random.default_rng(0)


def spectrum(*values):
    q = np.linalg.qr(random.standard_normal((len(values), len(values))))[0]
    a = (q * values) @ q.T
    return (a + a.T) / 2


def kappa_gram(distance):
    z = random.standard_normal((6, 9))
    z[5] = z[0] + distance * random.standard_normal(9) / 3
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    return np.exp((z @ z.T - 1) / 0.25)


def precise_inverse_sqrt(a, eps):
    """Return (a + eps I)^(-1/2) in 60 digits."""
    w, v = mpmath.eigsy(a + eps * mpmath.eye(a.rows))
    return v * mpmath.diag([1 / mpmath.sqrt(x) for x in w]) * v.T


def precise_outside(a, eps):
    """Return the matrix with eigenvalues 1 / (sqrt(lambda) + eps) in 60 digits."""
    w, v = mpmath.eigsy(a)
    return v * mpmath.diag([1 / (mpmath.sqrt(x) + eps) for x in w]) * v.T


def precise_gradient(function, a, eps, g):
    """Return the gradient of <g, function(a)> with respect to symmetric a.

    The derivative of a function of eigenvalues is self-adjoint (Daleckii and Krein), so the
    gradient is the derivative in direction g, made symmetric: a difference of 1e-20 in 60
    digits.
    """
    with mpmath.workdps(60):
        base, step = mpmath.matrix(a.tolist()), mpmath.mpf(10) ** -20
        move = step * mpmath.matrix(((g + g.T) / 2).tolist())
        change = (function(base + move, eps) - function(base - move, eps)) / (2 * step)
        return np.array(change.tolist(), dtype="float64")


matrices = {
    "all eigenvalues equal": (spectrum(2.0, 2.0, 2.0, 2.0), 0.0),
    "two pairs of equal eigenvalues": (spectrum(1.0, 1.0, 3.0, 3.0), 0.0),
    "identity": (np.eye(5), 1e-3),
    "filters 1e-4 apart": (kappa_gram(1e-4), 1e-3),
    "filters 1e-4 apart, little regularisation": (kappa_gram(1e-4), 1e-6),
    "filters 1e-2 apart": (kappa_gram(1e-2), 1e-3),
    "condition number 1e6": (spectrum(1.0, 0.3, 1e-2, 1e-4, 1e-6), 0.0),
    "1x1": (np.array([[0.7]]), 0.1),
}


@pytest.mark.parametrize("recorded", [False, True], ids=["backward", "create_graph"])
@pytest.mark.parametrize("name", matrices)
def test_gradient_of_inverse_sqrt_against_60_digits(name, recorded):
    a, eps = matrices[name]
    g = np.random.default_rng(1).standard_normal(a.shape)
    x = Tensor(a, requires_grad=True)
    (ours,) = grad(ops.inverse_sqrt(x, eps=eps), x, gradient=g, create_graph=recorded)
    exact = precise_gradient(precise_inverse_sqrt, a, eps, g)
    assert np.abs(ours.numpy() - exact).max() <= 1e-8 * np.abs(exact).max()


@pytest.mark.parametrize(
    "name", ["all eigenvalues equal", "filters 1e-2 apart", "condition number 1e6"]
)
def test_gradient_of_the_outside_convention_against_60_digits(name):
    a, _ = matrices[name]
    g = np.random.default_rng(1).standard_normal(a.shape)
    x = Tensor(a, requires_grad=True)
    (ours,) = grad(ops.inverse_sqrt(x, eps=1e-2, convention="outside"), x, gradient=g)
    exact = precise_gradient(precise_outside, a, 1e-2, g)
    assert np.abs(ours.numpy() - exact).max() <= 1e-8 * np.abs(exact).max()


@pytest.mark.parametrize("wrong", [1.001, 0.99])
def test_the_comparison_with_60_digits_can_fail(wrong):
    a, eps = matrices["filters 1e-4 apart"]
    g = np.random.default_rng(1).standard_normal(a.shape)
    x = Tensor(a, requires_grad=True)
    (ours,) = grad(ops.inverse_sqrt(x, eps=eps), x, gradient=g * wrong)
    exact = precise_gradient(precise_inverse_sqrt, a, eps, g)
    assert np.abs(ours.numpy() - exact).max() > 1e-8 * np.abs(exact).max()


@given(spd_matrices(st.integers(1, 2), n=st.integers(1, 5), minimum=0.3))
def test_values_agree_with_scipy(a):
    for matrix, ours, root in zip(a, ops.inverse_sqrt(a), ops.sqrtm(a), strict=True):
        expected = scipy.linalg.sqrtm(matrix)
        assert np.allclose(root, expected)
        assert np.allclose(ours @ expected, np.eye(len(matrix)), atol=1e-8)


@given(spd_matrices(n=4, minimum=0.3), st.integers(0, 9))
def test_lyapunov_agrees_with_scipy(a, seed):
    q = np.random.default_rng(seed).standard_normal((4, 4))
    assert np.allclose(ops.lyapunov(a, q), scipy.linalg.solve_continuous_lyapunov(a, q))


@given(near_duplicate_filters(5, 6))
def test_near_duplicate_filters_keep_the_identity(z):
    gram = np.exp(z @ z.T - 1)
    y = ops.inverse_sqrt(gram, eps=1e-6)
    assert np.allclose(y @ (gram + 1e-6 * np.eye(5)) @ y, np.eye(5), atol=1e-7)


def test_eigenvalues_that_rounding_made_negative_have_root_zero():
    a = np.array([[1.0, 1.0], [1.0, 1.0]]) - 1e-12 * np.eye(2)
    assert np.allclose(ops.sqrtm(a), np.array([[1, 1], [1, 1]]) / np.sqrt(2), atol=1e-6)


def test_regularisation_makes_a_singular_matrix_definite():
    assert np.allclose(ops.inverse_sqrt(np.zeros((3, 3)), eps=0.25), 2 * np.eye(3))
    with pytest.raises(LinearAlgebraError, match="smallest eigenvalue 0 with eps=0"):
        ops.inverse_sqrt(np.zeros((3, 3)))


def test_empty_matrices_and_empty_batches():
    assert ops.inverse_sqrt(np.zeros((0, 0))).shape == (0, 0)
    assert ops.sqrtm(np.zeros((0, 3, 3))).shape == (0, 3, 3)
    assert ops.lyapunov(np.zeros((0, 3, 3)), np.zeros((0, 3, 3))).shape == (0, 3, 3)


@pytest.mark.parametrize("function", [ops.inverse_sqrt, ops.sqrtm, ops.inv])
def test_integers_are_rejected(function):
    with pytest.raises(DTypeError, match="argument a expected a floating dtype, got int64"):
        function(np.eye(2, dtype=int))


def test_nan_is_rejected():
    with pytest.raises(LinearAlgebraError, match="symmetric finite matrices"):
        ops.inverse_sqrt(np.full((2, 2), np.nan))


def test_unknown_convention():
    with pytest.raises(ConfigError, match="'inside' or 'outside', got 'both'"):
        ops.inverse_sqrt(np.eye(2), convention="both")


def test_tolerances_apply_to_each_matrix_of_a_batch():
    large = 1e6 * np.eye(2)
    with pytest.raises(LinearAlgebraError, match="semi-definite"):
        ops.sqrtm(np.stack([large, np.diag([1.0, -1e-3])]))
    with pytest.raises(LinearAlgebraError, match="symmetric"):
        ops.sqrtm(np.stack([large, np.array([[1.0, 2.0], [-2.0, 1.0]])]))
