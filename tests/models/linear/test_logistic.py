import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax

from tinygrad_ckn import block_sums, parallel
from tinygrad_ckn.errors import ConfigError, DataError
from tinygrad_ckn.models.linear import preconditioner as preconditioning
from tinygrad_ckn.models.linear import problem as problem_of
from tinygrad_ckn.models.linear.calibration import fit_temperature
from tinygrad_ckn.models.linear.examples import Examples
from tinygrad_ckn.models.linear.l2_search import HeldOut, held_out_indices
from tinygrad_ckn.models.linear.logistic import DEFAULT_L2, LinearFit, fit_linear

losses = pytest.mark.parametrize("loss", ["cross_entropy", "squared_hinge"])


def signs(labels: np.ndarray, k: int) -> np.ndarray:
    return np.where(labels[:, None] == np.arange(k), 1.0, -1.0)


def mean_loss(scores: np.ndarray, labels: np.ndarray, loss: str) -> float:
    if loss == "cross_entropy":
        return float(np.mean(logsumexp(scores, axis=1) - scores[np.arange(len(labels)), labels]))
    return float(
        np.mean(np.sum(np.maximum(0, 1 - signs(labels, scores.shape[1]) * scores) ** 2, axis=1)) / 2
    )


def slopes(scores: np.ndarray, labels: np.ndarray, loss: str) -> np.ndarray:
    """Return the derivative of the mean loss in the scores."""
    t = signs(labels, scores.shape[1])
    if loss == "cross_entropy":
        return (softmax(scores, axis=1) - (t + 1) / 2) / len(labels)
    return -t * np.maximum(0, 1 - t * scores) / len(labels)


def standardised(x: np.ndarray) -> tuple[np.ndarray, float]:
    """Return features centred and divided by the root of their mean squared norm, and that root."""
    centred = x.astype("float64") - x.astype("float64").mean(axis=0)
    scale = math.sqrt((centred**2).sum() / len(x)) or 1.0
    return centred / scale, scale


def objective(
    x: np.ndarray, labels: np.ndarray, weight, bias, loss: str, l2: float
) -> tuple[float, np.ndarray]:
    """Return the stated objective and its gradient in [W | b], x being standardised."""
    scores = x @ weight.T + bias
    g = slopes(scores, labels, loss)
    gradient = np.column_stack([g.T @ x + l2 * weight, g.sum(axis=0)])
    return mean_loss(scores, labels, loss) + l2 / 2 * float((weight**2).sum()), gradient


def of_standardised(fit: LinearFit, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return W and b of the standardised features."""
    weight = fit.weight.astype("float64")
    return weight * standardised(features)[1], fit.bias + weight @ features.astype("float64").mean(
        axis=0
    )


def problem(seed: int, n: int = 60, d: int = 5, k: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Return features of very different variances, and labels that depend on them with noise."""
    rng = np.random.default_rng(seed)
    features = (rng.normal(size=(n, d)) * np.logspace(0, -2, d)) @ np.linalg.qr(
        rng.normal(size=(d, d))
    )[0] + 3
    labels = (features @ rng.normal(size=(d, k)) + 0.5 * rng.normal(size=(n, k))).argmax(axis=1)
    labels[:k] = range(k)
    return features, labels


@losses
@given(seed=st.integers(0, 2**32), k=st.integers(2, 4), l2=st.sampled_from([1e-1, 1e-3, 1e-5]))
@settings(max_examples=8, deadline=None)
def test_the_gradient_of_the_stated_objective_vanishes(
    loss: str, seed: int, k: int, l2: float
) -> None:
    features, labels = problem(seed, k=k)
    fit = fit_linear(features, labels, k, loss=loss, l2=l2, iterations=1000)
    x, scale = standardised(features)
    assert fit.scale == pytest.approx(scale, rel=1e-12)
    assert fit.l2 == l2
    weight, bias = of_standardised(fit, features)
    at_zero = np.abs(objective(x, labels, 0 * weight, 0 * bias, loss, l2)[1]).max()
    assert np.abs(objective(x, labels, weight, bias, loss, l2)[1]).max() < 1e-4 * at_zero


@losses
@pytest.mark.parametrize("l2", [1e-1, 1e-3])
def test_the_solution_is_that_of_scipy_on_the_plain_problem(loss: str, l2: float) -> None:
    features, labels = problem(1)
    x, _ = standardised(features)

    def plain(v: np.ndarray) -> tuple[float, np.ndarray]:
        point = v.reshape(3, -1)
        value, gradient = objective(x, labels, point[:, :-1], point[:, -1], loss, l2)
        return value, gradient.reshape(-1)

    best = minimize(
        plain, np.zeros(3 * 6), jac=True, method="BFGS", options={"gtol": 1e-9, "maxiter": 5000}
    )
    weight, bias = of_standardised(
        fit_linear(features, labels, 3, loss=loss, l2=l2, iterations=1000), features
    )
    assert objective(x, labels, weight, bias, loss, l2)[0] == pytest.approx(best.fun, rel=1e-7)
    scores = x @ weight.T + bias
    expected = x @ best.x.reshape(3, -1)[:, :-1].T + best.x.reshape(3, -1)[:, -1]
    # which does not see a number added to all scores of an example
    if loss == "cross_entropy":
        scores, expected = (s - s.mean(axis=1, keepdims=True) for s in (scores, expected))
    np.testing.assert_allclose(scores, expected, atol=2e-3)


@losses
def test_few_iterations_suffice_for_badly_conditioned_features(loss: str) -> None:
    rng = np.random.default_rng(2)
    features = rng.normal(size=(400, 12)) * np.logspace(0, -4, 12)
    labels = (
        features / np.logspace(0, -4, 12) @ rng.normal(size=(12, 2)) + rng.normal(size=(400, 2))
    ).argmax(axis=1)
    x, _ = standardised(features)

    def value(iterations: int) -> float:
        fit = fit_linear(features, labels, 2, loss=loss, l2=1e-8, iterations=iterations)
        return objective(x, labels, *of_standardised(fit, features), loss, 1e-8)[0]

    assert value(30) < value(1000) * 1.02


@losses
def test_repeated_and_constant_features_are_taken(loss: str) -> None:
    features, labels = problem(3)
    wide = np.column_stack([features, features, np.full(60, 7.0), np.zeros(60)])
    fit = fit_linear(wide, labels, 3, loss=loss, l2=1e-3, iterations=1000)
    x, _ = standardised(wide)
    assert np.abs(objective(x, labels, *of_standardised(fit, wide), loss, 1e-3)[1]).max() < 1e-5
    np.testing.assert_allclose(fit.weight[:, :5], fit.weight[:, 5:10], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(fit.weight[:, 10:], 0, atol=1e-5 * np.abs(fit.weight).max())


def test_more_features_than_examples_are_taken() -> None:
    rng = np.random.default_rng(4)
    features, labels = rng.normal(size=(10, 40)), np.arange(10) % 2
    fit = fit_linear(features, labels, 2, l2=1e-4, iterations=500)
    x, _ = standardised(features)
    assert (
        np.abs(
            objective(x, labels, *of_standardised(fit, features), "cross_entropy", 1e-4)[1]
        ).max()
        < 1e-5
    )
    assert ((features @ fit.weight.T + fit.bias).argmax(axis=1) == labels).all()


@pytest.mark.parametrize("l2", [1e-3, 0])
def test_constant_features_leave_the_frequencies_of_the_classes(l2: float) -> None:
    labels = np.array([0, 0, 0, 1, 1, 2])
    fit = fit_linear(np.full((6, 4), 2.0), labels, 3, l2=l2, iterations=200)
    np.testing.assert_array_equal(fit.weight, 0)
    np.testing.assert_allclose(softmax(fit.bias), [3 / 6, 2 / 6, 1 / 6], atol=1e-5)
    assert fit.scale == 1


@losses
def test_features_in_float32_far_from_0_are_fitted_as_well_as_in_float64(loss: str) -> None:
    rng = np.random.default_rng(5)
    features = (rng.normal(size=(300, 6)) + 300).astype("float32")
    labels = ((features - 300) @ rng.normal(size=(6, 3)) + rng.normal(size=(300, 3))).argmax(axis=1)
    single = fit_linear(features, labels, 3, loss=loss, l2=1e-3, iterations=100)
    double = fit_linear(features.astype("float64"), labels, 3, loss=loss, l2=1e-3, iterations=100)
    x, _ = standardised(features)
    assert single.weight.dtype == single.bias.dtype == "float32"
    assert single.scale == pytest.approx(double.scale, rel=1e-5)
    values = [
        objective(x, labels, *of_standardised(f, features), loss, 1e-3)[0] for f in (single, double)
    ]
    assert values[0] == pytest.approx(values[1], rel=1e-3)


def test_the_scale_of_the_features_does_not_change_the_scores() -> None:
    features, labels = problem(6)
    one, other = (fit_linear(c * features, labels, 3, l2=1e-3, iterations=500) for c in (1, 1e4))
    np.testing.assert_allclose(other.weight * 1e4, one.weight, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(other.bias, one.bias, rtol=1e-3, atol=1e-3)


@losses
def test_l2_is_chosen_by_the_mistakes_on_a_fifth_of_few_examples_held_out(loss: str) -> None:
    features, labels = problem(7, n=100, d=8)
    reported: list[tuple[float, HeldOut]] = []
    fit = fit_linear(
        features,
        labels,
        3,
        loss=loss,
        iterations=500,
        rng=9,
        report=lambda l2, value: reported.append((l2, value)),
    )
    aside = held_out_indices(100, np.random.default_rng(9))
    kept = np.setdiff1d(np.arange(100), aside)
    for l2, held_out in fit.held_out.items():
        alone = fit_linear(features[kept], labels[kept], 3, loss=loss, l2=l2, iterations=1000)
        scores = features[aside] @ alone.weight.T + alone.bias
        assert held_out.error == pytest.approx(
            (scores.argmax(axis=1) != labels[aside]).mean(), abs=0.051
        )
        assert held_out.loss == pytest.approx(mean_loss(scores, labels[aside], loss), rel=0.05)
    assert fit.held_out[fit.l2] == min(fit.held_out.values())
    assert reported == list(fit.held_out.items())


def test_after_the_choice_of_l2_all_examples_are_fitted() -> None:
    features, labels = problem(8, n=80)
    fit = fit_linear(features, labels, 3, loss="squared_hinge", iterations=500)
    x, _ = standardised(features)
    gradient = objective(x, labels, *of_standardised(fit, features), "squared_hinge", fit.l2)[1]
    assert np.abs(gradient).max() < 1e-5


def test_examples_held_out_are_not_fitted_but_at_last() -> None:
    features, _ = problem(8, n=80)
    # so that each class is on both sides
    labels = features[:, 0].argsort().argsort() * 3 // 80
    aside = held_out_indices(80, np.random.default_rng(3))
    one = fit_linear(features, labels, 3, loss="squared_hinge", iterations=500, rng=3)
    wrong = labels.copy()
    wrong[aside] = (wrong[aside] + 1) % 3
    other = fit_linear(features, wrong, 3, loss="squared_hinge", iterations=500, rng=3)
    # where L-BFGS has converged
    l2 = max(one.held_out)
    kept = np.setdiff1d(np.arange(80), aside)
    alone = fit_linear(features[kept], labels[kept], 3, loss="squared_hinge", l2=l2, iterations=500)
    for fit, truth in ((one, labels), (other, wrong)):
        scores = features[aside] @ alone.weight.T + alone.bias
        assert fit.held_out[l2].loss == pytest.approx(
            mean_loss(scores, truth[aside], "squared_hinge"), rel=0.02
        )
    assert not np.allclose(one.weight, other.weight, rtol=0.1)


def test_a_given_l2_is_used_without_holding_out() -> None:
    features, labels = problem(11)
    fit = fit_linear(features, labels, 3, l2=0.25)
    assert (fit.l2, fit.held_out) == (0.25, {})


def test_l2_may_be_0() -> None:
    rng = np.random.default_rng(12)
    features, labels = rng.normal(size=(50, 2)), rng.integers(0, 2, 50)
    fit = fit_linear(features, labels, 2, loss="squared_hinge", l2=0, iterations=500)
    x, _ = standardised(features)
    assert (
        np.abs(objective(x, labels, *of_standardised(fit, features), "squared_hinge", 0.0)[1]).max()
        < 1e-6
    )


def test_the_seed_of_the_part_held_out_fixes_every_bit() -> None:
    features, labels = problem(13)
    one, same, other = (fit_linear(features, labels, 3, rng=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.weight, same.weight)
    assert one.held_out == same.held_out
    assert one.held_out != other.held_out


def test_blocks_do_not_change_the_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = problem(14)
    whole = fit_linear(features, labels, 3, l2=1e-2, iterations=500)
    monkeypatch.setattr(block_sums, "_BLOCK", 7)
    in_pieces = fit_linear(features, labels, 3, l2=1e-2, iterations=500)
    np.testing.assert_allclose(in_pieces.weight, whole.weight, rtol=1e-3, atol=1e-3)
    assert in_pieces.scale == pytest.approx(whole.scale, rel=1e-12)


@losses
def test_the_number_of_threads_changes_no_bit(loss: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_sums, "_BLOCK", 32)
    features, labels = problem(15, n=320)
    before = parallel.get_num_threads()
    fits = []
    for n in (1, 2, 5):
        parallel.set_num_threads(n)
        fits.append(fit_linear(features, labels, 3, loss=loss, rng=0))
    parallel.set_num_threads(before)
    for fit in fits[1:]:
        np.testing.assert_array_equal(fit.weight, fits[0].weight)
        np.testing.assert_array_equal(fit.bias, fits[0].bias)
        assert fit.held_out == fits[0].held_out


@losses
def test_more_features_than_a_matrix_holds_have_the_same_solution(
    loss: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    features, labels = problem(18, n=80, d=40)
    whole = fit_linear(features, labels, 3, loss=loss, l2=1e-3, iterations=200)
    monkeypatch.setattr(preconditioning, "_MAX_FULL", 39)
    monkeypatch.setattr(preconditioning, "_SAMPLE", 30)
    sampled = fit_linear(features, labels, 3, loss=loss, l2=1e-3, iterations=200)
    np.testing.assert_allclose(sampled.weight, whole.weight, atol=1e-3 * np.abs(whole.weight).max())


@pytest.mark.parametrize(("dtype", "least"), [("float32", 2.0**-23), ("float64", 2.2e-9)])
def test_a_fit_ends_where_rounding_hides_what_is_gained(
    dtype, least, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    monkeypatch.setattr(
        scipy.optimize,
        "minimize",
        lambda *a, options, **k: asked.append(options["ftol"]) or minimize(*a, **k),
    )
    features, labels = problem(19)
    fit_linear(features.astype(dtype), labels, 3, l2=1e-3, calibrate=False)
    assert asked == [least]


def test_features_in_a_file_give_the_same_bits(tmp_path: Path) -> None:
    features, labels = problem(16, n=200)
    np.save(tmp_path / "x.npy", features)
    fit = fit_linear(np.load(tmp_path / "x.npy", mmap_mode="r"), labels, 3, rng=0)
    np.testing.assert_array_equal(fit.weight, fit_linear(features, labels, 3, rng=0).weight)
    assert type(fit.weight) is np.ndarray


def test_features_are_read_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_sums, "_BLOCK", 16)

    class Rows(np.memmap):
        """Features that no more than a block is taken of at a time."""

        def __getitem__(self, index):
            found = np.asarray(self).view(np.ndarray)[index]
            assert len(found) <= 16
            return found

        def __array__(self, *args, **options):
            return super().__array__(*args, **options)

    features, labels = problem(17, n=200)
    whole = fit_linear(features, labels, 3, rng=0)
    with tempfile.TemporaryFile() as file:
        rows = Rows(file, dtype="float64", mode="w+", shape=features.shape)
    np.copyto(rows, features)
    np.testing.assert_array_equal(fit_linear(rows, labels, 3, rng=0).weight, whole.weight)


@pytest.mark.parametrize("options", [{"loss": "hinge"}, {"l2": -1e-3}, {"l2": math.nan}])
def test_options_out_of_range_are_refused(options) -> None:
    with pytest.raises(ConfigError, match=f"argument {next(iter(options))} expected"):
        fit_linear(np.ones((4, 2)), np.array([0, 1, 0, 1]), 2, **options)


@pytest.mark.parametrize(("shape", "n"), [((0, 3), 0), ((4, 3), 3), ((4,), 4), ((4, 3, 2), 4)])
def test_features_and_labels_that_do_not_fit_are_refused(shape, n: int) -> None:
    with pytest.raises(
        DataError, match=r"^fit_linear: expected features \(n, D\), n >= 1, and n labels, got \("
    ):
        fit_linear(np.ones(shape), np.zeros(n, dtype=int), 2)


def test_labels_that_are_no_classes_are_refused() -> None:
    with pytest.raises(DataError, match=r"expected class numbers 0 \.\. 1, got 0 \.\. 2"):
        fit_linear(np.eye(3), np.array([0, 1, 2]), 2, l2=1e-3)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_features_that_are_not_finite_get_their_sentence(bad: float) -> None:
    features = np.ones((6, 2))
    features[0, 0] = bad
    with pytest.raises(
        DataError, match="argument features expected finite numbers, got NaN or infinity"
    ):
        fit_linear(features, np.array([0, 1] * 3), 2, l2=1e-3)


def test_one_example_is_enough() -> None:
    fit = fit_linear(np.ones((1, 2)), np.array([0]), 2)
    assert fit.l2 == DEFAULT_L2
    assert fit.bias[0] > fit.bias[1]


def test_examples_that_are_all_alike_but_for_those_held_out_are_fitted() -> None:
    for seed in range(60):
        features = np.full((12, 3), 0.1 + seed / 7)
        features[seed % 12] = [5.0, 1.3, 7.0]
        fit = fit_linear(features, np.arange(12) % 2, 2, rng=seed)
        assert np.isfinite(fit.weight).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"l2": math.inf}, "argument l2 expected a number >= 0 or None, got inf"),
        ({"l2": "a"}, "argument l2 expected a number >= 0 or None, got 'a'"),
        ({"loss": "mse"}, "argument loss expected 'cross_entropy' or 'squared_hinge', got 'mse'"),
        ({"iterations": -1}, "argument iterations expected an integer >= 1, got -1"),
    ],
)
def test_options_of_another_kind_are_refused(options, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        fit_linear(np.eye(4), np.arange(4) % 2, 2, **options)


def test_features_whose_squares_overflow_are_refused() -> None:
    with (
        pytest.raises(DataError, match="expected squares that do not overflow"),
        np.errstate(over="ignore"),
    ):
        fit_linear(1e200 * np.eye(4), np.arange(4) % 2, 2, l2=1e-3)


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_hinge"])
def test_classes_without_examples_are_never_taken_and_change_nothing(loss):
    random = np.random.default_rng(0)
    x = random.standard_normal((60, 5)).astype("float32")
    y = random.integers(0, 3, 60)
    few = fit_linear(x, y, 3, loss=loss, l2=1e-4)
    many = fit_linear(x, np.array([7, 100, 9_000])[y], 10_000, loss=loss, l2=1e-4)
    assert many.weight.shape == (10_000, 5)
    np.testing.assert_array_equal(many.weight[[7, 100, 9_000]], few.weight)
    np.testing.assert_array_equal(many.bias[[7, 100, 9_000]], few.bias)
    elsewhere = 100 * random.standard_normal((500, 5)).astype("float32")
    best = (elsewhere @ many.weight.T + many.bias).argmax(axis=1)
    np.testing.assert_array_equal(
        best, np.array([7, 100, 9_000])[(elsewhere @ few.weight.T + few.bias).argmax(axis=1)]
    )


def test_what_a_fit_takes_does_not_grow_with_classes_without_examples(monkeypatch):
    sizes = []
    monkeypatch.setattr(
        problem_of.Problem,
        "minimise",
        lambda self, l2, start, iterations, root: sizes.append(start.shape) or start,
    )
    x = np.random.default_rng(0).standard_normal((40, 6))
    fit_linear(x, np.arange(40) % 4 * 20_000, 100_000, l2=1e-3, calibrate=False)
    assert sizes == [(4, 7)]


def test_labels_that_are_no_classes_are_still_refused():
    x = np.ones((4, 2))
    with pytest.raises(DataError):
        fit_linear(x, np.array([0, 1, 1, 5]), 3, l2=1e-3)


@pytest.mark.parametrize("scale", [1e-30, 1e-22, 1e18, 1e30])
@pytest.mark.parametrize("loss", ["cross_entropy", "squared_hinge"])
def test_a_fit_does_not_depend_on_the_scale_of_features(scale, loss):
    random = np.random.default_rng(0)
    x = random.standard_normal((80, 6)).astype("float32")
    y = (x @ random.standard_normal((6, 3))).argmax(axis=1)
    plain = fit_linear(x, y, 3, loss=loss, l2=1e-4)
    scaled = fit_linear((x.astype("float64") * scale).astype("float32"), y, 3, loss=loss, l2=1e-4)
    np.testing.assert_allclose(
        scaled.weight * scale, plain.weight, rtol=2e-2, atol=2e-2 * np.abs(plain.weight).max()
    )
    assert scaled.scale == pytest.approx(plain.scale * scale, rel=1e-5)


@losses
def test_a_weight_of_two_is_an_example_twice_and_one_of_zero_none(loss: str) -> None:
    features, labels = problem(21, n=80)
    counts = np.random.default_rng(0).integers(0, 4, 80)
    # Labels of examples that do not count may be of classes without others.
    labels[counts == 0] = 3
    rows = np.repeat(np.arange(80), counts)
    options = {"loss": loss, "l2": 1e-2, "iterations": 1000, "calibrate": False}
    weighted = fit_linear(features, labels, 4, sample_weight=counts, **options)
    repeated = fit_linear(features[rows], labels[rows], 4, **options)
    assert weighted.scale == pytest.approx(repeated.scale, rel=1e-12)
    np.testing.assert_allclose(weighted.weight, repeated.weight, atol=2e-4, rtol=2e-4)
    np.testing.assert_allclose(weighted.bias, repeated.bias, atol=2e-4, rtol=2e-4)


def test_held_out_results_and_temperature_are_weighted() -> None:
    features, _ = problem(22, n=100)
    random = np.random.default_rng(1)
    # So that each class is in each fold.
    labels = (features[:, 0] + random.normal(size=100)).argsort().argsort() * 3 // 100
    weights = random.uniform(0.1, 3, 100)
    fit = fit_linear(features, labels, 3, sample_weight=weights, iterations=500, rng=9)
    parts = Examples(100, weights, None).held_out_parts(labels, np.random.default_rng(9))

    def held_out_scores(l2: float) -> np.ndarray:
        scores = np.empty((100, 3))
        for part in parts:
            kept = np.setdiff1d(np.arange(100), part)
            options = {"sample_weight": weights[kept], "iterations": 1000, "calibrate": False}
            alone = fit_linear(features[kept], labels[kept], 3, l2=l2, **options)
            scores[part] = features[part] @ alone.weight.T + alone.bias
        return scores

    # Where the solution is well determined.
    strongest = max(fit.held_out)
    scores = held_out_scores(strongest)
    wrong = np.average(scores.argmax(axis=1) != labels, weights=weights)
    assert fit.held_out[strongest].error == pytest.approx(wrong, rel=1e-9)
    losses = logsumexp(scores, axis=1) - scores[np.arange(100), labels]
    loss = np.average(losses, weights=weights)
    assert fit.held_out[strongest].loss == pytest.approx(loss, rel=1e-3)
    expected = fit_temperature(held_out_scores(fit.l2), labels, weights, usual=1.0)
    assert fit.temperature == pytest.approx(expected, rel=0.05)


@losses
def test_equal_weights_change_nothing(loss: str) -> None:
    features, labels = problem(23)
    plain, weighted = (
        fit_linear(features, labels, 3, loss=loss, l2=0.1, sample_weight=weight, rng=0)
        for weight in (None, np.full(len(labels), 7.0))
    )
    np.testing.assert_allclose(weighted.weight, plain.weight, rtol=1e-3, atol=1e-3)
    assert weighted.temperature == pytest.approx(plain.temperature, rel=1e-3)


@losses
@pytest.mark.parametrize("n", [1, 2, 9, 40])
@pytest.mark.parametrize("l2", [1e-3, None])
def test_every_fit_has_a_temperature(loss: str, n: int, l2: float | None) -> None:
    features, labels = (part[:n] for part in problem(24, n=40))
    fit = fit_linear(features, labels, 3, loss=loss, l2=l2, rng=0)
    assert fit.temperature > 0
    assert (fit.temperature == 1) == (n == 1)
    plain = fit_linear(features, labels, 3, loss=loss, l2=l2, calibrate=False, rng=0)
    np.testing.assert_array_equal(plain.weight, fit.weight)
    assert plain.temperature is None


def test_scores_are_calibrated_on_the_examples_said_by_a_fit_without_them() -> None:
    features, labels = problem(25, n=200)
    calibration = np.arange(0, 200, 4)
    kept = np.setdiff1d(np.arange(200), calibration)
    fit = fit_linear(features, labels, 3, calibration=calibration, iterations=500, rng=0)
    alone = fit_linear(features[kept], labels[kept], 3, l2=fit.l2, iterations=500)
    scores = features[calibration] @ alone.weight.T + alone.bias
    expected = fit_temperature(scores, labels[calibration], usual=1.0)
    assert fit.temperature == pytest.approx(expected, rel=0.02)
    other = fit_linear(features, labels, 3, iterations=500, rng=0)
    np.testing.assert_array_equal(other.weight, fit.weight)
    assert other.temperature != fit.temperature
