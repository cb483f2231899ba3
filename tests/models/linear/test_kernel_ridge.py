import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.preprocessing import KernelCenterer
from sklearn.utils.class_weight import compute_sample_weight

from tinygrad_ckn import data
from tinygrad_ckn.errors import ConfigError, DataError, LinearAlgebraError, ShapeError
from tinygrad_ckn.models import CKNLayer
from tinygrad_ckn.models.exact import exact_kernel
from tinygrad_ckn.models.linear.kernel_ridge import L2_GRID, KernelRidgeClassifier


def problem(seed: int, n: int = 30, d: int = 5, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) + 2
    labels = (x @ rng.normal(size=(d, classes)) + rng.normal(size=(n, classes))).argmax(axis=1)
    labels[:classes] = range(classes)
    return x, labels


def signs(labels: np.ndarray) -> np.ndarray:
    return np.where(labels[:, None] == np.arange(labels.max() + 1), 1.0, -1.0)


def penalty(x: np.ndarray, l2: float) -> float:
    """Return what scikit-learn calls alpha."""
    return l2 * float(((x - x.mean(axis=0)) ** 2).sum())


seeds = given(seed=st.integers(0, 2**32), l2=st.sampled_from([1e-4, 1e-2, 1.0]))
few = settings(max_examples=10, deadline=None)


@seeds
@few
def test_scores_are_those_of_ridge_regression_on_the_features(seed: int, l2: float) -> None:
    x, labels = problem(seed)
    others = np.random.default_rng(seed + 1).normal(size=(7, 5))
    ridge = Ridge(alpha=penalty(x, l2)).fit(x, signs(labels))
    fitted = KernelRidgeClassifier(l2).fit(x @ x.T, labels)
    np.testing.assert_allclose(
        fitted.scores(others @ x.T), ridge.predict(others), rtol=1e-8, atol=1e-8
    )
    classifier = RidgeClassifier(alpha=penalty(x, l2)).fit(x, labels)
    np.testing.assert_array_equal(fitted.predict(others @ x.T), classifier.predict(others))


@seeds
@few
def test_scores_are_those_of_kernel_ridge_on_the_centred_matrix(seed: int, l2: float) -> None:
    x, labels = problem(seed)
    gram, targets = np.exp(x @ x.T / 9), signs(labels)
    centred = KernelCenterer().fit_transform(gram)
    reference = KernelRidge(kernel="precomputed", alpha=l2 * np.trace(centred)).fit(
        centred, targets - targets.mean(axis=0)
    )
    expected = reference.predict(centred) + targets.mean(axis=0)
    np.testing.assert_allclose(
        KernelRidgeClassifier(l2).fit(gram, labels).scores(gram), expected, atol=1e-8
    )


@given(seed=st.integers(0, 2**32), l2=st.sampled_from(L2_GRID), d=st.sampled_from([2, 5, 40]))
@few
def test_errors_are_those_of_fits_without_each_example(seed: int, l2: float, d: int) -> None:
    x, labels = problem(seed, n=12, d=d)
    targets, alpha = signs(labels), penalty(x, l2)
    left_out = []
    for i in range(len(x)):
        rest = np.arange(len(x)) != i
        ridge = Ridge(alpha=alpha, solver="svd").fit(x[rest], targets[rest])
        left_out.append(targets[i] - ridge.predict(x[i : i + 1])[0])
    found = KernelRidgeClassifier(l2).fit(x @ x.T, labels).errors_
    assert found == {l2: pytest.approx(np.mean(np.square(left_out)), rel=1e-5)}


def test_l2_is_that_of_the_least_error() -> None:
    x, labels = problem(0, n=60, d=40)
    fitted = KernelRidgeClassifier().fit(x @ x.T, labels)
    assert tuple(fitted.errors_) == L2_GRID
    assert fitted.errors_[fitted.l2_] == min(fitted.errors_.values()) < max(fitted.errors_.values())
    alone = KernelRidgeClassifier(fitted.l2_).fit(x @ x.T, labels)
    np.testing.assert_array_equal(fitted.dual_coef_, alone.dual_coef_)
    assert fitted.errors_[fitted.l2_] == alone.errors_[alone.l2_]


@given(scale=st.floats(1e-6, 1e6), shift=st.floats(0, 10))
@few
def test_scale_and_origin_of_the_kernel_do_not_change_the_scores(
    scale: float, shift: float
) -> None:
    x, labels = problem(1)
    gram = x @ x.T
    expected = KernelRidgeClassifier(1e-2).fit(gram, labels).scores(gram)
    moved = scale * (gram + shift)
    np.testing.assert_allclose(
        KernelRidgeClassifier(1e-2).fit(moved, labels).scores(moved), expected, atol=1e-8
    )


def test_a_matrix_in_float32_and_labels_in_a_list_are_taken() -> None:
    x, labels = problem(2)
    gram = x @ x.T
    expected = KernelRidgeClassifier(1e-2).fit(gram, labels)
    found = KernelRidgeClassifier(1e-2).fit(gram.astype("float32"), labels.tolist())
    np.testing.assert_allclose(found.scores(gram), expected.scores(gram), atol=1e-4)


def test_digits_are_told_apart_by_the_exact_kernel() -> None:
    digits = data.load("digits")
    train, test = digits.train.take(np.arange(150)), digits.test.take(np.arange(100))
    layers = [CKNLayer(1, 1, 3, subsampling=2), CKNLayer(1, 1, 3, subsampling=2)]
    fitted = KernelRidgeClassifier().fit(exact_kernel(layers, train.images), train.labels)
    predicted = fitted.predict(exact_kernel(layers, test.images, train.images))
    assert (predicted == test.labels).mean() > 0.9


@pytest.mark.parametrize("l2", [0, -1.0, math.nan, math.inf, "1"])
def test_l2_out_of_range_is_refused(l2: object) -> None:
    with pytest.raises(ConfigError, match=r"argument l2 expected a number > 0 or None, got "):
        KernelRidgeClassifier(l2)


@pytest.mark.parametrize("shape", [(3,), (3, 4), (3, 3, 3)])
def test_a_matrix_that_is_not_square_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"fit: argument gram expected shape \(n, n\), got "):
        KernelRidgeClassifier().fit(np.ones(shape), np.array([0, 1, 0]))


@pytest.mark.parametrize(
    "labels", [np.array([0, 1]), np.array([0.0, 1.0, 1.0]), np.array([[0, 1, 1]])]
)
def test_labels_that_are_no_integers_for_each_row_are_refused(labels: np.ndarray) -> None:
    with pytest.raises(
        DataError, match="argument labels expected 3 integers, one for each row of gram, got "
    ):
        KernelRidgeClassifier().fit(np.eye(3), labels)


@pytest.mark.parametrize("labels", [[1, 1, 1], [-1, 0, 1]])
def test_labels_that_are_no_classes_are_refused(labels: list[int]) -> None:
    with pytest.raises(
        DataError, match="expected class numbers >= 0 of at least two classes, got "
    ):
        KernelRidgeClassifier().fit(np.eye(3), np.array(labels))


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.5])
def test_a_matrix_that_is_not_finite_and_symmetric_is_refused(bad: float) -> None:
    gram = np.eye(3)
    gram[0, 1] = bad
    with pytest.raises(
        LinearAlgebraError, match="argument gram expected a finite symmetric matrix, got another"
    ):
        KernelRidgeClassifier().fit(gram, np.array([0, 1, 1]))


def test_a_matrix_that_is_no_kernel_is_refused() -> None:
    with pytest.raises(
        LinearAlgebraError,
        match="expected a positive semi-definite matrix, got smallest eigenvalue -",
    ):
        KernelRidgeClassifier().fit(np.diag([3.0, 3.0, -2.0]), np.array([0, 1, 1]))


def test_examples_that_are_all_equal_are_refused() -> None:
    with pytest.raises(
        DataError, match="argument gram expected examples that differ, got equal ones"
    ):
        KernelRidgeClassifier().fit(np.full((3, 3), 0.1), np.array([0, 1, 1]))


def test_scores_need_a_fit_and_a_column_for_each_of_its_examples() -> None:
    with pytest.raises(
        ConfigError, match=r"expected a fitted classifier; call fit\(gram, labels\) first"
    ):
        KernelRidgeClassifier().predict(np.eye(3))
    fitted = KernelRidgeClassifier().fit(np.eye(3), np.array([0, 1, 1]))
    with pytest.raises(ShapeError, match=r"argument gram expected shape \(m, 3\), .* got \(3, 2\)"):
        fitted.predict(np.ones((3, 2)))


@seeds
@few
def test_weights_are_those_of_scikit_learn(seed: int, l2: float) -> None:
    x, labels = problem(seed)
    others = np.random.default_rng(seed + 1).normal(size=(7, 5))
    weights = np.random.default_rng(seed + 2).uniform(0, 3, 30) * (np.arange(30) % 7 > 0)
    weights[:3] = 1
    mean = np.average(x, axis=0, weights=weights)
    spread = float((weights[:, None] * (x - mean) ** 2).sum())
    # The sum of weights in place of their mean.
    ridge = Ridge(alpha=l2 * spread).fit(x, signs(labels), sample_weight=weights)
    fitted = KernelRidgeClassifier(l2).fit(x @ x.T, labels, sample_weight=weights)
    np.testing.assert_allclose(
        fitted.scores(others @ x.T), ridge.predict(others), rtol=1e-6, atol=1e-6
    )
    balanced = RidgeClassifier(alpha=1.0, class_weight="balanced").fit(x, labels)
    of_classes = compute_sample_weight("balanced", labels)
    mean = np.average(x, axis=0, weights=of_classes)
    spread = float((of_classes[:, None] * (x - mean) ** 2).sum())
    fitted = KernelRidgeClassifier(1 / spread).fit(x @ x.T, labels, class_weight="balanced")
    np.testing.assert_array_equal(fitted.predict(others @ x.T), balanced.predict(others))


@given(seed=st.integers(0, 2**32), l2=st.sampled_from(L2_GRID), d=st.sampled_from([2, 5, 40]))
@few
def test_weighted_errors_are_those_of_fits_without_each_example(
    seed: int, l2: float, d: int
) -> None:
    x, labels = problem(seed, n=12, d=d)
    targets = signs(labels)
    weights = np.random.default_rng(seed).uniform(0.2, 3, 12)
    mean = np.average(x, axis=0, weights=weights)
    alpha = l2 * float((weights[:, None] * (x - mean) ** 2).sum())
    left_out = []
    for i in range(len(x)):
        rest = np.arange(len(x)) != i
        ridge = Ridge(alpha=alpha, solver="svd")
        ridge.fit(x[rest], targets[rest], sample_weight=weights[rest])
        left_out.append(targets[i] - ridge.predict(x[i : i + 1])[0])
    expected = np.average(np.square(left_out).mean(axis=1), weights=weights)
    found = KernelRidgeClassifier(l2).fit(x @ x.T, labels, sample_weight=weights).errors_
    assert found == {l2: pytest.approx(expected, rel=1e-5)}


def test_equal_weights_change_no_bit_and_wrong_ones_are_refused() -> None:
    x, labels = problem(3)
    plain = KernelRidgeClassifier().fit(x @ x.T, labels)
    same = KernelRidgeClassifier().fit(x @ x.T, labels, sample_weight=np.full(30, 2.0))
    np.testing.assert_array_equal(same.dual_coef_, plain.dual_coef_)
    with pytest.raises(DataError, match="fit: argument sample_weight expected 30 numbers"):
        KernelRidgeClassifier().fit(x @ x.T, labels, sample_weight=np.ones(3))
    with pytest.raises(ConfigError, match=r"argument class_weight expected labels .* got 5"):
        KernelRidgeClassifier().fit(x @ x.T, labels, class_weight={5: 1.0})
