import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Ridge, RidgeCV

from tinygrad_ckn import block_sums, parallel
from tinygrad_ckn.errors import ConfigError, DataError, DTypeError, LinearAlgebraError
from tinygrad_ckn.models.linear.ridge import L2_GRID, fit_ridge

# more examples than features, fewer, as many
shapes = pytest.mark.parametrize(("n", "d"), [(60, 8), (20, 45), (12, 12)])


def problem(n: int, d: int, k: int | None = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return features far from 0, of very different variances, and noisy targets."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) * np.logspace(0, -2, d) + 3
    targets = x @ rng.normal(size=(d, k or 1)) + rng.normal(size=(n, k or 1)) - 5
    return x, targets if k else targets[:, 0]


def scale_of(x: np.ndarray) -> float:
    return math.sqrt(((x - x.mean(axis=0)) ** 2).sum() / len(x))


def objective(
    x: np.ndarray, t: np.ndarray, weight: np.ndarray, bias: np.ndarray, l2: float
) -> float:
    """Return the objective of centred and scaled features, one example at a time."""
    errors = sum(((weight @ a + bias - b) ** 2).sum() for a, b in zip(x, t, strict=True))
    return errors / (2 * len(x)) + l2 / 2 * (weight**2).sum()


@shapes
@pytest.mark.parametrize("k", [None, 1, 3])
@pytest.mark.parametrize("l2", [1.0, 1e-3, 1e-6])
def test_a_given_l2_gives_the_weights_of_scikit_learns_ridge(
    n: int, d: int, k: int | None, l2: float
) -> None:
    x, t = problem(n, d, k)
    fit = fit_ridge(x, t, l2=l2)
    expected = Ridge(alpha=n * l2 * scale_of(x) ** 2, solver="svd").fit(x, t.reshape(n, -1))
    assert fit.weight.shape == (k or 1, d)
    np.testing.assert_allclose(fit.weight, np.atleast_2d(expected.coef_), rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(fit.bias, np.atleast_1d(expected.intercept_), rtol=1e-8, atol=1e-8)
    assert (fit.l2, fit.held_out) == (l2, {})
    assert fit.scale == pytest.approx(scale_of(x), rel=1e-12)


@shapes
def test_no_step_from_the_solution_lowers_the_stated_objective(n: int, d: int) -> None:
    x, t = problem(n, d)
    fit = fit_ridge(x, t, l2=1e-2)
    mean, scale = x.mean(axis=0), scale_of(x)
    weight, bias = fit.weight * scale, fit.bias + fit.weight @ mean
    least = objective((x - mean) / scale, t, weight, bias, 1e-2)
    rng = np.random.default_rng(1)
    for size in (1e-1, 1e-3):
        step, shift = size * rng.normal(size=weight.shape), size * rng.normal(size=bias.shape)
        for sign in (-1, 1):
            assert (
                objective((x - mean) / scale, t, weight + sign * step, bias + sign * shift, 1e-2)
                > least
            )


@shapes
def test_the_losses_left_out_and_the_choice_are_those_of_scikit_learn(n: int, d: int) -> None:
    x, t = problem(n, d)
    fit = fit_ridge(x, t)
    alphas = n * scale_of(x) ** 2 * np.array(L2_GRID)
    # where n = d its other mode is 6e-7 or more from 60 digits, by the machine; this
    # one 5e-9, and ours 1e-10
    expected = RidgeCV(alphas=alphas, store_cv_results=True, gcv_mode="svd").fit(x, t)
    # (n, k, alphas)
    losses = expected.cv_results_.sum(axis=1).mean(axis=0) / 2
    assert tuple(fit.held_out) == L2_GRID
    np.testing.assert_allclose(list(fit.held_out.values()), losses, rtol=1e-6)
    np.testing.assert_allclose(list(fit.held_out.values())[:9], losses[:9], rtol=1e-8)
    assert fit.l2 * n * scale_of(x) ** 2 == pytest.approx(expected.alpha_)
    np.testing.assert_allclose(fit.weight, expected.coef_, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(fit.bias, expected.intercept_, rtol=1e-8, atol=1e-8)


@given(n=st.integers(2, 9), d=st.integers(1, 12), seed=st.integers(0, 1000))
def test_leaving_out_is_fitting_without(n: int, d: int, seed: int) -> None:
    x, t = problem(n, d, 2, seed)
    fit = fit_ridge(x, t)
    for l2 in L2_GRID[:6]:
        total = 0.0
        for i in range(n):
            others = np.arange(n) != i
            alone = Ridge(alpha=n * l2 * scale_of(x) ** 2, solver="svd").fit(x[others], t[others])
            total += ((alone.predict(x[[i]]) - t[i]) ** 2).sum()
        assert fit.held_out[l2] == pytest.approx(total / (2 * n), rel=1e-7)
    assert fit.held_out[fit.l2] == min(fit.held_out.values())


@shapes
def test_the_l2_chosen_gives_the_weights_that_it_gives_alone(n: int, d: int) -> None:
    x, t = problem(n, d)
    fit = fit_ridge(x, t)
    alone = fit_ridge(x, t, l2=fit.l2)
    np.testing.assert_allclose(fit.weight, alone.weight, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(fit.bias, alone.bias, rtol=1e-7, atol=1e-9)


def test_repeated_examples_are_no_examples_left_out() -> None:
    x, t = problem(15, 40, 1)
    fit = fit_ridge(np.repeat(x, 2, axis=0), np.repeat(t, 2, axis=0))
    # the other copy says it
    assert list(fit.held_out.values())[-1] < 1e-12


def test_without_regularisation_it_is_least_squares() -> None:
    x, t = problem(60, 8)
    fit = fit_ridge(x, t, l2=0)
    solution = np.linalg.lstsq(np.column_stack([x, np.ones(60)]), t, rcond=None)[0]
    np.testing.assert_allclose(np.column_stack([fit.weight, fit.bias]), solution.T, rtol=1e-8)


def test_without_regularisation_few_examples_give_the_solution_of_least_norm() -> None:
    x, t = problem(10, 25)
    fit = fit_ridge(x, t, l2=0)
    solution = np.linalg.lstsq(x - x.mean(axis=0), t - t.mean(axis=0), rcond=1e-10)[0]
    np.testing.assert_allclose(fit.weight, solution.T, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(x @ fit.weight.T + fit.bias, t, rtol=1e-9)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", ["dependent", "repeated", "constant"])
def test_weights_that_rounding_would_decide_are_refused(kind: str, seed: int) -> None:
    x = problem(30, 3, seed=seed)[0]
    wide = np.repeat(problem(4, 9, seed=seed)[0], 2, axis=0)
    features = {
        "dependent": np.column_stack([x, x @ [1, 2, 3]]),
        "repeated": wide,
        "constant": np.ones((5, 3)),
    }[kind]
    with pytest.raises(
        LinearAlgebraError,
        match=r"expected features that with l2 determine the weights, got .* larger l2",
    ):
        fit_ridge(features, np.arange(len(features)), l2=0)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6)])
@pytest.mark.parametrize("l2", [None, 1e-3])
def test_constant_features_leave_the_mean(shape: tuple[int, int], l2: float | None) -> None:
    fit = fit_ridge(np.full(shape, 2.0), np.arange(shape[0]), l2=l2)
    np.testing.assert_array_equal(fit.weight, 0)
    assert fit.bias == pytest.approx([(shape[0] - 1) / 2])
    assert fit.scale == 1


def test_of_one_example_its_target_is_learned() -> None:
    fit = fit_ridge(np.array([[1.0, 2.0]]), np.array([7.0]))
    assert (fit.l2, fit.held_out) == (L2_GRID[0], {})
    assert fit.bias == pytest.approx([7])


def test_one_hot_rows_give_scores_of_classes() -> None:
    centres = np.array([[0.0, 0.0], [5.0, 0.0], [0.0, 5.0]])
    labels = np.arange(60) % 3
    x = centres[labels] + np.random.default_rng(0).normal(size=(60, 2)) / 2
    fit = fit_ridge(x, np.eye(3, dtype=bool)[labels])
    np.testing.assert_array_equal((x @ fit.weight.T + fit.bias).argmax(axis=1), labels)


@shapes
def test_features_in_float32_far_from_0_are_fitted_as_in_float64(n: int, d: int) -> None:
    x, t = problem(n, d)
    x = (x + 300).astype("float32")
    single, double = fit_ridge(x, t), fit_ridge(x.astype("float64"), t)
    assert single.weight.dtype == single.bias.dtype == "float32"
    assert single.held_out == double.held_out
    np.testing.assert_array_equal(single.weight, double.weight.astype("float32"))
    np.testing.assert_array_equal(single.bias, double.bias.astype("float32"))


@shapes
def test_blocks_and_threads_change_nothing(n: int, d: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x, t = problem(n, d)
    whole = fit_ridge(x, t)
    monkeypatch.setattr(block_sums, "_BLOCK", 7)
    before = parallel.get_num_threads()
    fits = []
    for threads in (1, 3):
        parallel.set_num_threads(threads)
        fits.append(fit_ridge(x, t))
    parallel.set_num_threads(before)
    np.testing.assert_array_equal(fits[0].weight, fits[1].weight)
    assert fits[0].held_out == fits[1].held_out
    np.testing.assert_allclose(fits[0].weight, whole.weight, rtol=1e-8, atol=1e-10)
    assert list(fits[0].held_out.values()) == pytest.approx(list(whole.held_out.values()), rel=1e-6)


@shapes
def test_features_in_a_file_give_the_same_bits(n: int, d: int, tmp_path: Path) -> None:
    x, t = problem(n, d)
    np.save(tmp_path / "x.npy", x)
    fit = fit_ridge(np.load(tmp_path / "x.npy", mmap_mode="r"), t)
    np.testing.assert_array_equal(fit.weight, fit_ridge(x, t).weight)
    assert type(fit.weight) is np.ndarray


@shapes
def test_what_is_given_stays_as_it_is(n: int, d: int) -> None:
    x, t = problem(n, d)
    before = x.copy(), t.copy()
    fit_ridge(x, t)
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(t, before[1])


@pytest.mark.parametrize("l2", [-1e-3, math.nan, math.inf, "1"])
def test_l2_out_of_range_is_refused(l2: object) -> None:
    with pytest.raises(
        ConfigError, match=r"^fit_ridge: argument l2 expected a number >= 0 or None, got "
    ):
        fit_ridge(np.eye(3), np.arange(3), l2=l2)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("shape", "targets"),
    [((0, 3), (0,)), ((4, 3), (3,)), ((4,), (4,)), ((4, 3), (4, 2, 2)), ((4, 3), ())],
)
def test_features_and_targets_that_do_not_fit_are_refused(
    shape: tuple[int, ...], targets: tuple[int, ...]
) -> None:
    with pytest.raises(
        DataError, match=r"^fit_ridge: expected features \(n, D\), n >= 1, and targets \(n,\) or"
    ):
        fit_ridge(np.ones(shape), np.ones(targets))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(bad: float) -> None:
    x, t = problem(6, 2)
    x[3, 1] = bad
    with pytest.raises(
        DataError, match="argument features expected finite numbers, got NaN or infinity"
    ):
        fit_ridge(x, t)
    x, t = problem(6, 2)
    t[2, 1] = bad
    with pytest.raises(
        DataError, match="argument targets expected finite numbers, got NaN or infinity"
    ):
        fit_ridge(x, t)


def test_whole_numbers_as_features_and_words_as_targets_are_refused() -> None:
    with pytest.raises(DTypeError, match="argument features expected a floating dtype, got int64"):
        fit_ridge(np.eye(3, dtype="int64"), np.arange(3))
    with pytest.raises(DTypeError, match="argument targets expected numbers, got dtype <U1"):
        fit_ridge(np.eye(3), np.array(["a", "b", "c"]))


def weights_for(n: int) -> np.ndarray:
    return np.random.default_rng(5).uniform(0.1, 3, n)


def weighted_scale(x: np.ndarray, weights: np.ndarray) -> float:
    mean = np.average(x, axis=0, weights=weights)
    return math.sqrt(np.average(((x - mean) ** 2).sum(axis=1), weights=weights))


@shapes
@pytest.mark.parametrize("l2", [1.0, 1e-3])
def test_weights_are_those_of_scikit_learns_ridge(n: int, d: int, l2: float) -> None:
    x, t = problem(n, d)
    weights = weights_for(n) * (np.arange(n) % 5 > 0)
    fit = fit_ridge(x, t, l2=l2, sample_weight=weights)
    scale = weighted_scale(x, weights)
    ridge = Ridge(alpha=l2 * scale**2 * weights.sum(), solver="svd")
    ridge.fit(x, t, sample_weight=weights)
    np.testing.assert_allclose(fit.weight, ridge.coef_, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(fit.bias, ridge.intercept_, rtol=1e-7, atol=1e-7)
    assert fit.scale == pytest.approx(scale, rel=1e-12)


@shapes
def test_weighted_losses_left_out_are_those_of_fits_without(n: int, d: int) -> None:
    x, t = problem(n, d)
    weights = weights_for(n)
    fit = fit_ridge(x, t, sample_weight=weights)
    for l2 in (1.0, 1e-4):
        alpha = l2 * weighted_scale(x, weights) ** 2 * weights.sum()
        errors = []
        for i in range(n):
            rest = np.arange(n) != i
            ridge = Ridge(alpha=alpha, solver="svd")
            ridge.fit(x[rest], t[rest], sample_weight=weights[rest])
            errors.append(((ridge.predict(x[i : i + 1])[0] - t[i]) ** 2).sum())
        assert fit.held_out[l2] == pytest.approx(np.average(errors, weights=weights) / 2, rel=1e-5)


def test_equal_weights_change_no_bit_and_wrong_ones_are_refused() -> None:
    x, t = problem(20, 45)
    same = fit_ridge(x, t, sample_weight=np.full(20, 0.5))
    np.testing.assert_array_equal(same.weight, fit_ridge(x, t).weight)
    with pytest.raises(DataError, match="fit_ridge: argument sample_weight expected finite"):
        fit_ridge(x, t, sample_weight=np.full(20, -1.0))
