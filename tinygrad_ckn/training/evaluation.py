"""Confusion matrix, probabilities and scores of a trained model."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.backend import asarray, to_numpy
from tinygrad_ckn.chunks import slices
from tinygrad_ckn.data import Split
from tinygrad_ckn.labels import class_numbers
from tinygrad_ckn.models import Network, Progress
from tinygrad_ckn.models.learning.progress import no_report
from tinygrad_ckn.models.linear.calibration import probabilities_of
from tinygrad_ckn.models.training_record import check_scale
from tinygrad_ckn.training.metrics import Confusion, confusion_matrix

# Number of images copied to the device at a time.
BLOCK = 1024
# Number of pixels of a block at most, if it has several images.
_MAX_PIXELS = 2**25


@dataclass(frozen=True, eq=False)
class Predictions:
    """The predictions of a model for n labelled images.

    Attributes
    ----------
    labels, predicted
        True and predicted class numbers (n,), int64.
    probability
        Of the predicted classes (n,), float32; None if the model has no temperature.
    """

    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    probability: NDArray[np.float32] | None


def evaluate(
    model: Network,
    split: Split,
    *,
    source: str = "evaluate: images",
    report: Callable[[Progress], None] = no_report,
) -> Confusion:
    """Return the confusion matrix (k, k) of a model on labelled images.

    Parameters
    ----------
    model
        On any device; images are copied there block by block.
    split
        Images (n, C, H, W) and labels (n,) of the type of the training labels.
    source
        Name of the images in messages.
    report
        Called at the start and after each block with the number of images done so far;
        the phase is "evaluate".

    Returns
    -------
    (k, k), int64, on the host; row: true class, column: predicted class

    Raises
    ------
    ShapeError
        If the images are not of the model's size.
    DataError
        If a label is not among the classes of the model.

    Examples
    --------
    >>> from tinygrad_ckn.data import load_digits
    >>> from tinygrad_ckn.models import build
    >>> model = build("unsup-32-64", in_channels=1, image_size=8, n_classes=10).eval()
    >>> int(evaluate(model, load_digits().test).sum())
    360
    """
    predictions = predict(model, split, source=source, report=report)
    return confusion_matrix(predictions.labels, predictions.predicted, model.n_classes)


def predict(
    model: Network,
    split: Split,
    *,
    source: str = "evaluate: images",
    report: Callable[[Progress], None] = no_report,
) -> Predictions:
    """Return the predicted class of labelled images, and its probability.

    Parameters and errors are those of `evaluate`.

    Examples
    --------
    >>> from tinygrad_ckn.data import load_digits
    >>> from tinygrad_ckn.models import build
    >>> model = build("unsup-32-64", in_channels=1, image_size=8, n_classes=10).eval()
    >>> predictions = predict(model, load_digits().test)
    >>> predictions.labels.shape, predictions.predicted.shape, predictions.probability.shape
    ((360,), (360,), (360,))
    """
    start = time.perf_counter()
    report(Progress("evaluate", 0, len(split)))
    predicted = np.empty(len(split), dtype=np.int64)
    calibrated = model.temperature is not None
    probability = np.empty(len(split), dtype=np.float32) if calibrated else None
    for block, scores in _scores(model, split.images, source):
        predicted[block] = scores.argmax(axis=1)
        if probability is not None:
            of_classes = probabilities_of(scores, model.temperature, "evaluate")
            probability[block] = of_classes.max(axis=1)
        rate = block.stop / (time.perf_counter() - start)
        report(Progress("evaluate", block.stop, len(split), {"images_per_second": rate}))
    labels = class_numbers(split.labels, model.classes, "evaluate: labels")
    return Predictions(labels, predicted, probability)


def probabilities(
    model: Network, images: NDArray[np.float32], *, source: str = "probabilities: images"
) -> NDArray[np.float64]:
    """Return the probability of each class, as `model.predict_proba` but block by block.

    Parameters
    ----------
    model
        On any device.
    images
        (n, C, H, W), on the host.
    source
        Name of the images in messages.

    Returns
    -------
    (n, k), float64, on the host; each row sums to 1

    Raises
    ------
    ConfigError
        If the model has no temperature.
    ShapeError, DataError
        As for `model.predict`.

    Examples
    --------
    >>> from tinygrad_ckn.models import build
    >>> model = build("unsup-32-64", in_channels=1, image_size=8, n_classes=10).eval()
    >>> probabilities(model, np.ones((2, 1, 8, 8), np.float32)).sum(axis=1).round(6)
    array([1., 1.])
    """
    return probabilities_of(
        scores(model, images, source=source), model.temperature, "probabilities"
    )


def scores(
    model: Network, images: NDArray[np.float32], *, source: str = "scores: images"
) -> NDArray[Any]:
    """Return the scores of images (n, C, H, W) on the host, shape (n, k).

    Parameters and errors are those of `probabilities`; the model needs no temperature.
    """
    result = np.empty((len(images), model.n_classes), dtype=model.dtype)
    for block, values in _scores(model, images, source):
        result[block] = values
    return result


def _scores(
    model: Network, images: NDArray[np.float32], source: str
) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Yield the scores of the images, block by block, on the host."""
    check_scale(model, images, source)
    # The scale of all images has been checked; blocks are not checked again.
    unchecked = copy(model)
    unchecked.data_format = None
    size = max(1, min(BLOCK, _MAX_PIXELS // max(1, math.prod(images.shape[1:]))))
    for block in slices(len(images), size):
        yield block, to_numpy(unchecked.scores(asarray(images[block], device=model.device)))
