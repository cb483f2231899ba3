import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_ckn import Tensor, grad
from tinygrad_ckn.errors import DataError, DTypeError, ShapeError
from tinygrad_ckn.models.kernels import Exponential, Polynomial, gram
from tinygrad_ckn.testing import gradcheck
from tinygrad_ckn.testing.strategies import arrays, patches_with_zero_norm

few = settings(max_examples=15, deadline=None)


@given(x=patches_with_zero_norm(4, 3), y=patches_with_zero_norm(5, 3))
@few
def test_gram_matrix_is_its_formula(case, x: np.ndarray, y: np.ndarray) -> None:
    np.testing.assert_allclose(
        case.kernel(x, y), case.gram(x, y), rtol=case.tolerance, atol=10 * case.tolerance
    )


@given(x=arrays(st.integers(1, 5), 3))
@few
def test_gram_matrix_of_one_set_has_squared_norms_on_its_diagonal(case, x: np.ndarray) -> None:
    k = case.kernel(x)
    np.testing.assert_allclose(np.diagonal(k), [math.fsum(v * v) for v in x], rtol=case.tolerance)
    np.testing.assert_array_equal(k, case.kernel(x, x))


@given(
    x=patches_with_zero_norm(3, 4), y=arrays(2, 4), a=st.floats(0.01, 100), b=st.floats(0.01, 100)
)
@few
def test_kernel_is_positively_homogeneous_in_each_argument(case, x, y, a: float, b: float) -> None:
    expected = a * b * case.kernel(x, y)
    np.testing.assert_allclose(
        case.kernel(a * x, b * y), expected, rtol=case.tolerance, atol=10 * case.tolerance * a * b
    )


@given(x=arrays(st.integers(1, 8), st.integers(1, 4)))
@few
def test_gram_matrices_are_positive_semi_definite(case, x: np.ndarray) -> None:
    k = case.kernel(np.concatenate([x, x[:1], 2 * x[-1:]]))
    np.testing.assert_allclose(k, k.T, atol=1e-12)
    assert np.linalg.eigvalsh(k)[0] >= -1e-7 * np.trace(k)


def test_zero_vectors_give_exactly_0_and_finite_derivatives_of_order_1_and_2(case) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(3, 4)), rng.normal(size=(4, 4))
    x[1], y[2] = 0, 0
    x, y = Tensor(x, requires_grad=True), Tensor(y, requires_grad=True)
    k = case.kernel(x, y)
    assert not k.numpy()[1].any()
    assert not k.numpy()[:, 2].any()
    assert (k.numpy() != 0).sum() == 6
    first = grad((k * k).sum() + k.sum(), [x, y], create_graph=True)
    assert all(np.isfinite(g.numpy()).all() and g.numpy().any() for g in first)
    assert not first[0].numpy()[1].any()
    second = grad((first[0] * first[0]).sum() + (first[1] * first[1]).sum(), [x, y])
    assert all(np.isfinite(g.numpy()).all() and g.numpy().any() for g in second)


def test_gradients_of_the_gram_matrix_of_order_1_and_2(case) -> None:
    rng = np.random.default_rng(1)
    report = gradcheck(case.kernel, [rng.normal(size=(3, 4)), rng.normal(size=(2, 4))], order=2)
    assert len(report.comparisons) >= 4


def test_arrays_give_arrays_and_tensors_tensors_of_the_same_values_and_dtype(case) -> None:
    x = np.random.default_rng(2).normal(size=(3, 4)).astype("float32")
    k = case.kernel(x)
    assert type(k) is np.ndarray
    assert k.dtype == "float32"
    np.testing.assert_array_equal(case.kernel(Tensor(x)).numpy(), k)


@pytest.mark.parametrize(
    ("x", "y"), [((3, 2), (3, 4)), ((3,), (3, 3)), ((3, 2), (2,)), ((1, 3, 2), (3, 2))]
)
def test_vectors_of_different_lengths_are_refused(x, y) -> None:
    with pytest.raises(
        ShapeError, match=r"^kernel: expected x \(n, d\) and y \(m, d\) of one d, got \("
    ):
        Exponential()(np.ones(x), np.ones(y))


def test_the_result_does_not_depend_on_the_block_size(
    case, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(11, 4)), rng.normal(size=(7, 4))
    whole = case.kernel(x, y)
    monkeypatch.setattr(gram, "_BLOCK", 3)
    np.testing.assert_allclose(case.kernel(x, y), whole, rtol=case.tolerance, atol=case.tolerance)


def test_memory_besides_the_result_is_bounded_by_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gram, "_BLOCK", 64)
    x = np.random.default_rng(4).normal(size=(1500, 3))
    tracemalloc.start()
    try:
        k = Exponential(0.5)(x)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < k.nbytes + 1e6


def test_nested_lists_and_integers_count_as_float64() -> None:
    expected = Polynomial(2)(np.array([[100.0, 0.0]]), np.array([[3.0, 4.0]]))
    for x, y in (
        ([[100, 0]], [(3, 4)]),
        (np.array([[100, 0]], dtype="int8"), np.array([[3, 4]], dtype="uint8")),
        (Tensor(np.array([[100, 0]], dtype="int8")), [[3, 4]]),
    ):
        k = Polynomial(2)(x, y)
        assert k.dtype == "float64"
        np.testing.assert_allclose(
            np.asarray(k.numpy() if isinstance(k, Tensor) else k), expected, rtol=1e-14
        )


def test_one_vector_each_gives_a_number(case) -> None:
    x, y = np.random.default_rng(5).normal(size=(2, 4))
    assert float(case.kernel(x, y)) == case.kernel(x[None], y[None])[0, 0]
    assert case.kernel(Tensor(x), y).shape == ()


def test_no_vectors_make_an_empty_matrix(case) -> None:
    assert case.kernel(np.ones((0, 3)), np.ones((2, 3))).shape == (0, 2)
    assert case.kernel(np.ones((2, 3)), np.ones((0, 3))).shape == (2, 0)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [np.array, Tensor, np.ndarray.tolist])
def test_nan_and_infinity_are_refused(wrong: float, kind) -> None:
    bad, good = np.array([[1.0, 2.0], [3.0, wrong]]), np.ones((2, 2))
    with pytest.raises(
        DataError, match=r"^kernel: argument x expected finite numbers, got NaN or infinity; leave"
    ):
        Exponential()(kind(bad))
    with pytest.raises(DataError, match=r"^kernel: argument y expected finite numbers"):
        Exponential()(kind(good), kind(bad))


@pytest.mark.parametrize(
    "x", [[[1.0], [2.0, 3.0]], "rows", {"a": 1}, object(), [["a"]], np.ones((2, 2)) * 1j]
)
def test_arguments_other_than_real_arrays_are_refused(x) -> None:
    with pytest.raises(DTypeError, match=r"^kernel: argument x expected "):
        Exponential()(x, np.ones((2, 2)))


@pytest.fixture
def rings() -> tuple[np.ndarray, np.ndarray]:
    """Return two concentric rings, with a constant third coordinate, and their labels."""
    rng = np.random.default_rng(6)
    labels = np.arange(120) % 2
    angle, radius = rng.uniform(0, 2 * math.pi, 120), 0.4 + 0.6 * labels + rng.normal(0, 0.05, 120)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), np.ones(120)], axis=1), labels


def test_a_support_vector_machine_separates_two_rings(rings) -> None:
    svm = pytest.importorskip(
        "sklearn.svm", reason="scikit-learn, a development tool, has the support vector machine"
    )
    base = pytest.importorskip("sklearn.base")
    x, labels = rings
    train, test = slice(0, 80), slice(80, None)
    model = base.clone(svm.SVC(kernel=Exponential(0.3), C=100.0)).fit(x[train], labels[train])
    assert model.score(x[test], labels[test]) == 1
    assert (
        svm.SVC(kernel="linear", C=100.0).fit(x[train], labels[train]).score(x[test], labels[test])
        < 0.8
    )


def test_kernel_ridge_regression_solves_its_normal_equations(case, rings) -> None:
    ridge = pytest.importorskip(
        "sklearn.kernel_ridge", reason="scikit-learn, a development tool, has kernel ridge"
    )
    x, labels = rings[0][:20], np.sin(3 * rings[0][:20, 0])
    model = ridge.KernelRidge(alpha=0.1, kernel=case.kernel).fit(x, labels)
    k = case.kernel(x)
    expected = k @ np.linalg.solve(k + 0.1 * np.eye(20), labels)
    np.testing.assert_allclose(model.predict(x), expected, rtol=1e-5, atol=1e-6)
