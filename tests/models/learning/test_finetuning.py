"""The parameters after fine-tuning: the best on the validation set, also after NaN."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from tinygrad_ckn import ops
from tinygrad_ckn.data import load_digits
from tinygrad_ckn.errors import GradientError
from tinygrad_ckn.models import CKN, CNN, CKNLayer, LinearFit, Progress
from tinygrad_ckn.models.kernels import Exponential
from tinygrad_ckn.models.learning import fit as fitting
from tinygrad_ckn.models.learning.finetuning_options import hold_out

Data = tuple[np.ndarray, np.ndarray]
Start = Callable[..., CKN]
Run = Callable[..., list[Progress]]
State = dict[str, np.ndarray]
# These descents are meant to get worse; test_best_weights.py is about the warning.
pytestmark = pytest.mark.filterwarnings("ignore::tinygrad_ckn.errors.TrainingWarning")


def parts(digits: Data, model: CKN, *, as_predicted: bool = False) -> dict[str, Data]:
    """Return 120 training and 30 validation images, labelled truly or by the model."""
    images, labels = digits
    held_out = model.predict(images[120:]) if as_predicted else labels[120:]
    return {"seen": (images[:120], labels[:120]), "unseen": (images[120:], held_out)}


def assert_same(model: CKN, state: State) -> None:
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, state[name], err_msg=name)


def watched(run_descent: Run, model: CKN, **options: object) -> tuple[list[Progress], list[State]]:
    """Return the reports of the epochs, and the parameters before the first and after each."""
    states = [model.state_dict()]

    def look(progress: Progress) -> None:
        if progress.phase == "epoch":
            states.append(model.state_dict())

    events = run_descent(model, report=look, **options)
    return [e for e in events if e.phase == "epoch"], states


@pytest.mark.parametrize("mirror_average", [None, "features"])
@pytest.mark.parametrize("loss", [ops.cross_entropy, ops.squared_hinge])
def test_what_is_measured_is_what_the_network_would_predict(
    started: Start, run_descent: Run, digits: Data, mirror_average: str | None, loss: Callable
) -> None:
    model = started("float64", mirror_average=mirror_average)
    data = parts(digits, model)
    images, labels = data["unseen"]
    found: list[tuple[float, float]] = []

    def look(progress: Progress) -> None:
        if progress.phase == "epoch":
            found.append(
                (model.accuracy(images, labels), float(loss(model.scores(images), labels)))
            )

    events = run_descent(model, **data, loss=loss.__name__, epochs=3, report=look)
    told = [e.values for e in events if e.phase == "epoch"]
    assert [(v["validation_accuracy"], v["validation_loss"]) for v in told] == [
        pytest.approx(f) for f in found
    ]


def test_where_every_epoch_is_worse_the_start_is_kept(
    started: Start, run_descent: Run, digits: Data
) -> None:
    model = started()
    epochs, states = watched(
        run_descent, model, **parts(digits, model, as_predicted=True), epochs=3, lr=3.0
    )
    # that of the start
    assert all(e.values["validation_accuracy"] < 1 for e in epochs)
    assert not np.array_equal(states[-1]["layers.0.weight"], states[0]["layers.0.weight"])
    assert_same(model, states[0])


def right_after_epoch(epoch: int, model: CKN, data: Data) -> Callable[[], LinearFit]:
    """Return a solver that is right after one epoch and takes each class for the next otherwise."""
    calls: list[int] = []

    def solve() -> LinearFit:
        # 0 at the start
        calls.append(len(calls))
        labels = data[1] if calls[-1] == epoch else (data[1] + 1) % 10
        return fitting.fit_classifier(
            model,
            model._check_images(data[0]),
            labels,
            loss="cross_entropy",
            l2=1e-3,
            rng=np.random.default_rng(0),
        )

    return solve


@pytest.mark.parametrize(("patience", "ends"), [(None, 6), (1, 3), (2, 4)])
def test_the_best_epoch_is_kept_and_patience_counts_from_it(
    started: Start, run_descent: Run, digits: Data, patience: int | None, ends: int
) -> None:
    model = started()
    data = parts(digits, model)
    solve = right_after_epoch(2, model, data["seen"])
    options = {"epochs": 6, "refit_classifier_every": 1, "lr": 0.001, "patience": patience}
    epochs, states = watched(run_descent, model, **data, **options, solve=solve)
    accuracies = [e.values["validation_accuracy"] for e in epochs]
    assert len(epochs) == ends
    assert accuracies[1] > 0.7
    assert max(accuracies[:1] + accuracies[2:]) < 0.3
    assert_same(model, states[2])


def test_of_equal_accuracies_that_with_the_least_loss_is_kept(
    started: Start, run_descent: Run, digits: Data
) -> None:
    model = started("float64")
    weight, bias = (p.numpy().copy() for p in model.classifier.parameters())
    # scores three times as large are as right, and surer of it
    factors = iter([1, 1, 3, 1, 2, 1])

    def solve() -> LinearFit:
        factor = next(factors)
        model.classifier.weight.data, model.classifier.bias.data = factor * weight, factor * bias
        return LinearFit(None, None, l2=0.0, scale=1.0)

    data = parts(digits, model, as_predicted=True)
    epochs, states = watched(
        run_descent, model, **data, epochs=5, refit_classifier_every=1, lr=1e-6, solve=solve
    )
    # and that of the start
    assert {e.values["validation_accuracy"] for e in epochs} == {1.0}
    losses = [e.values["validation_loss"] for e in epochs]
    assert losses[1] == min(losses) < 0.9 * max(losses)
    assert_same(model, states[2])


def test_without_images_held_out_the_last_parameters_are_kept(
    started: Start, run_descent: Run, digits: Data
) -> None:
    model = started()
    epochs, states = watched(run_descent, model, epochs=3, lr=3.0)
    assert all("validation_accuracy" not in e.values for e in epochs)
    assert_same(model, states[3])


@pytest.mark.parametrize("patience", [1, 2, None])
def test_it_ends_after_so_many_epochs_without_a_better_one(
    started: Start, run_descent: Run, digits: Data, patience: int | None
) -> None:
    model = started()
    data = parts(digits, model, as_predicted=True)
    epochs, states = watched(
        run_descent, model, **data, epochs=5, lr=3.0, schedule="constant", patience=patience
    )
    assert all(e.values["validation_accuracy"] < 1 for e in epochs)
    assert [(e.done, e.total) for e in epochs] == [(i + 1, 5) for i in range(patience or 5)]
    assert_same(model, states[0])


@pytest.mark.parametrize("lr", [0.1, 0.02])
@pytest.mark.parametrize("alternating", [False, True])
def test_supervised_is_not_worse_than_unsupervised_on_images_held_out(
    new_network: Start, run_descent: Run, lr: float, alternating: bool
) -> None:
    train = load_digits().train
    chosen, aside = hold_out(500, 0.2, np.random.default_rng(0))
    seen, unseen = ((train.images[rows], train.labels[rows]) for rows in (chosen, aside))
    model = new_network().fit_unsupervised(train.images[:500], n_patches=2000, rng=0)
    measured: list[float] = []

    def solve() -> LinearFit:
        fit = fitting.fit_classifier(
            model, *seen, loss="squared_hinge", l2=1e-5, rng=np.random.default_rng(0)
        )
        measured.append(model.accuracy(*unseen))
        return fit

    options = {
        "epochs": 4,
        "batch_size": 100,
        "lr": lr,
        "alternating": alternating,
        "loss": "squared_hinge",
        "l2": 1e-5,
    }
    events = run_descent(model, seen=seen, unseen=unseen, solve=solve, **options)
    after = [e.values["validation_accuracy"] for e in events if e.phase == "epoch"]
    assert model.accuracy(*unseen) == max(measured[0], *after) >= measured[0] > 0.8


SENTENCE = (
    r"^fit: expected a finite loss and gradient, got NaN or infinity in epoch {}, batch {} "
    r"\(first in {}\); lower lr \({}\); the parameters are those of epoch {}$"
)


def test_a_rate_that_is_too_large_is_named_with_the_batch(started: Start, run_descent: Run) -> None:
    model = started()
    before = model.state_dict()
    message = SENTENCE.format(1, 2, "the loss", r"1e\+30", 0)
    with np.errstate(all="ignore"), pytest.raises(GradientError, match=message):
        run_descent(model, lr=1e30, l2=1.0)
    assert_same(model, before)


@pytest.mark.parametrize("last", [False, True])
def test_a_parameter_that_overflows_in_a_step_is_named(
    started: Start, run_descent: Run, last: bool
) -> None:
    model = started()
    for layer in model.layers:
        layer.weight.requires_grad = False
    before = model.state_dict()
    message = SENTENCE.format(1, 1, r"classifier\.weight", r"1e\+40", 0)
    with np.errstate(all="ignore"), pytest.raises(GradientError, match=message):
        run_descent(model, lr=1e40, epochs=1, batch_size=150 if last else 50)
    assert_same(model, before)


@pytest.mark.parametrize("validation", [True, False])
def test_nan_in_the_images_is_named_and_the_best_epoch_is_gone_back_to(
    started: Start, run_descent: Run, digits: Data, validation: bool
) -> None:
    model = started()
    shown: list[int] = []
    states = [model.state_dict()]
    epochs: list[Progress] = []

    def broken_in_the_third_epoch(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        shown.append(len(x))
        x = x.copy()
        x[5, 0, 3, 3] = math.nan if len(shown) == 8 else x[5, 0, 3, 3]
        return x

    def look(progress: Progress) -> None:
        if progress.phase == "epoch":
            epochs.append(progress)
            states.append(model.state_dict())

    data = parts(digits, model, as_predicted=True) if validation else {}
    message = SENTENCE.format(3, 2, "the images of the batch", r"3", 0 if validation else 2)
    with pytest.raises(GradientError, match=message):
        run_descent(model, **data, epochs=4, lr=3.0, augment=broken_in_the_third_epoch, report=look)
    assert len(epochs) == 2
    assert all(e.values.get("validation_accuracy", 0) < 1 for e in epochs)
    assert_same(model, states[0 if validation else 2])


@pytest.mark.parametrize(
    ("broken", "where"),
    [
        (lambda y: y / 0, r"the map of layers\.1"),
        (
            lambda y: y + ops.sqrt(y * 0),
            r"the gradient of layers\.0\.weight",
        ),  # 0, but its slope is infinite
    ],
)
def test_the_layer_or_the_gradient_that_is_first_is_named(
    started: Start, run_descent: Run, monkeypatch: pytest.MonkeyPatch, broken: Callable, where: str
) -> None:
    model = started()
    before = model.state_dict()
    forward = model.layers[1].forward
    monkeypatch.setattr(model.layers[1], "forward", lambda *args: broken(forward(*args)))
    with (
        np.errstate(all="ignore"),
        pytest.raises(GradientError, match=SENTENCE.format(1, 1, where, r"0\.05", 0)),
    ):
        run_descent(model)
    assert_same(model, before)


def test_scores_that_overflow_are_named(started: Start, run_descent: Run) -> None:
    model = started()
    model.classifier.weight.data = np.full_like(model.classifier.weight.data, 1e38)
    with (
        np.errstate(all="ignore"),
        pytest.raises(GradientError, match="first in the classifier's scores"),
    ):
        run_descent(model)


@pytest.mark.parametrize("validation", [True, False])
def test_a_map_that_overflows_between_the_steps_is_named_and_the_best_epoch_is_gone_back_to(
    validation: bool, digits: Data, run_descent: Run
) -> None:
    model = CNN.preset("lenet", in_channels=1, image_size=8, n_classes=10, rng=0)
    # a step moves this alone
    model.classifier.weight.data = 0 * model.classifier.weight.data
    before = model.state_dict()

    def step_into_overflow(progress: Progress) -> None:
        if progress.phase == "batch" and progress.values["epoch"] == 2:
            weight = model.layers[1].convolution.weight
            weight.data = np.full_like(weight.data, 1e25)

    def solve() -> LinearFit:
        return fitting.fit_classifier(
            model, *seen, loss="cross_entropy", l2=1e-3, rng=np.random.default_rng(0)
        )

    seen, unseen = parts(digits, model).values()
    data = {"seen": seen, "unseen": unseen} if validation else {"seen": seen}
    options = {
        "epochs": 3,
        "batch_size": 120,
        "refit_classifier_every": 2 if validation else None,
        "lr": 1e-9,
    }
    message = r"in epoch [23] \(first in the map of layers\.1.*lower lr .* those of epoch [01]$"
    with np.errstate(all="ignore"), pytest.raises(GradientError, match=message):
        run_descent(model, **data, **options, solve=solve, report=step_into_overflow)
    for name, array in model.state_dict().items():
        if name.startswith("layers"):
            np.testing.assert_allclose(array, before[name], atol=1e-6, err_msg=name)


def test_a_width_of_a_kernel_that_overflows_is_named_with_its_layer(
    digits: Data, run_descent: Run
) -> None:
    kernel = Exponential(trained=True)
    layers = [
        CKNLayer(1, 8, 3, subsampling=2, rng=0),
        CKNLayer(8, 8, 3, subsampling=2, kernel=kernel, rng=1),
    ]
    model = CKN(1, 8, 10, layers, rng=0).fit_unsupervised(digits[0], n_patches=2000, rng=0)
    before = model.state_dict()

    def widen(progress: Progress) -> None:
        if progress.phase == "batch":
            parameter = model.layers[1].kernel_parameters["log_alpha"]
            parameter.data = np.full_like(parameter.data, 1e4)

    with (
        np.errstate(all="ignore"),
        pytest.raises(GradientError, match=r"epoch 1 \(first in the factor of layers\.1\)"),
    ):
        run_descent(model, batch_size=150, report=widen)
    assert_same(model, before)


@pytest.mark.parametrize("loss", [ops.cross_entropy, ops.squared_hinge])
def test_weights_count_in_the_loss_of_a_step_and_in_the_validation(
    started: Start, run_descent: Run, digits: Data, loss: Callable
) -> None:
    model = started("float64")
    parted = parts(digits, model)
    weights = np.random.default_rng(0).uniform(0.1, 2, 150)
    parted["seen"] += (weights[:120] / weights[:120].mean(),)
    parted["unseen"] += (weights[120:],)
    images, labels, of_seen = parted["seen"]
    expected = float(loss(model.scores(images), labels, of_seen))
    events = run_descent(
        model, **parted, loss=loss.__name__, epochs=1, batch_size=120, lr=1e-12, l2=0.0
    )
    step, epoch = events
    assert step.values["loss"] == pytest.approx(expected, rel=1e-9)
    images, labels, of_unseen = parted["unseen"]
    hits = model.predict(images) == labels
    assert epoch.values["validation_accuracy"] == pytest.approx(
        np.average(hits, weights=of_unseen), rel=1e-12
    )
    assert epoch.values["validation_loss"] == pytest.approx(
        float(loss(model.scores(images), labels, of_unseen)), rel=1e-6
    )
    hits = model.predict(parted["seen"][0]) == parted["seen"][1]
    assert epoch.values["train_accuracy"] == pytest.approx(np.average(hits, weights=of_seen))


def test_a_step_of_part_of_the_images_is_unbiased(
    started: Start, run_descent: Run, digits: Data
) -> None:
    model = started("float64")
    images, labels = digits
    weights = np.random.default_rng(0).uniform(0.1, 2, 150)
    weights /= weights.mean()
    expected = float(ops.cross_entropy(model.scores(images), labels, weights))
    events = run_descent(model, seen=(images, labels, weights), epochs=1, batch_size=50, lr=1e-12)
    steps = [e.values["loss"] for e in events if e.phase == "batch"]
    assert np.mean(steps) == pytest.approx(expected, rel=1e-9)


def test_smoothing_changes_the_loss_of_steps_but_not_of_the_validation(
    started: Start, run_descent: Run, digits: Data
) -> None:
    model = started("float64")
    images, labels = digits
    expected = float(ops.cross_entropy(model.scores(images), labels, label_smoothing=0.2))
    step, epoch = run_descent(
        model, unseen=digits, epochs=1, batch_size=150, lr=1e-12, label_smoothing=0.2
    )
    assert step.values["loss"] == pytest.approx(expected, rel=1e-9)
    plain = float(ops.cross_entropy(model.scores(images), labels))
    assert epoch.values["validation_loss"] == pytest.approx(plain, rel=1e-6)


def test_steps_are_no_longer_than_the_clipped_gradient_allows(
    started: Start, run_descent: Run
) -> None:
    moves = {}
    for clip_norm in (None, 1e-3, 1e6):
        model = started("float64")
        before = [p.numpy().copy() for p in model.parameters()]
        run_descent(model, epochs=1, batch_size=150, lr=0.1, momentum=0.0, clip_norm=clip_norm)
        after = [p.numpy() for p in model.parameters()]
        pairs = zip(before, after, strict=True)
        moves[clip_norm] = math.sqrt(sum(((b - a) ** 2).sum() for a, b in pairs))
    assert moves[1e-3] == pytest.approx(1e-4, rel=1e-3)
    assert moves[None] == moves[1e6] > 10 * moves[1e-3]


def test_the_average_is_validated_and_kept(started: Start, run_descent: Run, digits: Data) -> None:
    model = started()
    data = parts(digits, model)
    options = {"epochs": 3, "lr": 0.3, "ema": 0.7, "momentum": 0.0}
    start = model.state_dict()
    reported: list[tuple[float, float, State, State]] = []

    def look(progress: Progress) -> None:
        if progress.phase == "epoch":
            accuracy = model.accuracy(*data["unseen"])
            told = progress.values["validation_accuracy"]
            arrays = progress.state.arrays()
            reported.append((accuracy, told, model.state_dict(), arrays))

    run_descent(model, report=look, **data, **options)
    assert [accuracy for accuracy, *_ in reported] == [told for _, told, *_ in reported]
    kept = model.state_dict()
    states = [start, *(state for *_, state, _ in reported)]
    assert any(all((kept[name] == state[name]).all() for name in kept) for state in states)
    *_, state, arrays = reported[-1]
    for name, array in state.items():
        if name == "layers.0.weight":
            np.testing.assert_array_equal(arrays["average.0.average"], array)
            assert (arrays["average.0.parameter"] != array).any()
            norms = np.linalg.norm(array.reshape(len(array), -1), axis=1)
            np.testing.assert_allclose(norms, 1, rtol=1e-6)


def test_an_average_does_not_change_the_descent(started: Start, run_descent: Run) -> None:
    losses = []
    for ema in (None, 0.9):
        events = run_descent(started(), epochs=2, ema=ema)
        losses.append([e.values["loss"] for e in events if e.phase == "batch"])
    assert losses[0] == losses[1]


def test_mixtures_are_drawn_by_the_generator_and_learned_from(
    started: Start, run_descent: Run, digits: Data
) -> None:
    weights = np.linspace(0.5, 1.5, 150)
    losses = []
    for seed in (0, 0, 1):
        model = started()
        events = run_descent(model, seen=(*digits, weights), epochs=2, mixup=0.4, seed=seed)
        losses.append([e.values["loss"] for e in events if e.phase == "epoch"])
    assert losses[0] == losses[1] != losses[2]
    assert losses[0][-1] < losses[0][0]
