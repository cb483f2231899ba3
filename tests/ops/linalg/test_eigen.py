import numpy as np
import pytest

from tinygrad_ckn import Tensor, grad, hessian, jvp, linalg, ops
from tinygrad_ckn.errors import LinearAlgebraError
from tinygrad_ckn.testing import gradcheck

random = np.random.default_rng(0)


def spectrum(*values):
    q = np.linalg.qr(random.normal(size=(len(values), len(values))))[0]
    a = (q * np.array(values)) @ q.T
    return (a + a.T) / 2


POINTS = {
    "identity": np.eye(3),
    "pair": spectrum(2.0, 2.0, 3.0),
    "batch": np.stack([spectrum(1.0, 1.0, 2.0), spectrum(3.0, 3.0, 3.0), spectrum(1.0, 2.0, 3.0)]),
    **{f"{gap:g} apart": spectrum(2.0, 2.0 + gap, 3.0) for gap in (1e-4, 1e-7, 1e-9, 1e-12)},
}
SYMMETRIC = {
    "cubes": lambda w: (w**3).sum(),
    "logarithms": lambda w: ops.log(w).sum(),
    "variance": ops.var,
    "logsumexp": ops.logsumexp,
    "a function of two sums": lambda w: ops.sin((w**2).sum()) * ops.exp(-w).sum(),
}


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("name", SYMMETRIC)
def test_symmetric_functions_of_eigenvalues_are_right_where_they_meet(name, point):
    function = SYMMETRIC[name]
    assert gradcheck(lambda a: function(linalg.eigvalsh(a)), POINTS[point], order=2).error < 1e-6


def test_the_hessian_of_the_sum_of_powers_is_that_of_the_trace():
    for power, by_trace in (
        (2, lambda a: linalg.trace(a @ a.mT)),
        (4, lambda a: linalg.trace(linalg.matrix_power((a + a.mT) / 2, 4))),
    ):
        a = np.eye(3)
        mine = hessian(lambda x, n=power: (linalg.eigvalsh(x) ** n).sum(), a).numpy()
        other = hessian(by_trace, a).numpy()
        if power == 2:
            # trace(A A^T) counts the skew part as well
            other = (other + other.swapaxes(0, 1)) / 2
        assert np.allclose(mine, other)


def test_eigenvalues_far_smaller_than_the_largest_keep_their_own_second_derivatives():
    # 1e-10 and 2e-10 are close to each other only beside 1
    a = np.diag([1.0, 1e-10, 2e-10])
    h = hessian(lambda x: ops.log(linalg.eigvalsh(x)).sum(), a).numpy()
    # D^2 log det [E, E] = -tr (A^-1 E)^2, of E = (e_2 e_3^T + e_3 e_2^T) / 2
    assert np.isclose(h[1, 2, 1, 2], -0.5 / (1e-10 * 2e-10), rtol=1e-5)
    assert np.isclose(h[1, 1, 1, 1], -1e20, rtol=1e-5)


def test_a_parameter_in_the_function_and_in_the_matrix():
    a = np.stack([np.eye(2), spectrum(1.0, 2.0)])

    def function(a, c):
        return ops.exp(c * linalg.eigvalsh(c * a @ a.swapaxes(-1, -2))).sum()

    assert gradcheck(function, [a, np.array(0.5)], order=2).error < 1e-6


@pytest.mark.parametrize(
    "function",
    [
        lambda a: linalg.eigvalsh(a)[0],
        lambda a: (linalg.eigvalsh(a) * np.array([1.0, 2.0])).sum(),
        # each depends on the other in a way that is not seen
        lambda a: (linalg.eigvalsh(a) * linalg.eigvalsh(a)).sum(),
    ],
)
def test_second_derivatives_that_do_not_exist_are_nan(function):
    assert np.isnan(hessian(function, np.eye(2)).numpy()).all()
    apart = hessian(function, spectrum(1.0, 2.0)).numpy()
    assert np.isfinite(apart).all()


def test_the_largest_of_equal_eigenvalues_has_a_subgradient():
    x = Tensor(np.eye(3), requires_grad=True)
    (g,) = grad(linalg.eigvalsh(x)[-1], x)
    w = np.linalg.eigvalsh(g.numpy())
    assert np.allclose(w, [0, 0, 1])


def test_third_derivatives_are_right_apart_and_nan_where_eigenvalues_meet():
    def third(a):
        x = Tensor(a, requires_grad=True)
        slope = (linalg.eigvalsh(x) ** 4).sum()
        for _ in range(3):
            (g,) = grad(slope, x, create_graph=True)
            slope = (g * direction).sum()
        return slope.item()

    direction = spectrum(0.5, 1.0, 2.0)
    a = spectrum(1.0, 2.0, 4.0)
    # d^3 tr (A + tE)^4 = 24 tr A E^3
    assert np.isclose(third(a), 24 * np.trace(a @ direction @ direction @ direction))
    assert np.isnan(third(np.eye(3)))


def test_eigenvectors_of_equal_eigenvalues_have_derivative_nan():
    x = Tensor(np.diag([1.0, 1.0, 3.0]), requires_grad=True)
    values, vectors = linalg.eigh(x)
    (g,) = grad((vectors * random.normal(size=(3, 3))).sum(), x, retain_graph=True)
    assert np.isnan(g.numpy()).any()
    # the others have theirs
    v = vectors[:, 2]
    (g,) = grad((v * v * np.array([1.0, 2.0, 3.0])).sum() + values.sum(), x)
    assert np.isfinite(g.numpy()).all()


def test_the_projector_on_separate_eigenvectors_at_order_2():
    a = spectrum(1.0, 2.0, 5.0)
    c = random.normal(size=(3, 3))

    def function(a):
        v = linalg.eigh(a).eigenvectors[..., 1:]
        return (v @ v.mT * c).sum()

    assert gradcheck(function, a, order=2).error < 1e-6


def test_values_are_numpys_and_a_namedtuple_of_arrays_or_tensors():
    a = POINTS["batch"]
    values, vectors = linalg.eigh(a)
    assert np.allclose(values, np.linalg.eigvalsh(a))
    assert np.allclose(linalg.eigvalsh(a), values)
    assert np.allclose(vectors * values[..., None, :] @ vectors.swapaxes(-1, -2), a)
    found = linalg.eigh(Tensor(a, dtype="float32"))
    assert {found.eigenvalues.dtype, found.eigenvectors.dtype} == {np.dtype("float32")}
    assert isinstance(vectors, np.ndarray)


def test_the_jvp_of_eigenvalues():
    a, e = spectrum(1.0, 2.0, 3.0), spectrum(1.0, -1.0, 0.5)
    _, slope = jvp(linalg.eigvalsh, a, e)
    v = np.linalg.eigh(a)[1]
    assert np.allclose(slope.numpy(), np.diag(v.T @ e @ v))


def test_condition_number_1e12():
    a = spectrum(1.0, 1e-6, 1e-12)
    x = Tensor(a, requires_grad=True)
    (g,) = grad((linalg.eigvalsh(x) ** 2).sum(), x)
    assert np.allclose(g.numpy(), 2 * a, atol=1e-15)


def test_empty_and_1x1_matrices():
    for shape in ((0, 0), (2, 0, 0), (0, 3, 3), (2, 1, 1)):
        x = Tensor(np.ones(shape), requires_grad=True)
        values, vectors = linalg.eigh(x)
        (g,) = grad((values**2).sum() + vectors.sum(), x, create_graph=True)
        assert g.shape == shape
        (h,) = grad((g * g).sum(), x)
        assert h.shape == shape
        assert np.allclose(h.numpy(), 8.0)


@pytest.mark.parametrize("function", [linalg.eigh, linalg.eigvalsh])
def test_what_is_not_symmetric_or_finite_is_refused(function):
    name = function.__name__
    for wrong in (np.array([[1.0, 2.0], [-2.0, 1.0]]), np.full((2, 2), np.nan)):
        with pytest.raises(LinearAlgebraError, match=f"{name}: argument a expected symmetric fin"):
            function(wrong)
