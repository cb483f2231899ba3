"""The learning rate of a descent, from the curvature of its loss at the start."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tinygrad_ckn.models.learning.curvature import largest_curvature
from tinygrad_ckn.models.learning.finetuning_options import FineTuning
from tinygrad_ckn.models.learning.objective import LabelledImages, Objective, Target
from tinygrad_ckn.nn import Parameter

# Images, evenly spaced, from which the curvature of the loss is estimated.
_IMAGES = 128


def learning_rate(
    objective: Objective,
    parameters: Sequence[Parameter],
    training: LabelledImages,
    descent: FineTuning,
) -> float:
    """Return `base_lr`, or a lower rate if the loss is too curved for it at the start."""
    n = len(training.images)
    size = min(n, max(_IMAGES, descent.batch_size))
    batch = training.take(np.arange(size) * n // size)
    # Reads lazy images.
    batch = batch._replace(images=batch.images[:])
    objective.model.train()
    target = Target(batch.labels, batch.weights)
    curvature = largest_curvature(lambda: objective(batch.images, target)[0], parameters)
    objective.model.zero_grad()
    return descent.stable_lr(curvature) if math.isfinite(curvature) else descent.base_lr
