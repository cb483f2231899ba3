"""Steps, rates and schemes of the descent, and the images held out."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp, softmax

from tinygrad_ckn import Tensor, grad, ops
from tinygrad_ckn.errors import ConfigError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.models import CKN, FineTuning, LinearFit, Progress
from tinygrad_ckn.models.learning import fit as fitting
from tinygrad_ckn.models.learning.finetuning_options import hold_out

Data = tuple[np.ndarray, np.ndarray]
Start = Callable[..., CKN]
Run = Callable[..., list[Progress]]


def mean_loss(scores: np.ndarray, labels: np.ndarray, loss: str) -> float:
    scores = scores.astype("float64")
    if loss == "cross_entropy":
        return float(np.mean(logsumexp(scores, axis=1) - scores[np.arange(len(labels)), labels]))
    signs = np.where(labels[:, None] == np.arange(10), 1.0, -1.0)
    return float((np.maximum(0, 1 - signs * scores) ** 2).sum() / (2 * len(labels)))


def filters(model: CKN) -> list[np.ndarray]:
    return [layer.weight.numpy().copy() for layer in model.layers]


def changed(before: dict[str, np.ndarray], model: CKN) -> set[str]:
    """Return the names of the parameters that are not what they were."""
    return {
        name
        for name, array in model.state_dict().items()
        if not np.array_equal(before[name], array)
    }


def solver(model: CKN, data: Data, l2: float = 1e-3) -> Callable[[], LinearFit]:
    """Return a function that solves the classifier, to the end."""
    return lambda: fitting.fit_classifier(
        model, *data, loss="cross_entropy", l2=l2, iterations=1000, rng=np.random.default_rng(0)
    )


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_one_step_moves_the_classifier_along_the_gradient_and_the_filters_on_their_spheres(
    started: Start, run_descent: Run, digits: Data, optimizer: str
) -> None:
    model, (images, labels) = started("float64"), digits
    features, scores = model.encode(images), model.scores(images)
    weight, bias, before = (
        model.classifier.weight.numpy().copy(),
        model.classifier.bias.numpy().copy(),
        filters(model),
    )
    gradients = grad(
        ops.cross_entropy(model(images), labels), [layer.weight for layer in model.layers]
    )
    run_descent(model, epochs=1, batch_size=150, optimizer=optimizer, lr=0.1, l2=0.01)

    def direction(
        gradient: np.ndarray,
    ) -> np.ndarray:
        # Adam's first one: both moments are of this gradient alone
        return gradient if optimizer == "sgd" else gradient / (np.abs(gradient) + 1e-8)

    close = {"rtol": 1e-10, "atol": 1e-13 if optimizer == "sgd" else 1e-7}
    g = (softmax(scores, axis=1) - np.eye(10)[labels]) / 150
    expected = weight - 0.1 * direction(g.T @ features + 0.01 * weight)
    np.testing.assert_allclose(model.classifier.weight.numpy(), expected, **close)
    np.testing.assert_allclose(
        model.classifier.bias.numpy(), bias - 0.1 * direction(g.sum(axis=0)), **close
    )
    for z, gradient, after in zip(before, gradients, filters(model), strict=True):
        rows, slope = z.reshape(len(z), -1), gradient.numpy().reshape(len(z), -1)
        moved = rows - 0.1 * direction(slope - (slope * rows).sum(axis=1, keepdims=True) * rows)
        expected = moved / np.linalg.norm(moved, axis=1, keepdims=True)
        np.testing.assert_allclose(after.reshape(len(z), -1), expected, **close)
        assert not np.allclose(after, z, atol=1e-6)


def test_momentum_is_that_of_sgd(started: Start, run_descent: Run, digits: Data) -> None:
    model, (images, labels) = started("float64"), digits
    for layer in model.layers:
        layer.weight.requires_grad = False
    features, bias, velocity = model.encode(images), model.classifier.bias.numpy(), np.zeros(10)
    weight, velocities = (
        model.classifier.weight.numpy(),
        np.zeros_like(model.classifier.weight.numpy()),
    )
    run_descent(model, epochs=3, batch_size=150, lr=0.2, momentum=0.7, schedule="constant")
    for _ in range(3):
        g = (softmax(features @ weight.T + bias, axis=1) - np.eye(10)[labels]) / 150
        velocities, velocity = 0.7 * velocities + g.T @ features, 0.7 * velocity + g.sum(axis=0)
        weight, bias = weight - 0.2 * velocities, bias - 0.2 * velocity
    np.testing.assert_allclose(model.classifier.weight.numpy(), weight, rtol=1e-9)
    np.testing.assert_allclose(model.classifier.bias.numpy(), bias, rtol=1e-9)


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_hinge"])
def test_the_loss_reported_is_the_stated_objective(
    started: Start, run_descent: Run, digits: Data, loss: str
) -> None:
    model, (images, labels) = started("float64"), digits
    scores, weight = model.scores(images), model.classifier.weight.numpy().copy()

    def solve() -> LinearFit:
        return LinearFit(None, None, l2=0.01, scale=3.0)

    batch, epoch = run_descent(model, epochs=1, batch_size=150, loss=loss, l2=0.01, solve=solve)
    expected = mean_loss(scores, labels, loss) + 0.01 * 3**2 / 2 * (weight**2).sum()
    assert batch.values["loss"] == pytest.approx(expected, rel=1e-12)
    assert epoch.values["loss"] == pytest.approx(expected, rel=1e-12)
    assert epoch.values["train_accuracy"] == (scores.argmax(axis=1) == labels).mean()


def test_epochs_report_means_over_images_and_the_rate_on_a_cosine(
    new_network: Start, run_descent: Run
) -> None:
    events = run_descent(new_network(), epochs=4, batch_size=40, lr=0.02)
    for epoch in range(4):
        batches, last = events[5 * epoch : 5 * epoch + 4], events[5 * epoch + 4]
        expected = np.average([b.values["loss"] for b in batches], weights=[40, 40, 40, 30])
        assert last.values["loss"] == pytest.approx(expected, rel=1e-12)
        assert last.values["lr"] == pytest.approx(
            0.02 * (1 + math.cos(math.pi * (epoch + 1) / 4)) / 2, abs=1e-15
        )
        assert 0 <= last.values["train_accuracy"] <= 1


RATES = {
    "cosine": lambda i: (1 + math.cos(math.pi * i / 35)) / 2,
    "step": lambda i: 0.1 ** (i // 12),
    "constant": lambda i: 1.0,
}


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("schedule", RATES)
def test_the_rate_rises_for_half_an_epoch_and_then_follows_the_schedule(
    schedule: str, optimizer: str
) -> None:
    descent = FineTuning(epochs=4, optimizer=optimizer, lr=0.02, warmup=0.5, schedule=schedule)
    made, scheduler = descent.make_optimizer([Tensor([1.0], requires_grad=True)], steps=10)
    rates = []
    for _ in range(40):
        rates.append(made.lr)
        scheduler.step()
    assert rates[:5] == pytest.approx([0.004, 0.008, 0.012, 0.016, 0.02])
    assert rates[5:] == pytest.approx([0.02 * RATES[schedule](i) for i in range(35)])
    assert made.lr == pytest.approx(0.02 * RATES[schedule](35), abs=1e-15)


@pytest.mark.parametrize(("warmup", "rates"), [(0, [1, 0.5]), (1, [1, 1]), (7, [1, 1])])
def test_the_last_step_is_never_part_of_the_warm_up(warmup: int, rates: list[float]) -> None:
    made, scheduler = FineTuning(epochs=2, lr=1, warmup=warmup).make_optimizer(
        [Tensor([1.0], requires_grad=True)], steps=1
    )
    first = made.lr
    scheduler.step()
    assert [first, made.lr] == pytest.approx(rates)


def test_every_image_is_seen_once_an_epoch_in_another_order_each_time(
    new_network: Start, run_descent: Run, digits: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, (images, _) = new_network(), digits
    seen: list[np.ndarray] = []
    stacked = CKN._apply_layers
    monkeypatch.setattr(
        CKN, "_apply_layers", lambda self, x: seen.append(unwrap(x)) or stacked(self, x)
    )
    run_descent(model, epochs=2, batch_size=40)
    assert [len(x) for x in seen] == [40, 40, 40, 30] * 2
    first, second = np.concatenate(seen[:4]), np.concatenate(seen[4:])
    assert not np.array_equal(first, second)
    for order in (first, second):
        assert sorted(map(bytes, order)) == sorted(map(bytes, images))


def test_the_descent_is_shown_augmented_batches_drawn_by_its_generator(
    started: Start, run_descent: Run, digits: Data
) -> None:
    given: list[np.ndarray] = []

    def darker(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        given.append(x)
        return x * rng.uniform(0.5, 1, (len(x), 1, 1, 1)).astype("float32")

    one, same, other, plain = (started() for _ in range(4))
    run_descent(one, augment=darker)
    assert [len(x) for x in given] == [50] * 6
    assert sorted(map(bytes, np.concatenate(given[:3]))) == sorted(map(bytes, digits[0]))
    run_descent(same, augment=darker)
    run_descent(other, augment=darker, seed=1)
    run_descent(plain)
    np.testing.assert_array_equal(one.classifier.weight.numpy(), same.classifier.weight.numpy())
    for model in (other, plain):
        assert not np.array_equal(model.classifier.weight.numpy(), one.classifier.weight.numpy())


def test_with_the_classifier_frozen_the_loss_falls_through_the_filters_alone(
    started: Start, run_descent: Run, digits: Data
) -> None:
    model, (images, labels) = started(), digits
    for parameter in model.classifier.parameters():
        parameter.requires_grad = False
    before = model.state_dict()
    start = mean_loss(model.scores(images), labels, "cross_entropy")
    run_descent(model, epochs=8)
    assert mean_loss(model.scores(images), labels, "cross_entropy") < 0.85 * start
    assert changed(before, model) == {"layers.0.weight", "layers.1.weight"}
    for weight in filters(model):
        np.testing.assert_allclose(
            np.linalg.norm(weight.reshape(len(weight), -1), axis=1), 1, rtol=1e-6
        )


def test_with_the_filters_frozen_the_classifier_alone_moves(
    started: Start, run_descent: Run
) -> None:
    model = started()
    for layer in model.layers:
        layer.weight.requires_grad = False
    before = model.state_dict()
    events = run_descent(model, epochs=3)
    assert changed(before, model) == {"classifier.weight", "classifier.bias"}
    losses = [e.values["loss"] for e in events if e.phase == "epoch"]
    assert losses[-1] < losses[0]


def test_alternating_solves_the_classifier_before_each_epoch_and_keeps_it_within(
    started: Start, run_descent: Run, digits: Data
) -> None:
    model, (images, labels) = started("float64"), digits
    solve_to_the_end = solver(model, (model._check_images(images), labels))
    solved: list[tuple[np.ndarray, list[np.ndarray]]] = []
    epochs: list[tuple[float, int]] = []

    def solve() -> LinearFit:
        fit = solve_to_the_end()
        solved.append((model.classifier.weight.numpy().copy(), filters(model)))
        features = model.encode(images)
        g = (softmax(model.scores(images), axis=1) - np.eye(10)[labels]) / 150
        slope = g.T @ (features - features.mean(axis=0)) + 1e-3 * fit.scale**2 * fit.weight
        at_zero = (0.1 - np.eye(10)[labels]).T @ features / 150
        # solved: there it is flat
        assert np.linalg.norm(slope) < 1e-3 * np.linalg.norm(at_zero)
        return fit

    def look(progress: Progress) -> None:
        if progress.phase == "batch":
            epochs.append((progress.values["epoch"], len(solved)))
            np.testing.assert_array_equal(model.classifier.weight.numpy(), solved[-1][0])
            assert not np.array_equal(filters(model)[0], solved[-1][1][0])

    run_descent(model, alternating=True, epochs=3, l2=1e-3, solve=solve, report=look)
    assert epochs == [(epoch, epoch) for epoch in (1, 1, 1, 2, 2, 2, 3, 3, 3)]


@pytest.mark.parametrize(
    ("every", "expected"), [(None, [1, 1, 1, 1, 1]), (2, [1, 1, 2, 2, 3]), (1, [1, 2, 3, 4, 5])]
)
def test_the_joint_scheme_solves_the_classifier_anew_after_so_many_epochs(
    started: Start, run_descent: Run, every: int | None, expected: list[int]
) -> None:
    model = started()
    solved: list[np.ndarray] = []
    during: list[int] = []

    def solve() -> LinearFit:
        solved.append(model.classifier.weight.numpy().copy())
        return LinearFit(None, None, l2=0.0, scale=1.0)

    def look(progress: Progress) -> None:
        if progress.phase == "batch":
            during.append(len(solved))
            assert not np.array_equal(
                model.classifier.weight.numpy(), solved[-1]
            )  # it moves in each epoch

    run_descent(
        model, epochs=5, batch_size=150, refit_classifier_every=every, solve=solve, report=look
    )
    assert during == expected


@given(n=st.integers(1, 200), share=st.floats(0, 1, exclude_max=True), seed=st.integers(0, 2**32))
def test_images_held_out_and_the_others_are_a_partition(n: int, share: float, seed: int) -> None:
    seen, aside = hold_out(n, share, np.random.default_rng(seed))
    assert sorted([*seen, *aside]) == list(range(n))
    assert list(seen) == sorted(seen)
    assert list(aside) == sorted(aside)
    assert len(seen) > 0
    if share == 0 or n == 1:
        assert len(aside) == 0
    else:
        assert len(aside) == pytest.approx(share * n, abs=1)
        assert len(aside) > 0


def test_the_seed_fixes_what_is_held_out() -> None:
    one, same, other = (
        hold_out(100, 0.2, np.random.default_rng(seed))[1].tolist() for seed in (1, 1, 2)
    )
    assert one == same != other
    assert one != list(range(20))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": -1}, "epochs expected an integer >= 0, got -1"),
        ({"epochs": "1"}, "epochs expected an integer >= 0, got '1'"),
        ({"epochs": None}, "epochs expected an integer >= 0, got None"),
        ({"batch_size": 0}, "batch_size expected an integer >= 1, got 0"),
        ({"batch_size": 2.5}, r"batch_size expected an integer >= 1, got 2\.5"),
        ({"optimizer": "lbfgs"}, "optimizer expected 'sgd' or 'adam', got 'lbfgs'"),
        ({"lr": 0}, "lr expected a finite number > 0, got 0"),
        ({"lr": -0.1}, r"lr expected a finite number > 0, got -0\.1"),
        ({"lr": math.inf}, "lr expected a finite number > 0, got inf"),
        ({"lr": math.nan}, "lr expected a finite number > 0, got nan"),
        ({"lr": "fast"}, "lr expected a finite number > 0, got 'fast'"),
        ({"momentum": 1}, r"momentum expected a number in \[0, 1\), got 1"),
        ({"momentum": -0.5}, r"momentum expected a number in \[0, 1\), got -0\.5"),
        ({"warmup": -1}, "warmup expected a finite number >= 0, got -1"),
        ({"warmup": math.inf}, "warmup expected a finite number >= 0, got inf"),
        ({"schedule": "linear"}, "schedule expected 'cosine', 'step' or 'constant', got 'linear'"),
        ({"alternating": "both"}, "alternating expected True or False, got 'both'"),
        (
            {"refit_classifier_every": 0},
            "refit_classifier_every expected an integer >= 1 or None, got 0",
        ),
        (
            {"refit_classifier_every": 2, "alternating": True},
            "refit_classifier_every expected None with alternating=True, .* 2",
        ),
        ({"l2": -1e-3}, r"l2 expected a finite number >= 0, got -0\.001"),
        ({"l2": None}, "l2 expected a finite number >= 0, got None"),
        (
            {"augment": "crop-flip"},
            "augment expected a function of images and a generator or None, got 'crop-flip'",
        ),
        ({"validation": 1}, r"validation expected a number in \[0, 1\), got 1"),
        ({"validation": math.nan}, r"validation expected a number in \[0, 1\), got nan"),
        ({"label_smoothing": 1}, r"label_smoothing expected a number in \[0, 1\), got 1"),
        ({"mixup": 0}, "mixup expected a finite number > 0, got 0"),
        ({"clip_norm": -1}, "clip_norm expected a finite number > 0, got -1"),
        ({"ema": 1.0}, r"ema expected a number in \(0, 1\) or None, got 1\.0"),
        ({"ema": 0.9, "alternating": True}, "ema expected None where the classifier is refitted"),
        ({"ema": 0.9, "refit_classifier_every": 2}, r"ema expected None where .*, got 0\.9"),
        ({"patience": 0}, "patience expected an integer >= 1 or None, got 0"),
        (
            {"patience": 3, "validation": 0},
            "patience expected None without a validation set, got 3; set validation",
        ),
    ],
    ids=str,
)
def test_fields_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^FineTuning: argument {message}"):
        FineTuning(**options)


def test_fields_may_be_numpys() -> None:
    found = FineTuning(epochs=np.int64(3), lr=np.float32(0.5), validation=np.float64(0.25))
    assert (found.epochs, found.lr, found.validation) == (3, 0.5, 0.25)


def test_labels_are_smoothed_for_cross_entropy_only() -> None:
    FineTuning(label_smoothing=0.1).check_loss("cross_entropy")
    FineTuning().check_loss("squared_hinge")
    with pytest.raises(ConfigError, match="argument label_smoothing expected 0 with the loss 'squ"):
        FineTuning(label_smoothing=0.1).check_loss("squared_hinge")
