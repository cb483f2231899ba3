"""How a CKN learns: filters without labels, the classifier, and everything by stochastic gradient descent."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tinygrad_ckn.backend import Generator, is_whole, xp_of
from tinygrad_ckn.errors import ConfigError, GradientError
from tinygrad_ckn.graph import raw
from tinygrad_ckn.models.classifier import L2_GRID, LOSSES, LinearFit, fit_linear
from tinygrad_ckn.models.encoding import MEMORY, room_for
from tinygrad_ckn.models.kmeans import spherical_kmeans
from tinygrad_ckn.models.patches import sample_patches
from tinygrad_ckn.modes import no_grad
from tinygrad_ckn.optim import SGD, CosineDecay, Scheduler
from tinygrad_ckn.tensor import Tensor

if TYPE_CHECKING:
    from tinygrad_ckn.models.ckn import CKN


@dataclass(frozen=True)
class Progress:
    """Where a training stands: `done` of `total` steps of a phase ("filters", "l2", "classifier", "batch", "epoch")."""

    phase: str
    done: int
    total: int
    values: dict[str, float] = field(default_factory=dict)


def quiet(progress: Progress) -> None:
    """Report nothing."""


def fit_filters(
    model: CKN,
    images: Any,
    *,
    n_patches: int,
    iterations: int,
    rng: Generator,
    report: Callable[[Progress], None] = quiet,
) -> None:
    """Set the filters of each layer to centroids of patches of its input."""
    for i, layer in enumerate(model.layers):

        def encode(x: Any, below: int = i) -> Any:
            with no_grad():
                for previous in model.layers[:below]:
                    x = raw(previous(x))
            return x

        patches = sample_patches(images, layer, n_patches, rng=rng, encode=encode if i else None)
        found = spherical_kmeans(patches, layer.n_filters, iterations=iterations, rng=rng)
        layer.weight.data = found.centroids.reshape(layer.weight.shape)
        report(Progress("filters", i + 1, len(model.layers), {"mean_cosine": found.objective[-1]}))


def fit_classifier(
    model: CKN,
    images: Any,
    labels: Any,
    *,
    loss: str,
    l2: float | None,
    iterations: int,
    memory: int = MEMORY,
    rng: Generator,
    report: Callable[[Progress], None] = quiet,
) -> LinearFit:
    """Set the classifier's weights, and return what was fitted; features beyond `memory` bytes go to a file."""
    tried: list[float] = []

    def held_out(value: float, loss: float) -> None:
        tried.append(value)
        report(Progress("l2", len(tried), len(L2_GRID), {"l2": value, "held_out_loss": loss}))

    shape = len(images), model.classifier.in_features
    features = model.encode(images, room_for(shape, model.dtype, memory, images))
    fit = fit_linear(
        features, labels, model.n_classes, loss=loss, l2=l2, iterations=iterations, rng=rng, report=held_out
    )
    model.classifier.weight.data = fit.weight
    if model.classifier.bias is not None:
        model.classifier.bias.data = fit.bias
    report(Progress("classifier", 1, 1, {"l2": fit.l2, **{f"held_out_{k:g}": v for k, v in fit.held_out.items()}}))
    return fit


def check_descent(epochs: int, batch_size: int) -> None:
    """Raise a ConfigError unless these are whole numbers in range."""
    if not (is_whole(epochs, 0) and is_whole(batch_size, 1)):
        raise ConfigError(
            f"fit: expected epochs >= 0 and batch_size >= 1, whole numbers, got {epochs!r} and {batch_size!r}"
        )


def descend(
    model: CKN,
    images: Any,
    labels: Any,
    *,
    epochs: int,
    batch_size: int,
    lr: float,
    momentum: float,
    loss: str,
    l2: float,
    augment: Callable[[Any, Generator], Any] | None = None,
    rng: Generator,
    report: Callable[[Progress], None] = quiet,
) -> None:
    """Train all parameters that require grad by SGD, each constrained one on its sphere; l2 is on the raw weights.

    Each batch is shown as `augment` makes it of its images and the generator.
    """
    check_descent(epochs, batch_size)
    xp = xp_of(images)
    steps = math.ceil(len(images) / batch_size)
    optimizer = SGD([p for p in model.parameters() if p.requires_grad], lr=lr, momentum=momentum)
    schedule = Scheduler(optimizer, CosineDecay(max(1, epochs * steps)))
    model.train()
    for epoch in range(epochs):
        order = xp.asarray(rng.permutation(len(images)))
        total = 0.0
        hits = 0
        for step in range(steps):
            chosen = order[step * batch_size : (step + 1) * batch_size]
            batch = images[chosen] if augment is None else augment(images[chosen], rng)
            scores = model(Tensor.wrap(batch))
            weight = model.classifier.weight
            objective = LOSSES[loss](scores, labels[chosen]) + (0.5 * l2) * (weight * weight).sum()
            value = objective.item()
            if not math.isfinite(value):
                raise GradientError(
                    f"fit: expected a finite loss, got {value} in epoch {epoch + 1}, batch {step + 1}; "
                    f"lower lr ({lr:g})"
                )
            optimizer.zero_grad()
            objective.backward()
            optimizer.step()
            schedule.step()
            total += value * len(chosen)
            hits += int((scores.data.argmax(axis=1) == labels[chosen]).sum())
            report(Progress("batch", epoch * steps + step + 1, epochs * steps, {"epoch": epoch + 1, "loss": value}))
        values = {"loss": total / len(images), "train_accuracy": hits / len(images), "lr": optimizer.lr}
        report(Progress("epoch", epoch + 1, epochs, values))
