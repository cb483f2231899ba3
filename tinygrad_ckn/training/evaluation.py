"""A trained model on images: its confusion matrix on labelled ones, its probabilities on any."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_ckn.backend import asarray, to_numpy
from tinygrad_ckn.data import Split
from tinygrad_ckn.models import Network, Progress
from tinygrad_ckn.models.progress import quiet
from tinygrad_ckn.training.metrics import Confusion, confusion_matrix

BLOCK = 1024  # images that are on the device at a time


def evaluate(model: Network, split: Split, *, report: Callable[[Progress], None] = quiet) -> Confusion:
    """Return the confusion matrix (k, k) of a model on labelled images.

    Parameters
    ----------
    model
        On any device; the images follow it there, block by block.
    split
        Images (n, C, H, W) and labels (n,).
    report
        Called with the images done after each block, phase "evaluate".

    Raises
    ------
    ShapeError
        If the images are not of the model's size.
    DataError
        If there are labels that the model has no class for.
    """
    start = time.perf_counter()
    report(Progress("evaluate", 0, len(split)))
    predicted = np.empty(len(split), dtype=np.int64)
    for block, scores in _scores(model, split.images):
        predicted[block] = scores.argmax(axis=1)
        rate = block.stop / (time.perf_counter() - start)
        report(Progress("evaluate", block.stop, len(split), {"images_per_second": rate}))
    return confusion_matrix(split.labels, predicted, model.n_classes)


def probabilities(model: Network, images: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the softmax of the scores, (n, k): each row sums to 1.

    Parameters
    ----------
    model
        On any device.
    images
        (n, C, H, W), on the host.

    Raises
    ------
    ShapeError
        If the images are not of the model's size.

    Examples
    --------
    >>> from tinygrad_ckn.models import build
    >>> model = build("unsup-32-64", in_channels=1, image_size=8, n_classes=10).eval()
    >>> probabilities(model, np.ones((2, 1, 8, 8), np.float32)).sum(axis=1).round(6)
    array([1., 1.])
    """
    from scipy.special import softmax

    found = np.empty((len(images), model.n_classes))
    for block, scores in _scores(model, images):
        found[block] = softmax(scores.astype(np.float64), axis=1)
    return found


def _scores(model: Network, images: NDArray[np.float32]) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Yield the scores of the images, block by block, on the host."""
    device = model.device
    for start in range(0, len(images), BLOCK):
        block = slice(start, min(start + BLOCK, len(images)))
        yield block, to_numpy(model.scores(asarray(images[block], device=device)))
