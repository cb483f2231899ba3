import numpy as np
import pytest
import scipy.linalg

from tinygrad_ckn import Tensor, grad, linalg
from tinygrad_ckn.errors import ConfigError, LinearAlgebraError
from tinygrad_ckn.testing import gradcheck

random = np.random.default_rng(0)
MATRICES = {
    "random": random.normal(size=(3, 3)),
    "identity": np.eye(3),
    "zero": np.zeros((2, 2)),
    "nilpotent": np.array([[0.0, 1.0, 2.0], [0.0, 0.0, 3.0], [0.0, 0.0, 0.0]]),
    "rotation": np.array([[0.0, -3.0], [3.0, 0.0]]),
    "1x1": np.array([[0.7]]),
    "batch": random.normal(size=(2, 3, 3)) * [[[0.1]], [[3.0]]],
}


@pytest.mark.parametrize("scale", [1e-8, 1.0, 10.0])
@pytest.mark.parametrize("name", MATRICES)
def test_values_are_scipys(name, scale):
    a = scale * MATRICES[name]
    expected = scipy.linalg.expm(a)
    assert np.abs(linalg.expm(a) - expected).max() <= 1e-12 * np.abs(expected).max()


@pytest.mark.parametrize("name", MATRICES)
def test_derivatives_are_exact_for_all_matrices(name):
    assert gradcheck(linalg.expm, MATRICES[name], order=2).error < 1e-6


def test_the_gradient_is_scipys_frechet_derivative():
    a, g = random.normal(size=(2, 4, 4))
    # a large upstream gradient costs no accuracy
    for scale in (1.0, 1e12):
        x = Tensor(a, requires_grad=True)
        (found,) = grad((linalg.expm(x) * (scale * g)).sum(), x)
        expected = scale * scipy.linalg.expm_frechet(a.T, g, compute_expm=False)
        assert np.abs(found.numpy() - expected).max() <= 1e-12 * np.abs(expected).max()


def test_derivatives_of_order_4():
    t = Tensor(1.0, requires_grad=True)
    a = MATRICES["random"]
    y = linalg.expm(t * a)[0, 1]
    power = scipy.linalg.expm(a)
    for _ in range(4):
        (y,) = grad(y, t, create_graph=True)
        power = power @ a
        assert np.isclose(y.item(), power[0, 1])


def test_small_and_large_matrices_of_a_batch_do_not_disturb_each_other():
    small = linalg.expm(np.stack([np.diag([1e-9, 0.0]), 200 * MATRICES["rotation"]]))[0]
    assert small[0, 0] - 1 == np.exp(1e-9) - 1


def test_single_precision_and_empty_matrices():
    a = MATRICES["random"]
    found = linalg.expm(a.astype("float32"))
    assert found.dtype == "float32"
    assert np.allclose(found, scipy.linalg.expm(a), rtol=1e-4)
    for shape in ((0, 0), (2, 0, 0), (0, 3, 3)):
        x = Tensor(np.zeros(shape), requires_grad=True)
        (g,) = grad(linalg.expm(x).sum(), x)
        assert g.shape == shape


def test_what_is_not_finite_is_refused():
    with pytest.raises(LinearAlgebraError, match="expm: argument a expected finite matrices"):
        linalg.expm(np.array([[np.inf]]))


@pytest.mark.parametrize("n", [-3, -1, 0, 1, 2, 3, 6, 7])
def test_powers_are_numpys(n):
    a = MATRICES["batch"]
    assert np.allclose(linalg.matrix_power(a, n), np.linalg.matrix_power(a, n))
    x = Tensor(a, requires_grad=True)
    y = linalg.matrix_power(x, np.int64(n))
    assert y is not x
    (g,) = grad(y.sum(), x)
    assert g.numpy().any() == (n != 0)


def test_the_trace_of_powers_at_equal_eigenvalues():
    function = lambda a: linalg.trace(linalg.matrix_power(a, 5))  # noqa: E731
    assert gradcheck(function, np.eye(3), order=2).error < 1e-6


def test_an_exponent_that_is_no_integer_is_refused():
    with pytest.raises(ConfigError, match=r"argument n expected an integer, got 0\.5"):
        linalg.matrix_power(np.eye(2), 0.5)
