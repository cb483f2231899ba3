"""The steps of training on preprocessed images.

Filters are learned without labels, then the classifier, then everything end to end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from tinygrad_ckn import checks
from tinygrad_ckn.backend import Generator, NDArray, xp_of
from tinygrad_ckn.errors import ConfigError, TooFewPointsError
from tinygrad_ckn.grad_mode import no_grad
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.models.batched import MEMORY, allocate, allocate_rows
from tinygrad_ckn.models.clustering.spherical_kmeans import spherical_kmeans
from tinygrad_ckn.models.example_weights import check_class_weight
from tinygrad_ckn.models.layers.ckn_layer import CKNLayer
from tinygrad_ckn.models.learning.best_weights import HELD_OUT
from tinygrad_ckn.models.learning.finetuning import fine_tune
from tinygrad_ckn.models.learning.finetuning_options import FineTuning, hold_out
from tinygrad_ckn.models.learning.objective import LabelledImages
from tinygrad_ckn.models.learning.patches import check_count, sample_patches
from tinygrad_ckn.models.learning.progress import Progress, no_report
from tinygrad_ckn.models.learning.state import Course
from tinygrad_ckn.models.linear.calibration import USUAL, fit_temperature
from tinygrad_ckn.models.linear.l2_search import HeldOut
from tinygrad_ckn.models.linear.logistic import LinearFit, check_objective, fit_linear
from tinygrad_ckn.models.linear.problem import Loss
from tinygrad_ckn.models.network_base import NetworkBase

# Values of l2 that a search tries at least.
_MIN_TRIED = 5


def fit_filters(
    model: NetworkBase,
    images: NDArray[Any],
    *,
    n_patches: int,
    iterations: int,
    memory: int = MEMORY,
    course: Course,
    report: Callable[[Progress], None] = no_report,
    **options: Any,
) -> None:
    """Set the filters of each `CKNLayer` to centroids of patches of its input.

    Patches of more than `memory` bytes are kept in a file; options are those of
    `spherical_kmeans`. Layers that a resumed training has learned already are left.
    """
    layers = [layer for layer in model.layers if isinstance(layer, CKNLayer)]
    rng = course.rng
    n_learned = len(layers) if course.n_layers is None else course.n_layers
    training = model.training
    # In eval mode the factors of the layers below are computed once.
    model.eval()
    try:
        for i, layer in list(enumerate(layers))[n_learned:]:

            def on_iteration(iteration: int, cosine: float, number: int = i + 1) -> None:
                values = {"layer": number, "mean_cosine": cosine}
                report(Progress("k-means", iteration, iterations, values))

            try:
                patches = layer_patches(layers, i, images, n_patches, rng, memory)
                cosine = fit_layer_filters(
                    layer, patches, iterations, rng, report=on_iteration, **options
                )
                # Free them before the patches of the next layer are drawn.
                del patches
            except TooFewPointsError as error:
                raise TooFewPointsError(
                    f"layers[{i}], n_filters={layer.n_filters}: {error}", error.found
                ) from error
            state = course.state("filters", i + 1)
            report(Progress("filters", i + 1, len(layers), {"mean_cosine": cosine}, state))
    finally:
        model.train(training)


def layer_patches(
    layers: Sequence[CKNLayer],
    i: int,
    images: NDArray[Any],
    n_patches: int,
    rng: Generator,
    memory: int = MEMORY,
) -> NDArray[Any]:
    """Return up to n_patches patches (n, C*kh*kw) of the input of layer i."""

    def encode(x: NDArray[Any]) -> NDArray[Any]:
        with no_grad():
            for layer in layers[:i]:
                x = unwrap(layer(x))
        return x

    check_count(n_patches)
    layer = layers[i]
    shape = n_patches, layer.in_channels * math.prod(layer.kernel_size)
    out = allocate(shape, str(layer.weight.dtype), memory, images)
    return sample_patches(images, layer, n_patches, rng=rng, encode=encode if i else None, out=out)


def fit_layer_filters(
    layer: CKNLayer, patches: NDArray[Any], iterations: int, rng: Generator, **options: Any
) -> float:
    """Set a layer's filters to centroids of patches, and its center to their mean.

    Each group is clustered by itself; centred patches are overwritten. Returns the mean
    cosine of patches and their centroids.
    """
    xp = xp_of(patches)
    if layer.center is not None:
        layer.center.data = patches.mean(axis=0).reshape(layer.center.shape)
        patches -= layer.center.data.reshape(-1)
    count = layer.n_filters // layer.groups
    clusterings = [
        spherical_kmeans(xp.ascontiguousarray(x), count, iterations=iterations, rng=rng, **options)
        for x in xp.split(patches, layer.groups, axis=1)
    ]
    layer.set_filters(xp.concatenate([clustering.centroids for clustering in clusterings]))
    return sum(clustering.objective[-1] for clustering in clusterings) / layer.groups


def fit_classifier(
    model: NetworkBase,
    images: NDArray[Any],
    labels: NDArray[Any],
    *,
    memory: int = MEMORY,
    report: Callable[[Progress], None] = no_report,
    **options: Any,
) -> LinearFit:
    """Fit the classifier to the features of images, set its weights and return the fit.

    Features of more than `memory` bytes are kept in a file. Options are those of
    `fit_linear`; without calibration the temperature stays.
    """
    report(Progress("classifier", 0, 1))
    width = model.classifier.in_features
    features = allocate_rows((len(images), width), model.dtype, memory, images)
    model._map_batches(model._training_features, images, (width,), features)
    fit = fit_linear(features, labels, model.n_classes, report=_l2_reporter(report), **options)
    model.classifier.weight.data = fit.weight
    if model.classifier.bias is not None:
        model.classifier.bias.data = fit.bias
    if fit.temperature is not None:
        model.temperature = fit.temperature
    errors = {f"held_out_error_{value:g}": result.error for value, result in fit.held_out.items()}
    report(Progress("classifier", 1, 1, {"l2": fit.l2, **errors}))
    return fit


def _l2_reporter(report: Callable[[Progress], None]) -> Callable[[float, HeldOut], None]:
    """Return the callback that reports each l2 tried."""
    tried = 0

    def on_l2_tried(l2: float, result: HeldOut) -> None:
        nonlocal tried
        tried += 1
        values = {"l2": l2, "held_out_error": result.error, "held_out_loss": result.loss}
        report(Progress("l2", tried, max(tried, _MIN_TRIED), values))

    return on_l2_tried


def check_fit(descent: object, loss: str, l2: float | None, class_weight: object = None) -> None:
    """Raise a ConfigError if an option of `fit` is invalid, before anything is learned."""
    if not isinstance(descent, FineTuning | None):
        raise ConfigError(
            f"fit: argument descent expected a models.FineTuning or None, got {descent!r}"
        )
    check_objective(loss, l2)
    if descent is not None:
        descent.check_loss(loss)
    check_class_weight("fit", class_weight)


def check_frozen(model: NetworkBase, descent: FineTuning | None) -> None:
    """Raise a ConfigError if a layer to freeze does not exist, or nothing is left to train."""
    frozen = set() if descent is None else set(descent.freeze)
    n_layers = len(model.layers)
    if frozen and max(frozen) > n_layers:
        raise ConfigError(
            f"fit: argument freeze expected layers from 1 to {n_layers}, got {max(frozen)}"
        )
    if descent is not None and descent.alternating and len(frozen) == n_layers:
        raise ConfigError(
            "fit: argument freeze expected a layer that alternating=True can train, got all "
            f"{n_layers} layers; leave one out, or set alternating=False"
        )


def check_kmeans(n_patches: int, iterations: int) -> None:
    """Raise a ConfigError if an option of k-means is invalid, before anything is learned."""
    check_count(n_patches)
    checks.integers("fit", iterations=iterations)


def fit_with_labels(
    model: NetworkBase,
    training: LabelledImages,
    *,
    descent: FineTuning | None,
    loss: Loss,
    l2: float | None,
    from_zero: bool = False,
    groups: NDArray[Any] | None = None,
    validation: LabelledImages | None = None,
    course: Course,
    report: Callable[[Progress], None] = no_report,
) -> None:
    """Fit the classifier; with a descent, then train end to end and fit it again.

    The validation set, a share of the images unless it is given, is hidden from the
    classifier that the descent starts from, too.
    With `from_zero` the descent starts from a classifier of zeros, unless alternating.
    Images of one group (n,) are held out together. Scores are calibrated on the
    validation set, whose images the filters have not been trained on.
    """
    options: dict[str, Any] = {"loss": loss, "rng": course.rng, "report": report}
    check_frozen(model, descent)
    held_out: NDArray[Any] | None = None
    if descent is not None:
        part, tuned_on, chosen_on = training, groups, validation
        held_out = np.arange(0)
        if chosen_on is None:
            seen, held_out = _split(len(training.images), descent, groups, course)
            part, chosen_on = training.take(seen), training.take(held_out)
            tuned_on = None if groups is None else groups[seen]
        solve = partial(
            _fit_to,
            part,
            model,
            l2=descent.l2,
            calibrate=False,
            groups=tuned_on,
            **options,
        )
        fine_tune(
            model,
            part,
            chosen_on,
            descent,
            solve=solve,
            from_zero=from_zero,
            held_out=held_out,
            loss=loss,
            course=course,
            report=report,
        )
    if validation is None:
        _fit_to(training, model, l2=l2, calibration=held_out, groups=groups, **options)
        return
    _fit_to(training, model, l2=l2, calibrate=False, groups=groups, **options)
    model.temperature = fit_temperature(
        model._test_scores(validation.images),
        validation.labels,
        validation.weights,
        usual=USUAL[loss],
    )


def _fit_to(training: LabelledImages, model: NetworkBase, **options: Any) -> LinearFit:
    """Fit the classifier to labelled images with their weights."""
    images, labels, weights = training
    return fit_classifier(model, images, labels, sample_weight=weights, **options)


def _split(
    n: int, descent: FineTuning, groups: NDArray[Any] | None, course: Course
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the indices of n images to train on and of those for validation."""
    if course.descent is None:
        return hold_out(n, descent.validation, course.rng, groups)
    validation = course.descent.arrays[HELD_OUT]
    return np.setdiff1d(np.arange(n), validation), validation
