"""Labelled images, and the loss that fine-tuning minimises on a batch of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tinygrad_ckn.backend import NDArray, xp_of
from tinygrad_ckn.lazy_images import some_of
from tinygrad_ckn.models.linear.problem import LOSSES, Loss
from tinygrad_ckn.models.network_base import NetworkBase
from tinygrad_ckn.tensor import Tensor


class LabelledImages(NamedTuple):
    """Preprocessed images (n, C, H, W) with their class numbers (n,) and weights (n,) > 0.

    Weights None: all images count the same.
    """

    images: NDArray[Any]
    labels: NDArray[Any]
    weights: NDArray[Any] | None = None

    def take(self, rows: NDArray[np.intp]) -> LabelledImages:
        """Return the images with the given indices; lazy ones are not read."""
        chosen = xp_of(self.images).asarray(rows)
        weights = None if self.weights is None else self.weights[chosen]
        return LabelledImages(some_of(self.images, chosen), self.labels[chosen], weights)


class Target(NamedTuple):
    """Class numbers (n,) of a batch, with weights (n,) of mean 1 over the whole epoch.

    Weights None: all images count the same. `share` is the factor of the loss for this
    target, of several that a batch is trained on.
    """

    labels: NDArray[Any]
    weights: NDArray[Any] | None = None
    share: float = 1.0

    def hits(self, scores: NDArray[Any]) -> Any:
        """Return the weighted number of images whose largest score is at the label."""
        hits = scores.argmax(axis=1) == self.labels
        count = hits.sum() if self.weights is None else self.weights @ hits
        return count if self.share == 1.0 else self.share * count


@dataclass(frozen=True)
class Objective:
    """The loss of a network on a batch plus l2/2 |W|^2, W the classifier's weights.

    `label_smoothing` is that of `ops.cross_entropy`.
    """

    model: NetworkBase
    loss: Loss
    l2: float
    label_smoothing: float = 0.0

    def __call__(self, batch: NDArray[Any], *targets: Target) -> tuple[Tensor, Tensor]:
        """Return the objective, a scalar, and the scores (n, k)."""
        classifier = self.model.classifier
        scores = classifier(self.model._flat_features(Tensor.wrap(batch)))
        weight = classifier.weight
        objective = self._loss(scores, targets[0])
        for target in targets[1:]:
            objective = objective + self._loss(scores, target)
        return objective + (0.5 * self.l2) * (weight * weight).sum(), scores

    def _loss(self, scores: Tensor, target: Target) -> Any:
        """Return the share of the mean of w_i L_i."""
        options = {"label_smoothing": self.label_smoothing} if self.label_smoothing else {}
        loss: Any = LOSSES[self.loss](scores, target.labels, target.weights, **options)
        if target.weights is not None:
            # The mean of w_i L_i instead of a weighted mean.
            loss = loss * target.weights.mean().astype(scores.dtype)
        return loss if target.share == 1.0 else loss * target.share
