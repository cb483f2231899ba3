import math

import numpy as np
import pytest
from scipy.special import logsumexp, softmax

from tinygrad_ckn import grad, no_grad, ops
from tinygrad_ckn.data import load_digits
from tinygrad_ckn.errors import ConfigError, DataError, GradientError
from tinygrad_ckn.graph import raw
from tinygrad_ckn.models import CKN, CKNLayer, Progress, fit_linear, fitting, sample_patches, spherical_kmeans
from tinygrad_ckn.models.classifier import L2_GRID

digits = load_digits()
images, labels = digits.train.images[:150], digits.train.labels[:150]


def small(dtype: str = "float32", seed: int = 0) -> CKN:
    """Return a network of two layers for digits, with 12 x 2 x 2 features."""
    layers = [
        CKNLayer(1, 8, 3, subsampling=2, rng=seed, dtype=dtype),
        CKNLayer(8, 12, 3, subsampling=2, rng=seed + 1, dtype=dtype),
    ]
    return CKN(1, 8, 10, layers, rng=seed)


def started(dtype: str = "float32") -> CKN:
    """Return a network with filters and classifier as `fit` has them before it descends."""
    return small(dtype).fit_unsupervised(images, n_patches=2000).fit_classifier(images, labels, l2=1e-3)


def descend(model: CKN, x: np.ndarray = images, **options) -> list[Progress]:
    events: list[Progress] = []
    defaults = {
        "epochs": 2, "batch_size": 50, "lr": 0.05, "momentum": 0.9, "loss": "cross_entropy", "l2": 0.0,
        "rng": np.random.default_rng(0), "report": events.append,
    }  # fmt: skip
    fitting.descend(model, model.images(x), labels, **defaults | options)
    return events


def mean_loss(scores: np.ndarray, loss: str) -> float:
    scores = scores.astype("float64")
    if loss == "cross_entropy":
        return float(np.mean(logsumexp(scores, axis=1) - scores[np.arange(len(labels)), labels]))
    signs = np.where(labels[:, None] == np.arange(10), 1.0, -1.0)
    return float((np.maximum(0, 1 - signs * scores) ** 2).sum() / (2 * len(labels)))


def filters(model: CKN) -> list[np.ndarray]:
    return [layer.weight.numpy().copy() for layer in model.layers]


def assert_on_the_sphere(model: CKN) -> None:
    for weight in filters(model):
        norms = np.sqrt((weight.astype("float64") ** 2).sum(axis=(1, 2, 3)))
        np.testing.assert_allclose(norms, 1, rtol=1e-6 if weight.dtype == "float32" else 1e-14)


@pytest.mark.parametrize("seed", [0, 1])
def test_unsupervised_features_tell_digits_apart(seed: int) -> None:
    model = CKN.preset("unsup-32-64", in_channels=1, image_size=8, n_classes=10)
    model.fit_unsupervised(digits.train.images, n_patches=20_000, iterations=4, rng=seed)
    model.fit_classifier(digits.train.images, digits.train.labels, rng=seed)
    assert model.accuracy(digits.test.images, digits.test.labels) >= 0.97


def test_filters_are_centroids_of_patches_of_each_layers_input() -> None:
    model, twin = small("float64"), small("float64")
    rng = np.random.default_rng(4)
    model.fit_unsupervised(images, n_patches=500, iterations=3, rng=4)
    x = images.astype("float64")
    for layer, fitted in zip(twin.layers, model.layers, strict=True):
        found = spherical_kmeans(sample_patches(x, layer, 500, rng=rng), layer.n_filters, iterations=3, rng=rng)
        np.testing.assert_allclose(fitted.weight.numpy().reshape(layer.n_filters, -1), found.centroids, atol=1e-10)
        layer.weight.data = found.centroids.reshape(layer.weight.shape)
        with no_grad():
            x = raw(layer(x))


def test_filters_found_by_kmeans_are_on_the_sphere() -> None:
    assert_on_the_sphere(small().fit_unsupervised(images, n_patches=1000))


def test_filters_found_by_kmeans_are_nearer_to_the_patches_than_random_ones() -> None:
    model = small("float64")
    patches = sample_patches(images.astype("float64"), model.layers[0], 2000, rng=np.random.default_rng(9))
    patches /= np.linalg.norm(patches, axis=1, keepdims=True)
    before = (patches @ model.layers[0].weight.numpy().reshape(8, -1).T).max(axis=1).mean()
    model.fit_unsupervised(images, n_patches=2000)
    after = (patches @ model.layers[0].weight.numpy().reshape(8, -1).T).max(axis=1).mean()
    assert after > before + 0.1


def test_progress_of_unsupervised_fitting_tells_each_layer() -> None:
    events: list[Progress] = []
    small().fit_unsupervised(images, n_patches=500, report=events.append)
    assert [(e.phase, e.done, e.total) for e in events] == [("filters", 1, 2), ("filters", 2, 2)]
    assert all(0.5 < e.values["mean_cosine"] <= 1 for e in events)


def test_images_without_enough_patches_are_refused() -> None:
    with pytest.raises(DataError, match="expected at least 8 distinct nonzero points for 8 clusters, got 0"):
        small().fit_unsupervised(np.zeros((5, 1, 8, 8)))
    with pytest.raises(DataError, match=r"expected at least 8 distinct nonzero points for 8 clusters, got [1-7]; use"):
        small().fit_unsupervised(images, n_patches=5)


def test_images_with_nan_are_refused() -> None:
    broken = images.copy()
    broken[3] = math.nan
    with pytest.raises(DataError, match="expected finite numbers, got NaN or infinity; look at the images"):
        small().fit_unsupervised(broken, n_patches=10_000)


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_hinge"])
@pytest.mark.parametrize("l2", [1e-3, None])
def test_the_classifier_is_the_linear_fit_of_the_features(loss: str, l2: float | None) -> None:
    model = small("float64")
    events: list[Progress] = []
    found = model.fit_classifier(images, labels, loss=loss, l2=l2, iterations=20, rng=3, report=events.append)
    assert found is model
    fit = fit_linear(model.encode(images), labels, 10, loss=loss, l2=l2, iterations=20, rng=3)
    np.testing.assert_array_equal(model.classifier.weight.numpy(), fit.weight)
    np.testing.assert_array_equal(model.classifier.bias.numpy(), fit.bias)
    *tried, last = events
    assert (last.phase, last.done, last.total) == ("classifier", 1, 1)
    assert last.values == {"l2": fit.l2} | {f"held_out_{k:g}": v for k, v in fit.held_out.items()}
    assert [(e.phase, e.done, e.total) for e in tried] == [
        ("l2", i + 1, len(L2_GRID)) for i in range(len(fit.held_out))
    ]
    assert [(e.values["l2"], e.values["held_out_loss"]) for e in tried] == list(fit.held_out.items())


def test_a_classifier_without_bias_is_left_without() -> None:
    model = small("float64")
    model.classifier.bias = None
    model.fit_classifier(images, labels, l2=1e-3)
    np.testing.assert_array_equal(
        model.classifier.weight.numpy(), fit_linear(model.encode(images), labels, 10, l2=1e-3).weight
    )


def test_with_the_classifier_frozen_the_loss_falls_through_the_filters_alone() -> None:
    model = started()
    for parameter in model.classifier.parameters():
        parameter.requires_grad = False
    before = model.state_dict()
    start = mean_loss(model.scores(images), "cross_entropy")
    descend(model, epochs=8)
    after = model.state_dict()
    assert mean_loss(model.scores(images), "cross_entropy") < 0.85 * start
    assert {name for name in before if not np.array_equal(before[name], after[name])} == {
        "layers.0.weight",
        "layers.1.weight",
    }
    assert_on_the_sphere(model)


def test_with_the_filters_frozen_the_classifier_alone_moves() -> None:
    model = started()
    for layer in model.layers:
        layer.weight.requires_grad = False
    before = model.state_dict()
    events = descend(model, epochs=3)
    after = model.state_dict()
    assert {name for name in before if not np.array_equal(before[name], after[name])} == {
        "classifier.weight",
        "classifier.bias",
    }
    losses = [e.values["loss"] for e in events if e.phase == "epoch"]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_hinge"])
def test_the_loss_reported_is_the_stated_objective(loss: str) -> None:
    model = started("float64")
    scores, weight = model.scores(images), model.classifier.weight.numpy().copy()
    batch, epoch = descend(model, epochs=1, batch_size=150, loss=loss, l2=0.01)
    expected = mean_loss(scores, loss) + 0.01 / 2 * (weight**2).sum()
    assert batch.values["loss"] == pytest.approx(expected, rel=1e-12)
    assert epoch.values["loss"] == pytest.approx(expected, rel=1e-12)
    assert epoch.values["train_accuracy"] == (scores.argmax(axis=1) == labels).mean()


def test_one_step_is_gradient_descent_on_the_classifier_and_along_the_sphere_on_the_filters() -> None:
    model = started("float64")
    features, scores = model.encode(images), model.scores(images)
    weight, bias, before = model.classifier.weight.numpy().copy(), model.classifier.bias.numpy().copy(), filters(model)
    gradients = grad(ops.cross_entropy(model(images), labels), [layer.weight for layer in model.layers])
    descend(model, epochs=1, batch_size=150, lr=0.1, momentum=0.0, l2=0.01)
    g = (softmax(scores, axis=1) - np.eye(10)[labels]) / 150
    np.testing.assert_allclose(model.classifier.weight.numpy(), weight - 0.1 * (g.T @ features + 0.01 * weight))
    np.testing.assert_allclose(model.classifier.bias.numpy(), bias - 0.1 * g.sum(axis=0))
    for z, gradient, after in zip(before, gradients, filters(model), strict=True):
        rows, slope = z.reshape(len(z), -1), gradient.numpy().reshape(len(z), -1)
        moved = rows - 0.1 * (slope - (slope * rows).sum(axis=1, keepdims=True) * rows)
        expected = moved / np.linalg.norm(moved, axis=1, keepdims=True)
        np.testing.assert_allclose(after.reshape(len(z), -1), expected, rtol=1e-10, atol=1e-13)
        assert not np.allclose(after, z, atol=1e-6)


def test_every_image_is_seen_once_an_epoch_in_another_order_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small()
    seen: list[np.ndarray] = []
    forward = CKN.forward
    monkeypatch.setattr(CKN, "forward", lambda self, x: seen.append(raw(x)) or forward(self, x))
    descend(model, epochs=2, batch_size=40)
    assert [len(x) for x in seen] == [40, 40, 40, 30] * 2
    first, second = np.concatenate(seen[:4]), np.concatenate(seen[4:])
    assert not np.array_equal(first, second)
    for order in (first, second):
        assert sorted(map(bytes, order)) == sorted(map(bytes, images))


def test_epochs_report_means_over_images_and_the_rate_on_a_cosine() -> None:
    events = descend(small(), epochs=4, batch_size=40, lr=0.02)
    for epoch in range(4):
        batches, last = events[5 * epoch : 5 * epoch + 4], events[5 * epoch + 4]
        expected = np.average([b.values["loss"] for b in batches], weights=[40, 40, 40, 30])
        assert last.values["loss"] == pytest.approx(expected, rel=1e-12)
        assert last.values["lr"] == pytest.approx(0.02 * (1 + math.cos(math.pi * (epoch + 1) / 4)) / 2, abs=1e-15)
        assert 0 <= last.values["train_accuracy"] <= 1


def test_progress_of_fitting_is_complete_and_ordered() -> None:
    events: list[Progress] = []
    model = small()
    found = model.fit(images, labels, epochs=2, batch_size=60, n_patches=500, report=events.append)
    assert found is model
    assert [(e.phase, e.done, e.total) for e in events] == [
        ("filters", 1, 2),
        ("filters", 2, 2),
        ("classifier", 1, 1),
        *[("batch", i, 6) for i in (1, 2, 3)],
        ("epoch", 1, 2),
        *[("batch", i, 6) for i in (4, 5, 6)],
        ("epoch", 2, 2),
        *[("l2", i + 1, len(L2_GRID)) for i in range(len(events[-1].values) - 1)],
        ("classifier", 1, 1),
    ]
    assert [e.values["epoch"] for e in events if e.phase == "batch"] == [1, 1, 1, 2, 2, 2]
    assert all(math.isfinite(v) for e in events for v in e.values.values())


def test_fitting_descends_from_the_unsupervised_start_with_l2_in_terms_of_scaled_features() -> None:
    model, twin = small("float64"), small("float64")
    events: list[Progress] = []
    model.fit(images, labels, epochs=1, batch_size=150, l2=1e-2, n_patches=500, rng=6, report=events.append)
    rng = np.random.default_rng(6)
    twin.fit_unsupervised(images, n_patches=500, rng=rng).fit_classifier(images, labels, l2=1e-2, rng=rng)
    features = twin.encode(images)
    mean_square = ((features - features.mean(axis=0)) ** 2).sum(axis=1).mean()
    penalty = 1e-2 / 2 * mean_square * (twin.classifier.weight.numpy() ** 2).sum()
    (batch,) = [e for e in events if e.phase == "batch"]
    assert batch.values["loss"] == pytest.approx(mean_loss(twin.scores(images), "cross_entropy") + penalty, rel=1e-9)


def test_fitting_ends_with_a_classifier_for_the_filters_as_they_are() -> None:
    model = small("float64")
    events: list[Progress] = []
    model.fit(images, labels, epochs=1, n_patches=500, rng=6, report=events.append)
    l2 = events[-1].values["l2"]
    assert events[-1].values[f"held_out_{l2:g}"] == min(v for k, v in events[-1].values.items() if k != "l2")
    fit = fit_linear(model.encode(images), labels, 10, l2=l2, iterations=300)
    scores = model.encode(images) @ fit.weight.T + fit.bias
    assert mean_loss(model.scores(images), "cross_entropy") == pytest.approx(
        mean_loss(scores, "cross_entropy"), abs=0.01
    )


def test_fitting_changes_the_filters_and_keeps_them_on_the_sphere() -> None:
    model = small().fit(images, labels, epochs=2, n_patches=500, rng=1)
    start = small().fit_unsupervised(images, n_patches=500, rng=1)
    assert not any(np.allclose(a, b, atol=1e-4) for a, b in zip(filters(model), filters(start), strict=True))
    assert_on_the_sphere(model)


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_hinge"])
def test_fitting_end_to_end_lowers_the_loss_on_the_training_images(loss: str) -> None:
    events: list[Progress] = []
    model = small().fit(
        images, labels, epochs=8, batch_size=15, loss=loss, l2=1e-3, n_patches=500, report=events.append
    )
    losses = [e.values["loss"] for e in events if e.phase == "epoch"]
    assert losses[-1] < losses[0]
    assert model.accuracy(images, labels) > 0.95


def test_no_epochs_leave_the_filters_of_kmeans() -> None:
    events: list[Progress] = []
    model = small().fit(images, labels, epochs=0, n_patches=500, rng=2, report=events.append)
    start = small().fit_unsupervised(images, n_patches=500, rng=2)
    assert all(np.array_equal(a, b) for a, b in zip(filters(model), filters(start), strict=True))
    assert {e.phase for e in events} == {"filters", "l2", "classifier"}


def test_the_seed_fixes_every_bit() -> None:
    one, same, other = (
        small().fit(images, labels, epochs=1, n_patches=500, rng=seed).state_dict() for seed in (1, 1, 2)
    )
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not any(np.array_equal(one[name], other[name]) for name in one)


def test_an_infinite_loss_is_refused_with_the_rate_to_lower() -> None:
    message = r"^fit: expected a finite loss, got inf in epoch 1, batch 2; lower lr \(1e\+30\)$"
    with np.errstate(all="ignore"), pytest.raises(GradientError, match=message):
        descend(started(), lr=1e30, l2=1.0)


def test_a_loss_of_nan_is_refused_and_the_parameters_left_as_they_are() -> None:
    model = started()
    broken = images.copy()
    broken[7, 0, 3, 3] = math.nan
    before = model.state_dict()
    message = r"^fit: expected a finite loss, got nan in epoch 1, batch 1; lower lr \(0\.05\)$"
    with pytest.raises(GradientError, match=message):
        descend(model, x=broken, batch_size=150)
    assert all(np.array_equal(before[name], array) for name, array in model.state_dict().items())


@pytest.mark.parametrize(("epochs", "batch_size"), [(-1, 10), (1, 0), ("1", 10), (1, 2.5)])
def test_epochs_and_batch_sizes_out_of_range_are_refused(epochs: object, batch_size: object) -> None:
    message = f"^fit: expected epochs >= 0 and batch_size >= 1, whole numbers, got {epochs!r} and {batch_size!r}$"
    with pytest.raises(ConfigError, match=message):
        descend(small(), epochs=epochs, batch_size=batch_size)
    model = small()
    before = model.state_dict()
    with pytest.raises(ConfigError, match=message):
        model.fit(images, labels, epochs=epochs, batch_size=batch_size)
    assert all(np.array_equal(before[name], array) for name, array in model.state_dict().items())


@pytest.mark.parametrize("loss", ["hinge", None])
def test_unknown_losses_are_refused(loss: str | None) -> None:
    with pytest.raises(ConfigError, match="expected loss of cross_entropy, squared_hinge and l2 >= 0, got "):
        small().fit_classifier(images, labels, loss=loss)


def test_the_descent_is_shown_augmented_batches_drawn_by_its_generator() -> None:
    given: list[np.ndarray] = []

    def darker(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        given.append(x)
        return x * rng.uniform(0.5, 1, (len(x), 1, 1, 1)).astype("float32")

    one, same, other, plain = started(), started(), started(), started()
    descend(one, augment=darker)
    assert [len(x) for x in given] == [50] * 6
    assert sorted(map(bytes, np.concatenate(given[:3]))) == sorted(map(bytes, images))
    descend(same, augment=darker)
    descend(other, augment=darker, rng=np.random.default_rng(1))
    descend(plain)
    np.testing.assert_array_equal(one.classifier.weight.numpy(), same.classifier.weight.numpy())
    for model in (other, plain):
        assert not np.array_equal(model.classifier.weight.numpy(), one.classifier.weight.numpy())


def test_augmentation_is_part_of_fitting_and_changes_the_filters_alone_by_the_descent() -> None:
    shown: list[int] = []
    options = {"epochs": 1, "batch_size": 100, "n_patches": 500}
    small().fit(images, labels, **options, augment=lambda x, rng: shown.append(len(x)) or x)
    assert shown == [100, 50]
