"""How a network learns, on images after preprocessing: filters without labels, the classifier, then everything."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tinygrad_ckn.backend import Generator, is_whole, xp_of
from tinygrad_ckn.errors import ConfigError, TooFewPointsError
from tinygrad_ckn.grad_mode import no_grad
from tinygrad_ckn.graph import unwrap
from tinygrad_ckn.models.batched import MEMORY, allocate, map_batches
from tinygrad_ckn.models.clustering.spherical_kmeans import spherical_kmeans
from tinygrad_ckn.models.learning.finetuning import fine_tune
from tinygrad_ckn.models.learning.finetuning_options import FineTuning, hold_out
from tinygrad_ckn.models.learning.patches import check_count, sample_patches
from tinygrad_ckn.models.learning.progress import Progress, no_report
from tinygrad_ckn.models.linear.l2_search import HeldOut
from tinygrad_ckn.models.linear.logistic import LinearFit, check_objective, fit_linear

if TYPE_CHECKING:
    from tinygrad_ckn.models.ckn import CKN
    from tinygrad_ckn.models.layers.ckn_layer import CKNLayer
    from tinygrad_ckn.models.network import Network

# values of l2 that are tried at least
_TRIED = 5


def fit_filters(
    model: CKN,
    images: Any,
    *,
    n_patches: int,
    iterations: int,
    memory: int = MEMORY,
    rng: Generator,
    report: Callable[[Progress], None] = no_report,
    **options: Any,
) -> None:
    """Set the filters of each layer to centroids of patches of its input.

    Patches beyond `memory` bytes go to a file; the options are more of `spherical_kmeans`.
    """
    training = model.training
    # the factors of the layers below are computed once
    model.eval()
    try:
        for i, layer in enumerate(model.layers):

            def told(iteration: int, cosine: float, number: int = i + 1) -> None:
                report(
                    Progress(
                        "k-means", iteration, iterations, {"layer": number, "mean_cosine": cosine}
                    )
                )

            try:
                patches = layer_patches(model, i, images, n_patches, rng, memory)
                cosine = fit_layer_filters(layer, patches, iterations, rng, report=told, **options)
                # before the next layer's are drawn
                del patches
            except TooFewPointsError as error:
                raise TooFewPointsError(
                    f"layers[{i}], n_filters={layer.n_filters}: {error}", error.found
                ) from error
            report(Progress("filters", i + 1, len(model.layers), {"mean_cosine": cosine}))
    finally:
        model.train(training)


def layer_patches(
    model: CKN, i: int, images: Any, n_patches: int, rng: Generator, memory: int = MEMORY
) -> Any:
    """Return up to n_patches patches (n, C*kh*kw) of what the layers before layer i make of images, as they are."""

    def encode(x: Any) -> Any:
        with no_grad():
            for layer in model.layers[:i]:
                x = unwrap(layer(x))
        return x

    layer = model.layers[i]
    check_count(n_patches)
    out = allocate(
        (n_patches, layer.in_channels * math.prod(layer.kernel_size)), model.dtype, memory, images
    )
    return sample_patches(images, layer, n_patches, rng=rng, encode=encode if i else None, out=out)


def fit_layer_filters(
    layer: CKNLayer, patches: Any, iterations: int, rng: Generator, **options: Any
) -> float:
    """Set a layer's centre to the mean patch, its filters to centroids, a group by itself; return the mean cosine."""
    xp = xp_of(patches)
    if layer.center is not None:
        layer.center.data = patches.mean(axis=0).reshape(layer.center.shape)
        patches -= layer.center.data.reshape(-1)
    count = layer.n_filters // layer.groups
    found = [
        spherical_kmeans(xp.ascontiguousarray(x), count, iterations=iterations, rng=rng, **options)
        for x in xp.split(patches, layer.groups, axis=1)
    ]
    layer.set_filters(xp.concatenate([of_group.centroids for of_group in found]))
    return sum(of_group.objective[-1] for of_group in found) / layer.groups


def fit_classifier(
    model: Network,
    images: Any,
    labels: Any,
    *,
    loss: str,
    l2: float | None,
    iterations: int = 30,
    memory: int = MEMORY,
    groups: Any = None,
    rng: Generator,
    report: Callable[[Progress], None] = no_report,
) -> LinearFit:
    """Set the classifier's weights, and return what was fitted; features beyond `memory` bytes go to a file."""
    report(Progress("classifier", 0, 1))
    tried: list[float] = []

    def held_out(value: float, measured: HeldOut) -> None:
        tried.append(value)
        values = {"l2": value, "held_out_error": measured.error, "held_out_loss": measured.loss}
        report(Progress("l2", len(tried), max(len(tried), _TRIED), values))

    width = model.classifier.in_features
    features = allocate((len(images), width), model.dtype, memory, images)
    map_batches(model, model.fitted, images, (width,), features)
    fit = fit_linear(
        features,
        labels,
        model.n_classes,
        loss=loss,
        l2=l2,
        iterations=iterations,
        groups=groups,
        rng=rng,
        report=held_out,
    )
    model.classifier.weight.data = fit.weight
    if model.classifier.bias is not None:
        model.classifier.bias.data = fit.bias
    model.temperature = fit.temperature
    errors = {
        f"held_out_error_{value:g}": measured.error for value, measured in fit.held_out.items()
    }
    report(Progress("classifier", 1, 1, {"l2": fit.l2, **errors}))
    return fit


def check_fit(descent: Any, loss: str, l2: float | None) -> None:
    """Raise a ConfigError if an argument of `fit` is not of its kind: before anything is learned."""
    if not isinstance(descent, FineTuning | None):
        raise ConfigError(
            f"fit: argument descent expected a models.FineTuning or None, got {descent!r}"
        )
    check_objective(loss, l2)


def check_filters(n_patches: Any, iterations: Any) -> None:
    """Raise a ConfigError if an argument of k-means is not an integer >= 1: before anything is learned."""
    check_count(n_patches)
    if not is_whole(iterations, 1):
        raise ConfigError(f"fit: argument iterations expected an integer >= 1, got {iterations!r}")


def fit_with_labels(
    model: Network,
    images: Any,
    labels: Any,
    *,
    descent: FineTuning | None,
    loss: str,
    l2: float | None,
    from_zero: bool = False,
    groups: Any = None,
    rng: Generator,
    report: Callable[[Progress], None] = no_report,
) -> None:
    """Fit the classifier; with a descent, then train everything, and fit the classifier again.

    What the descent holds out is not seen by the classifier that it starts from either;
    with `from_zero`, a joint descent starts from a classifier of zeros. Images of one
    of the groups (n,) are held out together.
    """
    if descent is not None:
        rest, aside = hold_out(len(images), descent.validation, rng, groups)
        xp = xp_of(images)
        seen, unseen = (
            (images[chosen], labels[chosen]) for chosen in (xp.asarray(rest), xp.asarray(aside))
        )

        def solve() -> LinearFit:
            of_seen = None if groups is None else groups[rest]
            return fit_classifier(
                model, *seen, loss=loss, l2=descent.l2, groups=of_seen, rng=rng, report=report
            )

        options: dict[str, Any] = {
            "from_zero": from_zero,
            "held_out": aside,
            "rng": rng,
            "report": report,
        }
        fine_tune(model, seen, unseen, descent, loss=loss, solve=solve, **options)
    fit_classifier(model, images, labels, loss=loss, l2=l2, groups=groups, rng=rng, report=report)
