"""Filters by k-means, classifiers on their features, and both with a descent between."""

import math
import tempfile

import numpy as np
import pytest
from scipy.special import logsumexp

from tinygrad_ckn import no_grad
from tinygrad_ckn.data import load_digits
from tinygrad_ckn.errors import ConfigError, DataError
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.models import (
    CKN,
    CKNLayer,
    FineTuning,
    Progress,
    fit_linear,
    sample_patches,
    spherical_kmeans,
)
from tinygrad_ckn.models.learning import fit as fitting
from tinygrad_ckn.models.learning.finetuning_options import hold_out
from tinygrad_ckn.models.learning.objective import LabelledImages
from tinygrad_ckn.models.learning.state import Course

digits = load_digits()
images, labels = digits.train.images[:150], digits.train.labels[:150]


def small(dtype: str = "float32", seed: int = 0) -> CKN:
    """Return a network of two layers for digits, with 12 x 2 x 2 features."""
    layers = [
        CKNLayer(1, 8, 3, subsampling=2, rng=seed, dtype=dtype),
        CKNLayer(8, 12, 3, subsampling=2, rng=seed + 1, dtype=dtype),
    ]
    return CKN(1, 8, 10, layers, rng=seed)


def mean_cross_entropy(scores: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean(logsumexp(scores, axis=1) - scores[np.arange(len(labels)), labels]))


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
    rng, n = (
        np.random.default_rng(4),
        8 * len(images),
    )  # patches: so many that all images are looked at
    model.fit_unsupervised(images, n_patches=n, iterations=3, rng=4)
    x = images.astype("float64")
    for layer, fitted in zip(twin.layers, model.layers, strict=True):
        found = spherical_kmeans(
            sample_patches(x, layer, n, rng=rng), layer.n_filters, iterations=3, rng=rng
        )
        np.testing.assert_allclose(
            fitted.weight.numpy().reshape(layer.n_filters, -1), found.centroids, atol=1e-10
        )
        layer.weight.data = found.centroids.reshape(layer.weight.shape)
        with no_grad():
            x = unwrap(layer(x))


def test_filters_found_by_kmeans_are_on_the_sphere() -> None:
    assert_on_the_sphere(small().fit_unsupervised(images, n_patches=1000))


def test_filters_found_by_kmeans_are_nearer_to_the_patches_than_random_ones() -> None:
    model = small("float64")
    patches = sample_patches(
        images.astype("float64"), model.layers[0], 2000, rng=np.random.default_rng(9)
    )
    patches /= np.linalg.norm(patches, axis=1, keepdims=True)
    before = (patches @ model.layers[0].weight.numpy().reshape(8, -1).T).max(axis=1).mean()
    model.fit_unsupervised(images, n_patches=2000)
    after = (patches @ model.layers[0].weight.numpy().reshape(8, -1).T).max(axis=1).mean()
    assert after > before + 0.1


def test_progress_of_unsupervised_fitting_tells_each_layer() -> None:
    events: list[Progress] = []
    small().fit_unsupervised(images, n_patches=500, report=events.append)
    layers = [(e.phase, e.done, e.total) for e in events if e.phase != "k-means"]
    assert layers == [("filters", 1, 2), ("filters", 2, 2)]
    assert all(0.5 < e.values["mean_cosine"] <= 1 for e in events)


def test_images_without_enough_patches_are_refused() -> None:
    message = r"^layers\[0\], n_filters=8: spherical_kmeans: expected at least 8 distinct .*, got 0"
    with pytest.raises(DataError, match=message):
        small().fit_unsupervised(np.zeros((5, 1, 8, 8)))
    with pytest.raises(
        DataError,
        match=r"expected at least 8 distinct nonzero points for 8 clusters, got [1-7]; use",
    ):
        small().fit_unsupervised(images, n_patches=5)


def test_images_with_nan_are_refused() -> None:
    broken = images.copy()
    broken[3] = math.nan
    for use in (
        lambda: small().fit_unsupervised(broken, n_patches=10_000),
        lambda: small().eval().predict(broken),
    ):
        with pytest.raises(
            DataError,
            match="CKN: expected images of finite numbers, got NaN or infinity in image 3; leave",
        ):
            use()


def test_a_descent_of_another_kind_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"fit: argument descent expected a models.FineTuning or None, got 5"
    ):
        small().fit(images, labels, descent=5, n_patches=500)


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_hinge"])
@pytest.mark.parametrize("l2", [1e-3, None])
def test_the_classifier_is_the_linear_fit_of_the_features(loss: str, l2: float | None) -> None:
    model = small("float64")
    events: list[Progress] = []
    found = model.fit_classifier(
        images, labels, loss=loss, l2=l2, iterations=20, rng=3, report=events.append
    )
    fit = fit_linear(model.encode(images), labels, 10, loss=loss, l2=l2, iterations=20, rng=3)
    np.testing.assert_array_equal(model.classifier.weight.numpy(), fit.weight)
    np.testing.assert_array_equal(model.classifier.bias.numpy(), fit.bias)
    np.testing.assert_array_equal(found.weight, fit.weight)
    assert (found.l2, found.scale, found.held_out) == (fit.l2, fit.scale, fit.held_out)
    first, *tried, last = events
    assert first == Progress("classifier", 0, 1)
    assert (last.phase, last.done, last.total) == ("classifier", 1, 1)
    assert last.values == {"l2": fit.l2} | {
        f"held_out_error_{k:g}": v.error for k, v in fit.held_out.items()
    }
    assert [(e.phase, e.done, e.total) for e in tried] == [
        ("l2", i + 1, max(i + 1, 5)) for i in range(len(fit.held_out))
    ]
    assert [
        (e.values["l2"], (e.values["held_out_error"], e.values["held_out_loss"])) for e in tried
    ] == list(fit.held_out.items())


def test_a_classifier_without_bias_is_left_without() -> None:
    model = small("float64")
    model.classifier.bias = None
    model.fit_classifier(images, labels, l2=1e-3)
    np.testing.assert_array_equal(
        model.classifier.weight.numpy(),
        fit_linear(model.encode(images), labels, 10, l2=1e-3).weight,
    )


def test_a_centred_layer_learns_the_mean_patch_and_centroids_of_what_remains() -> None:
    layer = CKNLayer(1, 8, 3, center=True, dtype="float64")
    CKN(1, 8, 10, [layer]).fit_unsupervised(images, n_patches=500, iterations=3, rng=4)
    rng = np.random.default_rng(4)
    patches = sample_patches(images.astype("float64"), layer, 500, rng=rng)
    mean = sum(patches) / len(patches)
    np.testing.assert_allclose(layer.center.numpy().reshape(-1), mean, atol=1e-12)
    assert np.abs(mean).max() > 0.1
    found = spherical_kmeans(patches - mean, 8, iterations=3, rng=rng)
    np.testing.assert_allclose(layer.weight.numpy().reshape(8, -1), found.centroids, atol=1e-10)


@pytest.mark.parametrize("center", [False, True])
def test_filters_of_a_group_are_centroids_of_its_own_channels(center: bool) -> None:
    layer = CKNLayer(2, 6, 3, groups=2, center=center, dtype="float64")
    both = np.concatenate([images, np.sqrt(images[:, :, ::-1])], axis=1).astype("float64")
    events: list[Progress] = []
    CKN(2, 8, 10, [layer]).fit_unsupervised(
        both, n_patches=500, iterations=3, rng=4, report=events.append
    )
    rng = np.random.default_rng(4)
    patches = sample_patches(both, layer, 500, rng=rng)
    patches = patches - patches.mean(axis=0) if center else patches
    # zero in one group alone
    assert ((patches[:, :9] ** 2).sum(axis=1) == 0).any() != center
    cosines = []
    for group, weight in enumerate(layer.weight.numpy().reshape(2, 3, 9)):
        found = spherical_kmeans(
            patches[:, 9 * group : 9 * group + 9].copy(), 3, iterations=3, rng=rng
        )
        np.testing.assert_allclose(weight, found.centroids, atol=1e-10)
        cosines.append(found.objective[-1])
    assert events[-1].values["mean_cosine"] == pytest.approx(np.mean(cosines))


def test_filters_are_learned_by_the_kmeans_asked_for() -> None:
    options = {"iterations": 3, "batch_size": 50, "init": "random"}
    layer = CKNLayer(1, 8, 3, dtype="float64")
    CKN(1, 8, 10, [layer]).fit_unsupervised(images, n_patches=500, **options, rng=4)
    rng = np.random.default_rng(4)
    found = spherical_kmeans(
        sample_patches(images.astype("float64"), layer, 500, rng=rng), 8, **options, rng=rng
    )
    np.testing.assert_allclose(layer.weight.numpy().reshape(8, -1), found.centroids, atol=1e-14)


def test_patches_beyond_the_memory_go_to_files_and_change_no_bit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[object] = []
    temporary = tempfile.TemporaryFile
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: made.append(temporary()) or made[-1])
    inside, outside = small(), small()
    size = 500 * 9 * 4
    inside.fit_unsupervised(images, n_patches=500, rng=0, memory=500 * 9 * 8 * 4)
    assert made == []
    outside.fit_unsupervised(images, n_patches=500, rng=0, memory=size - 1)
    assert len(made) == 2
    for a, b in zip(filters(outside), filters(inside), strict=True):
        np.testing.assert_array_equal(a, b)


def test_without_a_descent_fitting_is_filters_and_then_the_classifier() -> None:
    model, twin = small(), small()
    options = {"n_patches": 500, "iterations": 3}
    events: list[Progress] = []
    assert (
        model.fit(images, labels, loss="squared_hinge", **options, rng=6, report=events.append)
        is model
    )
    rng = np.random.default_rng(6)
    twin.fit_unsupervised(images, **options, rng=rng).fit_classifier(
        images, labels, loss="squared_hinge", rng=rng
    )
    for name, array in twin.state_dict().items():
        np.testing.assert_array_equal(model.state_dict()[name], array)
    assert {e.phase for e in events} == {"k-means", "filters", "l2", "classifier"}


def test_progress_of_fitting_is_complete_and_ordered() -> None:
    events: list[Progress] = []
    model = small()
    # 135 of 150 images
    descent = FineTuning(epochs=2, batch_size=60)
    found = model.fit(images, labels, descent=descent, n_patches=500, rng=0, report=events.append)
    assert found is model
    means = [e for e in events if e.phase == "k-means"]
    last = [max(e.done for e in means if e.values["layer"] == i) for i in (1, 2)]
    assert [(e.values["layer"], e.done) for e in means] == [
        (i, j) for i in (1, 2) for j in range(1, last[i - 1] + 1)
    ]
    assert {e.total for e in means} == {10}
    assert [(e.phase, e.done, e.total) for e in events if e.phase != "k-means"] == [
        ("filters", 1, 2),
        ("filters", 2, 2),
        ("classifier", 0, 1),
        ("classifier", 1, 1),
        ("start", 0, 2),
        *[("batch", i, 6) for i in (1, 2, 3)],
        ("epoch", 1, 2),
        *[("batch", i, 6) for i in (4, 5, 6)],
        ("epoch", 2, 2),
        ("kept", next(e.done for e in events if e.phase == "kept"), 2),
        ("classifier", 0, 1),
        *[("l2", i + 1, max(i + 1, 5)) for i in range(len(events[-1].values) - 1)],
        ("classifier", 1, 1),
    ]
    assert [e.values["epoch"] for e in events if e.phase == "batch"] == [1, 1, 1, 2, 2, 2]
    assert all(
        {"validation_accuracy", "validation_loss"} <= e.values.keys()
        for e in events
        if e.phase == "epoch"
    )
    assert all(math.isfinite(v) for e in events for v in e.values.values())


def test_fitting_descends_from_the_unsupervised_start_with_l2_in_terms_of_scaled_features() -> None:
    model, twin = small("float64"), small("float64")
    events: list[Progress] = []
    descent = FineTuning(epochs=1, batch_size=150, l2=1e-2, validation=0.2)
    model.fit(images, labels, descent=descent, n_patches=500, rng=6, report=events.append)
    rng = np.random.default_rng(6)
    twin.fit_unsupervised(images, n_patches=500, rng=rng)
    seen, _ = hold_out(150, 0.2, rng)
    twin.fit_classifier(images[seen], labels[seen], l2=1e-2, rng=rng)
    features = twin.encode(images[seen])
    mean_square = ((features - features.mean(axis=0)) ** 2).sum(axis=1).mean()
    penalty = 1e-2 / 2 * mean_square * (twin.classifier.weight.numpy() ** 2).sum()
    (batch,) = [e for e in events if e.phase == "batch"]
    expected = mean_cross_entropy(twin.scores(images[seen]), labels[seen]) + penalty
    assert batch.values["loss"] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("alternating", [False, True])
def test_what_is_held_out_has_no_part_in_the_descent(alternating: bool) -> None:
    held_out = hold_out(150, 0.2, np.random.default_rng(3))[1]
    others, other_labels = images.copy(), labels.copy()
    others[held_out] = np.random.default_rng(0).random((30, 1, 8, 8))
    other_labels[held_out] = (labels[held_out] + 1) % 10
    told: list[list[float]] = []
    for x, y in ((images, labels), (others, other_labels)):
        model, events = small().fit_unsupervised(images, n_patches=500, rng=0), []
        descent = FineTuning(epochs=2, batch_size=40, alternating=alternating, validation=0.2)
        options = {
            "descent": descent,
            "loss": "cross_entropy",
            "l2": 1e-3,
            "course": Course.of(model, np.random.default_rng(3)),
        }
        fitting.fit_with_labels(model, LabelledImages(x, y), **options, report=events.append)
        told.append([e.values["loss"] for e in events if e.phase == "batch"])
        told.append([e.values["validation_loss"] for e in events if e.phase == "epoch"])
    assert told[0] == told[2]
    assert told[1] != told[3]


def test_fitting_ends_with_a_classifier_on_all_images_for_the_filters_as_they_are() -> None:
    model = small("float64")
    events: list[Progress] = []
    model.fit(
        images,
        labels,
        descent=FineTuning(epochs=1, validation=0.3),
        n_patches=500,
        rng=6,
        report=events.append,
    )
    l2 = events[-1].values["l2"]
    assert events[-1].values[f"held_out_error_{l2:g}"] == min(
        v for k, v in events[-1].values.items() if k != "l2"
    )
    fit = fit_linear(model.encode(images), labels, 10, l2=l2, iterations=300)
    scores = model.encode(images) @ fit.weight.T + fit.bias
    expected = mean_cross_entropy(scores, labels)
    assert mean_cross_entropy(model.scores(images), labels) == pytest.approx(expected, abs=0.01)


def test_fitting_changes_the_filters_and_keeps_them_on_the_sphere() -> None:
    model = small().fit(
        images, labels, descent=FineTuning(epochs=2, lr=0.01, validation=0), n_patches=500, rng=1
    )
    start = small().fit_unsupervised(images, n_patches=500, rng=1)
    assert not any(
        np.allclose(a, b, atol=1e-4) for a, b in zip(filters(model), filters(start), strict=True)
    )
    assert_on_the_sphere(model)


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_hinge"])
def test_fitting_end_to_end_lowers_the_loss_on_the_training_images(loss: str) -> None:
    events: list[Progress] = []
    descent = FineTuning(epochs=8, batch_size=15, l2=1e-3, validation=0)
    model = small().fit(
        images, labels, descent=descent, loss=loss, n_patches=500, report=events.append
    )
    losses = [e.values["loss"] for e in events if e.phase == "epoch"]
    assert losses[-1] < losses[0]
    assert model.accuracy(images, labels) > 0.95


def test_no_epochs_leave_the_filters_of_kmeans() -> None:
    events: list[Progress] = []
    descent = FineTuning(epochs=0)
    model = small().fit(images, labels, descent=descent, n_patches=500, rng=2, report=events.append)
    start = small().fit_unsupervised(images, n_patches=500, rng=2)
    assert all(np.array_equal(a, b) for a, b in zip(filters(model), filters(start), strict=True))
    assert {e.phase for e in events} == {"k-means", "filters", "l2", "classifier", "start"}


def test_the_seed_fixes_every_bit() -> None:
    descent = FineTuning(
        epochs=2,
        validation=0.2,
        augment=lambda x, rng: x * rng.random((len(x), 1, 1, 1), "float32"),
    )
    one, same, other = (
        small().fit(images, labels, descent=descent, n_patches=500, rng=seed).state_dict()
        for seed in (1, 1, 2)
    )
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not any(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("method", ["fit_classifier", "fit"])
@pytest.mark.parametrize("options", [{"loss": "hinge"}, {"loss": None}, {"l2": -1e-3}], ids=str)
def test_unknown_losses_and_negative_l2_are_refused_before_anything_is_learned(
    method: str, options: dict
) -> None:
    model = small()
    before = model.state_dict()
    with pytest.raises(ConfigError, match=r"argument (loss|l2) expected"):
        getattr(model, method)(images, labels, **options)
    assert all(np.array_equal(before[name], array) for name, array in model.state_dict().items())


def test_a_descent_is_shown_augmented_images() -> None:
    shown: list[int] = []
    descent = FineTuning(epochs=1, batch_size=100, augment=lambda x, rng: shown.append(len(x)) or x)
    small().fit(images, labels, descent=descent, n_patches=500)
    assert shown == [100, 35]


def test_factors_of_layers_below_are_computed_once_while_filters_are_learned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    computed: list[int] = []
    gram = CKNLayer.gram
    monkeypatch.setattr(
        CKNLayer, "gram", lambda layer, *dtype: computed.append(1) or gram(layer, *dtype)
    )
    monkeypatch.setattr("tinygrad_ckn.models.learning.patches._BLOCK", 1000)
    small().train().fit_unsupervised(images, n_patches=500)
    assert len(computed) == 1
